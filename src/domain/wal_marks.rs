//! Marks in the WAL that a recovery target can be set at: ends of transactions and restore points, as `pg_waldump` prints
//! them (9.6 to 17, `TZ=UTC`, `LC_ALL=C`).

use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal::SegmentSize;
use chrono::{DateTime, NaiveDateTime, Utc};

/// The size of a WAL page: pgBackRest works with nothing else.
pub const PAGE_BYTES: u64 = 8192;
/// The header of a page.
const SHORT_HEADER_BYTES: u64 = 24;
/// The header of a segment's first page.
const LONG_HEADER_BYTES: u64 = 40;
/// Records begin at multiples of this.
const ALIGNMENT_BYTES: u64 = 8;

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `COMMIT` or `COMMIT PREPARED`.
    Commit,
    /// `ABORT` or `ROLLBACK PREPARED`.
    Abort,
}

/// The end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionEnd {
    /// How it ended.
    pub outcome: Outcome,
    /// Its number; of a prepared transaction its own, not that of the command that ended it.
    pub xid: u32,
    /// The time that a recovery target is compared with, in microseconds.
    pub time: DateTime<Utc>,
    /// Where its record begins: as an exclusive target it leaves the transaction out.
    pub start: Lsn,
    /// Where its record ends: as an exclusive target it takes the transaction in, and nothing after it.
    pub end: Lsn,
}

/// A named restore point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestorePoint {
    /// Its name, cleaned.
    pub name: String,
    /// Where its record begins.
    pub start: Lsn,
    /// Where its record ends: a recovery to the name stops here.
    pub end: Lsn,
}

/// What every line of `pg_waldump` tells of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLine<'a> {
    /// The resource manager: `Transaction`, `Heap`, ….
    pub manager: &'a str,
    /// The record's length, full-page images included.
    pub bytes: u32,
    /// The transaction that wrote it; 0 for none.
    pub xid: u32,
    /// Where it begins.
    pub start: Lsn,
    /// The rest of the line.
    pub description: &'a str,
}

/// A table that a transaction has locked so that even a reader waits (AccessExclusiveLock).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockedRelation {
    /// The transaction.
    pub xid: u32,
    /// The database's OID; 0 for a relation that all share.
    pub database: u32,
    /// The relation's OID.
    pub relation: u32,
}

/// A line that speaks of a transaction's end and can't be read: nothing may be concluded from what follows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "pg_waldump printed '{line}', which can't be read as the end of a transaction; is it that of the cluster's major version?"
)]
pub struct WalMarkError {
    /// The line, cleaned and cut.
    pub line: String,
}

impl<'a> RecordLine<'a> {
    /// Reads `rmgr: Heap len (rec/tot): 54/ 54, tx: 751, lsn: 0/0301F5E8, prev 0/0301F5A8, desc: DELETE …`; `None` for a
    /// line that is none.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<RecordLine<'a>> {
        let (manager, rest) = line.strip_prefix("rmgr: ")?.split_once("len (rec/tot):")?;
        let (bytes, rest) = rest.split_once('/')?.1.split_once(", tx:")?;
        let (xid, rest) = rest.split_once(", lsn:")?;
        let (start, rest) = rest.split_once(", prev ")?;
        let (_, description) = rest.split_once(", desc: ")?;
        Some(RecordLine {
            manager: manager.trim(),
            bytes: bytes.trim().parse().ok()?,
            xid: xid.trim().parse().ok()?,
            start: Lsn::parse(start.trim()).ok()?,
            description,
        })
    }

    /// The end of a transaction; `None` for any other record.
    ///
    /// # Errors
    /// [`WalMarkError`] for one whose time or number can't be read.
    pub fn transaction_end(&self, size: SegmentSize) -> Result<Option<TransactionEnd>, WalMarkError> {
        if self.manager != "Transaction" {
            return Ok(None);
        }
        let (word, rest) = self.description.split_once(' ').unwrap_or((self.description, ""));
        let (outcome, prepared) = match word {
            "COMMIT" => (Outcome::Commit, false),
            "ABORT" => (Outcome::Abort, false),
            "COMMIT_PREPARED" => (Outcome::Commit, true),
            "ABORT_PREPARED" => (Outcome::Abort, true),
            _ => return Ok(None),
        };
        let read = || {
            let (xid, rest) = if prepared {
                let (xid, rest) = rest.split_once(": ")?;
                (xid.trim().parse().ok()?, rest)
            } else {
                (self.xid, rest)
            };
            let (time, _) = rest.split_once(" UTC")?;
            let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%.f").ok()?.and_utc();
            let end = record_end(self.start, self.bytes, size)?;
            Some(TransactionEnd { outcome, xid, time, start: self.start, end })
        };
        let unreadable = || WalMarkError { line: clean(&self.description.chars().take(200).collect::<String>()) };
        read().map(Some).ok_or_else(unreadable)
    }

    /// The subtransactions that an end of a transaction lists (`; subxacts: 745 746`).
    #[must_use]
    pub fn subtransactions(&self) -> Vec<u32> {
        let list = self.description.split_once("; subxacts:").filter(|_| self.manager == "Transaction");
        let numbers = list.map(|(_, rest)| rest.split(';').next().unwrap_or_default());
        numbers.unwrap_or_default().split_whitespace().filter_map(|number| number.parse().ok()).collect()
    }

    /// The locks that a `Standby` record tells of (`LOCK xid 745 db 16384 rel 16390 …`), which are all of a kind that
    /// readers wait for.
    #[must_use]
    pub fn locks(&self) -> Vec<LockedRelation> {
        let Some(list) = self.description.strip_prefix("LOCK ").filter(|_| self.manager == "Standby") else {
            return Vec::new();
        };
        let words: Vec<&str> = list.split_whitespace().collect();
        let lock = |words: &[&str]| match words {
            ["xid", xid, "db", database, "rel", relation] => Some(LockedRelation {
                xid: xid.parse().ok()?,
                database: database.parse().ok()?,
                relation: relation.parse().ok()?,
            }),
            _ => None,
        };
        words.chunks(6).filter_map(lock).collect()
    }

    /// A restore point; `None` for any other record.
    #[must_use]
    pub fn restore_point(&self, size: SegmentSize) -> Option<RestorePoint> {
        let name = self.description.strip_prefix("RESTORE_POINT ").filter(|_| self.manager == "XLOG")?;
        Some(RestorePoint { name: clean(name), start: self.start, end: record_end(self.start, self.bytes, size)? })
    }
}

