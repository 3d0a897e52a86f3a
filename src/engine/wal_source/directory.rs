//! WAL that lies in a directory: `pg_wal` of a cluster, or what a run has put in safety.

use crate::domain::digest::Digest;
use crate::domain::wal::{TimelineId, WalSegment};
use crate::domain::wal_page::HEADER_BYTES;
use crate::engine::safety::SUMS;
use crate::engine::wal_source::error::CopyError;
use crate::engine::wal_source::name::hex;
use crate::engine::wal_source::unpack::{LARGEST_BYTES, UnpackError};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// A history file has a line a promotion: more than this is none.
const LARGEST_HISTORY_BYTES: u64 = 1 << 20;

/// What the name of a piece ends with.
const PARTIAL: &str = ".partial";

/// A directory with plain WAL files, as it was when it was listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WalDirectory {
    pub(super) path: PathBuf,
    /// Under a future name there may be a recycled segment: the content tells.
    pub(super) segments: BTreeSet<WalSegment>,
    /// `….partial`: what a timeline that was left had of its last one, or what is still received.
    pub(super) partials: BTreeSet<WalSegment>,
    pub(super) histories: BTreeSet<TimelineId>,
    /// The sums of what was put in safety.
    sums: BTreeMap<String, Digest>,
}

impl WalDirectory {
    /// Lists it. `pg_wal` may be a link; it is followed.
    pub(super) fn list(path: &Path) -> io::Result<WalDirectory> {
        let mut directory = WalDirectory {
            path: path.to_owned(),
            segments: BTreeSet::new(),
            partials: BTreeSet::new(),
            histories: BTreeSet::new(),
            sums: BTreeMap::new(),
        };
        for entry in std::fs::read_dir(path)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Ok(segment) = WalSegment::parse(name) {
                directory.segments.insert(segment);
            } else if let Some(segment) = name.strip_suffix(PARTIAL).and_then(|name| WalSegment::parse(name).ok()) {
                directory.partials.insert(segment);
            } else if let Some(timeline) = name.strip_suffix(".history").and_then(hex) {
                directory.histories.insert(TimelineId(timeline));
            } else if name == SUMS {
                directory.sums = sums(&path.join(SUMS))?;
            }
        }
        Ok(directory)
    }

    /// A segment's file as it is now, with its size in bytes; `None` when it is not there any more. What a running server
    /// writes into it meanwhile may be there or not.
    pub(super) fn open(&self, segment: WalSegment, is_partial: bool) -> Result<Option<(File, u64)>, CopyError> {
        let name = format!("{segment}{}", if is_partial { PARTIAL } else { "" });
        let Some(file) = open_plain(&self.path.join(&name))? else { return Ok(None) };
        let bytes = file.metadata()?.len();
        if bytes > LARGEST_BYTES {
            return Err(UnpackError::TooLarge.into());
        }
        if let Some(sum) = self.sums.get(&name)
            && digest(&file)? != *sum
        {
            return Err(CopyError::Sha256);
        }
        Ok(Some((file, bytes)))
    }

    /// The beginning of a segment's file; `None` when it is not there or too short.
    pub(super) fn head(&self, segment: WalSegment) -> io::Result<Option<[u8; HEADER_BYTES]>> {
        let Some(file) = open_plain(&self.path.join(segment.to_string()))? else { return Ok(None) };
        let mut head = [0; HEADER_BYTES];
        Ok(file.read_exact_at(&mut head, 0).is_ok().then_some(head))
    }

    /// The text of a history file.
    pub(super) fn history(&self, timeline: TimelineId) -> io::Result<Option<String>> {
        let Some(file) = open_plain(&self.path.join(timeline.history_file()))? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(LARGEST_HISTORY_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// The sum of what is in a file, which is at its beginning again after.
fn digest(mut file: &File) -> io::Result<Digest> {
    let (mut sum, mut piece) = (Sha256::new(), vec![0; 256 << 10]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            length => sum.update(&piece[..length]),
        }
    }
    file.rewind()?;
    Ok(Digest::from_bytes(sum.finalize().into()))
}

/// The list that `sha256sum` can check; a line that is none is passed over.
fn sums(path: &Path) -> io::Result<BTreeMap<String, Digest>> {
    let Some(mut file) = open_plain(path)? else { return Ok(BTreeMap::new()) };
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    let line = |line: &str| {
        let (sum, name) = line.split_once("  ")?;
        Some((name.to_owned(), Digest::parse(sum).ok()?))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// Opens a plain file without following a link in its last part; `None` where there is none.
pub(super) fn open_plain(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    if file.metadata()?.is_file() { Ok(Some(file)) } else { Err(io::Error::other("it is no plain file")) }
}
