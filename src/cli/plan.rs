//! `lifeboat plan`.

use super::{Context, Exit};

/// Arguments of `lifeboat plan`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(_context: &Context, _args: &Args) -> anyhow::Result<Exit> {
    anyhow::bail!("not built yet")
}
