//! Which segments hold a span of time: guessed by when they were archived, and found by the first commit in each.
//!
//! A segment is archived soon after its last record, so that the time of its file says where to look; the server's own
//! times decide. Where the files' times are right, two segments are read for each end of the span; where they say
//! nothing (a copied repository), as many as a search that doubles its steps takes.

use crate::domain::wal::WalSegment;
use crate::domain::wal_reader::{Content, PgTime, Record, WalStream};
use crate::engine::accident::scan::{News, Tell};
use crate::engine::accident::source::{SegmentSource, SourceError};
use crate::planning::accident::Window;
use crate::planning::target::show;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

/// So many segments without a commit are passed over before the time of the file has to do: each is a fetch.
const MOST_SILENT: usize = 8;
/// After so many segments that can't be read, and none that can, the times of the files have to do.
const MOST_UNREADABLE: usize = 4;
/// The server's clock may be ahead of the archive's by this much before it is told.
const CLOCK_AHEAD: TimeDelta = TimeDelta::seconds(30);
/// How much the time from a commit to its archiving may vary between segments.
const LAG_VARIES: TimeDelta = TimeDelta::minutes(15);

/// Where a span of time lies.
#[derive(Debug)]
pub(super) struct Located {
    /// The segments, by their place in the list.
    pub(super) range: Range<usize>,
    /// What is strange about the times, in words.
    pub(super) notes: Vec<String>,
}

/// What a look into a segment said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    First(PgTime),
    /// No commit begins in it.
    Silent,
    Unreadable,
}

/// The segments of a span of time, with one before and one after: a transaction may have begun earlier, and what is
/// discarded lies behind.
///
/// # Errors
/// [`SourceError::Cancelled`].
pub(super) fn segments(
    source: &mut dyn SegmentSource,
    all: &[WalSegment],
    asked: Window,
    tell: &mut Tell<'_>,
) -> Result<Located, SourceError> {
    let put_there: Vec<Option<DateTime<Utc>>> = all.iter().map(|segment| source.put_there(*segment)).collect();
    let looked_into: Vec<WalSegment> = guesses(&put_there, asked).into_iter().map(|place| all[place]).collect();
    source.expect(&looked_into);
    let look = |place: usize| {
        let segment = all[place];
        if tell(News::Looking(segment)).is_break() {
            return Err(SourceError::Cancelled);
        }
        Ok(first_time(source, segment))
    };
    let mut finder = Finder { put_there: &put_there, look, known: BTreeMap::new() };
    // The last segment that begins before `from`, or at it.
    let begin = finder.partition(asked.from)?.saturating_sub(1);
    let end = finder.partition(asked.to)?;
    let notes = finder.notes(all);
    Ok(Located { range: begin.saturating_sub(1)..(end + 1).min(all.len()).max(begin), notes })
}

