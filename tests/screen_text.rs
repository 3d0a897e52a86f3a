//! What a run shows while it goes on: hostile text stays harmless, lines fit, nothing is lost that a person needs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "other tests use the rest")]
mod sample_plan;

use chrono::{DateTime, FixedOffset};
use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{
    Entry, Finding, JOURNAL_VERSION, Operator, RunEvent, RunId, RunOutcome, StepResult, Verdict,
};
use lifeboat::domain::facts::Drift;
use lifeboat::domain::inventory::RepositoryKey;
use lifeboat::domain::label::BackupLabel;
use lifeboat::domain::plan::{Argument, Plan, StepKind};
use lifeboat::domain::run::Run;
use lifeboat::domain::wal::TimelineId;
use lifeboat::planning::selection::Choice;
use lifeboat::report::lines::{self, Detail};
use lifeboat::report::width::Width;
use lifeboat::report::{gate, summary};
use sample_plan::{facts, host, id, plan};
use std::collections::BTreeMap;
use unicode_width::UnicodeWidthStr as _;

const HOSTILE: &str = "a\u{1b}[2J\rb\u{202e}c\u{9b}31m\u{7}\u{200b}";

fn hostile(plan: &mut Plan) {
    plan.title = HOSTILE.into();
    plan.parameters.insert("target".into(), HOSTILE.into());
    for step in &mut plan.steps {
        step.title = HOSTILE.into();
        step.why = HOSTILE.into();
        step.failure = HOSTILE.into();
        step.repeat = HOSTILE.into();
        match &mut step.kind {
            StepKind::Gate { answer, shows } => {
                *answer = HOSTILE.into();
                for shown in shows {
                    shown.label = HOSTILE.into();
                    shown.value = Argument::text(HOSTILE);
                }
            }
            StepKind::Command { command } | StepKind::Server { command } | StepKind::Sql { command } => {
                command.argv.push(Argument::text(HOSTILE));
            }
            _ => {}
        }
    }
}

fn entries(plan: Plan, events: Vec<RunEvent>, name: &str) -> Vec<Entry> {
    let run = RunId::parse("7Q2K").unwrap();
    let by = Operator { name: name.into(), uid: 113 };
    let mut host = host();
    host.name = name.into();
    let first = RunEvent::RunCreated { version: JOURNAL_VERSION, run, plan: Box::new(plan), by, host };
    let at: DateTime<FixedOffset> = "2026-11-22T09:00:00Z".parse().unwrap();
    std::iter::once(first)
        .chain(events)
        .enumerate()
        .map(|(index, event)| Entry {
            sequence: index as u64 + 1,
            at,
            monotonic_ns: index as u64,
            boot_id: "boot".into(),
            event,
            hash: Digest::of(&[u8::try_from(index).unwrap()]),
        })
        .collect()
}

fn failed(what: &str) -> Vec<RunEvent> {
    let result = StepResult {
        verdict: Verdict::Failed,
        reason: Some(what.into()),
        outcome: None,
        milliseconds: 10,
        captures: BTreeMap::new(),
        findings: vec![Finding { holds: false, what: what.into(), remedy: what.into() }],
    };
    vec![
        RunEvent::StepStarted { step: id("space"), attempt: 1 },
        RunEvent::StepEnded { step: id("space"), attempt: 1, result },
        RunEvent::StepSkipped { step: id("confirm"), reason: "an earlier step failed".into() },
        RunEvent::StepSkipped { step: id("restore"), reason: "an earlier step failed".into() },
        RunEvent::RunEnded { outcome: RunOutcome::Failed, result: BTreeMap::from([(what.into(), what.into())]) },
    ]
}

fn opened(plan: &Plan, what: &str) -> RunEvent {
    let drift = Drift { fact: what.into(), before: Some(what.into()), now: None };
    let facts = facts("set", 500_000_000);
    RunEvent::GateOpened { step: id("confirm"), opening: 1, seal: plan.seal, facts, drift: vec![drift] }
}

