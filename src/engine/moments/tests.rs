#![expect(clippy::unwrap_used, reason = "tests")]

use super::reader::Pieces;
use super::*;
use crate::domain::wal::SegmentSize;
use crate::domain::wal_marks::RecordLine;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

/// WAL as `pg_waldump` would print it.
#[derive(Debug)]
struct Printed {
    size: SegmentSize,
    lines: Vec<String>,
    read: usize,
}

impl Pieces for Printed {
    fn size(&self) -> SegmentSize {
        self.size
    }

    fn expect(&mut self, _: Range<u64>) {}

    fn expect_nothing(&mut self) {}

    fn read(
        &mut self,
        range: Range<Lsn>,
        arguments: &[&str],
        each: &mut dyn FnMut(&RecordLine<'_>) -> Result<(), MomentsError>,
    ) -> Result<(), MomentsError> {
        self.read += 1;
        let (first, last) = (range.start.0 / self.size.bytes(), (range.end.0 - 1) / self.size.bytes());
        assert!(!range.is_empty() && first == last, "{range:?} is not a part of one segment");
        let wanted = |record: &RecordLine<'_>| {
            range.contains(&record.start) && arguments.get(1).is_none_or(|manager| *manager == record.manager)
        };
        self.lines.iter().filter_map(|line| RecordLine::parse(line)).filter(wanted).try_for_each(|record| each(&record))
    }
}

fn at(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_795_372_359_000_000 + micros).unwrap()
}

fn line(start: u64, xid: u32, time: DateTime<Utc>, is_commit: bool) -> String {
    let (lsn, time) = (Lsn(start), time.format("%Y-%m-%d %H:%M:%S%.6f"));
    let word = if is_commit { "COMMIT" } else { "ABORT" };
    format!("rmgr: Transaction len (rec/tot): 34/    34, tx: {xid}, lsn: {lsn}, prev 0/0, desc: {word} {time} UTC")
}

fn moments(lines: Vec<String>, floor: u64, end: u64) -> Moments {
    let printed = Printed { size: SegmentSize::from_bytes(1 << 20).unwrap(), lines, read: 0 };
    Moments { reader: Box::new(printed), floor: Lsn(floor), end: Lsn(end), gap: None, known: BTreeMap::new() }
}

/// Position, time, committed.
type End = (u64, DateTime<Utc>, bool);

prop_compose! {
    /// Ends of transactions over quiet and busy stretches. Each has taken its time up to 1.9 s before it got its place.
    fn history()(
        steps in proptest::collection::vec((prop_oneof![64u64..2_000, 64u64..3_000_000], 0i64..3_000_000, 0i64..1_900_000, any::<bool>()), 1..150)
    ) -> Vec<End> {
        let (mut position, mut time) = (8 << 20, 0);
        steps.into_iter().map(|(gap, later, taken, is_commit)| {
            position += gap / 8 * 8;
            time += later;
            (position, at(time - taken), is_commit)
        }).collect()
    }
}

fn open(history: &[End], floor: u64) -> Moments {
    let lines = history.iter().zip(700..).map(|((start, time, is_commit), xid)| line(*start, xid, *time, *is_commit));
    let end = (history.last().unwrap().0 >> 20) + 1;
    moments(lines.collect(), floor, end << 20)
}

proptest! {
    #[test]
    fn bisection_finds_what_reading_everything_finds(
        history in history(), which: prop::sample::Index, shift in -1i64..=1, inclusive: bool, behind in 0u64..6_000_000,
    ) {
        let floor = (8 << 20) + behind;
        prop_assume!(floor <= history.last().unwrap().0);
        let target = history[which.index(history.len())].1 + TimeDelta::microseconds(shift);
        let stops = |end: &&End| if inclusive { end.1 > target } else { end.1 >= target };
        let answer = open(&history, floor).resolve_time(target, inclusive);
        let first_piece = (floor >> 20) << 20;
        if history.iter().filter(|end| (first_piece..floor).contains(&end.0)).any(|end| stops(&end)) {
            prop_assert!(matches!(answer, Err(MomentsError::BeforeSet { .. })), "{answer:?}");
            return Ok(());
        }
        let behind_floor: Vec<&End> = history.iter().filter(|end| end.0 >= floor).collect();
        match behind_floor.iter().find(|end| stops(end)) {
            None => prop_assert!(matches!(answer, Err(MomentsError::AfterEnd { .. })), "{answer:?}"),
            Some(stop) => {
                let moment = answer.unwrap();
                prop_assert_eq!(moment.lsn_exclusive, Lsn(stop.0));
                let kept = behind_floor.iter().rfind(|end| end.0 < stop.0 && end.2);
                prop_assert_eq!(moment.last_kept.map(|end| end.start.0), kept.map(|end| end.0));
                let discarded = behind_floor.iter().find(|end| end.0 >= stop.0 && end.2);
                prop_assert_eq!(moment.first_discarded.map(|end| end.start.0), discarded.map(|end| end.0));
            }
        }
    }

    #[test]
    fn every_transaction_is_found_by_its_number(history in history(), which: prop::sample::Index) {
        let index = which.index(history.len());
        let mut moments = open(&history, 8 << 20);
        let found = moments.find_xid(700 + index as u32, moments.range()).unwrap();
        prop_assert_eq!((found.start.0, found.outcome == Outcome::Commit), (history[index].0, history[index].2));
        prop_assert!(moments.find_xid(699, moments.range()).is_err());
    }
}

