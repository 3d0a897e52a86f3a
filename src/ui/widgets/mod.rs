//! What pages are made of. Each draws what it is lent and knows no state.

use crate::domain::plan::CommandLine;
use crate::report::command_text;
use crate::report::width::Width;
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::width::{fit, hard, pad, wrap};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use unicode_width::UnicodeWidthStr as _;

/// Writes lines into an area, from its top; what does not fit is left out.
pub fn lines(buffer: &mut Buffer, area: Rect, lines: &[Line<'_>]) {
    for (row, line) in area.rows().zip(lines) {
        buffer.set_line(row.x, row.y, line, row.width);
    }
}

/// A heading with a rule to the edge, and a remark at its end. What is below it comes back.
pub fn panel(buffer: &mut Buffer, area: Rect, paint: Paint<'_>, title: &str, remark: &str) -> Rect {
    if area.height == 0 || area.width < 4 {
        return Rect { height: 0, ..area };
    }
    let width = usize::from(area.width);
    let title = fit(&paint.letters(title), width.saturating_sub(2));
    let room = width.saturating_sub(title.width() + 4);
    let remark = if remark.is_empty() { String::new() } else { fit(&paint.letters(remark), room) };
    let used = title.width() + remark.width() + if remark.is_empty() { 1 } else { 2 };
    let rule = "─".repeat(width.saturating_sub(used));
    let mut pieces = vec![(Role::Title, title.as_str()), (Role::Border, " "), (Role::Border, rule.as_str())];
    if !remark.is_empty() {
        pieces.extend([(Role::Faint, " "), (Role::Faint, remark.as_str())]);
    }
    buffer.set_line(area.x, area.y, &paint.pieces(&pieces), area.width);
    inside(area)
}

/// What is inside a panel.
#[must_use]
pub fn inside(area: Rect) -> Rect {
    if area.height == 0 || area.width < 4 {
        return Rect { height: 0, ..area };
    }
    Rect { y: area.y + 1, height: area.height - 1, ..area }
}

/// Labels and values; long values go on below, indented.
#[must_use]
pub fn pairs(paint: Paint<'_>, pairs: &[(&str, String)], width: usize) -> Vec<Line<'static>> {
    let longest = pairs.iter().map(|(label, _)| paint.letters(label).width()).max().unwrap_or(0).min(width / 3);
    let mut out = Vec::new();
    for (label, value) in pairs {
        let label = pad(&paint.letters(label), longest);
        for (index, line) in wrap(&paint.letters(value), width.saturating_sub(longest + 2)).iter().enumerate() {
            let label = if index == 0 { label.clone() } else { " ".repeat(longest) };
            out.push(paint.pieces(&[(Role::Faint, &label), (Role::Text, "  "), (Role::Text, line)]));
        }
    }
    out
}

/// A paragraph.
#[must_use]
pub fn paragraph(paint: Paint<'_>, role: Role, text: &str, width: usize) -> Vec<Line<'static>> {
    wrap(&paint.letters(text), width).iter().map(|line| paint.line(role, line)).collect()
}

/// A command as it can be copied into a shell; lines that are too long go on below, indented.
#[must_use]
pub fn command(paint: Paint<'_>, command: &CommandLine, width: usize) -> Vec<Line<'static>> {
    let columns = Width::of_terminal(width + 1);
    let mut out = Vec::new();
    for line in command_text::lines(command, columns) {
        let line = paint.letters(&line);
        if line.width() <= width {
            out.push(paint.line(Role::Accent, &line));
            continue;
        }
        for (index, piece) in hard(&line, width.saturating_sub(7)).iter().enumerate() {
            let indent = if index == 0 { "" } else { "       " };
            out.push(paint.pieces(&[(Role::Text, indent), (Role::Accent, piece)]));
        }
    }
    out
}

/// A number and its word: `1 set`, `3 sets`.
#[must_use]
pub fn counted(count: usize, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

/// The first row to show of `count` in a window of `height` rows, so that the cursor is in it with some rows around. The
/// window stays where it is for most of its height, and then goes on by that: over a slow link a row that moves costs a
/// few bytes, and one that moves all the others costs a page.
#[must_use]
fn top(cursor: usize, count: usize, height: usize) -> usize {
    let stride = (height * 3 / 4).max(1);
    let around = (height - stride.min(height)) / 2;
    (cursor.saturating_sub(around) / stride * stride).min(count.saturating_sub(height))
}

/// A list of which only the rows around the cursor are made.
pub fn list(
    buffer: &mut Buffer,
    area: Rect,
    paint: Paint<'_>,
    count: usize,
    cursor: Option<usize>,
    row: impl Fn(usize) -> Line<'static>,
) {
    let height = usize::from(area.height);
    let at = cursor.unwrap_or(0).min(count.saturating_sub(1));
    let top = top(at, count, height);
    for (place, index) in area.rows().zip(top..count) {
        let is_current = cursor == Some(index);
        let mut line = row(index);
        // The mark says what the colour says.
        line.spans.insert(0, paint.span(Role::Accent, if is_current { "▌" } else { " " }));
        if is_current {
            buffer.set_style(place, paint.style(Role::Selected));
            let selected = paint.style(Role::Selected);
            line.spans.iter_mut().for_each(|span| span.style = span.style.patch(selected));
        }
        buffer.set_line(place.x, place.y, &line, place.width);
    }
}

/// `count` cells, `done` of `whole` of them filled.
#[must_use]
pub fn bar(done: u64, whole: u64, count: usize) -> String {
    let filled = (u128::from(done.min(whole)) * count as u128).checked_div(u128::from(whole)).unwrap_or(0);
    let filled = usize::try_from(filled).unwrap_or(count);
    "█".repeat(filled) + &"░".repeat(count - filled)
}

/// Two panels: side by side where there is room, else one below the other. `first` are the columns of the left one, and
/// `rows` the rows of the upper one.
#[must_use]
pub fn split(area: Rect, first: u16, rows: u16) -> (Rect, Rect) {
    if area.width >= 118 {
        let first = first.min(area.width / 2 + 20);
        let left = Rect { width: first, ..area };
        (left, Rect { x: area.x + first + 2, width: area.width - first - 2, ..area })
    } else {
        let rows = rows.min(area.height);
        let upper = Rect { height: rows, ..area };
        (upper, Rect { y: area.y + rows, height: area.height - rows, ..area })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_cursor_is_always_in_the_window(count in 1usize..300, at: prop::sample::Index, height in 1usize..60) {
            let at = at.index(count);
            let top = top(at, count, height);
            prop_assert!(top <= at && at < top + height);
            prop_assert!(count <= height || top + height <= count, "no empty row while there are more");
            // A row above and below it, where there is one.
            let has_room = height >= 8;
            prop_assert!(!has_room || at == 0 || top < at);
            prop_assert!(!has_room || at + 1 == count || at + 1 < top + height);
        }

        #[test]
        fn the_window_mostly_stays(height in 8usize..60) {
            let moved = (1..1_000).filter(|at| top(*at, 1_000, height) != top(at - 1, 1_000, height)).count();
            prop_assert!(moved <= 1_000 / (height / 2), "{moved} times");
        }
    }
}
