//! Reading a journal while it is written.

use crate::domain::digest::Digest;
use crate::domain::event::Entry;
use crate::engine::journal::error::JournalError;
use crate::engine::journal::line::{Chain, LineFault};
use crate::engine::journal::read;
use rustix::fs::OFlags;
use std::fs::File;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Follows a journal from its beginning; verifies the chain as it goes and changes nothing. When to look again is the
/// caller's business (inotify on [`Follower::path`]).
#[derive(Debug)]
pub struct Follower {
    file: File,
    path: PathBuf,
    chain: Chain,
    read_bytes: u64,
}

impl Follower {
    /// Opens the journal; nothing is read yet.
    ///
    /// # Errors
    /// When it is not there, not a plain file, or may not be read.
    pub fn open(path: &Path) -> Result<Follower, JournalError> {
        let file = read::open_file(path, OFlags::RDONLY)?;
        Ok(Follower { file, path: path.to_owned(), chain: Chain::start(), read_bytes: 0 })
    }

    /// The complete entries written since the last call. The beginning of a line that is still being written is left
    /// for later: it is read again from its start, since a runner that takes over may cut it off.
    ///
    /// # Errors
    /// Damage with its line, a newer format, a file that was replaced or that lost what was read before. Entries
    /// before a damaged line are not lost: the call after them reports the damage.
    #[expect(clippy::should_implement_trait, reason = "an end is never known, so it is no iterator")]
    pub fn next(&mut self) -> Result<Vec<Entry>, JournalError> {
        self.check_identity()?;
        let io = |source| JournalError::io("reading", &self.path, source);
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(self.read_bytes)).map_err(io)?;
        self.file.read_to_end(&mut bytes).map_err(io)?;
        let mut entries = Vec::new();
        let (taken, fault) = read::take_lines(&mut self.chain, &bytes, &mut entries);
        self.read_bytes += taken as u64;
        let line = self.chain.sequence() + 1;
        match fault {
            Some(LineFault::Damaged(what)) if entries.is_empty() => {
                Err(JournalError::Damaged { path: self.path.clone(), line, what })
            }
            Some(LineFault::Newer(what)) if entries.is_empty() => {
                Err(JournalError::Newer { path: self.path.clone(), line, what })
            }
            _ => Ok(entries),
        }
    }

    fn check_identity(&self) -> Result<(), JournalError> {
        let replaced = |what| JournalError::Replaced { path: self.path.clone(), what };
        let io = |source| JournalError::io("looking at", &self.path, source);
        let open = self.file.metadata().map_err(io)?;
        if open.len() < self.read_bytes {
            return Err(replaced("lost entries"));
        }
        match std::fs::symlink_metadata(&self.path) {
            Ok(named) if (named.dev(), named.ino()) == (open.dev(), open.ino()) => Ok(()),
            Ok(_) => Err(replaced("was replaced by another file")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(replaced("was removed")),
            Err(error) => Err(io(error)),
        }
    }

    /// The hash of the last entry that was read.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.chain.head()
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
