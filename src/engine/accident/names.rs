//! What tables are called: by the running server, else as it is remembered.

use crate::domain::control_file::ControlIdentity;
use crate::domain::text::clean;
use crate::engine::accident::catalog::LiveCatalog;
use crate::engine::accident::request::{Place, Request};
use crate::engine::ask::{self, Cancel};
use crate::engine::catalog_memory::{recall, remember};
use crate::engine::clock;
use crate::engine::postgres::{LiveState, PostgresPrograms, server_is_live};
use crate::planning::accident::Names;
use crate::planning::target::show;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Whose names are looked for.
pub(super) struct Owner<'a> {
    /// The data directory whose server may know them.
    pub(super) data_directory: Option<&'a Path>,
    /// The stanza under which they are remembered.
    pub(super) stanza: Option<&'a str>,
    pub(super) system_identifier: u64,
}

/// What could be found out.
pub(super) struct Told {
    pub(super) names: Names,
    pub(super) server_zone: Option<chrono_tz::Tz>,
    pub(super) notes: Vec<String>,
}

/// Asks the server, where it runs and may be asked, remembers what it said, and adds what is remembered of everything that it does not know:
/// tables that are gone, and files that tables have left.
pub(super) fn tell(place: &Place, request: &Request, owner: &Owner<'_>, cancel: &Cancel) -> Told {
    let mut told = Told { names: Names::default(), server_zone: None, notes: Vec::new() };
    let live = match (request.asks_server, place.is_read_only) {
        (true, false) => ask_server(place, request, owner, cancel, &mut told),
        (true, true) => Err("the server is not asked, for --read-only runs no SQL".to_owned()),
        (false, _) => Err("the server was not asked".to_owned()),
    };
    let remembered = add_remembered(place, request, owner, &mut told.names);
    match (live, remembered) {
        (Ok(()), Ok(_)) => {}
        (Ok(()), Err(why)) => told.notes.push(format!("what is remembered of names can't be read: {why}")),
        (Err(why), Ok(Some(since))) => {
            told.notes.push(format!("no live catalog: {why}; names are from the catalog memory of {since}"));
        }
        (Err(why), Ok(None)) => told.notes.push(format!(
            "no live catalog: {why}; tables are shown by their files, and how many rows they have is not known \
             (`lifeboat remember` notes names for such a day)"
        )),
        (Err(why), Err(also)) => told.notes.push(format!(
            "no live catalog: {why}; what is remembered of names can't be read either: {also}; tables are shown by their files"
        )),
    }
    told
}

fn ask_server(
    place: &Place,
    request: &Request,
    owner: &Owner<'_>,
    cancel: &Cancel,
    told: &mut Told,
) -> Result<(), String> {
    let data = owner.data_directory.ok_or("the WAL's data directory is not known")?;
    let words = |error: &dyn std::error::Error| clean(&error.to_string());
    let found = identity(data).ok_or_else(|| {
        format!(
            "the control file of {} can't be read, so that its server may be another's",
            clean(&data.to_string_lossy())
        )
    })?;
    if found != owner.system_identifier {
        return Err(format!(
            "the server on {} is another cluster (system identifier {found}, the WAL's is {})",
            clean(&data.to_string_lossy()),
            owner.system_identifier
        ));
    }
    let state = server_is_live(data).map_err(|error| words(&error))?;
    let LiveState::Running { port: Some(port), socket_directory: Some(socket_directory), .. } = state else {
        return Err(format!("no server that has a socket runs on {}", clean(&data.to_string_lossy())));
    };
    let environment = place.environment.clone();
    let major = std::fs::read_to_string(data.join("PG_VERSION")).unwrap_or_default();
    let psql = PostgresPrograms::find(place.bin_directory.as_deref(), major.trim(), &environment)
        .map(|programs| programs.program("psql"))
        .ok()
        .filter(|psql| psql.exists());
    let search_path = environment.get("PATH").map(std::ffi::OsStr::new);
    let psql = psql.or_else(|| ask::find_program(Path::new("psql"), search_path)).ok_or("there is no psql")?;
    let socket_directory = PathBuf::from(socket_directory);
    let (user, cancel) = (request.user.clone(), cancel.clone());
    let catalog = LiveCatalog { psql, socket_directory, port, user, environment, cancel };
    let found = catalog.read().map_err(|error| words(&error))?;
    (told.names, told.server_zone) = (found.names, catalog.time_zone());
    told.notes.extend(found.notes);
    // The plan that follows asks no server, and tomorrow there may be none: what was read once is not forgotten.
    if let (Some(state), Some(stanza)) = (&place.state_directory, owner.stanza)
        && let Err(error) = remember(state, stanza, owner.system_identifier, found.relations, clock::now().to_utc())
    {
        told.notes.push(format!("the names can't be remembered: {}", words(&error)));
    }
    Ok(())
}

/// The system identifier in a data directory's control file.
pub(super) fn identity(data_directory: &Path) -> Option<u64> {
    let mut head = [0; 16];
    File::open(data_directory.join("global/pg_control")).ok()?.read_exact(&mut head).ok()?;
    Some(ControlIdentity::parse(&head).ok()?.system_identifier)
}

/// Adds what is remembered; says since when the newest of it is, where there is any.
fn add_remembered(
    place: &Place,
    request: &Request,
    owner: &Owner<'_>,
    names: &mut Names,
) -> Result<Option<String>, String> {
    let (Some(state), Some(stanza)) = (&place.state_directory, owner.stanza) else { return Ok(None) };
    let (memory, _) = recall(state, stanza, owner.system_identifier).map_err(|error| error.to_string())?;
    let at = request.window.around;
    let newest = memory.all_at(at).map(|(_, seen)| seen.last).max();
    names.add_remembered(&memory, at);
    Ok(newest.map(show))
}
