//! Why a question about the archived WAL has no answer.

use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal_marks::{TransactionEnd, WalMarkError};
use crate::engine::ask::AskError;
use crate::engine::wal_source::{Gap, WalSourceError};
use chrono::{DateTime, SecondsFormat, Utc};
use std::io;
use std::path::PathBuf;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum MomentsError {
    /// WAL is missing, damaged or can't be read.
    #[error(transparent)]
    Source(#[from] WalSourceError),
    /// `pg_waldump` can't be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The programs are of another version.
    #[error(
        "the WAL is of PostgreSQL {needed}, and {} is of {found}: only its own version reads it; name the right programs with [postgres] bin_directory", bin_directory.display()
    )]
    Version {
        /// The cluster's major version.
        needed: String,
        /// The programs'.
        found: String,
        /// Where they are.
        bin_directory: PathBuf,
    },
    /// There is no WAL where the search has to begin.
    #[error("there is no WAL at {from}, where the search begins{}", behind(gap))]
    NoBeginning {
        /// Where.
        from: Lsn,
        /// What is missing, where there is WAL behind it.
        gap: Option<Gap>,
    },
    /// `pg_waldump` stops in the middle.
    #[error("the WAL can't be read from {from} on: {}", clean(said.trim()))]
    Unreadable {
        /// Where the reading began.
        from: Lsn,
        /// What `pg_waldump` said, cleaned.
        said: String,
    },
    /// A line of it can't be read.
    #[error(transparent)]
    Mark(#[from] WalMarkError),
    /// The place for fetched segments.
    #[error("{}: {what} failed: {source}; make room there, or name another place with [state] directory", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Nothing with this time or a later one.
    #[error(
        "no transaction ended {} {}: the WAL that is there ends at {end}{}. \
         PostgreSQL would end recovery with 'recovery ended before configured recovery target was reached'{}",
        if *inclusive { "after" } else { "at or after" }, precise(*target), last_words(last), behind(gap)
    )]
    AfterEnd {
        /// The time that was asked for.
        target: DateTime<Utc>,
        /// Whether transactions of that very time are to be kept.
        inclusive: bool,
        /// The last transaction that ended.
        last: Option<TransactionEnd>,
        /// Where the WAL ends.
        end: Lsn,
        /// What is missing, where there is WAL behind it.
        gap: Option<Gap>,
    },
    /// Before the backup set ends.
    #[error(
        "{} lies before {floor}, where the backup set ends: transaction {} ended at {}, before the set did. Choose an older set",
        precise(*target), found.xid, precise(found.time)
    )]
    BeforeSet {
        /// The time that was asked for.
        target: DateTime<Utc>,
        /// Where the search begins.
        floor: Lsn,
        /// A transaction behind the time, that ended before.
        found: TransactionEnd,
    },
    /// The position is not in the WAL that is there.
    #[error("{lsn} does not lie in the WAL that was looked into, from {from} to {to}{}", behind(gap))]
    Outside {
        /// The position.
        lsn: Lsn,
        /// Where the WAL begins.
        from: Lsn,
        /// Where it ends.
        to: Lsn,
        /// What is missing, where there is WAL behind it.
        gap: Option<Gap>,
    },
    /// It was looked for and is not there.
    #[error("there is no {what} in the WAL from {from} to {to}{}", behind(gap))]
    NotFound {
        /// What.
        what: String,
        /// Where the search began.
        from: Lsn,
        /// Where it ended.
        to: Lsn,
        /// What is missing, where there is WAL behind it.
        gap: Option<Gap>,
    },
}

fn precise(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn last_words(last: &Option<TransactionEnd>) -> String {
    match last {
        Some(last) => format!(", its last transaction, {}, ended at {}", last.xid, precise(last.time)),
        None => ", and no transaction ended in it".to_owned(),
    }
}

fn behind(gap: &Option<Gap>) -> String {
    gap.map(|gap| format!(". {gap}; what lies behind is not looked into")).unwrap_or_default()
}
