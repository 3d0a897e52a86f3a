//! Whether the archive reaches from a backup set to its newest segment without a gap, and whether replay got there.
//!
//! PostgreSQL takes a gap for the end of WAL: a recovery without a target then promotes and reports success (tried with
//! 15). Nothing but counting segments tells.

use crate::domain::inventory::{BackupSet, Database, Repository, Stanza};
use crate::domain::lsn::Lsn;
use crate::domain::wal::{Road, SegmentSize, TimelineHistory, TimelineId, WalSegment};
use crate::engine::checks::archive::{self, Archived, archive_path, archived, index_of};
use crate::engine::checks::{CheckError, CheckReport, Input, set_of, shown_bytes, wrong};
use crate::planning::keeping::Speeds;
use std::collections::BTreeMap;

/// By place on the way: which segments of the archive can be used; of a place with several the newest timeline's.
fn usable(road: &Road, archived: &Archived) -> BTreeMap<u64, WalSegment> {
    archived.segments.iter().filter_map(|segment| Some((road.place(*segment)?, *segment))).collect()
}

/// The segment that is looked for first at a place.
fn segment_at(road: &Road, place: u64) -> String {
    road.at(place).next().map_or_else(|| format!("place {place}"), |segment| segment.to_string())
}

/// Places that nothing covers between `start` and `newest`, as ranges, ends included.
fn gaps(usable: &BTreeMap<u64, WalSegment>, start: u64, newest: u64) -> Vec<(u64, u64)> {
    let mut gaps = Vec::new();
    let mut expected = start;
    for index in usable.range(start..=newest).map(|(index, _)| *index) {
        if index > expected {
            gaps.push((expected, index - 1));
        }
        expected = index + 1;
    }
    gaps
}

/// The archives of all repositories together: `restore_command` is written without `--repo`, so `archive-get` takes each
/// segment from the first repository that has it.
fn of_all_repositories(
    input: &Input<'_>,
    stanza: &Stanza,
    database: &Database,
    report: &mut CheckReport,
) -> Result<Archived, CheckError> {
    let mut all = Archived::default();
    for repository in &stanza.repositories {
        if repository.was_read() {
            all.merge(archived(input, &stanza.name, repository, database)?);
        } else {
            let (key, status) = (repository.key.name(), &repository.status.message);
            report.good(format!("{key} is not counted, it could not be read: {status}"));
        }
    }
    Ok(all)
}

fn database_of<'r>(repository: &'r Repository, set: &BackupSet) -> Result<&'r Database, CheckError> {
    repository.database(set.database()).ok_or_else(|| {
        CheckError::NotThere(format!("the set {} is of a database that its repository does not list", set.label()))
    })
}

/// How many segments lie from the set's start to the newest archived one, on whichever timeline.
pub(super) fn segments_after(
    input: &Input<'_>,
    stanza: &Stanza,
    repository: &Repository,
    set: &BackupSet,
) -> Result<u64, CheckError> {
    let Some(wal) = set.wal() else { return Ok(0) };
    let size = archive::segment_size(repository, set).unwrap_or(SegmentSize::DEFAULT);
    let all = of_all_repositories(input, stanza, database_of(repository, set)?, &mut CheckReport::default())?;
    let own = all.segments.iter().filter(|segment| segment.timeline >= wal.start.timeline);
    let newest = own.filter_map(|segment| index_of(*segment, size)).max();
    let start = index_of(wal.start, size);
    Ok(newest.zip(start).map_or(0, |(newest, start)| (newest + 1).saturating_sub(start)))
}

/// Replay in bytes a second, careful: one process, and random writes.
const REPLAY: f64 = 40e6;

/// How long a restore of the set and a replay to the newest archived segment take, roughly, in seconds.
pub(super) fn seconds_to_the_end(
    input: &Input<'_>,
    stanza: &Stanza,
    repository: &Repository,
    set: &BackupSet,
) -> Result<f64, CheckError> {
    let size = archive::segment_size(repository, set).unwrap_or(SegmentSize::DEFAULT);
    let segments = segments_after(input, stanza, repository, set)?;
    Ok(seconds(set.database_bytes().0, segments.saturating_mul(size.bytes())))
}

fn seconds(set_bytes: u64, wal_bytes: u64) -> f64 {
    (set_bytes as f64 / Speeds::default().restore + wal_bytes as f64 / REPLAY).max(1.0)
}

/// How long a restore and a replay to the end take, in words.
fn about(set_bytes: u64, segments: u64, size: SegmentSize) -> String {
    let wal_bytes = segments.saturating_mul(size.bytes());
    let seconds = seconds(set_bytes, wal_bytes);
    let (set, wal) = (shown_bytes(set_bytes), shown_bytes(wal_bytes));
    format!("{set} to restore and {segments} segments ({wal}) to replay, about {seconds:.0} s")
}

