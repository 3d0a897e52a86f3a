//! Pages to records: `XLogPageHeaderData` and `XLogLongPageHeaderData` of `access/xlog_internal.h`, the same from
//! PostgreSQL 9.3 to 19 but for one flag.
//!
//! Bytes are pushed in, in pieces of any size; records are handed out while they are still where they were read. Only a
//! record that crosses pages is copied together, into one buffer that is used again. So memory does not grow with the
//! size of a segment or of a window.

use crate::domain::lsn::Lsn;
use crate::domain::wal::{SegmentSize, TimelineId, WalSegment};
use crate::domain::wal_reader::bytes::{u32_at, u64_at};
use crate::domain::wal_reader::checksum::Joined;
use crate::domain::wal_reader::record::{CHECKSUM_AT, HEADER_BYTES, Header, Record};
use crate::domain::wal_reader::rmgr::Rmgr;
use crate::domain::wal_reader::stop::{Stop, StopReason};
use crate::domain::wal_reader::version::WalVersion;

/// Bytes of a WAL page (`XLOG_BLCKSZ`): a compile-time choice that packages leave alone. Others are refused in words.
const PAGE: usize = 8192;
const SHORT_HEADER: usize = 24;
const LONG_HEADER: usize = 40;

const FIRST_IS_CONTINUED: u16 = 0x0001;
const HAS_LONG_HEADER: u16 = 0x0002;
const ALL_FLAGS: u16 = 0x000F;

/// Records up to this are kept whole. It leaves room for a commit with millions of subtransactions; what is longer can
/// only be a logical message, and of that the beginning is kept.
const KEPT_WHOLE: u64 = 16 << 20;
/// More than all headers of a record together.
const KEPT_BEGINNING: usize = 64 << 10;
/// `XLogRecordMaxSize` (16 on); before it is what an allocation may hold.
const LONGEST_RECORD: u32 = 1 << 30;
/// Bytes of the buffer that stay reserved after a long record.
const BUFFER_AT_REST: usize = 1 << 20;

/// What the bytes at the reading position are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Where a segment begins, nothing known of what was before.
    Start,
    /// A record ended with the last page.
    Between,
    /// A record that began before reading did: so many of its bytes follow.
    Skipping(u32),
    /// A record goes on.
    Inside,
    /// The rest of the segment holds nothing: it was switched, or can't be read.
    Rest,
}

/// A record of which not all bytes are there yet.
#[derive(Debug, Clone, Copy, Default)]
struct Partial {
    start: u64,
    timeline: u32,
    total_bytes: u32,
    got: u32,
    /// Of the body so far, where the record is too long to be kept.
    checksum: u32,
}

/// Reads consecutive segments of one cluster.
#[derive(Debug)]
pub struct WalStream {
    size: SegmentSize,
    system_identifier: Option<u64>,
    /// Position of the next byte that is pushed in, but for what waits in `carry`.
    next: u64,
    segment_end: u64,
    carry: Vec<u8>,
    version: WalVersion,
    timeline: u32,
    previous: Option<u64>,
    state: State,
    partial: Partial,
    kept: Vec<u8>,
    joined: Joined,
    stop: Option<Stop>,
    overwritten: u64,
}

impl WalStream {
    /// Reads segments of this size, of the cluster with this system identifier, or of the first one's where none is given.
    #[must_use]
    pub fn new(size: SegmentSize, system_identifier: Option<u64>) -> WalStream {
        WalStream {
            size,
            system_identifier,
            next: 0,
            segment_end: 0,
            carry: Vec::new(),
            version: WalVersion::V15,
            timeline: 0,
            previous: None,
            state: State::Rest,
            partial: Partial::default(),
            kept: Vec::new(),
            joined: Joined::default(),
            stop: None,
            overwritten: 0,
        }
    }

