//! The runner killed with KILL at points of a run: whoever attaches carries it on, nothing is lost, nothing runs twice.
//!
//! Five points by chance in `make test`, the seed printed; after every kind of entry for every step in `make prove`.
#![expect(clippy::print_stdout, reason = "what a failed sample was is found in the test's own output")]

use crate::kills_support::{self as kills, BOTH, Drill};
use crate::lab;
use lifeboat::domain::event::{Resolution, RunEvent};
use lifeboat::domain::plan::{Plan, StepKind};
use lifeboat::domain::status::StepStatus;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// How many points are tried in `make test`.
const SAMPLED: usize = 5;

/// An entry by its kind and its step: where in a run it stands, however often the run was carried on before.
pub(crate) fn point(event: &RunEvent) -> String {
    let kind = match event {
        RunEvent::RunCreated { .. } => "created",
        RunEvent::RunnerStarted { .. } => "runner",
        RunEvent::StepStarted { .. } => "started",
        RunEvent::StepReady { .. } => "ready",
        RunEvent::StepEnded { .. } => "ended",
        RunEvent::StepInterrupted { .. } => "interrupted",
        RunEvent::StepUnknown { .. } => "unknown",
        RunEvent::StepResolved { .. } => "resolved",
        RunEvent::StepSkipped { .. } => "skipped",
        RunEvent::StepRefused { .. } => "refused",
        RunEvent::GateOpened { .. } => "opened",
        RunEvent::GateAnswered { .. } => "answered",
        RunEvent::DecisionMade { .. } => "decided",
        RunEvent::PlanAmended { .. } => "amended",
        RunEvent::AbortRequested { .. } => "abort",
        RunEvent::NoteWritten { .. } => "note",
        RunEvent::RunEnded { .. } => "end",
    };
    format!("{kind} {}", event.step().map_or("", |step| step.as_str()))
}

/// The points that a run of `plan` in which nothing fails comes by.
fn points(plan: &Plan) -> Vec<String> {
    let mut found = vec!["runner ".to_owned()];
    for step in plan.steps.iter().filter(|step| step.ruled_out.is_none()) {
        let kinds: &[&str] = match step.kind {
            StepKind::Gate { .. } => &["opened", "answered"],
            StepKind::Server { .. } => &["started", "ready", "ended"],
            _ => &["started", "ended"],
        };
        found.extend(kinds.iter().map(|kind| format!("{kind} {}", step.id)));
    }
    found
}

/// Some of them, each chosen once, by a generator that anybody can run again with the same seed.
pub(crate) fn sample(mut points: Vec<String>, seed: u64) -> BTreeSet<String> {
    let mut state = seed;
    let mut next = |below: usize| {
        // SplitMix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(below).unwrap()).unwrap()
    };
    (0..SAMPLED).map(|_| points.swap_remove(next(points.len()))).collect()
}

/// `LIFEBOAT_SEED`, else one by chance.
pub(crate) fn seed() -> u64 {
    match std::env::var("LIFEBOAT_SEED") {
        Ok(seed) => seed.parse().expect("LIFEBOAT_SEED is a whole number"),
        Err(_) => {
            let mut bytes = [0; 8];
            rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).unwrap();
            u64::from_le_bytes(bytes)
        }
    }
}

