//! Another recovery target for a cluster that was restored and not yet promoted.
//!
//! After a promotion the same target is ignored without an error (tried with 15.20): the server starts read-write. So it
//! is looked at before whether the cluster is in recovery at all.

use crate::domain::auto_conf::{FollowTimeline, RecoveryTarget};
use crate::domain::control_data::ControlData;
use crate::engine::postgres::{LiveState, PostgresError, PostgresPrograms, server_is_live};
use crate::engine::recovery_conf::{self, RecoveryConfError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that makes PostgreSQL (12 and newer) recover from the archive.
pub const SIGNAL: &str = "recovery.signal";

/// Why the target was not set. The configuration is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RetargetError {
    /// A server runs.
    #[error("a PostgreSQL server (process {pid}) runs on {}; stop it first: it reads its target at the start only", path.display())]
    Live {
        /// The data directory.
        path: PathBuf,
        /// The postmaster.
        pid: u32,
    },
    /// It is not in recovery.
    #[error("{}: {why}; a target would be ignored and the server would start read-write: restore again", path.display())]
    NotInRecovery {
        /// The data directory.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// PostgreSQL's programs could not be asked.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// `postgresql.auto.conf` or the signal file.
    #[error(transparent)]
    Conf(#[from] RecoveryConfError),
}

/// Writes `target` into `postgresql.auto.conf` in the place of every older one. With `make_signal`, `recovery.signal` is
/// made where it is missing; without, its absence is an error. Done again it writes the same.
///
/// # Errors
/// [`RetargetError`]: a running server, a cluster that was promoted or never was in recovery.
pub fn retarget(
    programs: &PostgresPrograms,
    environment: &BTreeMap<String, String>,
    data_directory: &Path,
    target: &RecoveryTarget,
    make_signal: bool,
) -> Result<(), RetargetError> {
    if let LiveState::Running { pid, .. } = server_is_live(data_directory)? {
        return Err(RetargetError::Live { path: data_directory.to_owned(), pid });
    }
    let control = programs.control_data(data_directory, environment)?;
    let there = |name: &str| data_directory.join(name).symlink_metadata().is_ok();
    let found = Found {
        label: there("backup_label"),
        signal: there(SIGNAL),
        standby: there("standby.signal"),
        make_signal,
        timeline: match target.timeline {
            FollowTimeline::Id(timeline) => Some(timeline.0),
            FollowTimeline::Current | FollowTimeline::Latest => None,
        },
    };
    if let Some(why) = found.why_not(&control) {
        return Err(RetargetError::NotInRecovery { path: data_directory.to_owned(), why });
    }
    recovery_conf::set_recovery_target(data_directory, target)?;
    if !found.signal {
        recovery_conf::make_empty(data_directory, SIGNAL)?;
    }
    Ok(())
}

struct Found {
    label: bool,
    signal: bool,
    standby: bool,
    make_signal: bool,
    timeline: Option<u32>,
}

impl Found {
    /// Why the cluster can't be given a target.
    fn why_not(&self, control: &ControlData) -> Option<String> {
        if self.standby {
            return Some("it holds standby.signal: it would follow another server".to_owned());
        }
        // right after a restore the control file is the running primary's; the backup label says where recovery begins
        let in_recovery = matches!(control.state.as_str(), "in archive recovery" | "shut down in recovery");
        if !self.label && !in_recovery {
            let state = &control.state;
            return Some(format!("its control file says '{state}': it was promoted, or never was in recovery"));
        }
        if let Some(followed) = self.timeline.filter(|followed| control.timeline > *followed) {
            return Some(format!("it is on timeline {}, the target is on {followed}", control.timeline));
        }
        if !self.signal && !self.make_signal {
            return Some(format!("it holds no {SIGNAL}: it was promoted, or restored without a target"));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn control(state: &str, timeline: u32) -> ControlData {
        let text = include_str!("../../tests/fixtures/control_data/in-production-15.txt");
        let mut control = ControlData::parse(text).unwrap();
        (control.state, control.timeline) = (state.to_owned(), timeline);
        control
    }

    #[test]
    fn only_a_cluster_in_recovery_is_given_a_target() {
        let found = |label, signal| Found { label, signal, standby: false, make_signal: false, timeline: Some(1) };
        for state in ["in archive recovery", "shut down in recovery"] {
            assert_eq!(found(false, true).why_not(&control(state, 1)), None, "{state}");
            let said = found(false, false).why_not(&control(state, 1)).unwrap();
            assert!(said.contains("no recovery.signal"), "{said}");
            assert!(found(false, true).why_not(&control(state, 2)).unwrap().contains("timeline 2"));
        }
        for state in ["in production", "shut down", "shutting down", "in crash recovery", "starting up"] {
            let said = found(false, true).why_not(&control(state, 1)).unwrap();
            assert!(said.contains("promoted") && said.contains(state), "{said}");
        }
        // right after a restore
        assert_eq!(found(true, true).why_not(&control("in production", 1)), None);
        let made = Found { make_signal: true, ..found(true, false) };
        assert_eq!(made.why_not(&control("in production", 1)), None);
        let standby = Found { standby: true, ..found(true, true) };
        assert!(standby.why_not(&control("in production", 1)).unwrap().contains("standby.signal"));
    }
}
