//! Reading WAL for the page of an accident.

use crate::engine::accident::{DirectorySource, Progress, SegmentSource, find};
use crate::engine::desk;
use crate::planning::accident::{Names, Question};
use crate::settings::Settings;
use crate::ui::event::AccidentFound;
use std::ops::ControlFlow;

/// Reads what is asked for.
pub(super) fn found(
    settings: &Settings,
    stanza: Option<&str>,
    question: &Question,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<AccidentFound, String> {
    let words = |error: &dyn std::error::Error| crate::domain::text::clean_lines(&error.to_string());
    let pgbackrest = desk::pgbackrest(settings).map_err(|error| words(&error))?;
    let config = pgbackrest.configuration().map_err(|error| words(&error))?;
    let stanza = stanza.ok_or("no stanza is known yet; 1 looks for them")?;
    let data = config.pg1_path(stanza).ok_or("the stanza has no data directory on this host")?;
    let mut source = DirectorySource::open(&data.join("pg_wal")).map_err(|error| words(&error))?;
    let window = question.window()?;
    let answer = find(&mut source, window, Names::default(), question.table.as_deref(), progress)
        .map_err(|error| words(&error))?;
    Ok(AccidentFound { answer, place: source.place(), directory: source.directory(), server_zone: None })
}
