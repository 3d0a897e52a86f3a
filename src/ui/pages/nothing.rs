//! No backup set to show: what was looked for, where, and the ways on.

use super::inventory::freshness;
use crate::ui::model::Model;
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::widgets;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Rows of what is wrong.
const PROBLEM_ROWS: usize = 7;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let width = usize::from(area.width).min(100);
    let mut lines = vec![Line::default()];
    if model.inventory.is_looking && model.inventory.problem.is_none() {
        let inner = widgets::panel(buffer, area, paint, "Backup sets", "");
        lines.extend(widgets::paragraph(paint, Role::Text, "Asking pgbackrest which backup sets there are.", width));
        lines.push(Line::default());
        lines.extend(looked_at(model, paint, width));
        widgets::lines(buffer, inner, &lines);
        return;
    }
    let inner = widgets::panel(buffer, area, paint, "No backup set was found", &freshness(model));
    if let Some(problem) = &model.inventory.problem {
        for line in problem.lines() {
            lines.extend(widgets::paragraph(paint, Role::Bad, line, width));
        }
        // The ways on are in sight whatever there is to say.
        lines.truncate(PROBLEM_ROWS);
        lines.push(Line::default());
    }
    for stanza in model.inventory.found.iter().flat_map(|found| &found.stanzas) {
        for repository in &stanza.repositories {
            let said = repository.status.message.replace('\n', " ");
            let text = format!("stanza {} in {}: {said}", stanza.name, repository.key.name());
            lines.extend(widgets::paragraph(paint, Role::Warning, &text, width));
        }
    }
    for (number, text) in ways_on(model).iter().enumerate() {
        let label = format!("{}.", number + 1);
        lines.extend(widgets::pairs(paint, &[(label.as_str(), text.clone())], width));
    }
    lines.push(Line::default());
    lines.extend(looked_at(model, paint, width));
    widgets::lines(buffer, inner, &lines);
}

fn looked_at(model: &Model, paint: Paint<'_>, width: usize) -> Vec<Line<'static>> {
    let setup = &model.setup;
    let rows = [
        ("looked with", setup.pgbackrest.clone()),
        ("by", setup.config.clone()),
        ("for", setup.stanza.as_ref().map_or("every stanza".to_owned(), |stanza| format!("stanza {stanza}"))),
        ("settings", setup.settings.clone()),
        ("as", format!("uid {} on {}", setup.operator.uid, setup.host)),
    ];
    widgets::pairs(paint, &rows, width)
}

fn ways_on(model: &Model) -> [String; 3] {
    // The practice cluster has settings of its own.
    let program = model.setup.program.split(" --").next().unwrap_or("lifeboat");
    [
        "The repository is elsewhere, or not mounted: mount it, or name its configuration with \
             --pgbackrest-config FILE, then look again with r."
            .to_owned(),
        "There is no backup yet: pgbackrest --stanza=NAME stanza-create, then --type=full backup.".to_owned(),
        format!("To see what this is like, on a practice cluster of its own: {program} rehearse"),
    ]
}
