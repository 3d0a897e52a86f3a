//! What happens next, as data: the one place that decides about a run, without doing anything.
//!
//! The runner asks [`next`] until it is told to wait, feeds what came of an effect through [`judge()`] or
//! [`taken_over`], and what a person asked through [`answer()`]. A live run, a restarted runner and a test
//! all go through the same functions.

mod answer;
mod judge;

pub use answer::{Refusal, Request, answer, ways_past};
pub use judge::{Observed, Seen, judge, taken_over};

use crate::domain::event::{RunEvent, RunOutcome, Verdict};
use crate::domain::facts::Facts;
use crate::domain::plan::{Step, StepId, StepKind, When};
use crate::domain::run::{GateState, Run, StepState};
use crate::domain::status::StepStatus;
use crate::planning::plan::amend;
use std::collections::BTreeMap;

/// Why a step that is due only while all goes well is skipped.
pub const AFTER_A_FAILURE: &str = "an earlier step failed";
/// Why a step that is due only after a failure is skipped.
pub const NO_FAILURE: &str = "no step failed";

/// What the runner has to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, used up at once")]
pub enum Next {
    /// Make this durable, then ask again.
    Record(RunEvent),
    /// Read the facts for this step, then ask again with them.
    ReadFacts(StepId),
    /// Make `StepStarted` durable, then start the step.
    Start {
        /// The step.
        step: StepId,
        /// Its number of starts, this one counted.
        attempt: u32,
    },
    /// End this server without its stop step, which has failed, and wait: nothing may go on beside it.
    EndServer(StepId),
    /// Something is on its way, or a person has to decide.
    Wait,
    /// The run has ended.
    Finished,
}

/// The next thing to do. `facts` are those just read for a step that [`Next::ReadFacts`] named; they are used at
/// once or not at all, so that nothing destructive starts on a stale reading.
#[must_use]
pub fn next(run: &Run, facts: Option<(&StepId, &Facts)>) -> Next {
    if run.ended.is_some() {
        return Next::Finished;
    }
    let active = run.each().any(|(_, state)| state.status.is_active());
    if run.aborting {
        return if active { Next::Wait } else { end(run, RunOutcome::Aborted) };
    }
    if run.unknown().next().is_some() || run.held().next().is_some() || server_is_ending(run) {
        return Next::Wait;
    }
    if let Some(server) = server_left(run) {
        return Next::EndServer(server.clone());
    }
    if let Some((values, seal)) = amend(&run.plan, &run.values) {
        return Next::Record(RunEvent::PlanAmended { values, seal });
    }
    // Also one that stands later: the run may have gone back while it ran.
    if run.each().any(|(_, state)| state.status == StepStatus::Running) {
        return Next::Wait;
    }
    for (position, (step, state)) in run.each().enumerate() {
        match state.status {
            StepStatus::Done | StepStatus::Failed | StepStatus::Skipped | StepStatus::Aborted => {}
            StepStatus::Ready => {}
            StepStatus::Running | StepStatus::Waiting | StepStatus::Unknown | StepStatus::Held => return Next::Wait,
            StepStatus::Pending => return begin(run, position, step, state, facts),
        }
    }
    if active {
        return Next::Wait;
    }
    end(
        run,
        match (run.failed, run.given_up()) {
            (true, _) => RunOutcome::Failed,
            (false, true) => RunOutcome::Aborted,
            (false, false) => RunOutcome::Done,
        },
    )
}

/// The stop step was begun after this server: it is about this start of it, not about one before the run went back.
fn is_about(stop: &StepState, server: &StepState) -> bool {
    stop.begun > server.begun
}

/// A server that outlived its stop step: its directory may be removed next, and the run could never end beside it.
fn server_left(run: &Run) -> Option<&StepId> {
    run.each().find_map(|(step, state)| match &step.kind {
        StepKind::Stop { server, .. } if state.status == StepStatus::Failed => {
            run.step(server).filter(|(_, server)| server.status.is_active() && is_about(state, server)).map(|_| server)
        }
        _ => None,
    })
}

/// A stop step is done, and the step process of its server has not written the outcome yet.
fn server_is_ending(run: &Run) -> bool {
    run.each().any(|(step, state)| match &step.kind {
        StepKind::Stop { server, .. } if state.status == StepStatus::Done => {
            run.step(server).is_some_and(|(_, server)| server.status.is_active() && is_about(state, server))
        }
        _ => false,
    })
}

