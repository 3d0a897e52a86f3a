//! The sealed plan of a realistic restore drill.

#![expect(clippy::unwrap_used, reason = "a sample that can't be built has to stop the test")]

use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{Host, Operator};
use lifeboat::domain::facts::{Facts, Threshold};
use lifeboat::domain::plan::{
    Argument, Capture, CaptureFrom, CommandLine, Milestone, Piece, Plan, Shown, Step, StepId, StepKind, When,
};
use std::collections::BTreeMap;

pub(crate) fn id(name: &str) -> StepId {
    StepId::new(name).unwrap()
}

pub(crate) fn anna() -> Operator {
    Operator { name: "anna".into(), uid: 113 }
}

pub(crate) fn host() -> Host {
    Host { name: "db1".into(), machine_id: "0f3b8c9d2e4a4f6c8b1d5e7a9c0b2d4f".into() }
}

fn map<V>(pairs: Vec<(&str, V)>) -> BTreeMap<String, V> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(crate) fn words(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn command(argv: &[&str], data: bool) -> CommandLine {
    CommandLine {
        argv: argv.iter().map(|argument| Argument::text(*argument)).collect(),
        env: BTreeMap::new(),
        directory: None,
        stdout_is_data: data,
        success: vec![0],
        release: false,
    }
}

fn step(name: &str, title: &str, kind: StepKind, destructive: bool, when: When) -> Step {
    Step {
        id: id(name),
        title: title.into(),
        why: format!("So that it is known before anything depends on it: {}.", title.to_lowercase()),
        kind,
        destructive,
        when,
        ruled_out: None,
        only_after: None,
        only_choice: None,
        hold: false,
        limit_seconds: Some(600),
        failure: "The set can't be restored as it is; look at the output, choose another set.".into(),
        repeat: "Safe: it works in the drill directory only.".into(),
        captures: Vec::new(),
        expect: BTreeMap::new(),
        proves: Vec::new(),
    }
}

fn capture(name: &str, from: CaptureFrom) -> Capture {
    Capture { name: name.into(), from }
}

pub(crate) fn facts(set: &str, free_bytes: u64) -> Facts {
    Facts {
        identity: words(&[
            ("data-directory", "/var/lib/postgresql/15/main"),
            ("pgbackrest-version", "2.45"),
            ("repository", "1"),
            ("set", set),
            ("stanza", "main"),
            ("system-identifier", "7561840291034567890"),
        ]),
        thresholds: map(vec![(
            "free-space",
            Threshold { value: free_bytes, least: 300_000_000, unit: "bytes".into() },
        )]),
    }
}

pub(crate) const SET: &str = "20261122-023822F_20261122-083829I";

/// The plan of the drill.
pub(crate) fn plan() -> Plan {
    let mut start = step(
        "start",
        "Start the restored cluster",
        StepKind::Server {
            command: command(
                &["/usr/lib/postgresql/15/bin/postgres", "-D", "/srv/drill/data", "-c", "listen_addresses="],
                false,
            ),
        },
        false,
        When::Success,
    );
    start.why = "Replay shows whether the WAL is there; the server listens on its own socket only.".into();
    let mut control = step(
        "control",
        "Read the control file",
        StepKind::Command { command: command(&["/usr/lib/postgresql/15/bin/pg_controldata", "/srv/drill/data"], true) },
        false,
        When::Success,
    );
    control.captures = vec![capture("system-identifier", CaptureFrom::Line("Database system identifier:".into()))];
    control.expect = map(vec![("system-identifier", Argument::text("7561840291034567890"))]);
    control.proves = vec!["system-identifier".into()];
    let mut rows = step(
        "rows",
        "Count the orders",
        StepKind::Sql {
            command: command(
                &["/usr/bin/psql", "--csv", "-h", "/srv/drill/socket", "-c", "select count(*) as orders from orders"],
                true,
            ),
        },
        false,
        When::Success,
    );
    rows.captures = vec![capture("orders", CaptureFrom::Column("orders".into()))];
    rows.proves = vec!["orders".into()];
    let mut report = step(
        "report",
        "What came back",
        StepKind::Note {
            text: Argument {
                pieces: vec![
                    Piece::Text("Orders read back: ".into()),
                    Piece::Capture("rows.orders".into()),
                    Piece::Text(".".into()),
                ],
            },
        },
        false,
        When::Success,
    );
    report.why = "A number to compare with what the application knows.".into();
    let restore = [
        "/usr/bin/pgbackrest",
        "--stanza=main",
        "--repo=1",
        &format!("--set={SET}"),
        "--type=time",
        "--target=2026-11-22 08:40:00+00",
        "--target-timeline=1",
        "--pg1-path=/srv/drill/data",
        "restore",
    ]
    .map(str::to_owned);
    let restore: Vec<&str> = restore.iter().map(String::as_str).collect();
    let gate = StepKind::Gate {
        answer: "main".into(),
        shows: vec![
            Shown::new("overwrites", Argument::text("/srv/drill/data (empty)")),
            Shown::new("production", Argument::text("untouched: own directory, own socket")),
        ],
    };
    let stop = ["/usr/lib/postgresql/15/bin/pg_ctl", "-D", "/srv/drill/data", "-m", "fast", "stop"];
    let space =
        StepKind::Check { check: "free-space".into(), with: map(vec![("directory", Argument::text("/srv/drill"))]) };
    let with_server = |word: &str| id(word);
    Plan {
        runbook: "restore-drill".into(),
        title: "Restore a backup set into an isolated directory and prove it".into(),
        runbook_digest: Digest::of(b"restore-drill"),
        parameters: words(&[("directory", "/srv/drill"), ("set", SET), ("target", "2026-11-22 08:40:00+00")]),
        facts: facts(SET, 52_000_000_000),
        environment: words(&[
            ("HOME", "/var/lib/postgresql"),
            ("LANG", "C.UTF-8"),
            ("PGBACKREST_REPO2_CIPHER_PASS", "<set>"),
        ]),
        secret_environment: vec!["PGBACKREST_REPO2_CIPHER_PASS".into()],
        steps: vec![
            step("space", "Enough space for the restore", space, false, When::Success),
            step("confirm", "Restore into the drill directory", gate, false, When::Success),
            step(
                "restore",
                "Restore the set",
                StepKind::Command { command: command(&restore, false) },
                true,
                When::Success,
            ),
            start,
            step(
                "consistent",
                "Wait until it is consistent",
                StepKind::Wait { server: with_server("start"), until: Milestone::Consistent },
                false,
                When::Success,
            ),
            control,
            rows,
            report,
            step(
                "second",
                "Check the second repository",
                StepKind::Check { check: "repository".into(), with: BTreeMap::new() },
                false,
                When::Failure,
            ),
            step(
                "copy",
                "Copy the report to the archive",
                StepKind::Command {
                    command: command(&["/usr/bin/install", "/srv/drill/report", "/mnt/archive/"], false),
                },
                false,
                When::Success,
            ),
            step(
                "stop",
                "Stop the restored cluster",
                StepKind::Stop { server: with_server("start"), command: command(&stop, false) },
                false,
                When::Always,
            ),
        ],
        seal: Digest::of(b"the plan as reviewed"),
    }
}
