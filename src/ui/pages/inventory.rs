//! Which backup sets there are: chains by repository, and the set under the cursor.

use crate::domain::inventory::{BackupSet, Bytes, Repository, SetKey, StatusCode};
use crate::domain::label::BackupKind;
use crate::report::inventory::bytes;
use crate::ui::model::{Model, Row};
use crate::ui::paint::Paint;
use crate::ui::theme::Role;
use crate::ui::times::{ago, span};
use crate::ui::widgets;
use crate::ui::width::{pad, pad_left};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::text::Line;

/// Rows of the details below the list.
const DETAIL_ROWS: u16 = 9;
/// Columns of the list beside the details.
const LIST_COLUMNS: u16 = 80;

pub(super) fn draw(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let (list, detail) = widgets::split(area, LIST_COLUMNS, area.height.saturating_sub(DETAIL_ROWS));
    let inner = widgets::panel(buffer, list, paint, "Backup sets", &freshness(model));
    let rows = &model.inventory.rows;
    widgets::list(buffer, inner, paint, rows.len(), Some(model.inventory.cursor.at), |index| match rows.get(index) {
        Some(row @ Row::Repository(_)) => heading(model, paint, *row),
        Some(row) => set_row(model, paint, *row),
        None => Line::default(),
    });
    draw_detail(model, paint, buffer, detail);
}

/// How old the data on the screen is.
pub(super) fn freshness(model: &Model) -> String {
    let state = &model.inventory;
    let filter = if state.filter.is_empty() { String::new() } else { format!("only '{}' · ", state.filter) };
    let kept = if state.is_kept { "last known, " } else { "" };
    let age = state.found.as_ref().map(|found| format!("{kept}read {}", ago(found.read_at, model.utc())));
    let looking = if state.is_looking { " · asking pgbackrest" } else { "" };
    let old = if state.problem.is_some() { " · the last look failed" } else { "" };
    format!("{filter}{}{looking}{old}", age.unwrap_or_else(|| "nothing read yet".to_owned()))
}

