//! Reading WAL for the page of an accident.

use crate::engine::accident::{Cancel, News, Place, Progress, Request, investigate};
use crate::planning::accident::Question;
use crate::settings::Settings;
use crate::ui::event::AccidentFound;

/// Reads what is asked for; broken off, it answers for what was read until then.
pub(super) fn found(
    settings: &Settings,
    stanza: Option<String>,
    question: &Question,
    cancel: &Cancel,
    tell: &mut dyn FnMut(Progress),
) -> Result<AccidentFound, String> {
    let words = |error: &dyn std::error::Error| crate::domain::text::clean_lines(&error.to_string());
    let mut place = Place::of(settings).map_err(|error| words(&error))?;
    place.pgbackrest.stanza = stanza.or(place.pgbackrest.stanza);
    let request = Request {
        table: question.table.clone(),
        user: settings.postgres.user.clone(),
        ..Request::around(question.window()?)
    };
    let found = investigate(&place, &request, cancel, &mut |news| {
        if let News::Reading(progress) = news {
            tell(progress);
        }
    });
    let found = found.map_err(|error| words(&error))?;
    let (answer, place, directory, server_zone) = (found.answer, found.place, found.directory, found.server_zone);
    Ok(AccidentFound { answer, place, directory, server_zone })
}
