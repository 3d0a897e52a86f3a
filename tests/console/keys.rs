//! The one table of keys: what is in it can be reached, is offered, is in the help.

use crate::accident::answered;
use crate::support::{AT_GATE, RESTORING, at_run, filled, key, press, proposal, reply, screen};
use lifeboat::ui::action::Action;
use lifeboat::ui::command::{Command, Place};
use lifeboat::ui::event::{Event, Reply};
use lifeboat::ui::keymap::{self, BINDINGS};
use lifeboat::ui::model::{Model, Popup, Value};
use lifeboat::ui::theme::Depth;
use lifeboat::ui::update::update;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::BTreeSet;
use std::time::Duration;

const SIZE: (u16, u16) = (120, 40);

/// A console in which keys go to this place.
fn at(place: Place) -> Model {
    let mut model = match place {
        Place::Run | Place::Note => at_run(SIZE, Depth::True, RESTORING),
        Place::Gate => at_run(SIZE, Depth::True, AT_GATE),
        Place::Accident => answered(SIZE, Depth::True),
        Place::Rehearsal => crate::support::paged(SIZE, Depth::True),
        _ => filled(SIZE, Depth::True),
    };
    let way: &[&str] = match place {
        Place::Everywhere | Place::Inventory | Place::Accident | Place::Run => &[],
        Place::Timeline => &["2"],
        Place::Runbooks => &["3"],
        Place::Plan => &["d"],
        Place::Runs => &["4"],
        Place::Transcript => &["4", "t"],
        Place::Rehearsal => &["p"],
        Place::Help => &["?"],
        Place::Gate => &["g"],
        Place::Input => &["/"],
        Place::Picker => &["s"],
        Place::Note => &["e"],
    };
    press(&mut model, way);
    if place == Place::Plan {
        let ticket = model.plan.ticket;
        reply(&mut model, Reply::Proposal(ticket, Ok(Box::new(proposal()))));
    }
    model
}

#[test]
fn every_place_is_reached_by_keys() {
    let places: BTreeSet<Place> = BINDINGS.iter().map(|binding| binding.place).collect();
    for place in places.into_iter().filter(|place| *place != Place::Everywhere) {
        assert_eq!(at(place).place(), place);
    }
}

#[test]
fn every_place_leads_back() {
    let pages =
        [Place::Timeline, Place::Accident, Place::Runbooks, Place::Plan, Place::Runs, Place::Transcript, Place::Help];
    for place in pages.into_iter().chain([Place::Rehearsal]) {
        let mut model = at(place);
        press(&mut model, &["Esc", "Esc"]);
        assert_eq!(model.place(), Place::Inventory, "{place:?}");
    }
    for place in [Place::Gate, Place::Note] {
        let mut model = at(place);
        press(&mut model, &["Esc"]);
        assert_eq!(model.place(), Place::Run, "{place:?}");
    }
}

#[test]
fn esc_and_a_key_that_arrive_as_alt_with_that_key_are_both_heard() {
    let alt = |code| Event::Key(KeyEvent::new(code, KeyModifiers::ALT), Duration::from_secs(9));
    for place in [Place::Gate, Place::Input, Place::Picker] {
        let mut model = at(place);
        update(&mut model, alt(KeyCode::Char('?')));
        assert_eq!(model.place(), Place::Help, "{place:?}");
    }
    // What is written stays where hands know Alt from editors, and an arrow with Alt is one key.
    for (place, code) in [(Place::Note, KeyCode::Char('b')), (Place::Input, KeyCode::Left), (Place::Gate, KeyCode::Up)]
    {
        let mut model = at(place);
        update(&mut model, alt(code));
        assert_eq!(model.place(), place);
    }
}

