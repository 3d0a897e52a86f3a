//! Whole, plain WAL segments of a stanza, from wherever they are: no data directory, no server, no `archive-get`.
//!
//! The archives of all repositories are listed by `pgbackrest repo-ls`, a segment is fetched by `repo-get` (decrypted by
//! pgBackRest, unpacked here), and nothing is handed out that is not what its name says: size, SHA-1, first page, system
//! identifier. Where a copy is no use the next repository is asked, at last the directories that were named: `pg_wal` of
//! a cluster, the `pg_wal` that a run has put in safety. Questions only: nothing is written but the cache.

mod cache;
mod catalog;
mod directory;
mod error;
mod fetch;
mod histories;
mod line;
mod name;
mod piece;
mod prefetch;
#[cfg(test)]
mod tests;
mod unpack;
mod way;

pub use cache::Cache;
pub use catalog::{ArchivedFile, BackupNote, Catalog, Listings, NotListed};
pub use error::{Attempt, CopyError, WalSourceError};
pub use line::Line;
pub use name::{Compression, Sha1Sum};
pub(crate) use piece::read_shared;
pub use piece::{Content, Piece};
pub use prefetch::Prefetch;
pub use unpack::UnpackError;
pub use way::{Gap, Way};

use crate::domain::inventory::{BackupSet, Database, Repository, RepositoryKey, Stanza};
use crate::domain::lsn::Lsn;
use crate::domain::wal::{Road, SegmentSize, TimelineId, WalSegment};
use crate::domain::wal_page::FirstPage;
use crate::engine::pgbackrest::Pgbackrest;
use directory::WalDirectory;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A segment of 1 GB from a distant object store takes its time.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// What `repo-get` may print: the largest segment, and what a compression that did not help adds.
const STORED_LIMIT_BYTES: u64 = (1 << 30) + (16 << 20);

/// Whose WAL is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cluster {
    /// PostgreSQL's major version as pgBackRest names it: `15`, `9.6`.
    pub version: String,
    /// The cluster's system identifier: every segment carries it.
    pub system_identifier: u64,
    /// The size of its segments, where it is known (`pg_controldata`); else the first segment that is read tells.
    pub segment_size: Option<SegmentSize>,
}

/// The archived WAL of a cluster, and where else it lies. Clones share what was found out.
#[derive(Debug, Clone)]
pub struct WalSource {
    pgbackrest: Pgbackrest,
    stanza: Arc<Stanza>,
    cluster: Cluster,
    catalog: Arc<Catalog>,
    directories: Arc<Vec<WalDirectory>>,
    cache: Option<Cache>,
    size: Arc<OnceLock<SegmentSize>>,
}

/// Where a segment came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A repository.
    Repository(RepositoryKey),
    /// A directory with plain segments.
    Directory(PathBuf),
    /// Fetched from a repository earlier, and kept.
    Cache,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Repository(key) => out.write_str(&key.name()),
            Origin::Directory(path) => out.write_str(&crate::domain::text::clean(&path.to_string_lossy())),
            Origin::Cache => out.write_str("the cache"),
        }
    }
}

impl Cluster {
    /// The cluster that a database entry of a repository names.
    #[must_use]
    pub fn of(database: &Database) -> Option<Cluster> {
        let system_identifier = database.system_id?.0;
        Some(Cluster { version: database.version.to_string(), system_identifier, segment_size: None })
    }

    /// The cluster that a set was made of.
    #[must_use]
    pub fn of_set(repository: &Repository, set: &BackupSet) -> Option<Cluster> {
        Cluster::of(repository.database(set.database())?)
    }

    /// The stanza's current cluster, as the first repository that could be read has it.
    #[must_use]
    pub fn current(stanza: &Stanza) -> Option<Cluster> {
        stanza.repositories.iter().filter_map(Repository::current_database).find_map(Cluster::of)
    }
}

impl WalSource {
    /// Lists the archives of the stanza's repositories, and `directories` (`pg_wal`, a run's `safety/pg_wal`), in that
    /// order. A directory that can't be listed is passed over with a warning; a repository that can't be listed is in
    /// [`Catalog::not_listed`].
    ///
    /// # Errors
    /// [`WalSourceError::NothingListed`] when there is neither.
    pub fn open(
        pgbackrest: &Pgbackrest,
        stanza: &Stanza,
        cluster: Cluster,
        directories: &[PathBuf],
    ) -> Result<WalSource, WalSourceError> {
        WalSource::open_listed(Listings::begin(pgbackrest, &stanza.name, None), stanza, cluster, directories)
    }

    /// The same, where it was begun to list the stanza's repositories before it was known of which cluster they are.
    ///
    /// # Errors
    /// As [`WalSource::open`].
    pub fn open_listed(
        listings: Listings,
        stanza: &Stanza,
        cluster: Cluster,
        directories: &[PathBuf],
    ) -> Result<WalSource, WalSourceError> {
        let pgbackrest = listings.pgbackrest().clone();
        let catalog = Catalog::of_listings(listings, stanza, &cluster);
        let list = |path: &PathBuf| match WalDirectory::list(path) {
            Ok(directory) => Some(directory),
            Err(error) => {
                tracing::warn!("{} is passed over: {error}", path.display());
                None
            }
        };
        let directories: Vec<WalDirectory> = directories.iter().filter_map(list).collect();
        if catalog.not_listed.len() == stanza.repositories.len() && directories.is_empty() {
            let not_listed = catalog.not_listed;
            return Err(WalSourceError::NothingListed { stanza: stanza.name.clone(), not_listed });
        }
        let size = OnceLock::new();
        if let Some(known) = cluster.segment_size {
            size.get_or_init(|| known);
        }
        Ok(WalSource {
            pgbackrest,
            stanza: Arc::new(stanza.clone()),
            cluster,
            catalog: Arc::new(catalog),
            directories: Arc::new(directories),
            cache: None,
            size: Arc::new(size),
        })
    }

