//! Commits of ANALYZE and VACUUM: autovacuum's as a rule. Nothing is lost with them, since they are done again.

use crate::domain::wal_reader::RelationFile;
use crate::planning::accident::names::Names;
use crate::planning::accident::transactions::Committed;

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
    let changes = committed.touched.iter().any(|(_, touched)| touched.counts.rows() > 0);
    committed.first_is_sure
        && !committed.does_other
        && !committed.was_prepared
        && committed.subtransactions.is_empty()
        && lists_nothing
        && !drops
        && (changes || committed.cuts)
        && committed.locks_rows.is_none_or(is_statistic)
        && committed.touched.iter().all(|(file, _)| is_statistic(*file))
}
