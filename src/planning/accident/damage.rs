//! What a committed transaction destroyed, as far as the WAL tells: rows are counted; removed files are told apart from
//! rewritten ones by what the transaction did to the catalogs and to the files that it made.

use crate::domain::wal_reader::RelationFile;
use crate::planning::accident::committed::Committed;
use crate::planning::accident::counts::{Counts, Touched};
use crate::planning::accident::gone::Gone;
use crate::planning::accident::names::{Names, RelationKind};

/// Oids of `pg_class` and the like, and their file numbers as every database begins with: a VACUUM FULL gives them others.
const PG_CLASS: u32 = 1259;
const PG_TYPE: u32 = 1247;
const PG_ATTRIBUTE: u32 = 1249;

/// What a transaction destroyed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Damage {
    /// Rows by file of the tables that users made.
    pub(super) rows: Vec<(RelationFile, Touched)>,
    /// Tables that were truncated.
    pub(super) truncated: Vec<Emptied>,
    /// Tables that were dropped, at least.
    pub(super) dropped_tables: u64,
    /// The files that went with them, indexes and large values too.
    pub(super) dropped_files: Vec<RelationFile>,
    /// Databases that were dropped.
    pub(super) dropped_databases: Vec<u32>,
    /// Files that were removed and made anew with content: a rewrite, or an index built again.
    pub(super) rewritten: bool,
}

/// A table that was emptied by new files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Emptied {
    /// Its new file, and its old one where that can be told.
    pub(super) new: Option<RelationFile>,
    pub(super) old: Option<RelationFile>,
    /// Its oid, where `wal_level` is `logical`.
    pub(super) oid: Option<(u32, u32)>,
    /// Rows that the same transaction filled it with again.
    pub(super) refilled: u64,
}

impl Damage {
    /// Keeps at most so many of each kind of file.
    pub(super) fn shorten(&mut self, most: usize) {
        self.rows.truncate(most);
        self.rows.shrink_to_fit();
        self.truncated.truncate(most);
        self.truncated.shrink_to_fit();
        self.dropped_files.truncate(most);
        self.dropped_files.shrink_to_fit();
    }

    /// Whether there is anything of it.
    pub(super) fn is_any(&self) -> bool {
        !self.dropped_databases.is_empty()
            || self.dropped_tables > 0
            || !self.truncated.is_empty()
            || self.rows.iter().any(|(_, touched)| touched.counts.deleted + touched.counts.updated > 0)
    }
}

/// Looks at what a transaction did. `names` may know nothing.
pub(super) fn of(committed: &Committed, names: &Names) -> Damage {
    let mut damage = Damage { dropped_databases: committed.dropped_databases.clone(), ..Damage::default() };
    damage.rows = committed
        .touched
        .iter()
        .filter(|(file, touched)| touched.counts.rows() > 0 && names.kind(*file) == RelationKind::Table)
        .copied()
        .collect();
    if committed.removed.is_empty() {
        add_truncated_by_oid(committed, &mut damage);
        return damage;
    }
    let (dropped, emptied): (u64, &[RelationFile]) = match &committed.gone {
        Some(gone) => (by_commit(gone, committed, names), if gone.rewrites { &[] } else { &gone.replaced }),
        None => match by_catalogs(committed, names) {
            (dropped, true) => (dropped, &committed.created),
            (dropped, false) => (dropped, &[]),
        },
    };
    damage.dropped_tables = dropped.min(committed.removed.len() as u64);
    if damage.dropped_tables > 0 {
        damage.dropped_files = committed.removed.clone();
    } else {
        damage.truncated = truncated(committed, emptied, names);
    }
    add_truncated_by_oid(committed, &mut damage);
    damage.rewritten = damage.dropped_tables == 0 && damage.truncated.is_empty();
    damage
}

