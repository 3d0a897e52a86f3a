//! What PostgreSQL's own reader says of the WAL around an accident: the truth has exact positions.

use crate::domain::lsn::Lsn;
use crate::engine::rehearsal::Rehearsal;
use crate::engine::rehearsal::error::RehearsalError;
use crate::engine::rehearsal::programs::Asker;
use crate::engine::rehearsal::truth::Commit;
use chrono::{DateTime, NaiveDateTime, Utc};
use std::ffi::OsString;

/// A record as `pg_waldump` prints it (PostgreSQL 15).
#[derive(Debug, Clone, PartialEq)]
struct Record<'a> {
    bytes: u64,
    xid: u64,
    lsn: Lsn,
    description: &'a str,
}

/// A part of the server's own `pg_wal`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) timeline: u32,
    pub(super) from: Lsn,
    pub(super) to: Lsn,
}

/// The commits that lie wholly inside a span, in order.
pub(super) fn commits(rehearsal: &Rehearsal, asker: &Asker, span: Span) -> Result<Vec<Commit>, RehearsalError> {
    let printed = dump(rehearsal, asker, span, &["--rmgr=Transaction"])?;
    Ok(printed
        .lines()
        .filter_map(record)
        .filter(|record| record.lsn.0 + record.bytes <= span.to.0)
        .filter_map(commit)
        .collect())
}

/// Where the first record of a transaction starts.
pub(super) fn first_record(rehearsal: &Rehearsal, asker: &Asker, span: Span, xid: u64) -> Result<Lsn, RehearsalError> {
    let printed = dump(rehearsal, asker, span, &[&format!("--xid={xid}"), "--limit=1"])?;
    printed.lines().filter_map(record).find(|record| record.xid == xid).map(|record| record.lsn).ok_or_else(|| {
        RehearsalError::Accident(format!(
            "the WAL from {} to {} holds no record of transaction {xid}",
            span.from, span.to
        ))
    })
}

fn dump(rehearsal: &Rehearsal, asker: &Asker, span: Span, more: &[&str]) -> Result<String, RehearsalError> {
    let mut arguments: Vec<OsString> = vec![
        "--path".into(),
        rehearsal.layout.production().join("pg_wal").into(),
        format!("--timeline={}", span.timeline).into(),
        format!("--start={}", span.from).into(),
        format!("--end={}", span.to).into(),
    ];
    arguments.extend(more.iter().map(OsString::from));
    let program = rehearsal.marker.bin_directory.join("pg_waldump");
    asker.ask("reading the WAL around the accident", &program, &arguments)
}

/// Reads `rmgr: Heap len (rec/tot): 54/ 54, tx: 751, lsn: 0/0301F5E8, prev 0/0301F5A8, desc: DELETE …`.
fn record(line: &str) -> Option<Record<'_>> {
    let rest = line.strip_prefix("rmgr: ")?;
    let (_, rest) = rest.split_once("len (rec/tot):")?;
    let (_, rest) = rest.split_once('/')?;
    let (bytes, rest) = rest.split_once(", tx:")?;
    let (xid, rest) = rest.split_once(", lsn:")?;
    let (lsn, rest) = rest.split_once(", prev ")?;
    let (_, description) = rest.split_once(", desc: ")?;
    Some(Record {
        bytes: bytes.trim().parse().ok()?,
        xid: xid.trim().parse().ok()?,
        lsn: Lsn::parse(lsn.trim()).ok()?,
        description,
    })
}

/// Reads `COMMIT 2026-11-22 16:40:00.123456 UTC; inval msgs: …`; `pg_waldump` prints in the zone of `TZ`, which is UTC.
fn commit(record: Record<'_>) -> Option<Commit> {
    let time = record.description.strip_prefix("COMMIT ")?;
    let (time, _) = time.split_once(" UTC")?;
    let committed_at: DateTime<Utc> = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f").ok()?.and_utc();
    Some(Commit { xid: record.xid, committed_at, lsn: record.lsn })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn commits_are_read_with_their_time_and_all_else_is_not() {
        let line = "rmgr: Transaction len (rec/tot):     34/    46, tx:        740, lsn: 0/01A2B3C8, prev 0/01A2B388, desc: COMMIT 2026-11-22 16:40:00.123456 UTC; inval msgs: catcache 1";
        let read = commit(record(line).unwrap()).unwrap();
        assert_eq!((read.xid, read.lsn, record(line).unwrap().bytes), (740, Lsn(0x1A2_B3C8), 46));
        assert_eq!(read.committed_at, "2026-11-22T16:40:00.123456Z".parse::<DateTime<Utc>>().unwrap());

        let abort = line.replace("COMMIT", "ABORT");
        assert_eq!(commit(record(&abort).unwrap()), None);
        assert_eq!(record("pg_waldump: first record is after 0/3000000, at 0/3000028, skipping over 40 bytes"), None);
    }
}
