//! Numbers out of bytes. Nothing here can fail by a length: what isn't there is `None`.

use crate::domain::wal_reader::RelationFile;
use chrono::{DateTime, TimeDelta, Utc};

/// Takes values off the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    #[inline]
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_le_bytes(*bytes))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*bytes))
    }

    #[inline]
    pub(super) fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*bytes))
    }

    pub(super) fn time(&mut self) -> Option<PgTime> {
        self.u64().map(|bits| PgTime(bits.cast_signed()))
    }

    #[inline]
    pub(super) fn relation(&mut self) -> Option<RelationFile> {
        Some(RelationFile { tablespace: self.u32()?, database: self.u32()?, number: self.u32()? })
    }

    /// A count that PostgreSQL keeps in an `int`, and that many items of `size` bytes.
    pub(super) fn counted(&mut self, size: usize) -> Option<&'a [u8]> {
        let count = usize::try_from(self.u32()?).ok()?;
        self.take(count.checked_mul(size)?)
    }
}

/// The number at a place that is known to lie inside.
#[inline]
pub(super) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The number at a place that is known to lie inside.
#[inline]
pub(super) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes.get(offset..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A time as PostgreSQL stamps it: microseconds since 2000-01-01 00:00 UTC (`TimestampTz`, `datatype/timestamp.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PgTime(pub i64);

/// 2000-01-01 in seconds since 1970.
const PG_EPOCH_SECONDS: i64 = 946_684_800;

impl PgTime {
    /// The moment; `None` where it is out of what can be told.
    #[must_use]
    pub fn utc(self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(PG_EPOCH_SECONDS, 0)?.checked_add_signed(TimeDelta::microseconds(self.0))
    }

    /// The stamp of a moment, cut to the microsecond.
    #[must_use]
    pub fn of(at: DateTime<Utc>) -> PgTime {
        PgTime(at.timestamp_micros().saturating_sub(PG_EPOCH_SECONDS * 1_000_000))
    }
}

/// Object or transaction ids, one after another, as they lie in a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oids<'a>(pub(super) &'a [u8]);

impl<'a> Oids<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len() / 4
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Them, in order.
    pub fn iter(self) -> impl Iterator<Item = u32> + use<'a> {
        self.0.chunks_exact(4).map(|bytes| u32_at(bytes, 0))
    }
}

/// Relation files, one after another, as they lie in a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RelationFiles<'a>(pub(super) &'a [u8]);

impl<'a> RelationFiles<'a> {
    /// How many there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len() / 12
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Them, in order.
    pub fn iter(self) -> impl Iterator<Item = RelationFile> + use<'a> {
        self.0.chunks_exact(12).filter_map(|bytes| Cursor(bytes).relation())
    }
}
