//! What Lifeboat adds to the work itself: the cost of a step, a restore under a step process beside a plain one, an
//! idle runner's wake-ups, attaching to a long journal, and the program's size. Fails when one of them does not hold.

#![expect(clippy::unwrap_used, reason = "a bench that can't go on has to stop")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../tests/real/lab.rs"]
#[expect(dead_code, reason = "the fixture of the real tests has more than a bench needs")]
mod lab;
#[path = "../tests/sample_plan/mod.rs"]
mod sample_plan;
#[path = "../tests/sample_run/mod.rs"]
mod sample_run;

use lab::Lab;
use lifeboat::domain::event::{Exit, RunEvent, RunId};
use lifeboat::domain::plan::StepId;
use lifeboat::engine::client::Following;
use lifeboat::engine::step_process::{self, Launcher, StepSpec};
use lifeboat::engine::store::RunFolder;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const STEPS: usize = 60;
const MOST_FOR_A_STEP: Duration = Duration::from_millis(20);
const RESTORES: usize = 9;
const MOST_FOR_A_RESTORE: f64 = 1.02;
const MORE_FOR_A_RESTORE: Duration = Duration::from_millis(30);
const IDLE: Duration = Duration::from_secs(5);
const ATTACHES: usize = 15;
const MOST_FOR_ATTACHING: Duration = Duration::from_millis(100);
const MOST_BYTES: u64 = 12_000_000;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Runs `argv` as a step to its outcome, with the program's own step process.
fn step(folder: &Path, argv: Vec<String>) -> Duration {
    let spec = StepSpec {
        run: RunId::parse("7Q2K").unwrap(),
        position: 0,
        step: StepId::new("bench").unwrap(),
        attempt: 1,
        is_lifeboat: false,
        argv,
        directory: PathBuf::from("/"),
        stdout_is_data: false,
        release: false,
    };
    let launcher = Launcher {
        program: PathBuf::from(env!("CARGO_BIN_EXE_lifeboat")),
        leading_arguments: vec!["internal".into(), "step-process".into()],
    };
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let begin = Instant::now();
    let mut started = step_process::start(folder, &spec, &environment, &launcher).unwrap();
    step_process::wait_until_dead(folder).unwrap();
    let outcome = step_process::outcome(folder).unwrap().unwrap();
    let took = begin.elapsed();
    started.reap().unwrap();
    assert_eq!(outcome.exit, Exit::Code(0), "{}", fs::read_to_string(folder.join("output")).unwrap());
    took
}

/// From the start of `true` to its durable outcome.
fn cost_of_a_step(directory: &Path) -> bool {
    let times = (0..STEPS).map(|number| step(&directory.join(format!("step-{number}")), vec!["true".to_owned()]));
    let took = median(times.collect());
    println!("a step (`true`, start to durable outcome): {took:?} (median of {STEPS}), at most {MOST_FOR_A_STEP:?}");
    took <= MOST_FOR_A_STEP
}

/// The same restore in turn: started plainly with its output in a file, and as a step.
fn cost_of_a_restore(lab: &Lab, directory: &Path) -> bool {
    let argv = |data: &Path| -> Vec<String> {
        let path = |name: &str| lab.home().join(name).display().to_string();
        [
            lab.marker.pgbackrest.display().to_string(),
            format!("--config={}", lab.layout.pgbackrest_config().display()),
            "--stanza=main".to_owned(),
            "--repo=1".to_owned(),
            format!("--pg1-path={}", data.display()),
            format!("--lock-path={}", path("lock")),
            format!("--spool-path={}", path("spool")),
            "--archive-mode=off".to_owned(),
            "--log-level-console=detail".to_owned(),
            "--log-level-file=off".to_owned(),
            "restore".to_owned(),
        ]
        .into()
    };
    let (mut plain, mut ours) = (Vec::new(), Vec::new());
    // The first two only warm the files up.
    for number in 0..=RESTORES {
        let data = lab.home().join("data");
        let fresh = || {
            let _ = fs::remove_dir_all(&data);
            fs::create_dir(&data).unwrap();
        };
        fresh();
        let output = File::create(directory.join(format!("plain-{number}"))).unwrap();
        let words = argv(&data);
        let begin = Instant::now();
        let mut child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
        let peer = begin.elapsed();
        fresh();
        let own = step(&directory.join(format!("restore-{number}")), argv(&data));
        if number > 0 {
            plain.push(peer);
            ours.push(own);
        }
    }
    let (plain, ours) = (median(plain), median(ours));
    let most = plain.mul_f64(MOST_FOR_A_RESTORE) + MORE_FOR_A_RESTORE;
    println!("a restore: as a step {ours:?}, plain {plain:?} (medians of {RESTORES} in turn), at most {most:?}");
    ours <= most
}

