//! The keys, from the table that handles them.

use crate::ui::command::Place;
use crate::ui::keymap::BINDINGS;
use crate::ui::model::Model;
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::widgets;
use crate::ui::width::pad;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Columns of the keys.
const KEYS: usize = 16;
/// Two columns of text from this width on.
const TWO_COLUMNS: u16 = 190;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let inner = widgets::panel(buffer, area, paint, "Keys", "every action by its name: the colon key");
    let lines = lines(paint);
    if inner.width >= TWO_COLUMNS {
        let half = lines.len().div_ceil(2);
        let width = inner.width / 2;
        widgets::lines(buffer, Rect { width, ..inner }, &lines[..half]);
        widgets::lines(buffer, Rect { x: inner.x + width, width: inner.width - width, ..inner }, &lines[half..]);
        return;
    }
    let most = lines.len().saturating_sub(usize::from(inner.height));
    widgets::lines(buffer, inner, &lines[model.help_top.min(most)..]);
}

pub(super) fn last_top(paint: Paint<'_>, area: Rect) -> usize {
    let inner = widgets::inside(area);
    // Two columns show all of it.
    if inner.width >= TWO_COLUMNS { 0 } else { lines(paint).len().saturating_sub(usize::from(inner.height)) }
}

/// All of the help.
fn lines(paint: Paint<'_>) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut last: Option<Place> = None;
    for binding in BINDINGS {
        if last != Some(binding.place) {
            if last.is_some() {
                lines.push(Line::default());
            }
            lines.push(paint.line(Role::Title, binding.place.title()));
            last = Some(binding.place);
        }
        let keys: Vec<String> = binding.keys.iter().map(|key| key.name(paint.ascii)).collect();
        let keys = pad(&keys.join(" "), KEYS);
        lines.push(paint.pieces(&[(Role::Text, "  "), (Role::Key, &keys), (Role::Text, binding.help)]));
    }
    lines
}
