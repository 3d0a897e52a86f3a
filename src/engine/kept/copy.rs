//! A copy of a directory tree: bytes or shared blocks, owners, modes and times; links as links; never hard links.

use crate::engine::drill_directory::walk::{self, Missing};
use crate::engine::kept::KeptError;
use crate::engine::kept::control::DISARMED;
use crate::planning::keeping::Way;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::ffi::CString;
use std::fs::File;
use std::path::Path;

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Copied {
    /// Files, links and directories.
    pub(super) entries: u64,
    /// Sockets, pipes and devices, which are left out.
    pub(super) left_out: u64,
}

/// Copies what is in `from` into `to`, which is made. Files that are there with the same size and time are taken as done:
/// a file gets its time after its content, and the caller gives a copy that another boot began no second chance. A
/// `pg_control` in `disarm_in` (the `global` of a data directory) gets the name that PostgreSQL does not know.
pub(super) fn copy_tree(from: &Path, to: &Path, way: Way, is_data: bool) -> Result<Copied, KeptError> {
    let source = walk::open(from, Missing::Fail)?;
    let target = walk::open(to, Missing::Make)?;
    let device = fstat(&source, from)?.st_dev;
    let mut copying = Copying { way, is_data, device, copied: Copied::default() };
    copying.directory(&source, from, &target, to, 0)?;
    rustix::fs::syncfs(&target).map_err(KeptError::system(to, "syncing the file system"))?;
    Ok(copying.copied)
}

struct Copying {
    way: Way,
    is_data: bool,
    device: u64,
    copied: Copied,
}

/// An entry of the tree: the open directories it is in, its name on both sides, what it is.
struct Entry<'a> {
    source: &'a OwnedFd,
    target: &'a OwnedFd,
    name: &'a CString,
    to_name: CString,
    from: std::path::PathBuf,
    to: std::path::PathBuf,
    stat: Stat,
}

impl Copying {
    fn directory(
        &mut self,
        source: &OwnedFd,
        from: &Path,
        target: &OwnedFd,
        to: &Path,
        depth: usize,
    ) -> Result<(), KeptError> {
        if depth > 64 {
            return Err(KeptError::unexpected(from, "it is more than 64 directories deep, which no cluster is"));
        }
        let in_global = self.is_data && depth == 1 && from.file_name().is_some_and(|name| name == "global");
        for name in walk::names(source, from)? {
            let below = walk::below(from, &name);
            let stat = rustix::fs::statat(source, &name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(KeptError::system(&below, "looking at it"))?;
            if stat.st_dev != self.device {
                return Err(KeptError::Mount { path: from.to_owned(), mount: below });
            }
            let control = in_global && name.as_bytes() == b"pg_control";
            let to_name = if control { CString::new(DISARMED).unwrap_or_default() } else { name.clone() };
            let entry =
                Entry { source, target, name: &name, to: walk::below(to, &to_name), to_name, from: below, stat };
            self.entry(&entry, depth)?;
        }
        // last: making its entries changed its time
        let stat = fstat(source, from)?;
        attributes(target, &stat, to)
    }

    fn entry(&mut self, entry: &Entry<'_>, depth: usize) -> Result<(), KeptError> {
        self.copied.entries += 1;
        match FileType::from_raw_mode(entry.stat.st_mode) {
            FileType::Directory => {
                match rustix::fs::mkdirat(entry.target, &entry.to_name, Mode::RWXU) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(errno) => return Err(KeptError::system(&entry.to, "making it")(errno)),
                }
                let source = walk::open_child(entry.source, entry.name.as_c_str(), &entry.from)?;
                let target = walk::open_child(entry.target, entry.to_name.as_c_str(), &entry.to)?;
                self.directory(&source, &entry.from, &target, &entry.to, depth + 1)
            }
            FileType::RegularFile => self.file(entry),
            FileType::Symlink => link(entry),
            _ => {
                self.copied.left_out += 1;
                Ok(())
            }
        }
    }

    fn file(&self, entry: &Entry<'_>) -> Result<(), KeptError> {
        if let Ok(there) = rustix::fs::statat(entry.target, &entry.to_name, AtFlags::SYMLINK_NOFOLLOW) {
            let same = |stat: &Stat| (stat.st_size, stat.st_mtime, stat.st_mtime_nsec, stat.st_mode);
            if same(&there) == same(&entry.stat) && there.st_nlink == 1 {
                return Ok(());
            }
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let source = rustix::fs::openat(entry.source, entry.name, flags, Mode::empty())
            .map_err(KeptError::system(&entry.from, "opening it"))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let target = rustix::fs::openat(entry.target, &entry.to_name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(KeptError::system(&entry.to, "making it"))?;
        if self.way == Way::Reflink {
            rustix::fs::ioctl_ficlone(&target, &source)
                .map_err(KeptError::system(&entry.to, "sharing its blocks (a copy by reflink)"))?;
            return attributes(&target, &entry.stat, &entry.to);
        }
        let (mut source, mut target) = (File::from(source), File::from(target));
        let copied = std::io::copy(&mut source, &mut target).map_err(KeptError::io(&entry.to, "copying into it"))?;
        if u64::try_from(entry.stat.st_size) != Ok(copied) {
            return Err(KeptError::unexpected(
                &entry.from,
                "its size changed while it was copied: something writes into it",
            ));
        }
        attributes(&OwnedFd::from(target), &entry.stat, &entry.to)
    }
}

fn link(entry: &Entry<'_>) -> Result<(), KeptError> {
    let destination = rustix::fs::readlinkat(entry.source, entry.name, Vec::new())
        .map_err(KeptError::system(&entry.from, "reading the link"))?;
    match rustix::fs::symlinkat(&destination, entry.target, &entry.to_name) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => {
            let there = rustix::fs::readlinkat(entry.target, &entry.to_name, Vec::new())
                .map_err(KeptError::system(&entry.to, "reading the link"))?;
            if there == destination { Ok(()) } else { Err(KeptError::unexpected(&entry.to, "it leads elsewhere")) }
        }
        Err(errno) => Err(KeptError::system(&entry.to, "making the link")(errno)),
    }
}

/// Owner, mode and times, in this order: a change of the owner clears bits of the mode.
fn attributes(target: &OwnedFd, stat: &Stat, path: &Path) -> Result<(), KeptError> {
    let now = fstat(target, path)?;
    if (now.st_uid, now.st_gid) != (stat.st_uid, stat.st_gid) {
        rustix::fs::fchown(target, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
            .map_err(KeptError::system(path, "giving it its owner"))?;
    }
    rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode))
        .map_err(KeptError::system(path, "giving it its mode"))?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec as _),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec as _),
    };
    rustix::fs::futimens(target, &times).map_err(KeptError::system(path, "giving it its time"))
}

fn fstat(file: &OwnedFd, path: &Path) -> Result<Stat, KeptError> {
    rustix::fs::fstat(file).map_err(KeptError::system(path, "looking at it"))
}
