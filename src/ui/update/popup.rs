//! What stands in front of a page: a line that is asked for, a list to choose from, a note.

use super::target::understand;
use super::{
    accident, complain, go, perform as perform_command, plan, run, say, scroll, take_popup, take_theme, target,
};
use crate::domain::event::Via;
use crate::domain::plan::StepId;
use crate::domain::text::clean;
use crate::planning::machine::Request;
use crate::planning::typing::{QUIET, Remark};
use crate::ui::action::Action;
use crate::ui::command::{Command, Place};
use crate::ui::keymap;
use crate::ui::model::{Item, Model, Page, Popup, Purpose, Value};
use crate::ui::theme::Theme;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui_textarea::{CursorMove, TextArea};
use std::collections::{BTreeMap, BTreeSet};

/// A line that is asked for is not longer, in characters.
const LONGEST_LINE: usize = 2000;
/// A note is not longer, in characters.
const LONGEST_NOTE: usize = 10_000;

/// Every action by its name.
pub(super) fn palette(model: &Model) -> Popup {
    let place = model.page().place();
    let mut seen = BTreeSet::new();
    let own = keymap::BINDINGS.iter().filter(|binding| binding.place == place);
    let general = keymap::BINDINGS.iter().filter(|binding| binding.place == Place::Everywhere);
    let moves = [Command::Up, Command::Down, Command::Palette, Command::Back];
    let bindings = own.chain(general).filter(|binding| !moves.contains(&binding.command));
    let mut items: Vec<Item> = bindings
        .filter(|binding| seen.insert(binding.command))
        .map(|binding| Item {
            label: binding.help.to_owned(),
            about: binding.keys.first().map(|key| key.name(model.setup.ascii)).unwrap_or_default(),
            value: Value::Command(binding.command),
        })
        .collect();
    items.extend(Theme::names().into_iter().map(|name| Item {
        label: format!("theme {name}"),
        about: String::new(),
        value: Value::Theme(name),
    }));
    Popup::picker("Actions", Vec::new(), items)
}

/// Another stanza or repository.
pub(super) fn switch(model: &mut Model) {
    let mut items = Vec::new();
    for stanza in model.inventory.found.iter().flat_map(|found| &found.stanzas).filter(|stanza| !stanza.is_nameless()) {
        let sets = |count: usize| format!("{count} sets");
        let all = stanza.sets();
        items.push(Item {
            label: stanza.name.clone(),
            about: sets(all),
            value: Value::Stanza(stanza.name.clone(), None),
        });
        for repository in stanza.repositories.iter().filter(|_| stanza.repositories.len() > 1) {
            items.push(Item {
                label: format!("{} {}", stanza.name, repository.key.name()),
                about: sets(repository.sets),
                value: Value::Stanza(stanza.name.clone(), Some(repository.key)),
            });
        }
    }
    if items.is_empty() {
        complain(model, "no stanza is known");
    } else {
        model.popup = Some(Popup::picker("Stanza and repository", Vec::new(), items));
    }
}

/// Narrowing a list, or searching a text.
pub(super) fn search(model: &mut Model) {
    let popup = match model.page() {
        Page::Inventory => Popup::input(Purpose::Filter, "Only sets with", &model.inventory.filter),
        Page::Runbooks => Popup::input(Purpose::Filter, "Only runbooks with", &model.runbooks.filter),
        Page::Runs => Popup::input(Purpose::Filter, "Only runs with", &model.runs.filter),
        Page::Run => {
            let text = model.run.as_ref().map_or("", |run| run.output.search.as_str());
            Popup::input(Purpose::Search, "Search the output for", text)
        }
        Page::Transcript => Popup::input(Purpose::Search, "Search the transcript for", &model.transcript.search),
        Page::Timeline | Page::Accident | Page::Plan | Page::Rehearsal | Page::Help => {
            complain(model, "there is nothing to search on this page");
            return;
        }
    };
    model.popup = Some(popup);
}

