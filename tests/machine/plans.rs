//! Plans to drive: the shipped ones, and small ones of every kind of step in any order.

use crate::known_facts::known;
use lifeboat::domain::digest::Digest;
use lifeboat::domain::facts::Facts;
use lifeboat::domain::plan::{
    Argument, Asked, Capture, CaptureFrom, Choice, CommandLine, Milestone, OnlyChoice, Piece, Plan, Shown, Step,
    StepId, StepKind, When,
};
use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::plan::{bind, seal};
use lifeboat::planning::runbook::SHIPPED;
use proptest::prelude::*;
use std::collections::BTreeMap;

pub(crate) fn id(name: &str) -> StepId {
    StepId::new(name).unwrap()
}

/// What the machine the plan is for has at first.
pub(crate) fn facts() -> Facts {
    known().sealed
}

/// The shipped drill.
pub(crate) fn drill() -> Plan {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "restore-drill").unwrap();
    let deep = BTreeMap::from([("depth".to_owned(), "checksums".to_owned())]);
    bind(&lint(text, &VOCABULARY).unwrap(), &deep, &known()).unwrap()
}

/// The shipped recovery in place, of a server that runs and is managed by nothing.
pub(crate) fn recovery() -> Plan {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
    let given = [("target", "latest"), ("production-state", "running"), ("manager", "none")];
    let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    bind(&lint(text, &VOCABULARY).unwrap(), &given, &known()).unwrap()
}

/// What a random step is made of; numbers are taken modulo what there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sketch {
    kind: usize,
    of: usize,
    when: When,
    destructive: bool,
    ruled_out: bool,
    only_after: Option<usize>,
    refers: Option<usize>,
    expects: bool,
    hold: bool,
    /// What was chosen when it is due, as bits, and whether it is due before.
    only_choice: Option<(usize, u8, bool)>,
    /// For a server: it is stopped before its step as well, for the way back.
    stopped_first: bool,
}

/// Small plans: two thirds of their steps are due while nothing has failed.
pub(crate) fn any_plan() -> impl Strategy<Value = Plan> {
    let when = prop_oneof![4 => Just(When::Success), 1 => Just(When::Always), 1 => Just(When::Failure)];
    let sketch = (
        0..9usize,
        any::<usize>(),
        when,
        (any::<bool>(), proptest::bool::weighted(0.35)),
        (proptest::bool::weighted(0.1), proptest::option::weighted(0.15, any::<usize>())),
        proptest::option::weighted(0.4, any::<usize>()),
        any::<bool>(),
        (proptest::option::weighted(0.3, (any::<usize>(), 0..16u8, any::<bool>())), any::<bool>()),
    )
        .prop_map(|(kind, of, when, (destructive, hold), (ruled_out, only_after), refers, expects, choice)| Sketch {
            kind,
            of,
            when,
            destructive,
            ruled_out,
            only_after,
            refers,
            expects,
            hold,
            only_choice: choice.0,
            stopped_first: choice.1,
        });
    // Where the decisions stand, and where their ways back lead.
    let decisions = proptest::collection::vec((any::<usize>(), any::<usize>(), any::<usize>()), 0..3);
    (proptest::collection::vec(sketch, 1..10), decisions).prop_map(|(sketches, decisions)| plan(&sketches, &decisions))
}

fn plan(sketches: &[Sketch], decisions: &[(usize, usize, usize)]) -> Plan {
    let mut steps: Vec<Step> = Vec::new();
    for sketch in sketches {
        let step = step(*sketch, &steps);
        steps.push(step);
    }
    for (number, at) in decisions.iter().enumerate() {
        decide(&mut steps, number, *at);
    }
    for (number, sketch) in sketches.iter().enumerate() {
        depend(&mut steps, &id(&format!("s{number}")), *sketch);
    }
    let mut plan = Plan {
        runbook: "any".into(),
        title: "Any".into(),
        runbook_digest: Digest::of(b"any"),
        parameters: BTreeMap::new(),
        facts: facts(),
        environment: BTreeMap::new(),
        secret_environment: Vec::new(),
        steps,
        seal: Digest::ZERO,
    };
    plan.seal = seal(&plan);
    plan
}

/// A decision with every kind of choice; the second is due only after some choices at the first.
fn decide(steps: &mut Vec<Step>, number: usize, (at, back, further): (usize, usize, usize)) {
    let at = at % (steps.len() + 1);
    let choice = |name: &str, back_to: Option<usize>, asks: bool| Choice {
        id: id(name),
        title: name.into(),
        back_to: back_to.map(|to| if to == at { id(&format!("d{number}")) } else { steps[to].id.clone() }),
        asks: if asks { vec![Asked::Target] } else { Vec::new() },
        gives_up: name == "give-up",
    };
    let shown = steps[..at].iter().rev().find(|step| !step.captures.is_empty());
    let shown = shown.map(|step| Piece::Capture(format!("{}.v", step.id)));
    let kind = StepKind::Decision {
        shows: vec![Shown::new("shown", Argument { pieces: shown.into_iter().collect() })],
        choices: vec![
            choice("on", None, further.is_multiple_of(4)),
            choice("back", Some(back % (at + 1)), true),
            choice("further", Some(further % (at + 1)), false),
            choice("give-up", None, false),
        ],
    };
    let mut others = steps.iter().filter(|step| matches!(step.kind, StepKind::Decision { .. }));
    let only_choice = others.next_back().filter(|_| further.is_multiple_of(3)).map(|other| OnlyChoice {
        step: other.id.clone(),
        is: vec![id("on"), id("back")],
        first: further.is_multiple_of(2),
    });
    let when = if back.is_multiple_of(3) { When::Always } else { When::Success };
    let decision = Step { only_choice, when, ..bare(&format!("d{number}"), kind) };
    steps.insert(at, decision);
}

