//! Whole segments of a real archive: two repositories, the second encrypted, in every compression, sound and broken.

use crate::lab::{self, Lab};
use lifeboat::domain::inventory::RepositoryKey;
use lifeboat::domain::lsn::Lsn;
use lifeboat::domain::wal::{SegmentSize, TimelineId, WalSegment};
use lifeboat::engine::accident::{ArchiveSource, SegmentSource as _};
use lifeboat::engine::look;
use lifeboat::engine::pgbackrest::Pgbackrest;
use lifeboat::engine::safety;
use lifeboat::engine::wal_source::{
    Cache, Cluster, CopyError, Origin, Piece, Sha1Sum, UnpackError, WalSource, WalSourceError, saved_in,
};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

pub(crate) fn pgbackrest(lab: &Lab, config: &Path) -> Pgbackrest {
    let variables = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".into())]);
    Pgbackrest::locate(Some(&lab.marker.pgbackrest), Some(config), variables).unwrap()
}

/// The archive as it is now, with these directories.
pub(crate) fn source(lab: &Lab, directories: &[PathBuf]) -> WalSource {
    source_by(lab, &lab.layout.pgbackrest_config(), directories)
}

fn source_by(lab: &Lab, config: &Path, directories: &[PathBuf]) -> WalSource {
    let pgbackrest = pgbackrest(lab, config);
    let inventory = look::inventory(&pgbackrest, Some("main")).unwrap();
    let stanza = inventory.stanza("main").unwrap();
    WalSource::open(&pgbackrest, stanza, Cluster::current(stanza).unwrap(), directories).unwrap()
}

/// Sells something and ends the segment; which one it was, in the archive of both repositories.
fn sell(lab: &Lab) -> WalSegment {
    lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
    let segment = lab.sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
    lab.wait_archived();
    WalSegment::parse(&segment).unwrap()
}

fn folder(repository: &Path, segment: WalSegment) -> PathBuf {
    repository.join(format!("archive/main/15-1/{:08X}{:08X}", segment.timeline.0, segment.log))
}

fn file(repository: &Path, segment: WalSegment) -> PathBuf {
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(&format!("{segment}-"));
    fs::read_dir(folder(repository, segment)).unwrap().map(|entry| entry.unwrap().path()).find(named).unwrap()
}

/// Puts a plain segment with this content, and its right sum in the name, where the repository's own was.
fn replace(repository: &Path, segment: WalSegment, content: &[u8]) {
    fs::remove_file(file(repository, segment)).unwrap();
    fs::write(folder(repository, segment).join(format!("{segment}-{}", Sha1Sum::of(content))), content).unwrap();
}

/// What a segment's copy is read to.
fn bytes(piece: Piece) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    piece.content.read(&mut |part| {
        bytes.extend_from_slice(part);
        ControlFlow::Continue(())
    })?;
    Ok(bytes)
}

fn only_attempt(source: &WalSource, segment: WalSegment) -> (CopyError, String) {
    let error = source.open_piece(segment, false).unwrap_err();
    let said = error.to_string();
    let WalSourceError::Unusable { mut tried, .. } = error else { panic!("{said}") };
    assert_eq!(tried.len(), 1, "{said}");
    (tried.remove(0).error, said)
}

fn origin(piece: Piece) -> Origin {
    piece.origin
}

