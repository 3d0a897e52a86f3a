//! Where a transaction began, and which tables it keeps locked.
//!
//! A stop right before a transaction's *commit* leaves it open at the pause: what it dropped, altered or truncated stays
//! locked, and a query on it hangs until promotion. Before its first record nothing of it is there.

use crate::domain::lsn::Lsn;
use crate::domain::running_xacts::next_xid;
use crate::domain::wal_marks::{LockedRelation, TransactionEnd};
use crate::engine::moments::{Moment, Moments, MomentsError};
use std::collections::BTreeSet;
use std::ops::Range;

/// So many numbers of a transaction (its own and the first of its subtransactions) are looked for: numbers are given in
/// the order of first writes, so the first record is by one of the first.
const NUMBERS: usize = 8;

/// A place before a transaction's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeforeTransaction {
    /// Before its first record, where nobody commits between that and its end; else before its end.
    pub moment: Moment,
    /// What it keeps locked there; empty where it has not begun or locks nothing that a reader would wait for.
    pub locked: BTreeSet<LockedRelation>,
    /// Others commit while it is open: it is open at this place as well.
    pub is_open: bool,
}

impl Moments {
    /// The place that leaves a transaction out with everything it did, and keeps every commit before its own.
    ///
    /// # Errors
    /// Why the WAL can't be read.
    pub fn before_transaction(&mut self, end: &TransactionEnd) -> Result<BeforeTransaction, MomentsError> {
        let at_end = self.neighbours(end.start)?;
        let numbers = self.numbers_of(end)?;
        let kept_end = at_end.last_kept.map_or(self.floor, |kept| kept.end);
        let snapshot = self.snapshot_before(kept_end)?;
        // numbers go round: later ones are those within the next 2^31
        let had_begun = snapshot.is_some_and(|(_, next)| end.xid.wrapping_sub(next) >= 1 << 31);
        if !had_begun {
            let from = snapshot.map_or(self.floor, |(at, _)| at);
            let first = self.first_record_of_any(&numbers, from..end.start)?;
            let at_first = match first {
                Some(first) => self.neighbours(first)?,
                // it wrote nothing before its end
                None => at_end.clone(),
            };
            if at_first.last_kept == at_end.last_kept {
                return Ok(BeforeTransaction { moment: at_first, locked: BTreeSet::new(), is_open: false });
            }
        }
        // a snapshot lists the locks that are held, right before it
        let from = snapshot.map_or(self.floor, |(at, _)| self.piece(self.piece_of(at)).start);
        let locked = self.locks_of(&numbers, from..end.start)?;
        Ok(BeforeTransaction { moment: at_end, locked, is_open: true })
    }

    /// The last snapshot of running transactions before `lsn`, with the first number that nobody had then: servers log one
    /// every 15 s and at each checkpoint, and nobody gets a number while one is written.
    fn snapshot_before(&mut self, lsn: Lsn) -> Result<Option<(Lsn, u32)>, MomentsError> {
        let floor = self.floor;
        for number in (self.piece_of(floor)..=self.piece_of(Lsn(lsn.0.saturating_sub(1)))).rev() {
            let piece = self.piece(number);
            if piece.is_empty() {
                continue;
            }
            let mut found = None;
            self.reader.read(piece, &["-r", "Standby"], &mut |record| {
                let next = next_xid(record.description).filter(|_| (floor..lsn).contains(&record.start));
                found = next.map(|next| (record.start, next)).or(found);
                Ok(())
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Its own number and those of its first subtransactions, which its end lists.
    fn numbers_of(&mut self, end: &TransactionEnd) -> Result<Vec<u32>, MomentsError> {
        let mut numbers = vec![end.xid];
        let piece = self.piece(self.piece_of(end.start));
        self.reader.read(piece, &["-r", "Transaction"], &mut |record| {
            if record.start == end.start {
                numbers.extend(record.subtransactions());
            }
            Ok(())
        })?;
        numbers.truncate(NUMBERS);
        Ok(numbers)
    }

    fn first_record_of_any(&mut self, numbers: &[u32], window: Range<Lsn>) -> Result<Option<Lsn>, MomentsError> {
        let mut first = None;
        for xid in numbers {
            let until = first.unwrap_or(window.end);
            match self.first_record_of(*xid, window.start..until) {
                Ok(found) => first = Some(found),
                Err(MomentsError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(first)
    }

    /// The tables that these transactions lock in a way that even a reader waits for.
    fn locks_of(&mut self, numbers: &[u32], window: Range<Lsn>) -> Result<BTreeSet<LockedRelation>, MomentsError> {
        let mut locked = BTreeSet::new();
        for (_, piece) in self.pieces(&window) {
            self.reader.read(piece, &["-r", "Standby"], &mut |record| {
                if window.contains(&record.start) {
                    locked.extend(record.locks().into_iter().filter(|lock| numbers.contains(&lock.xid)));
                }
                Ok(())
            })?;
        }
        self.reader.expect_nothing();
        Ok(locked)
    }
}
