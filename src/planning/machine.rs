//! What happens next, as data: the one place that decides about a run, without doing anything.
//!
//! The runner asks [`next`] until it is told to wait, feeds what came of an effect through [`judge`] or
//! [`taken_over`], and what a person asked through [`answer`]. A live run, a restarted runner and a test
//! all go through the same functions.

use crate::domain::event::{Exit, Finding, Operator, Outcome, Resolution, RunEvent, RunOutcome, StepResult, Verdict};
use crate::domain::event::{OutputDigest, Via};
use crate::domain::facts::Facts;
use crate::domain::plan::{Step, StepId, StepKind, When};
use crate::domain::run::{GateState, Run, StepState};
use crate::domain::status::StepStatus;
use crate::planning::extract;
use crate::planning::plan::amend;
use serde::{Deserialize, Serialize};
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
    if run.unknown().next().is_some() || server_is_ending(run) {
        return Next::Wait;
    }
    if let Some(server) = server_left(run) {
        return Next::EndServer(server.clone());
    }
    if let Some((values, seal)) = amend(&run.plan, &run.values) {
        return Next::Record(RunEvent::PlanAmended { values, seal });
    }
    for (position, (step, state)) in run.each().enumerate() {
        match state.status {
            StepStatus::Done | StepStatus::Failed | StepStatus::Skipped | StepStatus::Aborted => {}
            StepStatus::Ready => {}
            StepStatus::Running | StepStatus::Waiting | StepStatus::Unknown => return Next::Wait,
            StepStatus::Pending => return begin(run, position, step, state, facts),
        }
    }
    if active {
        return Next::Wait;
    }
    end(run, if run.failed { RunOutcome::Failed } else { RunOutcome::Done })
}

/// A server that outlived its stop step: its directory may be removed next, and the run could never end beside it.
fn server_left(run: &Run) -> Option<&StepId> {
    run.each().find_map(|(step, state)| match &step.kind {
        StepKind::Stop { server, .. } if state.status == StepStatus::Failed => {
            run.step(server).filter(|(_, server)| server.status.is_active()).map(|_| server)
        }
        _ => None,
    })
}

