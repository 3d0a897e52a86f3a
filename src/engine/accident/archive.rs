//! The segments of a stanza's archive, from whichever of its repositories has a sound copy, and of `pg_wal` where it can
//! be read.

use crate::domain::wal::{SegmentSize, TimelineId, WalSegment};
use crate::engine::accident::source::{SegmentSource, SourceError};
use crate::engine::wal_source::{Line, Origin, Piece, Prefetch, WalSource, WalSourceError};
use chrono::{DateTime, Utc};
use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

/// More damaged copies than this are summed up.
const MOST_DAMAGED: usize = 10;

/// Segments fetched at once: a local repository keeps two processors busy with fewer, a distant one answers late.
const AT_ONCE: usize = 4;

/// The archive of a stanza along one timeline, `pg_wal` with it.
#[derive(Debug)]
pub struct ArchiveSource {
    wal: WalSource,
    line: Line,
    size: SegmentSize,
    /// What is fetched ahead, in this order.
    ahead: Option<(VecDeque<WalSegment>, Prefetch)>,
    notes: Vec<String>,
    damaged: usize,
    /// What lay in `pg_wal` alone when it was listed: a server archives it and takes it away while others are read.
    fleeting: BTreeSet<WalSegment>,
}

impl ArchiveSource {
    /// Lays out what there is along a timeline, the newest where none is named.
    ///
    /// # Errors
    /// When there is no WAL, or not even its segments' size can be found out.
    pub fn open(wal: WalSource, timeline: Option<TimelineId>) -> Result<ArchiveSource, WalSourceError> {
        let (size, line) = (wal.segment_size()?, wal.line(timeline)?);
        let mut notes: Vec<String> = Vec::new();
        for not_listed in &wal.catalog().not_listed {
            notes.push(format!(
                "{} could not be listed and was left out: {}",
                not_listed.repository.name(),
                not_listed.said
            ));
        }
        if let Some(why) = &line.no_ancestors {
            notes.push(format!("what was before timeline {} is not looked into: {why}", line.timeline));
        }
        // Who names a timeline knows that there are others.
        for (timeline, segments) in line.aside.iter().filter(|_| timeline.is_none()) {
            notes.push(format!(
                "{segments} segments of timeline {timeline} lie aside of the way to timeline {} and are not looked into: \
                 --timeline {timeline} reads them",
                line.timeline
            ));
        }
        notes.extend(wal.catalog().conflicts().iter().take(MOST_DAMAGED).map(ToString::to_string));
        let fleeting = wal.only_in_directories();
        Ok(ArchiveSource { wal, line, size, ahead: None, notes, damaged: 0, fleeting })
    }

    /// The timeline that is followed to its end.
    #[must_use]
    pub fn timeline(&self) -> TimelineId {
        self.line.timeline
    }

    /// What was in `pg_wal` and is no more is looked for in the repositories, listed anew.
    fn fetch(&mut self, segment: WalSegment) -> Result<Piece, WalSourceError> {
        let fetched = self.fetch_listed(segment);
        if fetched.is_ok() || !self.fleeting.contains(&segment) {
            return fetched;
        }
        let Ok(again) = self.wal.look_again() else { return fetched };
        self.fleeting = again.only_in_directories();
        self.wal = again;
        self.wal.open_piece(segment, self.line.partial.contains(&segment))
    }

    /// A segment that the server has recycled while it was read: it does that with what is archived.
    fn archived_since(&mut self, segment: WalSegment) -> Option<Piece> {
        self.wal = self.wal.look_again().ok()?;
        self.fleeting = self.wal.only_in_directories();
        let piece = self.wal.open_piece(segment, self.line.partial.contains(&segment)).ok()?;
        (!matches!(piece.origin, Origin::Directory(_))).then_some(piece)
    }

    fn fetch_listed(&mut self, segment: WalSegment) -> Result<Piece, WalSourceError> {
        if let Some((order, prefetch)) = &mut self.ahead
            && let Some(place) = order.iter().position(|ahead| *ahead == segment)
        {
            order.drain(..=place);
            if let Some(fetched) = prefetch.nth(place) {
                return fetched;
            }
        }
        self.wal.open_piece(segment, self.line.partial.contains(&segment))
    }

    fn expect_nothing(&mut self) {
        if let Some((_, prefetch)) = self.ahead.take() {
            prefetch.finish();
        }
    }
}

/// Feeds all but so many bytes from the beginning.
fn without_first(
    mut bytes: usize,
    feed: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> impl FnMut(&[u8]) -> ControlFlow<()> {
    move |part| {
        let known = bytes.min(part.len());
        bytes -= known;
        if known < part.len() { feed(&part[known..]) } else { ControlFlow::Continue(()) }
    }
}

impl SegmentSource for ArchiveSource {
    fn segments(&self) -> Result<Vec<WalSegment>, SourceError> {
        Ok(self.line.segments.clone())
    }

    fn size(&self) -> SegmentSize {
        self.size
    }

    fn system_identifier(&self) -> u64 {
        self.wal.cluster().system_identifier
    }

    fn put_there(&self, segment: WalSegment) -> Option<DateTime<Utc>> {
        let catalog = self.wal.catalog();
        let copies = catalog.segments.get(&segment).or_else(|| catalog.partials.get(&segment))?;
        // The first one to be archived: a second repository may have been filled later.
        let seconds = copies.iter().map(|copy| copy.modified).min()?;
        DateTime::from_timestamp(seconds, 0)
    }

    fn expect(&mut self, segments: &[WalSegment]) {
        // What is still fetched and was not asked for may be among these, and is then in the cache.
        self.expect_nothing();
        let wanted = segments.iter().map(|segment| (*segment, self.line.partial.contains(segment))).collect();
        self.ahead = Some((segments.iter().copied().collect(), self.wal.open_all(wanted, AT_ONCE)));
    }

    fn read(&mut self, segment: WalSegment, feed: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), SourceError> {
        let fetched = self.fetch(segment).map_err(|error| SourceError::Other(error.to_string()))?;
        for attempt in &fetched.passed_over {
            self.damaged += 1;
            if self.damaged <= MOST_DAMAGED {
                self.notes.push(format!("{segment} was read from {}; a copy is no use: {attempt}", fetched.origin));
            }
        }
        let (is_fleeting, mut handed_out) = (matches!(fetched.origin, Origin::Directory(_)), 0);
        let read = fetched.content.read(&mut |part| {
            handed_out += part.len();
            feed(part)
        });
        read.or_else(|error| {
            let rest = if is_fleeting { self.archived_since(segment) } else { None };
            rest.map_or(Err(error), |rest| rest.content.read(&mut without_first(handed_out, feed)))
        })
        .map_err(|error| SourceError::Other(format!("{segment} can't be read back: {error}")))
    }

    fn place(&self) -> String {
        let repositories: Vec<String> = self.wal.repositories().map(|key| key.name()).collect();
        let mut places = vec![format!("the archive of stanza '{}' ({})", self.wal.stanza(), repositories.join(", "))];
        places.extend(self.wal.directories().map(|path| crate::domain::text::clean(&path.to_string_lossy())));
        places.join(" and ")
    }

    fn notes(&mut self) -> Vec<String> {
        let mut notes = std::mem::take(&mut self.notes);
        if self.damaged > MOST_DAMAGED {
            notes.push(format!("{} more copies were no use", self.damaged - MOST_DAMAGED));
        }
        self.damaged = 0;
        notes
    }
}

impl Drop for ArchiveSource {
    /// A program that still fetches is not left behind.
    fn drop(&mut self) {
        self.expect_nothing();
    }
}