fn begin(run: &Run, position: usize, step: &Step, state: &StepState, facts: Option<(&StepId, &Facts)>) -> Next {
    let skip = |reason: String| Next::Record(RunEvent::StepSkipped { step: step.id.clone(), reason });
    let refuse = |reason: String| Next::Record(RunEvent::StepRefused { step: step.id.clone(), reason });
    if let Some(reason) = not_due(run, step) {
        return skip(reason);
    }
    if let Some(name) = step.pending().next() {
        return if step.when == When::Always && run.failed {
            skip(format!("it needs {name}, which was never captured because an earlier step failed"))
        } else if matches!(step.kind, StepKind::Note { .. }) {
            // Words only: a step that a person went on without has not told what stands in them.
            skip(format!("it would tell {name}, which no step captured"))
        } else {
            refuse(format!("it needs {name}, which no step captured"))
        };
    }
    let fresh = facts.filter(|(id, _)| **id == step.id).map(|(_, facts)| facts);
    if step.kind.asks_a_person() {
        return match fresh {
            None => Next::ReadFacts(step.id.clone()),
            Some(now) => open(run, &step.id, state.gate.as_ref(), &run.plan.facts, now),
        };
    }
    if step.destructive {
        if let Some(name) = step.filled_empty() {
            return refuse(format!(
                "the value of {name} is empty, and it can't be undone: an empty value can mean everything"
            ));
        }
        let Some(gate) = run.gate_before(position) else {
            return refuse("no gate stands before it, and it can't be undone".to_owned());
        };
        let (gate_step, gate_state) = (&run.plan.steps[gate], &run.steps[gate]);
        let Some(approved) = gate_state.gate.as_ref().filter(|_| gate_state.status == StepStatus::Done) else {
            return skip(format!("gate '{}' before it was not answered", gate_step.id));
        };
        let Some(now) = fresh else {
            return Next::ReadFacts(step.id.clone());
        };
        if approved.seal != run.plan.seal || !approved.facts.drift(now).is_empty() {
            return open(run, &gate_step.id, Some(approved), &approved.facts, now);
        }
    }
    Next::Start { step: step.id.clone(), attempt: state.attempt + 1 }
}

/// Why a pending step is not due, if it is not.
fn not_due(run: &Run, step: &Step) -> Option<String> {
    if let Some(reason) = &step.ruled_out {
        return Some(reason.clone());
    }
    if let Some(reason) = run.not_chosen(step) {
        return Some(reason);
    }
    match step.when {
        When::Success if run.failed => return Some(AFTER_A_FAILURE.to_owned()),
        When::Failure if !run.failed => return Some(NO_FAILURE.to_owned()),
        _ => {}
    }
    if let Some(after) = &step.only_after
        && !run.step(after).is_some_and(|(_, state)| began(state))
    {
        return Some(format!("step '{after}' was never begun"));
    }
    match &step.kind {
        StepKind::Stop { server, .. } => match run.step(server) {
            Some((_, state)) if state.status.is_active() => None,
            Some((_, state)) => Some(format!("server '{server}' is {}: nothing to stop", state.status.word())),
            None => Some(format!("the plan has no server '{server}'")),
        },
        _ => None,
    }
}

/// It was started, or it is a gate that opened. A start that turned out to have begun nothing counts as well: to look
/// once too often is the safe side.
fn began(state: &StepState) -> bool {
    state.attempt > 0 || state.gate.is_some()
}

fn open(run: &Run, gate: &StepId, before: Option<&GateState>, approved: &Facts, now: &Facts) -> Next {
    Next::Record(RunEvent::GateOpened {
        step: gate.clone(),
        opening: before.map_or(0, |gate| gate.opening) + 1,
        seal: run.plan.seal,
        facts: now.clone(),
        drift: approved.drift(now),
    })
}

fn end(run: &Run, outcome: RunOutcome) -> Next {
    let mut result = BTreeMap::new();
    for (step, state) in run.each().filter(|(_, state)| state.status == StepStatus::Done) {
        // A step that failed and was then called done by a person proves nothing.
        let seen = state.result.as_ref().filter(|result| result.verdict == Verdict::Done);
        for name in &step.proves {
            if let Some(value) = seen.and_then(|result| result.captures.get(name)) {
                result.insert(format!("{}.{name}", step.id), value.clone());
            }
        }
    }
    Next::Record(RunEvent::RunEnded { outcome, result })
}
