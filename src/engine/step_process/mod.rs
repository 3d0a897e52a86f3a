//! The small process that owns one command, and what others may know of it.
//!
//! ```text
//! steps/NN/command.json       what is to be run; written before anything is started
//!          step-process.log   what the step process itself had to complain about
//!          alive              locked by the step process and by everything that comes from it
//!          claim              who decides whether the command is started: made once, never removed
//!          output, errors     written by the command itself (`errors` only where stdout is data)
//!          started.json       the main process
//!          outcome.json       how it ended
//! ```
//!
//! The order is what makes it safe. The step process locks `alive`, prepares all its files, makes `claim`, and only then
//! starts the command. So whoever finds the claim taken by a step process and `alive` free knows that the command and
//! all that came from it are gone; and a runner that takes the claim first ([`take_claim`]) has proven that nothing was
//! or ever will be started. Without an outcome and with `alive` free, nobody saw the end: the step is unknown.
//!
//! Killing the step process does not touch the command, which goes on holding `alive`. Its outcome is lost then.
//! A command that closes every descriptor it inherited (`sudo` does) lets go of `alive`; as long as the step process
//! lives it holds the lock itself until the last descendant is gone.

mod capture;
mod folder;
mod own;
mod start;

pub use own::{OwnError, own, step_process_main};
pub use start::{Launcher, StartError, Started, start};

use crate::domain::event::{Outcome, RunId};
use crate::domain::plan::StepId;
use crate::engine::clock;
use crate::engine::processes::{self, Ended, FileId, Mark, ProcessId, Sign, Survivor};
use crate::engine::step_process::folder::Folder;
use chrono::{DateTime, FixedOffset};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const COMMAND: &str = "command.json";
const LOG: &str = "step-process.log";
const ALIVE: &str = "alive";
const CLAIM: &str = "claim";
const STARTED: &str = "started.json";
const OUTCOME: &str = "outcome.json";

/// The file a command's output goes to; without standard error where stdout is data.
pub const OUTPUT: &str = "output";

/// The file standard error goes to where stdout is data.
pub const ERRORS: &str = "errors";

/// How long a step process that has taken the claim may take to start its command before it is left out of account.
const TIME_TO_START: Duration = Duration::from_secs(30);

/// What a step process is to run. The environment is not in it: secrets must not reach the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// The run.
    pub run: RunId,
    /// The step's place in the plan.
    pub position: usize,
    /// The step.
    pub step: StepId,
    /// 1 for the first time.
    pub attempt: u32,
    /// Program and arguments; a program without a slash is looked up in the given environment's `PATH`.
    pub argv: Vec<String>,
    /// It is this very program, which may lie where the data's owner can't go, or be another version there by now: it
    /// is executed by the kernel's own link, under the name in [`StepSpec::argv`].
    #[serde(default)]
    pub is_lifeboat: bool,
    /// Where it is run.
    pub directory: PathBuf,
    /// Standard output is data: standard error goes to a file of its own.
    pub stdout_is_data: bool,
    /// What it starts is let go when it ends: it is not marked, holds no lock and is not ended.
    #[serde(default)]
    pub release: bool,
}

impl StepSpec {
    /// What its processes carry.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { run: self.run.clone(), position: self.position, attempt: self.attempt }
    }
}

/// The main process of a step, as it was right after its start (`started.json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedRecord {
    /// Its process id and start.
    #[serde(flatten)]
    pub process: ProcessId,
    /// The boot this holds in.
    pub boot_id: String,
    /// When.
    pub at: DateTime<FixedOffset>,
}

/// Who may decide about a step's command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Claimant {
    /// The step process, to start it.
    StepProcess,
    /// A runner that took over, so that it is never started.
    Runner,
}

/// The content of `claim`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ClaimRecord {
    by: Claimant,
    #[serde(flatten)]
    process: ProcessId,
    boot_id: String,
    at: DateTime<FixedOffset>,
}

impl ClaimRecord {
    fn new(by: Claimant) -> io::Result<ClaimRecord> {
        Ok(ClaimRecord { by, process: ProcessId::own()?, boot_id: clock::boot_id(), at: clock::now() })
    }
}

/// What can be proven about an attempt of which no outcome is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// No command was started for it, and none will be.
    NeverBegan,
    /// A step process has decided to start the command.
    Began,
}

/// A step's folder that can't be used or read.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The operating system said no.
    #[error("{}: {source}; look at its owner, its mode and the space left there", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A record is there but is not one of ours.
    #[error("{}: not a record of this version ({source}); do not edit it, resolve the step by hand", path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

