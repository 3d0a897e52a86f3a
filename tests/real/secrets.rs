//! An encrypted repository whose passphrase is in the environment alone: a runner without it stops before it begins
//! anything, no step fails, and whoever comes back with the passphrase goes on.

use crate::kills_support::{self as kills, Drill};
use crate::lab::{self, Lab};
use lifeboat::domain::event::RunEvent;
use std::fs;
use std::process::Output;

const PASSPHRASE: &str = "PGBACKREST_REPO2_CIPHER_PASS";

/// A practice cluster without the passphrase in its configuration, and the passphrase.
fn without_passphrase() -> (Lab, String) {
    let lab = lab::copy();
    let file = lab.layout.pgbackrest_config();
    let text = fs::read_to_string(&file).unwrap();
    let secret = text.lines().find_map(|line| line.strip_prefix("repo2-cipher-pass=")).unwrap().to_owned();
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("repo2-cipher-pass=")).collect();
    fs::write(&file, without.join("\n")).unwrap();
    (lab, secret)
}

fn with(lab: &Lab, secret: &str, arguments: &[&str]) -> Output {
    let mut command = lab::lifeboat();
    command.env(PASSPHRASE, secret).arg("--settings").arg(lab.layout.settings());
    command.args(arguments).output().unwrap()
}

/// A drill from the encrypted repository that waits at its first gate, its runner gone.
fn waiting(lab: &Lab, secret: &str) -> Drill {
    let output = with(lab, secret, &["run", "restore-drill", "-p", "repository=2", "-p", "depth=start"]);
    assert_eq!(output.status.code(), Some(3), "{}", kills::text(&output));
    let mut drill = Drill::begun(lab, &[]);
    drill.until("the first gate", |event| kills::is_gate(event, "start"));
    assert!(drill.kill_runner());
    drill
}

fn assert_nothing_failed(drill: &mut Drill) {
    drill.read_on(std::time::Duration::ZERO);
    assert!(drill.run().ended.is_none(), "{:?}", drill.last(5));
    assert!(!drill.run().failed, "{:?}", drill.last(5));
}

#[test]
fn a_runner_without_the_passphrase_stops_and_one_with_it_goes_on() {
    let (lab, secret) = without_passphrase();
    let mut drill = waiting(&lab, &secret);
    let id = drill.folder.id.to_string();

    // The answer needs no passphrase, and counts; what comes after it does.
    let output = lab.run_lifeboat(&["approve", &id, "start", "main"]);
    lab::assert_done(&output, "lifeboat approve");
    lab::wait_until("the runner has ended", || !drill.folder.is_runner_alive().unwrap());
    assert_nothing_failed(&mut drill);
    for _ in 0..2 {
        let output = lab.run_lifeboat(&["attach", &id]);
        let said = kills::text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        for told in [PASSPHRASE, "no step has failed", &format!("lifeboat attach {id}")] {
            assert!(said.contains(told), "{told} is not in: {said}");
        }
        assert!(!said.contains(&secret), "{said}");
        assert_nothing_failed(&mut drill);
        assert_eq!(drill.steps_started("prepare"), 0);
    }

    let output = with(&lab, &secret, &["attach", &id]);
    assert_eq!(output.status.code(), Some(3), "{}", kills::text(&output));
    drill.until("the last gate", |event| kills::is_gate(event, "remove-gate"));
    assert!(drill.kill_runner());
    let output = with(&lab, &secret, &["approve", &id, "remove-gate", "main"]);
    lab::assert_done(&output, "lifeboat approve");
    drill.until("the end", kills::is_end);
    assert_eq!(drill.run().outcome_word(), "done");
    drill.assert_nothing_ran_twice();
    // Facts read by the second shell's runner are those of the first: no gate opened again.
    let gates = drill.entries.iter().filter(|entry| matches!(entry.event, RunEvent::GateOpened { .. })).count();
    assert_eq!(gates, 2);
    let journal = fs::read_to_string(drill.folder.journal_path()).unwrap();
    assert!(!journal.contains(&secret));
}

#[test]
fn a_run_is_ended_without_the_passphrase() {
    let (lab, secret) = without_passphrase();
    let drill = waiting(&lab, &secret);
    let output = lab.run_lifeboat(&["abort", drill.folder.id.as_str()]);
    lab::assert_done(&output, "lifeboat abort");
}
