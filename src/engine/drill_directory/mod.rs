//! The directory a drill restores into: made for one run, marked with it, and removed only by that mark.
//!
//! ```text
//! DIRECTORY/            0700
//!   .lifeboat-run       the run's name: what may be removed
//!   data/               the restored cluster (pg1-path); until the restore writes its own, an empty backup.manifest
//!   tablespaces/        every tablespace of the set (tablespace-map-all)
//!   spool/ lock/ log/   pgBackRest's, instead of production's
//!   socket/             the server's only door
//!   conf/               postgresql.conf, pg_hba.conf, pg_ident.conf
//! ```
//!
//! Nothing here follows a symbolic link: every part of a path is opened from its parent with `O_NOFOLLOW`.

mod conf;
mod remove;
mod server;
pub(crate) mod walk;

pub use remove::{Removed, empty_what_was_copied, remove_marked};
pub use server::{is_marked, stop_server};
pub use walk::{mount_points_in, symlink_in};

use crate::domain::event::RunId;
use crate::domain::text::clean;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// The marker's name. It holds the run's name and a line end.
pub const MARKER: &str = ".lifeboat-run";

/// Tells pgBackRest that `--delta` may complete what is in a data directory; the restore replaces it by its own and removes
/// that at the end. Before it has, one that was killed leaves only directories, and another is refused with `[040]` (2.45:
/// "--delta … unable to find 'PG_VERSION' or 'backup.manifest'"; only that one of them exists is looked at).
pub(crate) const RESTORE_MARK: &str = "backup.manifest";

const DIRECTORIES: [&str; 7] = ["data", "tablespaces", "spool", "lock", "log", "socket", "conf"];

/// Why a drill directory could not be made or removed. Nothing was changed unless it says so.
#[derive(Debug, thiserror::Error)]
pub enum DrillDirectoryError {
    /// The path can't name a drill directory.
    #[error("{}: {why}; name an absolute path without '..' of a directory that does not exist yet", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A part of the path is a symbolic link.
    #[error("{} is a symbolic link: name the directory it leads to, so that what is removed later is what was made", path.display())]
    Symlink {
        /// The part.
        path: PathBuf,
    },
    /// There is something already.
    #[error("{} is there already and {why}: name another directory, or look at it and remove it by hand", path.display())]
    Taken {
        /// The directory.
        path: PathBuf,
        /// What is in it.
        why: String,
    },
    /// It has no marker, or another run's.
    #[error("{} is not removed: {why}; look at it and remove it by hand if it is yours", path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// A server runs in it.
    #[error("{} is not removed: a PostgreSQL server (process {pid}) runs on {}; stop it first", path.display(), data_directory.display())]
    Live {
        /// The directory.
        path: PathBuf,
        /// The server's data directory.
        data_directory: PathBuf,
        /// The server.
        pid: u32,
    },
    /// Something is mounted in it.
    #[error("{} is not removed: {} is a mount point, and what is mounted there would be emptied; unmount it first", path.display(), mount.display())]
    Mount {
        /// The directory.
        path: PathBuf,
        /// The mount point.
        mount: PathBuf,
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

impl DrillDirectoryError {
    fn system(path: impl Into<PathBuf>, what: &'static str) -> impl FnOnce(Errno) -> DrillDirectoryError {
        let path = path.into();
        move |errno| DrillDirectoryError::System { path, what, source: errno.into() }
    }
}

/// The places in a drill directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillDirectory {
    /// The directory itself.
    pub root: PathBuf,
}

impl DrillDirectory {
    /// The places below `root`; nothing is made.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> DrillDirectory {
        DrillDirectory { root: root.into() }
    }

    /// The restored cluster.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Below it every tablespace.
    #[must_use]
    pub fn tablespaces(&self) -> PathBuf {
        self.root.join("tablespaces")
    }

    /// pgBackRest's spool path.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.root.join("spool")
    }

    /// pgBackRest's lock path.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    /// pgBackRest's log path.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("log")
    }

    /// The server's socket directory.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.root.join("socket")
    }

    /// The server's configuration file.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.root.join("conf/postgresql.conf")
    }
}

/// Makes the drill directory of `run`, 0700 and marked. Doing it again for the same run completes what an interrupted
/// attempt left; what is in `data/` by then stays.
///
/// # Errors
/// [`DrillDirectoryError`]: a symbolic link in the path, content that is not this run's, another owner.
pub fn prepare(run: &RunId, directory: &Path) -> Result<DrillDirectory, DrillDirectoryError> {
    let (root, parent) = mark(run, directory)?;
    let drill = DrillDirectory::at(directory);
    for name in DIRECTORIES {
        make_directory(&root, name, &directory.join(name))?;
    }
    let data = walk::open_child(&root, "data", &drill.data())?;
    if walk::names(&data, &drill.data())?.is_empty() {
        write_file(&data, RESTORE_MARK, "", &drill.data().join(RESTORE_MARK))?;
        sync(&data, directory)?;
    }
    let conf = walk::open_child(&root, "conf", &directory.join("conf"))?;
    for (name, text) in conf::files(run, &drill)? {
        write_file(&conf, name, &text, &directory.join("conf").join(name))?;
    }
    sync(&conf, directory)?;
    sync(&root, directory)?;
    sync(&parent, directory)?;
    Ok(drill)
}

