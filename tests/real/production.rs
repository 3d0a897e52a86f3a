//! A drill does not touch production: what must not change is compared before and after, under load.

use crate::lab::{self, Lab};
use crate::told::{self, Drill, drill, make_directory, tree};
use lifeboat::domain::digest::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What stays the same while production goes on working, by what it is.
pub(crate) fn picture(lab: &Lab) -> BTreeMap<String, Vec<String>> {
    let production = lab.layout.production();
    let mut picture = BTreeMap::new();
    let mut put = |what: &str, lines: Vec<String>| picture.insert(what.to_owned(), lines);
    let top = fs::read_dir(&production).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let top: BTreeSet<String> = top.collect();
    for name in top.iter().filter(|name| name.ends_with(".conf") || *name == "PG_VERSION" || *name == "postmaster.pid")
    {
        put(name, vec![Digest::of(&fs::read(production.join(name)).unwrap()).to_string()]);
    }
    put("files of the data directory", top.into_iter().collect());
    put("tablespace links", tree(&production.join("pg_tblspc")));
    // Files of relations come and go below; the folders do not.
    let spaces = fs::read_dir(production.join("pg_tblspc")).unwrap().map(|entry| entry.unwrap().path());
    let folders = spaces.flat_map(|space| tree(&fs::canonicalize(space).unwrap()));
    put("folders of the tablespaces", folders.filter(|name| name.ends_with('/')).collect());
    put("sockets", tree(&lab.layout.sockets()));
    put("backup files", files_with_digest(lab, "backup.info"));
    put("archive files", files_with_digest(lab, "archive.info"));
    put(
        "backup sets",
        ["1", "2"].map(|key| lab.pgbackrest(&[&format!("--repo={key}"), "repo-ls", "backup/main"])).to_vec(),
    );
    put("histories", archived(lab).into_iter().filter(|name| name.ends_with(".history")).collect());
    put("pgbackrest's logs", tree(&lab.layout.log()));
    let control = lab::as_owner(lab.marker.bin_directory.join("pg_controldata")).arg(&production).output().unwrap();
    lab::assert_done(&control, "pg_controldata");
    let control = String::from_utf8(control.stdout).unwrap();
    let identity = [
        "Database system identifier",
        "Latest checkpoint's TimeLineID",
        "Latest checkpoint's PrevTimeLineID",
        "Database cluster state",
    ];
    put(
        "control file",
        control.lines().filter(|line| identity.iter().any(|name| line.starts_with(name))).map(str::to_owned).collect(),
    );
    let rows = |text: &str| lab.sql(text).lines().map(str::to_owned).collect();
    put("settings", rows("SELECT name, setting, source, sourcefile, pending_restart FROM pg_settings ORDER BY name"));
    put(
        "databases, roles, spaces",
        rows(
            "SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles UNION SELECT oid || spcname || pg_tablespace_location(oid) FROM pg_tablespace ORDER BY 1",
        ),
    );
    put(
        "slots and receivers",
        rows("SELECT slot_name FROM pg_replication_slots UNION SELECT pid::text FROM pg_stat_replication"),
    );
    put("started", rows("SELECT pg_postmaster_start_time(), pg_is_in_recovery()"));
    picture
}

fn files_with_digest(lab: &Lab, name: &str) -> Vec<String> {
    let below = if name.starts_with("backup") { "backup" } else { "archive" };
    let file = |root: &Path| root.join(below).join("main").join(name);
    [lab.layout.first_repository(), lab.layout.second_repository()]
        .iter()
        .map(|root| Digest::of(&fs::read(file(root)).unwrap()).to_string())
        .collect()
}

/// Every file of the archives of both repositories.
pub(crate) fn archived(lab: &Lab) -> BTreeSet<String> {
    let list = |key: &str| lab.pgbackrest(&[&format!("--repo={key}"), "repo-ls", "archive/main", "--recurse"]);
    let named = |key: &'static str| {
        list(key)
            .lines()
            .map(|line| format!("repo{key} {line}"))
            .filter(|line| line.contains("15-1/"))
            .collect::<Vec<_>>()
    };
    [named("1"), named("2")].concat().into_iter().collect()
}

