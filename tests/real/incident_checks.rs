//! What an in-place recovery asks before it touches anything, asked on a real cluster with a tablespace.

use crate::incident_helpers::Incident;
use crate::lab;
use lifeboat::domain::event::RunId;
use lifeboat::engine::checks::{self, CheckReport};
use lifeboat::engine::pgbackrest::Pgbackrest;
use lifeboat::engine::postgres::PostgresPrograms;
use lifeboat::engine::surroundings::Surroundings;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};

impl Incident {
    fn ask(&self, check: &str, more: &[(&str, &str)]) -> CheckReport {
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let variables = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        let config = self.lab.layout.pgbackrest_config();
        let pgbackrest = Pgbackrest::locate(Some(&self.lab.marker.pgbackrest), Some(&config), variables).unwrap();
        let postgres = PostgresPrograms::at(&self.lab.marker.bin_directory, &environment).unwrap();
        let run = Some(RunId::parse("7Q2K").unwrap());
        let around = Surroundings { pgbackrest, postgres, environment, run, servers: BTreeMap::new() };
        let (sockets, port) = (self.lab.layout.sockets(), self.lab.marker.port.to_string());
        let usual = [
            ("data-directory", self.data()),
            ("stanza", "main"),
            ("repository", "1"),
            ("set", self.set.as_str()),
            ("timeline", "1"),
            ("config-file", "default"),
            ("socket-directory", sockets.to_str().unwrap()),
            ("port", &port),
            ("user", lifeboat::engine::rehearsal::SUPERUSER),
            ("database", lifeboat::engine::rehearsal::DATABASE),
            ("safety", self.safety.to_str().unwrap()),
            ("kept", "beside"),
            ("how", "best"),
        ];
        let with = usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        checks::run(check, &with, &around).unwrap()
    }

    fn identifier(&self) -> String {
        self.lab.sql("SELECT system_identifier FROM pg_control_system()")
    }

