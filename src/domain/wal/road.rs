//! The way recovery takes over timelines, segment by segment.

use crate::domain::lsn::Lsn;
use crate::domain::wal::{SegmentSize, TimelineHistory, TimelineId, WalSegment};

/// What recovery along a timeline reads: the timelines of its history, oldest first, each with the places (segments
/// counted from position 0) at which it can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Road {
    parts: Vec<Part>,
    size: SegmentSize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    timeline: TimelineId,
    first: u64,
    last: u64,
    /// Where it was left; `None` for the one that is followed to its end.
    left: Option<Lsn>,
}

impl Road {
    /// The way to `history.timeline`. The segment in which a timeline was left can be read from both: PostgreSQL tries
    /// the newest first.
    #[must_use]
    pub fn along(history: &TimelineHistory, size: SegmentSize) -> Road {
        let mut parts = Vec::new();
        let mut first = 0;
        for entry in &history.entries {
            let last = entry.switch.0 / size.bytes();
            parts.push(Part { timeline: entry.parent, first, last, left: Some(entry.switch) });
            first = last;
        }
        parts.push(Part { timeline: history.timeline, first, last: u64::MAX, left: None });
        Road { parts, size }
    }

    /// Where recovery leaves a timeline; `None` for the one that is followed to its end, and for others.
    #[must_use]
    pub fn left(&self, timeline: TimelineId) -> Option<Lsn> {
        self.parts.iter().find(|part| part.timeline == timeline)?.left
    }

    /// The size of its segments.
    #[must_use]
    pub fn size(&self) -> SegmentSize {
        self.size
    }

    /// The place of the segment that holds the byte at `lsn`.
    #[must_use]
    pub fn place_of(&self, lsn: Lsn) -> u64 {
        lsn.0 / self.size.bytes()
    }

    /// The segments that PostgreSQL would read at a place, in the order in which it looks for them.
    pub fn at(&self, place: u64) -> impl Iterator<Item = WalSegment> {
        let start = Lsn(place.saturating_mul(self.size.bytes()));
        let fitting = self.parts.iter().rev().filter(move |part| (part.first..=part.last).contains(&place));
        fitting.map(move |part| WalSegment::of(start, self.size, part.timeline))
    }

    /// The place of a segment on this way; `None` when recovery does not come by there.
    #[must_use]
    pub fn place(&self, segment: WalSegment) -> Option<u64> {
        let place = self.place_of(segment.start(self.size)?);
        let mut parts = self.parts.iter().filter(|part| part.timeline == segment.timeline);
        parts.any(|part| (part.first..=part.last).contains(&place)).then_some(place)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn segment(text: &str) -> WalSegment {
        WalSegment::parse(text).unwrap()
    }

    fn names(road: &Road, place: u64) -> Vec<String> {
        road.at(place).map(|segment| segment.to_string()).collect()
    }

    #[test]
    fn a_segment_in_which_a_timeline_was_left_is_looked_for_on_the_newest_first() {
        let history = TimelineHistory::parse(TimelineId(4), "1\t0/5000100\tx\n2\t0/7000000\tx\n").unwrap();
        let road = Road::along(&history, SegmentSize::DEFAULT);
        assert_eq!(names(&road, 4), ["000000010000000000000004"]);
        assert_eq!(names(&road, 5), ["000000020000000000000005", "000000010000000000000005"]);
        assert_eq!(names(&road, 7), ["000000040000000000000007", "000000020000000000000007"]);
        assert_eq!(names(&road, 0x100), ["000000040000000100000000"]);
        assert_eq!(road.place(segment("000000010000000000000005")), Some(5));
        assert_eq!((road.left(TimelineId(1)), road.left(TimelineId(4))), (Some(Lsn(0x500_0100)), None));
        // of timeline 1 after it was left, and of one that is no ancestor: other futures
        assert_eq!(road.place(segment("000000010000000000000006")), None);
        assert_eq!(road.place(segment("000000030000000000000006")), None);
        assert_eq!(road.place(segment("000000040000000000000100")), None);
    }

    #[test]
    fn the_first_timeline_has_no_ancestors() {
        let road = Road::along(&TimelineHistory { timeline: TimelineId(1), entries: Vec::new() }, SegmentSize::DEFAULT);
        assert_eq!(names(&road, 0), ["000000010000000000000000"]);
        assert_eq!(road.place_of(Lsn(0x300_0028)), 3);
    }
}
