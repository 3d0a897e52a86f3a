//! Keeping the old cluster before an in-place restore, and bringing it back.
//!
//! ```text
//! /var/lib/postgresql/15/main.kept-7Q2K/     the chest of the data directory ("home"), 0700
//!   .lifeboat-run                            the run's name: what may be removed
//!   kept.json                                what came from where; written before anything is touched
//!   content/                                 the old data directory, global/pg_control renamed
//! /srv/fast/lifeboat-kept-7Q2K/              the chest of a tablespace, inside its location
//!   .lifeboat-run
//!   content/                                 what was /srv/fast/PG_15_202209061
//! ```
//!
//! A tablespace's chest lies inside its location: the owner may write there even where the location is a mount point.
//! pgBackRest (tried with 2.45) neither backs it up, nor removes it with `--delta`, nor finds the location not empty:
//! it looks at this version's directory only. The links in `pg_tblspc` never change.
//!
//! Nothing here follows a symbolic link, deletes a byte of a cluster (but for [`remove_kept`]) or makes a hard link. Every
//! step is one rename, or a copy under another name and then a rename: done again after an interruption it goes on.
//! While anything is half done no `global/pg_control` is in place, and PostgreSQL refuses to start.

mod control;
mod copy;
mod keep;
mod moves;
mod put_back;
mod ready;
mod record;
mod remove;
mod survey;

pub use control::DISARMED;
pub use keep::{Kept, keep, keep_parts};
pub use put_back::{PutBack, put_back};
pub use ready::{is_unfinished_restore, make_ready};
pub use record::{KeptState, LinkOut, RECORD, Record, RecordedPart, newest_record, read_record, run_of};
pub use remove::remove_kept;
pub use survey::{SetToRestore, home_of, kept_bytes, survey};

use crate::engine::drill_directory::DrillDirectoryError;
use crate::engine::postgres::PostgresError;
use rustix::io::Errno;
use std::io;
use std::path::PathBuf;

/// What a chest holds beside its mark.
pub(crate) const CONTENT: &str = "content";

/// Why the old cluster was not kept, not brought back, or not removed. What was done before stays as it is; doing it again
/// goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// A directory can't be used: a link in its path, another owner, another run's.
    #[error(transparent)]
    Directory(#[from] DrillDirectoryError),
    /// `postmaster.pid` or the links in `pg_tblspc` can't be read.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// There is no cluster to keep.
    #[error("{} is no cluster: {why}; nothing was changed", path.display())]
    NoCluster {
        /// The directory.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// A server runs.
    #[error("a PostgreSQL server (process {pid}) runs on {}; stop it first", path.display())]
    Live {
        /// Its data directory.
        path: PathBuf,
        /// The postmaster.
        pid: u32,
    },
    /// Something is mounted there.
    #[error("{} can't be moved: {} is a mount point; keep a copy on another file system, or move what is mounted", path.display(), mount.display())]
    Mount {
        /// What should be moved.
        path: PathBuf,
        /// The mount point.
        mount: PathBuf,
    },
    /// The state on disk is not what the record says.
    #[error("{}: {why}; nothing more was changed, look at it by hand", path.display())]
    Unexpected {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The record can't be read, or is another's.
    #[error("{} is not the record of a kept cluster: {why}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The system refused.
    #[error("{}: {what} failed: {source}", path.display())]
    System {
        /// What it was about.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl KeptError {
    fn io(path: impl Into<PathBuf>, what: &'static str) -> impl FnOnce(io::Error) -> KeptError {
        let path = path.into();
        move |source| KeptError::System { path, what, source }
    }

    fn system(path: impl Into<PathBuf>, what: &'static str) -> impl FnOnce(Errno) -> KeptError {
        let path = path.into();
        move |errno| KeptError::System { path, what, source: errno.into() }
    }

    fn unexpected(path: impl Into<PathBuf>, why: impl Into<String>) -> KeptError {
        KeptError::Unexpected { path: path.into(), why: why.into() }
    }
}

#[cfg(test)]
mod tests;
