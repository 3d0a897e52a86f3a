#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

/// The first 64 bytes of segments of one cluster (PostgreSQL 15.20), promoted once at 0/2000FC0.
const FIRST: &[u8] = include_bytes!("../../../tests/fixtures/wal_page/000000010000000000000001.head");
const SECOND: &[u8] = include_bytes!("../../../tests/fixtures/wal_page/000000010000000000000002.head");
const FORKED: &[u8] = include_bytes!("../../../tests/fixtures/wal_page/000000020000000000000002.head");
const AFTER: &[u8] = include_bytes!("../../../tests/fixtures/wal_page/000000020000000000000003.head");
const HISTORY: &str = include_str!("../../../tests/fixtures/wal_page/00000002.history");
const SYSTEM: u64 = 7_711_037_234_893_546_689;

fn segment(name: &str) -> WalSegment {
    WalSegment::parse(name).unwrap()
}

fn checked(bytes: &[u8], name: &str, history: Option<&TimelineHistory>) -> Result<(), Mismatch> {
    FirstPage::parse(bytes).unwrap().check(segment(name), SYSTEM, SegmentSize::DEFAULT, history)
}

#[test]
fn real_segments_are_read() {
    for (bytes, timeline, address) in
        [(FIRST, 1, "0/1000000"), (SECOND, 1, "0/2000000"), (FORKED, 1, "0/2000000"), (AFTER, 2, "0/3000000")]
    {
        let page = FirstPage::parse(bytes).unwrap();
        assert_eq!((page.version, page.system_identifier, page.page_bytes), ("15", SYSTEM, 8192));
        assert_eq!((page.timeline.0, page.address.to_string()), (timeline, address.to_owned()));
        assert_eq!(page.segment_size, SegmentSize::DEFAULT);
    }
}

#[test]
fn the_first_segment_of_a_timeline_begins_with_its_parents_page() {
    let history = TimelineHistory::parse(TimelineId(2), HISTORY).unwrap();
    assert_eq!(checked(FORKED, "000000020000000000000002", Some(&history)), Ok(()));
    let expected = Mismatch::Timeline { found: TimelineId(1), expected: TimelineId(2) };
    assert_eq!(checked(FORKED, "000000020000000000000002", None), Err(expected.clone()));
    let elsewhere = TimelineHistory::parse(TimelineId(2), "1\t0/3000FC0\tx\n").unwrap();
    assert_eq!(checked(FORKED, "000000020000000000000002", Some(&elsewhere)), Err(expected));
    assert_eq!(checked(AFTER, "000000020000000000000003", None), Ok(()));
}

#[test]
fn a_recycled_segment_is_told_from_a_written_one() {
    assert_eq!(checked(FIRST, "000000010000000000000001", None), Ok(()));
    let found = checked(FIRST, "000000010000000000000007", None).unwrap_err();
    assert!(matches!(found, Mismatch::Address { holds, .. } if holds == segment("000000010000000000000001")));
    assert!(found.to_string().contains("recycled"));
}

#[test]
fn another_clusters_and_another_size_are_told() {
    let page = FirstPage::parse(SECOND).unwrap();
    let name = segment("000000010000000000000002");
    let size = SegmentSize::DEFAULT;
    assert!(matches!(page.check(name, SYSTEM + 1, size, None), Err(Mismatch::SystemIdentifier { .. })));
    let big = SegmentSize::from_bytes(64 << 20).unwrap();
    assert!(matches!(page.check(name, SYSTEM, big, None), Err(Mismatch::SegmentSize { .. })));
}

#[test]
fn what_is_no_beginning_is_refused() {
    assert_eq!(FirstPage::parse(&FIRST[..39]), Err(WalPageError::Short(39)));
    assert_eq!(FirstPage::parse(&[0; 64]), Err(WalPageError::Empty));
    assert_eq!(FirstPage::parse(&[0x1f; 64]), Err(WalPageError::Magic(0x1f1f)));
    let mut middle = FIRST.to_vec();
    middle[2] = 0;
    assert_eq!(FirstPage::parse(&middle), Err(WalPageError::NotFirst));
    let mut odd = FIRST.to_vec();
    odd[32] = 1;
    assert!(matches!(FirstPage::parse(&odd), Err(WalPageError::SegmentSize(_))));
}

proptest! {
    #[test]
    fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..80), whole: bool) {
        let mut bytes = bytes;
        if whole && bytes.len() >= 4 {
            bytes[..4].copy_from_slice(&FIRST[..4]);
        }
        if let Ok(page) = FirstPage::parse(&bytes) {
            let _ = page.check(page.holds(), SYSTEM, SegmentSize::DEFAULT, None);
        }
    }

    #[test]
    fn any_flip_in_what_identifies_it_is_seen(bit in 0usize..40 * 8) {
        let mut bytes = SECOND.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let seen = FirstPage::parse(&bytes).map_or(true, |page| {
            page.check(segment("000000010000000000000002"), SYSTEM, SegmentSize::DEFAULT, None).is_err()
        });
        // not looked at: other flags, the remaining length, padding, the page size; another version's magic
        let identifies = bit / 8 < 2 || (4..16).contains(&(bit / 8)) || (24..36).contains(&(bit / 8)) || bit == 17;
        let other_version = bit / 8 < 2 && FirstPage::parse(&bytes).is_ok();
        prop_assert_eq!(seen, identifies && !other_version);
    }
}
