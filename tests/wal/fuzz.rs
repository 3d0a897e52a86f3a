//! Records of every kind with a right checksum and any content, and segments with flipped bytes, through the whole search:
//! it ends, it never panics, and its answer can be printed.

use crate::writer::{SYSTEM, Writer, main_data};
use chrono::{DateTime, TimeDelta, Utc};
use lifeboat::domain::wal_reader::{PgTime, WalStream, WalVersion};
use lifeboat::planning::accident::{Coverage, Names, Search, Transactions, Window};
use proptest::prelude::*;

/// Resource manager, kind, transaction, body.
type Made = (u8, u8, u32, Vec<u8>);

fn words(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn begin() -> DateTime<Utc> {
    "2026-11-15T00:00:00Z".parse().unwrap()
}

/// A block of a table, then main data: what the records of rows are made of.
fn row() -> impl Strategy<Value = Made> {
    let kind = prop_oneof![Just(0u8), Just(0x10), Just(0x20), Just(0x40), Just(0x80), any::<u8>()];
    let table = prop_oneof![Just(1259u32), Just(1247), 16_384u32..16_400, any::<u32>()];
    (kind, 3u32..40, table, any::<u32>(), proptest::collection::vec(any::<u8>(), 0..20)).prop_map(
        |(kind, xid, table, block, data)| {
            let body = [vec![0, 0, 0, 0], words(&[1663, 5, table, block]), main_data(&data)].concat();
            (10, kind, xid, body)
        },
    )
}

/// The end of a transaction, with flags that may promise more or less than follows.
fn end() -> impl Strategy<Value = Made> {
    let kind = prop_oneof![Just(0x80u8), Just(0x00), Just(0xA0), Just(0xB0), Just(0xC0), any::<u8>()];
    let flags = prop_oneof![Just(7u32), Just(0), 0u32..512, any::<u32>()];
    let list = proptest::collection::vec(prop_oneof![0u32..5, 3u32..40, any::<u32>()], 0..30);
    (kind, 3u32..40, 0i64..3_600, flags, list).prop_map(|(kind, xid, seconds, flags, list)| {
        let time = PgTime::of(begin() + TimeDelta::seconds(seconds)).0.to_le_bytes().to_vec();
        (1, kind, xid, main_data(&[time, words(&[flags]), words(&list)].concat()))
    })
}

fn any_record() -> impl Strategy<Value = Made> {
    let rmgr = prop_oneof![0u8..=10, any::<u8>()];
    let body = proptest::collection::vec(prop_oneof![any::<u8>(), Just(0u8), Just(255u8)], 0..200);
    (rmgr, any::<u8>(), 0u32..40, body, any::<bool>())
        .prop_map(|(rmgr, info, xid, body, is_main)| (rmgr, info, xid, if is_main { main_data(&body) } else { body }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.div_ceil(4), ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_in_the_wal_the_search_ends_with_an_answer(
        records in proptest::collection::vec(prop_oneof![row(), row(), end(), any_record()], 1..120),
        version in 0..WalVersion::ALL.len(),
        changes in proptest::collection::vec((0usize..100_000, any::<u8>()), 0..6),
    ) {
        let mut writer = Writer::at(WalVersion::ALL[version], 1, 1 << 20, SYSTEM, 0);
        for (rmgr, info, xid, body) in &records {
            writer.record(*rmgr, *info, *xid, body);
        }
        let mut segments = writer.segments();
        for (at, value) in &changes {
            segments[0].1[*at] = *value;
        }
        let mut transactions = Transactions::new();
        let window = Window { from: begin(), to: begin() + TimeDelta::hours(1), around: begin() };
        let mut search = Search::new(window, Names::default());
        let mut stream = WalStream::new(writer.size, None);
        let mut commits = 0;
        for (segment, bytes) in &segments {
            stream.begin_segment(*segment);
            stream.push(bytes, &mut |record| transactions.record(record, &mut |notice| {
                commits += 1;
                search.notice(&notice);
            }));
        }
        prop_assert!(transactions.records() <= records.len() as u64 && commits <= transactions.records());
        let answer = search.answer(None, Coverage::default());
        prop_assert!(answer.suspects.iter().all(|suspect| suspect.target.value <= suspect.commit_start_lsn));
        let text = serde_json::to_string(&answer).unwrap();
        let again: lifeboat::planning::accident::Answer = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(again.suspects.len(), answer.suspects.len());
    }
}
