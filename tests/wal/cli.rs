//! `lifeboat accident` and `lifeboat commits` as a person types them, and what bad input gets.

use crate::cluster::{Cluster, as_owner, done, program};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;

/// A server with an accident in its WAL, and Lifeboat set up for it.
struct Host {
    cluster: Cluster,
    /// A moment shortly after the accident.
    after: String,
    xid: String,
}

impl Host {
    fn new() -> Host {
        let cluster = Cluster::start(1, "timezone = 'Europe/Berlin'");
        cluster.sql("CREATE TABLE orders AS SELECT n FROM generate_series(1, 2000) n; CREATE TABLE other (n int)");
        cluster.sql("ANALYZE");
        cluster.sql("INSERT INTO other SELECT generate_series(1, 20000)");
        let xid = cluster.sql("BEGIN; SELECT pg_current_xact_id(); DELETE FROM orders WHERE n % 2 = 0; COMMIT;");
        cluster.sql("INSERT INTO other VALUES (1)");
        cluster.sql("INSERT INTO other SELECT generate_series(1, 20000)");
        let after =
            cluster.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'");
        let home = cluster.home().display().to_string();
        let files = [
            (
                "lifeboat.toml",
                format!(
                    "[pgbackrest]\nconfig = \"{home}/pgbackrest.conf\"\n[postgres]\nowner = \"postgres\"\n[state]\ndirectory = \"{home}/state\"\n"
                ),
            ),
            ("pgbackrest.conf", format!("[global]\nrepo1-path={home}/repo\n[main]\npg1-path={home}/data\n")),
        ];
        for (name, text) in files {
            fs::write(cluster.home().join(name), text).unwrap();
        }
        // `postgres` can't enter every folder that a checkout may be in.
        fs::copy(env!("CARGO_BIN_EXE_lifeboat"), cluster.home().join("lifeboat")).unwrap();
        Host { cluster, after, xid }
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let home = self.cluster.home();
        as_owner(home.join("lifeboat"))
            .arg("--settings")
            .arg(home.join("lifeboat.toml"))
            .args(arguments)
            .output()
            .unwrap()
    }

    fn said(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.said(arguments)).unwrap()
    }

    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let output = self.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        for word in words {
            assert!(said.contains(word), "{arguments:?}: '{word}' is missing: {said}");
        }
    }

    /// Copies of all segments.
    fn copies(&self, name: &str) -> PathBuf {
        let to = self.cluster.home().join(name);
        done(as_owner("mkdir").arg(&to));
        for segment in self.cluster.segments() {
            done(as_owner("cp").arg(self.cluster.wal().join(segment)).arg(&to));
        }
        to
    }

    fn search(&self, directory: &Path) -> Value {
        self.json(&["accident", "--around", &self.after, "--json", "--wal-directory", directory.to_str().unwrap()])
    }
}

fn notes(answer: &Value) -> String {
    answer["notes"].as_array().unwrap().iter().map(|note| note.as_str().unwrap().to_owned() + "\n").collect()
}

#[test]
fn the_accident_is_named_and_bad_input_is_answered_for() {
    let host = Host::new();
    finds_it(&host);
    lists_commits(&host);
    refuses_what_cant_be(&host);
    answers_for_what_can_be_read(&host);
}

fn finds_it(host: &Host) {
    let answer = host.json(&["accident", "--around", &host.after, "--json"]);
    assert_eq!(answer["proposed"]["xid"].to_string(), host.xid, "{answer:#}");
    let suspect = &answer["suspects"][0];
    assert_eq!(
        (&suspect["relations"][0]["name"], &suspect["relations"][0]["deleted"]),
        (&"orders".into(), &1000.into())
    );
    assert!((suspect["relations"][0]["share"].as_f64().unwrap() - 0.5).abs() < 0.01, "{suspect:#}");
    assert_eq!(suspect["discarded"]["by_table"]["other"]["inserted"], 20001);
    assert!(notes(&answer).contains("is after every accident"), "{answer:#}");
    let text = host.said(&["accident", "--around", &host.after, "--window", "2h"]);
    for words in [
        format!("Stop right before transaction {}", host.xid),
        format!("target     lsn {}, exclusive, on timeline 1", answer["proposed"]["target"]["value"].as_str().unwrap()),
        "1000 of about 2000 rows of orders (50 %)".to_owned(),
        "; server ".to_owned(),
        "+01:00".to_owned(),
    ] {
        assert!(text.contains(&words), "'{words}' is missing:\n{text}");
    }
    // The command that is shown shows the same.
    let shown = text.lines().find_map(|line| line.trim().strip_prefix("to see it: pg_waldump ")).unwrap();
    let output = done(program("pg_waldump").args(shown.split(' ')));
    let records = String::from_utf8(output.stdout).unwrap();
    assert_eq!(records.matches("desc: DELETE").count(), 1000);
    let other = host.json(&["accident", "--around", &host.after, "--table", "other", "--json"]);
    assert_eq!((&other["proposed"], other["suspects"].as_array().unwrap().len()), (&Value::Null, 0));
    let nameless = host.json(&["accident", "--around", &host.after, "--no-names", "--json"]);
    assert_eq!(nameless["proposed"]["xid"].to_string(), host.xid, "it goes over all blocks: {nameless:#}");
}

