//! The machine that decides about runs, driven through random worlds: whatever happens, the promises hold.
//!
//! `PROPTEST_CASES` says how many worlds (`make prove` sets it high); a failure prints what led to it, and the seed
//! is kept in `tests/machine/main.proptest-regressions`.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod answer;
mod choosers;
mod decide;
mod judge;
#[path = "../known_facts/mod.rs"]
mod known_facts;
mod next;
mod plans;
mod promises;
mod support;
mod world;

use lifeboat::domain::event::{Entry, RunEvent, RunOutcome};
use lifeboat::domain::run::Run;
use lifeboat::domain::status::StepStatus;
use lifeboat::planning::machine;
use proptest::prelude::*;
use world::{Chance, World};

fn statuses(run: &Run) -> Vec<StepStatus> {
    run.steps.iter().map(|state| state.status).collect()
}

fn any_chance(wildness: std::ops::Range<usize>, most: usize) -> impl Strategy<Value = Chance> {
    (proptest::collection::vec(any::<u8>(), 0..most), wildness)
        .prop_map(|(bytes, wildness)| Chance::of(bytes, wildness))
}

/// What was decided from any beginning of a journal is what was decided live, and a runner that begins there
/// comes to an end of the kind that was then still possible.
fn any_beginning_goes_on(world: &World, cuts: &[proptest::sample::Index]) {
    for cut in cuts {
        let kept = cut.index(world.journal.len()) + 1;
        let journal = &world.journal[..kept];
        let run = Run::fold(journal).unwrap();
        let live = world.states.iter().find(|run| run.sequence == journal[kept - 1].sequence).unwrap();
        assert_eq!(&run, live);
        assert_eq!(machine::next(&run, None), machine::next(live, None));
        let mut again = World::after(journal.to_vec(), Chance::none());
        again.live();
        assert!(!run.aborting || again.run.aborting);
        assert!(!run.failed || again.run.failed);
        let repeated: Vec<&RunEvent> = again.journal[..kept].iter().map(|entry| &entry.event).collect();
        let before: Vec<&RunEvent> = journal.iter().map(|entry| &entry.event).collect();
        assert_eq!(repeated, before, "what was written stays");
    }
}

/// The drill's plan is long: fewer worlds, in the same proportion however many are asked for.
fn some_cases() -> ProptestConfig {
    let all = ProptestConfig::default();
    ProptestConfig { cases: all.cases.div_ceil(8), ..all }
}

proptest! {
    #[test]
    fn whatever_happens_to_any_plan_the_promises_hold(
        plan in plans::any_plan(),
        chance in any_chance(1..24, 160),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 4),
    ) {
        let mut world = World::new(&plan, chance);
        world.live();
        any_beginning_goes_on(&world, &cuts);
    }

    #[test]
    fn a_runner_killed_anywhere_changes_nothing_of_the_end(plan in plans::any_plan()) {
        let mut calm = World::new(&plan, Chance::none());
        calm.live();
        for kept in 1..calm.journal.len() {
            let mut again = World::after(calm.journal[..kept].to_vec(), Chance::none());
            again.live();
            prop_assert_eq!(statuses(&again.run), statuses(&calm.run));
            prop_assert_eq!(&again.run.result, &calm.run.result);
            prop_assert_eq!(again.run.ended.map(|(outcome, _)| outcome), calm.run.ended.map(|(outcome, _)| outcome));
        }
    }
}

proptest! {
    #![proptest_config(some_cases())]

    #[test]
    fn whatever_happens_to_the_shipped_drill_the_promises_hold(
        chance in any_chance(0..4, 900),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 2),
    ) {
        let mut world = World::new(&plans::drill(), chance);
        world.live();
        any_beginning_goes_on(&world, &cuts);
    }
}

proptest! {
    #![proptest_config(some_cases())]

    #[test]
    fn whatever_happens_to_the_shipped_recovery_in_place_the_promises_hold(
        chance in any_chance(0..4, 1200),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 2),
    ) {
        let mut world = World::new(&plans::recovery(), chance);
        world.live();
        any_beginning_goes_on(&world, &cuts);
    }
}

#[test]
fn the_shipped_recovery_in_place_ends_promoted_when_all_goes_well() {
    let mut world = World::new(&plans::recovery(), Chance::none());
    world.live();
    assert_eq!(world.run.ended.map(|(outcome, _)| outcome), Some(RunOutcome::Done));
    assert!(!world.left_servers);
    assert_eq!(world.run.choice_at(&plans::id("inspect")), Some(&plans::id("promote")));
    assert_eq!(world.run.step(&plans::id("promote")).unwrap().1.status, StepStatus::Done);
    assert_eq!(world.run.step(&plans::id("put-back")).unwrap().1.status, StepStatus::Skipped);
}

