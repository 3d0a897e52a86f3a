//! What the engineer on call has of the accident: the page, and when it came. The truth stays closed.

use crate::engine::rehearsal::Rehearsal;
use crate::engine::rehearsal::error::RehearsalError;
use crate::engine::rehearsal::truth::Truth;
use chrono::{DateTime, Utc};

/// An incident on a practice cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    /// The page.
    pub page: String,
    /// When it came: the clock of the score begins.
    pub paged_at: DateTime<Utc>,
}

/// The incident on this practice cluster; `None` where nothing has happened to it.
///
/// # Errors
/// When its files can't be read.
pub fn incident(rehearsal: &Rehearsal) -> Result<Option<Incident>, RehearsalError> {
    let path = rehearsal.layout.page();
    let page = match std::fs::read_to_string(&path) {
        Ok(page) => page,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(RehearsalError::io("cannot read", &path)(error)),
    };
    let paged_at = Truth::read_from(&rehearsal.layout)?.paged_at;
    Ok(Some(Incident { page, paged_at }))
}
