//! How much WAL of which kind: what `pg_waldump --stats=record` counts (`XLogRecStoreStats`, `access/xlogstats.c`).

use crate::domain::wal_reader::record::Record;
use crate::domain::wal_reader::rmgr::Rmgr;

/// How many records of a kind there are, and how many bytes they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordTotals {
    /// Records.
    pub records: u64,
    /// Bytes without page images.
    pub record_bytes: u64,
    /// Bytes of page images.
    pub image_bytes: u64,
}

impl RecordTotals {
    fn add(&mut self, other: RecordTotals) {
        self.records += other.records;
        self.record_bytes += other.record_bytes;
        self.image_bytes += other.image_bytes;
    }
}

/// Totals by resource manager and kind of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Totals {
    kinds: Vec<RecordTotals>,
    malformed: u64,
    unknown: u64,
}

impl Default for Totals {
    fn default() -> Totals {
        Totals { kinds: vec![RecordTotals::default(); 256 * 16], malformed: 0, unknown: 0 }
    }
}

impl Totals {
    /// Counts a record whose page images take `image_bytes`.
    #[inline]
    pub fn count(&mut self, record: &Record<'_>, image_bytes: u32) {
        let mut kind = record.info >> 4;
        if record.rmgr == Rmgr::TRANSACTION {
            // The highest bit says only that flags follow.
            kind &= 0x07;
        }
        let totals = &mut self.kinds[usize::from(record.rmgr.0) * 16 + usize::from(kind)];
        totals.records += 1;
        totals.record_bytes += u64::from(record.total_bytes.saturating_sub(image_bytes));
        totals.image_bytes += u64::from(image_bytes);
        self.unknown += u64::from(!record.rmgr.is_known(record.version));
    }

    /// Takes a record apart as far as its images, and counts it; one whose headers don't fit is counted as malformed too.
    #[inline]
    pub fn add_record(&mut self, record: &Record<'_>) {
        match record.parts() {
            Ok(parts) => self.count(record, parts.image_bytes),
            Err(_) => {
                self.malformed += 1;
                self.count(record, 0);
            }
        }
    }

    /// Adds what another part of the WAL holds.
    pub fn add(&mut self, other: &Totals) {
        for (own, other) in self.kinds.iter_mut().zip(&other.kinds) {
            own.add(*other);
        }
        self.malformed += other.malformed;
        self.unknown += other.unknown;
    }

    /// The kinds that there are: resource manager, `info` of the record, totals.
    pub fn kinds(&self) -> impl Iterator<Item = (Rmgr, u8, RecordTotals)> + '_ {
        // 256 x 16 entries: both halves of the index fit.
        (0u8..=255).flat_map(move |rmgr| {
            (0u8..16).filter_map(move |kind| {
                let totals = self.kinds[usize::from(rmgr) * 16 + usize::from(kind)];
                (totals.records > 0).then_some((Rmgr(rmgr), kind << 4, totals))
            })
        })
    }

    /// All of it together.
    #[must_use]
    pub fn sum(&self) -> RecordTotals {
        let mut sum = RecordTotals::default();
        self.kinds.iter().for_each(|totals| sum.add(*totals));
        sum
    }

    /// Records with a right checksum whose headers contradict their length.
    #[must_use]
    pub fn malformed(&self) -> u64 {
        self.malformed
    }

    /// Records of a resource manager that a server of this version doesn't have.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown
    }
}
