//! What can be wrong with the state directory, in words for the person who has to act on it.

use crate::domain::event::RunId;
use crate::domain::text::size;
use crate::engine::journal::{JournalError, hint};
use std::path::{Path, PathBuf};

/// Why the state directory, a run's folder or a lock can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A relative path.
    #[error("the state directory '{path}' is not an absolute path: give it from the root, as in /var/lib/lifeboat")]
    Relative {
        /// What was given.
        path: PathBuf,
    },
    /// A symbolic link where a real directory or file must be.
    #[error(
        "{path} is a symbolic link (to {to}): state is never reached through links; name the real place, or remove the link"
    )]
    Link {
        /// The link.
        path: PathBuf,
        /// Where it leads.
        to: PathBuf,
    },
    /// Something else stands there.
    #[error("{path} is not a directory: move what is there away, or choose another state directory in the settings")]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// Another user's.
    #[error(
        "{path} belongs to uid {owner}, this process runs as uid {uid}: run as its owner, or `chown -R {uid} {path}` when it is meant to be ours"
    )]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Our uid.
        uid: u32,
    },
    /// Group or others may write.
    #[error("{path} may be written by others (mode {mode:o}): anybody could alter the evidence; `chmod 0700 {path}`")]
    OthersMayWrite {
        /// The directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not writable for us.
    #[error("the state directory {path} can't be written: {source}{}; nothing was started", hint(source))]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The operating system refused.
    #[error("{doing} {path} failed: {source}{}", hint(source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Too little space for a run.
    #[error(
        "the file system of {path} has {} free, a run needs {}: {} for its journal and outputs{}. Make room there, or \
         choose another state directory in the settings; nothing was started",
        size(*free_bytes),
        size(state_bytes.saturating_add(*restore_bytes)),
        size(*state_bytes),
        if *restore_bytes == 0 { String::new() } else { format!(" and {} for what is restored to the same file system", size(*restore_bytes)) }
    )]
    TooLittleSpace {
        /// The state directory.
        path: PathBuf,
        /// What is free for us.
        free_bytes: u64,
        /// What state needs.
        state_bytes: u64,
        /// What the restore will write to the same file system.
        restore_bytes: u64,
    },
    /// There is no such run.
    #[error("there is no run {id} in {root}: `lifeboat runs` lists them")]
    NoSuchRun {
        /// What was asked for.
        id: RunId,
        /// The state directory.
        root: PathBuf,
    },
    /// The journal of another run lies in the folder.
    #[error("the journal in {path} belongs to run {found}: it was put there from elsewhere; nothing is taken from it")]
    OtherRun {
        /// The run's folder.
        path: PathBuf,
        /// The run the journal belongs to.
        found: RunId,
    },
    /// A target that can't be locked.
    #[error("'{path}' can't be locked: {why}")]
    BadTarget {
        /// The target.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// The run's journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl StoreError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> StoreError {
        StoreError::Io { doing, path: path.to_owned(), source }
    }
}
