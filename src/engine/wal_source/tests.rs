#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::domain::inventory::Inventory;
use crate::engine::pgbackrest::RepoListing;
use proptest::prelude::*;
use std::io::Write as _;
use std::ops::ControlFlow;

const ALL: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Lz4, Compression::Zstd, Compression::Bzip2];

const SYSTEM: u64 = 7_711_018_952_962_440_857;

fn packed(plain: &[u8], compression: Compression) -> Vec<u8> {
    match compression {
        Compression::None => plain.to_vec(),
        Compression::Gzip => {
            let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            to.write_all(plain).unwrap();
            to.finish().unwrap()
        }
        Compression::Lz4 => {
            let mut to = lz4_flex::frame::FrameEncoder::new(Vec::new());
            to.write_all(plain).unwrap();
            to.finish().unwrap()
        }
        Compression::Zstd => zstd::encode_all(plain, 1).unwrap(),
        Compression::Bzip2 => {
            let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
            to.write_all(plain).unwrap();
            to.finish().unwrap()
        }
    }
}

fn unpack(stored: Vec<u8>, compression: Compression, limit_bytes: u64) -> Result<Vec<u8>, UnpackError> {
    let mut plain = Vec::new();
    let bytes = super::unpack::unpack(stored.as_slice(), compression, limit_bytes, &mut |piece| {
        plain.extend_from_slice(piece);
        ControlFlow::Continue(())
    })?;
    assert_eq!(bytes, plain.len() as u64);
    Ok(plain)
}

/// Content that compresses somewhat.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * at / 97 % 251) as u8).collect()
}

