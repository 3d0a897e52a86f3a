//! How far a server's replay of WAL is, by its log alone.
//!
//! No SQL is asked: that would stand in no plan and in no journal. The log tells each segment that is fetched; from
//! PostgreSQL 15 on every ten seconds where replay is (`redo in progress`, within a segment); and at restart points, which a
//! drill's server makes every 30 s or so (`log_checkpoints`), when the last replayed transaction was committed.

use crate::domain::lsn::Lsn;
use crate::domain::plan::CommandLine;
use crate::domain::progress::{Far, Pace, Replay};
use crate::domain::rate::Rate;
use crate::domain::recovery_log::RecoveryLog;
use crate::domain::run::Run;
use crate::domain::wal::{SegmentSize, WalSegment};
use crate::engine::progress::seconds_since;

/// Where the drill notes the archive's newest segment, and how large segments are.
const NEWEST: &str = "archive-covers.newest-segment";
const SEGMENT_BYTES: &str = "archive-covers.segment-bytes";

/// A server that replays.
#[derive(Debug)]
pub(super) struct Replaying {
    log: RecoveryLog,
    rate: Rate,
    server: usize,
}

impl Replaying {
    pub(super) fn of(run: &Run, command: &CommandLine) -> Replaying {
        let server = run.plan.steps.iter().position(|step| step.kind.command() == Some(command)).unwrap_or(0);
        Replaying { log: RecoveryLog::default(), rate: Rate::default(), server }
    }

    pub(super) fn feed(&mut self, line: &str) {
        self.log.feed(line);
    }

    pub(super) fn far(&mut self, run: &Run) -> Option<Far> {
        if self.log.redo_starts_at.is_none() && self.log.segments.last.is_none() {
            return None;
        }
        let seconds = seconds_since(&run.steps[self.server]);
        let size = run.values.get(SEGMENT_BYTES).and_then(|text| text.parse().ok());
        let size = size.and_then(|bytes| SegmentSize::from_bytes(bytes).ok());
        let segment = |name: Option<&String>| name.and_then(|name| WalSegment::parse(name).ok());
        let start_of = |segment: Option<WalSegment>| segment.zip(size).and_then(|(segment, size)| segment.start(size));
        let fetched = start_of(segment(self.log.segments.last.as_ref()));
        let newest = start_of(segment(run.values.get(NEWEST)));
        let restart_point = self.log.restart_point;
        let lsn = self.log.redo_at.max(restart_point.map(|(lsn, _)| lsn)).max(self.log.consistent_at);
        let lsn = self.log.redo_done.or(lsn);
        let position = lsn.max(fetched);
        let size_bytes = size.map_or(0, SegmentSize::bytes);
        Some(Far::Replay(Replay {
            lsn,
            last_commit: self.log.last_commit_time.or(restart_point.and_then(|(_, commit)| commit)),
            segments: self.log.segments.count,
            segment: self.log.segments.last.clone(),
            segments_left: newest
                .zip(fetched)
                .map(|(newest, fetched)| newest.0.saturating_sub(fetched.0).checked_div(size_bytes).unwrap_or(0)),
            at_most: run.plan.parameters.get("target-type").is_none_or(|kind| kind != "latest"),
            pace: self.pace(seconds, position, newest.map(|newest| Lsn(newest.0 + size_bytes))),
        }))
    }

    /// WAL bytes since the beginning of replay, at `seconds` since the server's start.
    fn pace(&mut self, seconds: f64, position: Option<Lsn>, end: Option<Lsn>) -> Pace {
        let Some((begin, position)) = self.log.redo_starts_at.zip(position) else { return Pace::default() };
        if self.rate == Rate::default() {
            self.rate.observe(0.0, 0);
        }
        self.rate.observe(seconds, position.0.saturating_sub(begin.0));
        let whole = end.map(|end| end.0.saturating_sub(begin.0));
        Pace {
            bytes_per_second: self.rate.bytes_per_second(),
            seconds_left: whole.and_then(|whole| self.rate.seconds_left(whole)),
        }
    }
}
