//! The unbroken run of segments that recovery would read.

use crate::domain::lsn::Lsn;
use crate::domain::wal::{Road, WalSegment};
use std::collections::BTreeSet;

/// The segments from a position on along a timeline, up to the first gap or the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// One for each place, in order.
    pub segments: Vec<WalSegment>,
    /// What breaks it off; `None` where nothing follows its last segment.
    pub gap: Option<Gap>,
    /// Timelines and places.
    pub road: Road,
}

/// Segments that are not there, with others behind them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The last one before it; `None` when the very first is missing.
    pub after: Option<WalSegment>,
    /// The first one that is missing.
    pub missing: WalSegment,
    /// How many are missing.
    pub count: u64,
    /// The first one behind it.
    pub resumes: WalSegment,
}

impl std::fmt::Display for Gap {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Gap { missing, count, resumes, .. } = self;
        match self.after {
            Some(after) => write!(out, "WAL is missing between {after} and {resumes}: {count} from {missing} on"),
            None => write!(out, "WAL is missing from {missing} on: {count} before {resumes}"),
        }
    }
}

impl Way {
    /// Follows `road` from the segment that holds `from`, as far as `there` has segments.
    pub(super) fn along(road: Road, from: Lsn, there: &BTreeSet<WalSegment>) -> Way {
        let start = road.place_of(from);
        let mut segments: Vec<WalSegment> = Vec::new();
        let mut place = start;
        while let Some(segment) = road.at(place).find(|segment| there.contains(segment)) {
            segments.push(segment);
            place += 1;
        }
        let behind = there.iter().filter_map(|segment| road.place(*segment)).filter(|found| *found > place).min();
        let gap = behind.and_then(|behind| {
            let find = |place| road.at(place).find(|segment| there.contains(segment));
            let gap = Gap {
                after: segments.last().copied(),
                missing: road.at(place).next()?,
                count: behind - place,
                resumes: find(behind)?,
            };
            Some(gap)
        });
        Way { segments, gap, road }
    }

    /// The position right behind its last segment; `None` when it has none. Where that is the one in which its timeline was
    /// left, and the next timeline's is not there, what follows the switch is another future: it ends there.
    #[must_use]
    pub fn end(&self) -> Option<Lsn> {
        let size = self.road.size();
        let last = self.segments.last()?;
        let end = Lsn(last.start(size)?.0.saturating_add(size.bytes()));
        Some(self.road.left(last.timeline).map_or(end, |left| left.min(end)))
    }
}
