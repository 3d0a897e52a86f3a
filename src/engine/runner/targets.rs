//! What a run writes to, locked while its runner lives: two runs never work in one directory.

use super::RunnerError;
use crate::domain::plan::Plan;
use crate::engine::store::{RunFolder, Store, StoreError, TargetKind, TargetLock};
use std::path::{Path, PathBuf};

/// The parameter by which a restoring runbook names the directory of its own.
const DIRECTORY: &str = "directory";

/// What a plan writes to.
#[must_use]
pub fn of(plan: &Plan) -> Vec<(TargetKind, PathBuf)> {
    let directory = plan.parameters.get(DIRECTORY).map(PathBuf::from);
    directory.filter(|path| path.is_absolute()).map(|path| (TargetKind::DrillDirectory, path)).into_iter().collect()
}

/// Locks all of `plan`'s targets, or none.
///
/// # Errors
/// [`RunnerError::TargetHeld`] when another run works there; what the lock itself says.
pub fn lock(store: &Store, plan: &Plan) -> Result<Vec<TargetLock>, RunnerError> {
    of(plan)
        .into_iter()
        .map(|(kind, path)| store.lock_target(kind, &path)?.ok_or(RunnerError::TargetHeld(path)))
        .collect()
}

/// The state directory that a run's folder lies in: `STATE/runs/RUN`.
pub(super) fn store_of(folder: &RunFolder) -> Result<Store, RunnerError> {
    let root = folder.path.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let missing = || StoreError::NoSuchRun { id: folder.id.clone(), root: root.to_owned() };
    Store::existing(root)?.ok_or_else(|| missing().into())
}
