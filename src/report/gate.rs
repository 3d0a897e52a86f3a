//! A gate or a decision as text: what will be lost, where, what was kept, and what has to be typed.

use crate::domain::plan::{Step, StepKind};
use crate::domain::run::{GateState, Run};
use crate::domain::text::clean;
use crate::report::width::Width;
use crate::report::{choice, command_text};
use unicode_width::UnicodeWidthStr as _;

/// The columns of a label; a longer one moves its own line only.
const LABEL: usize = 12;

/// The lines of an open gate, without the prompt. The exact command comes first, so that on a small screen what it is
/// about stays in sight, next to the prompt.
#[must_use]
pub fn lines(run: &Run, step: &Step, gate: &GateState, columns: Width) -> Vec<String> {
    let (StepKind::Gate { shows, .. } | StepKind::Decision { shows, .. }) = &step.kind else { return Vec::new() };
    let position = run.plan.position(&step.id).map_or(0, |position| position + 1);
    let is_gate = matches!(step.kind, StepKind::Gate { .. });
    let mut lines = if is_gate { dangerous_steps(run, position, columns) } else { Vec::new() };
    let again = if gate.opening > 1 && is_gate { " OPENED AGAIN" } else { "" };
    let title = clean(&step.title);
    let word = if is_gate { "GATE" } else { "DECISION" };
    lines.push(rule(&format!("{word}{again} · step {position} of {} · {title}", run.plan.steps.len()), columns));
    lines.extend(hanging("   ", &clean(&step.why), columns));
    let width = shows.iter().map(|shown| shown.label.width()).max().unwrap_or(0).min(LABEL);
    for shown in shows {
        let label = format!("   {:<width$}  ", clean(&shown.label));
        lines.extend(hanging(&label, &clean(&shown.told(&run.values)), columns));
    }
    if !gate.drift.is_empty() {
        let since = if gate.opening > 1 { "it was approved" } else { "the plan was made" };
        lines.push(format!("   CHANGED since {since}; an answer given beforehand does not count:"));
        for drift in &gate.drift {
            lines.extend(hanging("   ! ", &clean(&drift.fact), columns));
            lines.extend(hanging("       was  ", &clean(drift.before.as_deref().unwrap_or("not known")), columns));
            lines.extend(hanging(
                "       now  ",
                &clean(drift.now.as_deref().unwrap_or("not there, or it can't be read")),
                columns,
            ));
        }
    }
    if let StepKind::Decision { choices, .. } = &step.kind {
        lines.push("   Ways on:".to_owned());
        for choice in choices {
            lines.extend(hanging(&format!("   ▸ {:<12}  ", choice::typed(choice)), &clean(&choice.title), columns));
        }
    }
    let head = run.head.to_string();
    let place = format!(
        "run {} · host {} · plan {} · journal {}",
        run.id,
        clean(&run.host.name),
        gate.seal.short(),
        &head[..16]
    );
    lines.extend(hanging("   ", &place, columns));
    lines
}

/// The commands this gate lets pass that can't be undone, up to the next gate.
fn dangerous_steps(run: &Run, position: usize, columns: Width) -> Vec<String> {
    let mut lines = Vec::new();
    for (number, step) in lets_pass(run, position) {
        lines.extend(hanging(
            "   ",
            &format!("The gate lets pass step {number}, which can't be undone: {}", clean(&step.title)),
            columns,
        ));
        if let Some(command) = step.kind.command() {
            lines.extend(command_text::lines(command, columns));
        }
    }
    lines
}

/// The steps that can't be undone from a position (from 0) up to the next gate, with their numbers (from 1).
pub fn lets_pass(run: &Run, position: usize) -> impl Iterator<Item = (usize, &Step)> {
    run.plan.steps[position..]
        .iter()
        .enumerate()
        .take_while(|(_, step)| {
            !step.kind.asks_a_person() || step.ruled_out.is_some() || run.not_chosen(step).is_some()
        })
        .filter(|(_, step)| step.destructive && step.ruled_out.is_none() && run.not_chosen(step).is_none())
        .map(move |(offset, step)| (position + offset + 1, step))
}

/// A heading over the whole width.
#[must_use]
pub fn rule(text: &str, columns: Width) -> String {
    let width = columns.columns();
    let text: String = text.chars().take(width - 5).collect();
    let rest = width.saturating_sub(text.width() + 4);
    format!("── {text} {}", "─".repeat(rest))
}

/// Wraps `text`; the first line begins with `label`, the others are indented as far.
#[must_use]
pub fn hanging(label: &str, text: &str, columns: Width) -> Vec<String> {
    let indent = label.width();
    let mut lines = vec![label.to_owned()];
    let mut column = indent;
    for word in text.split_whitespace() {
        let width = word.width();
        if column > indent && column + 1 + width > columns.columns() {
            lines.push(" ".repeat(indent));
            column = indent;
        }
        if let Some(line) = lines.last_mut() {
            if column > indent {
                line.push(' ');
                column += 1;
            }
            line.push_str(word);
            column += width;
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_within_the_columns_and_keeps_the_indent() {
        let lines = hanging("   why  ", &"word ".repeat(40), Width::USUAL);
        assert!(lines.len() > 2);
        assert!(lines.iter().all(|line| line.chars().count() <= 79), "{lines:?}");
        assert!(lines[1].starts_with("        word"), "{lines:?}");
    }

    #[test]
    fn keeps_a_word_that_fits_nowhere_whole() {
        let long = "x".repeat(200);
        assert_eq!(hanging("a ", &long, Width::USUAL), [format!("a {long}")]);
    }
}
