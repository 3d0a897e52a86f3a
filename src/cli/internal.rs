//! `lifeboat internal`: what Lifeboat calls itself, each in a process of its own.

use super::{Context, Exit};
use crate::engine::rehearsal::writer;
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
    /// The practice cluster's writer.
    RehearsalWriter {
        /// The practice cluster.
        #[arg(long, value_name = "DIR")]
        directory: PathBuf,
    },
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(_context: &Context, args: &Args) -> anyhow::Result<Exit> {
    match &args.helper {
        Helper::RehearsalWriter { directory } => writer::write(directory)?,
    }
    Ok(Exit::Done)
}