/// Voluntary and involuntary switches of all threads: how often any of them was awake.
fn switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let of = |status: String| -> u64 {
        let switches = status.lines().filter(|line| line.contains("voluntary_ctxt_switches"));
        switches.map(|line| line.split_whitespace().last().unwrap().parse::<u64>().unwrap()).sum()
    };
    tasks.map(|task| of(fs::read_to_string(task.unwrap().path().join("status")).unwrap())).sum()
}

/// A runner that waits at a gate sleeps until somebody asks.
fn idle_runner(lab: &Lab) -> bool {
    let output = lab.run_lifeboat(&["run", "restore-drill"]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let runs = fs::read_dir(lab.layout.state().join("runs")).unwrap();
    let path = runs.map(|entry| entry.unwrap().path()).next().unwrap();
    let id = RunId::parse(path.file_name().unwrap().to_str().unwrap()).unwrap();
    let (_, entries) = Following::start(&RunFolder { path, id: id.clone() }).unwrap();
    let started = entries.iter().rev().find_map(|entry| match entry.event {
        RunEvent::RunnerStarted { pid, .. } => Some(pid),
        _ => None,
    });
    let runner = started.unwrap();
    let before = switches(runner);
    std::thread::sleep(IDLE);
    let woken = switches(runner) - before;
    println!("an idle runner at a gate: woken {woken} times in {IDLE:?}, at most 0");
    lab::assert_done(&lab.run_lifeboat(&["abort", id.as_str()]), "lifeboat abort");
    woken == 0
}

/// Reading, verifying and folding 10,000 entries, as a client that attaches does.
fn attach(directory: &Path) -> bool {
    let created = sample_run::events().swap_remove(0);
    let notes = (1..10_000).map(|index| {
        let text = format!("note {index}: {}", "copied 123 of 1268 files, 45.6 MB/s, 12 s left. ".repeat(4));
        RunEvent::NoteWritten { by: sample_plan::anna(), text }
    });
    let (lines, _) = sample_run::write([created].into_iter().chain(notes));
    let folder = RunFolder { path: directory.to_owned(), id: RunId::parse("7Q2K").unwrap() };
    fs::write(folder.journal_path(), lines.concat()).unwrap();
    let times = (0..ATTACHES).map(|_| {
        let begin = Instant::now();
        let (following, _) = Following::start(&folder).unwrap();
        assert_eq!(following.run.sequence, 10_000);
        begin.elapsed()
    });
    let took = median(times.collect());
    println!("attaching to 10,000 entries: {took:?} (median of {ATTACHES}), at most {MOST_FOR_ATTACHING:?}");
    took <= MOST_FOR_ATTACHING
}

fn size() -> bool {
    let bytes = fs::metadata(env!("CARGO_BIN_EXE_lifeboat")).unwrap().len();
    println!("the program: {bytes} bytes, at most {MOST_BYTES}");
    bytes <= MOST_BYTES
}

fn main() -> ExitCode {
    // Beside the target directory: a temporary directory may lie in memory, where a sync costs nothing.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let lab = lab::copy();
    let held = [
        size(),
        attach(directory.path()),
        cost_of_a_step(directory.path()),
        idle_runner(&lab),
        cost_of_a_restore(&lab, directory.path()),
    ];
    if held.iter().all(|held| *held) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
