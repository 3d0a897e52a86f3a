//! Whether somebody has started the cluster and written into it since the run left it: what is written then is in no copy.

use crate::domain::control_data::ControlData;
use crate::domain::lsn::Lsn;
use crate::domain::wal::{SegmentSize, TimelineId, WalSegment};
use crate::engine::checks::{CheckError, CheckReport, Input, shown_bytes};
use crate::engine::postgres::{LiveState, server_is_live};
use std::path::Path;

/// Compares the directory with the control file that was saved when production was stopped. Nothing is changed.
///
/// The capture `written` says what was found, for a gate.
pub(super) fn nobody_wrote(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (directory, safety) = (input.path("data-directory")?, input.path("safety")?);
    let server = match server_is_live(directory)? {
        LiveState::Running { pid, .. } => Some(pid),
        LiveState::Stopped | LiveState::Stale { .. } => None,
    };
    let there = |name: &str| directory.join(name).symlink_metadata().is_ok();
    let seen = Seen {
        now: control(input, directory)?,
        saved: control(input, safety)?,
        // PostgreSQL renames the label at its first start, and without the signal there is no recovery.
        is_fresh: there("backup_label") && there("recovery.signal"),
        server,
    };
    let mut report = CheckReport::default();
    let found = seen.judge();
    match &found {
        Found::Nothing(why) => {
            report.put("written", format!("nothing: {why}"));
            report.good(format!("nobody wrote into it: {why}"));
        }
        Found::Written(what) => {
            report.put("written", what);
            report.bad(
                what.clone(),
                "Somebody started it. Keep them from it (stop that server, mask what starts it). Then look whether those rows are wanted: they are in this directory alone.",
            );
        }
    }
    Ok(report)
}

/// The control file below a directory; `None` where there is none: nothing can be started on it.
fn control(input: &Input<'_>, directory: &Path) -> Result<Option<ControlData>, CheckError> {
    let path = directory.join("global").join("pg_control");
    match path.symlink_metadata() {
        Ok(_) => Ok(Some(input.around.postgres.control_data(directory, &input.around.environment)?)),
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(source) => Err(CheckError::Io { path, source }),
    }
}

/// The segments that a server closed which was started on the stopped cluster, and so gave to the archive: the one in which
/// the stop was (PostgreSQL closes a segment right before its shutdown checkpoint), up to the one it is in now. The cluster as
/// it was stopped writes others of the same names, which a repository refuses (pgBackRest: \[045]).
fn closed_since(saved: &ControlData, now: &ControlData) -> Option<(WalSegment, WalSegment)> {
    let size = SegmentSize::from_bytes(saved.wal_segment_bytes).ok()?;
    let segment = |lsn: u64| WalSegment::of(Lsn(lsn), size, TimelineId(saved.timeline));
    let open = now.checkpoint.0 - now.checkpoint.0 % saved.wal_segment_bytes;
    let is_closed = saved.timeline == now.timeline && saved.checkpoint.0 < open;
    is_closed.then(|| (segment(saved.checkpoint.0), segment(open - 1)))
}

/// What is known of the directory.
struct Seen {
    now: Option<ControlData>,
    /// Of production, right after it was stopped.
    saved: Option<ControlData>,
    /// Restored, and not started since.
    is_fresh: bool,
    server: Option<u32>,
}

