//! Runs as JSON: the summary that `lifeboat run --json` prints, and the transcript, which holds it and more.

use crate::domain::event::{Entry, Exit, RunEvent};
use crate::domain::facts::Facts;
use crate::domain::plan::{Step, StepKind};
use crate::domain::run::{Run, StepState};
use crate::domain::text::clean_lines;
use crate::report::transcript::{Maker, Outputs, Redact, Stream, proof, words};
use serde_json::{Map, Value, json};

/// The summary of a run: `{"schema":1,"run","runbook","outcome","started","ended","steps":[…],"result":{}}`. `outcome`
/// is `done`, `failed` or `aborted`, and while the run has not ended `waiting`, `unknown` or `running`. Times are
/// RFC 3339 in UTC; `seconds` and `exit` are `null` where there are none (a program ended by a signal has no exit code).
#[must_use]
pub fn run_summary(run: &Run) -> Value {
    json!({
        "schema": 1,
        "run": run.id.as_str(),
        "runbook": run.plan.runbook,
        "outcome": run.outcome_word(),
        "started": words::rfc3339(run.created),
        "ended": run.ended.map(|(_, at)| words::rfc3339(at)),
        "steps": run.each().map(|(step, state)| step_summary(step, state)).collect::<Vec<_>>(),
        "result": run.result,
    })
}

fn step_summary(step: &Step, state: &StepState) -> Value {
    let outcome = state.result.as_ref().and_then(|result| result.outcome.as_ref());
    json!({
        "id": step.id.as_str(),
        "status": state.status.word(),
        "seconds": seconds(state),
        "exit": outcome.and_then(|outcome| match outcome.exit {
            Exit::Code(code) => Some(code),
            Exit::Signal(_) | Exit::NotStarted(_) => None,
        }),
    })
}

/// The step's own monotonic time; for a gate the time it stood open.
fn seconds(state: &StepState) -> Option<f64> {
    let milliseconds = match (&state.result, state.started, state.ended) {
        (Some(result), _, _) => result.milliseconds,
        (None, Some(started), Some(ended)) => u64::try_from((ended - started).num_milliseconds()).unwrap_or(0),
        _ => return None,
    };
    Some(std::time::Duration::from_millis(milliseconds).as_secs_f64())
}

/// The transcript of a run: [`run_summary`] with more keys in it and in its steps. Every text has gone through
/// `redact` and is cleaned; line ends stay.
#[must_use]
pub fn transcript(run: &Run, entries: &[Entry], outputs: &Outputs<'_>, redact: &Redact<'_>) -> Value {
    let maker = Maker { run, entries, outputs, redact };
    let mut whole = run_summary(run);
    let steps = run.each().enumerate().map(|(position, (step, state))| step_in_full(&maker, position, step, state));
    let more = json!({
        "title": run.plan.title,
        "by": run.by,
        "host": run.host,
        "utc_offset": run.created.format("%:z").to_string(),
        "seal": run.plan.seal,
        "runbook_sha256": run.plan.runbook_digest,
        "parameters": run.plan.parameters,
        "facts": facts(&run.plan.facts),
        "environment": run.plan.environment,
        "values": run.values,
        "steps": steps.collect::<Vec<_>>(),
        "not_proven": proof::sentences(&maker),
        "journal": {
            "entries": run.sequence,
            "head": run.head,
            "events": entries.iter().map(entry).collect::<Vec<_>>(),
        },
    });
    extend(&mut whole, more);
    scrub(&mut whole, redact);
    whole
}

fn extend(whole: &mut Value, more: Value) {
    if let (Value::Object(whole), Value::Object(more)) = (whole, more) {
        whole.extend(more);
    }
}

fn facts(facts: &Facts) -> Value {
    json!({ "identity": facts.identity, "thresholds": facts.thresholds })
}

fn step_in_full(maker: &Maker<'_>, position: usize, step: &Step, state: &StepState) -> Value {
    let mut whole = step_summary(step, state);
    let command = step.kind.command();
    let shows = match &step.kind {
        StepKind::Gate { shows, .. } | StepKind::Decision { shows, .. } => Some(crate::report::json::shows(shows)),
        _ => None,
    };
    let outputs = (1..=state.attempt).filter_map(|attempt| {
        let printed = (maker.outputs)(position, attempt)?;
        let errors = printed.errors.as_ref().map(stream);
        Some(json!({ "attempt": attempt, "output": stream(&printed.output), "errors": errors }))
    });
    let more = json!({
        "title": step.title,
        "why": step.why,
        "kind": step.kind.word(),
        "destructive": step.destructive,
        "argv": command.map(|command| command.argv.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "env": command.map(|command| {
            command.env.iter().map(|(name, value)| (name.clone(), Value::from(value.to_string()))).collect::<Map<_, _>>()
        }),
        "attempt": state.attempt,
        "started": state.started.map(words::rfc3339),
        "ended": state.ended.map(words::rfc3339),
        "shows": shows,
        "choice": state.choice,
        "proves": step.proves,
        "result": state.result,
        "remarks": state.remarks,
        "outputs": outputs.collect::<Vec<_>>(),
    });
    extend(&mut whole, more);
    whole
}

fn stream(stream: &Stream) -> Value {
    json!({ "text": stream.text_cleaned, "bytes": stream.bytes, "sha256_matches": stream.sha256_matches })
}

/// An entry of the journal; the plan in the first one is left out, since the transcript holds it already.
fn entry(entry: &Entry) -> Value {
    let mut event = json!(entry.event);
    if let (RunEvent::RunCreated { plan, .. }, Value::Object(event)) = (&entry.event, &mut event) {
        event.insert("plan".to_owned(), json!({ "seal": plan.seal }));
    }
    json!({
        "seq": entry.sequence,
        "time": words::rfc3339(entry.at),
        "boot": entry.boot_id,
        "hash": entry.hash,
        "event": event,
    })
}

/// Redacts and cleans every text, names of keys too.
fn scrub(value: &mut Value, redact: &Redact<'_>) {
    match value {
        Value::String(text) => *text = clean_lines(&redact(text)),
        Value::Array(items) => items.iter_mut().for_each(|item| scrub(item, redact)),
        Value::Object(map) => {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(key, mut value)| {
                    scrub(&mut value, redact);
                    (clean_lines(&redact(&key)), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