    /// The same, keeping what is fetched from repositories.
    #[must_use]
    pub fn with_cache(self, cache: Cache) -> WalSource {
        WalSource { cache: Some(cache), ..self }
    }

    /// Listed anew.
    ///
    /// # Errors
    /// As [`WalSource::open`].
    pub fn look_again(&self) -> Result<WalSource, WalSourceError> {
        let directories: Vec<PathBuf> = self.directories.iter().map(|directory| directory.path.clone()).collect();
        let size = self.size.get().copied();
        let cluster = Cluster { segment_size: size, ..self.cluster.clone() };
        let new = WalSource::open(&self.pgbackrest, &self.stanza, cluster, &directories)?;
        Ok(WalSource { cache: self.cache.clone(), ..new })
    }

    /// What the repositories list.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Whose WAL this is.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The names of the whole segments in the directories that no repository has. Recycled ones, whose content is older
    /// than their name, are among them.
    #[must_use]
    pub fn only_in_directories(&self) -> BTreeSet<WalSegment> {
        let all = self.directories.iter().flat_map(|directory| &directory.segments);
        all.filter(|segment| !self.catalog.segments.contains_key(segment)).copied().collect()
    }

    /// The size of the cluster's segments. Where it is not known yet, a segment is fetched: the newest that can be read.
    ///
    /// # Errors
    /// [`WalSourceError::Empty`], or why no segment could be read.
    pub fn segment_size(&self) -> Result<SegmentSize, WalSourceError> {
        if let Some(size) = self.size.get() {
            return Ok(*size);
        }
        let mut first_error = None;
        // a damaged newest one must not hide the rest
        for segment in self.catalog.segments.keys().rev().take(4).chain(self.only_in_directories().iter()) {
            match self.open_piece(*segment, false) {
                Ok(piece) => return Ok(*self.size.get_or_init(|| piece.page.segment_size)),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.unwrap_or_else(|| self.empty()))
    }

    /// The segments that recovery along `timeline` would read from the one that holds `from` on, up to the first gap.
    ///
    /// # Errors
    /// [`WalSourceError::NoHistory`] and others of [`WalSource::history`]; those of [`WalSource::segment_size`].
    pub fn way(&self, timeline: TimelineId, from: Lsn) -> Result<Way, WalSourceError> {
        let road = Road::along(&self.history(timeline)?, self.segment_size()?);
        let mut there: BTreeSet<WalSegment> = self.catalog.segments.keys().copied().collect();
        for segment in self.only_in_directories() {
            if self.directories.iter().any(|directory| self.holds(directory, segment)) {
                there.insert(segment);
            }
        }
        Ok(Way::along(road, from, &there))
    }

    /// Many segments, or the last pieces of some, two to four fetched at once, handed out in order.
    #[must_use]
    pub fn open_all(&self, pieces: Vec<(WalSegment, bool)>, at_once: usize) -> Prefetch {
        Prefetch::start(self.clone(), pieces, at_once)
    }

    /// The stanza's name.
    #[must_use]
    pub fn stanza(&self) -> &str {
        &self.stanza.name
    }

    /// The repositories that were listed.
    pub fn repositories(&self) -> impl Iterator<Item = RepositoryKey> {
        let keys = self.stanza.repositories.iter().map(|repository| repository.key);
        keys.filter(|key| self.catalog.not_listed.iter().all(|missing| missing.repository != *key))
    }

    /// The directories that were listed.
    pub fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.iter().map(|directory| directory.path.as_path())
    }

    fn known_segment_size(&self) -> SegmentSize {
        self.size.get().copied().unwrap_or(SegmentSize::DEFAULT)
    }

    /// Whether what lies under the segment's name is its content: PostgreSQL recycles segments by renaming them.
    fn holds(&self, directory: &WalDirectory, segment: WalSegment) -> bool {
        let Ok(Some(head)) = directory.head(segment) else { return false };
        let page = FirstPage::parse(&head);
        page.is_ok_and(|page| {
            page.holds() == WalSegment { timeline: page.timeline, ..segment }
                && page.system_identifier == self.cluster.system_identifier
        })
    }

    fn not_to_be_had(&self, segment: WalSegment, tried: Vec<Attempt>) -> WalSourceError {
        let there = self.only_in_directories();
        let near = |back: bool| {
            let own = |other: &&WalSegment| other.timeline == segment.timeline;
            let archived = self.catalog.segments.keys();
            let all = archived.chain(&there).filter(own).copied();
            if back { all.filter(|other| *other < segment).max() } else { all.filter(|other| *other > segment).min() }
        };
        let (before, after, not_listed) = (near(true), near(false), self.catalog.not_listed.clone());
        if tried.is_empty() {
            WalSourceError::Missing { segment, before, after, not_listed }
        } else {
            WalSourceError::Unusable { segment, tried, before, after, not_listed }
        }
    }

    fn empty(&self) -> WalSourceError {
        WalSourceError::Empty {
            stanza: self.stanza.name.clone(),
            version: self.cluster.version.clone(),
            system_identifier: self.cluster.system_identifier,
            not_listed: self.catalog.not_listed.clone(),
        }
    }
}

/// Where a run keeps the WAL that it has put in safety: a directory for [`WalSource::open`].
#[must_use]
pub fn saved_in(safety: &Path) -> PathBuf {
    safety.join("pg_wal")
}
