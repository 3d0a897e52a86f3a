//! The content of a segment in little memory, whatever its size: it stays where it lies, and is unpacked once more when it
//! is read.

use crate::domain::wal::WalSegment;
use crate::domain::wal_page::{FirstPage, HEADER_BYTES};
use crate::domain::wal_reader::Pages;
use crate::engine::wal_source::name::Compression;
use crate::engine::wal_source::unpack::{self, BLOCK_BYTES};
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
    /// Where it came from. A segment from a directory may still be written to: what is behind the last record is zeros or
    /// older WAL.
    pub origin: Origin,
    /// Copies that were tried before and were no use: worth telling, the archive is damaged there.
    pub passed_over: Vec<Attempt>,
}

/// The bytes of a segment that was found sound.
#[derive(Debug)]
pub struct Content(Held);

#[derive(Debug)]
enum Held {
    /// In a file that nobody else writes to, and that was hashed.
    Stored(Arc<File>, Compression),
    /// In a directory, where a server may give the file to another segment: with the header and the size that were checked.
    Shared(File, [u8; HEADER_BYTES], u64),
}

impl Content {
    /// What a file of ours holds.
    pub(super) fn stored(file: Arc<File>, compression: Compression) -> Content {
        Content(Held::Stored(file, compression))
    }

    /// A plain segment of a directory, whose header and size were checked.
    pub(super) fn shared(file: File, head: [u8; HEADER_BYTES], bytes: u64) -> Content {
        Content(Held::Shared(file, head, bytes))
    }

    /// Hands it out from its beginning until `feed` has enough, in pieces that stay in the processor's cache.
    ///
    /// # Errors
    /// When the file that holds it can't be read any more, or holds another segment since it was found sound. Of that one
    /// nothing is handed out.
    pub fn read(self, feed: &mut dyn FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        match self.0 {
            Held::Stored(file, compression) => {
                let mut file = &*file;
                file.rewind()?;
                let read = unpack::unpack(file, compression, unpack::LARGEST_BYTES, &mut |block| feed(block));
                read.map(|_| ()).map_err(io::Error::other)
            }
            Held::Shared(file, head, bytes) => read_shared(&file, &head, bytes, feed),
        }
    }
}

/// Reads a plain segment of a directory that a server may write to, with the header that it had when it was checked.
/// PostgreSQL recycles a segment by renaming its file and writing over it from its first page on (all versions): as long as
/// that page is there after a piece was read, the piece is the old segment's.
///
/// # Errors
/// When it can't be read, or the server has given the file to another segment.
pub(crate) fn read_shared(
    file: &File,
    head: &[u8; HEADER_BYTES],
    bytes: u64,
    feed: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut piece = Pages::new(BLOCK_BYTES);
    for at in (0..bytes).step_by(BLOCK_BYTES) {
        let length = (bytes - at).min(BLOCK_BYTES as u64) as usize;
        file.read_exact_at(&mut piece[..length], at)?;
        let mut now = [0; HEADER_BYTES];
        file.read_exact_at(&mut now, 0)?;
        if now != *head {
            return Err(io::Error::other("the server has recycled it since it was looked at"));
        }
        if feed(&piece[..length]).is_break() {
            break;
        }
    }
    Ok(())
}
