//! A page a file. Each draws from the state and changes nothing.

mod accident;
mod deciding;
mod gate;
mod help;
mod inventory;
mod nothing;
mod plan;
mod rehearsal;
mod run;
mod runbooks;
mod runs;
mod timeline;
mod transcript;

pub use gate::{draw_decision, is_decision, lines_below};

use crate::ui::model::{Model, Page};
use crate::ui::paint::Paint;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// How far the text of the page can be scrolled: its first line on the screen where its end is in sight. `None` for a
/// page that knows that itself.
#[must_use]
pub fn last_top(model: &Model) -> Option<usize> {
    let paint = Paint::new(&model.theme, model.setup.ascii);
    let rows = u16::try_from(model.page_rows()).unwrap_or(u16::MAX);
    let area = Rect::new(1, 2, model.size.0.saturating_sub(2), rows);
    match model.page() {
        Page::Help => Some(help::last_top(paint, area)),
        Page::Plan => Some(plan::last_top(model, paint, area)),
        Page::Runbooks => Some(runbooks::last_top(model, paint, area)),
        _ => None,
    }
}

/// Draws the page that is shown.
pub fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let whole = area;
    // A column of air at both sides.
    let area = Rect { x: area.x + 1, width: area.width.saturating_sub(2), ..area };
    match model.page() {
        Page::Inventory | Page::Timeline if !model.inventory.has_sets() => nothing::draw(model, paint, buffer, area),
        Page::Inventory => inventory::draw(model, paint, buffer, area),
        Page::Timeline => timeline::draw(model, paint, buffer, area),
        Page::Accident => accident::draw(model, paint, buffer, area),
        Page::Runbooks => runbooks::draw(model, paint, buffer, area),
        Page::Plan => plan::draw(model, paint, buffer, area),
        // Its text is laid out for the whole width, as everywhere.
        Page::Run if model.is_at_gate() => gate::draw(model, paint, buffer, whole),
        Page::Run => run::draw(model, paint, buffer, area),
        Page::Runs => runs::draw(model, paint, buffer, area),
        Page::Transcript => transcript::draw(model, paint, buffer, area),
        Page::Rehearsal => rehearsal::draw(model, paint, buffer, area),
        Page::Help => help::draw(model, paint, buffer, area),
    }
}
