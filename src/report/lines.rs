//! Events as lines: what a run prints while it goes on, and what a log keeps of it.

use crate::domain::event::{Entry, RunEvent, RunOutcome, StepResult, Verdict};
use crate::domain::plan::{Plan, Step, StepId, StepKind};
use crate::domain::run::{Run, StepState};
use crate::domain::status::StepStatus;
use crate::report::gate::hanging;

/// The lines for one entry; none for what a person need not see.
#[must_use]
pub fn of(plan: &Plan, entry: &Entry) -> Vec<String> {
    let time = entry.at.to_utc().format("%H:%M:%SZ").to_string();
    let say = |text: String| hanging(&format!("{time} "), &text);
    match &entry.event {
        RunEvent::RunCreated { run, plan, .. } => {
            say(format!("run {run}: {} (plan {})", plan.title, plan.seal.short()))
        }
        RunEvent::RunnerStarted { attempt: 1, .. } => Vec::new(),
        RunEvent::RunnerStarted { attempt, .. } => say(format!("a runner took over (number {attempt})")),
        RunEvent::StepStarted { step, attempt } => {
            let again = if *attempt > 1 { format!(" (start {attempt})") } else { String::new() };
            say(format!("▸ {}{again}", named(plan, step)))
        }
        RunEvent::StepReady { step, .. } => say(format!("● {}: ready", named(plan, step))),
        RunEvent::StepEnded { step, result, .. } => ended(plan, step, result, &time),
        RunEvent::StepInterrupted { step, evidence, .. } => {
            say(format!("↻ {}: starts again, for {evidence}", named(plan, step)))
        }
        RunEvent::StepUnknown { step, .. } => say(format!("? {}: outcome unknown", named(plan, step))),
        RunEvent::StepResolved { step, answer, by, .. } => {
            say(format!("  {}: {} decided '{answer:?}'", named(plan, step), by.name).to_lowercase())
        }
        RunEvent::StepSkipped { step, reason } => say(format!("– {}: not done, {reason}", named(plan, step))),
        RunEvent::StepRefused { step, reason } => say(format!("✗ {}: refused, {reason}", named(plan, step))),
        RunEvent::GateOpened { step, opening, .. } if *opening > 1 => {
            say(format!("■ {}: the gate opened again", named(plan, step)))
        }
        RunEvent::GateOpened { .. } => Vec::new(),
        RunEvent::GateAnswered { step, by, .. } => say(format!("✔ {}: approved by {}", named(plan, step), by.name)),
        RunEvent::PlanAmended { seal, values } => {
            let names: Vec<&str> = values.keys().map(String::as_str).collect();
            say(format!("  plan amended with {}: now {}", names.join(", "), seal.short()))
        }
        RunEvent::AbortRequested { by, reason } => say(format!("■ {} asked for the end: {reason}", by.name)),
        RunEvent::NoteWritten { by, text } => say(format!("✎ {}: {text}", by.name)),
        RunEvent::RunEnded { outcome, .. } => say(format!("run {}", word(*outcome))),
    }
}

fn ended(plan: &Plan, step: &StepId, result: &StepResult, time: &str) -> Vec<String> {
    let mark = match result.verdict {
        Verdict::Done => "✔",
        Verdict::Failed => "✗",
        Verdict::Aborted => "■",
    };
    let seconds = seconds(result.milliseconds);
    let mut lines = hanging(&format!("{time} "), &format!("{mark} {} ({seconds})", named(plan, step)));
    let indent = "            ";
    if let Some(reason) = &result.reason {
        lines.extend(hanging(indent, reason));
    }
    for finding in result.findings.iter().filter(|finding| result.verdict != Verdict::Done || finding.holds) {
        let mark = if finding.holds { "·" } else { "!" };
        lines.extend(hanging(&format!("{indent}{mark} "), &finding.what));
        if !finding.holds && !finding.remedy.is_empty() {
            lines.extend(hanging(&format!("{indent}  → "), &finding.remedy));
        }
    }
    let planned = plan.position(step).map(|position| &plan.steps[position]);
    if let (Verdict::Failed, Some(planned)) = (result.verdict, planned)
        && !planned.failure.is_empty()
    {
        lines.extend(hanging(&format!("{indent}→ "), &planned.failure));
    }
    if matches!(result.outcome.as_ref().map(|outcome| outcome.leftovers), Some(1..)) {
        lines.extend(hanging(indent, "processes it had left behind were ended"));
    }
    lines
}

