//! Commits of ANALYZE and VACUUM: autovacuum's as a rule. Nothing is lost with them, since they are done again.

use crate::domain::wal_reader::{Content, Record, RelationFile, Rmgr, StorageChange};
use crate::planning::accident::committed::Committed;
use crate::planning::accident::names::Names;
use crate::planning::accident::transactions::FULL_PAGES;

/// `XLOG_NEXTOID` and `XLOG_FPI_FOR_HINT`: nothing of a transaction's own.
const NEXT_OID: u8 = 0x30;
const FULL_PAGES_FOR_HINT: u8 = 0xA0;
/// `XLOG_HEAP_INPLACE`: only catalogs are overwritten so, by VACUUM, ANALYZE and CREATE INDEX.
const IN_PLACE: u8 = 0x70;
/// Of `Heap2`: rows of rewrites, and locks of rows that were updated.
const REWRITE: u8 = 0x00;
const LOCK_UPDATED: u8 = 0x60;
/// `XLOG_XACT_INVALIDATIONS`, where `wal_level` is `logical`.
const INVALIDATION: u8 = 0x60;

/// `pg_statistic` and `pg_statistic_ext_data` with their tables for large values: all that ANALYZE changes beside what it
/// overwrites in place (`commands/analyze.c`).
const STATISTICS: [u32; 4] = [2619, 2840, 3429, 3430];

/// Whether its records prove that a commit changed statistics, or cut empty blocks off a table, and did nothing else. What is
/// not proven is work.
pub(super) fn is_maintenance(committed: &Committed, names: &Names) -> bool {
    let drops = committed.gone.as_ref().is_some_and(|gone| gone.rewrites || !gone.relations.is_empty());
    let lists_nothing = committed.created.is_empty()
        && committed.removed.is_empty()
        && committed.truncated.is_empty()
        && committed.mapped.is_empty()
        && committed.dropped_databases.is_empty()
        && committed.created_databases.is_empty();
    let is_statistic =
        |file: RelationFile| file.database != 0 && names.catalog(file).is_some_and(|oid| STATISTICS.contains(&oid));
    let locked = RelationFile { tablespace: 0, database: committed.database, number: committed.locks_rows };
    let changes = committed.touched.iter().any(|(_, touched)| touched.counts.rows() > 0);
    committed.first_is_sure
        && !committed.does_other
        && !committed.was_prepared
        && committed.subtransactions.is_empty()
        && lists_nothing
        && !drops
        && (changes || committed.cuts)
        && (committed.locks_rows == 0 || is_statistic(locked))
        && committed.touched.iter().all(|(file, _)| is_statistic(*file))
}

/// Whether a record that changes no row is one that ANALYZE or VACUUM writes, or that nobody wrote for its own sake.
pub(super) fn is_upkeep(record: &Record<'_>, content: &Content<'_>) -> bool {
    let kind = record.info & 0xF0;
    match record.rmgr {
        Rmgr::HEAP => kind & 0x70 == IN_PLACE,
        Rmgr::HEAP2 => !matches!(kind & 0x70, REWRITE | LOCK_UPDATED),
        Rmgr::XLOG => matches!(kind, NEXT_OID | FULL_PAGES | FULL_PAGES_FOR_HINT),
        Rmgr::CLOG => true,
        Rmgr::TRANSACTION => kind & 0x70 == INVALIDATION,
        _ => matches!(content, Content::Locks(_) | Content::Storage(StorageChange::Cut { .. })),
    }
}
