//! The ways to keep the old cluster other than by rename, each with the way back that it promises; and a restore that was
//! cut short, carried on by another run.

use crate::in_place_support as in_place;
use crate::incident_driver::{Incident, PROBE, held, paused, said_of};
use crate::lab;
use crate::told::{Mounted, make_directory};
use std::fs;

#[test]
fn each_way_to_keep_has_the_way_back_that_it_promises() {
    // What is promoted at the end archives into its own repositories.
    let it = Incident::after(in_place::backup);
    let disk = it.lab.home().join("disk");
    let _disk = Mounted::memory(&disk, 400);

    // A copy on another file system; the set, with its list of files, comes from the encrypted repository.
    let kept = format!("kept={}", disk.join("pg").display());
    let mut drill = it.recover(&["-p", PROBE, "-p", "how=elsewhere", "-p", &kept, "-p", "repository=2"]);
    paused(&drill);
    let value = |name: &str| drill.run.values[name].as_str();
    assert!(drill.state("whole").status.word() == "done" && value("goal.repository") == "2");
    assert!(value("keep.kept-at").starts_with(disk.join("pg").to_str().unwrap()), "{}", value("keep.kept-at"));
    assert!(value("room.cost").contains("the way back copies everything again"), "{}", value("room.cost"));
    assert!(value("room.others").contains("rename: about"), "{}", value("room.others"));
    assert!(value("keep.way-back").contains("copied back, in about"), "{}", value("keep.way-back"));
    let record = drill.run.values["keep.record"].clone();
    let undo = || {
        let told = crate::told::lifeboat(&it.lab, &["plan", "pitr-undo", "--json"]);
        let plan: serde_json::Value = serde_json::from_str(&told.said).unwrap_or_else(|_| panic!("{told:?}"));
        plan["parameters"]["record"].as_str().unwrap().to_owned()
    };
    assert_eq!(undo(), record, "it is found where it is, too");
    it.give_up(&mut drill);
    assert_eq!(undo(), "none", "it is back");

    // A standby as the copy: which one has to be said, and stopped.
    let unnamed = it.recover(&["-p", "how=standby"]);
    unnamed.failed_at("room", &[]);
    let said = said_of(&unnamed, "room");
    assert!(said.contains("does not say which standby is the copy"), "{said}");
    let named = ["-p", PROBE, "-p", "how=standby", "-p", "kept=db2:/srv/main"];
    let mut drill = it.recover(&[&named[..], &["--approve", "stop-standby=stopped"]].concat());
    paused(&drill);
    assert!(drill.gates.contains(&"stop-standby".to_owned()), "{:?}", drill.gates);
    assert_eq!(drill.run.values["keep.kept-at"], "db2:/srv/main");
    assert!(drill.run.values["room.way-back"].contains("start it and promote it"));
    // Nothing is here to be brought back, and nothing is stopped for it.
    it.answer(&["decide", drill.run.id.as_str(), "inspect", "give-up"]);
    it.follow(&mut drill);
    held(&drill, "kept-there", &["nothing was kept here"]);
    assert_eq!(in_place::ask(&it.lab, "SELECT count(*) FROM ledger"), "100", "it still pauses");
    it.answer(&["abort", drill.run.id.as_str()]);
    it.follow(&mut drill);

    // Only WAL: the way back is a replay to the end, in the same run.
    let mut drill = it.recover(&["-p", PROBE, "-p", "how=none"]);
    paused(&drill);
    let way_back = drill.run.values["room.way-back"].clone();
    assert!(way_back.contains("no copy") && way_back.contains("in about"), "{way_back}");
    assert!(!drill.gates.contains(&"stop-standby".to_owned()), "{:?}", drill.gates);
    it.decide(&mut drill, &["back", "target=latest"]);
    assert_eq!(drill.run.values["probe.answer"], "count␊0");
    it.decide(&mut drill, &["promote"]);
    drill.done();
    assert_eq!(it.lab.sql("SELECT count(*) FROM ledger"), "0", "as it was after the accident");
}

/// A standby of production on this host, whose server is started and stopped by the test.
struct Standby<'i> {
    it: &'i Incident,
    data: std::path::PathBuf,
}

