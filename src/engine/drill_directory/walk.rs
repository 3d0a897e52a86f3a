//! Going down a path without following links.

use crate::engine::drill_directory::DrillDirectoryError;
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

/// What to do about a part of the path that does not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Make it, 0700.
    Make,
    /// Fail.
    Fail,
}

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// On the way down: a directory that may be entered and not listed (0711) is passed through.
const PASSING: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The parent and the last part of an absolute path without `..`.
pub(crate) fn parent_and_name(path: &Path) -> Result<(&Path, &OsStr), DrillDirectoryError> {
    let refuse = |why: &str| DrillDirectoryError::Path { path: path.to_owned(), why: why.to_owned() };
    if !path.is_absolute() {
        return Err(refuse("is not an absolute path"));
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(refuse("holds '..'"));
    }
    let name = path.file_name().ok_or_else(|| refuse("is the root directory"))?;
    Ok((path.parent().ok_or_else(|| refuse("has no parent"))?, name))
}

/// Opens a directory, every part from its parent.
pub(crate) fn open(path: &Path, missing: Missing) -> Result<OwnedFd, DrillDirectoryError> {
    let mut at = PathBuf::from("/");
    let mut directory =
        rustix::fs::open("/", PASSING, Mode::empty()).map_err(DrillDirectoryError::system("/", "opening it"))?;
    for part in path.components() {
        let Component::Normal(name) = part else { continue };
        at.push(name);
        if missing == Missing::Make {
            match rustix::fs::mkdirat(&directory, name, Mode::RWXU) {
                // EROFS and EACCES come before EEXIST on some file systems: the opening tells
                Ok(()) | Err(Errno::EXIST | Errno::ROFS | Errno::ACCESS) => {}
                Err(errno) => return Err(DrillDirectoryError::system(at, "making it")(errno)),
            }
        }
        directory = open_with(PASSING, &directory, name, &at)?;
    }
    rustix::fs::openat(&directory, ".", DIRECTORY, Mode::empty())
        .map_err(DrillDirectoryError::system(path, "opening it for listing"))
}

/// Opens a directory in another one; a link in its place is an error.
pub(crate) fn open_child(
    parent: &OwnedFd,
    name: impl rustix::path::Arg,
    path: &Path,
) -> Result<OwnedFd, DrillDirectoryError> {
    open_with(DIRECTORY, parent, name, path)
}

fn open_with(
    flags: OFlags,
    parent: &OwnedFd,
    name: impl rustix::path::Arg,
    path: &Path,
) -> Result<OwnedFd, DrillDirectoryError> {
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(directory) => Ok(directory),
        // with O_DIRECTORY a link is ENOTDIR
        Err(Errno::LOOP | Errno::NOTDIR) if is_symlink(path) => {
            Err(DrillDirectoryError::Symlink { path: path.to_owned() })
        }
        Err(errno) => Err(DrillDirectoryError::system(path, "opening it as a directory")(errno)),
    }
}

fn is_symlink(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|found| found.file_type().is_symlink())
}

/// The names in a directory, `.` and `..` left out.
pub(crate) fn names(directory: &OwnedFd, path: &Path) -> Result<Vec<CString>, DrillDirectoryError> {
    let failed = |errno| DrillDirectoryError::system(path, "listing it")(errno);
    let mut found = Vec::new();
    for entry in Dir::read_from(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_owned();
        if !matches!(name.to_bytes(), b"." | b"..") {
            found.push(name);
        }
    }
    Ok(found)
}

/// The first part of an absolute path that is a symbolic link; parts that do not exist are none.
#[must_use]
pub fn symlink_in(path: &Path) -> Option<PathBuf> {
    let mut parts: Vec<&Path> = path.ancestors().collect();
    parts.reverse();
    parts.into_iter().find(|part| is_symlink(part)).map(Path::to_owned)
}

/// The mount points at or below a path without symbolic links, as this process sees them.
///
/// # Errors
/// When `/proc/self/mountinfo` can't be read.
pub fn mount_points_in(path: &Path) -> io::Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo")?;
    let points = text.split(|byte| *byte == b'\n').filter_map(mount_point);
    Ok(points.filter(|point| point.starts_with(path)).collect())
}

/// The fifth field of a line; a space, tab, line end or backslash in it is written in octal (`\040`).
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        let octal = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

/// A name below a path, for messages and for `/proc`.
pub(crate) fn below(path: &Path, name: &CString) -> PathBuf {
    path.join(OsStr::from_bytes(name.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_spaces_are_read() {
        let line = b"36 35 98:0 /mnt1 /srv/my\\040drill\\134x rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from("/srv/my drill\\x")));
        assert_eq!(mount_point(b"36 35"), None);
    }

    #[test]
    fn the_root_is_always_a_mount_point() {
        assert!(mount_points_in(Path::new("/")).is_ok_and(|points| points.contains(&PathBuf::from("/"))));
    }
}