fn at(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> FolderError {
    |source| FolderError::Io { path: path.into(), source }
}

fn record<T: DeserializeOwned>(path: &Path, name: &str) -> Result<Option<T>, FolderError> {
    let folder = match Folder::open(path) {
        Ok(folder) => folder,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    let Some(bytes) = folder.read(name).map_err(at(path.join(name)))? else { return Ok(None) };
    let record = serde_json::from_slice(&bytes);
    record.map(Some).map_err(|source| FolderError::Record { path: path.join(name), source })
}

/// How the command ended, once its step process has written it down.
///
/// # Errors
/// When the folder or the record can't be read.
pub fn outcome(folder: &Path) -> Result<Option<Outcome>, FolderError> {
    record(folder, OUTCOME)
}

/// The main process, once it was started.
///
/// # Errors
/// When the folder or the record can't be read.
pub fn started(folder: &Path) -> Result<Option<StartedRecord>, FolderError> {
    record(folder, STARTED)
}

/// Whether anything of the step lives: its step process or anything that came from it.
///
/// # Errors
/// When the lock can't be looked at.
pub fn is_alive(folder: &Path) -> Result<bool, FolderError> {
    Ok(!lock_alive(folder, FlockOperation::NonBlockingLockShared)?)
}

/// Sleeps until nothing of the step lives any more, without waking up in between. The outcome, if there is to be one,
/// is written by then. Can't be interrupted: give it a thread of its own.
///
/// # Errors
/// When the lock can't be waited for.
pub fn wait_until_dead(folder: &Path) -> Result<(), FolderError> {
    lock_alive(folder, FlockOperation::LockShared).map(|_| ())
}

/// Tries the alive lock and lets go of it again; `false` when somebody holds it. Where there is no lock nothing was
/// started.
fn lock_alive(folder: &Path, how: FlockOperation) -> Result<bool, FolderError> {
    let path = folder.join(ALIVE);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::open(&path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(Errno::NOENT) => return Ok(true),
        Err(error) => return Err(at(path)(error.into())),
    };
    loop {
        match rustix::fs::flock(&file, how) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(at(path)(error.into())),
        }
    }
}

/// For a runner that finds a started step without an outcome: takes the right to start its command away from whoever
/// could still have it. Makes the folder where a runner died before it could.
///
/// # Errors
/// When the claim can't be made durable or read; then nothing is proven.
pub fn take_claim(folder: &Path) -> Result<Claim, FolderError> {
    let opened = match Folder::create(folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Folder::open(folder),
        other => other,
    };
    let opened = opened.map_err(at(folder))?;
    if write_claim(&opened, Claimant::Runner).map_err(at(folder.join(CLAIM)))? {
        return Ok(Claim::NeverBegan);
    }
    let there: Option<ClaimRecord> = record(folder, CLAIM)?;
    Ok(if there.is_some_and(|claim| claim.by == Claimant::Runner) { Claim::NeverBegan } else { Claim::Began })
}

/// Makes the claim; `false` when there is one already.
fn write_claim(folder: &Folder, by: Claimant) -> io::Result<bool> {
    folder.write_once(CLAIM, &serde_json::to_vec(&ClaimRecord::new(by)?)?)
}

/// The living processes of the step without its step process: what would have to end before it may be run again.
///
/// # Errors
/// When the folder or `/proc` can't be read.
pub fn survivors(folder: &Path, mark: &Mark) -> Result<Vec<Survivor>, FolderError> {
    let claim: Option<ClaimRecord> = record(folder, CLAIM)?;
    let alive = folder.join(ALIVE);
    let mut signs = vec![Sign::Step(mark.clone())];
    match FileId::of(&alive) {
        Ok(file) => signs.push(Sign::Holds(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(at(alive)(error)),
    }
    let owner = step_process_of(claim);
    processes::survivors(&signs, owner.as_slice()).map_err(at("/proc"))
}

/// The step process, as far as its claim holds in this boot.
fn step_process_of(claim: Option<ClaimRecord>) -> Option<ProcessId> {
    claim
        .filter(|claim| claim.by == Claimant::StepProcess && claim.boot_id == clock::boot_id())
        .map(|claim| claim.process)
}

/// Ends everything of the step (TERM, `grace`, KILL) but its step process, which then writes the outcome. If the
/// command was not started yet, it never will be.
///
/// # Errors
/// When the folder, `/proc` or a process can't be got at; some processes may have been ended then.
pub fn terminate(folder: &Path, mark: &Mark, grace: Duration) -> Result<Ended, FolderError> {
    if take_claim(folder)? == Claim::NeverBegan {
        return Ok(Ended::default());
    }
    wait_until_started(folder)?;
    let mut total = Ended::default();
    // What is found may start something before it ends; a process that can't be ended is not tried twice.
    loop {
        let mut found = survivors(folder, mark)?;
        found.retain(|survivor| !total.left.iter().any(|left| left.process == survivor.process));
        if found.is_empty() {
            return Ok(total);
        }
        let ended = processes::end(&found, grace).map_err(at("/proc"))?;
        total.asked += ended.asked;
        total.killed += ended.killed;
        total.left.extend(ended.left);
    }
}

/// Sleeps while a step process holds the claim and has not started its command yet: a process that does not exist
/// can't be ended.
fn wait_until_started(folder: &Path) -> Result<(), FolderError> {
    let Some(owner) = step_process_of(record(folder, CLAIM)?) else { return Ok(()) };
    let Some(process) = owner.open().map_err(at("/proc"))? else { return Ok(()) };
    let watch = || -> io::Result<_> {
        let inotify = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        rustix::fs::inotify::add_watch(&inotify, folder, WatchFlags::MOVED_TO)?;
        Ok(inotify)
    };
    let watch = watch().map_err(at(folder))?;
    let until = Instant::now() + TIME_TO_START;
    while started(folder)?.is_none() && outcome(folder)?.is_none() {
        let left = until.saturating_duration_since(Instant::now());
        let mut polled = [PollFd::new(&watch, PollFlags::IN), PollFd::new(&process, PollFlags::IN)];
        match rustix::event::poll(&mut polled, Some(&processes::timespec(left))) {
            Ok(0) => return Ok(()),
            Ok(_) if !polled[1].revents().is_empty() => return Ok(()),
            Ok(_) => drop(rustix::io::read(&watch, &mut [0u8; 4096])),
            Err(Errno::INTR) => {}
            Err(error) => return Err(at(folder)(error.into())),
        }
    }
    Ok(())
}
