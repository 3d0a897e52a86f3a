//! The gate that was gone to: what will be lost, where, what was kept; and the answer being typed.

use crate::domain::plan::StepKind;
use crate::report::gate;
use crate::report::width::Width;
use crate::ui::model::Model;
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::widgets;
use crate::ui::width::fit_end;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Rows below the gate's text: what to type, the answer, the remark.
const PROMPT_ROWS: u16 = 3;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let Some(state) = &model.run else { return };
    let (Some(run), Some(focus)) = (state.run.as_deref(), &state.gate) else { return };
    let Some((step, open)) = run.open_gate() else { return };
    let StepKind::Gate { answer, .. } = &step.kind else { return };
    let text = Rect { height: area.height.saturating_sub(PROMPT_ROWS), ..area };
    let lines: Vec<Line<'static>> = gate::lines(run, step, open, Width::of_terminal(usize::from(area.width)))
        .iter()
        .map(|line| styled(paint, line))
        .collect();
    let height = usize::from(text.height);
    let most = lines.len().saturating_sub(height);
    let top = most.saturating_sub(focus.scrolled);
    widgets::lines(buffer, text, &lines[top..]);
    if top > 0 {
        let above = format!("{top} lines above: PgUp");
        let line = paint.line(Role::Faint, &above);
        let width = u16::try_from(line.width()).unwrap_or(0).min(text.width);
        buffer.set_line(text.x + text.width - width, text.y, &line, width);
    }
    // Right below the text, or at the page's end where the text goes on above it.
    let below = u16::try_from(lines.len()).unwrap_or(text.height).min(text.height);
    let prompt = Rect { y: area.y + below, height: PROMPT_ROWS.min(area.height - below), ..area };
    let width = usize::from(area.width);
    let typed = fit_end(&paint.letters(focus.typing.text()), width.saturating_sub(7));
    let (role, said) = match (&focus.said, focus.typing.remark, focus.is_sent) {
        (_, _, true) => (Role::Faint, "the answer is on its way".to_owned()),
        (Some(said), ..) => (Role::Bad, format!("! {said}")),
        (None, Some(remark), _) => (Role::Warning, format!("({})", remark.words())),
        (None, None, _) => (Role::Faint, String::new()),
    };
    widgets::lines(
        buffer,
        prompt,
        &[
            paint.pieces(&[
                (Role::Text, "   Type "),
                (Role::Title, answer),
                (Role::Text, " and Enter to go on. Esc leaves it waiting."),
            ]),
            paint.pieces(&[(Role::Accent, "   > "), (Role::Text, &typed), (Role::Accent, "▏")]),
            paint.pieces(&[(Role::Text, "   "), (role, &said)]),
        ],
    );
}

fn styled(paint: Paint<'_>, line: &str) -> Line<'static> {
    let role = if line.starts_with('─') {
        Role::Accent
    } else if line.trim_start().starts_with("! ") || line.contains("CHANGED") || line.contains("can't be undone") {
        Role::Warning
    } else {
        Role::Text
    };
    paint.line(role, line)
}
