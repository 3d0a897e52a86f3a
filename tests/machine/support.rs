//! A run brought to a point, event by event.

use crate::plans::{facts, id};
use crate::world::{created, numbered};
use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::RunEvent;
use lifeboat::domain::facts::Facts;
use lifeboat::domain::plan::{Argument, CommandLine, Milestone, Plan, Step, StepKind, When};
use lifeboat::domain::run::Run;
use lifeboat::planning::plan::seal;
use std::collections::BTreeMap;

/// `check`, `gate` (answer `main`), `restore` (destructive), `server`, `wait`, `stop`.
pub(crate) fn plan() -> Plan {
    let command = CommandLine {
        argv: vec![Argument::text("/bin/true")],
        env: BTreeMap::new(),
        directory: None,
        stdout_is_data: false,
        success: vec![0, 3],
        release: false,
    };
    let server = id("server");
    let kinds = [
        ("check", StepKind::Check { check: "any".into(), with: BTreeMap::new() }),
        ("gate", StepKind::Gate { answer: "main".into(), shows: Vec::new() }),
        ("restore", StepKind::Command { command: command.clone() }),
        ("server", StepKind::Server { command: command.clone() }),
        ("wait", StepKind::Wait { server: server.clone(), until: Milestone::Consistent }),
        ("stop", StepKind::Stop { server, command }),
    ];
    let step = |(name, kind): (&str, StepKind)| Step {
        id: id(name),
        title: name.into(),
        why: String::new(),
        destructive: name == "restore",
        kind,
        when: When::Success,
        ruled_out: None,
        only_after: None,
        only_choice: None,
        hold: false,
        limit_seconds: None,
        failure: String::new(),
        repeat: String::new(),
        captures: Vec::new(),
        expect: BTreeMap::new(),
        proves: Vec::new(),
    };
    let mut plan = Plan {
        runbook: "any".into(),
        title: "Any".into(),
        runbook_digest: Digest::of(b"any"),
        parameters: BTreeMap::new(),
        facts: facts(),
        environment: BTreeMap::new(),
        secret_environment: Vec::new(),
        steps: kinds.into_iter().map(step).collect(),
        seal: Digest::ZERO,
    };
    plan.seal = seal(&plan);
    plan
}

/// The run after these events.
pub(crate) fn run(plan: &Plan, events: Vec<RunEvent>) -> Run {
    let mut run = Run::begin(&created(plan)).unwrap();
    for event in events {
        run.apply(&numbered(run.sequence + 1, event)).unwrap();
    }
    run
}

pub(crate) fn started(name: &str) -> RunEvent {
    RunEvent::StepStarted { step: id(name), attempt: 1 }
}

pub(crate) fn ready(name: &str) -> RunEvent {
    RunEvent::StepReady { step: id(name), attempt: 1, evidence: "ready".into() }
}

/// The gate's opening of that number, with the facts as they are then.
pub(crate) fn opened(plan: &Plan, opening: u32, now: &Facts) -> RunEvent {
    let drift = plan.facts.drift(now);
    RunEvent::GateOpened { step: id("gate"), opening, seal: plan.seal, facts: now.clone(), drift }
}
