//! `lifeboat commits`: the commits around a moment, plainly.

use super::accident::{self, Around};
use super::{Context, Exit, cancel};
use crate::engine::accident::{Place, list_commits};
use crate::planning::accident::{Committed, Counts, Names, RelationKind};
use crate::report::accident::utc;
use anyhow::Context as _;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};

/// Arguments of `lifeboat commits`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    around: Around,
    /// Print one JSON object a line: a commit each, and the notes at the end.
    #[arg(long)]
    json: bool,
}

/// A commit as it is printed.
#[derive(Debug, Serialize)]
struct Line {
    xid: u32,
    time: String,
    start_lsn: String,
    end_lsn: String,
    first_record_lsn: String,
    timeline: u32,
    database: String,
    by_table: BTreeMap<String, Counts>,
    files_removed: usize,
    subtransactions: usize,
}

/// Runs the subcommand.
///
/// # Errors
/// When the time can't be read or there is no WAL, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let request = accident::request(&args.around, context.settings.operator.timezone)?;
    let cancel = cancel::on_signals()?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut written = Ok(());
    let mut each = |committed: &Committed, names: &Names| {
        if written.is_ok() {
            written = write_line(&mut out, &line(committed, names), args.json);
        }
        // Nobody reads on: `lifeboat commits … | head`.
        if written.is_err() {
            cancel.set();
        }
    };
    let place = Place::of(&context.settings)?;
    let coverage = list_commits(&place, &request, &cancel, &mut each, &mut |_| {});
    written.context("writing the commits")?;
    let coverage = coverage?;
    if args.json {
        let end = serde_json::json!({
            "schema": 1,
            "from": request.window.from,
            "to": request.window.to,
            "segments_read": coverage.segments,
            "bytes_read": coverage.bytes,
            "notes": coverage.notes,
        });
        writeln!(out, "{end}").context("writing the commits")?;
    }
    out.flush().context("writing the commits")?;
    if !args.json {
        let mut errors = std::io::stderr().lock();
        coverage.notes.iter().for_each(|note| _ = writeln!(errors, "{note}"));
    }
    Ok(if cancel.is_set() { Exit::Aborted } else { Exit::Done })
}

fn line(committed: &Committed, names: &Names) -> Line {
    let mut by_table: BTreeMap<String, Counts> = BTreeMap::new();
    for (file, touched) in &committed.touched {
        if touched.counts.rows() > 0 && names.kind(*file) == RelationKind::Table {
            by_table.entry(names.show(*file)).or_default().add(touched.counts);
        }
    }
    Line {
        xid: committed.xid,
        time: committed.time.utc().map_or_else(|| "?".to_owned(), utc),
        start_lsn: committed.start.to_string(),
        end_lsn: committed.end.to_string(),
        first_record_lsn: committed.first.to_string(),
        timeline: committed.timeline.0,
        database: names.database(committed.database),
        by_table,
        files_removed: committed.removed.len(),
        subtransactions: committed.subtransactions.len(),
    }
}

fn write_line(out: &mut impl Write, line: &Line, json: bool) -> std::io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, line)?;
        return writeln!(out);
    }
    write!(out, "{}  xid {:<10} {:<14} {}", line.time, line.xid, line.start_lsn, line.database)?;
    for (table, counts) in &line.by_table {
        write!(out, "  {table}")?;
        for (count, sign) in [(counts.inserted, '+'), (counts.updated, '~'), (counts.deleted, '-')] {
            if count > 0 {
                write!(out, " {sign}{count}")?;
            }
        }
    }
    if line.files_removed > 0 {
        write!(out, "  {} files removed", line.files_removed)?;
    }
    writeln!(out)
}