/// A stop step is done, and the step process of its server has not written the outcome yet.
fn server_is_ending(run: &Run) -> bool {
    run.each().any(|(step, state)| match &step.kind {
        StepKind::Stop { server, .. } if state.status == StepStatus::Done => {
            run.step(server).is_some_and(|(_, server)| server.status.is_active())
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
        } else {
            refuse(format!("it needs {name}, which no step captured"))
        };
    }
    let fresh = facts.filter(|(id, _)| **id == step.id).map(|(_, facts)| facts);
    if matches!(step.kind, StepKind::Gate { .. }) {
        return match fresh {
            None => Next::ReadFacts(step.id.clone()),
            Some(now) => open(run, &step.id, state.gate.as_ref(), &run.plan.facts, now),
        };
    }
    if step.destructive {
        let Some(gate) = run.plan.gate_before(position) else {
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
        for name in &step.proves {
            if let Some(value) = state.result.as_ref().and_then(|result| result.captures.get(name)) {
                result.insert(format!("{}.{name}", step.id), value.clone());
            }
        }
    }
    Next::Record(RunEvent::RunEnded { outcome, result })
}

/// What was seen of a step's end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// The step process's record, for steps with a command.
    pub outcome: Option<Outcome>,
    /// The start of the output, as far as captures need it.
    pub output: Vec<u8>,
    /// Captured values of a check or a wait.
    pub captures: BTreeMap<String, String>,
    /// What a check found.
    pub findings: Vec<Finding>,
    /// Why it failed, where a log or the runner knows better than the exit code.
    pub reason: Option<String>,
    /// The step failed for [`Seen::reason`] whatever else was seen.
    pub failed: bool,
    /// Monotonic milliseconds the step took.
    pub milliseconds: u64,
}

/// The event for a step that was seen to end.
///
/// A program ended by a signal that Lifeboat did not send leaves a state that nobody vouches for: that is
/// *unknown*, and a person decides, as with an outcome that was not seen at all.
#[must_use]
pub fn judge(run: &Run, id: &StepId, seen: Seen) -> Option<RunEvent> {
    let (step, state) = run.step(id)?;
    let attempt = state.attempt;
    let signal = match seen.outcome.as_ref().map(|outcome| outcome.exit) {
        Some(Exit::Signal(signal)) => Some(signal),
        _ => None,
    };
    let is_server = matches!(step.kind, StepKind::Server { .. });
    if let (Some(signal), false, false, Some(outcome)) = (signal, run.aborting, is_server, &seen.outcome) {
        let evidence = killed_evidence(signal, outcome);
        return Some(RunEvent::StepUnknown { step: id.clone(), attempt, evidence });
    }
    let mut captures = seen.captures;
    let problem = if seen.failed {
        Some(seen.reason.clone().unwrap_or_else(|| "it failed".to_owned()))
    } else if is_server {
        server_problem(run, id, seen.outcome.as_ref(), seen.reason.as_deref())
    } else {
        exit_problem(step, seen.outcome.as_ref(), seen.reason.as_deref())
            .or_else(|| findings_problem(&seen.findings))
            .or_else(|| capture_problem(step, &seen.output, &mut captures))
    };
    let verdict = match problem {
        None => Verdict::Done,
        Some(_) if run.aborting => Verdict::Aborted,
        Some(_) => Verdict::Failed,
    };
    let reason = problem;
    let result = StepResult {
        verdict,
        reason,
        outcome: seen.outcome,
        milliseconds: seen.milliseconds,
        captures,
        findings: seen.findings,
    };
    Some(RunEvent::StepEnded { step: id.clone(), attempt, result })
}

fn killed_evidence(signal: i32, outcome: &Outcome) -> Vec<String> {
    let OutputDigest { bytes, sha256 } = outcome.output;
    let mut evidence = vec![
        format!("its main process was ended by signal {signal}, which Lifeboat did not send"),
        format!("its output has {bytes} bytes, SHA-256 {sha256}"),
    ];
    if outcome.leftovers > 0 {
        evidence.push(format!("{} processes it had left behind were ended after it", outcome.leftovers));
    }
    evidence.push("none of its processes is alive".to_owned());
    evidence
}

fn exit_problem(step: &Step, outcome: Option<&Outcome>, reason: Option<&str>) -> Option<String> {
    let (Some(outcome), Some(command)) = (outcome, step.kind.command()) else {
        return None;
    };
    match outcome.exit {
        Exit::Code(code) if command.success.contains(&code) => None,
        exit => Some(match reason {
            Some(reason) => format!("{exit}: {reason}"),
            None => exit.to_string(),
        }),
    }
}

fn findings_problem(findings: &[Finding]) -> Option<String> {
    let broken: Vec<&str> =
        findings.iter().filter(|finding| !finding.holds).map(|finding| finding.what.as_str()).collect();
    if broken.is_empty() { None } else { Some(broken.join("; ")) }
}

fn capture_problem(step: &Step, output: &[u8], captures: &mut BTreeMap<String, String>) -> Option<String> {
    if step.kind.command().is_some() {
        match extract::captures(step, output) {
            Ok(found) => captures.extend(found),
            Err(error) => return Some(error.to_string()),
        }
    }
    let broken = extract::expectations(step, captures);
    if broken.is_empty() { None } else { Some(broken.join("; ")) }
}

/// A server's end is as it should be only when a stop step asked for it (or an abort) and it ended with 0.
fn server_problem(run: &Run, id: &StepId, outcome: Option<&Outcome>, reason: Option<&str>) -> Option<String> {
    let asked = run.each().any(|(step, state)| match &step.kind {
        StepKind::Stop { server, .. } => server == id && matches!(state.status, StepStatus::Running | StepStatus::Done),
        _ => false,
    });
    let exit = outcome.map(|outcome| outcome.exit);
    if asked && exit == Some(Exit::Code(0)) {
        return None;
    }
    let was_ready = run.step(id).is_some_and(|(_, state)| state.status == StepStatus::Ready);
    let how = exit.map_or_else(|| "nobody saw how".to_owned(), |exit| exit.to_string());
    let when = if asked {
        "while it was being stopped"
    } else if was_ready {
        "after it was ready"
    } else {
        "before it was ready"
    };
    Some(match reason {
        Some(reason) => format!("the server ended {when} ({how}): {reason}"),
        None => format!("the server ended {when} ({how})"),
    })
}

/// What a runner that takes over finds of a step that was begun under another one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "one at a time, used up at once")]
pub enum Observed {
    /// The claim on the step's folder was free: no command was or will be started.
    NeverBegan,
    /// A process of it lives: follow it.
    Alive,
    /// The step process has written how it ended.
    Ended(Seen),
    /// Nothing of it lives and nobody wrote down how it ended.
    Gone(Vec<String>),
}

/// The event for a step that was running when the last runner ended; `None`: follow it.
#[must_use]
pub fn taken_over(run: &Run, id: &StepId, observed: Observed) -> Option<RunEvent> {
    let (step, state) = run.step(id)?;
    let attempt = state.attempt;
    if step.kind.command().is_none() {
        let evidence = "it only asks and changes nothing; the runner that asked has ended".to_owned();
        return Some(RunEvent::StepInterrupted { step: id.clone(), attempt, evidence });
    }
    match observed {
        Observed::NeverBegan => Some(RunEvent::StepInterrupted {
            step: id.clone(),
            attempt,
            evidence: "its folder was never claimed by a step process, and is claimed now: nothing was started"
                .to_owned(),
        }),
        Observed::Alive => None,
        Observed::Ended(seen) => judge(run, id, seen),
        Observed::Gone(evidence) => Some(RunEvent::StepUnknown { step: id.clone(), attempt, evidence }),
    }
}

/// What a person asks of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Answers a gate.
    Approve {
        /// The gate.
        step: StepId,
        /// The sequence number of the entry that opened it.
        sequence: u64,
        /// The seal that was shown.
        seal: crate::domain::digest::Digest,
        /// What was typed.
        answer: String,
        /// Who.
        by: Operator,
        /// How.
        via: Via,
    },
    /// Decides about an unknown step.
    Resolve {
        /// The step.
        step: StepId,
        /// The decision.
        answer: Resolution,
        /// Who.
        by: Operator,
    },
    /// Ends the run.
    Abort {
        /// Who.
        by: Operator,
        /// Why.
        reason: String,
    },
    /// Writes something down.
    Note {
        /// Who.
        by: Operator,
        /// What.
        text: String,
    },
}

