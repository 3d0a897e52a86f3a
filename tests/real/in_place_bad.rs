//! Bad input of a recovery in place: what is wrong is said, with what to do; nothing is lost, and once it is mended it goes
//! on.

use crate::incident_driver::{Incident, PROBE, ROWS, archived, held, paused, said_of};
use crate::lab::{self, Lab};
use crate::told::{self, Mounted, edit, make_directory};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Production's directory is moved away while something else stands in its place.
struct Aside {
    place: PathBuf,
    real: PathBuf,
}

impl Aside {
    fn of(lab: &Lab) -> Aside {
        let aside = Aside { place: lab.layout.production(), real: lab.home().join("real") };
        fs::rename(&aside.place, &aside.real).unwrap();
        aside
    }

    fn back(self) {
        if self.place.is_symlink() {
            fs::remove_file(&self.place).unwrap();
        } else {
            fs::remove_dir_all(&self.place).unwrap();
        }
        fs::rename(self.real, self.place).unwrap();
    }
}

fn owned(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) {
    lab::assert_done(&lab::as_owner(program).args(arguments).output().unwrap(), &arguments.join(" "));
}

#[test]
fn a_directory_that_is_not_the_stanzas_is_refused_before_anything_is_stopped() {
    let it = Incident::new();
    it.lab.stop();
    let production = it.lab.layout.production();
    let refused = |words: &[&str]| {
        let drill = it.recover(&[]);
        drill.failed_at("cluster", &[]);
        let said = said_of(&drill, "cluster");
        words.iter().for_each(|word| assert!(said.contains(word), "'{word}' is not in: {said}"));
        assert_eq!(drill.gates, Vec::<String>::new());
    };

    let aside = Aside::of(&it.lab);
    std::os::unix::fs::symlink(&aside.real, &aside.place).unwrap();
    refused(&["is a symbolic link", "Name the directory it leads to"]);
    aside.back();

    let aside = Aside::of(&it.lab);
    make_directory(&production);
    fs::write(production.join("holiday.jpg"), "whose?").unwrap();
    refused(&["is not empty and holds no cluster", "Look at what it is"]);
    assert_eq!(fs::read_to_string(production.join("holiday.jpg")).unwrap(), "whose?");
    aside.back();

    // A standby: the wrong host.
    fs::write(production.join("standby.signal"), "").unwrap();
    refused(&["it is a standby", "Recover where production is"]);
    fs::remove_file(production.join("standby.signal")).unwrap();

    // Another cluster, whose server runs on a socket of its own.
    let aside = Aside::of(&it.lab);
    let data = production.to_str().unwrap();
    let [initdb, pg_ctl] = ["initdb", "pg_ctl"].map(|name| it.lab.marker.bin_directory.join(name));
    owned(&initdb, &["-N", "-A", "trust", "-U", "postgres", "-D", data]);
    let control = fs::read(production.join("global/pg_control")).unwrap();
    let options = format!("-c listen_addresses= -c unix_socket_directories={}", it.lab.home().display());
    owned(&pg_ctl, &["start", "-s", "-w", "-D", data, "-l", "/dev/null", "-o", &options]);
    let pid = fs::read_to_string(production.join("postmaster.pid")).unwrap();
    let another = || {
        let told = it.ask(&it.lab.layout.settings(), &[]);
        told.refused(2, &["no repository has a database with production's system identifier", "another cluster"]);
    };
    another();
    assert_eq!(fs::read_to_string(production.join("postmaster.pid")).unwrap(), pid, "its server goes on");
    owned(&pg_ctl, &["stop", "-s", "-w", "-m", "immediate", "-D", data]);
    aside.back();

    // Production's files with the control file of another cluster.
    let own = production.join("global/pg_control");
    let kept = fs::read(&own).unwrap();
    fs::write(&own, control).unwrap();
    another();
    fs::write(&own, kept).unwrap();
    it.lab.start();
    assert_eq!(it.lab.sql("SELECT count(*) FROM ledger"), "0");
}

