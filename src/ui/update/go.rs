//! From page to page.

use super::{accident, complain, plan, rehearsal, run};
use crate::domain::event::RunId;
use crate::ui::action::Action;
use crate::ui::model::{Cursor, Model, Page, RunState, TranscriptState};

/// What the console asks for when it opens.
#[must_use]
pub fn begin() -> Vec<Action> {
    vec![Action::LoadRuns, Action::Look(None), Action::LoadDrills, Action::LoadRunbooks]
}

/// To a page; coming back from it leads here again.
pub(super) fn to(model: &mut Model, page: Page) {
    model.pages.retain(|seen| *seen != page);
    model.pages.push(page);
    // What a search or filter was about stays with its page.
    model.popup = None;
}

pub(super) fn back(model: &mut Model) {
    if model.pages.len() > 1 {
        model.pages.pop();
    } else if model.page() != Page::Inventory {
        model.pages = vec![Page::Inventory];
    }
}

pub(super) fn timeline(model: &mut Model, out: &mut Vec<Action>) {
    if let Some(key) = model.inventory.current_set().filter(|_| model.page() == Page::Inventory) {
        // From a set one comes to its own moment.
        let stop = model.inventory.found.as_ref().and_then(|found| found.stop_of(&key));
        let newest = model.inventory.reaches().iter().filter_map(|reach| reach.stops.last().copied()).max();
        model.timeline.at = stop.filter(|stop| newest.is_none_or(|newest| *stop < newest));
        model.timeline.typed = None;
    }
    survey(model, out);
    model.timeline.choose(&model.inventory);
    to(model, Page::Timeline);
}

/// Asks how far the archive goes, unless that is known.
pub(super) fn survey(model: &Model, out: &mut Vec<Action>) {
    let stanza = model.inventory.selected().filter(|stanza| !stanza.is_nameless());
    if let Some(stanza) = stanza.filter(|stanza| !model.inventory.grounds.contains_key(&stanza.name)) {
        out.push(Action::Survey(stanza.name.clone()));
    }
}

/// Asks pgBackRest anew, with the selected stanza to be told whole.
pub(super) fn look(model: &mut Model, out: &mut Vec<Action>) {
    if !model.inventory.is_looking {
        model.inventory.is_looking = true;
        out.push(Action::Look(model.inventory.stanza.clone()));
    }
}

/// Asks for the selected stanza, unless it is there.
pub(super) fn hold_selected(model: &Model, out: &mut Vec<Action>) {
    out.extend(model.inventory.missing().map(|name| Action::ReadStanza(name.to_owned())));
}

pub(super) fn runbooks(model: &mut Model, out: &mut Vec<Action>) {
    out.push(Action::LoadRunbooks);
    to(model, Page::Runbooks);
}

pub(super) fn runs(model: &mut Model, out: &mut Vec<Action>) {
    out.push(Action::LoadRuns);
    to(model, Page::Runs);
}

/// What Enter does on a page.
pub(super) fn open(model: &mut Model, out: &mut Vec<Action>) {
    match model.page() {
        Page::Inventory => match model.inventory.current_set() {
            Some(key) => out.push(Action::Detail(key)),
            None => complain(model, "there is no set under the cursor"),
        },
        Page::Timeline => plan::to_target(model, out),
        Page::Accident => accident::open(model),
        Page::Runbooks => match model.runbooks.current().map(|card| card.name.clone()) {
            Some(name) => plan::of(model, &name, Default::default(), out),
            None => complain(model, "there is no runbook under the cursor"),
        },
        Page::Plan => plan::change(model),
        Page::Runs => match model.runs.current().map(|card| card.id.clone()) {
            Some(id) => attach(model, id, out),
            None => complain(model, "there is no run under the cursor"),
        },
        Page::Rehearsal => rehearsal::open(model, out),
        Page::Run | Page::Transcript | Page::Help => {}
    }
}

/// Follows a run on its page.
pub(super) fn attach(model: &mut Model, id: RunId, out: &mut Vec<Action>) {
    if model.run.as_ref().is_none_or(|run| run.id != id || run.lost.is_some()) {
        model.run = Some(RunState::new(id.clone()));
        out.push(Action::Attach(id));
    }
    to(model, Page::Run);
    run::look(model, out);
}

/// The transcript of the run at hand.
pub(super) fn transcript(model: &mut Model, out: &mut Vec<Action>) {
    let id = match model.page() {
        Page::Runs => model.runs.current().map(|card| card.id.clone()),
        Page::Transcript => model.transcript.run.clone(),
        _ => model.run.as_ref().map(|run| run.id.clone()),
    };
    let Some(id) = id else {
        complain(model, "there is no run to read of; 4 lists them");
        return;
    };
    if model.transcript.run.as_ref() != Some(&id) {
        model.transcript = TranscriptState { run: Some(id.clone()), ..TranscriptState::default() };
    }
    out.push(Action::LoadTranscript(id));
    to(model, Page::Transcript);
}

/// Another stanza, or only one of its repositories.
pub(super) fn select(
    model: &mut Model,
    stanza: String,
    repository: Option<crate::domain::inventory::RepositoryKey>,
    out: &mut Vec<Action>,
) {
    model.inventory.stanza = Some(stanza);
    model.inventory.repository = repository;
    model.inventory.cursor = Cursor::default();
    model.inventory.rows.clear();
    model.inventory.lay_out();
    model.timeline.at = None;
    model.timeline.typed = None;
    hold_selected(model, out);
    survey(model, out);
    model.timeline.choose(&model.inventory);
}
