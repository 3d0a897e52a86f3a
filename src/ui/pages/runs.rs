//! What was done on this host and what goes on.

use super::run::outcome;
use crate::ui::event::RunCard;
use crate::ui::model::Model;
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::times::{ago, span};
use crate::ui::widgets;
use crate::ui::width::{pad, pad_left};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let (list, detail) = widgets::split(area, 82, area.height.saturating_sub(7));
    let filter = &model.runs.filter;
    let remark = if filter.is_empty() { String::new() } else { format!("only '{filter}'") };
    let inner = widgets::panel(buffer, list, paint, "Runs on this host", &remark);
    let cards: Vec<&RunCard> = model.runs.shown().collect();
    if cards.is_empty() {
        let text = match (&model.runs.problem, &model.runs.cards) {
            (Some(problem), _) => format!("{problem}. r looks again"),
            (None, None) => "Reading the runs.".to_owned(),
            (None, Some(_)) if !filter.is_empty() => "No run fits.".to_owned(),
            (None, Some(_)) => "No run on this host yet: d on a backup set plans the first drill.".to_owned(),
        };
        let lines = widgets::paragraph(paint, Role::Text, &text, usize::from(inner.width));
        widgets::lines(buffer, inner, &lines);
        return;
    }
    widgets::list(buffer, inner, paint, cards.len(), Some(model.runs.cursor.at), |index| {
        row(model, paint, cards[index])
    });
    if let Some(card) = model.runs.current() {
        let inner = widgets::panel(buffer, detail, paint, &format!("Run {}", card.id), "");
        widgets::lines(buffer, inner, &card_lines(model, paint, card, usize::from(inner.width)));
    }
}

fn row(model: &Model, paint: Paint<'_>, card: &RunCard) -> Line<'static> {
    let id = pad(card.id.as_str(), 10);
    let told = match &card.told {
        Ok(told) => told,
        Err(_) => return paint.pieces(&[(Role::Title, &id), (Role::Bad, "✗ its journal can't be read")]),
    };
    let (mark, role) = outcome(told.outcome);
    let word =
        if told.is_open && !card.is_runner_alive && told.outcome == "running" { "no runner" } else { told.outcome };
    let state = pad(&format!("{mark} {word}"), 11);
    let end = told.ended.unwrap_or(model.now);
    let took = span((end - told.began).num_seconds().max(0));
    let runbook = pad(&paint.letters(&told.runbook), 18);
    let when = pad_left(&ago(told.began.to_utc(), model.utc()), 11);
    let by = pad(&paint.letters(&told.by), 12);
    paint.pieces(&[
        (Role::Title, &id),
        (role, &state),
        (Role::Text, " "),
        (Role::Text, &runbook),
        (Role::Faint, &when),
        (Role::Faint, "  "),
        (Role::Faint, &by),
        (Role::Text, &pad_left(&took, 7)),
    ])
}

fn card_lines(model: &Model, paint: Paint<'_>, card: &RunCard, width: usize) -> Vec<Line<'static>> {
    let told = match &card.told {
        Ok(told) => told,
        Err(problem) => return widgets::paragraph(paint, Role::Bad, problem, width),
    };
    let zone = model.setup.zone;
    let mut rows =
        vec![("about", told.about.clone()), ("begun", format!("{} by {}", zone.both(told.began.to_utc()), told.by))];
    match told.ended {
        Some(ended) => {
            rows.push(("ended", format!("{} · {}", zone.both(ended.to_utc()), ago(ended.to_utc(), model.utc()))))
        }
        None => {
            let gate = told.gate.as_ref().map(|gate| format!("waits at gate {gate}: Enter opens it"));
            let alive = if card.is_runner_alive { "goes on" } else { "its runner is gone: opening it starts another" };
            rows.push(("now", gate.unwrap_or_else(|| alive.to_owned())));
        }
    }
    widgets::pairs(paint, &rows, width)
}
