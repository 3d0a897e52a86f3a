//! Finding the place of a time or of a transaction without reading everything.

use crate::domain::lsn::Lsn;
use crate::domain::wal_marks::{Outcome, TransactionEnd};
use crate::engine::moments::{Moment, Moments, MomentsError};
use chrono::{DateTime, TimeDelta, Utc};
use std::ops::{ControlFlow, Range};

/// A transaction takes its time before it gets its place in the WAL: others overtake it. On a machine that stalls, by so
/// much.
const OVERTAKEN_BY: TimeDelta = TimeDelta::seconds(2);

/// Further back than this, and the clock was set.
const CLOCK_WENT_BACK: TimeDelta = TimeDelta::seconds(1);

/// So many pieces, evenly spread, are looked at for a clock that was set back.
const SAMPLES: u64 = 8;

impl Moments {
    /// The place that a time target means, found by bisection over the times at which pieces of the WAL begin. Compared in
    /// microseconds, as PostgreSQL does. Exclusive: transactions of that very time are discarded; inclusive: kept.
    ///
    /// Where times are seen to run backwards everything is read. A clock that was set back and had caught up again between
    /// two looks may be missed: then a time that was there twice may mean its second place.
    ///
    /// # Errors
    /// [`MomentsError::AfterEnd`] when nothing that is there stops recovery, [`MomentsError::BeforeSet`] when recovery would
    /// stop before the set is consistent, or why the WAL can't be read.
    pub fn resolve_time(&mut self, target: DateTime<Utc>, inclusive: bool) -> Result<Moment, MomentsError> {
        let stops = |time: DateTime<Utc>| if inclusive { time > target } else { time >= target };
        let (floor, first_piece) = (self.floor, self.piece_of(self.floor));
        if let Some(found) = self.ends(first_piece)?.iter().find(|end| end.start < floor && stops(end.time)).copied() {
            return Err(MomentsError::BeforeSet { target, floor, found });
        }
        let begin = self.piece_before(|end| end.time >= target - OVERTAKEN_BY)?;
        let Some(stop) = self.first_from(begin.max(floor), self.end, |end| stops(end.time))? else {
            let last = self.last_before(self.end, |_| true)?;
            let (end, gap) = (self.end, self.gap);
            return Err(MomentsError::AfterEnd { target, inclusive, last, end, gap });
        };
        let moment = self.neighbours(stop.start)?;
        Ok(Moment { clock_went_back: self.clock_went_back(begin, &moment)?, ..moment })
    }

    /// The end of a transaction, committed or not, in `window`. Transactions end about in the order of their numbers, and a
    /// long one later: it is looked for from where others of its time end.
    ///
    /// # Errors
    /// [`MomentsError::NotFound`], or why the WAL can't be read.
    pub fn find_xid(&mut self, xid: u32, window: Range<Lsn>) -> Result<TransactionEnd, MomentsError> {
        // numbers go round: later ones are those within the next 2^31
        let begin = self.piece_before(|end| end.xid.wrapping_sub(xid) < 1 << 31)?;
        let mut found = self.first_from(begin.max(window.start), window.end, |end| end.xid == xid)?;
        if found.is_none() && begin > window.start {
            found = self.first_from(window.start, begin.min(window.end), |end| end.xid == xid)?;
        }
        found.ok_or_else(|| self.not_found(format!("end of transaction {xid}"), window))
    }

    /// The beginning of a piece before everything that `is_late`, where what is late follows what is early; the first piece
    /// where it is seen that it does not.
    fn piece_before(&mut self, is_late: impl Fn(&TransactionEnd) -> bool) -> Result<Lsn, MomentsError> {
        let first = self.piece_of(self.floor);
        let mut low = first;
        let mut high = self.piece_of(Lsn(self.end.0.saturating_sub(1))) + 1;
        let mut seen = Vec::new();
        // bisection alone would look at one side of the place where a clock was set back
        for sample in 1..=SAMPLES {
            let number = first + (high - first) * sample / (SAMPLES + 1);
            seen.extend(self.ends(number)?.first().map(|end| (number, end.time)));
        }
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(number) = self.piece_with_ends(middle..high)? else {
                high = middle;
                continue;
            };
            let ends = self.ends(number)?;
            seen.extend(ends.first().map(|end| (number, end.time)));
            if ends.iter().any(&is_late) {
                high = middle;
            } else {
                low = number + 1;
            }
        }
        seen.sort();
        if seen.windows(2).any(|pair| pair[1].1 + CLOCK_WENT_BACK < pair[0].1) {
            return Ok(self.piece(first).start);
        }
        // one further back: what was overtaken
        let number = self.piece_with_ends((first..low).rev())?.unwrap_or(first);
        Ok(self.piece(number).start)
    }

    /// The first of these pieces in which transactions end.
    fn piece_with_ends(&mut self, pieces: impl Iterator<Item = u64>) -> Result<Option<u64>, MomentsError> {
        let floor = self.floor;
        for number in pieces {
            if self.ends(number)?.iter().any(|end| end.start >= floor) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// Whether times run backwards from where the search began to just behind what it found.
    fn clock_went_back(&mut self, begin: Lsn, moment: &Moment) -> Result<bool, MomentsError> {
        let behind = moment.first_discarded.map_or(moment.lsn_exclusive, |end| end.end);
        let mut latest: Option<DateTime<Utc>> = None;
        let mut went_back = false;
        self.each_end(begin..behind, |end| {
            went_back |= latest.is_some_and(|latest| end.time + CLOCK_WENT_BACK < latest);
            latest = latest.max(Some(end.time));
            ControlFlow::Continue(())
        })?;
        Ok(went_back)
    }

    /// The last committed transaction of the range before `lsn`; `None`: none since the backup set ended.
    ///
    /// # Errors
    /// Why the WAL can't be read.
    pub fn last_commit_before(&mut self, lsn: Lsn) -> Result<Option<TransactionEnd>, MomentsError> {
        self.last_before(lsn, |end| end.outcome == Outcome::Commit)
    }
}
