//! What records say, in the versions whose layouts differ from PostgreSQL 15's.

use super::writer::{Writer, main_data};
use crate::domain::lsn::Lsn;
use crate::domain::wal_reader::{
    Block, ChangeKind, Content, DatabaseChange, MalformedRecord, PgTime, RelationFile, Rmgr, WalStream, WalVersion,
    record_name,
};

/// What `look` says of one record of this kind, written and read by a stream.
fn look<T>(
    version: WalVersion,
    (rmgr, info): (u8, u8),
    body: &[u8],
    mut look: impl FnMut(Result<Content<'_>, MalformedRecord>, Vec<Block>) -> T,
) -> T {
    let mut writer = Writer::new(version, 1);
    writer.record(rmgr, info, 700, body);
    let (segment, bytes) = writer.segments().remove(0);
    let mut stream = WalStream::new(writer.size, None);
    stream.begin_segment(segment);
    let mut found = None;
    stream.push(&bytes, &mut |record| {
        let content = record.parts().map(|parts| Content::read(record, &parts));
        found = Some(look(content, record.blocks().collect()));
    });
    found.unwrap()
}

fn words(values: &[u32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

const TABLE: RelationFile = RelationFile { tablespace: 1663, database: 5, number: 16384 };

/// A block of `TABLE` with an image of `image` bytes and these image flags.
fn block(id: u8, image: u16, image_flags: u8, hole: Option<u16>) -> Vec<u8> {
    let mut bytes = vec![id, 0x10, 0, 0];
    bytes.extend(image.to_le_bytes());
    bytes.extend([0, 0, image_flags]);
    bytes.extend(hole.iter().flat_map(|hole| hole.to_le_bytes()));
    bytes.extend(words(&[TABLE.tablespace, TABLE.database, TABLE.number, 9]));
    bytes
}

#[test]
fn page_images_are_told_by_the_flags_of_their_version() {
    // Before 15 the second bit says compressed, and the length of the hole follows; from 15 on it says that the image is
    // applied.
    for version in WalVersion::ALL {
        let is_new = version >= WalVersion::V15;
        for (flags, compressed) in [(0x01, false), (0x03, !is_new), (0x05, is_new), (0x09, is_new), (0x11, is_new)] {
            let hole = compressed.then_some(100);
            let mut body = block(0, 40, flags, hole);
            body.extend([255, 3]);
            body.extend([0; 43]);
            let blocks = look(version, (10, 0), &body, |content, blocks| {
                let change = content.unwrap();
                assert!(matches!(change, Content::Change(change) if change.relation == TABLE && change.block == 9));
                blocks
            });
            assert_eq!((blocks[0].image_bytes, blocks[0].is_compressed), (40, compressed), "{version:?} {flags:02X}");
        }
    }
}

#[test]
fn headers_that_do_not_fit_are_malformed() {
    let mut body = block(0, 40, 0x01, None);
    body.extend([255, 3]);
    body.extend([0; 42]);
    look(WalVersion::V15, (10, 0), &body, |content, _| assert_eq!(content, Err(MalformedRecord)));
    // Blocks out of order, a block of the same relation without one before it, an unknown number.
    for body in [[block(1, 0, 0, None), block(1, 0, 0, None)].concat(), vec![0, 0x80, 0, 0, 1, 0, 0, 0], vec![77, 0, 0]]
    {
        look(WalVersion::V15, (10, 0), &body, |content, _| assert_eq!(content, Err(MalformedRecord)));
    }
}

#[test]
fn deletes_are_told_apart_by_their_flags() {
    for (flags, kind) in [(0, ChangeKind::Delete), (8, ChangeKind::InsertTakenBack), (16, ChangeKind::MovedAway)] {
        let mut body = block(0, 0, 0, None);
        body[1] = 0;
        body.drain(4..9);
        body.extend([255, 8, 0, 0, 0, 0, 1, 0, 0, flags]);
        look(WalVersion::V15, (10, 0x10), &body, |content, _| {
            assert!(matches!(content.unwrap(), Content::Change(change) if change.kind == kind));
        });
    }
}

#[test]
fn databases_are_dropped_by_another_number_from_15_on() {
    for version in WalVersion::ALL {
        let drop = if version >= WalVersion::V15 { 0x20 } else { 0x10 };
        let body = main_data(&words(&[16401, 1, 1663]));
        let expected = Content::Database(DatabaseChange::Dropped { database: 16401 });
        look(version, (4, drop), &body, |content, _| assert_eq!(content.unwrap(), expected));
        assert_eq!(record_name(Rmgr::DATABASE, drop, version), Some("DROP"));
    }
}

#[test]
fn prepared_transactions_have_two_more_counts_from_15_on() {
    for version in WalVersion::ALL {
        let mut data = words(&[0x5F94_BE67, 0, 742, 16384, 5, 0, 10, 2, 0, 0]);
        if version >= WalVersion::V15 {
            data.extend(words(&[1, 0]));
        }
        data.extend(words(&[0]));
        data.extend([0, 0, 6, 0]);
        data.extend([0; 16]);
        data.extend(b"first\0\0\0");
        data.extend(words(&[743, 744]));
        look(version, (1, 0x10), &main_data(&data), |content, _| {
            let Content::Prepare(prepared) = content.unwrap() else { panic!("{version:?}") };
            assert_eq!((prepared.xid, prepared.database, prepared.time), (742, 16384, PgTime(5)));
            assert_eq!((prepared.gid, prepared.subtransactions.iter().collect()), (&b"first"[..], vec![743, 744]));
        });
    }
}

/// Time, flags, database, one subtransaction, one file, one item of dropped statistics, one relation, two phases, origin.
fn commit(item: usize, flags: u32) -> Vec<u8> {
    let mut data = words(&[1_000_000, 0, flags, 16384, 1663, 1, 701, 1, 1663, 16384, 16500]);
    if flags & (1 << 8) != 0 {
        data.extend(words(&[1]));
        data.extend(words(&[2, 16384, 16500]));
        data.extend(vec![0; item - 12]);
    }
    data.extend(words(&[1, 0xFE, 16384, 16500, 0]));
    data.extend(words(&[699]));
    data.extend(b"gid\0");
    data.extend(words(&[0x3000, 1, 77, 0]));
    main_data(&data)
}

#[test]
fn commits_of_every_version_are_read() {
    let all = 1 | 2 | 4 | 8 | 16 | 32 | 128;
    for version in WalVersion::ALL {
        let stats = version >= WalVersion::V15;
        let item = if version >= WalVersion::V18 { 16 } else { 12 };
        let flags = if stats { all | 1 << 8 } else { all };
        look(version, (1, 0x30 | 0x80), &commit(item, flags), |content, _| {
            let Content::Commit(ended) = content.unwrap() else { panic!("{version:?}") };
            assert_eq!((ended.xid, ended.was_prepared, ended.database), (699, true, 16384));
            assert_eq!(ended.subtransactions.iter().collect::<Vec<_>>(), [701]);
            assert_eq!(ended.removed.iter().map(|file| file.number).collect::<Vec<_>>(), [16500]);
            assert_eq!(ended.dropped_stats, u32::from(stats));
            assert_eq!(ended.dropped.iter().collect::<Vec<_>>(), vec![(16384, 16500); usize::from(stats)]);
            assert_eq!(ended.invalidations.relations().collect::<Vec<_>>(), [(16384, 16500)]);
            assert_eq!(ended.origin, Some((0x1_0000_3000, PgTime(77))));
            assert_eq!(ended.time.utc().unwrap().to_rfc3339(), "2000-01-01T00:00:01+00:00");
        });
    }
}

#[test]
fn the_map_of_a_database_is_read() {
    let map = |magic, count: u32| {
        let mut data = words(&[5, 1663, 512, magic, count, 1259, 16459, 1247, 16500]);
        data.resize(12 + 512, 0);
        main_data(&data)
    };
    look(WalVersion::V15, (7, 0), &map(0x59_2717, 2), |content, _| {
        let Content::RelationMap(map) = content.unwrap() else { panic!("no map") };
        let file = |number| RelationFile { number, ..TABLE };
        assert_eq!(map.iter().collect::<Vec<_>>(), [(1259, file(16459)), (1247, file(16500))]);
    });
    for other in [map(0x59_2718, 2), map(0x59_2717, 65), main_data(&words(&[5, 1663, 512]))] {
        look(WalVersion::V15, (7, 0), &other, |content, _| assert_eq!(content.unwrap(), Content::Unknown));
    }
}

#[test]
fn what_a_version_does_not_have_is_unknown_and_not_guessed() {
    let unknown = |version, kind, body: &[u8]| {
        look(version, kind, body, |content, _| assert_eq!(content.unwrap(), Content::Unknown, "{version:?} {kind:?}"));
    };
    // Dropped statistics before 15; a flag that no version has; a commit that ends early; a prepared one without its id.
    unknown(WalVersion::V14, (1, 0xB0), &commit(12, 0x1BF));
    unknown(WalVersion::V15, (1, 0x80), &main_data(&words(&[1, 0, 1 << 20, 3])));
    unknown(WalVersion::V15, (1, 0x80), &main_data(&words(&[1, 0, 2, 500, 3])));
    unknown(WalVersion::V15, (1, 0x30), &main_data(&words(&[1, 0])));
    unknown(WalVersion::V13, (1, 0x60), &main_data(&[]));
    unknown(WalVersion::V15, (1, 0x70), &main_data(&[]));
    unknown(WalVersion::V15, (0, 0xE0), &main_data(&[]));
    unknown(WalVersion::V15, (22, 0), &main_data(&[]));
    unknown(WalVersion::V14, (128, 0), &main_data(&[]));
    unknown(WalVersion::V15, (2, 0x30), &main_data(&[]));
    unknown(WalVersion::V15, (4, 0x30), &main_data(&[0; 12]));
    unknown(WalVersion::V15, (8, 0x10), &main_data(&words(&[u32::MAX, 1, 0, 1, 1, 1])));
    look(WalVersion::V15, (130, 0), &main_data(&[]), |content, _| assert_eq!(content.unwrap(), Content::Other));
    look(WalVersion::V17, (0, 0xE0), &main_data(&[]), |content, _| assert_eq!(content.unwrap(), Content::Other));
    look(WalVersion::V19, (22, 0), &main_data(&[]), |content, _| assert_eq!(content.unwrap(), Content::Other));
}

#[test]
fn only_15_is_proven_and_the_magic_numbers_are_those_of_the_first_page() {
    for version in WalVersion::ALL {
        assert_eq!(version.is_proven(), version.major() == 15);
        assert_eq!(WalVersion::from_magic(version.magic()), Some(version));
        let writer = {
            let mut writer = Writer::new(version, 16);
            writer.record(21, 0, 3, &[]);
            writer
        };
        let page = crate::domain::wal_page::FirstPage::parse(&writer.bytes).unwrap();
        assert_eq!((page.version.parse(), page.address), (Ok(version.major()), Lsn(16 << 20)));
    }
    assert_eq!(WalVersion::from_magic(0xD098), None);
}

#[test]
fn times_are_read_both_ways() {
    let at = "2026-11-22T02:13:00.123456Z".parse().unwrap();
    assert_eq!(PgTime::of(at).utc(), Some(at));
    assert_eq!(PgTime(i64::MAX).utc(), None);
    assert_eq!(PgTime(i64::MIN).utc(), None);
}
