//! The content of a segment where it takes little memory: a common one in a buffer that is used again, a large one in a
//! file without a name.

use crate::domain::wal::WalSegment;
use crate::domain::wal_page::FirstPage;
use crate::engine::wal_source::{Attempt, Origin};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

/// What is larger does not stay in memory: the size of nearly every cluster's segments.
pub(super) const IN_MEMORY_BYTES: u64 = 16 << 20;
/// What is handed out at a time: it stays in the processor's cache.
const PIECE_BYTES: usize = 256 << 10;
/// Buffers that wait to be used again.
const MOST_SPARE: usize = 3;

/// A segment that can be read from its beginning.
#[derive(Debug)]
pub struct Piece {
    /// Which.
    pub segment: WalSegment,
    /// What is in it.
    pub content: Content,
    /// The header of its first page.
    pub page: FirstPage,
    /// Where it came from.
    pub origin: Origin,
    /// Copies that were tried before and were no use.
    pub passed_over: Vec<Attempt>,
}

/// The bytes of a segment. Dropped, its buffer is used again.
#[derive(Debug)]
pub struct Content {
    bytes: Vec<u8>,
    file: Option<File>,
    spare: Spare,
}

/// Buffers to be used again.
#[derive(Debug, Clone, Default)]
pub(super) struct Spare(Arc<Mutex<Vec<Vec<u8>>>>);

impl Spare {
    fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    fn give_back(&self, mut bytes: Vec<u8>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < MOST_SPARE && bytes.capacity() as u64 <= 2 * IN_MEMORY_BYTES {
            bytes.clear();
            spare.push(bytes);
        }
    }
}

impl Content {
    /// Nothing yet.
    pub(super) fn new(spare: &Spare) -> Content {
        Content { bytes: spare.take(), file: None, spare: spare.clone() }
    }

    /// What is in memory already.
    pub(super) fn of(bytes: Vec<u8>) -> Content {
        Content { bytes, file: None, spare: Spare::default() }
    }

    /// Takes what follows. With more than `most` bytes all of it goes into a file.
    pub(super) fn push(&mut self, piece: &[u8], most: u64) -> io::Result<()> {
        if self.file.is_none() && (self.bytes.len() + piece.len()) as u64 > most {
            let mut file = tempfile::tempfile()?;
            file.write_all(&self.bytes)?;
            self.bytes.clear();
            self.file = Some(file);
        }
        match &mut self.file {
            Some(file) => file.write_all(piece)?,
            None => {
                if self.bytes.capacity() == 0 {
                    self.bytes.reserve_exact(usize::try_from(most.min(IN_MEMORY_BYTES)).unwrap_or(0));
                }
                self.bytes.extend_from_slice(piece);
            }
        }
        Ok(())
    }

    /// All of it, in memory.
    pub(super) fn into_bytes(mut self) -> io::Result<Vec<u8>> {
        let Some(mut file) = self.file.take() else { return Ok(std::mem::take(&mut self.bytes)) };
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Hands it out from its beginning until `feed` has enough.
    ///
    /// # Errors
    /// When the file that holds it can't be read.
    pub fn read(&mut self, feed: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            _ = self.bytes.chunks(PIECE_BYTES).try_for_each(feed);
            return Ok(());
        };
        file.rewind()?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let length = file.read(&mut piece)?;
            if length == 0 || feed(&piece[..length]).is_break() {
                return Ok(());
            }
        }
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.spare.give_back(std::mem::take(&mut self.bytes));
    }
}
