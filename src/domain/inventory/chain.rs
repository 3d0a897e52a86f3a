//! What a set depends on, and what depends on it.

use crate::domain::inventory::{BackupSet, Repository};
use crate::domain::label::BackupLabel;
use std::collections::BTreeSet;

/// A set and all it builds upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain<'a> {
    /// The sets from the full one to the one asked for; from behind the break where there is one.
    pub sets: Vec<&'a BackupSet>,
    /// The label of the set that is needed and not there: nothing of this chain can be restored.
    pub missing: Option<BackupLabel>,
}

/// A full set with all that are named after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family<'a> {
    /// The full set's label.
    pub label: BackupLabel,
    /// The full set; `None` when it is not there.
    pub full: Option<&'a BackupSet>,
    /// Differential and incremental sets, by label.
    pub members: Vec<&'a BackupSet>,
}

impl Repository {
    /// The set with this label and all it depends on, or `None` when it is not there.
    #[must_use]
    pub fn chain(&self, label: BackupLabel) -> Option<Chain<'_>> {
        let mut sets = vec![self.set(label)?];
        let mut missing = None;
        while let Some(prior) = sets.last().and_then(|set| needed_before(set)) {
            // A set builds upon an earlier one: labels grow. Anything else is damage, and would lead in a circle.
            let found = self.set(prior).filter(|found| sets.last().is_some_and(|set| found.label() < set.label()));
            match found {
                Some(set) => sets.push(set),
                None => {
                    missing = Some(prior);
                    break;
                }
            }
        }
        sets.reverse();
        Some(Chain { sets, missing })
    }

    /// The sets that are lost with this one, by label: all that build upon it, directly or not.
    #[must_use]
    pub fn dependents(&self, label: BackupLabel) -> Vec<&BackupSet> {
        let mut lost = BTreeSet::from([label]);
        let mut found = Vec::new();
        for set in &self.sets {
            if set.prior().is_some_and(|prior| lost.contains(&prior)) && lost.insert(set.label()) {
                found.push(set);
            }
        }
        found
    }

    /// All sets as they are shown: full sets in label order, each with the differential and incremental sets named
    /// after it.
    #[must_use]
    pub fn families(&self) -> Vec<Family<'_>> {
        let mut families: Vec<Family<'_>> = Vec::new();
        for set in &self.sets {
            let (label, full) = (set.label(), set.label().full());
            if families.last().is_none_or(|family| family.label != full) {
                families.push(Family { label: full, full: None, members: Vec::new() });
            }
            if let Some(family) = families.last_mut() {
                if label == full {
                    family.full = Some(set);
                } else {
                    family.members.push(set);
                }
            }
        }
        families
    }

    /// The sets that can't be restored because one they build upon is not there, with the label of that one.
    #[must_use]
    pub fn broken(&self) -> Vec<(&BackupSet, BackupLabel)> {
        let mut missing: std::collections::BTreeMap<BackupLabel, BackupLabel> = std::collections::BTreeMap::new();
        let mut found = Vec::new();
        // In label order, so that what a set builds upon has been judged before it.
        for set in &self.sets {
            let Some(prior) = needed_before(set) else { continue };
            let is_there = prior < set.label() && self.set(prior).is_some();
            let lost = if is_there { missing.get(&prior).copied() } else { Some(prior) };
            if let Some(lost) = lost {
                missing.insert(set.label(), lost);
                found.push((set, lost));
            }
        }
        found
    }
}

/// What must be there for a set; one that is not full and tells no prior set needs at least its full set.
fn needed_before(set: &BackupSet) -> Option<BackupLabel> {
    let label = set.label();
    set.prior().or_else(|| (label != label.full()).then(|| label.full()))
}
