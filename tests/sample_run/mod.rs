//! A realistic run of the sample plan with fixed times, in which every kind of event happens. It is what
//! `fixtures/journal/v1.jsonl` holds.

#![expect(clippy::unwrap_used, reason = "a sample that can't be built has to stop the test")]

use crate::sample_plan::{SET, anna, facts, host, id, plan, words};
use chrono::{DateTime, FixedOffset, TimeDelta};
use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{
    Entry, Exit, Finding, JOURNAL_VERSION, Operator, Outcome, OutputDigest, Resolution, RunEvent, RunId, RunOutcome,
    StepResult, Verdict, Via,
};
use lifeboat::domain::facts::{Drift, Facts};
use lifeboat::engine::journal::line::{self, Chain, Stamp};

/// The boot of the first entries, and the one after the host went down in between.
pub(crate) const BOOTS: [&str; 2] = ["5f0c6f0e-3a5e-4a0e-9a57-2f6a3d1c9b10", "c1b7f5a4-08d2-4a7b-8f5e-6a0d9e3b7c22"];

/// What step `position` printed in `attempt`; the outcomes in [`events`] carry its digest.
pub(crate) fn output(position: usize, attempt: u32) -> Option<&'static str> {
    Some(match (position, attempt) {
        (2, 1) => "2026-11-22 09:00:12.001 P00   INFO: restore command begin 2.45\n",
        (2, 2) => {
            "2026-11-22 09:11:02.310 P00   INFO: restore command begin 2.45: --delta --pg1-path=/srv/drill/data\n\
             2026-11-22 09:11:02.402 P00   INFO: repo1: restore backup set 20261122-023822F_20261122-083829I, recovery \
             will start at 2026-11-22 08:38:29\n\
             2026-11-22 09:11:05.117 P00   INFO: restore size = 22.8MB, file total = 1268\n\
             2026-11-22 09:11:05.120 P00   INFO: restore command end: completed successfully (2812ms)\n"
        }
        (3, 1) => {
            "LOG:  starting point-in-time recovery to 2026-11-22 08:40:00+00\n\
                   LOG:  consistent recovery state reached at 0/6000100\n"
        }
        (5, 1) => "Database system identifier:           7561840291034567890\n",
        (6, 1) => "orders\n4711\n",
        (10, 1) => "server stopped\n",
        _ => return None,
    })
}

fn outcome(position: usize, attempt: u32, exit: Exit, milliseconds: u64) -> Outcome {
    let text = output(position, attempt).unwrap_or_default().as_bytes();
    Outcome {
        exit,
        milliseconds,
        output: OutputDigest { bytes: text.len() as u64, sha256: Digest::of(text) },
        errors: (position == 6).then(|| OutputDigest { bytes: 0, sha256: Digest::of(b"") }),
        leftovers: 0,
        boot_id: BOOTS[1].into(),
    }
}

fn ended(name: &str, attempt: u32, result: StepResult) -> RunEvent {
    RunEvent::StepEnded { step: id(name), attempt, result }
}

fn started(name: &str, attempt: u32) -> RunEvent {
    RunEvent::StepStarted { step: id(name), attempt }
}

fn done(outcome: Option<Outcome>, milliseconds: u64, captures: &[(&str, &str)]) -> StepResult {
    StepResult {
        verdict: Verdict::Done,
        reason: None,
        outcome,
        milliseconds,
        captures: words(captures),
        findings: Vec::new(),
    }
}

