//! Recovery in place of a cluster that Debian's tools manage, with the tools themselves: found, stopped, held and handed back.

use crate::driven::Driven;
use crate::lab::{self, Lab, as_owner};
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

const VERSION: &str = "15";

/// The practice cluster, taken over by Debian's tools: its configuration lies in `/etc/postgresql`.
struct Debian {
    name: String,
}

impl Debian {
    /// As `pg_createcluster` integrates a cluster that is there.
    fn take_over(lab: &Lab) -> Debian {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let cluster = Debian { name: format!("lifeboat_{}_{number}", std::process::id()) };
        lab.stop();
        let (production, sockets, log) = (lab.layout.production(), lab.layout.sockets(), lab.layout.server_log());
        let output = Command::new("pg_createcluster")
            .args([VERSION, &cluster.name, "--start-conf", "manual"])
            .args(["-p", &lab.marker.port.to_string()])
            .arg("-d")
            .arg(&production)
            .arg("-s")
            .arg(&sockets)
            .arg("-l")
            .arg(&log)
            .output()
            .unwrap();
        lab::assert_done(&output, "pg_createcluster");
        assert!(!production.join("postgresql.conf").exists(), "its configuration was moved");
        lab::assert_done(&cluster.control("start"), "pg_ctlcluster start");
        cluster
    }

    fn control(&self, action: &str) -> Output {
        as_owner("pg_ctlcluster").args([VERSION, &self.name, action]).output().unwrap()
    }

    /// Somebody starts it in the middle.
    fn is_refused(&self) {
        let output = self.control("start");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("Cluster is disabled"), "{output:?}");
    }

    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from("/etc/postgresql").join(VERSION).join(&self.name).join(name)
    }

    /// The server that runs is one that `pg_ctlcluster` started, and it may be started again.
    fn has_it_back(&self, lab: &Lab, start_conf: &str) {
        assert_eq!(fs::read_to_string(self.file("start.conf")).unwrap(), start_conf);
        assert!(!self.file("start.conf.before-recovery").exists());
        let command = fs::read_to_string(lab.layout.production().join("postmaster.opts")).unwrap();
        let config = format!("config_file={}", self.file("postgresql.conf").display());
        assert!(command.contains(&config) && command.contains("external_pid_file"), "{command}");
        lab::assert_done(&self.control("status"), "pg_ctlcluster status");
        lab.wait_archived();
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        let _ = Command::new("pg_dropcluster").args(["--stop", VERSION, &self.name]).output();
    }
}