#[test]
fn segments_of_every_compression_come_from_both_repositories() {
    let lab = lab::running();
    let config = lab.layout.pgbackrest_config();
    let text = fs::read_to_string(&config).unwrap();
    let mut sold = Vec::new();
    for kind in ["none", "gz", "lz4", "zst", "bz2"] {
        fs::write(&config, text.replace("[global]\n", &format!("[global]\ncompress-type={kind}\n"))).unwrap();
        let segment = sell(&lab);
        let written = fs::read(lab.layout.production().join("pg_wal").join(segment.to_string())).unwrap();
        sold.push((segment, written, if kind == "none" { String::new() } else { format!(".{kind}") }));
    }
    let whole = source(&lab, &[]);
    let (first, second) = (lab.layout.first_repository(), lab.layout.second_repository());
    for (segment, written, extension) in &sold {
        let path = file(&first, *segment);
        assert!(
            path.to_str()
                .unwrap()
                .ends_with(&format!("-{}{extension}", whole.catalog().copies(*segment).unwrap()[0].sha1))
        );
        let fetched = whole.open_piece(*segment, false).unwrap();
        assert_eq!(fetched.origin, Origin::Repository(RepositoryKey(1)));
        assert!(fetched.passed_over.is_empty());
        assert!(bytes(fetched).unwrap() == *written, "{segment}");
        // the encrypted one has the same
        fs::remove_file(path).unwrap();
        let other = whole.open_piece(*segment, false).unwrap();
        assert_eq!(other.origin, Origin::Repository(RepositoryKey(2)));
        assert!(
            other.passed_over[0].to_string().contains("repo1: it is not there any more"),
            "{:?}",
            other.passed_over
        );
        assert!(bytes(other).unwrap() == *written, "{segment}");
        assert!(file(&second, *segment).exists());
    }
    assert_eq!(whole.segment_size().unwrap(), SegmentSize::DEFAULT);
    // listed again, the first repository is not even asked
    let again = whole.look_again().unwrap();
    assert_eq!(again.catalog().copies(sold[0].0).unwrap().len(), 1);
}

#[test]
fn a_broken_copy_is_passed_over_and_a_hole_is_named() {
    let lab = lab::running();
    let segments: Vec<WalSegment> = (0..4).map(|_| sell(&lab)).collect();
    let (first, second) = (lab.layout.first_repository(), lab.layout.second_repository());
    // cut off in repo1: repo2 has it
    let cut = file(&first, segments[1]);
    let bytes = fs::read(&cut).unwrap();
    fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let from = source(&lab, &[]);
    let fetched = from.open_piece(segments[1], false).unwrap();
    assert!(matches!(fetched.passed_over[0].error, CopyError::Unpack(UnpackError::CutOff { .. })));
    assert!(fetched.passed_over[0].to_string().contains("repo1: it is cut off"), "{:?}", fetched.passed_over);
    assert_eq!(origin(fetched), Origin::Repository(RepositoryKey(2)));
    // gone in repo2 as well
    fs::remove_file(file(&second, segments[1])).unwrap();
    let (error, said) = only_attempt(&from.look_again().unwrap(), segments[1]);
    assert!(matches!(error, CopyError::Unpack(UnpackError::CutOff { .. })), "{said}");
    assert!(said.contains(&format!("before it with {} and goes on with {}", segments[0], segments[2])), "{said}");
    // and in repo1
    fs::remove_file(cut).unwrap();
    let holed = from.look_again().unwrap();
    let said = holed.open_piece(segments[1], false).unwrap_err().to_string();
    assert!(said.starts_with(&format!("{} is missing", segments[1])), "{said}");
    assert!(said.contains(&format!("before it with {} and goes on with {}", segments[0], segments[2])), "{said}");
    let size = SegmentSize::DEFAULT;
    let way = holed.way(TimelineId(1), segments[0].start(size).unwrap()).unwrap();
    assert_eq!((way.segments, way.gap.unwrap().missing), (vec![segments[0]], segments[1]));
    // in one only: no hole
    fs::remove_file(file(&first, segments[2])).unwrap();
    assert_eq!(
        origin(from.look_again().unwrap().open_piece(segments[2], false).unwrap()),
        Origin::Repository(RepositoryKey(2))
    );
}

