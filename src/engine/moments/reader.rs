//! `pg_waldump` on fetched segments, a piece at a time.

use crate::domain::lsn::Lsn;
use crate::domain::wal::{Road, SegmentSize, TimelineId, WalSegment};
use crate::domain::wal_marks::{PAGE_BYTES, RecordLine, continued_to};
use crate::domain::wal_page::HEADER_BYTES;
use crate::engine::ask::{self, Question};
use crate::engine::moments::MomentsError;
use crate::engine::postgres::PostgresPrograms;
use crate::engine::wal_source::{Piece, Prefetch, WalSource, Way};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::{ControlFlow, Range};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::{NamedTempFile, TempDir};

/// A piece of WAL that is read at once, at most: what `pg_waldump` prints of it is held in memory.
const PIECE_BYTES: u64 = 64 << 20;

/// Segments that stay in the folder for the next question.
const KEPT_SEGMENTS: usize = 6;

/// Segments fetched at once where many are needed in order.
const AT_ONCE: usize = 3;

/// A busy piece of 64 MB: a line for every 60 bytes of it.
const OUTPUT_LIMIT_BYTES: u64 = 1 << 28;

/// Reads a piece in a fraction of a second; a busy machine is slower.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The flag of a page that begins with the rest of a record (`XLP_FIRST_IS_CONTRECORD`).
const CONTINUED: u16 = 0x0001;

/// What resource managers are called, and their number in a record's header.
const MANAGERS: [(&str, u8); 2] = [("XLOG", 0), ("Transaction", 1)];

/// WAL that can be read a piece at a time.
pub(super) trait Pieces: std::fmt::Debug + Send {
    /// The size of its segments.
    fn size(&self) -> SegmentSize;

    /// The segments of these places will be needed in order: they are fetched ahead.
    fn expect(&mut self, places: Range<u64>);

    /// Nothing is fetched ahead any more.
    fn expect_nothing(&mut self);

    /// Hands `each` every record that begins in `range`, in order, as `pg_waldump` with `arguments` prints it. The range lies
    /// in one segment of the way.
    fn read(
        &mut self,
        range: Range<Lsn>,
        arguments: &[&str],
        each: &mut dyn FnMut(&RecordLine<'_>) -> Result<(), MomentsError>,
    ) -> Result<(), MomentsError>;

    /// The size of the pieces that are read at once.
    fn piece_bytes(&self) -> u64 {
        self.size().bytes().min(PIECE_BYTES)
    }
}

/// A temporary folder with the segments of a way, all named as if they were of its last timeline: `pg_waldump` then reads
/// over the places where timelines were left.
#[derive(Debug)]
pub(super) struct Reader {
    source: WalSource,
    /// The segments of the way, by place.
    segments: BTreeMap<u64, WalSegment>,
    road: Road,
    timeline: TimelineId,
    program: PathBuf,
    environment: BTreeMap<String, String>,
    folder: TempDir,
    /// The places whose segments are in the folder, in the order they came.
    fetched: VecDeque<u64>,
    ahead: Option<(VecDeque<u64>, Prefetch)>,
}

impl Reader {
    /// The folder is made below `below`, closed to others, and removed with this.
    pub(super) fn new(
        source: WalSource,
        way: &Way,
        timeline: TimelineId,
        programs: &PostgresPrograms,
        environment: &BTreeMap<String, String>,
        below: &Path,
    ) -> Result<Reader, MomentsError> {
        let folder = tempfile::Builder::new().prefix("wal-").tempdir_in(below).map_err(|source| MomentsError::Io {
            path: below.to_owned(),
            what: "making a folder for fetched WAL",
            source,
        })?;
        let segments = way.segments.iter().filter_map(|segment| Some((way.road.place(*segment)?, *segment))).collect();
        Ok(Reader {
            source,
            segments,
            road: way.road.clone(),
            timeline,
            program: programs.program("pg_waldump"),
            environment: environment.clone(),
            folder,
            fetched: VecDeque::new(),
            ahead: None,
        })
    }

