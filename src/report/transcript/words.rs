//! Times, durations, people and events in words.

use crate::domain::digest::Digest;
use crate::domain::event::{Host, Operator, Resolution, RunEvent, RunOutcome, StepResult, Verdict, Via};
use crate::domain::facts::Drift;
use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};

/// `2026-11-22 23:13:00Z`.
pub(crate) fn utc(at: DateTime<FixedOffset>) -> String {
    at.with_timezone(&Utc).format("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// UTC, and the host's own time with its offset.
pub(crate) fn both(at: DateTime<FixedOffset>) -> String {
    format!("{} ({} on the host)", utc(at), at.format("%Y-%m-%d %H:%M:%S %:z"))
}

/// RFC 3339 in UTC, milliseconds.
pub(crate) fn rfc3339(at: DateTime<FixedOffset>) -> String {
    at.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(crate) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

pub(crate) fn operator(by: &Operator) -> String {
    format!("{} (uid {})", by.name, by.uid)
}

pub(crate) fn host(host: &Host) -> String {
    if host.machine_id.is_empty() {
        format!("{} (no machine id)", host.name)
    } else {
        format!("{} (machine id {})", host.name, host.machine_id)
    }
}

/// An argument as a shell would have to be given it; for people, nothing is ever given to a shell.
pub(crate) fn quoted(argument: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:=,@%+-".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', "'\\''"))
    }
}

pub(crate) fn drift(drift: &Drift) -> String {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "not known".to_owned());
    format!("{}: was {}, now {}", drift.fact, known(&drift.before), known(&drift.now))
}

pub(crate) fn via(via: Via) -> &'static str {
    match via {
        Via::Terminal => "typed on a terminal at the gate",
        Via::CommandLine => "given on the command line before the gate was seen",
        Via::Request => "given with `lifeboat approve` while the gate stood open",
    }
}

/// The same for a choice at a decision.
fn chosen_by(via: Via) -> &'static str {
    match via {
        Via::Terminal => "typed on a terminal",
        Via::CommandLine => "given on the command line before the decision was seen",
        Via::Request => "given with `lifeboat decide`",
    }
}

pub(crate) fn resolution(answer: Resolution) -> &'static str {
    match answer {
        Resolution::Done => "it was done, go on after it",
        Resolution::Again => "run it again",
        Resolution::Abort => "end the run",
    }
}

pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Done => "done",
        Verdict::Failed => "failed",
        Verdict::Aborted => "aborted",
    }
}

pub(crate) fn run_outcome(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Done => "done",
        RunOutcome::Failed => "failed",
        RunOutcome::Aborted => "aborted",
    }
}

/// `done after 2.8 s (exit code 0)`, with the reason when there is one.
pub(crate) fn result(result: &StepResult) -> String {
    let mut text = format!("{} after {}", verdict(result.verdict), duration(result.milliseconds));
    if let Some(outcome) = &result.outcome {
        text.push_str(&format!(" ({})", outcome.exit));
        if outcome.leftovers > 0 {
            text.push_str(&format!(", {} processes outlived it and were ended", outcome.leftovers));
        }
    }
    if let Some(reason) = &result.reason {
        text.push_str(&format!(": {reason}"));
    }
    text
}

/// What happened, with the step's name in front.
pub(crate) fn event(event: &RunEvent) -> String {
    let what = what_happened(event);
    event.step().map_or_else(|| what.clone(), |step| format!("{step}: {what}"))
}

/// What happened, without the step's name.
pub(crate) fn what_happened(event: &RunEvent) -> String {
    match event {
        RunEvent::RunCreated { plan, by, host: on, .. } => {
            format!("{} asked for {} on {}; sealed as {}", operator(by), plan.runbook, on.name, plan.seal.short())
        }
        RunEvent::RunnerStarted { pid, attempt: 1 } => format!("a runner took the run (process {pid})"),
        RunEvent::RunnerStarted { pid, attempt } => {
            format!("a new runner took the run over (number {attempt}, process {pid})")
        }
        RunEvent::StepStarted { attempt, .. } => format!("started (attempt {attempt})"),
        RunEvent::StepReady { evidence, .. } => format!("ready: {evidence}"),
        RunEvent::StepEnded { result: ended, .. } => result(ended),
        RunEvent::StepInterrupted { evidence, .. } => format!("interrupted, may start again: {evidence}"),
        RunEvent::StepUnknown { evidence, .. } => format!("outcome unknown; seen: {}", seen(evidence)),
        RunEvent::StepResolved { answer, by, evidence, .. } => {
            format!("{} decided: {} (evidence shown: {})", operator(by), resolution(*answer), seen(evidence))
        }
        RunEvent::StepSkipped { reason, .. } => format!("skipped: {reason}"),
        RunEvent::StepRefused { reason, .. } => format!("can't start: {reason}"),
        RunEvent::GateOpened { opening, seal, drift, .. } => gate_opened(*opening, *seal, drift),
        RunEvent::GateAnswered { opening, seal, by, via: how, .. } => {
            format!("{} approved the plan {} at opening {opening}, {}", operator(by), seal.short(), via(*how))
        }
        RunEvent::DecisionMade { choice, values, seal, by, via: how, .. } => {
            let values: String = values.iter().map(|(name, value)| format!(", {name} = {value}")).collect();
            format!(
                "{} chose '{choice}'{values}, {}; the plan's seal is {}",
                operator(by),
                chosen_by(*how),
                seal.short()
            )
        }
        RunEvent::PlanAmended { values, seal } => {
            let values: Vec<String> = values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            format!("the plan was amended with {}; new seal {}", values.join(", "), seal.short())
        }
        RunEvent::AbortRequested { by, reason } => format!("{} asked for the end: {reason}", operator(by)),
        RunEvent::NoteWritten { by, text } => format!("{} noted: {text}", operator(by)),
        RunEvent::RunEnded { outcome, .. } => format!("the run ended: {}", run_outcome(*outcome)),
    }
}

fn gate_opened(opening: u32, seal: Digest, changed: &[Drift]) -> String {
    let opened = if opening == 1 { "opened".to_owned() } else { format!("re-opened (opening {opening})") };
    let changed: Vec<String> = changed.iter().map(drift).collect();
    let differs = if changed.is_empty() { String::new() } else { format!("; changed: {}", changed.join("; ")) };
    format!("{opened} for the plan {}{differs}", seal.short())
}

fn seen(evidence: &[String]) -> String {
    if evidence.is_empty() { "nothing".to_owned() } else { evidence.join("; ") }
}