fn choice(what: &str) -> Choice {
    Choice {
        repository: RepositoryKey(1),
        set: BackupLabel::parse("20261122-023822F").unwrap(),
        timeline: TimelineId(1),
        reason: what.into(),
        warnings: vec![what.into()],
        alternatives: Vec::new(),
        pgbackrest: None,
    }
}

/// Everything a run can show.
fn all(plan: &Plan, what: &str, columns: Width) -> Vec<String> {
    let mut shown = summary::lines(plan, &RunId::parse("7Q2K").unwrap(), &choice(what), what, "lifeboat", columns);
    for (events, detail) in [
        (failed(what), Detail::Full),
        (failed(what), Detail::Brief),
        (vec![opened(plan, what)], Detail::Brief),
        (vec![RunEvent::StepStarted { step: id("restore"), attempt: 1 }], Detail::Brief),
    ] {
        let entries = entries(plan.clone(), events, what);
        shown.extend(entries.iter().flat_map(|entry| lines::of(plan, entry, detail, columns)));
        let run = Run::fold(&entries).unwrap();
        shown.extend(lines::end(&run, "lifeboat", columns));
        if let Some((step, state)) = run.open_gate() {
            shown.extend(gate::lines(&run, step, state, columns));
            shown.extend(lines::waiting(&run, step, "lifeboat", columns));
        }
    }
    shown
}

#[test]
fn nothing_hostile_reaches_the_terminal() {
    let mut plan = plan();
    hostile(&mut plan);
    let shown = all(&plan, HOSTILE, Width::USUAL);
    assert!(
        shown.iter().filter(|line| line.contains("a␛[2J␍b<U+202E>c<U+009B>31m␇<U+200B>")).count() > 15,
        "{shown:?}"
    );
    for line in shown {
        let raw = |letter: char| letter.is_control() || ['\u{202e}', '\u{200b}'].contains(&letter);
        assert!(!line.contains(raw), "{line:?}");
    }
}

#[test]
fn lines_use_the_terminal_as_far_as_it_can_be_read() {
    let sentence = "the set is the newest of several that fit, and this sentence goes on for a while ".repeat(3);
    let widest = |terminal: usize| {
        let shown = all(&plan(), &sentence, Width::of_terminal(terminal));
        shown.iter().map(|line| line.width()).max().unwrap()
    };
    // Every rule fills its line.
    assert_eq!([80, 100, 200].map(widest), [79, 99, 110]);
    let lines = |terminal| all(&plan(), &sentence, Width::of_terminal(terminal)).len();
    assert!(lines(110) < lines(80), "what fits into one line is not broken");
}

#[test]
fn a_failure_is_told_again_at_the_end_and_what_it_took_with_it() {
    let entries = entries(plan(), failed("no room"), "anna");
    let brief: Vec<String> =
        entries.iter().flat_map(|entry| lines::of(&plan(), entry, Detail::Brief, Width::USUAL)).collect();
    assert!(brief.iter().any(|line| line.contains("✗ 1/11 Enough space for the restore: FAILED")), "{brief:#?}");
    assert!(!brief.iter().any(|line| line.contains("an earlier step failed")), "{brief:#?}");
    let end = lines::end(&Run::fold(&entries).unwrap(), "lifeboat", Width::USUAL).join("\n");
    assert!(end.contains("run 7Q2K FAILED") && end.contains("✗ 1/11 Enough space"), "{end}");
    assert!(end.contains("no room") && end.contains("not done: steps 2-"), "{end}");
    assert!(end.ends_with("lifeboat transcript 7Q2K"), "{end}");
}

#[test]
fn a_gate_shows_the_command_it_lets_pass_and_what_changed() {
    let plan = plan();
    let run = Run::fold(&entries(plan.clone(), vec![opened(&plan, "backup-set")], "anna")).unwrap();
    let (step, state) = run.open_gate().unwrap();
    let text = gate::lines(&run, step, state, Width::USUAL).join("\n");
    for told in ["$ /usr/bin/pgbackrest --stanza=main", "--target=2026", "GATE · step 2", "overwrites", "CHANGED since"]
    {
        assert!(text.contains(told), "{told} is missing: {text}");
    }
    assert!(text.contains("! backup-set\n       was  backup-set\n       now  not there"), "{text}");
}
