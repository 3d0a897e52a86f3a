//! Reading WAL for the page of an accident.

use crate::engine::accident::{Cancel, News, Place, Progress, Request, investigate};
use crate::planning::accident::{Answer, Question, Reach};
use crate::settings::Settings;
use crate::ui::event::AccidentFound;

/// What is heard while it is read.
pub(super) enum Heard {
    /// How far it is.
    Progress(Progress),
    /// The suspects so far.
    SoFar(Box<AccidentFound>),
}

/// Of what is not finished only the suspects count: what the notes say may change with the next segment.
fn so_far(answer: &Answer) -> AccidentFound {
    let answer = Answer { notes: Vec::new(), ..answer.clone() };
    AccidentFound { answer, place: "what was read so far".to_owned(), reach: Reach::default(), server_zone: None }
}

/// Reads what is asked for; broken off, it answers for what was read until then.
pub(super) fn found(
    settings: &Settings,
    stanza: Option<String>,
    question: &Question,
    cancel: &Cancel,
    tell: &mut dyn FnMut(Heard),
) -> Result<AccidentFound, String> {
    let words = |error: &dyn std::error::Error| crate::domain::text::clean_lines(&error.to_string());
    let mut place = Place::of(settings).map_err(|error| words(&error))?;
    place.pgbackrest.stanza = stanza.or(place.pgbackrest.stanza);
    let request = Request {
        table: question.table.clone(),
        user: settings.postgres.user.clone(),
        ..Request::around(question.window()?)
    };
    let found = investigate(&place, &request, cancel, &mut |news| match news {
        News::Reading(progress) => tell(Heard::Progress(progress)),
        News::SoFar(answer) => tell(Heard::SoFar(Box::new(so_far(answer)))),
        News::Names | News::Listing | News::Looking(_) => {}
    });
    let found = found.map_err(|error| words(&error))?;
    let (answer, place, reach, server_zone) = (found.answer, found.place, found.reach, found.server_zone);
    Ok(AccidentFound { answer, place, reach, server_zone })
}