#[test]
fn the_shipped_drill_is_done_when_all_goes_well() {
    let mut world = World::new(&plans::drill(), Chance::none());
    world.live();
    assert_eq!(world.run.ended.map(|(outcome, _)| outcome), Some(RunOutcome::Done));
    assert!(!world.left_servers);
    let done = world.run.each().filter(|(_, state)| state.status == StepStatus::Done).count();
    assert_eq!(done, world.run.plan.steps.iter().filter(|step| step.ruled_out.is_none()).count());
    assert_eq!(world.run.result["control.system_identifier"], "7561840291");
}

fn position_of(world: &World, entry: &Entry) -> usize {
    world.states.iter().position(|run| run.sequence == entry.sequence).unwrap()
}

/// The worlds are not tame: what the promises speak of does happen in them.
#[test]
fn the_worlds_are_wild_enough() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
    for _ in 0..1600 {
        let (plan, chance) = (plans::any_plan(), any_chance(1..24, 160)).new_tree(&mut runner).unwrap().current();
        let mut world = World::new(&plan, chance);
        world.live();
        let mut count = |what: String| *seen.entry(what).or_default() += 1;
        for entry in &world.journal {
            count(serde_json::to_value(&entry.event).unwrap()["type"].as_str().unwrap().to_owned());
            match &entry.event {
                RunEvent::GateOpened { opening, drift, .. } if *opening > 1 => {
                    count(
                        if drift.is_empty() { "opened again for another plan" } else { "opened again for facts" }
                            .into(),
                    );
                }
                RunEvent::StepStarted { step, attempt } => {
                    let destructive = world.run.step(step).unwrap().0.destructive;
                    if destructive {
                        count("destructive".into())
                    }
                    if *attempt > 1 {
                        count("started again".into())
                    }
                }
                RunEvent::GateAnswered { via, .. } => count(format!("answered {via:?}")),
                RunEvent::DecisionMade { opening, choice, via, .. } => {
                    let past = if *opening == 0 { "past what is held" } else { "at the decision" };
                    count(format!("chosen {choice} {past}"));
                    count(format!("chosen {via:?}"));
                }
                RunEvent::StepResolved { answer, seal, .. } => {
                    let before = &world.states[position_of(&world, entry) - 1];
                    let status = before.step(entry.event.step().unwrap()).unwrap().1.status;
                    count(format!("resolved {} {answer:?}", status.word()));
                    if seal.is_some() {
                        count("a server is started again".into());
                    }
                }
                RunEvent::RunEnded { outcome, .. } => count(format!("ended {outcome:?}")),
                _ => {}
            }
        }
        for kind in world.refused.keys() {
            count(format!("refused: {kind}"));
        }
    }
    let expected = [
        "step_started",
        "step_ready",
        "step_ended",
        "step_interrupted",
        "step_unknown",
        "step_resolved",
        "step_skipped",
        "step_refused",
        "gate_opened",
        "gate_answered",
        "plan_amended",
        "abort_requested",
        "note_written",
        "opened again for another plan",
        "opened again for facts",
        "destructive",
        "started again",
        "answered Terminal",
        "answered CommandLine",
        "ended Done",
        "ended Failed",
        "ended Aborted",
        "refused: stale",
        "refused: other plan",
        "refused: wrong answer",
        "refused: no such step",
        "refused: not unknown",
        "refused: alive",
        "refused: aborting",
        "refused: beforehand",
        "refused: no gate waits",
        "decision_made",
        "chosen on at the decision",
        "chosen back at the decision",
        "chosen further at the decision",
        "chosen give-up at the decision",
        "chosen back past what is held",
        "chosen further past what is held",
        "chosen give-up past what is held",
        "chosen Terminal",
        "chosen CommandLine",
        "resolved held Again",
        "resolved held Done",
        "resolved held Abort",
        "resolved unknown Again",
        "a server is started again",
        "refused: chosen beforehand",
        "refused: no decision waits",
        "refused: leads nowhere now",
        "refused: choice for another plan",
        "refused: no such choice",
        "refused: stale choice",
        "refused: value that is not asked for",
        "refused: value is missing",
        "refused: value can't be read",
        "refused: no such decision",
        "refused: a gate is no decision",
    ];
    let rare: Vec<&str> = expected.into_iter().filter(|what| seen.get(*what).copied().unwrap_or(0) < 5).collect();
    assert!(rare.is_empty(), "hardly ever seen: {rare:?} in {seen:#?}");
}
