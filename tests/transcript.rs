//! Transcripts: they say what was done, prove no more than was proven, and pass nothing hostile or secret on.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod sample_plan;
mod sample_run;

use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{Entry, Resolution, RunEvent};
use lifeboat::domain::plan::{Argument, StepKind};
use lifeboat::domain::run::Run;
use lifeboat::domain::text::clean_lines;
use lifeboat::report::transcript::{StepOutput, Stream};
use lifeboat::report::{html, markdown, text, transcript_json};
use unicode_width::UnicodeWidthStr as _;

const SECRET: &str = "hunter2-cipher";
const HOSTILE: &str = "\u{1b}[2J\u{9b}31m\u{202e}\rrm \u{7}<script>alert(1)</script> | `x` hunter2-cipher";

fn fold(events: Vec<RunEvent>) -> (Run, Vec<Entry>) {
    let (_, entries) = sample_run::write(events);
    (Run::fold(&entries).unwrap(), entries)
}

fn printed(position: usize, attempt: u32) -> Option<StepOutput> {
    let text = sample_run::output(position, attempt)?;
    let output = Stream { text_cleaned: clean_lines(text), bytes: text.len() as u64, sha256_matches: Some(true) };
    Some(StepOutput { output, errors: None })
}

fn redact(text: &str) -> String {
    text.replace(SECRET, "<set>")
}

