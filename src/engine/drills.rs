//! Drills that came to an end on this host, read from the runs in the state directory.

use crate::domain::event::RunOutcome;
use crate::domain::inventory::{LastDrill, LastDrills, RepositoryKey, SetKey};
use crate::domain::label::BackupLabel;
use crate::domain::run::Run;
use crate::engine::store::{Store, StoreError};

/// The runbook whose runs are drills.
pub const DRILL: &str = "restore-drill";

/// A drill that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedDrill {
    /// The set that was drilled.
    pub set: SetKey,
    /// When and how it ended.
    pub drill: LastDrill,
}

/// All drills that ended, the latest first. A run whose journal can't be read tells nothing, and is passed over:
/// `lifeboat runs` names it.
///
/// # Errors
/// When the state directory can't be read.
pub fn finished(store: &Store) -> Result<Vec<FinishedDrill>, StoreError> {
    let loaded = store.runs()?.into_iter().filter_map(|folder| folder.load().ok());
    let mut drills: Vec<FinishedDrill> = loaded.filter_map(|(run, _, _)| drill_of(&run)).collect();
    drills.sort_by_key(|drill| std::cmp::Reverse(drill.drill.at));
    Ok(drills)
}

/// The last drill of each set, of `drills` with the latest first. One that a person aborted says nothing about the
/// set: it counts only where there is no other.
#[must_use]
pub fn last(drills: &[FinishedDrill]) -> LastDrills {
    let mut found = LastDrills::new();
    for FinishedDrill { set, drill } in drills {
        let better = found.get(set).is_none_or(|kept| is_aborted(kept) && !is_aborted(drill));
        if better {
            found.insert(set.clone(), drill.clone());
        }
    }
    found
}

fn is_aborted(drill: &LastDrill) -> bool {
    drill.verdict == "aborted"
}

fn drill_of(run: &Run) -> Option<FinishedDrill> {
    let (outcome, at) = run.ended.filter(|_| run.plan.runbook == DRILL)?;
    let parameter = |name: &str| run.plan.parameters.get(name);
    let set = SetKey {
        stanza: parameter("stanza")?.clone(),
        repository: RepositoryKey(parameter("repository")?.parse().ok()?),
        label: BackupLabel::parse(parameter("set")?).ok()?,
    };
    let verdict = match outcome {
        RunOutcome::Done => "done",
        RunOutcome::Failed => "failed",
        RunOutcome::Aborted => "aborted",
    };
    let depth = parameter("depth").cloned().unwrap_or_default();
    Some(FinishedDrill { set, drill: LastDrill { at: at.to_utc(), depth, verdict: verdict.to_owned() } })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
    use super::*;
    use chrono::{DateTime, Utc};

    fn drill(set: &str, minute: i64, verdict: &str) -> FinishedDrill {
        FinishedDrill {
            set: SetKey {
                stanza: "main".into(),
                repository: RepositoryKey(1),
                label: BackupLabel::parse(set).unwrap(),
            },
            drill: LastDrill {
                at: DateTime::<Utc>::from_timestamp(minute * 60, 0).unwrap(),
                depth: "rows".into(),
                verdict: verdict.into(),
            },
        }
    }

    #[test]
    fn the_latest_counts_unless_it_was_aborted() {
        let (one, two, three) = ("20261122-023822F", "20261123-023822F", "20261124-023822F");
        let drills = [
            drill(one, 9, "aborted"),
            drill(one, 8, "failed"),
            drill(one, 7, "done"),
            drill(two, 6, "done"),
            drill(two, 5, "aborted"),
            drill(three, 4, "aborted"),
            drill(three, 3, "aborted"),
        ];
        let last: Vec<(i64, String)> =
            last(&drills).into_values().map(|drill| (drill.at.timestamp() / 60, drill.verdict)).collect();
        assert_eq!(last, [(8, "failed".to_owned()), (6, "done".to_owned()), (4, "aborted".to_owned())]);
    }
}