#[test]
fn a_wrong_passphrase_is_told_and_never_shown() {
    let lab = lab::running();
    let segment = sell(&lab);
    fs::remove_file(file(&lab.layout.first_repository(), segment)).unwrap();
    let text = fs::read_to_string(lab.layout.pgbackrest_config()).unwrap();
    let pass = text.lines().find(|line| line.starts_with("repo2-cipher-pass=")).unwrap();
    let config = lab.home().join("wrong.conf");
    fs::write(&config, text.replace(pass, "repo2-cipher-pass=not-the-right-one")).unwrap();
    let from = source_by(&lab, &config, &[]);
    let (error, said) = only_attempt(&from, segment);
    assert!(matches!(error, CopyError::Passphrase { code: 29 | 95, .. }), "{said}");
    assert!(said.contains("repo2-cipher-pass") && !said.contains("not-the-right-one"), "{said}");
    assert!(!said.contains(pass.split_once('=').unwrap().1), "{said}");
    // in the stanza's own section: `[global]` alone would not do
    let (own, rest): (Vec<&str>, Vec<&str>) = text.lines().partition(|line| line.starts_with("repo2-"));
    fs::write(&config, rest.join("\n").replace("[main]", &format!("[main]\n{}", own.join("\n")))).unwrap();
    assert_eq!(
        origin(source_by(&lab, &config, &[]).open_piece(segment, false).unwrap()),
        Origin::Repository(RepositoryKey(2))
    );
    // without any
    let nothing: String =
        text.lines().filter(|line| !line.contains("cipher")).map(|line| format!("{line}\n")).collect();
    fs::write(&config, nothing).unwrap();
    let (error, said) = only_attempt(&source_by(&lab, &config, &[]), segment);
    assert!(matches!(error, CopyError::Unpack(UnpackError::Encrypted)), "{said}");
}

#[test]
fn what_is_not_the_segment_of_its_name_is_refused() {
    let lab = lab::running();
    let segments: Vec<WalSegment> = (0..6).map(|_| sell(&lab)).collect();
    let (first, second) = (lab.layout.first_repository(), lab.layout.second_repository());
    let plain: Vec<Vec<u8>> = {
        let whole = source(&lab, &[]);
        segments.iter().map(|segment| bytes(whole.open_piece(*segment, false).unwrap()).unwrap()).collect()
    };
    for segment in &segments {
        fs::remove_file(file(&second, *segment)).unwrap();
    }
    let mut foreign = plain[0].clone();
    foreign[24] ^= 1;
    replace(&first, segments[0], &foreign);
    let mut magic = plain[1].clone();
    magic[..2].copy_from_slice(&0xD999u16.to_le_bytes());
    replace(&first, segments[1], &magic);
    // the sum of other bytes
    replace(&first, segments[2], &plain[2]);
    let mut damaged = plain[2].clone();
    damaged[5000] ^= 1;
    fs::write(file(&first, segments[2]), damaged).unwrap();
    // whole, and of another name
    replace(&first, segments[3], &plain[0]);
    replace(&first, segments[4], &plain[4][..8 << 20]);
    // a small file that goes on for long: it is not unpacked to its end
    fs::remove_file(file(&first, segments[5])).unwrap();
    let endless = zstd::encode_all([&plain[5][..8192], &vec![0; 600 << 20]].concat().as_slice(), 1).unwrap();
    assert!(endless.len() < 200_000);
    fs::write(folder(&first, segments[5]).join(format!("{}-{}.zst", segments[5], Sha1Sum::of(b"x"))), endless).unwrap();
    let from = source(&lab, &[]);
    for (segment, words) in segments.iter().zip([
        "belongs to the cluster with system identifier",
        "D999",
        "its content has the SHA-1",
        &format!("(segment {})", segments[0]),
        "it has 8388608 bytes, and its header speaks of segments of 16777216",
        "it goes on behind the 16777216 bytes that its header speaks of",
    ]) {
        let (_, said) = only_attempt(&from, *segment);
        assert!(said.contains(words), "{said}");
    }
    // two contents of one segment in one repository
    let name = format!("{}-{}", segments[4], Sha1Sum::of(b"another"));
    fs::write(folder(&first, segments[4]).join(name), b"another").unwrap();
    let said = from.look_again().unwrap().open_piece(segments[4], false).unwrap_err().to_string();
    assert!(said.contains("two contents") && said.contains("[45]"), "{said}");
}

