//! What can go wrong with a journal, in words for the person who has to act on it.

use crate::domain::run::IllegalEvent;
use std::path::{Path, PathBuf};

/// Why a journal can't be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system refused.
    #[error("{doing} the journal {path} failed: {source}{}", hint(source))]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The journal.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A link, a directory or something else that is not a plain file.
    #[error("{path} is {what}, not a plain file: it is not opened; look at who put it there")]
    NotAFile {
        /// The journal.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A line was altered, or does not follow the one before.
    #[error(
        "the journal {path} is damaged at line {line}: {what}. Nothing was guessed and nothing changed; \
         keep a copy of it, and look at the run's folder before anything else is done to that host"
    )]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The first bad line, from 1.
        line: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Written by a newer Lifeboat.
    #[error("the journal {path}, line {line}: {what}; use the version of Lifeboat that wrote it")]
    Newer {
        /// The journal.
        path: PathBuf,
        /// The line.
        line: u64,
        /// What this version does not know.
        what: String,
    },
    /// Not even the first line is complete.
    #[error(
        "the journal {path} holds no complete entry ({bytes} bytes): the run never began, no command was started; \
         its folder can be removed"
    )]
    NothingComplete {
        /// The journal.
        path: PathBuf,
        /// Its length.
        bytes: u64,
    },
    /// The chain holds, but an entry can't follow what came before it.
    #[error("the journal {path}: {source}")]
    Illegal {
        /// The journal.
        path: PathBuf,
        /// What can't be.
        source: IllegalEvent,
    },
    /// An entry could not be made durable.
    #[error(
        "entry {sequence} could not be written durably to the journal {path}: {source}{}. The run stops here: \
         nothing runs that is not on disk first. When the cause is gone, `lifeboat attach` goes on",
        hint(source)
    )]
    Write {
        /// The journal.
        path: PathBuf,
        /// The entry that is not on disk for certain.
        sequence: u64,
        /// The system's answer.
        source: std::io::Error,
    },
    /// An earlier append failed.
    #[error(
        "the journal {path} takes no more entries: {why} could not be made durable, and a failed write is never \
         retried. When the cause is gone, `lifeboat attach` goes on with a new runner"
    )]
    Poisoned {
        /// The journal.
        path: PathBuf,
        /// The first failure.
        why: String,
    },
    /// The file under a follower is another one now, or lost what had been read already.
    #[error("the journal {path} {what} while it was followed: somebody else than the runner touched it")]
    Replaced {
        /// The journal.
        path: PathBuf,
        /// What happened to it.
        what: &'static str,
    },
}

impl JournalError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> JournalError {
        JournalError::Io { doing, path: path.to_owned(), source }
    }
}

/// What to do about a system error, as the end of a sentence; empty where nothing sensible can be said.
#[must_use]
pub fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::StorageFull => " (make room on that file system)",
        std::io::ErrorKind::QuotaExceeded => " (the owner's disk quota is used up)",
        std::io::ErrorKind::FileTooLarge => " (the limit on file sizes, `ulimit -f`, is too low)",
        std::io::ErrorKind::ReadOnlyFilesystem => " (that file system is mounted read-only; `dmesg` may tell why)",
        std::io::ErrorKind::PermissionDenied => " (run Lifeboat as the state directory's owner or as root)",
        _ => "",
    }
}
