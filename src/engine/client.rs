//! The door to runs for everything above: find and read them, follow a journal, send a request, see to it that a runner
//! lives. The console goes through no other.

use crate::domain::event::{Entry, RunId};
use crate::domain::inventory::LastDrills;
use crate::domain::plan::Plan;
use crate::domain::run::{IllegalEvent, Run};
use crate::engine::journal::{Follower, JournalError};
use crate::engine::paths::{self, PathError};
use crate::engine::runner::{Reply, SOCKET_NOTE, targets};
pub use crate::engine::store::RunFolder;
use crate::engine::store::{Store, StoreError};
use crate::engine::watch::Watch;
use crate::engine::{drills, step_process};
use crate::planning::machine::{Refusal, Request};
use crate::settings::Settings;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A runner answers a request after one durable append: longer than this means that it hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A runner that holds the lock reads its journal, looks at its steps, and then hears requests.
const HEARS_WITHIN: Duration = Duration::from_secs(30);
const TRIED_EVERY: Duration = Duration::from_millis(20);
/// A runner that hung up is about to end, or has been followed by another one.
const LETS_GO_WITHIN: Duration = Duration::from_millis(500);
/// So often a request is made anew because its runner ended before it answered.
const ASKED_ANEW: u32 = 3;

/// In a run's folder: what its runners had to say.
const RUNNER_LOG: &str = "runner.log";
const LOG_ROOM_BYTES: u64 = 64 * 1024;

/// A runner sends this byte on its standard output once it hears requests; one that can't, its reason.
pub const RUNNER_READY: u8 = b'R';
const LONGEST_WORDS_BYTES: u64 = 64 * 1024;

/// Why a run can't be followed or asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The run's folder.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Where the state directory would be is not known.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Nothing ever ran here.
    #[error("there is no state directory yet, and so no run")]
    NoState,
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal holds something that can't have happened.
    #[error("the journal holds something that can't have happened: {0}")]
    Illegal(#[from] IllegalEvent),
    /// The runner said no; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// No runner could be started.
    #[error("the run's runner could not be started: {0}\nits own words are in {1}")]
    NoRunner(String, PathBuf),
    /// The runner does not answer.
    #[error(
        "the run's runner does not answer ({0}): whether the request was granted is in the journal; look with `lifeboat status {1}`"
    )]
    NoAnswer(std::io::Error, String),
    /// The runner could not write the journal and has ended.
    #[error(
        "the run has stopped, for its journal could not be written: {0}\nnothing more is started; make room (or mend what it says), then: lifeboat attach {1}"
    )]
    Stopped(String, String),
    /// The operating system refused something.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
}

/// The state directory, to look at it; `None` when there is none yet.
fn existing(settings: &Settings) -> Result<Option<Store>, ClientError> {
    Ok(Store::existing(&paths::state_directory(settings)?)?)
}

/// The runs on this host, the newest first. One whose journal is damaged is among them: [`RunFolder::load`] tells.
///
/// # Errors
/// When the state directory can't be read or belongs to somebody else.
pub fn runs(settings: &Settings) -> Result<Vec<RunFolder>, ClientError> {
    Ok(existing(settings)?.map_or_else(|| Ok(Vec::new()), |store| store.runs())?)
}

/// A run of this host.
///
/// # Errors
/// [`ClientError::NoState`], or when there is no such run or its folder is not ours.
pub fn find(settings: &Settings, run: &RunId) -> Result<RunFolder, ClientError> {
    Ok(existing(settings)?.ok_or(ClientError::NoState)?.folder(run)?)
}

/// The file with what a step printed: the step at `position` (from 0), of one attempt (from 1).
#[must_use]
pub fn output_path(folder: &RunFolder, position: usize, attempt: u32) -> PathBuf {
    folder.step_folder(position, attempt).join(step_process::OUTPUT)
}

/// The last drill of each set on this host. What can't be read tells nothing.
#[must_use]
pub fn last_drills(settings: &Settings) -> LastDrills {
    let finished = existing(settings).ok().flatten().and_then(|store| drills::finished(&store).ok());
    finished.map(|finished| drills::last(&finished)).unwrap_or_default()
}

