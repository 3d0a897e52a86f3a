//! Failures that are made on purpose in a recovery in place: each is told as what it is, and none as done.

use crate::incident_driver::{Incident, PROBE, ROWS, archived, held, paused, said_of};
use crate::lab::{self, Lab};
use crate::told::{self, Drill};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// What stands in for pgbackrest; what it does is read from a file each time.
struct Liar {
    settings: PathBuf,
    mode: PathBuf,
}

impl Liar {
    /// Passes everything on, but for one command that it says to have done well.
    fn new(it: &Incident) -> Liar {
        let lab = &it.lab;
        let (real, production) = (lab.marker.pgbackrest.display(), lab.layout.production());
        let (program, mode, other) = (lab.home().join("liar"), lab.home().join("mode"), lab.home().join("other"));
        let (data, others) = (production.display(), other.display());
        let text = format!(
            "#!/bin/sh
for last; do :; done
case \"$(cat {mode}) $last\" in
'nothing restore') echo 'P00 INFO: restore command end: completed successfully'; exit 0 ;;
'half restore') {real} \"$@\"; rm -f {data}/global/pg_control; exit 0 ;;
'other restore') {real} \"$@\"; cat {others}/global/pg_control > {data}/global/pg_control; exit 0 ;;
'gap restore') {real} \"$@\"; rm -f {data}/base/5/2619; : > {data}/base/5/2618; exit 0 ;;
'open restore') {real} \"$@\"; chmod 0777 {data}; exit 0 ;;
'well check') echo 'P00 INFO: check command end: completed successfully'; exit 0 ;;
esac
exec {real} \"$@\"
",
            mode = mode.display()
        );
        fs::write(&program, text).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let settings = lab.layout.directory.join("liar.toml");
        let plain = fs::read_to_string(lab.layout.settings()).unwrap();
        let (from, to) = (format!("binary = \"{real}\""), format!("binary = \"{}\"", program.display()));
        assert!(plain.contains(&from), "{plain}");
        fs::write(&settings, plain.replace(&from, &to)).unwrap();
        let liar = Liar { settings, mode };
        liar.says("true");
        liar
    }

    fn says(&self, mode: &str) {
        fs::write(&self.mode, mode).unwrap();
    }
}

fn end_of_server(directory: &Path) {
    let pid = fs::read_to_string(directory.join("postmaster.pid")).unwrap();
    crate::kills_support::kill(pid.lines().next().unwrap().parse().unwrap(), rustix::process::Signal::KILL);
    lab::wait_until("the server and its children are gone", || {
        lab::processes_naming(directory).iter().all(|process| !process.command.contains("postgres"))
    });
}

/// The settings in the newest set are those of this copy, so that what is restored archives to its own repositories.
fn with_own_settings(lab: &Lab) {
    lab.pgbackrest(&["--repo=1", "--type=incr", "backup"]);
}

#[track_caller]
fn back(it: &Incident, drill: &mut Drill) {
    it.decide(drill, &["back", &format!("target={}", it.target)]);
}

