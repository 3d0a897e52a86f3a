//! `lifeboat cleanup`: remove what a run left behind, and only that.

use super::gate::{self, Typed};
use super::terminal::{self, Letters};
use super::{Context, Exit};
use crate::domain::plan::Plan;
use crate::domain::run::Run;
use crate::domain::text::clean;
use crate::engine::clock;
use crate::engine::drill_directory::{self, Removed};
use crate::engine::kept::{self, KeptState};
use crate::engine::leftovers::{Kept, Leftovers};
use crate::engine::postgres::{LiveState, server_is_live};
use crate::engine::processes::Mark;
use crate::engine::step_process;
use crate::engine::store::RunFolder;
use crate::report;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// The word that is asked for when the cluster was kept less than a day ago.
const DISCARD: &str = "discard";

/// Arguments of `lifeboat cleanup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run.
    run: String,
    /// The run's name once more: removes without asking, where nobody is there to type it.
    #[arg(long, value_name = "RUN")]
    yes: Option<String>,
    /// The word "discard": beside --yes for a cluster that was kept less than a day ago, the way back from a recovery.
    #[arg(long, value_name = "WORD", requires = "yes")]
    kept_today: Option<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// When the run is not over, something of it lives, or what is there is not its own: then nothing was removed.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let folder = context.run_folder(&args.run)?;
    let (run, _, _) = folder.load()?;
    is_over(context, &folder, &run)?;
    let left = Leftovers::of(&run);
    let mut out = std::io::stdout().lock();
    if left.directory.is_none() && left.kept.is_none() {
        let why = match directory_of(&run.plan) {
            Some(directory) => {
                format!("left nothing behind: {} is not there", clean(&directory.to_string_lossy()))
            }
            None => format!("({}) had no directory of its own: there is nothing to remove", run.plan.runbook),
        };
        writeln!(out, "run {} {why}", run.id)?;
        return Ok(Exit::Done);
    }
    if let Some(kept) = &left.kept
        && let Err(why) = &kept.record
    {
        anyhow::bail!("what lies in {} is not removed: {why}", kept.home.display());
    }
    show(context, &run, &left, &mut out)?;
    drop(out);
    let kept_today = left.kept.as_ref().is_some_and(|kept| kept.is_new(clock::now().to_utc()));
    if let Some(exit) = agreed(context, args, &run, kept_today)? {
        return Ok(exit);
    }
    remove(&run, &left)
}

/// What is going to be removed.
fn show(context: &Context, run: &Run, left: &Leftovers, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "Run {} ({}) has ended: {}.", run.id, run.plan.title, run.outcome_word())?;
    if let Some(server) = &left.server {
        let port = server.port.map_or(String::new(), |port| format!(", port {port}"));
        writeln!(
            out,
            "  stops     the server in it: process {}, socket in {}{port}",
            server.pid, server.socket_directory
        )?;
    }
    if let Some(directory) = &left.directory {
        let shown = clean(&directory.to_string_lossy());
        writeln!(out, "  removes   {shown} with everything in it: {}", content(directory))?;
    }
    if let Some(kept) = &left.kept {
        show_kept(kept, out)?;
    }
    writeln!(out, "  only if   it carries the mark of run {}, and no other server lives in it", run.id)?;
    writeln!(
        out,
        "  stays     the journal, all output and the transcript: {} transcript {}",
        context.program(),
        run.id
    )?;
    Ok(())
}

