//! `lifeboat rehearse`: builds a practice cluster, and leads through an incident or a drill on it.

mod accident;
mod incident;

use super::{Context, Exit, Globals};
use crate::domain::event::RunOutcome;
use crate::domain::run::Run;
use crate::engine::rehearsal::{self, BuildOptions, DATABASE, Rehearsal, RehearsalError, SUPERUSER, Scenario, Score};
use crate::engine::store::RunFolder;
use crate::engine::{drills, identity};
use anyhow::Context as _;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// Arguments of `lifeboat rehearse`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Build here: an empty directory or one that does not exist yet (default: a fresh one in the temporary directory).
    #[arg(long, value_name = "DIR", conflicts_with = "stop")]
    directory: Option<PathBuf>,
    /// Build, say what is where, and leave it running; with --scenario it is broken first, for you to recover.
    #[arg(long, conflicts_with = "stop")]
    no_console: bool,
    /// Build without the writer: the shop sells nothing on its own. Nothing happens to it then.
    #[arg(long, conflicts_with = "stop")]
    no_writer: bool,
    /// Lead through a restore drill instead of an incident: nothing happens to the practice cluster.
    #[arg(long, conflicts_with_all = ["stop", "scenario", "broken", "score", "no_console"])]
    drill: bool,
    /// Lead line by line on this terminal instead of in the console.
    #[arg(long, conflicts_with_all = ["stop", "broken", "score", "no_console"])]
    plain: bool,
    /// What happens to it: deleted-rows (the default), dropped-table or lost-data-directory. On a terminal the
    /// console opens on it, with the page, the clock and the score; without one it is left running, for you to recover.
    #[arg(long, conflicts_with_all = ["stop", "no_writer"])]
    scenario: Option<Scenario>,
    /// Let it happen to the practice cluster in this directory, whose server runs (default: deleted-rows).
    #[arg(long = "break", value_name = "DIR", conflicts_with_all = ["directory", "no_console", "no_writer", "stop"])]
    broken: Option<PathBuf>,
    /// Draw the accident's chances from this number.
    #[arg(long, hide = true)]
    seed: Option<u64>,
    /// After a recovery: say what came back to the practice cluster in this directory, against the best possible.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["directory", "no_console", "no_writer", "stop", "scenario", "broken"])]
    score: Option<PathBuf>,
    /// End the practice cluster in this directory and remove it.
    #[arg(long, value_name = "DIR")]
    stop: Option<PathBuf>,
    /// End the processes, but keep the files.
    #[arg(long)]
    keep: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Record the console's session as an asciicast: what is shown, nothing that is typed. It writes over no file.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plain", "no_console", "stop", "broken", "score"])]
    record: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Debug, serde::Serialize)]
