//! The journal of a run: one JSON object a line, each carrying the hash of the line before.
//!
//! Only the runner writes it, under the run's lock ([`crate::engine::store::RunFolder::lock_runner`]); everybody
//! else reads it with [`read()`], [`verify`] or a [`Follower`]. Nothing here decides what an event means.
//!
//! What is promised: an entry that [`Journal::append`] returned is on disk. A cut inside the last line is found and
//! reported as torn; a cut exactly at the end of a line is found only against a head hash that was written down
//! elsewhere ([`Verification::find`]); any other change of any byte is reported with its line, and nothing is guessed.

mod error;
mod follow;
pub mod line;
mod read;

pub use error::{JournalError, hint};
pub use follow::Follower;
pub use read::{Contents, Damage, Found, TornTail, Verification, is_head, read, verify};

use crate::domain::digest::Digest;
use crate::domain::event::{Entry, RunEvent};
use crate::domain::run::Run;
use crate::engine::clock;
use line::{Chain, Stamp};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// How much room is taken ahead of what is written, so that a full disk shows itself between two entries and not
/// inside one.
const AHEAD_BYTES: u64 = 1024 * 1024;

/// A journal open for appending. Hold the run's lock as long as this lives.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    boot_id: String,
    chain: Chain,
    /// The fold of what was appended: an event that can't happen is refused before it is written.
    run: Run,
    length_bytes: u64,
    reserved_bytes: u64,
    poisoned: Option<String>,
}

impl Journal {
    /// Begins a journal with `first`, which has to be [`RunEvent::RunCreated`]. The file is new, not a link, mode
    /// 0600; file and directory are synced when this returns.
    ///
    /// # Errors
    /// The file exists, can't be made, or the first entry can't be made durable: then nothing of it stays.
    pub fn create(path: &Path, first: RunEvent) -> Result<(Journal, Entry), JournalError> {
        let (bytes, entry) = encode(path, &Chain::start(), &clock::boot_id(), first)?;
        let run = Run::begin(&entry).map_err(|source| JournalError::Illegal { path: path.to_owned(), source })?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::RDWR | OFlags::APPEND | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|errno| JournalError::io("creating", path, errno.into()))?;
        let mut journal = Journal {
            file: File::from(file),
            path: path.to_owned(),
            boot_id: entry.boot_id.clone(),
            chain: Chain::at(&entry),
            run,
            length_bytes: 0,
            reserved_bytes: 0,
            poisoned: None,
        };
        let made = journal
            .write_durably(&bytes)
            .map_err(|source| JournalError::Write { path: path.to_owned(), sequence: 1, source })
            .and_then(|()| sync_directory_of(path));
        if let Err(error) = made {
            // The run never began; a half-made file would only look like damage later. The first error tells.
            let _ = std::fs::remove_file(path);
            return Err(error);
        }
        Ok((journal, entry))
    }

    /// Opens a journal to go on with it: reads and verifies all of it. A cut inside the last line is cut off (that
    /// entry was never acknowledged) and reported. The last entry is made durable anew: where a sync failed before,
    /// the file shows it and the disk may not have it.
    ///
    /// # Errors
    /// Anything but a cut in the last line: damage with its line, a newer format, no complete entry, an entry that
    /// can't follow, or a system error.
    pub fn open(path: &Path) -> Result<(Journal, Vec<Entry>, Option<TornTail>), JournalError> {
        let mut file = read::open_file(path, OFlags::RDWR | OFlags::APPEND)?;
        let read = read::scan_file(&mut file, path)?.into_readable(path)?;
        let run = Run::fold(&read.contents.entries)
            .map_err(|source| JournalError::Illegal { path: path.to_owned(), source })?;
        if read.contents.torn.is_some() {
            file.set_len(read.good_bytes)
                .map_err(|source| JournalError::io("cutting the torn last line off", path, source))?;
        }
        let again = read::open_file(path, OFlags::RDWR)?;
        again
            .write_all_at(&read.last_line, read.good_bytes - read.last_line.len() as u64)
            .and_then(|()| again.sync_all())
            .map_err(|source| JournalError::io("making durable the last entry of", path, source))?;
        let journal = Journal {
            file,
            path: path.to_owned(),
            boot_id: clock::boot_id(),
            chain: read.chain,
            run,
            length_bytes: read.good_bytes,
            reserved_bytes: read.good_bytes,
            poisoned: None,
        };
        Ok((journal, read.contents.entries, read.contents.torn))
    }

    /// Appends `event`; it is on disk when this returns.
    ///
    /// # Errors
    /// [`JournalError::Illegal`] when it can't happen to the run as it stands: nothing is written then.
    /// [`JournalError::Write`] when it could not be written or synced. That is never retried: after a failed sync
    /// nobody knows what is on disk, so every later append fails with [`JournalError::Poisoned`].
    pub fn append(&mut self, event: RunEvent) -> Result<Entry, JournalError> {
        if let Some(why) = &self.poisoned {
            return Err(JournalError::Poisoned { path: self.path.clone(), why: why.clone() });
        }
        let (bytes, entry) = encode(&self.path, &self.chain, &self.boot_id, event)?;
        self.run.apply(&entry).map_err(|source| JournalError::Illegal { path: self.path.clone(), source })?;
        if let Err(source) = self.write_durably(&bytes) {
            self.poisoned = Some(format!("entry {}: {source}", entry.sequence));
            return Err(JournalError::Write { path: self.path.clone(), sequence: entry.sequence, source });
        }
        self.chain = Chain::at(&entry);
        if entry.event.is_terminal() {
            // Gives the room taken ahead back; the entry is durable already, so a failure costs only space.
            let _ = self.file.set_len(self.length_bytes);
        }
        Ok(entry)
    }

    fn write_durably(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let end = self.length_bytes + bytes.len() as u64;
        if end > self.reserved_bytes {
            let ahead = AHEAD_BYTES.max(end - self.reserved_bytes);
            match rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.reserved_bytes, ahead) {
                Ok(()) => self.reserved_bytes += ahead,
                // Not every file system can (NFS before 4.2): then a full disk shows itself in the write.
                Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.reserved_bytes = u64::MAX,
                Err(errno) => return Err(errno.into()),
            }
        }
        self.file.write_all(bytes)?;
        rustix::fs::fdatasync(&self.file)?;
        self.length_bytes = end;
        Ok(())
    }

    /// The last entry's hash: what a person writes down at a gate.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.chain.head()
    }

    /// The last entry's sequence number.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.chain.sequence()
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn encode(path: &Path, chain: &Chain, boot_id: &str, event: RunEvent) -> Result<(Vec<u8>, Entry), JournalError> {
    let stamp = Stamp { at: clock::now(), monotonic_ns: clock::monotonic_ns(), boot_id: boot_id.to_owned() };
    line::encode(chain, stamp, event).map_err(|source| JournalError::io("encoding an entry for", path, source.into()))
}

fn sync_directory_of(path: &Path) -> Result<(), JournalError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    File::open(directory)
        .and_then(|open| open.sync_all())
        .map_err(|source| JournalError::io("syncing the directory of", path, source))
}