impl Standby<'_> {
    fn of(it: &Incident) -> Standby<'_> {
        let lab = &it.lab;
        let standby = Standby { it, data: lab.home().join("standby") };
        let (sockets, port) = (lab.layout.sockets(), lab.marker.port.to_string());
        let connection = format!("host={} port={port} user=postgres application_name=b", sockets.display());
        let output = lab::as_owner(lab.marker.bin_directory.join("pg_basebackup"))
            .args(["-R", "-c", "fast", "-X", "stream", "-d", &connection, "-D"])
            .arg(&standby.data)
            .output();
        lab::assert_done(&output.unwrap(), "pg_basebackup");
        standby
    }

    fn control(&self, arguments: &[&str]) {
        let lab = &self.it.lab;
        let options = format!("-c port=5498 -c listen_addresses= -c unix_socket_directories={}", lab.home().display());
        let more: &[&str] = if arguments[0] == "start" { &["-o", &options, "-l", "/dev/null"] } else { &[] };
        let output = lab::as_owner(lab.marker.bin_directory.join("pg_ctl"))
            .args(arguments)
            .args(["-s", "-w", "-D"])
            .arg(&self.data)
            .args(more)
            .output();
        lab::assert_done(&output.unwrap(), "pg_ctl");
    }

    fn start(&self) {
        self.control(&["start"]);
        let question = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND application_name = 'b'";
        lab::wait_until("it streams", || self.it.lab.sql(question) == "1");
    }

    fn stop(&self) {
        self.control(&["stop", "-m", "fast"]);
    }
}

#[test]
fn a_standby_is_the_copy_only_where_it_has_everything() {
    let it = Incident::after(in_place::backup);
    // It has nothing but production to get WAL from, and gets on after a while.
    it.lab.sql("ALTER SYSTEM SET wal_keep_size = '512MB'");
    it.lab.sql("SELECT pg_reload_conf()");
    let standby = Standby::of(&it);
    standby.start();
    standby.stop();
    // What it never gets.
    it.lab.sql("CREATE TABLE later AS SELECT 1 AS one");
    let kept = format!("kept=localhost:{}", standby.data.display());
    let named = ["-p", PROBE, "-p", "how=standby", "-p", &kept, "--approve", "stop-standby=stopped"];
    let mut drill = it.recover(&named);
    let production = in_place::control(&it.lab, "Latest checkpoint location:");
    held(
        &drill,
        "standby-whole",
        &["has not everything", &format!("last checkpoint is at {production}"), "replayed to"],
    );
    assert_eq!(drill.run.values["stopped.checkpoint"], production, "it is shown where the standby is elsewhere");
    it.answer(&["abort", drill.run.id.as_str()]);
    it.follow(&mut drill);
    it.lab.start();
    assert_eq!(it.lab.sql("SELECT count(*) FROM later"), "1");

    standby.start();
    let mut drill = it.recover(&named);
    held(&drill, "standby-whole", &["still runs"]);
    assert!(drill.run.values["hangs.standbys"].contains("b at socket (streaming, async, "), "{:?}", drill.run.values);
    standby.stop();
    it.again(&mut drill, "standby-whole");
    paused(&drill);
    let production = drill.run.values["stopped.checkpoint"].clone();
    assert_eq!(drill.run.values["standby-whole.compared"], format!("yes: both at {production}"));
    it.answer(&["abort", drill.run.id.as_str()]);
    // It is the way back: promoted it has what production had.
    standby.control(&["start"]);
    standby.control(&["promote"]);
    let output = lab::as_owner(it.lab.marker.bin_directory.join("psql"))
        .args(["-X", "-A", "-t", "-h", it.lab.home().to_str().unwrap(), "-p", "5498", "-U", "postgres", "-d", "shop"])
        .args(["-c", "SELECT concat((SELECT count(*) FROM later), ' ', (SELECT count(*) FROM ledger))"])
        .output()
        .unwrap();
    lab::assert_done(&output, "psql");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "1 0");
    standby.stop();
}

