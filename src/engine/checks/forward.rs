//! Moving a paused recovery forward without a new copy, and looking at it at all.

use crate::domain::control_data::ControlData;
use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal::{SegmentSize, TimelineId, WalSegment};
use crate::engine::ask::{self, Question};
use crate::engine::checks::{CheckError, CheckReport, Input};
use crate::engine::postgres::{LiveState, server_is_live};
use crate::engine::running_xacts::{LookSafe, look_safe};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Fetched segments in which a snapshot is looked for: a base backup logs one right after its checkpoint.
const FETCHED: usize = 8;

/// Everything that has to be so before the target may be moved forward on the same copy. Anything else is a delta restore.
pub(super) fn forward_guards(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let directory = input.path("data-directory")?;
    let new: Lsn = input.parsed("new-lsn")?;
    // A recovery that never paused has no last pause: then only what the copy needs to be consistent binds.
    let paused = match input.with.get("last-paused-lsn").map(String::as_str) {
        Some("") => Lsn(0),
        _ => input.parsed("last-paused-lsn")?,
    };
    let timeline = TimelineId(input.parsed("timeline")?);
    let mut report = CheckReport::default();
    if let LiveState::Running { pid, .. } = server_is_live(directory)? {
        report
            .bad(format!("the server (process {pid}) still runs"), "Stop it first: it reads its target at the start.");
    }
    let control = input.around.postgres.control_data(directory, &input.around.environment)?;
    let signal = directory.join("recovery.signal").symlink_metadata().is_ok();
    guards(&control, signal, new, paused, timeline, &mut report);
    Ok(report)
}

fn guards(control: &ControlData, signal: bool, new: Lsn, paused: Lsn, timeline: TimelineId, report: &mut CheckReport) {
    let again = "Restore again with --delta instead: this copy can't be moved forward.";
    let state = &control.state;
    if matches!(state.as_str(), "shut down in recovery" | "in archive recovery") {
        report.good(format!("the control file says '{state}': it was not promoted"));
    } else {
        let what = format!(
            "the control file says '{state}': the server was promoted, or was not in recovery; it would start read-write and ignore the target"
        );
        report.bad(what, again);
    }
    if signal {
        report.good("recovery.signal is there");
    } else {
        report.bad("recovery.signal is not there: the server would start read-write", again);
    }
    // lower: the last checkpoint lies before the fork that recovery has followed
    if control.timeline <= timeline.0 {
        report.good(format!("it has not left timeline {timeline}"));
    } else {
        report.bad(format!("it is on timeline {}, not {timeline}", control.timeline), again);
    }
    let minimum = control.minimum_recovery.unwrap_or(control.checkpoint);
    for (position, what) in [(minimum, "what the data directory needs to be consistent"), (paused, "the last pause")] {
        if position == Lsn(0) {
            report.good("it never paused before");
        } else if new > position {
            report.good(format!("the new target {new} lies beyond {what}, {position}"));
        } else {
            let remedy = "Moving back needs a delta restore; moving forward a later target.";
            report.bad(format!("the new target {new} is not beyond {what}, {position}"), remedy);
        }
    }
}

/// A server that only looks pauses at the target, and can be stopped and started there: hot standby is active before it.
pub(super) fn safe_redo_start(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let directory = input.path("data-directory")?;
    let timeline = TimelineId(input.parsed("timeline")?);
    let folder = input.path("folder")?;
    let around = input.around;
    let control = around.postgres.control_data(directory, &around.environment)?;
    let size = SegmentSize::from_bytes(control.wal_segment_bytes)
        .map_err(|error| CheckError::NotThere(format!("{}: {error}", directory.display())))?;
    let label = directory.join("backup_label");
    // The set may be older than the timeline that is followed: replay begins on the set's own.
    let (redo, begins_on) = match read_label(&label)? {
        Some(text) => redo_of(&text).ok_or_else(|| {
            CheckError::NotThere(format!("{} names no START WAL LOCATION: restore again", label.display()))
        })?,
        None => (control.redo, TimelineId(control.timeline)),
    };
    let mut report = CheckReport::default();
    report.put("redo", redo);
    if begins_on != timeline {
        report.good(format!("replay begins on timeline {begins_on}, and goes over to timeline {timeline}"));
    }
    let own = directory.join("pg_wal");
    let mut wal = own.clone();
    if own.join(WalSegment::of(redo, size, begins_on).to_string()).metadata().is_err() {
        fetch(input, redo, size, begins_on, folder, &mut report)?;
        wal = folder.to_owned();
    }
    let found = look_safe(&around.postgres, &wal, redo, begins_on, &around.environment)
        .map_err(|error| CheckError::NotThere(error.to_string()))?;
    judge(&found, redo, &mut report);
    Ok(report)
}

