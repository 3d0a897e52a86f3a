//! Relations that were given other files.

use crate::domain::wal_reader::RelationFile;
use crate::planning::accident::names::{Names, RelationKind};

/// Files that a transaction made and removed, both in order.
#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) created: Vec<RelationFile>,
    pub(super) removed: Vec<RelationFile>,
    /// The new files are empty: TRUNCATE goes table by table, a rewrite leaves the old table for the end.
    pub(super) is_truncate: bool,
    /// Nothing was dropped: what was removed was made anew.
    pub(super) is_rewrite: bool,
}

impl Move {
    /// The old and the new file of each relation. Which of a rewrite's files are the table's is told by the names: of the
    /// new ones when going back, of the old one when going forward.
    pub(super) fn pairs(&self, names: &Names, is_back: bool) -> Vec<(RelationFile, RelationFile)> {
        if self.is_truncate && self.created.len() == self.removed.len() {
            return self.removed.iter().copied().zip(self.created.iter().copied()).collect();
        }
        let old = self.removed.last().copied();
        // Of a catalog's rewrite its own file is the first, and the old one goes last.
        let is_catalog = |file: &RelationFile| names.file(*file).is_some_and(|one| one.kind == RelationKind::Catalog);
        if let Some(new) = self.created.first().copied().filter(|new| is_back && self.is_rewrite && is_catalog(new)) {
            return old.map(|old| (old, new)).into_iter().collect();
        }
        // The rewrite of an empty table looks like a drop: going back, the new table's name tells.
        if !self.is_rewrite && !is_back {
            return Vec::new();
        }
        let is_table = |file: &RelationFile| names.file(*file).is_some_and(|one| one.kind == RelationKind::Table);
        let Some(old) = old else { return Vec::new() };
        let new = if is_back {
            let mut tables = self.created.iter().copied().filter(is_table);
            tables.next().filter(|_| tables.next().is_none())
        } else {
            // The table's own is made first; its large values and indexes get theirs behind it.
            self.created.first().copied().filter(|new| is_table(&old) && names.file(*new).is_none())
        };
        new.map(|new| (old, new)).into_iter().collect()
    }
}
