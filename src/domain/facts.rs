//! Facts: what was read from the machine, as opposed to what a person typed.
//!
//! An *identity* fact (system identifier, backup set, versions) is sealed: when it changes, what was
//! approved no longer describes what would happen. A *threshold* fact (free space) moves by nature:
//! only that it fell below its bound counts as a change, and only once: who approved it below its bound has seen it.

use crate::domain::text;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The unit of a threshold that is a size.
pub const BYTES: &str = "bytes";

/// A reading that may move, and the least value with which the work may go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// What was read, in `unit`.
    pub value: u64,
    /// The least value that is acceptable, in `unit`.
    pub least: u64,
    /// The unit of both, as shown: `bytes`, `segments`.
    pub unit: String,
}

impl Threshold {
    /// The reading for people: `63.2 GB`, `12 segments`.
    #[must_use]
    pub fn reading(&self) -> String {
        self.shown(self.value)
    }

    /// The bound for people, where there is one now: `at least 21.3 MB needed`.
    #[must_use]
    pub fn bound(&self) -> Option<String> {
        (self.least > 0).then(|| format!("at least {} needed", self.shown(self.least)))
    }

    /// Both: `63.2 GB, at least 21.3 MB needed`.
    #[must_use]
    pub fn words(&self) -> String {
        let bound = self.bound().map_or(String::new(), |bound| format!(", {bound}"));
        format!("{}{bound}", self.reading())
    }

    fn shown(&self, value: u64) -> String {
        if self.unit == BYTES { text::size(value) } else { format!("{value} {}", self.unit) }
    }
}

/// All facts that a plan rests on. Names are lower-case words joined by `-`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Sealed: any change is drift.
    pub identity: BTreeMap<String, String>,
    /// Not sealed: only falling below the bound is drift.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub thresholds: BTreeMap<String, Threshold>,
}

/// One difference between the facts that were approved and the facts as they are now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The fact's name.
    pub fact: String,
    /// What it was when it was approved; `None` when it was not known then.
    pub before: Option<String>,
    /// What it is now; `None` when it can't be read any more.
    pub now: Option<String>,
}

impl Facts {
    /// What differs between `self` (approved) and `now`, in the order of the names. A threshold counts
    /// when its reading is below its bound now and was not when it was approved, else the gate would open
    /// again after every answer; a reading that vanished counts too (fail closed).
    #[must_use]
    pub fn drift(&self, now: &Facts) -> Vec<Drift> {
        let mut found = Vec::new();
        let names: std::collections::BTreeSet<&String> = self.identity.keys().chain(now.identity.keys()).collect();
        for name in names {
            let (before, after) = (self.identity.get(name), now.identity.get(name));
            if before != after {
                found.push(Drift { fact: name.clone(), before: before.cloned(), now: after.cloned() });
            }
        }
        for (name, before) in &self.thresholds {
            let reading = now.thresholds.get(name);
            let was_below = before.value < before.least;
            if reading.is_none_or(|reading| reading.value < reading.least && !was_below) {
                found.push(Drift {
                    fact: name.clone(),
                    before: Some(before.reading()),
                    now: reading.map(Threshold::words),
                });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(set: &str, free: u64) -> Facts {
        let threshold = Threshold { value: free, least: 100, unit: "bytes".into() };
        Facts {
            identity: BTreeMap::from([("set".into(), set.into())]),
            thresholds: BTreeMap::from([("free".into(), threshold)]),
        }
    }

    #[test]
    fn a_changed_identity_is_drift_and_a_moving_reading_is_not() {
        assert_eq!(facts("a", 500).drift(&facts("a", 120)), vec![]);
        let drift = facts("a", 500).drift(&facts("b", 500));
        assert_eq!(drift.len(), 1);
        assert_eq!((drift[0].before.as_deref(), drift[0].now.as_deref()), (Some("a"), Some("b")));
    }

    #[test]
    fn a_reading_below_its_bound_or_gone_is_drift() {
        assert_eq!(facts("a", 500).drift(&facts("a", 99)).len(), 1);
        // Shown at the gate as it is and approved all the same: that is no news, and the gate does not open again.
        assert_eq!(facts("a", 99).drift(&facts("a", 98)), vec![]);
        assert_eq!(facts("a", 99).drift(&facts("a", 200)), vec![]);
        let mut gone = facts("a", 500);
        gone.thresholds.clear();
        assert_eq!(facts("a", 500).drift(&gone).len(), 1);
        gone.identity.clear();
        assert_eq!(facts("a", 500).drift(&gone)[1].now, None);
    }
}
