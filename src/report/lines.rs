//! Events as lines: what a run prints while it goes on, and what a log keeps of it.

use crate::domain::digest::Digest;
use crate::domain::event::{Entry, Resolution, RunEvent, RunOutcome, StepResult, Verdict, Via};
use crate::domain::plan::{Choice, Plan, Step, StepId, StepKind, When};
use crate::domain::run::{Run, StepState};
use crate::domain::status::StepStatus;
use crate::domain::still_held::{StillHeld, Undo};
use crate::domain::text::clean;
use crate::planning::machine::{self, AFTER_A_FAILURE, NO_FAILURE};
use crate::report::gate::{hanging, rule};
use crate::report::width::Width;
use crate::report::{choice, command_text};
use std::collections::BTreeMap;

const INDENT: &str = "            ";

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// What a person has to know while it goes on; the rest is in the transcript.
    Brief,
    /// Every start, and what checks found although they hold.
    Full,
}

/// The lines for one entry, as wide as they may be; none for what a person need not see. How the run ended is [`end`]'s to tell.
#[must_use]
pub fn of(plan: &Plan, entry: &Entry, detail: Detail, columns: Width) -> Vec<String> {
    let time = entry.at.to_utc().format("%H:%M:%SZ").to_string();
    let say = |text: String| hanging(&format!("{time} "), &text, columns);
    match &entry.event {
        RunEvent::RunCreated { .. } | RunEvent::RunnerStarted { attempt: 1, .. } | RunEvent::RunEnded { .. } => {
            Vec::new()
        }
        RunEvent::RunnerStarted { attempt, .. } => say(format!("a runner took over (number {attempt})")),
        RunEvent::StepStarted { step, attempt } => started(plan, step, *attempt, &time, detail, columns),
        RunEvent::StepReady { step, .. } => say(format!("● {}: ready", named(plan, step))),
        RunEvent::StepEnded { step, result, .. } => ended(plan, step, result, &time, detail, columns),
        RunEvent::StepInterrupted { step, evidence, .. } => {
            say(format!("↻ {}: starts again, for {}", named(plan, step), clean(evidence)))
        }
        RunEvent::StepUnknown { step, .. } => say(format!("? {}: outcome UNKNOWN", named(plan, step))),
        RunEvent::StepResolved { step, answer, by, .. } => {
            say(format!("  {}: {} decided '{}'", named(plan, step), clean(&by.name), decision(*answer)))
        }
        RunEvent::StepSkipped { step, reason } => skipped(plan, step, reason, detail, say),
        RunEvent::StepRefused { step, reason } => say(format!("✗ {}: REFUSED, {}", named(plan, step), clean(reason))),
        RunEvent::GateOpened { step, opening, drift, .. } if *opening > 1 => {
            let why = if drift.is_empty() { "the plan under it has changed" } else { "a fact under it changed" };
            say(format!("■ {}: {why}, the gate opened again", named(plan, step)))
        }
        RunEvent::GateOpened { .. } => Vec::new(),
        RunEvent::GateAnswered { step, by, via, .. } => {
            let how = match via {
                Via::Terminal => "typed at the gate",
                Via::CommandLine => "given beforehand",
                Via::Request => "with lifeboat approve",
            };
            say(format!("✔ {}: approved by {}, {how}", named(plan, step), clean(&by.name)))
        }
        RunEvent::DecisionMade { step, choice, values, by, .. } => {
            let values: String = values.iter().map(|(name, value)| format!(", {name} {value}")).collect();
            say(format!("✔ {}: {} chose '{choice}'{}", named(plan, step), clean(&by.name), clean(&values)))
        }
        RunEvent::PlanAmended { seal, values } => say(amended(values, seal)),
        RunEvent::AbortRequested { by, reason } => {
            say(format!("■ {} asked for the end: {}", clean(&by.name), clean(reason)))
        }
        RunEvent::NoteWritten { by, text } => say(format!("✎ {}: {}", clean(&by.name), clean(text))),
    }
}