/// The places that will be looked into where the files' times are right, in that order: at each end of the span the segment
/// that holds it, and the one behind.
fn guesses(put_there: &[Option<DateTime<Utc>>], asked: Window) -> Vec<usize> {
    let mut places = Vec::new();
    for guess in [asked.from, asked.to].into_iter().filter_map(|time| guess(put_there, time)) {
        // Before the very first one lies nothing, so that what is behind it says nothing either.
        for place in guess..put_there.len().min(guess + if guess == 0 { 1 } else { 2 }) {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    places
}

/// The first segment that was archived after `time`; `None` where no file's time is known.
fn guess(put_there: &[Option<DateTime<Utc>>], time: DateTime<Utc>) -> Option<usize> {
    put_there.iter().flatten().next()?;
    // What is not archived yet is the newest.
    let place = put_there.partition_point(|put| put.is_some_and(|put| put < time));
    Some(place.min(put_there.len() - 1))
}

/// Finds places in a list of segments, looking into as few as it can.
struct Finder<'a, L> {
    put_there: &'a [Option<DateTime<Utc>>],
    look: L,
    known: BTreeMap<usize, Look>,
}

impl<L: FnMut(usize) -> Result<Look, SourceError>> Finder<'_, L> {
    /// How many segments have their first commit at or before `time`.
    fn partition(&mut self, time: DateTime<Utc>) -> Result<usize, SourceError> {
        let (mut low, mut high) = (0, self.put_there.len());
        let Some(mut place) = guess(self.put_there, time) else { return self.bisect(low, high, time) };
        let mut step = 1;
        let begins_before = self.judge(place, high, time, &mut low, &mut high)?;
        // In steps that double, until the guess lies between two that were looked into.
        while low < high {
            place = if begins_before { low.saturating_add(step - 1) } else { high.saturating_sub(step) };
            if place >= high || place < low {
                break;
            }
            if self.judge(place, high, time, &mut low, &mut high)? != begins_before {
                break;
            }
            step *= 2;
        }
        self.bisect(low, high, time)
    }

    fn bisect(&mut self, mut low: usize, mut high: usize, time: DateTime<Utc>) -> Result<usize, SourceError> {
        while low < high {
            let middle = low + (high - low) / 2;
            self.judge(middle, high, time, &mut low, &mut high)?;
        }
        Ok(low)
    }

    /// Whether a segment begins at or before `time`; narrows the bounds. One without a commit says nothing; the next one
    /// with a commit speaks for it, or the time of its file where none is near.
    fn judge(
        &mut self,
        place: usize,
        end: usize,
        time: DateTime<Utc>,
        low: &mut usize,
        high: &mut usize,
    ) -> Result<bool, SourceError> {
        let mut at = place;
        let before = loop {
            if let Look::First(first) = self.look(at)? {
                break first <= PgTime::of(time);
            }
            let is_end = at + 1 >= end;
            if is_end || at - place + 1 >= MOST_SILENT || self.is_blind() {
                // The file was complete at that time: what is in it is older.
                match self.put_there[place] {
                    Some(put) => {
                        let put = if is_end { self.by_the_server(place, put)? } else { put };
                        at = place;
                        break put <= time;
                    }
                    None if is_end => break false,
                    None => {}
                }
            }
            at += 1;
        };
        if before {
            *low = (at + 1).max(*low);
        } else {
            *high = place.min(*high);
        }
        Ok(before)
    }

    /// When a segment was complete by the server's clock, at least: behind a commit it is no earlier than that commit,
    /// whatever the archive's clock says.
    fn by_the_server(&mut self, place: usize, put: DateTime<Utc>) -> Result<DateTime<Utc>, SourceError> {
        for before in (place.saturating_sub(MOST_SILENT)..place).rev() {
            if let Look::First(first) = self.look(before)? {
                let ahead = self.put_there[before].zip(first.utc()).map(|(put, first)| first - put);
                return Ok(put + ahead.filter(|ahead| *ahead > CLOCK_AHEAD).unwrap_or_default());
            }
        }
        Ok(put)
    }

    fn look(&mut self, place: usize) -> Result<Look, SourceError> {
        if let Some(look) = self.known.get(&place) {
            return Ok(*look);
        }
        if self.is_blind() && self.put_there[place].is_some() {
            return Ok(Look::Unreadable);
        }
        let look = (self.look)(place)?;
        self.known.insert(place, look);
        Ok(look)
    }

    /// Nothing of what was tried can be read.
    fn is_blind(&self) -> bool {
        self.known.len() >= MOST_UNREADABLE && self.known.values().all(|look| *look == Look::Unreadable)
    }

    /// What the times say of the clocks.
    fn notes(&self, all: &[WalSegment]) -> Vec<String> {
        let both = |(place, look): (&usize, &Look)| match (look, self.put_there[*place]) {
            (Look::First(first), Some(put)) => Some((*place, first.utc()?, put)),
            _ => None,
        };
        let told: Vec<(usize, DateTime<Utc>, DateTime<Utc>)> = self.known.iter().filter_map(both).collect();
        let mut notes = Vec::new();
        if let Some((place, first, put)) = told.iter().find(|(_, first, put)| *first > *put + CLOCK_AHEAD) {
            notes.push(format!(
                "the server's clock is ahead of the archive's: {} was archived at {} and its first commit says {}; \
                 all times here are the server's",
                all[*place],
                show(*put),
                show(*first)
            ));
        }
        let lag = |(_, first, put): &&(usize, DateTime<Utc>, DateTime<Utc>)| *put - *first;
        let (least, most) = (told.iter().min_by_key(lag), told.iter().max_by_key(lag));
        if let (Some(least), Some(most)) = (least, most)
            && lag(&most) - lag(&least) > LAG_VARIES
        {
            notes.push(format!(
                "commits and their archiving lie apart by {} s at {} and by {} s at {}: archiving was held up, or the \
                 server's clock was set in between, and then a time may stand in the WAL twice",
                lag(&least).num_seconds(),
                all[least.0],
                lag(&most).num_seconds(),
                all[most.0]
            ));
        }
        if !self.known.is_empty() && self.known.values().all(|look| *look == Look::Unreadable) {
            notes.push("where the window lies was told by the times of the archived files alone".to_owned());
        }
        notes
    }
}

