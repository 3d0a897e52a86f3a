//! The score: what came back, against the best that was possible.

use crate::domain::wal::TimelineId;
use crate::engine::rehearsal::Rehearsal;
use crate::engine::rehearsal::configuration::{DATABASE, SUPERUSER};
use crate::engine::rehearsal::error::RehearsalError;
use crate::engine::rehearsal::programs::{self, Asker};
use crate::engine::rehearsal::scenario::Scenario;
use crate::engine::rehearsal::truth::{Acknowledged, TABLES, Truth};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How a recovery of the practice cluster came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Rows that the best possible recovery brings back: those that were there, and those acknowledged before the
    /// accident (where the disk was lost: before the end of the archive).
    pub rows_expected: u64,
    /// Those of them that are missing.
    pub rows_lost: u64,
    /// Those of the missing that are missing because the accident is part of what was restored.
    pub rows_still_deleted: u64,
    /// Rows acknowledged after the accident that are there although the database was taken back.
    pub rows_left: u64,
    /// Rows that were acknowledged and that nobody could bring back, since no repository has their WAL.
    pub rows_out_of_reach: u64,
    /// Seconds from the page to the first commit acknowledged after the recovery; none while nobody may write.
    pub seconds: Option<f64>,
    /// What was done right, in words.
    pub right: Vec<String>,
    /// What was not, in words.
    pub wrong: Vec<String>,
}

impl Score {
    /// Whether everything that could come back is back, nothing else, and the shop may write.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// What SQL says of the recovered server.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Found {
    timeline: u32,
    in_recovery: bool,
    /// By the transaction ids of the accident: the commit times that this history knows for them.
    blows: Vec<Option<DateTime<Utc>>>,
    /// By table; a dropped one is missing.
    tables: BTreeMap<String, FoundTable>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct FoundTable {
    /// How many of the rows that were there when the writer's watch began.
    old: u64,
    /// All later rows: number and time.
    new: BTreeSet<(i64, DateTime<Utc>)>,
}

/// Reads the score of a practice cluster whose server runs after a recovery.
///
/// # Errors
/// When there was no accident, the writer's notes can't be read, or the server doesn't answer.
pub fn score(rehearsal: &Rehearsal) -> Result<Score, RehearsalError> {
    let truth = Truth::read_from(&rehearsal.layout)?;
    let asker = Asker {
        directory: rehearsal.layout.directory.clone(),
        environment: programs::environment(&rehearsal.layout.directory, &rehearsal.marker.owner),
        interrupted: Arc::new(AtomicBool::new(false)),
    };
    let ask = |text: &str| {
        let arguments = rehearsal.psql_arguments(SUPERUSER, DATABASE);
        let psql = rehearsal.marker.bin_directory.join("psql");
        asker.ask_with_input("asking the recovered server for the score", &psql, &arguments, text)
    };
    let there = ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")?;
    let there: Vec<&str> = there.lines().collect();
    let answer = ask(&question(&truth, &there))?;
    let found: Found = serde_json::from_str(&answer)
        .map_err(|error| RehearsalError::Accident(format!("the server's answer was not understood: {error}")))?;
    // Read after the server: a row that is found is noted, or its line is on the way.
    let acknowledged = Acknowledged::read_all(&rehearsal.layout)?;
    Ok(compare(&truth, &acknowledged, &found))
}

/// One statement, so that all of it is one moment.
fn question(truth: &Truth, there: &[&str]) -> String {
    let blows: Vec<String> =
        truth.blows.iter().map(|blow| format!("pg_xact_commit_timestamp('{}'::xid)", blow.commit.xid)).collect();
    let tables: Vec<String> = TABLES
        .iter()
        .filter(|(table, ..)| there.contains(table))
        .filter_map(|(table, key, time)| {
            let highest = truth.baseline.iter().find(|baseline| baseline.table == *table)?.highest;
            Some(format!(
                "'{table}', (SELECT json_build_object('old', count(*) FILTER (WHERE {key} <= {highest}), 'new',
  coalesce(json_agg(json_build_array({key}, {time})) FILTER (WHERE {key} > {highest}), '[]'::json)) FROM {table})"
            ))
        })
        .collect();
    format!(
        "SET timezone = 'UTC';
SELECT json_build_object('in_recovery', pg_is_in_recovery(),
'timeline', (SELECT CASE WHEN pg_is_in_recovery() THEN timeline_id
  ELSE ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int END FROM pg_control_checkpoint()),
'blows', ARRAY[{}]::timestamptz[],
'tables', json_build_object({}));",
        blows.join(", "),
        tables.join(", ")
    )
}