    /// Goes on with a segment: the bytes pushed in from now on are its. Returns whether it continues what was read
    /// before; where it doesn't, reading begins anew with the first record that starts in it. A name that can't exist with
    /// segments of this size is passed over.
    pub fn begin_segment(&mut self, segment: WalSegment) -> bool {
        let Some(start) = segment.start(self.size) else {
            self.state = State::Rest;
            return false;
        };
        let start = start.0;
        let continues = self.stop.is_none() && self.next == start && self.carry.is_empty();
        if !continues {
            self.state = State::Start;
            self.previous = None;
            self.timeline = 0;
            self.carry.clear();
        } else if self.state == State::Rest {
            self.state = State::Between;
        }
        (self.next, self.segment_end, self.stop) = (start, start.saturating_add(self.size.bytes()), None);
        continues
    }

    /// Takes the next bytes of the segment and hands out each record that ends in them.
    #[inline]
    pub fn push(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(&Record<'_>)) {
        if !self.carry.is_empty() {
            let missing = (PAGE - self.carry.len()).min(bytes.len());
            self.carry.extend_from_slice(&bytes[..missing]);
            bytes = &bytes[missing..];
            if self.carry.len() < PAGE {
                return;
            }
            let page = std::mem::take(&mut self.carry);
            self.page(&page, sink);
            self.carry = page;
            self.carry.clear();
        }
        while bytes.len() >= PAGE {
            if self.state == State::Rest || self.next >= self.segment_end {
                return;
            }
            let (page, rest) = bytes.split_at(PAGE);
            self.page(page, sink);
            bytes = rest;
        }
        if self.state != State::Rest && self.next < self.segment_end {
            self.carry.extend_from_slice(bytes);
        }
    }

    /// Whether a record has begun and not ended: the next segment's beginning is needed for it.
    #[must_use]
    pub fn is_inside_record(&self) -> bool {
        self.state == State::Inside
    }

    /// Whether the rest of the segment holds nothing to read.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.state == State::Rest
    }

    /// Where reading the segment ended early, and why.
    #[must_use]
    pub fn stop(&self) -> Option<Stop> {
        self.stop
    }

    /// Where the last page that was read ends.
    #[must_use]
    pub fn position(&self) -> Lsn {
        Lsn(self.next)
    }

    /// The version of the last page that was read; 15 before any.
    #[must_use]
    pub fn version(&self) -> WalVersion {
        self.version
    }

    /// How many records were left half written by a crash, and marked so by the server.
    #[must_use]
    pub fn overwritten(&self) -> u64 {
        self.overwritten
    }

    /// Bytes that it keeps for itself: at most what the longest record that is kept takes, and a page.
    #[cfg(test)]
    pub(super) fn reserved_bytes(&self) -> usize {
        self.kept.capacity() + self.carry.capacity()
    }

    fn end(&mut self, at: u64, reason: StopReason) {
        self.stop = Some(Stop { at: Lsn(at), reason });
        self.state = State::Rest;
    }