/// What is mounted can't be renamed: every way that is open is named with what it takes before anything is stopped, and a
/// copy elsewhere has its way back all the same.
#[test]
fn a_cluster_on_a_mount_point_is_kept_as_a_copy_and_copied_back() {
    let it = Incident::after(in_place::backup);
    let (production, disk, other) =
        (it.lab.layout.production(), it.lab.home().join("disk"), it.lab.home().join("other"));
    it.lab.stop();
    let _disk = Mounted::memory(&disk, 400);
    let _other = Mounted::memory(&other, 400);
    lab::assert_done(&lab::as_owner("cp").arg("-a").arg(&production).arg(disk.join("pg")).output().unwrap(), "cp");
    fs::rename(&production, it.lab.home().join("before")).unwrap();
    make_directory(&production);
    let _bound = Mounted::bound(&disk.join("pg"), &production);
    it.lab.start();

    let unsaid = it.recover(&[]);
    unsaid.failed_at("room", &[]);
    let said = said_of(&unsaid, "room");
    for words in ["no way to keep the old cluster is open", "-p kept=DIRECTORY", "-p how=standby", "-p how=none"] {
        assert!(said.contains(words), "'{words}' is not in: {said}");
    }
    let findings = |drill: &crate::told::Drill, step: &str| -> String {
        drill
            .state(step)
            .result
            .as_ref()
            .unwrap()
            .findings
            .iter()
            .map(|finding| format!("{}\n", finding.what))
            .collect()
    };
    let told = findings(&unsaid, "room") + &findings(&unsaid, "cluster");
    for words in ["is a mount point: what is mounted can't be renamed", "none: about", "by a standby, or not at all"] {
        assert!(told.contains(words), "'{words}' is not in: {told}");
    }
    assert_eq!(it.lab.sql("SELECT count(*) FROM ledger"), "0", "production still runs");

    let kept = format!("kept={}", other.join("pg").display());
    let mut drill = it.recover(&["-p", PROBE, "-p", &kept]);
    paused(&drill);
    let cost = drill.run.values["room.cost"].clone();
    assert!(cost.contains("copies what is in place aside") && cost.contains("as much room"), "{cost}");
    it.give_up(&mut drill);
    // It lies where it lay, and what was restored lies beside what was kept.
    assert!(fs::read_dir(disk.join("pg")).unwrap().any(|entry| entry.unwrap().file_name() == "PG_VERSION"));
    let aside = std::path::PathBuf::from(&drill.run.values["keep.kept-at"]).join("aside/content");
    assert!(aside.join("PG_VERSION").exists() && !aside.join("global/pg_control").exists(), "{}", aside.display());
    it.lab.wait_archived();
}

/// What a restore leaves that was killed: its list, and the control file under another name. Where exactly a kill strikes
/// can't be told beforehand, so what it leaves is made of a whole one.
#[test]
fn an_unfinished_restore_of_somebody_else_is_recognised_and_carried_on() {
    let it = Incident::new();
    it.lab.stop();
    let production = it.lab.layout.production();
    it.lab.pgbackrest(&["--repo=1", "--delta", "restore"]);
    let info = it.lab.pgbackrest(&["--repo=1", "info", "--output=json"]);
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let set = info[0]["backup"].as_array().unwrap().last().unwrap()["label"].as_str().unwrap().to_owned();
    let manifest = it.lab.pgbackrest(&["--repo=1", "repo-get", &format!("backup/main/{set}/backup.manifest")]);
    fs::write(production.join("backup.manifest"), manifest).unwrap();
    fs::rename(production.join("global/pg_control"), production.join("global/pg_control.pgbackrest.tmp")).unwrap();
    fs::remove_file(production.join("base/5/2619")).unwrap();

    let drill = it.recover(&["-p", PROBE]);
    paused(&drill);
    let findings = |step: &str| {
        let findings = &drill.state(step).result.as_ref().unwrap().findings;
        findings.iter().map(|finding| format!("{}\n", finding.what)).collect::<String>()
    };
    let told = findings("cluster");
    for word in ["an unfinished restore lies here (backup.manifest and global/pg_control.pgbackrest.tmp)", "carried on"]
    {
        assert!(told.contains(word), "'{word}' is not in: {told}");
    }
    let told = findings("room");
    assert!(told.contains("there is no cluster to keep, and --delta keeps what was copied"), "{told}");
    assert_eq!(drill.run.values["keep.kept-at"], "none");
    assert!(production.join("base/5/2619").exists(), "--delta brought it back");
    let beside = fs::read_dir(production.parent().unwrap()).unwrap();
    let beside: Vec<_> = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!beside.iter().any(|name| name.contains(".kept-")), "{beside:?}");
    it.answer(&["abort", drill.run.id.as_str()]);
}
