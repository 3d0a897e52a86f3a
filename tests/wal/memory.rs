//! What a search keeps is bounded, whatever is in the window: hostile amounts of everything, and the peak of what the
//! process has for itself (its program and libraries, which are the same for every window, are not counted).

use crate::cluster::{Cluster, as_owner};
use crate::synthetic::Load;
use chrono::{DateTime, TimeDelta, Utc};
use lifeboat::domain::wal_reader::PgTime;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Of the 64 MB that a search may take in all, what is left beside a release build's program.
const MOST_KB: u64 = 48 << 10;
const MINUTES: i64 = 7 * 24 * 60;

fn at(minute: i64) -> DateTime<Utc> {
    "2026-11-15T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minute)
}

/// Runs it, and returns what it prints and the peak of its anonymous memory in kB.
pub(crate) fn run(command: &mut Command, answer: &Path) -> (Value, u64) {
    let mut child = command.stdout(Stdio::from(fs::File::create(answer).unwrap())).spawn().unwrap();
    let mut peak = 0;
    let status = loop {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let here: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak = peak.max(here.unwrap_or(0));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success() && peak > 0, "{status}, {peak} kB");
    (serde_json::from_slice(&fs::read(answer).unwrap()).unwrap(), peak)
}

#[test]
fn memory_is_bounded_whatever_the_window() {
    let home = Cluster::folder();
    let wal = home.path().join("wal");
    fs::create_dir(&wal).unwrap();
    let mut load = Load::new(7_711_037_234_893_546_689, 16 << 20);
    let keep = |load: &mut Load| {
        for (segment, bytes) in load.full() {
            fs::write(wal.join(segment.to_string()), bytes).unwrap();
        }
    };
    let mut next = 1_000;
    let mut xid = || {
        next += 1;
        next
    };
    // Transactions that never end, each with a file of its own: more than are kept.
    for number in 0..130_000 {
        load.row(xid(), 0, 1_000_000 + number, 0);
        keep(&mut load);
    }
    // A transaction of very many subtransactions, each with a made file, and one that touches very many tables.
    let (top, subs): (u32, Vec<u32>) = (xid(), (0..30_000).map(|_| xid()).collect());
    for (number, sub) in (0u32..).zip(&subs) {
        load.created(*sub, 2_000_000 + number);
        keep(&mut load);
    }
    load.commit(top, PgTime::of(at(1)), &subs, &[]);
    // Candidates that touch many tables, many others between them, and relations that get new files all the time.
    for candidate in 0..260u32 {
        let own = xid();
        (0..400).for_each(|row| load.row(own, 0x10, 30_000 + (candidate * 37 + row) % 9_000, row));
        load.commit(own, PgTime::of(at(i64::from(candidate) * MINUTES / 260)), &[], &[]);
        let other = xid();
        (0..900).for_each(|row| load.row(other, 0, 50_000 + (candidate * 900 + row) % 100_000, row));
        load.commit(other, PgTime::of(at(i64::from(candidate) * MINUTES / 260)), &[], &[]);
        for number in 0..5 {
            let moved = xid();
            let files: Vec<u32> = (0..100).map(|file| 3_000_000 + (candidate * 5 + number) * 100 + file).collect();
            for file in &files {
                load.created(moved, *file);
                load.page(moved, *file);
            }
            load.commit(moved, PgTime::of(at(i64::from(candidate) * MINUTES / 260)), &[], &files);
        }
        keep(&mut load);
    }
    // The accident, louder than all that made way for it.
    let accident = xid();
    (0..5_000).for_each(|row| load.row(accident, 0x10, 20_000, row / 50));
    load.commit(accident, PgTime::of(at(MINUTES - 5)), &[], &[]);
    keep(&mut load);
    let (segment, bytes) = load.switch();
    fs::write(wal.join(segment.to_string()), bytes).unwrap();

    fs::write(
        home.path().join("lifeboat.toml"),
        format!("[postgres]\nowner = \"postgres\"\n[state]\ndirectory = \"{}/state\"\n", home.path().display()),
    )
    .unwrap();
    fs::copy(env!("CARGO_BIN_EXE_lifeboat"), home.path().join("lifeboat")).unwrap();
    let mut command = as_owner(home.path().join("lifeboat"));
    command.arg("--settings").arg(home.path().join("lifeboat.toml")).args(["accident", "--json", "--no-names"]);
    command.args(["--around", &at(MINUTES / 2).to_rfc3339(), "--window", "84h", "--wal-directory"]).arg(&wal);
    let (answer, peak) = run(&mut command, &home.path().join("answer"));
    let suspects = answer["suspects"].as_array().unwrap();
    assert!(suspects.iter().any(|suspect| suspect["xid"] == accident), "{}", answer["notes"]);
    let notes = answer["notes"].to_string();
    for words in ["were left out of the counts", "were not kept as candidates", "tables are not listed"] {
        assert!(notes.contains(words), "'{words}' is missing in {notes}");
    }
    assert!(peak <= MOST_KB, "{peak} kB");
}