    /// Names that people choose are in what `pg_waldump` prints (of prepared transactions, of restore points), with their
    /// line ends: a line counts only where a record with its length, transaction and manager stands in the WAL.
    fn is_there(&self, file: &File, record: &RecordLine<'_>) -> bool {
        let mut header = [0; 18];
        if file.read_exact_at(&mut header, record.start.0 % self.size().bytes()).is_err() {
            return false;
        }
        let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        // near a page's end the rest of the header stands on the next one
        let is_whole = PAGE_BYTES - record.start.0 % PAGE_BYTES >= header.len() as u64;
        let manager = MANAGERS.iter().find(|(name, _)| *name == record.manager);
        let fits = manager.is_none_or(|(_, id)| !is_whole || *id == header[17]);
        number(0) == record.bytes && number(4) == record.xid && fits
    }

    /// Where reading has to end so that the last record before `to` is read whole: pages behind tell how much of it they
    /// hold. `None` at the end of the way.
    fn end(&mut self, to: Lsn) -> Option<Lsn> {
        if !to.0.is_multiple_of(PAGE_BYTES) {
            // where a timeline was left: a record ends there
            return Some(to);
        }
        let place = self.road.place_of(to);
        self.fetch(place).ok()?;
        let file = File::open(self.path(place)).ok()?;
        let mut header = [0; 20];
        file.read_exact_at(&mut header, to.0 % self.size().bytes()).ok()?;
        let flags = u16::from_le_bytes([header[2], header[3]]);
        if flags & CONTINUED == 0 {
            return Some(to);
        }
        let rest = u32::from_le_bytes([header[16], header[17], header[18], header[19]]);
        let end = continued_to(to, rest);
        for place in place..=self.road.place_of(end) {
            self.fetch(place).ok()?;
        }
        Some(end)
    }

    /// Ends the WAL behind a place: `pg_waldump` (to 15 at least) waits five seconds for a segment that is not there, and
    /// reads no further at one that still holds older WAL, as a recycled one does.
    fn close(&self, place: u64) -> Result<(), MomentsError> {
        let (last, behind) = (self.path(place), self.path(place + 1));
        if behind.exists() {
            return Ok(());
        }
        let mut header = [0; HEADER_BYTES];
        let read = File::open(&last).and_then(|file| file.read_exact_at(&mut header, 0));
        read.map_err(|source| failed(last, "reading its first page", source))?;
        let made = File::options().write(true).create_new(true).mode(0o600).open(&behind);
        let written = made.and_then(|file| {
            file.write_all_at(&header, 0)?;
            file.set_len(self.size().bytes())
        });
        written.map_err(|source| failed(behind, "writing the end of the WAL", source))
    }

    /// Puts the segment of a place into the folder, where it is not there yet.
    fn fetch(&mut self, place: u64) -> Result<(), MomentsError> {
        if self.fetched.contains(&place) {
            return Ok(());
        }
        let Some(segment) = self.segments.get(&place).copied() else {
            let lsn = Lsn(place.saturating_mul(self.size().bytes()));
            return Err(MomentsError::NoBeginning { from: lsn, gap: None });
        };
        let next = match &mut self.ahead {
            Some((places, prefetch)) if places.front() == Some(&place) => {
                places.pop_front();
                prefetch.next()
            }
            _ => None,
        };
        let fetched = match next {
            Some(fetched) => fetched?,
            None => self.source.open_piece(segment, false)?,
        };
        let path = self.path(place);
        // It gets its name when it is whole: half of one would stand in the way of the next fetch.
        let written = NamedTempFile::new_in(self.folder.path()).and_then(|draft| {
            copy(fetched, draft.reopen()?)?;
            draft.persist_noclobber(&path).map_err(|error| error.error)
        });
        written.map_err(|source| failed(path, "writing a fetched segment", source))?;
        self.fetched.push_back(place);
        Ok(())
    }

