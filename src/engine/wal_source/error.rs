//! Why a segment can't be had: in words that say what is covered and what is not.

use crate::domain::wal::{HistoryError, SegmentSizeError, TimelineId, WalSegment};
use crate::domain::wal_page::{Mismatch, WalPageError};
use crate::engine::pgbackrest::PgbackrestError;
use crate::engine::wal_source::name::Sha1Sum;
use crate::engine::wal_source::unpack::UnpackError;
use crate::engine::wal_source::{NotListed, Origin};
use std::io;

/// Why one copy of a segment is no use.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// It was listed and is not there any more.
    #[error("it is not there any more: it has expired since the archive was listed")]
    Gone,
    /// The passphrase.
    #[error(
        "pgBackRest can't decrypt it (exit status {code}): {repository}-cipher-pass is not the one it was written with, or archive.info is damaged; correct it in pgBackRest's configuration, then ask again"
    )]
    Passphrase {
        /// `repo2`.
        repository: String,
        /// pgBackRest's exit status: 29, 95, …
        code: i32,
    },
    /// pgbackrest could not be asked or refused.
    #[error(transparent)]
    Pgbackrest(PgbackrestError),
    /// It can't be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// Its size is none of a segment.
    #[error("it is cut, or no segment: {0}")]
    Size(#[from] SegmentSizeError),
    /// It is a piece of a segment.
    #[error("it is cut: it has {found} bytes, and its header speaks of segments of {expected}")]
    Length {
        /// Its size in bytes.
        found: u64,
        /// The segment size in its header, in bytes.
        expected: u64,
    },
    /// It goes on behind the end of a segment.
    #[error("it is no segment: it goes on behind the {expected} bytes that its header speaks of")]
    TooLong {
        /// The segment size in its header, in bytes.
        expected: u64,
    },
    /// The content is not the one that was archived.
    #[error("it is damaged: its content has the SHA-1 {found}, and {expected} was archived")]
    Sha1 {
        /// Of the content.
        found: Sha1Sum,
        /// In the name.
        expected: Sha1Sum,
    },
    /// The content is not the one that was put in safety.
    #[error("it is damaged: its SHA-256 is not the one in SHA256SUMS beside it")]
    Sha256,
    /// Its first page.
    #[error(transparent)]
    Page(#[from] WalPageError),
    /// It is another segment, or another cluster's.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The system refused.
    #[error("it can't be read: {0}")]
    Io(#[from] io::Error),
}

/// A copy that was tried and was no use.
#[derive(Debug, thiserror::Error)]
#[error("{origin}: {error}")]
pub struct Attempt {
    /// Where it lies.
    pub origin: Origin,
    /// What is wrong with it.
    pub error: CopyError,
}

/// Why there is no segment, no history, no listing.
#[derive(Debug, thiserror::Error)]
pub enum WalSourceError {
    /// No archive could be listed, and there is no directory with WAL either.
    #[error("no repository of stanza '{stanza}' could be listed:\n{}", listed(not_listed))]
    NothingListed {
        /// The stanza.
        stanza: String,
        /// Each repository with the reason.
        not_listed: Vec<NotListed>,
    },
    /// There is no WAL of this cluster at all.
    #[error(
        "stanza '{stanza}' has no WAL of the cluster with system identifier {system_identifier} (PostgreSQL {version}){}",
        also(not_listed)
    )]
    Empty {
        /// The stanza.
        stanza: String,
        /// PostgreSQL's major version.
        version: String,
        /// The cluster's.
        system_identifier: u64,
        /// Repositories that could not be listed.
        not_listed: Vec<NotListed>,
    },
    /// A gap.
    #[error("{segment} is missing: no repository and no directory that was looked into has it. {}{}", covered(*segment, *before, *after), also(not_listed))]
    Missing {
        /// The segment.
        segment: WalSegment,
        /// The one nearest before it on its timeline that is there.
        before: Option<WalSegment>,
        /// The one nearest after it.
        after: Option<WalSegment>,
        /// Repositories that could not be listed: it may be there.
        not_listed: Vec<NotListed>,
    },
    /// It is there, and no copy of it is any use.
    #[error("{segment} is there and can't be used:\n{}\n{}{}", attempts(tried), covered(*segment, *before, *after), also(not_listed))]
    Unusable {
        /// The segment.
        segment: WalSegment,
        /// Every copy with what is wrong with it.
        tried: Vec<Attempt>,
        /// The segment nearest before it on its timeline that is there.
        before: Option<WalSegment>,
        /// The one nearest after it.
        after: Option<WalSegment>,
        /// Repositories that could not be listed.
        not_listed: Vec<NotListed>,
    },
    /// Two contents under one name.
    #[error(
        "{segment} was archived with two contents ({}): two servers have archived into this stanza, or one history was written over another. \
         Nothing is taken from either; find out which servers archive to it (pgBackRest's own answer to this is [45])",
        copies.join("; ")
    )]
    Conflict {
        /// The segment.
        segment: WalSegment,
        /// Each copy with its SHA-1, in words.
        copies: Vec<String>,
    },
    /// The history of a timeline is nowhere.
    #[error("there is no {} in any repository or directory: where timeline {timeline} begins is not known{}", timeline.history_file(), also(not_listed))]
    NoHistory {
        /// The timeline.
        timeline: TimelineId,
        /// Repositories that could not be listed.
        not_listed: Vec<NotListed>,
    },
    /// It can't be read anywhere.
    #[error("{} can't be read:\n{}", timeline.history_file(), said.join("\n"))]
    HistoryUnusable {
        /// The timeline.
        timeline: TimelineId,
        /// Each place with the reason.
        said: Vec<String>,
    },
    /// Two of them differ.
    #[error(
        "{} tells two different stories in {one} and in {other}: two servers were promoted to timeline {timeline}. \
         Recover along another timeline, or find out which of the two is meant",
        timeline.history_file()
    )]
    TwoHistories {
        /// The timeline.
        timeline: TimelineId,
        /// A place.
        one: String,
        /// The other.
        other: String,
    },
    /// Its content is damaged.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A directory or file of ours.
    #[error("{path}: {what} failed: {source}")]
    Io {
        /// Where.
        path: String,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

fn covered(segment: WalSegment, before: Option<WalSegment>, after: Option<WalSegment>) -> String {
    let timeline = segment.timeline;
    match (before, after) {
        (Some(before), Some(after)) => {
            format!("What is there of timeline {timeline} ends before it with {before} and goes on with {after}.")
        }
        (Some(before), None) => format!("What is there of timeline {timeline} ends with {before}."),
        (None, Some(after)) => format!("What is there of timeline {timeline} begins with {after}."),
        (None, None) => format!("Nothing else of timeline {timeline} is there."),
    }
}

fn attempts(tried: &[Attempt]) -> String {
    tried.iter().map(|attempt| format!("  {attempt}")).collect::<Vec<_>>().join("\n")
}

fn listed(not_listed: &[NotListed]) -> String {
    not_listed.iter().map(|it| format!("  {}: {}", it.repository.name(), it.said)).collect::<Vec<_>>().join("\n")
}

fn also(not_listed: &[NotListed]) -> String {
    match not_listed {
        [] => String::new(),
        some => format!("\nThese could not be listed and may have it:\n{}", listed(some)),
    }
}
