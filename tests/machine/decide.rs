//! Decisions: back to an earlier step, past what is held, and what is due again then.

use crate::plans::{facts, id};
use crate::support;
use crate::world::{anna, created, exit, numbered, well};
use lifeboat::domain::event::{Exit, Resolution, RunEvent, RunOutcome, Via};
use lifeboat::domain::plan::{
    Argument, Asked, Capture, CaptureFrom, Choice, OnlyChoice, Piece, Plan, Shown, Step, StepId, StepKind, When,
};
use lifeboat::domain::run::Run;
use lifeboat::domain::status::StepStatus;
use lifeboat::planning::machine::{Next, Refusal, Request, Seen, answer, judge, next, ways_past};
use lifeboat::planning::plan::seal;
use std::collections::BTreeMap;

/// `goal` → `stop-first` → `gate` → `restore` → `server` → `wait` → `inspect` (promote, forward, back, give-up) →
/// `promote`, `undo` → `stop`.
fn plan() -> Plan {
    let mut plan = support::plan();
    let template = |name: &str| -> Step {
        plan.steps.iter().find(|step| step.id.as_str() == name).cloned().expect("the plan has it")
    };
    let named = |mut step: Step, name: &str| {
        step.id = id(name);
        step.title = name.into();
        step
    };
    let only = |mut step: Step, is: &[&str], first: bool| {
        let is = is.iter().map(|word| id(word)).collect();
        step.only_choice = Some(OnlyChoice { step: id("inspect"), is, first });
        step
    };
    let held = |mut step: Step| {
        step.hold = true;
        step
    };
    let choice = |name: &str, back_to: Option<&str>, asks: bool| Choice {
        id: id(name),
        title: name.into(),
        back_to: back_to.map(id),
        asks: if asks { vec![Asked::Target] } else { Vec::new() },
        gives_up: name == "give-up",
    };
    let pending = Argument { pieces: vec![Piece::Capture("goal.lsn".into())] };
    let mut goal = named(template("check"), "goal");
    goal.captures = vec![Capture { name: "lsn".into(), from: CaptureFrom::Answer }];
    let mut restore = held(only(template("restore"), &["back"], true));
    let StepKind::Command { command } = &mut restore.kind else { unreachable!() };
    command.argv.push(pending.clone());
    let mut inspect = named(template("gate"), "inspect");
    inspect.kind = StepKind::Decision {
        shows: vec![Shown::new("asked", pending)],
        choices: vec![
            choice("promote", None, false),
            choice("forward", Some("goal"), true),
            choice("back", Some("goal"), true),
            choice("give-up", None, false),
        ],
    };
    let mut stop = template("stop");
    stop.when = When::Always;
    plan.steps = vec![
        held(goal),
        only(named(template("stop"), "stop-first"), &["forward", "back"], false),
        only(template("gate"), &["back"], true),
        restore,
        held(template("server")),
        held(template("wait")),
        inspect,
        only(named(template("check"), "promote"), &["promote"], false),
        only(named(template("check"), "undo"), &["give-up"], false),
        stop,
    ];
    plan.seal = seal(&plan);
    plan
}

/// A run with everything that has to be decided for it.
struct Play {
    run: Run,
    goal: String,
    fails: Option<StepId>,
}

impl Play {
    fn new() -> Play {
        Play { run: Run::begin(&created(&plan())).unwrap(), goal: "0/10".into(), fails: None }
    }

    fn record(&mut self, event: RunEvent) {
        self.run.apply(&numbered(self.run.sequence + 1, event)).unwrap();
    }

    /// Goes on until a person has to decide or the run has ended; gates are answered.
    fn go(&mut self) {
        let mut facts_for: Option<StepId> = None;
        for _ in 0..200 {
            let now = facts();
            let asked = facts_for.take();
            match next(&self.run, asked.as_ref().map(|id| (id, &now))) {
                Next::Record(event) => self.record(event),
                Next::ReadFacts(step) => facts_for = Some(step),
                Next::Start { step, attempt } => self.start(&step, attempt),
                Next::EndServer(server) => panic!("{server} was left"),
                Next::Wait if self.run.open_gate().is_some() && self.run.held().next().is_none() => {
                    let (step, gate) = self.run.open_gate().unwrap();
                    let request = Request::Approve {
                        step: step.id.clone(),
                        sequence: gate.sequence,
                        seal: gate.seal,
                        answer: "main".into(),
                        by: anna(),
                        via: Via::Terminal,
                    };
                    let event = answer(&self.run, &request, 0).unwrap();
                    self.record(event);
                }
                Next::Wait | Next::Finished => return,
            }
        }
        panic!("it goes on and on");
    }

