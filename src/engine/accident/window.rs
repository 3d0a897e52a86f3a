//! Which segments hold a span of time: found by bisection over the first commit in each.

use crate::domain::wal::WalSegment;
use crate::domain::wal_reader::{Content, PgTime, Record, WalStream};
use crate::engine::accident::source::{SegmentSource, SourceError};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

/// The segments of a span of time, with one before and one after: a transaction may have begun earlier, and what is
/// discarded lies behind.
///
/// # Errors
/// When a segment can't be read.
pub(super) fn segments(
    source: &mut dyn SegmentSource,
    all: &[WalSegment],
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Range<usize>, SourceError> {
    let mut known = BTreeMap::new();
    // The last segment that begins before `from`, or at it.
    let begin = partition(source, all, PgTime::of(from), &mut known)?.saturating_sub(1);
    let end = partition(source, all, PgTime::of(to), &mut known)?;
    Ok(begin.saturating_sub(1)..(end + 1).min(all.len()).max(begin))
}

/// How many segments have their first commit at or before `time`.
fn partition(
    source: &mut dyn SegmentSource,
    all: &[WalSegment],
    time: PgTime,
    known: &mut BTreeMap<usize, Option<PgTime>>,
) -> Result<usize, SourceError> {
    let (mut low, mut high) = (0, all.len());
    while low < high {
        let middle = low + (high - low) / 2;
        // A segment without a commit says nothing; the next one with a commit speaks for it.
        let mut place = middle;
        let first = loop {
            let first = match known.get(&place) {
                Some(first) => *first,
                None => {
                    let first = first_time(source, all[place])?;
                    known.insert(place, first);
                    first
                }
            };
            if first.is_some() || place + 1 >= high {
                break first;
            }
            place += 1;
        };
        match first {
            Some(first) if first <= time => low = place + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

/// The time of the first commit or abort whose record starts in a segment.
fn first_time(source: &mut dyn SegmentSource, segment: WalSegment) -> Result<Option<PgTime>, SourceError> {
    let mut stream = WalStream::new(source.size(), Some(source.system_identifier()));
    stream.begin_segment(segment);
    let mut found = None;
    let read = source.read(segment, &mut |piece| {
        stream.push(piece, &mut |record| {
            if found.is_none() {
                found = time(record);
            }
        });
        if found.is_some() || stream.is_at_rest() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match read {
        Ok(()) => Ok(found),
        // A hole in the archive hides the segments behind it from nobody.
        Err(error) => {
            tracing::warn!("{segment} is passed over: {error}");
            Ok(None)
        }
    }
}

fn time(record: &Record<'_>) -> Option<PgTime> {
    if record.rmgr != crate::domain::wal_reader::Rmgr::TRANSACTION {
        return None;
    }
    match Content::read(record, &record.parts().ok()?) {
        Content::Commit(ended) | Content::Abort(ended) => Some(ended.time),
        _ => None,
    }
}
