//! Writes WAL as PostgreSQL lays it out, for what no server can be made to write at will.

use crate::domain::wal::{SegmentSize, TimelineId, WalSegment};
use crate::domain::wal_reader::WalVersion;

const PAGE: u64 = 8192;
pub(crate) const SYSTEM: u64 = 7_711_037_234_893_546_689;

pub(crate) struct Writer {
    pub(crate) version: WalVersion,
    pub(crate) size: SegmentSize,
    pub(crate) timeline: u32,
    pub(crate) system: u64,
    pub(crate) base: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) previous: u64,
}

impl Writer {
    /// Begins with the second segment.
    pub(crate) fn new(version: WalVersion, megabytes: u64) -> Writer {
        Writer::at(version, megabytes, megabytes << 20, SYSTEM, 0)
    }

    /// Begins at a position, which is a segment's, behind a record at `previous`.
    pub(crate) fn at(version: WalVersion, megabytes: u64, base: u64, system: u64, previous: u64) -> Writer {
        let size = SegmentSize::from_bytes(megabytes << 20).unwrap();
        Writer { version, size, timeline: 1, system, base, bytes: Vec::new(), previous }
    }

    pub(crate) fn position(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    fn page_header(&mut self, flags: u16, rest: u32) {
        let address = self.position();
        let is_first = address.is_multiple_of(self.size.bytes());
        let flags = flags | if is_first { 2 } else { 0 };
        self.bytes.extend(self.version.magic().to_le_bytes());
        self.bytes.extend(flags.to_le_bytes());
        self.bytes.extend(self.timeline.to_le_bytes());
        self.bytes.extend(address.to_le_bytes());
        self.bytes.extend(rest.to_le_bytes());
        self.bytes.extend([0; 4]);
        if is_first {
            self.bytes.extend(self.system.to_le_bytes());
            self.bytes.extend((self.size.bytes() as u32).to_le_bytes());
            self.bytes.extend((PAGE as u32).to_le_bytes());
        }
    }

    /// Begins a page with these flags where one has to begin.
    pub(crate) fn page(&mut self, flags: u16) {
        if self.position().is_multiple_of(PAGE) {
            self.page_header(flags, 0);
        }
    }

    pub(crate) fn align(&mut self) {
        let to = self.bytes.len().next_multiple_of(8);
        self.bytes.resize(to, 0);
    }

    /// Appends a record and returns where it starts.
    pub(crate) fn record(&mut self, rmgr: u8, info: u8, xid: u32, body: &[u8]) -> u64 {
        self.page(0);
        let lsn = self.position();
        let mut record = Vec::with_capacity(body.len() + 24);
        record.extend((body.len() as u32 + 24).to_le_bytes());
        record.extend(xid.to_le_bytes());
        record.extend(self.previous.to_le_bytes());
        record.extend([info, rmgr, 0, 0]);
        let checksum = crc32c::crc32c_append(crc32c::crc32c(body), &record);
        record.extend(checksum.to_le_bytes());
        record.extend(body);
        self.write(&record);
        self.previous = lsn;
        lsn
    }

    /// Writes a record's bytes over as many pages as they take.
    fn write(&mut self, mut record: &[u8]) {
        loop {
            let room = (PAGE - self.position() % PAGE) as usize;
            let (here, rest) = record.split_at(room.min(record.len()));
            self.bytes.extend(here);
            if rest.is_empty() {
                break;
            }
            record = rest;
            self.page_header(1, rest.len() as u32);
        }
        self.align();
    }

    /// The segments so far, the last one filled up with zeros.
    pub(crate) fn segments(&self) -> Vec<(WalSegment, Vec<u8>)> {
        let size = self.size.bytes() as usize;
        let pieces = self.bytes.chunks(size).enumerate().map(|(index, piece)| {
            let start = crate::domain::lsn::Lsn(self.base + (index * size) as u64);
            let mut piece = piece.to_vec();
            piece.resize(size, 0);
            (WalSegment::of(start, self.size, TimelineId(self.timeline)), piece)
        });
        pieces.collect()
    }
}

/// The body of a record with main data and no blocks.
pub(crate) fn main_data(data: &[u8]) -> Vec<u8> {
    let mut body = match u8::try_from(data.len()) {
        Ok(length) => vec![255, length],
        Err(_) => [&[254], &(data.len() as u32).to_le_bytes()[..]].concat(),
    };
    body.extend(data);
    body
}
