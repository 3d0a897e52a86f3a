//! A transaction that may be an accident, and what was committed around it.

use crate::domain::lsn::Lsn;
use crate::domain::wal_reader::{PgTime, RelationFile};
use crate::planning::accident::committed::Committed;
use crate::planning::accident::counts::Counts;
use crate::planning::accident::damage::Damage;
use crate::planning::accident::held::Locked;
use crate::planning::accident::maintenance::is_maintenance;
use crate::planning::accident::names::{Names, RelationKind};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Tables that are counted by name between two candidates; commits and rows of others are counted all the same.
pub(super) const MOST_TABLES: usize = 2_000;

/// Rows and commits.
#[derive(Debug, Clone, Default)]
pub(super) struct Aftermath {
    pub(super) commits: u64,
    /// Of them those that are ANALYZE's or VACUUM's alone.
    pub(super) upkeep: u64,
    pub(super) tables: BTreeMap<RelationFile, Counts>,
    /// Of further tables.
    pub(super) others: Counts,
}

impl Aftermath {
    /// Counts a commit; of tables that are new here at most `room`. Returns how many those are.
    pub(super) fn add_commit(&mut self, committed: &Committed, names: &Names, room: usize) -> usize {
        self.commits += 1;
        self.upkeep += u64::from(is_maintenance(committed, names));
        let (before, most) = (self.tables.len(), MOST_TABLES.min(self.tables.len().saturating_add(room)));
        for (file, touched) in &committed.touched {
            if touched.counts.rows() > 0 && names.kind(*file) == RelationKind::Table {
                self.add_rows(*file, touched.counts, most);
            }
        }
        self.tables.len() - before
    }

    fn add_rows(&mut self, file: RelationFile, counts: Counts, most: usize) {
        if self.tables.len() < most || self.tables.contains_key(&file) {
            self.tables.entry(file).or_default().add(counts);
        } else {
            self.others.add(counts);
        }
    }

    pub(super) fn add(&mut self, other: &Aftermath) {
        self.commits += other.commits;
        self.upkeep += other.upkeep;
        self.others.add(other.others);
        other.tables.iter().for_each(|(file, counts)| self.add_rows(*file, *counts, MOST_TABLES));
    }
}

/// A transaction that may be an accident.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) committed: Committed,
    pub(super) damage: Damage,
    /// Where recovery stops right before it.
    pub(super) target: Lsn,
    /// The last commit before that.
    pub(super) kept: Option<Kept>,
    /// Commits of ANALYZE and VACUUM between that and its own.
    pub(super) upkeep: u64,
    /// What is locked there.
    pub(super) locked: Locked,
    /// What was committed after it and before the next candidate.
    pub(super) after: Aftermath,
    pub(super) weight: u64,
}

impl Candidate {
    /// The same without rows of what turned out to be catalogs.
    pub(super) fn settled(&self, names: &Names) -> Cow<'_, Candidate> {
        let is_table = |file: RelationFile| names.kind(file) == RelationKind::Table;
        if self.damage.rows.iter().all(|(file, _)| is_table(*file)) {
            return Cow::Borrowed(self);
        }
        let mut settled = self.clone();
        settled.damage.rows.retain(|(file, _)| is_table(*file));
        Cow::Owned(settled)
    }

    /// How many files it names.
    pub(super) fn files(&self) -> usize {
        let locked = self.locked.until_promotion.len() + self.locked.prepared.len();
        self.committed.touched.len() + self.damage.rows.len() + self.damage.dropped_files.len() + locked
    }
}

/// A commit that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) xid: u32,
    pub(super) time: PgTime,
    pub(super) start: Lsn,
    pub(super) end: Lsn,
}
