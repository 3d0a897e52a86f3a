//! Keeping: every part into its chest, disarmed.

use crate::domain::event::RunId;
use crate::engine::clock;
use crate::engine::drill_directory::walk::{self, Missing};
use crate::engine::drill_directory::{mark, remove_marked};
use crate::engine::kept::record::{KeptState, Record, RecordedPart, read_record};
use crate::engine::kept::{CONTENT, KeptError, control, copy, moves, survey};
use crate::planning::keeping::{KeepOption, PartKind, PlannedPart, Way};
use chrono::{DateTime, Utc};
use rustix::fs::Mode;
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The directory with the record: what [`crate::engine::kept::put_back()`] and
    /// [`crate::engine::kept::remove_kept`] are given.
    pub home: PathBuf,
    /// The record.
    pub record: Record,
    /// Files and directories that were copied now (not those of an interrupted attempt's renames).
    pub copied_entries: u64,
    /// Sockets and the like, which are not copied.
    pub left_out_entries: u64,
}

/// Keeps the cluster as `option` says. Done again after an interruption it goes on; done again when all is kept it does
/// nothing. The server has to be stopped.
///
/// After [`Way::Rename`] the data directory is there, empty, with its owner and mode, ready for a restore without
/// `--delta`. After a copy everything is in place as it was, ready for one with `--delta`.
///
/// # Errors
/// [`KeptError`]. Before the record is written nothing is changed.
pub fn keep(run: &RunId, now: DateTime<Utc>, option: &KeepOption) -> Result<Kept, KeptError> {
    keep_parts(run, now, &option.parts)
}

/// As [`keep`], from the parts alone: those of the record of an interrupted attempt, when a survey would no longer find
/// what has moved.
///
/// # Errors
/// As [`keep`].
pub fn keep_parts(run: &RunId, now: DateTime<Utc>, parts: &[PlannedPart]) -> Result<Kept, KeptError> {
    let data = data_part(parts)?;
    let home = data.chest.clone();
    control::nobody_runs(&data.from)?;
    control::nobody_runs(&home.join(CONTENT))?;
    let known = if moves::exists(&home) { read_record(run, &home)? } else { None };
    let mut record = match known {
        Some(record) => continued(record, parts, &home)?,
        None => begin(run, now, parts, data, &home)?,
    };
    let mut kept = Kept { home: home.clone(), record: record.clone(), copied_entries: 0, left_out_entries: 0 };
    if record.state == KeptState::Kept {
        return Ok(kept);
    }
    for part in parts {
        drop(mark(run, &part.chest)?);
    }
    for part in &record.parts {
        let planned = &part.planned;
        match planned.way {
            Way::Rename => rename(planned, part.mode)?,
            Way::Reflink | Way::Copy => {
                let copied = copy_to(run, &planned.from, &planned.chest, CONTENT, planned.way, planned.kind)?;
                kept.copied_entries += copied.entries;
                kept.left_out_entries += copied.left_out;
            }
        }
    }
    record.state = KeptState::Kept;
    record.write(&home)?;
    kept.record = record;
    Ok(kept)
}

pub(super) fn data_part(parts: &[PlannedPart]) -> Result<&PlannedPart, KeptError> {
    let data = parts.iter().find(|part| part.kind == PartKind::Data);
    data.ok_or_else(|| KeptError::unexpected("/", "this way keeps no data directory: there is nothing to do"))
}

/// The record of an earlier attempt, if it is of this very plan.
fn continued(record: Record, parts: &[PlannedPart], home: &Path) -> Result<Record, KeptError> {
    if !record.parts.iter().map(|part| &part.planned).eq(parts) {
        return Err(KeptError::unexpected(
            home,
            "this run has begun to keep the cluster in another way; go on with that one",
        ));
    }
    match record.state {
        KeptState::Keeping | KeptState::Kept => Ok(record),
        KeptState::PuttingBack { .. } | KeptState::PutBack => Err(KeptError::unexpected(
            home,
            "this run's kept cluster was brought back; begin a new run to keep it again",
        )),
    }
}

