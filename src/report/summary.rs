//! A plan at a glance, as `lifeboat run` shows it: what is done to what, the steps, and where the rest is to be read.

use crate::domain::event::RunId;
use crate::domain::plan::{Plan, Step, StepKind, When};
use crate::domain::text::clean;
use crate::planning::selection::Choice;
use crate::report::gate::{hanging, rule};
use crate::report::width::Width;

/// Checks in a row from this number on are one line.
const FOLDED_FROM: usize = 3;
/// Parameters that the reason for the choice, the header or another parameter already tells.
const TOLD_ELSEWHERE: [&str; 3] = ["repository", "set", "target-type"];

/// The lines. `program` is how it is called to find the run.
#[must_use]
pub fn lines(plan: &Plan, run: &RunId, choice: &Choice, host: &str, program: &str, columns: Width) -> Vec<String> {
    let mut lines = vec![rule(
        &format!("{} · run {run} · host {} · plan {}", plan.runbook, clean(host), plan.seal.short()),
        columns,
    )];
    lines.extend(hanging("   ", &clean(&plan.title), columns));
    lines.push(String::new());
    lines.extend(hanging("   set        ", &clean(&choice.reason), columns));
    for warning in &choice.warnings {
        lines.extend(hanging("     !        ", &clean(warning), columns));
    }
    for (name, value) in plan.parameters.iter().filter(|(name, _)| !TOLD_ELSEWHERE.contains(&name.as_str())) {
        lines.extend(hanging(&format!("   {:<9}  ", clean(name)), &clean(value), columns));
    }
    lines.push(String::new());
    lines.extend(steps(plan, columns));
    lines.push(String::new());
    lines.push("   ! can't be undone: a gate before it waits for a typed answer.".to_owned());
    lines.push("   Every command is shown when it starts. All of it, reasons included:".to_owned());
    lines.push(format!("   {program} transcript {run}"));
    lines
}

fn steps(plan: &Plan, columns: Width) -> Vec<String> {
    let due: Vec<(usize, &Step)> = plan
        .steps
        .iter()
        .enumerate()
        .map(|(index, step)| (index + 1, step))
        .filter(|(_, step)| step.ruled_out.is_none())
        .collect();
    let mut lines = Vec::new();
    let mut rest = due.as_slice();
    while let Some((number, step)) = rest.first() {
        let checks = rest.iter().take_while(|(_, step)| matches!(step.kind, StepKind::Check { .. })).count();
        if checks >= FOLDED_FROM {
            lines.push(format!(
                "   {:>5}    {checks} checks: they ask and change nothing",
                format!("{number}-{}", rest[checks - 1].0)
            ));
            rest = &rest[checks..];
            continue;
        }
        let mark = if step.destructive { '!' } else { ' ' };
        let title = clean(&step.title);
        let text = match (&step.kind, step.when) {
            (StepKind::Gate { answer, .. }, _) => format!("GATE: {title} (type {})", clean(answer)),
            (_, When::Failure) => format!("{title} (only after a failure)"),
            _ => title,
        };
        lines.extend(hanging(&format!("   {number:>5} {mark}  "), &text, columns));
        rest = &rest[1..];
    }
    lines
}
