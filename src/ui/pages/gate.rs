//! The gate that was gone to, and the decision that is being taken: what decides, and the answer.

use super::deciding as layout;
use crate::domain::plan::StepKind;
use crate::report::deciding;
use crate::ui::model::{Attention, GateFocus, Item, Model, Page, RunState, Value, attention};
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::widgets;
use crate::ui::width::{fit, fit_end, pad};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Rows below the gate's text: what to type, the answer, the remark.
const PROMPT_ROWS: u16 = 3;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let Some(state) = &model.run else { return };
    let (Some(run), Some(focus)) = (state.run.as_deref(), &state.gate) else { return };
    let Some((step, _)) = run.open_gate() else { return };
    let StepKind::Gate { answer, .. } = &step.kind else { return };
    let text = Rect { height: area.height.saturating_sub(PROMPT_ROWS), ..area };
    let lines = gate_lines(state, paint, text);
    let height = usize::from(text.height);
    let top = focus.scrolled.min(lines.len().saturating_sub(height));
    let shown = &lines[top..];
    widgets::lines(buffer, text, shown);
    // Right below the text, or at the page's end where the text goes on.
    let below = u16::try_from(shown.len()).unwrap_or(text.height).min(text.height);
    let prompt = Rect { y: area.y + below, height: PROMPT_ROWS.min(area.height - below), ..area };
    widgets::lines(buffer, prompt, &prompt_lines(paint, focus, answer, usize::from(area.width)));
}

fn prompt_lines(paint: Paint<'_>, focus: &GateFocus, answer: &str, width: usize) -> [Line<'static>; 3] {
    let typed = fit_end(&paint.letters(focus.typing.text()), width.saturating_sub(7));
    let (role, said) = match (&focus.said, focus.typing.remark, focus.is_sent) {
        (_, _, true) => (Role::Faint, "the answer is on its way".to_owned()),
        (Some(said), ..) => (Role::Bad, format!("! {said}")),
        (None, Some(remark), _) => (Role::Warning, format!("({})", remark.words())),
        (None, None, _) => (Role::Faint, String::new()),
    };
    [
        paint.pieces(&[
            (Role::Text, " Type "),
            (Role::Title, answer),
            (Role::Text, " and Enter to go on. Esc leaves it waiting."),
        ]),
        paint.pieces(&[(Role::Accent, " > "), (Role::Text, &typed), (Role::Accent, "▏")]),
        paint.pieces(&[(Role::Text, " "), (role, &said)]),
    ]
}

fn gate_lines(state: &RunState, paint: Paint<'_>, text: Rect) -> Vec<Line<'static>> {
    let Some((run, (step, open))) = state.run.as_deref().and_then(|run| Some((run, run.open_gate()?))) else {
        return Vec::new();
    };
    let deciding = deciding::of(run, step, open);
    layout::lines(paint, &deciding, usize::from(text.width), usize::from(text.height))
}

/// How many of the open gate's lines stand below the first screen.
#[must_use]
pub fn lines_below(model: &Model) -> usize {
    let Some(state) = &model.run else { return 0 };
    let paint = Paint::new(&model.theme, model.setup.ascii);
    let rows = u16::try_from(model.page_rows()).unwrap_or(u16::MAX).saturating_sub(PROMPT_ROWS);
    gate_lines(state, paint, Rect::new(0, 0, model.size.0, rows)).len().saturating_sub(usize::from(rows))
}

/// The decision as a page: what decides above, the ways on below it.
pub fn draw_decision(
    model: &Model,
    paint: Paint<'_>,
    buffer: &mut Buffer,
    area: Rect,
    (items, cursor, filter): (&[&Item], usize, &str),
) {
    let run = model.run.as_ref().and_then(|state| state.run.as_deref());
    let Some((run, Attention::Decision(step, gate))) = run.and_then(|run| Some((run, attention(run)?))) else { return };
    let count = u16::try_from(items.len().max(1)).unwrap_or(1).min(area.height / 2);
    let text = Rect { height: area.height.saturating_sub(count + 1), ..area };
    let deciding = deciding::of(run, step, gate);
    let lines = layout::first(paint, &deciding, usize::from(area.width), usize::from(text.height));
    let below = u16::try_from(lines.len()).unwrap_or(text.height).min(text.height);
    widgets::lines(buffer, text, &lines);
    let width = usize::from(area.width).saturating_sub(2);
    let typed = fit_end(&paint.letters(filter), width.saturating_sub(30));
    let ask = Rect { y: area.y + below, height: 1, ..area };
    let title = paint.pieces(&[
        (Role::Title, " Choose the way on"),
        (Role::Faint, "  letters narrow the list "),
        (Role::Accent, "> "),
        (Role::Text, &typed),
        (Role::Accent, "▏"),
    ]);
    widgets::lines(buffer, ask, &[title]);
    let list = Rect { x: area.x, y: ask.y + 1, width: area.width, height: count };
    if items.is_empty() {
        widgets::lines(buffer, list, &[paint.line(Role::Faint, " nothing fits")]);
    }
    let longest = items.iter().map(|item| paint.letters(&item.label).chars().count()).max().unwrap_or(0);
    widgets::list(buffer, list, paint, items.len(), Some(cursor), |index| {
        let item = items[index];
        let label = pad(&paint.letters(&item.label), longest.min(width / 2));
        let about = fit(&paint.letters(&item.about), width.saturating_sub(longest + 3));
        paint.pieces(&[(Role::Text, &label), (Role::Text, "  "), (Role::Faint, &about)])
    });
}

/// Whether these are the ways on from a decision that is open: they have the page to themselves.
#[must_use]
pub fn is_decision(model: &Model, items: &[Item]) -> bool {
    let run = model.run.as_ref().and_then(|state| state.run.as_deref());
    model.page() == Page::Run
        && matches!(run.and_then(attention), Some(Attention::Decision(..)))
        && items.iter().any(|item| matches!(item.value, Value::Way(..)))
}
