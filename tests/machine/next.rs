//! What comes next where a random world hardly ever leads.

use crate::plans::{facts, id};
use crate::support::{opened, plan, ready, run, started};
use crate::world::anna;
use lifeboat::domain::event::{RunEvent, StepResult, Verdict, Via};
use lifeboat::domain::plan::{Argument, Piece, Step, StepKind};
use lifeboat::planning::machine::{Next, next};
use std::collections::BTreeMap;

fn done(step: &str) -> RunEvent {
    let result = StepResult {
        verdict: Verdict::Done,
        reason: None,
        outcome: None,
        milliseconds: 1,
        captures: BTreeMap::new(),
        findings: Vec::new(),
    };
    RunEvent::StepEnded { step: id(step), attempt: 1, result }
}

#[test]
fn facts_that_were_read_for_another_step_are_not_used() {
    let plan = plan();
    let answered =
        RunEvent::GateAnswered { step: id("gate"), opening: 1, seal: plan.seal, by: anna(), via: Via::Terminal };
    let before_the_gate = run(&plan, vec![started("check"), done("check")]);
    let before_the_restore = run(&plan, vec![started("check"), done("check"), opened(&plan, 1, &facts()), answered]);
    for (run, step) in [(before_the_gate, "gate"), (before_the_restore, "restore")] {
        let read = Next::ReadFacts(id(step));
        assert_eq!(next(&run, None), read);
        for other in ["check", "server", if step == "gate" { "restore" } else { "gate" }] {
            assert_eq!(next(&run, Some((&id(other), &facts()))), read, "{other}'s facts for {step}");
        }
        assert_ne!(next(&run, Some((&id(step), &facts()))), read);
    }
}

#[test]
fn a_gate_that_was_skipped_lets_nothing_destructive_through() {
    let plan = plan();
    let skipped = RunEvent::StepSkipped { step: id("gate"), reason: "not due".into() };
    let run = run(&plan, vec![started("check"), done("check"), skipped]);
    let next = next(&run, Some((&id("restore"), &facts())));
    assert!(matches!(next, Next::Record(RunEvent::StepSkipped { ref step, .. }) if *step == id("restore")), "{next:?}");
}

/// A step that a person went on without has captured nothing: what only tells of it is left out, what acts on it is not done.
#[test]
fn a_note_that_lacks_a_value_is_left_out_and_a_command_refused() {
    let pending = || Argument { pieces: vec![Piece::Capture("check.seen".into())] };
    let mut plan = plan();
    let mut command = plan.steps[2].clone();
    let StepKind::Command { command: line } = &mut command.kind else { unreachable!() };
    line.argv.push(pending());
    let refused = Step { id: id("acts"), destructive: false, ..command };
    let left_out = Step { id: id("tells"), kind: StepKind::Note { text: pending() }, ..plan.steps[0].clone() };
    plan.steps.splice(1..1, [left_out, refused]);
    plan.seal = lifeboat::planning::plan::seal(&plan);
    let mut events = vec![started("check"), done("check")];
    let Next::Record(skipped) = next(&run(&plan, events.clone()), None) else { panic!("nothing is recorded") };
    assert!(
        matches!(&skipped, RunEvent::StepSkipped { step, reason }
        if *step == id("tells") && reason.contains("check.seen")),
        "{skipped:?}"
    );
    events.push(skipped);
    let next = next(&run(&plan, events), None);
    assert!(matches!(&next, Next::Record(RunEvent::StepRefused { step, .. }) if *step == id("acts")), "{next:?}");
}

#[test]
fn a_server_that_outlives_its_stop_step_is_ended_before_anything_goes_on() {
    let plan = plan();
    let answered =
        RunEvent::GateAnswered { step: id("gate"), opening: 1, seal: plan.seal, by: anna(), via: Via::Terminal };
    let mut events = vec![started("check"), done("check"), opened(&plan, 1, &facts()), answered];
    events.extend([started("restore"), done("restore"), started("server"), ready("server")]);
    events.extend([started("wait"), done("wait"), started("stop")]);
    assert_eq!(next(&run(&plan, events.clone()), None), Next::Wait);
    let RunEvent::StepEnded { step, attempt, mut result } = done("stop") else { unreachable!() };
    result.verdict = Verdict::Failed;
    events.push(RunEvent::StepEnded { step, attempt, result });
    assert_eq!(next(&run(&plan, events.clone()), None), Next::EndServer(id("server")));
    events.push(done("server"));
    assert!(matches!(next(&run(&plan, events), None), Next::Record(RunEvent::RunEnded { .. })));
}
