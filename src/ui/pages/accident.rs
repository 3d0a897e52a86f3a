//! What happened: rows changed over time, the suspects in commit order, and what is known of one of them.

use crate::engine::accident::Progress;
use crate::planning::accident::{Answer, Counts, Suspect, discards, keeps};
use crate::report::accident::{of_relation, records, target, utc, waldump};
use crate::report::inventory::bytes;
use crate::ui::event::AccidentFound;
use crate::ui::model::{Model, Panel};
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::times::span;
use crate::ui::widgets;
use crate::ui::width::{fit, pad, pad_left};
use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Columns of the suspects beside what is known of one, of a page that is wide and of one that is very wide.
const LIST_COLUMNS: (u16, u16) = (60, 88);
/// Columns of a very wide page.
const VERY_WIDE: u16 = 160;
/// Rows of the suspects above it, where there is little room.
const LIST_ROWS: u16 = 4;
/// Relations that are told one by one.
const MOST_RELATIONS: usize = 6;
/// From this many rows on the page has room for a higher histogram.
const HIGH_PAGE: u16 = 30;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = &model.accident;
    let Some(question) = &state.question else {
        let inner = widgets::panel(buffer, area, paint, "What happened?", "");
        let text = "Say about when (w): the WAL around that time is read, and the transactions that may have done the \
                    damage are listed, with the exact place to stop before the first of them. Nothing is changed.";
        widgets::lines(buffer, inner, &widgets::paragraph(paint, Role::Text, text, usize::from(inner.width)));
        return;
    };
    let side = span(i64::try_from(question.side_seconds).unwrap_or(i64::MAX));
    let table = question.table.as_ref().map(|table| format!(", only {table}")).unwrap_or_default();
    let title = format!("Around {}, {side} each side{table}", model.setup.zone.both(question.around));
    let remark = state.found.as_ref().filter(|_| !state.is_reading).map(|found| {
        let answer = &found.answer;
        let size = bytes(crate::domain::inventory::Bytes(answer.bytes_read));
        format!("{}, {size}", widgets::counted(usize::try_from(answer.segments_read).unwrap_or(0), "segment"))
    });
    let Some(found) = &state.found else {
        let inner = widgets::panel(buffer, area, paint, &title, "");
        widgets::lines(buffer, inner, &waiting(model, paint, usize::from(inner.width)));
        return;
    };
    let bars = if area.height >= HIGH_PAGE { 5 } else { 2 };
    let notes = u16::from(state.is_reading || !found.answer.notes.is_empty());
    let height = (3 + bars + notes).min(area.height);
    let inner = widgets::panel(buffer, Rect { height, ..area }, paint, &title, &remark.unwrap_or_default());
    widgets::lines(buffer, inner, &over_time(model, paint, &found.answer, usize::from(inner.width), usize::from(bars)));
    let rest = Rect { y: area.y + height, height: area.height - height, ..area };
    let columns = if area.width < VERY_WIDE { LIST_COLUMNS.0 } else { LIST_COLUMNS.1 };
    let (list, details) = widgets::split(rest, columns, LIST_ROWS);
    draw_list(model, paint, buffer, list, found);
    draw_details(model, paint, buffer, details, found);
}

