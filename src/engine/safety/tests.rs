#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::domain::wal::{SegmentSize, TimelineId};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};

/// The first 64 bytes of real segments (see `domain::wal_page`); the rest is made up.
const FIRST: &[u8] = include_bytes!("../../../tests/fixtures/wal_page/000000010000000000000001.head");
const SECOND: &[u8] = include_bytes!("../../../tests/fixtures/wal_page/000000010000000000000002.head");
const AFTER: &[u8] = include_bytes!("../../../tests/fixtures/wal_page/000000020000000000000003.head");
const ONE: &str = "000000010000000000000001";
const TWO: &str = "000000010000000000000002";
const THREE: &str = "000000020000000000000003";
const SYSTEM: u64 = 7_711_037_234_893_546_689;

struct Site(tempfile::TempDir);

impl Site {
    fn new() -> Site {
        let site = Site(tempfile::tempdir().unwrap());
        for directory in ["pg_wal/archive_status", "data/pg_wal"] {
            fs::create_dir_all(site.path(directory)).unwrap();
        }
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// A segment of 16 MB that begins with `head`; `pages` of it are written, each filled with `with`.
    fn segment(&self, name: &str, head: &[u8], pages: usize, with: u8) {
        let mut bytes = vec![0u8; 16 << 20];
        let start = u64::from_le_bytes(head[8..16].try_into().unwrap());
        for page in 0..pages {
            let at = page * 8192;
            bytes[at..at + 8192].fill(with);
            bytes[at + 8..at + 16].copy_from_slice(&(start + at as u64).to_le_bytes());
        }
        bytes[..64].copy_from_slice(head);
        fs::write(self.path("pg_wal").join(name), bytes).unwrap();
    }

    fn save(&self) -> SafeWal {
        save_wal(&self.path("pg_wal"), &self.path("safety")).unwrap()
    }

    fn place(&self, have: &[&str], timeline: u32) -> Result<PlacedWal, SafetyError> {
        let owner = SegmentOwner {
            system_identifier: SYSTEM,
            segment_size: SegmentSize::DEFAULT,
            timeline: TimelineId(timeline),
        };
        let have: BTreeSet<String> = have.iter().map(|name| (*name).to_owned()).collect();
        place_missing_wal(&self.path("data"), &self.path("safety"), &have, &owner)
    }
}

#[test]
fn a_second_pass_takes_what_grew_and_loses_nothing() {
    let site = Site::new();
    site.segment(ONE, FIRST, 2048, 1);
    site.segment(TWO, SECOND, 3, 1);
    // recycled, prepared, and not WAL at all
    site.segment("000000010000000000000003", FIRST, 9, 1);
    fs::write(site.path("pg_wal/000000010000000000000004"), vec![0; 16 << 20]).unwrap();
    fs::write(site.path("pg_wal/xlogtemp.12"), "x").unwrap();
    fs::write(site.path("pg_wal/00000002.history"), "1\t0/2000FC0\tx\n").unwrap();
    fs::write(site.path("pg_wal/archive_status").join(format!("{TWO}.ready")), "").unwrap();
    let first = site.save();
    assert_eq!(first.added, [ONE, TWO, "00000002.history"]);
    assert_eq!((first.recycled, first.not_archived.clone()), (2, vec![TWO.to_owned()]));
    assert_eq!(fs::metadata(site.path("safety")).unwrap().mode() & 0o777, 0o700);
    // the server goes on, removes the first and is stopped
    fs::remove_file(site.path("pg_wal").join(ONE)).unwrap();
    site.segment(TWO, SECOND, 7, 1);
    let second = site.save();
    assert_eq!((second.grown.as_slice(), second.set_beside.len(), second.added.len()), (&[TWO.to_owned()][..], 0, 0));
    assert_eq!(second.files.len(), 3);
    assert_eq!(second.files[ONE], first.files[ONE]);
    assert_ne!(second.files[TWO], first.files[TWO]);
    let checked = std::process::Command::new("sha256sum")
        .args(["--strict", "-c", SUMS])
        .current_dir(site.path("safety/pg_wal"))
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[test]
fn another_history_under_the_same_name_is_kept_beside() {
    let site = Site::new();
    site.segment(TWO, SECOND, 100, 1);
    site.save();
    site.segment(TWO, SECOND, 50, 2);
    let second = site.save();
    assert_eq!(second.set_beside.len(), 1);
    assert_eq!(second.files.len(), 2);
    let earlier = fs::read(site.path("safety/pg_wal").join(&second.set_beside[0])).unwrap();
    assert_eq!(earlier[80 * 8192 + 20], 1);
}

#[test]
fn what_no_repository_has_is_placed_and_nothing_overwritten() {
    let site = Site::new();
    site.segment(ONE, FIRST, 2048, 1);
    site.segment(TWO, SECOND, 3, 1);
    site.segment(THREE, AFTER, 3, 1);
    site.save();
    let placed = site.place(&[ONE], 1).unwrap();
    assert_eq!((placed.placed.as_slice(), placed.in_repository), (&[TWO.to_owned()][..], 1));
    assert!(placed.refused[THREE].contains("timeline 2, recovery follows 1"));
    let there = site.path("data/pg_wal").join(TWO);
    assert_eq!(fs::metadata(&there).unwrap().mode() & 0o777, 0o600);
    assert_eq!(site.place(&[ONE], 1).unwrap().there, [TWO]);
    assert_eq!(site.place(&[ONE], 2).unwrap().placed, [THREE]);
    fs::write(&there, "other").unwrap();
    let said = site.place(&[ONE], 1).unwrap_err().to_string();
    assert!(said.contains("not overwritten"), "{said}");
    assert_eq!(fs::read(&there).unwrap(), b"other");
}

#[test]
fn what_is_not_the_segment_of_its_name_is_not_placed() {
    let site = Site::new();
    site.segment(ONE, FIRST, 10, 1);
    let mut foreign = SECOND.to_vec();
    foreign[24] ^= 1;
    site.segment(TWO, &foreign, 10, 1);
    // cut, and torn after it was saved
    fs::write(site.path("pg_wal/000000010000000000000005"), FIRST).unwrap();
    site.segment("000000010000000000000006", FIRST, 1, 1);
    site.save();
    fs::write(site.path("safety/pg_wal").join(ONE), "torn").unwrap();
    let placed = site.place(&[], 1).unwrap();
    assert_eq!(placed.placed, Vec::<String>::new());
    assert!(placed.refused[ONE].contains("SHA-256"));
    assert!(placed.refused[TWO].contains("belongs to the cluster"));
    assert_eq!(placed.refused.len(), 2);
}

#[test]
fn configuration_is_saved_wherever_it_lies() {
    let site = Site::new();
    let (data, etc) = (site.path("data"), site.path("etc/main"));
    fs::create_dir_all(etc.join("conf.d")).unwrap();
    fs::create_dir_all(site.path("keys")).unwrap();
    fs::write(data.join("postgresql.auto.conf"), "a = 1\n").unwrap();
    fs::write(data.join("postmaster.opts"), "postgres\n").unwrap();
    fs::write(etc.join("postgresql.conf"), "include_dir = 'conf.d' # x\ninclude '../shared.conf'\n").unwrap();
    fs::write(etc.join("environment"), "").unwrap();
    fs::write(etc.join("conf.d/one.conf"), "b = 2\n").unwrap();
    fs::write(site.path("etc/shared.conf"), "c = 3\n").unwrap();
    fs::write(site.path("keys/real.key"), "secret").unwrap();
    symlink(site.path("keys/real.key"), site.path("keys/server.key")).unwrap();
    let mut places = Places::default();
    for (setting, path) in
        [("config_file", etc.join("postgresql.conf")), ("ssl_key_file", site.path("keys/server.key"))]
    {
        places.files.insert(setting.to_owned(), path);
    }
    places.files.insert("ssl_ca_file".to_owned(), site.path("gone.crt"));
    let saved = save_configuration(&data, &places, &site.path("safety")).unwrap();
    assert_eq!(saved.left_out.len(), 0);
    let at = |path: &Path| {
        let name = path.strip_prefix("/").unwrap();
        fs::read_to_string(site.path("safety/configuration").join(name)).unwrap()
    };
    assert_eq!(at(&etc.join("conf.d/one.conf")), "b = 2\n");
    assert_eq!(at(&site.path("keys/server.key")), "secret");
    assert_eq!(saved.saved.len(), 7, "{:?}", saved.saved);
    // changed since: both are there
    fs::write(data.join("postgresql.auto.conf"), "a = 2\n").unwrap();
    save_configuration(&data, &places, &site.path("safety")).unwrap();
    assert_eq!(at(&data.join("postgresql.auto.conf")), "a = 1\n");
    let folder = site.path("safety/configuration").join(data.strip_prefix("/").unwrap());
    assert_eq!(fs::read_dir(folder).unwrap().count(), 3);
}

#[test]
fn the_newest_logs_are_saved_up_to_a_limit() {
    let site = Site::new();
    let log = site.path("log");
    fs::create_dir(&log).unwrap();
    for (name, text, time) in [("old", "1111111111", 1), ("middle", "2222222222", 2), ("new", "3333333333", 3)] {
        fs::write(log.join(name), text).unwrap();
        let file = fs::File::options().write(true).open(log.join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time)).unwrap();
    }
    let saved = save_logs(&log, &site.path("safety"), 14).unwrap();
    assert_eq!((saved.bytes, saved.saved.len(), saved.left_out.len()), (14, 2, 2));
    let folder = site.path("safety/log").join(log.strip_prefix("/").unwrap());
    assert_eq!(fs::read_to_string(folder.join("middle")).unwrap(), "2222");
    assert!(saved.left_out[&log.join("middle")].contains("first 6 bytes"));
    assert_eq!(save_logs(&site.path("none"), &site.path("safety"), 14).unwrap(), SavedFiles::default());
}

#[test]
fn where_no_cluster_was_nothing_was_saved_and_a_list_that_is_gone_is_no_such_case() {
    let home = tempfile::tempdir().unwrap();
    assert!(super::saved_names(home.path()).unwrap().is_empty());
    fs::create_dir(home.path().join("pg_wal")).unwrap();
    let error = super::saved_names(home.path()).unwrap_err().to_string();
    assert!(error.contains("SHA256SUMS"), "{error}");
}
