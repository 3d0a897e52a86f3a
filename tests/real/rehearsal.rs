//! The practice cluster: what is in it, what the writer was promised, and that nothing is left of it.

use crate::lab::{self, Home};
use lifeboat::engine::rehearsal::{CUSTOMERS, Layout, MARKER, ORDERS};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

#[test]
fn it_has_page_checksums_and_sets_in_both_repositories() {
    let lab = lab::running();
    assert_eq!(lab.sql("SHOW data_checksums"), "on");
    assert_eq!(lab.sql("SHOW listen_addresses"), "");
    assert_eq!(lab.sql("SELECT count(*) FROM customers"), CUSTOMERS.to_string());
    assert!(lab.sql("SELECT count(*) FROM orders").parse::<u32>().unwrap() > ORDERS);
    assert_eq!(
        lab.sql("SELECT count(*) FROM orders LEFT JOIN payments USING (order_id) WHERE payment_id IS NULL"),
        "0"
    );

    let info: Value = serde_json::from_str(&lab.pgbackrest(&["info", "--output=json"])).unwrap();
    let stanza = &info[0];
    assert_eq!(stanza["status"]["code"], 0, "{stanza}");
    let mut sets: Vec<(u64, &str)> = stanza["backup"]
        .as_array()
        .unwrap()
        .iter()
        .map(|set| (set["database"]["repo-key"].as_u64().unwrap(), set["type"].as_str().unwrap()))
        .collect();
    sets.sort_unstable();
    assert_eq!(sets, [(1, "diff"), (1, "full"), (1, "incr"), (2, "full")]);
    assert_eq!((&stanza["repo"][0]["cipher"], &stanza["repo"][1]["cipher"]), (&"none".into(), &"aes-256-cbc".into()));

    let config = lab.layout.pgbackrest_config();
    assert_eq!(fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600, "it holds the passphrase");
}

#[test]
fn a_copy_archives_to_its_own_repositories() {
    let lab = lab::running();
    lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
    lab.wait_archived();
    let newest = lab.sql("SELECT last_archived_wal FROM pg_stat_archiver");
    for repository in ["--repo=1", "--repo=2"] {
        let listing = lab.pgbackrest(&[repository, "repo-ls", "archive/main", "--recurse"]);
        assert!(listing.contains(&newest), "{newest} in {repository}: {listing}");
    }
    lab.stop();
    assert!(!lab.layout.production().join("postmaster.pid").exists());
}

#[test]
fn a_copy_is_a_practice_cluster_of_its_own() {
    let (lab, other) = (lab::running(), lab::running());
    let output = lab.run_lifeboat(&["rehearse", "--stop", lab.layout.directory.to_str().unwrap()]);
    lab::assert_done(&output, "lifeboat rehearse --stop");
    assert_eq!(fs::read_dir(lab.home()).unwrap().count(), 0);
    let left = lab::processes_naming(lab.home());
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(other.sql("SELECT 1"), "1", "the other copy goes on");
}

