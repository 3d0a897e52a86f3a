//! Unpacks what is stored, in this process and within bounds.

use crate::domain::text::clean;
use crate::engine::wal_source::name::Compression;
use std::io::{self, Read};

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

/// The content of a file that is stored with `compression`, never more than `limit_bytes`.
pub(super) fn unpack(stored: Vec<u8>, compression: Compression, limit_bytes: u64) -> Result<Vec<u8>, UnpackError> {
    // what openssl and pgBackRest put before the salt
    if stored.starts_with(b"Salted__") {
        return Err(UnpackError::Encrypted);
    }
    if compression == Compression::None {
        return if stored.len() as u64 > limit_bytes { Err(UnpackError::TooLarge) } else { Ok(stored) };
    }
    let mut plain = Vec::new();
    // one byte more than is allowed tells that there is more
    let mut bounded = |from: &mut dyn Read| from.take(limit_bytes + 1).read_to_end(&mut plain);
    let read = match compression {
        Compression::None => Ok(0),
        Compression::Gzip => bounded(&mut flate2::read::GzDecoder::new(stored.as_slice())),
        Compression::Lz4 => bounded(&mut lz4_flex::frame::FrameDecoder::new(stored.as_slice())),
        Compression::Bzip2 => bounded(&mut bzip2::read::BzDecoder::new(stored.as_slice())),
        Compression::Zstd => ruzstd::decoding::StreamingDecoder::new(stored.as_slice())
            .map_err(io::Error::other)
            .and_then(|mut decoder| bounded(&mut decoder)),
    };
    match read {
        Ok(_) if plain.len() as u64 > limit_bytes => Err(UnpackError::TooLarge),
        // a stream of nothing, or the end before a stream began
        Ok(0) => Err(UnpackError::CutOff { compression, stored_bytes: stored.len() as u64, plain_bytes: 0 }),
        Ok(_) => Ok(plain),
        Err(error) if is_cut(&error) => {
            let (stored_bytes, plain_bytes) = (stored.len() as u64, plain.len() as u64);
            Err(UnpackError::CutOff { compression, stored_bytes, plain_bytes })
        }
        Err(error) => Err(UnpackError::Damaged { compression, said: clean(&error.to_string()) }),
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