    fn path(&self, place: u64) -> PathBuf {
        let start = Lsn(place.saturating_mul(self.size().bytes()));
        self.folder.path().join(WalSegment::of(start, self.size(), self.timeline).to_string())
    }

    fn question(&self, from: Lsn, to: Option<Lsn>, arguments: &[&str]) -> Question {
        let mut question = Question::new(&self.program);
        question.environment = self.environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        for (name, value) in [("LC_ALL", "C"), ("TZ", "UTC"), ("PGTZ", "UTC")] {
            question.environment.insert(name.into(), value.into());
        }
        question.environment.remove("LANGUAGE");
        question.arguments.push("-p".into());
        question.arguments.push(self.folder.path().into());
        let (timeline, from) = (self.timeline.to_string(), from.to_string());
        question.arguments.extend(["-t", &timeline, "-s", &from].iter().map(Into::into));
        if let Some(to) = to {
            question.arguments.extend(["-e".into(), to.to_string().into()]);
        }
        question.arguments.extend(arguments.iter().map(Into::into));
        question.time_limit = TIME_LIMIT;
        question.output_limit_bytes = OUTPUT_LIMIT_BYTES;
        question
    }
}

impl Pieces for Reader {
    fn size(&self) -> SegmentSize {
        self.road.size()
    }

    fn expect(&mut self, places: Range<u64>) {
        let new = self.segments.range(places).filter(|(place, _)| !self.fetched.contains(place));
        let wanted: Vec<(u64, WalSegment)> = new.map(|(place, segment)| (*place, *segment)).collect();
        if wanted.len() > 1 {
            let places = wanted.iter().map(|(place, _)| *place).collect();
            let pieces = wanted.into_iter().map(|(_, segment)| (segment, false)).collect();
            self.ahead = Some((places, self.source.open_all(pieces, AT_ONCE)));
        }
    }

    fn expect_nothing(&mut self) {
        self.ahead = None;
    }

    fn read(
        &mut self,
        range: Range<Lsn>,
        arguments: &[&str],
        each: &mut dyn FnMut(&RecordLine<'_>) -> Result<(), MomentsError>,
    ) -> Result<(), MomentsError> {
        while self.fetched.len() > KEPT_SEGMENTS {
            let place = self.fetched.pop_front();
            if let Some(path) = place.map(|place| self.path(place)) {
                std::fs::remove_file(&path).map_err(|source| failed(path, "removing it", source))?;
            }
        }
        let place = self.road.place_of(range.start);
        self.fetch(place)?;
        let end = self.end(range.end);
        let last = end.map_or(place, |end| self.road.place_of(end));
        for place in [place, last] {
            if self.segments.contains_key(&place) && !self.segments.contains_key(&(place + 1)) {
                self.fetch(place)?;
                self.close(place)?;
            }
        }
        let answer = ask::ask(&self.question(range.start, end, arguments))?;
        // no record begins in the range: what came before it reaches over it, or the rest of the segment is empty
        let nothing = answer.stderr.contains("could not find a valid record after");
        // in the last segment the WAL may end anywhere; what was read beyond the range may reach into it
        let may_end = nothing || [place, last].iter().any(|place| !self.segments.contains_key(&(place + 1)));
        if answer.code > 1 || answer.code == 1 && !may_end {
            return Err(MomentsError::Unreadable { from: range.start, said: answer.stderr });
        }
        let text = String::from_utf8_lossy(&answer.stdout);
        let file = File::open(self.path(place)).map_err(|source| failed(self.path(place), "reading it", source))?;
        for record in text.lines().filter_map(RecordLine::parse) {
            if range.contains(&record.start) && self.is_there(&file, &record) {
                each(&record)?;
            }
        }
        Ok(())
    }
}

/// Writes a segment into a file of its own.
fn copy(piece: Piece, mut file: File) -> io::Result<()> {
    let mut written = Ok(());
    piece.content.read(&mut |bytes| {
        written = file.write_all(bytes);
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written
}

fn failed(path: PathBuf, what: &'static str, source: io::Error) -> MomentsError {
    MomentsError::Io { path, what, source }
}
