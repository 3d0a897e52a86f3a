//! What approves a gate and what does not.

use crate::support::{AT_GATE, at_run, id, key, news, press, reply, screen, type_text};
use lifeboat::domain::plan::{Argument, Asked, Choice, Shown, StepKind};
use lifeboat::planning::machine::Request;
use lifeboat::ui::action::Action;
use lifeboat::ui::command::Place;
use lifeboat::ui::event::{Event, Reply};
use lifeboat::ui::model::{Model, Popup};
use lifeboat::ui::theme::Depth;
use lifeboat::ui::update::update;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Duration;

const SIZE: (u16, u16) = (80, 24);

fn requests(actions: &[Action]) -> Vec<Request> {
    let asked = |action: &Action| match action {
        Action::Send { request, .. } => Some((**request).clone()),
        _ => None,
    };
    actions.iter().filter_map(asked).collect()
}

#[test]
fn a_typed_answer_goes_out_for_this_opening_and_seal() {
    let mut model = at_run(SIZE, Depth::True, AT_GATE);
    assert_eq!(model.place(), Place::Run, "focus never comes by itself");
    let flushed = press(&mut model, &["g"]);
    assert!(flushed.iter().any(|action| matches!(action, Action::DropTyped)));
    assert_eq!(model.place(), Place::Gate);
    let sent = press(&mut model, &["m", "a", "i", "n", "Enter"]);
    let run = crate::support::run(AT_GATE);
    let (step, gate) = run.open_gate().unwrap();
    let [Request::Approve { step: of, sequence, seal, answer, by, .. }] = &requests(&sent)[..] else {
        panic!("{sent:?}")
    };
    assert_eq!((of, sequence, seal, answer.as_str()), (&step.id, &gate.sequence, &gate.seal, "main"));
    assert_eq!(by.name, "anna");
    // One answer at a time.
    assert_eq!(requests(&press(&mut model, &["m", "Enter"])), []);
    reply(&mut model, Reply::Answered(id(), Err("typed 'main', and the gate asks for 'other'".into())));
    assert!(screen(&model).contains("not approved: typed 'main'"));
    assert_eq!(requests(&press(&mut model, &["x", "Enter"])).len(), 1);
}

#[test]
fn a_paste_enter_alone_and_keys_at_once_approve_nothing() {
    let mut model = at_run(SIZE, Depth::True, AT_GATE);
    press(&mut model, &["g"]);
    assert_eq!(requests(&press(&mut model, &["Enter"])), []);
    assert!(screen(&model).contains("Enter alone approves nothing"));
    update(&mut model, Event::Paste("main\n".into()));
    assert!(screen(&model).contains("pasted text does not count here"));
    assert_eq!(requests(&press(&mut model, &["Enter"])), []);
    let at = model.last_key + Duration::from_secs(1);
    let mut sent = Vec::new();
    for letter in "main".chars() {
        sent.extend(update(&mut model, Event::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE), at)));
    }
    sent.extend(update(&mut model, Event::Key(key("Enter"), at)));
    assert_eq!(requests(&sent), []);
    assert!(screen(&model).contains("faster than a hand types"));
}

#[test]
fn keys_typed_ahead_of_the_gate_are_dropped() {
    let mut model = at_run(SIZE, Depth::True, 6);
    // Somebody types on while the gate opens, and the g among it goes there.
    type_text(&mut model, "main");
    news(&mut model, AT_GATE);
    assert_eq!(model.place(), Place::Run);
    type_text(&mut model, "gmain");
    let at = model.last_key + Duration::from_millis(90);
    let sent = update(&mut model, Event::Key(key("Enter"), at));
    assert_eq!(requests(&sent), []);
    assert!(screen(&model).contains("keys pressed before the gate was open were dropped"));
    // After a pause it is an answer.
    assert_eq!(requests(&press(&mut model, &["m", "a", "i", "n", "Enter"])).len(), 1);
}

#[test]
fn leaving_leaves_it_waiting_and_an_answered_gate_is_left() {
    let mut model = at_run(SIZE, Depth::True, AT_GATE);
    press(&mut model, &["g", "m", "Esc"]);
    assert_eq!(model.place(), Place::Run);
    assert!(screen(&model).contains("the gate waits on; nothing was approved"));
    press(&mut model, &["g", "m", "a"]);
    news(&mut model, 8);
    assert_eq!(model.place(), Place::Run, "somebody else has answered");
    press(&mut model, &["g"]);
    assert!(screen(&model).contains("nothing waits for you here"));
}

