//! `lifeboat completions`: what a shell needs to complete Lifeboat's commands.

use super::Exit;
use anyhow::Context as _;
use clap_complete::Shell;
use std::io::Write;

/// Arguments of `lifeboat completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell; `lifeboat completions bash > /etc/bash_completion.d/lifeboat`, for example.
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the subcommand; `command` is what is completed.
///
/// # Errors
/// When standard output can't be written.
pub fn run(mut command: clap::Command, args: &Args) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "lifeboat", &mut script);
    std::io::stdout().lock().write_all(&script).context("writing the completions")?;
    Ok(Exit::Done)
}
