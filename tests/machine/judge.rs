//! What is made of how a step ended.

use crate::plans::id;
use crate::support::{plan, ready, run, started};
use crate::world::{anna, exit};
use lifeboat::domain::event::{Exit, Finding, RunEvent, StepResult, Verdict};
use lifeboat::domain::plan::{Argument, Capture, CaptureFrom, Plan};
use lifeboat::domain::run::Run;
use lifeboat::planning::machine::{Observed, Seen, judge, taken_over};

fn ended(run: &Run, step: &str, seen: Seen) -> StepResult {
    match judge(run, &id(step), seen) {
        Some(RunEvent::StepEnded { step: of, attempt: 1, result }) if of == id(step) => result,
        other => panic!("{other:?}"),
    }
}

fn with(outcome: Exit) -> Seen {
    Seen { outcome: Some(exit(outcome)), ..Seen::default() }
}

fn failed(run: &Run, step: &str, seen: Seen) -> String {
    let result = ended(run, step, seen);
    assert_eq!(result.verdict, Verdict::Failed);
    result.reason.unwrap()
}

fn aborting() -> RunEvent {
    RunEvent::AbortRequested { by: anna(), reason: String::new() }
}

#[test]
fn a_command_is_done_with_a_code_that_means_success() {
    let run = run(&plan(), vec![started("restore")]);
    for code in [0, 3] {
        let result = ended(&run, "restore", with(Exit::Code(code)));
        assert_eq!((result.verdict, result.reason), (Verdict::Done, None));
    }
    assert_eq!(failed(&run, "restore", with(Exit::Code(40))), "exit code 40");
    let seen = Seen { reason: Some("[040]: not empty".into()), ..with(Exit::Code(40)) };
    assert_eq!(failed(&run, "restore", seen), "exit code 40: [040]: not empty");
    assert!(failed(&run, "restore", with(Exit::NotStarted(2))).contains("could not be started"));
}

#[test]
fn a_signal_that_nobody_sent_leaves_it_unknown() {
    let one = run(&plan(), vec![started("restore")]);
    let Some(RunEvent::StepUnknown { evidence, attempt: 1, .. }) = judge(&one, &id("restore"), with(Exit::Signal(9)))
    else {
        panic!("a killed command is unknown")
    };
    assert!(evidence[0].contains("signal 9"), "{evidence:?}");
    assert!(evidence.iter().any(|line| line.contains("3 bytes")), "{evidence:?}");
    let mut outcome = exit(Exit::Signal(9));
    outcome.leftovers = 2;
    let seen = Seen { outcome: Some(outcome), ..Seen::default() };
    let Some(RunEvent::StepUnknown { evidence, .. }) = judge(&one, &id("restore"), seen) else { panic!() };
    assert!(evidence.iter().any(|line| line.starts_with("2 processes")), "{evidence:?}");
    let aborted = run(&plan(), vec![started("restore"), aborting()]);
    assert_eq!(ended(&aborted, "restore", with(Exit::Signal(15))).verdict, Verdict::Aborted);
    assert_eq!(ended(&aborted, "restore", with(Exit::Code(0))).verdict, Verdict::Done);
}

#[test]
fn a_check_holds_when_all_it_found_holds() {
    let run = run(&plan(), vec![started("check")]);
    let finding = |holds, what: &str| Finding { holds, what: what.into(), remedy: String::new() };
    let seen = |findings: Vec<Finding>| Seen { findings, ..Seen::default() };
    let result = ended(&run, "check", seen(vec![finding(true, "a"), finding(true, "b")]));
    assert_eq!((result.verdict, result.findings.len()), (Verdict::Done, 2));
    let reason = failed(&run, "check", seen(vec![finding(false, "a"), finding(true, "b"), finding(false, "c")]));
    assert_eq!(reason, "a; c");
}

/// A plan whose restore captures `v` and wants it to be `expected`.
fn expecting(expected: Argument) -> Plan {
    let mut plan = plan();
    plan.steps[2].captures = vec![Capture { name: "v".into(), from: CaptureFrom::Line("v:".into()) }];
    plan.steps[2].expect.insert("v".into(), expected);
    plan
}

