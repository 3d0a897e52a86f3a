//! What a run has left on this host: the directory of its own, the server that stays in it, the cluster it kept.

use crate::domain::event::RunId;
use crate::domain::run::Run;
use crate::domain::text::clean;
use crate::engine::drill_directory::{self, DrillDirectory};
use crate::engine::kept::{self, KeptState, RECORD, Record};
use crate::engine::postgres::{LiveState, server_is_live};
use crate::engine::store::Store;
use chrono::{DateTime, TimeDelta, Utc};
use std::path::{Path, PathBuf};

/// The parameters that name the places.
const DIRECTORY: &str = "directory";
const DATA_DIRECTORY: &str = "data-directory";
/// What the steps of a recovery in place captured: where the old cluster was kept, or was going to be.
const RECORD_VALUE: &str = "keep.record";
const KEPT_VALUE: &str = "room.kept";

/// What is there of a run.
#[derive(Debug, Clone, Default)]
pub struct Leftovers {
    /// The directory of its own, where it is there. Its mark is not looked at yet: removing it does that.
    pub directory: Option<PathBuf>,
    /// The server that runs in it.
    pub server: Option<Server>,
    /// The cluster it kept, or what was put aside when that came back.
    pub kept: Option<Kept>,
}

/// A server that stays in a run's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Its process.
    pub pid: u32,
    /// The directory of its socket, cleaned.
    pub socket_directory: String,
    /// Its port.
    pub port: Option<u16>,
}

/// A kept cluster.
#[derive(Debug, Clone)]
pub struct Kept {
    /// The directory with the record.
    pub home: PathBuf,
    /// The record; `None` before anything was moved. Else why it can't be read.
    pub record: Result<Option<Record>, String>,
}

impl Leftovers {
    /// Looks; changes nothing.
    #[must_use]
    pub fn of(run: &Run) -> Leftovers {
        let own = run.plan.parameters.get(DIRECTORY).map(PathBuf::from).filter(|path| path.is_absolute());
        let directory = own.filter(|path| path.symlink_metadata().is_ok());
        let server = directory.as_deref().filter(|path| drill_directory::is_marked(&run.id, path)).and_then(server_in);
        let kept = homes(run).into_iter().find(|home| home.symlink_metadata().is_ok()).map(|home| {
            let record = kept::read_record(&run.id, &home).map_err(|error| clean(&error.to_string()));
            Kept { home, record }
        });
        Leftovers { directory, server, kept }
    }

    /// What can be told of it for certain, for lists: what carries the run's mark.
    #[must_use]
    pub fn marked(&self, run: &RunId) -> Vec<&Path> {
        let own = self.directory.as_deref().filter(|path| drill_directory::is_marked(run, path));
        let kept = self.kept.as_ref().map(|kept| kept.home.as_path());
        own.into_iter().chain(kept.filter(|path| drill_directory::is_marked(run, path))).collect()
    }
}

impl Kept {
    /// It was kept less than a day ago: who removes it is asked twice. Without a record nobody can tell, so it counts as new.
    #[must_use]
    pub fn is_new(&self, now: DateTime<Utc>) -> bool {
        match &self.record {
            Ok(Some(record)) => now.signed_duration_since(record.began) < TimeDelta::days(1),
            _ => true,
        }
    }
}

/// The newest record of a cluster that was kept of `data_directory` and is not back in its place, wherever it was kept:
/// beside it, or where a run of this store has put it (another file system).
#[must_use]
pub fn newest_kept(store: Option<&Store>, data_directory: &Path) -> Option<PathBuf> {
    let beside = kept::newest_record(data_directory);
    let folders = store.and_then(|store| store.runs().ok()).unwrap_or_default();
    let runs = folders.iter().filter_map(|folder| Some(folder.load().ok()?.0));
    let elsewhere =
        runs.filter(|run| run.plan.parameters.get(DATA_DIRECTORY).is_some_and(|own| Path::new(own) == data_directory));
    let elsewhere = elsewhere.filter_map(|run| {
        let home = homes(&run).into_iter().find(|home| home.symlink_metadata().is_ok())?;
        Some((run.id, home))
    });
    let own = beside.iter().filter_map(|record| Some((kept::run_of(record).ok()?, record.parent()?.to_owned())));
    let records = own.chain(elsewhere).filter_map(|(run, home)| {
        let record = kept::read_record(&run, &home).ok()??;
        let is_of_it = record.data_directory == data_directory && record.state != KeptState::PutBack;
        is_of_it.then(|| (record.began, home.join(RECORD)))
    });
    records.max_by_key(|(began, _)| *began).map(|(_, record)| record)
}

fn server_in(directory: &Path) -> Option<Server> {
    match server_is_live(&DrillDirectory::at(directory).data()) {
        Ok(LiveState::Running { pid, port, socket_directory, .. }) => {
            Some(Server { pid, port, socket_directory: socket_directory.unwrap_or_default() })
        }
        _ => None,
    }
}

/// Where the old cluster can have been kept, the surest first.
fn homes(run: &Run) -> Vec<PathBuf> {
    let value = |name: &str| run.values.get(name).or_else(|| run.before.get(name)).map(PathBuf::from);
    let record = value(RECORD_VALUE).filter(|path| path.file_name() == Some(RECORD.as_ref()));
    let record = record.and_then(|path| path.parent().map(Path::to_owned));
    let planned = value(KEPT_VALUE);
    let beside = run.plan.parameters.get(DATA_DIRECTORY).map(|path| kept::home_of(&run.id, Path::new(path)));
    // a runbook without a step that keeps has nothing beside the data directory, and its mark would not be there
    [record, planned, beside].into_iter().flatten().filter(|path| path.is_absolute()).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_cluster_without_a_readable_record_counts_as_kept_just_now() {
        let now = "2026-11-22T20:00:00Z".parse().unwrap();
        for record in [Ok(None), Err("damaged".to_owned())] {
            assert!(Kept { home: "/srv/main.kept-7Q2K9XAB".into(), record }.is_new(now));
        }
    }
}
