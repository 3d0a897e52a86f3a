//! Which relations a commit dropped, by what its own record says: whatever files the catalogs lie in.
//!
//! A commit names the statistics that go with it, and with them each relation that it drops (PostgreSQL 15 on). VACUUM FULL,
//! CLUSTER and an ALTER TABLE that rewrites make a table for a moment, swap files with it and drop it: its oid is the number of
//! a file that the same transaction made (`heap_create`, `catalog/heap.c`). Which of the others are tables is told by the
//! caches' entries that the commit makes stale: an index has one in `pg_index`, a sequence in `pg_sequence`, and a table takes
//! two rows of `pg_type` along, of which the entries are named once: those of a table that comes and goes are named twice.

use crate::domain::wal_reader::{CatalogCaches, Ended, RelationFile};
use std::collections::{HashMap, HashSet};

/// Oids of the row type and the array type come right behind their table's, unless other sessions draw some meanwhile.
const NEAR: u32 = 64;

/// Relations that a commit dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gone {
    /// Those that were there before, indexes and large values too: database and oid.
    pub relations: Vec<(u32, u32)>,
    /// How many of them are tables, at least.
    pub tables: u64,
    /// Whether a table came and went, as in a rewrite.
    pub rewrites: bool,
}

impl Gone {
    /// Of a commit that made these files; `None` where the version's numbers are not known.
    pub(super) fn of(ended: &Ended<'_>, created: &[RelationFile], caches: Option<CatalogCaches>) -> Option<Gone> {
        let caches = caches?;
        if ended.dropped.iter().next().is_none() {
            return Some(Gone::default());
        }
        let made: HashSet<(u32, u32)> = created.iter().map(|file| (file.database, file.number)).collect();
        let mut gone = Gone::default();
        for relation in ended.dropped.iter() {
            if made.contains(&relation) {
                gone.rewrites = true;
            } else {
                gone.relations.push(relation);
            }
        }
        if !gone.relations.is_empty() {
            gone.tables = gone.count_tables(ended, created, caches);
        }
        Some(gone)
    }

    fn count_tables(&self, ended: &Ended<'_>, created: &[RelationFile], caches: CatalogCaches) -> u64 {
        let mut parts: HashSet<u32> = HashSet::new();
        let mut types: HashMap<u32, u32> = HashMap::new();
        for (cache, hash) in ended.invalidations.entries() {
            if cache == caches.indexes || cache == caches.sequences {
                parts.insert(hash);
            } else if cache == caches.types {
                *types.entry(hash).or_default() += 1;
            }
        }
        types.retain(|_, times| *times == 1);
        // The types of tables that it made and kept.
        for file in created {
            near(file.number).for_each(|hash| _ = types.remove(&hash));
        }
        let tables = self.relations.iter().filter(|(_, oid)| !parts.contains(&CatalogCaches::hash(*oid)));
        // A rewrite that builds indexes anew takes the old table for large values along: it has no types.
        let tables =
            tables.filter(|(_, oid)| !self.rewrites || near(*oid).take(2).any(|hash| types.contains_key(&hash)));
        (types.len() as u64).div_ceil(2).min(tables.count() as u64)
    }
}

/// The entries of the oids right behind one.
fn near(oid: u32) -> impl Iterator<Item = u32> {
    (1..=NEAR).map(move |step| CatalogCaches::hash(oid.wrapping_add(step)))
}