/// pgbackrest says each time that all went well.
#[test]
fn a_restore_that_only_says_it_was_done_is_found_out() {
    let it = Incident::after(with_own_settings);
    it.shorten();
    let liar = Liar::new(&it);
    let production = it.lab.layout.production();
    let other = it.lab.home().join("other");
    let initdb = ["-N", "-A", "trust", "-U", "postgres", "-D", other.to_str().unwrap()];
    lab::assert_done(
        &lab::as_owner(it.lab.marker.bin_directory.join("initdb")).args(initdb).output().unwrap(),
        "initdb",
    );

    // Nothing was restored.
    liar.says("nothing");
    let gates = ["--approve", "fence=main", "--approve", "overwrite=main"];
    let mut drill = it.recover_with(&liar.settings, &[&["-p", PROBE], &gates[..]].concat());
    assert_eq!(drill.state("restore").status.word(), "done", "the program said so");
    held(&drill, "control", &["exit code 1", "pg_control"]);
    // All but the control file.
    liar.says("half");
    back(&it, &mut drill);
    held(&drill, "control", &["exit code 1", "pg_control"]);
    // The control file of another cluster.
    liar.says("other");
    back(&it, &mut drill);
    held(&drill, "control", &["system_identifier"]);
    assert_eq!(drill.state("look").attempt, 0);
    // A table's file is left out, another is cut: the server would start.
    liar.says("gap");
    back(&it, &mut drill);
    // What lies there by now is nobody's leftover, and is named before it is overwritten.
    held(&drill, "left-alone", &["another cluster lies there"]);
    it.resolve(&mut drill, "left-alone", "done");
    held(&drill, "whole", &["files of the set are not there: base/5/2619", "of another size: base/5/2618 (0 bytes"]);
    // It ends with 0, and PostgreSQL with FATAL.
    liar.says("open");
    back(&it, &mut drill);
    held(&drill, "look", &["has invalid permissions"]);
    fs::set_permissions(&production, fs::Permissions::from_mode(0o700)).unwrap();
    it.again(&mut drill, "look");
    paused(&drill);

    // After the promotion nothing is archived.
    liar.says("true");
    let conf = production.join("postgresql.conf");
    let whole = fs::read_to_string(&conf).unwrap();
    let add = |line: &str| writeln!(fs::OpenOptions::new().append(true).open(&conf).unwrap(), "{line}").unwrap();
    let reload = || {
        let output = lab::as_owner(it.lab.marker.bin_directory.join("pg_ctl"))
            .args(["reload", "-D", production.to_str().unwrap()])
            .output()
            .unwrap();
        lab::assert_done(&output, "pg_ctl reload");
    };
    add("archive_command = '/bin/false pgbackrest'");
    reload();
    it.decide(&mut drill, &["promote"]);
    held(&drill, "archives", &["exit code 82", "was not archived"]);
    // And a check that says otherwise.
    liar.says("well");
    it.again(&mut drill, "archives");
    assert_eq!(drill.state("archives").status.word(), "done", "the program said so");
    held(&drill, "arrived", &["repo1 has no 0000000", "repo2 has no 0000000"]);
    fs::write(&conf, &whole).unwrap();
    reload();
    lab::wait_until("the archiver tries again", || archived_any(&it, 2, "00000002.history"));
    it.resolve_to_gate(&mut drill, "arrived");
    while drill.run.held().next().is_some() {
        it.resolve_to_gate(&mut drill, "arrived");
    }
    assert_eq!(drill.run.open_gate().unwrap().0.id.as_str(), "let-back");

    // Production's own settings keep it from starting.
    add("shared_preload_libraries = 'nosuch'");
    it.go_on(&mut drill);
    held(&drill, "start-server", &["could not start server"]);
    fs::write(&conf, &whole).unwrap();
    // What users need is not there: a commit would hang.
    add("synchronous_standby_names = 'gone'\narchive_mode = off");
    it.again(&mut drill, "start-server");
    held(&drill, "back", &["every commit waits for a standby", "archive_mode is off"]);
    fs::write(&conf, &whole).unwrap();
    it.lab.stop();
    it.lab.start();
    it.again(&mut drill, "back");
    drill.done();
    assert_eq!(it.lab.sql("SELECT count(*) FROM ledger"), "100");
}

fn archived_any(it: &Incident, repository: u32, begin: &str) -> bool {
    let folder = if repository == 1 { it.lab.layout.first_repository() } else { it.lab.layout.second_repository() };
    told::tree(&folder.join("archive/main")).iter().any(|name| name.contains(begin))
}