/// Milliseconds for a person: `0.4 s`, `12 s`, `3 min 04 s`.
#[must_use]
pub fn seconds(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100),
        10_000..60_000 => format!("{} s", milliseconds / 1000),
        60_000..3_600_000 => format!("{} min {:02} s", milliseconds / 60_000, milliseconds % 60_000 / 1000),
        _ => format!("{} h {:02} min", milliseconds / 3_600_000, milliseconds % 3_600_000 / 60_000),
    }
}

fn named(plan: &Plan, step: &StepId) -> String {
    match plan.position(step) {
        Some(position) => format!("{}/{} {}", position + 1, plan.steps.len(), plan.steps[position].title),
        None => step.to_string(),
    }
}

fn word(outcome: RunOutcome) -> &'static str {
    match outcome {
        RunOutcome::Done => "done",
        RunOutcome::Failed => "failed",
        RunOutcome::Aborted => "aborted",
    }
}

/// What a person has to know about the unknown steps of a run, and what to type.
#[must_use]
pub fn unknown(run: &Run) -> Vec<String> {
    let mut lines = Vec::new();
    for (step, state) in run.unknown() {
        lines.push(format!("? step '{}' ({}) began and nobody saw how it ended.", step.id, step.title));
        for evidence in &state.remarks {
            lines.extend(hanging("   seen   ", evidence));
        }
        if !step.repeat.is_empty() {
            lines.extend(hanging("   again  ", &step.repeat));
        }
        lines.push(format!("   lifeboat resolve {} {} done|again|abort", run.id, step.id));
    }
    lines
}

/// What a run that ended has shown, and where the evidence is. `program` is how Lifeboat is called to find the run.
#[must_use]
pub fn proven(run: &Run, program: &str) -> Vec<String> {
    let mut lines = vec!["── what was proven (read back, not taken from an exit status)".to_owned()];
    let is_done = |state: &StepState| state.status == StepStatus::Done;
    for (step, state) in run.each().filter(|(step, state)| is_done(state) && !step.proves.is_empty()) {
        lines.extend(hanging("   ✔ ", &step.title));
        let captures = state.result.as_ref().map(|result| &result.captures);
        for name in &step.proves {
            let Some(value) = captures.and_then(|captures| captures.get(name)) else { continue };
            let value = if value.is_empty() { "(empty)" } else { value };
            lines.extend(hanging(&format!("       {name:<18} "), value));
        }
    }
    let plain = |step: &Step| step.proves.is_empty() && matches!(step.kind, StepKind::Check { .. });
    for (step, _) in run.each().filter(|(step, state)| is_done(state) && plain(step)) {
        lines.extend(hanging("   ✔ ", &step.title));
    }
    if lines.len() == 1 {
        lines.push("   nothing".to_owned());
    }
    let missing = run.each().filter(|(step, state)| {
        let proves = !step.proves.is_empty() || plain(step);
        state.status == StepStatus::Failed || (proves && state.status != StepStatus::Done)
    });
    for (step, state) in missing {
        let why = state.remarks.first().map(|why| format!(" ({why})")).unwrap_or_default();
        lines.extend(hanging("   ✗ ", &format!("not shown: {}: {}{why}", step.title, state.status.word())));
    }
    lines.push(format!("   {program} transcript {}      tells all of it; --verify checks it", run.id));
    lines
}

/// What to type for a gate that nobody is there to answer.
#[must_use]
pub fn waiting(run: &Run, step: &Step) -> Vec<String> {
    let StepKind::Gate { answer, .. } = &step.kind else { return Vec::new() };
    vec![
        format!("   run {} waits at gate '{}'. Nothing is lost; answer it when you are ready:", run.id, step.id),
        format!("   lifeboat attach {}", run.id),
        format!("   lifeboat approve {} {} {answer}", run.id, step.id),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units_and_no_needless_digits() {
        let shown: Vec<String> = [0, 450, 9_999, 12_400, 184_000, 7_260_000].map(seconds).to_vec();
        assert_eq!(shown, ["0.0 s", "0.4 s", "9.9 s", "12 s", "3 min 04 s", "2 h 01 min"]);
    }
}
