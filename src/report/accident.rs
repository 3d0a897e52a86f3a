//! What happened, for a person: the proposed transaction with its exact target first, then all suspects in commit order.

use crate::domain::text::size;
use crate::domain::wal::{SegmentSize, WalSegment};
use crate::planning::accident::{Answer, ExactTarget, Reach, Suspect, SuspectRelation, discards, keeps};
use crate::report::command_text::shell_word;
use chrono::{DateTime, TimeZone, Utc};
use std::fmt::Write as _;

/// Tables that are named one by one.
const MOST_TABLES: usize = 6;

/// What the layout needs beside the answer.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a, Z: TimeZone> {
    /// The operator's zone.
    pub zone: &'a Z,
    /// The server's zone, where it is known.
    pub server_zone: Option<chrono_tz::Tz>,
    /// Where the WAL was read from.
    pub place: &'a str,
    /// How a person gets at it.
    pub reach: &'a Reach,
}

/// The answer as text.
#[must_use]
pub fn text<Z: TimeZone<Offset: std::fmt::Display>>(answer: &Answer, shown: &Shown<'_, Z>) -> String {
    let mut out = format!(
        "{} to {}, {} segments ({:.1} MB) of {}\n\n",
        utc(answer.from),
        utc(answer.to),
        answer.segments_read,
        answer.bytes_read as f64 / 1e6,
        shown.place
    );
    let proposed = answer.proposed.as_ref().and_then(|proposed| {
        answer.suspects.iter().find(|suspect| suspect.xid == proposed.xid && suspect.target == proposed.target)
    });
    match proposed {
        Some(suspect) => out.push_str(&of_proposed(suspect, shown)),
        None if answer.suspects.is_empty() => out.push_str("Nothing in this window looks like an accident.\n"),
        None => out.push_str("Nothing in this window is surely an accident; these come nearest.\n"),
    }
    if !answer.suspects.is_empty() {
        out.push_str("\nSuspects, in the order of their commits\n");
    }
    for suspect in &answer.suspects {
        out.push_str(&of_suspect(suspect, shown));
    }
    if !answer.notes.is_empty() {
        out.push_str("\nNotes\n");
    }
    for note in &answer.notes {
        let _ = writeln!(out, "  {note}");
    }
    out
}

fn of_proposed<Z: TimeZone<Offset: std::fmt::Display>>(suspect: &Suspect, shown: &Shown<'_, Z>) -> String {
    let mut out = format!("Stop right before transaction {}: the first is here.\n", suspect.xid);
    let _ = writeln!(out, "  committed  {}", moments(suspect.commit_time, shown));
    let _ = writeln!(out, "  target     {}", target(&suspect.target));
    let _ = writeln!(out, "  keeps      {}", keeps(suspect.last_kept.as_ref()));
    let _ = writeln!(out, "  discards   it and {}", discards(&suspect.discarded, "later commit"));
    let (until, beyond) = (suspect.locked_until_promotion.join(", "), suspect.locked_by_prepared.join(", "));
    if !until.is_empty() {
        let why = "a transaction is open there, and a query waits for its lock";
        let _ = writeln!(out, "  locked     {until} until promotion: {why}");
    }
    if !beyond.is_empty() {
        let why = "a prepared transaction holds it until it is committed or rolled back by its name";
        let _ = writeln!(out, "  locked     {beyond} beyond promotion: {why}");
    }
    out
}

fn of_suspect<Z: TimeZone<Offset: std::fmt::Display>>(suspect: &Suspect, shown: &Shown<'_, Z>) -> String {
    let mut out =
        format!("\n  {}. transaction {} in {}, score {}\n", suspect.rank, suspect.xid, suspect.database, suspect.score);
    let _ = writeln!(out, "     {}", moments(suspect.commit_time, shown));
    for reason in &suspect.reasons {
        let _ = writeln!(out, "     - {reason}");
    }
    for relation in suspect.relations.iter().take(MOST_TABLES) {
        let _ = writeln!(out, "     {}", of_relation(relation));
    }
    if suspect.relations.len() > MOST_TABLES {
        let _ = writeln!(out, "     and {} more relations", suspect.relations.len() - MOST_TABLES);
    }
    let _ = writeln!(out, "     {}", records(suspect));
    let _ = writeln!(out, "     to stop before it: {}", target(&suspect.target));
    let _ = writeln!(out, "     to see it: {}", waldump(suspect, shown.reach));
    if !suspect.subtransactions.is_empty() {
        let ids: Vec<String> = suspect.subtransactions.iter().take(10).map(u32::to_string).collect();
        let more = if suspect.subtransactions.len() > 10 { ", …" } else { "" };
        let _ = writeln!(out, "     its subtransactions have ids of their own: {}{more}", ids.join(", "));
    }
    out
}

