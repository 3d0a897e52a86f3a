//! What `pgbackrest restore` takes when no set is named, as in 2.45 to 2.59.

use crate::domain::inventory::{Repository, RepositoryKey, Stanza};
use crate::domain::label::BackupLabel;
use crate::planning::selection::Place;
use crate::planning::target::RecoveryTarget;

/// The set that pgBackRest itself would take, or `None` where it would end with 75.
///
/// It goes through the repositories by key; one that can't be read or is empty is passed over with a warning.
/// For a time it takes, by label from the newest, the first set that stopped before the target's second, of
/// any database; for an LSN the first that stopped at or before it, and gives up a repository at the first
/// set without positions; for everything else the last by label of the first repository that has any,
/// unless that is of an older database.
#[must_use]
pub fn pgbackrest_choice(stanza: &Stanza, only: Option<RepositoryKey>, target: &RecoveryTarget) -> Option<Place> {
    let mut repositories = stanza.repositories.iter().filter(|repository| {
        only.is_none_or(|key| key == repository.key) && repository.was_read() && !repository.sets.is_empty()
    });
    let place = |repository: &Repository, set: BackupLabel| Place { repository: repository.key, set };
    match target {
        RecoveryTarget::Time { at, .. } => repositories.find_map(|repository| {
            let mut newest_first = repository.sets.iter().rev();
            let found = newest_first.find(|set| set.stop().timestamp() < at.timestamp())?;
            Some(place(repository, found.label()))
        }),
        RecoveryTarget::Lsn { lsn, .. } => repositories.find_map(|repository| {
            let known = repository.sets.iter().rev().map_while(|set| Some((set.label(), set.lsn()?.stop)));
            let (label, _) = known.into_iter().find(|(_, stop)| stop <= lsn)?;
            Some(place(repository, label))
        }),
        _ => {
            let repository = repositories.next()?;
            let last = repository.sets.last()?;
            repository.is_of_current_database(last).then(|| place(repository, last.label()))
        }
    }
}