struct Ready<'a> {
    schema: u32,
    directory: &'a Path,
    settings: &'a Path,
    scenario: &'a str,
    ready_seconds: Option<f64>,
    page: Option<String>,
    score: Option<&'a Score>,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    if let Some(directory) = &args.stop {
        return stop(directory, args);
    }
    if let Some(directory) = &args.score {
        return accident::score(directory, args);
    }
    if let Some(file) = args.record.as_ref().filter(|file| file.symlink_metadata().is_ok()) {
        anyhow::bail!("{} is there already, and a recording writes over nothing: name another file", file.display());
    }
    let interrupted = Arc::new(AtomicBool::new(false));
    watch_signals(Arc::clone(&interrupted))?;
    if let Some(directory) = &args.broken {
        return accident::happen(&mut Rehearsal::open(directory)?, args, &interrupted);
    }
    let options = BuildOptions {
        directory: args.directory.clone(),
        bin_directory: None,
        pgbackrest: context.globals.pgbackrest.clone(),
        writer: !args.no_writer,
        interrupted: Arc::clone(&interrupted),
    };
    let started = Instant::now();
    let mut progress = |line: &str| {
        // A closed terminal must not keep the build from ending what it started.
        let _ = writeln!(io::stderr().lock(), "[{:5.1} s] {line}", started.elapsed().as_secs_f64());
    };
    let mut rehearsal = match rehearsal::build(&options, &mut progress) {
        Ok(rehearsal) => rehearsal,
        Err(RehearsalError::Interrupted) => {
            progress("interrupted");
            return Ok(Exit::Aborted);
        }
        Err(error) => return Err(error.into()),
    };
    progress("ready");
    if args.no_console && args.scenario.is_none() {
        say(&rehearsal, args.json)?;
        return Ok(Exit::Done);
    }
    let is_incident = !args.drill && !args.no_writer;
    if is_incident && (args.no_console || !incident::is_attended(args)) {
        let outcome = accident::happen(&mut rehearsal, args, &interrupted);
        if !matches!(outcome, Ok(Exit::Done)) {
            rehearsal.stop().and_then(|()| rehearsal.remove())?;
        }
        return outcome;
    }
    let outcome = if is_incident {
        let rehearsed = incident::lead(&mut rehearsal, args, &interrupted);
        if !matches!(&rehearsed, Ok(rehearsed) if rehearsed.is_perfect) {
            return stays(&rehearsal, rehearsed.map(|rehearsed| rehearsed.exit), args.json);
        }
        Ok(Exit::Done)
    } else {
        lead_through(&rehearsal, args)
    };
    if outcome.as_ref().map_or(true, |exit| *exit != Exit::Done) {
        return stays(&rehearsal, outcome, args.json);
    }
    let settled = if args.keep { rehearsal.stop() } else { rehearsal.stop().and_then(|()| rehearsal.clone().remove()) };
    let exit = outcome?;
    settled?;
    progress(if args.keep {
        "practice cluster ended; its files are kept"
    } else {
        "practice cluster ended and removed"
    });
    if args.json {
        say(&rehearsal, true)?;
    }
    Ok(exit)
}

/// It did not come to its end, or not to a good one: whoever left it may want to go on, to look, or to try again, and no
/// practice cluster is taken away from under a run. It is left as it is, and said how to go on and to end it.
fn stays(rehearsal: &Rehearsal, outcome: anyhow::Result<Exit>, json: bool) -> anyhow::Result<Exit> {
    let settings = rehearsal.layout.settings();
    let practice = Context::load(Globals { settings: Some(settings), ..Globals::default() })?;
    let call = practice.program();
    let (program, directory) = (super::context::program_name(), rehearsal.layout.directory.display());
    let is_broken = rehearsal.layout.page().exists();
    let next = match newest_run(&practice)? {
        Some(run) if run.ended.is_none() => format!("Go on with it:\n   {call} attach {}", run.id),
        Some(_) if is_broken => format!("Bring back what was kept, or recover again:\n   {call} run pitr-undo"),
        None if is_broken => format!("Recover it:\n   {call} run pitr-in-place -p target=..."),
        _ => format!("Begin another drill:\n   {call} run {}", drills::DRILL),
    };
    let score =
        if is_broken { format!("The score:\n   {program} rehearse --score {directory}\n") } else { String::new() };
    tell(&format!(
        "The practice cluster is left as it is. {next}\n{score}End and remove it:\n   {program} rehearse --stop {directory}\n"
    ))?;
    if json {
        say_json(rehearsal, None)?;
    }
    outcome
}

/// Tells the console that it is opened on this practice cluster.
const PRACTICE: &str = "LIFEBOAT_PRACTICE";

/// The newest run on the practice cluster.
fn newest_run(practice: &Context) -> anyhow::Result<Option<Run>> {
    let runs = practice.existing_store()?.map(|store| store.runs()).transpose()?.unwrap_or_default();
    Ok(runs.into_iter().next().and_then(|folder| folder.load().ok()).map(|(run, _, _)| run))
}

/// This very program with the practice cluster's settings: what a person would type on a real host.
fn run_lifeboat(rehearsal: &Rehearsal, arguments: &[&str]) -> anyhow::Result<Exit> {
    let mut command = lifeboat(rehearsal);
    command.args(arguments);
    exit_of(command)
}

/// The console on the practice cluster.
fn open_console(rehearsal: &Rehearsal, args: &Args) -> anyhow::Result<Exit> {
    let mut command = lifeboat(rehearsal);
    if let Some(file) = &args.record {
        command.arg("--record").arg(identity::resolve(file));
    }
    // Where something has happened the console shows the page instead.
    if !rehearsal.layout.page().exists() {
        command.env(PRACTICE, &rehearsal.layout.directory);
    }
    exit_of(command)
}

