//! One backup set, kept small: an inventory may hold hundreds of thousands.

use crate::domain::info::units::{Bytes, DatabaseId, RepositoryKey};
use crate::domain::label::{BackupKind, BackupLabel, Member};
use crate::domain::lsn::Lsn;
use crate::domain::version::PgBackRestVersion;
use crate::domain::wal::{TimelineId, WalSegment};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// The WAL segments from the start of a backup to its end: without all of them it can't become consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalRange {
    /// The segment in which the backup began.
    pub start: WalSegment,
    /// The segment in which it ended.
    pub stop: WalSegment,
}

/// The positions between which a backup was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LsnRange {
    /// Where the backup began.
    pub start: Lsn,
    /// Where it ended: a recovery target must lie behind it.
    pub stop: Lsn,
}

/// What block incremental backups need beside their files (2.46 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockMaps {
    /// All block maps needed for a restore.
    pub size: Option<Bytes>,
    /// Block maps written by this backup.
    pub delta: Option<Bytes>,
}

/// A database in a set; `template0` and `template1` are never listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseRef {
    /// Its name, cleaned.
    pub name: Box<str>,
    /// Its oid: the directory below `base`.
    pub oid: u32,
}

/// A tablespace in a set: a restore without a map writes to its destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablespace {
    /// Its name, cleaned.
    pub name: Box<str>,
    /// Its oid: the link below `pg_tblspc`.
    pub oid: u32,
    /// Where it lay when the backup was taken, cleaned.
    pub destination: Box<str>,
}

/// A link out of the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its path in the data directory, cleaned.
    pub name: Box<str>,
    /// Where it pointed to, cleaned.
    pub destination: Box<str>,
}

/// What only a question for one set (`--set`) tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetDetail {
    /// Its databases.
    pub databases: Vec<DatabaseRef>,
    /// Its tablespaces.
    pub tablespaces: Vec<Tablespace>,
    /// Links out of the data directory.
    pub links: Vec<Link>,
    /// Files with page checksum errors, relative to the data directory.
    pub errors: Vec<Box<str>>,
}

/// A backup set, as one repository holds it.
///
/// Two repositories may hold different sets under the same label: a set is named by stanza, repository and label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSet {
    pub(in crate::domain::info) label: BackupLabel,
    pub(in crate::domain::info) prior: Option<Member>,
    pub(in crate::domain::info) references: Box<[Member]>,
    /// Name, line end, text, line end, and so on: cleaned text has no line ends. Shared by sets with the same ones.
    pub(in crate::domain::info) annotations: Option<Arc<str>>,
    pub(in crate::domain::info) rare: Option<Box<Rare>>,
    /// Both zero for an offline backup: timeline 0 does not exist.
    pub(in crate::domain::info) wal: WalRange,
    pub(in crate::domain::info) repository: RepositoryKey,
    pub(in crate::domain::info) database: DatabaseId,
    /// Both zero where it is not told: position 0 does not exist.
    pub(in crate::domain::info) lsn: LsnRange,
    pub(in crate::domain::info) start: i64,
    pub(in crate::domain::info) stop: i64,
    pub(in crate::domain::info) database_bytes: u64,
    pub(in crate::domain::info) copied_bytes: u64,
    pub(in crate::domain::info) repository_bytes: OptionalBytes,
    pub(in crate::domain::info) repository_added: OptionalBytes,
    pub(in crate::domain::info) made_by: Option<PgBackRestVersion>,
    pub(in crate::domain::info) error: Option<bool>,
}

const NO_SEGMENT: WalSegment = WalSegment { timeline: TimelineId(0), log: 0, seg: 0 };
pub(in crate::domain::info) const NO_WAL: WalRange = WalRange { start: NO_SEGMENT, stop: NO_SEGMENT };
pub(in crate::domain::info) const NO_LSN: LsnRange = LsnRange { start: Lsn(0), stop: Lsn(0) };

/// A set that can't be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableSet {
    /// The repository.
    pub repository: RepositoryKey,
    /// What is wrong with it: a sentence, cleaned.
    pub what: Box<str>,
}

/// `Option<u64>` in eight bytes; no size reaches `u64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::domain::info) struct OptionalBytes(u64);

impl OptionalBytes {
    pub(in crate::domain::info) fn new(bytes: Option<u64>) -> OptionalBytes {
        OptionalBytes(bytes.unwrap_or(u64::MAX))
    }

    fn get(self) -> Option<Bytes> {
        (self.0 != u64::MAX).then_some(Bytes(self.0))
    }
}

/// The annotations seen last: jobs write the same ones into every set, and they are kept once.
#[derive(Default)]
pub(in crate::domain::info) struct Remarks(VecDeque<Arc<str>>);

impl Remarks {
    /// How many are looked through.
    const MOST: usize = 8;