/// Debian's tools make a cluster in `/etc/postgresql` for root and for the owner of that place.
fn may_make_clusters() -> bool {
    let may = rustix::fs::access("/etc/postgresql", rustix::fs::Access::WRITE_OK).is_ok();
    if !may {
        assert!(std::env::var_os("LIFEBOAT_CI").is_none(), "pg_ctlcluster has to be shown here: run as root");
        let text = "NOT SHOWN: recovery through pg_ctlcluster (/etc/postgresql can't be written; run as root)\n";
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    may
}

/// The gate that waits.
#[track_caller]
fn gate(run: &Driven<'_>) -> String {
    run.run.open_gate().map(|(step, _)| step.id.to_string()).unwrap_or_else(|| panic!("no gate waits: {}", run.why()))
}

#[track_caller]
fn approve(run: &mut Driven<'_>, lab: &Lab, gate: &str) {
    lab::assert_done(&lab.run_lifeboat(&["approve", &run.id(), gate, "main"]), gate);
    run.attach();
}

/// Debian's cluster, archived, with a hundred entries in its ledger before the target and none behind it.
fn struck() -> (Lab, Debian, String) {
    let lab = lab::running();
    let debian = Debian::take_over(&lab);
    lab.sql("CREATE TABLE ledger AS SELECT generate_series(1, 100) AS entry");
    let target = lab.sql("SELECT pg_current_wal_insert_lsn()");
    lab.sql("DELETE FROM ledger");
    lab.wait_archived();
    (lab, debian, target)
}

#[test]
fn debians_cluster_is_stopped_held_and_handed_back_by_its_own_tools() {
    if !may_make_clusters() {
        return;
    }
    let (lab, debian, target) = struck();
    let start_conf = fs::read_to_string(debian.file("start.conf")).unwrap();

    let mut run = Driven::begin(&lab, &["pitr-in-place", "-p", &format!("target=lsn:{target}")]);
    assert_eq!(run.run.plan.parameters["manager"], "pg_ctlcluster");
    assert_eq!(run.run.values["managed.stop"], format!("pg_ctlcluster {VERSION} {} stop", debian.name));
    assert_eq!(gate(&run), "fence");
    approve(&mut run, &lab, "fence");
    assert_eq!(gate(&run), "overwrite");
    debian.is_refused();
    run.through_gates();
    assert_eq!(run.run.open_decision().unwrap().0.id.as_str(), "inspect");
    debian.is_refused();
    // Let go by somebody who read what is written in the file: a server is there, and its target can only stop another.
    fs::rename(debian.file("start.conf.before-recovery"), debian.file("start.conf")).unwrap();
    let again = debian.control("start");
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    run.decide(&["promote"]);
    run.ended("done");
    assert_eq!(lab.sql("SELECT count(*) FROM ledger"), "100");
    debian.has_it_back(&lab, &start_conf);

    // The way back goes through them as well.
    let mut undo = Driven::begin(&lab, &["pitr-undo"]);
    assert_eq!(gate(&undo), "fence");
    approve(&mut undo, &lab, "fence");
    assert_eq!(gate(&undo), "undo");
    debian.is_refused();
    undo.through_gates();
    undo.ended("done");
    assert_eq!(lab.sql("SELECT count(*) FROM ledger"), "0");
    debian.has_it_back(&lab, &start_conf);
    an_aborted_run_says_what_stays_held(&lab, &debian, &target, &start_conf);
}

/// It leaves the cluster disabled on purpose, and the old one aside: it says so, with the commands that undo it.
fn an_aborted_run_says_what_stays_held(lab: &Lab, debian: &Debian, target: &str, start_conf: &str) {
    let mut run = Driven::begin(lab, &["pitr-in-place", "-p", &format!("target=lsn:{target}")]);
    approve(&mut run, lab, "fence");
    assert_eq!(gate(&run), "overwrite");
    let output = lab.run_lifeboat(&["abort", &run.id()]);
    lab::assert_done(&output, "abort");
    let said = String::from_utf8(output.stdout).unwrap();
    let (held, before) = (debian.file("start.conf"), debian.file("start.conf.before-recovery"));
    let let_go = format!("mv {} {}", before.display(), held.display());
    for words in ["Still so on this host", " run pitr-undo", "says disabled", &let_go, "no server runs on"] {
        assert!(said.contains(words), "'{words}' is not in: {said}");
    }
    debian.is_refused();
    // As it says.
    let words: Vec<&str> = let_go.split(' ').collect();
    lab::assert_done(&as_owner(words[0]).args(&words[1..]).output().unwrap(), &let_go);
    let mut undo = Driven::begin(lab, &["pitr-undo"]);
    undo.through_gates();
    undo.ended("done");
    assert_eq!(lab.sql("SELECT count(*) FROM ledger"), "0");
    debian.has_it_back(lab, start_conf);
    let output = lab.run_lifeboat(&["attach", &run.id()]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!said.contains("Still so on this host"), "{said}");
}

/// The commands below "Still so on this host", in their order, and whether root is to do them.
fn printed(said: &str) -> Vec<(bool, String)> {
    let below = said.lines().skip_while(|line| !line.contains("Still so on this host")).skip(1);
    let lines = below.take_while(|line| line.starts_with("   ")).filter_map(|line| line.strip_prefix("     "));
    // what is hung below a bullet is a command, or a line of the bullet's own words
    let command = |line: &str| match line.strip_prefix("as root: ") {
        Some(command) => Some((true, command.to_owned())),
        None => line.starts_with("mv ").then(|| (false, line.to_owned())),
    };
    lines.filter_map(command).collect()
}

#[test]
fn what_an_aborted_run_holds_is_let_go_by_the_commands_that_it_prints() {
    if !may_make_clusters() {
        return;
    }
    let (lab, debian, target) = struck();
    let start_conf = fs::read_to_string(debian.file("start.conf")).unwrap();
    // nothing is kept: the only way back is to start it again
    let mut run = Driven::begin(&lab, &["pitr-in-place", "-p", &format!("target=lsn:{target}"), "-p", "how=none"]);
    approve(&mut run, &lab, "fence");
    assert_eq!(gate(&run), "overwrite", "{}", run.why());
    let aborted = lab.run_lifeboat(&["abort", &run.id()]);
    lab::assert_done(&aborted, "abort");
    let said = String::from_utf8(aborted.stdout).unwrap();
    debian.is_refused();
    let (held, before) = (debian.file("start.conf"), debian.file("start.conf.before-recovery"));
    let commands = printed(&said);
    let wanted = [
        (false, format!("mv {} {}", before.display(), held.display())),
        (true, format!("pg_ctlcluster {VERSION} {} start", debian.name)),
    ];
    assert_eq!(commands, wanted, "{said}");
    for (as_root, command) in commands {
        let mut shell = if as_root { Command::new("sh") } else { as_owner("sh") };
        lab::assert_done(&shell.args(["-c", &command]).output().unwrap(), &command);
    }
    debian.has_it_back(&lab, &start_conf);
    assert_eq!(lab.sql("SELECT count(*) FROM ledger"), "0");
    let attached = lab.run_lifeboat(&["attach", &run.id()]);
    let said = String::from_utf8_lossy(&attached.stdout).into_owned();
    assert!(said.contains("ABORTED") && !said.contains("Still so on this host"), "{said}");
}