fn lifeboat(rehearsal: &Rehearsal) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0("lifeboat").arg("--settings").arg(rehearsal.layout.settings());
    command
}

fn exit_of(mut command: Command) -> anyhow::Result<Exit> {
    let status = command.status().context("cannot start lifeboat")?;
    Ok(match status.code() {
        Some(0) => Exit::Done,
        Some(2) => Exit::Usage,
        Some(3) => Exit::Waiting,
        Some(4) => Exit::Aborted,
        Some(1) => Exit::Failed,
        Some(5) => Exit::Unknown,
        // A signal (Ctrl-C while no gate is asked): the run itself goes on, or waits at its next gate.
        _ => Exit::Waiting,
    })
}

/// Where the transcript is: with the practice cluster where that stays, else kept beside it.
fn evidence(rehearsal: &Rehearsal, practice: &Context, run: &Run, stays: bool) -> anyhow::Result<String> {
    if stays {
        return Ok(format!("Its transcript: {} transcript {}", practice.program(), run.id));
    }
    let folder = practice.run_folder(run.id.as_str())?;
    let file = keep_transcript(practice, &rehearsal.layout.directory, &folder)?;
    Ok(format!("Its transcript is kept: {}", file.display()))
}

/// Leads through the restore drill: in the console where there is a terminal, else line by line.
fn lead_through(rehearsal: &Rehearsal, args: &Args) -> anyhow::Result<Exit> {
    let (settings, keep) = (rehearsal.layout.settings(), args.keep);
    let exit = if !args.plain && io::stdin().is_terminal() && io::stdout().is_terminal() {
        match open_console(rehearsal, args)? {
            Exit::Done => outcome_of(&settings)?,
            other => other,
        }
    } else {
        tell(INTRODUCTION)?;
        run_lifeboat(rehearsal, &["run", drills::DRILL])?
    };
    let practice = Context::load(Globals { settings: Some(settings), ..Globals::default() })?;
    let Some(run) = newest_run(&practice)? else { return Ok(exit) };
    let evidence = evidence(rehearsal, &practice, &run, keep || exit != Exit::Done)?;
    let how = match exit {
        Exit::Done => "The drill is done: what it proved stands above, and in its transcript.",
        Exit::Failed => "The drill failed: the step that did stands above, with what to do.",
        Exit::Aborted => "The drill was aborted.",
        Exit::Waiting => "The drill was left; it goes on by itself as far as its next gate, and waits there.",
        Exit::Usage => "The drill did not come to its end.",
        Exit::Unknown => "A step of the drill ended unseen: a person has to decide, as it says above.",
    };
    tell(&format!("\n{how}\n{evidence}\n"))?;
    Ok(exit)
}

/// What came of the drill that was begun in the console: of the newest one. None is one that was left.
fn outcome_of(settings: &Path) -> anyhow::Result<Exit> {
    let practice = Context::load(Globals { settings: Some(settings.to_owned()), ..Globals::default() })?;
    let newest =
        practice.existing_store()?.map(|store| store.runs()).transpose()?.unwrap_or_default().into_iter().next();
    let run = newest.map(|folder| folder.load()).transpose()?.map(|(run, _, _)| run);
    Ok(match run {
        Some(run) => match run.ended {
            Some((RunOutcome::Done, _)) => Exit::Done,
            Some((RunOutcome::Failed, _)) => Exit::Failed,
            Some((RunOutcome::Aborted, _)) => Exit::Aborted,
            None if run.unknown().next().is_some() => Exit::Unknown,
            None => Exit::Waiting,
        },
        None => Exit::Waiting,
    })
}