/// Makes a directory, 0700, marks it as `run`'s before anything else is in it, and returns it with its parent, both open.
/// One that carries the mark already is taken as it is. What is marked can be removed with [`remove_marked`].
///
/// # Errors
/// As [`prepare`].
pub(crate) fn mark(run: &RunId, directory: &Path) -> Result<(OwnedFd, OwnedFd), DrillDirectoryError> {
    let (parent_path, name) = walk::parent_and_name(directory)?;
    let parent = walk::open(parent_path, walk::Missing::Make)?;
    match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(DrillDirectoryError::system(directory, "making the directory")(errno)),
    }
    let root = walk::open_child(&parent, name, directory)?;
    adopt(run, directory, &root)?;
    sync(&parent, directory)?;
    Ok((root, parent))
}

/// Makes sure that the directory is ours and empty or already this run's, and marks it.
fn adopt(run: &RunId, directory: &Path, root: &OwnedFd) -> Result<(), DrillDirectoryError> {
    let taken = |why: String| DrillDirectoryError::Taken { path: directory.to_owned(), why };
    let stat = rustix::fs::fstat(root).map_err(DrillDirectoryError::system(directory, "looking at it"))?;
    let own = rustix::process::geteuid().as_raw();
    if stat.st_uid != own {
        return Err(taken(format!("belongs to uid {}, not to this user ({own})", stat.st_uid)));
    }
    match marker(root, directory)?.filter(|found| !found.is_empty()) {
        Some(found) if found == run.as_str() => {}
        Some(found) => return Err(taken(format!("belongs to the run {found}"))),
        None => {
            // an empty marker: killed between making and writing it
            let names = walk::names(root, directory)?;
            if let Some(name) = names.iter().find(|name| name.to_bytes() != MARKER.as_bytes() || !is_empty(root)) {
                return Err(taken(format!("holds {}", clean(&String::from_utf8_lossy(name.to_bytes())))));
            }
            // first of all: from here on an interrupted run's remains can be removed by their mark
            write_file(root, MARKER, &format!("{run}\n"), &directory.join(MARKER))?;
            sync(root, directory)?;
        }
    }
    rustix::fs::fchmod(root, Mode::RWXU).map_err(DrillDirectoryError::system(directory, "setting its mode to 0700"))
}

/// The run a directory is marked with; `None` without a marker. Anything but a plain file of ours is no marker.
pub(crate) fn marker(root: &OwnedFd, directory: &Path) -> Result<Option<String>, DrillDirectoryError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(root, MARKER, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
        Err(errno) => return Err(DrillDirectoryError::system(directory.join(MARKER), "reading it")(errno)),
    };
    let at = || directory.join(MARKER);
    let stat = rustix::fs::fstat(&file).map_err(DrillDirectoryError::system(at(), "looking at it"))?;
    let plain = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
    if !plain || stat.st_uid != rustix::process::geteuid().as_raw() {
        return Ok(None);
    }
    let mut bytes = [0u8; 64];
    let length = rustix::io::read(&file, &mut bytes).map_err(DrillDirectoryError::system(at(), "reading it"))?;
    Ok(Some(clean(String::from_utf8_lossy(&bytes[..length]).trim())))
}

fn is_empty(root: &OwnedFd) -> bool {
    rustix::fs::statat(root, MARKER, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| stat.st_size == 0 && rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file())
}

fn make_directory(parent: &OwnedFd, name: &str, path: &Path) -> Result<(), DrillDirectoryError> {
    match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
        Ok(()) => {}
        // of an interrupted attempt; a link in its place is refused by the opening
        Err(Errno::EXIST) => drop(walk::open_child(parent, name, path)?),
        Err(errno) => return Err(DrillDirectoryError::system(path, "making it")(errno)),
    }
    Ok(())
}

/// Writes a file of ours anew: never through a link, never into a file that somebody else put there.
fn write_file(parent: &OwnedFd, name: &str, text: &str, path: &Path) -> Result<(), DrillDirectoryError> {
    match rustix::fs::unlinkat(parent, name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(DrillDirectoryError::system(path, "replacing it")(errno)),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
        .map_err(DrillDirectoryError::system(path, "making it"))?;
    let mut file = std::fs::File::from(file);
    let written = io::Write::write_all(&mut file, text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|source| DrillDirectoryError::System { path: path.to_owned(), what: "writing it", source })
}

fn sync(directory: impl AsFd, path: &Path) -> Result<(), DrillDirectoryError> {
    rustix::fs::fsync(directory).map_err(DrillDirectoryError::system(path, "syncing the directory"))
}

/// A path as PostgreSQL's configuration file takes it.
fn quoted(path: &Path) -> Result<String, DrillDirectoryError> {
    let refuse = |why: &str| DrillDirectoryError::Path { path: path.to_owned(), why: why.to_owned() };
    let text = std::str::from_utf8(path.as_os_str().as_bytes()).map_err(|_| refuse("is not UTF-8"))?;
    if text.chars().any(char::is_control) {
        return Err(refuse("holds a control character"));
    }
    Ok(format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''")))
}

#[cfg(test)]
mod tests;
