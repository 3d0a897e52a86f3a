//! The first page of a WAL segment: whose it is, which timeline and which position it holds.
//!
//! A file's name in `pg_wal` is no proof: PostgreSQL recycles a segment by renaming it to a future name, and its content
//! is the old segment's until it is written anew. The header tells. Little-endian, as on every platform that pgBackRest
//! is packaged for; the layout is that of PostgreSQL 9.6 to 18.

use crate::domain::lsn::Lsn;
use crate::domain::wal::{SegmentSize, SegmentSizeError, TimelineHistory, TimelineId, WalSegment};

/// How many bytes of a segment's beginning are needed.
pub const HEADER_BYTES: usize = 40;

/// The first page of a segment always has the long header.
const LONG_HEADER: u16 = 0x0002;

/// The version that writes a page with each magic number.
const MAGIC: [(u16, &str); 11] = [
    (0xD093, "9.6"),
    (0xD097, "10"),
    (0xD098, "11"),
    (0xD101, "12"),
    (0xD106, "13"),
    (0xD10D, "14"),
    (0xD110, "15"),
    (0xD113, "16"),
    (0xD116, "17"),
    (0xD118, "18"),
    (0xD121, "19"),
];

/// The header of a segment's first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstPage {
    /// The major version that wrote it.
    pub version: &'static str,
    /// The timeline on which the page was written. In the first segment of a new timeline that is the old one: its
    /// beginning is a copy.
    pub timeline: TimelineId,
    /// The position of its first byte.
    pub address: Lsn,
    /// The cluster it belongs to.
    pub system_identifier: u64,
    /// The cluster's segment size.
    pub segment_size: SegmentSize,
    /// The size of a WAL page, in bytes.
    pub page_bytes: u32,
}

/// Bytes that are not the beginning of a WAL segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalPageError {
    /// Too few bytes.
    #[error("it has {0} bytes, and {HEADER_BYTES} are needed: it is cut")]
    Short(usize),
    /// Made, and nothing written yet.
    #[error("its first page is empty: it was prepared and never written")]
    Empty,
    /// Not a WAL page of a version that is known.
    #[error(
        "it begins with {0:04X}, which no version from 9.6 to 19 writes: no WAL, compressed or encrypted, or a newer version's"
    )]
    Magic(u16),
    /// A page from the middle.
    #[error("its first page has no long header: it is not the beginning of a segment")]
    NotFirst,
    /// A segment size that can't be.
    #[error(transparent)]
    SegmentSize(#[from] SegmentSizeError),
}

/// Why a segment is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another cluster's.
    #[error("it belongs to the cluster with system identifier {found}, not {expected}")]
    SystemIdentifier {
        /// In the header.
        found: u64,
        /// The cluster's.
        expected: u64,
    },
    /// Another segment size.
    #[error("its header speaks of segments of {found} bytes, the cluster has {expected}")]
    SegmentSize {
        /// In the header, in bytes.
        found: u64,
        /// The cluster's, in bytes.
        expected: u64,
    },
    /// The content is another segment's.
    #[error("it holds the WAL at {found} (segment {holds}), not that of its name: recycled, and not yet written anew")]
    Address {
        /// In the header.
        found: Lsn,
        /// The segment whose content it is.
        holds: WalSegment,
    },
    /// Another timeline's, and not the one this timeline left there.
    #[error("it was written on timeline {found}, its name says {expected}")]
    Timeline {
        /// In the header.
        found: TimelineId,
        /// In the name.
        expected: TimelineId,
    },
}

impl FirstPage {
    /// Reads the beginning of a segment: [`HEADER_BYTES`] or more.
    ///
    /// # Errors
    /// [`WalPageError`] for anything that can't be one.
    pub fn parse(bytes: &[u8]) -> Result<FirstPage, WalPageError> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Err(WalPageError::Short(bytes.len())) };
        if header.iter().all(|byte| *byte == 0) {
            return Err(WalPageError::Empty);
        }
        let magic = u16::from_le_bytes(at(header, 0));
        let Some((_, version)) = MAGIC.iter().find(|(known, _)| *known == magic) else {
            return Err(WalPageError::Magic(magic));
        };
        if u16::from_le_bytes(at(header, 2)) & LONG_HEADER == 0 {
            return Err(WalPageError::NotFirst);
        }
        Ok(FirstPage {
            version,
            timeline: TimelineId(u32::from_le_bytes(at(header, 4))),
            address: Lsn(u64::from_le_bytes(at(header, 8))),
            system_identifier: u64::from_le_bytes(at(header, 24)),
            segment_size: SegmentSize::from_bytes(u64::from(u32::from_le_bytes(at(header, 32))))?,
            page_bytes: u32::from_le_bytes(at(header, 36)),
        })
    }

    /// The segment whose content this is, on the timeline that wrote it.
    #[must_use]
    pub fn holds(&self) -> WalSegment {
        WalSegment::of(self.address, self.segment_size, self.timeline)
    }

    /// Whether it is the beginning of `segment` of the cluster. `history` is that of the segment's timeline, where there
    /// is one: the segment in which a timeline begins starts with a page of its parent.
    ///
    /// # Errors
    /// [`Mismatch`]: the first thing that does not fit.
    pub fn check(
        &self,
        segment: WalSegment,
        system_identifier: u64,
        size: SegmentSize,
        history: Option<&TimelineHistory>,
    ) -> Result<(), Mismatch> {
        if self.system_identifier != system_identifier {
            return Err(Mismatch::SystemIdentifier { found: self.system_identifier, expected: system_identifier });
        }
        if self.segment_size != size {
            return Err(Mismatch::SegmentSize { found: self.segment_size.bytes(), expected: size.bytes() });
        }
        if segment.start(size) != Some(self.address) {
            return Err(Mismatch::Address { found: self.address, holds: self.holds() });
        }
        let begins_here = || {
            let mut steps = history.iter().flat_map(|history| &history.entries);
            steps.any(|step| {
                step.parent == self.timeline && WalSegment::of(step.switch, size, segment.timeline) == segment
            })
        };
        if self.timeline != segment.timeline && !begins_here() {
            return Err(Mismatch::Timeline { found: self.timeline, expected: segment.timeline });
        }
        Ok(())
    }
}

/// `N` bytes from `offset`, which lies inside the header.
fn at<const N: usize>(header: &[u8; HEADER_BYTES], offset: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[offset..offset + N]);
    bytes
}

#[cfg(test)]
mod tests;
