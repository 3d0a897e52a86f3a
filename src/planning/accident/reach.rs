//! How a person gets at the WAL itself, to see what an answer rests on.

use crate::domain::wal::{SegmentSize, WalSegment};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Where plain segments lie, and the command that fetches the others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// A directory with plain segments, and those that are in it.
    pub directory: Option<(PathBuf, BTreeSet<WalSegment>)>,
    /// pgBackRest with its configuration and stanza, where there is an archive: `archive-get` follows.
    pub archive: Option<Vec<String>>,
    /// The size of the cluster's segments, where it is known.
    pub size: Option<SegmentSize>,
}
