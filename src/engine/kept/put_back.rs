//! The way back: what is in place now goes aside, the kept cluster returns.

use crate::domain::event::RunId;
use crate::engine::drill_directory::{empty_what_was_copied, mark};
use crate::engine::kept::keep::copy_to;
use crate::engine::kept::record::{KeptState, Record, RecordedPart, read_record};
use crate::engine::kept::survey::{aside_of, copied_aside, tablespaces};
use crate::engine::kept::{CONTENT, KeptError, control, copy, moves};
use crate::planning::keeping::{PartKind, Way};
use std::path::{Path, PathBuf};

/// What was brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBack {
    /// The data directory, ready to be started.
    pub data_directory: PathBuf,
    /// Where the cluster went that was in place until now: nothing of it was deleted, and it can't be started.
    pub aside: Vec<PathBuf>,
    /// Tablespaces of that cluster which the kept one does not have: they were left where they are.
    pub left_in_place: Vec<PathBuf>,
    /// The record as it is now.
    pub record: Record,
}

/// Under this name a copy stays in its chest after it was copied back.
const USED: &str = "put-back";

/// Brings the kept cluster back. Done again after an interruption it goes on; where keeping itself was interrupted, what
/// had been moved by then is brought back. `home` is the directory with the record.
///
/// # Errors
/// [`KeptError`]; up to the first move nothing is changed: the record, the identity of the kept cluster, running servers and
/// mount points are looked at before.
pub fn put_back(run: &RunId, home: &Path) -> Result<PutBack, KeptError> {
    let Some(mut record) = read_record(run, home)? else {
        return Err(KeptError::unexpected(home, "nothing was kept here: keeping was interrupted before it began"));
    };
    let data_directory = record.data_directory.clone();
    let data_chest = home.join(CONTENT);
    control::nobody_runs(&data_directory)?;
    control::nobody_runs(&data_chest)?;
    let unfinished = match record.state {
        KeptState::Keeping => true,
        KeptState::Kept => false,
        KeptState::PuttingBack { unfinished } => unfinished,
        KeptState::PutBack => return Ok(done(run, record, Vec::new())),
    };
    let parts: Vec<RecordedPart> =
        record.parts.iter().filter(|part| !unfinished || part.planned.way == Way::Rename).cloned().collect();
    verify(&record, &parts, unfinished)?;
    let left_in_place = left_in_place(&record);
    record.state = KeptState::PuttingBack { unfinished };
    record.write(home)?;
    // while the kept data is in its chest, what stands in its place is the restored cluster
    if parts.iter().any(|part| part.planned.kind == PartKind::Data) && moves::exists(&data_chest) {
        control::disarm(&data_directory)?;
    }
    for part in &parts {
        exchange(run, part)?;
    }
    // last: only a whole cluster can be started
    control::arm(&data_directory)?;
    record.state = KeptState::PutBack;
    record.write(home)?;
    Ok(done(run, record, left_in_place))
}

fn done(run: &RunId, record: Record, left_in_place: Vec<PathBuf>) -> PutBack {
    let asides = record.parts.iter().map(|part| &part.planned);
    let asides = asides.flat_map(|part| [aside_of(run, part.kind, &part.from), copied_aside(&part.chest)]);
    let aside = asides.filter(|aside| moves::exists(aside)).collect();
    PutBack { data_directory: record.data_directory.clone(), aside, left_in_place, record }
}

/// Looks at everything before anything is moved.
fn verify(record: &Record, parts: &[RecordedPart], unfinished: bool) -> Result<(), KeptError> {
    for part in parts {
        let planned = &part.planned;
        let content = planned.chest.join(CONTENT);
        let going_on = matches!(record.state, KeptState::PuttingBack { .. });
        if !moves::exists(&content) && !unfinished && !going_on {
            return Err(KeptError::unexpected(content, "the kept part is not there any more"));
        }
        if moves::exists(&content) {
            moves::nothing_mounted(&content)?;
        }
        let fills = planned.way == Way::Copy && moves::is_mounted_alone(&planned.from)?;
        if moves::exists(&planned.from) && !fills {
            moves::nothing_mounted(&planned.from)?;
        }
        if planned.kind == PartKind::Data && moves::exists(&content) {
            let found = control::identity(&content)?.map(|identity| identity.system_identifier);
            if found != record.system_identifier {
                let told = |it: Option<u64>| it.map_or("none".to_owned(), |it| it.to_string());
                let why = format!(
                    "its system identifier is {}, the record says {}",
                    told(found),
                    told(record.system_identifier)
                );
                return Err(KeptError::unexpected(content, why));
            }
        }
    }
    Ok(())
}

/// What of the cluster that is in place now lies where nothing is brought back to. Not knowing is no reason to stop: a half
/// restored cluster may have no `pg_tblspc`.
fn left_in_place(record: &Record) -> Vec<PathBuf> {
    let found = tablespaces(&record.data_directory).unwrap_or_default();
    let known = |path: &PathBuf| record.parts.iter().any(|part| part.planned.from == *path);
    found.into_iter().map(|tablespace| tablespace.directory).filter(|path| !known(path)).collect()
}

fn exchange(run: &RunId, part: &RecordedPart) -> Result<(), KeptError> {
    let planned = &part.planned;
    let (from, content) = (&planned.from, planned.chest.join(CONTENT));
    if !moves::exists(&content) {
        // brought back before, or never moved
        return if moves::exists(from) {
            Ok(())
        } else {
            Err(KeptError::unexpected(from, "it is neither here nor among what was kept"))
        };
    }
    if moves::is_mounted_alone(from)? {
        return exchange_filling(run, part);
    }
    let aside_chest = aside_of(run, planned.kind, from);
    drop(mark(run, &aside_chest)?);
    let aside = aside_chest.join(CONTENT);
    let elsewhere = moves::device(&content)? != moves::device(&aside_chest)?;
    if moves::exists(from) {
        if !moves::exists(&aside) {
            moves::move_directory(from, &aside)?;
        } else if elsewhere {
            // copied back, and interrupted before the copy was put out of the way
            return moves::move_directory(&content, &planned.chest.join(USED));
        }
    } else if !moves::exists(&aside) {
        // so that what is in place later is known to be the copy
        drop(mark(run, &aside)?);
    }
    if !elsewhere {
        return moves::move_directory(&content, from);
    }
    copy_to(run, &content, &aside_chest, "incoming", Way::Copy, PartKind::Wal)?;
    moves::move_directory(&aside_chest.join("incoming"), from)?;
    moves::move_directory(&content, &planned.chest.join(USED))
}

/// For a mount point, which can't be renamed: what is in it is copied aside, beside what was kept; then it is emptied, and
/// filled with that. It is emptied only when the copy is whole; interrupted from there on, it is emptied and filled again.
pub(super) fn exchange_filling(run: &RunId, part: &RecordedPart) -> Result<(), KeptError> {
    let planned = &part.planned;
    let (from, content) = (&planned.from, planned.chest.join(CONTENT));
    let aside_chest = copied_aside(&planned.chest);
    drop(mark(run, &aside_chest)?);
    // disarmed in place before: the copy is, too
    copy_to(run, from, &aside_chest, CONTENT, Way::Copy, PartKind::Wal)?;
    empty_what_was_copied(from)?;
    copy::copy_tree(&content, from, Way::Copy, false)?;
    moves::move_directory(&content, &planned.chest.join(USED))
}
