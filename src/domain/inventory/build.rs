//! From the document, whose parts are joined by keys, to repositories that hold their parts.

use crate::domain::info::InfoDocument;
use crate::domain::info::backup::UnreadableSet;
use crate::domain::info::stanza::InfoStanza;
use crate::domain::inventory::{Archive, BackupSet, Database, Inventory, Repository, RepositoryKey, Stanza, Status};
use crate::domain::text::clean;
use chrono::{DateTime, Utc};

impl Inventory {
    /// Joins a document's parts. `pgbackrest` is the text of the program's version; it is cleaned.
    #[must_use]
    pub fn from_info(document: InfoDocument, read_at: DateTime<Utc>, pgbackrest: &str) -> Inventory {
        Inventory {
            read_at,
            pgbackrest: clean(pgbackrest.trim()),
            warnings: document.warnings,
            stanzas: document.stanzas.into_iter().map(stanza).collect(),
        }
    }
}

fn stanza(info: InfoStanza) -> Stanza {
    let is_progress_only = info.repositories.is_none() && info.backups.is_none();
    let mut repositories: Vec<Repository> = Vec::new();
    if info.repositories.is_none() && !is_progress_only {
        // Before 2.32 there was one repository, and it was not listed.
        entry(&mut repositories, RepositoryKey(1), &info.status).cipher = info.cipher.unwrap_or_default();
    }
    for repository in info.repositories.into_iter().flatten() {
        let target = entry(&mut repositories, repository.key, &info.status);
        target.cipher = repository.cipher;
        target.status = repository.status;
    }
    for database in info.databases {
        let part = Database { id: database.id, system_id: database.system_id, version: database.version };
        entry(&mut repositories, database.repository, &info.status).databases.push(part);
    }
    for archive in info.archives {
        let part = Archive { database: archive.database, id: archive.id, min: archive.min, max: archive.max };
        entry(&mut repositories, archive.repository, &info.status).archives.push(part);
    }
    take_sets(&mut repositories, info.backups.unwrap_or_default(), &info.status);
    for repository in &mut repositories {
        repository.databases.sort_by_key(|database| database.id);
        repository.sets.sort_by_key(BackupSet::label);
    }
    repositories.sort_by_key(|repository| repository.key);
    Stanza { name: info.name, status: info.status, locks: info.locks, repositories, is_progress_only }
}

/// Moves the sets to their repositories, each list made as large as it must be and no larger.
fn take_sets(repositories: &mut Vec<Repository>, backups: Vec<Result<BackupSet, UnreadableSet>>, status: &Status) {
    for repository in &mut *repositories {
        let sets = backups.iter().filter_map(|backup| backup.as_ref().ok());
        repository.sets.reserve_exact(sets.filter(|set| set.repository() == repository.key).count());
    }
    for backup in backups {
        match backup {
            Ok(set) => entry(repositories, set.repository(), status).sets.push(set),
            Err(set) => entry(repositories, set.repository, status).unreadable_sets.push(set.what),
        }
    }
}

/// The repository with this key; one that is not listed takes the stanza's status.
fn entry<'a>(repositories: &'a mut Vec<Repository>, key: RepositoryKey, status: &Status) -> &'a mut Repository {
    let index = repositories.iter().position(|repository| repository.key == key).unwrap_or_else(|| {
        repositories.push(Repository {
            key,
            cipher: Box::default(),
            status: status.clone(),
            databases: Vec::new(),
            archives: Vec::new(),
            sets: Vec::new(),
            unreadable_sets: Vec::new(),
        });
        repositories.len() - 1
    });
    &mut repositories[index]
}