/// A step with a command shows it; a check is told when it is over.
fn started(plan: &Plan, id: &StepId, attempt: u32, time: &str, detail: Detail, columns: Width) -> Vec<String> {
    let again = if attempt > 1 { format!(" (start {attempt})") } else { String::new() };
    let Some(step) = plan.position(id).map(|position| &plan.steps[position]) else { return Vec::new() };
    if matches!(step.kind, StepKind::Check { .. } | StepKind::Note { .. }) && detail == Detail::Brief && attempt == 1 {
        return Vec::new();
    }
    let mark = if step.destructive { " (can't be undone)" } else { "" };
    let mut lines = hanging(&format!("{time} "), &format!("▸ {}{mark}{again}", named(plan, id)), columns);
    if let Some(command) = step.kind.command() {
        lines.extend(command_text::lines(command, columns));
    }
    lines
}

fn ended(plan: &Plan, step: &StepId, result: &StepResult, time: &str, detail: Detail, columns: Width) -> Vec<String> {
    let (mark, word) = match result.verdict {
        Verdict::Done => ("✔", ""),
        Verdict::Failed => ("✗", ": FAILED"),
        Verdict::Aborted => ("■", ": aborted"),
    };
    let seconds = seconds(result.milliseconds);
    let mut lines = hanging(&format!("{time} "), &format!("{mark} {}{word} ({seconds})", named(plan, step)), columns);
    let planned = plan.position(step).map(|position| &plan.steps[position]);
    if let (Some(Step { kind: StepKind::Note { text }, .. }), Verdict::Done) = (planned, result.verdict) {
        lines.extend(hanging(INDENT, &clean(&text.to_string()), columns));
    }
    let shown = |holds: bool| !holds || result.verdict != Verdict::Done || detail == Detail::Full;
    let findings: Vec<_> = result.findings.iter().filter(|finding| shown(finding.holds)).collect();
    // The reason of a failed check is what its findings say, one after the other.
    if let Some(reason) = &result.reason
        && findings.iter().all(|finding| finding.holds)
    {
        lines.extend(hanging(INDENT, &clean(reason), columns));
    }
    for finding in findings {
        let mark = if finding.holds { "·" } else { "!" };
        lines.extend(hanging(&format!("{INDENT}{mark} "), &clean(&finding.what), columns));
        if !finding.holds && !finding.remedy.is_empty() {
            lines.extend(hanging(&format!("{INDENT}  → "), &clean(&finding.remedy), columns));
        }
    }
    if let (Verdict::Failed, Some(planned)) = (result.verdict, planned)
        && !planned.failure.is_empty()
    {
        lines.extend(hanging(&format!("{INDENT}→ "), &clean(&planned.failure), columns));
    }
    if matches!(result.outcome.as_ref().map(|outcome| outcome.leftovers), Some(1..)) {
        lines.extend(hanging(INDENT, "processes it had left behind were ended", columns));
    }
    lines
}

/// What the plan rules out was told with the plan, and what a failure takes with it is told at the end.
fn skipped(
    plan: &Plan,
    step: &StepId,
    reason: &str,
    detail: Detail,
    say: impl Fn(String) -> Vec<String>,
) -> Vec<String> {
    // What another choice leaves out goes without saying as well.
    let planned = plan
        .position(step)
        .is_some_and(|position| plan.steps[position].ruled_out.is_some() || plan.steps[position].only_choice.is_some());
    if detail == Detail::Brief && (planned || reason == AFTER_A_FAILURE || reason == NO_FAILURE) {
        return Vec::new();
    }
    say(format!("– {}: not done, {}", named(plan, step), clean(reason)))
}

fn amended(values: &BTreeMap<String, String>, seal: &Digest) -> String {
    let mut steps: Vec<&str> =
        values.keys().map(|name| name.rsplit_once('.').map_or(name.as_str(), |(step, _)| step)).collect();
    steps.dedup();
    let many = if values.len() == 1 { "a value" } else { "values" };
    format!("  {many} read by {} went into the plan: it is {} now", steps.join(", "), seal.short())
}

