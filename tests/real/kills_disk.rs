//! A state directory that is full: nothing more is started, it is said why, and with room again the run goes on.
//!
//! The state lies on a small file system of its own, mounted in a mount namespace that ends with its holder; so it
//! needs root. Without root it says so and shows nothing.

use crate::kills_support::{self as kills, Drill};
use crate::lab::{self, Lab};
use lifeboat::domain::event::{Operator, RunEvent};
use lifeboat::engine::client::{self, ClientError};
use lifeboat::planning::machine::Request;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// A run needs 1 GB free for its state before it begins.
const SIZE: &str = "1200m";

/// The mount namespace in which the state directory is a file system of its own.
struct Namespace {
    holder: Child,
    state: PathBuf,
}

impl Namespace {
    fn new(lab: &Lab) -> Namespace {
        let state = lab.layout.state();
        fs::create_dir_all(&state).unwrap();
        let owner = "postgres:postgres";
        let script = format!(
            "mount -t tmpfs -o size={SIZE} lifeboat-test '{0}' && chown {owner} '{0}' && chmod 700 '{0}' && echo ready && exec cat",
            state.display()
        );
        let mut holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the state's file system can't be mounted");
        Namespace { holder, state }
    }

    /// `path` as it is seen from outside of the namespace.
    fn outside(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), path.display()))
    }

    /// `lifeboat` inside the namespace, as the owner.
    fn lifeboat(&self, lab: &Lab, arguments: &[&str]) -> Output {
        let plain = lab::lifeboat();
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.id().to_string(), "--"]);
        command.arg(plain.get_program()).args(plain.get_args()).env_clear();
        for (name, value) in plain.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command.arg("--settings").arg(lab.layout.settings()).args(arguments);
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Writes until nothing more fits; gives the file that takes the room.
    fn fill(&self) -> PathBuf {
        let path = self.outside(&self.state).join("ballast");
        let mut file = File::create(&path).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while file.write_all(&vec![b'x'; size]).is_ok() {}
        }
        path
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("LIFEBOAT_CI").is_none(), "a full state directory has to be shown here: run as root");
        let text = "NOT SHOWN: a full state directory (no mount namespace may be made here; run as root)\n";
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    root
}

/// The file system lies in memory: one after the other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A run that waits at its first gate, in a namespace of its own.
fn waiting() -> (Lab, Namespace, Drill) {
    let lab = lab::copy();
    let namespace = Namespace::new(&lab);
    let output = namespace.lifeboat(&lab, &["run", "restore-drill"]);
    assert_eq!(output.status.code(), Some(3), "{}", kills::text(&output));
    let mut drill = Drill::begun_in(&namespace.outside(&lab.layout.state()), &[]);
    drill.until("the first gate", |event| kills::is_gate(event, "start"));
    (lab, namespace, drill)
}

/// What is to be seen once there is room again: the run is carried on to its end, and nothing ran twice.
fn goes_on(lab: &Lab, namespace: &Namespace, drill: &mut Drill) {
    let id = drill.folder.id.to_string();
    for gate in ["start", "remove-gate"] {
        let output = namespace.lifeboat(lab, &["attach", &id]);
        assert_eq!(output.status.code(), Some(3), "{}", kills::text(&output));
        drill.read_on(std::time::Duration::ZERO);
        if drill.run().open_gate().is_some_and(|(step, _)| step.id.as_str() == gate) {
            let output = namespace.lifeboat(lab, &["approve", &id, gate, "main"]);
            lab::assert_done(&output, "lifeboat approve");
        }
    }
    drill.until("the end", kills::is_end);
    assert_eq!(drill.run().outcome_word(), "done");
    drill.assert_nothing_ran_twice();
}

#[test]
fn a_journal_that_can_not_be_written_stops_the_run_and_says_so() {
    if !root() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (lab, namespace, mut drill) = waiting();
    let ballast = namespace.fill();
    // The journal has room ahead; it is used up with notes.
    let before = fs::read(drill.folder.journal_path()).unwrap();
    let by = Operator { name: "anna".to_owned(), uid: 0 };
    let note = Request::Note { by, text: "x".repeat(60_000) };
    let stopped = (0..100).find_map(|_| client::request(&drill.folder, &note).err()).expect("the journal gets full");
    let ClientError::Stopped(why, _) = &stopped else { panic!("{stopped:?}") };
    assert!(why.contains("No space left on device"), "{why}");
    assert!(stopped.to_string().contains("lifeboat attach"), "{stopped}");
    lab::wait_until("the runner has ended", || !drill.folder.is_runner_alive().unwrap());
    let log = fs::read_to_string(drill.folder.path.join("runner.log")).unwrap();
    assert!(log.contains("No space left on device"), "its log has room for its last words: {log}");

    let id = drill.folder.id.to_string();
    for arguments in [vec!["attach", &id], vec!["approve", &id, "start", "main"]] {
        let output = namespace.lifeboat(&lab, &arguments);
        assert!(!matches!(output.status.code(), Some(0 | 3)), "{}", kills::text(&output));
        assert!(kills::text(&output).contains("No space left on device"), "{}", kills::text(&output));
    }
    let after = fs::read(drill.folder.journal_path()).unwrap();
    assert!(after.starts_with(&before), "nothing that was there is gone");
    drill.read_on(std::time::Duration::ZERO);
    assert!(!drill.entries.iter().any(|entry| matches!(entry.event, RunEvent::GateAnswered { .. })));
    assert_eq!((drill.steps_started("prepare"), drill.marked().len()), (0, 0));

    fs::remove_file(ballast).unwrap();
    goes_on(&lab, &namespace, &mut drill);
}

