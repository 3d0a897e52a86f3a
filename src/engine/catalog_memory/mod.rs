//! The names that WAL does not tell, remembered on this host: read from the running server's catalogs, kept in a file of
//! the state directory.
//!
//! Reading is done by `psql` with catalog queries in a read-only transaction, with time limits, and without a lock on any
//! table of the users. It is done when somebody asks for it (`lifeboat remember`, which suits a timer): even reading writes
//! hint bits into WAL.

mod listed;
mod live;

pub(crate) use listed::{DATABASES, ListedDatabase, ListedRelation, RELATIONS};
pub use live::{Catalogs, Server, read_catalogs, replayed_until};

use crate::domain::catalog_memory::{CatalogMemory, FileKey, Merged, Relation, Unread};
use crate::engine::ask::AskError;
use crate::engine::postgres::PostgresError;
use crate::engine::replace_file::{self, ReplaceError};
use chrono::{DateTime, TimeDelta, Utc};
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// What was not seen for so long is forgotten: no backup reaches back further.
const KEPT_DAYS: i64 = 400;

/// So many files are remembered, which are about 100 MB.
const MOST_FILES: usize = 400_000;

/// A file larger than this is not ours.
const LARGEST_BYTES: u64 = 1 << 30;

/// Why nothing could be remembered. What was remembered before still is.
#[derive(Debug, thiserror::Error)]
pub enum CatalogMemoryError {
    /// No server to ask.
    #[error(
        "no server runs on {}, so there is no catalog to read ({why}); what was remembered before still is",
        data_directory.display()
    )]
    NotRunning {
        /// Its data directory.
        data_directory: PathBuf,
        /// How that is known.
        why: String,
    },
    /// PostgreSQL's programs.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// `psql` could not be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It refused.
    #[error(
        "psql can't read {what}: {said}\nWhat to do: the role {role} has to be let in without a password (peer or trust in pg_hba.conf), or name another one as pg1-user in pgBackRest's configuration"
    )]
    Refused {
        /// What was asked for.
        what: String,
        /// What it said, cleaned.
        said: String,
        /// The role that asked.
        role: String,
    },
    /// Its answer is something else.
    #[error("psql printed '{line}' where a line of the catalog was expected")]
    Garbage {
        /// The line, cleaned and cut.
        line: String,
    },
    /// No database could be read.
    #[error("no database could be read:\n{}", said.join("\n"))]
    NoDatabase {
        /// Each with the reason.
        said: Vec<String>,
    },
    /// The file.
    #[error("{}: {what} failed: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// It can't be replaced.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// It can't be written as JSON.
    #[error("a name can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What there was to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remembered {
    /// What came in.
    pub merged: Merged,
    /// How many old ones were forgotten.
    pub forgotten: u64,
    /// How many files are remembered now.
    pub total: usize,
    /// What of the old file was not read.
    pub unread: Unread,
    /// The file.
    pub file: PathBuf,
}

/// Where the names of a stanza are remembered.
#[must_use]
pub fn file_of(state_directory: &Path, stanza: &str) -> PathBuf {
    // a stanza's name may hold anything that a section's name may
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut name = String::new();
    for byte in stanza.bytes() {
        if plain(byte) { name.push(char::from(byte)) } else { name.push_str(&format!("%{byte:02X}")) }
    }
    state_directory.join("names").join(format!("{name}.jsonl"))
}

/// What is remembered of a stanza's cluster; nothing where nothing was.
///
/// # Errors
/// [`CatalogMemoryError::Io`] when the file is there and can't be read.
pub fn recall(
    state_directory: &Path,
    stanza: &str,
    system_identifier: u64,
) -> Result<(CatalogMemory, Unread), CatalogMemoryError> {
    let path = file_of(state_directory, stanza);
    let failed = |source| CatalogMemoryError::Io { path: path.clone(), what: "reading it", source };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok((CatalogMemory::new(system_identifier), Unread::default())),
        Err(errno) => return Err(failed(errno.into())),
    };
    let mut bytes = Vec::new();
    file.take(LARGEST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(CatalogMemory::read(system_identifier, &String::from_utf8_lossy(&bytes)))
}

/// Adds what the catalogs say `now` to what is remembered. One at a time: another one that remembers waits. Lines of another
/// cluster (before an upgrade) are dropped with the first write.
///
/// # Errors
/// [`CatalogMemoryError`] when the file can't be read, locked or replaced; then it is as it was.
pub fn remember(
    state_directory: &Path,
    stanza: &str,
    system_identifier: u64,
    relations: Vec<(FileKey, Relation)>,
    now: DateTime<Utc>,
) -> Result<Remembered, CatalogMemoryError> {
    let file = file_of(state_directory, stanza);
    let folder = file.parent().unwrap_or(state_directory);
    let failed = |what| move |source| CatalogMemoryError::Io { path: folder.to_owned(), what, source };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("making it"))?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = rustix::fs::open(folder.join("lock"), flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| failed("making its lock")(errno.into()))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed("locking it")(errno.into()))?;
    let (mut memory, unread) = recall(state_directory, stanza, system_identifier)?;
    let merged = memory.merge(relations, now);
    let forgotten = memory.forget(now, TimeDelta::days(KEPT_DAYS), MOST_FILES);
    replace_file::replace(&file, memory.write()?.as_bytes(), 0o600)?;
    Ok(Remembered { merged, forgotten, total: memory.len(), unread, file })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn relation(name: &str) -> (FileKey, Relation) {
        let key = FileKey { database: 5, tablespace: 1663, file: 7 };
        let (schema, name, database_name) = ("public".to_owned(), name.to_owned(), "shop".to_owned());
        (key, Relation { oid: 7, database_name, schema, name, kind: 'r', owner: None, rows: None, bytes: 0 })
    }

    #[test]
    fn each_stanza_has_a_file_whatever_it_is_called() {
        let state = Path::new("/var/lib/lifeboat");
        assert_eq!(file_of(state, "main-1"), Path::new("/var/lib/lifeboat/names/main-1.jsonl"));
        assert_eq!(file_of(state, "../x"), Path::new("/var/lib/lifeboat/names/%2E%2E%2Fx.jsonl"));
    }

    #[test]
    fn what_was_remembered_is_recalled_and_another_clusters_is_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(recall(folder.path(), "main", 9).unwrap().0.is_empty());
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let first = remember(folder.path(), "main", 9, vec![relation("orders")], now).unwrap();
        assert_eq!((first.merged, first.total, first.unread), (Merged { new: 1, known: 0 }, 1, Unread::default()));
        let second = remember(folder.path(), "main", 9, vec![relation("sold")], now + TimeDelta::days(1)).unwrap();
        assert_eq!((second.total, second.file), (2, first.file));
        let memory = recall(folder.path(), "main", 9).unwrap().0;
        assert_eq!(memory.at(relation("x").0, now).unwrap().relation.name, "orders");
        assert!(recall(folder.path(), "main", 8).unwrap().0.is_empty());
        assert!(recall(folder.path(), "other", 9).unwrap().0.is_empty());
        let late = now + TimeDelta::days(KEPT_DAYS + 1);
        assert_eq!(remember(folder.path(), "main", 9, Vec::new(), late).unwrap().forgotten, 1);
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(file_of(folder.path(), "main")).unwrap();
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let said = remember(folder.path(), "main", 9, vec![relation("x")], now).unwrap_err().to_string();
        assert!(said.contains("main.jsonl"), "{said}");
    }
}
