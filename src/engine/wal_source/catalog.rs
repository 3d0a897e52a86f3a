//! Which segment lies in which repository, by name.

use crate::domain::inventory::{Repository, RepositoryKey, Stanza};
use crate::domain::wal::{TimelineId, WalSegment};
use crate::engine::pgbackrest::{Pgbackrest, PgbackrestError, RepoEntry, RepoListing};
use crate::engine::wal_source::name::{ArchiveName, Compression, Sha1Sum};
use crate::engine::wal_source::{Cluster, STORED_LIMIT_BYTES, TIME_LIMIT, WalSourceError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A segment's file in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivedFile {
    /// The repository.
    pub repository: RepositoryKey,
    /// The archive it lies in: `15-1`.
    pub archive_id: Arc<str>,
    /// Which segment.
    pub segment: WalSegment,
    /// It is the last piece of a timeline that was left (`.partial`).
    pub is_partial: bool,
    /// The SHA-1 of its plain content, from its name.
    pub sha1: Sha1Sum,
    /// How it is compressed.
    pub compression: Compression,
    /// Its size in the repository: compressed and encrypted.
    pub stored_bytes: u64,
    /// When it was written to the repository (about when it was archived): seconds since 1970.
    pub modified: i64,
    /// The repository says that this archive is the cluster's. Where it could not say, the archive was chosen by the
    /// version in its name, and the content's system identifier tells.
    pub is_certain: bool,
}

/// The note that an online backup left in the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BackupNote {
    /// The repository.
    pub repository: RepositoryKey,
    /// The segment in which the backup began.
    pub segment: WalSegment,
    /// Where in it, in bytes.
    pub offset: u32,
}

/// A repository whose archive could not be listed: it may hold what is missing elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotListed {
    /// The repository.
    pub repository: RepositoryKey,
    /// Why, cleaned and without secrets.
    pub said: String,
}

/// The archived WAL of one cluster in all repositories of its stanza.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Whole segments; of each the copies, in the order of the repositories.
    pub segments: BTreeMap<WalSegment, Vec<ArchivedFile>>,
    /// The last pieces of timelines that were left. Recovery does not use them.
    pub partials: BTreeMap<WalSegment, Vec<ArchivedFile>>,
    /// The timelines with a history file, each with the archives that have it.
    pub histories: BTreeMap<TimelineId, Vec<(RepositoryKey, Arc<str>)>>,
    /// What backups left.
    pub backups: BTreeSet<BackupNote>,
    /// Archives that could not be listed.
    pub not_listed: Vec<NotListed>,
}

/// The archives of a stanza, being listed: one question a repository, one after the other. A long listing takes memory
/// while it is read.
#[derive(Debug)]
pub struct Listings {
    pgbackrest: Pgbackrest,
    /// Below which path.
    path: String,
    /// The repository that is asked already.
    begun: Option<(u32, JoinHandle<Result<RepoListing, PgbackrestError>>)>,
}

impl Listings {
    /// Asks the repository with the key `first` at once, where one is named, and does not wait for the answer; the others are
    /// asked when theirs is wanted. Dropped, it waits for what it has asked.
    #[must_use]
    pub fn begin(pgbackrest: &Pgbackrest, stanza: &str, first: Option<u32>) -> Listings {
        let pgbackrest = pgbackrest.clone().for_stanza(stanza).with_limits(TIME_LIMIT, STORED_LIMIT_BYTES);
        let path = format!("archive/{stanza}");
        let begun = first.map(|key| {
            let (pgbackrest, path) = (pgbackrest.clone(), path.clone());
            (key, std::thread::spawn(move || pgbackrest.list(key, &path, true)))
        });
        Listings { pgbackrest, path, begun }
    }

    /// With the stanza's own section of the configuration, and limits for what is large.
    pub(super) fn pgbackrest(&self) -> &Pgbackrest {
        &self.pgbackrest
    }

    fn answer(&mut self, key: u32) -> Result<RepoListing, PgbackrestError> {
        match self.begun.take_if(|(begun, _)| *begun == key) {
            Some((_, thread)) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            None => self.pgbackrest.list(key, &self.path, true),
        }
    }
}

impl Drop for Listings {
    /// No program is left behind.
    fn drop(&mut self) {
        if let Some((_, thread)) = self.begun.take() {
            drop(thread.join());
        }
    }
}

/// An archive in a repository that is, or may be, the cluster's.
struct Chosen {
    id: Arc<str>,
    is_certain: bool,
}

impl ArchivedFile {
    /// The file's name.
    #[must_use]
    pub fn file_name(&self) -> String {
        let partial = if self.is_partial { ".partial" } else { "" };
        format!("{}{partial}-{}{}", self.segment, self.sha1, self.compression.extension())
    }

    /// Its path in the repository.
    #[must_use]
    pub fn path(&self, stanza: &str) -> String {
        let folder = format!("{:08X}{:08X}", self.segment.timeline.0, self.segment.log);
        format!("archive/{stanza}/{}/{folder}/{}", self.archive_id, self.file_name())
    }

    /// Where it lies, in words: `repo1 (15-1)`.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{} ({})", self.repository.name(), self.archive_id)
    }
}

