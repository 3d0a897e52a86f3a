//! Failures that are made on purpose, one at a time: each drill says that it failed, and why; none says done.

use crate::lab::{self, Lab};
use crate::told::{self, APPROVED, Drill, drill, drill_with, edit, lifeboat, make_directory, tree};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The archived files of both repositories whose names begin like this.
fn archived(lab: &Lab, begin: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for repository in [lab.layout.first_repository(), lab.layout.second_repository()] {
        let archive = repository.join("archive/main");
        let named = |name: &String| !name.ends_with('/') && name.rsplit('/').next().unwrap().starts_with(begin);
        found.extend(tree(&archive).into_iter().filter(named).map(|name| archive.join(name)));
    }
    found
}

/// Begins a drill that waits at its first gate: what is changed now was sound when it was checked.
fn waiting(lab: &Lab, more: &[&str]) -> Drill {
    let drill = drill_with(lab, &lab.layout.settings(), more);
    assert_eq!((drill.told.exit, drill.run.outcome_word()), (3, "waiting"), "{:?}", drill.told);
    drill
}

/// Approves its first gate and follows it to its end.
fn go_on(lab: &Lab, drill: &mut Drill) {
    let id = drill.run.id.to_string();
    for gate in ["start", "remove-gate"] {
        let approved = lifeboat(lab, &["approve", &id, gate, "main"]);
        assert_eq!(approved.exit, 0, "{approved:?}");
        drill.told = lifeboat(lab, &["attach", &id]);
        drill.reload();
    }
}

/// The shipped drill with something changed, as an overriding runbook.
fn override_drill(lab: &Lab, from: &str, to: &str) {
    let folder = lab.layout.directory.join("runbooks");
    make_directory(&folder);
    let shipped = include_str!("../../runbooks/restore-drill.toml");
    assert!(shipped.contains(from), "{from}");
    fs::write(folder.join("restore-drill.toml"), shipped.replace(from, to)).unwrap();
}

fn sell_and_archive(lab: &Lab, segments: u32) {
    for _ in 0..segments {
        lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
        lab.wait_archived();
    }
}

/// PostgreSQL takes a missing segment for the end of WAL, promotes there, and every program ends with 0.
#[test]
fn a_segment_that_goes_missing_after_the_check_is_no_success() {
    let lab = lab::running();
    sell_and_archive(&lab, 3);
    let mut drill = waiting(&lab, &[]);
    let newest = drill.run.values["archive-covers.newest-segment"].clone();
    let hole = format!("{}{:08X}", &newest[..16], u32::from_str_radix(&newest[16..], 16).unwrap() - 1);
    let files = archived(&lab, &hole);
    assert_eq!(files.len(), 2, "{hole}");
    files.iter().for_each(|file| fs::remove_file(file).unwrap());
    go_on(&lab, &mut drill);
    assert_eq!(drill.state("promoted").status.word(), "done", "the server itself saw nothing wrong");
    drill
        .failed_at("end-of-archive", &["replay ended at", &format!("the newest segment archived before it, {newest}")]);
    assert!(!drill.directory().exists());
}

/// A drill elsewhere that archives leaves a timeline 2 behind, which recovery to the latest timeline would follow.
#[test]
fn a_stray_timeline_is_neither_followed_nor_overlooked() {
    let lab = lab::running();
    sell_and_archive(&lab, 1);
    let rows = lab.sql("SELECT count(*) FROM orders");
    let first = archived(&lab, "00000001").into_iter().next().unwrap();
    let archive = first.parent().unwrap().parent().unwrap();
    // It left timeline 1 before the newest set began.
    let history = archive.join("00000002.history");
    fs::write(&history, "1\t0/3000000\tno recovery target specified\n").unwrap();
    let sound = drill(&lab, &["-p", "probe=SELECT count(*) FROM orders"]);
    sound.done();
    assert_eq!(sound.run.result["probe.answer"], format!("count␊{rows}"));
    assert_eq!(sound.run.plan.parameters["timeline"], "1");
    let followed = lifeboat(&lab, &[&["run", "restore-drill", "-p", "timeline=2"][..], &APPROVED].concat());
    followed.refused(2, &["it is on timeline 1, which does not lead to timeline 2 from where it ended"]);
    fs::remove_file(&history).unwrap();
    // One that turns up while the drill runs was perhaps the drill's own.
    let mut drill = waiting(&lab, &["-p", "depth=start"]);
    fs::write(&history, "1\t0/3000000\tno recovery target specified\n").unwrap();
    go_on(&lab, &mut drill);
    drill.failed_at("production", &["repo1/15-1 got new history files: 00000002.history"]);
}

