//! The page of a run.

use super::{complain, copied, say};
use crate::domain::event::RunId;
use crate::engine::seat::Driver;
use crate::planning::machine::Request;
use crate::report::{command_text, status::Status};
use crate::ui::action::{Action, Anchor, Paged};
use crate::ui::event::{OutputPage, RunNews};
use crate::ui::model::{Attention, Item, Model, Page, Popup, Purpose, Value, attention};
use crate::ui::times::ago;
use ratatui_textarea::TextArea;

/// Asks for the output of the step that is looked at, where it is not on the screen.
pub(super) fn look(model: &mut Model, out: &mut Vec<Action>) {
    let Some(run) = &mut model.run else { return };
    let wanted = run.wanted_output();
    if run.output.key != wanted {
        run.output.key.clone_from(&wanted);
        run.output.page = OutputPage::default();
        run.output.is_followed = true;
    }
    if let Some(key) = wanted.filter(|_| run.output.is_followed) {
        out.push(Action::ReadOutput(key, Anchor::End));
    }
}

/// Follows the run anew; where its runner is gone, another one is started.
pub(super) fn again(model: &mut Model, out: &mut Vec<Action>) {
    if let Some(run) = &mut model.run {
        run.lost = None;
        out.push(Action::Attach(run.id.clone()));
    }
}

/// News of the run.
pub(super) fn take(model: &mut Model, news: RunNews, out: &mut Vec<Action>) {
    let Some(state) = &mut model.run else { return };
    state.is_runner_alive = news.is_runner_alive;
    state.progress = news.progress;
    state.driver = news.driver;
    if let Some(run) = news.run {
        state.run = Some(run);
    }
    let Some(run) = state.run.as_deref() else { return };
    let open = run.open_gate().map(|(step, gate)| (gate.sequence, step.title.clone()));
    // A gate that waits no more, or opened again, is left: what was typed was for another one.
    if let Some(focus) = &state.gate
        && open.as_ref().is_none_or(|(sequence, _)| *sequence != focus.sequence)
    {
        state.gate = None;
    }
    let waiting = attention(run);
    let marker = match run.ended {
        Some(_) => run.sequence,
        None => waiting.map_or(0, Attention::sequence),
    };
    let first = state.told_of.is_none();
    if state.told_of != Some(marker) {
        state.told_of = Some(marker);
        let text = match (waiting, run.ended) {
            (_, Some(_)) if model.rehearsal.incident.is_some() && run.outcome_word() == "done" => {
                Some(format!("run {} done: p shows the score", run.id))
            }
            (_, Some(_)) => Some(format!("run {} {}", run.id, run.outcome_word())),
            (Some(waiting), None) => Some(format!("run {} {}", run.id, waiting.words())),
            (None, None) => None,
        };
        let id = run.id.to_string();
        if let Some(text) = text {
            let text = crate::domain::text::clean(&text);
            // Who opens a run that waits sees it; who waits for a run is told.
            if !first {
                out.push(Action::Notify(text.clone()));
            }
            out.push(Action::Title(format!("lifeboat: {text}")));
        } else {
            out.push(Action::Title(format!("lifeboat: run {id}")));
        }
        out.push(Action::LoadRuns);
    }
    look(model, out);
}

/// The line for the incident channel.
pub(super) fn status_line(model: &Model) -> Option<String> {
    let state = model.run.as_ref()?;
    let run = state.run.as_ref()?;
    let status = Status {
        run,
        progress: state.progress.clone(),
        is_runner_alive: state.is_runner_alive,
        now: model.now,
        program: &model.setup.program,
    };
    Some(status.line())
}

pub(super) fn copy_command(model: &mut Model, out: &mut Vec<Action>) {
    let command = model.run.as_ref().and_then(|run| run.step()).and_then(|(step, _)| step.kind.command().cloned());
    match command {
        Some(command) => {
            let mut words: Vec<String> =
                command.env.iter().map(|(name, value)| format!("{name}={}", command_text::word(value))).collect();
            words.extend(command.argv.iter().map(command_text::word));
            copied(model, "command", words.join(" "), out);
        }
        None => complain(model, "this step has no command"),
    }
}

