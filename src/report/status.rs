//! A run in one line, to paste into an incident channel, and the same for programs.

use crate::domain::inventory::Bytes;
use crate::domain::plan::StepKind;
use crate::domain::progress::{Far, Pace, Progress, Replay};
use crate::domain::run::Run;
use crate::domain::status::StepStatus;
use crate::domain::text::clean;
use crate::report::gate::{hanging, rule};
use crate::report::inventory::{bytes, span};
use crate::report::lines::seconds;
use crate::report::transcript::words;
use crate::report::width::Width;
use chrono::{DateTime, FixedOffset};
use serde_json::{Value, json};

/// A run, and what is known of it beside its journal.
#[derive(Debug, Clone)]
pub struct Status<'a> {
    /// The run.
    pub run: &'a Run,
    /// Where its step is, while one goes on.
    pub progress: Option<Progress>,
    /// A runner has it.
    pub is_runner_alive: bool,
    /// The time of the look.
    pub now: DateTime<FixedOffset>,
    /// How this program is called with the settings that find the run: `lifeboat`, `lifeboat --settings FILE`.
    pub program: &'a str,
}

impl Status<'_> {
    /// The line.
    #[must_use]
    pub fn line(&self) -> String {
        let run = self.run;
        let stanza = run.plan.parameters.get("stanza").map(|stanza| format!(" of {stanza}")).unwrap_or_default();
        clean(&format!("{} {}{stanza} on {}: {}", run.id, run.plan.runbook, run.host.name, self.state()))
    }

    fn state(&self) -> String {
        let (run, id) = (self.run, &self.run.id);
        if let Some((_, at)) = run.ended {
            let took = seconds(u64::try_from((at - run.created).num_milliseconds()).unwrap_or(0));
            let failed = run.each().find(|(_, state)| state.status == StepStatus::Failed).map(|(step, state)| {
                let reason = state.result.as_ref().and_then(|result| result.reason.as_deref()).unwrap_or("it failed");
                format!(", at step '{}': {}", step.id, reason.lines().next().unwrap_or_default())
            });
            return format!("{} {} after {took}{}", run.outcome_word(), words::utc(at), failed.unwrap_or_default());
        }
        let steps = run.plan.steps.len();
        let number = |wanted| run.plan.position(wanted).map_or(0, |position| position + 1);
        if let Some((step, _)) = run.unknown().next() {
            return format!(
                "step {}/{steps} '{}': outcome unknown, a person has to decide: {} resolve {id} {}",
                number(&step.id),
                step.id,
                self.program,
                step.id
            );
        }
        if let Some((step, state)) = run.held().next() {
            let reason = state.result.as_ref().and_then(|result| result.reason.as_deref()).unwrap_or("it failed");
            return format!(
                "step {}/{steps} '{}' failed and is held for a person ({}): {} resolve {id} {}",
                number(&step.id),
                step.id,
                reason.lines().next().unwrap_or_default(),
                self.program,
                step.id
            );
        }
        if let Some((step, _)) = run.open_gate().or_else(|| run.open_decision()) {
            let (kind, wanted) = match &step.kind {
                StepKind::Gate { answer, .. } => ("gate", format!("type {answer}")),
                _ => ("decision", "choose".to_owned()),
            };
            let since = run.step(&step.id).and_then(|(_, state)| state.started);
            let since = since.map_or_else(String::new, |since| {
                format!(" since {} ({})", words::utc(since), span((self.now - since).num_seconds().max(0)))
            });
            return format!(
                "step {}/{steps} waits at {kind} '{}'{since} for a person to {wanted}: {} attach {id}",
                number(&step.id),
                step.id,
                self.program,
            );
        }
        let going = match &self.progress {
            Some(progress) => format!("step {}", line(progress)),
            None => "between two steps".to_owned(),
        };
        let ending = if run.aborting { "is being aborted, " } else { "" };
        if self.is_runner_alive {
            return format!("{ending}{going}");
        }
        format!("{ending}{going} · nobody goes on with it, its runner is gone: {} attach {id}", self.program)
    }

    /// The status for programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let run = self.run;
        let waiting = run.open_gate().or_else(|| run.open_decision()).map(|(step, gate)| {
            let (answer, choices) = match &step.kind {
                StepKind::Gate { answer, .. } => (Some(answer), None),
                StepKind::Decision { choices, .. } => (None, Some(choices)),
                _ => (None, None),
            };
            let since = run.step(&step.id).and_then(|(_, state)| state.started).map(words::rfc3339);
            let (gate, opening) = (&step.id, gate.opening);
            json!({ "gate": gate, "opening": opening, "since": since, "answer": answer, "choices": choices })
        });
        json!({
            "run": run.id,
            "runbook": run.plan.runbook,
            "host": run.host.name,
            "outcome": run.outcome_word(),
            "started": words::rfc3339(run.created),
            "ended": run.ended.map(|(_, at)| words::rfc3339(at)),
            "runner_alive": self.is_runner_alive,
            "steps": run.plan.steps.len(),
            "step": self.progress.as_ref().map(step_json),
            "waiting": waiting,
            "held": run.held().map(|(step, _)| step.id.as_str()).collect::<Vec<_>>(),
            "unknown": run.unknown().map(|(step, _)| step.id.as_str()).collect::<Vec<_>>(),
            "line": self.line(),
        })
    }
}

/// The mark of a status: the one place that knows all of them.
#[must_use]
pub fn mark(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "·",
        StepStatus::Running => "▸",
        StepStatus::Ready => "●",
        StepStatus::Waiting | StepStatus::Aborted => "■",
        StepStatus::Done => "✔",
        StepStatus::Failed => "✗",
        StepStatus::Skipped => "–",
        StepStatus::Held => "!",
        StepStatus::Unknown => "?",
    }
}