/// All four layouts.
fn all(
    run: &Run,
    entries: &[Entry],
    outputs: &dyn Fn(usize, u32) -> Option<StepOutput>,
) -> [(&'static str, String); 4] {
    [
        ("text", text::transcript(run, entries, outputs, &redact)),
        ("markdown", markdown::transcript(run, entries, outputs, &redact)),
        ("html", html::transcript(run, entries, outputs, &redact)),
        ("json", serde_json::to_string_pretty(&transcript_json::transcript(run, entries, outputs, &redact)).unwrap()),
    ]
}

#[test]
fn the_text_of_the_sample_run() {
    let (run, entries) = fold(sample_run::events());
    insta::assert_snapshot!(text::transcript(&run, &entries, &printed, &redact));
}

#[test]
fn the_markdown_of_the_sample_run() {
    let (run, entries) = fold(sample_run::events());
    insta::assert_snapshot!(markdown::transcript(&run, &entries, &printed, &redact));
}

#[test]
fn the_summary_is_the_object_of_the_design() {
    let (run, _) = fold(sample_run::events());
    let summary = transcript_json::run_summary(&run);
    let keys: Vec<&String> = summary.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["schema", "run", "runbook", "outcome", "started", "ended", "steps", "result"]);
    assert_eq!(summary["outcome"], "aborted");
    assert_eq!(summary["started"], "2026-11-22T09:00:10.981Z");
    assert_eq!(summary["ended"], "2026-11-22T09:10:35.835Z");
    let restore = &summary["steps"][2];
    assert_eq!(restore.to_string(), r#"{"id":"restore","status":"done","seconds":2.83,"exit":0}"#);
    assert_eq!(summary["steps"][8]["seconds"], serde_json::Value::Null);
    assert_eq!(summary["result"]["rows.orders"], "4711");
    let half = Run::fold(&sample_run::write(sample_run::events()).1[..7]).unwrap();
    let summary = transcript_json::run_summary(&half);
    assert_eq!((summary["outcome"].as_str(), summary["ended"].is_null()), (Some("waiting"), true));
}

#[test]
fn the_json_transcript_holds_the_summary_and_more() {
    let (run, entries) = fold(sample_run::events());
    let whole = transcript_json::transcript(&run, &entries, &printed, &redact);
    let summary = transcript_json::run_summary(&run);
    for (key, value) in summary.as_object().unwrap() {
        if key != "steps" {
            assert_eq!(&whole[key], value, "{key}");
        }
    }
    for (whole, summary) in whole["steps"].as_array().unwrap().iter().zip(summary["steps"].as_array().unwrap()) {
        for (key, value) in summary.as_object().unwrap() {
            assert_eq!(&whole[key], value, "{key}");
        }
    }
    assert_eq!(whole["journal"]["head"], run.head.to_string());
    assert_eq!(whole["journal"]["events"].as_array().unwrap().len(), 35);
    assert_eq!(whole["steps"][2]["argv"][0], "/usr/bin/pgbackrest");
    assert_eq!(whole["steps"][2]["outputs"].as_array().unwrap().len(), 2);
    assert!(serde_json::to_string(&whole).unwrap().starts_with(r#"{"schema":1,"#));
}

#[test]
fn every_layout_says_who_did_what_and_what_is_not_proven() {
    let (run, entries) = fold(sample_run::events());
    for (layout, transcript) in all(&run, &entries, &printed) {
        let plain = transcript.replace(['\n', '\\'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        for expected in [
            "anna",
            "boris",
            "db1",
            "4711",
            "7561840291034567890",
            "restore size = 22.8MB",
            "no process marked 7Q2K9XAB/03 is alive",
            "40 GB free again.",
            "the archive comes back tomorrow",
            "/mnt/archive is not mounted",
            &run.head.to_string(),
        ] {
            assert!(plain.contains(expected), "{layout}: {expected}");
        }
        for expected in ["Step copy failed: /mnt/archive is not mounted.", "The run ended as aborted"] {
            assert!(plain.contains(expected), "{layout}: {expected}");
        }
    }
}

#[test]
fn text_fits_80_columns() {
    let (run, entries) = fold(sample_run::events());
    let long = |position, attempt| {
        let mut printed = printed(position, attempt)?;
        printed.output.text_cleaned = format!("{}\n在庫{}\n", "x".repeat(300), "データ ".repeat(60));
        Some(printed)
    };
    for line in text::transcript(&run, &entries, &long, &redact).lines() {
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
    }
}

/// A plan, events and outputs that are hostile wherever text from outside can stand.
fn hostile() -> Vec<RunEvent> {
    let mut events = sample_run::events();
    for event in &mut events {
        match event {
            RunEvent::RunCreated { plan, by, host, .. } => {
                by.name = HOSTILE.into();
                host.name = HOSTILE.into();
                plan.title = HOSTILE.into();
                plan.parameters.insert(HOSTILE.into(), HOSTILE.into());
                plan.facts.identity.insert(HOSTILE.into(), HOSTILE.into());
                plan.environment.insert(HOSTILE.into(), HOSTILE.into());
                for step in &mut plan.steps {
                    step.title = HOSTILE.into();
                    step.why = HOSTILE.into();
                    step.failure = HOSTILE.into();
                    match &mut step.kind {
                        StepKind::Command { command } => {
                            command.argv.push(Argument::text(HOSTILE));
                            command.env.insert(HOSTILE.into(), Argument::text(HOSTILE));
                        }
                        StepKind::Gate { answer, shows } => {
                            *answer = HOSTILE.into();
                            shows[0].label = HOSTILE.into();
                            shows[0].value = Argument::text(HOSTILE);
                        }
                        _ => {}
                    }
                }
            }
            RunEvent::StepReady { evidence, .. } | RunEvent::StepInterrupted { evidence, .. } => {
                *evidence = HOSTILE.into();
            }
            RunEvent::StepUnknown { evidence, .. } => evidence.push(HOSTILE.into()),
            RunEvent::StepResolved { evidence, by, .. } => {
                evidence.push(HOSTILE.into());
                by.name = HOSTILE.into();
            }
            RunEvent::StepSkipped { reason, .. }
            | RunEvent::StepRefused { reason, .. }
            | RunEvent::AbortRequested { reason, .. } => *reason = HOSTILE.into(),
            RunEvent::StepEnded { result, .. } => {
                result.reason = Some(HOSTILE.into());
                result.captures.insert("hostile".into(), HOSTILE.into());
                result.findings.iter_mut().for_each(|finding| finding.what = HOSTILE.into());
            }
            RunEvent::GateOpened { facts, drift, .. } => {
                facts.identity.insert(HOSTILE.into(), HOSTILE.into());
                drift.iter_mut().for_each(|drift| drift.now = Some(HOSTILE.into()));
            }
            RunEvent::NoteWritten { text, .. } => *text = HOSTILE.into(),
            RunEvent::RunEnded { result, .. } => {
                result.insert(HOSTILE.into(), HOSTILE.into());
            }
            _ => {}
        }
    }
    events
}

#[test]
fn nothing_hostile_and_no_secret_passes() {
    let (run, entries) = fold(hostile());
    // A caller that forgot to clean: the layouts must not rely on it.
    let outputs = |_, _| {
        let stream = Stream { text_cleaned: HOSTILE.repeat(3), bytes: 1, sha256_matches: None };
        Some(StepOutput { output: stream.clone(), errors: Some(stream) })
    };
    for (layout, transcript) in all(&run, &entries, &outputs) {
        let bad = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!transcript.contains(bad), "{layout}: {:?}", transcript.find(bad));
        assert!(!transcript.contains(SECRET), "{layout}");
        assert!(transcript.contains("<set>") || transcript.contains("&lt;set&gt;"), "{layout}");
        if layout == "html" {
            assert!(!transcript.contains("<script"), "{layout}");
        }
    }
    let markdown = markdown::transcript(&run, &entries, &outputs, &redact);
    let mut fenced = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            assert!(!line.contains("<script>"), "{line}");
        }
    }
}

#[test]
fn the_html_file_needs_nothing_else() {
    let (run, entries) = fold(sample_run::events());
    let html = html::transcript(&run, &entries, &printed, &redact);
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    for tag in ["table", "tbody", "ul", "pre", "h2", "h3", "li", "tr"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
    for absent in ["<script", "src=", "href=", "http:", "https:", "@import", "url("] {
        assert!(!html.contains(absent), "{absent}");
    }
    assert!(html.contains("prefers-color-scheme:dark"));
}

#[test]
fn an_altered_or_lost_output_is_said_to_prove_nothing() {
    let (run, entries) = fold(sample_run::events());
    let altered = |position, attempt| {
        let mut found = printed(position, attempt)?;
        found.output.sha256_matches = Some(position != 2);
        (position != 6).then_some(found)
    };
    let transcript = text::transcript(&run, &entries, &altered, &redact);
    let plain = transcript.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains("The output of step restore, attempt 2, is not the one whose hash"), "{transcript}");
    assert!(plain.contains("ITS HASH IS NOT THE ONE IN THE JOURNAL"));
    assert!(plain.contains("The output of step rows, attempt 1, is gone."));
}

#[test]
fn a_step_called_done_by_a_person_is_not_proven() {
    let mut events = sample_run::events();
    if let RunEvent::StepResolved { answer, .. } = &mut events[14] {
        *answer = Resolution::Done;
    }
    events.truncate(15);
    let (run, entries) = fold(events);
    for (layout, transcript) in all(&run, &entries, &printed) {
        let plain = transcript.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(plain.contains("Step restore counts as done because boris (uid 0) said so"), "{layout}");
        assert!(plain.contains("The run has not ended (it is running)"), "{layout}");
    }
}

#[test]
fn what_was_promised_and_not_read_back_is_named() {
    let mut events = sample_run::events();
    if let Some(RunEvent::RunEnded { result, .. }) = events.last_mut() {
        result.clear();
    }
    let (run, entries) = fold(events);
    let transcript = text::transcript(&run, &entries, &printed, &redact);
    assert!(transcript.contains("Nothing was read back."));
    assert!(transcript.contains("rows.orders was to be read back and was not."));
    assert_ne!(run.head, Digest::ZERO);
}
