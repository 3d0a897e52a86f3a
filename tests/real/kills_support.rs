//! What the tests that kill processes share: a run of the drill, followed by its journal, and its processes.

pub(crate) use crate::lab::PATIENCE;
use crate::lab::{self, Lab};
use lifeboat::domain::event::{Entry, RunEvent, RunId};
use lifeboat::domain::run::Run;
use lifeboat::engine::client::Following;
use lifeboat::engine::processes::{MARK_VARIABLE, ProcessId};
use lifeboat::engine::step_process::{self, StartedRecord};
use lifeboat::engine::store::RunFolder;
use lifeboat::engine::watch::Watch;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};
use std::time::{Duration, Instant};

/// Both gates of the drill, answered beforehand.
pub(crate) const BOTH: [&str; 4] = ["--approve", "start=main", "--approve", "remove-gate=main"];

/// Starts `lifeboat` with the practice cluster's settings; what it says goes to a file in the test's home.
pub(crate) fn spawn(lab: &Lab, name: &str, arguments: &[&str]) -> Child {
    let said = fs::File::create(lab.home().join(name)).unwrap();
    lab::lifeboat()
        .arg("--settings")
        .arg(lab.layout.settings())
        .args(arguments)
        .stdout(said.try_clone().unwrap())
        .stderr(said)
        .spawn()
        .unwrap()
}

/// Starts `lifeboat run restore-drill`.
pub(crate) fn spawn_run(lab: &Lab, arguments: &[&str]) -> Child {
    spawn(lab, "run.txt", &[&["run", "restore-drill"], arguments].concat())
}

/// What a program that was started with [`spawn`] has said.
pub(crate) fn said(lab: &Lab, name: &str) -> String {
    // `script` makes the file of its terminal in its own time.
    fs::read(lab.home().join(name)).map(|said| String::from_utf8_lossy(&said).into_owned()).unwrap_or_default()
}

/// `lifeboat attach`, to its end.
pub(crate) fn attach(lab: &Lab, drill: &Drill) -> Output {
    lab.run_lifeboat(&["attach", drill.folder.id.as_str()])
}

/// Everything a program said.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A run, followed through its journal as every client does.
pub(crate) struct Drill {
    pub(crate) folder: RunFolder,
    pub(crate) entries: Vec<Entry>,
    following: Following,
}

impl Drill {
    /// Waits for the newest run of the practice cluster that is not among `known`.
    pub(crate) fn begun(lab: &Lab, known: &[RunId]) -> Drill {
        Drill::begun_in(&lab.layout.state(), known)
    }

    /// The same below any state directory.
    pub(crate) fn begun_in(state: &Path, known: &[RunId]) -> Drill {
        let runs = state.join("runs");
        let mut found = None;
        lab::wait_until("the run has a journal", || {
            found = fs::read_dir(&runs)
                .into_iter()
                .flatten()
                .filter_map(Result::ok)
                .filter_map(|entry| {
                    Some(RunFolder { id: RunId::parse(entry.file_name().to_str()?).ok()?, path: entry.path() })
                })
                .find(|folder| !known.contains(&folder.id) && folder.load().is_ok());
            found.is_some()
        });
        let folder = found.unwrap();
        let (following, entries) = Following::start(&folder).unwrap();
        Drill { folder, entries, following }
    }

    /// The run as of the last entry read.
    pub(crate) fn run(&self) -> &Run {
        &self.following.run
    }

