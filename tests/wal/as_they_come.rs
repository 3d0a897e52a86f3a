//! What is found is told while reading goes on, and who has seen enough ends it there.

use crate::cluster::Cluster;
use crate::synthetic::Load;
use chrono::{DateTime, TimeDelta, Utc};
use lifeboat::domain::wal::{SegmentSize, WalSegment};
use lifeboat::domain::wal_reader::PgTime;
use lifeboat::engine::accident::{DirectorySource, News, SegmentSource, SourceError, find};
use lifeboat::planning::accident::{Names, Window};
use std::fs;
use std::ops::ControlFlow;
use std::time::Duration;

/// A place that takes its time for each segment.
struct Slow(DirectorySource);

impl SegmentSource for Slow {
    fn segments(&self) -> Result<Vec<WalSegment>, SourceError> {
        self.0.segments()
    }

    fn size(&self) -> SegmentSize {
        self.0.size()
    }

    fn system_identifier(&self) -> u64 {
        self.0.system_identifier()
    }

    fn read(&mut self, segment: WalSegment, feed: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> Result<(), SourceError> {
        // Longer than between two answers on the way.
        std::thread::sleep(Duration::from_millis(600));
        self.0.read(segment, feed)
    }

    fn place(&self) -> String {
        self.0.place()
    }
}

#[test]
fn suspects_are_told_before_the_end_and_a_person_may_stop_there() {
    let home = Cluster::folder();
    let begin: DateTime<Utc> = "2026-11-15T00:00:00Z".parse().unwrap();
    let mut load = Load::new(7_711_037_234_893_546_689, 16 << 20);
    for number in 0..6u32 {
        let at = |seconds: i64| PgTime::of(begin + TimeDelta::seconds(i64::from(number) * 60 + seconds));
        load.row(100 + number * 2, 0, 20_000, 0);
        load.commit(100 + number * 2, at(0), &[], &[]);
        let rows = if number == 1 { 900 } else { 1 };
        (0..rows).for_each(|row| load.row(101 + number * 2, 0x10, 20_001, row / 50));
        load.commit(101 + number * 2, at(30), &[], &[]);
        let (segment, bytes) = load.switch();
        fs::write(home.path().join(segment.to_string()), bytes).unwrap();
    }
    let window = Window { from: begin, to: begin + TimeDelta::hours(1), around: begin };
    let search = |stops: bool| {
        let (mut so_far, mut read) = (Vec::new(), Vec::new());
        let mut tell = |news: News<'_>| {
            match news {
                News::Reading(progress) => read.push((progress.place, progress.of)),
                News::SoFar(answer) => so_far.push((read.len(), answer.clone())),
                _ => {}
            }
            if stops && !so_far.is_empty() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut source = Slow(DirectorySource::open(home.path()).unwrap());
        let answer = find(&mut source, window, Names::default(), None, &mut tell).unwrap();
        (answer, so_far, read)
    };
    let (answer, so_far, read) = search(false);
    assert_eq!(read, (1..=6).map(|place| (place, 6)).collect::<Vec<_>>());
    let (when, early) = &so_far[0];
    assert!(*when < 6, "told after {when} of 6");
    assert_eq!((early.suspects[0].xid, early.proposed.as_ref().map(|it| it.xid)), (103, Some(103)));
    // What is discarded grows, and nothing else.
    assert_eq!(early.proposed, answer.proposed);
    assert!(early.suspects[0].discarded.commits < answer.suspects[0].discarded.commits);
    assert_eq!(answer.suspects[0].discarded.commits, 8);

    let (stopped, _, read) = search(true);
    assert_eq!((stopped.proposed, read.len() < 6), (answer.proposed, true));
    assert!(stopped.notes.iter().any(|note| note.contains("broken off before ")), "{:?}", stopped.notes);
}