#[test]
fn a_gate_that_opens_again_wants_a_new_answer() {
    let mut model = at_run(SIZE, Depth::True, AT_GATE);
    press(&mut model, &["g", "m", "a", "i", "n"]);
    news(&mut model, 9);
    assert_eq!(model.place(), Place::Run, "what was typed was for the opening before");
    assert_eq!(requests(&press(&mut model, &["Enter"])), []);
    press(&mut model, &["g"]);
    assert!(screen(&model).contains("OPENED AGAIN"));
}

#[test]
fn a_person_is_told_of_a_gate_that_opens_and_of_the_end_but_not_of_what_is_on_the_screen() {
    let told = |actions: &[Action]| {
        let texts = actions.iter().filter_map(|action| match action {
            Action::Notify(text) => Some(text.clone()),
            _ => None,
        });
        texts.collect::<Vec<_>>()
    };
    let mut model = crate::support::filled(SIZE, Depth::True);
    press(&mut model, &["4", "Enter"]);
    assert!(told(&news(&mut model, 6)).is_empty());
    assert_eq!(told(&news(&mut model, AT_GATE)), ["run 7Q2K9XAB waits at gate: Restore into the drill directory"]);
    assert!(told(&news(&mut model, AT_GATE)).is_empty(), "once");
    assert_eq!(told(&news(&mut model, usize::MAX)), ["run 7Q2K9XAB aborted"]);
}

/// The gate of the sample as a decision.
fn at_decision() -> Model {
    let mut model = at_run(SIZE, Depth::True, AT_GATE);
    let choice = |name: &str, asks: Vec<Asked>| Choice {
        id: crate::sample_plan::id(name),
        title: format!("{name} it"),
        back_to: None,
        asks,
        gives_up: false,
    };
    let run = model.run.as_mut().and_then(|state| state.run.as_mut()).unwrap();
    run.plan.steps[1].kind = StepKind::Decision {
        shows: vec![Shown::new("reached", Argument::text("0/6000100"))],
        choices: vec![choice("promote", Vec::new()), choice("forward", vec![Asked::Target])],
    };
    model
}

#[test]
fn a_way_on_is_chosen_and_given_its_target() {
    let mut model = at_decision();
    press(&mut model, &["g"]);
    assert!(matches!(model.popup, Some(Popup::Picker { .. })));
    assert!(screen(&model).contains("reached"), "{}", screen(&model));
    let sent = press(&mut model, &["Enter"]);
    let [Request::Decide { choice, values, .. }] = &requests(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!((choice.as_str(), values.len()), ("promote", 0));
    press(&mut model, &["g", "Down", "Enter"]);
    assert_eq!(model.place(), Place::Input);
    type_text(&mut model, "tomorrow");
    assert_eq!(requests(&press(&mut model, &["Enter"])), [], "not understood: asked again");
    press(&mut model, &["^U"]);
    type_text(&mut model, "2026-11-22 11:40+03 inclusive");
    let sent = press(&mut model, &["Enter"]);
    let [Request::Decide { choice, values, .. }] = &requests(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!(choice, "forward");
    assert_eq!(values.get("target").map(String::as_str), Some("2026-11-22 11:40+03"));
    assert_eq!(values.get("exclusive").map(String::as_str), Some("false"));
}

#[test]
fn a_key_right_behind_the_question_decides_nothing() {
    let mut model = at_decision();
    press(&mut model, &["g"]);
    let at = model.last_key + Duration::from_millis(100);
    assert_eq!(requests(&update(&mut model, Event::Key(key("Enter"), at))), []);
    assert!(screen(&model).contains("nothing was decided"));
}

#[test]
fn an_unknown_outcome_and_a_held_step_are_decided_about() {
    let mut model = at_run(SIZE, Depth::True, crate::support::UNKNOWN);
    press(&mut model, &["g", "Down"]);
    let sent = press(&mut model, &["Enter"]);
    assert!(matches!(&requests(&sent)[..], [Request::Resolve { .. }]), "{sent:?}");
    let mut model = at_run(SIZE, Depth::True, crate::support::RESTORING);
    let run = model.run.as_mut().and_then(|state| state.run.as_mut()).unwrap();
    run.steps[2].status = lifeboat::domain::status::StepStatus::Held;
    assert!(screen(&model).contains("FAILED AND HELD"));
    press(&mut model, &["g"]);
    let sent = press(&mut model, &["Enter"]);
    let [Request::Resolve { answer, .. }] = &requests(&sent)[..] else { panic!("{sent:?}") };
    assert_eq!(*answer, lifeboat::domain::event::Resolution::Again);
}
