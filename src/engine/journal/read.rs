//! Reading a journal as a whole.

use crate::domain::digest::Digest;
use crate::domain::event::{Entry, RunEvent, RunId, RunOutcome};
use crate::domain::run::Run;
use crate::engine::journal::error::JournalError;
use crate::engine::journal::line::{Chain, LineFault};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// A cut inside the last line: an entry that was being written when the host or the runner went down. It was never
/// acknowledged. While a runner is alive it is only an entry in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TornTail {
    /// The line, from 1.
    pub line: u64,
    /// Where it begins in the file, in bytes.
    pub offset_bytes: u64,
    /// How much of it is there.
    pub length_bytes: u64,
}

/// The first line that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub what: String,
}

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// All complete entries; at least one.
    pub entries: Vec<Entry>,
    /// A cut inside the last line.
    pub torn: Option<TornTail>,
}

/// What can be said about a journal by its chain of hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How many entries hold.
    pub entries: u64,
    /// The hash of the last entry that holds; zeros when none does.
    pub head: Digest,
    /// A cut inside the last line.
    pub torn: Option<TornTail>,
    /// The first bad line; what stands behind it was not judged.
    pub damage: Option<Damage>,
    /// The run it belongs to, when the first entry holds.
    pub run: Option<RunId>,
    /// How the run ended, when its last entry is there.
    pub ended: Option<RunOutcome>,
    hashes: Vec<Digest>,
}

/// How a recorded head hash relates to a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The entry that has this hash.
    pub sequence: u64,
    /// How many entries were written after it.
    pub entries_after: u64,
}

impl Verification {
    /// No line is altered. A torn tail is no alteration.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.damage.is_none() && self.entries > 0
    }

    /// Looks for a head hash that was written down elsewhere (at a gate, in syslog): all 64 digits, or at least
    /// the first eight, with or without blanks. `None` means: not a hash of this journal, so entries are missing
    /// from its end or it is another journal.
    #[must_use]
    pub fn find(&self, recorded: &str) -> Option<Found> {
        let digits: String = recorded.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect();
        if !is_head(&digits) {
            return None;
        }
        let index = self.hashes.iter().rposition(|hash| hash.to_string().starts_with(&digits))?;
        Some(Found { sequence: index as u64 + 1, entries_after: (self.hashes.len() - index - 1) as u64 })
    }
}

/// Whether `recorded` has the form of a head hash that [`Verification::find`] looks for.
#[must_use]
pub fn is_head(recorded: &str) -> bool {
    let digits: Vec<char> = recorded.chars().filter(|c| !c.is_whitespace()).collect();
    (8..=64).contains(&digits.len()) && digits.iter().all(char::is_ascii_hexdigit)
}

/// Reads a journal that somebody else may be writing to; changes nothing.
///
/// # Errors
/// Damage with its line, a newer format, no complete entry, or a system error.
pub fn read(path: &Path) -> Result<Contents, JournalError> {
    let mut file = open_file(path, OFlags::RDONLY)?;
    Ok(scan_file(&mut file, path)?.into_readable(path)?.contents)
}

/// Checks a journal by its chain, and that every entry can follow the ones before it; changes nothing.
///
/// # Errors
/// Only when it can't be read at all, or was written by a newer version.
pub fn verify(path: &Path) -> Result<Verification, JournalError> {
    let mut file = open_file(path, OFlags::RDONLY)?;
    let mut scan = scan_file(&mut file, path)?;
    let mut damage = match scan.fault.take() {
        Some((line, LineFault::Newer(what))) => {
            return Err(JournalError::Newer { path: path.to_owned(), line, what });
        }
        Some((line, LineFault::Damaged(what))) => Some(Damage { line, what }),
        None => None,
    };
    if let Some(illegal) = first_illegal(&scan.entries) {
        scan.entries.truncate(usize::try_from(illegal.line).unwrap_or(usize::MAX) - 1);
        damage = Some(illegal);
    }
    let hashes: Vec<Digest> = scan.entries.iter().map(|entry| entry.hash).collect();
    Ok(Verification {
        entries: scan.entries.len() as u64,
        head: hashes.last().copied().unwrap_or(Digest::ZERO),
        torn: scan.torn,
        damage,
        run: scan.entries.first().and_then(|entry| match &entry.event {
            RunEvent::RunCreated { run, .. } => Some(run.clone()),
            _ => None,
        }),
        ended: scan.entries.last().and_then(|entry| match &entry.event {
            RunEvent::RunEnded { outcome, .. } => Some(*outcome),
            _ => None,
        }),
        hashes,
    })
}

