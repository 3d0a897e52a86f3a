//! The same actions without a terminal: one file a subcommand, tables or JSON.

pub mod abort;
pub mod accident;
pub mod approve;
pub mod attach;
mod cancel;
pub mod cleanup;
pub mod commits;
pub mod completions;
pub mod context;
pub mod decide;
pub mod drill;
pub mod exit;
pub mod follow;
pub mod gate;
pub mod globals;
pub mod internal;
pub mod inventory;
pub mod man;
pub mod plan;
pub mod rehearse;
pub mod remember;
pub mod resolve;
pub mod run;
pub mod runbook;
pub mod runs;
pub mod seat;
pub mod status;
pub mod terminal;
pub mod transcript;

pub use context::Context;
pub use exit::Exit;
pub use globals::Globals;

use self::terminal::Letters;

use crate::engine::proposal::ProposalError;
use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

/// PostgreSQL back from a pgBackRest backup: guided restores and restore drills.
#[derive(Debug, Parser)]
// The name is fixed: as the data directory's owner the program may have been started as /proc/self/fd/N.
#[command(name = "lifeboat", bin_name = "lifeboat", version, max_term_width = 100)]
pub struct Cli {
    /// What holds for every subcommand.
    #[command(flatten)]
    pub globals: Globals,
    /// The subcommand; the console without one.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Build a real practice cluster with real backups and lead through a drill on it.
    Rehearse(rehearse::Args),
    /// List backup sets.
    Inventory(inventory::Args),
    /// Find the transaction that did the damage, and where to stop right before it.
    Accident(accident::Args),
    /// List the commits around a moment.
    Commits(commits::Args),
    /// List, show and check runbooks.
    Runbook(runbook::Args),
    /// Show the sealed plan of a runbook.
    Plan(plan::Args),
    /// Run a runbook.
    Run(run::Args),
    /// Run the restore drill with nobody watching.
    Drill(drill::Args),
    /// List runs on this host.
    Runs(runs::Args),
    /// One line about a run, to paste into an incident channel.
    Status(status::Args),
    /// Follow a run and answer its gates.
    Attach(attach::Args),
    /// Answer a gate that waits.
    Approve(approve::Args),
    /// Decide about a step whose outcome is unknown.
    Resolve(resolve::Args),
    /// Choose the way on at a decision, or past a step that is held.
    Decide(decide::Args),
    /// End a run.
    Abort(abort::Args),
    /// Remove what a run left behind.
    Cleanup(cleanup::Args),
    /// Note what tables are called, for the day on which the catalog is gone.
    Remember(remember::Args),
    /// The evidence of a run.
    Transcript(transcript::Args),
    /// Completions for a shell.
    Completions(completions::Args),
    /// The manual pages.
    Man(man::Args),
    /// What Lifeboat calls itself.
    #[command(hide = true)]
    Internal(internal::Args),
}

impl Command {
    /// The name of a subcommand that begins or answers a run, removes, or stores something.
    fn changes(&self) -> Option<&'static str> {
        match self {
            Command::Rehearse(_) => Some("rehearse"),
            Command::Run(_) => Some("run"),
            Command::Drill(_) => Some("drill"),
            Command::Attach(_) => Some("attach"),
            Command::Approve(_) => Some("approve"),
            Command::Resolve(_) => Some("resolve"),
            Command::Decide(_) => Some("decide"),
            Command::Abort(_) => Some("abort"),
            Command::Cleanup(_) => Some("cleanup"),
            Command::Remember(_) => Some("remember"),
            Command::Inventory(_)
            | Command::Accident(_)
            | Command::Commits(_)
            | Command::Runbook(_)
            | Command::Plan(_)
            | Command::Runs(_)
            | Command::Status(_)
            | Command::Transcript(_)
            | Command::Completions(_)
            | Command::Man(_)
            | Command::Internal(_) => None,
        }
    }
}

