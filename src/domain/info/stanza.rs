//! A stanza as the document tells it: repositories, databases, archives and sets side by side, joined by keys.

use crate::domain::info::backup::{BackupSet, Remarks, UnreadableSet};
use crate::domain::info::general;
use crate::domain::info::raw::{RawBackup, RawDatabaseId};
use crate::domain::info::scalar::Text;
use crate::domain::info::units::{Bytes, DatabaseId, RepositoryKey, SystemId};
use crate::domain::text::{clean, clean_lines};
use crate::domain::wal::WalSegment;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What pgBackRest says of a stanza or of one of its repositories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatusCode {
    /// 0: there is at least one set, of whichever database.
    Ok,
    /// 1: the repository has no directory for the stanza, or does not exist: perhaps a file system is not mounted.
    MissingStanzaPath,
    /// 2: a stanza without sets.
    NoValidBackups,
    /// 3: the stanza's directory has no `backup.info`.
    MissingStanzaData,
    /// 4, stanzas only: the repositories differ; look at each.
    DifferentAcrossRepositories,
    /// 5, stanzas only: the repositories hold different clusters.
    DatabaseMismatch,
    /// 6: no repository has the set that was asked for.
    SetNotFound,
    /// 99: the repository could not be read; its message says why.
    Unreadable,
    /// Any other, of a pgBackRest newer than 2.59.
    Unknown(i64),
}

impl StatusCode {
    /// The code of pgBackRest's number.
    #[must_use]
    pub fn from_number(code: i64) -> StatusCode {
        match code {
            0 => StatusCode::Ok,
            1 => StatusCode::MissingStanzaPath,
            2 => StatusCode::NoValidBackups,
            3 => StatusCode::MissingStanzaData,
            4 => StatusCode::DifferentAcrossRepositories,
            5 => StatusCode::DatabaseMismatch,
            6 => StatusCode::SetNotFound,
            99 => StatusCode::Unreadable,
            other => StatusCode::Unknown(other),
        }
    }

    /// pgBackRest's number.
    #[must_use]
    pub fn number(self) -> i64 {
        match self {
            StatusCode::Ok => 0,
            StatusCode::MissingStanzaPath => 1,
            StatusCode::NoValidBackups => 2,
            StatusCode::MissingStanzaData => 3,
            StatusCode::DifferentAcrossRepositories => 4,
            StatusCode::DatabaseMismatch => 5,
            StatusCode::SetNotFound => 6,
            StatusCode::Unreadable => 99,
            StatusCode::Unknown(other) => other,
        }
    }
}

/// A status with pgBackRest's own words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The code.
    pub code: StatusCode,
    /// The message, cleaned; several lines where pgBackRest gives hints.
    pub message: String,
}

/// How far a command has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// All there is to do.
    pub size: Bytes,
    /// What is done.
    pub done: Bytes,
}

/// A lock of pgBackRest on this host; locks on other hosts are not seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Somebody holds it. A backup lock is held by an expire, too.
    pub held: bool,
    /// How far its holder has got (2.48 on, while known).
    pub progress: Option<Progress>,
    /// The same for each repository (2.59 on).
    pub repositories: Vec<(RepositoryKey, Option<Progress>)>,
}

/// The locks of a stanza.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Locks {
    /// A backup, or an expire.
    pub backup: Lock,
    /// A restore; only told by 2.56 on.
    pub restore: Option<Lock>,
}

/// A repository as it was configured or selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoRepository {
    /// Its number.
    pub key: RepositoryKey,
    /// `none` or `aes-256-cbc`, cleaned.
    pub cipher: Box<str>,
    /// What came of reading it.
    pub status: Status,
}

/// An entry of a repository's database history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoDatabase {
    /// The repository.
    pub repository: RepositoryKey,
    /// Its number there.
    pub id: DatabaseId,
    /// PostgreSQL's system identifier.
    pub system_id: Option<SystemId>,
    /// PostgreSQL's major version, cleaned: `15`, `9.6`.
    pub version: Box<str>,
}

/// The WAL of one database in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoArchive {
    /// The repository.
    pub repository: RepositoryKey,
    /// The database there.
    pub database: DatabaseId,
    /// The archive's directory, cleaned: `15-1`.
    pub id: Box<str>,
    /// The least segment name, over all timelines.
    pub min: Option<WalSegment>,
    /// The greatest segment name, over all timelines; nothing is said of gaps between.
    pub max: Option<WalSegment>,
}

/// A stanza object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoStanza {
    /// Its name, cleaned; `[invalid]` where a repository's failure hides all names.
    pub name: String,
    /// `none`, `aes-256-cbc` or `mixed`, cleaned.
    pub cipher: Option<Box<str>>,
    /// The status of all repositories taken together.
    pub status: Status,
    /// Its locks.
    pub locks: Locks,
    /// Its repositories; none before 2.32, and with `--detail-level=progress`, which reads none.
    pub repositories: Option<Vec<InfoRepository>>,
    /// Database histories.
    pub databases: Vec<InfoDatabase>,
    /// Archives.
    pub archives: Vec<InfoArchive>,
    /// Sets; `None` with `--detail-level=progress`.
    pub backups: Option<Vec<Result<BackupSet, UnreadableSet>>>,
}

