//! What a recovery target keeps and throws away, counted in the WAL behind it.

use crate::domain::wal::WalSegment;
use crate::engine::accident::request::{AccidentError, Place, Request, open};
use crate::engine::accident::scan::{Event, News, Tell, scan_range};
use crate::engine::accident::source::{SegmentSource, SourceError};
use crate::engine::accident::window;
use crate::engine::ask::Cancel;
use crate::planning::accident::{Boundary, Divide, Names, ThrownAway, Window};
use std::ops::{ControlFlow, Range};
use std::time::Duration;

/// Segments before the boundary that are read as well: of the transactions that are open there, most began in them.
const SEGMENTS_BEFORE: usize = 2;

/// How much of the WAL behind a target is read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Segments.
    pub segments: usize,
    /// Time, listing the archive included.
    pub time: Duration,
}

/// What was counted, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weighed {
    /// What the target keeps and throws away.
    pub thrown: ThrownAway,
    /// Where the WAL was read, as a person says it.
    pub place: String,
    /// Which places could not be looked into, and where the names are from, in words.
    pub notes: Vec<String>,
}

/// Counts what a target throws away, in the WAL that `request` names along its timeline, to the end or to the limits; what
/// was not read is noted. The request's window says nothing here but at which time remembered names are wanted.
///
/// # Errors
/// When there is no WAL to be read, or the time is over before any was, in words.
pub fn thrown_away(
    place: &Place,
    request: &Request,
    boundary: Boundary,
    limits: Limits,
) -> Result<Weighed, AccidentError> {
    // A repository that does not answer is not waited for, either.
    Cancel::within(limits.time, |cancel| {
        let mut tell = |_: News<'_>| if cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let (mut opened, names, _) = open(place, request, cancel, &mut tell)?;
        let thrown = count(opened.source.as_mut(), boundary, names, limits.segments, &mut tell)?;
        Ok(Weighed { thrown, place: opened.source.place(), notes: opened.notes })
    })
}

fn count(
    source: &mut dyn SegmentSource,
    boundary: Boundary,
    names: Names,
    most_segments: usize,
    tell: &mut Tell<'_>,
) -> Result<ThrownAway, SourceError> {
    let all = source.segments()?;
    let mut range = range(source, &all, boundary, tell)?;
    let behind = range.len().saturating_sub(most_segments);
    range.end -= behind;
    let mut divide = Divide::new(boundary, names);
    let mut coverage = scan_range(source, &all, range, Vec::new(), tell, &mut |event, _| {
        if let Event::Notice(notice) = event {
            divide.notice(&notice);
        }
    })?;
    if behind > 0 {
        coverage.notes.push(format!("{behind} later segments were not read: there is more than is counted here"));
    }
    Ok(divide.finish(coverage))
}

/// The segments from a little before the boundary on.
fn range(
    source: &mut dyn SegmentSource,
    all: &[WalSegment],
    boundary: Boundary,
    tell: &mut Tell<'_>,
) -> Result<Range<usize>, SourceError> {
    let size = source.size();
    let begin = match boundary {
        Boundary::Before(lsn) | Boundary::Behind(lsn) => {
            let place = all.partition_point(|segment| segment.start(size).is_some_and(|start| start <= lsn));
            place.saturating_sub(1 + SEGMENTS_BEFORE)
        }
        Boundary::Time { at, .. } => {
            window::segments(source, all, Window { from: at, to: at, around: at }, tell)?.range.start
        }
        Boundary::Transaction { .. } => 0,
    };
    Ok(begin..all.len())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::domain::wal::SegmentSize;

    /// Segments that hold nothing.
    struct Blank(u32);

    impl SegmentSource for Blank {
        fn segments(&self) -> Result<Vec<WalSegment>, SourceError> {
            let segment = |number| WalSegment::parse(&format!("0000000100000000000000{number:02X}")).unwrap();
            Ok((1..=self.0).map(segment).collect())
        }

        fn size(&self) -> SegmentSize {
            SegmentSize::DEFAULT
        }

        fn system_identifier(&self) -> u64 {
            9
        }

        fn read(
            &mut self,
            segment: WalSegment,
            _: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
        ) -> Result<(), SourceError> {
            Err(SourceError::Other(format!("{segment} is gone")))
        }

        fn place(&self) -> String {
            "nowhere".to_owned()
        }
    }

    #[test]
    fn reading_begins_a_little_before_the_target_and_what_is_not_read_is_said() {
        let boundary = Boundary::Before("0/5000028".parse().unwrap());
        let mut go_on = |_: News<'_>| ControlFlow::Continue(());
        let mut source = Blank(9);
        let all = source.segments().unwrap();
        assert_eq!(range(&mut source, &all, boundary, &mut go_on).unwrap(), 2..9);
        let found = count(&mut source, boundary, Names::default(), 4, &mut go_on).unwrap();
        let notes = found.notes.join("\n");
        assert!(notes.contains("000000010000000000000003 could not be read"), "{notes}");
        assert!(!notes.contains("000000010000000000000007") && notes.contains("3 later segments"), "{notes}");
        let mut stop = |_: News<'_>| ControlFlow::Break(());
        let broken = count(&mut source, boundary, Names::default(), 99, &mut stop).unwrap();
        assert!(broken.notes[0].contains("broken off before 000000010000000000000003"), "{:?}", broken.notes);
        assert!(count(&mut Blank(0), boundary, Names::default(), 99, &mut go_on).is_err());
    }
}
