//! Moving: rows, pages, ends, minutes, matches.

use super::{accident, complain, plan, run, say};
use crate::ui::action::{Action, Anchor};
use crate::ui::model::{Model, Page, Panel, contains};
use crate::ui::pages;

/// Lines of a runbook that a page key goes by: fewer than any window shows.
const STEPS: isize = 8;

/// The cursor, or the text, by rows.
pub(super) fn rows(model: &mut Model, rows: isize, out: &mut Vec<Action>) {
    match model.page() {
        Page::Inventory => model.inventory.cursor.step(rows, model.inventory.rows.len()),
        Page::Timeline => {
            model.timeline.step_set(rows > 0, &model.inventory.reaches());
            model.timeline.choose(&model.inventory);
        }
        Page::Accident => accident::rows(model, rows),
        Page::Runbooks => {
            let count = model.runbooks.shown().count();
            model.runbooks.cursor.step(rows, count);
            model.runbooks.top = 0;
        }
        Page::Plan if model.plan.panel == Panel::Parameters => {
            let count = plan::count(model);
            model.plan.cursor.step(rows, count);
        }
        Page::Plan => model.plan.top = model.plan.top.saturating_add_signed(rows),
        Page::Run => choose_step(model, rows, out),
        Page::Runs => {
            let count = model.runs.shown().count();
            model.runs.cursor.step(rows, count);
        }
        Page::Transcript => scroll_transcript(model, rows),
        Page::Rehearsal => {}
        Page::Help => model.help_top = model.help_top.saturating_add_signed(rows),
    }
    settle(model);
}

/// No text is scrolled behind its end: the way back begins where it is seen.
fn settle(model: &mut Model) {
    let Some(most) = pages::last_top(model) else { return };
    match model.page() {
        Page::Help => model.help_top = model.help_top.min(most),
        Page::Plan => model.plan.top = model.plan.top.min(most),
        Page::Runbooks => model.runbooks.top = model.runbooks.top.min(most),
        _ => {}
    }
}

/// By pages.
pub(super) fn by_pages(model: &mut Model, pages: isize, out: &mut Vec<Action>) {
    let height = isize::try_from(model.page_rows().saturating_sub(2).max(1)).unwrap_or(1) * pages;
    match model.page() {
        Page::Run => scroll_output(model, pages < 0, out),
        Page::Timeline => minutes(model, pages as i64 * 60 * 24),
        Page::Plan => model.plan.top = model.plan.top.saturating_add_signed(height),
        Page::Runbooks => model.runbooks.top = model.runbooks.top.saturating_add_signed(pages * STEPS),
        _ => rows(model, height, out),
    }
    settle(model);
}

/// To the beginning or the end.
pub(super) fn ends(model: &mut Model, to_end: bool, out: &mut Vec<Action>) {
    let far = if to_end { isize::MAX / 2 } else { isize::MIN / 2 };
    match model.page() {
        Page::Timeline => {
            let reaches = model.inventory.reaches();
            model.timeline.jump(to_end, &reaches);
            model.timeline.choose(&model.inventory);
        }
        Page::Run => {
            let Some(state) = &mut model.run else { return };
            state.output.is_followed = to_end;
            let anchor = if to_end { Anchor::End } else { Anchor::From(0) };
            out.extend(state.output.key.clone().map(|key| Action::ReadOutput(key, anchor)));
        }
        Page::Plan if model.plan.panel == Panel::Text => model.plan.top = if to_end { usize::MAX / 2 } else { 0 },
        Page::Help => model.help_top = if to_end { usize::MAX / 2 } else { 0 },
        _ => rows(model, far, out),
    }
    settle(model);
}

/// The timeline's cursor.
pub(super) fn minutes(model: &mut Model, minutes: i64) {
    if model.page() == Page::Timeline {
        let reaches = model.inventory.reaches();
        model.timeline.step(minutes, &reaches);
        model.timeline.choose(&model.inventory);
    }
}

fn choose_step(model: &mut Model, rows: isize, out: &mut Vec<Action>) {
    let Some(state) = &mut model.run else { return };
    let last = state.run.as_ref().map_or(0, |run| run.steps.len().saturating_sub(1));
    state.chosen = Some(state.position().saturating_add_signed(rows).min(last));
    run::look(model, out);
}

fn scroll_output(model: &mut Model, up: bool, out: &mut Vec<Action>) {
    let Some(state) = &mut model.run else { return };
    let page = &state.output.page;
    let Some(key) = state.output.key.clone() else { return };
    if up {
        state.output.is_followed = false;
        // The first line that is shown becomes the last: a page up with one line kept.
        let shown = page.lines.get(1).map_or(page.start, |(start, _)| *start);
        out.push(Action::ReadOutput(key, Anchor::Before(shown.max(1).min(page.end))));
    } else if page.end >= page.length {
        state.output.is_followed = true;
        out.push(Action::ReadOutput(key, Anchor::End));
    } else {
        let from = page.lines.last().map_or(page.end, |(start, _)| *start);
        out.push(Action::ReadOutput(key, Anchor::From(from)));
    }
}

fn scroll_transcript(model: &mut Model, rows: isize) {
    let count = model.transcript.lines.as_ref().map_or(0, Vec::len);
    let most = count.saturating_sub(model.page_rows());
    model.transcript.top = model.transcript.top.saturating_add_signed(rows).min(most);
}

/// The next place that was searched for, or the one before.
pub(super) fn find(model: &mut Model, backwards: bool, out: &mut Vec<Action>) {
    match model.page() {
        Page::Run => find_in_output(model, backwards, out),
        Page::Transcript => find_in_transcript(model, backwards),
        _ => {}
    }
}

fn find_in_output(model: &mut Model, backwards: bool, out: &mut Vec<Action>) {
    let Some(state) = &mut model.run else { return };
    if state.output.search.is_empty() {
        complain(model, "nothing is searched for: / asks for it");
        return;
    }
    let Some(output) = state.output.key.clone() else { return };
    let page = &state.output.page;
    let from = if backwards { page.start } else { page.lines.get(1).map_or(page.end, |(start, _)| *start) };
    let from = if state.output.is_followed && !backwards { 0 } else { from };
    let text = state.output.search.clone();
    out.push(Action::SearchOutput { output, text, from, backwards });
}

fn find_in_transcript(model: &mut Model, backwards: bool) {
    let transcript = &mut model.transcript;
    let (Some(lines), wanted) = (&transcript.lines, &transcript.search) else { return };
    let holds = |index: &usize| lines.get(*index).is_some_and(|line| contains(line, wanted));
    let found = if wanted.is_empty() {
        None
    } else if backwards {
        (0..transcript.top).rev().find(holds)
    } else {
        (transcript.top + 1..lines.len()).find(holds)
    };
    let text = format!("'{wanted}' stands at no other place {}", if backwards { "above" } else { "below" });
    match found {
        Some(found) => transcript.top = found,
        None => say(model, &text),
    }
}
