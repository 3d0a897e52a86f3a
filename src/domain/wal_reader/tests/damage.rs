//! Bytes that are no WAL, or no WAL any more.

use super::writer::{SYSTEM, Writer, main_data};
use super::{read, written};
use crate::domain::lsn::Lsn;
use crate::domain::wal::{TimelineId, WalSegment};
use crate::domain::wal_reader::record::Record;
use crate::domain::wal_reader::{Content, Rmgr, Stop, StopReason, Totals, WalStream, WalVersion};
use proptest::prelude::*;

fn first_stop(writer: &Writer, change: impl FnOnce(&mut Vec<u8>)) -> (usize, Option<Stop>) {
    let mut segments = writer.segments();
    change(&mut segments[0].1);
    let (seen, stops) = read(writer, &segments, 8192);
    (seen.len(), stops[0])
}

fn three_records() -> (Writer, Vec<u64>) {
    let mut writer = Writer::new(WalVersion::V15, 1);
    let seen = written(&mut writer, &[100, 10_000, 100]);
    (writer, seen.iter().map(|(start, ..)| *start).collect())
}

#[test]
fn a_flipped_bit_is_found_and_placed() {
    let (writer, starts) = three_records();
    let inside = (starts[1] & 0xF_FFFF) as usize + 500;
    let (read, stop) = first_stop(&writer, |bytes| bytes[inside] ^= 0x10);
    assert_eq!((read, stop), (1, Some(Stop { at: Lsn(starts[1]), reason: StopReason::Checksum })));
    assert!(!StopReason::Checksum.is_end_of_written());
}

#[test]
fn what_is_left_of_a_files_former_use_ends_reading() {
    let (writer, starts) = three_records();
    // The page behind the last record is an older one.
    let (read, stop) = first_stop(&writer, |bytes| {
        let old: Vec<u8> = bytes[8192..16384].to_vec();
        bytes[16384..24576].copy_from_slice(&old);
    });
    assert_eq!((read, stop.map(|stop| stop.at)), (3, stop.map(|_| Lsn(writer.position()))));
    // A record of the former use behind the last one: everything fits but what it follows.
    let mut recycled = Writer::new(WalVersion::V15, 1);
    written(&mut recycled, &[100, 10_000]);
    recycled.previous = 4096;
    let stale = recycled.record(21, 0, 9, &main_data(b"stale"));
    let (read, stop) = first_stop(&recycled, |_| {});
    assert_eq!((read, stop), (2, Some(Stop { at: Lsn(stale), reason: StopReason::PreviousLink })));
    assert_eq!(stale, starts[2]);
    assert!(StopReason::PreviousLink.is_end_of_written() && StopReason::Unwritten.is_end_of_written());
}

#[test]
fn files_that_are_something_else_are_named() {
    let (writer, _) = three_records();
    let stop = |change: &dyn Fn(&mut Vec<u8>)| first_stop(&writer, |bytes| change(bytes)).1.map(|stop| stop.reason);
    let set =
        |at: usize, with: &'static [u8]| move |bytes: &mut Vec<u8>| bytes[at..at + with.len()].copy_from_slice(with);
    assert_eq!(stop(&|bytes| bytes.fill(0)), Some(StopReason::Unwritten));
    assert_eq!(stop(&set(0, &[0x98, 0xD0])), Some(StopReason::Magic(0xD098)));
    assert_eq!(stop(&set(0, b"(\xB5/\xFD")), Some(StopReason::Magic(0xB528)));
    assert_eq!(stop(&set(2, &[0, 0])), Some(StopReason::PageFlags(0)));
    assert_eq!(stop(&set(2, &[0x12, 0])), Some(StopReason::PageFlags(0x12)));
    assert_eq!(stop(&set(24, &[9])), Some(StopReason::OtherCluster(SYSTEM & !0xFF | 9)));
    assert_eq!(stop(&set(34, &[0x40])), Some(StopReason::Sizes { segment: 0x40_0000, page: 8192 }));
    assert_eq!(stop(&set(36, &[0, 0x40])), Some(StopReason::Sizes { segment: 1 << 20, page: 0x4000 }));
    assert_eq!(stop(&set(40, &[7])), Some(StopReason::Length(7)));
    assert_eq!(stop(&set(43, &[0xFF])), Some(StopReason::Length(0xFF00_007E)));
    assert_eq!(stop(&set(8192 + 16, &[1])), Some(StopReason::Continuation));
    let other = stop(&set(9, &[0x77]));
    assert!(matches!(other, Some(StopReason::OtherAddress(_))), "{other:?}");
}