    fn psql(&self) -> Child {
        lab::as_owner(self.lab.marker.bin_directory.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-h", self.lab.layout.sockets().to_str().unwrap()])
            .args(["-p", &self.lab.marker.port.to_string(), "-U", lifeboat::engine::rehearsal::SUPERUSER])
            .args(["-d", lifeboat::engine::rehearsal::DATABASE])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn end(&self, mut child: Child) {
        drop(child.stdin.take());
        let _ = child.kill();
        child.wait().unwrap();
    }
}

fn wrong(report: &CheckReport) -> String {
    let bad = report.findings.iter().filter(|finding| !finding.holds);
    bad.map(|finding| format!("{} | {}\n", finding.what, finding.remedy)).collect()
}

fn said(report: &CheckReport) -> String {
    report.findings.iter().map(|finding| format!("{}\n", finding.what)).collect()
}

#[test]
fn the_data_directory_is_known_in_every_state() {
    let it = Incident::new();
    let id = it.identifier();
    let identifier = ("system-identifier", id.as_str());
    let running = it.ask("cluster-is-the-stanzas", &[identifier]);
    assert!(running.holds(), "{running:?}");
    let captured = |report: &CheckReport, name: &str| report.captures[name].clone();
    assert_eq!((captured(&running, "state"), captured(&running, "cluster")), ("running".into(), "whole".into()));
    assert_eq!((captured(&running, "system-identifier"), captured(&running, "timeline")), (id.clone(), "1".into()));
    let other = it.ask("cluster-is-the-stanzas", &[("system-identifier", "7")]);
    assert!(wrong(&other).contains("this is another cluster"), "{other:?}");
    let manager = it.ask("who-manages-it", &[]);
    assert!(manager.holds() && manager.captures["manager"] == "none", "{manager:?}");

    // its file is gone and it is not: the postmaster looks only once a minute
    let pid_file = it.production.join("postmaster.pid");
    let left = fs::read(&pid_file).unwrap();
    fs::rename(&pid_file, it.production.join("hidden")).unwrap();
    let orphaned = it.ask("cluster-is-the-stanzas", &[identifier]);
    fs::rename(it.production.join("hidden"), &pid_file).unwrap();
    assert!(wrong(&orphaned).contains("kill -QUIT") && orphaned.captures["state"] == "orphaned", "{orphaned:?}");
    it.lab.stop();
    fs::write(&pid_file, left).unwrap();
    lab::wait_until("the server's process has ended", || {
        it.ask("cluster-is-the-stanzas", &[identifier]).captures["state"] == "stale"
    });
    let moved = it.helper(&["clear-stale-pid", "--data-directory", it.data()]).unwrap();
    assert!(moved["moved"].ends_with("postmaster.pid.stale") && !pid_file.exists(), "{moved:?}");
    assert_eq!(it.ask("cluster-is-the-stanzas", &[identifier]).captures["state"], "stopped");

    // a restore that is killed in the middle
    let config = format!("--config={}", it.lab.layout.pgbackrest_config().display());
    let set = format!("--set={}", it.set);
    let mut restore = lab::as_owner(&it.lab.marker.pgbackrest)
        .args([&config, "--stanza=main", "--repo=1", &set, "--delta", "--force", "restore"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let manifest = it.production.join("backup.manifest");
    while !manifest.exists() && restore.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    restore.kill().unwrap();
    restore.wait().unwrap();
    lab::wait_until("its workers are gone", || {
        lab::processes_naming(it.lab.home()).iter().all(|process| !process.command.contains("pgbackrest"))
    });
    let unfinished = it.ask("cluster-is-the-stanzas", &[identifier]);
    assert!(unfinished.holds() && said(&unfinished).contains("carried on with --delta"), "{unfinished:?}");
    assert_eq!(
        (captured(&unfinished, "unfinished"), captured(&unfinished, "cluster")),
        ("yes".into(), "unfinished".into())
    );
    assert_eq!(captured(&unfinished, "system-identifier"), id, "from the manifest");
    it.restore(&["--delta", "--type=default", "--target-timeline=current"]);
    let whole = it.ask("cluster-is-the-stanzas", &[identifier]);
    assert_eq!((captured(&whole, "unfinished"), captured(&whole, "cluster")), ("no".into(), "whole".into()));

    // what is left of it, then nothing
    fs::remove_file(it.production.join("PG_VERSION")).unwrap();
    let foreign = it.ask("cluster-is-the-stanzas", &[identifier]);
    assert!(wrong(&foreign).contains("holds no cluster"), "{foreign:?}");
    fs::remove_dir_all(&it.production).unwrap();
    let lost = it.ask("cluster-is-the-stanzas", &[identifier]);
    assert!(lost.holds() && lost.captures["cluster"] == "lost", "{lost:?}");
    let left = it.ask("room-to-keep", &[]);
    let place = it.lab.home().join("fast/PG_15_202209061");
    assert!(wrong(&left).contains(&format!("mv {}", place.display())), "{left:?}");
    fs::rename(&place, place.with_file_name("left-PG_15_202209061")).unwrap();
    let nothing = it.ask("room-to-keep", &[]);
    assert!(nothing.holds() && nothing.captures["how"] == "nothing", "{nothing:?}");
    assert_eq!(nothing.captures["set-tablespaces"], it.tablespace);
    // and everything is made anew, with what was set aside untouched
    it.restore(&["--type=default", "--target-timeline=current"]);
    it.set_target("recovery_target_lsn", &it.target).unwrap();
    assert_eq!(it.look(), "1002 1002");
    assert!(place.with_file_name("left-PG_15_202209061").exists());
}

#[test]
fn room_is_found_for_the_old_cluster_and_its_tablespace() {
    let it = Incident::new();
    let best = it.ask("room-to-keep", &[]);
    assert!(best.holds(), "{best:?}");
    assert_eq!((best.captures["kept"].as_str(), best.captures["how"].as_str()), (it.kept().as_str(), "rename"));
    assert_eq!(best.captures["set-tablespaces"], it.tablespace);
    assert!(best.captures["bytes"].parse::<u64>().unwrap() > 10_000_000, "{best:?}");
    let none = it.ask("room-to-keep", &[("how", "none")]);
    assert!(none.holds() && none.captures["way-back"].contains("replay"), "{none:?}");
    // copied to where it is told, by the helper that the captures are given to
    let place = it.lab.home().join("copies");
    let copied = it.ask("room-to-keep", &[("how", "elsewhere"), ("kept", place.to_str().unwrap())]);
    assert!(copied.holds() && copied.captures["restore"] == "delta", "{copied:?}");
    it.lab.stop();
    let captured = |name: &str| copied.captures[name].as_str();
    let kept = it.helper(&[
        "keep",
        "--run",
        "7Q2K",
        "--data-directory",
        it.data(),
        "--kept",
        captured("kept"),
        "--how",
        captured("how"),
        "--set-tablespaces",
        captured("set-tablespaces"),
        "--set-bytes",
        captured("set-bytes"),
    ]);
    assert_eq!(kept.unwrap()["kept-at"], captured("kept"));
    let record = PathBuf::from(captured("kept")).join("kept.json");
    it.restore(&["--delta", "--type=default", "--target-timeline=current"]);
    it.set_target("recovery_target_lsn", &it.target).unwrap();
    assert_eq!(it.look(), "1002 1002");
    it.lab.stop();
    it.helper(&["put-back", "--record", record.to_str().unwrap()]).unwrap();
    it.lab.start();
    assert_eq!(it.lab.sql("SELECT count(*) FROM held"), "0");
}

#[test]
fn what_hangs_on_the_server_is_listed_and_unknown_when_it_is_down() {
    let it = Incident::new();
    for setting in ["max_prepared_transactions = 5", "wal_level = 'logical'"] {
        it.lab.sql(&format!("ALTER SYSTEM SET {setting}"));
    }
    it.lab.stop();
    it.lab.start();
    let quiet = it.ask("what-hangs-on-it", &[]);
    for name in ["standbys", "slots", "subscriptions", "publications", "prepared", "poolers", "jobs"] {
        assert_eq!(quiet.captures[name], "none", "{name}: {quiet:?}");
    }
    it.lab.sql("SELECT pg_create_logical_replication_slot('cdc', 'pgoutput')");
    it.lab.sql("CREATE PUBLICATION everything FOR ALL TABLES");
    it.lab.sql("CREATE SUBSCRIPTION other CONNECTION 'host=/nowhere' PUBLICATION x WITH (connect = false)");
    it.lab.sql("BEGIN; INSERT INTO held VALUES (7); PREPARE TRANSACTION 'half'");
    let mut pooler = it.psql();
    pooler.stdin.as_mut().unwrap().write_all(b"SET application_name = 'pgbouncer-7';\n").unwrap();
    let received = it.lab.home().join("received");
    lab::assert_done(&lab::as_owner("mkdir").arg(&received).output().unwrap(), "mkdir");
    let standby = lab::as_owner(it.lab.marker.bin_directory.join("pg_receivewal"))
        .args(["-h", it.lab.layout.sockets().to_str().unwrap(), "-p", &it.lab.marker.port.to_string()])
        .args(["-U", lifeboat::engine::rehearsal::SUPERUSER, "-D"])
        .arg(&received)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    lab::wait_until("the standby and the pooler are connected", || {
        let report = it.ask("what-hangs-on-it", &[]);
        report.captures["standbys"].contains("pg_receivewal") && report.captures["poolers"].contains("pgbouncer-7")
    });
    let report = it.ask("what-hangs-on-it", &[]);
    assert!(report.holds() && said(&report).contains("it is the best copy there is"), "{report:?}");
    let shop = lifeboat::engine::rehearsal::DATABASE;
    assert_eq!(report.captures["slots"], format!("cdc (logical pgoutput {shop}, not in use)"));
    assert!(report.captures["prepared"].starts_with("'half' of "), "{report:?}");
    assert_eq!(report.captures["publications"], format!("{shop}.everything"));
    assert!(report.captures["subscriptions"].starts_with(&format!("{shop}.other")), "{report:?}");
    it.end(pooler);
    it.end(standby);
    it.lab.sql("ROLLBACK PREPARED 'half'");
    it.lab.stop();
    let down = it.ask("what-hangs-on-it", &[]);
    assert!(down.holds() && down.captures["standbys"] == "unknown: the server does not run", "{down:?}");
}

#[test]
fn settings_that_disturb_a_recovery_are_read_as_postgres_reads_them() {
    let it = Incident::new();
    let plain = it.ask("recovery-hazards", &[]);
    assert!(plain.holds(), "{plain:?}");
    assert_eq!((plain.captures["hazards"].as_str(), plain.captures["config-outside"].as_str()), ("none", "no"));
    assert_eq!(plain.captures["trigger-override"], "promote_trigger_file=");
    for setting in [
        "logging_collector = on",
        "hot_standby = off",
        "recovery_end_command = '/bin/true'",
        "promote_trigger_file = 'promote'",
    ] {
        it.lab.sql(&format!("ALTER SYSTEM SET {setting}"));
    }
    let report = it.ask("recovery-hazards", &[]);
    assert!(report.holds(), "{report:?}");
    for part in ["logging_collector", "hot_standby", "recovery_end_command", "promote_trigger_file"] {
        assert!(report.captures["hazards"].contains(part), "{part}: {report:?}");
    }
    // Debian's place
    let outside = it.lab.home().join("etc");
    fs::create_dir(&outside).unwrap();
    let conf = outside.join("postgresql.conf");
    fs::copy(it.production.join("postgresql.conf"), &conf).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&conf).unwrap();
    writeln!(file, "recovery_target_xid = '5'\nhba_file = '{}/pg_hba.conf'", outside.display()).unwrap();
    let report = it.ask("recovery-hazards", &[("config-file", conf.to_str().unwrap())]);
    assert_eq!(report.captures["config-outside"], "yes");
    assert!(wrong(&report).contains("recovery_target_xid is set in"), "{report:?}");
    assert!(said(&report).contains("pg_hba.conf"), "{report:?}");
    fs::write(&conf, "port = 'x\n").unwrap();
    let report = it.ask("recovery-hazards", &[("config-file", conf.to_str().unwrap())]);
    assert!(wrong(&report).contains("postgres can't read"), "{report:?}");
}

#[test]
fn segments_and_timelines_are_looked_for_in_every_repository() {
    let it = Incident::new();
    let segment = it.lab.sql(&format!("SELECT pg_walfile_name('{}')", it.target));
    let everywhere = it.ask("archived-everywhere", &[("segment", &segment), ("limit", "60s")]);
    assert!(everywhere.holds() && everywhere.captures["missing-in"] == "none", "{everywhere:?}");
    let folder = it.lab.layout.second_repository().join("archive/main/15-1");
    let own = fs::read_dir(folder.join(&segment[..16])).unwrap().filter_map(Result::ok);
    for entry in own.filter(|entry| entry.file_name().to_string_lossy().starts_with(&segment)) {
        fs::remove_file(entry.path()).unwrap();
    }
    let missing = it.ask("archived-everywhere", &[("segment", &segment), ("limit", "1")]);
    assert!(wrong(&missing).contains("repo2 has no") && missing.captures["missing-in"] == "repo2", "{missing:?}");
    let jobs = it.ask("backup-jobs", &[]);
    assert!(jobs.holds() && !jobs.captures["jobs"].is_empty(), "{jobs:?}");

    // a stray timeline that one repository has, then a real one that both have
    let free = it.ask("history-free", &[]);
    assert!(free.holds() && free.captures["next-timeline"] == "2", "{free:?}");
    // the second repository is encrypted: a file of its own place is pushed through pgbackrest's cipher
    let first = it.lab.layout.first_repository().join("archive/main/15-1");
    fs::write(first.join("00000002.history"), "1\t0/3000000\tno recovery target specified\n").unwrap();
    let stray = it.ask("history-free", &[]);
    assert!(wrong(&stray).contains("00000002.history is in repo1 and not in the other"), "{stray:?}");
    fs::remove_file(first.join("00000002.history")).unwrap();
    it.lab.stop();
    it.restore(&["--delta", "--type=default", "--target-timeline=current"]);
    it.lab.start();
    lab::wait_until("it is promoted", || it.lab.sql("SELECT pg_is_in_recovery()") == "f");
    it.lab.wait_archived();
    let taken = it.ask("history-free", &[]);
    assert!(taken.holds() && taken.captures["next-timeline"] == "3", "{taken:?}");
    let own = it.ask("history-free", &[("timeline", "2")]);
    assert!(own.holds() && own.captures["next-timeline"] == "3", "{own:?}");
}

#[test]
fn a_pause_is_moved_forward_only_to_what_is_later() {
    let it = Incident::new();
    let later = it.lab.sql("SELECT pg_current_wal_insert_lsn()");
    // a target is reached by the first record behind it
    it.lab.sql("INSERT INTO held VALUES (2000)");
    it.lab.wait_archived();
    it.lab.stop();
    it.restore(&["--delta", "--type=default", "--target-timeline=current"]);
    // the redo segment is in the archive alone: pg_wal is empty
    let folder = it.lab.home().join("fetched");
    let safe = it.ask("safe-redo-start", &[("folder", folder.to_str().unwrap())]);
    assert!(safe.holds() && safe.captures["safe"] == "yes", "{safe:?}");
    // a timeline that was begun after the set: replay starts on the set's own
    let folder = it.lab.home().join("fetched-for-the-next");
    let safe = it.ask("safe-redo-start", &[("folder", folder.to_str().unwrap()), ("timeline", "2")]);
    assert!(safe.holds() && safe.captures["safe"] == "yes", "{safe:?}");
    it.set_target("recovery_target_lsn", &it.target).unwrap();
    assert_eq!(it.look(), "1002 1002");
    let paused = it.lab.sql("SELECT pg_last_wal_replay_lsn()");
    let guards = |new: &str| it.ask("forward-guards", &[("new-lsn", new), ("last-paused-lsn", &paused)]);
    assert!(wrong(&guards(&later)).contains("still runs"));
    it.lab.stop();
    let forward = guards(&later);
    assert!(forward.holds(), "{forward:?}");
    for back in [paused.as_str(), "0/1"] {
        assert!(wrong(&guards(back)).contains("not beyond"), "{back}");
    }
    it.set_target("recovery_target_lsn", &later).unwrap();
    assert_eq!(it.look(), "0", "the accident is replayed now");
    it.lab.sql("SELECT pg_promote()");
    it.lab.stop();
    let promoted = guards("F/0");
    let wrong = wrong(&promoted);
    assert!(wrong.contains("promoted") && wrong.contains("recovery.signal is not there"), "{promoted:?}");
    assert!(wrong.contains("timeline 2"), "{promoted:?}");
}

#[test]
fn a_backup_with_an_overflowed_snapshot_is_not_looked_at() {
    let mut it = Incident::new();
    let mut long = it.psql();
    let mut text = "BEGIN;\n".to_owned();
    (1..=100).for_each(|number| text.push_str(&format!("SAVEPOINT s{number}; INSERT INTO held VALUES ({number});\n")));
    text.push_str("SELECT pg_advisory_lock(7);\n");
    long.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    let locked = || it.lab.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 0") != "0";
    lab::wait_until("it holds 100 subtransactions", locked);
    it.lab.pgbackrest(&["--repo=1", "--type=full", "backup"]);
    it.end(long);
    let info: serde_json::Value =
        serde_json::from_str(&it.lab.pgbackrest(&["--repo=1", "info", "--output=json"])).unwrap();
    it.set = info[0]["backup"].as_array().unwrap().last().unwrap()["label"].as_str().unwrap().to_owned();
    it.lab.stop();
    it.restore(&["--delta", "--type=default", "--target-timeline=current"]);
    let folder = it.lab.home().join("fetched");
    let refused = it.ask("safe-redo-start", &[("folder", folder.to_str().unwrap())]);
    assert_eq!(refused.captures["safe"], "no", "{refused:?}");
    assert!(wrong(&refused).contains("overflowed snapshot") && wrong(&refused).contains("Choose another set"));
}

#[test]
fn what_the_recovery_changed_is_compared() {
    let it = Incident::new();
    it.lab.sql("CREATE SEQUENCE numbers");
    it.lab.sql("SELECT setval('numbers', 100)");
    it.lab.wait_archived();
    let target = it.lab.sql("SELECT pg_current_wal_insert_lsn()");
    it.lab.sql("SELECT setval('numbers', 5000)");
    it.lab.sql("CREATE TABLE later (i int)");
    it.lab.sql("ALTER SYSTEM SET work_mem = '77MB'");
    it.lab.sql("SELECT pg_reload_conf()");
    it.lab.sql("SELECT pg_create_physical_replication_slot('standby_b')");
    lab::wait_until("the setting is in force", || it.lab.sql("SHOW work_mem") == "77MB");
    it.lab.wait_archived();
    let nothing = it.ask("settings-compared", &[]);
    assert!(nothing.captures["differences"].starts_with("unknown"), "{nothing:?}");
    let port = it.lab.marker.port.to_string();
    let sockets = it.lab.layout.sockets();
    let save = || {
        let server = ["save-catalog", "--postgres-bin", it.bin(), "--socket-directory", sockets.to_str().unwrap()];
        let user = lifeboat::engine::rehearsal::SUPERUSER;
        let who = ["--port", &port, "--user", user, "--database", lifeboat::engine::rehearsal::DATABASE];
        it.helper(&[&server[..], &who, &["--safety", it.safety.to_str().unwrap()]].concat()).unwrap()
    };
    assert_eq!(save()["slots"], "standby_b");
    let same = it.ask("settings-compared", &[]);
    assert_eq!(same.captures["differences"], "none", "{same:?}");
    it.lab.stop();
    assert!(save()["catalog"].starts_with("unknown: the server does not run"));
    it.restore(&["--delta", "--type=default", "--target-timeline=current"]);
    it.set_target("recovery_target_lsn", &target).unwrap();
    it.look();
    let report = it.ask("settings-compared", &[]);
    let captured = |name: &str| report.captures[name].as_str();
    assert!(captured("settings").contains("work_mem was '78848'"), "{report:?}");
    assert_eq!(captured("slots"), "standby_b (physical)");
    assert!(captured("sequences").contains("public.numbers was at 5000, is at 100"), "{report:?}");
    assert!(captured("tables").contains("the table public.later is gone"), "{report:?}");
    assert!(report.holds());
}
