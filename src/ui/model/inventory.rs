//! What is known of the backups, and the rows of the selected stanza.

use crate::domain::inventory::{BackupSet, Known, KnownStanza, LastDrills, Repository, RepositoryKey, SetKey, Stanza};
use crate::engine::ground::Ground;
use crate::ui::model::{Cursor, contains};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A row of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// A repository's heading, by its place in the stanza.
    Repository(usize),
    /// A set, by the places of its repository and of itself.
    Set {
        /// The repository's.
        repository: usize,
        /// The set's.
        set: usize,
        /// It builds upon another one.
        is_member: bool,
        /// No other member of the same full set follows.
        is_last: bool,
    },
}

/// The inventory.
#[derive(Debug, Clone, Default)]
pub struct InventoryState {
    /// What was told last, the selected stanza whole.
    pub found: Option<Known>,
    /// It was kept from an earlier look: nothing was told since the console opened.
    pub is_kept: bool,
    /// The last drill of each set; `None` before the runs were read.
    pub drills: Option<LastDrills>,
    /// Why the last look told nothing.
    pub problem: Option<String>,
    /// A look is under way.
    pub is_looking: bool,
    /// The selected stanza's name.
    pub stanza: Option<String>,
    /// Only this repository.
    pub repository: Option<RepositoryKey>,
    /// Only sets that hold this text.
    pub filter: String,
    /// The rows of the selected stanza.
    pub rows: Vec<Row>,
    /// Where the cursor is.
    pub cursor: Cursor,
    /// The details that were asked for last.
    pub detail: Option<(SetKey, Result<BackupSet, String>)>,
    /// How far archives go, by stanza.
    pub grounds: BTreeMap<String, Ground>,
}

impl InventoryState {
    /// The selected stanza in short.
    #[must_use]
    pub fn selected(&self) -> Option<&KnownStanza> {
        let found = self.found.as_ref()?;
        self.stanza.as_ref().and_then(|name| found.stanza(name)).or_else(|| found.stanzas.first())
    }

    /// The selected stanza. None while it is being read.
    #[must_use]
    pub fn current_stanza(&self) -> Option<&Stanza> {
        self.selected()?.whole.as_deref()
    }

    /// The selected stanza's name, where it is not there whole.
    #[must_use]
    pub fn missing(&self) -> Option<&str> {
        self.selected().filter(|stanza| stanza.whole.is_none()).map(|stanza| stanza.name.as_str())
    }

    /// How far its archive goes.
    #[must_use]
    pub fn ground(&self) -> Option<&Ground> {
        self.grounds.get(&self.selected()?.name)
    }

    /// The set of a row.
    #[must_use]
    pub fn set(&self, row: Row) -> Option<(&Repository, &BackupSet)> {
        let Row::Set { repository, set, .. } = row else { return None };
        let repository = self.current_stanza()?.repositories.get(repository)?;
        Some((repository, repository.sets.get(set)?))
    }

    /// The repository of a row.
    #[must_use]
    pub fn repository_of(&self, row: Row) -> Option<&Repository> {
        let (Row::Repository(place) | Row::Set { repository: place, .. }) = row;
        self.current_stanza()?.repositories.get(place)
    }

    /// The row under the cursor.
    #[must_use]
    pub fn row(&self) -> Option<Row> {
        self.rows.get(self.cursor.at).copied()
    }

    /// The name of the set under the cursor.
    #[must_use]
    pub fn current_set(&self) -> Option<SetKey> {
        let (repository, set) = self.set(self.row()?)?;
        let stanza = self.current_stanza()?.name.clone();
        Some(SetKey { stanza, repository: repository.key, label: set.label() })
    }

    /// Whether there is any set to show.
    #[must_use]
    pub fn has_sets(&self) -> bool {
        self.found.as_ref().is_some_and(Known::has_sets)
    }

    /// Takes in an inventory.
    pub fn take(&mut self, found: Known) {
        let before = self.current_set();
        self.found = Some(found);
        self.lay_out_around(before);
    }

    /// Takes in a stanza of it.
    pub fn hold(&mut self, whole: Arc<Stanza>) {
        let before = self.current_set();
        if let Some(found) = &mut self.found {
            found.hold(whole);
        }
        self.lay_out_around(before);
    }

    /// Makes the rows anew; the cursor stays on its set, or goes to the newest.
    pub fn lay_out(&mut self) {
        self.lay_out_around(self.current_set());
    }

    fn lay_out_around(&mut self, before: Option<SetKey>) {
        let mut rows = Vec::new();
        for (place, repository) in
            self.current_stanza().iter().flat_map(|stanza| stanza.repositories.iter().enumerate())
        {
            if self.repository.is_some_and(|wanted| wanted != repository.key) {
                continue;
            }
            rows.push(Row::Repository(place));
            rows.extend(sets(place, repository, &self.filter));
        }
        self.rows = rows;
        let same = before.and_then(|wanted| {
            self.rows.iter().position(|row| {
                self.set(*row)
                    .is_some_and(|(repository, set)| (repository.key, set.label()) == (wanted.repository, wanted.label))
            })
        });
        self.cursor.at = same.or_else(|| self.newest()).unwrap_or(0);
    }

    /// The newest set of the first repository that has one.
    fn newest(&self) -> Option<usize> {
        let first = self.rows.iter().position(|row| matches!(row, Row::Set { .. }))?;
        let Some(Row::Set { repository: place, .. }) = self.rows.get(first) else { return None };
        let same = |row: &Row| matches!(row, Row::Set { repository, .. } if repository == place);
        self.rows.iter().rposition(same)
    }
}

fn sets(place: usize, repository: &Repository, filter: &str) -> Vec<Row> {
    let shown: Vec<(usize, &BackupSet)> = repository
        .sets
        .iter()
        .enumerate()
        .filter(|(_, set)| {
            filter.is_empty()
                || contains(&set.label().to_string(), filter)
                || set.annotations().any(|(name, text)| contains(name, filter) || contains(text, filter))
        })
        .collect();
    let mut rows = Vec::with_capacity(shown.len());
    for (index, (at, set)) in shown.iter().enumerate() {
        let full = set.label().full();
        let is_member = set.label() != full;
        let is_last = shown.get(index + 1).is_none_or(|(_, next)| next.label().full() != full);
        rows.push(Row::Set { repository: place, set: *at, is_member, is_last });
    }
    rows
}