/// How many tables were dropped, by the commit's record. Each of them has a file that goes with it, which a temporary one has
/// not: neither the former file of a relation that got another one is its, nor that of a table that is known and still there.
fn by_commit(gone: &Gone, committed: &Committed, names: &Names) -> u64 {
    let may_be_its = |file: &&RelationFile| {
        names.file(**file).is_none_or(|known| gone.relations.contains(&(file.database, known.oid)))
    };
    let files = committed.removed.iter().filter(may_be_its).count();
    let others = committed.removed.len().saturating_sub(gone.replaced.len());
    gone.tables.min(files.min(others) as u64)
}

/// How many tables were dropped, and whether no relation was, by the rows of the catalogs, where the commit's record itself
/// does not tell: as far as it is known in which files the catalogs lie.
fn by_catalogs(committed: &Committed, names: &Names) -> (u64, bool) {
    let (classes, types) = (catalog(committed, PG_CLASS, names), catalog(committed, PG_TYPE, names));
    let first_has_content = committed.created.first().is_some_and(|file| content(committed, *file) > 0);
    // A table has a row type and an array type; what a rewrite needs for a moment comes and goes.
    let is_rewrite = first_has_content || rewrites_nothing(committed, classes, types, names);
    let dropped = if is_rewrite { types.deleted.saturating_sub(types.inserted) } else { types.deleted };
    (dropped.div_ceil(2), classes.deleted == 0)
}

/// The rewrite of an empty table, as VACUUM FULL does it: a table like it comes and goes, both rows of `pg_class` are changed
/// when they swap their files, and each file has its successor. A table that is dropped and made anew swaps nothing.
fn rewrites_nothing(committed: &Committed, classes: Counts, types: Counts, names: &Names) -> bool {
    let attributes = catalog(committed, PG_ATTRIBUTE, names);
    !committed.created.is_empty()
        && committed.created.len() == committed.removed.len()
        && types.inserted == types.deleted
        && attributes.inserted == attributes.deleted
        && classes.updated >= 2
}

fn add_truncated_by_oid(committed: &Committed, damage: &mut Damage) {
    if !committed.truncated.is_empty() && damage.truncated.is_empty() {
        let emptied = |oid: &(u32, u32)| Emptied { new: None, old: None, oid: Some(*oid), refilled: 0 };
        damage.truncated = committed.truncated.iter().map(emptied).collect();
    }
}

/// Rows and pages that a transaction wrote into a file.
fn content(committed: &Committed, file: RelationFile) -> u64 {
    let of = committed.touched.iter().find(|(other, _)| *other == file);
    of.map_or(0, |(_, touched)| touched.counts.rows() + touched.pages)
}

/// A TRUNCATE makes an empty file for the table and removes the old one, in the same order for all; indexes get theirs
/// with a first page in it. A REINDEX makes and removes files too, none of them empty.
fn truncated(committed: &Committed, made: &[RelationFile], names: &Names) -> Vec<Emptied> {
    let pairs = made.len() == committed.removed.len();
    let mut found = Vec::new();
    for (position, file) in made.iter().enumerate() {
        let touched = committed.touched.iter().find(|(other, _)| other == file).map(|(_, touched)| touched);
        let (rows, pages) = touched.map_or((0, 0), |touched| (touched.counts.inserted, touched.pages));
        let kind = names.file(*file).map(|relation| relation.kind);
        if pages > 0 || kind.is_some_and(|kind| kind != RelationKind::Table) {
            continue;
        }
        let old = if pairs { committed.removed.get(position).copied() } else { None };
        found.push(Emptied { new: Some(*file), old, oid: None, refilled: rows });
    }
    // Without names the empty file for large values can't be told from a table's: one that was filled stands for both.
    if found.iter().any(|one| one.refilled > 0)
        && found.iter().any(|one| one.new.is_some_and(|new| names.file(new).is_none()))
    {
        found.retain(|one| one.refilled > 0);
    }
    found
}

fn catalog(committed: &Committed, oid: u32, names: &Names) -> Counts {
    let mut sum = Counts::default();
    for (file, touched) in &committed.touched {
        if file.database != 0 && names.catalog(*file) == Some(oid) {
            sum.add(touched.counts);
        }
    }
    sum
}