/// The server dies under the query that looks at it; nobody asked it to.
#[test]
fn a_server_that_dies_after_it_was_ready_is_no_success() {
    let lab = lab::copy();
    let options = [&["run", "restore-drill", "--json", "-p", "probe=SELECT pg_sleep(600)"][..], &APPROVED].concat();
    for signal in [rustix::process::Signal::QUIT, rustix::process::Signal::KILL] {
        let child = lab::lifeboat()
            .arg("--settings")
            .arg(lab.layout.settings())
            .args(&options)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let server = || {
            let living = lab::processes_naming(&lab.layout.drills());
            let asked =
                living.iter().any(|process| process.command.contains("pg_sleep") && process.command.contains("psql"));
            living.into_iter().find(|process| asked && process.command.contains("bin/postgres -D"))
        };
        lab::wait_until("the probe is asked", || server().is_some());
        rustix::process::kill_process(server().unwrap().pid, signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let newest = |folder: &PathBuf| fs::metadata(folder.join("journal.jsonl")).unwrap().modified().unwrap();
        let folder = told::runs(&lab).into_iter().max_by_key(newest).unwrap();
        let drill = Drill::of(told::Told::of(&output), folder);
        // psql may be seen to end first; then it is what failed first.
        assert_eq!((drill.run.outcome_word(), drill.told.exit), ("failed", 1), "{:?}", drill.told);
        let reason = drill.reason("probe");
        assert!(
            ["connection to server was lost", "terminating connection", "connection to server on socket"]
                .iter()
                .any(|said| reason.contains(said)),
            "{reason}"
        );
        if signal == rustix::process::Signal::KILL {
            assert!(drill.reason("server").contains("ended by signal 9"));
        }
        assert!(!drill.run.result.contains_key("probe.answer"));
        assert!(!drill.directory().exists());
    }
}

/// Every program ends with 0, and what was read back is not what it has to be.
#[test]
fn an_answer_that_differs_is_no_success() {
    let lab = lab::copy();
    override_drill(
        &lab,
        "listen_addresses = \"\", unix_socket_directories",
        "listen_addresses = \"*\", unix_socket_directories",
    );
    let differs = drill(&lab, &[]);
    differs.failed_at("isolation", &["listen_addresses"]);
    let outcome = differs.state("isolation").result.as_ref().unwrap().outcome.clone().unwrap();
    assert_eq!(outcome.exit.to_string(), "exit code 0");
    assert_eq!(differs.state("stop").status.word(), "done");
    assert!(!differs.directory().exists());
}

/// What archive-get says of itself is the reason, not the misleading end of the server's log.
#[test]
fn an_archive_get_that_cannot_work_is_named_as_the_reason() {
    let lab = lab::copy();
    // Only asynchronous archiving has a spool.
    edit(&lab.layout.pgbackrest_config(), "process-max=2\n", "process-max=2\narchive-async=y\n");
    override_drill(
        &lab,
        "PGBACKREST_SPOOL_PATH = \"${directory}/spool\", PGBACKREST_LOCK_PATH",
        "PGBACKREST_SPOOL_PATH = \"spool\", PGBACKREST_LOCK_PATH",
    );
    let broken = drill(&lab, &[]);
    broken.failed_at("server", &["archive-get said before: ", "[032]", "spool"]);
    assert!(!broken.directory().exists());
}

/// Between the approval and the restore another backup takes the place of the set, under the same label.
#[test]
fn a_set_that_was_replaced_is_not_restored() {
    let lab = lab::copy();
    let mut drill = waiting(&lab, &[]);
    let set = drill.run.plan.parameters["set"].clone();
    let folder = lab.layout.first_repository().join("backup/main");
    replace_stop_time(&folder, &set);
    let id = drill.run.id.to_string();
    drill.told = lifeboat(&lab, &["attach", &id]);
    assert_eq!(lifeboat(&lab, &["approve", &id, "start", "main"]).exit, 0);
    drill.told = lifeboat(&lab, &["attach", &id]);
    drill.reload();
    assert_eq!((drill.told.exit, drill.run.outcome_word()), (3, "waiting"), "{:?}", drill.told);
    assert_eq!(drill.gates, ["start", "start"]);
    assert!(drill.run.open_gate().unwrap().1.drift.iter().any(|drift| drift.fact == "backup-set"));
    assert_eq!(drill.state("restore").attempt, 0);
    assert_eq!(lifeboat(&lab, &["abort", &id]).exit, 0);
}

/// Moves the end of a set by one second in both copies of `backup.info`, and makes their checksum right again: SHA-1 of
/// all sections as compact JSON, without the checksum's own line.
fn replace_stop_time(folder: &Path, set: &str) {
    let text = fs::read_to_string(folder.join("backup.info")).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{set}="))).unwrap();
    let key = "\"backup-timestamp-stop\":";
    let begin = line.find(key).unwrap() + key.len();
    let end = begin + line[begin..].find([',', '}']).unwrap();
    let stop: u64 = line[begin..end].parse().unwrap();
    let text = text.replace(line, &format!("{}{}{}", &line[..begin], stop + 1, &line[end..]));
    let mut json = String::from("{");
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with("backrest-checksum=")) {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            json.push_str(if json.len() > 1 { "}," } else { "" });
            json.push_str(&format!("\"{section}\":{{"));
        } else {
            let (key, value) = line.split_once('=').unwrap();
            json.push_str(if json.ends_with('{') { "" } else { "," });
            json.push_str(&format!("\"{key}\":{value}"));
        }
    }
    json.push_str("}}");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, json).unwrap();
    let sum = Command::new("sha1sum").arg(file.path()).output().unwrap();
    let sum = String::from_utf8(sum.stdout).unwrap()[..40].to_owned();
    let old = text.lines().find(|line| line.starts_with("backrest-checksum=")).unwrap().to_owned();
    fs::write(folder.join("backup.info"), &text).unwrap();
    for name in ["backup.info", "backup.info.copy"] {
        fs::write(folder.join(name), &text).unwrap();
        edit(&folder.join(name), &old, &format!("backrest-checksum=\"{sum}\""));
    }
}

/// The server would live on, its directory be removed under it, and the run never end.
#[test]
fn a_stop_that_fails_leaves_no_server_behind() {
    let lab = lab::copy();
    override_drill(&lab, r#"["${postgres-bin}/pg_ctl", "stop","#, r#"["${postgres-bin}/pg_ctl", "no-such-word","#);
    let drill = drill(&lab, &["-p", "depth=start"]);
    assert_eq!((drill.run.outcome_word(), drill.told.exit), ("failed", 1), "{:?}", drill.told);
    assert_eq!(drill.state("stop").status.word(), "failed");
    assert!(drill.reason("server").contains("after it was ready"), "{}", drill.reason("server"));
    assert!(!drill.directory().exists());
    assert!(lab::processes_naming(&lab.layout.drills()).is_empty());
}
