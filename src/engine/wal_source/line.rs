//! All segments there are along a timeline and its ancestors, gaps and all: for looking back, not for recovery.

use crate::domain::wal::{Road, TimelineHistory, TimelineId, WalSegment};
use crate::engine::wal_source::{WalSource, WalSourceError};
use std::collections::{BTreeMap, BTreeSet};

/// The segments along a timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The timeline.
    pub timeline: TimelineId,
    /// One for each place that has any, in the order of the WAL.
    pub segments: Vec<WalSegment>,
    /// Those of them that are there only as the last piece of a timeline that was left, or that is still written.
    pub partial: BTreeSet<WalSegment>,
    /// How many segments lie aside of this way, by timeline: WAL of another history.
    pub aside: BTreeMap<TimelineId, u64>,
    /// Why the way begins with the timeline itself although it has ancestors, in words.
    pub no_ancestors: Option<String>,
}

impl WalSource {
    /// The segments along a timeline, the newest that has anything where none is named.
    ///
    /// # Errors
    /// [`WalSourceError::Empty`], and those of [`WalSource::segment_size`].
    pub fn line(&self, timeline: Option<TimelineId>) -> Result<Line, WalSourceError> {
        let size = self.segment_size()?;
        let mut whole: BTreeSet<WalSegment> = self.catalog.segments.keys().copied().collect();
        for segment in self.only_in_directories() {
            if self.directories.iter().any(|directory| self.holds(directory, segment)) {
                whole.insert(segment);
            }
        }
        let pieces = self.directories.iter().flat_map(|directory| &directory.partials);
        let partial: BTreeSet<WalSegment> = self.catalog.partials.keys().chain(pieces).copied().collect();
        let histories = self.directories.iter().flat_map(|directory| &directory.histories);
        let known = whole.iter().chain(&partial).map(|segment| segment.timeline);
        let newest = known.chain(self.catalog.histories.keys().copied()).chain(histories.copied()).max();
        let timeline = timeline.or(newest).ok_or_else(|| self.empty())?;
        let (history, no_ancestors) = match self.history(timeline) {
            Ok(history) => (history, None),
            Err(error) => (TimelineHistory { timeline, entries: Vec::new() }, Some(error.to_string())),
        };
        let road = Road::along(&history, size);
        // Of one place the whole segment goes before a piece, then the newer timeline before its ancestor.
        let mut chosen: BTreeMap<u64, (bool, WalSegment)> = BTreeMap::new();
        let mut aside: BTreeMap<TimelineId, u64> = BTreeMap::new();
        let all = whole.iter().map(|segment| (true, *segment)).chain(partial.iter().map(|segment| (false, *segment)));
        for candidate in all {
            match road.place(candidate.1) {
                Some(place) => {
                    let found = chosen.entry(place).or_insert(candidate);
                    *found = (*found).max(candidate);
                }
                None => *aside.entry(candidate.1.timeline).or_default() += 1,
            }
        }
        let partial = chosen.values().filter(|(is_whole, _)| !is_whole).map(|(_, segment)| *segment).collect();
        let segments = chosen.into_values().map(|(_, segment)| segment).collect();
        Ok(Line { timeline, segments, partial, aside, no_ancestors })
    }
}