/// What of the missing belongs to one table.
#[derive(Debug, Default)]
struct Tally {
    expected: u64,
    lost: u64,
}

fn compare(truth: &Truth, acknowledged: &[Acknowledged], found: &Found) -> Score {
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for baseline in &truth.baseline {
        let old = found.tables.get(&baseline.table).map_or(0, |table| table.old);
        let lost = baseline.rows.saturating_sub(old);
        tallies.insert(&baseline.table, Tally { expected: baseline.rows, lost });
    }
    let taken_back = taken_back(truth, found);
    let (mut rows_left, mut rows_out_of_reach) = (0, 0);
    let mut newest_back = None;
    for commit in acknowledged.iter().filter(|commit| commit.timeline == truth.timeline) {
        let good = commit.lsn <= truth.boundary || truth.good.contains(&commit.xid);
        for (table, number) in commit.rows() {
            let highest =
                truth.baseline.iter().find(|baseline| baseline.table == table).map_or(0, |found| found.highest);
            if number <= highest {
                continue;
            }
            let there = found.tables.get(table).is_some_and(|table| table.new.contains(&(number, commit.at)));
            if there {
                newest_back = newest_back.max(Some(commit.committed_at));
            }
            match (good, truth.scenario) {
                (true, _) => {
                    let tally = tallies.entry(table).or_default();
                    tally.expected += 1;
                    tally.lost += u64::from(!there);
                }
                (false, Scenario::LostDataDirectory) => rows_out_of_reach += u64::from(!there),
                (false, _) => rows_left += u64::from(there && taken_back),
            }
        }
    }
    let replayed = |at: usize| {
        let committed_at = truth.blows.get(at).map(|blow| blow.commit.committed_at);
        committed_at.is_some() && found.blows.get(at).copied().flatten() == committed_at
    };
    let hit: BTreeSet<&str> =
        truth.blows.iter().enumerate().filter(|(at, _)| replayed(*at)).map(|(_, blow)| blow.table.as_str()).collect();
    let still_deleted = |table: &&str| tallies.get(*table).map_or(0, |tally| tally.lost);
    let seconds = acknowledged
        .iter()
        .find(|commit| taken_back && commit.timeline.0 == found.timeline)
        .map(|commit| (commit.committed_at - truth.paged_at).as_seconds_f64())
        .map(|seconds| (seconds * 10.0).round() / 10.0);
    let mut score = Score {
        rows_expected: tallies.values().map(|tally| tally.expected).sum(),
        rows_lost: tallies.values().map(|tally| tally.lost).sum(),
        rows_still_deleted: hit.iter().map(still_deleted).sum(),
        rows_left,
        rows_out_of_reach,
        seconds,
        right: Vec::new(),
        wrong: Vec::new(),
    };
    in_words(truth, found, newest_back, &mut score);
    score
}

/// Whether this is a recovered server: a promotion begins a timeline. Rows may also have been copied back into one that
/// went on.
fn taken_back(truth: &Truth, found: &Found) -> bool {
    found.in_recovery || TimelineId(found.timeline) != truth.timeline
}

