//! Removing what was kept, by its mark.

use crate::domain::event::RunId;
use crate::engine::drill_directory::{Removed, remove_marked};
use crate::engine::kept::record::{KeptState, read_record};
use crate::engine::kept::survey::aside_of;
use crate::engine::kept::{KeptError, moves};
use std::path::Path;

/// Removes the kept cluster of `run`, and what its way back put aside. The record goes last, so an interrupted removal can
/// be done again; a home that does not exist (any more) is fine.
///
/// # Errors
/// [`KeptError`]: the record is not of this run, keeping or putting back is unfinished, a mount point or a live server in
/// one of the directories.
pub fn remove_kept(run: &RunId, home: &Path) -> Result<Removed, KeptError> {
    if !moves::exists(home) {
        return Ok(Removed::default());
    }
    let mut removed = Removed::default();
    let mut remove = |path: &Path| -> Result<(), KeptError> {
        let more = remove_marked(run, path)?;
        removed.entries += more.entries;
        removed.bytes += more.bytes;
        Ok(())
    };
    if let Some(record) = read_record(run, home)? {
        match record.state {
            KeptState::Kept | KeptState::PutBack => {}
            KeptState::Keeping | KeptState::PuttingBack { .. } => {
                return Err(KeptError::unexpected(home, "keeping or putting back was interrupted: finish that first"));
            }
        }
        for part in record.parts.iter().rev() {
            remove(&aside_of(run, part.planned.kind, &part.planned.from))?;
            if part.planned.chest != home {
                remove(&part.planned.chest)?;
            }
        }
    }
    remove(home)?;
    Ok(removed)
}