#[test]
fn a_long_transaction_is_found_where_it_ends() {
    // 800 began before the others and ended last
    let mut lines: Vec<String> =
        (0..50).map(|number| line((9 + number) << 20, 801 + number as u32, at(number as i64), true)).collect();
    lines.push(line(60 << 20, 800, at(99), true));
    let mut moments = moments(lines, 8 << 20, 61 << 20);
    assert_eq!(moments.find_xid(800, moments.range()).unwrap().start, Lsn(60 << 20));
    // numbers go round
    let around = [(9, u32::MAX - 1), (10, u32::MAX), (11, 3), (12, 4)];
    let lines = around.iter().map(|(place, xid)| line(place << 20, *xid, at(*place as i64), true)).collect();
    let mut moments = self::moments(lines, 8 << 20, 13 << 20);
    for (place, xid) in around {
        assert_eq!(moments.find_xid(xid, moments.range()).unwrap().start, Lsn(place << 20));
    }
}

/// A record of another kind.
fn other(start: u64, manager: &str, xid: u32, description: &str) -> String {
    format!("rmgr: {manager} len (rec/tot): 34/    34, tx: {xid}, lsn: {}, prev 0/0, desc: {description}", Lsn(start))
}

#[test]
fn a_transaction_is_left_out_from_its_first_record_on_where_nobody_commits_meanwhile() {
    let base = 9 << 20;
    let ask = |lines: Vec<String>| {
        let mut moments = moments(lines, 8 << 20, 10 << 20);
        let end = moments.find_xid(800, moments.range()).unwrap();
        moments.before_transaction(&end).unwrap()
    };
    let snapshot =
        |place: u64, next: u32| other(base + place, "Standby", 0, &format!("RUNNING_XACTS nextXid {next} latest"));
    let lock = |place: u64| other(base + place, "Standby", 800, "LOCK xid 800 db 5 rel 16390 ");
    let heap = |place: u64, xid: u32| other(base + place, "Heap", xid, "INSERT off 1");
    let (kept, own) = (line(base + 128, 799, at(1), true), line(base + 512, 800, at(2), true));

    let alone = ask(vec![snapshot(8, 800), kept.clone(), lock(200), heap(256, 800), own.clone()]);
    assert_eq!((alone.moment.lsn_exclusive, alone.is_open), (Lsn(base + 200), false));
    assert_eq!(alone.moment.last_kept.map(|end| end.xid), Some(799));
    // its first subtransaction wrote first
    let nested = own.replace(" UTC", " UTC; subxacts: 801 802");
    let nested = ask(vec![snapshot(8, 800), kept.clone(), heap(200, 801), heap(256, 800), nested]);
    assert_eq!((nested.moment.lsn_exclusive, nested.is_open), (Lsn(base + 200), false));
    // it was open when the last kept one committed: by its own record, or by a snapshot that knows its number
    let meanwhile = vec![snapshot(8, 800), lock(64), kept.clone(), heap(256, 800), own.clone()];
    let known = vec![lock(8), snapshot(64, 801), kept, heap(256, 800), own];
    for open in [ask(meanwhile), ask(known)] {
        assert_eq!((open.moment.lsn_exclusive, open.is_open), (Lsn(base + 512), true));
        assert_eq!(open.locked.iter().map(|lock| lock.relation).collect::<Vec<_>>(), [16390]);
    }
}

#[test]
fn a_clock_that_was_set_back_is_told_and_what_postgresql_does_is_found() {
    // an hour's WAL, a segment a minute; the clock is set back by half an hour in the middle
    let minute = 60_000_000;
    let time = |number: i64| at(if number < 30 { number * minute } else { (number - 30) * minute });
    let lines =
        (0..60).map(|number| line((9 + number as u64) << 20, 800 + number as u32, time(number), true)).collect();
    let mut moments = moments(lines, 8 << 20, 70 << 20);
    // there twice: PostgreSQL stops at the first
    let moment = moments.resolve_time(at(20 * minute), false).unwrap();
    assert_eq!(moment.first_discarded.unwrap().xid, 820);
    let last = moments.resolve_time(at(29 * minute), true);
    assert!(matches!(last, Err(MomentsError::AfterEnd { .. })), "{last:?}");
    // right at the place where it was set back
    let lines = vec![
        line(9 << 20, 1, at(0), true),
        line((9 << 20) + 64, 2, at(9 * minute), true),
        line((9 << 20) + 128, 3, at(minute), true),
        line((9 << 20) + 192, 4, at(10 * minute), true),
    ];
    let mut moments = self::moments(lines, 8 << 20, 10 << 20);
    let moment = moments.resolve_time(at(10 * minute), false).unwrap();
    assert!(moment.clock_went_back);
    assert_eq!((moment.last_kept.unwrap().xid, moment.first_discarded.unwrap().xid), (3, 4));
}

#[test]
fn most_of_the_wal_is_not_read() {
    let lines: Vec<String> = (0..4000)
        .map(|number| line((9 + number) << 20, 800 + number as u32, at(number as i64 * 10_000_000), true))
        .collect();
    let mut moments = moments(lines, 8 << 20, 4009 << 20);
    let moment = moments.resolve_time(at(31_234_567_890), false).unwrap();
    assert_eq!(moment.first_discarded.unwrap().xid, 800 + 3124);
    assert!(moments.known.len() < 40, "{} pieces of 4000 were read", moments.known.len());
}
