//! A recovery in place in small, with fixed times: failures that are held, a way back past one of them, a decision that is
//! taken anew, what a person called done, a command that hands over. It is what `fixtures/journal/v1-decisions.jsonl` holds.

use crate::sample_plan::{self, SET, anna, facts, host, id, words};
use chrono::{DateTime, FixedOffset, TimeDelta};
use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{
    Entry, Exit, JOURNAL_VERSION, Operator, Outcome, OutputDigest, Resolution, RunEvent, RunId, RunOutcome, StepResult,
    Verdict, Via,
};
use lifeboat::domain::plan::{
    Argument, Asked, Capture, CaptureFrom, Choice, OnlyChoice, Piece, Plan, Shown, Step, StepKind,
};
use lifeboat::engine::journal::line::{self, Chain, Stamp};
use std::collections::BTreeMap;

const BOOT: &str = "5f0c6f0e-3a5e-4a0e-9a57-2f6a3d1c9b10";

/// `goal`, `confirm`, `restore`, `start`, `consistent`, `inspect`, `free`, `promote`, `hand`, `since`, `stop`.
fn plan() -> Plan {
    let drill = sample_plan::plan();
    let step = |name: &str, as_name: &str, title: &str| -> Step {
        let found = drill.steps.iter().find(|step| step.id == id(name)).cloned();
        let mut step = found.expect("the sample plan has it");
        (step.id, step.title, step.hold) = (id(as_name), title.to_owned(), true);
        (step.captures, step.expect, step.proves) = (Vec::new(), BTreeMap::new(), Vec::new());
        step.failure = "The output says what is in the way: mend it, then again.".to_owned();
        step
    };
    let only = |mut step: Step, is: &[&str]| {
        let is = is.iter().map(|word| id(word)).collect();
        step.only_choice = Some(OnlyChoice { step: id("inspect"), is, first: false });
        step
    };
    let choice = |name: &str, back_to: Option<&str>, gives_up: bool| Choice {
        id: id(name),
        title: format!("what {name} means"),
        back_to: back_to.map(id),
        asks: if back_to.is_some() { vec![Asked::Target] } else { Vec::new() },
        gives_up,
    };
    let shown = Argument { pieces: vec![Piece::Text("at ".into()), Piece::Capture("goal.lsn".into())] };
    let mut goal = step("space", "goal", "Work out the target in WAL");
    goal.captures = vec![Capture { name: "lsn".into(), from: CaptureFrom::Answer }];
    goal.proves = vec!["lsn".into()];
    let mut confirm = step("confirm", "confirm", "Overwrite production's data directory");
    confirm.hold = false;
    let mut inspect = step("confirm", "inspect", "Look, and choose the way on");
    inspect.hold = false;
    inspect.kind = StepKind::Decision {
        shows: vec![Shown::new("reached", shown)],
        choices: vec![
            choice("promote", None, false),
            choice("back", Some("goal"), false),
            choice("give-up", None, true),
        ],
    };
    let mut promote = only(step("rows", "promote", "Promote"), &["promote"]);
    promote.destructive = true;
    let mut hand = only(step("copy", "hand", "Start production"), &["promote"]);
    let StepKind::Command { command } = &mut hand.kind else { panic!("the sample's copy is a command") };
    command.release = true;
    let mut stop = step("stop", "stop", "Stop the fenced server");
    stop.hold = false;
    Plan {
        runbook: "pitr-in-place".into(),
        title: "Recover production to a moment, in place".into(),
        runbook_digest: Digest::of(b"pitr-in-place"),
        parameters: words(&[("set", SET), ("stanza", "main"), ("target", "0/5000028")]),
        steps: vec![
            goal,
            confirm,
            step("restore", "restore", "Restore the backup set in place"),
            step("start", "start", "Start PostgreSQL, for us alone"),
            step("consistent", "consistent", "Replay reaches the target and pauses"),
            inspect,
            only(step("space", "free", "The next timeline is free in every repository"), &["promote"]),
            promote,
            hand,
            only(step("space", "since", "Nobody wrote into what is given up"), &["give-up"]),
            stop,
        ],
        ..drill
    }
}

fn started(name: &str, attempt: u32) -> RunEvent {
    RunEvent::StepStarted { step: id(name), attempt }
}

fn ended(name: &str, attempt: u32, reason: Option<&str>, captures: &[(&str, &str)]) -> RunEvent {
    let is_command = ["restore", "start", "promote", "hand", "stop"].contains(&name);
    let outcome = is_command.then(|| Outcome {
        exit: Exit::Code(i32::from(reason.is_some())),
        milliseconds: 900,
        output: OutputDigest { bytes: 0, sha256: Digest::of(b"") },
        errors: None,
        leftovers: 0,
        boot_id: BOOT.into(),
    });
    let result = StepResult {
        verdict: if reason.is_some() { Verdict::Failed } else { Verdict::Done },
        reason: reason.map(str::to_owned),
        outcome,
        milliseconds: 920,
        captures: words(captures),
        findings: Vec::new(),
    };
    RunEvent::StepEnded { step: id(name), attempt, result }
}

