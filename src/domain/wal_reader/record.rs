//! A record: `XLogRecord` of `access/xlogrecord.h`, the same from PostgreSQL 9.5 to 19.

use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::domain::wal_reader::block::{self, Block, Blocks};
use crate::domain::wal_reader::bytes::{u32_at, u64_at};
use crate::domain::wal_reader::rmgr::Rmgr;
use crate::domain::wal_reader::version::WalVersion;

/// Bytes of a record's fixed header.
pub(super) const HEADER_BYTES: usize = 24;
/// The checksum is the last of the header and covers the body first, then the header before it.
pub(super) const CHECKSUM_AT: usize = 20;

/// A record whose checksum is right and whose headers contradict its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record's headers do not fit its length")]
pub struct MalformedRecord;

/// The fixed header, before anything is believed of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) total_bytes: u32,
    pub(super) xid: u32,
    pub(super) previous: u64,
    pub(super) info: u8,
    pub(super) rmgr: u8,
    pub(super) checksum: u32,
}

impl Header {
    #[inline]
    pub(super) fn read(bytes: &[u8; HEADER_BYTES]) -> Header {
        Header {
            total_bytes: u32_at(bytes, 0),
            xid: u32_at(bytes, 4),
            previous: u64_at(bytes, 8),
            info: bytes[16],
            rmgr: bytes[17],
            checksum: u32_at(bytes, CHECKSUM_AT),
        }
    }
}

/// A record of the WAL, its checksum verified. It borrows the bytes that it was read from.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Where it starts.
    pub lsn: Lsn,
    /// Where the next one may start: an exclusive recovery target here keeps this record.
    pub end: Lsn,
    /// The record before it.
    pub previous: Lsn,
    /// The timeline of the page on which it starts.
    pub timeline: TimelineId,
    /// Whose layouts it follows.
    pub version: WalVersion,
    /// The transaction, or subtransaction, that wrote it; 0 for none.
    pub xid: u32,
    /// The resource manager's number.
    pub rmgr: Rmgr,
    /// Flags and the kind of the record: the upper four bits are the resource manager's.
    pub info: u8,
    /// Its length in bytes, headers and images included.
    pub total_bytes: u32,
    pub(super) body: &'a [u8],
    /// The record is longer than is kept: `body` holds its beginning.
    pub(super) is_cut: bool,
}

/// The pieces of a record's body.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// The block with the lowest number, where it touches any.
    pub first_block: Option<Block>,
    /// Bytes of page images (FPI).
    pub image_bytes: u32,
    /// What the resource manager wrote of it. Empty where the record is longer than is kept ([`Record::is_cut`]).
    pub main: &'a [u8],
    /// The transaction that the writing subtransaction belongs to; said only where `wal_level` is `logical`, from 14 on.
    pub top_level_xid: Option<u32>,
}

impl<'a> Record<'a> {
    /// Takes the body apart.
    ///
    /// # Errors
    /// [`MalformedRecord`] when its headers announce more or less than there is. Such a record has the right checksum, so
    /// it is what was written: by a version with another layout.
    #[inline]
    pub fn parts(&self) -> Result<Parts<'a>, MalformedRecord> {
        let body_bytes = self.body_bytes();
        let headers = block::headers(self.body, body_bytes, self.version)?;
        if headers.header_bytes as u64 + headers.payload_bytes != body_bytes {
            return Err(MalformedRecord);
        }
        let main = if self.is_cut { &[] } else { &self.body[self.body.len() - headers.main_bytes..] };
        Ok(Parts {
            first_block: headers.first,
            image_bytes: headers.image_bytes,
            main,
            top_level_xid: headers.top_level_xid,
        })
    }

    /// The blocks that it touches; ends early in a malformed record.
    #[must_use]
    pub fn blocks(&self) -> Blocks<'a> {
        Blocks::new(self.body, self.body_bytes(), self.version)
    }

    fn body_bytes(&self) -> u64 {
        u64::from(self.total_bytes).saturating_sub(HEADER_BYTES as u64)
    }

    /// Whether it is so long that only its beginning was kept: its size and blocks are right, its content is not read.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }
}