/// What is going to happen, and what the gates want.
const INTRODUCTION: &str = "
The practice cluster runs. Nothing of this host's own PostgreSQL and pgBackRest
is touched. What comes now is a real restore drill on it, just as on a real host
  lifeboat run restore-drill
  1. checks, which change nothing
  2. the gate 'start': type  main  (the stanza's name), then Enter
  3. restore, a server of its own without a TCP port, replay of WAL, queries
  4. the gate 'remove-gate': type  main  again; the drill's directory is removed
Enter alone, typing ahead and pasting approve nothing. Esc leaves a gate
waiting: the practice cluster then stays, until you end it.

";

/// To standard error, as all that is no result: with `--json` standard output is for a program.
fn tell(text: &str) -> anyhow::Result<()> {
    write!(io::stderr().lock(), "{text}")?;
    Ok(())
}

/// For whoever rehearsed, who need not be the owner of the practice cluster; it tells of nothing else.
const TRANSCRIPT_MODE: u32 = 0o644;

/// Keeps the transcript when the practice cluster is removed: beside it, or where that is closed in the temporary directory.
fn keep_transcript(practice: &Context, directory: &Path, folder: &RunFolder) -> anyhow::Result<PathBuf> {
    let name = format!("lifeboat-transcript-{}.md", folder.id);
    let beside = directory.parent().unwrap_or(directory).join(&name);
    if super::drill::write_report(practice, folder, &beside, TRANSCRIPT_MODE).is_ok() {
        return Ok(beside);
    }
    let file = std::env::temp_dir().join(name);
    super::drill::write_report(practice, folder, &file, TRANSCRIPT_MODE)?;
    Ok(file)
}

fn stop(directory: &Path, args: &Args) -> anyhow::Result<Exit> {
    let rehearsal = Rehearsal::open(directory)?;
    rehearsal.stop()?;
    let kept = rehearsal.clone();
    if !args.keep {
        rehearsal.remove()?;
    }
    if args.json {
        say(&kept, true)?;
    } else {
        let done = if args.keep { "ended; its files are kept" } else { "ended and removed" };
        writeln!(io::stdout().lock(), "Practice cluster {}: {done}.", kept.layout.directory.display())?;
    }
    Ok(Exit::Done)
}

/// Sets the flag at the first INT, TERM or HUP.
fn watch_signals(interrupted: Arc<AtomicBool>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Registered before the build starts anything, so that no signal finds the default action.
    let (mut int, mut term, mut hup) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            tokio::select! { _ = int.recv() => {}, _ = term.recv() => {}, _ = hup.recv() => {} }
            interrupted.store(true, std::sync::atomic::Ordering::SeqCst);
        });
    })?;
    Ok(())
}

fn say_json(rehearsal: &Rehearsal, score: Option<&Score>) -> anyhow::Result<()> {
    let ready = Ready {
        schema: 1,
        directory: &rehearsal.layout.directory,
        settings: &rehearsal.layout.settings(),
        scenario: &rehearsal.marker.scenario,
        ready_seconds: rehearsal.marker.ready_seconds,
        page: std::fs::read_to_string(rehearsal.layout.page()).ok(),
        score,
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &ready)?;
    writeln!(out)?;
    Ok(())
}

fn say(rehearsal: &Rehearsal, json: bool) -> anyhow::Result<()> {
    if json {
        return say_json(rehearsal, None);
    }
    let layout = &rehearsal.layout;
    let settings = layout.settings();
    let mut out = io::stdout().lock();
    let (directory, settings) = (layout.directory.display(), settings.display());
    let psql = rehearsal.marker.bin_directory.join("psql");
    writeln!(
        out,
        "Practice cluster: {directory}
  data directory  {production}
  settings        {settings}
  pgBackRest      {config}
  server's log    {log}
  acknowledged    {acknowledged}
  SQL             {psql} -h {sockets} -p {port} -U {SUPERUSER} {DATABASE}   (as the user {owner})

Go on with
   {program} --settings {settings} inventory
   {program} --settings {settings} run restore-drill
End and remove it with
   {program} rehearse --stop {directory}",
        program = super::context::program_name(),
        production = layout.production().display(),
        config = layout.pgbackrest_config().display(),
        log = layout.server_log().display(),
        acknowledged = layout.acknowledged().display(),
        psql = psql.display(),
        sockets = layout.sockets().display(),
        port = rehearsal.marker.port,
        owner = rehearsal.marker.owner,
    )?;
    Ok(())
}