/// The drills that go on and take disk and repository from what `plan` would do.
///
/// # Errors
/// When the state directory can't be read or belongs to somebody else.
pub fn in_the_way(settings: &Settings, plan: &Plan) -> Result<Vec<RunId>, ClientError> {
    Ok(existing(settings)?.map(|store| targets::in_the_way(&store, plan)).unwrap_or_default())
}

/// A run that is being followed.
#[derive(Debug)]
pub struct Following {
    /// The run as of the last entry read.
    pub run: Run,
    follower: Follower,
    watch: Watch,
}

impl Following {
    /// Reads the run so far.
    ///
    /// # Errors
    /// [`ClientError`] when the journal can't be read or is damaged.
    pub fn start(folder: &RunFolder) -> Result<(Following, Vec<Entry>), ClientError> {
        let path = folder.journal_path();
        // The watch comes first: what is written between reading and waiting is not missed.
        let watch = Watch::on(&[&path]).map_err(|error| ClientError::System("watching the journal", error))?;
        let mut follower = Follower::open(&path)?;
        let entries = follower.next()?;
        let run = Run::fold(&entries)?;
        Ok((Following { run, follower, watch }, entries))
    }

    /// Waits for new entries, at most `limit`; none came when the list is empty.
    ///
    /// # Errors
    /// [`ClientError`] when the journal can't be read or is damaged.
    pub fn wait(&mut self, limit: Option<Duration>) -> Result<Vec<Entry>, ClientError> {
        self.watch.wait(limit).map_err(|error| ClientError::System("waiting for the journal", error))?;
        let entries = self.follower.next()?;
        for entry in &entries {
            self.run.apply(entry)?;
        }
        Ok(entries)
    }
}

/// Starts a runner when none lives and the run has not ended. Returns once it hears requests, at `socket`; a runner that
/// lives has its own.
///
/// # Errors
/// [`ClientError::NoRunner`] with what it said.
pub fn ensure_runner(folder: &RunFolder, socket: &Path) -> Result<(), ClientError> {
    if folder.is_runner_alive()? {
        return Ok(());
    }
    let (run, ..) = folder.load()?;
    if run.ended.is_some() {
        return Ok(());
    }
    let log = folder.path.join(RUNNER_LOG);
    let system = |what: &'static str| move |error: std::io::Error| ClientError::System(what, error);
    let errors = File::options().create(true).append(true).open(&log).map_err(system("opening the runner's log"))?;
    // Where the disk is full later, there is still room to say so. Not every file system can do that.
    let end = errors.metadata().map_or(0, |log| log.len());
    let _ = rustix::fs::fallocate(&errors, rustix::fs::FallocateFlags::KEEP_SIZE, end, LOG_ROOM_BYTES);
    let mut child = Command::new("/proc/self/exe")
        .args(["internal", "runner", "--folder"])
        .arg(&folder.path)
        .arg("--socket")
        .arg(socket)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .current_dir("/")
        .spawn()
        .map_err(system("starting the runner"))?;
    let mut said = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        // It lets go of the pipe right after the ready byte, and with its end.
        pipe.take(LONGEST_WORDS_BYTES).read_to_end(&mut said).map_err(system("waiting for the runner"))?;
    }
    if said.first() == Some(&RUNNER_READY) {
        return Ok(());
    }
    let status = child.wait().map_err(system("waiting for the runner"))?;
    // Somebody else may have started one at the same moment: theirs is as good.
    if folder.is_runner_alive()? {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let said = if said.trim().is_empty() { status.to_string() } else { crate::domain::text::clean(said.trim()) };
    Err(ClientError::NoRunner(said, log))
}

/// The last thing a runner wrote into its log, if it wrote anything.
#[must_use]
pub fn last_words(folder: &RunFolder) -> Option<String> {
    let log = std::fs::read(folder.path.join(RUNNER_LOG)).ok()?;
    let log = String::from_utf8_lossy(&log);
    log.lines().rev().find(|line| !line.trim().is_empty()).map(crate::domain::text::clean)
}