#[test]
fn the_runner_is_killed_and_the_run_carried_on() {
    let prove = std::env::var("LIFEBOAT_PROVE").is_ok_and(|value| value == "1");
    let lab = lab::copy();
    let before = kills::production(&lab);
    let first = kills::spawn_run(&lab, &BOTH);
    let mut drill = Drill::begun(&lab, &[]);
    let all = points(&drill.run().plan);
    let wanted = if prove {
        all.into_iter().collect()
    } else {
        let seed = seed();
        println!("LIFEBOAT_SEED={seed}");
        sample(all, seed)
    };
    println!("killed after: {wanted:?}");
    // It would start a runner itself; here every one is started by an `attach` that is killed as well.
    kills::kill(first.id(), rustix::process::Signal::KILL);
    kills::exit_of(first);

    let (mut open, mut tried, mut seen) = (wanted.clone(), BTreeSet::new(), 0);
    let (mut resolved, mut acknowledged) = (0, Vec::<Vec<u8>>::new());
    let mut client: Option<std::process::Child> = None;
    while drill.run().ended.is_none() {
        while seen < drill.entries.len() {
            let event = drill.entries[seen].event.clone();
            let here = point(&event);
            seen += 1;
            if resolved == 0
                && let RunEvent::StepStarted { step, attempt } = &event
                && step.as_str() == "restore"
            {
                // Once nobody is left who could say how a step ended: a person decides, and it is done again.
                drill.started("restore", *attempt);
                if drill.kill_runner() {
                    acknowledged.push(whole_entries(&drill));
                }
                for (pid, _) in drill.marked_step("restore", *attempt) {
                    kills::kill(pid, rustix::process::Signal::KILL);
                }
                lab::wait_until("the restore is gone", || drill.marked_step("restore", *attempt).is_empty());
            }
            // In a proof what happens only after a kill is a point of its own, too.
            if (open.remove(&here) || prove) && tried.insert(here) && drill.kill_runner() {
                acknowledged.push(whole_entries(&drill));
            }
        }
        if let Some(answer) = drill.run().open_gate().map(|(step, _)| step.id.to_string()) {
            // As often as it takes: the runner may be killed while it is asked.
            let output = lab.run_lifeboat(&["approve", drill.folder.id.as_str(), &answer, "main"]);
            println!("approve {answer}: {}", kills::text(&output));
        } else if let Some((step, attempt)) = unknown(&drill) {
            let id = drill.folder.id.to_string();
            let output = lab.run_lifeboat(&["resolve", &id, &step, "again"]);
            println!("resolve {step} ({attempt}): {}", kills::text(&output));
            resolved += usize::from(output.status.success());
        } else if !drill.folder.is_runner_alive().unwrap() {
            if let Some(mut gone) = client.take() {
                gone.kill().unwrap();
                gone.wait().unwrap();
            }
            client = Some(kills::spawn(&lab, "attach.txt", &["attach", drill.folder.id.as_str()]));
            lab::wait_until("somebody carries the run on", || {
                drill.read_on(Duration::from_millis(50));
                drill.folder.is_runner_alive().unwrap() || drill.run().ended.is_some() || seen < drill.entries.len()
            });
        }
        drill.read_on(Duration::from_millis(200));
    }
    if let Some(client) = client {
        kills::exit_of(client);
    }
    // The last entries may come with the end, before anybody could be killed after them.
    for entry in &drill.entries[seen..] {
        open.remove(&point(&entry.event));
    }
    println!("{} kills, {resolved} resolved, {} entries", acknowledged.len(), drill.entries.len());
    assert_eq!(drill.run().outcome_word(), "done", "{}", kills::text(&kills::attach(&lab, &drill)));
    assert!(resolved > 0, "nothing was ever unknown");
    assert!(open.is_empty(), "never came by: {open:?}");
    let journal = fs::read(drill.folder.journal_path()).unwrap();
    for prefix in &acknowledged {
        assert!(journal.starts_with(prefix), "an entry that was on disk when the runner was killed is gone");
    }
    assert!(acknowledged.len() + 1 >= wanted.len(), "{} of {} kills", acknowledged.len(), wanted.len());
    assert!(drill.run().each().all(|(_, state)| matches!(state.status, StepStatus::Done | StepStatus::Skipped)));
    assert!(!drill.entries.iter().any(|entry| {
        matches!(&entry.event, RunEvent::StepResolved { answer, .. } if *answer != Resolution::Again)
    }));
    drill.assert_nothing_ran_twice();
    assert_eq!(drill.marked(), []);
    assert_eq!(fs::read_dir(lab.layout.drills()).unwrap().count(), 0);
    assert!(kills::production(&lab) == before, "production is as it was");
}

/// What is on disk of the journal, but for an entry that was being written.
fn whole_entries(drill: &Drill) -> Vec<u8> {
    let mut journal = fs::read(drill.folder.journal_path()).unwrap();
    let whole = journal.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    journal.truncate(whole);
    journal
}

fn unknown(drill: &Drill) -> Option<(String, u32)> {
    drill.run().unknown().next().map(|(step, state)| (step.id.to_string(), state.attempt))
}