/// Why a request is not granted; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The run has ended.
    #[error("the run has ended: it is {0}")]
    Ended(&'static str),
    /// No such step.
    #[error("the plan has no step '{0}'")]
    NoStep(StepId),
    /// The step is not a waiting gate.
    #[error("'{step}' is not a gate that waits: it is {status}")]
    NotWaiting {
        /// The step.
        step: StepId,
        /// Its status.
        status: &'static str,
    },
    /// It opened again, or the plan was amended, since the answer was prepared.
    #[error("the gate has opened again since you looked (entry {open}, you saw {seen}): look at it, then answer")]
    Stale {
        /// The entry that opened it.
        open: u64,
        /// The one the answer was for.
        seen: u64,
    },
    /// The plan is another one.
    #[error("the plan has changed since you looked: its seal is {0} now; look at it, then answer")]
    OtherPlan(String),
    /// The answer is wrong.
    #[error("the answer is not what the gate asks for, to the letter; nothing was approved")]
    WrongAnswer,
    /// Given beforehand, but facts changed.
    #[error("gate '{0}' shows changed facts: an answer given beforehand does not count for it, a person has to look")]
    NotBeforehand(StepId),
    /// The step is not unknown.
    #[error("'{step}' is {status}, not unknown: there is nothing to decide about it")]
    NotUnknown {
        /// The step.
        step: StepId,
        /// Its status.
        status: &'static str,
    },
    /// Processes of the step live.
    #[error(
        "{0} processes of the step are still alive: running it again beside them would damage what they write; wait, or `lifeboat abort`"
    )]
    StillAlive(usize),
    /// The end was asked for before.
    #[error("the end was asked for already; the steps that run are being ended")]
    Aborting,
}

/// The event that grants a request. `living` is the number of processes of the step in question that are alive.
///
/// # Errors
/// [`Refusal`], in words for the person who asked.
pub fn answer(run: &Run, request: &Request, living: usize) -> Result<RunEvent, Refusal> {
    if run.ended.is_some() {
        return Err(Refusal::Ended(run.outcome_word()));
    }
    match request {
        Request::Approve { step, sequence, seal, answer, by, via } => {
            let (planned, state) = run.step(step).ok_or_else(|| Refusal::NoStep(step.clone()))?;
            let not_waiting = || Refusal::NotWaiting { step: step.clone(), status: state.status.word() };
            if run.aborting {
                return Err(Refusal::Aborting);
            }
            let (StepKind::Gate { answer: wanted, .. }, StepStatus::Waiting, Some(gate)) =
                (&planned.kind, state.status, &state.gate)
            else {
                return Err(not_waiting());
            };
            if gate.sequence != *sequence {
                return Err(Refusal::Stale { open: gate.sequence, seen: *sequence });
            }
            if gate.seal != *seal {
                return Err(Refusal::OtherPlan(gate.seal.short()));
            }
            if *via == Via::CommandLine && (gate.opening > 1 || !gate.drift.is_empty()) {
                return Err(Refusal::NotBeforehand(step.clone()));
            }
            if wanted.is_empty() || answer != wanted {
                return Err(Refusal::WrongAnswer);
            }
            let (step, by) = (step.clone(), by.clone());
            Ok(RunEvent::GateAnswered { step, opening: gate.opening, seal: *seal, by, via: *via })
        }
        Request::Resolve { step, answer, by } => {
            let (_, state) = run.step(step).ok_or_else(|| Refusal::NoStep(step.clone()))?;
            if state.status.is_active() && living > 0 {
                return Err(Refusal::StillAlive(living));
            }
            if state.status != StepStatus::Unknown {
                return Err(Refusal::NotUnknown { step: step.clone(), status: state.status.word() });
            }
            if living > 0 && *answer != Resolution::Abort {
                return Err(Refusal::StillAlive(living));
            }
            Ok(RunEvent::StepResolved {
                step: step.clone(),
                attempt: state.attempt,
                answer: *answer,
                by: by.clone(),
                evidence: state.remarks.clone(),
            })
        }
        Request::Abort { .. } if run.aborting => Err(Refusal::Aborting),
        Request::Abort { by, reason } => Ok(RunEvent::AbortRequested { by: by.clone(), reason: reason.clone() }),
        Request::Note { by, text } => Ok(RunEvent::NoteWritten { by: by.clone(), text: text.clone() }),
    }
}
