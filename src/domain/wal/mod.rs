//! WAL segments and timelines.

pub mod history;
pub mod road;

pub use crate::domain::wal::history::{HistoryEntry, HistoryError, TimelineHistory};
pub use crate::domain::wal::road::Road;

use crate::domain::lsn::Lsn;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A timeline: each promotion out of a recovery begins a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimelineId(pub u32);

impl TimelineId {
    /// The name of its history file: `00000002.history`. Timeline 1 has none.
    #[must_use]
    pub fn history_file(self) -> String {
        format!("{:08X}.history", self.0)
    }
}

impl fmt::Display for TimelineId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// The size of a WAL segment: a power of two from 1 MB to 1 GB, fixed when a cluster is made (PostgreSQL 11 on; 16 MB
/// before).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentSize(u32);

/// A number that can't be the size of a WAL segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0} bytes can't be the size of a WAL segment: a power of two from 1048576 (1 MB) to 1073741824 (1 GB) is expected"
)]
pub struct SegmentSizeError(pub u64);

impl SegmentSize {
    /// What nearly every cluster has: 16 MB.
    pub const DEFAULT: SegmentSize = SegmentSize(16 << 20);

    /// Checks a size in bytes.
    ///
    /// # Errors
    /// [`SegmentSizeError`] when it is no power of two or out of range.
    pub fn from_bytes(bytes: u64) -> Result<SegmentSize, SegmentSizeError> {
        match u32::try_from(bytes) {
            Ok(size) if size.is_power_of_two() && (1 << 20..=1 << 30).contains(&size) => Ok(SegmentSize(size)),
            _ => Err(SegmentSizeError(bytes)),
        }
    }

    /// The size in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        u64::from(self.0)
    }

    /// How many segments share the upper 32 bits of a position: 256 of 16 MB.
    #[must_use]
    pub fn segments_per_log(self) -> u64 {
        (1 << 32) / self.bytes()
    }
}

/// A WAL segment, named by 24 upper-case hexadecimal digits. Ordered as the names are: the timeline comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WalSegment {
    /// The first eight digits.
    pub timeline: TimelineId,
    /// The next eight: the upper 32 bits of the position.
    pub log: u32,
    /// The last eight: which segment of those 4 GB.
    pub seg: u32,
}

/// The text is not the name of a WAL segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a WAL segment: 24 hexadecimal digits are expected, as in 000000010000000000000007")]
pub struct WalSegmentError(String);

impl WalSegment {
    /// Reads 24 upper-case hexadecimal digits.
    ///
    /// # Errors
    /// [`WalSegmentError`] when the text is anything else, a `.partial` or `.backup` name too.
    pub fn parse(text: &str) -> Result<WalSegment, WalSegmentError> {
        let word = |range: std::ops::Range<usize>| {
            text.as_bytes().get(range)?.iter().try_fold(0u32, |value, byte| match byte {
                b'0'..=b'9' => Some(value << 4 | u32::from(byte - b'0')),
                b'A'..=b'F' => Some(value << 4 | u32::from(byte - b'A' + 10)),
                _ => None,
            })
        };
        if text.len() == 24
            && let (Some(timeline), Some(log), Some(seg)) = (word(0..8), word(8..16), word(16..24))
        {
            return Ok(WalSegment { timeline: TimelineId(timeline), log, seg });
        }
        Err(WalSegmentError(crate::domain::text::clean(&text.chars().take(60).collect::<String>())))
    }

    /// The segment that holds the byte at `lsn`.
    #[must_use]
    pub fn of(lsn: Lsn, size: SegmentSize, timeline: TimelineId) -> WalSegment {
        let (high, low) = (lsn.0 >> 32, lsn.0 & 0xFFFF_FFFF);
        // Both halves fit: they are 32 bits wide.
        WalSegment { timeline, log: high as u32, seg: (low / size.bytes()) as u32 }
    }

    /// The last segment that is needed to reach `stop`, the end of what was written: exactly on a boundary it is the
    /// segment before, since nothing of the next one has been written then.
    #[must_use]
    pub fn of_stop(stop: Lsn, size: SegmentSize, timeline: TimelineId) -> WalSegment {
        WalSegment::of(Lsn(stop.0.saturating_sub(1)), size, timeline)
    }

    /// The first position in it, or `None` when its name can't exist with segments of this size.
    #[must_use]
    pub fn start(self, size: SegmentSize) -> Option<Lsn> {
        let seg = u64::from(self.seg);
        (seg < size.segments_per_log()).then(|| Lsn((u64::from(self.log) << 32) | (seg * size.bytes())))
    }

