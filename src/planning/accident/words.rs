//! What is kept and what is thrown away, in words.

use crate::planning::accident::answer::{Discarded, LastKept};
use crate::planning::accident::counts::Counts;
use crate::planning::accident::thrown_away::ThrownAway;
use chrono::{DateTime, Utc};
use std::fmt::Write as _;

/// Commits are told apart by microseconds.
fn show(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

/// Tables that are named one by one.
const MOST_TABLES: usize = 6;

/// The last commit that is kept.
#[must_use]
pub fn keeps(kept: Option<&LastKept>) -> String {
    kept.map_or_else(
        || "every commit before it; none of them was read".to_owned(),
        |kept| format!("the commit of {} (xid {})", show(kept.time), kept.xid),
    )
}

/// How many commits are discarded, and their rows by table. `what` is one of them: `later commit`.
#[must_use]
pub fn discards(discarded: &Discarded, what: &str) -> String {
    let mut tables: Vec<(&String, &Counts)> = discarded.by_table.iter().collect();
    tables.sort_by_key(|(_, counts)| std::cmp::Reverse(counts.rows()));
    let words: Vec<String> = tables
        .iter()
        .take(MOST_TABLES)
        .flat_map(|(table, counts)| {
            let of =
                [(counts.inserted, "inserts into"), (counts.updated, "updates of"), (counts.deleted, "deletes from")];
            of.into_iter().filter(|(count, _)| *count > 0).map(move |(count, what)| format!("{count} {what} {table}"))
        })
        .collect();
    let more = if tables.len() > MOST_TABLES {
        format!(", and {} more tables", tables.len() - MOST_TABLES)
    } else {
        String::new()
    };
    let plural = if discarded.commits == 1 { "" } else { "s" };
    let alone = match discarded.maintenance {
        0 => String::new(),
        all if all == discarded.commits => {
            return format!(
                "{all} {what}{plural} by ANALYZE or VACUUM alone: nothing is lost, autovacuum does it again"
            );
        }
        some => format!(" ({some} of them by ANALYZE or VACUUM alone)"),
    };
    match (discarded.commits, words.is_empty()) {
        (0, _) => format!("no {what} in the WAL that was read"),
        (commits, true) => format!("{commits} {what}{plural}{alone}, none of which changed rows of a table"),
        (commits, false) => format!("{commits} {what}{plural}{alone}: {}{more}", words.join(", ")),
    }
}

/// Which relations a target leaves locked, in words; `None` where it leaves none.
#[must_use]
pub fn leaves_locked(thrown: &ThrownAway) -> Option<String> {
    let until = named(&thrown.locked).map(|named| {
        format!("locked until promotion, even for reading (a discarded transaction is open there): {named}")
    });
    let beyond = named(&thrown.locked_by_prepared).map(|named| {
        format!("locked beyond promotion (a prepared transaction is kept: COMMIT PREPARED or ROLLBACK PREPARED ends it): {named}")
    });
    let both: Vec<String> = until.into_iter().chain(beyond).collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// The first of these tables; `None` where there are none.
fn named(tables: &[String]) -> Option<String> {
    let more = tables.len().saturating_sub(MOST_TABLES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let first: Vec<&str> = tables.iter().take(MOST_TABLES).map(String::as_str).collect();
    (!first.is_empty()).then(|| format!("{}{more}", first.join(", ")))
}

/// What a target throws away, in a line: the span, how many, their rows by table, and what was not read.
#[must_use]
pub fn throws_away(thrown: &ThrownAway) -> String {
    let mut text = discards(&thrown.discarded, "commit");
    if let (Some(first), Some(last)) = (&thrown.first, &thrown.last) {
        let _ = write!(text, "; the first of {} (xid {})", show(first.time), first.xid);
        if last.lsn != first.lsn {
            let _ = write!(text, ", the last of {} (xid {})", show(last.time), last.xid);
        }
    }
    if thrown.in_part > 0 {
        let _ = write!(
            text,
            "; {} of them may have begun before the WAL that was read, and more rows with them",
            thrown.in_part
        );
    }
    for note in &thrown.notes {
        let _ = write!(text, "; {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::domain::lsn::Lsn;

    #[test]
    fn what_a_target_throws_away_is_one_line() {
        let commit = |xid, second| LastKept {
            xid,
            time: format!("2026-11-22T12:10:0{second}Z").parse().unwrap(),
            lsn: Lsn(xid.into()),
        };
        let mut thrown = ThrownAway {
            first: Some(commit(998, 1)),
            last: Some(commit(1200, 2)),
            discarded: Discarded {
                commits: 186,
                maintenance: 2,
                by_table: [("orders".to_owned(), Counts { inserted: 184, ..Counts::default() })].into(),
            },
            in_part: 1,
            notes: vec!["a gap".into()],
            ..ThrownAway::default()
        };
        assert_eq!(
            throws_away(&thrown),
            "186 commits (2 of them by ANALYZE or VACUUM alone): 184 inserts into orders; the first of 2026-11-22 12:10:01.000000+00 (xid 998), the last of \
             2026-11-22 12:10:02.000000+00 (xid 1200); 1 of them may have begun before the WAL that was read, and more \
             rows with them; a gap"
        );
        (thrown.discarded.commits, thrown.discarded.maintenance) = (1, 0);
        assert!(throws_away(&thrown).starts_with("1 commit: 184"), "{}", throws_away(&thrown));
        let one = Discarded { commits: 1, maintenance: 1, ..Discarded::default() };
        let said = "1 later commit by ANALYZE or VACUUM alone: nothing is lost, autovacuum does it again";
        assert_eq!(discards(&one, "later commit"), said);
        assert_eq!(throws_away(&ThrownAway::default()), "no commit in the WAL that was read");
    }
}