fn resolved(name: &str, attempt: u32, answer: Resolution, reason: &str) -> RunEvent {
    let (by, evidence) = (Operator { name: "boris".into(), uid: 0 }, vec![reason.to_owned()]);
    RunEvent::StepResolved { step: id(name), attempt, answer, by, evidence, seal: None }
}

fn skipped(name: &str, choice: &str) -> RunEvent {
    RunEvent::StepSkipped { step: id(name), reason: format!("'{choice}' was chosen at 'inspect'") }
}

/// How many entries there are when the restore is held, and when giving up is.
pub(crate) const HELD: [usize; 2] = [12, 32];

/// The events in order.
pub(crate) fn events() -> Vec<RunEvent> {
    let plan = plan();
    let seals = [b"0", b"1", b"2", b"3"].map(|seal| Digest::of(seal));
    let opened = |name: &str, opening, seal| RunEvent::GateOpened {
        step: id(name),
        opening,
        seal,
        facts: facts(SET, 52_000_000_000),
        drift: vec![],
    };
    let answered =
        |opening, seal| RunEvent::GateAnswered { step: id("confirm"), opening, seal, by: anna(), via: Via::Terminal };
    let chosen = |opening, choice: &str, values: &[(&str, &str)], seal| RunEvent::DecisionMade {
        step: id("inspect"),
        opening,
        choice: id(choice),
        values: words(values),
        seal,
        by: anna(),
        via: Via::Request,
    };
    let amended = |lsn: &str, seal| RunEvent::PlanAmended { values: words(&[("goal.lsn", lsn)]), seal };
    let run = RunId::parse("8Q2K9XAB").expect("a run's name");
    let stray = "00000002.history is in repo1 and not in the other repositories";
    let taken = "could not fork new process: it runs already";
    vec![
        RunEvent::RunCreated { version: JOURNAL_VERSION, run, plan: Box::new(plan), by: anna(), host: host() },
        RunEvent::RunnerStarted { pid: 4242, attempt: 1 },
        started("goal", 1),
        ended("goal", 1, Some("repo2 can't be read"), &[]),
        resolved("goal", 1, Resolution::Again, "repo2 can't be read"),
        started("goal", 2),
        ended("goal", 2, None, &[("lsn", "0/5000028")]),
        amended("0/5000028", seals[0]),
        opened("confirm", 1, seals[0]),
        answered(1, seals[0]),
        started("restore", 1),
        ended("restore", 1, Some("exit 28: no space left on device"), &[]),
        // Past what is held, back to another target, before the decision has ever opened.
        chosen(0, "back", &[("exclusive", "true"), ("target", "lsn:0/4000060")], seals[1]),
        started("goal", 3),
        ended("goal", 3, None, &[("lsn", "0/4000060")]),
        amended("0/4000060", seals[2]),
        opened("confirm", 2, seals[2]),
        answered(2, seals[2]),
        started("restore", 2),
        ended("restore", 2, None, &[]),
        started("start", 1),
        RunEvent::StepReady { step: id("start"), attempt: 1, evidence: "ready to accept read-only connections".into() },
        started("consistent", 1),
        ended("consistent", 1, None, &[]),
        opened("inspect", 1, seals[2]),
        chosen(1, "give-up", &[], seals[2]),
        skipped("free", "give-up"),
        skipped("promote", "give-up"),
        skipped("hand", "give-up"),
        RunEvent::NoteWritten { by: anna(), text: "The team wants it after all.".into() },
        started("since", 1),
        ended("since", 1, Some("a server was started on it and accepted writes"), &[]),
        // Taken anew: nothing final was begun behind it.
        chosen(0, "promote", &[], seals[3]),
        started("free", 1),
        ended("free", 1, Some(stray), &[]),
        resolved("free", 1, Resolution::Done, stray),
        started("promote", 1),
        ended("promote", 1, None, &[]),
        started("hand", 1),
        ended("hand", 1, Some(taken), &[]),
        resolved("hand", 1, Resolution::Done, taken),
        skipped("since", "promote"),
        started("stop", 1),
        ended("start", 1, None, &[]),
        ended("stop", 1, None, &[]),
        RunEvent::RunEnded { outcome: RunOutcome::Done, result: words(&[("goal.lsn", "0/4000060")]) },
    ]
}

/// The lines (each with its line feed) and entries of its journal.
pub(crate) fn write() -> (Vec<Vec<u8>>, Vec<Entry>) {
    let begin: DateTime<FixedOffset> = "2026-11-22T21:30:00.250+03:00".parse().expect("a time");
    let mut chain = Chain::start();
    let each = events().into_iter().zip(1u32..).map(|(event, sequence)| {
        let stamp = Stamp {
            at: begin + TimeDelta::milliseconds(i64::from(sequence) * 1_731),
            monotonic_ns: u64::from(sequence) * 1_731_000_000,
            boot_id: BOOT.into(),
        };
        let (bytes, entry) = line::encode(&chain, stamp, event).expect("a sample can be written");
        chain = Chain::at(&entry);
        (bytes, entry)
    });
    each.unzip()
}
