//! The runner and the clients of an in-place recovery killed with KILL: whoever attaches carries it on, nothing that
//! can't be taken back is done twice, and it completes.
//!
//! And the clients alone, while the runner goes on. Five points by chance in `make test`, the seed printed; after every kind of entry for every step in `make prove`.
#![expect(clippy::print_stdout, reason = "what a failed sample was is found in the test's own output")]

use crate::in_place_support::{self as in_place, Recovery, Way, assert_handed_back, before};
use crate::kills_runner::{point, sample, seed};
use crate::kills_support as kills;
use crate::lab;
use lifeboat::domain::event::RunEvent;
use lifeboat::domain::plan::{Plan, Step, StepKind};
use lifeboat::domain::status::StepStatus;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::time::Duration;

/// The points that a recovery comes by that is promoted at its first pause.
pub(crate) fn points(plan: &Plan) -> Vec<String> {
    let due = |step: &&Step| {
        step.ruled_out.is_none()
            && step
                .only_choice
                .as_ref()
                .is_none_or(|only| only.first || only.is.iter().any(|is| is.as_str() == "promote"))
    };
    let mut found = vec!["runner ".to_owned()];
    for step in plan.steps.iter().filter(due) {
        let kinds: &[&str] = match step.kind {
            StepKind::Gate { .. } => &["opened", "answered"],
            StepKind::Decision { .. } => &["opened", "decided"],
            StepKind::Server { .. } => &["started", "ready", "ended"],
            _ => &["started", "ended"],
        };
        found.extend(kinds.iter().map(|kind| format!("{kind} {}", step.id)));
    }
    found
}

#[test]
fn the_runner_of_a_recovery_is_killed_and_the_recovery_carried_on() {
    let prove = std::env::var("LIFEBOAT_PROVE").is_ok_and(|value| value == "1");
    let lab = in_place::practice();
    let target = in_place::marks(&lab);
    let (mut recovery, client) = Recovery::spawn(&lab, &["-p", &before(target)]);
    let all = points(&recovery.drill.run().plan);
    let wanted: BTreeSet<String> = if prove {
        all.into_iter().collect()
    } else {
        let seed = seed();
        println!("LIFEBOAT_SEED={seed}");
        sample(all, seed)
    };
    println!("killed after: {wanted:?}");
    recovery.drill.until("the first runner", |event| matches!(event, RunEvent::RunnerStarted { .. }));
    kills::kill(client.id(), Signal::KILL);
    kills::exit_of(client);

    let (mut open, mut tried, mut seen, mut count) = (wanted.clone(), BTreeSet::new(), 0, 0);
    let mut decided = Vec::new();
    loop {
        while seen < recovery.drill.entries.len() {
            let here = point(&recovery.drill.entries[seen].event);
            seen += 1;
            if (open.remove(&here) || prove) && tried.insert(here) && recovery.drill.kill_runner() {
                count += 1;
            }
        }
        match recovery.asks() {
            Some(Way::Ended(_)) => break,
            Some(Way::Left) => {
                // Its client is killed as well, at whatever it does: the runner is somebody else's by then.
                let client = kills::spawn(&lab, "attach.txt", &["attach", recovery.id()]);
                lab::wait_until("somebody carries the run on", || {
                    recovery.drill.read_on(Duration::from_millis(20));
                    recovery.asks() != Some(Way::Left) || seen < recovery.drill.entries.len()
                });
                kills::kill(client.id(), Signal::KILL);
                kills::exit_of(client);
            }
            Some(Way::Held(step)) | Some(Way::Unknown(step)) => {
                // A person looks, and has it done again.
                let output = recovery.command(&["resolve", recovery.id(), &step, "again"]);
                println!("resolve {step}: {}", kills::text(&output));
                decided.push(step);
                assert!(decided.len() < 40, "it does not get on: {decided:?}: {}", recovery.reasons());
            }
            // As often as it takes: the runner may be killed while it is asked.
            Some(Way::Decision) => {
                recovery.command(&["decide", recovery.id(), "inspect", "promote"]);
            }
            None => {
                if let Some(gate) = recovery.drill.run().open_gate().map(|(gate, _)| gate.id.to_string()) {
                    recovery.command(&["approve", recovery.id(), &gate, "main"]);
                }
            }
        }
        recovery.drill.read_on(Duration::from_millis(50));
    }
    println!("{count} kills, decided {decided:?}, {} entries", recovery.drill.entries.len());
    assert_eq!(recovery.drill.run().outcome_word(), "done", "{}{}", recovery.reasons(), recovery.transcript(&[]));
    assert!(open.is_empty(), "never came by: {open:?}");
    // Entries come in together, and the runner that wrote the second may be gone by the first.
    assert!(count * 2 > wanted.len(), "{count} of {} kills", wanted.len());
    assert!(
        recovery.drill.run().each().all(|(_, state)| matches!(state.status, StepStatus::Done | StepStatus::Skipped))
    );
    recovery.assert_nothing_destroyed_twice();
    assert_handed_back(&recovery, 2);
    assert_eq!(lab.sql("SELECT string_agg(mark, ' ') FROM marks"), "before");
    recovery.assert_transcript();
}