#[test]
fn what_is_read_back_has_to_be_what_is_expected() {
    let run = run(&expecting(Argument::text("1")), vec![started("restore")]);
    let printed = |text: &str| Seen { output: text.into(), ..with(Exit::Code(0)) };
    let result = ended(&run, "restore", printed("v: 1\n"));
    assert_eq!((result.verdict, result.captures["v"].as_str()), (Verdict::Done, "1"));
    assert_eq!(failed(&run, "restore", printed("v: 2\n")), "v is '2', and has to be '1'");
    assert!(failed(&run, "restore", printed("w: 1\n")).contains("no line of the output begins with 'v:'"));
    let seen = Seen { output: b"v: 1\n".to_vec(), ..with(Exit::Code(1)) };
    assert_eq!(failed(&run, "restore", seen), "exit code 1", "a value read back excuses no exit code");
}

#[test]
fn what_the_runner_knows_better_goes_before_all_else() {
    let run = run(&plan(), vec![started("check")]);
    let seen = Seen { failed: true, reason: Some("the server ended".into()), ..Seen::default() };
    assert_eq!(failed(&run, "check", seen), "the server ended");
    assert_eq!(failed(&run, "check", Seen { failed: true, ..Seen::default() }), "it failed");
}

#[test]
fn a_server_ends_well_only_when_it_was_asked_to() {
    let reason = |mut seen: Seen| {
        seen.reason = Some("its log".into());
        seen
    };
    let up = run(&plan(), vec![started("server")]);
    assert_eq!(
        failed(&up, "server", reason(with(Exit::Code(1)))),
        "the server ended before it was ready (exit code 1): its log"
    );
    assert!(failed(&up, "server", with(Exit::Code(0))).contains("before it was ready (exit code 0)"));
    let serving = run(&plan(), vec![started("server"), ready("server")]);
    assert!(failed(&serving, "server", with(Exit::Code(0))).contains("after it was ready"));
    assert!(failed(&serving, "server", with(Exit::Signal(9))).contains("after it was ready (ended by signal 9)"));
    assert!(failed(&serving, "server", Seen::default()).contains("nobody saw how"));
    let stopping = run(&plan(), vec![started("server"), ready("server"), started("stop")]);
    assert_eq!(ended(&stopping, "server", with(Exit::Code(0))).verdict, Verdict::Done);
    assert!(failed(&stopping, "server", with(Exit::Signal(9))).contains("while it was being stopped"));
    let aborted = run(&plan(), vec![started("server"), ready("server"), aborting()]);
    assert_eq!(ended(&aborted, "server", with(Exit::Code(0))).verdict, Verdict::Aborted);
    assert_eq!(ended(&aborted, "server", with(Exit::Signal(9))).verdict, Verdict::Aborted);
}

#[test]
fn a_step_the_plan_does_not_have_gives_no_event() {
    let run = run(&plan(), vec![started("restore")]);
    assert_eq!(judge(&run, &id("nowhere"), Seen::default()), None);
    assert_eq!(taken_over(&run, &id("nowhere"), Observed::Alive), None);
}

#[test]
fn a_runner_that_takes_over_makes_the_most_of_what_it_finds() {
    let one = run(&plan(), vec![started("restore")]);
    let found = |observed| taken_over(&one, &id("restore"), observed);
    assert_eq!(found(Observed::Alive), None, "it is followed");
    assert!(matches!(found(Observed::NeverBegan), Some(RunEvent::StepInterrupted { attempt: 1, .. })));
    let Some(RunEvent::StepUnknown { evidence, .. }) = found(Observed::Gone(vec!["a".into()])) else { panic!() };
    assert_eq!(evidence, ["a"]);
    assert!(matches!(found(Observed::Ended(with(Exit::Code(0)))), Some(RunEvent::StepEnded { .. })));
    assert!(matches!(found(Observed::Ended(with(Exit::Signal(9)))), Some(RunEvent::StepUnknown { .. })));
    let asking = run(&plan(), vec![started("check")]);
    let again = taken_over(&asking, &id("check"), Observed::Alive);
    assert!(matches!(again, Some(RunEvent::StepInterrupted { .. })), "a question changes nothing: it is asked again");
}