    /// Reads on until an entry for which `wanted` holds has come after the `after` first ones; gives its index.
    pub(crate) fn until_after(&mut self, after: usize, what: &str, wanted: impl Fn(&RunEvent) -> bool) -> usize {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(index) = self.entries.iter().skip(after).position(|entry| wanted(&entry.event)) {
                return after + index;
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}; the journal ends with {:?}", self.last(5));
            self.read_on(Duration::from_secs(1));
        }
    }

    /// Reads on until an entry for which `wanted` holds is there.
    pub(crate) fn until(&mut self, what: &str, wanted: impl Fn(&RunEvent) -> bool) -> usize {
        self.until_after(0, what, wanted)
    }

    /// Takes in what was written meanwhile; waits for it at most `limit`.
    pub(crate) fn read_on(&mut self, limit: Duration) {
        self.entries.extend(self.following.wait(Some(limit)).unwrap());
    }

    pub(crate) fn last(&self, count: usize) -> Vec<&RunEvent> {
        self.entries[self.entries.len().saturating_sub(count)..].iter().map(|entry| &entry.event).collect()
    }

    /// The position of a step.
    pub(crate) fn position(&self, step: &str) -> usize {
        self.run().plan.steps.iter().position(|planned| planned.id.as_str() == step).unwrap()
    }

    /// The folder of a step's attempt.
    pub(crate) fn step_folder(&self, step: &str, attempt: u32) -> PathBuf {
        self.folder.step_folder(self.position(step), attempt)
    }

    /// Waits until a step's main process was started.
    pub(crate) fn started(&mut self, step: &str, attempt: u32) -> StartedRecord {
        self.until(&format!("{step} starts"), |event| is_started(event, step, attempt));
        let folder = self.step_folder(step, attempt);
        // The step folder may not be there yet.
        let watch = Watch::on(&[folder.parent().unwrap()]).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !folder.exists() {
            assert!(Instant::now() < deadline, "{} was never made", folder.display());
            watch.wait(Some(Duration::from_secs(1))).unwrap();
        }
        let watch = Watch::on(&[&folder]).unwrap();
        loop {
            if let Some(record) = step_process::started(&folder).unwrap() {
                return record;
            }
            assert!(Instant::now() < deadline, "{step} was never started");
            watch.wait(Some(Duration::from_secs(1))).unwrap();
        }
    }

    /// The runner of the last `RunnerStarted`, if it lives.
    pub(crate) fn runner(&self) -> Option<ProcessId> {
        let pid = self.entries.iter().rev().find_map(|entry| match entry.event {
            RunEvent::RunnerStarted { pid, .. } => Some(pid),
            _ => None,
        })?;
        let process = ProcessId::of(pid).ok().filter(ProcessId::is_running)?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let ours = command.contains("internal runner") && command.contains(self.folder.path.to_str().unwrap());
        ours.then_some(process)
    }

    /// Kills the runner, if it lives, and waits for its end. `false` when it had ended by itself.
    pub(crate) fn kill_runner(&self) -> bool {
        let Some(runner) = self.runner() else { return false };
        kill(runner.pid, Signal::KILL);
        lab::wait_until("the killed runner is gone", || !runner.is_running());
        true
    }

    /// How often a step was started.
    pub(crate) fn steps_started(&self, step: &str) -> usize {
        self.entries
            .iter()
            .filter(
                |entry| matches!(&entry.event, RunEvent::StepStarted { step: started, .. } if started.as_str() == step),
            )
            .count()
    }

    /// The living processes that carry the run's mark, with their command lines.
    pub(crate) fn marked(&self) -> Vec<(u32, String)> {
        marked(&format!("{}/", self.folder.id))
    }

    /// The living processes of a step's attempt, its step process among them.
    pub(crate) fn marked_step(&self, step: &str, attempt: u32) -> Vec<(u32, String)> {
        marked(&format!("{}/{}/{attempt}", self.folder.id, self.position(step)))
    }

    /// The step process of an attempt: what its claim names.
    pub(crate) fn step_process(&self, step: &str, attempt: u32) -> u32 {
        let claim = fs::read_to_string(self.step_folder(step, attempt).join("claim")).unwrap();
        let claim: serde_json::Value = serde_json::from_str(&claim).unwrap();
        assert_eq!(claim["by"], "step_process", "{claim}");
        u32::try_from(claim["pid"].as_u64().unwrap()).unwrap()
    }

    /// No command was ever started twice but where a person asked for it or the first start is proven to have been none.
    pub(crate) fn assert_nothing_ran_twice(&self) {
        let mut allowed: BTreeMap<String, u32> = BTreeMap::new();
        let mut began: BTreeMap<String, u32> = BTreeMap::new();
        for entry in &self.entries {
            match &entry.event {
                RunEvent::StepStarted { step, attempt } => {
                    let position = self.run().plan.position(step).unwrap();
                    let folder = self.folder.step_folder(position, *attempt);
                    if folder.join("started.json").exists() {
                        *began.entry(step.to_string()).or_default() += 1;
                    }
                }
                RunEvent::StepInterrupted { step, attempt, .. } => {
                    let position = self.run().plan.position(step).unwrap();
                    let folder = self.folder.step_folder(position, *attempt);
                    assert!(!folder.join("started.json").exists(), "{step}: said never to have begun, but it did");
                }
                RunEvent::StepResolved { step, answer, .. } => {
                    assert_eq!(format!("{answer:?}"), "Again");
                    *allowed.entry(step.to_string()).or_default() += 1;
                }
                _ => {}
            }
        }
        for (step, times) in began {
            let most = 1 + allowed.get(&step).copied().unwrap_or(0);
            assert!(times <= most, "{step} ran {times} times, and {most} were allowed");
        }
    }
}

/// Whether `event` is the start number `attempt` of `step`.
pub(crate) fn is_started(event: &RunEvent, step: &str, attempt: u32) -> bool {
    matches!(event, RunEvent::StepStarted { step: started, attempt: number }
        if started.as_str() == step && *number == attempt)
}

/// Whether `event` ends the run.
pub(crate) fn is_end(event: &RunEvent) -> bool {
    matches!(event, RunEvent::RunEnded { .. })
}

/// Whether `event` opens the gate.
pub(crate) fn is_gate(event: &RunEvent, gate: &str) -> bool {
    matches!(event, RunEvent::GateOpened { step, .. } if step.as_str() == gate)
}