/// Before 2.32 there was one repository, and no keys.
fn key(key: Option<u32>) -> RepositoryKey {
    RepositoryKey(key.unwrap_or(1))
}

#[derive(Deserialize)]
struct RawStatus<'a> {
    code: i64,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    lock: Option<RawLocks>,
}

impl RawStatus<'_> {
    fn split(self) -> (Status, Locks) {
        let message = self.message.map_or_else(String::new, |text| clean_lines(&text.0));
        let status = Status { code: StatusCode::from_number(self.code), message };
        let locks = self.lock.map_or_else(Locks::default, |raw| Locks {
            backup: raw.backup.map_or_else(Lock::default, Lock::from),
            restore: raw.restore.map(Lock::from),
        });
        (status, locks)
    }
}

#[derive(Deserialize)]
struct RawLocks {
    backup: Option<RawLock>,
    restore: Option<RawLock>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RawLock {
    held: Option<bool>,
    key: Option<u32>,
    size: Option<u64>,
    size_cplt: Option<u64>,
    #[serde(default)]
    repo: Vec<RawLock>,
}

impl RawLock {
    fn progress(&self) -> Option<Progress> {
        Some(Progress { size: Bytes(self.size?), done: Bytes(self.size_cplt.unwrap_or(0)) })
    }
}

impl From<RawLock> for Lock {
    fn from(raw: RawLock) -> Lock {
        Lock {
            held: raw.held.unwrap_or(false),
            progress: raw.progress(),
            repositories: raw.repo.iter().map(|repository| (key(repository.key), repository.progress())).collect(),
        }
    }
}

#[derive(Deserialize)]
struct RawRepository<'a> {
    #[serde(borrow)]
    cipher: Option<Text<'a>>,
    key: Option<u32>,
    #[serde(borrow)]
    status: Option<RawStatus<'a>>,
}

#[derive(Deserialize)]
struct RawDatabase<'a> {
    id: u32,
    #[serde(rename = "repo-key")]
    repo_key: Option<u32>,
    #[serde(rename = "system-id")]
    system_id: Option<u64>,
    #[serde(borrow)]
    version: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct RawArchive<'a> {
    database: Option<RawDatabaseId>,
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    min: Option<Text<'a>>,
    #[serde(borrow)]
    max: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct RawStanza<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    cipher: Option<Text<'a>>,
    #[serde(borrow)]
    status: RawStatus<'a>,
    #[serde(borrow)]
    repo: Option<Vec<RawRepository<'a>>>,
    #[serde(borrow)]
    db: Option<Vec<RawDatabase<'a>>>,
    #[serde(borrow)]
    archive: Option<Vec<RawArchive<'a>>>,
    backup: Option<Backups>,
}

impl<'de> Deserialize<'de> for InfoStanza {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<InfoStanza, D::Error> {
        let raw = RawStanza::deserialize(deserializer)?;
        let (status, locks) = raw.status.split();
        let text = |text: Option<Text<'_>>| text.map_or_else(Box::default, |text| text.cleaned());
        let segment = |text: Option<Text<'_>>| text.and_then(|text| WalSegment::parse(&text.0).ok());
        let repositories = raw.repo.map(|list| {
            let repository = |raw: RawRepository<'_>| InfoRepository {
                key: key(raw.key),
                cipher: text(raw.cipher),
                status: raw.status.map_or_else(|| status.clone(), |raw| raw.split().0),
            };
            list.into_iter().map(repository).collect()
        });
        let database = |raw: RawDatabase<'_>| InfoDatabase {
            repository: key(raw.repo_key),
            id: DatabaseId(raw.id),
            system_id: raw.system_id.map(SystemId),
            version: text(raw.version),
        };
        let archive = |raw: RawArchive<'_>| {
            let database = raw.database?;
            Some(InfoArchive {
                repository: key(database.repo_key),
                database: DatabaseId(database.id?),
                id: text(raw.id),
                min: segment(raw.min),
                max: segment(raw.max),
            })
        };
        Ok(InfoStanza {
            name: clean(&raw.name.0),
            cipher: raw.cipher.map(|text| text.cleaned()),
            repositories,
            databases: raw.db.unwrap_or_default().into_iter().map(database).collect(),
            archives: raw.archive.unwrap_or_default().into_iter().filter_map(archive).collect(),
            backups: raw.backup.map(|backups| backups.0),
            status,
            locks,
        })
    }
}

/// The sets of a stanza, in no more memory than they need.
struct Backups(Vec<Result<BackupSet, UnreadableSet>>);

impl<'de> Deserialize<'de> for Backups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Backups, D::Error> {
        struct ListVisitor;
        impl<'de> Visitor<'de> for ListVisitor {
            type Value = Backups;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a list of backup sets")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Backups, A::Error> {
                let (mut found, mut remarks) = (Vec::new(), Remarks::default());
                while let Some(raw) = list.next_element::<RawBackup<'_>>()? {
                    found.push(general::set(raw, &mut remarks));
                }
                found.shrink_to_fit();
                Ok(Backups(found))
            }
        }
        deserializer.deserialize_seq(ListVisitor)
    }
}
