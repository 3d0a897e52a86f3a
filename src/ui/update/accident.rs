//! Asking what happened, and going on from a suspect to a plan.

use super::{complain, copied, go, plan, say};
use crate::planning::accident::{Question, Suspect, discards, keeps};
use crate::planning::selection::{self, Wish};
use crate::report::accident::waldump;
use crate::ui::action::Action;
use crate::ui::event::AccidentFound;
use crate::ui::model::{AccidentState, Cursor, Item, Model, Page, Panel, Popup, Purpose, Value};
use crate::ui::times::Zone;
use std::collections::BTreeMap;

/// The runbook that stands first: the accident's own.
const IN_PLACE: &str = "pitr-in-place";
/// The one that leaves production alone.
const SIDE_BY_SIDE: &str = "pitr-side-by-side";

/// To the page; where nothing was asked yet it asks at once.
pub(super) fn go_there(model: &mut Model) {
    // From the timeline one comes with its moment.
    let at = model.timeline.at.filter(|_| model.page() == Page::Timeline);
    go::to(model, Page::Accident);
    let state = &model.accident;
    if state.question.is_none() && !state.is_reading {
        let text = at.map(|at| at.format("%Y-%m-%d %H:%M:%SZ").to_string());
        ask_when(model, text.as_deref());
    }
}

/// Asks about when, and what else narrows it down.
pub(super) fn ask_when(model: &mut Model, text: Option<&str>) {
    if model.page() != Page::Accident {
        return;
    }
    let title = "About when did it happen? A time, then as you like: window 30m, table orders";
    let text = text.unwrap_or(&model.accident.text).to_owned();
    let mut popup = Popup::input(Purpose::Accident, title, &text);
    understand(model, &mut popup);
    model.popup = Some(popup);
}

/// Says at once what was understood.
pub(super) fn understand(model: &Model, popup: &mut Popup) {
    let Popup::Input { purpose: Purpose::Accident, text, told, .. } = popup else { return };
    let zone = model.setup.zone;
    *told = if text.trim().is_empty() {
        let example = zone.local(model.utc());
        vec![
            format!("for example {}{}", example.format("%Y-%m-%d %H:%M"), zone.offset(model.utc())),
            format!("or {} for the last time it was {0} here", example.format("%H:%M")),
        ]
    } else {
        match parse(model, text) {
            Err(why) => why.split(". ").map(str::to_owned).collect(),
            Ok(question) => {
                let at = question.around;
                let side = crate::ui::times::span(i64::try_from(question.side_seconds).unwrap_or(i64::MAX));
                let table = question.table.map(|table| format!(", only what touches {table}")).unwrap_or_default();
                vec![
                    format!("UTC      {}", at.format("%Y-%m-%d %H:%M:%S%.f +00")),
                    format!(
                        "yours    {} · {}",
                        zone.local(at).format("%Y-%m-%d %H:%M:%S%.f %:z"),
                        crate::ui::times::ago(at, model.utc())
                    ),
                    format!("reads    {side} to each side{table}"),
                ]
            }
        }
    };
}

fn parse(model: &Model, text: &str) -> Result<Question, String> {
    let parsed = match model.setup.zone {
        Zone::Named(zone) => Question::parse(text, model.utc(), &zone),
        Zone::Host => Question::parse(text, model.utc(), &chrono::Local),
    };
    parsed.map_err(|error| crate::domain::text::clean(&error))
}

/// The line was taken: reads, or asks again where it was not understood.
pub(super) fn asked(model: &mut Model, text: String, out: &mut Vec<Action>) {
    match parse(model, &text) {
        Ok(question) => {
            model.accident.text = text;
            model.accident.question = Some(question);
            read(model, out);
        }
        Err(_) => {
            let mut popup = Popup::input(Purpose::Accident, "About when? This is not understood yet", &text);
            understand(model, &mut popup);
            model.popup = Some(popup);
        }
    }
}

/// Reads what was asked for; what was read before is of another question.
pub(super) fn read(model: &mut Model, out: &mut Vec<Action>) {
    let Some(question) = model.accident.question.clone() else {
        ask_when(model, None);
        return;
    };
    let stanza = model.inventory.selected().filter(|stanza| !stanza.is_nameless());
    let stanza = stanza.map(|stanza| stanza.name.clone()).or_else(|| model.setup.stanza.clone());
    let state = &mut model.accident;
    state.ticket += 1;
    (state.is_reading, state.is_leaving) = (true, false);
    (state.progress, state.found, state.problem, state.is_chosen) = (None, None, None, false);
    (state.cursor, state.top, state.panel) = (Cursor::default(), 0, Panel::Parameters);
    out.push(Action::FindAccident { ticket: state.ticket, stanza, question });
}

/// Breaks reading off; what was read until then is answered for. Whether there was anything to break off.
pub(super) fn leave(model: &mut Model, out: &mut Vec<Action>) -> bool {
    let reads = model.page() == Page::Accident && model.accident.is_reading && !model.accident.is_leaving;
    if reads {
        model.accident.is_leaving = true;
        out.push(Action::LeaveAccident);
        say(model, "reading is broken off; what was read is shown");
    }
    reads
}

