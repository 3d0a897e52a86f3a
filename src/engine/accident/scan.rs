//! Reads the segments of a window in order and hands their transactions on.

use crate::domain::wal::WalSegment;
use crate::domain::wal_reader::WalStream;
use crate::engine::accident::source::{SegmentSource, SourceError};
use crate::engine::accident::window;
use crate::planning::accident::{Answer, Committed, Coverage, Names, Notice, Search, Transactions, Window};
use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

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

/// What there is to tell while the answer is worked out. Whoever hears it may break off.
#[derive(Debug)]
pub enum News<'a> {
    /// The names of tables are read from the server, or from what was remembered.
    Names,
    /// The archive is listed.
    Listing,
    /// A segment is looked into, to find where the window lies.
    Looking(WalSegment),
    /// A segment is read.
    Reading(Progress),
    /// What was found so far; more may come, and what is discarded grows. At most one a second.
    SoFar(&'a Answer),
}

/// Who hears the news.
pub type Tell<'t> = dyn FnMut(News<'_>) -> ControlFlow<()> + 't;

/// Notes of one kind beyond this number are summed up.
const MOST_NOTES: usize = 20;
/// Between two answers on the way.
const SO_FAR_EVERY: Duration = Duration::from_secs(1);

/// Searches a window for accidents. `table` limits the suspects to those that touch it. `tell` hears of each segment
/// and may break off: the answer then covers what was read.
///
/// # Errors
/// When segments can't be listed, or the window has no WAL at all. What can be read is answered for; the rest is noted.
pub fn find(
    source: &mut dyn SegmentSource,
    asked: Window,
    names: Names,
    table: Option<&str>,
    tell: &mut Tell<'_>,
) -> Result<Answer, SourceError> {
    let mut search = Search::new(asked, names);
    let mut told = (Instant::now(), 0);
    let mut coverage = scan(source, asked, tell, &mut |event, tell| match event {
        Event::Notice(notice) => search.notice(&notice),
        Event::Read(coverage) if search.candidates() != told.1 && told.0.elapsed() >= SO_FAR_EVERY => {
            _ = tell(News::SoFar(&search.answer(table, coverage.clone())));
            told = (Instant::now(), search.candidates());
        }
        Event::Read(_) => {}
    })?;
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
    tell: &mut Tell<'_>,
) -> Result<Coverage, SourceError> {
    scan(source, asked, tell, &mut |event, _| {
        if let Event::Notice(Notice::Committed(committed)) = event
            && committed.time.utc().is_some_and(|time| (asked.from..=asked.to).contains(&time))
        {
            each(committed);
        }
    })
}

/// What comes of reading.
pub(super) enum Event<'a> {
    /// A commit, a restore point.
    Notice(Notice<'a>),
    /// A segment was read to its end.
    Read(&'a Coverage),
}

fn scan(
    source: &mut dyn SegmentSource,
    asked: Window,
    tell: &mut Tell<'_>,
    take: &mut dyn FnMut(Event<'_>, &mut Tell<'_>),
) -> Result<Coverage, SourceError> {
    let all = source.segments()?;
    let located = window::segments(source, &all, asked, tell)?;
    scan_range(source, &all, located.range, located.notes, tell, take)
}

/// Reads the segments of a range of `all`, after what is to be noted of them.
pub(super) fn scan_range(
    source: &mut dyn SegmentSource,
    all: &[WalSegment],
    range: Range<usize>,
    notes: Vec<String>,
    tell: &mut Tell<'_>,
    take: &mut dyn FnMut(Event<'_>, &mut Tell<'_>),
) -> Result<Coverage, SourceError> {
    let behind = all.len() - range.end.min(all.len());
    let Some(wanted) = all.get(range).filter(|wanted| !wanted.is_empty()) else {
        return Err(SourceError::NoWal(format!("{} holds no WAL", source.place())));
    };
    source.expect(wanted);
    let mut reading = Reading {
        stream: WalStream::new(source.size(), Some(source.system_identifier())),
        transactions: Transactions::new(),
        coverage: Coverage { segments_behind: behind as u64, notes, ..Coverage::default() },
        gaps: 0,
        unproven: BTreeSet::new(),
    };
    for (index, segment) in wanted.iter().enumerate() {
        if tell(News::Reading(Progress { segment: *segment, place: index + 1, of: wanted.len() })).is_break() {
            reading.coverage.notes.push(format!("broken off before {segment}: what lies behind was not read"));
            break;
        }
        let is_last = index + 1 == wanted.len();
        reading.segment(source, *segment, index == 0, is_last, &mut |notice| take(Event::Notice(notice), tell));
        take(Event::Read(&reading.coverage), tell);
    }
    let mut coverage = reading.finish();
    coverage.notes.extend(source.notes());
    Ok(coverage)
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
