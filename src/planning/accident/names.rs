//! What relation files are called, and how many rows they hold.

use crate::domain::catalog_memory::{CatalogMemory, Relation};
use crate::domain::wal_reader::RelationFile;
use crate::planning::accident::committed::Committed;
use chrono::{DateTime, Utc};
use std::collections::{BTreeSet, HashMap};

/// The first oid that a user's object can have (`FirstNormalObjectId`, `access/transam.h`).
const FIRST_USER_OID: u32 = 16384;

/// What kind of relation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RelationKind {
    /// A table, a partition or a materialized view.
    Table,
    /// Large values of a table, out of line.
    Toast,
    /// An index.
    Index,
    /// A sequence.
    Sequence,
    /// A system catalog or part of one.
    Catalog,
}

/// When rows were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// After everything in the WAL that is read: by the live server.
    After,
    /// Before it: what a catalog kept earlier says, or statistics that the server hasn't renewed.
    Before,
}

/// A relation with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelationName {
    /// Its oid: it stays where the file number changes.
    pub oid: u32,
    /// Its schema, cleaned.
    pub schema: String,
    /// Its name, cleaned.
    pub name: String,
    /// What it is.
    pub kind: RelationKind,
    /// How many rows it holds, about.
    pub rows: Option<u64>,
    /// When they were counted.
    pub counted: Counted,
    /// How many the last VACUUM or ANALYZE estimated, whenever that was; `None` before the first.
    pub estimated: Option<u64>,
    /// Its size in bytes as of the last VACUUM or ANALYZE, where that is known.
    pub bytes: Option<u64>,
    /// When it was last seen so, where that is remembered and no live catalog said it.
    pub remembered: Option<DateTime<Utc>>,
}

impl RelationName {
    /// As a person says it: without `public`.
    #[must_use]
    pub fn show(&self) -> String {
        if self.schema == "public" { self.name.clone() } else { format!("{}.{}", self.schema, self.name) }
    }
}

/// Names by database and file number, and by database and oid.
#[derive(Debug, Clone, Default)]
pub struct Names {
    databases: HashMap<u32, String>,
    by_file: HashMap<(u32, u32), RelationName>,
    file_of_oid: HashMap<(u32, u32), u32>,
    /// Files in which the WAL itself shows catalogs, with the catalog's oid where that is known too.
    catalogs: HashMap<(u32, u32), Option<u32>>,
}

/// Files of catalogs that are known so: every rewrite of all catalogs of a database gives some hundred.
const MOST_CATALOG_FILES: usize = 50_000;

impl Names {
    /// Adds a database.
    pub fn add_database(&mut self, oid: u32, name: String) {
        self.databases.insert(oid, name);
    }

    /// Adds a relation of a database by its present file number.
    pub fn add(&mut self, database: u32, file: u32, relation: RelationName) {
        self.file_of_oid.insert((database, relation.oid), file);
        self.by_file.insert((database, file), relation);
    }

    /// Adds what is remembered of the files and databases that are not known yet, as it was at a time. Returns how many
    /// files that were.
    pub fn add_remembered(&mut self, memory: &CatalogMemory, at: DateTime<Utc>) -> usize {
        let mut added = 0;
        for (key, seen) in memory.all_at(at) {
            let relation = &seen.relation;
            if key.database != 0 && !relation.database_name.is_empty() {
                self.databases.entry(key.database).or_insert_with(|| relation.database_name.clone());
            }
            self.by_file.entry((key.database, key.file)).or_insert_with(|| {
                added += 1;
                RelationName {
                    oid: relation.oid,
                    schema: relation.schema.clone(),
                    name: relation.name.clone(),
                    kind: kind_of(relation),
                    rows: None,
                    counted: Counted::Before,
                    estimated: relation.rows,
                    bytes: Some(relation.bytes),
                    remembered: Some(seen.last),
                }
            });
            // The live catalog's own file stays; of several remembered ones the newest name counts.
            let file = self.file_of_oid.entry((key.database, relation.oid)).or_insert(key.file);
            let known = self.by_file.get(&(key.database, *file)).and_then(|known| known.remembered);
            if known.is_some_and(|known| known < seen.last) {
                *file = key.file;
            }
        }
        added
    }

    /// Adds the file in which a relation lay before, or lies since; what is known of that file already stays.
    pub(crate) fn follow(&mut self, known: RelationFile, other: RelationFile) {
        if let Some(relation) = self.file(known).cloned() {
            self.by_file.entry((other.database, other.number)).or_insert(relation);
        }
    }

