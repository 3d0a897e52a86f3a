//! A run's folder.

use crate::domain::event::{Entry, RunId};
use crate::domain::run::Run;
use crate::engine::journal::{self, JournalError, TornTail};
use crate::engine::store::error::StoreError;
use crate::engine::store::{locks, open_own_file};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::SystemTime;

/// A run's folder in the state directory. That it exists says nothing about its journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    /// The folder.
    pub path: PathBuf,
    /// The run.
    pub id: RunId,
}

/// Held by the one runner of a run; freed when it is dropped or its process is gone.
#[derive(Debug)]
pub struct RunnerLock {
    _file: File,
}

impl RunFolder {
    /// The journal.
    #[must_use]
    pub fn journal_path(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// The file whose lock the runner holds.
    #[must_use]
    pub fn lock_path(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// The folder of the step at `position` (from 0, as in the plan) for one attempt (from 1): `steps/07`,
    /// `steps/07-2`. [`crate::engine::step_process::start`] makes it.
    #[must_use]
    pub fn step_folder(&self, position: usize, attempt: u32) -> PathBuf {
        let number = position + 1;
        let name = if attempt <= 1 { format!("{number:02}") } else { format!("{number:02}-{attempt}") };
        self.path.join("steps").join(name)
    }

    /// The file name of the socket on which the runner takes requests, in the runtime directory.
    #[must_use]
    pub fn request_socket_name(&self) -> String {
        format!("{}.sock", self.id)
    }

    pub(crate) fn make_inside(&self) -> Result<(), StoreError> {
        let steps = self.path.join("steps");
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&steps)
            .map_err(|source| StoreError::io("making", &steps, source))?;
        open_own_file(&self.lock_path()).map(drop)
    }

    /// When the run was created: the lock file is made with it and never written to.
    pub(crate) fn made_at(&self) -> SystemTime {
        std::fs::symlink_metadata(self.lock_path())
            .or_else(|_| std::fs::symlink_metadata(&self.path))
            .and_then(|found| found.modified())
            .unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Becomes the run's runner. `None`: another one is alive.
    ///
    /// # Errors
    /// The lock file can't be opened.
    pub fn lock_runner(&self) -> Result<Option<RunnerLock>, StoreError> {
        let path = self.lock_path();
        let file = open_own_file(&path)?;
        Ok(locks::take(&file, &path)?.then_some(RunnerLock { _file: file }))
    }

    /// Whether a runner holds the run's lock.
    ///
    /// # Errors
    /// The lock file can't be read. A missing one is no error: then nobody holds it.
    pub fn is_runner_alive(&self) -> Result<bool, StoreError> {
        let path = self.lock_path();
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
        let file = match rustix::fs::open(&path, flags, rustix::fs::Mode::empty()) {
            Ok(file) => file,
            Err(rustix::io::Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(StoreError::io("opening", &path, errno.into())),
        };
        // Shared, so that two who ask are not in each other's way; freed when the file is closed below.
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => Ok(false),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(true),
            Err(errno) => Err(StoreError::io("asking for the lock", &path, errno.into())),
        }
    }

    /// Reads the run as it stands; changes nothing. A torn tail is an entry in the making while a runner is alive.
    ///
    /// # Errors
    /// The journal is damaged, newer, empty, another run's, or says what can't be.
    pub fn load(&self) -> Result<(Run, Vec<Entry>, Option<TornTail>), StoreError> {
        let path = self.journal_path();
        let contents = journal::read(&path)?;
        let run = Run::fold(&contents.entries).map_err(|source| JournalError::Illegal { path, source })?;
        if run.id != self.id {
            return Err(StoreError::OtherRun { path: self.path.clone(), found: run.id });
        }
        Ok((run, contents.entries, contents.torn))
    }
}
