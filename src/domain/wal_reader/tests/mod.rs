#![expect(clippy::unwrap_used, reason = "tests")]

mod contents;
mod damage;
mod writer;

use super::*;
use crate::domain::lsn::Lsn;
use crate::domain::wal::{SegmentSize, TimelineId, WalSegment};
use proptest::prelude::*;
use writer::{SYSTEM, Writer, main_data};

/// What was read: start, end, transaction, length.
type Seen = Vec<(u64, u64, u32, u32)>;

/// Reads segments in pieces of `piece` bytes; also returns each segment's stop.
fn read(writer: &Writer, segments: &[(WalSegment, Vec<u8>)], piece: usize) -> (Seen, Vec<Option<Stop>>) {
    let mut stream = WalStream::new(writer.size, Some(SYSTEM));
    let (mut seen, mut stops) = (Seen::new(), Vec::new());
    for (segment, bytes) in segments {
        stream.begin_segment(*segment);
        for piece in bytes.chunks(piece) {
            stream.push(piece, &mut |record: &Record<'_>| {
                seen.push((record.lsn.0, record.end.0, record.xid, record.total_bytes));
            });
        }
        stops.push(stream.stop());
    }
    (seen, stops)
}

/// Records of these lengths of main data, one after another.
fn written(writer: &mut Writer, lengths: &[usize]) -> Seen {
    let mut expected = Seen::new();
    for (xid, length) in (1u32..).zip(lengths) {
        let body = main_data(&vec![xid as u8; *length]);
        let lsn = writer.record(21, 0, xid, &body);
        expected.push((lsn, writer.position(), xid, body.len() as u32 + 24));
    }
    expected
}

proptest! {
    #[test]
    fn every_record_comes_back(
        lengths in proptest::collection::vec(prop_oneof![0usize..300, 7000usize..9000, 20_000usize..90_000], 1..80),
        piece in prop_oneof![1usize..64, 5000usize..40_000],
    ) {
        let mut writer = Writer::new(WalVersion::V15, 1);
        let expected = written(&mut writer, &lengths);
        let segments = writer.segments();
        let (seen, stops) = read(&writer, &segments, piece);
        prop_assert_eq!(seen, expected);
        let whole = writer.bytes.len().is_multiple_of(1 << 20);
        for (index, stop) in stops.iter().enumerate() {
            let expected = (index + 1 == stops.len() && !whole).then_some(StopReason::Unwritten);
            prop_assert_eq!(stop.map(|stop| stop.reason), expected);
        }
    }

    #[test]
    fn reading_begins_anywhere(lengths in proptest::collection::vec(0usize..200_000, 20..40), skip in 1usize..3) {
        let mut writer = Writer::new(WalVersion::V15, 1);
        let expected = written(&mut writer, &lengths);
        let segments = writer.segments();
        let skip = skip.min(segments.len() - 1);
        let from = segments[skip].0.start(writer.size).unwrap().0;
        let (seen, _) = read(&writer, &segments[skip..], 8192);
        let later: Seen = expected.into_iter().filter(|(lsn, ..)| *lsn >= from).collect();
        prop_assert_eq!(seen, later);
    }
}

/// `initdb --wal-segsize` takes powers of two from 1 MB to 1 GB.
#[test]
fn segments_of_every_size_are_read() {
    for version in WalVersion::ALL {
        for shift in 0..=10 {
            let mut writer = Writer::new(version, 1 << shift);
            let expected = written(&mut writer, &[100, 20_000, 100]);
            let segment = WalSegment::of(Lsn(expected[0].0), writer.size, TimelineId(1));
            let mut stream = WalStream::new(writer.size, Some(SYSTEM));
            stream.begin_segment(segment);
            let mut seen = Seen::new();
            let mut bytes = writer.bytes.clone();
            bytes.resize(bytes.len().next_multiple_of(8192), 0);
            stream.push(&bytes, &mut |record: &Record<'_>| {
                seen.push((record.lsn.0, record.end.0, record.xid, record.total_bytes));
            });
            assert_eq!(seen, expected, "{version:?}, {} MB", 1 << shift);
            // The same bytes as segments of another size are none.
            let other = SegmentSize::from_bytes(if shift == 0 { 2 << 20 } else { 1 << 20 }).unwrap();
            let mut stream = WalStream::new(other, Some(SYSTEM));
            stream.begin_segment(WalSegment::of(Lsn(expected[0].0), other, TimelineId(1)));
            stream.push(&bytes, &mut |record: &Record<'_>| panic!("{record:?}"));
            assert!(matches!(
                stream.stop().map(|stop| stop.reason),
                Some(StopReason::Sizes { .. } | StopReason::PageFlags(_) | StopReason::OtherAddress(_))
            ));
        }
    }
}

#[test]
fn a_missing_segment_is_a_gap_and_nothing_is_made_up() {
    let mut writer = Writer::new(WalVersion::V15, 1);
    let expected = written(&mut writer, &[300_000; 12]);
    let mut segments = writer.segments();
    let (_, missing) = segments.remove(1);
    let gap = 2 << 20..(2 << 20) + missing.len() as u64;
    let (seen, _) = read(&writer, &segments, 8192);
    let left: Seen = expected.into_iter().filter(|(start, end, ..)| *end <= gap.start || *start >= gap.end).collect();
    assert_eq!(seen, left);
    // One begins before the gap, three lie wholly or partly in it.
    assert_eq!(left.len(), 12 - 4);
}

