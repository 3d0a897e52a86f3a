//! Which moments can be recovered, and what recovery to the one under the cursor means.

use super::inventory::freshness;
use crate::domain::inventory::BackupSet;
use crate::report::inventory::bytes;
use crate::ui::model::{Model, Reach};
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::times::{ago, span};
use crate::ui::widgets;
use crate::ui::width::{pad, pad_left};
use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Columns of a repository's name before its line.
const NAME: usize = 7;
/// More repositories are not drawn.
const MOST_LINES: usize = 4;
/// Columns of the target beside the list of sets: where there is room, and where the list has to be narrow.
const TARGET_COLUMNS: (u16, u16) = (84, 66);
/// From this width on there is.
const ROOMY: u16 = 164;
/// Columns of a set's row with its whole label.
const WHOLE_ROW: u16 = 76;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let reaches = model.inventory.reaches();
    let shown = reaches.len().min(MOST_LINES);
    let height = u16::try_from(shown + 3).unwrap_or(6).min(area.height);
    let inner = widgets::panel(buffer, Rect { height, ..area }, paint, "Recoverable", &freshness(model));
    widgets::lines(buffer, inner, &lines(model, paint, &reaches, usize::from(inner.width)));
    let rest = Rect { y: area.y + height, height: area.height - height, ..area };
    let columns = if area.width < ROOMY { TARGET_COLUMNS.1 } else { TARGET_COLUMNS.0 };
    let (target, sets) = widgets::split(rest, columns, 10);
    let title = model.timeline.target().to_string();
    let inner = widgets::panel(buffer, target, paint, &format!("Target: {title}"), "");
    widgets::lines(buffer, inner, &target_lines(model, paint, usize::from(inner.width)));
    draw_sets(model, paint, buffer, sets);
}