#[test]
fn every_compression_comes_back_whole() {
    for compression in ALL {
        let plain = content(300_000);
        assert_eq!(unpack(packed(&plain, compression), compression, 1 << 20).unwrap(), plain, "{compression:?}");
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_says_so() {
    let plain = content(200_000);
    for compression in ALL.into_iter().filter(|compression| *compression != Compression::None) {
        let whole = packed(&plain, compression);
        let cuts = (0..40).chain((0..whole.len()).step_by(977)).chain([whole.len() - 5, whole.len() - 1]);
        for cut in cuts {
            match unpack(whole[..cut].to_vec(), compression, 1 << 20) {
                Err(UnpackError::CutOff { stored_bytes, .. }) => assert_eq!(stored_bytes, cut as u64),
                // all of the content, and only something of the stream's own trailer is missing
                Ok(found) => assert!(found == plain && cut + 16 >= whole.len(), "{compression:?} cut at {cut}"),
                Err(error) => panic!("{compression:?} cut at {cut} of {}: {error}", whole.len()),
            }
        }
    }
}

#[test]
fn what_is_larger_than_allowed_is_not_unpacked_to_its_end() {
    let bomb = vec![0; 4 << 20];
    for compression in ALL {
        let stored = packed(&bomb, compression);
        assert_eq!(unpack(stored.clone(), compression, 4 << 20).unwrap().len(), 4 << 20);
        assert_eq!(unpack(stored, compression, (4 << 20) - 1), Err(UnpackError::TooLarge), "{compression:?}");
    }
}

/// What a stream says of itself is not believed: a zstd frame may ask for a window of 2 GB in six bytes.
#[test]
fn a_stream_that_asks_for_much_memory_is_refused() {
    let mut stored = vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 21 << 3];
    stored.extend([0x01, 0x00, 0x00]);
    assert!(matches!(unpack(stored, Compression::Zstd, 1 << 20), Err(UnpackError::Damaged { .. })));
}

#[test]
fn who_has_enough_gets_no_more() {
    for compression in ALL {
        let stored = packed(&vec![7; 8 << 20], compression);
        let mut pieces = 0;
        let taken = super::unpack::unpack(stored.as_slice(), compression, 1 << 30, &mut |_| {
            pieces += 1;
            if pieces == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(pieces == 2 && taken.is_ok_and(|bytes| bytes < 1 << 20), "{compression:?}");
    }
}

#[test]
fn what_is_still_encrypted_is_told() {
    let stored = [b"Salted__".as_slice(), &content(1000)].concat();
    for compression in ALL {
        let said = unpack(stored.clone(), compression, 1 << 20).unwrap_err().to_string();
        assert!(said.contains("repoN-cipher-type"), "{said}");
    }
}

proptest! {
    #[test]
    fn no_damage_breaks_it(at in 0usize..2000, with: u8, which in 1usize..5, bytes in 0usize..20_000) {
        let plain = content(bytes);
        let mut stored = packed(&plain, ALL[which]);
        let at = at % stored.len();
        stored[at] = with;
        // whether it is found here or by its SHA-1, it is never more than was allowed
        if let Ok(found) = unpack(stored, ALL[which], 30_000) {
            prop_assert!(found.len() <= 30_000);
        }
    }

    /// Several bytes anywhere, a part cut out, another stream behind it: never a panic, never more than was allowed.
    #[test]
    fn no_mutation_breaks_it(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..20),
        cut in proptest::option::of((any::<proptest::sample::Index>(), 1usize..400)),
        which in 0usize..5,
        behind in proptest::option::of(0usize..5),
        bytes in 1usize..40_000,
    ) {
        let mut stored = packed(&content(bytes), ALL[which]);
        if let Some((at, length)) = cut {
            let at = at.index(stored.len());
            stored.drain(at..(at + length).min(stored.len()));
        }
        stored.extend(behind.map(|other| packed(&content(300), ALL[other])).unwrap_or_default());
        if !stored.is_empty() {
            let length = stored.len();
            changes.iter().for_each(|(at, value)| stored[at.index(length)] = *value);
        }
        if let Ok(found) = unpack(stored, ALL[which], 50_000) {
            prop_assert!(found.len() <= 50_000);
        }
    }

    #[test]
    fn no_bytes_break_it(stored in proptest::collection::vec(any::<u8>(), 0..400), which in 0usize..5) {
        let _ = unpack(stored, ALL[which], 1000);
    }
}

const ONE: &str = "000000010000000000000001";
const A: &str = "520584d4ac0a8b1b1c4d1c2f7ae1b4ea41c7d7b0";
const B: &str = "da39a3ee5e6b4b0d3255bfef95601890afd80709";

fn segment(text: &str) -> WalSegment {
    WalSegment::parse(text).unwrap()
}

fn cluster() -> Cluster {
    Cluster { version: "15".to_owned(), system_identifier: SYSTEM, segment_size: Some(SegmentSize::DEFAULT) }
}

/// Two repositories that number the cluster differently; in the second there is an older cluster as well.
fn stanza(second_status: u32) -> Stanza {
    let info = format!(
        r#"[{{"name":"main","cipher":"none","status":{{"code":0,"message":"ok","lock":{{"backup":{{"held":false}}}}}},
        "repo":[{{"key":1,"cipher":"none","status":{{"code":0,"message":"ok"}}}},{{"key":2,"cipher":"aes-256-cbc","status":{{"code":{second_status},"message":"x"}}}}],
        "db":[{{"id":1,"repo-key":1,"system-id":{SYSTEM},"version":"15"}},{{"id":1,"repo-key":2,"system-id":5,"version":"15"}},{{"id":2,"repo-key":2,"system-id":{SYSTEM},"version":"15"}}],
        "archive":[{{"database":{{"id":1,"repo-key":1}},"id":"15-1","min":null,"max":null}},{{"database":{{"id":1,"repo-key":2}},"id":"15-1","min":null,"max":null}},{{"database":{{"id":2,"repo-key":2}},"id":"15-2","min":null,"max":null}}],
        "backup":[]}}]"#
    );
    let document = crate::domain::info::decode(info.as_bytes()).unwrap();
    Inventory::from_info(document, chrono::DateTime::UNIX_EPOCH, "2.45").stanzas.remove(0)
}

