//! Gates: focus never comes by itself, only a typed answer counts, and it is compared to the letter by the runner.

use super::{complain, run};
use crate::domain::event::{Resolution, Via};
use crate::domain::plan::{Choice, Step, StepKind};
use crate::domain::run::Run;
use crate::planning::machine::{self, Request};
use crate::planning::typing::{QUIET, Remark, Typing};
use crate::report::width::Width;
use crate::report::{choice, lines};
use crate::ui::action::Action;
use crate::ui::command::{Command, Place};
use crate::ui::keymap;
use crate::ui::model::{Attention, GateFocus, Item, Model, Page, Popup, Value, attention};
use crate::ui::pages;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Duration;

/// A page of the gate's text.
const PAGE_ROWS: usize = 10;

/// To what waits for a person.
pub(super) fn go(model: &mut Model, out: &mut Vec<Action>) {
    if model.page() != Page::Run {
        return;
    }
    let Some(state) = &mut model.run else { return };
    let Some(run) = state.run.as_deref() else { return };
    match attention(run) {
        Some(Attention::Gate(_, gate)) => {
            state.gate = Some(GateFocus {
                sequence: gate.sequence,
                typing: Typing::default(),
                is_quiet: false,
                is_sent: false,
                said: None,
                scrolled: 0,
            });
            state.chosen = None;
            out.push(Action::DropTyped);
        }
        Some(waiting) => {
            let popup = ask(run, waiting, &model.setup.program, model.size.0);
            model.popup = Some(popup);
            model.asked_at = model.last_key;
            out.push(Action::DropTyped);
        }
        None => complain(model, "nothing waits for you here"),
    }
}

/// The ways on, with what is known to choose by.
fn ask(run: &Run, waiting: Attention<'_>, program: &str, columns: u16) -> Popup {
    let width = Width::of_terminal(usize::from(columns.saturating_sub(8)).min(86));
    let step = waiting.step();
    let resolve = |label: &str, about: &str, answer| Item {
        label: label.to_owned(),
        about: about.to_owned(),
        value: Value::Resolve(step.id.clone(), answer),
    };
    let way = |(decision, choice): (&Step, &Choice)| Item {
        label: choice::typed(choice),
        about: choice.title.clone(),
        value: Value::Way(decision.id.clone(), choice.id.clone(), !choice.asks.is_empty()),
    };
    let until = |lines: Vec<String>, end: &str| lines.into_iter().take_while(|line| !line.contains(end)).collect();
    let (title, about, items) = match waiting {
        Attention::Held(..) => {
            let mut items = vec![
                resolve("again", "run it again", Resolution::Again),
                resolve("done", "it is mended by hand: go on after it", Resolution::Done),
                resolve("abort", "end the run", Resolution::Abort),
            ];
            items.extend(machine::ways_past(run).into_iter().map(way));
            let about: Vec<String> = until(lines::held(run, program, width), "Nothing more is done");
            ("It failed and is held. How does it go on?", about, items)
        }
        Attention::Unknown(..) => {
            let items = vec![
                resolve("done", "it was done: go on after it", Resolution::Done),
                resolve("again", "run it again", Resolution::Again),
                resolve("abort", "end the run", Resolution::Abort),
            ];
            let about: Vec<String> = until(lines::unknown(run, program, width), "Decide,");
            ("What became of it? Decide when you have looked", about, items)
        }
        Attention::Gate(..) | Attention::Decision(..) => {
            let choices = match &step.kind {
                StepKind::Decision { choices, .. } => choices.as_slice(),
                _ => &[],
            };
            let items = choices.iter().map(|choice| way((step, choice))).collect();
            // What is known stands on the page of the decision.
            ("Choose the way on", Vec::new(), items)
        }
    };
    Popup::picker(title, about, items)
}

/// A key at the gate. `before` is when the key before it came.
pub(super) fn key(model: &mut Model, key: KeyEvent, at: Duration, before: Duration, out: &mut Vec<Action>) {
    let command = keymap::command(Place::Gate, key);
    let most = pages::lines_below(model);
    let Some(focus) = model.run.as_mut().and_then(|run| run.gate.as_mut()) else { return };
    match command {
        Some(Command::Leave) => {
            leave(model);
        }
        Some(Command::Up) => focus.scrolled = focus.scrolled.saturating_sub(1),
        Some(Command::Down) => focus.scrolled = (focus.scrolled + 1).min(most),
        Some(Command::PageUp) => focus.scrolled = focus.scrolled.saturating_sub(PAGE_ROWS),
        Some(Command::PageDown) => focus.scrolled = (focus.scrolled + PAGE_ROWS).min(most),
        // Who is still typing for something else has not seen the gate.
        _ if !focus.is_quiet && at.saturating_sub(before) < QUIET => focus.typing.clear(Remark::TypedBefore),
        // One answer at a time: what came of it is told before another is taken.
        _ if focus.is_sent => {}
        command => {
            focus.is_quiet = true;
            answer(model, command, key, at, out);
        }
    }
}

fn leave(model: &mut Model) {
    if let Some(run) = &mut model.run {
        run.gate = None;
    }
    super::say(model, "the gate waits on; nothing was approved");
}

fn answer(model: &mut Model, command: Option<Command>, key: KeyEvent, at: Duration, out: &mut Vec<Action>) {
    let Some(focus) = model.run.as_mut().and_then(|run| run.gate.as_mut()) else { return };
    let chorded = key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
    match (command, key.code) {
        (Some(Command::Accept), _) => {
            let typed = focus.typing.enter(at);
            let sequence = focus.sequence;
            if let Some(typed) = typed {
                send(model, sequence, typed, out);
            }
        }
        (Some(Command::AsFound), _) => focus.typing.clear(Remark::Cleared),
        (None, KeyCode::Char(character)) if !chorded => {
            focus.said = None;
            focus.typing.push(character, at);
        }
        (None, KeyCode::Backspace) => focus.typing.pop(),
        _ => {}
    }
}

fn send(model: &mut Model, sequence: u64, typed: String, out: &mut Vec<Action>) {
    let by = model.setup.operator.clone();
    let Some(state) = &mut model.run else { return };
    let open = state.run.as_deref().and_then(|run| run.open_gate()).filter(|(_, gate)| gate.sequence == sequence);
    let Some((step, gate)) = open else { return };
    let request =
        Request::Approve { step: step.id.clone(), sequence, seal: gate.seal, answer: typed, by, via: Via::Terminal };
    if let Some(focus) = &mut state.gate {
        focus.is_sent = true;
        focus.said = None;
    }
    run::send(model, request, out);
}

/// What came of an answer.
pub(super) fn answered(model: &mut Model, result: &Result<String, String>) {
    let Some(focus) = model.run.as_mut().and_then(|run| run.gate.as_mut()).filter(|focus| focus.is_sent) else {
        return;
    };
    focus.is_sent = false;
    if let Err(why) = result {
        let why = crate::domain::text::clean(why);
        // It is said already, and the line is one.
        focus.said = Some(format!("not approved: {}", why.trim_end_matches("; nothing was approved")));
    }
}