/// Something was pasted: text where text is asked for, nothing at a gate.
pub(super) fn pasted(model: &mut Model, pasted: &str) {
    if model.popup.is_none() {
        if let Some(focus) = model.run.as_mut().and_then(|run| run.gate.as_mut()) {
            focus.typing.clear(Remark::Pasted);
        }
        return;
    }
    let mut popup = take_popup(model);
    match &mut popup {
        // The word that ends a run is typed.
        Some(Popup::Input { purpose: Purpose::Abort, .. }) | None => {}
        Some(Popup::Input { text, .. }) => append(text, &clean(pasted.trim_end_matches(['\n', '\r']))),
        Some(Popup::Picker { filter, .. }) => append(filter, &clean(pasted)),
        Some(Popup::Note(area)) => {
            area.insert_str(crate::domain::text::clean_lines(pasted));
        }
    }
    changed(model, popup);
}

fn append(text: &mut String, more: &str) {
    let room = LONGEST_LINE.saturating_sub(text.chars().count());
    text.extend(more.chars().take(room));
}

/// A key that is no command: text.
pub(super) fn typed(model: &mut Model, key: KeyEvent) {
    let mut popup = take_popup(model);
    let chorded = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match &mut popup {
        Some(Popup::Input { text, .. } | Popup::Picker { filter: text, .. }) => match key.code {
            KeyCode::Char(character) if !chorded => append(text, character.encode_utf8(&mut [0; 4])),
            KeyCode::Backspace => {
                text.pop();
            }
            _ => {}
        },
        Some(Popup::Note(area)) => note_key(area, key),
        None => {}
    }
    changed(model, popup);
}

/// After the text changed: what fits it, what was understood of it.
fn changed(model: &mut Model, popup: Option<Popup>) {
    let Some(mut popup) = popup else { return };
    if let Popup::Picker { items, filter, shown, cursor, .. } = &mut popup {
        *shown = fitting(items, filter);
        cursor.clamp(shown.len());
    }
    understand(model, &mut popup);
    model.popup = Some(popup);
}

/// The items that fit a text, the best first; all of them where there is no text.
fn fitting(items: &[Item], filter: &str) -> Vec<usize> {
    if filter.trim().is_empty() {
        return (0..items.len()).collect();
    }
    let pattern = Pattern::parse(filter, CaseMatching::Ignore, Normalization::Smart);
    let mut matcher = Matcher::new(Config::DEFAULT);
    let mut buffer = Vec::new();
    let mut found: Vec<(u32, usize)> = items
        .iter()
        .enumerate()
        .filter_map(|(place, item)| {
            let text = format!("{} {}", item.label, item.about);
            let score = pattern.score(Utf32Str::new(&text, &mut buffer), &mut matcher)?;
            Some((score, place))
        })
        .collect();
    found.sort_by_key(|(score, place)| (std::cmp::Reverse(*score), *place));
    found.into_iter().map(|(_, place)| place).collect()
}

fn note_key(area: &mut TextArea<'_>, key: KeyEvent) {
    let length: usize = area.lines().iter().map(|line| line.chars().count() + 1).sum();
    let chorded = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match key.code {
        KeyCode::Char(character) if !chorded && length < LONGEST_NOTE => area.insert_char(character),
        KeyCode::Enter if length < LONGEST_NOTE => area.insert_newline(),
        KeyCode::Backspace => drop(area.delete_char()),
        KeyCode::Delete => drop(area.delete_next_char()),
        KeyCode::Left => area.move_cursor(CursorMove::Back),
        KeyCode::Right => area.move_cursor(CursorMove::Forward),
        KeyCode::Up => area.move_cursor(CursorMove::Up),
        KeyCode::Down => area.move_cursor(CursorMove::Down),
        KeyCode::Home => area.move_cursor(CursorMove::Head),
        KeyCode::End => area.move_cursor(CursorMove::End),
        _ => {}
    }
}

