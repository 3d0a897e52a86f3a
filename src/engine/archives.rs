//! Which WAL each repository has, asked by `repo-ls`: `info` shows a least and a greatest name only.

use crate::domain::info::{self, InfoError};
use crate::domain::inventory::{Inventory, Repository, RepositoryKey};
use crate::domain::wal::{TimelineId, WalSegment};
use crate::engine::pgbackrest::{Pgbackrest, PgbackrestError};
use std::collections::BTreeSet;

/// One cluster's archive in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchivePlace {
    /// The repository.
    pub key: RepositoryKey,
    /// Where it lies in the repository (`archive/main/15-1`); none while nothing was archived there.
    pub path: Option<String>,
    /// Why the repository could not be read, cleaned; `None` when it was.
    pub unread: Option<String>,
}

/// Why no archive could be found.
#[derive(Debug, thiserror::Error)]
pub enum ArchivesError {
    /// pgbackrest did not answer.
    #[error(transparent)]
    Pgbackrest(#[from] PgbackrestError),
    /// Its answer can't be read.
    #[error("pgbackrest info can't be read: {0}")]
    Info(#[from] InfoError),
    /// There is no such stanza.
    #[error(
        "pgbackrest knows no stanza '{0}' (a repository that is not mounted looks the same): look at `lifeboat inventory`"
    )]
    NoStanza(String),
}

/// The archive in every repository of a stanza: of the cluster with `system_identifier`, else of the current one.
///
/// # Errors
/// [`ArchivesError`]. A repository that can't be read is told in its place.
pub fn places(
    pgbackrest: &Pgbackrest,
    stanza: &str,
    system_identifier: Option<u64>,
) -> Result<Vec<ArchivePlace>, ArchivesError> {
    let bytes = pgbackrest.info(Some(stanza), None, None)?;
    // nothing here depends on when it was read
    let inventory = Inventory::from_info(info::decode(&bytes)?, chrono::DateTime::UNIX_EPOCH, "");
    let found = inventory.stanza(stanza).ok_or_else(|| ArchivesError::NoStanza(crate::domain::text::clean(stanza)))?;
    let repositories = found.repositories.iter();
    Ok(repositories.map(|repository| place(stanza, repository, system_identifier)).collect())
}

fn place(stanza: &str, repository: &Repository, system_identifier: Option<u64>) -> ArchivePlace {
    let unread = (!repository.was_read()).then(|| repository.status.message.to_string());
    let of_cluster = |wanted: u64| {
        let own = repository.databases.iter().filter(|database| database.system_id.is_some_and(|id| id.0 == wanted));
        own.max_by_key(|database| database.id)
    };
    let database = match system_identifier {
        Some(wanted) => of_cluster(wanted),
        None => repository.current_database(),
    };
    let archive = database.and_then(|database| repository.archive(database.id));
    ArchivePlace {
        key: repository.key,
        path: archive.map(|archive| format!("archive/{stanza}/{}", archive.id)),
        unread,
    }
}

impl ArchivePlace {
    /// The timelines that have a history file here.
    ///
    /// # Errors
    /// When pgbackrest can't be asked.
    pub fn histories(&self, pgbackrest: &Pgbackrest) -> Result<BTreeSet<TimelineId>, PgbackrestError> {
        let Some(path) = &self.path else { return Ok(BTreeSet::new()) };
        let listing = pgbackrest.list(self.key.0, path, false)?;
        Ok(listing.files().filter_map(|(name, _)| history(name)).collect())
    }

    /// The segments here that share `folder` (timeline and log, the first 16 characters of a segment's name). Partial ones
    /// are left out: recovery can't use them.
    ///
    /// # Errors
    /// When pgbackrest can't be asked.
    pub fn segments(&self, pgbackrest: &Pgbackrest, folder: &str) -> Result<BTreeSet<WalSegment>, PgbackrestError> {
        let Some(path) = &self.path else { return Ok(BTreeSet::new()) };
        let listing = pgbackrest.list(self.key.0, &format!("{path}/{folder}"), false)?;
        Ok(listing.files().filter_map(|(name, _)| segment(name)).collect())
    }
}

/// Which of the wanted files any repository has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InRepositories {
    /// Segments and history files, by name.
    pub names: BTreeSet<String>,
    /// Repositories that could not be read, with the reason: what only they have counts as missing.
    pub unread: Vec<String>,
}

/// Looks for segments and history files in every repository. Only the folders of the wanted segments are listed.
///
/// # Errors
/// [`ArchivesError`] when the stanza can't be looked up at all.
pub fn names_in_any(
    pgbackrest: &Pgbackrest,
    stanza: &str,
    system_identifier: u64,
    wanted: &BTreeSet<String>,
) -> Result<InRepositories, ArchivesError> {
    let segments = wanted.iter().filter_map(|name| WalSegment::parse(name).ok());
    let folders: BTreeSet<String> = segments.map(folder_of).collect();
    let mut found = InRepositories::default();
    for place in places(pgbackrest, stanza, Some(system_identifier))? {
        let listed = || -> Result<Vec<String>, PgbackrestError> {
            let mut names: Vec<String> =
                place.histories(pgbackrest)?.iter().map(|timeline| timeline.history_file()).collect();
            for folder in &folders {
                names.extend(place.segments(pgbackrest, folder)?.iter().map(ToString::to_string));
            }
            Ok(names)
        };
        match (&place.unread, listed()) {
            (None, Ok(names)) => found.names.extend(names.into_iter().filter(|name| wanted.contains(name))),
            (Some(why), _) => found.unread.push(format!("{}: {why}", place.key.name())),
            (None, Err(error)) => found.unread.push(format!("{}: {error}", place.key.name())),
        }
    }
    Ok(found)
}

/// `00000002.history`.
fn history(name: &str) -> Option<TimelineId> {
    let digits = name.strip_suffix(".history").filter(|digits| digits.len() == 8)?;
    u32::from_str_radix(digits, 16).ok().map(TimelineId)
}

/// `000000010000000000000003-520584d4….gz`.
fn segment(name: &str) -> Option<WalSegment> {
    let (segment, _checksum) = name.split_once('-')?;
    WalSegment::parse(segment).ok()
}

/// The folder of a segment in an archive.
#[must_use]
pub fn folder_of(segment: WalSegment) -> String {
    segment.to_string().chars().take(16).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_are_told_apart() {
        assert_eq!(history("0000000A.history"), Some(TimelineId(10)));
        for other in ["A.history", "0000000G.history", "00000002.history.gz", "archive.info"] {
            assert_eq!(history(other), None, "{other}");
        }
        let name = "000000010000000000000003";
        assert_eq!(segment(&format!("{name}-520584d4.gz")).unwrap().to_string(), name);
        assert_eq!(segment(&format!("{name}.partial-520584d4.gz")), None);
        assert_eq!(segment(&format!("{name}.00000028.backup")), None);
        assert_eq!(folder_of(WalSegment::parse("0000000200000001000000FE").unwrap()), "0000000200000001");
    }
}