    fn start(&mut self, step: &StepId, attempt: u32) {
        self.record(RunEvent::StepStarted { step: step.clone(), attempt });
        let (planned, _) = self.run.step(step).unwrap();
        let planned = planned.clone();
        if self.fails.as_ref() == Some(step) {
            return self.fail(step);
        }
        if matches!(planned.kind, StepKind::Server { .. }) {
            return self.record(RunEvent::StepReady { step: step.clone(), attempt, evidence: "ready".into() });
        }
        let mut seen = well(&planned);
        if seen.captures.contains_key("lsn") {
            seen.captures.insert("lsn".into(), self.goal.clone());
        }
        let event = judge(&self.run, step, seen).unwrap();
        self.record(event);
        if let StepKind::Stop { server, .. } = &planned.kind {
            let seen = Seen { outcome: Some(exit(Exit::Code(0))), ..Seen::default() };
            let event = judge(&self.run, server, seen).unwrap();
            self.record(event);
        }
    }

    fn fail(&mut self, step: &StepId) {
        let seen = Seen { failed: true, reason: Some("no room".into()), ..Seen::default() };
        let seen = match self.run.step(step).unwrap().0.kind {
            StepKind::Server { .. } => Seen { outcome: Some(exit(Exit::Code(1))), ..Seen::default() },
            _ => seen,
        };
        let event = judge(&self.run, step, seen).unwrap();
        self.record(event);
    }

    fn choose(&self, choice: &str, target: Option<&str>) -> Result<RunEvent, Refusal> {
        let sequence = self.run.open_decision().map_or(0, |(_, gate)| gate.sequence);
        let values = target.map(|target| BTreeMap::from([("target".to_owned(), target.to_owned())]));
        let request = Request::Decide {
            step: id("inspect"),
            sequence,
            seal: self.run.plan.seal,
            choice: choice.into(),
            values: values.unwrap_or_default(),
            by: anna(),
            via: Via::Terminal,
        };
        answer(&self.run, &request, 0)
    }

    fn decide(&mut self, choice: &str, target: Option<&str>) {
        let event = self.choose(choice, target).unwrap();
        let RunEvent::DecisionMade { seal: promised, .. } = &event else { unreachable!() };
        let promised = *promised;
        self.record(event);
        assert_eq!(seal(&self.run.plan), promised, "the seal is that of the plan without what is captured anew");
        self.go();
    }

    fn resolve(&mut self, step: &str, resolution: Resolution) {
        let request = Request::Resolve { step: id(step), answer: resolution, by: anna() };
        let event = answer(&self.run, &request, 0).unwrap();
        self.record(event);
        assert_eq!(seal(&self.run.plan), self.run.plan.seal);
        self.go();
    }

    fn status(&self, step: &str) -> StepStatus {
        self.run.step(&id(step)).unwrap().1.status
    }

    fn attempts(&self, step: &str) -> u32 {
        self.run.step(&id(step)).unwrap().1.attempt
    }

    fn asked(&self) -> String {
        let (step, _) = self.run.open_decision().expect("it waits at the decision");
        let StepKind::Decision { shows, .. } = &step.kind else { unreachable!() };
        shows[0].value.to_string()
    }

    fn outcome(&self) -> Option<RunOutcome> {
        self.run.ended.map(|(outcome, _)| outcome)
    }
}

#[test]
fn forward_and_back_and_forward_until_promoted() {
    let mut play = Play::new();
    play.go();
    assert_eq!((play.asked().as_str(), play.attempts("restore")), ("0/10", 1));
    assert_eq!(play.status("stop-first"), StepStatus::Skipped);
    let first = play.run.plan.seal;

    play.goal = "0/20".into();
    play.decide("forward", Some("0/20"));
    assert_eq!(play.asked(), "0/20", "what was captured anew is shown");
    assert_eq!((play.attempts("restore"), play.attempts("server")), (1, 2), "no new copy, but another start");
    assert_eq!((play.attempts("stop-first"), play.status("gate")), (1, StepStatus::Skipped));
    assert_eq!(play.run.values["inspect.target"], "lsn:0/20");
    assert_eq!(play.run.values["inspect.exclusive"], "true");
    assert_ne!(play.run.plan.seal, first);

    play.goal = "0/8".into();
    play.decide("back", Some("lsn:0/8"));
    assert_eq!((play.asked().as_str(), play.attempts("restore"), play.attempts("server")), ("0/8", 2, 3));
    let opening = play.run.step(&id("gate")).unwrap().1.gate.as_ref().unwrap().opening;
    assert_eq!(opening, 2, "each moved target is gated anew");

    play.decide("promote", None);
    assert_eq!((play.status("promote"), play.status("undo")), (StepStatus::Done, StepStatus::Skipped));
    assert_eq!((play.outcome(), play.status("server")), (Some(RunOutcome::Done), StepStatus::Done));
}

