//! `--read-only`, the promise: no SQL, nothing stored, no run begun or answered, on the command line and in the console.

use crate::kills_support::text;
use crate::lab::{self, Lab};
use crate::terminal::{Terminal, answers, run_name};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Everything below a directory: what it is, how large, and when it or its content was last changed.
fn below(directory: &Path, found: &mut BTreeMap<PathBuf, (u32, u64, i64, i64)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let about = fs::symlink_metadata(&path).unwrap();
        if about.is_dir() {
            below(&path, found);
        }
        found.insert(path, (about.mode(), about.len(), about.mtime(), about.mtime_nsec()));
    }
}

/// All of the practice cluster but its server's own directory and log, and what sockets are made in.
fn all(lab: &Lab) -> BTreeMap<PathBuf, (u32, u64, i64, i64)> {
    let mut found = BTreeMap::new();
    below(lab.home(), &mut found);
    let (data, log) = (lab.layout.production(), lab.layout.server_log());
    found.retain(|path, _| !path.starts_with(&data) && *path != log);
    found
}

/// How often somebody was let into the server.
fn connections(lab: &Lab) -> usize {
    fs::read_to_string(lab.layout.server_log()).unwrap().matches("connection authorized").count()
}

fn looks(lab: &Lab, arguments: &[&str], told: &str) {
    let output = lab.run_lifeboat(&[&["--read-only"], arguments].concat());
    let said = text(&output);
    assert!(matches!(output.status.code(), Some(0 | 3)) && said.contains(told), "{arguments:?}: {told}: {said}");
}

#[test]
fn with_read_only_all_is_shown_and_nothing_changed() {
    let lab = lab::running();
    lab.sql("ALTER SYSTEM SET log_connections = on");
    lab.quiet();
    lab.sql("DELETE FROM payments");
    lab.wait_archived();
    let around = lab.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00')");
    let begun = lab.run_lifeboat(&["run", "restore-drill", "-p", "depth=start"]);
    assert_eq!(begun.status.code(), Some(3), "{}", text(&begun));
    let name = run_name(&lab);
    assert!(connections(&lab) > 0, "the log tells of connections");
    let before = (all(&lab), connections(&lab));

    looks(&lab, &["inventory"], "DRILLED");
    looks(&lab, &["runs"], &name);
    looks(&lab, &["status", &name], "gate");
    looks(&lab, &["transcript", &name], "restore-drill");
    looks(&lab, &["plan", "restore-drill"], "pgbackrest");
    let around = ["--around", &around, "--window", "10m"];
    looks(&lab, &[&["accident"], &around[..]].concat(), "--read-only runs no SQL");
    looks(&lab, &[&["commits"], &around[..]].concat(), "xid");

    for arguments in [
        &["rehearse"][..],
        &["run", "restore-drill"],
        &["drill"],
        &["attach", &name],
        &["approve", &name, "start", "main"],
        &["resolve", &name, "start", "again"],
        &["decide", &name, "start", "promote"],
        &["abort", &name],
        &["cleanup", &name],
        &["remember"],
    ] {
        let refused = lab.run_lifeboat(&[&["--read-only"], arguments].concat());
        let said = text(&refused);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}: {said}");
        let told = format!("--read-only: lifeboat {} would change something, and was not begun", arguments[0]);
        assert!(said.contains(&told), "{said}");
    }

    let mut console = Terminal::start(&lab, &["--read-only"]);
    console.wait_for("READ-ONLY");
    console.wait_for("A run is on");
    console.send("\r");
    console.wait_for("GATE: Begin the drill");
    for key in ["g", "e", "A"] {
        console.send(key);
        console.wait_for("--read-only: nothing is begun");
        // The sentence goes, and the next key has to bring it back.
        console.send("4");
        console.wait_for("attach");
        lab::wait_until("the sentence is gone", || {
            console.send("1");
            std::thread::sleep(std::time::Duration::from_millis(200));
            !console.screen().contains("--read-only: nothing")
        });
        console.send("4");
        console.wait_for("attach");
        console.send("\r");
        console.wait_for("GATE: Begin the drill");
    }
    console.send("1d");
    console.wait_for("no run begins here");
    console.send("b");
    console.wait_for("--read-only: nothing is begun");
    console.send("q");
    assert_eq!(console.wait_end(), 0);

    assert_eq!(answers(&lab), 0);
    let after = (all(&lab), connections(&lab));
    assert_eq!(before.1, after.1, "no SQL ran");
    assert_eq!(before.0, after.0);
}
