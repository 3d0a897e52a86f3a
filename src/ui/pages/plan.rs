//! What would be done: parameters, facts, every command, the seal. Nothing has begun.

use crate::domain::plan::{Plan, Step, StepKind, When};
use crate::ui::model::{Model, Panel};
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::widgets;
use crate::ui::width::{fit, pad};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Columns of the parameters beside the plan.
const FORM_COLUMNS: u16 = 56;
/// Rows of the parameters above it.
const FORM_ROWS: u16 = 8;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let (form, text) = widgets::split(area, FORM_COLUMNS, FORM_ROWS);
    draw_form(model, paint, buffer, form);
    let state = &model.plan;
    let seal = state.proposal.as_ref().map(|proposal| format!("seal {}", proposal.plan.seal.short()));
    let remark = match (&seal, state.is_asking, state.is_beginning) {
        (_, _, true) => "the run is being begun".to_owned(),
        (_, true, _) => "the plan is being made".to_owned(),
        (Some(seal), ..) if model.setup.read_only => format!("{seal} · read-only: no run begins here"),
        (Some(seal), ..) => format!("{seal} · b begins the run"),
        (None, ..) => "no plan".to_owned(),
    };
    let focus = if state.panel == Panel::Text { "Plan ▸" } else { "Plan" };
    let inner = widgets::panel(buffer, text, paint, focus, &remark);
    let lines = text_lines(model, paint, usize::from(inner.width));
    let most = lines.len().saturating_sub(usize::from(inner.height));
    widgets::lines(buffer, inner, &lines[state.top.min(most)..]);
}

pub(super) fn last_top(model: &Model, paint: Paint<'_>, area: Rect) -> usize {
    let inner = widgets::inside(widgets::split(area, FORM_COLUMNS, FORM_ROWS).1);
    text_lines(model, paint, usize::from(inner.width)).len().saturating_sub(usize::from(inner.height))
}

fn draw_form(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = &model.plan;
    let focus = if state.panel == Panel::Parameters { "Parameters ▸" } else { "Parameters" };
    let inner = widgets::panel(buffer, area, paint, focus, "");
    let runbook = model.runbooks.named(&state.runbook).and_then(|card| card.runbook.as_ref().ok());
    let Some(runbook) = runbook else {
        let text = if state.runbook.is_empty() {
            "No plan was asked for: choose a runbook (3), a set (1) or a moment (2)."
        } else {
            "The runbook is being read."
        };
        let lines = widgets::paragraph(paint, Role::Text, text, usize::from(inner.width));
        widgets::lines(buffer, inner, &lines);
        return;
    };
    let bound = state.proposal.as_ref().map(|proposal| &proposal.plan.parameters);
    let names: Vec<&String> = runbook.parameters.keys().collect();
    let longest = names.iter().map(|name| name.len()).max().unwrap_or(0);
    let cursor = (state.panel == Panel::Parameters).then_some(state.cursor.at);
    widgets::list(buffer, inner, paint, names.len(), cursor, |index| {
        let name = names[index];
        let given = state.given.get(name);
        let value = given.or_else(|| bound.and_then(|bound| bound.get(name)));
        let (role, mark) = if given.is_some() { (Role::Accent, "given  ") } else { (Role::Faint, "found  ") };
        let value = value.cloned().unwrap_or_else(|| if state.is_asking { "…".into() } else { "–".into() });
        let room = usize::from(inner.width).saturating_sub(longest + 11);
        let value = fit(&paint.letters(&value), room);
        let label = pad(&paint.letters(name), longest + 2);
        paint.pieces(&[(Role::Faint, &label), (role, mark), (Role::Text, &value)])
    });
}