/// While it is read, and where nothing came of it.
fn waiting(model: &Model, paint: Paint<'_>, width: usize) -> Vec<Line<'static>> {
    let state = &model.accident;
    if let Some(problem) = &state.problem {
        let mut lines = vec![paint.line(Role::Bad, "✗ The WAL could not be read. Nothing was changed.")];
        problem.lines().for_each(|line| lines.extend(widgets::paragraph(paint, Role::Text, line, width)));
        lines.extend(widgets::paragraph(paint, Role::Faint, "r reads again, w asks about another time", width));
        return lines;
    }
    if !state.is_reading {
        return widgets::paragraph(
            paint,
            Role::Text,
            "Nothing was read. r reads it, w asks about another time.",
            width,
        );
    }
    let Some(progress) = &state.progress else {
        let text = "The WAL of that time is looked for. Esc breaks it off; the other pages go on.";
        return widgets::paragraph(paint, Role::Text, text, width);
    };
    let bar = widgets::bar(progress.place as u64, progress.of as u64, width.saturating_sub(2).min(60));
    let text = format!("{} of {} · {}", progress.place, progress.of, progress.segment);
    let word = if state.is_leaving { "being broken off" } else { "Esc breaks it off: what was read by then is shown" };
    vec![paint.line(Role::Accent, &bar), paint.line(Role::Text, &text), Line::default(), paint.line(Role::Faint, word)]
}

/// Rows changed over time, where the suspects lie, the span, and the first of what is to be known.
fn over_time(model: &Model, paint: Paint<'_>, answer: &Answer, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut lines = histogram(paint, &answer.histogram, width, height);
    let whole = (answer.to - answer.from).num_milliseconds().max(1);
    // As the columns of the bars are.
    let place = |at: DateTime<Utc>| {
        let since = (at - answer.from).num_milliseconds().clamp(0, whole);
        let column = usize::try_from(i128::from(since) * width as i128 / i128::from(whole)).unwrap_or(0);
        column.min(width.saturating_sub(1))
    };
    let mut marks = vec![(Role::Text, " "); width.max(1)];
    for suspect in &answer.suspects {
        marks[place(suspect.commit_time)] = (Role::Faint, "▲");
    }
    if let Some(suspect) = model.accident.current() {
        marks[place(suspect.commit_time)] = (Role::Accent, "▲");
    }
    lines.push(paint.pieces(&marks));
    let zone = model.setup.zone;
    let (left, right) = (zone.short(answer.from), zone.short(answer.to));
    let middle = "rows changed, log scale";
    let room = width.saturating_sub(left.len() + right.len());
    let middle = if room > middle.len() + 2 { format!("{middle:^room$}") } else { " ".repeat(room) };
    lines.push(paint.line(Role::Faint, &format!("{left}{middle}{right}")));
    if let Some(progress) = model.accident.progress.filter(|_| model.accident.is_reading) {
        lines.push(reading_on(model, paint, progress, width));
    } else if let Some(first) = answer.notes.first() {
        let more = match answer.notes.len() {
            1 => String::new(),
            many => format!(" (+{} below)", many - 1),
        };
        let text = fit(&paint.letters(first), width.saturating_sub(2 + more.len()));
        lines.push(paint.pieces(&[(Role::Warning, "! "), (Role::Text, &text), (Role::Faint, &more)]));
    }
    lines
}

/// How far reading is, in the line below what was found so far.
fn reading_on(model: &Model, paint: Paint<'_>, progress: Progress, width: usize) -> Line<'static> {
    let word =
        if model.accident.is_leaving { "being broken off" } else { "Esc breaks it off, Enter takes one already" };
    let text = format!(" {} of {} read · {word}", progress.place, progress.of);
    let bar =
        widgets::bar(progress.place as u64, progress.of as u64, width.saturating_sub(text.chars().count()).min(24));
    paint.pieces(&[(Role::Accent, &bar), (Role::Text, &text)])
}

/// Bars of so many rows; a quiet column stays empty, and one row that was changed is seen beside a million.
fn histogram(paint: Paint<'_>, buckets: &[Counts], width: usize, height: usize) -> Vec<Line<'static>> {
    let levels: &[&str] = if paint.ascii {
        &[" ", ".", ":", "#"]
    } else {
        &[" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"]
    };
    let steps = levels.len() - 1;
    let count = buckets.len().max(1);
    let rows_of = |column: usize| -> u64 {
        let first = column * count / width.max(1);
        let last = ((column + 1) * count / width.max(1)).max(first + 1);
        buckets.get(first..last.min(count)).unwrap_or_default().iter().map(|bucket| bucket.rows()).sum()
    };
    let columns: Vec<u64> = (0..width).map(rows_of).collect();
    let log = |rows: u64| (rows as f64 + 1.0).log2();
    let highest = log(columns.iter().copied().max().unwrap_or(0)).max(1.0);
    let filled = |rows: u64| match rows {
        0 => 0,
        // At least a trace: something was changed there.
        rows => ((log(rows) / highest * (height * steps) as f64) as usize).max(1),
    };
    (0..height)
        .rev()
        .map(|row| {
            let cells: String =
                columns.iter().map(|rows| levels[filled(*rows).saturating_sub(row * steps).min(steps)]).collect();
            // Not folded: in ASCII there is nothing else in it.
            Line::from(ratatui::text::Span::styled(cells, paint.style(Role::Text)))
        })
        .collect()
}

fn draw_list(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect, found: &AccidentFound) {
    let state = &model.accident;
    let suspects = state.suspects();
    let focus = if state.panel == Panel::Parameters { "Suspects, by commit ▸" } else { "Suspects, by commit" };
    let remark = match (suspects.len(), state.proposed()) {
        (0, _) => String::new(),
        (count, _) if state.is_reading => format!("{count} so far"),
        (count, Some(_)) => format!("{count} · the first is here: P"),
        (count, None) => format!("{count} · none is surely an accident"),
    };
    let inner = widgets::panel(buffer, area, paint, focus, &remark);
    if suspects.is_empty() {
        let from = &found.place;
        let text = if state.is_reading {
            "Nothing that looks like an accident so far.".to_owned()
        } else {
            format!("Nothing in this window looks like an accident, as far as {from} tells. w asks about another.")
        };
        let lines = widgets::paragraph(paint, Role::Text, &text, usize::from(inner.width));
        widgets::lines(buffer, inner, &lines);
        return;
    }
    let proposed = state.proposed();
    widgets::list(buffer, inner, paint, suspects.len(), Some(state.cursor.at), |index| {
        let suspect = &suspects[index];
        let is_first = proposed == Some(index);
        let time = suspect.commit_time.format("%H:%M:%S%.3fZ").to_string();
        let head =
            format!("{} {time} {} ", pad_left(&suspect.rank.to_string(), 2), pad_left(&suspect.xid.to_string(), 8));
        let score = format!("{:>3} ", suspect.score);
        let (role, mark) = if is_first { (Role::Accent, "first ") } else { (Role::Text, "      ") };
        let room = usize::from(inner.width).saturating_sub(head.len() + 11);
        let why = pad(&fit(&paint.letters(&title(suspect)), room), room);
        let loud = if suspect.score >= crate::planning::accident::ACCIDENT_SCORE { Role::Bad } else { Role::Faint };
        paint.pieces(&[(Role::Text, &head), (loud, &score), (role, mark), (Role::Text, &why)])
    });
}

/// The weightiest reason.
fn title(suspect: &Suspect) -> String {
    suspect.reasons.first().cloned().unwrap_or_else(|| "no reason".to_owned())
}

fn draw_details(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect, found: &AccidentFound) {
    let state = &model.accident;
    let width = usize::from(area.width);
    let lines = details(model, paint, found, width);
    let height = usize::from(area.height.saturating_sub(1));
    let most = lines.len().saturating_sub(height);
    let top = state.top.min(most);
    let title = state
        .current()
        .map_or("Details".to_owned(), |suspect| format!("Transaction {} in {}", suspect.xid, suspect.database));
    let focus = if state.panel == Panel::Text { format!("{title} ▸") } else { title };
    let below = lines.len().saturating_sub(top + height);
    let remark = match (below, state.panel) {
        (0, _) => String::new(),
        (below, Panel::Text) => format!("{below} more lines"),
        (below, Panel::Parameters) => format!("{below} more lines: Tab, then down"),
    };
    let inner = widgets::panel(buffer, area, paint, &focus, &remark);
    widgets::lines(buffer, inner, lines.get(top..).unwrap_or_default());
}

fn details(model: &Model, paint: Paint<'_>, found: &AccidentFound, width: usize) -> Vec<Line<'static>> {
    let state = &model.accident;
    let mut lines = Vec::new();
    if let Some(suspect) = state.current() {
        if state.proposed() == Some(state.cursor.at) {
            let text = "The first is here: Enter makes a plan that stops right before it.";
            lines.extend(widgets::paragraph(paint, Role::Accent, text, width));
        }
        lines.extend(widgets::pairs(paint, &rows(model, suspect, found), width));
    }
    let notes: Vec<(&str, String)> = found.answer.notes.iter().map(|note| ("!", note.clone())).collect();
    lines.extend(widgets::pairs(paint, &notes, width));
    lines.extend(widgets::pairs(paint, &[("read from", found.place.clone())], width));
    lines
}

fn rows<'w>(model: &Model, suspect: &Suspect, found: &AccidentFound) -> Vec<(&'w str, String)> {
    let at = suspect.commit_time;
    let zone = model.setup.zone;
    let server =
        found.server_zone.map(|zone| format!("; server {}", at.with_timezone(&zone).format("%H:%M:%S%.3f %:z")));
    let here = zone.local(at).format("%H:%M:%S%.3f %:z");
    let so_far = if model.accident.is_reading { "; so far, there may be more" } else { "" };
    let mut rows = vec![
        ("committed", format!("{}{}; here {here}", utc(at), server.unwrap_or_default())),
        ("target", target(&suspect.target)),
        ("keeps", keeps(suspect.last_kept.as_ref())),
        ("discards", format!("it and {}{so_far}", discards(&suspect.discarded, "later commit"))),
    ];
    let (until, beyond) = (suspect.locked_until_promotion.join(", "), suspect.locked_by_prepared.join(", "));
    if !until.is_empty() {
        rows.push(("locked", format!("{until}, until promotion: a transaction is open there")));
    }
    if !beyond.is_empty() {
        rows.push(("locked", format!("{beyond}, beyond promotion: by a prepared transaction")));
    }
    rows.push(("score", format!("{}, place {} by score", suspect.score, suspect.rank)));
    rows.extend(suspect.reasons.iter().enumerate().map(|(place, reason)| {
        let label = if place == 0 { "why" } else { "" };
        (label, reason.clone())
    }));
    rows.extend(suspect.relations.iter().take(MOST_RELATIONS).enumerate().map(|(place, relation)| {
        let label = if place == 0 { "did" } else { "" };
        (label, of_relation(relation))
    }));
    if suspect.relations.len() > MOST_RELATIONS {
        rows.push(("", format!("and {} more relations", suspect.relations.len() - MOST_RELATIONS)));
    }
    rows.push(("rests on", records(suspect)));
    rows.push(("to see it", format!("{} (Y copies it)", waldump(suspect, &found.reach))));
    if !suspect.subtransactions.is_empty() {
        let ids: Vec<String> = suspect.subtransactions.iter().take(10).map(u32::to_string).collect();
        let more = if suspect.subtransactions.len() > 10 { ", …" } else { "" };
        rows.push(("with", format!("subtransactions of ids of their own: {}{more}", ids.join(", "))));
    }
    rows
}
