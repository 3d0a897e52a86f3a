//! What a repository's archive holds, and whether a backup set can be restored from it.

use crate::domain::inventory::{BackupSet, Database, Repository};
use crate::domain::wal::{SegmentSize, TimelineId, WalSegment};
use crate::engine::checks::{CheckError, CheckReport, Input, set_of};
use std::collections::BTreeSet;

/// The archived WAL of one database, by name only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Archived {
    /// Full segments; `.partial` ones are no use for recovery.
    pub(super) segments: BTreeSet<WalSegment>,
    /// Timelines that have a history file.
    pub(super) histories: BTreeSet<TimelineId>,
}

impl Archived {
    /// Takes in a name as `repo-ls --recurse` lists it.
    fn take(&mut self, path: &str) {
        let name = path.rsplit('/').next().unwrap_or(path);
        if let Some(timeline) = name.strip_suffix(".history") {
            if let (8, Ok(timeline)) = (timeline.len(), u32::from_str_radix(timeline, 16)) {
                self.histories.insert(TimelineId(timeline));
            }
        } else if let Some((segment, _checksum)) = name.split_once('-') {
            self.segments.extend(WalSegment::parse(segment));
        }
    }

    pub(super) fn merge(&mut self, other: Archived) {
        self.segments.extend(other.segments);
        self.histories.extend(other.histories);
    }
}

/// The path of a database's archive in a repository, or `None` while nothing was archived there. A database is
/// recognised by its system identifier: its number may differ from one repository to the next.
pub(super) fn archive_path(stanza: &str, repository: &Repository, database: &Database) -> Option<String> {
    let same = |found: &&Database| found.system_id == database.system_id && found.version == database.version;
    let own = repository.databases.iter().filter(same).max_by_key(|found| found.id)?;
    repository.archive(own.id).map(|archive| format!("archive/{stanza}/{}", archive.id))
}

/// Lists the archive of a database in one repository.
pub(super) fn archived(
    input: &Input<'_>,
    stanza: &str,
    repository: &Repository,
    database: &Database,
) -> Result<Archived, CheckError> {
    let mut found = Archived::default();
    if let Some(path) = archive_path(stanza, repository, database) {
        let listing = input.around.pgbackrest.list(repository.key.0, &path, true)?;
        listing.files().for_each(|(name, _)| found.take(name));
    }
    Ok(found)
}

/// The size of a set's WAL segments, which pgBackRest does not tell: the one size with which every set of the same
/// database began in the segment that its first LSN lies in. `None` when several fit and 16 MB is not among them.
pub(super) fn segment_size(repository: &Repository, set: &BackupSet) -> Option<SegmentSize> {
    let same = repository.sets.iter().filter(|other| other.database() == set.database());
    let starts: Vec<_> = same.filter_map(|set| Some((set.lsn()?.start, set.wal()?.start))).collect();
    let fits = |size: &SegmentSize| {
        starts.iter().all(|(lsn, segment)| WalSegment::of(*lsn, *size, segment.timeline) == *segment)
    };
    let possible = (20..=30).filter_map(|power| SegmentSize::from_bytes(1 << power).ok()).filter(fits);
    let possible: Vec<SegmentSize> = possible.collect();
    match possible.as_slice() {
        [only] => Some(*only),
        several => several.iter().find(|size| **size == SegmentSize::DEFAULT).copied(),
    }
}

/// A segment's place in the order of all of its timeline.
pub(super) fn index_of(segment: WalSegment, size: SegmentSize) -> Option<u64> {
    segment.start(size).map(|start| start.0 / size.bytes())
}

