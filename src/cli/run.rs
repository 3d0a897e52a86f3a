//! `lifeboat run`: make the sealed plan of a runbook, begin a run of it, follow it.

use super::follow::{self, Manner};
use super::terminal::{self, Letters};
use super::{Context, Exit, plan};
use crate::domain::plan::Plan;
use crate::domain::run::Run;
use crate::engine::desk;
use crate::engine::runner::targets;
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
    /// Tell every start and everything that checks found.
    #[arg(short, long)]
    verbose: bool,
    /// Begin the run and leave it to its runner.
    #[arg(long, conflicts_with_all = ["approve", "json"])]
    detach: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let proposal = plan::propose(context, &args.wish)?;
    // A slip in an answer is told before anything has begun.
    let answers = follow::answers(&args.approve, &proposal.plan)?;
    if !args.json {
        let (host, call) = (context.host().name, context.program());
        let lines =
            report::summary::lines(&proposal.plan, &proposal.run, &proposal.choice, &host, &call, terminal::width());
        let letters = Letters::of(context);
        let mut out = std::io::stdout().lock();
        for line in lines {
            writeln!(out, "{}", letters.show(&line))?;
        }
    }
    if !args.json {
        tell_drills(context, &proposal.plan)?;
    }
    let folder = desk::begin(&context.settings, proposal)?;
    if args.detach {
        let (id, call) = (&folder.id, context.program());
        writeln!(std::io::stdout().lock(), "Run {id} has begun. To follow it:\n   {call} attach {id}")?;
        return Ok(Exit::Done);
    }
    let manner = Manner { answers, quiet: args.json, never_ask: args.json, verbose: args.verbose, ..Manner::default() };
    let (run, exit) = follow::follow(context, &folder, &manner)?;
    if args.json {
        print_json(&run)?;
    }
    Ok(exit)
}

/// Drills that are in the way of a recovery in place, and how they are ended: that is for the person to say.
fn tell_drills(context: &Context, plan: &Plan) -> anyhow::Result<()> {
    // A state directory that can't be used is told where the run is begun, with what to do.
    let Ok(Some(store)) = context.existing_store() else { return Ok(()) };
    let letters = Letters::of(context);
    let mut out = std::io::stdout().lock();
    for drill in targets::in_the_way(&store, plan) {
        let text = format!(
            "drill {drill} of the same stanza goes on here, and takes the disk and the repository from this recovery. To end it:"
        );
        for line in report::gate::hanging("   ! ", &text, terminal::width()) {
            writeln!(out, "{}", letters.show(&line))?;
        }
        writeln!(out, "     {} abort {drill}", context.program())?;
    }
    Ok(())
}

/// The run as one JSON object.
///
/// # Errors
/// When standard output can't be written.
pub fn print_json(run: &Run) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{}", report::transcript_json::run_summary(run))?;
    Ok(())
}
