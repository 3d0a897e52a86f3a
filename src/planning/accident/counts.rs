//! Rows counted by what happened to them.

use crate::domain::wal_reader::{Change, ChangeKind};
use serde::{Deserialize, Serialize};

/// How many rows were changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Inserted.
    pub inserted: u64,
    /// Updated, those that an update moved to another partition too.
    pub updated: u64,
    /// Deleted.
    pub deleted: u64,
}

impl Counts {
    /// Counts a change.
    pub fn change(&mut self, kind: ChangeKind, rows: u32) {
        let rows = u64::from(rows);
        match kind {
            ChangeKind::Insert => self.inserted += rows,
            ChangeKind::Update | ChangeKind::MovedAway => self.updated += rows,
            ChangeKind::Delete => self.deleted += rows,
            // The row never was: its insertion was counted before.
            ChangeKind::InsertTakenBack => self.inserted = self.inserted.saturating_sub(rows),
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: Counts) {
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.deleted += other.deleted;
    }

    /// Rows changed in any way.
    #[must_use]
    pub fn rows(self) -> u64 {
        self.inserted + self.updated + self.deleted
    }
}

/// What a transaction did to one relation file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Touched {
    /// Rows.
    pub counts: Counts,
    /// Pages that were written as a whole, as a rewrite or the building of an index does.
    pub pages: u64,
    /// The lowest block with an updated or deleted row; meaningless without one.
    pub first_block: u32,
    /// The highest such block.
    pub last_block: u32,
    /// How often the next such row was in another block: the number of blocks where they came in order.
    pub block_steps: u32,
    current_block: Option<u32>,
}

impl Touched {
    /// Counts a change.
    pub fn change(&mut self, change: &Change) {
        self.counts.change(change.kind, change.rows);
        if matches!(change.kind, ChangeKind::Insert | ChangeKind::InsertTakenBack) {
            return;
        }
        if self.current_block.is_none() {
            (self.first_block, self.last_block) = (change.block, change.block);
        }
        if self.current_block != Some(change.block) {
            self.block_steps = self.block_steps.saturating_add(1);
            self.current_block = Some(change.block);
        }
        self.first_block = self.first_block.min(change.block);
        self.last_block = self.last_block.max(change.block);
    }

    /// Adds what a subtransaction did to the same file.
    pub fn add(&mut self, other: &Touched) {
        if self.current_block.is_none() {
            (self.first_block, self.last_block) = (other.first_block, other.last_block);
        } else if other.current_block.is_some() {
            self.first_block = self.first_block.min(other.first_block);
            self.last_block = self.last_block.max(other.last_block);
        }
        self.current_block = self.current_block.or(other.current_block);
        self.counts.add(other.counts);
        self.pages += other.pages;
        self.block_steps = self.block_steps.saturating_add(other.block_steps);
    }

    /// Whether rows were updated or deleted in nearly every block from the first of the relation to the last one
    /// touched, three blocks at least: what a statement without a condition does. It says nothing of what lies behind
    /// that.
    #[must_use]
    pub fn goes_over_all(&self) -> bool {
        let blocks = u64::from(self.last_block) + 1;
        self.current_block.is_some()
            && self.first_block == 0
            && blocks >= 3
            && u64::from(self.block_steps) * 10 >= blocks * 9
    }
}
