//! Durable moves: one rename, never over anything, never through a link.

use crate::engine::drill_directory::walk::{self, Missing};
use crate::engine::drill_directory::{DrillDirectoryError, mount_points_in};
use crate::engine::kept::KeptError;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use std::path::Path;

/// Whether something is there, a dangling link too.
pub(super) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether a directory is there with nothing in it.
pub(super) fn is_empty_directory(path: &Path) -> Result<bool, KeptError> {
    let directory = walk::open(path, Missing::Fail)?;
    Ok(walk::names(&directory, path)?.is_empty())
}

pub(super) fn is_missing(error: &DrillDirectoryError) -> bool {
    matches!(error, DrillDirectoryError::System { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// The file system a path lies on.
pub(super) fn device(path: &Path) -> Result<u64, KeptError> {
    let stat = rustix::fs::lstat(path).map_err(KeptError::system(path, "looking at it"))?;
    Ok(stat.st_dev)
}

/// Refuses where something is mounted at or below `path`.
pub(super) fn nothing_mounted(path: &Path) -> Result<(), KeptError> {
    let mounts = mount_points_in(path).map_err(KeptError::io("/proc/self/mountinfo", "reading it"))?;
    match mounts.into_iter().next() {
        Some(mount) => Err(KeptError::Mount { path: path.to_owned(), mount }),
        None => Ok(()),
    }
}

/// Whether `path` itself is a mount point and nothing is mounted below it: it can't be renamed, but emptied and filled.
pub(super) fn is_mounted_alone(path: &Path) -> Result<bool, KeptError> {
    let mounts = mount_points_in(path).map_err(KeptError::io("/proc/self/mountinfo", "reading it"))?;
    Ok(!mounts.is_empty() && mounts.iter().all(|mount| mount == path))
}

/// Moves a directory to a name that is free on the same file system, and syncs both folders.
pub(super) fn move_directory(from: &Path, to: &Path) -> Result<(), KeptError> {
    nothing_mounted(from)?;
    let ((from_parent, from_name), (to_parent, to_name)) = (walk::parent_and_name(from)?, walk::parent_and_name(to)?);
    let source = walk::open(from_parent, Missing::Fail)?;
    let target = walk::open(to_parent, Missing::Fail)?;
    // a link in its place is refused
    drop(walk::open_child(&source, from_name, from)?);
    rename_in(&source, from_name, &target, to_name, from, to)?;
    rustix::fs::fsync(&target).map_err(KeptError::system(to_parent, "syncing the directory"))?;
    rustix::fs::fsync(&source).map_err(KeptError::system(from_parent, "syncing the directory"))
}

/// Renames without ever replacing anything. Nothing to rename is fine: it was done before.
pub(super) fn rename_in(
    source: &OwnedFd,
    from_name: impl rustix::path::Arg + Copy,
    target: &OwnedFd,
    to_name: impl rustix::path::Arg + Copy,
    from: &Path,
    to: &Path,
) -> Result<(), KeptError> {
    let there = |directory: &OwnedFd, path: &Path, to: bool| {
        let found = if to {
            rustix::fs::statat(directory, to_name, AtFlags::SYMLINK_NOFOLLOW)
        } else {
            rustix::fs::statat(directory, from_name, AtFlags::SYMLINK_NOFOLLOW)
        };
        match found {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(KeptError::system(path, "looking at it")(errno)),
        }
    };
    match (there(source, from, false)?, there(target, to, true)?) {
        (false, _) => return Ok(()),
        (true, true) => return Err(both(from, to)),
        (true, false) => {}
    }
    match rustix::fs::renameat_with(source, from_name, target, to_name, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Err(both(from, to)),
        // a file system without that flag (NFS): nothing was there a moment ago
        Err(Errno::INVAL) => {
            rustix::fs::renameat(source, from_name, target, to_name).map_err(KeptError::system(from, "moving it"))
        }
        Err(errno) => Err(KeptError::system(from, "moving it")(errno)),
    }
}

fn both(from: &Path, to: &Path) -> KeptError {
    KeptError::unexpected(from, format!("it can't be moved to {}, which is there already", to.display()))
}