#[test]
fn the_help_lists_every_action_and_the_footer_offers_what_it_says() {
    let mut model = filled((140, 200), Depth::True);
    press(&mut model, &["?"]);
    let help = screen(&model);
    for binding in BINDINGS {
        assert!(help.contains(binding.help), "{}", binding.help);
        assert!(help.contains(&binding.keys[0].name(false)), "{:?}", binding.keys);
    }
    for place in [
        Place::Inventory,
        Place::Timeline,
        Place::Accident,
        Place::Runbooks,
        Place::Plan,
        Place::Runs,
        Place::Transcript,
        Place::Rehearsal,
        Place::Gate,
        Place::Input,
        Place::Picker,
        Place::Note,
        Place::Run,
    ] {
        for read_only in [false, true] {
            let mut model = at(place);
            model.setup.read_only = read_only;
            let shown = screen(&model);
            let footer = shown.lines().last().unwrap();
            for (keys, word) in keymap::offered(place, false, read_only) {
                assert!(footer.contains(&format!("{keys} {word}")), "{place:?}: '{keys} {word}' is not in: {footer}");
            }
        }
    }
}

#[test]
fn the_palette_finds_every_action_by_its_name() {
    let pages = [Place::Inventory, Place::Timeline, Place::Plan, Place::Run, Place::Runs, Place::Accident];
    for place in pages.into_iter().chain([Place::Runbooks, Place::Transcript, Place::Rehearsal, Place::Help]) {
        let mut model = at(place);
        press(&mut model, &[":"]);
        let Some(Popup::Picker { items, .. }) = &model.popup else { panic!("no palette at {place:?}") };
        let offered: BTreeSet<Command> = items
            .iter()
            .filter_map(|item| match item.value {
                Value::Command(command) => Some(command),
                _ => None,
            })
            .collect();
        let moves = [Command::Up, Command::Down, Command::Palette, Command::Back];
        for binding in BINDINGS.iter().filter(|binding| [place, Place::Everywhere].contains(&binding.place)) {
            assert!(moves.contains(&binding.command) || offered.contains(&binding.command), "{:?}", binding.command);
        }
    }
    let mut model = at(Place::Inventory);
    press(&mut model, &[":"]);
    crate::support::type_text(&mut model, "lite thm");
    press(&mut model, &["^U"]);
    crate::support::type_text(&mut model, "theme light");
    press(&mut model, &["Enter"]);
    assert_eq!(model.theme.name(), "light");
}

/// What is seen of a state: the picture, where keys go, what went out.
fn effect(model: &Model, actions: &[Action]) -> String {
    format!("{}{:?}{}{:?}", screen(model), model.place(), model.is_over, actions)
}

#[test]
fn every_key_does_something_where_it_is_bound() {
    // At an end already, or nothing to search for: these have an effect elsewhere.
    let idle = |place: Place, command: Command| {
        matches!(
            (place, command),
            (Place::Everywhere, _)
                | (Place::Gate, Command::Up | Command::Down | Command::PageUp | Command::PageDown)
                | (Place::Picker, Command::Up | Command::Down)
                | (Place::Input, Command::AsFound)
                | (Place::Gate | Place::Picker, Command::AsFound)
        )
    };
    for binding in BINDINGS.iter().filter(|binding| !idle(binding.place, binding.command)) {
        let mut model = at(binding.place);
        if binding.command == Command::MinuteLater || binding.command == Command::HourLater {
            press(&mut model, &["Home"]);
        }
        if binding.command == Command::GoProposed {
            press(&mut model, &["Down"]);
        }
        model.notice = None;
        let before = effect(&model, &[]);
        let time = model.last_key + std::time::Duration::from_secs(1);
        let actions = update(&mut model, Event::Key(KeyEvent::new(binding.keys[0].0, binding.keys[0].1), time));
        assert_ne!(before, effect(&model, &actions), "{:?} at {:?}", binding.command, binding.place);
    }
}

#[test]
fn leaving_sends_nothing_to_a_run() {
    for place in [Place::Run, Place::Runs, Place::Plan] {
        let mut model = at(place);
        let actions = press(&mut model, &["q"]);
        assert!(model.is_over && actions.is_empty(), "{actions:?}");
    }
    let mut model = at(Place::Gate);
    let time = model.last_key + std::time::Duration::from_secs(1);
    let actions = update(&mut model, Event::Key(key("^C"), time));
    assert!(!model.is_over && actions.is_empty());
}
