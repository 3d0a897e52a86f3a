//! `lifeboat attach`: follow a run and answer its gates.

use super::follow::{self, Manner};
use super::seat::TakeOver;
use super::{Context, Exit};
use crate::engine::client;

/// Arguments of `lifeboat attach`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run (`lifeboat runs` lists them).
    run: String,
    /// Tell every start and everything that checks found.
    #[arg(short, long)]
    verbose: bool,
    /// Whether to answer although somebody else drives it.
    #[command(flatten)]
    how: TakeOver,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let folder = context.run_folder(&args.run)?;
    let (run, _, _) = folder.load()?;
    if run.ended.is_none() {
        client::ensure_runner(&folder, &context.socket(&folder.id)?)?;
    }
    follow::follow(context, &folder, &Manner { verbose: args.verbose, how: args.how, ..Manner::default() })
        .map(|(_, exit)| exit)
}
