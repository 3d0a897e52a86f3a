//! A drill for programs: one JSON object, and metrics for Prometheus' textfile collector.

use crate::domain::event::{Entry, RunEvent, RunOutcome, Verdict};
use crate::domain::plan::{CommandLine, Milestone, Step, StepId, StepKind};
use crate::domain::run::{Run, StepState};
use crate::domain::status::StepStatus;
use crate::domain::text::clean;
use crate::report::transcript::words;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Drills as `lifeboat drill --json` prints them.
#[must_use]
pub fn json(drills: &[(&Run, &[Entry])]) -> Value {
    json!({ "schema": 1, "drills": drills.iter().map(|(run, entries)| drill(run, entries)).collect::<Vec<_>>() })
}

fn drill(run: &Run, entries: &[Entry]) -> Value {
    let parameter = |name: &str| run.plan.parameters.get(name);
    json!({
        "run": run.id,
        "stanza": parameter("stanza"),
        "set": parameter("set"),
        "repository": parameter("repository").and_then(|key| key.parse::<u32>().ok()),
        "target": parameter("target"),
        "depth": parameter("depth"),
        "verdict": run.outcome_word(),
        "reason": reason(run),
        "started": words::rfc3339(run.created),
        "ended": run.ended.map(|(_, at)| words::rfc3339(at)),
        "seconds_to_consistent": seconds_to(run, entries, Milestone::Consistent),
        "seconds_to_target": seconds_to(run, entries, Milestone::TargetReached),
        "checks": run.each().filter(|(step, _)| is_check(step)).map(|(step, state)| check(step, state)).collect::<Vec<_>>(),
        "result": run.result,
    })
}

/// Why it failed: the first step that did, in its own words.
fn reason(run: &Run) -> Option<String> {
    let (step, state) = run.each().find(|(_, state)| state.status == StepStatus::Failed)?;
    let why = state.result.as_ref().and_then(|result| result.reason.clone());
    Some(format!("{}: {}", step.id, why.unwrap_or_else(|| state.remarks.join("; "))))
}

/// Steps that only look: what a drill proves rests on them.
fn is_check(step: &Step) -> bool {
    match &step.kind {
        StepKind::Check { .. } | StepKind::Sql { .. } | StepKind::Wait { .. } => true,
        // Lifeboat's own commands make and remove the directory.
        StepKind::Command { command } => {
            !step.destructive && command.argv.get(1).and_then(|word| word.resolved()).as_deref() != Some("internal")
        }
        StepKind::Server { .. } | StepKind::Stop { .. } => false,
        StepKind::Gate { .. } | StepKind::Decision { .. } | StepKind::Note { .. } => false,
    }
}

/// `covered`: it was looked at, and an answer came.
fn check(step: &Step, state: &StepState) -> Value {
    let covered = matches!(state.status, StepStatus::Done | StepStatus::Failed);
    json!({ "id": step.id, "covered": covered, "verdict": state.status.word() })
}

/// Seconds from the restore's first start to a milestone, by the journal: monotonic within one boot, else by the wall
/// clock. `None` when there was no restore, or it was not reached.
#[must_use]
pub fn seconds_to(run: &Run, entries: &[Entry], milestone: Milestone) -> Option<f64> {
    let waits = |step: &StepId| {
        run.step(step)
            .is_some_and(|(step, _)| matches!(&step.kind, StepKind::Wait { until, .. } if *until == milestone))
    };
    let restores = |step: &StepId| {
        run.step(step)
            .is_some_and(|(step, _)| step.destructive && step.kind.command().is_some_and(CommandLine::is_restore))
    };
    let start =
        entries.iter().find(|entry| matches!(&entry.event, RunEvent::StepStarted { step, .. } if restores(step)))?;
    let end = entries.iter().find(|entry| {
        matches!(&entry.event, RunEvent::StepEnded { step, result, .. } if waits(step) && result.verdict == Verdict::Done)
    })?;
    let milliseconds = if start.boot_id == end.boot_id {
        end.monotonic_ns.checked_sub(start.monotonic_ns)? / 1_000_000
    } else {
        u64::try_from((end.at - start.at).num_milliseconds()).ok()?
    };
    Some(std::time::Duration::from_millis(milliseconds).as_secs_f64())
}

/// A drill for the textfile collector. `last_done` is when a drill of this stanza and repository last succeeded.
#[must_use]
pub fn metrics(run: &Run, entries: &[Entry], last_done: Option<DateTime<Utc>>) -> String {
    let mut page = Metrics { text: String::new(), labels: labels(run, &["stanza", "repository"]) };
    let done = matches!(run.ended, Some((RunOutcome::Done, _)));
    page.gauge("success", "Whether the last drill ended as it should (1) or not (0).", Some(f64::from(u8::from(done))));
    let ended = run.ended.map(|(_, at)| at.timestamp() as f64);
    page.gauge("ended_timestamp_seconds", "When the last drill ended; absent while it has not.", ended);
    let last_done = last_done.map(|at| at.timestamp() as f64);
    page.gauge("last_success_timestamp_seconds", "When a drill last ended as it should.", last_done);
    let took = run.ended.map(|(_, at)| (at - run.created).num_milliseconds() as f64 / 1000.0);
    page.gauge("duration_seconds", "How long the last drill took.", took);
    for (name, help, milestone) in [
        ("seconds_to_consistent", "From the start of the restore to a consistent cluster.", Milestone::Consistent),
        ("seconds_to_target", "From the start of the restore to the recovery target.", Milestone::TargetReached),
    ] {
        page.gauge(name, help, seconds_to(run, entries, milestone));
    }
    let rows = run.values.get("result.bytes").and_then(|bytes| bytes.parse().ok());
    page.gauge("restored_bytes", "Size of the databases in the restored cluster.", rows);
    page.head("check_held", "Whether a check of the last drill held (1) or not (0); absent when it was not covered.");
    let plain = page.labels.clone();
    for (step, state) in run.each().filter(|(step, _)| is_check(step)) {
        let value = match state.status {
            StepStatus::Done => 1.0,
            StepStatus::Failed => 0.0,
            _ => continue,
        };
        page.labels = format!("{plain},check=\"{}\"", escaped(step.id.as_str()));
        page.value("check_held", value);
    }
    page.labels = format!("{plain},run=\"{}\",{}", escaped(run.id.as_str()), labels(run, &["set", "target", "depth"]));
    page.gauge("info", "What the last drill was about.", Some(1.0));
    page.text
}

struct Metrics {
    text: String,
    labels: String,
}

impl Metrics {
    fn head(&mut self, name: &str, help: &str) {
        // Writing to a String can't fail.
        let _ = write!(self.text, "# HELP lifeboat_drill_{name} {help}\n# TYPE lifeboat_drill_{name} gauge\n");
    }

    fn value(&mut self, name: &str, value: f64) {
        let _ = writeln!(self.text, "lifeboat_drill_{name}{{{}}} {value}", self.labels);
    }

    fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) {
        if let Some(value) = value {
            self.head(name, help);
            self.value(name, value);
        }
    }
}

fn labels(run: &Run, names: &[&str]) -> String {
    let of = |name: &&str| {
        let value = run.plan.parameters.get(*name).map(String::as_str).unwrap_or_default();
        format!("{name}=\"{}\"", escaped(value))
    };
    names.iter().map(of).collect::<Vec<_>>().join(",")
}

/// A label's value as the text format wants it.
fn escaped(value: &str) -> String {
    clean(value).replace('\\', "\\\\").replace('"', "\\\"")
}