#[test]
fn what_only_a_directory_has_is_read_there() {
    let lab = lab::running();
    let archived = sell(&lab);
    lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
    let current = WalSegment::parse(&lab.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")).unwrap();
    let pg_wal = lab.layout.production().join("pg_wal");
    let missing = source(&lab, &[]).open_piece(current, false).unwrap_err();
    assert!(matches!(missing, WalSourceError::Missing { after: None, .. }), "{missing}");
    let with = source(&lab, std::slice::from_ref(&pg_wal));
    assert_eq!(origin(with.open_piece(current, false).unwrap()), Origin::Directory(pg_wal.clone()));
    assert_eq!(origin(with.open_piece(archived, false).unwrap()), Origin::Repository(RepositoryKey(1)));
    let way = with.way(TimelineId(1), archived.start(SegmentSize::DEFAULT).unwrap()).unwrap();
    assert_eq!((way.segments.last(), way.gap), (Some(&current), None), "recycled segments are none");
    // what a run has put in safety, with its sum
    let safe = lab.home().join("safety");
    safety::save_wal(&pg_wal, &safe).unwrap();
    let saved = source(&lab, &[saved_in(&safe)]);
    let saved_bytes = bytes(saved.open_piece(current, false).unwrap()).unwrap();
    assert!(saved_bytes == fs::read(saved_in(&safe).join(current.to_string())).unwrap());
    let mut torn = saved_bytes;
    torn[6000] ^= 1;
    fs::write(saved_in(&safe).join(current.to_string()), torn).unwrap();
    let (error, said) = only_attempt(&saved, current);
    assert!(matches!(error, CopyError::Sha256), "{said}");
}

#[test]
fn histories_come_from_whoever_has_them_and_must_agree() {
    let lab = lab::running();
    sell(&lab);
    let from = source(&lab, &[]);
    assert_eq!(from.history(TimelineId(1)).unwrap().entries, []);
    let said = from.history(TimelineId(2)).unwrap_err().to_string();
    assert!(said.contains("no 00000002.history in any repository"), "{said}");
    let archive = lab.layout.first_repository().join("archive/main/15-1");
    fs::write(archive.join("00000002.history"), "1\t0/3000000\tno recovery target specified\n").unwrap();
    let history = from.look_again().unwrap().history(TimelineId(2)).unwrap();
    assert_eq!((history.entries[0].parent, history.entries[0].switch), (TimelineId(1), Lsn(0x300_0000)));
    let place = lab.home().join("other");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("00000002.history"), "1\t0/3000000\tno recovery target specified\n").unwrap();
    assert_eq!(source(&lab, std::slice::from_ref(&place)).history(TimelineId(2)).unwrap().entries.len(), 1);
    fs::write(place.join("00000002.history"), "1\t0/4000000\tx\n").unwrap();
    let said = source(&lab, std::slice::from_ref(&place)).history(TimelineId(2)).unwrap_err().to_string();
    assert!(said.contains("two different stories in repo1 (15-1) and in"), "{said}");
    // promoted at the same place for another reason: not the same promotion
    fs::write(place.join("00000002.history"), "1\t0/3000000\tat restore point \"x\"\n").unwrap();
    assert!(source(&lab, std::slice::from_ref(&place)).history(TimelineId(2)).is_err());
}

#[test]
fn many_come_in_order_and_are_kept() {
    let lab = lab::running();
    let last = sell(&lab);
    let cache = Cache::open(&lab.home().join("cache"), 1 << 30).unwrap();
    let from = source(&lab, &[]).with_cache(cache);
    let way = from.way(TimelineId(1), Lsn(0x100_0000)).unwrap();
    assert_eq!(way.segments.last(), Some(&last));
    assert!(way.segments.len() > 8 && way.gap.is_none());
    for kept in [false, true] {
        let mut wanted = way.segments.clone();
        let nobody = WalSegment { log: 7, ..last };
        wanted.insert(2, nobody);
        let all = || wanted.iter().map(|segment| (*segment, false)).collect();
        let check = |segment: &WalSegment, result: Result<Piece, WalSourceError>| match result {
            Ok(piece) => {
                assert!(!kept || piece.origin == Origin::Cache);
                assert_eq!((piece.segment, piece.page.holds()), (*segment, *segment));
                let bytes = bytes(piece).unwrap();
                let sum = from.catalog().copies(*segment).unwrap()[0].sha1;
                assert_eq!((bytes.len(), Sha1Sum::of(&bytes)), (16 << 20, sum));
            }
            Err(error) => assert!(*segment == nobody, "{error}"),
        };
        // One after the other, and all held at once: what is held takes no memory.
        let mut read = 0;
        for (segment, result) in wanted.iter().zip(from.open_all(all(), 3)) {
            check(segment, result);
            read += 1;
        }
        let held: Vec<_> = from.open_all(all(), 3).collect();
        assert_eq!((read, held.len()), (wanted.len(), wanted.len()));
        wanted.iter().zip(held).for_each(|(segment, result)| check(segment, result));
    }
    // dropped in the middle: the rest is not fetched
    let mut some = from.open_all(way.segments.iter().map(|segment| (*segment, false)).collect(), 2);
    assert_eq!(some.next().unwrap().unwrap().segment, way.segments[0]);
    drop(some);
}