fn judge(found: &LookSafe, redo: Lsn, report: &mut CheckReport) {
    let alternatives = "Choose another set (one whose beginning has no transaction with more than 64 subtransactions), or decide without looking: restore with the target and recovery_target_action='promote', gated. With a pause the server may promote itself there.";
    match found {
        LookSafe::Safe(record) => {
            report.put("safe", "yes");
            report.good(format!("redo begins at {redo}; the first snapshot at {} is whole: a server can pause and be started again at the target", record.at));
        }
        LookSafe::Overflowed(record) => {
            report.put("safe", "no");
            let what = format!(
                "redo begins at {redo} inside an overflowed snapshot (at {}, {} transactions running): hot standby may not be active at the target, and a start that is to pause would promote",
                record.at, record.running
            );
            report.bad(what, alternatives);
        }
        LookSafe::Unknown { said } => {
            report.put("safe", "unknown");
            let what = format!("no snapshot of running transactions was found from {redo} on: {said}");
            report.bad(what, alternatives);
        }
    }
}

/// Fetches segments from redo on into a folder of their own, until no more come.
fn fetch(
    input: &Input<'_>,
    redo: Lsn,
    size: SegmentSize,
    timeline: TimelineId,
    folder: &Path,
    report: &mut CheckReport,
) -> Result<(), CheckError> {
    let io = |source| CheckError::Io { path: folder.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(io)?;
    let mut segment = Some(WalSegment::of(redo, size, timeline));
    let mut fetched = 0;
    while let Some(wanted) = segment.filter(|_| fetched < FETCHED) {
        let name = wanted.to_string();
        let to = folder.join(&name);
        if to.symlink_metadata().is_err()
            && let Some(why) = archive_get(input, &name, &to)?
        {
            report.good(format!("{name} could not be fetched: {why}"));
            break;
        }
        fetched += 1;
        segment = wanted.next(size);
    }
    report.good(format!("{fetched} segments from {redo} on were read from the archive into {}", folder.display()));
    Ok(())
}

/// `archive-get`, which takes it from whichever repository has it; `None` when it came, else why not.
fn archive_get(input: &Input<'_>, name: &str, to: &Path) -> Result<Option<String>, CheckError> {
    let pgbackrest = &input.around.pgbackrest;
    let mut question = Question::new(&pgbackrest.binary);
    question.environment = input.around.environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    question.arguments.extend(pgbackrest.config.as_ref().map(|path| format!("--config={}", path.display()).into()));
    // the spool and its lock are the server's own
    let options = ["--no-archive-async", "--log-level-console=off", "--log-level-stderr=warn", "--log-level-file=off"];
    question.arguments.extend(options.map(Into::into));
    question.arguments.push(format!("--stanza={}", input.text("stanza")?).into());
    question.arguments.push(format!("--pg1-path={}", input.path("data-directory")?.display()).into());
    question.arguments.extend(["archive-get".into(), name.into(), PathBuf::from(to).into()]);
    let answer = ask::ask(&question).map_err(crate::engine::pgbackrest::PgbackrestError::from)?;
    let said = pgbackrest.redact(&clean(answer.stderr.trim()));
    Ok((answer.code != 0).then(|| if said.is_empty() { "no repository has it".to_owned() } else { said }))
}

fn read_label(path: &Path) -> Result<Option<String>, CheckError> {
    match std::fs::File::open(path) {
        Ok(file) => {
            let mut text = String::new();
            let read = file.take(1 << 16).read_to_string(&mut text);
            read.map_err(|source| CheckError::Io { path: path.to_owned(), source })?;
            Ok(Some(text))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CheckError::Io { path: path.to_owned(), source }),
    }
}

/// `START WAL LOCATION: 0/6000028 (file 000000010000000000000006)`.
fn redo_of(label: &str) -> Option<(Lsn, TimelineId)> {
    let rest = label.lines().find_map(|line| line.strip_prefix("START WAL LOCATION: "))?;
    let (redo, file) = rest.split_once(" (file ")?;
    Some((Lsn::parse(redo).ok()?, WalSegment::parse(file.trim_end().strip_suffix(')')?).ok()?.timeline))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::domain::running_xacts::RunningXacts;

    fn asked(state: &str, on: u32, signal: bool, new: u64) -> Vec<String> {
        let text = include_str!("../../../tests/fixtures/control_data/in-production-15.txt");
        let mut control = ControlData::parse(text).unwrap();
        (control.state, control.timeline, control.minimum_recovery) = (state.to_owned(), on, Some(Lsn(0x5000)));
        let mut report = CheckReport::default();
        guards(&control, signal, Lsn(new), Lsn(0x6000), TimelineId(1), &mut report);
        report.findings.into_iter().filter(|finding| !finding.holds).map(|finding| finding.what).collect()
    }

    #[test]
    fn only_a_later_target_on_a_cluster_in_recovery_is_moved_to() {
        assert_eq!(asked("shut down in recovery", 1, true, 0x6001), [""; 0]);
        assert_eq!(asked("in archive recovery", 1, true, 0x7000), [""; 0]);
        assert_eq!(asked("shut down in recovery", 0, true, 0x7000), [""; 0], "before the fork");
        for (state, on, signal, new, said) in [
            ("in production", 1, true, 0x7000, "promoted"),
            ("shut down", 1, true, 0x7000, "promoted"),
            ("shut down in recovery", 1, false, 0x7000, "recovery.signal is not there"),
            ("shut down in recovery", 2, true, 0x7000, "timeline 2"),
            ("shut down in recovery", 1, true, 0x6000, "last pause"),
            ("shut down in recovery", 1, true, 0x5fff, "last pause"),
        ] {
            let bad = asked(state, on, signal, new);
            assert!(bad.len() == 1 && bad[0].contains(said), "{bad:?}");
        }
        assert_eq!(asked("shut down in recovery", 1, true, 0x5000).len(), 2);
    }

    /// A replay that paused for a limit that was too low has no last pause, and may go on all the same.
    #[test]
    fn without_an_earlier_pause_only_the_copy_binds() {
        let text = include_str!("../../../tests/fixtures/control_data/in-production-15.txt");
        let mut control = ControlData::parse(text).unwrap();
        (control.state, control.timeline, control.minimum_recovery) =
            ("in archive recovery".to_owned(), 1, Some(Lsn(0x5000)));
        for (new, holds) in [(0x5001, true), (0x5000, false)] {
            let mut report = CheckReport::default();
            guards(&control, true, Lsn(new), Lsn(0), TimelineId(1), &mut report);
            assert_eq!(report.holds(), holds, "{new:x}");
        }
    }

    #[test]
    fn looking_is_refused_unless_the_snapshot_is_whole() {
        let record = RunningXacts { at: Lsn(0x100), running: 1, overflowed: true, description: String::new() };
        for (found, safe) in [
            (LookSafe::Safe(RunningXacts { overflowed: false, ..record.clone() }), "yes"),
            (LookSafe::Overflowed(record), "no"),
            (LookSafe::Unknown { said: "no such file".to_owned() }, "unknown"),
        ] {
            let mut report = CheckReport::default();
            judge(&found, Lsn(0x50), &mut report);
            assert_eq!((report.captures["safe"].as_str(), report.holds()), (safe, safe == "yes"));
        }
    }

    #[test]
    fn a_backup_label_says_where_redo_begins() {
        let label = "START WAL LOCATION: 0/6000028 (file 000000010000000000000006)\nCHECKPOINT LOCATION: 0/6000060\n";
        assert_eq!(redo_of(label), Some((Lsn(0x600_0028), TimelineId(1))));
        assert_eq!(redo_of("CHECKPOINT LOCATION: 0/6000060\n"), None);
        assert_eq!(redo_of("START WAL LOCATION: \n"), None);
    }
}
