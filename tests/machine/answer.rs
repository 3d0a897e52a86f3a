//! What a person may ask, and every reason to say no. A refusal changes nothing: `answer` only looks.

use crate::plans::{facts, id};
use crate::support::{opened, plan, run, started};
use crate::world::anna;
use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{Resolution, RunEvent, RunOutcome, Via};
use lifeboat::domain::facts::Facts;
use lifeboat::domain::plan::StepKind;
use lifeboat::domain::run::Run;
use lifeboat::planning::machine::{Refusal, Request, answer};
use std::collections::BTreeMap;

/// What a person who saw the open gate sends; without one, made up.
fn approve(run: &Run) -> Request {
    let (sequence, seal) = run.open_gate().map_or((2, run.plan.seal), |(_, gate)| (gate.sequence, gate.seal));
    Request::Approve { step: id("gate"), sequence, seal, answer: "main".into(), by: anna(), via: Via::Terminal }
}

fn resolve(step: &str, answer: Resolution) -> Request {
    Request::Resolve { step: id(step), answer, by: anna() }
}

fn abort() -> Request {
    Request::Abort { by: anna(), reason: "enough".into() }
}

fn note() -> Request {
    Request::Note { by: anna(), text: "a note".into() }
}

fn waiting() -> Run {
    run(&plan(), vec![opened(&plan(), 1, &facts())])
}

fn changed() -> Facts {
    let mut facts = facts();
    facts.identity.insert("set".into(), "another".into());
    facts
}

fn unknown() -> Run {
    let lost = RunEvent::StepUnknown { step: id("restore"), attempt: 1, evidence: vec!["seen".into()] };
    run(&plan(), vec![started("restore"), lost])
}

#[test]
fn the_right_answer_to_the_open_gate_is_granted() {
    let run = waiting();
    let Ok(RunEvent::GateAnswered { step, opening: 1, seal, by, via: Via::Terminal }) = answer(&run, &approve(&run), 0)
    else {
        panic!("it was refused")
    };
    assert_eq!((step, seal, by), (id("gate"), run.plan.seal, anna()));
}

/// The request with its parts changed.
fn changing(request: &Request, change: impl Fn(&mut u64, &mut Digest, &mut String, &mut Via)) -> Request {
    let mut request = request.clone();
    if let Request::Approve { sequence, seal, answer, via, .. } = &mut request {
        change(sequence, seal, answer, via);
    }
    request
}

#[test]
fn an_answer_to_something_else_is_refused() {
    let run = waiting();
    let right = approve(&run);
    let stale = changing(&right, |sequence, _, _, _| *sequence = 1);
    assert_eq!(answer(&run, &stale, 0), Err(Refusal::Stale { open: 2, seen: 1 }));
    let other = changing(&right, |_, seal, _, _| *seal = Digest::of(b"other"));
    assert_eq!(answer(&run, &other, 0), Err(Refusal::OtherPlan(run.plan.seal.short())));
    for typed in ["", "Main", "main ", " main", "main\n", "yes"] {
        let wrong = changing(&right, |_, _, answer, _| typed.clone_into(answer));
        assert_eq!(answer(&run, &wrong, 0), Err(Refusal::WrongAnswer), "{typed:?}");
    }
}

#[test]
fn enter_never_approves_even_where_a_gate_asks_for_nothing() {
    let mut plan = plan();
    plan.steps[1].kind = StepKind::Gate { answer: String::new(), shows: Vec::new() };
    let run = run(&plan, vec![opened(&plan, 1, &facts())]);
    let enter = changing(&approve(&run), |_, _, answer, _| answer.clear());
    assert_eq!(answer(&run, &enter, 0), Err(Refusal::WrongAnswer));
}

#[test]
fn an_answer_given_beforehand_counts_once_and_for_what_was_planned() {
    let beforehand = |run: &Run| changing(&approve(run), |_, _, _, via| *via = Via::CommandLine);
    let first = waiting();
    assert!(answer(&first, &beforehand(&first), 0).is_ok());
    let drifted = run(&plan(), vec![opened(&plan(), 1, &changed())]);
    assert_eq!(answer(&drifted, &beforehand(&drifted), 0), Err(Refusal::NotBeforehand(id("gate"))));
    assert!(answer(&drifted, &approve(&drifted), 0).is_ok(), "a person who looked may");
    let answered = answer(&first, &approve(&first), 0).unwrap();
    let again = run(&plan(), vec![opened(&plan(), 1, &facts()), answered, opened(&plan(), 2, &facts())]);
    assert_eq!(answer(&again, &beforehand(&again), 0), Err(Refusal::NotBeforehand(id("gate"))));
    assert_eq!(answer(&again, &approve(&first), 0), Err(Refusal::Stale { open: 4, seen: 2 }));
}

