//! The evidence of a run, to scroll and to search.

use crate::ui::model::{Model, contains};
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::widgets;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let state = &model.transcript;
    let count = state.lines.as_ref().map_or(0, Vec::len);
    let search = if state.search.is_empty() { String::new() } else { format!(" · '{}' n N", state.search) };
    let place = format!("line {} of {count}{search}", (state.top + 1).min(count));
    let remark = if count > 0 { place } else { String::new() };
    let title = state.run.as_ref().map(|run| format!("Transcript of run {run}")).unwrap_or_default();
    let inner = widgets::panel(buffer, area, paint, &title, &remark);
    let width = usize::from(inner.width);
    let lines: Vec<Line<'static>> = match (&state.lines, &state.problem) {
        (Some(lines), _) => lines
            .iter()
            .skip(state.top)
            .take(usize::from(inner.height))
            .map(|line| {
                let hit = !state.search.is_empty() && contains(line, &state.search);
                paint.line(if hit { Role::Accent } else { Role::Text }, line)
            })
            .collect(),
        (None, Some(problem)) => widgets::paragraph(paint, Role::Bad, problem, width),
        (None, None) => widgets::paragraph(paint, Role::Text, "The transcript is being laid out.", width),
    };
    widgets::lines(buffer, inner, &lines);
}