/// The set is still there, sound, of the current database, and everything it needs to become consistent is there.
pub(super) fn backup_set_usable(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let stanza = input.stanza(None, None)?;
    let (key, label) = (input.repository_key()?, input.label()?);
    let (repository, set) = set_of(&stanza, key, label)?;
    let mut report = CheckReport::default();
    report.good(format!("set {label} is in {}", key.name()));
    match set.error() {
        Some(true) => report.bad(
            format!("set {label} was made with page checksum errors"),
            "Choose another set; `pgbackrest info --set` lists the damaged files.",
        ),
        Some(false) => report.good("it was made without page checksum errors"),
        None => report.good("it was made before 2.36, which did not note page checksum errors"),
    }
    if repository.is_of_current_database(set) {
        report.good("it is of the stanza's current database");
    } else {
        report.bad(
            format!("set {label} is of an older database of this stanza (before a stanza-upgrade)"),
            "Choose a set of the current database, or restore it by hand with the programs of its version.",
        );
    }
    if let Some(missing) = repository.chain(label).and_then(|chain| chain.missing) {
        report.bad(format!("set {label} builds upon {missing}, which is not there"), "Choose another set.");
    } else {
        report.good("every set it builds upon is there");
    }
    wal_of_set(input, repository, set, &mut report)?;
    Ok(report)
}

fn wal_of_set(
    input: &Input<'_>,
    repository: &Repository,
    set: &BackupSet,
    report: &mut CheckReport,
) -> Result<(), CheckError> {
    let Some(wal) = set.wal() else {
        report.good("it was made offline: it needs no WAL");
        return Ok(());
    };
    let Some(database) = repository.database(set.database()) else {
        report.bad("the repository does not list the set's database", "Run `pgbackrest verify`.");
        return Ok(());
    };
    let archived = archived(input, input.text("stanza")?, repository, database)?;
    let size = segment_size(repository, set).unwrap_or(SegmentSize::DEFAULT);
    let missing: Vec<String> = between(wal.start, wal.stop, size)
        .filter(|segment| !archived.segments.contains(segment))
        .map(|segment| segment.to_string())
        .take(5)
        .collect();
    if missing.is_empty() {
        report.good(format!("its WAL from {} to {} is in {}", wal.start, wal.stop, repository.key.name()));
    } else {
        report.bad(
            format!(
                "WAL that the set needs to become consistent is not in {}: {}",
                repository.key.name(),
                missing.join(", ")
            ),
            "Choose another set, or the same one from another repository.",
        );
    }
    Ok(())
}

/// The segments from `start` to `stop` on one timeline; at least `start`.
fn between(start: WalSegment, stop: WalSegment, size: SegmentSize) -> impl Iterator<Item = WalSegment> {
    std::iter::successors(Some(start), move |segment| segment.next(size).filter(|next| *next <= stop))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn names_of_an_archive_are_told_apart() {
        let mut archived = Archived::default();
        for name in [
            "0000000100000000/000000010000000000000003-520584d4ac0a8b1b1c4d1c2f7ae1b4ea41c7d7b0.gz",
            "0000000100000000/000000010000000000000004-520584d4ac0a8b1b1c4d1c2f7ae1b4ea41c7d7b0",
            "0000000100000000/000000010000000000000005.partial-520584d4ac0a8b1b1c4d1c2f7ae1b4ea41c7d7b0.gz",
            "0000000100000000/000000010000000000000002.00000028.backup",
            "00000002.history",
            "x.history",
            "archive.info",
        ] {
            archived.take(name);
        }
        assert_eq!(archived.segments.len(), 2);
        assert_eq!(archived.histories, BTreeSet::from([TimelineId(2)]));
    }

    #[test]
    fn segments_between_cross_the_logs_end() {
        let of = |text| WalSegment::parse(text).unwrap();
        let (start, stop) = (of("0000000100000000000000FE"), of("000000010000000100000001"));
        let names: Vec<String> =
            between(start, stop, SegmentSize::DEFAULT).map(|segment| segment.to_string()).collect();
        assert_eq!(names.len(), 4);
        assert_eq!(names[2], "000000010000000100000000");
        let large = SegmentSize::from_bytes(1 << 30).unwrap();
        assert_eq!(between(of("000000010000000000000003"), of("000000010000000100000000"), large).count(), 2);
        assert_eq!(between(start, start, SegmentSize::DEFAULT).count(), 1);
    }
}
