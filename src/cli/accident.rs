//! `lifeboat accident`: which transaction did the damage, and where to stop right before it.

use super::cancel;
use super::terminal::Letters;
use super::{Context, Exit};
use crate::domain::text::clean;
use crate::domain::wal::TimelineId;
use crate::engine::accident::{Found, News, Place, Progress, Request, investigate};
use crate::engine::clock;
use crate::planning::accident::Question;
use crate::planning::parameters::duration_seconds;
use crate::report::accident::{Shown, text};
use anyhow::{Context as _, anyhow};
use chrono::TimeZone;
use chrono_tz::Tz;
use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;

/// Which WAL, and when.
#[derive(Debug, clap::Args)]
pub struct Around {
    /// About when it happened: '2026-11-22 02:13:00+03', '02:13' (the last one here), '10 minutes ago'.
    #[arg(long, value_name = "WHEN")]
    around: String,
    /// How long before and after that is looked at, as 15m or 1h30m.
    #[arg(long, value_name = "DURATION", default_value = "15m")]
    window: String,
    /// A directory with plain WAL segments (default: the stanza's archive, and pg_wal of its data directory).
    #[arg(long, value_name = "DIRECTORY")]
    wal_directory: Option<PathBuf>,
    /// The timeline that is looked along, its ancestors with it (default: the newest).
    #[arg(long, value_name = "NUMBER", conflicts_with = "wal_directory")]
    timeline: Option<u32>,
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

/// Runs the subcommand.
///
/// # Errors
/// When the time can't be read or there is no WAL, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let zone = context.settings.operator.timezone;
    let request = Request { table: args.table.clone(), ..request(&args.around, zone)? };
    let cancel = cancel::on_signals()?;
    let found = investigate(&Place::of(&context.settings)?, &request, &cancel, &mut show_progress);
    clear_progress();
    let found = found?;
    let text = if args.json {
        serde_json::to_string_pretty(&found.answer)? + "\n"
    } else {
        let words = match zone {
            Some(zone) => words(&found, &zone),
            None => words(&found, &chrono::Local),
        };
        Letters::of(context).show(&words)
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("writing the answer")?;
    Ok(if cancel.is_set() { Exit::Aborted } else { Exit::Done })
}

/// The answer for a person, with times in their zone.
fn words<Z: TimeZone>(found: &Found, zone: &Z) -> String
where
    Z::Offset: std::fmt::Display,
{
    let place = clean(&found.place);
    let shown = Shown { zone, server_zone: found.server_zone, place: &place, reach: &found.reach };
    text(&found.answer, &shown)
}

/// What a person asks, without a table. A time of day is the operator's, or the host's where no zone is set.
pub(super) fn request(args: &Around, zone: Option<Tz>) -> anyhow::Result<Request> {
    let seconds =
        duration_seconds(&args.window).map_err(|error| anyhow!("--window {}: {error}", clean(&args.window)))?;
    let (now, text) = (clock::now().to_utc(), &args.around);
    let question = match zone {
        Some(zone) => Question::about(text, seconds, now, &zone),
        None => Question::about(text, seconds, now, &chrono::Local),
    };
    let window = question.and_then(|question| question.window()).map_err(|error| anyhow!("--around: {error}"))?;
    Ok(Request {
        timeline: args.timeline.map(TimelineId),
        wal_directory: args.wal_directory.clone(),
        asks_server: !args.no_names,
        user: args.user.clone(),
        ..Request::around(window)
    })
}

/// Reading an hour of WAL takes seconds: a person sees that it goes on.
pub(super) fn show_progress(news: News<'_>) {
    let mut errors = std::io::stderr();
    if !errors.is_terminal() {
        return;
    }
    let words = match news {
        News::Listing => "listing the archive".to_owned(),
        News::Names => "reading the names of tables".to_owned(),
        News::Looking(segment) => format!("looking for the time: {segment}"),
        News::Reading(Progress { segment, place, of }) => format!("reading {segment} ({place} of {of})"),
        News::SoFar(answer) => {
            let count = answer.suspects.len();
            format!("{count} suspect{} so far", if count == 1 { "" } else { "s" })
        }
    };
    let _ = write!(errors, "\r\x1b[K{words}");
}

/// Takes the progress away again.
pub(super) fn clear_progress() {
    let mut errors = std::io::stderr();
    if errors.is_terminal() {
        let _ = write!(errors, "\r\x1b[K");
    }
}
