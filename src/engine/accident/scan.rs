//! Reads the segments of a window in order and hands their transactions on.

use crate::domain::wal::WalSegment;
use crate::domain::wal_reader::WalStream;
use crate::engine::accident::source::{SegmentSource, SourceError};
use crate::engine::accident::window;
use crate::planning::accident::{Answer, Committed, Coverage, Names, Notice, Search, Transactions, Window};
use crate::planning::target::RecoveryTarget;
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

/// How far reading has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The segment that is read.
    pub segment: WalSegment,
    /// Its place, from 1.
    pub place: usize,
    /// How many there are.
    pub of: usize,
}

/// Notes of one kind beyond this number are summed up.
const MOST_NOTES: usize = 20;

/// Searches a window for accidents. `table` limits the suspects to those that touch it. `progress` hears of each segment
/// and may break off.
///
/// # Errors
/// When segments can't be listed, or the window has no WAL at all. What can be read is answered for; the rest is noted.
pub fn find(
    source: &mut dyn SegmentSource,
    asked: Window,
    names: Names,
    table: Option<&str>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Answer, SourceError> {
    let mut search = Search::new(asked, names);
    let mut coverage = scan(source, asked, progress, &mut |notice| search.notice(&notice))?;
    if coverage.segments_behind > 0 {
        coverage.notes.push(format!(
            "{} segments behind the window were not read: what was committed in them would be discarded too",
            coverage.segments_behind
        ));
    }
    Ok(search.answer(table, coverage))
}

/// Hands out every commit of a window, in order.
///
/// # Errors
/// As [`find`].
pub fn commits(
    source: &mut dyn SegmentSource,
    asked: Window,
    each: &mut dyn FnMut(&Committed),
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Coverage, SourceError> {
    scan(source, asked, progress, &mut |notice| {
        if let Notice::Committed(committed) = notice
            && committed.time.utc().is_some_and(|time| (asked.from..=asked.to).contains(&time))
        {
            each(committed);
        }
    })
}

fn scan(
    source: &mut dyn SegmentSource,
    asked: Window,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    notice: &mut dyn FnMut(Notice<'_>),
) -> Result<Coverage, SourceError> {
    let all = source.segments()?;
    let range = window::segments(source, &all, asked.from, asked.to)?;
    scan_range(source, &all, range, progress, notice)
}

/// Reads the segments of a range of `all`.
pub(super) fn scan_range(
    source: &mut dyn SegmentSource,
    all: &[WalSegment],
    range: Range<usize>,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    notice: &mut dyn FnMut(Notice<'_>),
) -> Result<Coverage, SourceError> {
    let behind = all.len() - range.end.min(all.len());
    let Some(wanted) = all.get(range).filter(|wanted| !wanted.is_empty()) else {
        return Err(SourceError::NoWal(format!("{} holds no WAL", source.place())));
    };
    let mut reading = Reading {
        stream: WalStream::new(source.size(), Some(source.system_identifier())),
        transactions: Transactions::new(),
        coverage: Coverage { segments_behind: behind as u64, ..Coverage::default() },
        gaps: 0,
        unproven: BTreeSet::new(),
    };
    for (index, segment) in wanted.iter().enumerate() {
        if progress(Progress { segment: *segment, place: index + 1, of: wanted.len() }).is_break() {
            reading.coverage.notes.push(format!("broken off before {segment}: what lies behind was not read"));
            break;
        }
        let is_last = index + 1 == wanted.len();
        reading.segment(source, *segment, index == 0, is_last, notice);
    }
    Ok(reading.finish())
}

/// What reading needs and leaves.
struct Reading {
    stream: WalStream,
    transactions: Transactions,
    coverage: Coverage,
    gaps: usize,
    unproven: BTreeSet<u32>,
}

impl Reading {
    fn segment(
        &mut self,
        source: &mut dyn SegmentSource,
        segment: WalSegment,
        is_first: bool,
        is_last: bool,
        notice: &mut dyn FnMut(Notice<'_>),
    ) {
        let before = self.stream.position();
        let had_stopped = self.stream.stop().is_some();
        if !self.stream.begin_segment(segment) && !is_first {
            self.transactions.gap();
            if !had_stopped {
                self.gap(format!(
                    "the WAL from {before} to the segment {segment} is missing: what was committed there is not known"
                ));
            }
        }
        let (stream, transactions, bytes) = (&mut self.stream, &mut self.transactions, &mut self.coverage.bytes);
        let read = source.read(segment, &mut |piece| {
            *bytes += piece.len() as u64;
            stream.push(piece, &mut |record| transactions.record(record, &mut |one| notice(one)));
            if stream.is_at_rest() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.coverage.segments += 1;
        if !self.stream.version().is_proven() {
            self.unproven.insert(self.stream.version().major());
        }
        if let Err(error) = read {
            self.gap(format!("{segment} could not be read: {error}"));
        }
        if let Some(stop) = self.stream.stop()
            && !(is_last && stop.reason.is_end_of_written())
        {
            self.gap(format!("{segment} can be read no further than {}: {}", stop.at, stop.reason));
        }
    }

    fn gap(&mut self, words: String) {
        self.gaps += 1;
        if self.gaps <= MOST_NOTES {
            self.coverage.notes.push(words);
        }
    }

    fn finish(mut self) -> Coverage {
        let notes = &mut self.coverage.notes;
        if self.gaps > MOST_NOTES {
            notes.push(format!("{} more gaps", self.gaps - MOST_NOTES));
        }
        for major in self.unproven {
            notes.push(format!(
                "WAL of PostgreSQL {major} is read by its layouts and unproven: compare with its pg_waldump before acting"
            ));
        }
        if self.transactions.unknown() > 0 {
            notes.push(format!(
                "{} of {} records are of an unknown kind and were passed over",
                self.transactions.unknown(),
                self.transactions.records()
            ));
        }
        if self.transactions.uncounted() > 0 {
            notes.push(format!(
                "{} changes were left out of the counts: too many transactions or tables were open at once",
                self.transactions.uncounted()
            ));
        }
        self.coverage
    }
}

/// The moment that a person typed, as the middle of a window of `seconds` to each side.
///
/// # Errors
/// In words, when it is no time, or a time without its offset.
pub fn window_around(text: &str, seconds: u64, now: chrono::DateTime<chrono::FixedOffset>) -> Result<Window, String> {
    let parsed = RecoveryTarget::parse(text, false, now.to_utc(), now.offset()).map_err(|error| error.to_string())?;
    let RecoveryTarget::Time { at, .. } = parsed else {
        return Err(format!("'{text}' is no time; write it with its offset, as 2026-11-22 02:13:00+03"));
    };
    let side = i64::try_from(seconds).ok().and_then(chrono::TimeDelta::try_seconds);
    let bounds = side.and_then(|side| Some((at.checked_sub_signed(side)?, at.checked_add_signed(side)?)));
    let (from, to) = bounds.ok_or_else(|| "the window is longer than time itself".to_owned())?;
    Ok(Window { from, to, around: at })
}