/// What a step makes of the decisions there are.
fn depend(steps: &mut Vec<Step>, step: &StepId, sketch: Sketch) {
    let decisions: Vec<StepId> = steps
        .iter()
        .filter(|step| matches!(step.kind, StepKind::Decision { .. }))
        .map(|step| step.id.clone())
        .collect();
    let position = steps.iter().position(|other| &other.id == step).unwrap();
    let Some(last) = decisions.last() else { return };
    if let Some((decision, bits, first)) = sketch.only_choice {
        let words = ["on", "back", "further", "give-up"];
        let is = words.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0).map(|(_, word)| id(word));
        let step = decisions[decision % decisions.len()].clone();
        steps[position].only_choice = Some(OnlyChoice { step, is: is.collect(), first });
    }
    if let StepKind::Server { command } = &steps[position].kind
        && sketch.stopped_first
    {
        let kind = StepKind::Stop { server: step.clone(), command: command.clone() };
        let is = vec![id("back"), id("further")];
        let only_choice = Some(OnlyChoice { step: last.clone(), is, first: false });
        let stop = Step { only_choice, hold: sketch.hold, ..bare(&format!("{step}-first"), kind) };
        steps.insert(position, stop);
    }
}

fn bare(name: &str, kind: StepKind) -> Step {
    Step {
        id: id(name),
        title: name.into(),
        why: String::new(),
        kind,
        destructive: false,
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
    }
}

fn step(sketch: Sketch, before: &[Step]) -> Step {
    let name = format!("s{}", before.len());
    let mut pieces = vec![Piece::Text("/bin/".into())];
    // Now and then a value that no step captures.
    let known: Vec<&Step> =
        before.iter().filter(|step| !step.captures.is_empty() || sketch.of.is_multiple_of(16)).collect();
    if let Some(refers) = sketch.refers.filter(|_| !known.is_empty()) {
        pieces.push(Piece::Capture(format!("{}.v", known[refers % known.len()].id)));
    }
    let argument = Argument { pieces };
    let command = CommandLine {
        argv: vec![argument.clone()],
        env: BTreeMap::new(),
        directory: None,
        stdout_is_data: true,
        success: vec![0, 3],
        release: false,
    };
    let servers: Vec<&StepId> =
        before.iter().filter(|step| matches!(step.kind, StepKind::Server { .. })).map(|step| &step.id).collect();
    let server = (!servers.is_empty()).then(|| servers[sketch.of % servers.len()].clone());
    let kind = match (sketch.kind, server) {
        (0, _) => StepKind::Check { check: "any".into(), with: BTreeMap::from([("a".into(), argument)]) },
        (1, _) => StepKind::Server { command },
        (2 | 3, Some(server)) => StepKind::Stop { server, command },
        (4, _) => StepKind::Sql { command },
        (5, Some(server)) => StepKind::Wait { server, until: Milestone::Consistent },
        (6 | 7, _) => StepKind::Gate { answer: format!("yes {name}"), shows: vec![Shown::new("shown", argument)] },
        (8, _) => StepKind::Note { text: argument },
        _ => StepKind::Command { command },
    };
    let has_gate = before.iter().any(|step| matches!(step.kind, StepKind::Gate { .. })) || sketch.of.is_multiple_of(8);
    let reads = match kind {
        StepKind::Command { .. } | StepKind::Sql { .. } => Some(CaptureFrom::Whole),
        StepKind::Check { .. } | StepKind::Wait { .. } => Some(CaptureFrom::Answer),
        _ => None,
    };
    let expect =
        reads.as_ref().filter(|_| sketch.expects).map(|_| ("v".to_owned(), Argument::text(format!("v-{name}"))));
    Step {
        destructive: sketch.destructive && has_gate && !matches!(kind, StepKind::Gate { .. } | StepKind::Note { .. }),
        when: sketch.when,
        ruled_out: sketch.ruled_out.then(|| "ruled out".to_owned()),
        hold: sketch.hold && !matches!(kind, StepKind::Gate { .. } | StepKind::Note { .. }),
        only_after: sketch.only_after.filter(|_| !before.is_empty()).map(|at| before[at % before.len()].id.clone()),
        proves: reads.iter().map(|_| "v".to_owned()).collect(),
        captures: reads.into_iter().map(|from| Capture { name: "v".into(), from }).collect(),
        expect: expect.into_iter().collect(),
        ..bare(&name, kind)
    }
}
