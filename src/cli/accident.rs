//! `lifeboat accident`: which transaction did the damage, and where to stop right before it.

use super::terminal::Letters;
use super::{Context, Exit};
use crate::domain::text::clean;
use crate::engine::accident::{DirectorySource, LiveCatalog, Progress, SegmentSource, find, window_around};
use crate::engine::environment::BaseEnvironment;
use crate::engine::postgres::{LiveState, PostgresPrograms, server_is_live};
use crate::engine::{ask, clock};
use crate::planning::accident::{Names, Window};
use crate::planning::parameters::duration_seconds;
use crate::report::accident::{Shown, text};
use anyhow::{Context as _, anyhow, bail};
use std::io::{IsTerminal as _, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Which WAL, and when.
#[derive(Debug, clap::Args)]
pub struct Around {
    /// About when it happened, with an offset: '2026-11-22 02:13:00+03'.
    #[arg(long, value_name = "WHEN")]
    around: String,
    /// How long before and after that is looked at, as 15m or 1h30m.
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    window: String,
    /// A directory with plain WAL segments (default: pg_wal of the stanza's data directory).
    #[arg(long, value_name = "DIRECTORY")]
    wal_directory: Option<PathBuf>,
    /// Do not ask the running server for the names of its tables.
    #[arg(long)]
    no_names: bool,
    /// The database user that is asked for names (default: as psql has it).
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Arguments of `lifeboat accident`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    around: Around,
    /// Only what touches this table: a name, an oid or a file number.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What is read, and with which names.
pub(super) struct Asked {
    pub(super) source: DirectorySource,
    pub(super) window: Window,
    pub(super) names: Names,
    pub(super) server_zone: Option<chrono_tz::Tz>,
    pub(super) notes: Vec<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// When the time can't be read or there is no WAL, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let mut asked = ask_for(context, &args.around)?;
    let names = std::mem::take(&mut asked.names);
    let found = find(&mut asked.source, asked.window, names, args.table.as_deref(), &mut show_progress)?;
    clear_progress();
    let mut answer = found;
    answer.notes.splice(0..0, asked.notes);
    let text = if args.json {
        serde_json::to_string_pretty(&answer)? + "\n"
    } else {
        let (place, directory) = (clean(&asked.source.place()), asked.source.directory());
        let now = clock::now();
        let shown = Shown {
            zone: now.offset(),
            server_zone: asked.server_zone,
            place: &place,
            directory: directory.as_deref(),
        };
        Letters::of(context).show(&text(&answer, &shown))
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("writing the answer")?;
    Ok(Exit::Done)
}

/// Opens the WAL and reads the names.
pub(super) fn ask_for(context: &Context, args: &Around) -> anyhow::Result<Asked> {
    let seconds =
        duration_seconds(&args.window).map_err(|error| anyhow!("--window {}: {error}", clean(&args.window)))?;
    let window = window_around(&args.around, seconds, clock::now()).map_err(|error| anyhow!("--around: {error}"))?;
    let data_directory = context.data_directory();
    let wal = match (&args.wal_directory, &data_directory) {
        (Some(directory), _) => directory.clone(),
        (None, Some(data_directory)) => data_directory.join("pg_wal"),
        (None, None) => {
            bail!("there is no data directory in pgBackRest's configuration; name the WAL with --wal-directory")
        }
    };
    let source = DirectorySource::open(&wal)?;
    let mut asked = Asked { source, window, names: Names::default(), server_zone: None, notes: Vec::new() };
    // A directory of copies belongs to no server; a pg_wal to that of the directory above it.
    let above = wal.canonicalize().ok().and_then(|wal| Some(wal.parent()?.to_owned()));
    let owner = above.filter(|above| above.join("PG_VERSION").exists()).or(data_directory);
    if args.no_names {
        asked.notes.push("tables are shown by their files, as was asked for".to_owned());
    } else if let Err(why) = add_names(context, args, owner.as_deref(), &mut asked) {
        asked.notes.push(format!(
            "no live catalog: {why}; tables are shown by their files, and how many rows they have is not known"
        ));
    }
    Ok(asked)
}

fn add_names(context: &Context, args: &Around, data: Option<&Path>, asked: &mut Asked) -> Result<(), String> {
    let data = data.ok_or("the WAL's data directory is not known")?;
    let words = |error: &dyn std::error::Error| clean(&error.to_string());
    let state = server_is_live(data).map_err(|error| words(&error))?;
    let LiveState::Running { port: Some(port), socket_directory: Some(socket_directory), .. } = state else {
        return Err(format!("no server that has a socket runs on {}", data.display()));
    };
    let environment = BaseEnvironment::from_process().map_err(|error| words(&error))?.real;
    let major = std::fs::read_to_string(data.join("PG_VERSION")).unwrap_or_default();
    let bin = context.settings.postgres.bin_directory.as_deref();
    let psql = PostgresPrograms::find(bin, major.trim(), &environment)
        .map(|programs| programs.program("psql"))
        .ok()
        .filter(|psql| psql.exists());
    let search_path = environment.get("PATH").map(std::ffi::OsStr::new);
    let psql = psql.or_else(|| ask::find_program(Path::new("psql"), search_path)).ok_or("there is no psql")?;
    let socket_directory = PathBuf::from(socket_directory);
    let catalog = LiveCatalog { psql, socket_directory, port, user: args.user.clone(), environment };
    let (names, notes) = catalog.names().map_err(|error| words(&error))?;
    (asked.names, asked.server_zone) = (names, catalog.time_zone());
    asked.notes.extend(notes);
    Ok(())
}

/// Reading an hour of WAL takes seconds: a person sees that it goes on.
pub(super) fn show_progress(progress: Progress) -> ControlFlow<()> {
    let mut errors = std::io::stderr();
    if errors.is_terminal() {
        let _ = write!(errors, "\rreading {} ({} of {})", progress.segment, progress.place, progress.of);
    }
    ControlFlow::Continue(())
}

/// Takes the progress away again.
pub(super) fn clear_progress() {
    let mut errors = std::io::stderr();
    if errors.is_terminal() {
        let _ = write!(errors, "\r\x1b[K");
    }
}