#[test]
fn a_failure_holds_the_run_until_it_is_mended_or_given_up() {
    let mut play = Play::new();
    play.fails = Some(id("restore"));
    play.go();
    assert_eq!((play.status("restore"), play.run.failed), (StepStatus::Held, false));
    assert_eq!(play.run.outcome_word(), "waiting");
    let ways: Vec<String> = ways_past(&play.run).iter().map(|(_, choice)| choice.id.to_string()).collect();
    assert_eq!(ways, ["forward", "back", "give-up"], "on to promotion leads no way");
    assert!(matches!(play.choose("promote", None), Err(Refusal::NotNow { .. })));

    play.fails = None;
    play.resolve("restore", Resolution::Again);
    assert_eq!((play.asked().as_str(), play.attempts("restore")), ("0/10", 2));

    let mut play = Play::new();
    play.fails = Some(id("wait"));
    play.go();
    assert_eq!(play.status("wait"), StepStatus::Held);
    play.fails = None;
    play.decide("give-up", None);
    assert_eq!((play.status("wait"), play.status("undo")), (StepStatus::Failed, StepStatus::Done));
    assert_eq!((play.outcome(), play.run.failed), (Some(RunOutcome::Aborted), false));
}

#[test]
fn a_held_step_can_be_left_for_another_target() {
    let mut play = Play::new();
    play.fails = Some(id("wait"));
    play.go();
    (play.fails, play.goal) = (None, "0/8".into());
    play.decide("back", Some("0/8"));
    assert_eq!((play.asked().as_str(), play.attempts("restore"), play.status("wait")), ("0/8", 2, StepStatus::Done));
}

#[test]
fn a_server_is_not_started_again_once_the_run_was_given_up_for_a_target_out_of_reach() {
    let mut play = Play::new();
    play.go();
    play.fails = Some(id("goal"));
    play.decide("back", Some("0/5000028"));
    play.go();
    assert_eq!((play.status("goal"), play.status("server")), (StepStatus::Held, StepStatus::Ready));
    play.decide("give-up", None);
    play.go();
    assert_eq!((play.outcome(), play.attempts("server")), (Some(RunOutcome::Aborted), 1));
    assert_eq!((play.status("undo"), play.status("server")), (StepStatus::Done, StepStatus::Done));
}

#[test]
fn a_server_started_again_has_to_reach_the_target_again() {
    let mut play = Play::new();
    play.go();
    let waited = play.attempts("wait");
    play.fail(&id("server"));
    play.go();
    assert_eq!((play.status("server"), play.status("inspect")), (StepStatus::Held, StepStatus::Waiting));
    assert!(matches!(play.choose("promote", None), Err(Refusal::NotNow { .. })), "there is nothing to promote");
    play.resolve("server", Resolution::Again);
    assert_eq!((play.attempts("wait"), play.attempts("restore")), (waited + 1, 1));
    assert_eq!(play.run.open_decision().unwrap().1.opening, 2, "and it is decided on what is seen then");
}

#[test]
fn what_is_given_with_a_choice_is_read_strictly() {
    let mut play = Play::new();
    play.go();
    for (choice, target) in [
        ("forward", None),
        ("forward", Some("yesterday")),
        ("forward", Some("2026-11-22 02:13")),
        ("promote", Some("0/8")),
    ] {
        assert!(matches!(play.choose(choice, target), Err(Refusal::Value { .. })), "{choice} {target:?}");
    }
    assert!(matches!(play.choose("sideways", None), Err(Refusal::NoChoice { .. })));
    let before = play.run.clone();
    assert!(play.run.open_gate().is_none(), "no answer to a gate can be meant for it");
    assert_eq!(before, play.run);
}

#[test]
fn an_answer_for_an_earlier_opening_does_not_count() {
    let mut play = Play::new();
    play.go();
    let seen = play.run.open_decision().unwrap().1.sequence;
    play.goal = "0/20".into();
    play.decide("forward", Some("0/20"));
    let request = Request::Decide {
        step: id("inspect"),
        sequence: seen,
        seal: play.run.plan.seal,
        choice: "promote".into(),
        values: BTreeMap::new(),
        by: anna(),
        via: Via::Terminal,
    };
    assert!(matches!(answer(&play.run, &request, 0), Err(Refusal::Stale { .. })));
}

