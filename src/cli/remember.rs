//! `lifeboat remember`: note what tables are called, for the day on which the catalog is gone.

use super::{Context, Exit};
use crate::domain::inventory::SystemId;
use crate::engine::catalog_memory::{self, Remembered, Server};
use crate::engine::environment::BaseEnvironment;
use crate::engine::postgres::PostgresPrograms;
use crate::engine::{clock, paths};
use anyhow::Context as _;
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;

/// Arguments of `lifeboat remember`.
///
/// Names of tables and indexes with their file numbers are read from the running server's catalogs and kept in the state
/// directory. WAL knows the numbers only: what an accident did is told by name where the name was remembered before. It
/// suits a timer, once a day.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// When no server runs on this host, it can't be asked, or the state directory can't be written, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let environment = BaseEnvironment::from_process()?;
    let config = context.pgbackrest()?.configuration()?;
    let stanza = match &context.settings.pgbackrest.stanza {
        Some(stanza) => stanza.clone(),
        None => match config.stanzas().as_slice() {
            [only] => only.clone(),
            [] => anyhow::bail!("pgBackRest's configuration names no stanza with a data directory on this host"),
            several => anyhow::bail!("there are several stanzas ({}): name one with --stanza", several.join(", ")),
        },
    };
    let data_directory = config.pg1_path(&stanza).with_context(|| {
        format!("pgBackRest's configuration has no pg1-path for stanza '{stanza}': run this on the database's host")
    })?;
    let version = std::fs::read_to_string(data_directory.join("PG_VERSION"))
        .with_context(|| format!("reading {}", data_directory.join("PG_VERSION").display()))?;
    let bin_directory = context.settings.postgres.bin_directory.as_deref();
    let programs = PostgresPrograms::find(bin_directory, version.trim(), &environment.real)?;
    let control = programs.control_data(&data_directory, &environment.real)?;
    let server = Server::on(&data_directory, &config, &stanza, &programs, &environment.real)?;
    let catalogs = catalog_memory::read_catalogs(&server)?;
    let state = paths::ensure_state_directory(&context.settings)?;
    let now = clock::now().to_utc();
    let (system, relations) = (control.system_identifier, catalogs.relations);
    let remembered = catalog_memory::remember(&state, &stanza, system, relations, now)?;
    let told = Told { stanza, system: SystemId(system), databases: catalogs.databases, left_out: catalogs.left_out };
    let text = if args.json { told.json(&remembered)? } else { told.text(&remembered) };
    std::io::stdout().lock().write_all(text.as_bytes()).context("writing what was remembered")?;
    Ok(if told.left_out.is_empty() { Exit::Done } else { Exit::Failed })
}

struct Told {
    stanza: String,
    system: SystemId,
    databases: BTreeSet<String>,
    left_out: Vec<String>,
}

impl Told {
    fn text(&self, remembered: &Remembered) -> String {
        let Remembered { merged, forgotten, total, unread, file } = remembered;
        let databases: Vec<&str> = self.databases.iter().map(String::as_str).collect();
        let mut text = format!(
            "{} files of relations read from {}: {} new, {} known\n{total} are remembered in {}\n",
            merged.new + merged.known,
            databases.join(", "),
            merged.new,
            merged.known,
            file.display()
        );
        if *forgotten > 0 {
            text.push_str(&format!("{forgotten} were not seen for long, and are forgotten\n"));
        }
        if unread.damaged + unread.foreign > 0 {
            let (damaged, foreign) = (unread.damaged, unread.foreign);
            text.push_str(&format!(
                "{damaged} damaged lines and {foreign} of another cluster or version were dropped\n"
            ));
        }
        for line in &self.left_out {
            text.push_str(&format!("not read: {line}\n"));
        }
        text
    }

    fn json(&self, remembered: &Remembered) -> anyhow::Result<String> {
        let value = json!({
            "schema": 1,
            "stanza": self.stanza,
            "system_identifier": self.system,
            "databases": self.databases,
            "left_out": self.left_out,
            "new": remembered.merged.new,
            "known": remembered.merged.known,
            "forgotten": remembered.forgotten,
            "total": remembered.total,
            "damaged_lines": remembered.unread.damaged,
            "foreign_lines": remembered.unread.foreign,
            "file": remembered.file,
        });
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }
}
