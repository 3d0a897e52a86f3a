//! The door to runs for everything above: follow a journal, send a request, see to it that a runner lives.

use crate::domain::event::Entry;
use crate::domain::run::{IllegalEvent, Run};
use crate::engine::journal::{Follower, JournalError};
use crate::engine::runner::{Reply, SOCKET_NOTE};
use crate::engine::store::{RunFolder, StoreError};
use crate::engine::watch::Watch;
use crate::planning::machine::Request;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// A runner answers a request after one durable append: longer than this means that it hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Why a run can't be followed or asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The run's folder.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    /// The operating system refused something.
    #[error("{0}: {1}")]
    System(&'static str, std::io::Error),
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

/// Starts a runner when none lives. Returns once it hears requests, at `socket`; a runner that lives has its own.
///
/// # Errors
/// [`ClientError::NoRunner`] with what it said.
pub fn ensure_runner(folder: &RunFolder, socket: &Path) -> Result<(), ClientError> {
    if folder.is_runner_alive()? {
        return Ok(());
    }
    let log = folder.path.join("runner.log");
    let system = |what: &'static str| move |error: std::io::Error| ClientError::System(what, error);
    let errors =
        std::fs::File::options().create(true).append(true).open(&log).map_err(system("opening the runner's log"))?;
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
    let mut ready = [0u8; 1];
    let heard = child.stdout.take().map_or(Ok(0), |mut pipe| pipe.read(&mut ready));
    if heard.map_err(system("waiting for the runner"))? == 1 {
        return Ok(());
    }
    let status = child.wait().map_err(system("waiting for the runner"))?;
    // Somebody else may have started one at the same moment: theirs is as good.
    if folder.is_runner_alive()? {
        return Ok(());
    }
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let last = said.lines().next_back().map_or_else(|| status.to_string(), crate::domain::text::clean);
    Err(ClientError::NoRunner(last, log))
}

/// Sends a request to the run's runner and waits until it is granted and durable, or refused.
///
/// # Errors
/// [`ClientError::Refused`] with the reason; [`ClientError::NoAnswer`] when the runner ended meanwhile.
pub fn request(folder: &RunFolder, request: &Request) -> Result<u64, ClientError> {
    let lost = |error| ClientError::NoAnswer(error, folder.id.to_string());
    let socket = std::fs::read_to_string(folder.path.join(SOCKET_NOTE)).map_err(lost)?;
    let mut stream = UnixStream::connect(socket).map_err(lost)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(lost)?;
    let mut line = serde_json::to_vec(request).map_err(|error| lost(error.into()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(lost)?;
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).map_err(lost)?;
    match serde_json::from_str(&answer) {
        Ok(Reply::Granted { sequence }) => Ok(sequence),
        Ok(Reply::Refused { why }) => Err(ClientError::Refused(why)),
        Err(error) => Err(lost(error.into())),
    }
}
