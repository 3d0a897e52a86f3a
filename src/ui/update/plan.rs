//! Making a plan and beginning a run of it.

use super::{complain, go, say};
use crate::planning::parameters::ParameterType;
use crate::ui::action::Action;
use crate::ui::model::{Item, Model, Page, Panel, PlanState, Popup, Purpose, Value};
use std::collections::BTreeMap;

/// The runbook that a set or a moment is tried with.
const DRILL: &str = crate::engine::drills::DRILL;

/// A plan of a runbook with what was given so far.
pub(super) fn of(model: &mut Model, runbook: &str, given: BTreeMap<String, String>, out: &mut Vec<Action>) {
    let ticket = model.plan.ticket;
    model.plan = PlanState { runbook: runbook.to_owned(), given, ticket, ..PlanState::default() };
    if let Some(stanza) = model.inventory.selected().filter(|stanza| !stanza.is_nameless()) {
        let name = stanza.name.clone();
        model.plan.given.entry("stanza".to_owned()).or_insert(name);
    }
    propose(model, out);
    go::to(model, Page::Plan);
}

/// Asks for the plan anew.
pub(super) fn propose(model: &mut Model, out: &mut Vec<Action>) {
    if model.plan.runbook.is_empty() {
        return;
    }
    model.plan.ticket += 1;
    model.plan.is_asking = true;
    (model.plan.is_leaving, model.plan.progress) = (false, None);
    // What stands there is of another question now: it can't be begun.
    model.plan.proposal = None;
    model.plan.problem = None;
    let (ticket, runbook) = (model.plan.ticket, model.plan.runbook.clone());
    out.push(Action::Propose { ticket, runbook, given: model.plan.given.clone() });
}

/// Breaks the search for the plan's accident off. Whether there was anything to break off.
pub(super) fn leave(model: &mut Model, out: &mut Vec<Action>) -> bool {
    let searches = model.page() == Page::Plan && model.plan.is_searching() && !model.plan.is_leaving;
    if searches {
        model.plan.is_leaving = true;
        out.push(Action::LeavePlan);
        say(model, "the search is broken off; there is no plan, and nothing was changed");
    }
    searches
}

/// A drill of the set under the cursor.
pub(super) fn drill_set(model: &mut Model, out: &mut Vec<Action>) {
    let Some(key) = model.inventory.current_set() else {
        complain(model, "there is no set under the cursor");
        return;
    };
    let given = BTreeMap::from([
        ("stanza".to_owned(), key.stanza),
        ("repository".to_owned(), key.repository.0.to_string()),
        ("set".to_owned(), key.label.to_string()),
    ]);
    of(model, DRILL, given, out);
}

/// From the target on the timeline to a plan: with one runbook that takes a target at once, with several the person
/// says which.
pub(super) fn to_target(model: &mut Model, out: &mut Vec<Action>) {
    let cards = model.runbooks.cards.iter().flatten();
    let mut items: Vec<Item> = cards
        .filter_map(|card| {
            let runbook = card.runbook.as_ref().ok().filter(|runbook| runbook.parameters.contains_key("target"))?;
            let value = Value::Runbook(card.name.clone());
            Some(Item { label: card.name.clone(), about: runbook.title.clone(), value })
        })
        .collect();
    // What changes nothing of production stands first.
    items.sort_by_key(|item| item.label != DRILL);
    if items.len() > 1 && matches!(model.timeline.choice, Some(Ok(_))) {
        model.popup = Some(Popup::picker("What is to be done with this moment?", Vec::new(), items));
    } else {
        target_with(model, DRILL, out);
    }
}

/// A plan of this runbook to the target on the timeline, of the set that would serve.
pub(super) fn target_with(model: &mut Model, runbook: &str, out: &mut Vec<Action>) {
    let choice = match &model.timeline.choice {
        Some(Ok(choice)) => choice.clone(),
        Some(Err(why)) => {
            let why = why.clone();
            complain(model, &why);
            return;
        }
        None => {
            complain(model, "there is no backup set yet that could serve");
            return;
        }
    };
    let target = model.timeline.target();
    let text = match (&target, target.value()) {
        (_, None) => target.kind().to_owned(),
        (_, Some(value)) => format!("{}:{value}", target.kind()),
    };
    let mut given = BTreeMap::from([
        ("target".to_owned(), text),
        ("repository".to_owned(), choice.repository.0.to_string()),
        ("set".to_owned(), choice.set.to_string()),
    ]);
    if target.is_exclusive() {
        given.insert("exclusive".to_owned(), "true".to_owned());
    }
    of(model, runbook, given, out);
}