/// Says what was right and what was wrong.
fn in_words(truth: &Truth, found: &Found, newest_back: Option<DateTime<Utc>>, score: &mut Score) {
    let taken_back = taken_back(truth, found);
    let replayed = score.rows_still_deleted > 0;
    if score.rows_lost == 0 {
        score.right.push(format!("all {} rows that could come back are back", score.rows_expected));
    } else if replayed {
        let what = truth.blows.first().map_or("", |blow| &blow.statement);
        score.wrong.push(format!(
            "{} rows are missing because the accident is still there ({what}, committed at {}): {}",
            score.rows_still_deleted,
            exact(truth.happened_at),
            if taken_back { "the target was too late, or not exclusive" } else { "the database was not taken back" }
        ));
    }
    let too_early = score.rows_lost - score.rows_still_deleted;
    if too_early > 0 {
        let back = newest_back.map_or("none of the writer's rows is back".to_owned(), |newest| {
            format!("the newest of the writer's commits that is back was at {}", exact(newest))
        });
        let best = truth.last_good.as_ref().map_or("the best was unknown".to_owned(), |good| {
            format!("the best was {} (transaction {})", exact(good.committed_at), good.xid)
        });
        score.wrong.push(format!("{too_early} rows that were acknowledged in time are lost: {back}, {best}"));
    }
    if score.rows_left > 0 {
        score
            .wrong
            .push(format!("{} rows committed after the accident are there: the target was too late", score.rows_left));
    } else if taken_back && truth.scenario != Scenario::LostDataDirectory {
        score.right.push("nothing committed after the accident is there".to_owned());
    }
    if score.rows_out_of_reach > 0 {
        score.right.push(format!(
            "{} rows were out of reach: no repository had their WAL when the disk was lost",
            score.rows_out_of_reach
        ));
    }
    if found.in_recovery {
        score.wrong.push("the server is still in recovery: it was not promoted".to_owned());
    }
    match score.seconds {
        Some(seconds) => score.right.push(format!("the shop could write again {seconds} s after the page")),
        None if taken_back && !found.in_recovery => {
            score.wrong.push("nothing of the shop was acknowledged since the recovery: it can't write yet".to_owned());
        }
        None => {}
    }
}

