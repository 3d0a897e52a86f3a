//! `lifeboat internal inventory-index`: all backup sets into a file, so that the console never holds them.

use crate::cli::Exit;
use crate::engine::inventory_index;
use crate::settings::Settings;
use anyhow::Context as _;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

/// What to ask, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The pgbackrest program.
    #[arg(long, value_name = "FILE")]
    pgbackrest: PathBuf,
    /// Its configuration.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only this stanza.
    #[arg(long)]
    stanza: Option<String>,
    /// Whose answer it is, in hexadecimal digits.
    #[arg(long)]
    key: String,
}

/// The words of a failure go to standard error as they are to be shown.
pub(super) fn run(args: &Args) -> anyhow::Result<Exit> {
    let key = inventory_index::key_of_digits(&args.key).context("--key takes 64 hexadecimal digits")?;
    let mut settings = Settings::default();
    settings.pgbackrest.binary = args.pgbackrest.clone();
    settings.pgbackrest.config = args.config.clone();
    settings.pgbackrest.stanza = args.stanza.clone();
    let out = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    match inventory_index::answer(&settings, key, &out) {
        Ok(()) => Ok(Exit::Done),
        Err(why) => {
            writeln!(std::io::stderr().lock(), "{why}")?;
            Ok(Exit::Failed)
        }
    }
}