/// WAL is there without a gap from the set's start to the newest archived segment on the way to a timeline.
pub(super) fn archive_covers_target(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let stanza = input.stanza(None, None)?;
    let (repository, set) = set_of(&stanza, input.repository_key()?, input.label()?)?;
    let mut report = CheckReport::default();
    let Some(wal) = set.wal() else {
        let what = format!("set {} was made offline: it has no WAL to be rolled forward with", set.label());
        report.bad(what, "Choose a set that was made online.");
        return Ok(report);
    };
    let size = archive::segment_size(repository, set).unwrap_or(SegmentSize::DEFAULT);
    let database = database_of(repository, set)?;
    let all = of_all_repositories(input, &stanza, database, &mut report)?;
    let timeline = target_timeline(input.text("timeline")?, wal.start.timeline, &all)?;
    report.put("timeline", timeline.0);
    report.put("segment-bytes", size.bytes());
    let Some(history) = history(input, &stanza, database, timeline, set, &mut report)? else {
        return Ok(report);
    };
    let road = Road::along(&history, size);
    let usable = usable(&road, &all);
    let start = index_of(wal.start, size).unwrap_or(0);
    let Some((newest, segment)) = usable.range(start..).next_back().map(|(index, segment)| (*index, *segment)) else {
        let what = format!("no WAL from {} on is archived on timeline {}", wal.start, timeline.0);
        report.bad(what, "Choose another set, or look into the archive with `pgbackrest repo-ls`.");
        return Ok(report);
    };
    report.put("newest-segment", segment);
    report.put("segments", newest - start + 1);
    report.put("about", about(set.database_bytes().0, newest - start + 1, size));
    let needed = needed(input.text("target")?, wal.stop, size);
    if let Some(needed) = needed.filter(|needed| *needed > newest) {
        let wanted = segment_at(&road, needed);
        report.bad(
            format!("the archive ends with {segment}, the target lies in {wanted} or behind it"),
            "Choose an earlier target, or wait until that segment is archived.",
        );
    }
    let gaps = gaps(&usable, start, needed.map_or(newest, |needed| needed.min(newest)));
    for (first, last) in gaps.iter().take(5) {
        let (from, to) = (segment_at(&road, *first), segment_at(&road, *last));
        let what = format!("WAL is missing: {from} to {to} ({} segments)", last - first + 1);
        report.bad(what, "Recovery ends there without an error. Choose a set behind the gap, or a target before it: an LSN, or immediate.");
    }
    if newest < index_of(wal.stop, size).unwrap_or(0) {
        let what = format!("the archive ends with {segment}, before the set's own last segment {}", wal.stop);
        report.bad(what, "Choose another set: this one can't become consistent.");
    }
    if report.holds() {
        let count = newest - start + 1;
        report.good(format!(
            "WAL is there without a gap from {} to {segment}: {count} segments of {} bytes",
            wal.start,
            size.bytes()
        ));
    }
    Ok(report)
}

/// The place of the last segment that is needed, where the target says so: WAL behind it may be missing. A time, a name or
/// a transaction may lie anywhere.
fn needed(target: &str, stop: WalSegment, size: SegmentSize) -> Option<u64> {
    if target == "immediate" {
        return index_of(stop, size);
    }
    // Replay stops at the first record that begins there or behind it.
    let lsn = Lsn::parse(target.strip_prefix("lsn:").unwrap_or(target)).ok()?;
    Some(lsn.0 / size.bytes())
}

/// `current` is the set's own timeline, `latest` the greatest that has a history file, a number is itself.
fn target_timeline(text: &str, own: TimelineId, all: &Archived) -> Result<TimelineId, CheckError> {
    match text {
        "current" => Ok(own),
        "latest" => Ok(all.histories.iter().copied().max().filter(|latest| *latest > own).unwrap_or(own)),
        number => number
            .parse()
            .map(TimelineId)
            .map_err(|_| wrong("timeline", number, "'current', 'latest' or a decimal number is needed")),
    }
}

/// The ancestry of the timeline, or `None` with a finding when it can't be followed from the set.
fn history(
    input: &Input<'_>,
    stanza: &Stanza,
    database: &Database,
    timeline: TimelineId,
    set: &BackupSet,
    report: &mut CheckReport,
) -> Result<Option<TimelineHistory>, CheckError> {
    let own = set.wal().map(|wal| wal.start.timeline);
    if own == Some(timeline) {
        // what came before the set is of no concern
        return Ok(Some(TimelineHistory { timeline, entries: Vec::new() }));
    }
    let file = timeline.history_file();
    let remedy = "Choose the set's own timeline ('current').";
    let Some(text) = history_text(input, stanza, database, &file)? else {
        report.bad(format!("the archive has no {file}"), remedy);
        return Ok(None);
    };
    let history = match TimelineHistory::parse(timeline, &text) {
        Ok(history) => history,
        Err(error) => {
            report.bad(error.to_string(), remedy);
            return Ok(None);
        }
    };
    let stop = set.lsn().map(|lsn| lsn.stop);
    let (Some(own), Some(stop)) = (own, stop) else {
        report.bad("the set tells no LSN to compare with the timeline's history", remedy);
        return Ok(None);
    };
    if !history.contains(own, stop) {
        let what = format!(
            "timeline {} left timeline {} before the set ended at {stop}, or never was on it",
            timeline.0, own.0
        );
        report.bad(what, remedy);
        return Ok(None);
    }
    Ok(Some(history))
}