fn heading(model: &Model, paint: Paint<'_>, row: Row) -> Line<'static> {
    let Some(repository) = model.inventory.repository_of(row) else { return Line::default() };
    let status = match repository.status.code {
        StatusCode::Ok => String::new(),
        _ => format!("  ! {}", repository.status.message.lines().next().unwrap_or("not ok")),
    };
    let cipher = match &*repository.cipher {
        "none" | "" => String::new(),
        cipher => format!(" · {cipher}"),
    };
    let newest = model.inventory.ground().and_then(|ground| ground.newest.get(&repository.key));
    let newest = newest.map_or_else(
        || repository.archives.iter().filter_map(|archive| archive.max).max().map(|max| format!("WAL up to {max}")),
        |newest| Some(format!("WAL up to {}, {}", newest.segment, ago(newest.archived, model.utc()))),
    );
    let sets = format!("{cipher} · {}", widgets::counted(repository.sets.len(), "set"));
    let unreadable = match repository.unreadable_sets.len() {
        0 => String::new(),
        count => format!(" ! {count} unreadable"),
    };
    let newest = format!(" · {}", newest.unwrap_or_else(|| "no WAL".to_owned()));
    paint.pieces(&[
        (Role::Title, &repository.key.name()),
        (Role::Faint, &sets),
        (Role::Bad, &unreadable),
        (Role::Faint, &newest),
        (Role::Bad, &status),
    ])
}

fn set_row(model: &Model, paint: Paint<'_>, row: Row) -> Line<'static> {
    let (Some((repository, set)), Row::Set { is_member, is_last, .. }) = (model.inventory.set(row), row) else {
        return Line::default();
    };
    let label = set.label().to_string();
    let name = label.rsplit('_').next().unwrap_or(&label);
    let tree = match (is_member, is_last) {
        (false, _) => " ",
        (true, false) => "  ├ ",
        (true, true) => "  └ ",
    };
    let kind = match set.kind() {
        BackupKind::Full => "F",
        BackupKind::Differential => "D",
        BackupKind::Incremental => "I",
    };
    let size = set.repository_bytes().map_or_else(
        || set.repository_added().map_or_else(|| "?".to_owned(), |added| format!("+{}", bytes(added))),
        bytes,
    );
    let name = pad(&format!("{tree}{kind} {name}"), 23);
    let when = format!("{}  {}", model.setup.zone.short(set.stop()), pad_left(&age(model, set), 6));
    let sizes = format!("  {}{}", pad_left(&bytes(set.database_bytes()), 8), pad_left(&size, 9));
    let (role, state) = standing(model, repository, set);
    paint.pieces(&[(Role::Text, &name), (Role::Faint, &when), (Role::Text, &sizes), (Role::Text, "  "), (role, &state)])
}

fn age(model: &Model, set: &BackupSet) -> String {
    span((model.utc() - set.stop()).num_seconds().max(0))
}

/// What is wrong with a set, else its last drill.
fn standing(model: &Model, repository: &Repository, set: &BackupSet) -> (Role, String) {
    if repository.chain(set.label()).is_some_and(|chain| chain.missing.is_some()) {
        return (Role::Bad, "✗ chain broken".to_owned());
    }
    if set.error() == Some(true) {
        return (Role::Bad, "✗ page errors".to_owned());
    }
    let Some(drills) = &model.inventory.drills else { return (Role::Faint, String::new()) };
    match drills.get(&key(model, repository, set)) {
        Some(drill) if drill.verdict == "done" => {
            (Role::Good, format!("✔ drilled {}", span((model.utc() - drill.at).num_seconds().max(0))))
        }
        Some(drill) => (Role::Warning, format!("! drill {}", drill.verdict)),
        None => (Role::Faint, "– no drill".to_owned()),
    }
}

fn key(model: &Model, repository: &Repository, set: &BackupSet) -> SetKey {
    let stanza = model.inventory.current_stanza().map(|stanza| stanza.name.clone()).unwrap_or_default();
    SetKey { stanza, repository: repository.key, label: set.label() }
}

fn draw_detail(model: &Model, paint: Paint<'_>, buffer: &mut Buffer, area: Rect) {
    let found = model.inventory.row().and_then(|row| model.inventory.set(row).or(None));
    let width = usize::from(area.width);
    match found {
        Some((repository, set)) => {
            let inner = widgets::panel(buffer, area, paint, &set.label().to_string(), set.kind().word());
            widgets::lines(buffer, inner, &set_detail(model, paint, repository, set, width));
        }
        None => {
            let repository = model.inventory.row().and_then(|row| model.inventory.repository_of(row));
            let title = repository.map(|repository| repository.key.name()).unwrap_or_default();
            let inner = widgets::panel(buffer, area, paint, &title, "");
            let lines = repository.map(|repository| repository_detail(paint, repository, width)).unwrap_or_default();
            widgets::lines(buffer, inner, &lines);
        }
    }
}

fn repository_detail(paint: Paint<'_>, repository: &Repository, width: usize) -> Vec<Line<'static>> {
    let mut rows =
        vec![("status", repository.status.message.replace('\n', " ")), ("cipher", repository.cipher.to_string())];
    for database in &repository.databases {
        let system = database.system_id.map(|system| system.to_string()).unwrap_or_default();
        rows.push(("database", format!("{} · PostgreSQL {} · system {system}", database.id.0, database.version)));
    }
    rows.extend(repository.unreadable_sets.iter().map(|problem| ("unreadable", problem.to_string())));
    widgets::pairs(paint, &rows, width)
}

fn set_detail(
    model: &Model,
    paint: Paint<'_>,
    repository: &Repository,
    set: &BackupSet,
    width: usize,
) -> Vec<Line<'static>> {
    let zone = model.setup.zone;
    let took = span((set.stop() - set.start()).num_seconds());
    let mut rows = vec![
        ("ended", format!("{} · {} · took {took}", zone.both(set.stop()), ago(set.stop(), model.utc()))),
        ("size", sizes(set)),
        ("WAL", wal(repository, set)),
        ("builds on", chain(repository, set)),
        ("drill", drill(model, repository, set)),
    ];
    if set.error() == Some(true) {
        rows.insert(0, ("errors", "page checksum errors were found when it was made".to_owned()));
    }
    rows.extend(set.annotations().map(|(name, text)| ("note", format!("{name}: {text}"))));
    let dependents = repository.dependents(set.label()).len();
    if dependents > 0 {
        rows.push(("carries", format!("{} built on it", widgets::counted(dependents, "set"))));
    }
    rows.extend(set.made_by().map(|version| ("made by", format!("pgBackRest {version}"))));
    rows.extend(databases(model, repository, set));
    widgets::pairs(paint, &rows, width)
}

fn sizes(set: &BackupSet) -> String {
    let told = |size: Option<Bytes>| size.map_or_else(|| "not told".to_owned(), bytes);
    let repository = set.repository_bytes();
    let added = set.repository_added();
    format!(
        "cluster {} · in the repository {} · this backup added {}",
        bytes(set.database_bytes()),
        told(repository),
        told(added)
    )
}

fn wal(repository: &Repository, set: &BackupSet) -> String {
    let Some(wal) = set.wal() else { return "none: it was made with the server stopped".to_owned() };
    let lsn = set.lsn().map(|lsn| format!(" · LSN {} to {}", lsn.start, lsn.stop)).unwrap_or_default();
    let stale = if repository.is_of_current_database(set) { "" } else { " · of an earlier cluster" };
    let (start, stop) = (wal.start.to_string(), wal.stop.to_string());
    let range = if start == stop { start } else { format!("{start} to {}", &stop[16..]) };
    format!("{range} · timeline {}{lsn}{stale}", wal.stop.timeline)
}

fn chain(repository: &Repository, set: &BackupSet) -> String {
    let Some(chain) = repository.chain(set.label()) else { return String::new() };
    if let Some(missing) = chain.missing {
        return format!("{missing}, which is NOT THERE: it can't be restored");
    }
    match chain.sets.as_slice() {
        [_] => "nothing: it is a full backup".to_owned(),
        [.., prior, _] => format!("{} ({} sets in all)", prior.label(), chain.sets.len()),
        [] => String::new(),
    }
}

fn drill(model: &Model, repository: &Repository, set: &BackupSet) -> String {
    let Some(drills) = &model.inventory.drills else { return "the runs on this host are being read".to_owned() };
    match drills.get(&key(model, repository, set)) {
        Some(drill) => format!(
            "{}, depth {}, {} · {}",
            drill.verdict,
            drill.depth,
            ago(drill.at, model.utc()),
            model.setup.zone.both(drill.at)
        ),
        None => "never: nobody has proved that it can be restored (d drills it)".to_owned(),
    }
}

/// What was asked for with a key, where it is of this set.
fn databases(model: &Model, repository: &Repository, set: &BackupSet) -> Vec<(&'static str, String)> {
    let wanted = key(model, repository, set);
    let Some((_, Ok(found))) = model.inventory.detail.as_ref().filter(|(of, _)| *of == wanted) else {
        return Vec::new();
    };
    let Some(detail) = found.detail() else { return Vec::new() };
    let databases: Vec<String> =
        detail.databases.iter().map(|database| format!("{} ({})", database.name, database.oid)).collect();
    let spaces: Vec<String> =
        detail.tablespaces.iter().map(|space| format!("{} at {}", space.name, space.destination)).collect();
    let none = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    vec![("databases", none(databases)), ("tablespaces", none(spaces))]
}
