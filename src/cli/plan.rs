//! `lifeboat plan`: the sealed plan of a runbook, to read, to hand to a program, or to run by hand.

use super::accident;
use super::cancel::{self, Searching};
use super::terminal::Letters;
use super::{Context, Exit};
use crate::engine::proposal::{self, Filling, Proposal, Waiting};
use crate::engine::runbooks;
use crate::report;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::io::Write;

/// Arguments of `lifeboat plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wish: Wish,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "shell")]
    json: bool,
    /// Print a shell script that does the same by hand.
    #[arg(long)]
    shell: bool,
}

/// Which runbook, with which parameters.
#[derive(Debug, clap::Args)]
pub struct Wish {
    /// The runbook (`lifeboat runbook list`).
    pub runbook: String,
    /// A parameter (`lifeboat runbook show` lists them).
    #[arg(short, long = "parameter", value_name = "NAME=VALUE")]
    pub parameter: Vec<String>,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let plan = propose(context, &args.wish)?.plan;
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", report::json::plan(&plan))?;
    } else if args.shell {
        write!(out, "{}", report::shell::plan(&plan))?;
    } else {
        drop(out);
        Letters::of(context).print(report::plan_text::plan(&plan).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Binds what the person wished with what the machine says.
///
/// # Errors
/// When the runbook has mistakes, a parameter does not fit, or no backup set serves.
pub fn propose(context: &Context, wish: &Wish) -> anyhow::Result<Proposal> {
    let mut given = BTreeMap::new();
    for pair in &wish.parameter {
        let (name, value) = pair.split_once('=').with_context(|| format!("-p {pair}: write it as NAME=VALUE"))?;
        anyhow::ensure!(given.insert(name.to_owned(), value.to_owned()).is_none(), "-p {pair}: given twice");
    }
    let runbook = runbooks::load(&wish.runbook, context.settings.runbook_directory().as_deref())?;
    let pgbackrest = context.pgbackrest()?;
    // Without an accident to be looked for there is nothing to wait for, and Ctrl-C ends the program as ever.
    let waits = given.contains_key("accident").then(cancel::while_searching).transpose()?;
    let cancel = waits.as_ref().map(|waits| waits.cancel.clone()).unwrap_or_default();
    let mut tell = |filling: Filling<'_>| match filling {
        Filling::Heard(news) => accident::show_progress(news),
        Filling::Over => {
            accident::clear_progress();
            waits.iter().for_each(Searching::is_over);
        }
    };
    let mut waiting = Waiting { cancel, tell: &mut tell };
    Ok(proposal::propose(&context.settings, &pgbackrest, &runbook, &given, &mut waiting)?)
}