/// The events in order: the host goes down during the restore, a person decides, the archive is not there, somebody
/// aborts what is left.
pub(crate) fn events() -> Vec<RunEvent> {
    let plan = plan();
    let amended = Digest::of(b"the plan with the captured values");
    let evidence = vec!["boot id changed".to_owned(), "no process marked 7Q2K9XAB/03 is alive".to_owned()];
    let opened = |opening, facts: Facts, drift| RunEvent::GateOpened {
        step: id("confirm"),
        opening,
        seal: plan.seal,
        facts,
        drift,
    };
    let answered =
        |opening, via| RunEvent::GateAnswered { step: id("confirm"), opening, seal: plan.seal, by: anna(), via };
    let drift = vec![Drift {
        fact: "free-space".into(),
        before: Some("52000000000 bytes".into()),
        now: Some("200000000 bytes, at least 300000000 needed".into()),
    }];
    let finding =
        Finding { holds: true, what: "/srv/drill: 52.0 GB free, 0.3 GB needed".into(), remedy: String::new() };
    let checked = StepResult { findings: vec![finding], ..done(None, 12, &[]) };
    let boris = Operator { name: "boris".into(), uid: 0 };
    vec![
        RunEvent::RunCreated {
            version: JOURNAL_VERSION,
            run: RunId::parse("7Q2K9XAB").unwrap(),
            plan: Box::new(plan.clone()),
            by: anna(),
            host: host(),
        },
        RunEvent::RunnerStarted { pid: 4242, attempt: 1 },
        started("space", 1),
        RunEvent::StepInterrupted { step: id("space"), attempt: 1, evidence: "a question without effect".into() },
        started("space", 2),
        ended("space", 2, checked),
        opened(1, facts(SET, 52_000_000_000), vec![]),
        answered(1, Via::Terminal),
        opened(2, facts(SET, 200_000_000), drift),
        RunEvent::NoteWritten { by: anna(), text: "Removed last month's dumps, 40 GB free again.".into() },
        answered(2, Via::Request),
        started("restore", 1),
        RunEvent::RunnerStarted { pid: 611, attempt: 2 },
        RunEvent::StepUnknown { step: id("restore"), attempt: 1, evidence: evidence.clone() },
        RunEvent::StepResolved {
            seal: None,
            step: id("restore"),
            attempt: 1,
            answer: Resolution::Again,
            by: boris.clone(),
            evidence,
        },
        started("restore", 2),
        ended("restore", 2, done(Some(outcome(2, 2, Exit::Code(0), 2_812)), 2_830, &[])),
        started("start", 1),
        RunEvent::StepReady {
            step: id("start"),
            attempt: 1,
            evidence: "LOG:  database system is ready to accept read-only connections".into(),
        },
        started("consistent", 1),
        ended("consistent", 1, done(None, 140, &[("lsn", "0/6000100")])),
        started("control", 1),
        ended(
            "control",
            1,
            done(Some(outcome(5, 1, Exit::Code(0), 9)), 31, &[("system-identifier", "7561840291034567890")]),
        ),
        started("rows", 1),
        ended("rows", 1, done(Some(outcome(6, 1, Exit::Code(0), 22)), 44, &[("orders", "4711")])),
        RunEvent::PlanAmended { values: words(&[("rows.orders", "4711")]), seal: amended },
        started("report", 1),
        ended("report", 1, done(None, 0, &[])),
        RunEvent::StepSkipped { step: id("second"), reason: "nothing failed".into() },
        RunEvent::StepRefused { step: id("copy"), reason: "/mnt/archive is not mounted".into() },
        RunEvent::AbortRequested { by: boris, reason: "the archive comes back tomorrow".into() },
        ended("start", 1, done(Some(outcome(3, 1, Exit::Code(0), 5_100)), 5_140, &[])),
        started("stop", 1),
        ended("stop", 1, done(Some(outcome(10, 1, Exit::Code(0), 110)), 130, &[])),
        RunEvent::RunEnded {
            outcome: RunOutcome::Aborted,
            result: words(&[("control.system-identifier", "7561840291034567890"), ("rows.orders", "4711")]),
        },
    ]
}

/// The stamp of entry `sequence`: fixed, ten minutes later and in another boot behind the crash.
pub(crate) fn stamp(sequence: usize) -> Stamp {
    let begin: DateTime<FixedOffset> = "2026-11-22T12:00:10.250+03:00".parse().unwrap();
    let rebooted = sequence > 12;
    let step = i64::try_from(sequence).unwrap();
    let later = TimeDelta::milliseconds(step * 731 + if rebooted { 600_000 } else { 0 });
    Stamp {
        at: begin + later,
        monotonic_ns: sequence as u64 * 731_000_000 + if rebooted { 9_000_000_000 } else { 7_200_000_000_000 },
        boot_id: BOOTS[usize::from(rebooted)].into(),
    }
}

/// The lines (each with its line feed) and entries of a journal of `events`.
pub(crate) fn write(events: impl IntoIterator<Item = RunEvent>) -> (Vec<Vec<u8>>, Vec<Entry>) {
    let mut chain = Chain::start();
    let mut lines = Vec::new();
    let mut entries = Vec::new();
    for (index, event) in events.into_iter().enumerate() {
        let (bytes, entry) = line::encode(&chain, stamp(index + 1), event).unwrap();
        chain = Chain::at(&entry);
        lines.push(bytes);
        entries.push(entry);
    }
    (lines, entries)
}
