//! What decides at a gate or a decision, in groups: for a screen that is complete without scrolling.

use crate::domain::plan::{CommandLine, Step, StepKind};
use crate::domain::run::{GateState, Run};
use crate::domain::text::clean;
use crate::report::gate::lets_pass;

/// What belongs together, in the order in which the runbook names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// `way back`; empty where the runbook names no group.
    pub title: String,
    /// Labels and values.
    pub rows: Vec<(String, String)>,
}

/// A step that can't be undone and that the gate lets pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed<'r> {
    /// Its number, from 1.
    pub number: usize,
    /// Its title.
    pub title: String,
    /// The exact command, if it is one.
    pub command: Option<&'r CommandLine>,
}

/// A gate or a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deciding<'r> {
    /// `GATE · step 8 of 15 · Overwrite production's data directory`.
    pub heading: String,
    /// Why it is asked.
    pub why: String,
    /// What changed under it since it was looked at.
    pub changed: Vec<String>,
    /// What is known.
    pub groups: Vec<Group>,
    /// What it lets pass.
    pub passes: Vec<Passed<'r>>,
    /// Run, host, plan and journal, to compare with what was reviewed.
    pub place: String,
}

/// All that decides at an open gate or decision. All of it is cleaned.
#[must_use]
pub fn of<'r>(run: &'r Run, step: &'r Step, gate: &GateState) -> Deciding<'r> {
    let position = run.plan.position(&step.id).map_or(0, |position| position + 1);
    let (is_gate, shows) = match &step.kind {
        StepKind::Gate { shows, .. } => (true, shows.as_slice()),
        StepKind::Decision { shows, .. } => (false, shows.as_slice()),
        _ => (false, [].as_slice()),
    };
    let mut groups: Vec<Group> = Vec::new();
    for shown in shows {
        let title = clean(shown.group.as_deref().unwrap_or_default());
        let value = shown.told(&run.values);
        let value = if value.trim().is_empty() { "not known".to_owned() } else { clean(&value) };
        let row = (clean(&shown.label), value);
        match groups.iter_mut().find(|group| group.title == title) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { title, rows: vec![row] }),
        }
    }
    let again = if gate.opening > 1 && is_gate { " OPENED AGAIN" } else { "" };
    let word = if is_gate { "GATE" } else { "DECISION" };
    let passes = if is_gate { lets_pass(run, position).map(passed).collect() } else { Vec::new() };
    let head = run.head.to_string();
    Deciding {
        heading: format!("{word}{again} · step {position} of {} · {}", run.plan.steps.len(), clean(&step.title)),
        why: clean(&step.why),
        changed: changed(gate),
        groups,
        passes,
        place: format!(
            "run {} · host {} · plan {} · journal {}",
            run.id,
            clean(&run.host.name),
            gate.seal.short(),
            &head[..16]
        ),
    }
}

fn passed<'r>((number, step): (usize, &'r Step)) -> Passed<'r> {
    Passed { number, title: clean(&step.title), command: step.kind.command() }
}

fn changed(gate: &GateState) -> Vec<String> {
    if gate.drift.is_empty() {
        return Vec::new();
    }
    let since = if gate.opening > 1 { "it was approved" } else { "the plan was made" };
    let mut lines = vec![format!("CHANGED since {since}; an answer given beforehand does not count:")];
    for drift in &gate.drift {
        let was = clean(drift.before.as_deref().unwrap_or("not known"));
        let now = clean(drift.now.as_deref().unwrap_or("not there, or it can't be read"));
        lines.push(format!("! {}: was {was}, now {now}", clean(&drift.fact)));
    }
    lines
}
