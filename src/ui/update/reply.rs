//! Answers, and news of the run that is followed.

use super::{accident, complain, gate, go, rehearsal, run, say, target};
use crate::domain::event::RunId;
use crate::domain::inventory::{Known, Stanza};
use crate::ui::action::{Action, Anchor, OutputKey};
use crate::ui::command::Command;
use crate::ui::event::{OutputPage, Reply, RunCard};
use crate::ui::model::{Item, Model, Page, Popup, Value};
use std::sync::Arc;

/// What became of a plan whose search was broken off when it had just ended.
const LEFT_AT_THE_END: &str = "the search for the accident was broken off; to look again, take the parameter once more";

/// Takes in an answer.
pub(super) fn take(model: &mut Model, reply: Reply, out: &mut Vec<Action>) {
    match reply {
        Reply::Inventory(found, drills) => {
            inventory(model, found, out);
            model.inventory.drills = Some(drills);
        }
        Reply::Kept(found) => kept(model, *found),
        Reply::Stanza(name, read_at, found) => {
            // One of an earlier answer would stand under the time of a later one.
            let is_of_this = model.inventory.found.as_ref().is_some_and(|known| known.read_at == read_at);
            if is_of_this && model.inventory.missing() == Some(&name) {
                stanza(model, found, out);
            }
        }
        Reply::Drills(drills) => model.inventory.drills = Some(drills),
        Reply::Ground(stanza, ground) => {
            model.inventory.grounds.insert(stanza, ground);
            model.timeline.choose(&model.inventory);
            target::again(model);
        }
        Reply::Detail(key, detail) => {
            if let Err(why) = &detail {
                complain(model, &why.clone());
            }
            model.inventory.detail = Some((key, detail));
        }
        Reply::AccidentProgress(ticket, progress) if ticket == model.accident.ticket => {
            model.accident.progress = Some(progress);
        }
        Reply::Accident(ticket, found) if ticket == model.accident.ticket => accident::found(model, found),
        Reply::AccidentSoFar(ticket, found) if ticket == model.accident.ticket => accident::so_far(model, *found),
        Reply::AccidentProgress(..) | Reply::AccidentSoFar(..) | Reply::Accident(..) => {}
        Reply::Runbooks(found) => {
            let (cards, problem) = split(found);
            model.runbooks.cards = cards.or(model.runbooks.cards.take());
            model.runbooks.problem = problem;
            let count = model.runbooks.shown().count();
            model.runbooks.cursor.clamp(count);
        }
        Reply::Proposal(ticket, found) if ticket == model.plan.ticket => {
            // It was said that there is none: one that was nearly made by then is not taken either.
            let found = if model.plan.is_leaving { found.and(Err(LEFT_AT_THE_END.to_owned())) } else { found };
            (model.plan.is_asking, model.plan.is_leaving, model.plan.progress) = (false, false, None);
            (model.plan.proposal, model.plan.problem) = split(found.map(|found| *found));
        }
        Reply::ProposalProgress(ticket, progress) if ticket == model.plan.ticket && model.plan.is_asking => {
            model.plan.progress = Some(progress);
        }
        // Of a question that was put otherwise since.
        Reply::Proposal(..) | Reply::ProposalProgress(..) => {}
        Reply::Begun(found) => begun(model, found, out),
        Reply::Runs(found) => runs(model, found),
        Reply::Run(news) => run::take(model, news, out),
        Reply::Lost(id, why) => {
            if let Some(state) = model.run.as_mut().filter(|state| state.id == id) {
                state.lost = Some(why);
            }
        }
        Reply::Output(key, page) => output(model, &key, page),
        Reply::Found(key, place) => found(model, key, place, out),
        Reply::Answered(id, result) => answered(model, &id, &result),
        Reply::Driven(id, request, driver) => run::driven(model, &id, request, &driver),
        Reply::Rehearsal(found) => rehearsal::told(model, found),
        Reply::Score(found) => rehearsal::scored(model, found),
        Reply::Transcript(id, found) => {
            if model.transcript.run.as_ref() == Some(&id) {
                (model.transcript.lines, model.transcript.problem) = split(found);
            }
        }
        Reply::Failed(why) => complain(model, &why),
    }
}

fn split<T>(found: Result<T, String>) -> (Option<T>, Option<String>) {
    match found {
        Ok(found) => (Some(found), None),
        Err(why) => (None, Some(why)),
    }
}

/// What there is to do on a practice cluster: once, when its backups are there.
fn welcome(model: &mut Model) {
    let Some(directory) = model.setup.practice.take().filter(|_| model.popup.is_none()) else { return };
    let about = [
        format!("It is real, it runs in {directory}, and nothing of this host's own PostgreSQL is touched."),
        "A drill restores one of its backup sets beside it, starts it, proves it, removes it.".to_owned(),
        "On the plan's page b begins the run. At a gate g goes to it; the answer is main, typed.".to_owned(),
        "Enter alone, typing ahead and pasting approve nothing. q leaves; what is begun goes on.".to_owned(),
    ];
    let item =
        |label: &str, command| Item { label: label.into(), about: String::new(), value: Value::Command(command) };
    let items = vec![
        item("plan a drill of the newest backup set", Command::Drill),
        item("look around first", Command::GoInventory),
    ];
    model.popup = Some(Popup::picker("A practice cluster to rehearse on", about.into(), items));
}