fn history_text(
    input: &Input<'_>,
    stanza: &Stanza,
    database: &Database,
    file: &str,
) -> Result<Option<String>, CheckError> {
    for repository in stanza.repositories.iter().filter(|repository| repository.was_read()) {
        let Some(path) = archive_path(&stanza.name, repository, database) else { continue };
        if let Some(bytes) = input.around.pgbackrest.get(repository.key.0, &format!("{path}/{file}"))? {
            return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
        }
    }
    Ok(None)
}

/// The replay's end lies in the newest segment that was archived when the run was planned, or behind it.
pub(super) fn end_of_archive_reached(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let reached: Lsn = input.parsed("lsn")?;
    let newest: WalSegment = input.parsed("newest-segment")?;
    let bytes: u64 = input.parsed("segment-bytes")?;
    let size = SegmentSize::from_bytes(bytes)
        .map_err(|error| wrong("segment-bytes", &bytes.to_string(), &error.to_string()))?;
    let start = newest
        .start(size)
        .ok_or_else(|| wrong("newest-segment", &newest.to_string(), "segments of this size have no such name"))?;
    let mut report = CheckReport::default();
    let what = format!("replay ended at {reached}, the newest segment archived before it, {newest}, begins at {start}");
    if reached >= start {
        report.good(what);
    } else {
        report.bad(
            what,
            "Recovery took a missing or unreadable segment for the end of WAL. Look for pgBackRest errors in the server's log and for a gap in the archive; what is restored lacks everything behind it.",
        );
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn archive(names: &[&str]) -> Archived {
        let segments = names.iter().map(|name| WalSegment::parse(name).unwrap()).collect();
        Archived { segments, ..Archived::default() }
    }

    fn history(timeline: u32, text: &str) -> TimelineHistory {
        TimelineHistory::parse(TimelineId(timeline), text).unwrap()
    }

    #[test]
    fn a_gap_is_named_from_its_first_to_its_last_segment() {
        let size = SegmentSize::DEFAULT;
        let archived = archive(&[
            "0000000100000000000000FD",
            "0000000100000000000000FE",
            "000000010000000100000001",
            "000000010000000100000002",
            "000000010000000100000004",
        ]);
        let road = Road::along(&TimelineHistory { timeline: TimelineId(1), entries: Vec::new() }, size);
        let usable = usable(&road, &archived);
        assert_eq!(gaps(&usable, 0xFD, 0x104), [(0xFF, 0x100), (0x103, 0x103)]);
        assert_eq!(gaps(&usable, 0xFE, 0xFE), []);
        // the very first one missing is a gap as well
        assert_eq!(gaps(&usable, 0xFC, 0xFE), [(0xFC, 0xFC)]);
        assert_eq!(segment_at(&road, 0x103), "000000010000000100000003");
    }

    #[test]
    fn a_stray_timeline_does_not_fill_a_gap() {
        let size = SegmentSize::DEFAULT;
        // timeline 2 forked off in segment 5 and is not what is followed
        let archived = archive(&["000000010000000000000004", "000000020000000000000005", "000000010000000000000006"]);
        let own = Road::along(&TimelineHistory { timeline: TimelineId(1), entries: Vec::new() }, size);
        assert_eq!(gaps(&usable(&own, &archived), 4, 6), [(5, 5)]);
    }

    #[test]
    fn the_road_to_a_timeline_goes_over_its_ancestors() {
        let size = SegmentSize::DEFAULT;
        let road = Road::along(&history(3, "1\t0/5000100\tx\n2\t0/7000000\tx\n"), size);
        let archived = archive(&[
            "000000010000000000000004",
            "000000020000000000000005",
            "000000020000000000000006",
            // of timeline 1 after it was left: another future
            "000000010000000000000007",
            "000000030000000000000007",
            "000000030000000000000008",
        ]);
        let usable = usable(&road, &archived);
        let names: Vec<String> = usable.values().map(|segment| segment.to_string()).collect();
        assert_eq!(names[0], "000000010000000000000004");
        assert_eq!(names[3], "000000030000000000000007");
        assert_eq!(gaps(&usable, 4, 8), []);
        let asked = [4, 6, 9].map(|place| segment_at(&road, place));
        let timelines = asked.each_ref().map(|name| &name[..8]);
        assert_eq!(timelines, ["00000001", "00000002", "00000003"]);
    }

    #[test]
    fn a_timeline_is_named_in_three_ways() {
        let mut all = Archived::default();
        assert_eq!(target_timeline("latest", TimelineId(1), &all).unwrap(), TimelineId(1));
        all.histories = [TimelineId(2), TimelineId(4)].into();
        assert_eq!(target_timeline("latest", TimelineId(3), &all).unwrap(), TimelineId(4));
        assert_eq!(target_timeline("current", TimelineId(3), &all).unwrap(), TimelineId(3));
        assert_eq!(target_timeline("2", TimelineId(3), &all).unwrap(), TimelineId(2));
        assert!(target_timeline("0x2", TimelineId(3), &all).is_err());
    }
}
