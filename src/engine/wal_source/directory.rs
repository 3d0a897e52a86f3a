//! WAL that lies in a directory: `pg_wal` of a cluster, or what a run has put in safety.

use crate::domain::digest::Digest;
use crate::domain::wal::{TimelineId, WalSegment};
use crate::domain::wal_page::{FirstPage, HEADER_BYTES};
use crate::engine::safety::SUMS;
use crate::engine::wal_source::error::CopyError;
use crate::engine::wal_source::name::hex;
use crate::engine::wal_source::unpack::{LARGEST_BYTES, UnpackError};
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
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

    /// A segment as it is now; `None` when it is not there any more. What a running server writes into it meanwhile may be
    /// there or not; that it was recycled meanwhile is found out.
    pub(super) fn read(&self, segment: WalSegment, is_partial: bool) -> Result<Option<Vec<u8>>, CopyError> {
        let name = format!("{segment}{}", if is_partial { PARTIAL } else { "" });
        let Some(file) = open_plain(&self.path.join(&name))? else { return Ok(None) };
        let mut bytes = Vec::new();
        (&file).take(LARGEST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST_BYTES {
            return Err(UnpackError::TooLarge.into());
        }
        if let Some(sum) = self.sums.get(&name)
            && Digest::of(&bytes) != *sum
        {
            return Err(CopyError::Sha256);
        }
        // A recycled segment gets its new first page before any other: the old one still there means that all was old.
        let mut head = [0; HEADER_BYTES];
        let is_read = bytes.len() >= HEADER_BYTES && file.read_exact_at(&mut head, 0).is_ok();
        if is_read && FirstPage::parse(&head) != FirstPage::parse(&bytes) {
            return Ok(None);
        }
        Ok(Some(bytes))
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
