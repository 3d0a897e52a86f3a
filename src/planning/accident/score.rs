//! How likely it is that a transaction is the accident: a score from 0 to 100, with reasons that a person can check.

use crate::domain::text::size;
use crate::domain::wal_reader::RelationFile;
use crate::planning::accident::counts::{Counts, Touched};
use crate::planning::accident::damage::{Damage, Emptied};
use crate::planning::accident::names::{Counted, Names};
use crate::planning::accident::search::Used;
use std::collections::{BTreeMap, HashMap, HashSet};

/// From here on the score says accident.
pub const ACCIDENT_SCORE: u32 = 60;

/// Below this a transaction is not worth a person's look.
pub(super) const LEAST_SCORE: u32 = 30;

/// Fewer rows than this are everyday work, whatever their share.
const FEW_ROWS: u64 = 20;
/// Where the number of rows in a table isn't known, a statement that goes over all blocks counts from here on.
const MANY_ROWS: u64 = 200;
/// And one that doesn't, from here on.
const VERY_MANY_ROWS: u64 = 5_000;

/// A table that was made a moment ago and that so many commits have written to since, few rows each, is in use: a table to
/// load things by the way is filled by its maker, in few commits of many rows.
const COMMITS_IN_USE: u64 = 10;
const ROWS_A_COMMIT: u64 = 10;

/// What else happened in the WAL that was read.
pub(super) struct Around<'a> {
    pub(super) names: &'a Names,
    /// Rows that later commits changed, by file, this one included.
    pub(super) since: &'a BTreeMap<RelationFile, Counts>,
    /// Files and databases that were made in the same WAL.
    pub(super) made_files: &'a HashMap<RelationFile, Used>,
    pub(super) made_databases: &'a HashSet<u32>,
    /// How many transactions did the same kind of thing to the same relations.
    pub(super) alike: usize,
    /// A restore point shortly before: its name, and seconds from it to the commit.
    pub(super) restore_point: Option<(&'a str, i64)>,
}

/// A score and its reasons, the weightiest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Score {
    pub(super) score: u32,
    pub(super) reasons: Vec<String>,
}

/// Rows that a table held before the transaction, where that is known.
pub(super) fn rows_before(file: RelationFile, around: &Around<'_>) -> Option<u64> {
    let relation = around.names.file(file)?;
    let counted = relation.rows.map(|rows| match relation.counted {
        Counted::Before => rows,
        Counted::After => {
            let since = around.since.get(&file).copied().unwrap_or_default();
            (rows + since.deleted).saturating_sub(since.inserted)
        }
    });
    // Statistics begin anew after a crash: the estimate is the better one then. Too many make a share smaller, too few
    // would raise a false alarm.
    counted.max(relation.estimated)
}

/// The share of a table's rows, at most 1.
pub(super) fn share(rows: u64, before: Option<u64>) -> Option<f64> {
    let before = before.filter(|before| *before > 0)?.max(rows);
    Some(rows as f64 / before as f64)
}

/// Judges a transaction.
pub(super) fn judge(damage: &Damage, around: &Around<'_>) -> Score {
    let mut parts: Vec<(u32, String)> = Vec::new();
    for database in &damage.dropped_databases {
        let name = around.names.database(*database);
        parts.push(if around.made_databases.contains(database) {
            (35, format!("drops {name}, which was made shortly before"))
        } else {
            (95, format!("drops {name}"))
        });
    }
    parts.extend(of_drops(damage, around));
    parts.extend(damage.truncated.iter().map(|emptied| of_truncate(emptied, around)));
    for (file, touched) in &damage.rows {
        parts.extend(of_deletes(*file, touched, around));
        parts.extend(of_updates(*file, touched, around));
    }
    parts.sort_by_key(|part| std::cmp::Reverse(part.0));
    let Some((first, _)) = parts.first() else { return Score::default() };
    let mut score = *first;
    // A bad migration does several things: each further one makes it likelier, none makes it certain.
    let more = parts.iter().skip(1).filter(|(part, _)| *part >= 40).count().min(3);
    score += 3 * u32::try_from(more).unwrap_or(0);
    let mut reasons: Vec<String> = parts.into_iter().map(|(_, reason)| reason).take(12).collect();
    if score >= 40
        && let Some((name, seconds)) = around.restore_point
    {
        score += 5;
        reasons.push(format!("the restore point '{name}' was made {seconds} s before: something risky was planned"));
    }
    if around.alike >= 3 {
        score = score.saturating_sub(30);
        reasons.push(format!("{} transactions did the like in this time: it looks like routine", around.alike));
    }
    Score { score: score.min(100), reasons }
}