/// Looks at everything, then makes the home and writes the record.
fn begin(
    run: &RunId,
    now: DateTime<Utc>,
    parts: &[PlannedPart],
    data: &PlannedPart,
    home: &Path,
) -> Result<Record, KeptError> {
    let mut record = Record::new(run, now, &data.from);
    record.version = survey::version(&data.from)?;
    record.system_identifier = control::identity(&data.from)?.map(|identity| identity.system_identifier);
    record.links = survey::links_out(&data.from)?;
    for part in parts {
        let directory = walk::open(&part.from, Missing::Fail)?;
        let stat = rustix::fs::fstat(&directory).map_err(KeptError::system(&part.from, "looking at it"))?;
        if part.way == Way::Rename {
            moves::nothing_mounted(&part.from)?;
        }
        if part.chest.starts_with(&data.from) {
            return Err(KeptError::unexpected(&part.chest, "it lies inside the cluster that is to be kept"));
        }
        record.parts.push(RecordedPart { planned: part.clone(), mode: stat.st_mode & 0o7777 });
    }
    drop(mark(run, home)?);
    record.write(home)?;
    Ok(record)
}

fn rename(part: &PlannedPart, mode: u32) -> Result<(), KeptError> {
    let content = part.chest.join(CONTENT);
    if moves::exists(&content) {
        // a restore begins only after the record says "kept"
        if moves::exists(&part.from) && !moves::is_empty_directory(&part.from)? {
            return Err(KeptError::unexpected(
                &part.from,
                "it was moved away, and somebody has put something there since",
            ));
        }
    } else {
        if part.kind == PartKind::Data {
            // before it moves: at no moment can it be started from either place
            control::disarm(&part.from)?;
        }
        moves::move_directory(&part.from, &content)?;
    }
    if part.kind == PartKind::Data { make_empty(&part.from, mode) } else { Ok(()) }
}

/// The place for the restore: PostgreSQL's owner may be unable to make it again where its parent is root's.
fn make_empty(path: &Path, mode: u32) -> Result<(), KeptError> {
    let (parent_path, name) = walk::parent_and_name(path)?;
    let parent = walk::open(parent_path, Missing::Fail)?;
    match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(KeptError::system(path, "making it again")(errno)),
    }
    let directory = walk::open_child(&parent, name, path)?;
    rustix::fs::fchmod(&directory, Mode::from_raw_mode(mode)).map_err(KeptError::system(path, "setting its mode"))?;
    rustix::fs::fsync(&parent).map_err(KeptError::system(parent_path, "syncing the directory"))
}

/// Copies a tree to `chest/name`: first under another name, which tells the boot. What an attempt of another boot left is
/// removed: nobody knows what of it reached the disk.
pub(super) fn copy_to(
    run: &RunId,
    from: &Path,
    chest: &Path,
    name: &str,
    way: Way,
    kind: PartKind,
) -> Result<copy::Copied, KeptError> {
    let finished = chest.join(name);
    if moves::exists(&finished) {
        return Ok(copy::Copied::default());
    }
    let boot: String = clock::boot_id().chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    let own = chest.join(format!("copying-{boot}"));
    let directory = walk::open(chest, Missing::Fail)?;
    for found in walk::names(&directory, chest)? {
        let path = walk::below(chest, &found);
        if found.to_bytes().starts_with(b"copying-") && path != own {
            // completes a mark that was begun
            drop(mark(run, &path)?);
            remove_marked(run, &path)?;
        }
    }
    drop(mark(run, &own)?);
    let unfinished = own.join(CONTENT);
    let copied = copy::copy_tree(from, &unfinished, way, kind == PartKind::Data)?;
    moves::move_directory(&unfinished, &finished)?;
    remove_marked(run, &own)?;
    Ok(copied)
}
