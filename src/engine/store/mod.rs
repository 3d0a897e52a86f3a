//! The state directory: run folders and locks.
//!
//! ```text
//! ROOT/runs/7Q2K9XAB/journal.jsonl   the run (see engine::journal)
//!                    lock            held by the run's runner as long as it lives
//!                    steps/07/…      what belongs to step 7; steps/07-2 for its second attempt
//! ROOT/locks/…                       one writing run per data directory or drill directory
//! ```
//!
//! Folders are made 0700 and files 0600; nothing is opened through a link. A lock is an `flock` on an open file: the
//! kernel frees it when its holder is gone, however it went.

mod error;
mod folder;
mod locks;
mod output;

pub use error::StoreError;
pub use folder::{RunFolder, RunnerLock};
pub use locks::{TargetKind, TargetLock};
pub use output::OutputFile;

use crate::domain::event::{Entry, Host, JOURNAL_VERSION, Operator, RunEvent, RunId};
use crate::domain::plan::Plan;
use crate::engine::journal::Journal;
use rustix::fs::{Access, Mode, OFlags};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What has to be free for a run's state (journal, outputs), beside the restore itself: 1 GB.
pub const STATE_FREE_BYTES: u64 = 1_000_000_000;

/// The state directory, checked.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Opens the state directory and makes what is missing of it, 0700.
    ///
    /// # Errors
    /// Not a directory, a symbolic link, another owner's, writable for others, or not writable for us.
    pub fn open(root: &Path) -> Result<Store, StoreError> {
        if !root.is_absolute() {
            return Err(StoreError::Relative { path: root.to_owned() });
        }
        make_directories(root)?;
        let store = Store { root: root.to_owned() };
        store.check()?;
        for below in [store.runs_path(), store.locks_path()] {
            make_directories(&below)?;
            check_directory(&below)?;
        }
        Ok(store)
    }

    /// Opens the state directory to look at it; makes nothing. `None` when there is none yet.
    ///
    /// # Errors
    /// As for [`Store::open`], but it need not be writable.
    pub fn existing(root: &Path) -> Result<Option<Store>, StoreError> {
        match std::fs::symlink_metadata(root) {
            Ok(_) => {
                check_directory(root)?;
                Ok(Some(Store { root: root.to_owned() }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::io("looking at", root, source)),
        }
    }

    fn check(&self) -> Result<(), StoreError> {
        check_directory(&self.root)?;
        rustix::fs::access(&self.root, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)
            .map_err(|errno| StoreError::NotWritable { path: self.root.clone(), source: errno.into() })
    }

    /// Where it lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn runs_path(&self) -> PathBuf {
        self.root.join("runs")
    }

    pub(crate) fn locks_path(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// Makes a run's folder and begins its journal with the sealed plan. `restore_size_bytes` is what the restore
    /// will write when it goes to the file system on which the state lies, else `None`. Nobody holds the run's lock
    /// yet: the runner that is started for it takes it.
    ///
    /// # Errors
    /// Too little space (with the figures), or the folder or journal can't be made: then nothing of it stays.
    pub fn create_run(
        &self,
        id: RunId,
        plan: Plan,
        by: Operator,
        host: Host,
        restore_size_bytes: Option<u64>,
    ) -> Result<(RunFolder, Journal, Entry), StoreError> {
        self.check_space(restore_size_bytes)?;
        let folder = self.make_folder(id)?;
        let first =
            RunEvent::RunCreated { version: JOURNAL_VERSION, run: folder.id.clone(), plan: Box::new(plan), by, host };
        let made = folder
            .make_inside()
            .and_then(|()| Journal::create(&folder.journal_path(), first).map_err(StoreError::from))
            .and_then(|made| sync_directory(&self.runs_path()).map(|()| made));
        match made {
            Ok((journal, entry)) => Ok((folder, journal, entry)),
            Err(error) => {
                // Nothing was started for it; a folder without a journal would only look like damage later.
                let _ = std::fs::remove_dir_all(&folder.path);
                Err(error)
            }
        }
    }

    fn make_folder(&self, id: RunId) -> Result<RunFolder, StoreError> {
        let path = self.runs_path().join(id.as_str());
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(RunFolder { path, id }),
            Err(source) => Err(StoreError::io("making", &path, source)),
        }
    }

    fn check_space(&self, restore_size_bytes: Option<u64>) -> Result<(), StoreError> {
        let space = rustix::fs::statvfs(&self.root)
            .map_err(|errno| StoreError::io("asking for the free space of", &self.root, errno.into()))?;
        let free_bytes = space.f_bavail.saturating_mul(space.f_frsize);
        let needed_bytes = STATE_FREE_BYTES.saturating_add(restore_size_bytes.unwrap_or(0));
        if free_bytes >= needed_bytes {
            return Ok(());
        }
        Err(StoreError::TooLittleSpace {
            path: self.root.clone(),
            free_bytes,
            state_bytes: STATE_FREE_BYTES,
            restore_bytes: restore_size_bytes.unwrap_or(0),
        })
    }

    /// The folder of a run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`], or what is there is not a folder of ours.
    pub fn folder(&self, id: &RunId) -> Result<RunFolder, StoreError> {
        let path = self.runs_path().join(id.as_str());
        match check_directory(&path) {
            Ok(()) => Ok(RunFolder { path, id: id.clone() }),
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Err(StoreError::NoSuchRun { id: id.clone(), root: self.root.clone() })
            }
            Err(error) => Err(error),
        }
    }

    /// All runs, the newest first. A run whose journal is damaged is among them: [`RunFolder::load`] tells.
    ///
    /// # Errors
    /// The state directory can't be read.
    pub fn runs(&self) -> Result<Vec<RunFolder>, StoreError> {
        let path = self.runs_path();
        let listing = match std::fs::read_dir(&path) {
            Ok(listing) => listing,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::io("listing", &path, source)),
        };
        let mut found: Vec<(SystemTime, RunFolder)> = Vec::new();
        for item in listing {
            let item = item.map_err(|source| StoreError::io("listing", &path, source))?;
            let name = item.file_name();
            // Other names are not ours: somebody's copy, an editor's leftover.
            let Some(id) = name.to_str().and_then(|text| RunId::parse(text).ok()).filter(|id| name == id.as_str())
            else {
                continue;
            };
            let folder = RunFolder { path: item.path(), id };
            found.push((folder.made_at(), folder));
        }
        found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.id.cmp(&b.1.id)));
        Ok(found.into_iter().map(|(_, folder)| folder).collect())
    }
}

