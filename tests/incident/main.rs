//! A run with decisions and held steps: its journal loads for ever, and every layout tells what was chosen, by whom, and what
//! was held.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod sample;
#[path = "../sample_plan/mod.rs"]
mod sample_plan;

use lifeboat::domain::event::RunOutcome;
use lifeboat::domain::run::Run;
use lifeboat::domain::status::StepStatus;
use lifeboat::engine::journal;
use lifeboat::report::status::Status;
use lifeboat::report::transcript::StepOutput;
use lifeboat::report::width::Width;
use lifeboat::report::{html, lines, markdown, text, transcript_json};
use std::path::{Path, PathBuf};

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journal/v1-decisions.jsonl")
}

/// The run as it was after so many entries.
fn after(entries: usize) -> Run {
    Run::fold(&sample::write().1[..entries]).unwrap()
}

fn no_output(_: usize, _: u32) -> Option<StepOutput> {
    None
}

#[test]
fn the_file_with_decisions_loads_for_ever() {
    let contents = journal::read(&fixture()).unwrap();
    let run = Run::fold(&contents.entries).unwrap();
    assert_eq!((contents.torn, run.outcome_word(), run.sequence), (None, "done", 46));
    assert_eq!(run.values["goal.lsn"], "0/4000060");
    assert_eq!(
        (run.before["goal.lsn"].as_str(), run.values["inspect.target"].as_str()),
        ("0/5000028", "lsn:0/4000060")
    );
    let state = |name: &str| run.step(&sample_plan::id(name)).unwrap().1;
    assert_eq!((state("restore").attempt, state("goal").attempt), (2, 3));
    assert_eq!((state("free").status, state("since").status), (StepStatus::Done, StepStatus::Skipped));
    assert_eq!(state("inspect").choice, Some(sample_plan::id("promote")));
    assert!(!run.given_up());
    let verification = journal::verify(&fixture()).unwrap();
    assert!(verification.holds());
    assert_eq!((verification.entries, verification.ended), (46, Some(RunOutcome::Done)));
}

#[test]
fn it_is_written_as_it_always_was_and_every_beginning_folds() {
    let (lines, entries) = sample::write();
    assert_eq!(String::from_utf8(lines.concat()).unwrap(), std::fs::read_to_string(fixture()).unwrap());
    for length in 1..=entries.len() {
        assert_eq!(after(length).head, entries[length - 1].hash);
    }
}

#[test]
fn the_texts_of_the_incident() {
    let (_, entries) = sample::write();
    let run = after(entries.len());
    let as_it_is = |text: &str| text.to_owned();
    insta::assert_snapshot!("text", text::transcript(&run, &entries, &no_output, &as_it_is));
    insta::assert_snapshot!("markdown", markdown::transcript(&run, &entries, &no_output, &as_it_is));
    let html = html::transcript(&run, &entries, &no_output, &as_it_is);
    let json = transcript_json::transcript(&run, &entries, &no_output, &as_it_is);
    for told in ["lsn:0/4000060", "give-up", "repo2 can&#39;t be read", "The team wants it after all."] {
        assert!(html.contains(told), "{told}");
    }
    let events = json["journal"]["events"].as_array().unwrap();
    let chosen: Vec<&str> = events.iter().filter_map(|entry| entry["event"]["choice"].as_str()).collect();
    assert_eq!(chosen, ["back", "give-up", "promote"]);
}

#[test]
fn a_held_step_is_told_with_every_way_on() {
    let told = |entries: usize| lines::held(&after(entries), "lifeboat", Width::USUAL).join("\n");
    insta::assert_snapshot!("held_before_the_decision", told(sample::HELD[0]));
    insta::assert_snapshot!("held_behind_the_decision", told(sample::HELD[1]));
    // Once it is promoted nothing but again, done and abort is offered.
    let handing = told(40);
    assert!(handing.contains("resolve 8Q2K9XAB hand done") && !handing.contains(" decide "), "{handing}");
}

#[test]
fn the_status_for_programs_says_what_is_held_and_what_can_be_chosen() {
    let status = |entries: usize| {
        let run = after(entries);
        let now = "2026-11-22T21:40:00+03:00".parse().unwrap();
        Status { run: &run, is_runner_alive: true, progress: None, now, program: "lifeboat" }.json()
    };
    let held = status(sample::HELD[0]);
    assert_eq!((held["outcome"].as_str(), &held["held"]), (Some("waiting"), &serde_json::json!(["restore"])));
    assert!(held["line"].as_str().unwrap().contains("resolve 8Q2K9XAB restore"), "{held}");
    let open = status(25);
    assert_eq!((&open["held"], open["waiting"]["gate"].as_str()), (&serde_json::json!([]), Some("inspect")));
    let choices: Vec<&str> =
        open["waiting"]["choices"].as_array().unwrap().iter().map(|choice| choice["id"].as_str().unwrap()).collect();
    assert_eq!(choices, ["promote", "back", "give-up"]);
    assert_eq!(open["waiting"]["choices"][1]["asks"], serde_json::json!(["target"]));
}
