//! What the steps of a run printed, read back for a transcript: without secrets, cleaned, and whether it is still what the
//! journal carries the hash of.

use crate::domain::event::{Entry, Outcome, OutputDigest, RunEvent};
use crate::domain::plan::StepId;
use crate::domain::run::Run;
use crate::domain::text::clean_lines;
use crate::engine::step_process::{ERRORS, OUTPUT};
use crate::engine::store::{OutputFile, RunFolder, StoreError};

/// One stream of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// Its text; where it is long, head and tail and how much was left out between them.
    pub text_cleaned: String,
    /// The length of the file in bytes.
    pub bytes: u64,
    /// Whether the file is the one whose SHA-256 the journal carries; `None` when the journal carries none.
    pub sha256_matches: Option<bool>,
}

/// What one attempt of a step printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The step's position, from 0.
    pub position: usize,
    /// The attempt, from 1.
    pub attempt: u32,
    /// Standard output, with standard error in it unless that is apart.
    pub output: Printed,
    /// Standard error, where standard output is data.
    pub errors: Option<Printed>,
}

/// All attempts that printed something. `redact` takes secrets out.
///
/// # Errors
/// When a file can't be read.
pub fn printed(
    folder: &RunFolder,
    run: &Run,
    entries: &[Entry],
    redact: &dyn Fn(&str) -> String,
) -> Result<Vec<Attempt>, StoreError> {
    let mut found = Vec::new();
    for (position, state) in run.steps.iter().enumerate() {
        for attempt in 1..=state.attempt {
            let outcome = recorded(entries, &run.plan.steps[position].id, attempt);
            let Some(output) = folder.read_output(position, attempt, OUTPUT)? else { continue };
            let errors = folder.read_output(position, attempt, ERRORS)?;
            found.push(Attempt {
                position,
                attempt,
                output: stream(&output, outcome.map(|outcome| &outcome.output), redact),
                errors: errors
                    .map(|errors| stream(&errors, outcome.and_then(|outcome| outcome.errors.as_ref()), redact)),
            });
        }
    }
    Ok(found)
}

/// What the journal says about the output of an attempt.
fn recorded<'a>(entries: &'a [Entry], wanted: &StepId, of: u32) -> Option<&'a Outcome> {
    entries.iter().find_map(|entry| match &entry.event {
        RunEvent::StepEnded { step, attempt, result } if step == wanted && *attempt == of => result.outcome.as_ref(),
        _ => None,
    })
}

/// Secrets go before cleaning: a mark in the middle of one would hide it from the redaction.
fn stream(file: &OutputFile, recorded: Option<&OutputDigest>, redact: &dyn Fn(&str) -> String) -> Printed {
    let readable = |bytes: &[u8]| clean_lines(&redact(&String::from_utf8_lossy(bytes)));
    let mut text_cleaned = readable(&file.head);
    if file.left_out_bytes > 0 {
        text_cleaned
            .push_str(&format!("[… {} bytes left out; the whole is in the run's folder …]\n", file.left_out_bytes));
        text_cleaned.push_str(&readable(&file.tail));
    }
    Printed { text_cleaned, bytes: file.length_bytes, sha256_matches: recorded.map(|recorded| file.is(recorded)) }
}