    /// Notes what a commit tells of where catalogs lie: by their map, and since the rewrite of a catalog makes files of the
    /// same one.
    pub(super) fn note_catalogs(&mut self, committed: &Committed, is_rewrite: bool) {
        let of = |file: &RelationFile| (file.database, file.number);
        // What is rewritten is left at last.
        if is_rewrite
            && let Some(old) = committed.removed.last()
            && self.kind(*old) == RelationKind::Catalog
        {
            let oid = self.catalog(*old);
            let room = MOST_CATALOG_FILES.saturating_sub(self.catalogs.len());
            for (place, file) in committed.created.iter().enumerate().take(room) {
                self.catalogs.entry(of(file)).or_insert(oid.filter(|_| place == 0));
            }
        }
        for (oid, file) in committed.mapped.iter().filter(|(_, file)| file.database != 0) {
            self.catalogs.insert(of(file), Some(*oid));
        }
    }

    /// The oid of the catalog in a file: by its name, by what the WAL showed, else by the number with which it began.
    pub(super) fn catalog(&self, file: RelationFile) -> Option<u32> {
        match self.file(file) {
            Some(relation) => (relation.kind == RelationKind::Catalog).then_some(relation.oid),
            None if file.number < FIRST_USER_OID => Some(file.number),
            None => self.catalogs.get(&(file.database, file.number)).copied().flatten(),
        }
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_file.is_empty()
    }

    /// The relation in a file.
    #[must_use]
    pub fn file(&self, file: RelationFile) -> Option<&RelationName> {
        self.by_file.get(&(file.database, file.number))
    }

    /// The relation with an oid.
    #[must_use]
    pub fn oid(&self, database: u32, oid: u32) -> Option<&RelationName> {
        let file = self.file_of_oid.get(&(database, oid))?;
        self.by_file.get(&(database, *file))
    }

    /// A database's name; its oid where that isn't known.
    #[must_use]
    pub fn database(&self, oid: u32) -> String {
        self.databases.get(&oid).cloned().unwrap_or_else(|| format!("database {oid}"))
    }

    /// What kind of relation a file is. Where no name is known, its number tells catalogs from what users made.
    #[must_use]
    pub fn kind(&self, file: RelationFile) -> RelationKind {
        match self.file(file) {
            Some(relation) => relation.kind,
            None if file.number < FIRST_USER_OID || file.database == 0 => RelationKind::Catalog,
            None if self.catalogs.contains_key(&(file.database, file.number)) => RelationKind::Catalog,
            None => RelationKind::Table,
        }
    }

    /// How large a file is, as far as that is known.
    #[must_use]
    pub fn bytes(&self, file: RelationFile) -> Option<u64> {
        self.file(file)?.bytes
    }

    /// A file's relation as a person says it, or the file itself.
    #[must_use]
    pub fn show(&self, file: RelationFile) -> String {
        self.file(file).map_or_else(|| format!("relation file {file}"), RelationName::show)
    }

    /// Locked relations as a person says them, by database and oid: a table's indexes and large values go with it.
    pub(super) fn locked(&self, locked: impl IntoIterator<Item = (u32, u32)>) -> Vec<String> {
        let is_part = |(database, oid): &(u32, u32)| {
            let kind = self.oid(*database, *oid).map(|relation| relation.kind);
            matches!(kind, Some(RelationKind::Index | RelationKind::Toast | RelationKind::Sequence))
        };
        let locked: Vec<(u32, u32)> = locked.into_iter().filter(|lock| !is_part(lock)).collect();
        let databases: BTreeSet<u32> = locked.iter().map(|(database, _)| *database).collect();
        let show = |(database, oid)| self.beside(self.show_oid(database, oid), database, &databases);
        let shown: BTreeSet<String> = locked.into_iter().map(show).collect();
        shown.into_iter().collect()
    }

    /// What is shown, with its database where others stand beside it: a table of that name may be in each.
    pub(super) fn beside(&self, shown: String, database: u32, databases: &BTreeSet<u32>) -> String {
        if databases.len() > 1 { format!("{shown} in {}", self.database(database)) } else { shown }
    }

    /// A relation by its oid as a person says it, or the oid itself.
    #[must_use]
    pub fn show_oid(&self, database: u32, oid: u32) -> String {
        self.oid(database, oid).map_or_else(|| format!("relation with oid {oid}"), RelationName::show)
    }
}

/// What a remembered relation is, by the letter of its kind.
fn kind_of(relation: &Relation) -> RelationKind {
    let is_catalog_toast = || {
        let number = relation.name.strip_prefix("pg_toast_").map(|rest| rest.trim_end_matches("_index"));
        number.and_then(|number| number.parse::<u32>().ok()).is_some_and(|owner| owner < FIRST_USER_OID)
    };
    match relation.kind {
        _ if relation.oid < FIRST_USER_OID
            || matches!(relation.schema.as_str(), "pg_catalog" | "information_schema")
            || is_catalog_toast() =>
        {
            RelationKind::Catalog
        }
        't' => RelationKind::Toast,
        'i' => RelationKind::Index,
        'S' => RelationKind::Sequence,
        _ => RelationKind::Table,
    }
}