/// Sells while `work` goes on and ends a segment now and then; returns what `work` did and how many rows were promised.
pub(crate) fn under_load<T>(lab: &Lab, work: impl FnOnce() -> T) -> (T, u32) {
    let (over, sold) = (AtomicBool::new(false), AtomicU32::new(0));
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 4711)");
                if sold.fetch_add(1, Ordering::Relaxed) % 20 == 0 {
                    lab.sql("SELECT pg_switch_wal()");
                }
            }
        });
        // Also when it panics: the seller would go on for ever.
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        result
    });
    (result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)), sold.into_inner())
}

/// What a restore with production's own spool would remove.
fn leave_in_spool(lab: &Lab) -> std::path::PathBuf {
    let inbox = lab.layout.spool().join("archive/main/in");
    make_directory(&inbox);
    let left = inbox.join("0000000100000000000000AA");
    fs::write(&left, "a segment that was fetched ahead").unwrap();
    left
}

#[track_caller]
pub(crate) fn unchanged(before: &BTreeMap<String, Vec<String>>, after: &BTreeMap<String, Vec<String>>) {
    for (what, lines) in before {
        assert_eq!(Some(lines), after.get(what), "{what} changed");
    }
    assert_eq!(before.len(), after.len());
}

/// What is left of a drill that ended: nothing.
#[track_caller]
fn nothing_left(lab: &Lab, drill: &Drill) {
    assert!(!drill.directory().exists());
    assert_eq!(tree(&lab.layout.drills()), Vec::<String>::new());
    let living = lab::processes_naming(&drill.directory());
    assert!(living.is_empty(), "{living:?}");
}

#[track_caller]
pub(crate) fn archive_only_grew(before: &BTreeSet<String>, after: &BTreeSet<String>) {
    let lost: Vec<&String> = before.difference(after).collect();
    assert!(lost.is_empty(), "removed from the archive: {lost:?}");
    for name in after.difference(before) {
        let file = name.rsplit('/').next().unwrap();
        assert!(file.starts_with("00000001"), "{name} is not of timeline 1");
    }
}

#[test]
fn a_drill_leaves_a_working_production_alone() {
    let lab = lab::running();
    let left = leave_in_spool(&lab);
    let (locks, spool) = (tree(&lab.layout.lock()), tree(&lab.layout.spool()));
    let (before, archive) = (picture(&lab), archived(&lab));
    let (drill, sold) = under_load(&lab, || drill(&lab, &[]));
    drill.done();
    unchanged(&before, &picture(&lab));
    archive_only_grew(&archive, &archived(&lab));
    assert_eq!((locks, spool), (tree(&lab.layout.lock()), tree(&lab.layout.spool())));
    assert!(left.exists());
    nothing_left(&lab, &drill);
    assert_eq!(lab.sql("SELECT count(*) FROM orders WHERE total_cents = 4711"), sold.to_string());
    let log = fs::read_to_string(lab.layout.server_log()).unwrap();
    assert!(!log.contains("ERROR") && !log.contains("FATAL") && !log.contains("PANIC"), "{log}");
    // What it says it proved is what is so.
    let result = &drill.run.result;
    assert_eq!(result["result.system_identifier"], lab.sql("SELECT system_identifier FROM pg_control_system()"));
    assert_eq!(result["isolation.archive_mode"], "off");
    assert_eq!((result["isolation.listen_addresses"].as_str(), result["result.timeline"].as_str()), ("", "2"));
}

/// A drill of a production that does nothing adds nothing to its WAL: what is there between the two positions was
/// written by production's own background processes.
#[test]
fn a_drill_writes_nothing_into_productions_wal() {
    let lab = lab::running();
    lab.sql("ALTER SYSTEM SET autovacuum = off");
    lab.sql("SELECT pg_reload_conf()");
    lab.wait_archived();
    lab.sql("CHECKPOINT");
    let transactions = "SELECT txid_snapshot_xmax(txid_current_snapshot())";
    let (position, number) = (lab.sql("SELECT pg_current_wal_insert_lsn()"), lab.sql(transactions));
    drill(&lab, &["-p", "depth=checksums"]).done();
    assert_eq!(lab.sql(transactions), number);
    let end = lab.sql("SELECT pg_current_wal_insert_lsn()");
    if end == position {
        return;
    }
    let dump = lab::as_owner(lab.marker.bin_directory.join("pg_waldump"))
        .args(["-p", lab.layout.production().join("pg_wal").to_str().unwrap(), "-s", &position, "-e", &end])
        .output()
        .unwrap();
    for record in String::from_utf8_lossy(&dump.stdout).lines() {
        let own = ["RUNNING_XACTS", "CHECKPOINT_ONLINE", "SWITCH"].iter().any(|kind| record.contains(kind));
        assert!(own, "{record}");
    }
}

