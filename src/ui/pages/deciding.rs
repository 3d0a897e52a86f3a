//! What decides at a gate or a decision, laid out for the room there is: the facts in their groups, complete on the first
//! screen; the exact commands there as well where they fit, else below it.

use crate::report::deciding::{Deciding, Group};
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::widgets;
use crate::ui::width::{fit, pad, wrap};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

/// From this width on groups stand side by side, and from that one in three columns.
const TWO_COLUMNS: usize = 118;
const THREE_COLUMNS: usize = 190;
/// A label or a group's title is not given more columns.
const LONGEST_LABEL: usize = 12;

/// How much of it is shown.
#[derive(Debug, Clone, Copy)]
struct Share {
    why: bool,
    place: bool,
    commands: bool,
    /// Lines that there are for it, where that is less than it needs.
    rows: Option<usize>,
}

const ALL: Share = Share { why: true, place: true, commands: true, rows: None };

/// The lines for so many rows. Where they are not enough the first screen has what decides, and all of it stands below.
#[must_use]
pub(super) fn lines(paint: Paint<'_>, deciding: &Deciding<'_>, width: usize, rows: usize) -> Vec<Line<'static>> {
    let whole = lay_out(paint, deciding, width, ALL);
    if whole.len() <= rows {
        return whole;
    }
    let has_commands = deciding.passes.iter().any(|passed| passed.command.is_some());
    let (mut first, is_clipped) = fitted(paint, deciding, width, rows);
    if has_commands || is_clipped {
        (first, _) = fitted(paint, deciding, width, rows.saturating_sub(1));
        first.resize(rows.saturating_sub(1), Line::default());
        first.push(paint.line(Role::Faint, " PgDn: the exact commands, and all of it in full"));
    } else {
        first.resize(rows, Line::default());
    }
    first.push(rule(paint, "All of it", width));
    first.extend(whole);
    first
}

/// What decides, in so many rows and no more.
#[must_use]
pub(super) fn first(paint: Paint<'_>, deciding: &Deciding<'_>, width: usize, rows: usize) -> Vec<Line<'static>> {
    fitted(paint, deciding, width, rows).0
}

/// The same, and whether a value had to be cut.
fn fitted(paint: Paint<'_>, deciding: &Deciding<'_>, width: usize, rows: usize) -> (Vec<Line<'static>>, bool) {
    let least = Share { commands: false, place: false, why: false, rows: None };
    for share in [ALL, Share { commands: false, ..ALL }, Share { why: true, ..least }, least] {
        let found = lay_out(paint, deciding, width, share);
        if found.len() <= rows {
            return (found, false);
        }
    }
    let mut found = lay_out(paint, deciding, width, Share { rows: Some(rows), ..least });
    found.truncate(rows);
    (found, true)
}

fn lay_out(paint: Paint<'_>, deciding: &Deciding<'_>, width: usize, share: Share) -> Vec<Line<'static>> {
    let room = width.saturating_sub(2);
    let mut out = vec![paint.line(Role::Accent, &fit(&paint.letters(&format!("■ {}", deciding.heading)), width))];
    if share.why {
        out.extend(indented(paint, Role::Faint, &deciding.why, room));
    }
    for line in &deciding.changed {
        out.extend(indented(paint, Role::Warning, line, room));
    }
    let at = out.len();
    for passed in &deciding.passes {
        let text = format!("lets pass step {}, which can't be undone: {}", passed.number, passed.title);
        out.extend(indented(paint, Role::Warning, &text, room));
        if let Some(command) = passed.command.filter(|_| share.commands) {
            out.extend(widgets::command(paint, command, room));
        }
    }
    if share.place {
        out.extend(indented(paint, Role::Faint, &deciding.place, room));
    }
    let left = share.rows.map(|rows| rows.saturating_sub(out.len()));
    out.splice(at..at, groups(paint, &deciding.groups, room, left));
    out
}