/// Sends a request to the run's runner and waits until it is granted and durable, or refused. A runner that ends before it
/// answers, as a killed one does whose threads go one after the other, is replaced and asked anew, where the journal proves
/// that it granted nothing.
///
/// # Errors
/// [`ClientError::Refused`] with the reason; [`ClientError::Stopped`] when the journal can't be written;
/// [`ClientError::NoAnswer`] when the runner ended meanwhile, and the journal does not tell whether it granted this.
pub fn request(folder: &RunFolder, request: &Request) -> Result<u64, ClientError> {
    let mut known = folder.load()?.1.len();
    let mut was_sent = false;
    for _ in 0..ASKED_ANEW {
        match ask(folder, request) {
            Err(ClientError::NoAnswer(error, _)) if is_unheard(&error) || is_hung_up(&error) => {
                let (_, entries, _) = folder.load()?;
                let is_answered = entries.iter().skip(known).any(|entry| entry.event.is_answer());
                // Sent once, it may have been granted, also where the next call is not taken.
                was_sent |= is_hung_up(&error);
                if is_answered && was_sent {
                    return Err(ClientError::NoAnswer(error, folder.id.to_string()));
                }
                known = entries.len();
                let socket = std::fs::read_to_string(folder.path.join(SOCKET_NOTE))
                    .map_err(|error| ClientError::NoAnswer(error, folder.id.to_string()))?;
                await_free(folder)?;
                ensure_runner(folder, Path::new(&socket))?;
            }
            answered => return answered,
        }
    }
    ask(folder, request)
}

/// Nobody took the call, and so nothing was sent: a runner that is being killed may hold its lock for a moment longer than
/// its socket.
fn is_unheard(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound)
}

/// The other side ended without an answer.
fn is_hung_up(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)
}

/// Waits until a runner that is ending has let go of the run, or another one has it.
fn await_free(folder: &RunFolder) -> Result<(), ClientError> {
    let until = Instant::now() + LETS_GO_WITHIN;
    while folder.is_runner_alive()? && Instant::now() < until {
        std::thread::sleep(TRIED_EVERY);
    }
    Ok(())
}

fn ask(folder: &RunFolder, request: &Request) -> Result<u64, ClientError> {
    let lost = |error| ClientError::NoAnswer(error, folder.id.to_string());
    let mut stream = connect(folder)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(lost)?;
    let mut line = serde_json::to_vec(request).map_err(|error| lost(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(lost)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).map_err(lost)?;
    if answer.is_empty() {
        return Err(lost(std::io::Error::new(ErrorKind::UnexpectedEof, "it ended")));
    }
    match serde_json::from_str(&answer) {
        Ok(Reply::Granted { sequence }) => Ok(sequence),
        Ok(Reply::Refused { why }) => Err(ClientError::Refused(why)),
        Ok(Reply::Lost { why }) => Err(ClientError::Stopped(why, folder.id.to_string())),
        Err(error) => Err(lost(error.into())),
    }
}

/// Connects to the run's runner. One that somebody else has just started holds the lock before it hears requests.
fn connect(folder: &RunFolder) -> Result<UnixStream, ClientError> {
    let until = Instant::now() + HEARS_WITHIN;
    loop {
        let connected = std::fs::read_to_string(folder.path.join(SOCKET_NOTE)).and_then(UnixStream::connect);
        match connected {
            Ok(stream) => return Ok(stream),
            Err(error) if !folder.is_runner_alive()? => {
                let (run, ..) = folder.load()?;
                if run.ended.is_some() {
                    return Err(ClientError::Refused(Refusal::Ended(run.outcome_word()).to_string()));
                }
                return Err(ClientError::NoAnswer(error, folder.id.to_string()));
            }
            // It lives and is deaf: another one is not started.
            Err(error) if Instant::now() > until => {
                let error = std::io::Error::new(ErrorKind::TimedOut, format!("it hears no call: {error}"));
                return Err(ClientError::NoAnswer(error, folder.id.to_string()));
            }
            Err(_) => std::thread::sleep(TRIED_EVERY),
        }
    }
}
