//! What happens when something happens: `(state, event) -> actions`. No drawing and no I/O.

mod accident;
mod gate;
mod go;
mod plan;
mod popup;
mod rehearsal;
mod reply;
mod run;
mod scroll;
mod target;

pub use go::begin;

use crate::ui::action::Action;
use crate::ui::command::{Command, Place};
use crate::ui::event::Event;
use crate::ui::keymap;
use crate::ui::model::{Model, Notice, Page, Popup};
use crate::ui::theme::Theme;
use chrono::TimeDelta;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::time::Duration;

/// A sentence stays at least this long.
const NOTICE_SECONDS: i64 = 4;
/// The list of runs is read again so often, in seconds, while it is looked at.
const RUNS_EVERY_SECONDS: i64 = 5;
/// The score is asked for again so often, in seconds, while it is looked at and the shop has not taken an order.
const SCORE_EVERY_SECONDS: i64 = 3;

/// Takes in an event; what is to be done outside comes back.
pub fn update(model: &mut Model, event: Event) -> Vec<Action> {
    let mut out = Vec::new();
    match event {
        Event::Key(key, _) if key.kind == KeyEventKind::Release => {}
        Event::Key(key, at) => pressed(model, key, at, &mut out),
        Event::Paste(text) => popup::pasted(model, &text),
        Event::Resize(columns, rows) => {
            model.size = (columns, rows);
            run::look(model, &mut out);
        }
        Event::Tick(now) => tick(model, now, &mut out),
        Event::Stop => out.push(Action::Suspend),
        Event::Reply(reply) => reply::take(model, *reply, &mut out),
    }
    out
}

fn tick(model: &mut Model, now: chrono::DateTime<chrono::FixedOffset>, out: &mut Vec<Action>) {
    model.now = now;
    if matches!(model.page(), Page::Runs | Page::Rehearsal) && now.timestamp() % RUNS_EVERY_SECONDS == 0 {
        out.push(Action::LoadRuns);
    }
    if model.page() == Page::Rehearsal && now.timestamp() % SCORE_EVERY_SECONDS == 0 {
        rehearsal::look(model, out);
    }
}

/// A terminal sends Esc and a key that follows at once exactly as it sends Alt with that key, and a slow link or a busy
/// host makes "at once" of whatever was typed. No command here has Alt, so both keys are heard. Only a note, where hands
/// look for the Alt keys of an editor and Esc gives up what was written, takes it for Alt, which does nothing.
fn apart(model: &Model, key: KeyEvent) -> Option<(KeyEvent, KeyEvent)> {
    let is_alt = key.modifiers.contains(KeyModifiers::ALT) && model.place() != Place::Note;
    // Arrows and their like tell of Alt by a number of their own.
    let by_prefix = matches!(key.code, KeyCode::Char(_) | KeyCode::Enter | KeyCode::Backspace | KeyCode::Tab);
    let rest = KeyEvent { modifiers: key.modifiers - KeyModifiers::ALT, ..key };
    (is_alt && by_prefix).then(|| (KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE), rest))
}

fn pressed(model: &mut Model, key: KeyEvent, at: Duration, out: &mut Vec<Action>) {
    if let Some((escape, rest)) = apart(model, key) {
        pressed(model, escape, at, out);
        pressed(model, rest, at, out);
        return;
    }
    if model.notice.as_ref().is_some_and(|notice| notice.until <= model.now) {
        model.notice = None;
    }
    let place = model.place();
    let before = std::mem::replace(&mut model.last_key, at);
    if place == Place::Gate {
        gate::key(model, key, at, before, out);
        return;
    }
    match keymap::command(place, key) {
        Some(command) => perform(model, command, out),
        None => popup::typed(model, key),
    }
}

