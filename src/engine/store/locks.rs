//! Locks: one writing run per data directory, one per drill directory.

use crate::domain::digest::Digest;
use crate::engine::store::error::StoreError;
use crate::engine::store::{Store, open_own_file};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// What a run writes to. The kinds do not exclude each other: a drill has a directory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetKind {
    /// A data directory that is restored in place.
    DataDirectory,
    /// An isolated directory of a drill.
    DrillDirectory,
}

/// The right to write to a target; freed when it is dropped or its process is gone.
#[derive(Debug)]
pub struct TargetLock {
    /// The target, with links resolved.
    pub target: PathBuf,
    _file: File,
}

impl Store {
    /// Locks a data directory or drill directory for writing. The directory need not exist yet; links in its path are
    /// resolved first, so two names of one place are one lock. `None`: another run holds it. Holds among runs that
    /// use the same state directory.
    ///
    /// # Errors
    /// A relative path, a path with `..` in the part that does not exist, or the lock file can't be made.
    pub fn lock_target(&self, kind: TargetKind, path: &Path) -> Result<Option<TargetLock>, StoreError> {
        let target = canonical(path)?;
        let kind_word = match kind {
            TargetKind::DataDirectory => "data",
            TargetKind::DrillDirectory => "drill",
        };
        let digest = Digest::of(target.as_os_str().as_bytes()).to_string();
        let lock_path = self.locks_path().join(format!("{kind_word}-{}", &digest[..32]));
        let mut file = open_own_file(&lock_path)?;
        if !take(&file, &lock_path)? {
            return Ok(None);
        }
        // For a person who lists the directory; nobody reads it back.
        let note = [target.as_os_str().as_bytes(), b"\n"].concat();
        file.set_len(0)
            .and_then(|()| file.write_all(&note))
            .map_err(|source| StoreError::io("writing", &lock_path, source))?;
        Ok(Some(TargetLock { target, _file: file }))
    }
}

/// Takes the exclusive lock. Those who only ask ([`crate::engine::store::RunFolder::is_runner_alive`]) hold it shared
/// for some microseconds: where a shared lock can still be had, nobody holds it in earnest, and it is tried again.
pub(crate) fn take(file: &File, path: &Path) -> Result<bool, StoreError> {
    let lock = |operation| match rustix::fs::flock(file, operation) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(StoreError::io("locking", path, errno.into())),
    };
    loop {
        if lock(FlockOperation::NonBlockingLockExclusive)? {
            return Ok(true);
        }
        if !lock(FlockOperation::NonBlockingLockShared)? {
            return Ok(false);
        }
        lock(FlockOperation::Unlock)?;
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Resolves links in the part of the path that exists and appends the rest.
fn canonical(path: &Path) -> Result<PathBuf, StoreError> {
    let bad = |why| StoreError::BadTarget { path: path.to_owned(), why };
    if !path.is_absolute() {
        return Err(bad("it is not an absolute path"));
    }
    let mut rest: Vec<&std::ffi::OsStr> = Vec::new();
    let mut existing = path;
    loop {
        match existing.canonicalize() {
            Ok(found) => return Ok(rest.iter().rev().fold(found, |path, name| path.join(name))),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if std::fs::symlink_metadata(existing).is_ok() {
                    return Err(bad("it leads through a link to a place that does not exist"));
                }
                let Some(Component::Normal(name)) = existing.components().next_back() else {
                    return Err(bad("the part of it that does not exist contains '..'"));
                };
                rest.push(name);
                existing = existing.parent().unwrap_or(Path::new("/"));
            }
            Err(source) => return Err(StoreError::io("resolving", path, source)),
        }
    }
}