fn lists_commits(host: &Host) {
    let text = host.said(&["commits", "--around", &host.after]);
    assert!(text.contains(&format!("xid {}", host.xid)) && text.contains("  orders -1000"), "{text}");
    let lines = host.said(&["commits", "--around", &host.after, "--json"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (end, commits) = lines.split_last().unwrap();
    assert_eq!(end["schema"], 1);
    let own = commits.iter().find(|commit| commit["xid"].as_u64() == host.xid.parse().ok()).unwrap();
    assert_eq!(own["by_table"]["orders"]["deleted"], 1000);
    let lsns: Vec<&str> = commits.iter().map(|commit| commit["start_lsn"].as_str().unwrap()).collect();
    let positions: Vec<_> = lsns.iter().map(|lsn| lifeboat::domain::lsn::Lsn::parse(lsn).unwrap()).collect();
    assert!(positions.is_sorted() && positions.len() > 4);
}

fn refuses_what_cant_be(host: &Host) {
    host.refuses(&["accident", "--around", "2026-11-22 02:13"], &["has no offset"]);
    host.refuses(&["accident", "--around", "soon"], &["--around", "'soon'"]);
    host.refuses(&["accident", "--around", "0/3000028"], &["is no time"]);
    host.refuses(&["accident", "--around", &host.after, "--window", "15"], &["--window 15", "a duration is expected"]);
    host.refuses(
        &["commits", "--around", &host.after, "--wal-directory", "/nonexistent"],
        &["/nonexistent can't be read"],
    );
    let empty = host.cluster.home().join("empty");
    done(as_owner("mkdir").arg(&empty));
    let empty = empty.to_str().unwrap();
    host.refuses(&["accident", "--around", &host.after, "--wal-directory", empty], &["holds no WAL segment"]);
}

fn answers_for_what_can_be_read(host: &Host) {
    // Copies of a stopped cluster elsewhere: nobody to ask for names but the stanza's own server.
    let whole = host.search(&host.copies("whole"));
    assert_eq!(whole["proposed"]["xid"].to_string(), host.xid);
    let long_ago = host.json(&["accident", "--around", "2020-01-01 00:00:00+00", "--json"]);
    assert_eq!(long_ago["proposed"], Value::Null);
    assert!(notes(&long_ago).contains("none lies in the window"), "{long_ago:#}");

    // The segment of the accident is missing.
    let first = whole["suspects"][0]["first_record_lsn"].as_str().unwrap();
    let first = lifeboat::domain::lsn::Lsn::parse(first).unwrap().0;
    let segment = format!("0000000100000000{:08X}", first >> 20);
    let gap = host.copies("gap");
    done(as_owner("rm").arg(gap.join(&segment)));
    let answer = host.search(&gap);
    let next = format!("to the segment 0000000100000000{:08X} is missing", (first >> 20) + 1);
    assert!(notes(&answer).contains(&next), "{next}: {answer:#}");

    // A flipped bit, before the accident and in its segment or the one before.
    let damaged = host.copies("damaged");
    let file = fs::File::options().read(true).write(true).open(damaged.join(&segment)).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 300).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 300).unwrap();
    let answer = host.search(&damaged);
    assert!(
        notes(&answer).contains("wrong checksum (CRC)") || notes(&answer).contains("can be read no further"),
        "{answer:#}"
    );

    // Another cluster's segment among them, a compressed one, one that is cut.
    let mixed = host.copies("mixed");
    let path = mixed.join(&segment);
    let mut bytes = fs::read(&path).unwrap();
    bytes[24] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(notes(&host.search(&mixed)).contains("is missing"));
    bytes[..4].copy_from_slice(b"(\xB5/\xFD");
    fs::write(&path, &bytes).unwrap();
    assert!(notes(&host.search(&mixed)).contains("is missing"));
    let cut = host.copies("cut");
    let path = cut.join(&segment);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..100_000]).unwrap();
    assert!(notes(&host.search(&cut)).contains("is missing"), "{:#}", host.search(&cut));

    // Nothing there is WAL.
    let none = host.cluster.home().join("none");
    done(as_owner("mkdir").arg(&none));
    fs::write(none.join("000000010000000000000001"), b"no WAL at all, but of forty bytes and more....").unwrap();
    let arguments = ["accident", "--around", &host.after, "--wal-directory", none.to_str().unwrap()];
    host.refuses(&arguments, &["none of the files named like WAL segments"]);
}