#[test]
fn a_record_longer_than_is_kept_is_checked_and_counted() {
    let mut writer = Writer::new(WalVersion::V15, 1);
    let length = 17 << 20;
    let expected = written(&mut writer, &[100, length, 100]);
    let mut stream = WalStream::new(writer.size, None);
    let (mut totals, mut cut) = (Totals::default(), Vec::new());
    for (segment, bytes) in writer.segments() {
        stream.begin_segment(segment);
        stream.push(&bytes, &mut |record| {
            totals.add_record(record);
            let content = Content::read(record, &record.parts().unwrap());
            cut.push((record.is_cut(), content == Content::Unknown));
        });
    }
    assert_eq!(cut, [(false, false), (true, true), (false, false)]);
    let bytes: u64 = expected.iter().map(|(.., total)| u64::from(*total)).sum();
    assert_eq!(totals.sum(), RecordTotals { records: 3, record_bytes: bytes, image_bytes: 0 });
    // One flipped bit deep inside is found all the same.
    let mut segments = writer.segments();
    segments[9].1[5000] ^= 1;
    let (seen, stops) = read(&writer, &segments, 8192);
    assert_eq!(seen.len(), 1, "what follows in the segment of its end is not read either");
    assert!(stops.iter().flatten().any(|stop| stop.reason == StopReason::Checksum && stop.at.0 == expected[1].0));
}

#[test]
fn a_switch_leaves_the_rest_of_the_segment_alone() {
    let mut writer = Writer::new(WalVersion::V15, 1);
    writer.record(21, 0, 5, &main_data(b"before"));
    let switch = writer.record(0, 0x40, 0, &[]);
    let rest = (1 << 20) - writer.bytes.len();
    // PostgreSQL writes zeros; whatever is there is not read.
    writer.bytes.extend(std::iter::repeat_n(0xAB, rest));
    let after = writer.record(21, 0, 6, &main_data(b"after"));
    let (seen, stops) = read(&writer, &writer.segments(), 8192);
    let places: Vec<(u64, u64)> = seen.iter().map(|(start, end, ..)| (*start, *end)).collect();
    assert_eq!(places[1], (switch, 2 << 20));
    assert_eq!((places[2].0, places.len()), (after, 3));
    assert_eq!(stops[0], None);
}

#[test]
fn a_record_cut_by_a_crash_is_dropped_where_the_server_says_so() {
    for (version, flag) in [(WalVersion::V15, 0x0008), (WalVersion::V18, 0x0008), (WalVersion::V19, 0x0004)] {
        let mut writer = Writer::new(version, 1);
        let first = writer.record(21, 0, 5, &main_data(&[1; 100]));
        let whole = writer.bytes.len();
        let before = writer.previous;
        let mut cut = main_data(&[2; 60_000]);
        cut[6] = 7;
        writer.record(21, 0, 6, &cut);
        // Two of its pages were written; the server came back and wrote over the rest.
        writer.bytes.truncate(whole.next_multiple_of(8192) + 8192);
        writer.previous = before;
        writer.page(flag);
        let over = writer.record(0, 0xD0, 0, &main_data(&[0; 16]));
        let (seen, stops) = read(&writer, &writer.segments(), 8192);
        let places: Vec<u64> = seen.iter().map(|(start, ..)| *start).collect();
        assert_eq!(places, [first, over], "{version:?}");
        assert_eq!(stops[0].map(|stop| stop.reason), Some(StopReason::Unwritten));
        // Without the mark it is damage.
        let mut unmarked = writer.segments();
        let page = (over & 0xF_FFFF) as usize & !8191;
        unmarked[0].1[page + 2] &= !(flag as u8);
        let (seen, stops) = read(&writer, &unmarked, 8192);
        assert_eq!((seen.len(), stops[0].map(|stop| stop.reason)), (1, Some(StopReason::Continuation)));
    }
}

#[test]
fn a_timeline_goes_forward_and_never_back() {
    let mut writer = Writer::new(WalVersion::V15, 1);
    writer.record(21, 0, 5, &main_data(&[1; 9000]));
    writer.timeline = 2;
    writer.record(0, 0x90, 0, &main_data(&[0; 16]));
    writer.record(21, 0, 6, &main_data(&[1; 9000]));
    let mut stream = WalStream::new(writer.size, None);
    let mut timelines = Vec::new();
    let (segment, bytes) = writer.segments().remove(0);
    stream.begin_segment(segment);
    stream.push(&bytes, &mut |record| timelines.push(record.timeline.0));
    assert_eq!(timelines, [1, 1, 1]);
    writer.record(21, 0, 7, &main_data(&[1; 9000]));
    writer.timeline = 1;
    writer.record(21, 0, 8, &main_data(&[1; 9000]));
    let (_, stops) = read(&writer, &writer.segments(), 8192);
    assert!(matches!(stops[0].map(|stop| stop.reason), Some(StopReason::Timeline { .. })), "{stops:?}");
}
