//! The drill with nobody watching, and what is left of it: JSON, report, metrics, status, inventory, cleanup.

use crate::lab::{self, Lab};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// `lifeboat` as a person types it in the lab's folder: not as the owner yet, and with relative paths. As root it
/// becomes the owner by executing itself again.
fn typed(lab: &Lab, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/nonexistent")
        .env("TZ", "UTC")
        .current_dir(lab.home())
        .args(["--settings", "practice/lifeboat.toml"])
        .args(arguments)
        .stdin(Stdio::null());
    command
}

fn start(lab: &Lab, arguments: &[&str]) -> Child {
    typed(lab, arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Runs it to its end and expects this exit status.
fn ends_with(lab: &Lab, code: i32, arguments: &[&str]) -> String {
    let output = typed(lab, arguments).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    said
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn json(lab: &Lab, code: i32, arguments: &[&str]) -> Value {
    let output = typed(lab, arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

fn drill_of(answer: &Value) -> &Value {
    assert_eq!(answer["schema"], 1);
    assert_eq!(answer["drills"].as_array().unwrap().len(), 1);
    &answer["drills"][0]
}

fn check<'a>(drill: &'a Value, id: &str) -> &'a Value {
    drill["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["id"] == id)
        .unwrap_or_else(|| panic!("{id}: {drill}"))
}

fn drill_directory(lab: &Lab, run: &Value) -> PathBuf {
    lab.layout.drills().join(run.as_str().unwrap())
}

fn last_drills(lab: &Lab) -> Vec<(String, u64, Value)> {
    let answer = json(lab, 0, &["inventory", "--json"]);
    let stanza = &answer["stanzas"][0];
    let mut found = Vec::new();
    for repository in stanza["repositories"].as_array().unwrap() {
        for set in repository["sets"].as_array().unwrap() {
            let label = set["label"].as_str().unwrap().to_owned();
            found.push((label, repository["key"].as_u64().unwrap(), set["last_drill"].clone()));
        }
    }
    found
}

/// The value of a metric, whatever its labels.
fn metric(page: &str, name: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(&format!("lifeboat_drill_{name}{{")))?;
    Some(line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

#[test]
fn an_unattended_drill_tells_what_was_proven_and_leaves_nothing_else() {
    let lab = lab::running();
    lab.wait_archived();
    let orders = lab.sql("SELECT count(*) FROM orders");
    assert!(last_drills(&lab).iter().all(|(_, _, drill)| drill.is_null()));

    let arguments = ["drill", "--json", "-p", "depth=checksums", "--report", "report.md", "--metrics=./drill.prom"];
    let child = start(&lab, &arguments);
    // While it goes on, the line names the run, the step and how far it is.
    lab::wait_until("the status line tells of a step", || {
        let line = ends_with(&lab, 0, &["status"]);
        line.contains(" restore-drill of main on ") && line.contains(": step ") && line.lines().count() == 1
    });
    let status = json(&lab, 0, &["status", "--json"]);
    assert_eq!((&status["schema"], status["runs"].as_array().unwrap().len()), (&Value::from(1), 1));
    assert_eq!(status["runs"][0]["runbook"], "restore-drill");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(output.stderr.is_empty(), "{}", text(&output));

    let names = std::fs::read_to_string(lab.layout.state().join("names/main.jsonl")).unwrap();
    assert!(names.contains("\"name\":\"orders\""), "the names of tables are remembered");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let drill = drill_of(&answer);
    assert_eq!(drill["run"], status["runs"][0]["run"]);
    assert_eq!(
        (&drill["target"], &drill["depth"], &drill["verdict"]),
        (&"latest".into(), &"checksums".into(), &"done".into())
    );
    let (consistent, target) = (&drill["seconds_to_consistent"], &drill["seconds_to_target"]);
    assert!(0.0 < consistent.as_f64().unwrap() && consistent.as_f64() <= target.as_f64(), "{drill}");
    for id in
        ["set-usable", "archive-covers", "isolation", "result", "catalog", "rows", "amcheck", "checksums", "production"]
    {
        assert_eq!(
            (&check(drill, id)["covered"], &check(drill, id)["verdict"]),
            (&true.into(), &"done".into()),
            "{id}"
        );
    }
    let largest = drill["result"]["rows.largest"].as_str().unwrap();
    assert!(largest.contains(&format!("public.orders {orders}")), "{largest} is not {orders} orders");
    assert!(!drill_directory(&lab, &drill["run"]).exists());

    // The paths were meant from the folder in which it was typed.
    let report = fs::read_to_string(lab.home().join("report.md")).unwrap();
    assert!(report.starts_with("# Transcript of run ") && report.contains(drill["run"].as_str().unwrap()), "{report}");
    let page = fs::read_to_string(lab.home().join("drill.prom")).unwrap();
    assert_eq!(metric(&page, "success"), Some(1.0));
    assert_eq!(metric(&page, "seconds_to_target"), target.as_f64());
    assert_eq!(metric(&page, "last_success_timestamp_seconds"), metric(&page, "ended_timestamp_seconds"));
    assert!(page.contains("check=\"checksums\"} 1"), "{page}");

    for (label, repository, last) in last_drills(&lab) {
        if drill["set"] == label.as_str() && drill["repository"] == repository {
            assert_eq!((&last["depth"], &last["verdict"]), (&"checksums".into(), &"done".into()));
            assert_eq!(last["at"].as_str().unwrap()[..19], drill["ended"].as_str().unwrap()[..19]);
        } else {
            assert!(last.is_null(), "{label} of repository {repository}: {last}");
        }
    }
    let line = ends_with(&lab, 0, &["status"]);
    assert!(line.contains(": done "), "{line}");
    let shown = ends_with(&lab, 0, &["attach", drill["run"].as_str().unwrap()]);
    assert!(shown.contains(" DONE ") && shown.contains("--settings") && shown.contains(" transcript "), "{shown}");
}

#[test]
fn a_drill_that_fails_stops_its_server_removes_its_directory_and_says_so() {
    let lab = lab::copy();
    let arguments =
        ["drill", "--json", "-p", "depth=start", "--metrics", "drill.prom", "-p", "probe=SELECT 1/0 AS nothing"];
    let answer = json(&lab, 1, &arguments);
    let drill = drill_of(&answer);
    assert_eq!(drill["verdict"], "failed");
    assert!(drill["reason"].as_str().unwrap().starts_with("probe: "), "{drill}");
    assert_eq!(check(drill, "probe")["verdict"], "failed");
    assert_eq!(
        (&check(drill, "rows")["covered"], &check(drill, "rows")["verdict"]),
        (&false.into(), &"skipped".into())
    );
    assert_eq!(check(drill, "production")["verdict"], "done");
    let directory = drill_directory(&lab, &drill["run"]);
    assert!(!directory.exists());
    let left = lab::processes_naming(&directory);
    assert!(left.is_empty(), "{left:?}");
    let page = fs::read_to_string(lab.home().join("drill.prom")).unwrap();
    assert_eq!((metric(&page, "success"), metric(&page, "last_success_timestamp_seconds")), (Some(0.0), None));
    // The evidence is kept: what the query's step said is in the transcript.
    let transcript = ends_with(&lab, 0, &["transcript", drill["run"].as_str().unwrap()]);
    assert!(transcript.contains("division by zero"), "{transcript}");
    assert!(last_drills(&lab).iter().any(|(_, _, last)| last["verdict"] == "failed"));
}

#[test]
fn a_drill_stops_at_the_target_it_was_given() {
    let lab = lab::running();
    lab.sql("CREATE TABLE marks (n integer)");
    lab.sql("INSERT INTO marks VALUES (1)");
    let lsn = lab.sql("SELECT pg_current_wal_insert_lsn()");
    lab.sql("INSERT INTO marks VALUES (2)");
    // Between two commits, and not at the very moment of one.
    let time = lab.sql("SELECT to_char((clock_timestamp() + '10ms') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM pg_sleep(0.02)");
    lab.sql("SELECT pg_sleep(0.05)");
    lab.sql("INSERT INTO marks VALUES (3)");
    lab.wait_archived();
    let probe = "probe=SELECT coalesce(max(n), 0) AS n FROM marks";
    for (target, kind, wanted) in [(lsn.as_str(), "lsn", "1"), (time.as_str(), "time", "2"), ("latest", "latest", "3")]
    {
        let answer =
            json(&lab, 0, &["drill", "--json", "-p", "depth=start", "-p", &format!("target={target}"), "-p", probe]);
        let drill = drill_of(&answer);
        assert_eq!((&drill["target"], &drill["verdict"]), (&target.into(), &"done".into()));
        assert_eq!(drill["result"]["probe.answer"].as_str(), Some(format!("n␊{wanted}").as_str()), "{kind}: {drill}");
        let latest = check(drill, "end-of-archive");
        assert_eq!(latest["covered"], kind == "latest");
    }
    // Consistent, and no further: the table was made after every backup.
    let probe = "probe=SELECT to_regclass('marks') IS NULL AS before";
    let answer = json(&lab, 0, &["drill", "--json", "-p", "depth=start", "-p", "target=immediate", "-p", probe]);
    assert_eq!(drill_of(&answer)["result"]["probe.answer"], "before␊t");
}

#[test]
fn what_a_drill_kept_is_cleaned_up_by_its_name_and_once() {
    let lab = lab::copy();
    let answer = json(&lab, 0, &["drill", "--json", "-p", "depth=start", "-p", "keep=true"]);
    let run = drill_of(&answer)["run"].as_str().unwrap().to_owned();
    let directory = drill_directory(&lab, &answer["drills"][0]["run"]);
    assert!(directory.join("data/PG_VERSION").exists());

    // Nobody is there to type the name: it is shown, and stays.
    let said = ends_with(&lab, 3, &["cleanup", &run]);
    assert!(
        said.contains(directory.to_str().unwrap()) && said.contains(&format!("cleanup {run} --yes {run}")),
        "{said}"
    );
    let said = ends_with(&lab, 2, &["cleanup", &run, "--yes", "7Q2K"]);
    assert!(said.contains("nothing was removed"), "{said}");
    assert!(directory.join("data/PG_VERSION").exists());
    let said = ends_with(&lab, 0, &["cleanup", &run, "--yes", &run]);
    assert!(said.contains("removed "), "{said}");
    assert!(!directory.exists());
    let said = ends_with(&lab, 0, &["cleanup", &run, "--yes", &run]);
    assert!(said.contains("left nothing behind"), "{said}");
    ends_with(&lab, 0, &["transcript", &run, "--verify"]);
}

#[test]
fn a_run_that_waits_is_not_cleaned_up() {
    let lab = lab::copy();
    let answer = json(&lab, 3, &["run", "restore-drill", "--json"]);
    let run = answer["run"].as_str().unwrap();
    let line = ends_with(&lab, 0, &["status", run]);
    assert!(line.contains(" waits at gate 'start' since ") && line.contains(" to type main: "), "{line}");
    let value = json(&lab, 0, &["status", run, "--json"]);
    let waiting = &value["runs"][0]["waiting"];
    assert_eq!(
        (&waiting["gate"], &waiting["answer"], &waiting["opening"]),
        (&"start".into(), &"main".into(), &1.into())
    );
    let said = ends_with(&lab, 2, &["cleanup", run, "--yes", run]);
    assert!(said.contains("has not ended, it is waiting"), "{said}");
    ends_with(&lab, 0, &["abort", run]);
    let said = ends_with(&lab, 0, &["cleanup", run, "--yes", run]);
    assert!(said.contains("left nothing behind"), "{said}");
}

#[test]
fn a_report_in_a_closed_place_is_told_before_the_drill_begins() {
    let lab = lab::copy();
    let said = ends_with(&lab, 2, &["drill", "--report", "/proc/report.md"]);
    assert!(said.contains("/proc/report.md can't be written as the user "), "{said}");
    assert!(!Path::new(&lab.layout.state()).join("runs").exists());
}
