//! `lifeboat transcript` and `lifeboat runs` on a state directory.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

mod sample_plan;
mod sample_run;

use clap::Parser;
use lifeboat::cli::{Exit, runs, transcript};
use lifeboat::engine::store::{RunFolder, Store};
use std::os::unix::fs::DirBuilderExt as _;

const SECRET: &str = "4711";

#[derive(Debug, Parser)]
struct Shown {
    #[command(flatten)]
    args: transcript::Args,
}

/// A state directory with the sample run, its outputs and all.
struct Lab {
    _directory: tempfile::TempDir,
    store: Store,
    folder: RunFolder,
}

fn lab() -> Lab {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("state")).unwrap();
    let (folder, _, _) = store
        .create_run(
            lifeboat::engine::clock::random_run_id().unwrap(),
            sample_plan::plan(),
            sample_plan::anna(),
            sample_plan::host(),
            None,
        )
        .unwrap();
    let path = store.root().join("runs/7Q2K9XAB");
    std::fs::rename(&folder.path, &path).unwrap();
    let folder = store.runs().unwrap().remove(0);
    std::fs::write(folder.journal_path(), sample_run::write(sample_run::events()).0.concat()).unwrap();
    for (position, attempt) in [(2, 1), (2, 2), (3, 1), (5, 1), (6, 1), (10, 1)] {
        let step = folder.step_folder(position, attempt);
        std::fs::DirBuilder::new().mode(0o700).create(&step).unwrap();
        std::fs::write(step.join("output"), sample_run::output(position, attempt).unwrap()).unwrap();
    }
    std::fs::write(folder.step_folder(6, 1).join("errors"), "").unwrap();
    Lab { _directory: directory, store, folder }
}

fn show(lab: &Lab, arguments: &[&str]) -> (Exit, String) {
    let shown = Shown::try_parse_from([&["transcript", "7q2k9xab"], arguments].concat()).unwrap();
    let mut out = Vec::new();
    let redact = |text: &str| text.replace(SECRET, "<set>");
    let exit = transcript::show(&lab.store, &shown.args, &redact, &mut out).unwrap();
    (exit, String::from_utf8(out).unwrap())
}

#[test]
fn each_format_is_written() {
    let lab = lab();
    for (format, begins) in [
        ("text", "Transcript of run 7Q2K9XAB"),
        ("markdown", "# Transcript of run 7Q2K9XAB"),
        ("html", "<!DOCTYPE html>"),
        ("json", "{\n  \"schema\": 1,\n  \"run\": \"7Q2K9XAB\","),
    ] {
        let (exit, text) = show(&lab, &["--format", format]);
        assert_eq!(exit, Exit::Done);
        assert!(text.starts_with(begins), "{format}: {}", &text[..60]);
        assert!(text.contains("restore size = 22.8MB, file total = 1268"), "{format}");
        assert!(!text.contains(SECRET), "{format}: what is secret goes, in outputs, results and notes");
    }
    let (_, text) = show(&lab, &[]);
    assert!(text.contains("Output of attempt 1, 63 bytes; the journal carries no hash of it:"), "{text}");
    assert!(text.contains("Standard error of attempt 1, 0 bytes; its hash is the one in the journal (empty)"));
}

#[test]
fn evidence_that_holds_is_told_to_hold() {
    let lab = lab();
    let entries = lab.folder.load().unwrap().1;
    let (exit, text) = show(&lab, &["--verify"]);
    assert_eq!(exit, Exit::Done);
    assert!(text.contains("holds: run 7Q2K9XAB, 35 entries"), "{text}");
    assert!(text.contains("not shown: that no lines are missing from the end"), "{text}");
    assert!(text.contains("ended: aborted\noutputs: 6 as they were"), "{text}");
    let (exit, text) = show(&lab, &["--verify", "--head", &entries[10].hash.short()]);
    assert_eq!(exit, Exit::Done);
    assert!(text.contains("it is entry 11; 24 entries were written after it"), "{text}");
    let (exit, text) = show(&lab, &["--verify", "--format", "json", "--head", &entries[34].hash.to_string()]);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((exit, &told["holds"], &told["recorded_head"]["entries_after"]), (Exit::Done, &true.into(), &0.into()));
}

#[test]
fn a_cut_at_a_line_end_fails_against_the_recorded_head() {
    let lab = lab();
    let (lines, entries) = sample_run::write(sample_run::events());
    std::fs::write(lab.folder.journal_path(), lines[..30].concat()).unwrap();
    assert_eq!(show(&lab, &["--verify"]).0, Exit::Done, "the chain alone can't tell");
    let (exit, text) = show(&lab, &["--verify", "--head", &entries[34].hash.to_string()]);
    assert_eq!(exit, Exit::Failed);
    assert!(text.contains("MISSING: the given head is not in this journal"), "{text}");
}