#[test]
fn a_step_that_can_not_be_prepared_stops_the_run_and_is_begun_later() {
    if !root() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (lab, namespace, mut drill) = waiting();
    let ballast = namespace.fill();
    let id = drill.folder.id.to_string();
    // The answer itself still has room.
    let output = namespace.lifeboat(&lab, &["approve", &id, "start", "main"]);
    lab::assert_done(&output, "lifeboat approve");
    drill.until("the step is begun", |event| kills::is_started(event, "prepare", 1));
    lab::wait_until("the runner has ended", || !drill.folder.is_runner_alive().unwrap());
    let log = fs::read_to_string(drill.folder.path.join("runner.log")).unwrap();
    assert!(log.contains("nothing more is") && log.contains("No space left on device"), "{log}");
    let output = namespace.lifeboat(&lab, &["attach", &id]);
    assert_eq!(output.status.code(), Some(2), "{}", kills::text(&output));
    assert!(kills::text(&output).contains("No space left on device"), "{}", kills::text(&output));
    assert_eq!(drill.marked(), []);
    assert!(fs::read_dir(lab.layout.drills()).map_or(true, |mut found| found.next().is_none()), "nothing was made");

    fs::remove_file(ballast).unwrap();
    goes_on(&lab, &namespace, &mut drill);
    assert!(drill.entries.iter().any(|entry| {
        matches!(&entry.event, RunEvent::StepInterrupted { step, evidence, .. }
            if step.as_str() == "prepare" && evidence.contains("nothing was started"))
    }));
}

#[test]
fn a_state_directory_that_fills_up_while_a_step_runs_is_no_success_and_loses_nothing() {
    if !root() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (lab, namespace, mut drill) = waiting();
    let id = drill.folder.id.to_string();
    let output = namespace.lifeboat(&lab, &["approve", &id, "start", "main"]);
    lab::assert_done(&output, "lifeboat approve");
    let main = drill.started("restore", 1).process.pid;
    let frozen = kills::Frozen::tree(main);
    let ballast = namespace.fill();
    frozen.thaw();
    // What was begun has its room (output, outcome), and ends as it should; what comes after it has none and is not begun.
    lab::wait_until("the runner has ended", || !drill.folder.is_runner_alive().unwrap());
    drill.read_on(std::time::Duration::ZERO);
    assert!(drill.run().ended.is_none() && !drill.run().failed, "{:?}", drill.last(3));
    let log = fs::read_to_string(drill.folder.path.join("runner.log")).unwrap();
    assert!(
        log.contains("could not be started, and nothing more is") && log.contains("No space left on device"),
        "{log}"
    );
    let output = namespace.lifeboat(&lab, &["attach", &id]);
    assert_eq!(output.status.code(), Some(2), "{}", kills::text(&output));
    assert!(kills::text(&output).contains("No space left on device"), "{}", kills::text(&output));
    assert_eq!(drill.marked(), []);

    fs::remove_file(ballast).unwrap();
    goes_on(&lab, &namespace, &mut drill);
    assert_eq!(drill.steps_started("restore"), 1, "the restore that ended well is not done again");
}

/// A runbook whose step says more than there is room for.
const TALKS: &str = r#"
[runbook]
name = "talks"
version = 1
title = "Say a lot"
about = "Its output is larger than the state's file system."

[parameters.stanza]
type = "stanza"
about = "the stanza"
default = { fact = "stanza" }

[[step]]
id = "go"
kind = "gate"
title = "Begin"
why = "The test makes the room small here."
answer = "${stanza}"
shows = [{ label = "stanza", value = "${stanza}" }]

[[step]]
id = "talk"
kind = "command"
title = "Talk"
why = "It does not stop by itself for a long time."
argv = ["/usr/bin/seq", "1", "100000000"]
failure = "Make room."
repeat = "It only talks."
"#;

#[test]
fn output_that_fills_the_state_directory_fails_its_step_in_words() {
    if !root() {
        return;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let lab = lab::copy();
    let runbooks = lab.layout.directory.join("runbooks");
    crate::told::make_directory(&runbooks);
    fs::write(runbooks.join("talks.toml"), TALKS).unwrap();
    let namespace = Namespace::new(&lab);
    let output = namespace.lifeboat(&lab, &["run", "talks"]);
    assert_eq!(output.status.code(), Some(3), "{}", kills::text(&output));
    let mut drill = Drill::begun_in(&namespace.outside(&lab.layout.state()), &[]);
    let id = drill.folder.id.to_string();
    let ballast = namespace.fill();
    let length = fs::metadata(&ballast).unwrap().len();
    File::options().write(true).open(&ballast).unwrap().set_len(length - (8 << 20)).unwrap();
    lab::assert_done(&namespace.lifeboat(&lab, &["approve", &id, "go", "main"]), "lifeboat approve");
    drill.until("its end", |event| matches!(event, RunEvent::StepEnded { step, .. } if step.as_str() == "talk"));
    fs::remove_file(ballast).unwrap();
    let output = namespace.lifeboat(&lab, &["attach", &id]);
    assert_eq!(output.status.code(), Some(1), "{}", kills::text(&output));
    let said = kills::text(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    for told in ["FAILED", "the file system of the state directory is full", "its output was cut"] {
        assert!(said.contains(told), "'{told}' is not in: {said}");
    }
    drill.read_on(std::time::Duration::ZERO);
    assert_eq!(drill.run().outcome_word(), "failed");
    let verified = namespace.lifeboat(&lab, &["transcript", &id, "--verify"]);
    lab::assert_done(&verified, "lifeboat transcript --verify");
}