#[test]
fn an_empty_captured_value_reaches_nothing_destructive() {
    let mut play = Play::new();
    play.goal = String::new();
    play.go();
    assert_eq!((play.status("restore"), play.attempts("restore")), (StepStatus::Held, 0));
    let remarks = &play.run.step(&id("restore")).unwrap().1.remarks;
    assert!(remarks.iter().any(|remark| remark.contains("goal.lsn is empty")), "{remarks:?}");
}

#[test]
fn a_choice_past_what_is_held_cannot_be_given_beforehand() {
    let mut play = Play::new();
    play.fails = Some(id("wait"));
    play.go();
    let request = |via| Request::Decide {
        step: id("inspect"),
        sequence: 0,
        seal: play.run.plan.seal,
        choice: "give-up".into(),
        values: BTreeMap::new(),
        by: anna(),
        via,
    };
    assert_eq!(answer(&play.run, &request(Via::CommandLine), 0), Err(Refusal::NotBeforehand(id("inspect"))));
    assert!(answer(&play.run, &request(Via::Request), 0).is_ok());
}

#[test]
fn a_decision_that_would_not_be_due_leads_past_nothing() {
    let mut play = Play::new();
    play.fails = Some(id("wait"));
    play.go();
    let position = play.run.plan.position(&id("inspect")).unwrap();
    play.run.plan.steps[position].ruled_out = Some("not with these parameters".into());
    assert!(matches!(play.choose("give-up", None), Err(Refusal::NotWaiting { .. })));
    assert_eq!(ways_past(&play.run), []);
}

#[test]
fn what_failed_and_was_called_done_proves_nothing() {
    let mut play = Play::new();
    let position = play.run.plan.position(&id("goal")).unwrap();
    play.run.plan.steps[position].proves = vec!["lsn".into()];
    play.run.plan.seal = seal(&play.run.plan);
    let mut failing = play.run.clone();
    failing.plan.steps[position].expect.insert("lsn".into(), Argument::text("0/99"));
    failing.plan.seal = seal(&failing.plan);
    let proven = |mut play: Play| {
        play.go();
        if play.status("goal") == StepStatus::Held {
            play.resolve("goal", Resolution::Done);
        }
        play.decide("promote", None);
        assert_eq!(play.outcome(), Some(RunOutcome::Done));
        play.run.result.contains_key("goal.lsn")
    };
    assert!(proven(play));
    assert!(!proven(Play { run: failing, goal: "0/10".into(), fails: None }));
}

#[test]
fn what_still_ran_when_the_run_went_back_leaves_no_old_value() {
    let mut play = Play::new();
    play.go();
    play.fail(&id("server"));
    // It is asked once more while the server is held.
    let position = play.run.plan.position(&id("goal")).unwrap();
    play.run.steps[position].status = StepStatus::Running;
    let event = play.choose("back", Some("0/8")).unwrap();
    play.record(event);
    let mut seen = well(&play.run.plan.steps[position]);
    seen.captures.insert("lsn".into(), "0/66".into());
    let event = judge(&play.run, &id("goal"), seen).unwrap();
    play.record(event);
    assert_eq!((play.status("goal"), play.run.values.get("goal.lsn")), (StepStatus::Pending, None));
}

#[test]
fn what_a_failed_attempt_captured_is_not_put_in_before_the_next() {
    let mut play = Play::new();
    let position = play.run.plan.position(&id("goal")).unwrap();
    play.run.plan.steps[position].expect.insert("lsn".into(), Argument::text("0/99"));
    play.run.plan.seal = seal(&play.run.plan);
    play.go();
    assert_eq!((play.status("goal"), play.run.values["goal.lsn"].as_str()), (StepStatus::Held, "0/10"));
    play.goal = "0/99".into();
    play.resolve("goal", Resolution::Again);
    assert_eq!(play.asked(), "0/99");
}

#[test]
fn a_gate_that_waits_is_passed_over_when_the_work_is_given_up() {
    let mut play = Play::new();
    play.fails = Some(id("wait"));
    play.go();
    let position = play.run.plan.position(&id("gate")).unwrap();
    play.run.steps[position].status = StepStatus::Waiting;
    let event = play.choose("give-up", None).unwrap();
    play.record(event);
    assert_eq!(play.status("gate"), StepStatus::Skipped);
}

#[test]
fn what_runs_when_the_run_goes_back_ends_before_anything_is_begun() {
    let mut play = Play::new();
    play.fails = Some(id("wait"));
    play.go();
    let position = play.run.plan.position(&id("wait")).unwrap();
    let event = play.choose("back", Some("0/8")).unwrap();
    play.run.steps[position].status = StepStatus::Running;
    play.run.steps[play.run.plan.position(&id("server")).unwrap()].status = StepStatus::Held;
    play.record(event);
    assert_eq!(next(&play.run, None), Next::Wait);
}

