//! Questions about moments in the archived WAL: which position a time means, what the last record is, where a transaction
//! or a restore point is, what an exclusive target keeps and discards.
//!
//! PostgreSQL's own `pg_waldump` reads the WAL, on segments that are fetched into a temporary folder; nothing is restored
//! and no server runs. A time target stops PostgreSQL (9.6 to 17, `recoveryStopsBefore`) before the first end of a
//! transaction, commit or abort, whose time is at the target or behind it (exclusive), or behind it (inclusive). That
//! record's position, as an *exclusive* LSN target, gives the same state, and unlike the time means one place only.

mod begin;
mod error;
mod reader;
mod search;
#[cfg(test)]
mod tests;

pub use begin::BeforeTransaction;
pub use error::MomentsError;

use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::domain::wal_marks::{Outcome, RestorePoint, TransactionEnd, record_end};
use crate::engine::moments::reader::{Pieces, Reader};
use crate::engine::postgres::PostgresPrograms;
use crate::engine::wal_source::{Gap, WalSource};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;

/// So many ends of transactions are remembered, which are 20 MB: of a quiet stretch all pieces, of a busy one some.
const REMEMBERED_ENDS: usize = 500_000;

/// The end of WAL is looked for in steps of this size.
const STEP_BYTES: u64 = 1 << 20;

/// The WAL of a timeline from a backup set on, ready to be asked. What it has fetched lies in a folder of its own, which
/// is removed with it.
#[derive(Debug)]
pub struct Moments {
    reader: Box<dyn Pieces>,
    floor: Lsn,
    end: Lsn,
    gap: Option<Gap>,
    /// The ends of transactions that begin in a piece, by its number.
    known: BTreeMap<u64, Vec<TransactionEnd>>,
}

/// A place in the WAL between two transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// As `recovery_target_lsn` with `recovery_target_inclusive = off`: recovery stops before the record that begins here.
    pub lsn_exclusive: Lsn,
    /// The last transaction that is committed then; `None`: none since the backup set ended.
    pub last_kept: Option<TransactionEnd>,
    /// The first committed transaction that is left out; `None` when only aborted ones or none follow.
    pub first_discarded: Option<TransactionEnd>,
    /// Near this place the clock was set back by more than a second: other transactions with times beyond the target may
    /// be kept, or earlier ones discarded. PostgreSQL goes by the order in the WAL.
    pub clock_went_back: bool,
}

/// The end of the WAL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastRecord {
    /// Where the last whole record begins: as an *inclusive* LSN target recovery stops right after it.
    pub start: Lsn,
    /// Where it ends.
    pub end: Lsn,
    /// The last committed transaction; `None`: none since the backup set ended.
    pub last_commit: Option<TransactionEnd>,
    /// The last end of a transaction, committed or not: a time target must lie before its time (inclusive) or at most at
    /// it (exclusive) to be reached.
    pub last_end: Option<TransactionEnd>,
    /// What is missing, where there is WAL behind this end.
    pub gap: Option<Gap>,
}

impl Moments {
    /// The WAL of `timeline` from `floor` on, which is where the backup set ends (its stop LSN). `below` is a directory of
    /// ours for the fetched segments (a run's folder, the state directory): about seven of them lie there at once.
    ///
    /// # Errors
    /// [`MomentsError::NoBeginning`] when the segment with `floor` is not there, [`MomentsError::Version`] for programs of
    /// another version, or why the history, the segment size or the folder can't be had.
    pub fn open(
        source: &WalSource,
        programs: &PostgresPrograms,
        environment: &BTreeMap<String, String>,
        below: &Path,
        timeline: TimelineId,
        floor: Lsn,
    ) -> Result<Moments, MomentsError> {
        let needed = &source.cluster().version;
        if programs.major() != needed {
            let (needed, found) = (needed.clone(), programs.version.clone());
            return Err(MomentsError::Version { needed, found, bin_directory: programs.bin_directory.clone() });
        }
        // exactly on a boundary nothing of the next segment may be there yet
        let way = source.way(timeline, Lsn(floor.0.saturating_sub(1)))?;
        let Some(end) = way.end().filter(|end| *end >= floor) else {
            return Err(MomentsError::NoBeginning { from: floor, gap: way.gap });
        };
        let reader = Reader::new(source.clone(), &way, timeline, programs, environment, below)?;
        Ok(Moments { reader: Box::new(reader), floor, end, gap: way.gap, known: BTreeMap::new() })
    }

