//! Disarming a cluster: without `global/pg_control` PostgreSQL does not start.

use crate::domain::control_file::ControlIdentity;
use crate::engine::drill_directory::walk::{self, Missing};
use crate::engine::kept::{KeptError, moves};
use crate::engine::postgres::{LiveState, server_is_live};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::path::Path;

const CONTROL: &str = "pg_control";

/// The name of the control file of a kept cluster, in `global`.
pub const DISARMED: &str = "pg_control.kept-by-lifeboat";

/// Renames `global/pg_control`. Without one (a lost or half restored cluster), or with one that was renamed before, there
/// is nothing to do.
pub(super) fn disarm(data_directory: &Path) -> Result<(), KeptError> {
    rename(data_directory, CONTROL, DISARMED)
}

/// The way back of [`disarm`].
pub(super) fn arm(data_directory: &Path) -> Result<(), KeptError> {
    rename(data_directory, DISARMED, CONTROL)
}

fn rename(data_directory: &Path, from: &str, to: &str) -> Result<(), KeptError> {
    let path = data_directory.join("global");
    let global = match walk::open(&path, Missing::Fail) {
        Ok(global) => global,
        Err(error) if moves::is_missing(&error) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    moves::rename_in(&global, from, &global, to, &path.join(from), &path.join(to))?;
    rustix::fs::fsync(&global).map_err(KeptError::system(path, "syncing the directory"))
}

/// Whose cluster it is, armed or not; `None` without a control file.
pub(super) fn identity(data_directory: &Path) -> Result<Option<ControlIdentity>, KeptError> {
    let path = data_directory.join("global");
    let global = match walk::open(&path, Missing::Fail) {
        Ok(global) => global,
        Err(error) if moves::is_missing(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    for name in [CONTROL, DISARMED] {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&global, name, flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(KeptError::system(path.join(name), "reading it")(errno)),
        };
        let mut bytes = [0u8; 16];
        let length = rustix::io::read(&file, &mut bytes).map_err(KeptError::system(path.join(name), "reading it"))?;
        return match ControlIdentity::parse(&bytes[..length]) {
            Ok(identity) => Ok(Some(identity)),
            Err(error) => Err(KeptError::unexpected(path.join(name), error.to_string())),
        };
    }
    Ok(None)
}

/// Refuses where a server runs, or can't be told from one.
pub(super) fn nobody_runs(data_directory: &Path) -> Result<(), KeptError> {
    match server_is_live(data_directory)? {
        LiveState::Stopped | LiveState::Stale { .. } => Ok(()),
        LiveState::Running { pid, .. } => Err(KeptError::Live { path: data_directory.to_owned(), pid }),
    }
}
