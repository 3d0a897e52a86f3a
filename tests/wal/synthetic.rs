//! WAL that no server of ours can write in the time of a test: a week of it, or very much at once.

use crate::writer::{Writer, main_data};
use lifeboat::domain::lsn::Lsn;
use lifeboat::domain::wal::{TimelineId, WalSegment};
use lifeboat::domain::wal_reader::{PgTime, WalVersion};

/// Bytes of a segment.
pub(crate) const SEGMENT: u64 = 1 << 20;
const DATABASE: u32 = 16384;

/// Writes segments of 1 MB, one after another.
pub(crate) struct Load {
    system: u64,
    writer: Writer,
    base: u64,
}

impl Load {
    /// From a position on, which is a segment's.
    pub(crate) fn new(system: u64, base: u64) -> Load {
        Load { system, writer: Writer::at(WalVersion::V15, 1, base, system, base - 8), base }
    }

    /// A row of a table is changed: 0 inserted, 0x10 deleted, 0x20 updated.
    pub(crate) fn row(&mut self, xid: u32, kind: u8, table: u32, block: u32) {
        let mut body = vec![0, 0, 0, 0];
        for number in [1663, DATABASE, table, block] {
            body.extend(u32::to_le_bytes(number));
        }
        body.extend(main_data(&[0; 14]));
        self.writer.record(10, kind, xid, &body);
    }

    /// A file is made.
    pub(crate) fn created(&mut self, xid: u32, table: u32) {
        let words = [1663, DATABASE, table, 0].map(u32::to_le_bytes).concat();
        self.writer.record(2, 0x10, xid, &main_data(&words));
    }

    /// A page is written as a whole, as a rewrite does.
    pub(crate) fn page(&mut self, xid: u32, table: u32) {
        let mut body = vec![0, 0, 0, 0];
        body.extend([1663, DATABASE, table, 0].map(u32::to_le_bytes).concat());
        self.writer.record(0, 0xB0, xid, &body);
    }

    /// A transaction commits, with its subtransactions, and files are removed with it.
    pub(crate) fn commit(&mut self, xid: u32, at: PgTime, subtransactions: &[u32], removed: &[u32]) {
        let mut data = at.0.to_le_bytes().to_vec();
        data.extend((1u32 | 2 | 4).to_le_bytes());
        data.extend([DATABASE, 1663].map(u32::to_le_bytes).concat());
        data.extend(u32::try_from(subtransactions.len()).unwrap().to_le_bytes());
        subtransactions.iter().for_each(|sub| data.extend(sub.to_le_bytes()));
        data.extend(u32::try_from(removed.len()).unwrap().to_le_bytes());
        removed.iter().for_each(|file| data.extend([1663, DATABASE, *file].map(u32::to_le_bytes).concat()));
        self.writer.record(1, 0x80, xid, &main_data(&data));
    }

    /// Ends the segment with a switch: its name and its bytes.
    pub(crate) fn switch(&mut self) -> (WalSegment, Vec<u8>) {
        self.writer.record(0, 0x40, 0, &[]);
        let (segment, bytes) = self.writer.segments().remove(0);
        assert!(self.writer.bytes.len() as u64 <= SEGMENT, "it does not fit");
        self.base += SEGMENT;
        self.writer = Writer::at(WalVersion::V15, 1, self.base, self.system, self.writer.previous);
        (segment, bytes)
    }

    /// Takes what is full, as it is: a record may go on in the next one.
    pub(crate) fn full(&mut self) -> Vec<(WalSegment, Vec<u8>)> {
        let mut full = Vec::new();
        while self.writer.bytes.len() as u64 > SEGMENT {
            let rest = self.writer.bytes.split_off(usize::try_from(SEGMENT).unwrap());
            let bytes = std::mem::replace(&mut self.writer.bytes, rest);
            full.push((WalSegment::of(Lsn(self.base), self.writer.size, TimelineId(1)), bytes));
            self.base += SEGMENT;
            self.writer.base = self.base;
        }
        full
    }
}
