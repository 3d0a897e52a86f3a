//! One backup set, kept small: an inventory may hold hundreds of thousands.

use crate::domain::info::raw::RawBackup;
use crate::domain::info::units::{Bytes, DatabaseId, RepositoryKey};
use crate::domain::label::{BackupKind, BackupLabel, Member};
use crate::domain::lsn::Lsn;
use crate::domain::version::PgBackRestVersion;
use crate::domain::wal::{TimelineId, WalSegment};
use chrono::{DateTime, Utc};
use std::collections::VecDeque;
use std::sync::Arc;

/// The WAL segments from the start of a backup to its end: without all of them it can't become consistent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalRange {
    /// The segment in which the backup began.
    pub start: WalSegment,
    /// The segment in which it ended.
    pub stop: WalSegment,
}

/// The positions between which a backup was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LsnRange {
    /// Where the backup began.
    pub start: Lsn,
    /// Where it ended: a recovery target must lie behind it.
    pub stop: Lsn,
}

/// What block incremental backups need beside their files (2.46 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupSet {
    label: BackupLabel,
    prior: Option<Member>,
    references: Box<[Member]>,
    /// Name, line end, text, line end, and so on: cleaned text has no line ends. Shared by sets with the same ones.
    annotations: Option<Arc<str>>,
    rare: Option<Box<Rare>>,
    /// Both zero for an offline backup: timeline 0 does not exist.
    wal: WalRange,
    repository: RepositoryKey,
    database: DatabaseId,
    /// Both zero where it is not told: position 0 does not exist.
    lsn: LsnRange,
    start: i64,
    stop: i64,
    database_bytes: u64,
    copied_bytes: u64,
    repository_bytes: OptionalBytes,
    repository_added: OptionalBytes,
    made_by: Option<PgBackRestVersion>,
    error: Option<bool>,
}

const NO_SEGMENT: WalSegment = WalSegment { timeline: TimelineId(0), log: 0, seg: 0 };
const NO_WAL: WalRange = WalRange { start: NO_SEGMENT, stop: NO_SEGMENT };
const NO_LSN: LsnRange = LsnRange { start: Lsn(0), stop: Lsn(0) };

/// `Option<u64>` in eight bytes; no size reaches `u64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OptionalBytes(u64);

impl OptionalBytes {
    fn new(bytes: Option<u64>) -> OptionalBytes {
        OptionalBytes(bytes.unwrap_or(u64::MAX))
    }

    fn get(self) -> Option<Bytes> {
        (self.0 != u64::MAX).then_some(Bytes(self.0))
    }
}

/// The annotations seen last: jobs write the same ones into every set, and they are kept once.
#[derive(Default)]
pub(crate) struct Remarks(VecDeque<Arc<str>>);

impl Remarks {
    /// How many are looked through.
    const MOST: usize = 8;

    fn share(&mut self, text: String) -> Arc<str> {
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Rare {
    blocks: Option<BlockMaps>,
    detail: Option<SetDetail>,
    /// pgBackRest never writes these two; they are kept so that damage is seen as damage.
    foreign_prior: Option<BackupLabel>,
    foreign_references: Vec<BackupLabel>,
}

impl BackupSet {
    /// Makes a set of what the document says of it.
    ///
    /// # Errors
    /// In words, when what every set has is missing or damaged: a set that is half understood is not shown as a whole
    /// one.
    pub(crate) fn from_raw(
        repository: RepositoryKey,
        mut raw: RawBackup<'_>,
        remarks: &mut Remarks,
    ) -> Result<BackupSet, String> {
        let label = raw.label.as_ref().ok_or("a backup set without a label")?;
        let label = BackupLabel::parse(&label.0).map_err(|error| error.to_string())?;
        let annotations = raw.annotation.take().map(|annotations| remarks.share(annotations.0));
        let set = BackupSet::with_label(repository, label, raw);
        set.map(|set| BackupSet { annotations, ..set }).map_err(|what| format!("backup set {label}: {what}"))
    }

    fn with_label(repository: RepositoryKey, label: BackupLabel, raw: RawBackup<'_>) -> Result<BackupSet, String> {
        let mut rare = Rare::default();
        let is_own = |other: &BackupLabel| other.full() == label.full();
        let prior = match raw.prior {
            Some(text) => {
                let prior = BackupLabel::parse(&text.0).map_err(|error| format!("its prior set: {error}"))?;
                rare.foreign_prior = (!is_own(&prior)).then_some(prior);
                Some(prior.member())
            }
            None => None,
        };
        let references = raw.reference.map_or(Ok(Vec::new()), |list| list.0)?;
        if !references.iter().all(is_own) {
            rare.foreign_references.clone_from(&references);
        }
        let times = raw.timestamp.and_then(|times| Some((times.start?, times.stop?)));
        let (start, stop) = times.ok_or("no start or stop time")?;
        if [start, stop].iter().any(|&seconds| DateTime::from_timestamp(seconds, 0).is_none()) {
            return Err(format!("its times {start} and {stop} are out of range"));
        }
        let database = raw.database.and_then(|database| database.id).ok_or("no database id")?;
        let info = raw.info.ok_or("no sizes")?;
        let sizes = info.repository.unwrap_or_default();
        if sizes.size_map.is_some() || sizes.delta_map.is_some() {
            let (size, delta) = (sizes.size_map.map(Bytes), sizes.delta_map.map(Bytes));
            rare.blocks = Some(BlockMaps { size, delta });
        }
        if raw.database_ref.is_some() || raw.tablespace.is_some() || raw.link.is_some() || raw.error_list.is_some() {
            rare.detail = Some(SetDetail {
                databases: raw.database_ref.unwrap_or_default(),
                tablespaces: raw.tablespace.unwrap_or_default(),
                links: raw.link.unwrap_or_default(),
                errors: raw.error_list.unwrap_or_default().iter().map(|text| text.cleaned()).collect(),
            });
        }
        let version = raw.backrest.and_then(|backrest| backrest.version);
        Ok(BackupSet {
            label,
            prior,
            references: references.into_iter().map(BackupLabel::member).collect(),
            wal: range(raw.archive, WalSegment::parse)?.map_or(NO_WAL, |(start, stop)| WalRange { start, stop }),
            lsn: range(raw.lsn, Lsn::parse)?.map_or(NO_LSN, |(start, stop)| LsnRange { start, stop }),
            start,
            stop,
            database_bytes: info.size.ok_or("no size")?,
            copied_bytes: info.delta.unwrap_or(0),
            repository_bytes: OptionalBytes::new(sizes.size),
            repository_added: OptionalBytes::new(sizes.delta),
            repository,
            database: DatabaseId(database),
            annotations: None,
            error: raw.error,
            made_by: version.and_then(|text| PgBackRestVersion::parse(&text.0).ok()),
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
        })
    }

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

/// Seconds that `with_label` has checked to be in range.
fn instant(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

fn range<T, E: std::fmt::Display>(
    raw: Option<crate::domain::info::raw::RawRange<'_>>,
    parse: fn(&str) -> Result<T, E>,
) -> Result<Option<(T, T)>, String> {
    let Some((start, stop)) = raw.and_then(|range| Some((range.start?, range.stop?))) else {
        return Ok(None);
    };
    let parse = |text: &str| parse(text).map_err(|error| error.to_string());
    Ok(Some((parse(&start.0)?, parse(&stop.0)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::info::stanza::UnreadableSet;

    #[test]
    fn a_set_is_small() {
        assert!(
            size_of::<Result<BackupSet, UnreadableSet>>() <= 184,
            "{}",
            size_of::<Result<BackupSet, UnreadableSet>>()
        );
    }
}