/// The time of the first commit or abort whose record starts in a segment.
fn first_time(source: &mut dyn SegmentSource, segment: WalSegment) -> Look {
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
    match (read, found) {
        (_, Some(first)) => Look::First(first),
        (Ok(()), None) => Look::Silent,
        // A hole in the archive hides the segments behind it from nobody.
        (Err(error), None) => {
            tracing::warn!("{segment} is passed over: {error}");
            Look::Unreadable
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    /// Segments of a week, one every ten seconds.
    const WEEK: usize = 7 * 24 * 360;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + seconds, 0).unwrap()
    }

    /// Where `time` is found, and how many segments were looked into for it.
    fn found(times: &[Look], put_there: &[Option<DateTime<Utc>>], time: DateTime<Utc>) -> (usize, usize) {
        let mut looks = 0;
        let look = |place: usize| {
            looks += 1;
            Ok(times[place])
        };
        let mut finder = Finder { put_there, look, known: BTreeMap::new() };
        let place = finder.partition(time).unwrap();
        (place, looks)
    }

    fn week() -> Vec<Look> {
        (0..WEEK).map(|place| Look::First(PgTime::of(at(place as i64 * 10)))).collect()
    }

    #[test]
    fn a_window_anywhere_in_a_week_takes_few_fetches() {
        let times = week();
        let honest: Vec<_> = (0..WEEK).map(|place| Some(at(place as i64 * 10 + 11))).collect();
        // copied: all files have the time of the copy, or none of them tells any
        let copied = vec![Some(at(9_000_000)); WEEK];
        let silent = vec![None; WEEK];
        // archiving stood still for an hour, and caught up
        let late: Vec<_> = (0..WEEK as i64)
            .map(|place| Some(at(if (20_000..20_360).contains(&place) { 203_600 } else { place * 10 + 11 })))
            .collect();
        for place in [0, 1, 17, 4_711, 20_100, 30_240, WEEK - 2, WEEK - 1] {
            let time = at(place as i64 * 10 + 5);
            for (put_there, most) in [(&honest, 3), (&late, 22), (&copied, 36), (&silent, 17)] {
                let (found, looks) = found(&times, put_there, time);
                assert_eq!(found, place + 1);
                assert!(looks <= most, "{looks} looks for {place}");
            }
        }
    }

    #[test]
    fn segments_without_a_commit_are_told_by_their_neighbours_or_their_files() {
        let mut times = week();
        let honest: Vec<_> = (0..WEEK).map(|place| Some(at(place as i64 * 10 + 11))).collect();
        times[1_000..1_004].fill(Look::Silent);
        // before the silence, in it, behind it
        for (seconds, place) in [(9_995, 1_000), (10_020, 1_001), (10_041, 1_005)] {
            assert_eq!(found(&times, &honest, at(seconds)).0, place, "{seconds}");
        }
        // a load of an hour in one transaction
        times[1_000..1_360].fill(Look::Silent);
        let (place, looks) = found(&times, &honest, at(11_800));
        assert!((1_170..=1_180).contains(&place) && looks < 40, "{place} {looks}");
    }

    #[test]
    fn a_silent_end_says_nothing_where_the_servers_clock_is_ahead() {
        // The last segment was switched without a commit in it; the archive's clock is two hours behind.
        let mut times = week();
        times[WEEK - 1] = Look::Silent;
        let behind: Vec<_> = (0..WEEK).map(|place| Some(at(place as i64 * 10 + 11 - 7_200))).collect();
        let seconds = (WEEK as i64 - 40) * 10 + 5;
        let (place, looks) = found(&times, &behind, at(seconds));
        assert_eq!(place, WEEK - 39);
        assert!(looks < 20, "{looks}");
    }

    #[test]
    fn what_cant_be_read_is_not_tried_for_ever() {
        let times = vec![Look::Unreadable; WEEK];
        let honest: Vec<_> = (0..WEEK).map(|place| Some(at(place as i64 * 10 + 11))).collect();
        let (place, looks) = found(&times, &honest, at(50_000));
        assert!((4_990..=5_010).contains(&place) && looks <= 2 * MOST_UNREADABLE, "{place} {looks}");
    }

    #[test]
    fn clocks_that_differ_are_told() {
        let all: Vec<WalSegment> =
            (1..4).map(|seg| WalSegment { timeline: crate::domain::wal::TimelineId(1), log: 0, seg }).collect();
        let notes = |firsts: [i64; 3], puts: [i64; 3]| {
            let put_there = puts.map(|seconds| Some(at(seconds)));
            let known = (0..3).map(|place| (place, Look::First(PgTime::of(at(firsts[place]))))).collect();
            Finder { put_there: &put_there, look: |_| Ok(Look::Silent), known }.notes(&all)
        };
        assert_eq!(notes([0, 10, 20], [11, 21, 31]), Vec::<String>::new());
        let ahead = notes([3600, 3610, 3620], [11, 21, 31]);
        assert!(ahead.len() == 1 && ahead[0].contains("ahead") && ahead[0].contains(&all[0].to_string()), "{ahead:?}");
        let set = notes([0, 10, -7200], [11, 21, 31]);
        assert!(set.len() == 1 && set[0].contains("twice") && set[0].contains("by 7231 s"), "{set:?}");
    }

    proptest! {
        /// Whatever the files' times say: what the server's times say is found.
        #[test]
        fn the_servers_times_decide(
            gaps in proptest::collection::vec(0i64..20, 1..80),
            puts in proptest::collection::vec(proptest::option::of(-100i64..2_000), 80),
            seconds in -10i64..1_600,
        ) {
            let mut second = 0;
            let times: Vec<i64> = gaps.iter().map(|gap| { second += gap; second }).collect();
            let looks: Vec<Look> = times.iter().map(|second| Look::First(PgTime::of(at(*second)))).collect();
            let put_there: Vec<_> = puts[..times.len()].iter().map(|put| put.map(at)).collect();
            let expected = times.iter().filter(|time| **time <= seconds).count();
            prop_assert_eq!(found(&looks, &put_there, at(seconds)).0, expected);
        }
    }
}