/// The server ends before the target, dies at the gate, and is never promoted for it.
#[test]
fn a_target_that_is_not_reached_is_not_promoted() {
    let it = Incident::after(with_own_settings);
    let segment = it.lab.sql(&format!("SELECT pg_walfile_name('{}')", it.target));
    let settings = it.lab.layout.settings();
    let mut drill = it.recover_with(&settings, &["-p", PROBE, "--approve", "fence=main"]);
    assert_eq!(drill.run.open_gate().unwrap().0.id.as_str(), "overwrite", "{:?}", drill.told);
    // Gone everywhere after it was looked for.
    let mut gone = vec![drill.directory().join("safety/pg_wal").join(&segment)];
    gone.extend([1, 2].map(|repository| archived(&it.lab, repository, &segment).remove(0)));
    let hidden = |file: &Path| it.lab.home().join(format!("hidden-{}", file.to_str().unwrap().replace('/', "-")));
    gone.iter().for_each(|file| fs::rename(file, hidden(file)).unwrap());
    it.go_on(&mut drill);
    // The copy that was made of it lacks what its list names.
    held(&drill, "place-wal", &[&segment]);
    it.resolve(&mut drill, "place-wal", "done");
    let step = drill.run.held().next().map(|(step, _)| step.id.to_string()).unwrap_or_default();
    assert!(["look", "consistent", "paused"].contains(&step.as_str()), "{step} {:?}", drill.told);
    let said = said_of(&drill, &step);
    assert!(said.contains("recovery ended before configured recovery target was reached"), "{said}");
    assert!(!drill.run.values.contains_key("probe.answer"));
    gone.iter().for_each(|file| fs::rename(hidden(file), file).unwrap());
    back(&it, &mut drill);
    paused(&drill);

    // It dies at the gate before the promotion.
    it.answer(&["decide", drill.run.id.as_str(), "inspect", "promote"]);
    it.follow(&mut drill);
    assert_eq!(drill.run.open_gate().unwrap().0.id.as_str(), "promote-gate");
    end_of_server(&it.lab.layout.production());
    it.go_on(&mut drill);
    assert_ne!(drill.run.outcome_word(), "done");
    let words: Vec<_> =
        drill.run.held().map(|(step, _)| (step.id.to_string(), said_of(&drill, step.id.as_str()))).collect();
    assert!(
        words.iter().any(|(_, said)| said.contains("signal 9") || said.contains("connection to server")),
        "{words:?}"
    );
    assert!(!drill.run.result.contains_key("promoted.timeline"));
    // Started again it replays first, and is promoted only where it was looked at.
    it.again(&mut drill, "look");
    let deadline = std::time::Instant::now() + crate::lab::PATIENCE;
    loop {
        let waits = drill.run.held().next().map(|(step, _)| step.id.to_string());
        let Some(step) = waits else { break };
        assert_eq!(step, "still", "{}", said_of(&drill, &step));
        assert!(std::time::Instant::now() < deadline, "{}", said_of(&drill, "still"));
        it.again(&mut drill, "still");
    }
    drill.done();
    assert_eq!(it.lab.sql("SELECT count(*) FROM ledger"), ROWS);
}

/// What is wrong with the aim is said before anything is stopped.
#[test]
fn an_aim_that_cannot_be_reached_stops_nothing() {
    let it = Incident::new();
    let settings = it.lab.layout.settings();
    for (wrong, words) in [
        (&["-p", "target=2026-11-22 02:13:00"][..], &["offset"][..]),
        (&["-p", "target=2099-01-01T00:00:00Z"], &["future"]),
        (&["-p", "target="], &["target"]),
        (&["-p", "target=yesterday"], &["yesterday"]),
        (&["-p", "set=20200101-000000F"], &["20200101-000000F"]),
        (&["-p", "timeline=7"], &["timeline 7"]),
        (&["-p", "repository=9"], &["9"]),
        (&["-p", "target=1970-01-01T00:00:00Z"], &["1970"]),
    ] {
        it.ask(&settings, wrong).refused(2, words);
    }
    assert!(told::runs(&it.lab).is_empty());

    let newest = it.lab.pgbackrest(&["--repo=1", "info", "--output=json"]);
    let newest: serde_json::Value = serde_json::from_str(&newest).unwrap();
    let newest = format!("set={}", newest[0]["backup"].as_array().unwrap().last().unwrap()["label"].as_str().unwrap());
    let refused = |target: &str, words: &[&str]| {
        let drill = it.recover(&["-p", &newest, "-p", &format!("target={target}")]);
        drill.failed_at("aim", &[]);
        let said = said_of(&drill, "aim");
        words.iter().for_each(|word| assert!(said.contains(word), "'{word}' is not in: {said}"));
        assert_eq!(drill.state("stop-server").attempt, 0);
        assert_eq!(it.lab.sql("SELECT count(*) FROM ledger"), "0", "production goes on");
    };
    refused("0/FF000000", &["lies behind the last record there is", "The latest that works"]);
    refused("xid:99999", &["99999"]);
    refused("name:nosuch", &["nosuch"]);

    // A set that expires while the gate waits.
    let mut drill = it.recover_with(&settings, &[]);
    let set = drill.run.plan.parameters["set"].clone();
    it.lab.pgbackrest(&["--repo=1", &format!("--set={set}"), "expire"]);
    it.answer(&["approve", drill.run.id.as_str(), "fence", "main"]);
    it.follow(&mut drill);
    if drill.run.open_gate().is_some() {
        it.go_on(&mut drill);
    }
    drill.failed_at("aim", &[&set]);
    assert_eq!(drill.state("stop-server").attempt, 0);
    assert_eq!(it.lab.sql("SELECT count(*) FROM ledger"), "0");
}
