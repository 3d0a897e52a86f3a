//! `lifeboat status`: one line about a run, to paste into an incident channel.

mod watch;

use super::terminal::Letters;
use super::{Context, Exit};
use crate::domain::run::Run;
use crate::engine::clock;
use crate::engine::progress::ProgressReader;
use crate::engine::store::RunFolder;
use crate::report::status::Status;
use serde_json::{Value, json};
use std::io::Write;

/// Arguments of `lifeboat status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run (default: all that have not ended, else the last one).
    run: Option<String>,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "watch")]
    json: bool,
    /// Draw it again whenever it changes, until the program is ended: a screen to leave open on a wall.
    #[arg(long)]
    watch: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    if args.watch {
        return watch::watch(context, args);
    }
    if args.json {
        let runs: Vec<Value> =
            with_statuses(context, args, |statuses| statuses.iter().map(Status::json).collect::<Vec<_>>())?;
        let text = serde_json::to_string_pretty(&json!({ "schema": 1, "runs": runs }))?;
        writeln!(std::io::stdout().lock(), "{text}")?;
        return Ok(Exit::Done);
    }
    let letters = Letters::of(context);
    let lines = with_statuses(context, args, |statuses| statuses.iter().map(Status::line).collect::<Vec<_>>())?;
    let mut out = std::io::stdout().lock();
    if lines.is_empty() {
        writeln!(out, "No run on this host yet.")?;
    }
    for line in lines {
        writeln!(out, "{}", letters.show(&line))?;
    }
    Ok(Exit::Done)
}

/// What is made of the runs that are asked for, as they stand now.
///
/// # Errors
/// When a run's journal or the state directory can't be read.
fn with_statuses<T>(context: &Context, args: &Args, make: impl FnOnce(Vec<Status<'_>>) -> T) -> anyhow::Result<T> {
    let runs = match &args.run {
        Some(name) => {
            let folder = context.run_folder(name)?;
            let run = folder.load()?.0;
            vec![(folder, run)]
        }
        None => usual(context)?,
    };
    let program = context.program();
    let statuses = runs.iter().map(|(folder, run)| {
        let mut reader = ProgressReader::continued(None, run, folder);
        let progress = reader.as_mut().and_then(|reader| reader.progress(run));
        let is_runner_alive = folder.is_runner_alive().unwrap_or(false);
        Status { run, progress, is_runner_alive, now: clock::now(), program: &program }
    });
    Ok(make(statuses.collect()))
}

/// The runs that have not ended, else the last one. One whose journal can't be read is named by `lifeboat runs`.
fn usual(context: &Context) -> anyhow::Result<Vec<(RunFolder, Run)>> {
    let folders = match context.existing_store()? {
        Some(store) => store.runs()?,
        None => Vec::new(),
    };
    let mut readable = folders.into_iter().filter_map(|folder| folder.load().ok().map(|(run, _, _)| (folder, run)));
    let newest = readable.next();
    let (mut unfinished, ended): (Vec<_>, Vec<_>) =
        newest.into_iter().chain(readable).partition(|(_, run)| run.ended.is_none());
    if unfinished.is_empty() {
        unfinished.extend(ended.into_iter().next());
    }
    Ok(unfinished)
}
