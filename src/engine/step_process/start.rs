//! The runner's side: starting a step process.

use crate::engine::processes::{MARK_VARIABLE, timespec, visible};
use crate::engine::step_process::folder::Folder;
use crate::engine::step_process::{COMMAND, Claim, FolderError, LOG, StepSpec, is_alive, outcome, take_claim};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// A step process that has not said it is ready by then is looked at: it syncs files, and a disk under load is slow.
const TIME_TO_BE_READY: Duration = Duration::from_secs(60);

/// How much of the step process's log goes into a message.
const LOG_SHOWN: usize = 2000;

/// How to execute a step process: `PROGRAM LEADING… --folder FOLDER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    /// The program.
    pub program: PathBuf,
    /// What comes before `--folder`.
    pub leading_arguments: Vec<OsString>,
}

impl Default for Launcher {
    /// The running program itself, also when its file has been replaced meanwhile.
    fn default() -> Launcher {
        Launcher {
            program: PathBuf::from("/proc/self/exe"),
            leading_arguments: vec!["internal".into(), "step-process".into()],
        }
    }
}

/// A step process that said it has started its command, or has written down why it could not.
#[derive(Debug)]
pub struct Started {
    child: Child,
}

impl Started {
    /// Its process id.
    #[must_use]
    pub fn step_process_pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end and takes it from the kernel's list. For [`crate::engine::step_process::wait_until_dead`] a
    /// step process that nobody has reaped is as dead as any other.
    ///
    /// # Errors
    /// When somebody else has reaped it.
    pub fn reap(&mut self) -> io::Result<()> {
        self.child.wait().map(|_| ())
    }
}

/// A step that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nothing to run.
    #[error("step {0} has an empty argument list: nothing was started")]
    NoProgram(String),
    /// The folder can't be prepared.
    #[error("nothing was started: {0}")]
    Folder(#[from] FolderError),
    /// The step process can't be executed.
    #[error("nothing was started: the step process {} can't be executed: {source}", program.display())]
    Execute {
        /// What was executed.
        program: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The step process gave up before it started its command.
    #[error("nothing was started: the step process in {} gave up: {log}", folder.display())]
    NeverBegan {
        /// The step's folder.
        folder: PathBuf,
        /// What it said.
        log: String,
    },
    /// The step process took the claim and then was lost: the command may have been started.
    #[error("the step process in {} was lost while it started its command; what became of it is unknown: {log}", folder.display())]
    Lost {
        /// The step's folder.
        folder: PathBuf,
        /// What it said.
        log: String,
    },
    /// What became of the step process can't be found out.
    #[error("whether the step in {} began can't be found out: {source}", folder.display())]
    Unclear {
        /// The step's folder.
        folder: PathBuf,
        /// Why not.
        source: FolderError,
    },
}

impl StartError {
    /// It is proven that no command was or will be started. Otherwise the step is unknown.
    #[must_use]
    pub fn never_began(&self) -> bool {
        !matches!(self, StartError::Lost { .. } | StartError::Unclear { .. })
    }
}

/// Starts a step's command under a step process of its own, in exactly this environment and the mark; to be called
/// once the start is durable in the journal. Returns when the command is started (or could not be, which then is
/// its outcome). The step process is a child of the caller.
///
/// # Errors
/// [`StartError`]; [`StartError::never_began`] tells whether the command is proven not to run.
pub fn start(
    folder: &Path,
    spec: &StepSpec,
    environment: &BTreeMap<String, String>,
    launcher: &Launcher,
) -> Result<Started, StartError> {
    if spec.argv.is_empty() {
        return Err(StartError::NoProgram(spec.step.to_string()));
    }
    let in_folder = |source| FolderError::Io { path: folder.to_owned(), source };
    let folder = std::path::absolute(folder).map_err(in_folder)?;
    let log = prepare(&folder, spec).map_err(in_folder)?;
    let mut command = Command::new(&launcher.program);
    command
        .args(&launcher.leading_arguments)
        .arg("--folder")
        .arg(&folder)
        .env_clear()
        .envs(environment)
        .env(MARK_VARIABLE, spec.mark().to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log);
    let mut child =
        command.spawn().map_err(|source| StartError::Execute { program: launcher.program.clone(), source })?;
    let ready = child.stdout.take().is_some_and(|pipe| wait_for_ready_byte(pipe).unwrap_or(false));
    if ready || has_begun(&folder)? { Ok(Started { child }) } else { Err(given_up(&folder, child)) }
}

/// Makes the folder and writes down what will be run; gives the log. All of it is durable once the claim is, which is
/// before the command starts.
fn prepare(path: &Path, spec: &StepSpec) -> io::Result<Stdio> {
    let folder = Folder::create(path)?;
    let log = folder.create_file(LOG, OFlags::APPEND)?;
    folder.write_new(COMMAND, &serde_json::to_vec_pretty(spec)?)?;
    Ok(Stdio::from(log))
}

/// `false` when the step process closed the pipe, or the time is up.
fn wait_for_ready_byte(mut pipe: ChildStdout) -> io::Result<bool> {
    let until = Instant::now() + TIME_TO_BE_READY;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let polled = rustix::event::poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&timespec(left)));
        match polled {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(pipe.read(&mut [0u8])? == 1),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Without the ready byte only the claim tells. Asking for it takes it, so a step process that is merely slow can't
/// start anything behind our back; one that has it and lives, or has written its outcome, did begin.
fn has_begun(folder: &Path) -> Result<bool, StartError> {
    let look = || Ok(take_claim(folder)? == Claim::Began && (is_alive(folder)? || outcome(folder)?.is_some()));
    look().map_err(|source| StartError::Unclear { folder: folder.to_owned(), source })
}

fn given_up(folder: &Path, mut child: Child) -> StartError {
    let log = log_of(folder);
    let folder = folder.to_owned();
    match take_claim(&folder) {
        Ok(Claim::NeverBegan) => {
            // It has no command and, the claim being ours, never will: a hanging one is of no use to anybody.
            drop(child.kill());
            drop(child.wait());
            StartError::NeverBegan { folder, log }
        }
        Ok(Claim::Began) => {
            drop(child.wait());
            StartError::Lost { folder, log }
        }
        Err(source) => StartError::Unclear { folder, source },
    }
}

fn log_of(folder: &Path) -> String {
    let bytes = Folder::open(folder).and_then(|folder| folder.read(LOG)).ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let text = visible(text.trim());
    let end = text.char_indices().nth(LOG_SHOWN).map_or(text.len(), |(end, _)| end);
    if text.is_empty() { "it said nothing".to_owned() } else { text[..end].to_owned() }
}
