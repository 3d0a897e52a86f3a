//! Plans to drive: the shipped drill, and small ones of every kind of step in any order.

use crate::known_facts::known;
use lifeboat::domain::digest::Digest;
use lifeboat::domain::facts::Facts;
use lifeboat::domain::plan::{
    Argument, Capture, CaptureFrom, CommandLine, Milestone, Piece, Plan, Shown, Step, StepId, StepKind, When,
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
}

/// Small plans: two thirds of their steps are due while nothing has failed.
pub(crate) fn any_plan() -> impl Strategy<Value = Plan> {
    let when = prop_oneof![4 => Just(When::Success), 1 => Just(When::Always), 1 => Just(When::Failure)];
    let sketch = (
        0..9usize,
        any::<usize>(),
        when,
        any::<bool>(),
        (proptest::bool::weighted(0.1), proptest::option::weighted(0.15, any::<usize>())),
        proptest::option::weighted(0.4, any::<usize>()),
        any::<bool>(),
    )
        .prop_map(|(kind, of, when, destructive, (ruled_out, only_after), refers, expects)| Sketch {
            kind,
            of,
            when,
            destructive,
            ruled_out,
            only_after,
            refers,
            expects,
        });
    proptest::collection::vec(sketch, 1..10).prop_map(|sketches| plan(&sketches))
}

fn plan(sketches: &[Sketch]) -> Plan {
    let mut steps: Vec<Step> = Vec::new();
    for sketch in sketches {
        let step = step(*sketch, &steps);
        steps.push(step);
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
        (6 | 7, _) => StepKind::Gate {
            answer: format!("yes {name}"),
            shows: vec![Shown { label: "shown".into(), value: argument }],
        },
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
        id: id(&name),
        title: name.clone(),
        why: String::new(),
        destructive: sketch.destructive && has_gate && !matches!(kind, StepKind::Gate { .. } | StepKind::Note { .. }),
        when: sketch.when,
        ruled_out: sketch.ruled_out.then(|| "ruled out".to_owned()),
        only_choice: None,
        hold: false,
        only_after: sketch.only_after.filter(|_| !before.is_empty()).map(|at| before[at % before.len()].id.clone()),
        limit_seconds: None,
        failure: String::new(),
        repeat: String::new(),
        proves: reads.iter().map(|_| "v".to_owned()).collect(),
        captures: reads.into_iter().map(|from| Capture { name: "v".into(), from }).collect(),
        expect: expect.into_iter().collect(),
        kind,
    }
}
