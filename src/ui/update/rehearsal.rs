//! The rehearsal's page: where it is led to, and when the score is asked for.

use super::{complain, go, target};
use crate::engine::rehearsal::{Incident, Score};
use crate::ui::action::Action;
use crate::ui::model::{Model, Page};

/// To the page.
pub(super) fn to(model: &mut Model, out: &mut Vec<Action>) {
    if model.rehearsal.directory.is_none() {
        complain(model, "this is no practice cluster; `lifeboat rehearse` builds one");
        return;
    }
    out.extend([Action::LoadRehearsal, Action::LoadRuns]);
    go::to(model, Page::Rehearsal);
    look(model, out);
}

/// Enter: the moment is given.
pub(super) fn open(model: &mut Model, out: &mut Vec<Action>) {
    if model.rehearsal.incident.is_none() {
        complain(model, "nothing has happened to this practice cluster");
    } else {
        target::ask(model, out);
    }
}

/// Asks for the score where there is something to score.
pub(super) fn look(model: &mut Model, out: &mut Vec<Action>) {
    if model.rehearsal.is_due(&model.runs) {
        model.rehearsal.is_asking = true;
        out.push(Action::Score);
    }
}

pub(super) fn told(model: &mut Model, found: Result<Option<Incident>, String>) {
    match found {
        Ok(incident) => {
            let is_new = model.rehearsal.incident.is_none() && incident.is_some();
            (model.rehearsal.incident, model.rehearsal.problem) = (incident, None);
            // Whoever opens the console on a broken practice cluster has been paged.
            if is_new && model.pages == [Page::Inventory] {
                model.pages.push(Page::Rehearsal);
            }
        }
        Err(why) => model.rehearsal.problem = Some(why),
    }
}

pub(super) fn scored(model: &mut Model, found: Result<Score, String>) {
    model.rehearsal.is_asking = false;
    model.rehearsal.score = Some(found);
}