fn indented(paint: Paint<'_>, role: Role, text: &str, room: usize) -> Vec<Line<'static>> {
    wrap(&paint.letters(text), room).iter().map(|line| paint.pieces(&[(role, " "), (role, line)])).collect()
}

fn groups(paint: Paint<'_>, groups: &[Group], room: usize, left: Option<usize>) -> Vec<Line<'static>> {
    let columns = match room + 2 {
        THREE_COLUMNS.. => 3,
        TWO_COLUMNS.. => 2,
        _ => 1,
    };
    // Where lines are short every group has the whole width.
    if columns == 1 || groups.len() < 2 || left.is_some() {
        return beneath(paint, groups, room, left);
    }
    let width = (room + 1) / columns - 2;
    let mut stacks: Vec<Vec<Line<'static>>> = vec![vec![Line::default()]; columns];
    for group in groups {
        let mut block = vec![rule(paint, &group.title, width)];
        let label = longest(paint, std::slice::from_ref(group));
        let frame = Frame { gutter: 0, label, value: columns_left(width, label) };
        block.extend(group.rows.iter().flat_map(|row| self::row(paint, "", row, frame, None)));
        block.push(Line::default());
        // The shortest column takes it; of several the first.
        if let Some(stack) = stacks.iter_mut().min_by_key(|stack| stack.len()) {
            stack.extend(block);
        }
    }
    let height = stacks.iter().map(Vec::len).max().unwrap_or(0);
    (0..height).map(|row| beside(&stacks, row, width)).collect()
}

/// One row of all columns.
fn beside(stacks: &[Vec<Line<'static>>], row: usize, width: usize) -> Line<'static> {
    let mut spans = Vec::new();
    let mut used = 0;
    for (column, stack) in stacks.iter().enumerate() {
        let Some(line) = stack.get(row) else { continue };
        let wanted = column * (width + 2);
        spans.push(Span::raw(" ".repeat(wanted.saturating_sub(used))));
        used = wanted.max(used) + line.width();
        spans.extend(line.spans.iter().cloned());
    }
    Line::from(spans)
}

/// Columns of a row.
#[derive(Debug, Clone, Copy)]
struct Frame {
    gutter: usize,
    label: usize,
    value: usize,
}

/// Of the longest label, as far as labels may go.
fn longest(paint: Paint<'_>, groups: &[Group]) -> usize {
    let labels = groups.iter().flat_map(|group| &group.rows).map(|(label, _)| paint.letters(label).width());
    labels.max().unwrap_or(0).min(LONGEST_LABEL)
}

/// What is left for a value.
fn columns_left(room: usize, used: usize) -> usize {
    room.saturating_sub(used + 2).max(8)
}

/// The groups one below the other, each with its title before its first row. Where there are only so many lines each
/// value has one, and what is left over goes to those that need more, the first before the others.
fn beneath(paint: Paint<'_>, groups: &[Group], room: usize, left: Option<usize>) -> Vec<Line<'static>> {
    let title = groups.iter().map(|group| paint.letters(&group.title).width()).max().unwrap_or(0);
    let gutter = if title == 0 { 0 } else { title.min(LONGEST_LABEL) + 2 };
    let label = longest(paint, groups);
    let frame = Frame { gutter, label, value: columns_left(room, gutter + label) };
    let needs = |row: &(String, String)| wrap(&paint.letters(&row.1), frame.value).len();
    let count = groups.iter().map(|group| group.rows.len()).sum::<usize>();
    let mut spare = left.map(|left| left.saturating_sub(count));
    let mut out = Vec::new();
    for group in groups {
        for (index, row) in group.rows.iter().enumerate() {
            let more = spare.map(|spare| (needs(row) - 1).min(spare));
            spare = spare.zip(more).map(|(spare, more)| spare - more);
            let title = if index == 0 { group.title.as_str() } else { "" };
            out.extend(self::row(paint, title, row, frame, more.map(|more| more + 1)));
        }
    }
    out
}

fn row(
    paint: Paint<'_>,
    title: &str,
    (label, value): &(String, String),
    frame: Frame,
    most: Option<usize>,
) -> Vec<Line<'static>> {
    let role = if is_unknown(value) { Role::Warning } else { Role::Text };
    let mut lines = wrap(&paint.letters(value), frame.value);
    if let Some(most) = most.filter(|most| lines.len() > *most) {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            // What is left out is said.
            *last = paint.letters(&format!("{}…", fit(last, frame.value.saturating_sub(2)).trim_end_matches('…')));
        }
    }
    let mut out = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let title = pad(&paint.letters(if index == 0 { title } else { "" }), frame.gutter);
        let label = pad(&paint.letters(if index == 0 { label } else { "" }), frame.label);
        let label = [(Role::Title, " "), (Role::Title, title.as_str()), (Role::Faint, label.as_str())];
        out.push(paint.pieces(&[label[0], label[1], label[2], (Role::Text, "  "), (role, line)]));
    }
    out
}

/// What nobody knows is not to be read as a fact.
fn is_unknown(value: &str) -> bool {
    ["unknown", "not known"].iter().any(|word| value.starts_with(word))
}

fn rule(paint: Paint<'_>, title: &str, width: usize) -> Line<'static> {
    let title = fit(&paint.letters(title), width.saturating_sub(2));
    let line = "─".repeat(width.saturating_sub(title.width() + 2));
    paint.pieces(&[(Role::Title, " "), (Role::Title, &title), (Role::Border, " "), (Role::Border, &line)])
}
