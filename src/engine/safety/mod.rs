//! What is put in safety before the old cluster is touched: its WAL, its configuration, its newest logs.
//!
//! ```text
//! runs/7Q2K/safety/          0700
//!   pg_wal/                  segments, .partial, .history
//!   pg_wal/SHA256SUMS        as sha256sum writes it
//!   configuration/…          each file below its own absolute path
//!   log/…                    the newest of log_directory
//! ```
//!
//! It only grows: nothing in it is ever removed, and a file is replaced only by one that begins with it.

mod configuration;
mod place;
mod wal;

pub use configuration::{Places, SavedFiles, places, save_configuration, save_control, save_logs};
pub use place::{PlacedWal, SegmentOwner, place_missing_wal, saved_names};
pub use wal::{SUMS, SafeWal, save_wal};

use crate::engine::ask::AskError;
use crate::engine::drill_directory::DrillDirectoryError;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Why something was not put in safety, or not placed. What is in safety stays.
#[derive(Debug, thiserror::Error)]
pub enum SafetyError {
    /// A directory can't be used.
    #[error(transparent)]
    Directory(#[from] DrillDirectoryError),
    /// PostgreSQL could not be asked where its files are.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// There is no room.
    #[error("{}: {needed_bytes} bytes are needed and {free_bytes} are free; make room, or name another state_directory in the settings", path.display())]
    NoSpace {
        /// Where.
        path: PathBuf,
        /// What would be written.
        needed_bytes: u64,
        /// What may be written.
        free_bytes: u64,
    },
    /// Something is not as it has to be.
    #[error("{}: {why}", path.display())]
    Unexpected {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The system refused.
    #[error("{}: {what} failed: {source}", path.display())]
    System {
        /// What it was about.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl SafetyError {
    fn io(path: impl Into<PathBuf>, what: &'static str) -> impl FnOnce(io::Error) -> SafetyError {
        let path = path.into();
        move |source| SafetyError::System { path, what, source }
    }
}

/// Makes a directory of ours, 0700, with its parents.
fn make_directory(path: &Path) -> Result<(), SafetyError> {
    use crate::engine::drill_directory::walk::{Missing, open};
    drop(open(path, Missing::Make)?);
    Ok(())
}

fn room_for(path: &Path, needed_bytes: u64) -> Result<(), SafetyError> {
    let found =
        rustix::fs::statvfs(path).map_err(io::Error::from).map_err(SafetyError::io(path, "asking for space"))?;
    let free_bytes = found.f_bavail.saturating_mul(found.f_frsize);
    if needed_bytes <= free_bytes {
        return Ok(());
    }
    Err(SafetyError::NoSpace { path: path.to_owned(), needed_bytes, free_bytes })
}

/// Opens a plain file without following a link in its last part; `None` where there is none (any more).
fn open_plain(path: &Path) -> Result<Option<File>, SafetyError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(SafetyError::io(path, "opening it")(errno.into())),
    };
    let plain = file.metadata().map_err(SafetyError::io(path, "looking at it"))?.is_file();
    if plain {
        return Ok(Some(file));
    }
    Err(SafetyError::Unexpected { path: path.to_owned(), why: "it is no plain file".to_owned() })
}

/// Writes `bytes` beside `to`, syncs, and renames without replacing anything unless `replace`.
fn write_durably(to: &Path, bytes: &[u8], replace: bool) -> Result<(), SafetyError> {
    let mut beside = to.as_os_str().to_owned();
    beside.push(".lifeboat-new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(SafetyError::io(beside, "replacing what an interrupted attempt left")(error));
        }
        _ => {}
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(&beside, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| SafetyError::io(&beside, "making it")(errno.into()))?;
    let mut file = File::from(file);
    io::Write::write_all(&mut file, bytes)
        .and_then(|()| file.sync_all())
        .map_err(SafetyError::io(&beside, "writing it"))?;
    let flags = if replace { rustix::fs::RenameFlags::empty() } else { rustix::fs::RenameFlags::NOREPLACE };
    rustix::fs::renameat_with(rustix::fs::CWD, &beside, rustix::fs::CWD, to, flags)
        .map_err(|errno| SafetyError::io(to, "putting it in place")(errno.into()))?;
    sync_directory(to.parent().unwrap_or(Path::new("/")))
}

fn sync_directory(path: &Path) -> Result<(), SafetyError> {
    File::open(path).and_then(|open| open.sync_all()).map_err(SafetyError::io(path, "syncing the directory"))
}

#[cfg(test)]
mod tests;
