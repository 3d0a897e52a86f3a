//! `lifeboat abort`: end a run, what it started with it.

use super::follow::{self, Manner};
use super::seat::{self, Claim, TakeOver};
use super::{Context, Exit};
use crate::domain::text;
use crate::engine::client;
use crate::planning::machine::Request;
use std::io::Write;

/// Arguments of `lifeboat abort`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run.
    run: String,
    /// Why, for the transcript.
    #[arg(long, default_value = "no reason given")]
    reason: String,
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
    let _seat = match Claim::once(context, &folder, args.how)? {
        Claim::Granted(seat) => seat,
        Claim::Driven(why) => return seat::left(context, "nothing was ended", &why),
    };
    client::ensure_runner(&folder, &context.socket(&folder.id)?)?;
    let request = Request::Abort { by: context.operator(), reason: text::clean(&args.reason) };
    client::request(&folder, &request)?;
    let manner = Manner { never_ask: true, ..Manner::default() };
    let (run, exit) = follow::follow(context, &folder, &manner)?;
    if exit == Exit::Aborted {
        let mut out = std::io::stdout().lock();
        writeln!(
            out,
            "What it left behind stays until it is removed, which asks before:\n   {} cleanup {}",
            context.program(),
            run.id
        )?;
        return Ok(Exit::Done);
    }
    Ok(exit)
}
