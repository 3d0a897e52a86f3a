//! The rehearsal: the page that the engineer on call got, the clock, and at the end the score.

use crate::domain::text::clean;
use crate::engine::rehearsal::{Incident, Score};
use crate::report::lines::seconds;
use crate::ui::model::Model;
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::widgets;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Columns of the page beside the clock and the score.
const PAGE_COLUMNS: u16 = 70;
/// Columns of text at the most: a page is read.
const WIDTH: usize = 96;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = &model.rehearsal;
    let Some(incident) = &state.incident else {
        let inner = widgets::panel(buffer, area, paint, "Rehearsal", "");
        let text = match (&state.problem, &state.directory) {
            (Some(problem), _) => problem.clone(),
            (None, Some(directory)) => format!(
                "Nothing has happened to the practice cluster in {0}. To let something happen: lifeboat rehearse --break {0}",
                directory.display()
            ),
            (None, None) => "This is no practice cluster. `lifeboat rehearse` builds one and breaks it.".to_owned(),
        };
        let lines = widgets::paragraph(paint, Role::Text, &text, usize::from(inner.width));
        widgets::lines(buffer, inner, &lines);
        return;
    };
    let page = page_lines(paint, incident, usize::from(area.width.min(PAGE_COLUMNS)));
    let rows = u16::try_from(page.len() + 2).unwrap_or(area.height);
    let (left, right) = widgets::split(area, PAGE_COLUMNS, rows);
    let remark = format!("paged at {}", model.setup.zone.clock(incident.paged_at));
    let inner = widgets::panel(buffer, left, paint, "The page", &remark);
    widgets::lines(buffer, inner, &page);
    let title = if matches!(state.score, Some(Ok(_))) { "The score" } else { "The clock" };
    let inner = widgets::panel(buffer, right, paint, title, "");
    let width = usize::from(inner.width).min(WIDTH);
    let lines = match &state.score {
        Some(Ok(score)) => score_lines(paint, score, width),
        _ => clock_lines(model, paint, incident, width),
    };
    widgets::lines(buffer, inner, &lines);
}

fn page_lines(paint: Paint<'_>, incident: &Incident, width: usize) -> Vec<Line<'static>> {
    incident.page.trim().lines().flat_map(|line| widgets::paragraph(paint, Role::Text, &clean(line), width)).collect()
}

fn clock_lines(model: &Model, paint: Paint<'_>, incident: &Incident, width: usize) -> Vec<Line<'static>> {
    let passed = (model.utc() - incident.paged_at).num_seconds().max(0);
    let mut rows = vec![("since then", seconds(u64::try_from(passed).unwrap_or(0).saturating_mul(1000)))];
    let run = model
        .runs
        .cards
        .iter()
        .flatten()
        .find(|card| card.told.as_ref().is_ok_and(|told| told.began.to_utc() > incident.paged_at));
    match run.and_then(|card| Some((card, card.told.as_ref().ok()?))) {
        None => {
            rows.push(("now", "Enter: give the moment to recover to, then take pitr-in-place".to_owned()));
            rows.push(("the time", "some seconds wrong: 5 looks in the WAL for the transaction".to_owned()));
            rows.push(("gates", "g goes to one; the answer is the stanza's name, typed".to_owned()));
            rows.push(("the pause", "look, move the target as often as you need, promote or give up".to_owned()));
        }
        Some((card, told)) if told.is_open => {
            rows.push(("now", format!("run {} is {}: 4, then Enter leads to it", card.id, told.outcome)));
        }
        Some((card, told)) => rows.push(("the run", format!("{} is {}", card.id, told.outcome))),
    }
    if let Some(Err(why)) = &model.rehearsal.score {
        rows.push(("score", format!("not known: {}", clean(why))));
    } else if model.rehearsal.is_asking {
        rows.push(("score", "being asked for".to_owned()));
    }
    widgets::pairs(paint, &rows, width)
}

fn score_lines(paint: Paint<'_>, score: &Score, width: usize) -> Vec<Line<'static>> {
    let time = score.seconds.map_or_else(
        || "the shop has not taken an order yet".to_owned(),
        |seconds| format!("{seconds} s from the page to the first order"),
    );
    let rows = [
        ("rows lost", format!("{} of {}", score.rows_lost, score.rows_expected)),
        ("rows left", format!("{} committed after the accident", score.rows_left)),
        ("time", time),
    ];
    let mut lines = widgets::pairs(paint, &rows, width);
    lines.push(Line::default());
    let right = score.right.iter().map(|line| ("✔", Role::Good, line));
    let wrong = score.wrong.iter().map(|line| ("✗", Role::Bad, line));
    for (mark, role, line) in wrong.chain(right) {
        for (index, text) in crate::ui::width::wrap(&paint.letters(line), width.saturating_sub(2)).iter().enumerate() {
            let mark = if index == 0 { mark } else { " " };
            lines.push(paint.pieces(&[(role, mark), (Role::Text, " "), (Role::Text, text)]));
        }
    }
    lines
}
