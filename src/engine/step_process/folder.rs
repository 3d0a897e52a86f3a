//! A step's folder: files that are whole, durable and nobody else's.

use rustix::fs::{AtFlags, FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;

/// Records are small; what is longer is not one of ours.
const LARGEST_RECORD: u64 = 4 * 1024 * 1024;

/// Room that is set aside for a record before the command starts: a full disk must not swallow the outcome.
const RECORD_ROOM: u64 = 4096;

/// An open folder. Files in it are reached through its descriptor and never through a link.
#[derive(Debug)]
pub(super) struct Folder {
    descriptor: OwnedFd,
}

impl Folder {
    /// Makes a new folder (0700) that outlives a power cut; it must not exist.
    pub(super) fn create(path: &Path) -> io::Result<Folder> {
        rustix::fs::mkdir(path, Mode::RWXU)?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        File::open(parent)?.sync_all()?;
        Folder::open(path)
    }

    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Folder { descriptor })
    }

    /// Makes a new file (0600); with [`OFlags::APPEND`] or the like added.
    pub(super) fn create_file(&self, name: &str, more: OFlags) -> io::Result<File> {
        self.open_file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | more)
    }

    pub(super) fn open_file(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let descriptor = rustix::fs::openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(File::from(descriptor))
    }

    /// Writes a new file whose content outlives a power cut; its name does from the next [`Folder::sync`] on.
    pub(super) fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.create_file(name, OFlags::empty())?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    /// Writes a file that appears whole or, where it exists already, not at all (`false`).
    pub(super) fn write_once(&self, name: &str, bytes: &[u8]) -> io::Result<bool> {
        let temporary = format!("{name}.{}", std::process::id());
        self.remove(&temporary)?;
        let mut file = self.create_file(&temporary, OFlags::empty())?;
        file.write_all(bytes)?;
        file.sync_all()?;
        let linked = rustix::fs::linkat(&self.descriptor, &temporary, &self.descriptor, name, AtFlags::empty());
        self.remove(&temporary)?;
        match linked {
            Ok(()) => self.sync().map(|()| true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The content of a record, if it is there.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.open_file(name, OFlags::RDONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(LARGEST_RECORD).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.descriptor)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A record that will be written, with its room on the disk taken already.
#[derive(Debug)]
pub(super) struct Slot {
    name: &'static str,
    temporary: String,
    file: File,
}

impl Slot {
    pub(super) fn create(folder: &Folder, name: &'static str) -> io::Result<Slot> {
        let temporary = format!("{name}.part");
        let file = folder.create_file(&temporary, OFlags::empty())?;
        reserve(&file, RECORD_ROOM)?;
        Ok(Slot { name, temporary, file })
    }

    /// Writes the record: it appears whole, and outlives a power cut once this returns.
    pub(super) fn publish(mut self, folder: &Folder, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.set_len(bytes.len() as u64)?;
        self.file.sync_all()?;
        rustix::fs::renameat(&folder.descriptor, &self.temporary, &folder.descriptor, self.name)?;
        folder.sync()
    }
}

/// Takes room on the disk without changing the file's length; where the file system can't, nothing is promised.
pub(super) fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
