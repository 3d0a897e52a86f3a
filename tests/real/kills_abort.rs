//! The end that a person asks for: all that the run started is ended, and what it made stays until it is cleaned up.

use crate::kills_support::{self as kills, Drill, Frozen};
use crate::lab::{self, Lab};
use std::process::Child;

/// Asks for the end and sees to it that it is one.
fn abort(lab: &Lab, mut drill: Drill, run: Child, thaw: impl FnOnce()) {
    let id = drill.folder.id.to_string();
    let abort = kills::spawn(lab, "abort.txt", &["abort", &id, "--reason", "the wrong set"]);
    drill.until("the request is in the journal", |event| {
        matches!(event, lifeboat::domain::event::RunEvent::AbortRequested { reason, .. } if reason == "the wrong set")
    });
    thaw();
    assert_eq!(kills::exit_of(abort), Some(0), "{}", kills::said(lab, "abort.txt"));
    assert_eq!(kills::exit_of(run), Some(4), "{}", kills::said(lab, "run.txt"));
    drill.until("the end", kills::is_end);
    assert_eq!(drill.run().outcome_word(), "aborted");
    assert_eq!(drill.marked(), [], "something of the run lives");
    lab::wait_until("the runner has ended", || !drill.folder.is_runner_alive().unwrap());
    assert_eq!(kills::attach(lab, &drill).status.code(), Some(4));
    let runs = lab.run_lifeboat(&["runs"]);
    assert!(kills::text(&runs).contains("aborted"), "{}", kills::text(&runs));
    let again = lab.run_lifeboat(&["abort", &id]);
    assert_ne!(again.status.code(), Some(0));
    assert!(kills::text(&again).contains("the run has ended: it is aborted"), "{}", kills::text(&again));
}

fn directories(lab: &Lab) -> usize {
    std::fs::read_dir(lab.layout.drills()).map_or(0, Iterator::count)
}

#[test]
fn in_the_middle_of_the_restore() {
    let lab = lab::copy();
    let before = kills::production(&lab);
    let run = kills::spawn_run(&lab, &["--approve", "start=main"]);
    let mut drill = Drill::begun(&lab, &[]);
    let main = drill.started("restore", 1).process.pid;
    let frozen = Frozen::tree(main);
    abort(&lab, drill, run, || frozen.thaw());
    assert_eq!(directories(&lab), 1, "what was restored stays to be looked at");
    assert!(kills::production(&lab) == before);
}

#[test]
fn in_the_middle_of_replay() {
    let lab = lab::copy();
    let before = kills::production(&lab);
    let run = kills::spawn_run(&lab, &["--approve", "start=main"]);
    let mut drill = Drill::begun(&lab, &[]);
    let server = drill.started("server", 1).process.pid;
    let frozen = Frozen::tree(server);
    abort(&lab, drill, run, || frozen.thaw());
    assert_eq!(directories(&lab), 1);
    assert!(kills::production(&lab) == before);
}

#[test]
fn at_a_gate() {
    let lab = lab::copy();
    let run = kills::spawn_run(&lab, &[]);
    let mut drill = Drill::begun(&lab, &[]);
    drill.until("the first gate", |event| kills::is_gate(event, "start"));
    assert_eq!(kills::exit_of(run), Some(3), "it waits for a person: {}", kills::said(&lab, "run.txt"));
    let follower = kills::spawn(&lab, "run.txt", &["attach", drill.folder.id.as_str()]);
    assert_eq!(kills::exit_of(follower), Some(3));
    let output = lab.run_lifeboat(&["abort", drill.folder.id.as_str(), "--reason", "not today"]);
    lab::assert_done(&output, "lifeboat abort");
    drill.until("the end", kills::is_end);
    assert_eq!((drill.run().outcome_word(), drill.marked().len(), directories(&lab)), ("aborted", 0, 0));
    assert_eq!(kills::attach(&lab, &drill).status.code(), Some(4));
}
