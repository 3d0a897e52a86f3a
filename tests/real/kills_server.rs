//! A server that ends although nobody asked it to, and a host that was booted while a step ran.

use crate::kills_support::{self as kills, BOTH, Drill, Frozen};
use crate::lab;
use lifeboat::domain::event::RunEvent;
use lifeboat::domain::status::StepStatus;
use rustix::process::Signal;
use std::fs;

fn status_of(drill: &Drill, step: &str) -> StepStatus {
    drill.run().each().find(|(planned, _)| planned.id.as_str() == step).unwrap().1.status
}

fn reason_of(drill: &Drill, step: &str) -> String {
    let (_, state) = drill.run().each().find(|(planned, _)| planned.id.as_str() == step).unwrap();
    state.result.as_ref().and_then(|result| result.reason.clone()).unwrap_or_default()
}

/// Ends the drill's server in the middle of replay, after it was ready; gives what the journal says of it.
fn end_the_server(signal: Signal) -> (Drill, String) {
    let lab = lab::running();
    // Replay takes a while: many segments are fetched one by one.
    for _ in 0..12 {
        lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100); SELECT pg_switch_wal()");
    }
    lab.wait_archived();
    lab.stop();
    let before = kills::production(&lab);
    let run = kills::spawn_run(&lab, &BOTH);
    let mut drill = Drill::begun(&lab, &[]);
    let server = drill.started("server", 1).process;
    let startup = loop {
        let found = kills::children_of(&[server.pid]).into_iter().find(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|title| title.starts_with(b"postgres: startup"))
        });
        assert!(kills::is_alive(server.pid), "the server ended by itself");
        if let Some(startup) = found {
            break startup;
        }
        std::thread::yield_now();
    };
    drill.until("the server is ready", |event| matches!(event, RunEvent::StepReady { .. }));
    let replay = Frozen::tree(startup);
    drill.until("replay is waited for", |event| kills::is_started(event, "target-reached", 1));
    kills::kill(server.pid, signal);
    replay.thaw();
    drill.until("the end", kills::is_end);
    let said = kills::said(&lab, "run.txt");
    assert_eq!(kills::exit_of(run), Some(1), "{said}");
    assert_eq!(drill.run().outcome_word(), "failed");
    assert_eq!(
        (status_of(&drill, "server"), status_of(&drill, "target-reached")),
        (StepStatus::Failed, StepStatus::Failed)
    );
    assert_eq!(reason_of(&drill, "server"), reason_of(&drill, "target-reached"));
    // What is due in any case was still done.
    for step in ["production", "remove-gate", "remove"] {
        assert_eq!(status_of(&drill, step), StepStatus::Done, "{step}: {said}");
    }
    assert_eq!((status_of(&drill, "result"), status_of(&drill, "stop")), (StepStatus::Skipped, StepStatus::Skipped));
    assert_eq!(drill.marked(), []);
    assert_eq!(fs::read_dir(lab.layout.drills()).unwrap().count(), 0);
    assert!(kills::production(&lab) == before, "production is as it was");
    let reason = reason_of(&drill, "server");
    assert!(said.contains("the server ended after it was ready"), "{said}");
    (drill, reason)
}

#[test]
fn a_server_that_is_shut_down_under_the_drill_fails_it_with_the_words_of_its_log() {
    let (_, reason) = end_the_server(Signal::INT);
    assert!(reason.contains("after it was ready (exit code 0)"), "{reason}");
    assert!(reason.contains("received fast shutdown request"), "{reason}");
}

#[test]
fn a_server_that_is_killed_fails_the_drill() {
    let (_, reason) = end_the_server(Signal::KILL);
    assert!(reason.contains("after it was ready (ended by signal 9)"), "{reason}");
}

/// The boot id can't be forged. What a boot leaves behind is: no process, and records of another boot; those are made
/// here by ending every process and by writing another boot into the step's own records.
#[test]
fn a_step_that_a_boot_cut_short_is_unknown() {
    let lab = lab::copy();
    let mut run = kills::spawn_run(&lab, &BOTH);
    let mut drill = Drill::begun(&lab, &[]);
    let restore = drill.started("restore", 1);
    let frozen = Frozen::tree(restore.process.pid);
    run.kill().unwrap();
    run.wait().unwrap();
    assert!(drill.kill_runner());
    kills::kill(drill.step_process("restore", 1), Signal::KILL);
    frozen.pids().iter().for_each(|pid| kills::kill(*pid, Signal::KILL));
    lab::wait_until("nothing of the run lives", || drill.marked().is_empty());
    let folder = drill.step_folder("restore", 1);
    for record in ["started.json", "claim"] {
        let text = fs::read_to_string(folder.join(record)).unwrap();
        assert!(text.contains(&restore.boot_id));
        fs::write(folder.join(record), text.replace(&restore.boot_id, "00000000-0000-4000-8000-000000000000")).unwrap();
    }
    let output = kills::attach(&lab, &drill);
    assert_eq!(output.status.code(), Some(5), "{}", kills::text(&output));
    assert!(kills::text(&output).contains("the host was booted since"), "{}", kills::text(&output));
    drill.until("the restore is unknown", |event| matches!(event, RunEvent::StepUnknown { .. }));
    // Asked again it is still unknown: nothing is repeated by itself.
    assert_eq!(kills::attach(&lab, &drill).status.code(), Some(5));
    assert_eq!(drill.steps_started("restore"), 1);
    let id = drill.folder.id.to_string();
    lab::assert_done(&lab.run_lifeboat(&["resolve", &id, "restore", "abort"]), "lifeboat resolve");
    assert_eq!(kills::attach(&lab, &drill).status.code(), Some(4));
    drill.until("the end", kills::is_end);
    assert_eq!(drill.run().outcome_word(), "aborted");
}
