//! The kept cluster with a real server, and keeping that is killed.
//!
//! PostgreSQL refuses root: as root the test executes a copy of itself as `postgres`.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use lifeboat::domain::event::RunId;
use lifeboat::domain::lsn::Lsn;
use lifeboat::domain::wal::{SegmentSize, TimelineId};
use lifeboat::engine::kept::{KeptState, SetToRestore, home_of, keep, put_back, read_record, survey};
use lifeboat::engine::postgres::PostgresPrograms;
use lifeboat::engine::running_xacts::{LookSafe, look_safe};
use lifeboat::engine::safety::{SegmentOwner, place_missing_wal, places, save_configuration, save_wal};
use lifeboat::planning::keeping::{KeepOption, Keeping, Speeds, keep_plan};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const BIN: &str = "/usr/lib/postgresql/15/bin";
const CHILD: &str = "LIFEBOAT_KEPT_CHILD";

fn environment() -> BTreeMap<String, String> {
    BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())])
}

fn option(run: &RunId, main: &Path, keeping: Keeping) -> KeepOption {
    let set = SetToRestore { bytes: 1 << 20, tablespaces: BTreeSet::new() };
    let set = SetToRestore { tablespaces: [tablespace(main)].into(), ..set };
    let plan = keep_plan(&survey(run, main, &set, None).unwrap(), &Speeds::default());
    plan.options.into_iter().find(|option| option.keeping == keeping).unwrap()
}

/// The OID of the only tablespace, or 0.
fn tablespace(main: &Path) -> u32 {
    let links = fs::read_dir(main.join("pg_tblspc")).into_iter().flatten().flatten();
    links.filter_map(|link| link.file_name().to_str()?.parse().ok()).next().unwrap_or(0)
}

