//! Unpacks what is stored, in this process and within bounds.

use crate::domain::text::clean;
use crate::domain::wal_reader::Pages;
use crate::engine::wal_source::name::Compression;
use std::io::{self, Read};
use std::ops::ControlFlow;

/// A WAL segment has at most this many bytes (PostgreSQL's `WalSegMaxSize`).
pub(super) const LARGEST_BYTES: u64 = 1 << 30;

/// Why a stored file could not be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// The stream ends in the middle.
    #[error("it is cut off: the {} stream ends after {stored_bytes} bytes, {plain_bytes} bytes of content into it", name(*compression))]
    CutOff {
        /// How it is compressed.
        compression: Compression,
        /// What there is of it.
        stored_bytes: u64,
        /// What could be unpacked.
        plain_bytes: u64,
    },
    /// No such stream.
    #[error("it is not what its name says, or it is damaged: {} can't unpack it ({said})", name(*compression))]
    Damaged {
        /// How it should be compressed.
        compression: Compression,
        /// What the decompressor said, cleaned.
        said: String,
    },
    /// Still encrypted.
    #[error(
        "it begins as an encrypted file does: the configuration does not say that this repository is encrypted (repoN-cipher-type)"
    )]
    Encrypted,
    /// More than any segment.
    #[error("it is larger than any WAL segment can be (1 GB)")]
    TooLarge,
}

/// What is unpacked at a time: a block that stays in the processor's cache from being unpacked to being hashed.
pub(super) const BLOCK_BYTES: usize = 256 << 10;

/// Unpacks what is stored with `compression`, in blocks that are full but for the last, and hands them to `each` until that
/// has enough; never more than `limit_bytes`. Returns how many bytes that were.
pub(super) fn unpack(
    stored: impl Read,
    compression: Compression,
    limit_bytes: u64,
    each: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
) -> Result<u64, UnpackError> {
    let mut stored = Counted { from: stored, bytes: 0 };
    let mut begin = Vec::with_capacity(SALTED.len());
    let read = (&mut stored).take(SALTED.len() as u64).read_to_end(&mut begin);
    if let Err(error) = read {
        return Err(UnpackError::Damaged { compression, said: clean(&error.to_string()) });
    }
    if begin == SALTED {
        return Err(UnpackError::Encrypted);
    }
    let mut plain_bytes = 0;
    let mut pour = |from: &mut dyn Read| {
        let mut block = Pages::new(BLOCK_BYTES);
        loop {
            let length = fill(from, &mut block, &mut plain_bytes)?;
            let is_end = length < BLOCK_BYTES;
            if length == 0 || plain_bytes > limit_bytes || each(&block[..length]).is_break() || is_end {
                return Ok(());
            }
        }
    };
    let mut whole = io::BufReader::with_capacity(BLOCK_BYTES, begin.as_slice().chain(&mut stored));
    let read = match compression {
        Compression::None => pour(&mut whole),
        Compression::Gzip => pour(&mut flate2::bufread::GzDecoder::new(&mut whole)),
        Compression::Lz4 => pour(&mut lz4_flex::frame::FrameDecoder::new(&mut whole)),
        Compression::Bzip2 => pour(&mut bzip2::bufread::BzDecoder::new(&mut whole)),
        Compression::Zstd => zstd::Decoder::with_buffer(&mut whole).and_then(|mut decoder| pour(&mut decoder)),
    };
    let stored_bytes = stored.bytes;
    match read {
        Ok(()) if plain_bytes > limit_bytes => Err(UnpackError::TooLarge),
        // a stream of nothing, or the end before a stream began
        Ok(()) if plain_bytes == 0 && compression != Compression::None => {
            Err(UnpackError::CutOff { compression, stored_bytes, plain_bytes })
        }
        Ok(()) => Ok(plain_bytes),
        Err(error) if is_cut(&error) => Err(UnpackError::CutOff { compression, stored_bytes, plain_bytes }),
        Err(error) => Err(UnpackError::Damaged { compression, said: clean(&error.to_string()) }),
    }
}

/// Reads until `block` is full or nothing follows; how much of it is filled. What is read is counted also where it then
/// fails.
fn fill(from: &mut dyn Read, block: &mut [u8], plain_bytes: &mut u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < block.len() {
        match from.read(&mut block[filled..]) {
            Ok(0) => break,
            Ok(length) => {
                filled += length;
                *plain_bytes += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What openssl and pgBackRest put before the salt.
const SALTED: &[u8] = b"Salted__";

/// Counts what is read.
struct Counted<R> {
    from: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.from.read(to)?;
        self.bytes += length as u64;
        Ok(length)
    }
}

/// Whether the end came too early is at the bottom of the chain of errors.
fn is_cut(error: &io::Error) -> bool {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return true;
    }
    let mut below: Option<&(dyn std::error::Error + 'static)> = error.get_ref().map(|inner| inner as _);
    while let Some(error) = below {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return true;
        }
        below = error.source();
    }
    false
}

fn name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "plain",
        Compression::Gzip => "gzip",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
        Compression::Bzip2 => "bzip2",
    }
}