#[test]
fn only_a_gate_that_waits_can_be_answered() {
    let fresh = run(&plan(), Vec::new());
    let not_waiting = |step: &str, status| Err(Refusal::NotWaiting { step: id(step), status });
    assert_eq!(answer(&fresh, &approve(&fresh), 0), not_waiting("gate", "pending"));
    let first = waiting();
    let done = run(&plan(), vec![opened(&plan(), 1, &facts()), answer(&first, &approve(&first), 0).unwrap()]);
    assert_eq!(answer(&done, &approve(&first), 0), not_waiting("gate", "done"), "the same answer twice");
    let named = |name: &str| {
        let mut request = approve(&first);
        if let Request::Approve { step, .. } = &mut request {
            *step = id(name);
        }
        request
    };
    assert_eq!(answer(&first, &named("restore"), 0), not_waiting("restore", "pending"));
    assert_eq!(answer(&first, &named("nowhere"), 0), Err(Refusal::NoStep(id("nowhere"))));
}

#[test]
fn a_decision_needs_an_unknown_step_of_which_nothing_lives() {
    let run = unknown();
    for decision in [Resolution::Done, Resolution::Again, Resolution::Abort] {
        let Ok(RunEvent::StepResolved { step, attempt: 1, answer: granted, evidence, .. }) =
            answer(&run, &resolve("restore", decision), 0)
        else {
            panic!("it was refused")
        };
        assert_eq!((step, granted, evidence), (id("restore"), decision, vec!["seen".to_owned()]));
    }
    for decision in [Resolution::Done, Resolution::Again] {
        assert_eq!(answer(&run, &resolve("restore", decision), 2), Err(Refusal::StillAlive(2)));
    }
    assert!(answer(&run, &resolve("restore", Resolution::Abort), 2).is_ok(), "an abort ends what lives");
    let pending = Err(Refusal::NotUnknown { step: id("server"), status: "pending" });
    assert_eq!(answer(&run, &resolve("server", Resolution::Again), 0), pending);
    assert_eq!(answer(&run, &resolve("nowhere", Resolution::Again), 0), Err(Refusal::NoStep(id("nowhere"))));
}

#[test]
fn the_end_is_asked_for_once() {
    let gate = opened(&plan(), 1, &facts());
    let first = run(&plan(), vec![gate.clone()]);
    let asked = answer(&first, &abort(), 0).unwrap();
    let aborting = run(&plan(), vec![gate, asked]);
    assert_eq!(answer(&aborting, &abort(), 0), Err(Refusal::Aborting));
    assert_eq!(answer(&aborting, &approve(&aborting), 0), Err(Refusal::Aborting));
    assert!(answer(&aborting, &note(), 0).is_ok());
}

#[test]
fn after_the_end_nothing_is_granted() {
    for (outcome, word) in
        [(RunOutcome::Done, "done"), (RunOutcome::Failed, "failed"), (RunOutcome::Aborted, "aborted")]
    {
        let end = RunEvent::RunEnded { outcome, result: BTreeMap::new() };
        let over = run(&plan(), vec![opened(&plan(), 1, &facts()), end]);
        for request in [approve(&over), resolve("restore", Resolution::Abort), abort(), note()] {
            assert_eq!(answer(&over, &request, 0), Err(Refusal::Ended(word)));
        }
    }
}

/// A tired engineer reads them: each says what is the matter.
#[test]
fn refusals_say_what_to_do() {
    for (refusal, gist) in [
        (Refusal::Stale { open: 4, seen: 2 }, "opened again since you looked"),
        (Refusal::OtherPlan("4f2a 91c0".into()), "its seal is 4f2a 91c0 now"),
        (Refusal::WrongAnswer, "nothing was approved"),
        (Refusal::NotBeforehand(id("gate")), "a person has to look"),
        (Refusal::StillAlive(2), "2 processes of the step are still alive"),
        (Refusal::NotUnknown { step: id("gate"), status: "done" }, "'gate' is done, neither unknown nor held"),
    ] {
        assert!(refusal.to_string().contains(gist), "{refusal}");
    }
}