fn first_illegal(entries: &[Entry]) -> Option<Damage> {
    let (first, rest) = entries.split_first()?;
    let mut run = match Run::begin(first) {
        Ok(run) => run,
        Err(error) => return Some(Damage { line: 1, what: error.to_string() }),
    };
    rest.iter()
        .find_map(|entry| run.apply(entry).err().map(|error| Damage { line: entry.sequence, what: error.to_string() }))
}

/// A file read from its beginning to its end.
pub(crate) struct Scan {
    entries: Vec<Entry>,
    chain: Chain,
    good_bytes: u64,
    last_line: Vec<u8>,
    all_bytes: u64,
    torn: Option<TornTail>,
    fault: Option<(u64, LineFault)>,
}

/// A journal without damage.
pub(crate) struct Readable {
    pub(crate) contents: Contents,
    pub(crate) chain: Chain,
    /// Up to the end of the last complete line.
    pub(crate) good_bytes: u64,
    /// The bytes of the last complete line, with its line feed.
    pub(crate) last_line: Vec<u8>,
}

impl Scan {
    pub(crate) fn into_readable(self, path: &Path) -> Result<Readable, JournalError> {
        let path = path.to_owned();
        match self.fault {
            Some((line, LineFault::Damaged(what))) => Err(JournalError::Damaged { path, line, what }),
            Some((line, LineFault::Newer(what))) => Err(JournalError::Newer { path, line, what }),
            None if self.entries.is_empty() => Err(JournalError::NothingComplete { path, bytes: self.all_bytes }),
            None => Ok(Readable {
                contents: Contents { entries: self.entries, torn: self.torn },
                chain: self.chain,
                good_bytes: self.good_bytes,
                last_line: self.last_line,
            }),
        }
    }
}

pub(crate) fn scan_file(file: &mut File, path: &Path) -> Result<Scan, JournalError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|source| JournalError::io("reading", path, source))?;
    Ok(scan(&bytes))
}

fn scan(bytes: &[u8]) -> Scan {
    let mut chain = Chain::start();
    let mut entries = Vec::new();
    let (good, fault) = take_lines(&mut chain, bytes, &mut entries);
    let line = chain.sequence() + 1;
    let mut scan = Scan {
        entries,
        chain,
        good_bytes: good as u64,
        last_line: bytes[..good].split_inclusive(|byte| *byte == b'\n').next_back().unwrap_or_default().to_vec(),
        all_bytes: bytes.len() as u64,
        torn: None,
        fault: fault.map(|fault| (line, fault)),
    };
    let tail = &bytes[good..];
    if scan.fault.is_none() && !tail.is_empty() {
        match scan.chain.fault_of_tail(tail) {
            Some(what) => scan.fault = Some((line, LineFault::Damaged(what))),
            None => {
                scan.torn = Some(TornTail { line, offset_bytes: good as u64, length_bytes: tail.len() as u64 });
            }
        }
    }
    scan
}

/// Takes the complete lines of `bytes` in; tells how many bytes they had, and the first line that is none.
pub(crate) fn take_lines(chain: &mut Chain, bytes: &[u8], entries: &mut Vec<Entry>) -> (usize, Option<LineFault>) {
    let mut good = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(text) = line.strip_suffix(b"\n") else { break };
        match chain.accept(text) {
            Ok(entry) => entries.push(entry),
            Err(fault) => return (good, Some(fault)),
        }
        good += line.len();
    }
    (good, None)
}

/// Opens a journal without following a link; refuses what is not a plain file.
pub(crate) fn open_file(path: &Path, flags: OFlags) -> Result<File, JournalError> {
    // NONBLOCK: opening a named pipe in its place must not wait for a writer.
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::LOOP) => {
            return Err(JournalError::NotAFile { path: path.to_owned(), what: "a symbolic link" });
        }
        Err(errno) => return Err(JournalError::io("opening", path, errno.into())),
    };
    let kind = file.metadata().map_err(|source| JournalError::io("looking at", path, source))?;
    if kind.is_file() {
        Ok(file)
    } else {
        let what = if kind.is_dir() { "a directory" } else { "a device, pipe or socket" };
        Err(JournalError::NotAFile { path: path.to_owned(), what })
    }
}
