//! The content of a segment in little memory, whatever its size: it stays where it lies, and is unpacked once more when it
//! is read.

use crate::domain::wal::WalSegment;
use crate::domain::wal_page::{FirstPage, HEADER_BYTES};
use crate::engine::wal_source::name::Compression;
use crate::engine::wal_source::unpack;
use crate::engine::wal_source::{Attempt, Origin};
use std::fs::File;
use std::io::{self, Seek as _};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

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

/// The bytes of a segment, in a file that was found sound.
#[derive(Debug)]
pub struct Content {
    file: Arc<File>,
    compression: Compression,
}

impl Content {
    /// What a file holds.
    pub(super) fn of(file: Arc<File>, compression: Compression) -> Content {
        Content { file, compression }
    }

    /// Hands it out from its beginning until `feed` has enough, in pieces that stay in the processor's cache.
    ///
    /// # Errors
    /// When the file that holds it can't be read any more, or was changed since it was found sound.
    pub fn read(&self, feed: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        let before = self.head();
        let mut file = &*self.file;
        file.rewind()?;
        unpack::unpack(file, self.compression, unpack::LARGEST_BYTES, feed).map_err(io::Error::other)?;
        // A recycled segment of `pg_wal` gets its new first page before any other: the old one still there means that all
        // of it was old.
        if self.head() == before { Ok(()) } else { Err(io::Error::other("the server recycled it meanwhile")) }
    }

    fn head(&self) -> Option<[u8; HEADER_BYTES]> {
        let mut head = [0; HEADER_BYTES];
        self.file.read_exact_at(&mut head, 0).ok().map(|()| head)
    }
}