/// The living processes whose mark begins with `start`. Zombies have no environment.
fn marked(start: &str) -> Vec<(u32, String)> {
    let wanted = format!("{MARK_VARIABLE}={start}");
    let mut found: Vec<(u32, String)> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter_map(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let fits = environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(wanted.as_bytes()));
            let command = fs::read(format!("/proc/{pid}/cmdline")).ok().filter(|_| fits)?;
            Some((pid, String::from_utf8_lossy(&command).replace('\0', " ")))
        })
        .collect();
    found.sort_unstable();
    found
}

/// Sends a signal to one process, if it is there.
pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    if let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) {
        let _gone = rustix::process::pidfd_send_signal(&process, signal);
    }
}

/// Stops processes while this lives: what they do takes as long as the test wants.
pub(crate) struct Frozen(Vec<u32>);

impl Frozen {
    /// Stops a process and all that came from it.
    pub(crate) fn tree(root: u32) -> Frozen {
        let mut frozen = Frozen(vec![root]);
        kill(root, Signal::STOP);
        loop {
            // A stopped process starts no others, so this comes to an end.
            let new: Vec<u32> = children_of(&frozen.0).into_iter().filter(|pid| !frozen.0.contains(pid)).collect();
            if new.is_empty() {
                return frozen;
            }
            new.iter().for_each(|pid| kill(*pid, Signal::STOP));
            frozen.0.extend(new);
        }
    }

    /// Those that were stopped.
    pub(crate) fn pids(&self) -> &[u32] {
        &self.0
    }

    /// Nobody.
    pub(crate) fn nothing() -> Frozen {
        Frozen(Vec::new())
    }

    /// Leaves them stopped.
    pub(crate) fn forget(mut self) -> Frozen {
        self.0.clear();
        self
    }

    /// Lets them go on.
    pub(crate) fn thaw(self) {}
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // The last found first: a parent that goes on must not miss its children.
        self.0.iter().rev().for_each(|pid| kill(*pid, Signal::CONT));
    }
}

/// Whether there is such a process; a zombie is none.
pub(crate) fn is_alive(pid: u32) -> bool {
    parent_of(pid).is_some()
}

/// The direct children of these processes.
pub(crate) fn children_of(parents: &[u32]) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| parent_of(*pid).is_some_and(|parent| parents.contains(&parent)))
        .collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace();
    let state = fields.next()?;
    (state != "Z").then_some(())?;
    fields.next()?.parse().ok()
}

/// Every file of production and of both repositories with its length, time and content's checksum.
pub(crate) fn production(lab: &Lab) -> BTreeMap<PathBuf, (u64, i64, u64)> {
    let mut found = BTreeMap::new();
    for root in [lab.layout.production(), lab.layout.first_repository(), lab.layout.second_repository()] {
        collect(&root, &mut found);
    }
    assert!(found.len() > 500, "that is too little for a cluster with backups: {}", found.len());
    found
}

fn collect(path: &Path, found: &mut BTreeMap<PathBuf, (u64, i64, u64)>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), found);
        }
    } else if metadata.is_file() {
        let content = fs::read(path).unwrap();
        let sum = content
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        found.insert(
            path.to_path_buf(),
            (metadata.size(), metadata.mtime_nsec() + metadata.mtime() * 1_000_000_000, sum),
        );
    }
}

/// Waits for a program's end and gives its exit status.
pub(crate) fn exit_of(mut child: Child) -> Option<i32> {
    child.wait().unwrap().code()
}

/// A client on a terminal of its own, as in an SSH session: `script` (util-linux) plays the part of sshd.
pub(crate) struct Session {
    terminal: Child,
    client: ProcessId,
}

impl Session {
    /// Starts `lifeboat` on a pseudo-terminal.
    pub(crate) fn start(lab: &Lab, name: &str, arguments: &[&str]) -> Session {
        let plain = lab::lifeboat();
        let words: Vec<&str> = std::iter::once(plain.get_program())
            .chain(plain.get_args())
            .map(|word| word.to_str().unwrap())
            .chain(["--settings", lab.layout.settings().to_str().unwrap()])
            .chain(arguments.iter().copied())
            .map(str::to_owned)
            .map(|word| &*word.leak())
            .collect();
        assert!(words.iter().all(|word| !word.contains([' ', '\''])), "{words:?}");
        let terminal = std::process::Command::new("script")
            .args(["-q", "-f", "-c", &format!("exec {}", words.join(" "))])
            .arg(lab.home().join(name))
            .env("TERM", "xterm")
            .env("SHELL", "/bin/sh")
            .current_dir("/")
            // Kept open: at its end `script` would type an end of file.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut client = None;
        lab::wait_until("the client runs on its terminal", || {
            client = children_of(&[terminal.id()]).first().and_then(|pid| ProcessId::of(*pid).ok());
            client.is_some()
        });
        Session { terminal, client: client.unwrap() }
    }

    /// Takes the terminal away from under the client, as a lost connection does, and waits for the client's end.
    pub(crate) fn hang_up(mut self) {
        self.terminal.kill().unwrap();
        self.terminal.wait().unwrap();
        lab::wait_until("the client whose terminal was closed has ended", || !self.client.is_running());
    }
}
