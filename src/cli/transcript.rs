//! `lifeboat transcript`: the evidence of a run, and whether it is still what was written.

use super::terminal::Letters;
use super::{Context, Exit};
use crate::domain::event::{RunEvent, RunId};
use crate::domain::text::clean_lines;
use crate::engine::evidence::{self, Printed};
use crate::engine::journal::{self, Verification};
use crate::engine::step_process::{ERRORS, OUTPUT};
use crate::engine::store::{RunFolder, Store};
use crate::report::transcript::{StepOutput, Stream};
use crate::report::{html, markdown, text, transcript_json};
use anyhow::{Context as _, bail};
use clap::ValueEnum;
use serde_json::json;
use std::io::Write;

/// Arguments of `lifeboat transcript`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run; `lifeboat runs` lists them.
    #[arg(value_name = "RUN", value_parser = RunId::parse)]
    pub run: RunId,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Check the journal's chain of hashes and the outputs' hashes instead of printing the transcript.
    #[arg(long)]
    pub verify: bool,
    /// A head hash that was recorded elsewhere (at a gate, in syslog): without it a cut at a line's end can't be seen.
    #[arg(long, value_name = "HASH", requires = "verify")]
    pub head: Option<String>,
}

/// How a transcript is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Plain text, 80 columns.
    Text,
    /// Markdown.
    Markdown,
    /// One HTML file that needs nothing else.
    Html,
    /// JSON, `lifeboat run --json` and more.
    Json,
}

/// Runs the subcommand.
///
/// # Errors
/// Anything that keeps it from its answer, in words for a person.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let store = context.existing_store()?.context("there is no state directory yet, and so no run")?;
    let redact = context.redactor();
    if !matches!(args.format, Format::Text | Format::Markdown) {
        // A program reads it, or it names its character set itself.
        return show(&store, args, &|text: &str| redact(text), &mut std::io::stdout().lock());
    }
    let mut text = Vec::new();
    let exit = show(&store, args, &|text: &str| redact(text), &mut text)?;
    Letters::of(context).print(&text).context("writing the transcript")?;
    Ok(exit)
}

/// Writes the transcript, or with `--verify` what can be said about the evidence, to `out`. `redact` removes secrets.
///
/// # Errors
/// The run or its outputs can't be read, or `--head` is no hash.
pub fn show(store: &Store, args: &Args, redact: &dyn Fn(&str) -> String, out: &mut dyn Write) -> anyhow::Result<Exit> {
    let folder = store.folder(&args.run)?;
    if args.verify { verify(&folder, args, out) } else { write(&folder, args.format, redact, out) }
}

pub(super) fn write(
    folder: &RunFolder,
    format: Format,
    redact: &dyn Fn(&str) -> String,
    out: &mut dyn Write,
) -> anyhow::Result<Exit> {
    let (run, entries, _) = folder.load()?;
    let printed = evidence::printed(folder, &run, &entries, redact)?;
    let outputs = |position, attempt| {
        let found = printed.iter().find(|found| (found.position, found.attempt) == (position, attempt))?;
        Some(StepOutput { output: stream(&found.output), errors: found.errors.as_ref().map(stream) })
    };
    let whole = match format {
        Format::Text => text::transcript(&run, &entries, &outputs, redact),
        Format::Markdown => markdown::transcript(&run, &entries, &outputs, redact),
        Format::Html => html::transcript(&run, &entries, &outputs, redact),
        Format::Json => {
            let value = transcript_json::transcript(&run, &entries, &outputs, redact);
            serde_json::to_string_pretty(&value)? + "\n"
        }
    };
    out.write_all(whole.as_bytes()).context("writing the transcript")?;
    Ok(Exit::Done)
}

fn stream(printed: &Printed) -> Stream {
    Stream { text_cleaned: printed.text_cleaned.clone(), bytes: printed.bytes, sha256_matches: printed.sha256_matches }
}

/// What was compared of the outputs.
#[derive(Default)]
struct Outputs {
    matching: usize,
    wrong: Vec<String>,
}