fn decision(answer: Resolution) -> &'static str {
    match answer {
        Resolution::Done => "done",
        Resolution::Again => "again",
        Resolution::Abort => "abort",
    }
}

/// How a run ended: for a failed one the step and the reason once more, whatever has scrolled away; what was read back.
#[must_use]
pub fn end(run: &Run, program: &str, columns: Width) -> Vec<String> {
    let Some((outcome, at)) = run.ended else { return Vec::new() };
    let took = seconds(u64::try_from((at - run.created).num_milliseconds()).unwrap_or(0));
    let word = match outcome {
        RunOutcome::Done => "DONE",
        RunOutcome::Failed => "FAILED",
        RunOutcome::Aborted => "ABORTED",
    };
    // The verdict stands last, where it is seen on a small screen.
    let mut lines = proven(run, columns);
    lines.push(rule(&format!("run {} {word} · {took}", run.id), columns));
    for (step, state) in run.each().filter(|(_, state)| state.status == StepStatus::Failed) {
        lines.extend(hanging("   ✗ ", &named(&run.plan, &step.id), columns));
        let reason = state.result.as_ref().and_then(|result| result.reason.as_ref()).or_else(|| state.remarks.last());
        lines.extend(hanging("     ", &clean(reason.map_or("", String::as_str)), columns));
    }
    let left: Vec<usize> = run
        .each()
        .enumerate()
        .filter(|(_, (step, state))| {
            let due = step.ruled_out.is_none() && step.when != When::Failure;
            due && matches!(state.status, StepStatus::Skipped | StepStatus::Pending)
        })
        .map(|(index, _)| index + 1)
        .collect();
    if !left.is_empty() {
        lines.extend(hanging("   not done: ", &format!("steps {}", ranges(&left)), columns));
    }
    lines.push(format!("   journal {}", run.head));
    lines.push("   All of it, and whether it is what was written (--verify):".to_owned());
    lines.push(format!("   {program} transcript {}", run.id));
    lines
}

/// What a run that did not come to its end leaves held on this host, each with the command that undoes it.
#[must_use]
pub fn still_held(held: &[StillHeld], columns: Width) -> Vec<String> {
    if held.is_empty() {
        return Vec::new();
    }
    let mut lines = vec!["   Still so on this host, until somebody undoes it:".to_owned()];
    for StillHeld { what, undo } in held {
        lines.extend(hanging("   · ", what, columns));
        // A command stays in one line: it may be pasted.
        match undo {
            Undo::Command(command) => lines.push(format!("     {command}")),
            Undo::AsRoot(command) => lines.push(format!("     as root: {command}")),
            Undo::Words(words) => lines.extend(hanging("     ", words, columns)),
        }
    }
    lines
}

/// What was read back, by the step that did, and the checks that held.
fn proven(run: &Run, columns: Width) -> Vec<String> {
    let mut lines = Vec::new();
    let done = |state: &StepState| state.status == StepStatus::Done;
    for (step, state) in run.each().filter(|(step, state)| done(state) && !step.proves.is_empty()) {
        lines.extend(hanging("   ✔ ", &clean(&step.title), columns));
        let captures = state.result.as_ref().map(|result| &result.captures);
        for name in &step.proves {
            let Some(value) = captures.and_then(|captures| captures.get(name)) else { continue };
            let value = if value.is_empty() { "(empty)".to_owned() } else { clean(value).replace('␊', " · ") };
            lines.extend(hanging(&format!("       {:<21}  ", clean(name)), &value, columns));
        }
    }
    let held: Vec<usize> = run
        .each()
        .enumerate()
        .filter(|(_, (step, state))| done(state) && matches!(step.kind, StepKind::Check { .. }))
        .map(|(index, _)| index + 1)
        .collect();
    if !held.is_empty() {
        lines.extend(hanging("   ✔ ", &format!("the checks held: steps {}", ranges(&held)), columns));
    }
    if !lines.is_empty() {
        lines.insert(0, rule("read back, not taken from an exit status", columns));
    }
    lines
}

