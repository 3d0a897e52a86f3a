//! `lifeboat run`: make the sealed plan of a runbook, begin a run of it, follow it.

use super::follow::{self, Manner};
use super::{Context, Exit, plan};
use crate::domain::run::Run;
use crate::engine::store::RunFolder;
use crate::engine::{client, proposal};
use crate::report;
use std::io::Write;

/// Arguments of `lifeboat run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wish: plan::Wish,
    /// An answer for a gate, given beforehand; it does not count when facts have changed by then.
    #[arg(long, value_name = "STEP=ANSWER")]
    approve: Vec<String>,
    /// Print one JSON object at the end, and nothing else.
    #[arg(long)]
    json: bool,
    /// Begin the run and leave it to its runner.
    #[arg(long)]
    detach: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let proposal = plan::propose(context, &args.wish)?;
    let mut out = std::io::stdout().lock();
    if !args.json {
        write!(out, "{}", report::plan_text::plan(&proposal.plan))?;
    }
    drop(out);
    let folder = begin(context, proposal)?;
    if args.detach {
        writeln!(std::io::stdout().lock(), "run {} has begun; follow it: lifeboat attach {}", folder.id, folder.id)?;
        return Ok(Exit::Done);
    }
    let (run, _, _) = folder.load()?;
    let manner =
        Manner { answers: follow::answers(&args.approve, Some(&run))?, quiet: args.json, never_ask: args.json };
    let (run, exit) = follow::follow(context, &folder, &manner)?;
    if args.json {
        print_json(&run)?;
    }
    Ok(exit)
}

/// Begins a run of a proposal: from here on it belongs to its runner.
///
/// # Errors
/// When the state directory can't take it or no runner can be started.
pub fn begin(context: &Context, proposal: proposal::Proposal) -> anyhow::Result<RunFolder> {
    let store = context.store()?;
    let size = proposal.restores_beside(store.root());
    let by = context.operator();
    let (folder, _, _) = store.create_run(proposal.run, proposal.plan, by, context.host(), size)?;
    client::ensure_runner(&folder, &context.socket(&folder.id)?)?;
    Ok(folder)
}

/// The run as one JSON object.
///
/// # Errors
/// When standard output can't be written.
pub fn print_json(run: &Run) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{}", report::transcript_json::run_summary(run))?;
    Ok(())
}