    /// The segment after it on the same timeline, or `None` at the end of all positions.
    #[must_use]
    pub fn next(self, size: SegmentSize) -> Option<WalSegment> {
        if u64::from(self.seg) + 1 < size.segments_per_log() {
            Some(WalSegment { seg: self.seg + 1, ..self })
        } else {
            Some(WalSegment { log: self.log.checked_add(1)?, seg: 0, ..self })
        }
    }
}

impl fmt::Display for WalSegment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08X}{:08X}{:08X}", self.timeline.0, self.log, self.seg)
    }
}

impl FromStr for WalSegment {
    type Err = WalSegmentError;
    fn from_str(text: &str) -> Result<WalSegment, WalSegmentError> {
        WalSegment::parse(text)
    }
}

impl TryFrom<String> for WalSegment {
    type Error = WalSegmentError;
    fn try_from(text: String) -> Result<WalSegment, WalSegmentError> {
        WalSegment::parse(&text)
    }
}

impl From<WalSegment> for String {
    fn from(segment: WalSegment) -> String {
        segment.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(text: &str) -> WalSegment {
        text.parse().expect(text)
    }

    #[test]
    fn the_next_segment_depends_on_the_size() {
        let mb = |count: u64| SegmentSize::from_bytes(count << 20).expect("a size");
        let next = |text: &str, size| segment(text).next(size).expect("there is one").to_string();
        assert_eq!(next("0000000100000000000000FE", mb(16)), "0000000100000000000000FF");
        assert_eq!(next("0000000100000000000000FF", mb(16)), "000000010000000100000000");
        assert_eq!(next("00000001000000000000003F", mb(64)), "000000010000000100000000");
        assert_eq!(next("000000010000000000000FFF", mb(1)), "000000010000000100000000");
        assert_eq!(next("000000010000000000000003", mb(1024)), "000000010000000100000000");
        assert_eq!(segment("00000001FFFFFFFF000000FF").next(mb(16)), None);
    }

    #[test]
    fn a_stop_on_a_boundary_belongs_to_the_segment_before() {
        let (size, timeline) = (SegmentSize::DEFAULT, TimelineId(1));
        let boundary: Lsn = "0/4000000".parse().expect("an LSN");
        assert_eq!(WalSegment::of(boundary, size, timeline), segment("000000010000000000000004"));
        assert_eq!(WalSegment::of_stop(boundary, size, timeline), segment("000000010000000000000003"));
        assert_eq!(WalSegment::of_stop(Lsn(boundary.0 + 1), size, timeline), segment("000000010000000000000004"));
        let upper: Lsn = "1/0".parse().expect("an LSN");
        assert_eq!(WalSegment::of_stop(upper, size, timeline), segment("0000000100000000000000FF"));
    }

    #[test]
    fn refuses_what_is_no_segment_and_no_size() {
        for text in [
            "",
            "00000001000000000000000",
            "00000001000000000000000g",
            "00000001000000000000000a",
            "0000000100000000000000070",
            "+0000001+0000000+0000007",
        ] {
            assert!(WalSegment::parse(text).is_err(), "{text}");
        }
        assert!(WalSegment::parse("00000001000000000000000é").is_err());
        for bytes in [0, 1, 1 << 19, (1 << 20) + 1, 1 << 31, 1 << 40, u64::MAX] {
            assert_eq!(SegmentSize::from_bytes(bytes), Err(SegmentSizeError(bytes)));
        }
        assert_eq!(segment("000000010000000000000100").start(SegmentSize::DEFAULT), None);
    }

    prop_compose! {
        fn sizes()(power in 20u32..=30) -> SegmentSize { SegmentSize::from_bytes(1 << power).expect("a size") }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(timeline: u32, log: u32, seg: u32) {
            let segment = WalSegment { timeline: TimelineId(timeline), log, seg };
            prop_assert_eq!(WalSegment::parse(&segment.to_string()), Ok(segment));
        }

        #[test]
        fn is_ordered_as_its_name(a: (u32, u32, u32), b: (u32, u32, u32)) {
            let make = |(timeline, log, seg): (u32, u32, u32)| WalSegment { timeline: TimelineId(timeline), log, seg };
            prop_assert_eq!(make(a).cmp(&make(b)), make(a).to_string().cmp(&make(b).to_string()));
        }

        #[test]
        fn every_position_is_inside_its_segment(position in 0..u64::MAX - (1 << 31), size in sizes()) {
            let segment = WalSegment::of(Lsn(position), size, TimelineId(1));
            let start = segment.start(size).expect("a possible name");
            let next = segment.next(size).and_then(|next| next.start(size)).expect("not at the end");
            prop_assert!(start.0 <= position && position < next.0);
            prop_assert_eq!(next.0 - start.0, size.bytes());
            prop_assert_eq!(WalSegment::of_stop(next, size, TimelineId(1)), segment);
        }
    }
}