/// A command while something stands in front.
pub(super) fn perform(model: &mut Model, command: Command, out: &mut Vec<Action>) {
    let popup = take_popup(model);
    match (command, popup) {
        (Command::Accept, Some(Popup::Input { purpose, text, .. })) => accept_line(model, purpose, text, out),
        (Command::Accept, Some(Popup::Picker { items, shown, cursor, .. })) => {
            let Some(item) = shown.get(cursor.at).and_then(|place| items.get(*place)) else { return };
            let decides = matches!(item.value, Value::Resolve(..) | Value::Way(..) | Value::TakeOver(_));
            if decides && model.last_key.saturating_sub(model.asked_at) < QUIET {
                complain(model, "that key came too soon after the question: nothing was decided");
            } else {
                choose(model, item.value.clone(), out);
            }
        }
        (Command::Accept, Some(Popup::Note(area))) => write_note(model, &area.lines().join("\n"), out),
        (Command::AsFound, Some(Popup::Input { purpose, title, .. })) => {
            changed(model, Some(Popup::Input { purpose, title, text: String::new(), told: Vec::new() }));
        }
        (Command::AsFound, Some(Popup::Picker { title, about, items, .. })) => {
            model.popup = Some(Popup::picker(&title, about, items));
        }
        (Command::Up | Command::Down, Some(mut popup)) => {
            if let Popup::Picker { shown, cursor, .. } = &mut popup {
                cursor.step(if command == Command::Up { -1 } else { 1 }, shown.len());
            }
            model.popup = Some(popup);
        }
        _ => {}
    }
}

fn accept_line(model: &mut Model, purpose: Purpose, text: String, out: &mut Vec<Action>) {
    match purpose {
        Purpose::Target | Purpose::Way(..) => target::accept(model, purpose, &text, out),
        Purpose::Parameter(name) if name == target::PARAMETER => {
            target::accept(model, Purpose::Parameter(name), &text, out);
        }
        Purpose::Accident => accident::asked(model, text, out),
        Purpose::Parameter(name) => plan::give(model, &name, text, out),
        Purpose::Abort => run::abort(model, &text, out),
        Purpose::Filter => {
            match model.page() {
                Page::Inventory => {
                    model.inventory.filter = text;
                    model.inventory.lay_out();
                }
                Page::Runbooks => model.runbooks.filter = text,
                _ => model.runs.filter = text,
            }
            let (runs, runbooks) = (model.runs.shown().count(), model.runbooks.shown().count());
            model.runs.cursor.clamp(runs);
            model.runbooks.cursor.clamp(runbooks);
        }
        Purpose::Search => {
            if model.page() == Page::Transcript {
                model.transcript.search = text;
            } else if let Some(run) = &mut model.run {
                run.output.search = text;
            }
            scroll::find(model, false, out);
        }
    }
}

fn choose(model: &mut Model, value: Value, out: &mut Vec<Action>) {
    match value {
        Value::Command(command) => perform_command(model, command, out),
        Value::Theme(name) => take_theme(model, &name),
        Value::Stanza(stanza, repository) => go::select(model, stanza, repository, out),
        Value::Parameter(name, value) => plan::give(model, &name, value, out),
        Value::Runbook(name) => plan::target_with(model, &name, out),
        Value::Accident(name) => accident::target_with(model, &name, out),
        Value::Run(id) => go::attach(model, id, out),
        Value::Leave => {}
        Value::TakeOver(request) => run::take_over(model, request, out),
        Value::Target(purpose, text) => target::accept(model, purpose, &text, out),
        Value::Way(step, choice, true) => {
            let title = format!(
                "{choice}: to which target? It stops right before it, or with 'inclusive' behind it right after it"
            );
            target::put(model, Purpose::Way(step, choice), &title, "");
        }
        Value::Way(step, choice, false) => decide(model, step, &choice, BTreeMap::new(), out),
        Value::Resolve(step, answer) => {
            let by = model.setup.operator.clone();
            run::send(model, Request::Resolve { step, answer, by }, out);
        }
    }
}

/// Takes a way on.
pub(super) fn decide(
    model: &mut Model,
    step: StepId,
    choice: &StepId,
    values: BTreeMap<String, String>,
    out: &mut Vec<Action>,
) {
    let by = model.setup.operator.clone();
    let Some(state) = model.run.as_ref().and_then(|state| state.run.as_deref()) else { return };
    let sequence = state.open_decision().filter(|(open, _)| open.id == step).map_or(0, |(_, gate)| gate.sequence);
    let seal = state.plan.seal;
    let choice = choice.to_string();
    run::send(model, Request::Decide { step, sequence, seal, choice, values, by, via: Via::Terminal }, out);
}

fn write_note(model: &mut Model, text: &str, out: &mut Vec<Action>) {
    if text.trim().is_empty() {
        say(model, "an empty note was not written");
        return;
    }
    let by = model.setup.operator.clone();
    run::send(model, Request::Note { by, text: crate::domain::text::clean_lines(text.trim()) }, out);
}