/// Does what a key or a line of the palette says.
pub(super) fn perform(model: &mut Model, command: Command, out: &mut Vec<Action>) {
    if model.popup.is_some() {
        popup::perform(model, command, out);
        return;
    }
    if model.setup.read_only && command.changes() {
        complain(model, "--read-only: nothing is begun, answered or written; leave it out to do so");
        return;
    }
    match command {
        Command::Quit => model.is_over = true,
        Command::Help => go::to(model, Page::Help),
        Command::Palette => model.popup = Some(popup::palette(model)),
        Command::Back | Command::Leave if accident::leave(model, out) || plan::leave(model, out) => {}
        Command::Back | Command::Leave => go::back(model),
        Command::Redraw => out.push(Action::Redraw),
        Command::Suspend => out.push(Action::Suspend),
        Command::GoInventory => go::to(model, Page::Inventory),
        Command::GoTimeline => go::timeline(model, out),
        Command::GoAccident => accident::go_there(model),
        Command::AskWhen => accident::ask_when(model, None),
        Command::GoProposed => accident::proposed(model),
        Command::GoRunbooks => go::runbooks(model, out),
        Command::GoRuns => go::runs(model, out),
        Command::GoRehearsal => rehearsal::to(model, out),
        Command::Switch => popup::switch(model),
        Command::Theme => next_theme(model),
        Command::Refresh => refresh(model, out),
        Command::Up => scroll::rows(model, -1, out),
        Command::Down => scroll::rows(model, 1, out),
        Command::PageUp => scroll::by_pages(model, -1, out),
        Command::PageDown => scroll::by_pages(model, 1, out),
        Command::First => scroll::ends(model, false, out),
        Command::Last => scroll::ends(model, true, out),
        Command::Search => popup::search(model),
        Command::NextMatch => scroll::find(model, false, out),
        Command::PreviousMatch => scroll::find(model, true, out),
        Command::Copy => copy(model, out),
        Command::CopyCommand if model.page() == Page::Accident => accident::copy_command(model, out),
        Command::CopyCommand => run::copy_command(model, out),
        Command::Open | Command::Accept => go::open(model, out),
        Command::Drill => plan::drill_set(model, out),
        Command::MinuteEarlier => scroll::minutes(model, -1),
        Command::MinuteLater => scroll::minutes(model, 1),
        Command::HourEarlier => scroll::minutes(model, -60),
        Command::HourLater => scroll::minutes(model, 60),
        Command::OtherPanel if model.page() == Page::Accident => {
            model.accident.panel = model.accident.panel.other();
        }
        Command::TypeTarget => target::ask(model, out),
        Command::OtherPanel => plan::other_panel(model),
        Command::AsFound => plan::as_found(model, out),
        Command::Begin => plan::begin(model, out),
        Command::GoGate => gate::go(model, out),
        Command::Note => run::note(model),
        Command::Abort => run::ask_abort(model),
        Command::Follow => run::follow(model, out),
        Command::Wrap => run::wrap(model),
        Command::Pager => run::pager(model, out),
        Command::Transcript => go::transcript(model, out),
    }
}

fn refresh(model: &mut Model, out: &mut Vec<Action>) {
    match model.page() {
        Page::Inventory | Page::Timeline => go::look(model, out),
        Page::Accident => accident::read(model, out),
        Page::Runbooks => out.push(Action::LoadRunbooks),
        Page::Plan => plan::propose(model, out),
        Page::Runs => out.push(Action::LoadRuns),
        Page::Transcript => go::transcript(model, out),
        Page::Run => run::again(model, out),
        Page::Rehearsal => rehearsal::to(model, out),
        Page::Help => {}
    }
}

fn next_theme(model: &mut Model) {
    let names = Theme::names();
    let at = names.iter().position(|name| name == model.theme.name()).unwrap_or(0);
    let next = names.get((at + 1) % names.len().max(1)).cloned().unwrap_or_default();
    take_theme(model, &next);
}

pub(super) fn take_theme(model: &mut Model, name: &str) {
    model.theme = Theme::named(name, model.setup.depth);
    let taken = model.theme.name();
    let text = if taken == name {
        format!("theme {taken}; LIFEBOAT_THEME={taken} makes it the first")
    } else {
        format!("the terminal has no colours, or NO_COLOR is set: theme {taken}")
    };
    say(model, &text);
}

/// The line that matters on the page.
fn copy(model: &mut Model, out: &mut Vec<Action>) {
    let found = match model.page() {
        Page::Inventory => model.inventory.current_set().map(|set| ("label", set.label.to_string())),
        Page::Timeline => Some(("target", model.timeline.target().value().unwrap_or_else(|| "latest".to_owned()))),
        Page::Accident => {
            let suspect = model.accident.current();
            suspect.map(|suspect| ("target", format!("lsn:{}", suspect.target.value)))
        }
        Page::Plan => model.plan.proposal.as_ref().map(|proposal| ("seal", proposal.plan.seal.to_string())),
        Page::Run => run::status_line(model).map(|line| ("status", line)),
        Page::Runs => model.runs.current().map(|card| ("name", card.id.to_string())),
        Page::Rehearsal => model.rehearsal.incident.as_ref().map(|incident| ("page", incident.page.clone())),
        Page::Runbooks | Page::Transcript | Page::Help => None,
    };
    match found {
        Some((what, text)) => copied(model, what, text, out),
        None => complain(model, "there is nothing to copy here"),
    }
}

pub(super) fn copied(model: &mut Model, what: &str, text: String, out: &mut Vec<Action>) {
    say(model, &format!("{what} copied: {text}"));
    out.push(Action::Copy(text));
}

/// Tells the person something.
pub(super) fn say(model: &mut Model, text: &str) {
    notice(model, text, false);
}

/// Tells the person that something does not work.
pub(super) fn complain(model: &mut Model, text: &str) {
    notice(model, text, true);
}

fn notice(model: &mut Model, text: &str, is_bad: bool) {
    let until = model.now + TimeDelta::seconds(NOTICE_SECONDS);
    model.notice = Some(Notice { text: crate::domain::text::clean(text), is_bad, until });
}

/// Closes what stands in front.
pub(super) fn take_popup(model: &mut Model) -> Option<Popup> {
    model.popup.take()
}
