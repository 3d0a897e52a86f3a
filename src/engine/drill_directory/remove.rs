//! Removing a drill directory by its mark.

use crate::domain::event::RunId;
use crate::engine::drill_directory::walk::{self, Missing};
use crate::engine::drill_directory::{DrillDirectoryError, MARKER, marker};
use crate::engine::postgres::{LiveState, server_is_live};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;
use std::path::Path;

/// A restored cluster is at most seven directories deep; far beyond that something is wrong.
const DEEPEST: usize = 64;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Files, links and directories.
    pub entries: u64,
    /// What the files held on disk, in bytes.
    pub bytes: u64,
}

/// Removes the drill directory of `run` with everything in it. Links are removed, never followed. A directory that does
/// not exist (any more) is fine. The marker goes last, so an interrupted removal can be done again.
///
/// # Errors
/// [`DrillDirectoryError`]: no marker or another run's, a symbolic link in the path, a mount point in it, a live server in it.
/// All of that is looked at before the first file is removed.
pub fn remove_marked(run: &RunId, directory: &Path) -> Result<Removed, DrillDirectoryError> {
    let (parent_path, name) = walk::parent_and_name(directory)?;
    let opened = walk::open(parent_path, Missing::Fail)
        .and_then(|parent| Ok((walk::open_child(&parent, name, directory)?, parent)));
    let (root, parent) = match opened {
        Ok(opened) => opened,
        Err(DrillDirectoryError::System { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Removed::default());
        }
        Err(error) => return Err(error),
    };
    is_ours(run, directory, &root)?;
    nothing_mounted(directory)?;
    let device = rustix::fs::fstat(&root).map_err(DrillDirectoryError::system(directory, "looking at it"))?.st_dev;
    nobody_lives(directory, directory, &root, device, 0)?;
    let mut removed = Removed::default();
    empty(directory, &root, &mut removed, 0)?;
    unlink(&root, MARKER, AtFlags::empty(), &directory.join(MARKER), &mut removed)?;
    unlink(&parent, name, AtFlags::REMOVEDIR, directory, &mut removed)?;
    rustix::fs::fsync(&parent).map_err(DrillDirectoryError::system(parent_path, "syncing the directory"))?;
    Ok(removed)
}

/// Empties a directory that carries no mark, and stays: the caller has made a whole copy of what is in it. Links are
/// removed, never followed.
///
/// # Errors
/// [`DrillDirectoryError`]: a symbolic link in the path, another file system below it, a live server in it: looked at
/// before the first file is removed.
pub fn empty_what_was_copied(directory: &Path) -> Result<Removed, DrillDirectoryError> {
    let root = walk::open(directory, Missing::Fail)?;
    let device = rustix::fs::fstat(&root).map_err(DrillDirectoryError::system(directory, "looking at it"))?.st_dev;
    nobody_lives(directory, directory, &root, device, 0)?;
    let mut removed = Removed::default();
    empty(directory, &root, &mut removed, 0)?;
    rustix::fs::fsync(&root).map_err(DrillDirectoryError::system(directory, "syncing the directory"))?;
    Ok(removed)
}

pub(super) fn is_ours(run: &RunId, directory: &Path, root: &OwnedFd) -> Result<(), DrillDirectoryError> {
    let not_ours = |why: String| DrillDirectoryError::NotOurs { path: directory.to_owned(), why };
    match marker(root, directory)? {
        Some(found) if found == run.as_str() => Ok(()),
        Some(found) => Err(not_ours(format!("its {MARKER} names the run {found}, not {run}"))),
        None => Err(not_ours(format!("it has no {MARKER} of this user"))),
    }
}

fn nothing_mounted(directory: &Path) -> Result<(), DrillDirectoryError> {
    let mounts = walk::mount_points_in(directory).map_err(|source| DrillDirectoryError::System {
        path: "/proc/self/mountinfo".into(),
        what: "reading it",
        source,
    })?;
    match mounts.into_iter().next() {
        Some(mount) => Err(DrillDirectoryError::Mount { path: directory.to_owned(), mount }),
        None => Ok(()),
    }
}

/// Looks for live servers and other file systems in the whole tree before anything is touched.
fn nobody_lives(
    root: &Path,
    path: &Path,
    directory: &OwnedFd,
    device: u64,
    depth: usize,
) -> Result<(), DrillDirectoryError> {
    if depth > DEEPEST {
        return Err(too_deep(path));
    }
    for name in walk::names(directory, path)? {
        let below = walk::below(path, &name);
        let stat = rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(DrillDirectoryError::system(&below, "looking at it"))?;
        if stat.st_dev != device {
            return Err(DrillDirectoryError::Mount { path: root.to_owned(), mount: below });
        }
        if name.to_bytes() == b"postmaster.pid" {
            // one that can't be read is a server for all we know
            let pid = match server_is_live(path) {
                Ok(LiveState::Stopped | LiveState::Stale { .. }) => None,
                Ok(LiveState::Running { pid, .. }) => Some(pid),
                Err(_) => Some(0),
            };
            if let Some(pid) = pid {
                return Err(DrillDirectoryError::Live { path: root.to_owned(), data_directory: path.to_owned(), pid });
            }
        }
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            let child = walk::open_child(directory, name.as_c_str(), &below)?;
            nobody_lives(root, &below, &child, device, depth + 1)?;
        }
    }
    Ok(())
}

/// Removes what is in a directory, but for the marker in the topmost one.
fn empty(path: &Path, directory: &OwnedFd, removed: &mut Removed, depth: usize) -> Result<(), DrillDirectoryError> {
    if depth > DEEPEST {
        return Err(too_deep(path));
    }
    for name in walk::names(directory, path)? {
        if depth == 0 && name.to_bytes() == MARKER.as_bytes() {
            continue;
        }
        let below = walk::below(path, &name);
        let stat = match rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(errno) => return Err(DrillDirectoryError::system(below, "looking at it")(errno)),
        };
        if FileType::from_raw_mode(stat.st_mode).is_dir() {
            let child = walk::open_child(directory, name.as_c_str(), &below)?;
            empty(&below, &child, removed, depth + 1)?;
            unlink(directory, name.as_c_str(), AtFlags::REMOVEDIR, &below, removed)?;
        } else {
            removed.bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
            unlink(directory, name.as_c_str(), AtFlags::empty(), &below, removed)?;
        }
    }
    Ok(())
}

fn unlink(
    directory: &OwnedFd,
    name: impl rustix::path::Arg,
    flags: AtFlags,
    path: &Path,
    removed: &mut Removed,
) -> Result<(), DrillDirectoryError> {
    match rustix::fs::unlinkat(directory, name, flags) {
        Ok(()) => removed.entries += 1,
        Err(Errno::NOENT) => {}
        Err(errno) => {
            return Err(DrillDirectoryError::system(path, "removing it (what was in it before is gone)")(errno));
        }
    }
    Ok(())
}

fn too_deep(path: &Path) -> DrillDirectoryError {
    let why = format!("{} is more than {DEEPEST} directories deep, which no cluster is", path.display());
    DrillDirectoryError::NotOurs { path: path.to_owned(), why }
}
