//! What a run writes to, locked while its runner lives: two runs never work in one directory.

use super::RunnerError;
use crate::domain::event::RunId;
use crate::domain::plan::{Plan, Step};
use crate::domain::run::Run;
use crate::engine::facts::PRODUCTION;
use crate::engine::store::{RunFolder, Store, StoreError, TargetKind, TargetLock};
use std::path::{Path, PathBuf};

/// The parameter by which a restoring runbook names the directory of its own.
const DIRECTORY: &str = "directory";
/// The parameter by which a runbook names a data directory that it works in; without it production's counts.
const DATA_DIRECTORY: &str = "data-directory";

/// What a plan writes to: the directory of its own, and the data directory if one of its destructive steps names it. A plan
/// that only reads production, as a drill does, does not write to it.
#[must_use]
pub fn of(plan: &Plan) -> Vec<(TargetKind, PathBuf)> {
    let own = plan.parameters.get(DIRECTORY).map(|path| (TargetKind::DrillDirectory, PathBuf::from(path)));
    let data = plan.parameters.get(DATA_DIRECTORY).or_else(|| plan.facts.identity.get(PRODUCTION));
    let data = data.map(PathBuf::from).filter(|path| plan.steps.iter().any(|step| writes_to(step, path)));
    let found = own.into_iter().chain(data.map(|path| (TargetKind::DataDirectory, path)));
    found.filter(|(_, path)| path.is_absolute() && path.parent().is_some()).collect()
}

/// Whether a step can't be undone and names this directory, or something in it: `DIR`, `DIR/…`, `--option=DIR`.
fn writes_to(step: &Step, directory: &Path) -> bool {
    let command = step.kind.command().filter(|_| step.destructive && step.ruled_out.is_none());
    command.is_some_and(|command| {
        command.argv.iter().filter_map(|argument| argument.resolved()).any(|word| {
            let value =
                word.split_once('=').filter(|(name, _)| name.starts_with('-')).map_or(&*word, |(_, value)| value);
            Path::new(value).starts_with(directory)
        })
    })
}

/// Locks all of `plan`'s targets, or none.
///
/// # Errors
/// [`RunnerError::TargetHeld`] when another run works there, with that run's name; what the lock itself says.
pub fn lock(store: &Store, plan: &Plan) -> Result<Vec<TargetLock>, RunnerError> {
    let one = |(kind, path): (TargetKind, PathBuf)| {
        store.lock_target(kind, &path)?.ok_or_else(|| {
            let holder = holder(store, kind, &path);
            RunnerError::TargetHeld { holder, kind, path }
        })
    };
    of(plan).into_iter().map(one).collect()
}

/// Whether a run of `plan` may be begun: nobody else works in its targets, and no run that has not ended has changed the data
/// directory. Such a run may have lost its runner while its restore goes on.
///
/// # Errors
/// As [`lock`].
pub fn may_begin(store: &Store, plan: &Plan) -> Result<(), RunnerError> {
    for (kind, path) in of(plan).into_iter().filter(|(kind, _)| *kind == TargetKind::DataDirectory) {
        let began = |run: &Run| run.each().any(|(step, state)| state.attempt > 0 && writes_to(step, &path));
        if let Some(run) = unfinished(store).find(|(_, run)| works_in(run, kind, &path) && began(run)) {
            return Err(RunnerError::TargetHeld { holder: Some(run.1.id), kind, path });
        }
    }
    lock(store, plan).map(drop)
}

/// The run that works in a directory: one whose runner lives and whose plan names the same place.
fn holder(store: &Store, kind: TargetKind, path: &Path) -> Option<RunId> {
    alive(store).find(|run| works_in(run, kind, path)).map(|run| run.id)
}

fn works_in(run: &Run, kind: TargetKind, path: &Path) -> bool {
    let same = |found: &Path| found == path || canonical(found).is_some_and(|found| canonical(path) == Some(found));
    of(&run.plan).iter().any(|(other, found)| *other == kind && same(found))
}

fn canonical(path: &Path) -> Option<PathBuf> {
    path.canonicalize().ok()
}

/// The runs that go on.
fn alive(store: &Store) -> impl Iterator<Item = Run> {
    unfinished(store).filter(|(folder, _)| folder.is_runner_alive().unwrap_or(false)).map(|(_, run)| run)
}

/// The runs that have not ended, whether somebody goes on with them or not.
fn unfinished(store: &Store) -> impl Iterator<Item = (RunFolder, Run)> {
    let loaded = store.runs().unwrap_or_default().into_iter().filter_map(|folder| {
        let (run, _, _) = folder.load().ok()?;
        Some((folder, run))
    });
    loaded.filter(|(_, run)| run.ended.is_none())
}

/// The drills of the same stanza that go on, where `plan` writes to a data directory: they take the disk and the repository
/// from a recovery that is in a hurry, and can be begun again later.
#[must_use]
pub fn in_the_way(store: &Store, plan: &Plan) -> Vec<RunId> {
    let in_place = |plan: &Plan| of(plan).iter().any(|(kind, _)| *kind == TargetKind::DataDirectory);
    if !in_place(plan) {
        return Vec::new();
    }
    let stanza = plan.parameters.get("stanza").or_else(|| plan.facts.identity.get("stanza"));
    let same = |run: &Run| run.plan.parameters.get("stanza") == stanza;
    alive(store).filter(|run| same(run) && !in_place(&run.plan)).map(|run| run.id).collect()
}

/// Why two runs can't work in one directory, and what to do.
pub(super) fn held(holder: Option<&RunId>, kind: TargetKind, path: &Path) -> String {
    let (who, end) = match holder {
        Some(run) => {
            (format!("run {run} works in"), format!("`lifeboat attach {run}` shows it, `lifeboat abort {run}` ends it"))
        }
        None => ("another run works in".to_owned(), "`lifeboat runs` lists them, `lifeboat abort` ends one".to_owned()),
    };
    let other = match kind {
        TargetKind::DrillDirectory => ", or name another directory with -p directory=…",
        TargetKind::DataDirectory => "",
    };
    format!(
        "{who} {}, and two in one directory would destroy each other's work: wait for its end ({end}){other}",
        path.display()
    )
}

/// The state directory that a run's folder lies in: `STATE/runs/RUN`.
pub(super) fn store_of(folder: &RunFolder) -> Result<Store, RunnerError> {
    let root = folder.path.parent().and_then(Path::parent).unwrap_or(Path::new("/"));
    let missing = || StoreError::NoSuchRun { id: folder.id.clone(), root: root.to_owned() };
    Store::existing(root)?.ok_or_else(|| missing().into())
}
