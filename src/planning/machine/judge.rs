//! What an ended step means: the event for what was seen of it.

use crate::domain::event::{Exit, Finding, Outcome, OutputDigest, RunEvent, StepResult, Verdict};
use crate::domain::plan::{Step, StepId, StepKind};
use crate::domain::run::Run;
use crate::domain::status::StepStatus;
use crate::planning::extract;
use crate::planning::machine::is_about;
use std::collections::BTreeMap;

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
    let own = run.step(id).map(|(_, state)| state);
    let asked = run.each().any(|(step, state)| match &step.kind {
        StepKind::Stop { server, .. } => {
            server == id
                && matches!(state.status, StepStatus::Running | StepStatus::Done)
                && own.is_some_and(|own| is_about(state, own))
        }
        _ => false,
    });
    let exit = outcome.map(|outcome| outcome.exit);
    if asked && exit == Some(Exit::Code(0)) {
        return None;
    }
    let was_ready = own.is_some_and(|state| state.status == StepStatus::Ready);
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