fn listing(files: &[String]) -> RepoListing {
    let entries: Vec<String> =
        files.iter().map(|name| format!(r#""{name}":{{"type":"file","size":7,"time":9}}"#)).collect();
    RepoListing::parse(format!("{{{}}}", entries.join(",")).as_bytes()).unwrap()
}

fn catalog(first: &[String], second: &[String]) -> Catalog {
    let stanza = stanza(0);
    let mut catalog = Catalog::default();
    for (repository, files) in stanza.repositories.iter().zip([first, second]) {
        catalog.take(repository, &listing(files), &cluster());
    }
    catalog
}

#[test]
fn archives_are_chosen_by_system_identifier() {
    let file = |id: &str| format!("{id}/0000000100000000/{ONE}-{A}.gz");
    let catalog = catalog(&[file("15-1"), "archive.info".to_owned()], &[file("15-1"), file("15-2"), file("16-3")]);
    let copies = catalog.copies(segment(ONE)).unwrap();
    let places: Vec<String> = copies.iter().map(ArchivedFile::place).collect();
    assert_eq!(places, ["repo1 (15-1)", "repo2 (15-2)"]);
    assert_eq!((copies[0].stored_bytes, copies[0].modified), (7, 9));
    assert_eq!(copies[1].path("main"), format!("archive/main/15-2/0000000100000000/{ONE}-{A}.gz"));
    assert_eq!(catalog.copies(segment("000000010000000000000002")).unwrap(), []);
}

#[test]
fn where_a_repository_knows_nothing_the_version_chooses() {
    let mut stanza = stanza(99);
    stanza.repositories[1].databases.clear();
    stanza.repositories[1].archives.clear();
    let file = |id: &str, sum: &str| format!("{id}/0000000100000000/{ONE}-{sum}.zst");
    let mut catalog = Catalog::default();
    catalog.take(&stanza.repositories[1], &listing(&[file("15-1", A), file("15-2", B), file("16-3", B)]), &cluster());
    // which of the two is the cluster's, their content tells: no conflict
    let copies = catalog.copies(segment(ONE)).unwrap();
    assert_eq!(
        copies.iter().map(|copy| (&*copy.archive_id, copy.is_certain)).collect::<Vec<_>>(),
        [("15-1", false), ("15-2", false)]
    );
}

#[test]
fn two_contents_under_one_name_are_an_error_in_words() {
    let file = |id: &str, sum: &str, extension: &str| format!("{id}/0000000100000000/{ONE}-{sum}{extension}");
    let inside = catalog(&[file("15-1", A, ".gz"), file("15-1", B, ".gz")], &[]);
    let between = catalog(&[file("15-1", A, ".gz")], &[file("15-2", B, ".gz")]);
    for catalog in [inside, between] {
        let said = catalog.copies(segment(ONE)).unwrap_err().to_string();
        assert!(said.contains(ONE) && said.contains(A) && said.contains(B) && said.contains("[45]"), "{said}");
        assert_eq!(catalog.conflicts().len(), 1);
    }
    // the same content, compressed in two ways, is none
    let twice = catalog(&[file("15-1", A, ".gz"), file("15-1", A, ".zst")], &[file("15-2", A, "")]);
    assert_eq!(twice.copies(segment(ONE)).unwrap().len(), 3);
    assert!(twice.conflicts().is_empty());
}

#[test]
fn partial_history_and_backup_files_are_kept_apart() {
    let catalog = catalog(
        &[
            format!("15-1/0000000100000000/{ONE}.partial-{A}.gz"),
            format!("15-1/0000000100000000/{ONE}.00000028.backup"),
            "15-1/00000002.history".to_owned(),
        ],
        &["15-2/00000003.history".to_owned()],
    );
    assert_eq!(catalog.copies(segment(ONE)).unwrap(), []);
    assert_eq!(catalog.partial_copies(segment(ONE)).unwrap()[0].file_name(), format!("{ONE}.partial-{A}.gz"));
    assert_eq!(catalog.backups.first().map(|note| (note.segment, note.offset)), Some((segment(ONE), 0x28)));
    let timelines: Vec<u32> = catalog.timelines().iter().map(|timeline| timeline.0).collect();
    assert_eq!(timelines, [1, 2, 3]);
}

fn way(names: &[&str], history: &str, timeline: u32, from: u64) -> Way {
    let history = crate::domain::wal::TimelineHistory::parse(TimelineId(timeline), history).unwrap();
    let road = Road::along(&history, SegmentSize::DEFAULT);
    Way::along(road, Lsn(from << 24), &names.iter().map(|name| segment(name)).collect())
}

#[test]
fn a_way_ends_at_the_first_gap_and_names_it() {
    let names = [
        "000000010000000000000003",
        "000000010000000000000004",
        "000000020000000000000004",
        "000000020000000000000005",
        // of timeline 1 after it was left: another future
        "000000010000000000000006",
        "000000020000000000000008",
    ];
    let broken = way(&names, "1\t0/4000100\tx\n", 2, 3);
    let found: Vec<String> = broken.segments.iter().map(ToString::to_string).collect();
    assert_eq!(found, [names[0], names[2], names[3]]);
    assert_eq!(broken.end(), Some(Lsn(6 << 24)));
    let gap = broken.gap.unwrap();
    assert_eq!((gap.count, gap.missing), (2, segment("000000020000000000000006")));
    let said = gap.to_string();
    assert!(said.contains(&format!("between {} and {}: 2 from", names[3], names[5])), "{said}");
    // the child's segment of the switch is not there
    assert_eq!(way(&names[..2], "1\t0/4000100\tx\n", 2, 3).end(), Some(Lsn(0x400_0100)));
    let whole = way(&names, "", 1, 3);
    assert_eq!((whole.segments.len(), whole.gap.unwrap().missing), (2, segment("000000010000000000000005")));
    assert_eq!(way(&names, "", 1, 6).gap, None);
    let first = way(&names, "", 1, 2).gap.unwrap();
    assert!(first.after.is_none() && first.to_string().contains("WAL is missing from 000000010000000000000002 on: 1"));
    assert_eq!(way(&names, "", 1, 7).segments, []);
}

#[test]
fn the_cache_lets_the_least_recently_used_go() {
    use std::io::Read as _;
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("wal");
    let cache = Cache::open(&place, 3_300).unwrap();
    let copy = |number: u8, sum: u8| ArchivedFile {
        repository: RepositoryKey(1),
        archive_id: Arc::from("15-1"),
        segment: WalSegment { timeline: TimelineId(1), log: 0, seg: u32::from(number) },
        is_partial: false,
        sha1: Sha1Sum::of(&[sum]),
        compression: Compression::Zstd,
        stored_bytes: 1000,
        modified: 9,
        is_certain: true,
    };
    let put = |number: u8, bytes: usize| {
        let draft = cache.draft().unwrap();
        draft.share().write_all(&vec![number; bytes]).unwrap();
        cache.keep(draft, SYSTEM, &copy(number, number));
    };
    let get = |number: u8| {
        let mut bytes = Vec::new();
        cache.get(SYSTEM, &copy(number, number))?.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    };
    let names = || std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let used = |number: u8, seconds: u64| {
        let own = format!("{SYSTEM}-{}-{}.zst", copy(number, 0).segment, Sha1Sum::of(&[number]));
        let file = std::fs::File::options().write(true).open(place.join(own)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
    };
    // A draft that is not kept leaves nothing.
    cache.draft().unwrap().share().write_all(b"half").unwrap();
    assert_eq!(names(), Vec::<PathBuf>::new());
    for number in 0..3 {
        put(number, 1000);
        used(number, 100 + u64::from(number));
    }
    // the first is used again, so the second goes
    assert_eq!(get(0), Some(vec![0; 1000]));
    put(3, 1000);
    assert_eq!((get(1), get(2).is_some(), get(0).is_some()), (None, true, true));
    // another cluster's segment of that name, and another content of it
    assert!(cache.get(5, &copy(0, 0)).is_none() && cache.get(SYSTEM, &copy(0, 1)).is_none());
    // put by two at once: one is there, and whole
    put(3, 1000);
    assert_eq!((get(3), names().len()), (Some(vec![3; 1000]), 3));
    cache.forget(SYSTEM, &copy(3, 3));
    assert_eq!(get(3), None);
    // larger than all of it
    put(9, 4000);
    assert_eq!(get(9), None);
}