#[test]
fn a_file_that_is_cut_gives_what_it_has() {
    let (writer, _) = three_records();
    let (segment, bytes) = writer.segments().remove(0);
    let mut stream = WalStream::new(writer.size, None);
    let mut count = 0;
    stream.begin_segment(segment);
    stream.push(&bytes[..8192 + 100], &mut |_: &Record<'_>| count += 1);
    assert_eq!((count, stream.is_inside_record(), stream.stop()), (1, true, None));
    // The next segment doesn't continue it.
    let next = segment.next(writer.size).unwrap();
    assert!(!stream.begin_segment(next));
    assert!(!stream.is_inside_record());
}

#[test]
fn a_name_that_cant_be_is_passed_over() {
    let (writer, _) = three_records();
    let mut stream = WalStream::new(writer.size, None);
    assert!(!stream.begin_segment(WalSegment { timeline: TimelineId(1), log: 0, seg: 5000 }));
    stream.push(&writer.bytes, &mut |record: &Record<'_>| panic!("{record:?}"));
}

proptest! {
    /// However a segment is changed: reading ends, hands out no more records than fit, and keeps its memory.
    #[test]
    fn mutated_segments_are_harmless(
        lengths in proptest::collection::vec(prop_oneof![0usize..200, 8000usize..30_000], 1..60),
        changes in proptest::collection::vec((0usize..400_000, any::<u8>()), 0..12),
        copies in proptest::collection::vec((0usize..40, 0usize..40), 0..3),
        piece in 1usize..20_000,
    ) {
        let mut writer = Writer::new(WalVersion::V15, 1);
        written(&mut writer, &lengths);
        let mut segments = writer.segments();
        for (_, bytes) in &mut segments {
            for (at, value) in &changes {
                bytes[*at] = *value;
            }
            for (from, to) in &copies {
                bytes.copy_within(from * 8192..(from + 1) * 8192, to * 8192);
            }
        }
        let mut stream = WalStream::new(writer.size, None);
        let mut totals = Totals::default();
        for (segment, bytes) in &segments {
            stream.begin_segment(*segment);
            for piece in bytes.chunks(piece) {
                stream.push(piece, &mut |record| totals.add_record(record));
            }
            prop_assert!(stream.reserved_bytes() < 20 << 20);
        }
        prop_assert!(totals.sum().records <= lengths.len() as u64);
    }

    #[test]
    fn bytes_of_any_kind_are_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..40_000), is_page: bool) {
        let mut bytes = bytes;
        if is_page && bytes.len() > 40 {
            let writer = three_records().0;
            bytes[..40].copy_from_slice(&writer.bytes[..40]);
        }
        let writer = three_records().0;
        let mut stream = WalStream::new(writer.size, None);
        stream.begin_segment(writer.segments()[0].0);
        let mut count = 0;
        stream.push(&bytes, &mut |_: &Record<'_>| count += 1);
        prop_assert!(count * 24 <= bytes.len());
    }

    /// A body of any bytes, as any record of any version: taken apart or refused.
    #[test]
    fn bodies_of_any_kind_are_harmless(
        start in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0u8), Just(255u8), Just(0x30u8)], 0..40),
        rest in proptest::collection::vec(any::<u8>(), 0..300),
        rmgr in prop_oneof![0u8..=12, any::<u8>()],
        info: u8,
        as_main: bool,
    ) {
        let mut body = [start, rest].concat();
        if as_main {
            body = main_data(&body);
        }
        for version in WalVersion::ALL {
            let record = Record {
                lsn: Lsn(8192), end: Lsn(16384), previous: Lsn(0), timeline: TimelineId(1), version, xid: 3,
                rmgr: Rmgr(rmgr), info, total_bytes: body.len() as u32 + 24, body: &body, is_cut: false,
            };
            let blocks: Vec<_> = record.blocks().collect();
            if let Ok(parts) = record.parts() {
                prop_assert_eq!(blocks.iter().map(|block| block.image_bytes).sum::<u32>(), parts.image_bytes);
                if let Content::Commit(ended) = Content::read(&record, &parts) {
                    prop_assert!(ended.subtransactions.iter().count() * 4 <= body.len());
                    prop_assert!(ended.removed.iter().count() * 12 <= body.len());
                    prop_assert!(ended.invalidations.relations().count() * 16 <= body.len());
                }
            }
        }
    }
}