/// Where a record ends that begins at `start` and has `bytes`: page headers lie between its pieces, and the next record
/// begins at a multiple of 8. `None` where positions end.
#[must_use]
pub fn record_end(start: Lsn, bytes: u32, size: SegmentSize) -> Option<Lsn> {
    let mut position = start.0;
    let mut left = u64::from(bytes);
    loop {
        let room = PAGE_BYTES - position % PAGE_BYTES;
        if left <= room {
            let end = position.checked_add(left)?;
            return end.checked_next_multiple_of(ALIGNMENT_BYTES).map(Lsn);
        }
        left -= room;
        position = position.checked_add(room)?;
        position += header_bytes(position, size);
    }
}

/// How many bytes of headers, at the most, lie between `bytes` of a record that goes on from `from`; where its last byte
/// surely lies before.
#[must_use]
pub fn continued_to(from: Lsn, bytes: u32) -> Lsn {
    let pages = u64::from(bytes) / (PAGE_BYTES - LONG_HEADER_BYTES) + 2;
    Lsn(from.0.saturating_add(pages * PAGE_BYTES))
}

fn header_bytes(page: u64, size: SegmentSize) -> u64 {
    if page.is_multiple_of(size.bytes()) { LONG_HEADER_BYTES } else { SHORT_HEADER_BYTES }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    const LINE: &str = "rmgr: Transaction len (rec/tot):     34/    46, tx:        740, lsn: 0/01A2B3C8, prev 0/01A2B388, desc: COMMIT 2026-11-22 16:40:00.123456 UTC; inval msgs: catcache 1";

    fn end(line: &str) -> Result<Option<TransactionEnd>, WalMarkError> {
        RecordLine::parse(line).unwrap().transaction_end(SegmentSize::DEFAULT)
    }

    #[test]
    fn ends_of_transactions_are_read() {
        let read = end(LINE).unwrap().unwrap();
        assert_eq!((read.outcome, read.xid, read.start), (Outcome::Commit, 740, Lsn(0x1A2_B3C8)));
        assert_eq!(read.time, "2026-11-22T16:40:00.123456Z".parse::<DateTime<Utc>>().unwrap());
        assert_eq!(read.end, Lsn(0x1A2_B3F8));
        let aborted = LINE.replace("COMMIT", "ABORT");
        assert_eq!(end(&aborted).unwrap().unwrap().outcome, Outcome::Abort);
        let prepared = LINE.replace("desc: COMMIT", "desc: COMMIT_PREPARED 731:");
        assert_eq!(end(&prepared).unwrap().unwrap().xid, 731);
        let other = LINE.replace("desc: COMMIT", "desc: ABORT_PREPARED 731:");
        assert_eq!(end(&other).unwrap().unwrap().outcome, Outcome::Abort);
    }

    #[test]
    fn all_else_is_no_end() {
        for description in
            ["PREPARE gid COMMIT: 2026-11-22 16:40:00.123456 UTC", "ASSIGNMENT xtop 7: subxacts: 8", "INVALIDATION ;"]
        {
            let line = LINE.replace(LINE.split_once("desc: ").unwrap().1, description);
            assert_eq!(end(&line).unwrap(), None);
        }
        assert_eq!(end(&LINE.replace("Transaction", "Heap")).unwrap(), None);
        assert_eq!(RecordLine::parse("first record is after 0/3000000, at 0/3000028, skipping over 40 bytes"), None);
        assert_eq!(RecordLine::parse(""), None);
    }

    #[test]
    fn an_end_that_cant_be_read_is_no_other_record() {
        for (from, to) in [(" UTC", " MSK"), ("2026-11-22 ", ""), ("COMMIT", "COMMIT_PREPARED"), (".123456", ".x")] {
            let said = end(&LINE.replace(from, to)).unwrap_err().to_string();
            assert!(said.contains("can't be read as the end of a transaction"), "{said}");
        }
        assert!(!end(&LINE.replace("2026", "\u{1b}[2J")).unwrap_err().to_string().contains('\u{1b}'));
    }

    #[test]
    fn subtransactions_and_locks_are_read() {
        let with = |manager: &str, description: &str| {
            let line = LINE.replace("Transaction", manager);
            line.replace(LINE.split_once("desc: ").unwrap().1, description)
        };
        // as pg_waldump 15 prints them
        let commit = with(
            "Transaction",
            "COMMIT 2026-11-22 16:40:00.123456 UTC; rels: base/5/1; subxacts: 745 746; inval msgs: catcache 50",
        );
        assert_eq!(RecordLine::parse(&commit).unwrap().subtransactions(), [745, 746]);
        assert_eq!(RecordLine::parse(LINE).unwrap().subtransactions(), [0u32; 0]);
        let locks = with("Standby", "LOCK xid 745 db 16384 rel 16390 xid 746 db 0 rel 1262 ");
        let lock = |xid, database, relation| LockedRelation { xid, database, relation };
        assert_eq!(RecordLine::parse(&locks).unwrap().locks(), [lock(745, 16384, 16390), lock(746, 0, 1262)]);
        for other in
            [with("Standby", "LOCK xid x db 1 rel 2"), with("Heap", "LOCK xid 745 db 16384 rel 16390"), LINE.to_owned()]
        {
            assert_eq!(RecordLine::parse(&other).unwrap().locks(), [], "{other}");
        }
    }

    #[test]
    fn restore_points_are_read() {
        let line = "rmgr: XLOG        len (rec/tot):     98/    98, tx:          0, lsn: 0/1000C740, prev 0/1000C700, desc: RESTORE_POINT before it";
        let point = RecordLine::parse(line).unwrap().restore_point(SegmentSize::DEFAULT).unwrap();
        assert_eq!((point.name.as_str(), point.start, point.end), ("before it", Lsn(0x1000_C740), Lsn(0x1000_C7A8)));
        let other = line.replace("XLOG", "Heap");
        assert_eq!(RecordLine::parse(&other).unwrap().restore_point(SegmentSize::DEFAULT), None);
    }

    #[test]
    fn a_record_ends_behind_the_headers_between_its_pieces() {
        let at = |start: u64, bytes| record_end(Lsn(start), bytes, SegmentSize::DEFAULT).unwrap().0;
        assert_eq!(at(0x300_0028, 34), 0x300_0050);
        // up to a page's last byte, and one byte more
        assert_eq!(at(0x300_1FD0, 0x30), 0x300_2000);
        assert_eq!(at(0x300_1FD0, 0x31), 0x300_2000 + 24 + 8);
        // over the end of a segment: the long header
        assert_eq!(at(0x3FF_FFD0, 0x31), 0x400_0000 + 40 + 8);
        assert_eq!(record_end(Lsn(u64::MAX - 7), 100, SegmentSize::DEFAULT), None);
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(line in "rmgr: (Transaction|XLOG)? ?(len \\(rec/tot\\):|/|, tx:|, lsn:|, prev |, desc: |COMMIT |1|0/1| UTC|\\PC){0,30}") {
            if let Some(line) = RecordLine::parse(&line) {
                let _ = line.transaction_end(SegmentSize::DEFAULT);
                let _ = line.restore_point(SegmentSize::DEFAULT);
                let _ = (line.subtransactions(), line.locks());
            }
        }

        #[test]
        fn what_goes_on_ends_before(pages in 0u64..1000, bytes in 1u32..100_000_000) {
            let from = Lsn(pages * PAGE_BYTES);
            let size = SegmentSize::from_bytes(1 << 20).unwrap();
            let end = record_end(Lsn(from.0 + header_bytes(from.0, size)), bytes, size).unwrap();
            prop_assert!(end <= continued_to(from, bytes));
        }
    }
}