/// The screen for a wall: the host and the time to the minute, then each run with its steps and its line.
#[must_use]
pub fn wall(host: &str, now: DateTime<FixedOffset>, statuses: &[Status<'_>], columns: Width) -> Vec<String> {
    let utc = now.to_utc().format("%Y-%m-%d %H:%MZ");
    let offset =
        if now.offset().local_minus_utc() == 0 { String::new() } else { format!(" ({})", now.format("%H:%M %:z")) };
    let mut lines = vec![rule(&format!("lifeboat · {} · {utc}{offset}", clean(host)), columns)];
    if statuses.is_empty() {
        lines.push("No run on this host yet.".to_owned());
    }
    for status in statuses {
        let run = status.run;
        lines.push(String::new());
        lines.extend(hanging("", &status.line(), columns));
        // A mark for each step: how far it is can be seen from across the room.
        let marks: String = run.steps.iter().map(|state| mark(state.status)).collect();
        lines.extend(marks.chars().collect::<Vec<_>>().chunks(columns.columns()).map(|part| part.iter().collect()));
    }
    lines
}

fn step_json(progress: &Progress) -> Value {
    json!({
        "id": progress.step,
        "number": progress.number,
        "title": progress.title,
        "seconds": progress.seconds,
        "overdue": progress.overdue,
        "progress": progress.far.as_ref().map(far_json),
    })
}

fn far_json(far: &Far) -> Value {
    let (mut value, pace) = match far {
        Far::Restore { hundredths, done_bytes, total_bytes, pace } => {
            let percent = f64::from(*hundredths) / 100.0;
            (
                json!({ "kind": "restore", "percent": percent, "done_bytes": done_bytes, "total_bytes": total_bytes }),
                pace,
            )
        }
        Far::Directory { bytes, pace } => (json!({ "kind": "directory", "done_bytes": bytes }), pace),
        Far::Replay(replay) => {
            let value = json!({
                "kind": "replay",
                "lsn": replay.lsn,
                "last_commit": replay.last_commit.map(|at| words::rfc3339(at.fixed_offset())),
                "segments": replay.segments,
                "segment": replay.segment,
                "segments_left": replay.segments_left,
                "at_most": replay.at_most,
            });
            (value, &replay.pace)
        }
    };
    if let Value::Object(fields) = &mut value {
        fields.insert("bytes_per_second".to_owned(), json!(pace.bytes_per_second.map(f64::round)));
        fields.insert("seconds_left".to_owned(), json!(pace.seconds_left.map(f64::round)));
    }
    value
}

/// Where a step is, for a line that is drawn again and again: `13/34 Restore the backup set · 12 s · 43 % …`.
#[must_use]
pub fn line(progress: &Progress) -> String {
    let overdue = if progress.overdue { " OVERDUE" } else { "" };
    let took = whole(progress.seconds);
    let head = format!("{}/{} {} · {took}{overdue}", progress.number, progress.of, progress.title);
    match &progress.far {
        Some(far) => format!("{head} · {}", far_words(far)),
        None => head,
    }
}

fn far_words(far: &Far) -> String {
    match far {
        Far::Restore { hundredths, done_bytes, total_bytes, pace } => {
            let sizes = done_bytes.zip(*total_bytes).map_or_else(String::new, |(done, total)| {
                format!(", {} of {}", bytes(Bytes(done)), bytes(Bytes(total)))
            });
            format!("{}.{} %{sizes}{}", hundredths / 100, hundredths % 100 / 10, pace_words(pace, false))
        }
        Far::Directory { bytes: written, pace } => {
            format!("{} written{}", bytes(Bytes(*written)), pace_words(pace, false))
        }
        Far::Replay(replay) => replay_words(replay),
    }
}

fn replay_words(replay: &Replay) -> String {
    let mut parts = Vec::new();
    if let Some(lsn) = replay.lsn {
        parts.push(format!("replayed to {lsn}"));
    }
    if let Some(at) = replay.last_commit {
        parts.push(format!("last commit {}", words::utc(at.fixed_offset())));
    }
    match (replay.segments, replay.segments_left) {
        (0, _) => {}
        (fetched, None) => parts.push(format!("{fetched} segments fetched")),
        (fetched, Some(left)) => {
            let at_most = if replay.at_most { "at most " } else { "" };
            parts.push(format!("{fetched} segments fetched, {at_most}{left} left"));
        }
    }
    let pace = pace_words(&replay.pace, replay.at_most);
    if parts.is_empty() { "replay begins".to_owned() } else { parts.join(", ") + &pace }
}

/// Without tenths, which would only flicker.
fn whole(whole_seconds: u64) -> String {
    if whole_seconds < 60 { format!("{whole_seconds} s") } else { seconds(whole_seconds * 1000) }
}

fn pace_words(pace: &Pace, at_most: bool) -> String {
    let rate = pace.bytes_per_second.filter(|rate| *rate >= 1.0);
    let rate = rate.map_or_else(String::new, |rate| format!(", {}/s", bytes(Bytes(rate as u64))));
    let about = if at_most { "at most" } else { "about" };
    let left = pace.seconds_left.filter(|left| *left >= 0.5);
    let left = left.map_or_else(String::new, |left| format!(", {about} {} left", whole(left.ceil() as u64)));
    format!("{rate}{left}")
}

/// A size on disk for a person: `22.1 MB`.
#[must_use]
pub fn size(size_bytes: u64) -> String {
    bytes(Bytes(size_bytes))
}