enum Found {
    Nothing(&'static str),
    Written(String),
}

impl Seen {
    fn judge(&self) -> Found {
        let Some(now) = &self.now else {
            return Found::Nothing("there is no control file, so nothing can have been started on it");
        };
        if matches!(now.state.as_str(), "shut down in recovery" | "in archive recovery") {
            return Found::Nothing("it has been in recovery only, which accepts no writes");
        }
        let by = self.server.map_or(String::new(), |pid| format!("; a server (process {pid}) runs on it"));
        let is =
            format!("its control file says '{}', timeline {}, checkpoint {}", now.state, now.timeline, now.checkpoint);
        let Some(saved) = &self.saved else {
            return match (self.is_fresh, self.server) {
                (true, None) => Found::Nothing("it was restored and not started since"),
                (_, Some(_)) => Found::Written(format!("a server was started on it: {is}{by}")),
                (false, None) => Found::Nothing("production was lost, and no server runs on what is left of it"),
            };
        };
        if now.system_identifier != saved.system_identifier {
            let (now, saved) = (now.system_identifier, saved.system_identifier);
            return Found::Written(format!("another cluster lies there: system identifier {now}, not {saved}{by}"));
        }
        let same = (now.timeline, now.checkpoint, now.state.as_str())
            == (saved.timeline, saved.checkpoint, saved.state.as_str());
        if same && self.server.is_none() {
            return Found::Nothing("it is as it was when it was stopped");
        }
        if self.is_fresh && self.server.is_none() {
            return Found::Nothing("it was restored and not started since");
        }
        let more = match now.checkpoint.0.checked_sub(saved.checkpoint.0) {
            Some(bytes) if now.timeline == saved.timeline => {
                format!("{} of WAL behind the checkpoint of the stop, {}", shown_bytes(bytes), saved.checkpoint)
            }
            _ => format!("at the stop it was timeline {}, checkpoint {}", saved.timeline, saved.checkpoint),
        };
        let archived = closed_since(saved, now).map_or(String::new(), |(first, last)| {
            format!(
                "; it gave the segments {first} to {last} to the archive, which the kept cluster would write again and the repositories would refuse"
            )
        });
        Found::Written(format!("a server was started on it and accepted writes: {is} ({more}){by}{archived}"))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const SAMPLE: &str = include_str!("../../../tests/fixtures/control_data/in-production-15.txt");

    fn control(state: &str, timeline: u32, checkpoint: &str) -> Option<ControlData> {
        let mut control = ControlData::parse(SAMPLE).unwrap();
        (control.state, control.timeline) = (state.to_owned(), timeline);
        control.checkpoint = Lsn::parse(checkpoint).unwrap();
        Some(control)
    }

    fn told(seen: &Seen) -> Result<&'static str, String> {
        match seen.judge() {
            Found::Nothing(why) => Ok(why),
            Found::Written(what) => Err(what),
        }
    }

    fn stopped() -> Seen {
        let saved = control("shut down", 1, "0/9000028");
        Seen { now: saved.clone(), saved, is_fresh: false, server: None }
    }

    #[test]
    fn what_the_run_itself_leaves_is_nobodys_writing() {
        assert_eq!(told(&stopped()), Ok("it is as it was when it was stopped"));
        assert!(told(&Seen { now: None, ..stopped() }).unwrap().contains("no control file"));
        for state in ["shut down in recovery", "in archive recovery"] {
            let seen = Seen { now: control(state, 1, "0/7000028"), server: Some(7), ..stopped() };
            assert!(told(&seen).unwrap().contains("in recovery only"));
        }
        // The control file of a set says that the server ran: it was backed up while it did.
        let fresh = Seen { now: control("in production", 1, "0/5000060"), is_fresh: true, ..stopped() };
        assert!(told(&fresh).unwrap().contains("not started since"));
        let lost = Seen { saved: None, ..stopped() };
        assert!(told(&lost).unwrap().contains("production was lost"));
    }

    #[test]
    fn what_was_given_to_the_archive_meanwhile_is_named() {
        let at = |checkpoint| told(&Seen { now: control("shut down", 1, checkpoint), ..stopped() }).unwrap_err();
        let two = at("0/B000028");
        assert!(two.contains("segments 000000010000000000000009 to 00000001000000000000000A to the archive"), "{two}");
        assert!(!at("0/9000428").contains("archive"), "the segment is open still");
        let other = told(&Seen { now: control("shut down", 2, "0/B000028"), ..stopped() }).unwrap_err();
        assert!(!other.contains("archive"), "{other}");
    }

    #[test]
    fn whoever_started_it_is_told_with_how_much_was_written() {
        let grown = told(&Seen { now: control("shut down", 1, "0/9000428"), ..stopped() }).unwrap_err();
        assert!(grown.contains("'shut down', timeline 1, checkpoint 0/9000428 (1.0 kB of WAL"), "{grown}");
        let runs = told(&Seen { now: control("in production", 1, "0/9000028"), server: Some(7), ..stopped() });
        assert!(runs.unwrap_err().contains("a server (process 7) runs on it"));
        let promoted = told(&Seen { now: control("shut down", 2, "0/8000028"), ..stopped() }).unwrap_err();
        assert!(promoted.contains("timeline 2") && promoted.contains("at the stop it was timeline 1"), "{promoted}");
        let mut other = stopped();
        other.now.as_mut().unwrap().system_identifier += 1;
        assert!(told(&other).unwrap_err().contains("another cluster lies there"));
        // A fresh restore that somebody started has no label any more; one on which a server runs is none.
        let started =
            Seen { now: control("in production", 1, "0/5000060"), is_fresh: true, server: Some(7), ..stopped() };
        assert!(told(&started).is_err());
        let lost = Seen { saved: None, server: Some(7), ..stopped() };
        assert!(told(&lost).unwrap_err().contains("a server was started on it"));
    }
}