/// Makes the server archive a segment, give its file to a later one, and write that.
fn recycle(lab: &Lab, segment: WalSegment) {
    let file = fs::File::open(lab.layout.production().join("pg_wal").join(segment.to_string())).unwrap();
    let address = || {
        let mut address = [0; 8];
        file.read_exact_at(&mut address, 8).unwrap();
        u64::from_le_bytes(address)
    };
    let own = address();
    assert_eq!(own, segment.start(SegmentSize::DEFAULT).unwrap().0);
    for _ in 0..40 {
        sell(lab);
        lab.sql("CHECKPOINT");
        if address() != own {
            return;
        }
    }
    panic!("{segment} is not recycled");
}

#[test]
fn a_segment_that_the_server_recycles_is_not_believed() {
    let lab = lab::running();
    let pg_wal = lab.layout.production().join("pg_wal");
    // So much is recycled, and not removed.
    lab.sql("ALTER SYSTEM SET min_wal_size = '128MB'");
    lab.sql("SELECT pg_reload_conf()");
    let unarchived = || {
        lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
        let segment = WalSegment::parse(&lab.sql("SELECT pg_walfile_name(pg_current_wal_lsn())")).unwrap();
        let piece = source(&lab, std::slice::from_ref(&pg_wal)).open_piece(segment, false).unwrap();
        assert_eq!(piece.origin, Origin::Directory(pg_wal.clone()));
        (segment, piece)
    };
    // Between the look at its header and the reading: nothing is handed out.
    let (segment, piece) = unarchived();
    recycle(&lab, segment);
    let mut parts = 0;
    let read = piece.content.read(&mut |_| {
        parts += 1;
        ControlFlow::Continue(())
    });
    let said = read.unwrap_err().to_string();
    assert!(said.contains("recycled") && parts == 0, "{parts} parts, then: {said}");
    // While it is read: what was handed out before is its own.
    let (segment, piece) = unarchived();
    let written = fs::read(pg_wal.join(segment.to_string())).unwrap();
    let mut got = Vec::new();
    let read = piece.content.read(&mut |part| {
        if got.is_empty() {
            recycle(&lab, segment);
        }
        got.extend_from_slice(part);
        ControlFlow::Continue(())
    });
    let said = read.unwrap_err().to_string();
    assert!(said.contains("recycled"), "{said}");
    assert!(!got.is_empty() && got.len() < written.len() && written.starts_with(&got));
    // A search goes on with the copy that was archived.
    let (segment, _) = unarchived();
    let mut search = ArchiveSource::open(source(&lab, std::slice::from_ref(&pg_wal)), None).unwrap();
    let (mut got, mut first) = (Vec::new(), 0);
    let read = search.read(segment, &mut |part| {
        if got.is_empty() {
            first = part.len();
            recycle(&lab, segment);
        }
        got.extend_from_slice(part);
        ControlFlow::Continue(())
    });
    read.unwrap();
    let whole = bytes(source(&lab, &[]).open_piece(segment, false).unwrap()).unwrap();
    // The server has written into the first part since.
    assert!(first < whole.len() && got[first..] == whole[first..]);
}
