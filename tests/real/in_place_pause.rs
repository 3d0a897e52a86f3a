//! The pause against restarts: however the server that is looked at ends, and whoever starts it again, it is never
//! promoted and never gets past the target; and the run is carried on.

use crate::in_place_support::{self as in_place, Recovery, Way, assert_handed_back, before, control};
use crate::kills_support as kills;
use crate::lab::{self, Lab};
use lifeboat::domain::event::RunEvent;
use lifeboat::domain::lsn::Lsn;
use rustix::process::Signal;
use std::fs;

#[test]
fn however_the_server_at_the_pause_ends_it_is_not_promoted_and_the_run_goes_on() {
    let lab = in_place::practice();
    let target = in_place::marks(&lab);
    let later = lab.sql("SELECT clock_timestamp()");
    let (mut recovery, client) = Recovery::spawn(&lab, &["-p", &before(target)]);
    recovery.comes_to(&Way::Decision);
    kills::exit_of(client);
    at_the_pause(&recovery, target);

    for mode in ["fast", "immediate", "kill"] {
        let before = recovery.drill.entries.len();
        match mode {
            "kill" => {
                let server = in_place::postmaster(&lab);
                kills::kill(server, Signal::KILL);
                lab::wait_until("the killed server and its children are gone", || {
                    !lab::processes_naming(&lab.layout.production())
                        .iter()
                        .any(|left| left.command.contains("postgres"))
                });
            }
            mode => stop(&lab, mode),
        }
        recovery.drill.until_after(
            before,
            "the end of the server is seen",
            |event| matches!(event, RunEvent::StepEnded { step, .. } if step.as_str() == "look"),
        );
        recovery.comes_to(&Way::Held("look".to_owned()));
        never_past(&lab, target);
        // Promoting is offered only where it is looked at.
        let promote = recovery.command(&["decide", recovery.id(), "inspect", "promote"]);
        assert!(!promote.status.success(), "{mode}: {}", kills::text(&promote));
        recovery.resolve("look", "again");
        recovery.comes_to(&Way::Decision);
        at_the_pause(&recovery, target);
    }

    reboot(&mut recovery);
    // What starts it after a boot is what always did: with production's own command line.
    plain_start(&lab);
    never_past(&lab, target);
    let attached = kills::attach(&lab, &recovery.drill);
    assert_eq!(attached.status.code(), Some(5), "{}", kills::text(&attached));
    assert!(kills::text(&attached).contains("the host was booted since"), "{}", kills::text(&attached));
    recovery.comes_to(&Way::Unknown("look".to_owned()));
    recovery.resolve("look", "again");
    recovery.comes_to(&Way::Decision);
    at_the_pause(&recovery, target);

    recovery.decide(&["promote"]);
    recovery.comes_to(&Way::Ended("done"));
    assert_handed_back(&recovery, 2);
    assert_eq!(lab.sql("SELECT string_agg(mark, ' ') FROM marks"), "before");
    assert_eq!(recovery.drill.steps_started("restore"), 1);
    recovery.assert_nothing_destroyed_twice();
    recovery.assert_transcript();
    another_timeline(&lab, &recovery, target, &later);
}