/// The run at its promotion, which is held.
fn promotion_is_held() -> Play {
    let mut play = Play::new();
    let position = play.run.plan.position(&id("promote")).unwrap();
    play.run.plan.steps[position].hold = true;
    play.run.plan.seal = seal(&play.run.plan);
    play.go();
    play.fails = Some(id("promote"));
    play.decide("promote", None);
    assert_eq!(play.status("promote"), StepStatus::Held);
    play.fails = None;
    play
}

#[test]
fn a_decision_is_taken_anew_while_nothing_final_was_begun_behind_it() {
    let play = promotion_is_held();
    let ways: Vec<String> = ways_past(&play.run).iter().map(|(_, choice)| choice.id.to_string()).collect();
    assert_eq!(ways, ["forward", "back", "give-up"], "what was chosen is not chosen once more");
    assert!(matches!(play.choose("promote", None), Err(Refusal::NotNow { .. })));

    let mut back = promotion_is_held();
    back.goal = "0/8".into();
    back.decide("back", Some("0/8"));
    assert_eq!(
        (back.asked().as_str(), back.attempts("restore"), back.status("promote")),
        ("0/8", 2, StepStatus::Pending)
    );
    back.decide("promote", None);
    assert_eq!((back.outcome(), back.attempts("promote")), (Some(RunOutcome::Done), 2));

    let mut given_up = promotion_is_held();
    given_up.decide("give-up", None);
    assert_eq!((given_up.status("promote"), given_up.status("undo")), (StepStatus::Skipped, StepStatus::Done));
    assert_eq!((given_up.outcome(), given_up.status("server")), (Some(RunOutcome::Aborted), StepStatus::Done));
}

#[test]
fn giving_up_is_taken_back_for_a_promotion_that_has_to_be_seen_anew() {
    let mut play = Play::new();
    let position = play.run.plan.position(&id("undo")).unwrap();
    play.run.plan.steps[position].hold = true;
    play.run.plan.seal = seal(&play.run.plan);
    play.go();
    play.fails = Some(id("undo"));
    play.decide("give-up", None);
    assert_eq!((play.status("undo"), play.status("promote")), (StepStatus::Held, StepStatus::Skipped));
    play.fails = None;
    play.decide("promote", None);
    assert_eq!((play.status("undo"), play.status("promote")), (StepStatus::Skipped, StepStatus::Done));
    assert_eq!((play.outcome(), play.run.given_up()), (Some(RunOutcome::Done), false));
}

#[test]
fn a_decision_is_not_taken_anew_once_something_final_was_begun_behind_it() {
    let spoils: [fn(&mut Step); 2] = [
        |step| step.destructive = true,
        |step| {
            let mut command = support::plan().steps.iter().find_map(|step| step.kind.command().cloned()).unwrap();
            command.release = true;
            step.kind = StepKind::Command { command };
        },
    ];
    for spoil in spoils {
        let mut play = promotion_is_held();
        let position = play.run.plan.position(&id("promote")).unwrap();
        spoil(&mut play.run.plan.steps[position]);
        play.run.plan.seal = seal(&play.run.plan);
        assert_eq!(ways_past(&play.run), []);
        assert!(matches!(play.choose("give-up", None), Err(Refusal::NotWaiting { .. })));
        // Nor does a journal say so.
        let event = RunEvent::DecisionMade {
            step: id("inspect"),
            opening: 0,
            choice: id("give-up"),
            values: BTreeMap::new(),
            seal: play.run.plan.seal,
            by: anna(),
            via: Via::Terminal,
        };
        let before = play.run.clone();
        assert!(play.run.apply(&numbered(before.sequence + 1, event)).is_err());
        assert_eq!(play.run, before);
    }
    // Nor where nothing waits behind it, nor beforehand.
    let mut play = promotion_is_held();
    let position = play.run.plan.position(&id("promote")).unwrap();
    let request = Request::Decide {
        step: id("inspect"),
        sequence: 0,
        seal: play.run.plan.seal,
        choice: "give-up".into(),
        values: BTreeMap::new(),
        by: anna(),
        via: Via::CommandLine,
    };
    assert!(answer(&play.run, &request, 0).is_err());
    play.run.steps[position].status = StepStatus::Running;
    assert!(matches!(play.choose("give-up", None), Err(Refusal::NotWaiting { .. })));
}
