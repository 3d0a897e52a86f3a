//! Inventory, stanza, repository, backup set and their dependencies.
//!
//! A set is named by stanza, repository and label: two repositories may hold different sets under one label.
//! What could not be read stays visible as that; it never looks like "there are no backups".

mod build;
pub mod chain;
pub mod known;

pub use crate::domain::info::backup::{
    BackupSet, BlockMaps, DatabaseRef, Link, LsnRange, SetDetail, Tablespace, WalRange,
};
pub use crate::domain::info::stanza::{Lock, Locks, Progress, Status, StatusCode};
pub use crate::domain::info::units::{Bytes, DatabaseId, RepositoryKey, SystemId};
pub use crate::domain::inventory::chain::{Chain, Family};
pub use crate::domain::inventory::known::{Known, KnownRepository, KnownStanza};

use crate::domain::label::BackupLabel;
use crate::domain::wal::WalSegment;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// All that `pgbackrest info` told at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inventory {
    /// When it was read.
    pub read_at: DateTime<Utc>,
    /// The version of the program that told it, as text: `2.45`.
    pub pgbackrest: String,
    /// Lines that pgBackRest printed around its answer, cleaned.
    pub warnings: Vec<String>,
    /// The stanzas, in pgBackRest's order (by name).
    pub stanzas: Vec<Stanza>,
}

/// A database cluster and its backups in all repositories.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stanza {
    /// Its name, cleaned. [`Stanza::is_nameless`] tells where a failure hides all names.
    pub name: String,
    /// The status over all repositories. [`StatusCode::Ok`] does not say that the current database has a set.
    pub status: Status,
    /// Locks held on this host.
    pub locks: Locks,
    /// Its repositories, by key.
    pub repositories: Vec<Repository>,
    /// Only the locks were asked for (`--detail-level=progress`): nothing is known of repositories and sets.
    pub is_progress_only: bool,
}

/// A stanza's part of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Its number.
    pub key: RepositoryKey,
    /// `none` or `aes-256-cbc`; empty where pgBackRest did not tell.
    pub cipher: Box<str>,
    /// What came of reading it.
    pub status: Status,
    /// The database history, by id.
    pub databases: Vec<Database>,
    /// The WAL archives, one a database.
    pub archives: Vec<Archive>,
    /// The sets, by label.
    pub sets: Vec<BackupSet>,
    /// What is wrong with sets that can't be shown, a cleaned sentence each.
    pub unreadable_sets: Vec<Box<str>>,
}

/// An entry of a repository's database history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// Its number in this repository.
    pub id: DatabaseId,
    /// PostgreSQL's system identifier.
    pub system_id: Option<SystemId>,
    /// PostgreSQL's major version, cleaned: `15`, `9.6`.
    pub version: Box<str>,
}

/// The archived WAL of one database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// The database.
    pub database: DatabaseId,
    /// The directory's name, cleaned: `15-1`.
    pub id: Box<str>,
    /// The least segment name over all timelines.
    pub min: Option<WalSegment>,
    /// The greatest segment name over all timelines: a copy that was promoted by mistake shows up here. Gaps between
    /// are not told.
    pub max: Option<WalSegment>,
}

/// What names a set: its label alone does not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetKey {
    /// The stanza's name.
    pub stanza: String,
    /// The repository.
    pub repository: RepositoryKey,
    /// The label.
    pub label: BackupLabel,
}

/// The last drill of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastDrill {
    /// When it ended.
    pub at: DateTime<Utc>,
    /// How far it went: the drill's own word.
    pub depth: String,
    /// What came of it: `done`, `failed`, `aborted`.
    pub verdict: String,
}

/// The last drill of each set that had one.
pub type LastDrills = BTreeMap<SetKey, LastDrill>;

impl Inventory {
    /// The stanza of this name.
    #[must_use]
    pub fn stanza(&self, name: &str) -> Option<&Stanza> {
        self.stanzas.iter().find(|stanza| stanza.name == name)
    }

    /// The set that `key` names.
    #[must_use]
    pub fn set(&self, key: &SetKey) -> Option<&BackupSet> {
        self.stanza(&key.stanza)?.repository(key.repository)?.set(key.label)
    }
}

impl Stanza {
    /// What pgBackRest calls a stanza that it can't name.
    const NAMELESS: &str = "[invalid]";

    /// Its part of the repository with this key.
    #[must_use]
    pub fn repository(&self, key: RepositoryKey) -> Option<&Repository> {
        self.repositories.iter().find(|repository| repository.key == key)
    }

    /// Whether this is no stanza at all, but a repository's failure that hides the names of all stanzas.
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.name == Stanza::NAMELESS
    }
}

impl Repository {
    /// Whether what it says of sets is all there is: it was read. A repository that is missing or unreadable may hold
    /// sets nevertheless.
    #[must_use]
    pub fn was_read(&self) -> bool {
        matches!(self.status.code, StatusCode::Ok | StatusCode::NoValidBackups)
    }

    /// The current entry of the database history: the greatest id.
    #[must_use]
    pub fn current_database(&self) -> Option<&Database> {
        self.databases.iter().max_by_key(|database| database.id)
    }

    /// The entry of the database history with this id.
    #[must_use]
    pub fn database(&self, id: DatabaseId) -> Option<&Database> {
        self.databases.iter().find(|database| database.id == id)
    }

    /// The WAL archive of a database.
    #[must_use]
    pub fn archive(&self, database: DatabaseId) -> Option<&Archive> {
        self.archives.iter().find(|archive| archive.database == database)
    }

    /// The set with this label.
    #[must_use]
    pub fn set(&self, label: BackupLabel) -> Option<&BackupSet> {
        let index = self.sets.binary_search_by_key(&label, BackupSet::label).ok()?;
        self.sets.get(index)
    }

    /// Whether a set is of the current database: after a stanza-upgrade the older ones are of another cluster.
    #[must_use]
    pub fn is_of_current_database(&self, set: &BackupSet) -> bool {
        self.current_database().is_some_and(|current| current.id == set.database())
    }

    /// The sets of the current database, by label.
    pub fn current_sets(&self) -> impl Iterator<Item = &BackupSet> {
        let current = self.current_database().map(|database| database.id);
        self.sets.iter().filter(move |set| Some(set.database()) == current)
    }
}