fn of_drops(damage: &Damage, around: &Around<'_>) -> Option<(u32, String)> {
    if damage.dropped_tables == 0 {
        return None;
    }
    let known: Vec<String> = damage
        .dropped_files
        .iter()
        .filter_map(|file| around.names.file(*file))
        .filter(|relation| relation.kind == crate::planning::accident::names::RelationKind::Table)
        .map(|relation| match relation.rows.or(relation.estimated) {
            Some(rows) => format!("{} with about {rows} rows", relation.show()),
            None => relation.show(),
        })
        .collect();
    let what = match (damage.dropped_tables, known.is_empty()) {
        (1, true) => "a table".to_owned(),
        (count, true) => format!("{count} tables"),
        (_, false) => known.join(", "),
    };
    if let Some((weight, words)) = of_young(&damage.dropped_files, around) {
        return Some((weight, format!("drops {what}, {words}")));
    }
    let files = damage.dropped_files.len();
    let sizes: Vec<u64> = damage.dropped_files.iter().filter_map(|file| around.names.bytes(*file)).collect();
    let plural = if files == 1 { "" } else { "s" };
    let size = match (sizes.iter().sum::<u64>(), sizes.len() == files) {
        (0, _) => String::new(),
        (bytes, true) => format!(", about {}", size(bytes)),
        (bytes, false) => format!(", {} at least", size(bytes)),
    };
    Some((78, format!("drops {what} ({files} relation file{plural} removed{size})")))
}

/// What goes with files that were all made in the WAL that was read: little, unless somebody used them. Never so little that
/// it is not shown.
fn of_young(files: &[RelationFile], around: &Around<'_>) -> Option<(u32, String)> {
    let used: Option<Vec<Used>> = files.iter().map(|file| around.made_files.get(file).copied()).collect();
    let used = used?.into_iter().max_by_key(|used| used.commits)?;
    let since =
        |used: Used| format!("made shortly before; {} commits wrote {} rows into it since", used.commits, used.rows);
    Some(match used {
        Used { commits: 0, .. } => (LEAST_SCORE, "made shortly before".to_owned()),
        Used { commits: COMMITS_IN_USE.., rows } if rows <= used.commits * ROWS_A_COMMIT => (66, since(used)),
        _ => (40, since(used)),
    })
}

fn of_truncate(emptied: &Emptied, around: &Around<'_>) -> (u32, String) {
    let name = match (emptied.oid, emptied.new) {
        (Some((database, oid)), _) => around.names.show_oid(database, oid),
        (None, Some(file)) if around.names.file(file).is_some() => around.names.show(file),
        (None, file) => match emptied.old.or(file) {
            Some(file) => format!("the table in file {file}"),
            None => "a table".to_owned(),
        },
    };
    if emptied.refilled > 0 {
        return (40, format!("truncates {name} and fills it with {} rows", emptied.refilled));
    }
    if let Some((weight, words)) = emptied.old.and_then(|old| of_young(&[old], around)) {
        return (weight, format!("truncates {name}, {words}"));
    }
    (75, format!("truncates {name}"))
}

fn of_deletes(file: RelationFile, touched: &Touched, around: &Around<'_>) -> Option<(u32, String)> {
    let deleted = touched.counts.deleted;
    if deleted == 0 {
        return None;
    }
    let before = rows_before(file, around);
    let mut part =
        weigh("deletes", deleted, before, touched, file, around, [(0.5, 85), (0.2, 70), (0.1, 50), (0.03, 35)]);
    if touched.counts.inserted * 2 >= deleted && deleted >= FEW_ROWS {
        part.0 = part.0.min(45);
        part.1 = format!("{}, and inserts {}", part.1, touched.counts.inserted);
    }
    Some(part)
}

fn of_updates(file: RelationFile, touched: &Touched, around: &Around<'_>) -> Option<(u32, String)> {
    let updated = touched.counts.updated;
    if updated == 0 {
        return None;
    }
    let before = rows_before(file, around);
    Some(weigh("updates", updated, before, touched, file, around, [(0.8, 80), (0.5, 66), (0.25, 45), (0.1, 30)]))
}

/// Weighs rows of one table by their share of it, or by what the WAL alone tells.
fn weigh(
    verb: &str,
    rows: u64,
    before: Option<u64>,
    touched: &Touched,
    file: RelationFile,
    around: &Around<'_>,
    steps: [(f64, u32); 4],
) -> (u32, String) {
    let name = around.names.show(file);
    let few = rows < FEW_ROWS;
    if let Some(share) = share(rows, before) {
        let weight = steps.iter().find(|(least, _)| share >= *least).map_or(5, |(_, weight)| *weight);
        let of = before.unwrap_or(rows).max(rows);
        let words = format!("{verb} {rows} of about {of} rows of {name} ({:.0} %)", share * 100.0);
        return (if few { weight.min(15) } else { weight }, words);
    }
    let all = touched.goes_over_all();
    let weight = match rows {
        MANY_ROWS.. if all => 68,
        VERY_MANY_ROWS.. => 62,
        1_000.. => 45,
        FEW_ROWS.. => 30,
        _ => 5,
    };
    let over = if all && !few { ", in every block up to the last one touched" } else { "" };
    (weight, format!("{verb} {rows} rows of {name}{over}; how many it has is not known"))
}