fn text_lines(model: &Model, paint: Paint<'_>, width: usize) -> Vec<Line<'static>> {
    let state = &model.plan;
    if let Some(problem) = &state.problem {
        let mut lines = vec![paint.line(Role::Bad, "✗ There is no plan. Nothing was changed.")];
        for line in problem.lines() {
            lines.extend(widgets::paragraph(paint, Role::Text, line, width));
        }
        return lines;
    }
    let Some(proposal) = &state.proposal else {
        if state.is_searching() {
            return searching(model, paint, width);
        }
        let text = if state.is_asking { "The machine is being read." } else { "" };
        return widgets::paragraph(paint, Role::Faint, text, width);
    };
    let plan = &proposal.plan;
    let mut lines = widgets::paragraph(paint, Role::Title, &plan.title, width);
    let mut rows = vec![("set", proposal.choice.reason.clone())];
    if let Some(outlook) = &proposal.outlook {
        rows.extend([("keeps", outlook.keeps.clone()), ("discards", outlook.discards.clone())]);
    }
    lines.extend(widgets::pairs(paint, &rows, width));
    let warnings: Vec<(&str, String)> = proposal.choice.warnings.iter().map(|warning| ("!", warning.clone())).collect();
    lines.extend(widgets::pairs(paint, &warnings, width));
    lines.push(Line::default());
    let due = plan.steps.iter().filter(|step| step.ruled_out.is_none()).count();
    lines.push(paint.line(Role::Title, &format!("Steps: {due} of {} are due", plan.steps.len())));
    for (index, step) in plan.steps.iter().enumerate() {
        lines.extend(step_lines(paint, index + 1, step, width));
    }
    lines.push(Line::default());
    lines.extend(facts(paint, plan, width));
    lines.extend(widgets::pairs(paint, &[("seal", plan.seal.to_string())], width));
    lines
}

/// How far the search for the accident is, and how it ends.
fn searching(model: &Model, paint: Paint<'_>, width: usize) -> Vec<Line<'static>> {
    let state = &model.plan;
    let text = "The WAL of that time is read for the accident, and the target is filled in.";
    let mut lines = widgets::paragraph(paint, Role::Text, text, width);
    lines.push(Line::default());
    if let Some(progress) = &state.progress {
        let bar = widgets::bar(progress.place as u64, progress.of as u64, width.saturating_sub(2).min(60));
        let text = format!("{} of {} · {}", progress.place, progress.of, progress.segment);
        lines.extend([paint.line(Role::Accent, &bar), paint.line(Role::Text, &text), Line::default()]);
    }
    let word = match state.is_leaving {
        true => "being broken off",
        false => "Esc breaks it off: there is no plan then, and nothing is changed",
    };
    lines.extend(widgets::paragraph(paint, Role::Faint, word, width));
    lines
}

fn facts(paint: Paint<'_>, plan: &Plan, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![paint.line(Role::Title, "Facts, read from the machine; a gate opens again when one changes")];
    let facts = &plan.facts;
    let identity: Vec<(&str, String)> =
        facts.identity.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    lines.extend(widgets::pairs(paint, &identity, width));
    let thresholds: Vec<(&str, String)> =
        facts.thresholds.iter().map(|(name, found)| (name.as_str(), found.words())).collect();
    lines.extend(widgets::pairs(paint, &thresholds, width));
    lines.push(Line::default());
    lines.push(paint.line(Role::Title, "Environment of every command"));
    let environment: Vec<(&str, String)> =
        plan.environment.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    lines.extend(widgets::pairs(paint, &environment, width));
    lines.push(Line::default());
    lines
}

fn step_lines(paint: Paint<'_>, number: usize, step: &Step, width: usize) -> Vec<Line<'static>> {
    let (mark, role) = if step.destructive { ("!", Role::Warning) } else { (" ", Role::Text) };
    let number = format!("{number:>3} ");
    let kind = pad(step.kind.word(), 8);
    if let Some(reason) = &step.ruled_out {
        let title = format!("{}: not done here, {reason}", step.title);
        let title = fit(&paint.letters(&title), width.saturating_sub(14));
        return vec![paint.pieces(&[
            (Role::Faint, &number),
            (Role::Faint, "– "),
            (Role::Faint, &kind),
            (Role::Faint, &title),
        ])];
    }
    let mut lines = vec![Line::default()];
    let when = match step.when {
        When::Success => "",
        When::Always => "  (in any case)",
        When::Failure => "  (only after a failure)",
    };
    lines.push(paint.pieces(&[
        (Role::Faint, &number),
        (role, mark),
        (Role::Text, " "),
        (Role::Faint, &kind),
        (Role::Title, &step.title),
        (Role::Faint, when),
    ]));
    lines.extend(indented(widgets::paragraph(paint, Role::Faint, &step.why, width.saturating_sub(6))));
    match &step.kind {
        StepKind::Gate { answer, shows } => {
            let mut rows: Vec<(&str, String)> =
                shows.iter().map(|shown| (shown.label.as_str(), shown.planned())).collect();
            rows.push(("to be typed", answer.clone()));
            lines.extend(indented(widgets::pairs(paint, &rows, width.saturating_sub(6))));
        }
        StepKind::Decision { shows, choices } => {
            let mut rows: Vec<(&str, String)> =
                shows.iter().map(|shown| (shown.label.as_str(), shown.planned())).collect();
            rows.extend(choices.iter().map(|choice| (choice.id.as_str(), choice.title.clone())));
            lines.extend(indented(widgets::pairs(paint, &rows, width.saturating_sub(6))));
        }
        StepKind::Note { text } => {
            lines.extend(indented(widgets::paragraph(paint, Role::Text, &text.to_string(), width.saturating_sub(6))));
        }
        kind => {
            if let Some(command) = kind.command() {
                lines.extend(indented(widgets::command(paint, command, width.saturating_sub(6))));
            }
        }
    }
    lines
}

fn indented(lines: Vec<Line<'static>>) -> impl Iterator<Item = Line<'static>> {
    lines.into_iter().map(|mut line| {
        line.spans.insert(0, "      ".into());
        line
    })
}