/// The disk is a mount point and too small; the control file went with the data, so that only WAL knows that
/// max_connections had been raised.
#[test]
fn a_lost_cluster_is_restored_through_a_full_disk_and_limits_that_are_too_low() {
    let it = Incident::after(|lab| {
        lab.sql("ALTER SYSTEM SET max_connections = 90");
        lab.stop();
        lab.start();
    });
    it.lab.stop();
    let (production, disk) = (it.lab.layout.production(), it.lab.home().join("disk"));
    let _disk = Mounted::memory(&disk, 220);
    make_directory(&disk.join("data"));
    fs::rename(&production, it.lab.home().join("lost")).unwrap();
    make_directory(&production);
    let bound = Mounted::bound(&disk.join("data"), &production);
    let filler = disk.join("filler");
    fs::write(&filler, vec![0; 200 << 20]).unwrap();
    let mut drill = it.recover(&["-p", PROBE]);
    held(&drill, "restore", &["No space left on device"]);
    assert!(drill.run.values["cluster.mount-points"].contains("production"));
    fs::remove_file(&filler).unwrap();
    it.again(&mut drill, "restore");

    held(&drill, "paused", &["max_connections = 40 is a lower setting", "90"]);
    it.answer(&["abort", drill.run.id.as_str()]);
    drop(bound);
}

