//! Fetched segments kept for the next question, unpacked, up to a size.
//!
//! What lies here is plain WAL, also of encrypted repositories: the directory is closed to others (0700, files 0600).

use crate::domain::wal::WalSegment;
use crate::engine::wal_source::directory::open_plain;
use crate::engine::wal_source::error::WalSourceError;
use crate::engine::wal_source::name::Sha1Sum;
use crate::engine::wal_source::unpack::LARGEST_BYTES;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
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
}

impl Cache {
    /// The cache in a directory, which is made where it is missing. With more than `limit_bytes` in it, what was not used
    /// for longest goes.
    ///
    /// # Errors
    /// [`WalSourceError::Io`] when it can't be made.
    pub fn open(directory: &Path, limit_bytes: u64) -> Result<Cache, WalSourceError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|source| {
            let path = directory.display().to_string();
            WalSourceError::Io { path, what: "making the directory for fetched WAL", source }
        })?;
        Ok(Cache { directory: directory.to_owned(), limit_bytes })
    }

    /// A segment with this content, if it is there and sound. A damaged one is removed.
    pub(super) fn get(&self, system_identifier: u64, segment: WalSegment, sha1: Sha1Sum) -> Option<Vec<u8>> {
        let path = self.path(system_identifier, segment, sha1);
        let file = open_plain(&path).ok().flatten()?;
        let mut bytes = Vec::new();
        (&file).take(LARGEST_BYTES + 1).read_to_end(&mut bytes).ok()?;
        if Sha1Sum::of(&bytes) != sha1 {
            tracing::warn!("{} is damaged, and is fetched again", path.display());
            let _ = std::fs::remove_file(&path);
            return None;
        }
        // its time is that of its last use; a file system that can't note it evicts in another order, nothing worse
        let _ = File::options().write(true).open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(bytes)
    }

    /// Keeps a segment. That it could not be kept is no error: it is fetched again next time.
    pub(super) fn put(&self, system_identifier: u64, segment: WalSegment, sha1: Sha1Sum, bytes: &[u8]) {
        if bytes.len() as u64 > self.limit_bytes {
            return;
        }
        let path = self.path(system_identifier, segment, sha1);
        let kept = self.write(&path, bytes).and_then(|()| self.evict(&path));
        if let Err(error) = kept {
            tracing::warn!("{segment} is not kept in {}: {error}", self.directory.display());
        }
    }

    fn path(&self, system_identifier: u64, segment: WalSegment, sha1: Sha1Sum) -> PathBuf {
        self.directory.join(format!("{system_identifier}-{segment}-{sha1}"))
    }

    /// Not synced: a file that a power failure leaves half written does not have its sum.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".{}.{number}{NEW}", std::process::id()));
        let beside = PathBuf::from(beside);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::open(&beside, flags, Mode::RUSR | Mode::WUSR)?);
        let written = file.write_all(bytes).and_then(|()| std::fs::rename(&beside, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written
    }

    /// Makes room; `newest` stays.
    fn evict(&self, newest: &Path) -> io::Result<()> {
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
            if total <= self.limit_bytes {
                break;
            }
            let _ = std::fs::remove_file(path);
            total -= bytes;
        }
        Ok(())
    }
}