/// Asynchronous archiving has a spool that production and drill could share; a tablespace is restored elsewhere.
#[test]
fn asynchronous_archiving_and_tablespaces_are_left_alone() {
    let lab = lab::running();
    told::edit(
        &lab.layout.pgbackrest_config(),
        "process-max=2\n",
        "process-max=2\narchive-async=y\narchive-push-queue-max=1GiB\narchive-get-queue-max=64MiB\n",
    );
    let space = lab.home().join("space");
    make_directory(&space);
    lab.sql(&format!("CREATE TABLESPACE fast LOCATION '{}'", space.display()));
    lab.sql("CREATE TABLE parts TABLESPACE fast AS SELECT generate_series(1, 1000) AS part");
    lab.pgbackrest(&["--repo=1", "--type=incr", "backup"]);
    lab.sql("INSERT INTO parts SELECT generate_series(1001, 1500)");
    lab.wait_archived();
    let left = leave_in_spool(&lab);
    let files = tree(&space);
    let (before, archive) = (picture(&lab), archived(&lab));
    let (drill, sold) = under_load(&lab, || drill(&lab, &["-p", "probe=SELECT count(*) FROM parts"]));
    drill.done();
    assert_eq!(drill.run.result["probe.answer"], "count␊1500");
    let mut after = picture(&lab);
    // Production's own asynchronous push has a log.
    let (mut logs, was) = (after["pgbackrest's logs"].clone(), before["pgbackrest's logs"].clone());
    logs.retain(|name| was.contains(name) || name != "main-archive-push-async.log");
    after.insert("pgbackrest's logs".to_owned(), logs);
    unchanged(&before, &after);
    archive_only_grew(&archive, &archived(&lab));
    assert_eq!(files, tree(&space), "production's tablespace");
    assert!(left.exists(), "production's spool was emptied");
    for lock in tree(&lab.layout.lock()) {
        assert_eq!(lock, "main-archive.lock", "only production's own push has a lock here");
    }
    nothing_left(&lab, &drill);
    assert_eq!(lab.sql("SELECT count(*) FROM orders WHERE total_cents = 4711"), sold.to_string());
}

/// Settings that come back with the data would stop the server, keep it silent, open a port or run programs.
#[test]
fn settings_restored_with_the_data_do_not_matter() {
    let lab = lab::running();
    let home = lab.home().to_owned();
    let traps = format!(
        "listen_addresses = '*'\nport = 5433\nssl = on\nlogging_collector = on\nhot_standby = off\n\
         shared_preload_libraries = 'nosuch'\nsynchronous_standby_names = 'nobody'\n\
         primary_conninfo = 'host=elsewhere'\nrecovery_min_apply_delay = '1h'\nhuge_pages = on\n\
         external_pid_file = '{0}/trap-pid'\narchive_command = 'touch {0}/trap-archive'\n\
         recovery_end_command = 'touch {0}/trap-end'\narchive_cleanup_command = 'touch {0}/trap-cleanup'\n",
        home.display()
    );
    let file = lab.layout.production().join("postgresql.auto.conf");
    let text = fs::read_to_string(&file).unwrap();
    // Production itself never reads them: it is neither reloaded nor started again.
    fs::write(&file, format!("{text}{traps}")).unwrap();
    lab.pgbackrest(&["--repo=1", "--type=incr", "backup"]);
    lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
    lab.wait_archived();
    let before = picture(&lab);
    let drill = drill(&lab, &["-p", "depth=amcheck"]);
    drill.done();
    assert_eq!(drill.state("no-listener").status.word(), "done");
    let traps: Vec<String> = tree(&home).into_iter().filter(|name| name.starts_with("trap-")).collect();
    assert_eq!(traps, Vec::<String>::new());
    unchanged(&before, &picture(&lab));
    nothing_left(&lab, &drill);
}
