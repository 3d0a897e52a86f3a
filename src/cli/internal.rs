//! `lifeboat internal`: the program executed again as one of its own processes. No settings, no change of identity.

mod incident;
mod index;
mod names;

use super::Exit;
use crate::domain::event::RunId;
use crate::engine::client;
use crate::engine::drill_directory;
use crate::engine::environment::BaseEnvironment;
use crate::engine::postgres::{PostgresPrograms, replay_limits};
use crate::engine::rehearsal::writer;
use crate::engine::runner::{self, Equipment};
use crate::engine::step_process::{self, Launcher};
use crate::engine::store::RunFolder;
use anyhow::Context as _;
use std::cell::Cell;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `lifeboat internal`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The helper.
    #[command(subcommand)]
    helper: Helper,
}

/// The helpers.
#[derive(Debug, clap::Subcommand)]
enum Helper {
    /// The loop of one run.
    Runner {
        /// The run's folder.
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
        /// Where it hears requests.
        #[arg(long, value_name = "FILE")]
        socket: PathBuf,
    },
    /// The process that owns one command.
    StepProcess {
        /// The step's folder.
        #[arg(long, value_name = "DIR")]
        folder: PathBuf,
    },
    /// Makes an empty drill directory with the run's marker.
    PrepareDrill {
        /// The run.
        #[arg(long)]
        run: String,
        /// The directory.
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
    },
    /// Removes a drill directory that carries the run's marker.
    RemoveMarked {
        /// The run.
        #[arg(long)]
        run: String,
        /// The directory.
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
    },
    /// The limits that replay in a restored cluster needs.
    ReplayLimits {
        /// The folder of PostgreSQL's programs.
        #[arg(long, value_name = "DIR")]
        postgres_bin: PathBuf,
        /// The restored data directory.
        #[arg(long, value_name = "DIR")]
        restored: PathBuf,
        /// Production's data directory; it need not be there.
        #[arg(long, value_name = "DIR")]
        production: PathBuf,
    },
    /// Writes an index of all backup sets to its standard output.
    InventoryIndex(index::Args),
    /// Notes the names of a server's tables.
    RememberNames(names::Args),
    /// The practice cluster's writer.
    RehearsalWriter {
        /// The practice cluster.
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
    },
    /// Steps of in-place recovery.
    #[command(flatten)]
    Incident(incident::Helper),
}

/// Runs the helper.
///
/// # Errors
/// Anything that keeps it from its work, in words.
pub fn run(args: &Args) -> anyhow::Result<Exit> {
    match &args.helper {
        Helper::Runner { folder, socket } => return run_runner(folder, socket),
        Helper::StepProcess { folder } => {
            let status = step_process::step_process_main(folder);
            return Ok(if status == 0 { Exit::Done } else { Exit::Failed });
        }
        Helper::PrepareDrill { run, directory } => {
            drill_directory::prepare(&RunId::parse(run)?, directory)?;
        }
        Helper::RemoveMarked { run, directory } => {
            drill_directory::remove_marked(&RunId::parse(run)?, directory)?;
        }
        Helper::ReplayLimits { postgres_bin, restored, production } => {
            let environment = BaseEnvironment::from_process()?.real;
            let programs = PostgresPrograms::at(postgres_bin, &environment)?;
            let lines = replay_limits(&programs, restored, production, &environment)?;
            writeln!(std::io::stdout().lock(), "{}", lines.join("\n"))?;
        }
        Helper::InventoryIndex(args) => return index::run(args),
        Helper::RememberNames(args) => names::run(args)?,
        Helper::RehearsalWriter { directory } => writer::write(directory)?,
        Helper::Incident(helper) => return incident::run(helper),
    }
    Ok(Exit::Done)
}

/// Its own session, so that no terminal owns it; standard output carries one ready byte, standard error the log.
fn run_runner(folder: &std::path::Path, socket: &std::path::Path) -> anyhow::Result<Exit> {
    rustix::process::setsid().context("the runner can't have a session of its own")?;
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = RunFolder { path: folder.to_owned(), id: RunId::parse(name)? };
    let environment = BaseEnvironment::from_process()?;
    let equipment = Equipment { environment, launcher: Launcher::default(), socket: socket.to_owned() };
    let is_ready = Cell::new(false);
    let ready = || {
        is_ready.set(true);
        let mut out = std::io::stdout().lock();
        // Who started the runner may have gone: the run goes on all the same.
        let _ = out.write_all(&[client::RUNNER_READY]).and_then(|()| out.flush());
        let _ = rustix::stdio::dup2_stdout(rustix::stdio::stderr());
    };
    let ended = runner::run(folder, equipment, ready);
    if let (Err(error), false) = (&ended, is_ready.get()) {
        // To who started the runner, however full the disk of its log is. The empty line keeps it apart from the ready byte.
        let mut out = std::io::stdout().lock();
        let _ = write!(out, "\n{error}").and_then(|()| out.flush());
    }
    ended?;
    Ok(Exit::Done)
}