    /// From the backup set's end to the end of the last segment before a gap.
    #[must_use]
    pub fn range(&self) -> Range<Lsn> {
        self.floor..self.end
    }

    /// What is missing, where there is WAL behind the end of the range.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        self.gap
    }

    /// What an exclusive LSN target keeps and discards.
    ///
    /// # Errors
    /// [`MomentsError::Outside`], or why the WAL can't be read.
    pub fn neighbours(&mut self, lsn: Lsn) -> Result<Moment, MomentsError> {
        if lsn < self.floor || lsn > self.end {
            let (from, to, gap) = (self.floor, self.end, self.gap);
            return Err(MomentsError::Outside { lsn, from, to, gap });
        }
        let last_kept = self.last_before(lsn, |end| end.outcome == Outcome::Commit)?;
        let first_discarded = self.first_from(lsn, self.end, |end| end.outcome == Outcome::Commit)?;
        Ok(Moment { lsn_exclusive: lsn, last_kept, first_discarded, clock_went_back: false })
    }

    /// The first end of a transaction in the range; `None` where none ends in it.
    ///
    /// # Errors
    /// Why the WAL can't be read.
    pub fn first_end(&mut self) -> Result<Option<TransactionEnd>, MomentsError> {
        self.first_from(self.floor, self.end, |_| true)
    }

    /// The last whole record, of whatever kind.
    ///
    /// # Errors
    /// [`MomentsError::NotFound`] when there is none at all, or why the WAL can't be read.
    pub fn last_record(&mut self) -> Result<LastRecord, MomentsError> {
        let size = self.reader.size();
        let mut to = self.end;
        while to > self.floor {
            let from = Lsn((to.0 - 1) / STEP_BYTES * STEP_BYTES);
            let mut last: Option<(Lsn, u32)> = None;
            self.reader.read(from..to, &[], &mut |record| {
                last = Some((record.start, record.bytes));
                Ok(())
            })?;
            if let Some((start, bytes)) = last.filter(|(start, _)| *start >= self.floor) {
                return Ok(LastRecord {
                    start,
                    end: record_end(start, bytes, size).unwrap_or(start),
                    last_commit: self.last_before(self.end, |end| end.outcome == Outcome::Commit)?,
                    last_end: self.last_before(self.end, |_| true)?,
                    gap: self.gap,
                });
            }
            to = from;
        }
        Err(self.not_found("record".to_owned(), self.range()))
    }

    /// The restore point of this name that recovery would stop at: the first in `window` (of the whole range, it is the one
    /// PostgreSQL takes).
    ///
    /// # Errors
    /// [`MomentsError::NotFound`], or why the WAL can't be read.
    pub fn find_restore_point(&mut self, name: &str, window: Range<Lsn>) -> Result<RestorePoint, MomentsError> {
        let name = crate::domain::text::clean(name);
        let size = self.reader.size();
        let mut found = None;
        for (_, piece) in self.pieces(&window) {
            self.reader.read(piece, &["-r", "XLOG"], &mut |record| {
                let point = record.restore_point(size).filter(|point| point.name == name);
                found = found.take().or(point.filter(|point| window.contains(&point.start)));
                Ok(())
            })?;
            if found.is_some() {
                break;
            }
        }
        self.reader.expect_nothing();
        found.ok_or_else(|| self.not_found(format!("restore point '{name}'"), window))
    }

    /// Where the first record of a transaction begins in `window`: an exclusive target there leaves out all it did, and
    /// none of its locks is held. Subtransactions have numbers of their own.
    ///
    /// # Errors
    /// [`MomentsError::NotFound`], or why the WAL can't be read.
    pub fn first_record_of(&mut self, xid: u32, window: Range<Lsn>) -> Result<Lsn, MomentsError> {
        let filter = format!("--xid={xid}");
        let mut found = None;
        for (_, piece) in self.pieces(&window) {
            self.reader.read(piece, &[&filter], &mut |record| {
                found = found.or(Some(record.start).filter(|start| record.xid == xid && window.contains(start)));
                Ok(())
            })?;
            if found.is_some() {
                break;
            }
        }
        self.reader.expect_nothing();
        found.ok_or_else(|| self.not_found(format!("record of transaction {xid}"), window))
    }

    /// The pieces that touch a part of the range, in order, their segments fetched ahead.
    fn pieces(&mut self, window: &Range<Lsn>) -> Vec<(u64, Range<Lsn>)> {
        let from = window.start.max(self.floor);
        let to = window.end.min(self.end);
        if from >= to {
            return Vec::new();
        }
        let size = self.reader.size().bytes();
        self.reader.expect(from.0 / size..(to.0 - 1) / size + 2);
        (self.piece_of(from)..=self.piece_of(Lsn(to.0 - 1))).map(|number| (number, self.piece(number))).collect()
    }

    fn piece_of(&self, lsn: Lsn) -> u64 {
        lsn.0 / self.reader.piece_bytes()
    }

    /// Where a piece lies; the last one ends where the WAL does.
    fn piece(&self, number: u64) -> Range<Lsn> {
        let bytes = self.reader.piece_bytes();
        Lsn(number * bytes)..Lsn((number + 1) * bytes).min(self.end)
    }

    /// The ends of transactions that begin in a piece.
    fn ends(&mut self, number: u64) -> Result<&[TransactionEnd], MomentsError> {
        if !self.known.contains_key(&number) {
            let (size, piece) = (self.reader.size(), self.piece(number));
            let mut ends = Vec::new();
            // a set that ends exactly where the WAL does: there is nothing behind it
            if !piece.is_empty() {
                self.reader.read(piece, &["-r", "Transaction"], &mut |record| {
                    ends.extend(record.transaction_end(size)?);
                    Ok(())
                })?;
            }
            if self.known.values().map(Vec::len).sum::<usize>() + ends.len() > REMEMBERED_ENDS {
                self.known.clear();
            }
            self.known.insert(number, ends);
        }
        Ok(self.known.get(&number).map_or(&[], Vec::as_slice))
    }

    /// The last end of a transaction before `lsn`, behind the floor, that `is_it`.
    fn last_before(
        &mut self,
        lsn: Lsn,
        is_it: impl Fn(&TransactionEnd) -> bool,
    ) -> Result<Option<TransactionEnd>, MomentsError> {
        let floor = self.floor;
        for number in (self.piece_of(floor)..=self.piece_of(Lsn(lsn.0.saturating_sub(1)))).rev() {
            let ends = self.ends(number)?.iter().rev();
            let mut fitting = ends.filter(|end| end.start < lsn && end.start >= floor && is_it(end));
            if let Some(found) = fitting.next() {
                return Ok(Some(*found));
            }
        }
        Ok(None)
    }

    /// The first end of a transaction from `lsn` on, before `to`, that `is_it`.
    fn first_from(
        &mut self,
        lsn: Lsn,
        to: Lsn,
        is_it: impl Fn(&TransactionEnd) -> bool,
    ) -> Result<Option<TransactionEnd>, MomentsError> {
        let mut found = None;
        self.each_end(lsn..to, |end| {
            found = is_it(end).then_some(*end);
            if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok(found)
    }

    /// Every end of a transaction that begins in `window`, in order.
    fn each_end(
        &mut self,
        window: Range<Lsn>,
        mut each: impl FnMut(&TransactionEnd) -> ControlFlow<()>,
    ) -> Result<(), MomentsError> {
        let from = window.start.max(self.floor);
        let mut number = self.piece_of(from);
        let end = window.end.min(self.end);
        let mut is_ahead = false;
        while self.piece(number).start < end {
            // the answer mostly lies in the first piece: only who goes on gets more fetched ahead
            let ends = self.ends(number)?;
            for end in ends.iter().filter(|end| end.start >= from && window.contains(&end.start)) {
                if each(end).is_break() {
                    self.reader.expect_nothing();
                    return Ok(());
                }
            }
            number += 1;
            if !is_ahead {
                let size = self.reader.size().bytes();
                self.reader.expect(self.piece(number).start.0 / size..end.0.div_ceil(size) + 1);
                is_ahead = true;
            }
        }
        self.reader.expect_nothing();
        Ok(())
    }

    fn not_found(&self, what: String, window: Range<Lsn>) -> MomentsError {
        let gap = self.gap.filter(|_| window.end >= self.end);
        MomentsError::NotFound { what, from: window.start.max(self.floor), to: window.end.min(self.end), gap }
    }
}
