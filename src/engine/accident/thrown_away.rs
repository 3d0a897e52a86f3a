//! What a recovery target keeps and throws away, counted in the WAL behind it.

use crate::engine::accident::scan::{Progress, scan_range};
use crate::engine::accident::source::{SegmentSource, SourceError};
use crate::engine::accident::window;
use crate::planning::accident::{Boundary, Divide, Names, ThrownAway};
use std::ops::{ControlFlow, Range};
use std::time::{Duration, Instant};

/// Segments before the boundary that are read as well: of the transactions that are open there, most began in them.
const SEGMENTS_BEFORE: usize = 2;

/// How much of the WAL behind a target is read at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Segments.
    pub segments: usize,
    /// Time.
    pub time: Duration,
}

/// Counts what a target throws away, to the end of the WAL that there is or to the limits; what was not read is noted.
///
/// # Errors
/// When segments can't be listed, or there are none.
pub fn thrown_away(
    source: &mut dyn SegmentSource,
    boundary: Boundary,
    names: Names,
    limits: Limits,
) -> Result<ThrownAway, SourceError> {
    let begun = Instant::now();
    let all = source.segments()?;
    let mut range = range(source, &all, boundary)?;
    let behind = range.len().saturating_sub(limits.segments);
    range.end -= behind;
    let mut divide = Divide::new(boundary, names);
    let mut progress = |_: Progress| {
        if begun.elapsed() > limits.time { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let mut coverage = scan_range(source, &all, range, &mut progress, &mut |notice| divide.notice(&notice))?;
    if behind > 0 {
        coverage.notes.push(format!("{behind} later segments were not read: there is more than is counted here"));
    }
    Ok(divide.finish(coverage))
}

/// The segments from a little before the boundary on.
fn range(
    source: &mut dyn SegmentSource,
    all: &[crate::domain::wal::WalSegment],
    boundary: Boundary,
) -> Result<Range<usize>, SourceError> {
    let size = source.size();
    let begin = match boundary {
        Boundary::Before(lsn) | Boundary::Behind(lsn) => {
            let place = all.partition_point(|segment| segment.start(size).is_some_and(|start| start <= lsn));
            place.saturating_sub(1 + SEGMENTS_BEFORE)
        }
        Boundary::Time { at, .. } => window::segments(source, all, at, at)?.start,
        Boundary::Transaction { .. } => 0,
    };
    Ok(begin..all.len())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::domain::wal::{SegmentSize, WalSegment};

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
        let mut source = Blank(9);
        let all = source.segments().unwrap();
        assert_eq!(range(&mut source, &all, boundary).unwrap(), 2..9);
        let limits = Limits { segments: 4, time: Duration::from_secs(60) };
        let found = thrown_away(&mut source, boundary, Names::default(), limits).unwrap();
        let notes = found.notes.join("\n");
        assert!(notes.contains("000000010000000000000003 could not be read"), "{notes}");
        assert!(!notes.contains("000000010000000000000007") && notes.contains("3 later segments"), "{notes}");
        let none = Limits { segments: 99, time: Duration::ZERO };
        let broken = thrown_away(&mut source, boundary, Names::default(), none).unwrap();
        assert!(broken.notes[0].contains("broken off before 000000010000000000000003"), "{:?}", broken.notes);
        assert!(thrown_away(&mut Blank(0), boundary, Names::default(), limits).is_err());
    }
}
