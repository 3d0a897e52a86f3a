//! `lifeboat man`: the manual pages.

use super::Exit;
use anyhow::Context as _;
use std::io::Write;
use std::path::PathBuf;

/// Arguments of `lifeboat man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write all pages, one a subcommand, into this directory; without it the main page goes to standard output.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Runs the subcommand; `command` is what is described.
///
/// # Errors
/// When the directory or standard output can't be written.
pub fn run(command: clap::Command, args: &Args) -> anyhow::Result<Exit> {
    let command = command.disable_help_subcommand(true);
    let Some(directory) = &args.directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        std::io::stdout().lock().write_all(&page).context("writing the manual page")?;
        return Ok(Exit::Done);
    };
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(command, directory))
        .with_context(|| format!("{} can't be written: name a directory of your own", directory.display()))?;
    Ok(Exit::Done)
}