/// The command line without what Lifeboat calls itself: for completions and manual pages.
fn for_people() -> clap::Command {
    let whole = Cli::command();
    let people = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let command = clap::Command::new("lifeboat").bin_name("lifeboat").version(env!("CARGO_PKG_VERSION"));
    let about = whole.get_about().cloned().unwrap_or_default();
    command.about(about).args(whole.get_arguments().cloned()).subcommands(people.collect::<Vec<_>>())
}

/// What came of the command line.
#[derive(Debug)]
pub enum Answer {
    /// A subcommand ran.
    Ended(ExitCode),
    /// No subcommand: the console is to be opened, with these settings.
    Console(Box<Context>),
}

/// Reads the command line, becomes the data directory's owner, runs the subcommand.
#[must_use]
pub fn main() -> Answer {
    let cli = Cli::parse();
    let letters = Letters::by(cli.globals.ascii);
    let answer = match cli.command {
        Some(command) => dispatch(cli.globals, &command).map(|exit| Answer::Ended(ExitCode::from(exit as u8))),
        None => console(cli.globals),
    };
    answer.unwrap_or_else(|error| Answer::Ended(failed(&error, letters)))
}

/// Tells of an error, in one line where it has one.
pub fn failed(error: &anyhow::Error, letters: Letters) -> ExitCode {
    // `lifeboat transcript … | head` is no mistake.
    if is_broken_pipe(error) {
        return ExitCode::from(Exit::Done as u8);
    }
    // A closed standard error must not turn a reported failure into another one.
    let _ = writeln!(std::io::stderr().lock(), "lifeboat: {}", letters.show(&format!("{error:#}")));
    let is_wished = matches!(error.downcast_ref(), Some(ProposalError::BrokenOff));
    ExitCode::from(if is_wished { Exit::Aborted } else { Exit::Usage } as u8)
}

fn console(globals: Globals) -> anyhow::Result<Answer> {
    let context = Context::load(globals)?;
    context.become_owner()?;
    Ok(Answer::Console(Box::new(context)))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind =
        |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    error.chain().any(|cause| kind(cause) == Some(std::io::ErrorKind::BrokenPipe))
}

fn dispatch(globals: Globals, command: &Command) -> anyhow::Result<Exit> {
    if let Command::Internal(args) = command {
        return internal::run(args);
    }
    anyhow::ensure!(
        globals.record.is_none(),
        "--record before a subcommand records nothing: it records the console (lifeboat --record FILE, lifeboat rehearse --record FILE)"
    );
    if let (true, Some(name)) = (globals.read_only, command.changes()) {
        anyhow::bail!(
            "--read-only: lifeboat {name} would change something, and was not begun; what only looks is inventory, \
             accident, commits, plan, runs, status, transcript, runbook, and the console"
        );
    }
    let context = Context::load(globals)?;
    match command {
        // These look at nothing that belongs to the data directory's owner.
        Command::Runbook(args) => return runbook::run(&context, args),
        Command::Completions(args) => return completions::run(for_people(), args),
        Command::Man(args) => return man::run(for_people(), args),
        _ => context.become_owner()?,
    }
    match command {
        Command::Rehearse(args) => rehearse::run(&context, args),
        Command::Inventory(args) => inventory::run(&context, args),
        Command::Accident(args) => accident::run(&context, args),
        Command::Commits(args) => commits::run(&context, args),
        Command::Plan(args) => plan::run(&context, args),
        Command::Run(args) => run::run(&context, args),
        Command::Drill(args) => drill::run(&context, args),
        Command::Runs(args) => runs::run(&context, args),
        Command::Status(args) => status::run(&context, args),
        Command::Attach(args) => attach::run(&context, args),
        Command::Approve(args) => approve::run(&context, args),
        Command::Resolve(args) => resolve::run(&context, args),
        Command::Decide(args) => decide::run(&context, args),
        Command::Abort(args) => abort::run(&context, args),
        Command::Cleanup(args) => cleanup::run(&context, args),
        Command::Remember(args) => remember::run(&context, args),
        Command::Transcript(args) => transcript::run(&context, args),
        Command::Runbook(_) | Command::Completions(_) | Command::Man(_) | Command::Internal(_) => Ok(Exit::Done),
    }
}
