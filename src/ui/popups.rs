//! What stands in front of a page.

use crate::ui::model::{Item, Model, Popup};
use crate::ui::pages;
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::widgets;
use crate::ui::width::{fit, fit_end, pad, wrap};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;
use ratatui::widgets::{Clear, Widget as _};
use ratatui_textarea::TextArea;
use unicode_width::UnicodeWidthStr as _;

/// Columns at the most.
const WIDTH: u16 = 90;
/// Rows of a list at the most.
const LIST_ROWS: u16 = 14;
/// Columns left empty beside a frame.
const AIR: u16 = 2;
/// Rows of a note.
const NOTE_ROWS: u16 = 9;

/// Draws it, if anything is in front.
pub fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    match &model.popup {
        None => {}
        Some(Popup::Input { title, text, told, .. }) => input(paint, buffer, area, title, text, told),
        Some(Popup::Picker { title, about, items, filter, shown, cursor }) => {
            let is_decision = pages::is_decision(model, items);
            let shown: Vec<&Item> = shown.iter().filter_map(|place| items.get(*place)).collect();
            if is_decision {
                Clear.render(area, buffer);
                pages::draw_decision(model, paint, buffer, area, (&shown, cursor.at, filter));
                return;
            }
            picker(paint, buffer, area, (title, about, filter), &shown, cursor.at);
        }
        Some(Popup::Note(note)) => self::note(paint, buffer, area, note),
    }
}

/// A frame at the bottom of the page with room for so many rows; what is inside comes back.
fn boxed(paint: Paint<'_>, buffer: &mut Buffer, area: Rect, title: &str, rows: u16) -> Rect {
    let width = area.width.saturating_sub(4).min(WIDTH);
    let height = (rows + 2).min(area.height);
    let place = Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    // Air at both sides: half a word of the page beside a frame reads as one of its own.
    let left = place.x.saturating_sub(AIR).max(area.x);
    let right = (place.x + place.width + AIR).min(area.x + area.width);
    Clear.render(Rect { x: left, width: right.saturating_sub(left), ..place }, buffer);
    let inside = usize::from(width.saturating_sub(2));
    let title = fit(&paint.letters(title), inside.saturating_sub(4));
    let title = if title.is_empty() { title } else { format!(" {title} ") };
    let rest = "─".repeat(inside.saturating_sub(title.width() + 1));
    let top = paint.pieces(&[(Role::Border, "╭─"), (Role::Title, &title), (Role::Border, &rest)]);
    buffer.set_line(place.x, place.y, &top, width.saturating_sub(1));
    buffer.set_line(place.x + width - 1, place.y, &paint.line(Role::Border, "╮"), 1);
    for row in 1..height.saturating_sub(1) {
        buffer.set_line(place.x, place.y + row, &paint.line(Role::Border, "│"), 1);
        buffer.set_line(place.x + width - 1, place.y + row, &paint.line(Role::Border, "│"), 1);
    }
    let bottom = format!("╰{}╯", "─".repeat(inside));
    buffer.set_line(place.x, place.y + height - 1, &paint.line(Role::Border, &bottom), width);
    Rect { x: place.x + 2, y: place.y + 1, width: width.saturating_sub(4), height: height.saturating_sub(2) }
}

fn input(paint: Paint<'_>, buffer: &mut Buffer, area: Rect, title: &str, text: &str, told: &[String]) {
    let width = usize::from(area.width.saturating_sub(8).min(WIDTH - 4));
    let mut lines: Vec<Line<'static>> = Vec::new();
    // A title that does not fit goes on inside.
    let question = wrap(&paint.letters(title), width);
    if question.len() > 1 {
        lines.extend(question.iter().map(|line| paint.line(Role::Text, line)));
    }
    let typed = fit_end(&paint.letters(text), width.saturating_sub(3));
    lines.push(paint.pieces(&[(Role::Accent, "> "), (Role::Text, &typed), (Role::Accent, "▏")]));
    for line in told {
        let shown = paint.letters(line);
        // What fits stays in its columns.
        if shown.width() <= width {
            lines.push(paint.line(Role::Faint, &shown));
        } else {
            lines.extend(widgets::paragraph(paint, Role::Faint, line, width));
        }
    }
    let rows = u16::try_from(lines.len()).unwrap_or(3);
    let heading = if question.len() > 1 { "" } else { title };
    let inner = boxed(paint, buffer, area, heading, rows);
    widgets::lines(buffer, inner, &lines);
}

fn picker(
    paint: Paint<'_>,
    buffer: &mut Buffer,
    area: Rect,
    (title, about, filter): (&str, &[String], &str),
    shown: &[&Item],
    cursor: usize,
) {
    let width = usize::from(area.width.saturating_sub(8).min(WIDTH - 4));
    let mut head: Vec<Line<'static>> = Vec::new();
    for line in about {
        head.extend(widgets::paragraph(paint, Role::Text, line.trim(), width));
    }
    let typed = fit_end(&paint.letters(filter), width.saturating_sub(3));
    head.push(paint.pieces(&[(Role::Accent, "> "), (Role::Text, &typed), (Role::Accent, "▏")]));
    let count = u16::try_from(shown.len()).unwrap_or(LIST_ROWS).clamp(1, LIST_ROWS);
    // What is to be chosen is always in sight; of what stands above it the end is.
    let most = usize::from(area.height.saturating_sub(2 + count.min(6)).max(1));
    head.drain(..head.len().saturating_sub(most));
    let above = u16::try_from(head.len()).unwrap_or(1);
    let inner = boxed(paint, buffer, area, title, above + count);
    widgets::lines(buffer, inner, &head);
    let list = Rect { y: inner.y + above, height: inner.height.saturating_sub(above), ..inner };
    if shown.is_empty() {
        widgets::lines(buffer, list, &[paint.line(Role::Faint, "nothing fits")]);
    }
    // There may be thousands, and nearly all of them are plain.
    let length = |text: &str| {
        let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if is_plain { text.len() } else { paint.letters(text).chars().count() }
    };
    let longest = shown.iter().map(|item| length(&item.about)).max().unwrap_or(0).min(width / 2);
    widgets::list(buffer, list, paint, shown.len(), Some(cursor), |index| {
        let item = shown[index];
        let label = pad(&paint.letters(&item.label), width.saturating_sub(longest + 3));
        let about = fit(&paint.letters(&item.about), longest);
        paint.pieces(&[(Role::Text, &label), (Role::Text, " "), (Role::Faint, &about)])
    });
}

fn note(paint: Paint<'_>, buffer: &mut Buffer, area: Rect, note: &TextArea<'_>) {
    let inner = boxed(paint, buffer, area, "A note for the journal (^S writes it)", NOTE_ROWS);
    let mut shown = note.clone();
    shown.set_style(paint.style(Role::Text));
    shown.set_cursor_line_style(paint.style(Role::Text));
    shown.set_cursor_style(paint.style(Role::Text).reversed());
    (&shown).render(inner, buffer);
}