/// As root: executes this test again as `postgres`, and tells that it was done.
fn done_as_postgres(test: &str) -> bool {
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    let directory = tempfile::Builder::new().prefix("kept").tempdir_in("/tmp").unwrap();
    let copy = directory.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let owner = Command::new("chown").arg("-R").arg("postgres").arg(directory.path()).status().unwrap();
    assert!(owner.success());
    let output = Command::new("setpriv")
        .args(["--reuid", "postgres", "--regid", "postgres", "--init-groups", "env", "-i", "HOME=/tmp"])
        .arg(format!("TMPDIR={}", directory.path().display()))
        .arg(&copy)
        .args(["--exact", test, "--nocapture"])
        .current_dir("/")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", told(&output));
    assert!(told(&output).contains("1 passed"), "{}", told(&output));
    true
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A server in a directory, with its socket beside it.
struct Server {
    data: PathBuf,
    socket: PathBuf,
}

impl Server {
    fn start(data: &Path, socket: &Path) -> Result<Server, String> {
        let log = socket.join("log");
        let options = format!("-k {} -c listen_addresses= -c fsync=off", socket.display());
        let output = Command::new(format!("{BIN}/pg_ctl"))
            .args(["start", "-s", "-w", "-t", "30", "-o", &options, "-D"])
            .arg(data)
            .arg("-l")
            .arg(&log)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if output.status.success() {
            return Ok(Server { data: data.to_owned(), socket: socket.to_owned() });
        }
        Err(format!("{}{}", told(&output), fs::read_to_string(log).unwrap_or_default()))
    }

    fn psql(&self) -> Command {
        let mut psql = Command::new(format!("{BIN}/psql"));
        psql.args(["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-h"]).arg(&self.socket);
        psql
    }

    fn sql(&self, text: &str) -> String {
        let output = self.psql().args(["-c", text]).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn redo(&self) -> Lsn {
        Lsn::parse(&self.sql("select redo_lsn from pg_control_checkpoint()")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stop = ["stop", "-s", "-w", "-m", "fast", "-D"];
        let stopped = Command::new(format!("{BIN}/pg_ctl")).args(stop).arg(&self.data).output().unwrap();
        assert!(stopped.status.success() || std::thread::panicking(), "{}", told(&stopped));
    }
}

/// A cluster with 1,001 rows in a tablespace.
fn cluster(root: &Path) -> (PathBuf, Server) {
    let main = root.join("main");
    for directory in ["ts", "socket"] {
        fs::create_dir(root.join(directory)).unwrap();
    }
    let made = Command::new(format!("{BIN}/initdb")).args(["--no-sync", "-k", "-A", "trust", "-D"]).arg(&main).output();
    assert!(made.as_ref().unwrap().status.success(), "{}", told(&made.unwrap()));
    let server = Server::start(&main, &root.join("socket")).unwrap();
    server.sql(&format!("create tablespace ts location '{}'", root.join("ts").display()));
    server.sql("create table t tablespace ts as select generate_series(1, 1001) i");
    (main, server)
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[test]
fn a_kept_cluster_does_not_start_and_comes_back_with_its_tablespace() {
    if done_as_postgres("a_kept_cluster_does_not_start_and_comes_back_with_its_tablespace") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (main, server) = cluster(root.path());
    drop(server);
    let run = RunId::parse("7Q2K").unwrap();
    let kept = keep(&run, chrono::Utc::now(), &option(&run, &main, Keeping::Rename)).unwrap();
    let (content, socket) = (kept.home.join("content"), root.path().join("socket"));
    let refused = Server::start(&content, &socket).err().expect("a disarmed cluster must not start");
    assert!(refused.contains("could not find the database system"), "{refused}");
    // what a restore would bring: the same cluster, with other rows
    copy(&content.join("."), &main);
    let ts = root.path().join("ts");
    let version = fs::read_dir(&main).unwrap().count();
    assert!(version > 10);
    copy(&ts.join("lifeboat-kept-7Q2K/content"), &ts.join("PG_15_202209061"));
    fs::rename(main.join("global/pg_control.kept-by-lifeboat"), main.join("global/pg_control")).unwrap();
    let server = Server::start(&main, &socket).unwrap();
    server.sql("insert into t select generate_series(1, 5000)");
    let said = put_back(&run, &kept.home).unwrap_err().to_string();
    assert!(said.contains("server") && said.contains("stop it first"), "{said}");
    drop(server);
    let back = put_back(&run, &kept.home).unwrap();
    assert_eq!((back.aside.len(), back.left_in_place.len()), (2, 0));
    let server = Server::start(&main, &socket).unwrap();
    assert_eq!(server.sql("select count(*), sum(i) from t"), format!("1001|{}", 1001 * 1002 / 2));
    server.sql("insert into t values (1)");
    assert_eq!(server.sql("select spcname from pg_tablespace where oid > 16000"), "ts");
    drop(server);
    let aside = back.aside[0].join("content");
    let refused = Server::start(&aside, &socket).err().expect("what went aside must not start");
    assert!(refused.contains("could not find the database system"), "{refused}");
}

#[test]
fn a_hundred_subtransactions_at_redo_forbid_looking_and_wal_survives() {
    if done_as_postgres("a_hundred_subtransactions_at_redo_forbid_looking_and_wal_survives") {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let (main, server) = cluster(root.path());
    server.sql("checkpoint");
    let quiet = server.redo();
    let mut long = server.psql().stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut text = "begin;\n".to_owned();
    (1..=100).for_each(|number| text.push_str(&format!("savepoint s{number}; insert into t values ({number});\n")));
    text.push_str("select pg_advisory_lock(7);\n");
    long.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    while server.sql("select count(*) from pg_locks where locktype = 'advisory'") != "1" {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    server.sql("checkpoint");
    let loud = server.redo();
    drop(long.stdin.take());
    long.wait().unwrap();
    let programs = PostgresPrograms::at(Path::new(BIN), &environment()).unwrap();
    let ask = |redo| look_safe(&programs, &main.join("pg_wal"), redo, TimelineId(1), &environment()).unwrap();
    assert!(matches!(ask(quiet), LookSafe::Safe(record) if record.at >= quiet));
    assert!(matches!(ask(loud), LookSafe::Overflowed(record) if record.running == 1));
    assert!(matches!(ask(Lsn(0x7700_0000)), LookSafe::Unknown { .. }));
    // WAL while it runs and after the stop
    let safety = root.path().join("safety");
    let first = save_wal(&main.join("pg_wal"), &safety).unwrap();
    assert!(first.files.contains_key("000000010000000000000001"), "{first:?}");
    let found = places(&programs, &environment(), &main, None).unwrap();
    assert_eq!(found.files.get("hba_file"), Some(&main.join("pg_hba.conf")), "{found:?}");
    let saved = save_configuration(&main, &found, &safety).unwrap();
    assert!(saved.saved.contains(&main.join("postgresql.auto.conf")) && saved.left_out.is_empty(), "{saved:?}");
    server.sql("insert into t values (1)");
    drop(server);
    let second = save_wal(&main.join("pg_wal"), &safety).unwrap();
    assert!(second.set_beside.is_empty() && !second.grown.is_empty(), "{second:?}");
    let control = programs.control_data(&main, &environment()).unwrap();
    fs::remove_dir_all(main.join("pg_wal")).unwrap();
    fs::create_dir_all(main.join("pg_wal/archive_status")).unwrap();
    let owner = SegmentOwner {
        system_identifier: control.system_identifier,
        segment_size: SegmentSize::from_bytes(control.wal_segment_bytes).unwrap(),
        timeline: TimelineId(1),
    };
    let placed = place_missing_wal(&main, &safety, &BTreeSet::new(), &owner).unwrap();
    assert!(placed.refused.is_empty() && !placed.placed.is_empty(), "{placed:?}");
    let server = Server::start(&main, &root.path().join("socket")).unwrap();
    assert_eq!(server.sql("select count(*) from t"), "1002");
}

/// Not a test of its own: what is killed. It does nothing unless it is told to.
#[test]
fn child_that_keeps() {
    let Some(main) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let run = RunId::parse("7Q2K").unwrap();
    let home = home_of(&run, &main);
    let option: KeepOption = serde_json::from_slice(&fs::read(main.with_extension("json")).unwrap()).unwrap();
    keep(&run, chrono::Utc::now(), &option).unwrap();
    assert!(home.exists());
}

#[test]
fn keeping_killed_at_sampled_points_completes() {
    let run = RunId::parse("7Q2K").unwrap();
    let mut killed_inside = 0;
    for (keeping, point) in (0..6).map(|point| (Keeping::Copy, point)).chain((0..3).map(|it| (Keeping::Rename, it))) {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let main = root.join("main");
        fs::create_dir_all(main.join("global")).unwrap();
        fs::create_dir_all(main.join("pg_tblspc")).unwrap();
        fs::create_dir_all(root.join("ts/PG_15_1")).unwrap();
        std::os::unix::fs::symlink(root.join("ts"), main.join("pg_tblspc/16384")).unwrap();
        fs::write(main.join("PG_VERSION"), "15\n").unwrap();
        for number in 0..300 {
            fs::write(main.join(format!("f{number}")), vec![b'x'; 3000 + number]).unwrap();
            fs::write(root.join(format!("ts/PG_15_1/f{number}")), vec![b'y'; number]).unwrap();
        }
        let before = listing(&main);
        let option = option(&run, &main, keeping);
        fs::write(main.with_extension("json"), serde_json::to_vec(&option).unwrap()).unwrap();
        let home = home_of(&run, &main);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_keeps"])
            .env(CHILD, &main)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        // from the moment the home is there on, a little later each time
        while !home.exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        std::thread::sleep(std::time::Duration::from_micros(point * if keeping == Keeping::Copy { 7000 } else { 700 }));
        child.kill().unwrap();
        child.wait().unwrap();
        let state = read_record(&run, &home).ok().flatten().map(|record| record.state);
        killed_inside += usize::from(state != Some(KeptState::Kept));
        let kept = keep(&run, chrono::Utc::now(), &option).unwrap();
        assert_eq!(kept.record.state, KeptState::Kept);
        assert_eq!(listing(&home.join("content")), before, "{keeping:?} {point}");
        put_back(&run, &home).unwrap();
        assert_eq!(listing(&main), before, "{keeping:?} {point}");
        assert_eq!(fs::read_dir(root.join("ts/PG_15_1")).unwrap().count(), 300);
    }
    assert!(killed_inside > 0, "none was killed in the middle");
}

/// The names with the sizes of the files.
fn listing(directory: &Path) -> BTreeMap<PathBuf, u64> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    let size = |entry: &fs::DirEntry| entry.metadata().map_or(0, |found| if found.is_file() { found.len() } else { 0 });
    entries.map(|entry| (PathBuf::from(entry.file_name()), size(&entry))).collect()
}
