//! `lifeboat cleanup`: remove what a run left behind, and only that.

use super::gate::{self, Typed};
use super::terminal::{self, Letters};
use super::{Context, Exit};
use crate::domain::plan::Plan;
use crate::domain::run::Run;
use crate::domain::text::clean;
use crate::engine::drill_directory::{self, Removed};
use crate::engine::processes::Mark;
use crate::engine::step_process;
use crate::engine::store::RunFolder;
use crate::report;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Arguments of `lifeboat cleanup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run.
    run: String,
    /// The run's name once more: removes without asking, where nobody is there to type it.
    #[arg(long, value_name = "RUN")]
    yes: Option<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// When the run is not over, something of it lives, or what is there is not its own: then nothing was removed.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let folder = context.run_folder(&args.run)?;
    let (run, _, _) = folder.load()?;
    is_over(context, &folder, &run)?;
    let mut out = std::io::stdout().lock();
    let Some(directory) = directory_of(&run.plan) else {
        writeln!(out, "run {} ({}) had no directory of its own: there is nothing to remove", run.id, run.plan.runbook)?;
        return Ok(Exit::Done);
    };
    let shown = clean(&directory.to_string_lossy());
    if std::fs::symlink_metadata(&directory).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        writeln!(out, "run {} left nothing behind: {shown} is not there", run.id)?;
        return Ok(Exit::Done);
    }
    writeln!(out, "Run {} ({}) has ended: {}.", run.id, run.plan.title, run.outcome_word())?;
    writeln!(out, "  removes   {shown} with everything in it: {}", content(&directory))?;
    writeln!(out, "  only if   it carries the mark of run {}, and no server lives in it", run.id)?;
    writeln!(
        out,
        "  stays     the journal, all output and the transcript: {} transcript {}",
        context.program(),
        run.id
    )?;
    drop(out);
    if let Some(exit) = agreed(context, args, &run)? {
        return Ok(exit);
    }
    let Removed { entries, bytes } = drill_directory::remove_marked(&run.id, &directory)?;
    let size = report::status::size(bytes);
    writeln!(std::io::stdout().lock(), "removed {entries} files and directories, {size} on disk")?;
    Ok(Exit::Done)
}

/// Asks for the run's name; `None` when it was given.
fn agreed(context: &Context, args: &Args, run: &Run) -> anyhow::Result<Option<Exit>> {
    if let Some(name) = &args.yes {
        anyhow::ensure!(
            name.eq_ignore_ascii_case(run.id.as_str()),
            "--yes {} is not the run {}: nothing was removed",
            clean(name),
            run.id
        );
        return Ok(None);
    }
    let unattended = format!("{} cleanup {} --yes {}", context.program(), run.id, run.id);
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        writeln!(
            std::io::stdout().lock(),
            "Nothing was removed, since nobody is there to be asked. To remove it:\n  {unattended}"
        )?;
        return Ok(Some(Exit::Waiting));
    }
    terminal::watch_signals("Nothing was removed.".to_owned())?;
    writeln!(std::io::stdout().lock(), "Type {} to remove it. Esc leaves it.", run.id)?;
    loop {
        match gate::ask("> ", Letters::of(context), || Ok(true))? {
            Typed::Answer(answer) if answer.eq_ignore_ascii_case(run.id.as_str()) => return Ok(None),
            Typed::Answer(_) => writeln!(std::io::stdout().lock(), "That is not the run's name.")?,
            Typed::Left | Typed::Gone => {
                writeln!(std::io::stdout().lock(), "Nothing was removed.")?;
                return Ok(Some(Exit::Waiting));
            }
        }
    }
}

/// Refuses while the run goes on, or anything that it started.
fn is_over(context: &Context, folder: &RunFolder, run: &Run) -> anyhow::Result<()> {
    let program = context.program();
    anyhow::ensure!(
        run.ended.is_some(),
        "run {} has not ended, it is {}: nothing was removed. Go on with it or end it first:\n  {program} attach {}\n  {program} abort {}",
        run.id,
        run.outcome_word(),
        run.id,
        run.id
    );
    for (position, state) in run.steps.iter().enumerate() {
        for attempt in 1..=state.attempt {
            let step_folder = folder.step_folder(position, attempt);
            if !step_folder.exists() {
                continue;
            }
            let mark = Mark { run: run.id.clone(), position, attempt };
            let survivors = step_process::survivors(&step_folder, &mark)?;
            let pids: Vec<String> = survivors.iter().map(|survivor| survivor.process.pid.to_string()).collect();
            anyhow::ensure!(
                pids.is_empty() && !step_process::is_alive(&step_folder)?,
                "processes of step '{}' of run {} are still alive ({}): nothing was removed. End them, then try again",
                run.plan.steps[position].id,
                run.id,
                if pids.is_empty() { "its step process".to_owned() } else { format!("process {}", pids.join(", ")) }
            );
        }
    }
    Ok(())
}

/// The directory a run was given for itself.
fn directory_of(plan: &Plan) -> Option<PathBuf> {
    plan.parameters.get("directory").map(PathBuf::from).filter(|path| path.is_absolute())
}

fn content(directory: &Path) -> String {
    match std::fs::read_dir(directory) {
        Ok(entries) => {
            let mut names: Vec<String> =
                entries.filter_map(Result::ok).map(|entry| clean(&entry.file_name().to_string_lossy())).collect();
            names.sort();
            if names.is_empty() { "it is empty".to_owned() } else { names.join(", ") }
        }
        Err(error) => format!("it can't be looked into ({error})"),
    }
}
