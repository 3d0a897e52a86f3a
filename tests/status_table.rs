//! Which event is legal in which status of a step: every pair, listed.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{Host, Operator, Resolution, RunEvent, RunId, RunOutcome, StepResult, Verdict, Via};
use lifeboat::domain::facts::Facts;
use lifeboat::domain::plan::{Plan, StepId};
use lifeboat::domain::status::{StepStatus, after};
use std::collections::{BTreeMap, BTreeSet};

/// The columns of the table.
const STATUSES: [StepStatus; 10] = [
    StepStatus::Pending,
    StepStatus::Running,
    StepStatus::Ready,
    StepStatus::Waiting,
    StepStatus::Done,
    StepStatus::Failed,
    StepStatus::Held,
    StepStatus::Skipped,
    StepStatus::Unknown,
    StepStatus::Aborted,
];

/// `-`: can't happen.
const TABLE: &str = "
event                   | pending  running  ready    waiting  done     failed   held     skipped  unknown  aborted
step_started            | running  -        -        -        -        -        -        -        -        -
step_ready              | -        ready    -        -        -        -        -        -        -        -
step_ended done         | -        done     done     -        -        -        -        -        -        -
step_ended failed       | -        failed   failed   -        -        -        -        -        -        -
step_ended aborted      | -        aborted  aborted  -        -        -        -        -        -        -
step_interrupted        | -        pending  -        -        -        -        -        -        -        -
step_unknown            | -        unknown  unknown  -        -        -        -        -        -        -
step_resolved done      | -        -        -        -        -        -        done     -        done     -
step_resolved again     | -        -        -        -        -        -        pending  -        pending  -
step_resolved abort     | -        -        -        -        -        -        aborted  -        aborted  -
step_skipped            | skipped  -        -        -        -        -        -        -        -        -
step_refused            | failed   -        -        -        -        -        -        -        -        -
gate_opened             | waiting  -        -        waiting  waiting  -        -        -        -        -
gate_answered           | -        -        -        done     -        -        -        -        -        -
decision_made           | done     -        -        done     done     -        -        -        -        -
run_created             | -        -        -        -        -        -        -        -        -        -
runner_started          | -        -        -        -        -        -        -        -        -        -
plan_amended            | -        -        -        -        -        -        -        -        -        -
abort_requested         | -        -        -        -        -        -        -        -        -        -
note_written            | -        -        -        -        -        -        -        -        -        -
run_ended               | -        -        -        -        -        -        -        -        -        -
";

fn ended(verdict: Verdict) -> RunEvent {
    let result = StepResult {
        verdict,
        reason: None,
        outcome: None,
        milliseconds: 1,
        captures: BTreeMap::new(),
        findings: Vec::new(),
    };
    RunEvent::StepEnded { step: step(), attempt: 1, result }
}

fn resolved(answer: Resolution) -> RunEvent {
    RunEvent::StepResolved { step: step(), attempt: 1, answer, by: by(), evidence: Vec::new(), seal: None }
}

fn step() -> StepId {
    StepId::new("restore").unwrap()
}

fn by() -> Operator {
    Operator { name: "anna".into(), uid: 113 }
}

fn plan() -> Plan {
    Plan {
        runbook: "restore-drill".into(),
        title: String::new(),
        runbook_digest: Digest::ZERO,
        parameters: BTreeMap::new(),
        facts: Facts::default(),
        environment: BTreeMap::new(),
        secret_environment: Vec::new(),
        steps: Vec::new(),
        seal: Digest::ZERO,
    }
}

/// The event of each row.
fn rows() -> Vec<(&'static str, RunEvent)> {
    let evidence = String::new;
    vec![
        ("step_started", RunEvent::StepStarted { step: step(), attempt: 1 }),
        ("step_ready", RunEvent::StepReady { step: step(), attempt: 1, evidence: evidence() }),
        ("step_ended done", ended(Verdict::Done)),
        ("step_ended failed", ended(Verdict::Failed)),
        ("step_ended aborted", ended(Verdict::Aborted)),
        ("step_interrupted", RunEvent::StepInterrupted { step: step(), attempt: 1, evidence: evidence() }),
        ("step_unknown", RunEvent::StepUnknown { step: step(), attempt: 1, evidence: Vec::new() }),
        ("step_resolved done", resolved(Resolution::Done)),
        ("step_resolved again", resolved(Resolution::Again)),
        ("step_resolved abort", resolved(Resolution::Abort)),
        ("step_skipped", RunEvent::StepSkipped { step: step(), reason: String::new() }),
        ("step_refused", RunEvent::StepRefused { step: step(), reason: String::new() }),
        (
            "gate_opened",
            RunEvent::GateOpened {
                step: step(),
                opening: 1,
                seal: Digest::ZERO,
                facts: Facts::default(),
                drift: Vec::new(),
            },
        ),
        (
            "gate_answered",
            RunEvent::GateAnswered { step: step(), opening: 1, seal: Digest::ZERO, by: by(), via: Via::Terminal },
        ),
        (
            "decision_made",
            RunEvent::DecisionMade {
                step: step(),
                opening: 1,
                choice: step(),
                values: BTreeMap::new(),
                seal: Digest::ZERO,
                by: by(),
                via: Via::Terminal,
            },
        ),
        (
            "run_created",
            RunEvent::RunCreated {
                version: 1,
                run: RunId::parse("7Q2K").unwrap(),
                plan: Box::new(plan()),
                by: by(),
                host: Host { name: "db1".into(), machine_id: String::new() },
            },
        ),
        ("runner_started", RunEvent::RunnerStarted { pid: 1, attempt: 1 }),
        ("plan_amended", RunEvent::PlanAmended { values: BTreeMap::new(), seal: Digest::ZERO }),
        ("abort_requested", RunEvent::AbortRequested { by: by(), reason: String::new() }),
        ("note_written", RunEvent::NoteWritten { by: by(), text: String::new() }),
        ("run_ended", RunEvent::RunEnded { outcome: RunOutcome::Done, result: BTreeMap::new() }),
    ]
}

/// The expected word of a row and status.
fn expected(row: &str, status: StepStatus) -> &'static str {
    let line = TABLE.lines().find(|line| line.split('|').next().unwrap().trim() == row).unwrap();
    let column = STATUSES.iter().position(|other| *other == status).unwrap();
    line.split('|').nth(1).unwrap().split_whitespace().nth(column).unwrap()
}

#[test]
fn every_pair_of_status_and_event_is_as_listed() {
    for (row, event) in rows() {
        for status in STATUSES {
            let found = after(status, &event).map_or("-", StepStatus::word);
            assert_eq!(found, expected(row, status), "{row} while {}", status.word());
        }
    }
}

#[test]
fn the_table_is_complete() {
    let header: Vec<&str> =
        TABLE.trim().lines().next().unwrap().split('|').nth(1).unwrap().split_whitespace().collect();
    assert_eq!(header, STATUSES.map(StepStatus::word));
    let listed: Vec<&str> = TABLE.trim().lines().skip(1).map(|line| line.split('|').next().unwrap().trim()).collect();
    let named: Vec<&str> = rows().iter().map(|(row, _)| *row).collect();
    assert_eq!(listed, named);
    let kinds: BTreeSet<String> =
        rows().iter().map(|(_, event)| serde_json::to_value(event).unwrap()["type"].as_str().unwrap().into()).collect();
    assert_eq!(kinds.len(), 17, "every kind of event has a row: {kinds:?}");
    for (row, event) in rows() {
        assert_eq!(serde_json::to_value(&event).unwrap()["type"], row.split(' ').next().unwrap());
    }
}