#[test]
fn a_transaction_with_a_hundred_subtransactions_at_the_start_of_replay_refuses_the_look() {
    let it = Incident::after(|lab| {
        let mut many = String::from("BEGIN; CREATE TABLE many (i int);");
        (0..100).for_each(|number| many.push_str(&format!("SAVEPOINT s{number}; INSERT INTO many VALUES ({number});")));
        let mut open = lab::as_owner(lab.marker.bin_directory.join("psql"))
            .args(["-X", "-q", "-h", lab.layout.sockets().to_str().unwrap(), "-p", &lab.marker.port.to_string()])
            .args(["-U", "postgres", "-d", "shop"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let input = open.stdin.as_mut().unwrap();
        input.write_all(many.as_bytes()).unwrap();
        input.write_all(b"\nSELECT pg_advisory_lock(7);\n").unwrap();
        input.flush().unwrap();
        lab::wait_until("the transaction is open", || {
            lab.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "1"
        });
        lab.pgbackrest(&["--repo=1", "--type=incr", "backup"]);
        drop(open.stdin.take());
        open.wait().unwrap();
    });
    let mut drill = it.recover(&["-p", PROBE]);
    held(&drill, "redo", &["inside an overflowed snapshot", "would promote"]);
    assert_eq!(drill.state("look").attempt, 0, "never started");
    it.give_up(&mut drill);
}

/// Debian's layout by hand, a tablespace, and every setting that has turned a look into something else.
#[test]
fn a_configuration_elsewhere_with_settings_that_end_a_pause_is_recovered_all_the_same() {
    let it = Incident::after(|lab| {
        let (production, etc, place) = (lab.layout.production(), lab.home().join("etc"), lab.home().join("space"));
        make_directory(&etc);
        make_directory(&place);
        lab.sql(&format!("CREATE TABLESPACE space LOCATION '{}'", place.display()));
        lab.sql("CREATE TABLE stock TABLESPACE space AS SELECT generate_series(1, 500) AS item");
        lab.sql("ALTER SYSTEM SET hot_standby = off");
        lab.sql("ALTER SYSTEM SET logging_collector = on");
        lab.sql(&format!("ALTER SYSTEM SET recovery_end_command = 'touch {}/ended'", etc.display()));
        lab.sql(&format!("ALTER SYSTEM SET promote_trigger_file = '{}/trigger'", etc.display()));
        lab.stop();
        for name in ["postgresql.conf", "pg_hba.conf", "pg_ident.conf"] {
            owned("mv", &[production.join(name).to_str().unwrap(), etc.to_str().unwrap()]);
        }
        let conf = etc.join("postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(&conf).unwrap();
        let data = production.display();
        let own = etc.display();
        writeln!(file, "data_directory = '{data}'\nhba_file = '{own}/pg_hba.conf'\nident_file = '{own}/pg_ident.conf'")
            .unwrap();
        let start = ["start", "-s", "-w", "-D", etc.to_str().unwrap(), "-l", "/dev/null"];
        owned(lab.marker.bin_directory.join("pg_ctl"), &start);
        lab.pgbackrest(&["--repo=1", "--type=incr", "backup"]);
    });
    let etc = it.lab.home().join("etc");
    let mut drill = it.recover(&["-p", PROBE]);
    paused(&drill);
    let started = drill.folder.join("journal.jsonl");
    let config = format!("config_file={}/postgresql.conf", etc.display());
    assert!(fs::read_to_string(started).unwrap().contains(&config));
    // Whoever makes the trigger file ends nothing.
    fs::write(etc.join("trigger"), "").unwrap();
    it.answer(&["decide", drill.run.id.as_str(), "inspect", "forward", &format!("target={}", it.target)]);
    it.go_on(&mut drill);
    held(&drill, "forward-guards", &["last pause"]);
    fs::remove_file(etc.join("trigger")).unwrap();
    let target = format!("target={}", it.target);
    it.decide(&mut drill, &["back", &target]);
    paused(&drill);
    assert_eq!(drill.run.values["seen.in_recovery"], "t");
    it.promote(&mut drill);
    assert_eq!(it.lab.sql("SELECT count(*) FROM stock"), "500");
    assert!(!etc.join("ended").exists(), "recovery_end_command was never run");
}

/// WAL that one repository lost, a server that something starts again, and one that was killed.
#[test]
fn what_starts_the_server_in_the_middle_is_told_and_nothing_is_overwritten_under_it() {
    let it = Incident::new();
    let production = it.lab.layout.production();
    let segment = it.lab.sql(&format!("SELECT pg_walfile_name('{}')", it.target));
    let pid = fs::read_to_string(production.join("postmaster.pid")).unwrap();
    crate::kills_support::kill(pid.lines().next().unwrap().parse().unwrap(), rustix::process::Signal::KILL);
    lab::wait_until("the server and its children are gone", || lab::processes_naming(&production).is_empty());
    assert!(production.join("postmaster.pid").exists());
    fs::remove_file(&archived(&it.lab, 1, &segment)[0]).unwrap();

    let settings = it.lab.layout.settings();
    let mut drill = it.recover_with(&settings, &["-p", PROBE, "-p", "how=copy", "--approve", "fence=main"]);
    assert_eq!(drill.run.open_gate().unwrap().0.id.as_str(), "overwrite", "{:?}", drill.told);
    assert!(production.join("postmaster.pid.stale").exists());
    let findings = &drill.state("aim").result.as_ref().unwrap().findings;
    let told = format!("repo1 lacks WAL on the way, {segment}: it is taken from another repository");
    assert!(findings.iter().any(|finding| finding.holds && finding.what == told), "{told} is not in {findings:?}");
    // A manager that nobody asked.
    it.lab.start();
    it.lab.sql("INSERT INTO ledger VALUES (1000)");
    it.go_on(&mut drill);
    held(&drill, "left-alone", &["accepted writes", "runs on it"]);
    // Who overwrites it all the same does so under no running server.
    it.resolve(&mut drill, "left-alone", "done");
    let step = drill.run.held().next().map(|(step, _)| step.id.to_string()).unwrap_or_default();
    let said = said_of(&drill, &step);
    assert!(["ready", "restore"].contains(&step.as_str()) && said.contains("postmaster.pid"), "{step}: {said}");
    assert_eq!(it.lab.sql("SELECT max(entry) FROM ledger"), "1000", "the server goes on");
    it.lab.stop();
    fs::remove_dir_all(drill.directory().join("safety/pg_wal").join(&segment)).ok();
    it.again(&mut drill, &step);
    paused(&drill);
    it.give_up(&mut drill);
}

#[test]
fn a_passphrase_that_is_wrong_holds_until_it_is_right() {
    let it = Incident::new();
    let config = it.lab.layout.pgbackrest_config();
    let whole = fs::read_to_string(&config).unwrap();
    let secret = whole.lines().find_map(|line| line.strip_prefix("repo2-cipher-pass=")).unwrap().to_owned();
    it.shorten();
    edit(&config, &secret, "wrongwrongwrong");
    it.ask(&it.lab.layout.settings(), &["-p", "repository=2"]).refused(2, &["repo2"]);
    let mut drill = it.recover(&["-p", PROBE]);
    held(&drill, "archived", &["repo2", "can't be read"]);
    assert!(!drill.told.said.contains("wrongwrongwrong"));
    assert_eq!(it.lab.sql("SELECT count(*) FROM ledger"), "0", "production still runs");
    fs::write(&config, &whole).unwrap();
    it.lab.wait_archived();
    it.again(&mut drill, "archived");
    paused(&drill);
    assert_eq!(drill.run.values["probe.answer"], format!("count␊{ROWS}"));
    // A stray timeline that only one repository has.
    let history = archived(&it.lab, 1, "00000001")[0].parent().unwrap().with_file_name("00000002.history");
    let text = "1\t0/3000000\tno recovery target specified\n";
    fs::write(&history, text).unwrap();
    it.decide(&mut drill, &["promote"]);
    held(&drill, "history-free", &["00000002.history is in repo1 and not in the other repositories"]);
    assert_eq!(fs::read_to_string(&history).unwrap(), text);
    fs::remove_file(&history).unwrap();
    it.resolve_to_gate(&mut drill, "history-free");
    assert_eq!(drill.run.open_gate().unwrap().0.id.as_str(), "promote-gate");
    it.answer(&["abort", drill.run.id.as_str()]);
}

/// Two who recover at once, and two who answer one gate.
#[test]
fn of_two_operators_one_is_heard() {
    let it = Incident::new();
    let settings = it.lab.layout.settings();
    let drill = it.recover_with(&settings, &[]);
    let id = drill.run.id.to_string();
    assert_eq!(drill.run.open_gate().unwrap().0.id.as_str(), "fence");
    let second = it.ask(&settings, &["--approve", "fence=main"]);
    second.refused(2, &[&format!("run {id} works in"), &format!("lifeboat attach {id}")]);
    assert_eq!(told::runs(&it.lab).len(), 1);
    assert_eq!(it.sql_in_postgres("ALTER DATABASE shop RENAME TO hidden"), "");
    let start = || -> std::process::Child {
        let mut command: Command = lab::lifeboat();
        command.arg("--settings").arg(&settings).args(["approve", &id, "fence", "main"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    assert_eq!(both.iter().filter(|output| output.status.success()).count(), 1, "{both:?}");
    let loser = both.iter().find(|output| !output.status.success()).unwrap();
    let said = crate::kills_support::text(loser);
    assert!(said.contains("is not a gate that waits") || said.contains("has no gate 'fence' that waits"), "{said}");
    drop(drill);
    catalog_that_cannot_be_read(&it);
}

/// What is compared afterwards can't be noted.
fn catalog_that_cannot_be_read(it: &Incident) {
    let folder = told::runs(&it.lab).remove(0);
    let mut drill = told::Drill::of(told::lifeboat(&it.lab, &["status"]), folder);
    it.follow(&mut drill);
    held(&drill, "catalog", &["does not exist"]);
    assert_eq!(it.sql_in_postgres("ALTER DATABASE hidden RENAME TO shop"), "");
    assert_eq!(it.lab.sql("SELECT count(*) FROM ledger"), "0", "production still runs");
    it.resolve_to_gate(&mut drill, "catalog");
    assert_eq!(drill.run.open_gate().unwrap().0.id.as_str(), "overwrite");
    it.answer(&["abort", drill.run.id.as_str()]);
}
