//! `lifeboat internal remember-names`: a step of drills and recoveries. The restored cluster's catalogs name what production
//! may have lost by the next accident.

use crate::domain::text::clean;
use crate::engine::catalog_memory::{self, Server};
use crate::engine::clock;
use crate::engine::environment::BaseEnvironment;
use crate::engine::postgres::PostgresPrograms;
use anyhow::Context as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Arguments of the helper.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The stanza.
    #[arg(long)]
    stanza: String,
    /// The cluster's system identifier.
    #[arg(long)]
    system_identifier: String,
    /// The folder of PostgreSQL's programs.
    #[arg(long, value_name = "DIR")]
    postgres_bin: PathBuf,
    /// The directory of the server's socket.
    #[arg(long, value_name = "DIR")]
    socket_directory: PathBuf,
    /// Its port.
    #[arg(long)]
    port: u16,
    /// The role to ask as.
    #[arg(long)]
    user: String,
    /// Where names are kept; empty where there is no such place.
    #[arg(long, value_name = "DIR")]
    state_directory: String,
}

/// Says what was remembered. That nothing could be is said as well, and is no failure: what the run is for does not depend
/// on it.
pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let text = match remember(args) {
        Ok(text) => text,
        Err(error) => format!("not remembered: {}", clean(&format!("{error:#}"))),
    };
    writeln!(std::io::stdout().lock(), "names: {text}")?;
    Ok(())
}

fn remember(args: &Args) -> anyhow::Result<String> {
    let state = Path::new(&args.state_directory);
    anyhow::ensure!(state.is_absolute(), "there is no state directory");
    let system = args.system_identifier.parse().context("the system identifier is not known")?;
    let environment = BaseEnvironment::from_process()?.real;
    let programs = PostgresPrograms::at(&args.postgres_bin, &environment)?;
    let server = Server::at(&programs, &environment, &args.socket_directory, args.port, &args.user);
    let catalogs = catalog_memory::read_catalogs(&server)?;
    // A restored cluster shows what was, not what is.
    let shown = catalog_memory::replayed_until(&server).unwrap_or_else(|| clock::now().to_utc());
    let remembered = catalog_memory::remember(state, &args.stanza, system, catalogs.relations, shown)?;
    let left_out = catalogs.left_out.iter().map(|line| format!("; not read: {line}")).collect::<String>();
    let merged = remembered.merged;
    Ok(format!("{} new, {} known, as of {}{left_out}", merged.new, merged.known, shown.format("%Y-%m-%d %H:%M:%S+00")))
}
