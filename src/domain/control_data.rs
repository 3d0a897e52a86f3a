//! What `pg_controldata` prints (`LC_ALL=C`), read tolerantly: a line that is not known is passed over, one that is
//! missing is `None`, except for what no decision can be made without.

use crate::domain::lsn::Lsn;
use crate::domain::text;
use std::collections::BTreeMap;

/// A cluster's control file. Lines are those of PostgreSQL 9.6 to 17.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlData {
    /// The cluster's identity; copies and restores of it have the same.
    pub system_identifier: u64,
    /// `in production`, `shut down in recovery`, …
    pub state: String,
    /// The last checkpoint's timeline.
    pub timeline: u32,
    /// The last checkpoint's position.
    pub checkpoint: Lsn,
    /// Where replay begins.
    pub redo: Lsn,
    /// The segment replay begins in.
    pub redo_segment: Option<String>,
    /// Replay has to get this far before the data is consistent; `None` when it is not in recovery.
    pub minimum_recovery: Option<Lsn>,
    /// The format of the control file (1300 for PostgreSQL 13 to 17).
    pub version_number: u32,
    /// The catalog's version.
    pub catalog_version: u32,
    /// The size of a WAL segment.
    pub wal_segment_bytes: u64,
    /// Data pages carry checksums.
    pub data_checksums: bool,
    /// The settings a recovering server must not fall below.
    pub limits: Limits,
}

/// The settings that a server in recovery needs at least as high as on the primary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// `max_connections`.
    pub max_connections: Option<u32>,
    /// `max_worker_processes`.
    pub max_worker_processes: Option<u32>,
    /// `max_wal_senders` (from 12).
    pub max_wal_senders: Option<u32>,
    /// `max_prepared_transactions`.
    pub max_prepared_transactions: Option<u32>,
    /// `max_locks_per_transaction`.
    pub max_locks_per_transaction: Option<u32>,
}

impl Limits {
    /// The settings by PostgreSQL's names, for `-c name=value`; those that are not known are left out.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, u32)> {
        [
            ("max_connections", self.max_connections),
            ("max_worker_processes", self.max_worker_processes),
            ("max_wal_senders", self.max_wal_senders),
            ("max_prepared_transactions", self.max_prepared_transactions),
            ("max_locks_per_transaction", self.max_locks_per_transaction),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// Output that is not a control file's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlDataError {
    /// A line that is needed is not there.
    #[error(
        "pg_controldata printed no '{0}': is it the pg_controldata of the cluster's major version, run with LC_ALL=C?"
    )]
    Missing(&'static str),
    /// A line can't be read.
    #[error("pg_controldata printed '{value}' for '{name}', which can't be read; run it by hand with LC_ALL=C")]
    Value {
        /// The line.
        name: &'static str,
        /// What it holds, cleaned.
        value: String,
    },
}

impl ControlData {
    /// Reads what `pg_controldata` printed.
    ///
    /// # Errors
    /// [`ControlDataError`] when a line that is needed is missing or can't be read.
    pub fn parse(output: &str) -> Result<ControlData, ControlDataError> {
        let lines = Lines::of(output);
        let minimum: Lsn = lines.position("Minimum recovery ending location")?;
        Ok(ControlData {
            system_identifier: lines.number("Database system identifier")?,
            state: lines.text("Database cluster state")?.to_owned(),
            timeline: lines.number("Latest checkpoint's TimeLineID")?,
            checkpoint: lines.position("Latest checkpoint location")?,
            redo: lines.position("Latest checkpoint's REDO location")?,
            redo_segment: lines.optional("Latest checkpoint's REDO WAL file").map(str::to_owned),
            minimum_recovery: Some(minimum).filter(|lsn| lsn.to_string() != "0/0"),
            version_number: lines.number("pg_control version number")?,
            catalog_version: lines.number("Catalog version number")?,
            wal_segment_bytes: lines.number("Bytes per WAL segment")?,
            data_checksums: lines.number::<u32>("Data page checksum version")? != 0,
            limits: Limits {
                max_connections: lines.setting("max_connections setting"),
                max_worker_processes: lines.setting("max_worker_processes setting"),
                max_wal_senders: lines.setting("max_wal_senders setting"),
                max_prepared_transactions: lines.setting("max_prepared_xacts setting"),
                max_locks_per_transaction: lines.setting("max_locks_per_xact setting"),
            },
        })
    }

    /// A server has it open, or was killed while it had: its state is not one of a stopped cluster.
    #[must_use]
    pub fn was_stopped_cleanly(&self) -> bool {
        matches!(self.state.as_str(), "shut down" | "shut down in recovery")
    }
}

struct Lines(BTreeMap<String, String>);

impl Lines {
    fn of(output: &str) -> Lines {
        let lines = output.lines().filter_map(|line| line.split_once(':'));
        Lines(lines.map(|(name, value)| (name.trim().to_owned(), text::clean(value.trim()))).collect())
    }

    fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn text(&self, name: &'static str) -> Result<&str, ControlDataError> {
        self.optional(name).ok_or(ControlDataError::Missing(name))
    }

    fn number<N: std::str::FromStr>(&self, name: &'static str) -> Result<N, ControlDataError> {
        let value = self.text(name)?;
        value.parse().map_err(|_| wrong(name, value))
    }

    fn position(&self, name: &'static str) -> Result<Lsn, ControlDataError> {
        let value = self.text(name)?;
        Lsn::parse(value).map_err(|_| wrong(name, value))
    }

    fn setting(&self, name: &str) -> Option<u32> {
        self.optional(name)?.parse().ok()
    }
}

fn wrong(name: &'static str, value: &str) -> ControlDataError {
    ControlDataError::Value { name, value: value.chars().take(80).collect() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a fixture that is not as expected has to fail the test")]

    use super::*;
    use proptest::prelude::*;

    const RUNNING: &str = include_str!("../../tests/fixtures/control_data/in-production-15.txt");

    #[test]
    fn reads_a_running_cluster_of_15() {
        let control = ControlData::parse(RUNNING).unwrap();
        assert_eq!(control.system_identifier, 7_711_018_952_962_440_857);
        assert_eq!((control.state.as_str(), control.timeline), ("in production", 1));
        assert_eq!(
            (control.checkpoint.to_string(), control.redo.to_string()),
            ("0/8000060".into(), "0/8000028".into())
        );
        assert_eq!((control.minimum_recovery, control.wal_segment_bytes), (None, 16 << 20));
        assert!(control.data_checksums && !control.was_stopped_cleanly());
        let settings = control.limits.settings();
        assert_eq!(settings.len(), 5);
        assert!(settings.contains(&("max_connections", 150)) && settings.contains(&("max_prepared_transactions", 0)));
    }

    #[test]
    fn an_older_version_has_fewer_limits() {
        let older: String = RUNNING
            .lines()
            .filter(|line| !line.starts_with("max_wal_senders"))
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(ControlData::parse(&older).unwrap().limits.max_wal_senders, None);
    }

    #[test]
    fn another_language_or_garbage_is_refused() {
        let german = RUNNING.replace("Database cluster state", "Datenbank-Cluster-Status");
        assert_eq!(ControlData::parse(&german), Err(ControlDataError::Missing("Database cluster state")));
        let broken = RUNNING.replace("7711018952962440857", "-1\u{1b}[2J");
        let message = ControlData::parse(&broken).unwrap_err().to_string();
        assert!(message.contains("Database system identifier") && !message.contains('\u{1b}'), "{message}");
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(output in "(\\PC{0,30}:? *\\PC{0,30}\n){0,10}") {
            prop_assert!(ControlData::parse(&output).is_err());
        }
    }
}