fn lines(model: &Model, paint: Paint<'_>, reaches: &[Reach], width: usize) -> Vec<Line<'static>> {
    let spans: Vec<_> = reaches.iter().filter_map(Reach::span).collect();
    let first = spans.iter().map(|(first, _)| *first).min();
    let last = spans.iter().map(|(_, last)| *last).max();
    let (Some(first), Some(last)) = (first, last) else {
        return widgets::paragraph(
            paint,
            Role::Warning,
            "No set of the current cluster: nothing can be recovered.",
            width,
        );
    };
    let columns = width.saturating_sub(NAME + 1).max(8);
    let whole = (last - first).num_seconds().max(1);
    let place = |at: DateTime<Utc>| {
        let seconds = (at - first).num_seconds().clamp(0, whole);
        usize::try_from(seconds * (columns as i64 - 1) / whole).unwrap_or(0)
    };
    let mut out: Vec<Line<'static>> = Vec::new();
    for reach in reaches.iter().take(MOST_LINES) {
        let mut cells = vec!["·"; columns];
        if let Some((from, to)) = reach.span() {
            cells[place(from)..=place(to)].fill("─");
        }
        for stop in &reach.stops {
            cells[place(*stop)] = "●";
        }
        let name = pad(&reach.repository.name(), NAME);
        out.push(paint.pieces(&[(Role::Faint, &name), (Role::Text, &cells.concat())]));
    }
    let cursor = model.timeline.at.map_or(columns - 1, place);
    let mark = format!("{}▲", " ".repeat(NAME + cursor));
    out.push(paint.line(Role::Accent, &mark));
    let zone = model.setup.zone;
    let (mut left, mut right) = (zone.both(first), format!("{} · {}", zone.both(last), ago(last, model.utc())));
    if NAME + left.len() + right.len() + 2 > width {
        (left, right) = (zone.short(first), format!("{} · {}", zone.short(last), ago(last, model.utc())));
    }
    let between = width.saturating_sub(NAME + left.chars().count() + right.chars().count()).max(2);
    let text = format!("{}{left}{}{right}", " ".repeat(NAME), " ".repeat(between));
    out.push(paint.line(Role::Faint, &text));
    out
}

fn target_lines(model: &Model, paint: Paint<'_>, width: usize) -> Vec<Line<'static>> {
    let zone = model.setup.zone;
    let mut rows = Vec::new();
    match model.timeline.at.filter(|_| model.timeline.typed.is_none()) {
        Some(at) => rows.push(("moment", format!("{} · {}", zone.both(at), ago(at, model.utc())))),
        None if model.timeline.typed.is_none() => {
            rows.push(("moment", "the end of the archived WAL".to_owned()));
        }
        None => {}
    }
    match &model.timeline.choice {
        None => rows.push(("set", "no stanza is known yet".to_owned())),
        Some(Err(why)) => {
            let mut lines = widgets::pairs(paint, &rows, width);
            lines.extend(widgets::paragraph(paint, Role::Bad, &format!("✗ {}", why.replace('\n', " ")), width));
            return lines;
        }
        Some(Ok(choice)) => {
            let repository = model.inventory.current_stanza().and_then(|stanza| stanza.repository(choice.repository));
            rows.push(("set", choice.reason.clone()));
            rows.push(("discards", discards(model)));
            rows.push(("instead", "pitr-side-by-side loses nothing: production goes on beside it".to_owned()));
            rows.push(("timeline", choice.timeline.to_string()));
            if let Some(set) = repository.and_then(|repository| repository.set(choice.set)) {
                rows.push(("cost", cost(model, set)));
            }
            rows.extend(choice.warnings.iter().map(|warning| ("but", warning.clone())));
            if let Some(other) = choice.pgbackrest.filter(|other| other.set != choice.set) {
                rows.push(("pgBackRest", format!("would take {other} by itself")));
            }
        }
    }
    if model.inventory.ground().is_none() {
        rows.push(("", "the archive's end is being asked for".to_owned()));
    }
    widgets::pairs(paint, &rows, width)
}

/// What recovery in place to the cursor throws away, as far as the archive tells.
fn discards(model: &Model) -> String {
    let newest = model.inventory.reaches().iter().filter_map(Reach::span).map(|(_, last)| last).max();
    let moment = model.timeline.at.filter(|_| model.timeline.typed.is_none());
    match (moment, newest) {
        (Some(at), Some(newest)) => {
            let length = span((newest - at).num_seconds().max(0));
            format!("what was committed in the {length} of archived WAL after it, and all that is not archived")
        }
        (None, _) if model.timeline.typed.is_none() => "only what is in no repository".to_owned(),
        _ => "what was committed after it; how much is not known before the WAL is read".to_owned(),
    }
}

/// What a restore of the set and the replay to the cursor take.
fn cost(model: &Model, set: &BackupSet) -> String {
    let read = set.repository_bytes().map(|size| format!(", {} read", bytes(size))).unwrap_or_default();
    let newest = || model.inventory.reaches().iter().filter_map(Reach::span).map(|(_, last)| last).max();
    let to = model.timeline.at.or_else(newest).filter(|_| model.timeline.typed.is_none());
    let replay = to.map(|to| (to - set.stop()).num_seconds().max(0));
    let replay = replay.map(|seconds| format!("; replays the WAL of {}", span(seconds))).unwrap_or_default();
    format!("{} to restore{read}{replay}", bytes(set.database_bytes()))
}

fn draw_sets(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let inner = widgets::panel(buffer, area, paint, "Sets by the moment they end", "");
    let Some(stanza) = model.inventory.current_stanza() else { return };
    let wanted = stanza
        .repositories
        .iter()
        .filter(|repository| model.inventory.repository.is_none_or(|wanted| wanted == repository.key));
    let mut sets: Vec<(u32, &BackupSet)> =
        wanted.flat_map(|repository| repository.current_sets().map(|set| (repository.key.0, set))).collect();
    sets.sort_by_key(|(key, set)| (set.stop(), *key));
    let chosen = model.timeline.choice.as_ref().and_then(|choice| choice.as_ref().ok());
    let serves = sets
        .iter()
        .position(|(key, set)| chosen.is_some_and(|choice| (choice.repository.0, choice.set) == (*key, set.label())));
    let count = sets.len();
    widgets::list(buffer, inner, paint, count, serves.or(count.checked_sub(1)).filter(|_| serves.is_some()), |index| {
        let (key, set) = sets[index];
        let mark = if serves == Some(index) { "serves" } else { "" };
        let zone = model.setup.zone;
        let when = if inner.width < 100 { zone.short(set.stop()) } else { zone.both(set.stop()) };
        let whole = format!(
            "{}  {}  {} {}",
            when,
            pad_left(&ago(set.stop(), model.utc()), 11),
            pad(&format!("repo{key}"), 6),
            set.label()
        );
        let text = if inner.width < WHOLE_ROW {
            // Its own part of the label: half a label names no set.
            let label = set.label().to_string();
            let own = label.rsplit('_').next().unwrap_or(&label);
            format!("{when}  {} {own}", pad(&format!("repo{key}"), 6))
        } else {
            whole
        };
        paint.pieces(&[(Role::Text, &text), (Role::Accent, "  "), (Role::Accent, mark)])
    });
}
