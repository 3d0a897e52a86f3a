//! `lifeboat drill`: the restore drill with nobody watching.

use super::follow::{self, Manner};
use super::{Context, Exit, plan, transcript};
use crate::domain::plan::StepKind;
use crate::domain::run::Run;
use crate::engine::store::RunFolder;
use crate::engine::{desk, drills, replace_file};
use crate::report;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The collector runs as somebody else.
const METRICS_MODE: u32 = 0o644;
/// It tells what lies where on this host.
const REPORT_MODE: u32 = 0o600;

/// Arguments of `lifeboat drill`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A parameter of the runbook restore-drill (`lifeboat runbook show restore-drill` lists them).
    #[arg(short, long = "parameter", value_name = "NAME=VALUE")]
    parameter: Vec<String>,
    /// Print one JSON object at the end, and nothing else.
    #[arg(long)]
    json: bool,
    /// Write the transcript to this file, as Markdown.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the figures to this file, for Prometheus' textfile collector.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
}

/// Runs the subcommand. It stays as long as the drill goes on, and restarts a runner that died.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    // Found out now, not after an hour.
    for file in args.report.iter().chain(&args.metrics) {
        replace_file::try_it(file)?;
    }
    let wish = plan::Wish { runbook: drills::DRILL.to_owned(), parameter: args.parameter.clone() };
    let proposal = plan::propose(context, &wish)?;
    let folder = desk::begin(&context.settings, proposal)?;
    let (run, _, _) = folder.load()?;
    // As `run --approve` gives them: each counts for a gate's first opening only, and only while no fact has changed.
    let answers: BTreeMap<_, _> = run
        .plan
        .steps
        .iter()
        .filter_map(|step| match &step.kind {
            StepKind::Gate { answer, .. } => Some((step.id.clone(), answer.clone())),
            _ => None,
        })
        .collect();
    let manner = Manner { answers, quiet: args.json, never_ask: true, ..Manner::default() };
    let exit = match follow::follow(context, &folder, &manner) {
        Ok((_, exit)) => exit,
        Err(error) => {
            // It has begun: what became of it is for a person to find out.
            writeln!(std::io::stderr().lock(), "lifeboat: {error:#}")?;
            Exit::Unknown
        }
    };
    tell(context, args, &folder)?;
    Ok(exit)
}

/// Writes what came of it to wherever it was asked for.
fn tell(context: &Context, args: &Args, folder: &RunFolder) -> anyhow::Result<()> {
    let (run, entries, _) = folder.load()?;
    if args.json {
        let drill = report::drill::json(&[(&run, &entries)]);
        writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(&drill)?)?;
    }
    if run.ended.is_none() {
        let mut err = std::io::stderr().lock();
        for line in what_to_type(context, &run) {
            writeln!(err, "{line}")?;
        }
    }
    if let Some(file) = &args.metrics {
        let page = report::drill::metrics(&run, &entries, last_done(context, &run)?);
        replace_file::replace(file, page.as_bytes(), METRICS_MODE)?;
    }
    if let Some(file) = &args.report {
        write_report(context, folder, file, REPORT_MODE)?;
    }
    Ok(())
}

fn what_to_type(context: &Context, run: &Run) -> Vec<String> {
    let program = context.program();
    let mut lines = vec![format!("lifeboat: drill {} is {} and waits for a person:", run.id, run.outcome_word())];
    match (run.unknown().next(), run.open_gate()) {
        (Some((step, _)), _) => {
            lines.push(format!("  {program} resolve {} {}      shows what was seen, decides nothing", run.id, step.id));
        }
        (None, Some((step, _))) => {
            lines.push(format!("  {program} approve {} {}      shows the gate, approves nothing", run.id, step.id));
        }
        (None, None) => {}
    }
    lines.push(format!("  {program} attach {}", run.id));
    lines
}

/// When a drill of the same stanza and repository last ended as it should.
fn last_done(context: &Context, run: &Run) -> anyhow::Result<Option<chrono::DateTime<chrono::Utc>>> {
    let Some(store) = context.existing_store()? else { return Ok(None) };
    let is = |name: &str, value: &str| run.plan.parameters.get(name).is_some_and(|own| own == value);
    let done = drills::finished(&store)?.into_iter().find(|found| {
        found.drill.verdict == "done"
            && is("stanza", &found.set.stanza)
            && is("repository", &found.set.repository.0.to_string())
    });
    Ok(done.map(|found| found.drill.at))
}

/// Writes a run's transcript to a file of this mode, as Markdown.
///
/// # Errors
/// When the run can't be read or the file can't be written.
pub fn write_report(context: &Context, folder: &RunFolder, file: &Path, mode: u32) -> anyhow::Result<()> {
    let redact = context.redactor();
    let mut text = Vec::new();
    transcript::write(folder, transcript::Format::Markdown, &|text: &str| redact(text), &mut text)?;
    replace_file::replace(file, &text, mode)?;
    Ok(())
}