#[test]
fn an_altered_line_and_an_altered_output_fail() {
    let lab = lab();
    let output = lab.folder.step_folder(2, 2).join("output");
    let text = std::fs::read_to_string(&output).unwrap();
    std::fs::write(&output, text.replace("22.8MB", "99.9MB")).unwrap();
    std::fs::write(lab.folder.step_folder(5, 1).join("output"), "").unwrap();
    std::fs::remove_file(lab.folder.step_folder(10, 1).join("output")).unwrap();
    let (exit, text) = show(&lab, &["--verify"]);
    assert_eq!(exit, Exit::Failed);
    for expected in [
        "ALTERED: output of step restore, attempt 2: not the text it had when the step ended",
        "ALTERED: output of step control, attempt 1: 0 bytes now, 58 when the step ended",
        "ALTERED: output of step stop, attempt 1: gone",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    let (_, text) = show(&lab, &[]);
    assert!(text.contains("ITS HASH IS NOT THE ONE IN THE JOURNAL"), "{text}");

    let journal = std::fs::read_to_string(lab.folder.journal_path()).unwrap();
    std::fs::write(lab.folder.journal_path(), journal.replace("40 GB free", "10 GB free")).unwrap();
    let (exit, text) = show(&lab, &["--verify"]);
    assert_eq!(exit, Exit::Failed);
    assert!(text.contains("DAMAGED: run 7Q2K9XAB, journal line 10: its text does not have the hash"), "{text}");
}

#[test]
fn a_head_that_is_no_hash_and_a_journal_from_elsewhere_are_refused() {
    let lab = lab();
    let shown = Shown::try_parse_from(["transcript", "7Q2K9XAB", "--verify", "--head", "4f2a"]).unwrap();
    let error = transcript::show(&lab.store, &shown.args, &str::to_owned, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("at least the first eight"), "{error}");
    assert!(Shown::try_parse_from(["transcript", "7Q2K9XAB", "--head", "4f2a91c0"]).is_err(), "--head needs --verify");
    assert!(Shown::try_parse_from(["transcript", "../../etc"]).is_err());
    std::fs::rename(&lab.folder.path, lab.folder.path.with_file_name("0000AAAA")).unwrap();
    let shown = Shown::try_parse_from(["transcript", "0000AAAA"]).unwrap();
    let error = transcript::show(&lab.store, &shown.args, &str::to_owned, &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("belongs to run 7Q2K9XAB"), "{error}");
}

fn list(lab: &Lab, json: bool) -> String {
    let now = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut out = Vec::new();
    let exit = runs::list(Some(&lab.store), &runs::Args { json }, now, &mut out).unwrap();
    assert_eq!(exit, Exit::Done);
    String::from_utf8(out).unwrap()
}

#[test]
fn runs_are_listed_and_damaged_ones_as_such() {
    let lab = lab();
    let path = lab.store.root().join("runs/ZZZZ9999");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("journal.jsonl"), "gone\n").unwrap();
    let text = list(&lab, false);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "run       when                  runbook        outcome  who   took");
    assert!(lines.contains(&"7Q2K9XAB  2026-11-22 09:00:10Z  restore-drill  aborted  anna  10 min 24 s"), "{text}");
    assert!(lines.contains(&"ZZZZ9999  -                     -              damaged  -     -"), "{text}");
    assert!(text.contains("ZZZZ9999: the journal") && text.contains("is damaged at line 1"), "{text}");
    let told: serde_json::Value = serde_json::from_str(&list(&lab, true)).unwrap();
    let find = |id: &str| told["runs"].as_array().unwrap().iter().find(|run| run["run"] == id).unwrap().clone();
    assert_eq!(find("7Q2K9XAB")["seconds"], 624.854);
    assert!(find("ZZZZ9999")["problem"].as_str().unwrap().contains("damaged at line 1"));
}

#[test]
fn a_run_that_nobody_runs_is_told() {
    let lab = lab();
    std::fs::write(lab.folder.journal_path(), sample_run::write(sample_run::events()).0[..6].concat()).unwrap();
    assert!(list(&lab, false).contains("  no runner  anna  59 min 49 s"), "{}", list(&lab, false));
    let _lock = lab.folder.lock_runner().unwrap().unwrap();
    assert!(list(&lab, false).contains("  running  anna  59 min 49 s"));
    let mut out = Vec::new();
    runs::list(None, &runs::Args { json: false }, "2026-11-22T10:00:00Z".parse().unwrap(), &mut out).unwrap();
    assert!(String::from_utf8(out).unwrap().starts_with("No run on this host yet."));
}
