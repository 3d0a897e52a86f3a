//! A week of WAL in a repository of pgBackRest's own: what is looked into and fetched for a window in it.

use crate::cluster::{Cluster, as_owner, done};
use crate::memory::run;
use crate::synthetic::{Load, SEGMENT};
use chrono::{DateTime, TimeDelta, Utc};
use lifeboat::domain::wal::WalSegment;
use lifeboat::domain::wal_reader::PgTime;
use lifeboat::engine::wal_source::Sha1Sum;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// A segment every five minutes.
const SEGMENTS: u32 = 7 * 24 * 12;
const STEP_SECONDS: i64 = 300;
/// In this one a table is emptied.
const ACCIDENT: u32 = 1_234;
const MOST_KB: u64 = 48 << 10;

struct Week {
    cluster: Cluster,
    archive: PathBuf,
}

fn begin() -> DateTime<Utc> {
    "2026-11-15T00:00:00Z".parse().unwrap()
}

fn at(segment: u32, seconds: i64) -> DateTime<Utc> {
    begin() + TimeDelta::seconds(i64::from(segment) * STEP_SECONDS + seconds)
}

impl Week {
    /// A cluster with a stanza, and behind its own WAL a week of it in the archive.
    fn new() -> Week {
        let mut cluster = Cluster::start(1, "");
        let home = cluster.home().to_owned();
        let (own, config) = (home.display(), home.join("pgbackrest.conf"));
        fs::write(
            &config,
            format!(
                "[global]\nrepo1-path={own}/repo\nlog-path={own}\nlock-path={own}\nspool-path={own}\nlog-level-file=off\n\
                 [main]\npg1-path={own}/data\npg1-socket-path={own}\npg1-user=postgres\n"
            ),
        )
        .unwrap();
        let system = cluster.sql("SELECT system_identifier FROM pg_control_system()").parse().unwrap();
        done(
            as_owner("pgbackrest")
                .arg(format!("--config={}", config.display()))
                .args(["--stanza=main", "stanza-create"]),
        );
        cluster.stop("fast");
        // What it wrote itself is of today.
        for segment in cluster.segments() {
            fs::remove_file(cluster.wal().join(segment)).unwrap();
        }
        fs::write(
            home.join("lifeboat.toml"),
            format!(
                "[pgbackrest]\nbinary = \"{own}/counting\"\nconfig = \"{}\"\nstanza = \"main\"\n[postgres]\nowner = \"postgres\"\n\
                 [state]\ndirectory = \"{own}/state\"\n",
                config.display()
            ),
        )
        .unwrap();
        let counting = home.join("counting");
        fs::write(&counting, format!("#!/bin/sh\necho \"$*\" >> {own}/asked\nexec pgbackrest \"$@\"\n")).unwrap();
        fs::set_permissions(counting, fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(env!("CARGO_BIN_EXE_lifeboat"), home.join("lifeboat")).unwrap();
        let archive = home.join("repo/archive/main/15-1");
        let week = Week { cluster, archive };
        week.write(system);
        week
    }

    fn write(&self, system: u64) {
        let mut load = Load::new(system, 256 * SEGMENT);
        // Two zstd streams make one: the empty rest of a segment is packed once.
        let used = 64 << 10;
        let rest = zstd::encode_all(vec![0; SEGMENT as usize - used].as_slice(), 1).unwrap();
        for number in 0..SEGMENTS {
            for commit in 0..5u32 {
                let xid = 1_000 + number * 10 + commit;
                (0..5).for_each(|_| load.row(xid, 0, 20_000, number));
                load.commit(xid, PgTime::of(at(number, i64::from(commit) * 60)), &[], &[]);
            }
            if number == ACCIDENT {
                let xid = 1_000 + number * 10 + 9;
                (0..500).for_each(|row| load.row(xid, 0x10, 20_001, row / 50));
                load.commit(xid, PgTime::of(at(number, 270)), &[], &[]);
            }
            let (segment, bytes) = load.switch();
            let packed = [zstd::encode_all(&bytes[..used], 1).unwrap(), rest.clone()].concat();
            let folder = self.archive.join(format!("{:08X}{:08X}", segment.timeline.0, segment.log));
            fs::create_dir_all(&folder).unwrap();
            let path = folder.join(format!("{segment}-{}.zst", Sha1Sum::of(&bytes)));
            fs::write(&path, packed).unwrap();
            let archived = at(number, STEP_SECONDS + 2).timestamp().cast_unsigned();
            let archived = SystemTime::UNIX_EPOCH + Duration::from_secs(archived);
            fs::File::options().write(true).open(path).unwrap().set_modified(archived).unwrap();
        }
        done(std::process::Command::new("chmod").arg("-R").arg("a+rX").arg(&self.archive));
    }

    /// The answer, which segments were fetched for it, and the peak of memory in kB.
    fn search(&self, around: DateTime<Utc>, window: &str) -> (Value, Vec<WalSegment>, u64) {
        let home = self.cluster.home();
        let asked = home.join("asked");
        fs::write(&asked, "").unwrap();
        fs::set_permissions(&asked, fs::Permissions::from_mode(0o666)).unwrap();
        let mut command = as_owner(home.join("lifeboat"));
        command.arg("--settings").arg(home.join("lifeboat.toml")).args(["accident", "--json", "--window", window]);
        let (answer, peak) = run(command.args(["--around", &around.to_rfc3339()]), &home.join("answer"));
        let asked = fs::read_to_string(asked).unwrap();
        let gets = asked.lines().filter(|line| line.contains("repo-get")).filter_map(|line| line.rsplit('/').next());
        (answer, gets.filter_map(|name| WalSegment::parse(name.get(..24)?).ok()).collect(), peak)
    }

    /// Sets all files' times to that of a copy.
    fn copied(&self) {
        let files = fs::read_dir(&self.archive).unwrap().flat_map(|folder| fs::read_dir(folder.unwrap().path()));
        for file in files.flatten() {
            let file = fs::File::options().write(true).open(file.unwrap().path()).unwrap();
            file.set_modified(SystemTime::now()).unwrap();
        }
    }
}

#[test]
fn a_window_in_a_week_of_archive_takes_few_fetches() {
    let week = Week::new();
    let xid = 1_000 + ACCIDENT * 10 + 9;
    let (answer, fetched, peak) = week.search(at(ACCIDENT, 0), "15m");
    assert_eq!(answer["proposed"]["xid"], xid, "{answer:#}");
    // Half an hour are six segments; one before and one behind, and what tells where they are: each once.
    let read = answer["segments_read"].as_u64().unwrap();
    assert!((8..=10).contains(&read) && fetched.len() <= 13, "{read} read, {fetched:?}");
    assert!(peak <= MOST_KB, "{peak} kB");
    let (behind, kept, _) = week.search(at(ACCIDENT, 0) + TimeDelta::minutes(20), "15m");
    assert!(behind["proposed"].is_null() && kept.len() < fetched.len(), "{behind:#} {kept:?}");

    // A repository that was copied: its files say nothing, the server's times are found by halves.
    week.copied();
    fs::remove_dir_all(week.cluster.home().join("state/wal")).unwrap();
    let (answer, fetched, _) = week.search(at(ACCIDENT, 0), "15m");
    assert_eq!(answer["proposed"]["xid"], xid, "{answer:#}");
    assert!(fetched.len() <= 55, "{fetched:?}");
}
