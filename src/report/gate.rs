//! A gate as text: what will be lost, where, what was kept, and what has to be typed. For 80 columns.

use crate::domain::plan::{Step, StepKind};
use crate::domain::run::{GateState, Run};

/// The lines of an open gate, without the prompt.
#[must_use]
pub fn lines(run: &Run, step: &Step, gate: &GateState) -> Vec<String> {
    let StepKind::Gate { shows, .. } = &step.kind else { return Vec::new() };
    let position = run.plan.position(&step.id).map_or(0, |position| position + 1);
    let again = if gate.opening > 1 { " · opened again" } else { "" };
    let mut lines = vec![format!("── gate · step {position} of {}{again} · {}", run.plan.steps.len(), step.title)];
    lines.extend(wrapped("   ", &step.why));
    let width = shows.iter().map(|shown| shown.label.chars().count()).max().unwrap_or(0);
    for shown in shows {
        let label = format!("   {:<width$}  ", shown.label);
        lines.extend(hanging(&label, &shown.value.to_string()));
    }
    if !gate.drift.is_empty() {
        lines.push("   changed since the plan was approved:".to_owned());
        for drift in &gate.drift {
            let before = drift.before.as_deref().unwrap_or("not known");
            let now = drift.now.as_deref().unwrap_or("can't be read any more");
            lines.extend(hanging("     ! ", &format!("{}: was {before}, is {now}", drift.fact)));
        }
    }
    for next in dangerous_steps(run, position) {
        lines.extend(hanging("   then   ", &next));
    }
    let head = run.head.to_string();
    lines.push(format!("   plan {}   journal head {}…", gate.seal.short(), &head[..16]));
    lines
}

/// The commands this gate lets pass that can't be undone, up to the next gate.
fn dangerous_steps(run: &Run, position: usize) -> Vec<String> {
    run.plan.steps[position..]
        .iter()
        .take_while(|step| !matches!(step.kind, StepKind::Gate { .. }))
        .filter(|step| step.destructive && step.ruled_out.is_none())
        .map(|step| match step.kind.command() {
            Some(command) => {
                let words: Vec<String> = command.argv.iter().map(ToString::to_string).collect();
                format!("{}: {}", step.title, words.join(" "))
            }
            None => step.title.clone(),
        })
        .collect()
}

/// Wraps `text` at 80 columns behind `indent`.
#[must_use]
pub fn wrapped(indent: &str, text: &str) -> Vec<String> {
    hanging(indent, text)
}

/// Wraps `text` at 80 columns; the first line begins with `label`, the others are indented as far.
#[must_use]
pub fn hanging(label: &str, text: &str) -> Vec<String> {
    let indent = unicode_width::UnicodeWidthStr::width(label);
    let mut lines = vec![label.to_owned()];
    let mut column = indent;
    for word in text.split_whitespace() {
        let width = unicode_width::UnicodeWidthStr::width(word);
        if column > indent && column + 1 + width > 80 {
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
    fn wraps_at_eighty_columns_and_keeps_the_indent() {
        let lines = hanging("   why  ", &"word ".repeat(40));
        assert!(lines.len() > 2);
        assert!(lines.iter().all(|line| line.chars().count() <= 80), "{lines:?}");
        assert!(lines[1].starts_with("        word"), "{lines:?}");
    }

    #[test]
    fn keeps_a_word_that_fits_nowhere_whole() {
        let long = "x".repeat(200);
        assert_eq!(hanging("a ", &long), [format!("a {long}")]);
    }
}
