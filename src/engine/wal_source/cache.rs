//! Fetched segments kept for the next question, as they are stored (compressed, not encrypted), up to a size.
//!
//! What lies here is plain WAL, also of encrypted repositories: the directory is closed to others (0700, files 0600). A
//! file gets its name when it is whole and sound: whatever ends a fetch, nothing half written is left.

use crate::engine::wal_source::catalog::ArchivedFile;
use crate::engine::wal_source::directory::open_plain;
use crate::engine::wal_source::error::WalSourceError;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// What a writer that was killed left behind is removed after this.
const FORGOTTEN: Duration = Duration::from_secs(3600);

/// What files that are being written end with.
const NEW: &str = ".new";

/// A directory with segments, least recently used out first. Several processes may use it at once.
#[derive(Debug, Clone)]
pub struct Cache {
    directory: PathBuf,
    limit_bytes: u64,
    /// What was put since it was last looked for what has to go; `None` before the first time.
    unseen_bytes: Arc<Mutex<Option<u64>>>,
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Draft {
    file: Arc<File>,
    /// Its name where it has to have one.
    beside: Option<PathBuf>,
}

impl Draft {
    /// One that is never kept.
    pub(super) fn passing() -> io::Result<Draft> {
        Ok(Draft { file: Arc::new(tempfile::tempfile()?), beside: None })
    }

    /// To be written by a program.
    pub(super) fn share(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Gives it its name. Not synced: a file that a power failure leaves half written does not have its sum.
    fn name(mut self, path: &Path) -> io::Result<()> {
        if let Some(beside) = self.beside.take() {
            return std::fs::rename(&beside, path).inspect_err(|_| _ = std::fs::remove_file(&beside));
        }
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        match rustix::fs::linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW) {
            // Another one has fetched the same meanwhile.
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside {
            let _ = std::fs::remove_file(beside);
        }
    }
}

impl Cache {
    /// The cache in a directory, which is made where it is missing. Before there is more than `limit_bytes` in it, what was
    /// not used for longest goes.
    ///
    /// # Errors
    /// [`WalSourceError::Io`] when it can't be made.
    pub fn open(directory: &Path, limit_bytes: u64) -> Result<Cache, WalSourceError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| {
            let path = directory.display().to_string();
            WalSourceError::Io { path, what: "making the directory for fetched WAL", source }
        })?;
        Ok(Cache { directory: directory.to_owned(), limit_bytes, unseen_bytes: Arc::default() })
    }

    /// What was stored of this copy, if it is there. Whether it is sound its SHA-1 tells.
    pub(super) fn get(&self, system_identifier: u64, copy: &ArchivedFile) -> Option<File> {
        let path = self.path(system_identifier, copy);
        let file = open_plain(&path).ok().flatten()?;
        // its time is that of its last use; a file system that can't note it evicts in another order, nothing worse
        let _ = File::options().write(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(file)
    }

    /// Removes what turned out to be damaged.
    pub(super) fn forget(&self, system_identifier: u64, copy: &ArchivedFile) {
        let path = self.path(system_identifier, copy);
        tracing::warn!("{} is damaged, and is fetched again", path.display());
        let _ = std::fs::remove_file(&path);
    }

    /// A file to fetch into, which nobody sees until it is kept.
    ///
    /// # Errors
    /// When the directory can't be written.
    pub(super) fn draft(&self) -> io::Result<Draft> {
        let (read_write, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR);
        match rustix::fs::open(&self.directory, read_write | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(Draft { file: Arc::new(File::from(file)), beside: None }),
            // Some network file systems have no files without a name.
            Err(_) => {
                static NUMBER: AtomicU64 = AtomicU64::new(0);
                let number = NUMBER.fetch_add(1, Ordering::Relaxed);
                let beside = self.directory.join(format!("{}.{number}{NEW}", std::process::id()));
                let flags = read_write | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
                let file = File::from(rustix::fs::open(&beside, flags, mode)?);
                Ok(Draft { file: Arc::new(file), beside: Some(beside) })
            }
        }
    }

    /// Keeps what was fetched and found sound. That it could not be kept is no error: it is fetched again next time.
    pub(super) fn keep(&self, draft: Draft, system_identifier: u64, copy: &ArchivedFile) {
        let bytes = draft.file.metadata().map_or(u64::MAX, |file| file.len());
        if bytes > self.limit_bytes {
            return;
        }
        let path = self.path(system_identifier, copy);
        let kept = draft.name(&path).and_then(|()| self.make_room(&path, bytes));
        if let Err(error) = kept {
            tracing::warn!("{} is not kept in {}: {error}", copy.segment, self.directory.display());
        }
    }

    fn path(&self, system_identifier: u64, copy: &ArchivedFile) -> PathBuf {
        let ArchivedFile { segment, sha1, compression, .. } = copy;
        self.directory.join(format!("{system_identifier}-{segment}-{sha1}{}", compression.extension()))
    }

    /// Looks for what has to go now and then: so that the limit holds in between, a part of it is kept free.
    fn make_room(&self, newest: &Path, bytes: u64) -> io::Result<()> {
        let slack = self.limit_bytes / 16;
        let mut unseen = self.unseen_bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if unseen.is_none_or(|unseen| unseen + bytes > slack) {
            self.evict(newest, slack)?;
            *unseen = Some(0);
        } else {
            *unseen = unseen.map(|unseen| unseen + bytes);
        }
        Ok(())
    }

    /// Makes room, with `slack` to spare; `newest` stays.
    fn evict(&self, newest: &Path, slack: u64) -> io::Result<()> {
        let now = SystemTime::now();
        let mut found: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            // gone meanwhile: another process makes room too
            let Ok(metadata) = entry.metadata() else { continue };
            let (path, used) = (entry.path(), metadata.modified()?);
            if !metadata.is_file() {
                continue;
            }
            if entry.file_name().to_string_lossy().ends_with(NEW) {
                if now.duration_since(used).is_ok_and(|age| age > FORGOTTEN) {
                    let _ = std::fs::remove_file(path);
                }
                continue;
            }
            found.push((used, metadata.len(), path));
        }
        found.sort();
        let mut total: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in found.iter().filter(|(.., path)| path != newest) {
            if total <= self.limit_bytes - slack {
                break;
            }
            let _ = std::fs::remove_file(path);
            total -= bytes;
        }
        Ok(())
    }
}
