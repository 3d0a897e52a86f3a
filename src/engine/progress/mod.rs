//! Where the work is: read from the outputs and files of the step that goes on, never from the journal.

mod replay;
mod size;

use crate::domain::plan::{CommandLine, Step, StepKind};
use crate::domain::progress::{Far, Pace, Progress};
use crate::domain::rate::Rate;
use crate::domain::restore_log::RestoreLog;
use crate::domain::run::{Run, StepState};
use crate::domain::status::StepStatus;
use crate::domain::text;
use crate::engine::clock;
use crate::engine::progress::replay::Replaying;
use crate::engine::progress::size::Directories;
use crate::engine::store::RunFolder;
use crate::engine::tail::Tail;
use std::path::PathBuf;

/// What is read beside the step's own name and time.
#[derive(Debug)]
enum Source {
    Restore(Box<Restoring>),
    Server(Box<Replaying>),
    Nothing,
}

/// Follows the step that goes on.
#[derive(Debug)]
pub struct ProgressReader {
    folder: PathBuf,
    tail: Option<Tail>,
    source: Source,
}

impl ProgressReader {
    /// The reader for what goes on now: `before`, where that reads the right output already. `None` when nothing does.
    #[must_use]
    pub fn continued(before: Option<ProgressReader>, run: &Run, runs: &RunFolder) -> Option<ProgressReader> {
        let (position, step, state) = current(run)?;
        let source = match &step.kind {
            StepKind::Wait { server, .. } => run.plan.position(server)?,
            _ => position,
        };
        let attempt = if source == position { state.attempt } else { run.steps[source].attempt };
        let folder = runs.step_folder(source, attempt);
        if let Some(before) = before.filter(|before| before.folder == folder) {
            return Some(before);
        }
        let source = match &run.plan.steps[source].kind {
            StepKind::Server { command } => Source::Server(Box::new(Replaying::of(run, command))),
            StepKind::Command { command } if command.is_restore() => Source::Restore(Box::new(Restoring::of(command))),
            _ => Source::Nothing,
        };
        Some(ProgressReader { folder, tail: None, source })
    }

    /// Where it is now. `None` when nothing goes on.
    pub fn progress(&mut self, run: &Run) -> Option<Progress> {
        self.read();
        let (position, step, state) = current(run)?;
        let seconds = seconds_since(state);
        let far = match &mut self.source {
            Source::Restore(restoring) => restoring.far(seconds),
            Source::Server(replaying) => replaying.far(run),
            Source::Nothing => None,
        };
        let whole_seconds = seconds as u64;
        Some(Progress {
            number: position + 1,
            of: run.plan.steps.len(),
            step: step.id.clone(),
            title: step.title.clone(),
            seconds: whole_seconds,
            overdue: step.limit_seconds.is_some_and(|limit| whole_seconds > limit),
            far,
        })
    }

    fn read(&mut self) {
        if matches!(self.source, Source::Nothing) {
            return;
        }
        if self.tail.is_none() {
            self.tail = Tail::open(&self.folder.join("output")).ok();
        }
        let (Some(tail), source) = (&mut self.tail, &mut self.source) else { return };
        let read = tail.lines(|line| {
            let line = text::clean_bytes(line);
            match source {
                Source::Restore(restoring) => restoring.log.feed(&line),
                Source::Server(replaying) => replaying.feed(&line),
                Source::Nothing => {}
            }
        });
        if let Err(error) = read {
            // The work goes on; only its figures stand still.
            tracing::warn!(%error, folder = %self.folder.display(), "a step's output can't be read");
        }
    }
}

/// Seconds since a step was started, by the wall clock of the journal; never less than nothing.
fn seconds_since(state: &StepState) -> f64 {
    let milliseconds = state.started.map_or(0, |started| (clock::now() - started).num_milliseconds());
    milliseconds.max(0) as f64 / 1000.0
}

/// The step that goes on: the first that runs and is not a ready server.
fn current(run: &Run) -> Option<(usize, &Step, &StepState)> {
    run.each()
        .enumerate()
        .find(|(_, (_, state))| state.status == StepStatus::Running)
        .map(|(position, (step, state))| (position, step, state))
}

/// Hundredths of a percent are fed to the rate this many times larger: it takes less than one a second for standing still.
const FINER: u64 = 1_000_000;
const WHOLE_HUNDREDTHS: u64 = 10_000;

/// A restore.
#[derive(Debug)]
struct Restoring {
    log: RestoreLog,
    rate: Rate,
    directories: Directories,
    directory_rate: Rate,
}

impl Restoring {
    fn of(command: &CommandLine) -> Restoring {
        let (mut rate, mut directory_rate) = (Rate::default(), Rate::default());
        // It began with nothing: so even a single look has a pace, the one since the start.
        rate.observe(0.0, 0);
        directory_rate.observe(0.0, 0);
        Restoring { log: RestoreLog::default(), rate, directories: Directories::written_by(command), directory_rate }
    }

    fn far(&mut self, seconds: f64) -> Option<Far> {
        let Some(progress) = self.log.progress() else {
            let bytes = self.directories.bytes(seconds)?;
            self.directory_rate.observe(seconds, bytes);
            let bytes_per_second = self.directory_rate.bytes_per_second();
            return Some(Far::Directory { bytes, pace: Pace { bytes_per_second, seconds_left: None } });
        };
        self.rate.observe(seconds, u64::from(progress.hundredths) * FINER);
        let total_bytes = progress.total.map(|total| total.0);
        let whole = (WHOLE_HUNDREDTHS * FINER) as f64;
        let bytes_per_second =
            self.rate.bytes_per_second().zip(total_bytes).map(|(rate, total)| rate / whole * total as f64);
        Some(Far::Restore {
            hundredths: progress.hundredths,
            done_bytes: progress.done.map(|done| done.0),
            total_bytes,
            pace: Pace { bytes_per_second, seconds_left: self.rate.seconds_left(WHOLE_HUNDREDTHS * FINER) },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: &str = "2026-11-22 08:39:00.000 P00   INFO: repo1: restore backup set 20261122-023822F";

    fn restoring() -> Restoring {
        let arguments = ["pgbackrest", "--pg1-path=/nonexistent/data", "restore"];
        let argv = arguments.map(crate::domain::plan::Argument::text).to_vec();
        let command = CommandLine {
            argv,
            env: Default::default(),
            directory: None,
            stdout_is_data: false,
            success: vec![0],
            release: false,
        };
        assert!(command.is_restore());
        Restoring::of(&command)
    }

    #[test]
    fn a_single_look_has_the_pace_since_the_start() {
        let mut restoring = restoring();
        restoring.log.feed(STARTS);
        restoring.log.feed(
            "2026-11-22 08:39:01.000 P01 DETAIL: restore file /d/base/1/1 (10MB, 25.00%) checksum 0123456789abcdef0123456789abcdef01234567",
        );
        let Some(Far::Restore { hundredths, done_bytes, total_bytes, pace }) = restoring.far(5.0) else {
            panic!("the log tells how far it is");
        };
        assert_eq!(hundredths, 2500);
        assert_eq!(done_bytes.zip(total_bytes), Some((10 << 20, 40 << 20)));
        assert_eq!(pace.seconds_left.map(f64::round), Some(15.0));
        assert_eq!(pace.bytes_per_second.map(f64::round), Some(f64::from(2 << 20)));
    }

    #[test]
    fn before_the_first_file_there_is_nothing_to_tell_of_a_directory_that_is_not_there() {
        let mut restoring = restoring();
        restoring.log.feed(STARTS);
        assert_eq!(restoring.far(1.0), None);
    }
}
