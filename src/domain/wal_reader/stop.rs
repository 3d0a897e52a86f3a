//! Why no more records can be read.

use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use std::fmt;

/// Where reading a segment ended before its last byte, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// The record or the page that can't be read.
    pub at: Lsn,
    /// Why.
    pub reason: StopReason,
}

/// Why no more records can be read from a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StopReason {
    /// Nothing but zeros follows: it was not written to its end.
    #[error("nothing is written behind it")]
    Unwritten,
    /// A page of another position: left from the segment's former use.
    #[error("the page there holds the WAL at {0}: left from the file's former use")]
    OtherAddress(Lsn),
    /// A record that does not follow the one before: left from the segment's former use.
    #[error("the record there does not follow the one before: left from the file's former use")]
    PreviousLink,
    /// The checksum of a record does not fit its bytes.
    #[error("the record there has a wrong checksum (CRC)")]
    Checksum,
    /// A length that a record can't have.
    #[error("the record there has a length of {0} bytes, which can't be")]
    Length(u32),
    /// A page of a version that is not read.
    #[error(
        "the page there begins with {0:04X}, which no version from 12 to 19 writes: no WAL, compressed or encrypted, or another version's"
    )]
    Magic(u16),
    /// Flags that a page header can't have at this place.
    #[error("the header of the page there has the flags {0:04X}, which can't be")]
    PageFlags(u16),
    /// A page does not continue the record that began before it, or continues one that did not.
    #[error("the page there does not continue the record before it")]
    Continuation,
    /// The timeline goes back.
    #[error("the page there is of timeline {found}, after pages of timeline {after}")]
    Timeline {
        /// On the page.
        found: TimelineId,
        /// Before it.
        after: TimelineId,
    },
    /// Another cluster's.
    #[error("it belongs to the cluster with system identifier {0}")]
    OtherCluster(u64),
    /// Another segment size, or pages of another size than PostgreSQL is packaged with.
    #[error("it has segments of {segment} and pages of {page} bytes, which does not fit")]
    Sizes {
        /// The segment's, in bytes.
        segment: u32,
        /// The page's, in bytes.
        page: u32,
    },
}

impl StopReason {
    /// Whether WAL that is still being written ends like this. Anything else is damage, or no WAL of this cluster. A
    /// wrong checksum may be either: the last record before a crash, or a flipped bit.
    #[must_use]
    pub fn is_end_of_written(self) -> bool {
        matches!(self, StopReason::Unwritten | StopReason::OtherAddress(_) | StopReason::PreviousLink)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "at {}: {}", self.at, self.reason)
    }
}