/// A time with all that tells it from its neighbours.
fn exact(time: DateTime<Utc>) -> String {
    time.format("%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::domain::lsn::Lsn;
    use crate::engine::rehearsal::truth::{Baseline, Blow, Commit};

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    /// An order without a payment, committed in its own second. The accident is at second 10, the page at 20.
    fn order(second: i64, timeline: u32) -> Acknowledged {
        let number = u64::try_from(second).unwrap();
        Acknowledged {
            order_id: Some(100 + second),
            payment_id: None,
            customer_id: None,
            at: at(second),
            xid: 700 + number,
            committed_at: at(second),
            lsn: Lsn(1_000 * number + 50),
            timeline: TimelineId(timeline),
        }
    }

    fn truth(scenario: Scenario) -> Truth {
        let commit = Commit { xid: 710, committed_at: at(10), lsn: Lsn(10_000) };
        Truth {
            schema: 1,
            note: String::new(),
            scenario,
            seed: 1,
            timeline: TimelineId(1),
            happened_at: at(10),
            blows: vec![Blow {
                statement: "DELETE FROM orders WHERE true".to_owned(),
                table: "orders".to_owned(),
                rows: Some(80),
                first_record: Lsn(9_500),
                commit,
                commits_between: 0,
            }],
            boundary: Lsn(10_000),
            target: Some(Lsn(9_500)),
            last_good: Some(Commit { xid: 709, committed_at: at(9), lsn: Lsn(9_000) }),
            good: (701..710).collect(),
            baseline: vec![Baseline { table: "orders".to_owned(), rows: 100, highest: 100 }],
            last_acknowledged: None,
            paged_at: at(20),
            page_says: at(12),
        }
    }

    /// A server on timeline 2 with the old rows and the orders of these seconds.
    fn found(old: u64, seconds: std::ops::Range<i64>) -> Found {
        let new = seconds.map(|second| (100 + second, at(second))).collect();
        Found {
            timeline: 2,
            in_recovery: false,
            blows: vec![None],
            tables: BTreeMap::from([("orders".to_owned(), FoundTable { old, new })]),
        }
    }

    fn noted() -> Vec<Acknowledged> {
        (1..16).map(|second| order(second, 1)).collect()
    }

    #[test]
    fn everything_back_and_nothing_else_is_perfect() {
        let mut noted = noted();
        // After the recovery the shop hands out the same numbers again.
        noted.push(Acknowledged { order_id: Some(110), ..order(30, 2) });
        let mut found = found(100, 1..10);
        found.tables.get_mut("orders").unwrap().new.insert((110, at(30)));
        let score = compare(&truth(Scenario::DeletedRows), &noted, &found);
        assert!(score.is_perfect(), "{score:?}");
        assert_eq!((score.rows_expected, score.seconds), (109, Some(10.0)));
        assert!(score.wrong.is_empty(), "{score:?}");
    }

    #[test]
    fn a_commit_that_was_acknowledged_late_is_good_all_the_same() {
        // Committed before the accident, its position asked for after it.
        let mut noted = noted();
        noted[8].lsn = Lsn(10_400);
        let score = compare(&truth(Scenario::DeletedRows), &noted, &found(100, 1..10));
        assert_eq!((score.rows_expected, score.rows_left), (109, 0), "{score:?}");
    }

    #[test]
    fn too_early_loses_and_says_what_the_best_was() {
        let score = compare(&truth(Scenario::DeletedRows), &noted(), &found(100, 1..4));
        assert_eq!((score.rows_lost, score.rows_still_deleted, score.rows_left), (6, 0, 0));
        assert!(score.wrong[0].contains("transaction 709"), "{:?}", score.wrong);
    }

    #[test]
    fn too_late_keeps_the_accident_and_what_followed() {
        let mut found = found(20, 1..13);
        found.blows = vec![Some(at(10))];
        let score = compare(&truth(Scenario::DeletedRows), &noted(), &found);
        assert_eq!((score.rows_lost, score.rows_still_deleted, score.rows_left), (80, 80, 3));
        assert!(score.wrong.iter().any(|line| line.contains("too late")), "{:?}", score.wrong);
    }

    #[test]
    fn another_transaction_with_the_same_number_is_not_the_accident() {
        let mut found = found(100, 1..4);
        found.blows = vec![Some(at(31))];
        assert_eq!(compare(&truth(Scenario::DeletedRows), &noted(), &found).rows_still_deleted, 0);
    }

    #[test]
    fn a_table_that_is_gone_counts_with_all_its_rows() {
        let gone = Found { tables: BTreeMap::new(), blows: vec![Some(at(10))], ..found(0, 1..1) };
        let score = compare(&truth(Scenario::DroppedTable), &noted(), &gone);
        assert_eq!((score.rows_lost, score.rows_still_deleted), (109, 109));
    }

    #[test]
    fn rows_of_a_database_that_was_never_taken_back_are_not_left_over() {
        let repaired = Found { timeline: 1, blows: vec![Some(at(10))], ..found(100, 1..16) };
        let score = compare(&truth(Scenario::DeletedRows), &noted(), &repaired);
        assert!(score.is_perfect(), "the deleted rows were copied back: {score:?}");
        assert_eq!(score.seconds, None);
    }

    #[test]
    fn what_the_archive_never_got_is_out_of_reach() {
        let lost = Truth { blows: Vec::new(), target: None, ..truth(Scenario::LostDataDirectory) };
        let score = compare(&lost, &noted(), &Found { blows: Vec::new(), ..found(100, 1..10) });
        assert_eq!((score.rows_lost, score.rows_left, score.rows_out_of_reach), (0, 0, 6), "{score:?}");
        assert!(score.wrong[0].contains("can't write"), "nothing was acknowledged yet: {score:?}");
    }

    #[test]
    fn a_server_that_is_not_promoted_is_named() {
        let paused = Found { timeline: 1, in_recovery: true, ..found(100, 1..12) };
        let score = compare(&truth(Scenario::DeletedRows), &noted(), &paused);
        assert_eq!(score.rows_left, 2, "it will be promoted with them");
        assert!(score.wrong.iter().any(|line| line.contains("not promoted")), "{score:?}");
    }
}