pub(super) fn note(model: &mut Model) {
    let is_open = model.run.as_ref().and_then(|run| run.run.as_ref()).is_some_and(|run| run.ended.is_none());
    if model.page() == Page::Run && is_open {
        model.popup = Some(Popup::Note(Box::new(TextArea::default())));
    } else {
        complain(model, "a note goes into the journal of a run that has not ended");
    }
}

pub(super) fn ask_abort(model: &mut Model) {
    let Some(run) = model.run.as_ref().and_then(|run| run.run.as_ref()) else { return };
    if run.ended.is_some() {
        complain(model, "the run has ended");
        return;
    }
    let title = format!("End run {} and what it started? Type abort, and why if you like", run.id);
    model.popup = Some(Popup::input(Purpose::Abort, &title, ""));
}

/// `abort`, and what follows it as the reason.
pub(super) fn abort(model: &mut Model, typed: &str, out: &mut Vec<Action>) {
    let (word, reason) = typed.trim().split_once(' ').unwrap_or((typed.trim(), "no reason given"));
    if word != "abort" {
        complain(model, "nothing was ended: type the word abort");
        return;
    }
    let reason = crate::domain::text::clean(reason.trim());
    send(model, Request::Abort { by: model.setup.operator.clone(), reason }, out);
}

/// Sends a request to the run.
///
/// With `--read-only` no key leads here; were there one, the worker would refuse it.
pub(super) fn send(model: &mut Model, request: Request, out: &mut Vec<Action>) {
    if let Some(run) = &model.run {
        out.push(Action::Send { run: run.id.clone(), request: Box::new(request), takes_over: false });
    }
}

/// Another console drives the run: nothing was sent, and it is asked whether this one is to drive it from here on.
pub(super) fn driven(model: &mut Model, id: &RunId, request: Box<Request>, driver: &Driver) {
    let Some(state) = model.run.as_mut().filter(|state| state.id == *id) else { return };
    if let Some(focus) = &mut state.gate {
        focus.is_sent = false;
    }
    let since = driver.since.to_utc();
    let zone = model.setup.zone;
    let title = format!("{} drives this run since {}: take over?", driver.name, zone.clock(since));
    let about = vec![
        format!(
            "Their console (process {}) is open, {}. It shows the same as this one.",
            driver.pid,
            ago(since, model.utc())
        ),
        "Nothing was sent yet. Ask them first, if you can.".to_owned(),
    ];
    let item = |label: String, value| Item { label, about: String::new(), value };
    let items = vec![
        item(format!("leave it to {}", driver.name), Value::Leave),
        item("take over, and send it".to_owned(), Value::TakeOver(request)),
    ];
    model.popup = Some(Popup::picker(&title, about, items));
    model.asked_at = model.last_key;
}

/// This console drives from here on.
pub(super) fn take_over(model: &mut Model, request: Box<Request>, out: &mut Vec<Action>) {
    let Some(state) = &mut model.run else { return };
    if let Some(focus) = &mut state.gate {
        focus.is_sent = matches!(*request, Request::Approve { .. });
    }
    out.push(Action::Send { run: state.id.clone(), request, takes_over: true });
}

pub(super) fn follow(model: &mut Model, out: &mut Vec<Action>) {
    if let Some(run) = &mut model.run {
        run.chosen = None;
        run.output.is_followed = true;
    }
    look(model, out);
}

pub(super) fn wrap(model: &mut Model) {
    let Some(run) = &mut model.run else { return };
    run.output.is_wrapped = !run.output.is_wrapped;
    let text = if run.output.is_wrapped { "long lines are broken" } else { "long lines are cut at the edge" };
    say(model, text);
}

pub(super) fn pager(model: &mut Model, out: &mut Vec<Action>) {
    if model.page() == Page::Transcript {
        match &model.transcript.lines {
            Some(lines) => out.push(Action::Pager(Paged::Text(lines.clone()))),
            None => complain(model, "the transcript is not there yet"),
        }
        return;
    }
    match model.run.as_ref().and_then(|run| run.output.key.clone()) {
        Some(key) => out.push(Action::Pager(Paged::Output(key))),
        None => complain(model, "this step has no output"),
    }
}
