//! `lifeboat runs`: the runs on this host, now and before.

use super::terminal::Letters;
use super::{Context, Exit};
use crate::domain::run::Run;
use crate::domain::text::clean;
use crate::engine::clock;
use crate::engine::leftovers::Leftovers;
use crate::engine::store::{RunFolder, Store};
use crate::report::transcript::words;
use anyhow::Context as _;
use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};
use std::io::Write;
use unicode_width::UnicodeWidthStr as _;

/// Arguments of `lifeboat runs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let store = context.existing_store()?;
    if args.json {
        return list(store.as_ref(), args, clock::now(), &mut std::io::stdout().lock());
    }
    let mut text = Vec::new();
    let exit = list(store.as_ref(), args, clock::now(), &mut text)?;
    Letters::of(context).print(&text).context("writing the list")?;
    Ok(exit)
}

/// Lists the runs in `store` (`None`: there is no state directory yet, so there are none), the newest first. `now` is
/// the end of the duration of a run that has not ended.
///
/// # Errors
/// The state directory can't be read. A damaged journal is no error: it is listed as such.
pub fn list(
    store: Option<&Store>,
    args: &Args,
    now: DateTime<FixedOffset>,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let folders = store.map_or_else(|| Ok(Vec::new()), Store::runs)?;
    let lines: Vec<Line> = folders.iter().map(Line::of).collect();
    let text = if args.json {
        let runs: Vec<Value> = lines.iter().map(|line| line.json(now)).collect();
        serde_json::to_string_pretty(&json!({ "schema": 1, "runs": runs }))? + "\n"
    } else {
        table(&lines, now)
    };
    out.write_all(text.as_bytes()).context("writing the list")?;
    Ok(Exit::Done)
}

/// A run in the list: what its journal tells, or why it tells nothing.
struct Line {
    id: String,
    run: Result<Box<Run>, String>,
    is_runner_alive: bool,
    /// What an ended run has left, by its mark.
    keeps: Vec<String>,
    /// A server that stays is among it.
    serves: bool,
}

impl Line {
    fn of(folder: &RunFolder) -> Line {
        let run = folder.load().map(|(run, _, _)| Box::new(run)).map_err(|error| clean(&error.to_string()));
        let ended = run.as_ref().ok().filter(|run| run.ended.is_some());
        let left = ended.map(|run| Leftovers::of(run)).unwrap_or_default();
        let keeps = left.marked(&folder.id).into_iter().map(|path| clean(&path.to_string_lossy())).collect();
        Line {
            id: folder.id.to_string(),
            run,
            is_runner_alive: folder.is_runner_alive().unwrap_or(false),
            keeps,
            serves: left.server.is_some(),
        }
    }

    fn outcome(&self) -> &'static str {
        match &self.run {
            Err(_) => "damaged",
            Ok(run) if run.outcome_word() == "running" && !self.is_runner_alive => "no runner",
            Ok(run) => run.outcome_word(),
        }
    }

    fn cells(&self, now: DateTime<FixedOffset>) -> [String; 6] {
        let Ok(run) = &self.run else {
            return [&self.id, "-", "-", self.outcome(), "-", "-"].map(str::to_owned);
        };
        [
            self.id.clone(),
            words::utc(run.created),
            clean(&run.plan.runbook),
            self.outcome().to_owned(),
            clean(&run.by.name),
            words::duration(milliseconds(run, now)),
        ]
    }

    fn json(&self, now: DateTime<FixedOffset>) -> Value {
        match &self.run {
            Ok(run) => json!({
                "run": self.id,
                "runbook": clean(&run.plan.runbook),
                "outcome": run.outcome_word(),
                "by": clean(&run.by.name),
                "started": words::rfc3339(run.created),
                "ended": run.ended.map(|(_, at)| words::rfc3339(at)),
                "seconds": std::time::Duration::from_millis(milliseconds(run, now)).as_secs_f64(),
                "runner_alive": self.is_runner_alive,
                "keeps": self.keeps,
                "serves": self.serves,
                "problem": null,
            }),
            Err(problem) => json!({
                "run": self.id,
                "runbook": null,
                "outcome": "damaged",
                "by": null,
                "started": null,
                "ended": null,
                "seconds": null,
                "runner_alive": self.is_runner_alive,
                "keeps": self.keeps,
                "serves": self.serves,
                "problem": problem,
            }),
        }
    }
}

fn milliseconds(run: &Run, now: DateTime<FixedOffset>) -> u64 {
    let end = run.ended.map_or(now, |(_, at)| at);
    u64::try_from((end - run.created).num_milliseconds()).unwrap_or(0)
}

fn table(lines: &[Line], now: DateTime<FixedOffset>) -> String {
    if lines.is_empty() {
        return "No run on this host yet. `lifeboat drill` or `lifeboat rehearse` makes the first one.\n".to_owned();
    }
    let header = ["run", "when", "runbook", "outcome", "who", "took"].map(str::to_owned);
    let rows: Vec<[String; 6]> = std::iter::once(header).chain(lines.iter().map(|line| line.cells(now))).collect();
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.width() + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for line in lines.iter().filter(|line| !line.keeps.is_empty()) {
        let serves = if line.serves { ", and a server runs in it" } else { "" };
        text.push_str(&format!(
            "{} keeps {}{serves}: lifeboat cleanup {}\n",
            line.id,
            line.keeps.join(" and "),
            line.id
        ));
    }
    for line in lines {
        if let Err(problem) = &line.run {
            text.push_str(&format!("{}: {problem}\n", line.id));
        }
    }
    text
}