    pub(in crate::domain::info) fn share(&mut self, text: String) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| ***known == *text) {
            return Arc::clone(known);
        }
        if self.0.len() == Remarks::MOST {
            self.0.pop_front();
        }
        let text: Arc<str> = text.into();
        self.0.push_back(Arc::clone(&text));
        text
    }
}

/// What most sets don't have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::domain::info) struct Rare {
    pub(in crate::domain::info) blocks: Option<BlockMaps>,
    /// Asked for one set at a time: never among those that are listed, and so in no index.
    #[serde(skip)]
    pub(in crate::domain::info) detail: Option<SetDetail>,
    /// pgBackRest never writes these two; they are kept so that damage is seen as damage.
    pub(in crate::domain::info) foreign_prior: Option<BackupLabel>,
    pub(in crate::domain::info) foreign_references: Vec<BackupLabel>,
}

impl BackupSet {
    /// The repository it lies in.
    #[must_use]
    pub fn repository(&self) -> RepositoryKey {
        self.repository
    }

    /// Its label.
    #[must_use]
    pub fn label(&self) -> BackupLabel {
        self.label
    }

    /// Full, differential or incremental.
    #[must_use]
    pub fn kind(&self) -> BackupKind {
        self.label.kind()
    }

    /// The set it builds upon; none for a full one.
    #[must_use]
    pub fn prior(&self) -> Option<BackupLabel> {
        let foreign = self.rare.as_ref().and_then(|rare| rare.foreign_prior);
        foreign.or_else(|| self.prior.map(|member| member.within(self.label)))
    }

    /// The sets whose files it uses, in label order, itself left out; a subset of what it depends on.
    #[must_use]
    pub fn references(&self) -> Vec<BackupLabel> {
        match &self.rare {
            Some(rare) if !rare.foreign_references.is_empty() => rare.foreign_references.clone(),
            _ => self.references.iter().map(|member| member.within(self.label)).collect(),
        }
    }

    /// Its WAL; none for a backup taken with `--no-online`.
    #[must_use]
    pub fn wal(&self) -> Option<WalRange> {
        (self.wal != NO_WAL).then_some(self.wal)
    }

    /// Its positions; none for offline backups and those made before 2.38.
    #[must_use]
    pub fn lsn(&self) -> Option<LsnRange> {
        (self.lsn != NO_LSN).then_some(self.lsn)
    }

    /// When it began.
    #[must_use]
    pub fn start(&self) -> DateTime<Utc> {
        instant(self.start)
    }

    /// When it ended, after `pg_backup_stop`: it restores to no earlier moment.
    #[must_use]
    pub fn stop(&self) -> DateTime<Utc> {
        instant(self.stop)
    }

    /// Which entry of its repository's database history it is of.
    #[must_use]
    pub fn database(&self) -> DatabaseId {
        self.database
    }

    /// The size of the whole cluster once restored.
    #[must_use]
    pub fn database_bytes(&self) -> Bytes {
        Bytes(self.database_bytes)
    }

    /// The size, uncompressed, of the files this backup copied.
    #[must_use]
    pub fn copied_bytes(&self) -> Bytes {
        Bytes(self.copied_bytes)
    }

    /// What a restore reads from the repository; not told where block incrementals are used.
    #[must_use]
    pub fn repository_bytes(&self) -> Option<Bytes> {
        self.repository_bytes.get()
    }

    /// What this backup added to the repository.
    #[must_use]
    pub fn repository_added(&self) -> Option<Bytes> {
        self.repository_added.get()
    }

    /// Block maps, where block incrementals are used.
    #[must_use]
    pub fn block_maps(&self) -> Option<BlockMaps> {
        self.rare.as_ref().and_then(|rare| rare.blocks)
    }

    /// Whether page checksum errors were found; not known for sets made before 2.36. Such a set counts for retention
    /// like any other.
    #[must_use]
    pub fn error(&self) -> Option<bool> {
        self.error
    }

    /// The version that made it.
    #[must_use]
    pub fn made_by(&self) -> Option<PgBackRestVersion> {
        self.made_by
    }

    /// Remarks attached to it, name and text, in the order of the names; cleaned.
    pub fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut lines = self.annotations.as_deref().unwrap_or_default().lines();
        std::iter::from_fn(move || Some((lines.next()?, lines.next()?)))
    }

    /// What only a question for this one set tells.
    #[must_use]
    pub fn detail(&self) -> Option<&SetDetail> {
        self.rare.as_ref().and_then(|rare| rare.detail.as_ref())
    }
}

/// Seconds that were checked to be in range when the set was read.
fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_small() {
        assert!(
            size_of::<Result<BackupSet, UnreadableSet>>() <= 184,
            "{}",
            size_of::<Result<BackupSet, UnreadableSet>>()
        );
    }
}