fn show_kept(kept: &Kept, out: &mut dyn Write) -> anyhow::Result<()> {
    let home = clean(&kept.home.to_string_lossy());
    let Ok(Some(record)) = &kept.record else {
        writeln!(out, "  removes   {home}: nothing had been kept in it yet")?;
        return Ok(());
    };
    let began = record.began.format("%Y-%m-%d %H:%M:%SZ");
    if record.state == KeptState::PutBack {
        writeln!(out, "  removes   {home} and what was set aside when the cluster of {began} came back")?;
    } else {
        let size = kept::kept_bytes(record).map_or(String::new(), |bytes| format!(", {}", report::status::size(bytes)));
        writeln!(out, "  removes   the old cluster in {home}, kept on {began}{size}: the way back from the recovery")?;
        if !matches!(server_is_live(&record.data_directory), Ok(LiveState::Running { .. })) {
            writeln!(
                out,
                "  careful   no server runs on {} now: this may be the only cluster there is",
                clean(&record.data_directory.to_string_lossy())
            )?;
        }
    }
    for part in record.parts.iter().skip(1) {
        writeln!(out, "            with the part kept of {}", clean(&part.planned.from.to_string_lossy()))?;
    }
    Ok(())
}

/// The kept cluster first: what can't be removed of it leaves everything else as it is.
fn remove(run: &Run, left: &Leftovers) -> anyhow::Result<Exit> {
    let mut removed = Removed::default();
    let mut more = |part: Removed| {
        removed.entries += part.entries;
        removed.bytes += part.bytes;
    };
    if let Some(kept) = &left.kept {
        more(kept::remove_kept(&run.id, &kept.home)?);
    }
    if let Some(directory) = &left.directory {
        if left.server.is_some()
            && let Some(pid) = drill_directory::stop_server(&run.id, directory)?
        {
            writeln!(std::io::stdout().lock(), "stopped the server in it (process {pid})")?;
        }
        more(drill_directory::remove_marked(&run.id, directory)?);
    }
    let Removed { entries, bytes } = removed;
    let size = report::status::size(bytes);
    writeln!(std::io::stdout().lock(), "removed {entries} files and directories, {size} on disk")?;
    Ok(Exit::Done)
}

/// Asks for the run's name, and once more where the way back is less than a day old; `None` when all was given.
fn agreed(context: &Context, args: &Args, run: &Run, kept_today: bool) -> anyhow::Result<Option<Exit>> {
    let program = context.program();
    let more = if kept_today { format!(" --kept-today {DISCARD}") } else { String::new() };
    let unattended = format!("{program} cleanup {} --yes {}{more}", run.id, run.id);
    if let Some(name) = &args.yes {
        anyhow::ensure!(
            name.eq_ignore_ascii_case(run.id.as_str()),
            "--yes {} is not the run {}: nothing was removed",
            clean(name),
            run.id
        );
        if !kept_today || args.kept_today.as_deref() == Some(DISCARD) {
            return Ok(None);
        }
        writeln!(
            std::io::stdout().lock(),
            "Nothing was removed: the cluster was kept less than a day ago, and --yes is not enough for it. Wait until \
             tomorrow, or say it twice:\n  {unattended}"
        )?;
        return Ok(Some(Exit::Waiting));
    }
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        writeln!(
            std::io::stdout().lock(),
            "Nothing was removed, since nobody is there to be asked. To remove it:\n  {unattended}"
        )?;
        return Ok(Some(Exit::Waiting));
    }
    terminal::watch_signals("Nothing was removed.".to_owned())?;
    writeln!(std::io::stdout().lock(), "Type {} to remove it. Esc leaves it.", run.id)?;
    if let Some(exit) = typed(context, run.id.as_str(), "That is not the run's name.")? {
        return Ok(Some(exit));
    }
    if kept_today {
        writeln!(
            std::io::stdout().lock(),
            "It was kept less than a day ago: after this there is no way back from the recovery but another restore.\n\
             Type {DISCARD} to remove it all the same. Esc leaves it."
        )?;
        return typed(context, DISCARD, "That is not the word.");
    }
    Ok(None)
}

/// Asks until this is typed; otherwise why it was not.
fn typed(context: &Context, wanted: &str, wrong: &str) -> anyhow::Result<Option<Exit>> {
    loop {
        match gate::ask("> ", Letters::of(context), || Ok(true))? {
            Typed::Answer(answer) if answer.eq_ignore_ascii_case(wanted) => return Ok(None),
            Typed::Answer(_) => writeln!(std::io::stdout().lock(), "{wrong}")?,
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