#[test]
fn the_writer_is_promised_only_what_is_there_and_stop_leaves_nothing() {
    let home = Home::new();
    let directory = home.path().join("practice");
    let before = host();
    let output =
        lab::lifeboat().args(["rehearse", "--no-console", "--json", "--directory"]).arg(&directory).output().unwrap();
    lab::assert_done(&output, "lifeboat rehearse");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["schema"], 1);
    assert_eq!(said["directory"], directory.to_str().unwrap());
    assert_eq!(said["settings"], directory.join("lifeboat.toml").to_str().unwrap());
    assert_eq!(said["scenario"], "shop");
    assert!(said["ready_seconds"].as_f64().unwrap() > 0.0);
    assert!(said["score"].is_null());

    let marker = lab::read_marker(&directory);
    let layout = Layout { directory: directory.clone(), short_directory: marker.short_directory.clone() };
    let sold = acknowledged(&layout).len();
    lab::wait_until("the writer goes on selling", || acknowledged(&layout).len() > sold + 10);
    let promised = acknowledged(&layout);
    let rows: Vec<String> = promised
        .iter()
        .map(|order| format!("({}, {}, {})", order["order_id"], order["payment_id"], order["xid"]))
        .collect();
    let kept = lab::sql(
        &layout,
        &marker,
        &format!(
            "SELECT count(*) FROM (VALUES {}) AS promised (order_id, payment_id, xid)
             JOIN payments ON payments.payment_id = promised.payment_id AND payments.xmin::text = promised.xid::text
             JOIN orders ON orders.order_id = promised.order_id AND orders.order_id = payments.order_id",
            rows.join(", ")
        ),
    );
    assert_eq!(kept, promised.len().to_string());
    // Every order is noted with the commit's own time, which is what a recovery target is compared with.
    let last = &promised[promised.len() - 1];
    let question = format!(
        "SELECT pg_xact_commit_timestamp('{}'::xid) = '{}'",
        last["xid"],
        last["committed_at"].as_str().unwrap()
    );
    assert_eq!(lab::sql(&layout, &marker, &question), "t");

    let output = lab::lifeboat().args(["rehearse", "--stop"]).arg(&directory).output().unwrap();
    lab::assert_done(&output, "lifeboat rehearse --stop");
    let left = lab::processes_naming(&directory);
    assert!(left.is_empty(), "{left:?}");
    assert!(!directory.exists());
    assert_eq!(host(), before, "something outside the directory changed");
}

#[test]
fn an_interrupted_build_leaves_nothing() {
    let home = Home::new();
    let directory = home.path().join("practice");
    let child = lab::lifeboat()
        .args(["rehearse", "--no-console", "--directory"])
        .arg(&directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // From here on there is a server, and the programs of the build come and go.
    lab::wait_until("the server runs", || directory.join("production/postmaster.pid").exists());
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    let left = lab::processes_naming(&directory);
    assert!(left.is_empty(), "{left:?}");
    assert!(!directory.exists());
}

#[test]
fn stop_touches_no_directory_without_a_marker() {
    let home = Home::new();
    let output = lab::lifeboat().args(["rehearse", "--stop"]).arg(home.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nothing was touched"));
    assert!(home.path().exists());
}

fn acknowledged(layout: &Layout) -> Vec<Value> {
    let text = fs::read_to_string(layout.acknowledged()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Where pgBackRest and PostgreSQL put things when nobody tells them otherwise, and where this program could leave
/// something: every file with its size and time.
fn host() -> BTreeMap<PathBuf, (u64, i64)> {
    let mut found = BTreeMap::new();
    for place in
        ["/etc/postgresql", "/etc/pgbackrest", "/etc/pgbackrest.conf", "/var/lib/pgbackrest", "/var/log/pgbackrest"]
    {
        collect(Path::new(place), &mut found);
    }
    for place in
        ["/var/spool/pgbackrest", "/run/postgresql", "/var/lib/postgresql", "/var/log/postgresql", "/var/lib/lifeboat"]
    {
        collect(Path::new(place), &mut found);
    }
    for entry in fs::read_dir("/tmp").unwrap().filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        let could_be_ours =
            ["lb-", "lifeboat-rehearsal-", ".s.PGSQL", "pgbackrest"].iter().any(|start| name.starts_with(start));
        if could_be_ours && entry.path().join(MARKER).exists() {
            // Somebody practises there, and what is in it moves; a new one would still be seen.
            found.insert(entry.path(), (0, 0));
        } else if could_be_ours {
            collect(&entry.path(), &mut found);
        }
    }
    found
}

fn collect(path: &Path, found: &mut BTreeMap<PathBuf, (u64, i64)>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    found.insert(path.to_path_buf(), (metadata.size(), metadata.mtime()));
    if metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().filter_map(Result::ok) {
            collect(&entry.path(), found);
        }
    }
}
