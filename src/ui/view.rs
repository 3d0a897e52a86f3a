//! From the state to the screen: header, page, what stands in front, footer.

use crate::ui::command::{Command, Place};
use crate::ui::keymap;
use crate::ui::model::{Model, Page};
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::width::fit;
use crate::ui::{pages, popups, widgets};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr as _;

/// Below this there is no room for what decides.
pub const LEAST: (u16, u16) = (60, 18);

/// Draws all of it.
pub fn view(model: &Model, buffer: &mut Buffer) {
    let area = buffer.area;
    let paint = Paint::new(&model.theme, model.setup.ascii);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        too_small(paint, buffer, area);
    } else {
        let inner = Rect { y: 2, height: area.height - 4, ..area };
        header(model, paint, buffer, area);
        pages::draw(model, paint, buffer, inner);
        popups::draw(model, paint, buffer, inner);
        notice(model, paint, buffer, Rect { y: area.height - 2, height: 1, ..area });
        footer(model, paint, buffer, Rect { y: area.height - 1, height: 1, ..area });
    }
    paint.finish(buffer);
}

fn too_small(paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let text = format!(
        "Lifeboat needs {} columns and {} rows; here are {} and {}. Make the window larger. q leaves; runs go on.",
        LEAST.0, LEAST.1, area.width, area.height
    );
    let lines = widgets::paragraph(paint, Role::Text, &text, usize::from(area.width.max(1)));
    widgets::lines(buffer, area, &lines);
}

fn header(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let zone = model.setup.zone;
    let clock = if model.setup.seconds { zone.clock(model.utc()) } else { zone.minutes(model.utc()) };
    let mut about = vec![model.setup.host.clone()];
    about.extend(model.setup.read_only.then(|| "READ-ONLY".to_owned()));
    if let Some(stanza) = model.inventory.selected() {
        let only = model.inventory.repository.map(|key| format!(" {}", key.name())).unwrap_or_default();
        about.push(format!("{}{only}", stanza.name));
        let repositories = stanza.whole.iter().flat_map(|whole| &whole.repositories);
        let databases = repositories.filter_map(|repository| repository.current_database());
        about.extend(databases.map(|database| format!("PostgreSQL {}", database.version)).next());
    }
    about.extend(model.inventory.found.as_ref().map(|found| format!("pgBackRest {}", found.pgbackrest)));
    let room = usize::from(area.width).saturating_sub(clock.width() + 14);
    // What there is no room for is left out whole: half a version is a wrong one.
    let least = 2 + usize::from(model.setup.read_only);
    while about.len() > least && paint.letters(&about.join(" · ")).width() > room {
        about.pop();
    }
    let about = fit(&paint.letters(&about.join(" · ")), room);
    let left = paint.pieces(&[(Role::Accent, " lifeboat"), (Role::Text, "  "), (Role::Text, &about)]);
    two_sides(buffer, Rect { height: 1, ..area }, &left, &paint.pieces(&[(Role::Text, &clock), (Role::Text, " ")]));
    tabs(model, paint, buffer, Rect { y: 1, height: 1, ..area });
}

fn tabs(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let mut spans = vec![paint.span(Role::Text, " ")];
    for (number, page, title) in [
        ("1", Page::Inventory, "Inventory"),
        ("2", Page::Timeline, "Timeline"),
        ("3", Page::Runbooks, "Runbooks"),
        ("4", Page::Runs, "Runs"),
        ("5", Page::Accident, "Accident"),
    ] {
        let is_here = model.page() == page;
        let text = format!("{number} {title}");
        spans.push(if is_here {
            paint.span(Role::Selected, &format!(" {text} "))
        } else {
            paint.span(Role::Faint, &format!(" {text} "))
        });
    }
    let deeper = match model.page() {
        Page::Plan => Some(format!("Plan {}", model.plan.runbook)),
        Page::Run => Some(model.run.as_ref().map_or("Run".to_owned(), |run| format!("Run {}", run.id))),
        Page::Transcript => {
            Some(model.transcript.run.as_ref().map_or("Transcript".to_owned(), |run| format!("Transcript {run}")))
        }
        Page::Rehearsal => Some("Rehearsal".to_owned()),
        Page::Help => Some("Help".to_owned()),
        _ => None,
    };
    if let Some(deeper) = deeper {
        let used: usize = spans.iter().map(Span::width).sum();
        let deeper = fit(&paint.letters(&deeper), usize::from(area.width).saturating_sub(used + 2));
        spans.push(paint.span(Role::Selected, &format!(" {deeper} ")));
    }
    let left = Line::from(spans);
    let room = usize::from(area.width).saturating_sub(left.width() + 2);
    let banner = banner(model).filter(|_| room > 12);
    let right = banner.map(|text| fit(&paint.letters(&text), room)).unwrap_or_default();
    two_sides(buffer, area, &left, &paint.pieces(&[(Role::Warning, &right), (Role::Text, " ")]));
}

/// A run that is on, where its page is not the one that is shown.
fn banner(model: &Model) -> Option<String> {
    let card = model.runs.open().filter(|_| model.page() != Page::Run)?;
    let told = card.told.as_ref().ok()?;
    Some(match (&told.gate, card.is_runner_alive) {
        (Some(_), _) => format!("■ {} at a gate", card.id),
        (None, true) => format!("▸ {} {}", card.id, told.outcome),
        (None, false) => format!("? {} has no runner", card.id),
    })
}

fn two_sides(buffer: &mut Buffer, area: Rect, left: &Line<'_>, right: &Line<'_>) {
    buffer.set_line(area.x, area.y, left, area.width);
    let width = u16::try_from(right.width()).unwrap_or(area.width).min(area.width);
    buffer.set_line(area.x + area.width - width, area.y, right, width);
}

fn notice(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let Some(notice) = &model.notice else { return };
    let (role, mark) = if notice.is_bad { (Role::Bad, " ! ") } else { (Role::Accent, " · ") };
    let room = usize::from(area.width).saturating_sub(4);
    let text = fit(&paint.letters(&notice.text), room);
    buffer.set_line(area.x, area.y, &paint.pieces(&[(role, mark), (role, &text)]), area.width);
}

fn footer(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let place = model.place();
    let general = if place.takes_text() {
        Vec::new()
    } else {
        keymap::offered(Place::Everywhere, paint.ascii, model.setup.read_only)
    };
    let right = offers(paint, &general, usize::MAX);
    let room = usize::from(area.width).saturating_sub(right.width() + 2);
    let mut own = keymap::offered(place, paint.ascii, model.setup.read_only);
    // Where there is no set, keys for one are no offer: what helps is to look again, and a runbook needs no cursor on a set.
    if matches!(place, Place::Inventory | Place::Timeline) && !model.inventory.has_sets() {
        let ways = [(Command::Refresh, "look again"), (Command::GoRunbooks, "runbooks"), (Command::GoRuns, "runs")];
        own = ways.map(|(command, word)| (keymap::name(command, paint.ascii), word)).to_vec();
    }
    two_sides(buffer, area, &offers(paint, &own, room), &right);
}

/// Keys with their words, as many as fit.
fn offers(paint: Paint<'_>, keys: &[(String, &str)], room: usize) -> Line<'static> {
    let mut spans = Vec::new();
    let mut used = 0;
    for (key, word) in keys {
        let (key, word) = (format!(" {key}"), format!(" {word} "));
        used += key.width() + word.width();
        if used > room {
            break;
        }
        spans.push(paint.span(Role::Key, &key));
        spans.push(paint.span(Role::Faint, &word));
    }
    Line::from(spans)
}
