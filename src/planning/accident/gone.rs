//! Which relations a commit dropped, by what its own record says: whatever files the catalogs lie in.
//!
//! A commit names the statistics that go with it, and with them each relation that it drops (PostgreSQL 15 on). VACUUM FULL,
//! CLUSTER and an ALTER TABLE that rewrites make a table for a moment, swap files with it and drop it: its oid is the number of
//! a file that the same transaction made (`heap_create`, `catalog/heap.c`). Which of the others are tables is told by the
//! caches' entries that the commit makes stale: an index has one in `pg_index`, a sequence in `pg_sequence`, and a table takes
//! two rows of `pg_type` along, of which the entries are named once: those of a table that comes and goes are named twice. So are
//! the entries in `pg_class` of a temporary table that comes and goes, of whose files the WAL tells nothing.

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
    /// The files that it made for relations that were there before: another one of theirs goes with it. A relation that is made
    /// is named in `pg_class` by the number of its file.
    pub replaced: Vec<RelationFile>,
}

impl Gone {
    /// Of a commit that made these files; `None` where the version's numbers are not known.
    pub(super) fn of(ended: &Ended<'_>, created: &[RelationFile], caches: Option<CatalogCaches>) -> Option<Gone> {
        let caches = caches?;
        // Most commits drop and make nothing.
        if created.is_empty() && ended.dropped.iter().next().is_none() {
            return Some(Gone::default());
        }
        let made: HashSet<(u32, u32)> = created.iter().map(|file| (file.database, file.number)).collect();
        let mut gone = Gone::default();
        for relation in ended.dropped.iter() {
            // The file of what all databases share belongs to none, and the table it had for a moment to the session's.
            if made.contains(&relation) || made.contains(&(0, relation.1)) {
                gone.rewrites = true;
            } else {
                gone.relations.push(relation);
            }
        }
        gone.look(ended, created, caches);
        Some(gone)
    }

    /// Counts tables, leaves out what came and went without a file, and tells new files of old relations.
    fn look(&mut self, ended: &Ended<'_>, created: &[RelationFile], caches: CatalogCaches) {
        let mut parts: HashSet<u32> = HashSet::new();
        let mut types: HashMap<u32, u32> = HashMap::new();
        let mut classes: HashMap<u32, u32> = HashMap::new();
        for (cache, hash) in ended.invalidations.entries() {
            if cache == caches.indexes || cache == caches.sequences {
                parts.insert(hash);
            } else if cache == caches.types {
                *types.entry(hash).or_default() += 1;
            } else if cache == caches.relations {
                *classes.entry(hash).or_default() += 1;
            }
        }
        types.retain(|_, times| *times == 1);
        let is_made = |file: &&RelationFile| classes.contains_key(&CatalogCaches::hash(file.number));
        self.replaced = created.iter().filter(|file| !is_made(file)).copied().collect();
        // One that is altered and then dropped is named twice as well, but has the types that go with it.
        self.relations.retain(|(_, oid)| {
            let times = classes.get(&CatalogCaches::hash(*oid)).copied().unwrap_or_default();
            times < 2 || near(*oid).take(2).any(|hash| types.contains_key(&hash))
        });
        self.tables = self.count_tables(&parts, types, created);
    }

    fn count_tables(&self, parts: &HashSet<u32>, mut types: HashMap<u32, u32>, created: &[RelationFile]) -> u64 {
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
