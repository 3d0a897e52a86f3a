//! Where segments come from.

use crate::domain::wal::{SegmentSize, WalSegment};
use crate::domain::wal_page::WalPageError;
use chrono::{DateTime, Utc};
use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

/// Segments of one cluster, along one line of timelines.
pub trait SegmentSource {
    /// The segments that there are, in the order of the WAL, each position once. Some may be missing in between.
    ///
    /// # Errors
    /// When they can't be listed.
    fn segments(&self) -> Result<Vec<WalSegment>, SourceError>;

    /// The size of the cluster's segments.
    fn size(&self) -> SegmentSize;

    /// The cluster's system identifier.
    fn system_identifier(&self) -> u64;

    /// When a segment was put where it lies, as a hint where a time is to be looked for; `None` where that says nothing.
    fn put_there(&self, _segment: WalSegment) -> Option<DateTime<Utc>> {
        None
    }

    /// These will be read next, in this order, or some of them: they may be fetched ahead.
    fn expect(&mut self, _segments: &[WalSegment]) {}

    /// Hands a segment's bytes to `feed`, in order, in pieces of any size, until they end or `feed` breaks off.
    ///
    /// # Errors
    /// When the segment can't be had or read.
    fn read(&mut self, segment: WalSegment, feed: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), SourceError>;

    /// Where they come from, as a person says it.
    fn place(&self) -> String;

    /// What a person has to know of what was handed out, in words: damaged copies, places that could not be looked into.
    /// Each is told once.
    fn notes(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// Why segments can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A directory or a file can't be read.
    #[error("{} can't be read: {source}; run as the owner of the data directory, or name another directory", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No segments.
    #[error("{} holds no WAL segment of a cluster; name the pg_wal of a data directory, or one with copies of its segments", .0.display())]
    Empty(PathBuf),
    /// None of the files is what its name says.
    #[error("{}: none of the files named like WAL segments holds what its name says; the newest: {error}", directory.display())]
    NoneFits {
        /// The directory.
        directory: PathBuf,
        /// What is wrong with the newest.
        error: WalPageError,
    },
    /// The WAL holds no commit near the moment, in words.
    #[error("{0}")]
    NoWal(String),
    /// A person broke it off.
    #[error("broken off; nothing was changed")]
    Cancelled,
    /// Something else that fetches segments said so.
    #[error("{0}")]
    Other(String),
}