/// `1-3, 5`.
fn ranges(numbers: &[usize]) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let shown: Vec<String> = ranges
        .iter()
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    shown.join(", ")
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
        Some(position) => format!("{}/{} {}", position + 1, plan.steps.len(), clean(&plan.steps[position].title)),
        None => step.to_string(),
    }
}

/// What a person has to know about the unknown steps of a run, and what to type.
#[must_use]
pub fn unknown(run: &Run, program: &str, columns: Width) -> Vec<String> {
    let mut lines = Vec::new();
    for (step, state) in run.unknown() {
        lines.extend(hanging(
            "? ",
            &format!("step '{}' ({}) began and nobody saw how it ended.", step.id, clean(&step.title)),
            columns,
        ));
        for evidence in &state.remarks {
            lines.extend(hanging("   seen   ", &clean(evidence), columns));
        }
        if !step.repeat.is_empty() {
            lines.extend(hanging("   again  ", &clean(&step.repeat), columns));
        }
        lines.push("   Decide, when you have looked:".to_owned());
        for answer in ["done", "again", "abort"] {
            lines.push(format!("   {program} resolve {} {} {answer}", run.id, step.id));
        }
    }
    lines
}

/// What a person has to know about the steps of a run that failed and are held, and what to type.
#[must_use]
pub fn held(run: &Run, program: &str, columns: Width) -> Vec<String> {
    let mut lines = Vec::new();
    for (step, state) in run.held() {
        lines.push(rule(&format!("HELD · {}", named(&run.plan, &step.id)), columns));
        let reason = state.result.as_ref().and_then(|result| result.reason.as_ref()).or_else(|| state.remarks.last());
        lines.extend(hanging("   failed  ", &clean(reason.map_or("", String::as_str)), columns));
        lines.extend(hanging("   means   ", &clean(&step.failure), columns));
        if !step.repeat.is_empty() {
            lines.extend(hanging("   again   ", &clean(&step.repeat), columns));
        }
        lines.push("   Nothing more is done until you say so. When you have looked and mended:".to_owned());
        for answer in ["again", "done", "abort"] {
            lines.push(format!("   {program} resolve {} {} {answer}", run.id, step.id));
        }
        for (decision, choice) in machine::ways_past(run) {
            lines.push(format!("   {program} decide {} {} {}", run.id, decision.id, choice::typed(choice)));
        }
    }
    lines
}

/// What to type for a gate or a decision that nobody is there to answer.
#[must_use]
pub fn waiting(run: &Run, step: &Step, program: &str, columns: Width) -> Vec<String> {
    let (what, ways) = match &step.kind {
        StepKind::Gate { answer, .. } => {
            ("gate", vec![format!("   {program} approve {} {} {}", run.id, step.id, command_text::shell_word(answer))])
        }
        StepKind::Decision { choices, .. } => {
            let way = |way: &Choice| format!("   {program} decide {} {} {}", run.id, step.id, choice::typed(way));
            ("decision", choices.iter().map(way).collect())
        }
        _ => return Vec::new(),
    };
    let mut lines = hanging(
        "   ",
        &format!(
            "Run {} waits at {what} '{}'. Nothing is lost. When you are ready, look and answer there:",
            run.id, step.id
        ),
        columns,
    );
    lines.push(format!("   {program} attach {}", run.id));
    lines.push("   or answer from anywhere, or end the run:".to_owned());
    lines.extend(ways);
    lines.push(format!("   {program} abort {}", run.id));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_a_row_are_one_range() {
        assert_eq!(ranges(&[1, 2, 3, 5, 8, 9]), "1-3, 5, 8-9");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn durations_have_units_and_no_needless_digits() {
        let shown: Vec<String> = [0, 450, 9_999, 12_400, 184_000, 7_260_000].map(seconds).to_vec();
        assert_eq!(shown, ["0.0 s", "0.4 s", "9.9 s", "12 s", "3 min 04 s", "2 h 01 min"]);
    }
}