/// The names of the plan's parameters, in the order in which they are shown.
fn names(model: &Model) -> Vec<String> {
    let runbook = model.runbooks.named(&model.plan.runbook).and_then(|card| card.runbook.as_ref().ok());
    runbook.map(|runbook| runbook.parameters.keys().cloned().collect()).unwrap_or_default()
}

/// The parameter under the cursor.
fn current(model: &Model) -> Option<String> {
    names(model).get(model.plan.cursor.at).cloned()
}

/// How many parameters there are.
pub(super) fn count(model: &Model) -> usize {
    names(model).len()
}

/// Asks for the value of the parameter under the cursor: from a list where there is one.
pub(super) fn change(model: &mut Model) {
    if model.plan.panel == Panel::Text {
        other_panel(model);
        return;
    }
    let Some(name) = current(model) else {
        complain(model, "there is no parameter under the cursor");
        return;
    };
    let card = model.runbooks.named(&model.plan.runbook).and_then(|card| card.runbook.as_ref().ok());
    let Some(parameter) = card.and_then(|runbook| runbook.parameters.get(&name)) else { return };
    let bound = model.plan.proposal.as_ref().and_then(|proposal| proposal.plan.parameters.get(&name));
    let value = model.plan.given.get(&name).or(bound).cloned().unwrap_or_default();
    let words = match &parameter.kind {
        ParameterType::Set => sets(model),
        ParameterType::Repository => repositories(model),
        kind => kind.words().unwrap_or_default().into_iter().map(|word| (word, String::new())).collect(),
    };
    let title = format!("{name}: {}", parameter.about);
    model.popup = Some(if words.is_empty() {
        Popup::input(Purpose::Parameter(name), &title, &value)
    } else {
        let item = |(word, about): (String, String)| Item {
            value: Value::Parameter(name.clone(), word.clone()),
            label: word,
            about,
        };
        Popup::picker(&title, Vec::new(), words.into_iter().map(item).collect())
    });
}

fn sets(model: &Model) -> Vec<(String, String)> {
    let repository = model.plan.given.get("repository");
    let stanza = model.inventory.current_stanza();
    let repositories = stanza.into_iter().flat_map(|stanza| &stanza.repositories);
    let wanted = repositories.filter(|found| repository.is_none_or(|wanted| *wanted == found.key.0.to_string()));
    wanted
        .flat_map(|found| {
            let about = |stop| format!("{} ended {}", found.key.name(), model.setup.zone.both(stop));
            found.sets.iter().rev().map(move |set| (set.label().to_string(), about(set.stop())))
        })
        .collect()
}

fn repositories(model: &Model) -> Vec<(String, String)> {
    let stanza = model.inventory.current_stanza();
    let repositories = stanza.into_iter().flat_map(|stanza| &stanza.repositories);
    repositories.map(|found| (found.key.0.to_string(), format!("{} sets", found.sets.len()))).collect()
}

/// Gives a parameter a value and asks for the plan anew.
pub(super) fn give(model: &mut Model, name: &str, value: String, out: &mut Vec<Action>) {
    // Another repository has other sets.
    if name == "repository" && model.plan.given.get(name) != Some(&value) {
        model.plan.given.remove("set");
    }
    model.plan.given.insert(name.to_owned(), value);
    propose(model, out);
}

/// The value the machine gives.
pub(super) fn as_found(model: &mut Model, out: &mut Vec<Action>) {
    let Some(name) = current(model).filter(|_| model.page() == Page::Plan) else { return };
    if model.plan.given.remove(&name).is_some() {
        propose(model, out);
    } else {
        say(model, &format!("{name} is as it was found"));
    }
}

pub(super) fn other_panel(model: &mut Model) {
    model.plan.panel = model.plan.panel.other();
}

/// Begins the run of the plan that stands on the screen.
pub(super) fn begin(model: &mut Model, out: &mut Vec<Action>) {
    if model.page() != Page::Plan || model.plan.is_beginning {
        return;
    }
    match model.plan.proposal.take() {
        Some(proposal) => {
            model.plan.is_beginning = true;
            out.push(Action::Begin(Box::new(proposal.clone())));
            // It stays on the screen until the run is there.
            model.plan.proposal = Some(proposal);
        }
        None if model.plan.is_asking => complain(model, "the plan is not made yet"),
        None => complain(model, "there is no plan to begin: see what is wrong with it"),
    }
}