/// The answer.
pub(super) fn found(model: &mut Model, found: Result<AccidentFound, String>) {
    let state = &mut model.accident;
    (state.is_reading, state.is_leaving, state.progress) = (false, false, None);
    match found {
        Ok(found) => take(state, found),
        // What was found on the way is not worth more than the failure.
        Err(why) => (state.found, state.problem) = (None, Some(why)),
    }
}

/// Suspects on the way.
pub(super) fn so_far(model: &mut Model, found: AccidentFound) {
    if model.accident.is_reading {
        take(&mut model.accident, found);
    }
}

/// The cursor follows what is proposed, or stays on what the person chose.
fn take(state: &mut AccidentState, found: AccidentFound) {
    let chosen = state.current().filter(|_| state.is_chosen).map(|suspect| (suspect.xid, suspect.commit_start_lsn));
    state.found = Some(found);
    let is_chosen = |suspect: &Suspect| Some((suspect.xid, suspect.commit_start_lsn)) == chosen;
    let place = state.suspects().iter().position(is_chosen).or_else(|| state.proposed());
    state.cursor.at = place.unwrap_or(0);
}

/// The cursor among the suspects, or the text of one.
pub(super) fn rows(model: &mut Model, rows: isize) {
    let count = model.accident.suspects().len();
    let state = &mut model.accident;
    if state.panel == Panel::Text {
        state.top = state.top.saturating_add_signed(rows);
    } else {
        state.cursor.step(rows, count);
        (state.top, state.is_chosen) = (0, true);
    }
}

/// To the one that is proposed.
pub(super) fn proposed(model: &mut Model) {
    match model.accident.proposed() {
        Some(place) => {
            model.accident.cursor.at = place;
            (model.accident.top, model.accident.is_chosen) = (0, false);
        }
        None => complain(model, "nothing is proposed: no score says accident"),
    }
}

/// The command that shows the suspect's records.
pub(super) fn copy_command(model: &mut Model, out: &mut Vec<Action>) {
    let state = &model.accident;
    let reach = state.found.as_ref().map(|found| found.reach.clone()).unwrap_or_default();
    match state.current().map(|suspect| waldump(suspect, &reach)) {
        Some(command) => copied(model, "command", command, out),
        None => complain(model, "there is no suspect under the cursor"),
    }
}

/// What is to be done: a runbook that takes a target, the accident's own first.
pub(super) fn open(model: &mut Model) {
    let Some(suspect) = model.accident.current() else {
        complain(model, "there is no suspect under the cursor; w asks about when");
        return;
    };
    let about = vec![
        format!("Stops right before transaction {}: {}.", suspect.xid, suspect.target.recovery_target()),
        format!("Keeps {}.", keeps(suspect.last_kept.as_ref())),
        format!("Discards it and {}.", discards(&suspect.discarded, "later commit")),
    ];
    let cards = model.runbooks.cards.iter().flatten();
    let mut items: Vec<Item> = cards
        .filter_map(|card| {
            let runbook = card.runbook.as_ref().ok().filter(|runbook| runbook.parameters.contains_key("target"))?;
            let value = Value::Accident(card.name.clone());
            Some(Item { label: card.name.clone(), about: runbook.title.clone(), value })
        })
        .collect();
    if items.is_empty() {
        complain(model, "no runbook that takes a target is read yet; 3 reads them");
        return;
    }
    items.sort_by_key(|item| match item.label.as_str() {
        IN_PLACE => 0,
        SIDE_BY_SIDE => 1,
        _ => 2,
    });
    model.popup = Some(Popup::picker("Use it as the target of", about, items));
}

/// A plan of this runbook to right before the suspect: target, timeline, repository and set filled in.
pub(super) fn target_with(model: &mut Model, runbook: &str, out: &mut Vec<Action>) {
    let (Some(suspect), Some(stanza)) = (model.accident.current(), model.inventory.current_stanza()) else {
        complain(model, "no stanza is known yet; 1 looks");
        return;
    };
    let (target, timeline) = (suspect.target.recovery_target(), suspect.target.timeline);
    let ground = model.inventory.ground().cloned().unwrap_or_default();
    let wish = Wish {
        repository: model.inventory.repository,
        timeline: Some(timeline),
        production_timeline: ground.production_timeline,
        production_system: ground.production_system,
        ..Wish::new(target)
    };
    let mut given = BTreeMap::from([
        ("target".to_owned(), format!("lsn:{}", suspect.target.value)),
        ("exclusive".to_owned(), suspect.target.exclusive.to_string()),
        ("timeline".to_owned(), timeline.to_string()),
    ]);
    match selection::choose(stanza, &wish, &ground.histories) {
        Ok(choice) => {
            given.insert("repository".to_owned(), choice.repository.0.to_string());
            given.insert("set".to_owned(), choice.set.to_string());
        }
        // The plan's page says it as well; there another target or set can be given.
        Err(refusal) => complain(model, &refusal.to_string()),
    }
    let card = model.runbooks.named(runbook).and_then(|card| card.runbook.as_ref().ok());
    given.retain(|name, _| card.is_some_and(|runbook| runbook.parameters.contains_key(name)));
    plan::of(model, runbook, given, out);
}