/// Where a suspect's records lie.
#[must_use]
pub fn records(suspect: &Suspect) -> String {
    let earlier =
        if suspect.may_begin_earlier { ", or earlier: it may have begun before the WAL that was read" } else { "" };
    format!(
        "records from {}{earlier}; its commit from {} to {}",
        suspect.first_record_lsn, suspect.commit_start_lsn, suspect.commit_end_lsn
    )
}

/// Where segments that are fetched to be looked at go, with the transaction's id.
const FETCHED: &str = "/tmp/lifeboat-wal-";
/// More than so many are not fetched in one command.
const MOST_FETCHED: usize = 64;

/// The command for a shell that shows a suspect's records, from `pg_wal` where they still lie there, else fetched first; where
/// neither is to be had `PG_WAL` stands for a directory. `pg_waldump` 15 takes one transaction id.
#[must_use]
pub fn waldump(suspect: &Suspect, reach: &Reach) -> String {
    let segments = reach.size.map(|size| segments(suspect, size)).unwrap_or_default();
    let plain = reach.directory.as_ref().filter(|(_, there)| segments.iter().all(|segment| there.contains(segment)));
    let (fetch, directory) = match (plain, &reach.archive) {
        (Some((directory, _)), _) => (String::new(), shell_word(&directory.to_string_lossy())),
        (None, Some(words)) if (1..=MOST_FETCHED).contains(&segments.len()) => {
            let words: Vec<String> = words.iter().map(|word| shell_word(word)).collect();
            let names: Vec<String> = segments.iter().map(ToString::to_string).collect();
            let (words, names) = (words.join(" "), names.join(" "));
            let into = format!("{FETCHED}{}", suspect.xid);
            let each = format!("for segment in {names}; do {words} archive-get $segment {into}/$segment; done");
            (format!("mkdir -p {into} && {each} && "), into)
        }
        _ => (String::new(), "PG_WAL".to_owned()),
    };
    let (first, end) = (suspect.first_record_lsn, suspect.commit_end_lsn);
    let dump =
        format!("pg_waldump --path={directory} --timeline={} --start={first} --end={end}", suspect.target.timeline);
    if suspect.subtransactions.is_empty() {
        return format!("{fetch}{dump} --xid={}", suspect.xid);
    }
    let ids: Vec<String> = suspect.subtransactions.iter().map(u32::to_string).collect();
    format!("{fetch}{dump} | grep -E 'tx: +({}|{}),'", suspect.xid, ids.join("|"))
}

/// The segments with a suspect's records.
fn segments(suspect: &Suspect, size: SegmentSize) -> Vec<WalSegment> {
    let timeline = suspect.target.timeline;
    let last = WalSegment::of_stop(suspect.commit_end_lsn, size, timeline);
    let first = WalSegment::of(suspect.first_record_lsn, size, timeline);
    std::iter::successors(Some(first), |segment| segment.next(size))
        .take_while(|segment| *segment <= last)
        .take(1000)
        .collect()
}

/// What was done to a relation.
#[must_use]
pub fn of_relation(relation: &SuspectRelation) -> String {
    let mut words = Vec::new();
    for (count, what) in [(relation.inserted, "inserted"), (relation.updated, "updated"), (relation.deleted, "deleted")]
    {
        if count > 0 {
            words.push(format!("{count} {what}"));
        }
    }
    words.extend(relation.truncated.then(|| "truncated".to_owned()));
    words.extend(relation.dropped.then(|| "dropped".to_owned()));
    words.extend(relation.bytes.map(|bytes| format!("about {}", size(bytes))));
    let oid = relation.oid.map_or(String::new(), |oid| format!(" (oid {oid})"));
    let since =
        relation.remembered.map(|at| format!(", from the catalog memory of {}", at.format("%Y-%m-%d %H:%M:%S+00")));
    format!("{}{oid}{}: {}", relation.name, since.unwrap_or_default(), words.join(", "))
}

/// Where recovery stops, with its timeline.
#[must_use]
pub fn target(target: &ExactTarget) -> String {
    format!("{}, on timeline {}", target.recovery_target(), target.timeline)
}

/// A moment in UTC to the microsecond.
#[must_use]
pub fn utc(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()
}

