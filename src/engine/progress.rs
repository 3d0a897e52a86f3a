//! Where the work is: read from the outputs of the step that goes on, never from the journal.

use crate::domain::plan::{Step, StepKind};
use crate::domain::recovery_log::RecoveryLog;
use crate::domain::restore_log::RestoreLog;
use crate::domain::run::{Run, StepState};
use crate::domain::status::StepStatus;
use crate::domain::text;
use crate::engine::clock;
use crate::engine::store::RunFolder;
use crate::engine::tail::Tail;
use std::path::PathBuf;

/// What kind of output is read.
#[derive(Debug)]
enum Log {
    Restore(Box<RestoreLog>),
    Server(Box<RecoveryLog>),
    Other,
}

/// Follows the output of the step that goes on.
#[derive(Debug)]
pub struct ProgressReader {
    folder: PathBuf,
    tail: Option<Tail>,
    log: Log,
    last: String,
}

impl ProgressReader {
    /// The reader for what goes on now: `before`, where that reads the right output already. `None` when nothing does.
    #[must_use]
    pub fn continued(before: Option<ProgressReader>, run: &Run, runs: &RunFolder) -> Option<ProgressReader> {
        let (position, step, state) = current(run)?;
        let (source, kind) = match &step.kind {
            StepKind::Wait { server, .. } => (run.plan.position(server)?, Log::Server(Box::default())),
            StepKind::Server { .. } => (position, Log::Server(Box::default())),
            StepKind::Command { command } if command.argv.iter().any(|word| word.to_string() == "restore") => {
                (position, Log::Restore(Box::default()))
            }
            _ => (position, Log::Other),
        };
        let attempt = if source == position { state.attempt } else { run.steps[source].attempt };
        let folder = runs.step_folder(source, attempt);
        match before {
            Some(before) if before.folder == folder => Some(before),
            _ => Some(ProgressReader { folder, tail: None, log: kind, last: String::new() }),
        }
    }

    /// One line: the step, how long it runs, how far it is.
    pub fn line(&mut self, run: &Run) -> String {
        self.read();
        let Some((position, step, state)) = current(run) else { return String::new() };
        let now = clock::now();
        let milliseconds =
            state.started.map_or(0, |started| u64::try_from((now - started).num_milliseconds()).unwrap_or(0));
        let overdue = step.limit_seconds.is_some_and(|limit| milliseconds / 1000 > limit);
        let overdue = if overdue { " OVERDUE" } else { "" };
        let head =
            format!("{}/{} {} · {} s{overdue}", position + 1, run.plan.steps.len(), step.title, milliseconds / 1000);
        match self.far() {
            Some(far) => format!("{head} · {far}"),
            None => head,
        }
    }

    fn read(&mut self) {
        if self.tail.is_none() {
            self.tail = Tail::open(&self.folder.join("output")).ok();
        }
        let (Some(tail), log, last) = (&mut self.tail, &mut self.log, &mut self.last) else { return };
        let read = tail.lines(|line| {
            let line = text::clean_bytes(line);
            match log {
                Log::Restore(log) => log.feed(&line),
                Log::Server(log) => log.feed(&line),
                Log::Other => {}
            }
            if !line.trim().is_empty() {
                *last = line;
            }
        });
        if let Err(error) = read {
            *last = format!("the output can't be read: {error}");
        }
    }

    fn far(&self) -> Option<String> {
        match &self.log {
            Log::Restore(_) | Log::Other => None,
            Log::Server(log) => {
                let segment = log.segments.last.as_deref().map(|segment| format!("replaying {segment}"));
                segment.or_else(|| log.consistent_at.map(|lsn| format!("consistent at {lsn}")))
            }
        }
    }
}

/// The step that goes on: the first that runs and is not a ready server.
fn current(run: &Run) -> Option<(usize, &Step, &StepState)> {
    run.each()
        .enumerate()
        .find(|(_, (_, state))| state.status == StepStatus::Running)
        .map(|(position, (step, state))| (position, step, state))
}
