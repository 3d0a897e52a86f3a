//! Where a run is: what a status line and a progress line tell.

use crate::domain::lsn::Lsn;
use crate::domain::plan::StepId;
use chrono::{DateTime, Utc};

/// The step that goes on, and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Its place in the plan, from 1.
    pub number: usize,
    /// How many steps the plan has.
    pub of: usize,
    /// The step.
    pub step: StepId,
    /// Its title.
    pub title: String,
    /// Seconds since it was started.
    pub seconds: u64,
    /// It has taken longer than its limit.
    pub overdue: bool,
    /// How far it is, where its output or its files tell.
    pub far: Option<Far>,
}

/// How far a step is.
#[derive(Debug, Clone, PartialEq)]
pub enum Far {
    /// A restore, by pgBackRest's own lines.
    Restore {
        /// Of the whole, in hundredths of a percent.
        hundredths: u32,
        /// Bytes that are in place; `None` while the total is not known.
        done_bytes: Option<u64>,
        /// Bytes in all.
        total_bytes: Option<u64>,
        /// Bytes a second, and the seconds left.
        pace: Pace,
    },
    /// A restore that says nothing of itself yet: what its directory holds.
    Directory {
        /// Bytes on disk.
        bytes: u64,
        /// Bytes a second.
        pace: Pace,
    },
    /// Replay of WAL.
    Replay(Replay),
}

/// How far replay is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Replay {
    /// The position that was replayed last, as far as it is known.
    pub lsn: Option<Lsn>,
    /// When the last replayed transaction was committed.
    pub last_commit: Option<DateTime<Utc>>,
    /// Segments fetched from the archive.
    pub segments: u64,
    /// The segment that was fetched last.
    pub segment: Option<String>,
    /// Segments between that one and the newest one in the archive.
    pub segments_left: Option<u64>,
    /// The target may lie before the end of the archive: what is left is the most it can be.
    pub at_most: bool,
    /// WAL bytes a second, and the seconds left to the newest archived segment.
    pub pace: Pace,
}

/// How fast it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    /// Bytes a second.
    pub bytes_per_second: Option<f64>,
    /// Seconds left.
    pub seconds_left: Option<f64>,
}