/// `run` and then one `attach` after the other is killed, at five points or at every one: the runner that the first of them
/// started goes on, and nobody else has to.
#[test]
fn the_clients_of_a_recovery_are_killed_and_its_runner_goes_on() {
    let prove = std::env::var("LIFEBOAT_PROVE").is_ok_and(|value| value == "1");
    let lab = in_place::practice();
    let target = in_place::marks(&lab);
    let (mut recovery, run) = Recovery::spawn(&lab, &["-p", &before(target)]);
    recovery.drill.until("the first runner", |event| matches!(event, RunEvent::RunnerStarted { .. }));
    let all = points(&recovery.drill.run().plan).into_iter().filter(|point| point != "runner ").collect::<Vec<_>>();
    let mut open: BTreeSet<String> = if prove {
        all.into_iter().collect()
    } else {
        let seed = seed();
        println!("LIFEBOAT_SEED={seed}");
        sample(all, seed)
    };
    println!("killed at: {open:?}");
    let (wanted, mut seen, mut killed, mut client) = (open.len(), 0, 0, run);
    loop {
        while seen < recovery.drill.entries.len() {
            let here = point(&recovery.drill.entries[seen].event);
            seen += 1;
            if !open.remove(&here) {
                continue;
            }
            // One that has said what is waited for has ended by itself: there is always one to kill.
            if client.try_wait().unwrap().is_some() {
                client = kills::spawn(&lab, "attach.txt", &["attach", recovery.id()]);
            }
            kills::kill(client.id(), Signal::KILL);
            killed += usize::from(kills::exit_of(client).is_none());
            client = kills::spawn(&lab, "attach.txt", &["attach", recovery.id()]);
        }
        match recovery.asks() {
            Some(Way::Ended(_)) => break,
            Some(Way::Decision) => recovery.decide(&["promote"]),
            // Its runner has ended, and the entry with the end was not read yet: nobody else is there to write another.
            Some(Way::Left) => {
                recovery.drill.read_on(Duration::from_secs(1));
                let ended = recovery.drill.run().ended.is_some();
                assert!(ended, "its runner is gone: {:?}", recovery.drill.last(3));
            }
            Some(other) => panic!("{other:?}: {}", recovery.reasons()),
            None => {
                if let Some(gate) = recovery.drill.run().open_gate().map(|(gate, _)| gate.id.to_string()) {
                    lab::assert_done(&recovery.command(&["approve", recovery.id(), &gate, "main"]), &gate);
                }
            }
        }
        recovery.drill.read_on(Duration::from_millis(50));
    }
    // The last entries come with the end.
    for entry in &recovery.drill.entries[seen..] {
        open.remove(&point(&entry.event));
    }
    kills::exit_of(client);
    println!("{killed} of {wanted} clients were killed while they lived");
    assert!(open.is_empty(), "never came by: {open:?}");
    assert!(killed * 2 > wanted, "{killed} of {wanted} were there to be killed");
    let runners = recovery.drill.entries.iter().filter(|entry| matches!(entry.event, RunEvent::RunnerStarted { .. }));
    assert_eq!((recovery.drill.run().outcome_word(), runners.count()), ("done", 1));
    recovery.drill.assert_nothing_ran_twice();
    assert_handed_back(&recovery, 2);
    assert_eq!(lab.sql("SELECT string_agg(mark, ' ') FROM marks"), "before");
    let attached = kills::attach(&lab, &recovery.drill);
    assert_eq!(attached.status.code(), Some(0), "{}", kills::text(&attached));
}