impl Catalog {
    /// What is of the cluster in the listings of its stanza's repositories.
    pub(super) fn of_listings(mut listings: Listings, stanza: &Stanza, cluster: &Cluster) -> Catalog {
        let mut catalog = Catalog::default();
        for repository in &stanza.repositories {
            match listings.answer(repository.key.0) {
                Ok(listing) => catalog.take(repository, &listing, cluster),
                Err(error) => {
                    catalog.not_listed.push(NotListed { repository: repository.key, said: error.to_string() });
                }
            }
        }
        catalog
    }

    /// Takes in what a repository lists below `archive/STANZA`.
    pub(super) fn take(&mut self, repository: &Repository, listing: &RepoListing, cluster: &Cluster) {
        let chosen = chosen(repository, listing, cluster);
        for (path, entry) in &listing.entries {
            let RepoEntry::File { size_bytes, modified } = entry else { continue };
            let Some((id, rest)) = path.split_once('/') else { continue };
            let Some(archive) = chosen.iter().find(|archive| *archive.id == *id) else { continue };
            let name = rest.rsplit('/').next().and_then(ArchiveName::parse);
            let file = |segment, is_partial, sha1, compression| ArchivedFile {
                repository: repository.key,
                archive_id: Arc::clone(&archive.id),
                segment,
                is_partial,
                sha1,
                compression,
                stored_bytes: *size_bytes,
                modified: *modified,
                is_certain: archive.is_certain,
            };
            match name {
                Some(ArchiveName::Segment(segment, sha1, compression)) => {
                    let copies = self.segments.entry(segment).or_default();
                    // One copy in most: room for four would take more than all else that is known of a long archive.
                    copies.reserve_exact(1);
                    copies.push(file(segment, false, sha1, compression));
                }
                Some(ArchiveName::Partial(segment, sha1, compression)) => {
                    self.partials.entry(segment).or_default().push(file(segment, true, sha1, compression));
                }
                Some(ArchiveName::History(timeline)) => {
                    self.histories.entry(timeline).or_default().push((repository.key, Arc::clone(&archive.id)));
                }
                Some(ArchiveName::Backup(segment, offset)) => {
                    self.backups.insert(BackupNote { repository: repository.key, segment, offset });
                }
                None => {}
            }
        }
    }

    /// The copies of a whole segment, in the order of the repositories; none when nobody has it.
    ///
    /// # Errors
    /// [`WalSourceError::Conflict`] when two of them have different contents.
    pub fn copies(&self, segment: WalSegment) -> Result<&[ArchivedFile], WalSourceError> {
        without_conflict(self.segments.get(&segment))
    }

    /// The copies of a `.partial` segment.
    ///
    /// # Errors
    /// [`WalSourceError::Conflict`] when two of them have different contents.
    pub fn partial_copies(&self, segment: WalSegment) -> Result<&[ArchivedFile], WalSourceError> {
        without_conflict(self.partials.get(&segment))
    }

    /// Every segment with two contents, in words: two servers have archived into one place, or one history was written
    /// over another.
    #[must_use]
    pub fn conflicts(&self) -> Vec<WalSourceError> {
        self.segments.keys().filter_map(|segment| self.copies(*segment).err()).collect()
    }

    /// Timelines that have a segment, a partial one or a history file.
    #[must_use]
    pub fn timelines(&self) -> BTreeSet<TimelineId> {
        let segments = self.segments.keys().chain(self.partials.keys()).map(|segment| segment.timeline);
        segments.chain(self.histories.keys().copied()).collect()
    }
}

/// Copies whose contents differ can't both be the cluster's. Archives that were only guessed to be the cluster's prove
/// nothing.
fn without_conflict(copies: Option<&Vec<ArchivedFile>>) -> Result<&[ArchivedFile], WalSourceError> {
    let Some(copies) = copies else { return Ok(&[]) };
    let certain = |copy: &&ArchivedFile| copy.is_certain;
    let differ = |one: &ArchivedFile, other: &ArchivedFile| {
        let same_archive = one.repository == other.repository && one.archive_id == other.archive_id;
        one.sha1 != other.sha1 && (same_archive || one.is_certain && other.is_certain)
    };
    let first = copies.iter().find(certain).or(copies.first());
    match first {
        Some(first) if copies.iter().any(|other| differ(first, other)) => Err(WalSourceError::Conflict {
            segment: first.segment,
            copies: copies.iter().map(|copy| format!("{} has {}", copy.place(), copy.sha1)).collect(),
        }),
        _ => Ok(copies),
    }
}

/// The archives of the cluster in a repository. A database is recognised by version and system identifier: its number
/// may differ from one repository to the next, and from `archive.info` to `backup.info`.
fn chosen(repository: &Repository, listing: &RepoListing, cluster: &Cluster) -> Vec<Chosen> {
    let own = repository.databases.iter().filter(|database| {
        *database.version == *cluster.version && database.system_id.is_some_and(|id| id.0 == cluster.system_identifier)
    });
    let own: Vec<Chosen> = own
        .filter_map(|database| repository.archive(database.id))
        .map(|archive| Chosen { id: Arc::from(&*archive.id), is_certain: true })
        .collect();
    if !own.is_empty() || repository.was_read() {
        return own;
    }
    // what the repository knows of its databases can't be read; the WAL may be there nevertheless
    let ids: BTreeSet<&str> =
        listing.entries.keys().filter_map(|path| path.split_once('/')).map(|(id, _)| id).collect();
    let fitting = |id: &&str| id.rsplit_once('-').is_some_and(|(version, _)| *version == *cluster.version);
    ids.into_iter().filter(fitting).map(|id| Chosen { id: Arc::from(id), is_certain: false }).collect()
}
