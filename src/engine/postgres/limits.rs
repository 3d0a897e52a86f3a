//! How high the settings have to be that replay refuses to fall below.

use crate::domain::control_data::Limits;
use crate::engine::postgres::{PostgresError, PostgresPrograms};
use std::collections::BTreeMap;
use std::path::Path;

/// The greater of what the restored control file and production's say, as lines like those of `pg_controldata`
/// (`max_connections setting:  100`), and what there is to say about it.
///
/// A raise on the primary that is younger than the backup stands in WAL (`XLOG_PARAMETER_CHANGE`), and a server below it
/// stops replaying there (from 14 on it pauses, before it ends); production's control file has had the raise since its
/// restart. A production that can't be read, or is another cluster, is left out: then the backup's own limits are all that
/// is known.
///
/// # Errors
/// When the restored control file can't be read.
pub fn replay_limits(
    programs: &PostgresPrograms,
    restored: &Path,
    production: &Path,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, PostgresError> {
    let own = programs.control_data(restored, environment)?;
    let live = programs.control_data(production, environment);
    let mut remarks = Vec::new();
    let live = match live {
        Ok(live) if live.system_identifier == own.system_identifier => live.limits,
        Ok(_) => {
            remarks.push("production is another cluster: these are the limits of the backup alone".to_owned());
            Limits::default()
        }
        Err(error) => {
            remarks.push(format!("production can't be asked, these are the limits of the backup alone: {error}"));
            Limits::default()
        }
    };
    let greatest = greatest(own.limits, live);
    let raised = greatest.iter().filter(|(_, backup, greater)| greater > backup);
    remarks.extend(raised.map(|(name, backup, greater)| {
        format!("{name} was raised in production since the backup, from {backup} to {greater}")
    }));
    let lines = greatest.iter().map(|(name, _, greater)| format!("{name} setting:  {greater}"));
    Ok(lines.chain(remarks).collect())
}

/// Each setting's name, what the backup has, and the greater of both. A setting that a version does not know
/// (`max_wal_senders` before 12) gets PostgreSQL's own default.
fn greatest(backup: Limits, live: Limits) -> [(&'static str, u32, u32); 5] {
    let of = |name, backup: Option<u32>, live: Option<u32>, default: u32| {
        let backup = backup.unwrap_or(default);
        (name, backup, live.map_or(backup, |live| live.max(backup)))
    };
    [
        of("max_connections", backup.max_connections, live.max_connections, 100),
        of("max_worker_processes", backup.max_worker_processes, live.max_worker_processes, 8),
        of("max_wal_senders", backup.max_wal_senders, live.max_wal_senders, 10),
        of("max_prepared_transactions", backup.max_prepared_transactions, live.max_prepared_transactions, 0),
        of("max_locks_per_transaction", backup.max_locks_per_transaction, live.max_locks_per_transaction, 64),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_the_greater_of_both() {
        let backup = Limits { max_connections: Some(100), max_wal_senders: Some(10), ..Limits::default() };
        let live = Limits { max_connections: Some(40), max_wal_senders: Some(20), ..Limits::default() };
        let found = greatest(backup, live);
        assert_eq!(found[0], ("max_connections", 100, 100), "lowered since: the WAL of the backup needs more");
        assert_eq!(found[2], ("max_wal_senders", 10, 20));
        assert_eq!(found[4], ("max_locks_per_transaction", 64, 64));
        assert_eq!(greatest(backup, Limits::default())[2], ("max_wal_senders", 10, 10));
    }
}