/// What was made on the timeline that was left is no part of production's own history any more.
fn another_timeline(lab: &Lab, recovery: &Recovery<'_>, target: Lsn, later: &str) {
    let (set, name) = (format!("set={}", recovery.value("goal.set")), format!("target=name:{}", in_place::DISCARDED));
    let wish = ["-p", &set, "-p", &name, "-p", "exclusive=false", "--approve", "fence=main"];
    let output = in_place::run(lab, &wish);
    let said = kills::text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(in_place::DISCARDED) && said.contains("timeline 2"), "{said}");
    // Where the timeline was left a position behind is refused before a run begins; what would do is named.
    let behind = format!("target={}", Lsn(target.0 + 4096));
    let output = in_place::run(lab, &["-p", &behind, "-p", "timeline=1"]);
    let said = kills::text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let words = ["where production's timeline 2 left it", "the nearest that works: -p target=0/", "pitr-side-by-side"];
    words.iter().for_each(|word| assert!(said.contains(word), "'{word}' is not in: {said}"));
    // So is a time that keeps a commit of what was left.
    let behind = format!("target={later}");
    let output = in_place::run(lab, &["-p", &behind, "-p", "timeline=1"]);
    let said = kills::text(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the commit of xid "), "{said}");
    words.iter().for_each(|word| assert!(said.contains(word), "'{word}' is not in: {said}"));
    // Where a restore point or a transaction lies is known with the WAL at hand, before anything is stopped.
    let output = in_place::run(lab, &[&wish[2..], &["-p", "timeline=1"]].concat());
    let said = kills::text(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(1), "{said}");
    for word in ["where production left timeline 1", "The nearest that works is -p target=0/", "pitr-side-by-side"] {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
    assert_eq!(lab.sql("SELECT pg_is_in_recovery()"), "f");
}

fn at_the_pause(recovery: &Recovery<'_>, target: Lsn) {
    recovery.assert_pauses_before(target);
    assert_eq!(in_place::ask(recovery.lab, "SELECT string_agg(mark, ' ') FROM marks"), "before");
    assert_eq!(recovery.value("paused.lsn"), recovery.value("seen.lsn"));
}

/// The cluster that lies there is in recovery, on its old timeline, and has replayed nothing behind the target.
fn never_past(lab: &Lab, target: Lsn) {
    let state = control(lab, "Database cluster state:");
    assert!(state.contains("recovery"), "{state}");
    assert_eq!(control(lab, "Latest checkpoint's TimeLineID:"), "1");
    let minimum = control(lab, "Minimum recovery ending location:");
    assert!(Lsn::parse(&minimum).unwrap() <= target, "{minimum} is behind {target}");
    assert!(lab.layout.production().join("recovery.signal").exists());
    assert!(!lab.layout.production().join("pg_wal/00000002.history").exists());
}

fn stop(lab: &Lab, mode: &str) {
    let output = lab::as_owner(lab.marker.bin_directory.join("pg_ctl"))
        .args(["stop", "-s", "-w", "-m", mode, "-D"])
        .arg(lab.layout.production())
        .output()
        .unwrap();
    lab::assert_done(&output, "pg_ctl stop");
}

/// Starts production's data directory as what manages it does, and waits until the server has ended by itself.
fn plain_start(lab: &Lab) {
    let from = fs::metadata(lab.layout.server_log()).map_or(0, |log| log.len());
    let output = lab::as_owner(lab.marker.bin_directory.join("pg_ctl"))
        .args(["start", "-s", "-w", "-D"])
        .arg(lab.layout.production())
        .arg("-l")
        .arg(lab.layout.server_log())
        .output()
        .unwrap();
    let ended =
        || !lab::processes_naming(&lab.layout.production()).iter().any(|left| left.command.contains("postgres"));
    lab::wait_until("it has ended", ended);
    let log = fs::read_to_string(lab.layout.server_log()).unwrap();
    let said = &log[usize::try_from(from).unwrap()..];
    assert!(said.contains("shutdown at recovery target"), "{said}\n{output:?}");
    assert!(!said.contains("selected new timeline"), "{said}");
}

/// The boot id can't be forged. What a boot leaves behind is: no process, and records of another boot; those are made here
/// by ending every process of the run and by writing another boot into the server's records.
fn reboot(recovery: &mut Recovery<'_>) {
    let attempt = recovery.drill.run().steps[recovery.drill.position("look")].attempt;
    let started = recovery.drill.started("look", attempt);
    assert!(recovery.drill.kill_runner());
    kills::kill(recovery.drill.step_process("look", attempt), Signal::KILL);
    kills::kill(started.process.pid, Signal::KILL);
    for (pid, _) in recovery.drill.marked() {
        kills::kill(pid, Signal::KILL);
    }
    lab::wait_until("nothing of the run lives", || recovery.drill.marked().is_empty());
    // Nor is its number taken: to PostgreSQL a dead process that nobody has asked after yet is another server.
    let server = std::path::PathBuf::from(format!("/proc/{}", started.process.pid));
    lab::wait_until("the server's number is free", || !server.exists());
    let folder = recovery.drill.step_folder("look", attempt);
    for record in ["started.json", "claim"] {
        let text = fs::read_to_string(folder.join(record)).unwrap();
        assert!(text.contains(&started.boot_id));
        let other = text.replace(&started.boot_id, "00000000-0000-4000-8000-000000000000");
        fs::write(folder.join(record), other).unwrap();
    }
    assert!(!recovery.drill.entries.iter().any(|entry| matches!(entry.event, RunEvent::RunEnded { .. })));
}