/// A moment in UTC, in the server's zone where it is known, and in the operator's.
fn moments<Z: TimeZone<Offset: std::fmt::Display>>(at: DateTime<Utc>, shown: &Shown<'_, Z>) -> String {
    let mut text = utc(at);
    if let Some(zone) = shown.server_zone {
        let _ = write!(text, "; server {}", at.with_timezone(&zone).format("%H:%M:%S%.3f%:z"));
    }
    let _ = write!(text, "; here {}", at.with_timezone(shown.zone).format("%H:%M:%S%.3f%:z"));
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const ANSWER: &str = r#"{"schema":1,"from":"2026-11-22T12:00:00Z","to":"2026-11-22T12:30:00Z","segments_read":3,
        "bytes_read":50331648,"proposed":{"xid":998,"target":{"type":"lsn","value":"0/3000028","exclusive":true,"timeline":2}},
        "suspects":[{"rank":1,"xid":998,"first_record_lsn":"0/3000028","may_begin_earlier":false,
        "commit_time":"2026-11-22T12:10:00.123456Z","commit_start_lsn":"0/3000100","commit_end_lsn":"0/3000130",
        "database":"shop","relations":[{"name":"orders","oid":16385,"filenode":16385,"inserted":0,"updated":0,
        "deleted":600,"truncated":false,"dropped":false,"share":0.6}],"score":85,
        "reasons":["deletes 600 of about 1000 rows of orders (60 %)"],
        "target":{"type":"lsn","value":"0/3000028","exclusive":true,"timeline":2},"locked_until_promotion":["orders"],
        "last_kept":{"xid":997,"time":"2026-11-22T12:09:59.5Z","lsn":"0/3000028"},
        "discarded":{"commits":186,"by_table":{"orders":{"inserted":184,"updated":0,"deleted":0}}},"subtransactions":[999]}],
        "notes":["the WAL ends early"]}"#;

    fn shown(answer: &Answer) -> String {
        let zone = chrono::FixedOffset::east_opt(3 * 3600).unwrap();
        let shown = Shown {
            zone: &zone,
            server_zone: Some(chrono_tz::Europe::Berlin),
            place: "/srv/pg_wal",
            reach: &reach("/srv/pg wal"),
        };
        text(answer, &shown)
    }

    #[test]
    fn everything_that_matters_is_said() {
        let answer: Answer = serde_json::from_str(ANSWER).unwrap();
        let said = shown(&answer);
        for words in [
            "3 segments (50.3 MB) of /srv/pg_wal",
            "Stop right before transaction 998: the first is here.",
            "2026-11-22 12:10:00.123456+00; server 13:10:00.123+01:00; here 15:10:00.123+03:00",
            "target     lsn 0/3000028, exclusive, on timeline 2",
            "keeps      the commit of 2026-11-22 12:09:59.500000+00 (xid 997)",
            "discards   it and 186 later commits: 184 inserts into orders",
            "locked     orders until promotion",
            "- deletes 600 of about 1000 rows of orders (60 %)",
            "orders (oid 16385): 600 deleted",
            "to see it: pg_waldump --path='/srv/pg wal' --timeline=2 --start=0/3000028 --end=0/3000130 | grep -E 'tx: +(998|999),'",
            "ids of their own: 999",
            "  the WAL ends early",
        ] {
            assert!(said.contains(words), "'{words}' is missing:\n{said}");
        }
    }

    fn reach(directory: &str) -> Reach {
        let there = std::collections::BTreeSet::from([WalSegment::parse("000000020000000000000003").unwrap()]);
        let archive = Some(vec!["pgbackrest".to_owned(), "--stanza=my shop".to_owned()]);
        Reach { directory: Some((directory.into(), there)), archive, size: Some(SegmentSize::DEFAULT) }
    }

    #[test]
    fn what_left_pg_wal_is_fetched_before_it_is_shown() {
        let answer: Answer = serde_json::from_str(ANSWER).unwrap();
        let mut suspect = answer.suspects[0].clone();
        suspect.subtransactions.clear();
        assert!(waldump(&suspect, &reach("/pg_wal")).starts_with("pg_waldump --path=/pg_wal --timeline=2"));
        suspect.commit_end_lsn = "0/5000000".parse().unwrap();
        assert_eq!(
            waldump(&suspect, &reach("/pg_wal")),
            "mkdir -p /tmp/lifeboat-wal-998 && for segment in 000000020000000000000003 000000020000000000000004; do pgbackrest \
             '--stanza=my shop' archive-get $segment /tmp/lifeboat-wal-998/$segment; done && pg_waldump \
             --path=/tmp/lifeboat-wal-998 --timeline=2 --start=0/3000028 --end=0/5000000 --xid=998"
        );
        let nowhere = Reach { directory: None, archive: None, ..reach("") };
        assert!(waldump(&suspect, &nowhere).starts_with("pg_waldump --path=PG_WAL "));
    }

    #[test]
    fn nothing_found_is_said_too() {
        let mut answer: Answer = serde_json::from_str(ANSWER).unwrap();
        answer.proposed = None;
        assert!(shown(&answer).contains("surely"));
        answer.suspects.clear();
        answer.notes.clear();
        let said = shown(&answer);
        assert!(said.contains("Nothing in this window looks like an accident.") && !said.contains("Notes"), "{said}");
    }
}