fn inventory(model: &mut Model, found: Result<Known, String>, out: &mut Vec<Action>) {
    model.inventory.is_looking = false;
    match found {
        Ok(found) => {
            model.inventory.is_kept = false;
            model.inventory.take(found);
            model.inventory.problem = None;
            welcome(model);
            // New segments came since.
            model.inventory.grounds.clear();
            go::hold_selected(model, out);
            go::survey(model, out);
        }
        // What was known before stays on the screen, with its age.
        Err(why) => {
            if model.inventory.has_sets() {
                complain(model, &format!("the last look failed: {}", why.lines().next().unwrap_or_default()));
            }
            model.inventory.problem = Some(why);
        }
    }
    model.timeline.choose(&model.inventory);
}

/// The last known inventory, while pgBackRest is asked: nothing rests on it but what is shown.
fn kept(model: &mut Model, found: Known) {
    if model.inventory.found.is_none() {
        model.inventory.is_kept = true;
        model.inventory.take(found);
        model.timeline.choose(&model.inventory);
    }
}

/// A stanza that was selected.
fn stanza(model: &mut Model, found: Result<Arc<Stanza>, String>, out: &mut Vec<Action>) {
    match found {
        Ok(whole) => {
            model.inventory.hold(whole);
            go::survey(model, out);
            model.timeline.choose(&model.inventory);
        }
        Err(why) => {
            model.inventory.problem = Some(why);
            go::look(model, out);
        }
    }
}

fn begun(model: &mut Model, found: Result<RunId, String>, out: &mut Vec<Action>) {
    model.plan.is_beginning = false;
    match found {
        Ok(id) => {
            say(model, &format!("run {id} has begun; it does not need this terminal"));
            // Its name is used up: another run needs a plan of its own.
            model.plan.proposal = None;
            model.pages.retain(|page| *page != Page::Plan);
            out.push(Action::LoadRuns);
            go::attach(model, id, out);
        }
        Err(why) => {
            model.plan.proposal = None;
            model.plan.problem = Some(why.clone());
            complain(model, &why);
        }
    }
}

fn runs(model: &mut Model, found: Result<Vec<RunCard>, String>) {
    let (cards, problem) = split(found);
    model.runs.cards = cards.or(model.runs.cards.take());
    model.runs.problem = problem;
    let count = model.runs.shown().count();
    model.runs.cursor.clamp(count);
    if model.runs.is_told || model.runs.cards.is_none() {
        return;
    }
    // Once, when the console opens: a run that is on comes first.
    model.runs.is_told = true;
    let open: Vec<Item> = model
        .runs
        .cards
        .iter()
        .flatten()
        .filter_map(|card| {
            let told = card.told.as_ref().ok().filter(|told| told.is_open)?;
            let waits = told.gate.as_ref().map(|gate| format!(" at gate {gate}")).unwrap_or_default();
            let about = format!("{}{waits}, begun by {} {}", told.outcome, told.by, ago(model, told.began));
            Some(Item { label: format!("{} {}", card.id, told.runbook), about, value: Value::Run(card.id.clone()) })
        })
        .collect();
    if !open.is_empty() && model.popup.is_none() && model.page() != Page::Run {
        model.popup = Some(Popup::picker("A run is on", vec!["Enter opens it; Esc leaves it to itself.".into()], open));
    }
}

fn ago(model: &Model, at: chrono::DateTime<chrono::FixedOffset>) -> String {
    crate::ui::times::ago(at.to_utc(), model.utc())
}

fn output(model: &mut Model, key: &OutputKey, page: OutputPage) {
    let Some(state) = model.run.as_mut().filter(|state| state.output.key.as_ref() == Some(key)) else { return };
    // Who scrolled away meanwhile does not want the end any more.
    if state.output.is_followed || page.end < page.length || page.lines.is_empty() || state.output.page.end != page.end
    {
        state.output.page = page;
    }
}

fn found(model: &mut Model, key: OutputKey, place: Option<u64>, out: &mut Vec<Action>) {
    let Some(state) = model.run.as_mut().filter(|state| state.output.key.as_ref() == Some(&key)) else { return };
    match place {
        Some(place) => {
            state.output.is_followed = false;
            out.push(Action::ReadOutput(key, Anchor::From(place)));
        }
        None => {
            let text = format!("'{}' stands at no other place in this direction", state.output.search);
            say(model, &text);
        }
    }
}

fn answered(model: &mut Model, id: &RunId, result: &Result<String, String>) {
    if model.run.as_ref().is_none_or(|run| run.id != *id) {
        return;
    }
    let at_gate = model.run.as_ref().is_some_and(|run| run.gate.as_ref().is_some_and(|focus| focus.is_sent));
    gate::answered(model, result);
    match result {
        Ok(words) => say(model, &words.clone()),
        // At the gate the refusal stands with the answer.
        Err(_) if at_gate => {}
        Err(why) => complain(model, &why.clone()),
    }
}
