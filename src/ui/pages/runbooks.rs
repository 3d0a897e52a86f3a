//! What can be done: the runbooks, and the steps of the one under the cursor.

use crate::domain::text::clean_lines;
use crate::planning::runbook::Runbook;
use crate::ui::event::RunbookCard;
use crate::ui::model::Model;
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::times::{ago, span};
use crate::ui::widgets;
use crate::ui::width::{fit, pad};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Clear, Widget as _};

/// Columns of the list beside a runbook.
const LIST_COLUMNS: u16 = 60;
/// Columns of a runbook's name.
const NAME_COLUMNS: usize = 20;
/// Columns of a step's kind.
const KIND_COLUMNS: usize = 9;
/// Rows of the list above it.
const LIST_ROWS: u16 = 6;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let (list, detail) = widgets::split(area, LIST_COLUMNS, LIST_ROWS);
    let filter = &model.runbooks.filter;
    let remark = if filter.is_empty() { String::new() } else { format!("only '{filter}'") };
    let inner = widgets::panel(buffer, list, paint, "Runbooks", &remark);
    let cards: Vec<&RunbookCard> = model.runbooks.shown().collect();
    if cards.is_empty() {
        let text = match (&model.runbooks.problem, &model.runbooks.cards) {
            (Some(problem), _) => format!("{problem}. r looks again"),
            (None, None) => "Reading the runbooks.".to_owned(),
            (None, Some(_)) => "No runbook fits.".to_owned(),
        };
        let lines = widgets::paragraph(paint, Role::Text, &text, usize::from(inner.width));
        widgets::lines(buffer, inner, &lines);
        return;
    }
    widgets::list(buffer, inner, paint, cards.len(), Some(model.runbooks.cursor.at), |index| {
        let card = cards[index];
        let (role, title) = match &card.runbook {
            Ok(runbook) => (Role::Text, runbook.title.clone()),
            Err(_) => (Role::Bad, "✗ has mistakes".to_owned()),
        };
        let name = pad(&paint.letters(&card.name), NAME_COLUMNS);
        let title = fit(&paint.letters(&title), usize::from(inner.width).saturating_sub(NAME_COLUMNS + 3));
        paint.pieces(&[(Role::Title, &name), (Role::Text, "  "), (role, &title)])
    });
    let Some(card) = model.runbooks.current() else { return };
    let inner = widgets::panel(buffer, detail, paint, &card.name, &last_time(model, &card.name));
    let lines = card_lines(paint, card, usize::from(inner.width));
    let most = lines.len().saturating_sub(usize::from(inner.height));
    let top = model.runbooks.top.min(most);
    widgets::lines(buffer, inner, &lines[top..]);
    if top < most {
        let last = Rect { y: inner.y + inner.height.saturating_sub(1), height: 1.min(inner.height), ..inner };
        Clear.render(last, buffer);
        let more = lines.len() - top + 1 - usize::from(inner.height);
        widgets::lines(buffer, last, &[paint.line(Role::Faint, &format!("…  {more} more: PgDn"))]);
    }
}

pub(super) fn last_top(model: &Model, paint: Paint<'_>, area: Rect) -> usize {
    let inner = widgets::inside(widgets::split(area, LIST_COLUMNS, LIST_ROWS).1);
    let lines = model.runbooks.current().map(|card| card_lines(paint, card, usize::from(inner.width)));
    lines.map_or(0, |lines| lines.len().saturating_sub(usize::from(inner.height)))
}

/// How long it took last time.
fn last_time(model: &Model, name: &str) -> String {
    let mut runs = model.runs.cards.iter().flatten().filter_map(|card| card.told.as_ref().ok());
    match runs.find(|told| told.runbook == name && told.ended.is_some()) {
        Some(told) => {
            let ended = told.ended.unwrap_or(told.began);
            let took = span((ended - told.began).num_seconds());
            format!("last time {}, it took {took}, {}", told.outcome, ago(ended.to_utc(), model.utc()))
        }
        None => "not run on this host yet".to_owned(),
    }
}

fn card_lines(paint: Paint<'_>, card: &RunbookCard, width: usize) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    if let Some(file) = &card.file {
        lines.extend(widgets::pairs(paint, &[("file", file.display().to_string())], width));
    }
    match &card.runbook {
        Err(problem) => {
            for line in problem.lines() {
                lines.extend(widgets::paragraph(paint, Role::Bad, line, width));
            }
        }
        Ok(runbook) => lines.extend(runbook_lines(paint, runbook, width)),
    }
    lines
}

fn runbook_lines(paint: Paint<'_>, runbook: &Runbook, width: usize) -> Vec<Line<'static>> {
    let about = clean_lines(runbook.about.trim()).replace('\n', " ");
    let mut lines = widgets::paragraph(paint, Role::Text, &about, width);
    lines.push(Line::default());
    for (index, step) in runbook.steps.iter().enumerate() {
        let (mark, role) = if step.destructive { ("!", Role::Warning) } else { (" ", Role::Text) };
        let number = format!("{:>3} ", index + 1);
        let kind = pad(step.action.word(), KIND_COLUMNS);
        let title = fit(&paint.letters(&step.title), width.saturating_sub(number.len() + 2 + KIND_COLUMNS));
        lines.push(paint.pieces(&[
            (Role::Faint, &number),
            (role, mark),
            (Role::Text, " "),
            (Role::Faint, &kind),
            (role, &title),
        ]));
    }
    lines.push(Line::default());
    lines.push(paint.line(Role::Faint, "! can't be undone: a gate stands before it"));
    lines
}