    fn page(&mut self, page: &[u8], sink: &mut impl FnMut(&Record<'_>)) {
        if self.state == State::Rest {
            return;
        }
        let offset = match self.header(page) {
            Ok(offset) => offset,
            Err(reason) => return self.end(self.next, reason),
        };
        let address = self.next;
        self.next += PAGE as u64;
        if let Some(offset) = self.continued(page, address, offset, sink) {
            self.records(page, address, offset, sink);
        }
    }

    /// Checks the page's header and what it says of the record before; returns where its content begins.
    fn header(&mut self, page: &[u8]) -> Result<usize, StopReason> {
        let magic = u16::from_le_bytes([page[0], page[1]]);
        let flags = u16::from_le_bytes([page[2], page[3]]);
        let Some(version) = WalVersion::from_magic(magic) else {
            let is_empty = page[..SHORT_HEADER].iter().all(|byte| *byte == 0);
            return Err(if is_empty { StopReason::Unwritten } else { StopReason::Magic(magic) });
        };
        let address = u64_at(page, 8);
        if address != self.next {
            return Err(StopReason::OtherAddress(Lsn(address)));
        }
        let is_first = self.next.is_multiple_of(self.size.bytes());
        if flags & !ALL_FLAGS != 0 || (flags & HAS_LONG_HEADER != 0) != is_first {
            return Err(StopReason::PageFlags(flags));
        }
        if is_first {
            self.long_header(page)?;
        }
        let timeline = u32_at(page, 4);
        if timeline < self.timeline {
            return Err(StopReason::Timeline { found: TimelineId(timeline), after: TimelineId(self.timeline) });
        }
        (self.version, self.timeline) = (version, timeline);
        self.judge_continuation(flags, u32_at(page, 16))?;
        Ok(if is_first { LONG_HEADER } else { SHORT_HEADER })
    }

    fn long_header(&mut self, page: &[u8]) -> Result<(), StopReason> {
        let (segment, page_bytes) = (u32_at(page, 32), u32_at(page, 36));
        if u64::from(segment) != self.size.bytes() || page_bytes as usize != PAGE {
            return Err(StopReason::Sizes { segment, page: page_bytes });
        }
        let found = u64_at(page, 24);
        if *self.system_identifier.get_or_insert(found) == found {
            Ok(())
        } else {
            Err(StopReason::OtherCluster(found))
        }
    }

    /// `rest` is how many bytes of the record before the page says that it holds and the pages after it.
    fn judge_continuation(&mut self, flags: u16, rest: u32) -> Result<(), StopReason> {
        let is_continued = flags & FIRST_IS_CONTINUED != 0;
        if flags & self.version.overwrite_flag() != 0 && !is_continued {
            // The server came back from a crash and wrote over the rest of that record: it never happened.
            self.overwritten += u64::from(self.state == State::Inside);
            self.state = State::Between;
            return Ok(());
        }
        let fits = match self.state {
            State::Inside => is_continued && rest == self.partial.total_bytes - self.partial.got,
            State::Skipping(left) => is_continued && rest == left,
            State::Between => !is_continued,
            State::Start | State::Rest => true,
        };
        if !fits {
            return Err(StopReason::Continuation);
        }
        if self.state == State::Start {
            self.state = if is_continued && rest > 0 { State::Skipping(rest) } else { State::Between };
        }
        Ok(())
    }

    /// Takes what the page holds of the record before; returns where the next one starts, if it does in this page.
    #[inline]
    fn continued(
        &mut self,
        page: &[u8],
        address: u64,
        offset: usize,
        sink: &mut impl FnMut(&Record<'_>),
    ) -> Option<usize> {
        let left = match self.state {
            State::Skipping(left) => left,
            State::Inside => self.partial.total_bytes - self.partial.got,
            _ => return Some(offset),
        };
        let here = (left as usize).min(PAGE - offset);
        if self.state == State::Inside {
            self.keep(&page[offset..offset + here]);
        }
        if here < left as usize {
            if let State::Skipping(left) = &mut self.state {
                *left -= here as u32;
            }
            return None;
        }
        let offset = (offset + here).next_multiple_of(8);
        if self.state == State::Inside && !self.finish(address + offset as u64, sink) {
            return None;
        }
        self.state = State::Between;
        Some(offset)
    }

    /// Hands out the records that start in this page.
    #[inline]
    fn records(&mut self, page: &[u8], address: u64, mut offset: usize, sink: &mut impl FnMut(&Record<'_>)) {
        while offset < PAGE {
            let rest = &page[offset..];
            let start = address + offset as u64;
            let total_bytes = u32_at(rest, 0);
            if total_bytes == 0 {
                return self.end(start, StopReason::Unwritten);
            }
            if !(HEADER_BYTES as u32..=LONGEST_RECORD).contains(&total_bytes) {
                return self.end(start, StopReason::Length(total_bytes));
            }
            // A header that is cut by the page's end is judged when all of it is there.
            let Some(header) = rest.first_chunk().map(Header::read) else {
                return self.begin(start, total_bytes, rest);
            };
            if !self.follows(start, header.previous) {
                return self.end(start, StopReason::PreviousLink);
            }
            let Some(bytes) = rest.get(..total_bytes as usize) else { return self.begin(start, total_bytes, rest) };
            let body = &bytes[HEADER_BYTES..];
            if self.joined.checksum(body, &bytes[..CHECKSUM_AT]) != header.checksum {
                return self.end(start, StopReason::Checksum);
            }
            offset = (offset + total_bytes as usize).next_multiple_of(8);
            let record = self.record(start, address + offset as u64, self.timeline, header, body);
            self.previous = Some(start);
            sink(&record);
            if is_switch(header) {
                return self.switch();
            }
        }
    }

    #[inline]
    fn follows(&self, start: u64, previous: u64) -> bool {
        self.previous.map_or(previous < start, |last| last == previous)
    }

    #[inline]
    fn record<'b>(&self, start: u64, end: u64, timeline: u32, header: Header, body: &'b [u8]) -> Record<'b> {
        Record {
            lsn: Lsn(start),
            end: Lsn(if is_switch(header) { end.next_multiple_of(self.size.bytes()) } else { end }),
            previous: Lsn(header.previous),
            timeline: TimelineId(timeline),
            version: self.version,
            xid: header.xid,
            rmgr: Rmgr(header.rmgr),
            info: header.info,
            total_bytes: header.total_bytes,
            body,
            is_cut: body.len() + HEADER_BYTES < header.total_bytes as usize,
        }
    }

    /// The rest of the segment is empty; the next record starts with the next one.
    fn switch(&mut self) {
        self.state = State::Rest;
        self.next = self.segment_end;
    }

    /// Begins a record that goes on in the next page.
    fn begin(&mut self, start: u64, total_bytes: u32, bytes: &[u8]) {
        self.partial = Partial { start, timeline: self.timeline, total_bytes, got: 0, checksum: 0 };
        self.kept.clear();
        self.kept.shrink_to(BUFFER_AT_REST);
        self.state = State::Inside;
        self.keep(bytes);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let partial = &mut self.partial;
        if u64::from(partial.total_bytes) > KEPT_WHOLE {
            let header = HEADER_BYTES.saturating_sub(partial.got as usize).min(bytes.len());
            partial.checksum = crc32c::crc32c_append(partial.checksum, &bytes[header..]);
            let room = KEPT_BEGINNING.saturating_sub(self.kept.len()).min(bytes.len());
            self.kept.extend_from_slice(&bytes[..room]);
        } else {
            self.kept.extend_from_slice(bytes);
        }
        // At most a page, and never more than the record has left.
        partial.got += bytes.len() as u32;
    }

    /// Checks and hands out the record that was put together; `false` when nothing more can be read.
    fn finish(&mut self, end: u64, sink: &mut impl FnMut(&Record<'_>)) -> bool {
        let kept = std::mem::take(&mut self.kept);
        let goes_on = self.hand_out(&kept, end, sink);
        self.kept = kept;
        goes_on
    }

    fn hand_out(&mut self, kept: &[u8], end: u64, sink: &mut impl FnMut(&Record<'_>)) -> bool {
        let Partial { start, timeline, total_bytes, checksum, .. } = self.partial;
        let Some(header) = kept.first_chunk().map(Header::read) else {
            self.end(start, StopReason::Length(total_bytes));
            return false;
        };
        if !self.follows(start, header.previous) {
            self.end(start, StopReason::PreviousLink);
            return false;
        }
        let body = &kept[HEADER_BYTES..];
        let is_cut = u64::from(total_bytes) > KEPT_WHOLE;
        let head = &kept[..CHECKSUM_AT];
        let found = if is_cut { crc32c::crc32c_append(checksum, head) } else { self.joined.checksum(body, head) };
        if found != header.checksum {
            self.end(start, StopReason::Checksum);
            return false;
        }
        let record = self.record(start, end, timeline, header, body);
        self.previous = Some(start);
        sink(&record);
        if is_switch(header) {
            self.switch();
            return false;
        }
        true
    }
}

#[inline]
fn is_switch(header: Header) -> bool {
    Rmgr(header.rmgr) == Rmgr::XLOG && header.info & 0xF0 == 0x40
}