fn verify(folder: &RunFolder, args: &Args, out: &mut dyn Write) -> anyhow::Result<Exit> {
    if let Some(head) = &args.head
        && !journal::is_head(head)
    {
        bail!("--head '{}' is not a head hash: give its 64 digits, or at least the first eight", clean_lines(head));
    }
    let found = journal::verify(&folder.journal_path())?;
    let outputs = if found.holds() { check_outputs(folder)? } else { Outputs::default() };
    let head = args.head.as_deref().map(|head| found.find(head));
    let good = found.holds() && head != Some(None) && outputs.wrong.is_empty();
    let told = if args.format == Format::Json {
        serde_json::to_string_pretty(&verification_json(folder, &found, &outputs, head, good))? + "\n"
    } else {
        verification_text(folder, &found, &outputs, head)
    };
    out.write_all(told.as_bytes()).context("writing the answer")?;
    Ok(if good { Exit::Done } else { Exit::Failed })
}

fn check_outputs(folder: &RunFolder) -> anyhow::Result<Outputs> {
    let (run, entries, _) = folder.load()?;
    let mut outputs = Outputs::default();
    for entry in &entries {
        let RunEvent::StepEnded { step, attempt, result } = &entry.event else { continue };
        let (Some(position), Some(outcome)) = (run.plan.position(step), &result.outcome) else { continue };
        let files = [(OUTPUT, Some(&outcome.output)), (ERRORS, outcome.errors.as_ref())];
        for (name, recorded) in files {
            let Some(recorded) = recorded else { continue };
            let what = |how: &str| format!("{name} of step {step}, attempt {attempt}: {how}");
            match folder.read_output(position, *attempt, name)? {
                Some(file) if file.is(recorded) => outputs.matching += 1,
                Some(file) if file.length_bytes != recorded.bytes => {
                    let how = format!("{} bytes now, {} when the step ended", file.length_bytes, recorded.bytes);
                    outputs.wrong.push(what(&how));
                }
                Some(_) => outputs.wrong.push(what("not the text it had when the step ended")),
                None => outputs.wrong.push(what("gone")),
            }
        }
    }
    Ok(outputs)
}

type Head = Option<Option<journal::Found>>;

fn verification_text(folder: &RunFolder, found: &Verification, outputs: &Outputs, head: Head) -> String {
    let mut lines = Vec::new();
    match &found.damage {
        Some(damage) => lines.push(format!(
            "DAMAGED: run {}, journal line {}: {}. The {} entries before it hold; nothing behind it was judged.",
            folder.id, damage.line, damage.what, found.entries
        )),
        None if found.entries == 0 => {
            lines.push(format!("EMPTY: run {} has no complete entry; it never began.", folder.id))
        }
        None => lines
            .push(format!("holds: run {}, {} entries, each with the hash of the one before", folder.id, found.entries)),
    }
    lines.push(format!("head: {}", found.head));
    if let Some(torn) = &found.torn {
        lines.push(format!(
            "torn: {} bytes of entry {} at the end; it was being written and was never acknowledged",
            torn.length_bytes, torn.line
        ));
    }
    match head {
        None => lines.push(
            "not shown: that no lines are missing from the end; give the head recorded elsewhere with --head"
                .to_owned(),
        ),
        Some(None) => lines.push(
            "MISSING: the given head is not in this journal: entries were cut from its end, or it is another journal"
                .to_owned(),
        ),
        Some(Some(at)) => lines.push(format!(
            "head found: it is entry {}; {} entries were written after it",
            at.sequence, at.entries_after
        )),
    }
    if found.holds() {
        lines.push(match found.ended {
            Some(outcome) => format!("ended: {}", crate::report::transcript::words::run_outcome(outcome)),
            None => "ended: not yet, or its last entries are missing".to_owned(),
        });
        lines.push(format!("outputs: {} as they were when their step ended", outputs.matching));
    }
    lines.extend(outputs.wrong.iter().map(|wrong| format!("ALTERED: {wrong}")));
    lines.join("\n") + "\n"
}

fn verification_json(
    folder: &RunFolder,
    found: &Verification,
    outputs: &Outputs,
    head: Head,
    good: bool,
) -> serde_json::Value {
    json!({
        "schema": 1,
        "run": folder.id.as_str(),
        "holds": good,
        "entries": found.entries,
        "head": found.head,
        "ended": found.ended,
        "torn_bytes": found.torn.as_ref().map(|torn| torn.length_bytes),
        "damage": found.damage.as_ref().map(|damage| json!({ "line": damage.line, "what": damage.what })),
        "recorded_head": head.map(|head| json!({
            "entry": head.map(|at| at.sequence),
            "entries_after": head.map(|at| at.entries_after),
        })),
        "outputs_matching": outputs.matching,
        "outputs_altered": outputs.wrong,
    })
}
