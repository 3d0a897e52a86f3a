//! `lifeboat inventory`: the backup sets there are, as a table or as JSON.

use super::terminal::{self, Letters};
use super::{Context, Exit};
use crate::domain::inventory::LastDrills;
use crate::engine::{clock, drills, look};
use crate::report::inventory::{self, Layout};
use anyhow::Context as _;
use std::io::Write;

/// Arguments of `lifeboat inventory`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// When pgBackRest can't be asked, or nothing can be said of the backups, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let inventory = look::inventory(&context.pgbackrest()?, context.settings.pgbackrest.stanza.as_deref())?;
    let drills = drills_of(context);
    let text = if args.json {
        let drills = drills?;
        serde_json::to_string_pretty(&inventory::json(&inventory, &drills))? + "\n"
    } else {
        let layout = Layout { width: terminal::columns(), ascii: Letters::of(context) == Letters::Ascii };
        if let Err(error) = &drills {
            // What backups there are is worth more than when they were drilled.
            writeln!(std::io::stderr().lock(), "lifeboat: when the sets were drilled is not known: {error:#}")?;
        }
        inventory::table(&inventory, drills.as_ref().ok(), clock::now().to_utc(), layout)
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("writing the inventory")?;
    Ok(Exit::Done)
}

/// The last drill of each set; none where there is no state directory yet.
fn drills_of(context: &Context) -> anyhow::Result<LastDrills> {
    Ok(match context.existing_store()? {
        Some(store) => drills::last(&drills::finished(&store)?),
        None => LastDrills::default(),
    })
}
