//! How large what is gone was: no WAL tells. The manifest of the set before lists every file of the cluster, with its size as
//! of that backup.

use crate::domain::inventory::{BackupSet, RepositoryKey, Stanza};
use crate::domain::manifest;
use crate::engine::pgbackrest::Pgbackrest;
use crate::planning::accident::{Answer, Suspect, SuspectRelation};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::time::Duration;

/// Some 200 bytes a file: a cluster with more files keeps its sizes to itself.
const MOST_BYTES: u64 = 64 << 20;
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Adds the sizes of what was dropped and truncated, where nothing remembered tells them, and says where they are from. That
/// they can't be had is no reason to give no answer.
pub(super) fn add(pgbackrest: &Pgbackrest, stanza: &Stanza, answer: &mut Answer) {
    let Some(first) = answer.suspects.iter().filter(|suspect| suspect.relations.iter().any(is_wanted)).map(time).min()
    else {
        return;
    };
    let Some((repository, set)) = newest_before(stanza, first) else { return };
    let pgbackrest = pgbackrest.clone().with_limits(TIME_LIMIT, MOST_BYTES);
    let path = format!("backup/{}/{}/backup.manifest", stanza.name, set.label());
    let text = match pgbackrest.get(repository.0, &path) {
        Ok(Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(None) => return,
        Err(error) => {
            tracing::warn!("sizes of what was dropped: {error}");
            return;
        }
    };
    let sizes = sizes(&text);
    let mut is_told = false;
    for relation in answer.suspects.iter_mut().flat_map(|suspect| &mut suspect.relations).filter(|one| is_wanted(one)) {
        relation.bytes = sizes.get(&relation.filenode).copied().flatten();
        is_told |= relation.bytes.is_some();
    }
    if is_told {
        let (key, label, stop) = (repository.name(), set.label(), crate::planning::target::show(set.stop()));
        answer
            .notes
            .push(format!("sizes of what was dropped or truncated are those of the set {label} in {key}, of {stop}"));
    }
}

fn time(suspect: &Suspect) -> DateTime<Utc> {
    suspect.commit_time
}

fn is_wanted(relation: &SuspectRelation) -> bool {
    (relation.dropped || relation.truncated) && relation.bytes.is_none() && relation.filenode != 0
}

/// The newest set that was finished before a time, of the current cluster.
fn newest_before(stanza: &Stanza, time: DateTime<Utc>) -> Option<(RepositoryKey, &BackupSet)> {
    let of_repository = |repository| {
        let sets = crate::domain::inventory::Repository::current_sets(repository);
        sets.filter(|set| set.stop() <= time).map(|set| (repository.key, set))
    };
    stanza.repositories.iter().flat_map(of_repository).max_by_key(|(_, set)| set.stop())
}

/// The size of each relation file by its number, its segments of a gigabyte added up; `None` where several databases have one
/// of that number.
fn sizes(text: &str) -> BTreeMap<u32, Option<u64>> {
    let mut found: BTreeMap<u32, BTreeMap<&str, u64>> = BTreeMap::new();
    for file in manifest::files(text).unwrap_or_default() {
        let Some((directory, name)) = file.name.rsplit_once('/') else { continue };
        if !directory.starts_with("base/") && !directory.starts_with("pg_tblspc/") {
            continue;
        }
        // 16385, 16385.1; not 16385_fsm
        let number = name.split_once('.').map_or(name, |(number, _)| number);
        let Ok(number) = number.parse() else { continue };
        *found.entry(number).or_default().entry(directory).or_default() += file.size;
    }
    let only = |of: BTreeMap<&str, u64>| if of.len() == 1 { of.into_values().next() } else { None };
    found.into_iter().map(|(number, of)| (number, only(of))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_added_up_and_numbers_that_stand_twice_say_nothing() {
        let line = |name: &str, size: u64| format!("{name}={{\"size\":{size},\"timestamp\":1}}\n");
        let text = format!(
            "[target:file]\n{}{}{}{}{}{}{}",
            line("pg_data/base/5/16385", 1 << 30),
            line("pg_data/base/5/16385.1", 8192),
            line("pg_data/base/5/16385_fsm", 24_576),
            line("pg_data/base/5/16390", 0),
            line("pg_data/base/6/16390", 8192),
            line("pg_tblspc/16400/PG_15_202209061/5/16401", 16_384),
            line("pg_data/global/16385", 3),
        );
        let expected = [(16385, Some((1 << 30) + 8192)), (16390, None), (16401, Some(16_384))];
        assert_eq!(sizes(&text), BTreeMap::from(expected));
        assert_eq!(sizes("nothing"), BTreeMap::new());
    }
}
