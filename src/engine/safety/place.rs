//! Segments that no repository has go from safety into the restored `pg_wal`.

use crate::domain::digest::Digest;
use crate::domain::wal::{SegmentSize, TimelineHistory, TimelineId, WalSegment};
use crate::domain::wal_page::{FirstPage, HEADER_BYTES};
use crate::engine::drill_directory::walk::{self, Missing};
use crate::engine::safety::wal::SUMS;
use crate::engine::safety::{SafetyError, open_plain, room_for, write_durably};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Whose segments are looked for: from the control file of the restored cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentOwner {
    /// Its system identifier.
    pub system_identifier: u64,
    /// Its segment size.
    pub segment_size: SegmentSize,
    /// The timeline that recovery follows: segments of newer ones are not placed.
    pub timeline: TimelineId,
}

/// What was placed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlacedWal {
    /// Segments and history files that are in `pg_wal` now, by name.
    pub placed: Vec<String>,
    /// Were there already with the same content (an interrupted attempt's).
    pub there: Vec<String>,
    /// Not needed: a repository has them.
    pub in_repository: u64,
    /// Not placed, each with the reason.
    pub refused: BTreeMap<String, String>,
}

/// Places every segment that is in `safety/pg_wal` and that no repository has into `pg_wal` of the restored cluster, with
/// the history file of the followed timeline where no repository has it. `in_repositories`: the names of all segments and
/// history files that at least one repository has. Size, SHA-256 and the header are looked at; nothing is ever overwritten.
///
/// # Errors
/// [`SafetyError`]: no safety folder, no `pg_wal`, no room, another file of the same name in it.
pub fn place_missing_wal(
    data_directory: &Path,
    safety: &Path,
    in_repositories: &BTreeSet<String>,
    owner: &SegmentOwner,
) -> Result<PlacedWal, SafetyError> {
    let from = safety.join("pg_wal");
    let sums = sums(&from)?;
    // a link is followed once: pg_wal may lie elsewhere
    let linked = data_directory.join("pg_wal");
    let to = std::fs::canonicalize(&linked).map_err(SafetyError::io(&linked, "finding it"))?;
    drop(walk::open(&to, Missing::Fail)?);
    let mut result = PlacedWal::default();
    let mut chosen: Vec<PathBuf> = Vec::new();
    let history = history(&from, owner.timeline)?;
    for (name, sum) in &sums {
        let path = from.join(name);
        let wanted = match WalSegment::parse(name) {
            Ok(segment) => Some(segment),
            Err(_) if *name == owner.timeline.history_file() => None,
            Err(_) => continue,
        };
        if in_repositories.contains(name) {
            result.in_repository += 1;
            continue;
        }
        let bytes = read(&path)?;
        let good = if Digest::of(&bytes) != *sum {
            Err(format!("its SHA-256 is not the one in {SUMS}"))
        } else {
            wanted.map_or(Ok(()), |segment| check(&bytes, segment, owner, history.as_ref()))
        };
        match good {
            Err(why) => {
                result.refused.insert(name.clone(), why);
            }
            Ok(()) if is_there(&to.join(name), &bytes)? => result.there.push(name.clone()),
            Ok(()) => chosen.push(path),
        }
    }
    room_for(&to, chosen.len() as u64 * owner.segment_size.bytes())?;
    for path in chosen {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        write_durably(&to.join(name), &read(&path)?, false)?;
        result.placed.push(name.to_owned());
    }
    Ok(result)
}

/// The names of what is in `safety/pg_wal`; none where there was no cluster to save any from.
///
/// # Errors
/// [`SafetyError`]: a folder without its list, a damaged list.
pub fn saved_names(safety: &Path) -> Result<BTreeSet<String>, SafetyError> {
    Ok(sums(&safety.join("pg_wal"))?.into_keys().collect())
}

/// Whether it is the segment of its name, of this cluster, on the way to the target.
fn check(
    bytes: &[u8],
    segment: WalSegment,
    owner: &SegmentOwner,
    history: Option<&TimelineHistory>,
) -> Result<(), String> {
    if bytes.len() as u64 != owner.segment_size.bytes() {
        return Err(format!("it has {} bytes, a segment has {}", bytes.len(), owner.segment_size.bytes()));
    }
    if segment.timeline > owner.timeline {
        return Err(format!("it is of timeline {}, recovery follows {}", segment.timeline, owner.timeline));
    }
    let page = FirstPage::parse(&bytes[..HEADER_BYTES.min(bytes.len())]).map_err(|error| error.to_string())?;
    let history = history.filter(|history| history.timeline == segment.timeline);
    page.check(segment, owner.system_identifier, owner.segment_size, history).map_err(|error| error.to_string())
}

/// The same content is there; another one is an error.
fn is_there(path: &Path, bytes: &[u8]) -> Result<bool, SafetyError> {
    let Some(mut file) = open_plain(path)? else { return Ok(false) };
    let mut there = Vec::new();
    file.read_to_end(&mut there).map_err(SafetyError::io(path, "reading it"))?;
    if there == bytes {
        return Ok(true);
    }
    let why = "another segment of this name is there; it is not overwritten: look at it by hand".to_owned();
    Err(SafetyError::Unexpected { path: path.to_owned(), why })
}

fn history(from: &Path, timeline: TimelineId) -> Result<Option<TimelineHistory>, SafetyError> {
    let path = from.join(timeline.history_file());
    if open_plain(&path)?.is_none() {
        return Ok(None);
    }
    let text = read(&path)?;
    TimelineHistory::parse(timeline, &String::from_utf8_lossy(&text))
        .map(Some)
        .map_err(|error| SafetyError::Unexpected { path, why: error.to_string() })
}

fn sums(from: &Path) -> Result<BTreeMap<String, Digest>, SafetyError> {
    if from.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(BTreeMap::new());
    }
    let path = from.join(SUMS);
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    let damaged = |line: &str| SafetyError::Unexpected {
        path: path.clone(),
        why: format!("'{}' is no line of sha256sum", crate::domain::text::clean(line)),
    };
    let line = |line: &str| {
        let (sum, name) = line.split_once("  ")?;
        (!name.contains('/')).then_some((name.to_owned(), Digest::parse(sum).ok()?))
    };
    text.lines().map(|text| line(text).ok_or_else(|| damaged(text))).collect()
}

fn read(path: &Path) -> Result<Vec<u8>, SafetyError> {
    let missing = || SafetyError::Unexpected { path: path.to_owned(), why: "it is not there".to_owned() };
    let mut file = open_plain(path)?.ok_or_else(missing)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(SafetyError::io(path, "reading it"))?;
    Ok(bytes)
}