/// Makes a directory and its missing parents, 0700.
fn make_directories(path: &Path) -> Result<(), StoreError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(source) => return Err(StoreError::io("looking at", path, source)),
    }
    match std::fs::DirBuilder::new().mode(0o700).recursive(true).create(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(source) if matches!(source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem) => {
            Err(StoreError::NotWritable { path: path.to_owned(), source })
        }
        Err(source) => Err(StoreError::io("making", path, source)),
    }
}

/// A real directory, ours, in which nobody else may write.
pub(crate) fn check_directory(path: &Path) -> Result<(), StoreError> {
    let found = std::fs::symlink_metadata(path).map_err(|source| StoreError::io("looking at", path, source))?;
    let path = path.to_owned();
    if found.file_type().is_symlink() {
        let to = std::fs::read_link(&path).unwrap_or_default();
        return Err(StoreError::Link { path, to });
    }
    if !found.is_dir() {
        return Err(StoreError::NotADirectory { path });
    }
    let uid = rustix::process::geteuid().as_raw();
    if found.uid() != uid {
        return Err(StoreError::OtherOwner { path, owner: found.uid(), uid });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(StoreError::OthersMayWrite { path, mode });
    }
    Ok(())
}

/// Opens (or makes) a file of ours without following a link: read-write, 0600.
pub(crate) fn open_own_file(path: &Path) -> Result<File, StoreError> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR) {
        Ok(file) => Ok(File::from(file)),
        Err(rustix::io::Errno::LOOP) => {
            Err(StoreError::Link { path: path.to_owned(), to: std::fs::read_link(path).unwrap_or_default() })
        }
        Err(errno) => Err(StoreError::io("opening", path, errno.into())),
    }
}

pub(crate) fn sync_directory(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|open| open.sync_all()).map_err(|source| StoreError::io("syncing", path, source))
}
