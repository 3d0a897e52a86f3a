//! Whatever comes in, in whatever order, at whatever size: no panic, and the footer stays.

use crate::sample_plan::anna;
use crate::support::{
    AT_GATE, RESTORING, UNKNOWN, ended_card, filled, ground, id, inventory, many, news, open_card, opened, output,
    picture, proposal, reply, runbooks, text,
};
use lifeboat::domain::inventory::LastDrills;
use lifeboat::engine::rehearsal::Incident;
use lifeboat::engine::seat::Driver;
use lifeboat::planning::machine::Request;
use lifeboat::ui::action::{Action, OutputKey};
use lifeboat::ui::event::{Event, OutputPage, Reply};
use lifeboat::ui::keymap::BINDINGS;
use lifeboat::ui::model::Model;
use lifeboat::ui::theme::Depth;
use lifeboat::ui::update::update;
use lifeboat::ui::view::LEAST;
use proptest::prelude::*;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::time::Duration;

#[derive(Debug, Clone)]
enum Happening {
    Bound(usize, usize, u64),
    Letter(char, u64),
    Paste(String),
    Size(u16, u16),
    Tick(i64),
    Answer(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => (0..BINDINGS.len(), 0usize..3, 0u64..800).prop_map(|(binding, key, wait)| Happening::Bound(binding, key, wait)),
        3 => (any::<char>(), 0u64..800).prop_map(|(letter, wait)| Happening::Letter(letter, wait)),
        2 => prop::sample::select(vec!['m', 'a', 'i', 'n', ' ', ':', '/', '0']).prop_map(|letter| Happening::Letter(letter, 400)),
        1 => ".{0,40}".prop_map(Happening::Paste),
        1 => (0u16..240, 0u16..80).prop_map(|(columns, rows)| Happening::Size(columns, rows)),
        1 => (-100_000i64..100_000).prop_map(Happening::Tick),
        6 => (0u8..27).prop_map(Happening::Answer),
    ]
}

fn answer(model: &mut Model, number: u8) -> Vec<Action> {
    let ticket = model.plan.ticket;
    let key = OutputKey { run: id(), position: 2, attempt: 1 };
    let told = match number {
        0 => Reply::Inventory(Ok(inventory("05").into()), LastDrills::new()),
        1 => Reply::Inventory(Ok(many(3).into()), LastDrills::new()),
        2 => Reply::Inventory(Ok(inventory("17").into()), LastDrills::new()),
        3 => Reply::Inventory(Err("no".into()), LastDrills::new()),
        4 => Reply::Ground("main".into(), ground()),
        5 => Reply::Runbooks(Ok(runbooks())),
        6 => Reply::Proposal(ticket, Ok(Box::new(proposal()))),
        7 => Reply::Proposal(ticket, Err("no plan".into())),
        8 => Reply::Begun(Ok(id())),
        9 => Reply::Runs(Ok(vec![open_card(), ended_card()])),
        10 => Reply::Runs(Ok(Vec::new())),
        11 => return news(model, AT_GATE),
        12 => return news(model, RESTORING),
        13 => return news(model, UNKNOWN),
        14 => return news(model, usize::MAX),
        15 => Reply::Output(key, output()),
        16 => Reply::Output(key, OutputPage::default()),
        17 => Reply::Answered(id(), Err("typed 'x', and the gate asks for 'main'".into())),
        20 => Reply::Driven(
            id(),
            Box::new(Request::Abort { by: anna(), reason: "no reason given".into() }),
            Driver { name: "boris".into(), pid: 7, since: model.now },
        ),
        21 => {
            let incident = Incident { page: "PAGE".into(), paged_at: model.utc() };
            model.rehearsal.directory = Some("/tmp/practice".into());
            Reply::Rehearsal(Ok(Some(incident)))
        }
        22 => Reply::Rehearsal(Err("no".into())),
        23 => Reply::Score(Err("the server does not answer".into())),
        18 => Reply::Transcript(id(), Ok(vec!["evidence".into(); 90])),
        24 => Reply::Accident(model.accident.ticket, Ok(crate::accident::found())),
        25 => Reply::Accident(model.accident.ticket, Err("no WAL".into())),
        26 => Reply::AccidentProgress(model.accident.ticket, crate::accident::progress(7)),
        _ => Reply::Found(key, Some(200)),
    };
    reply(model, told)
}

fn happen(model: &mut Model, happening: &Happening) -> Vec<Action> {
    let later = |model: &Model, wait: u64| model.last_key + Duration::from_millis(wait);
    match happening {
        Happening::Bound(binding, key, wait) => {
            let keys = BINDINGS[*binding].keys;
            let key = keys[key % keys.len()];
            let at = later(model, *wait);
            update(model, Event::Key(KeyEvent::new(key.0, key.1), at))
        }
        Happening::Letter(letter, wait) => {
            let at = later(model, *wait);
            update(model, Event::Key(KeyEvent::new(KeyCode::Char(*letter), KeyModifiers::NONE), at))
        }
        Happening::Paste(text) => update(model, Event::Paste(text.clone())),
        Happening::Size(columns, rows) => update(model, Event::Resize(*columns, *rows)),
        Happening::Tick(seconds) => {
            let now = model.now + chrono::TimeDelta::seconds(*seconds);
            update(model, Event::Tick(now))
        }
        Happening::Answer(number) => answer(model, *number),
    }
}

fn assert_whole(model: &Model) {
    let buffer = picture(model);
    let shown = text(&buffer);
    if model.size.0 >= LEAST.0 && model.size.1 >= LEAST.1 {
        let footer = shown.lines().last().unwrap();
        let wanted = if model.place().takes_text() { "Esc" } else { "? help  q quit" };
        assert!(footer.contains(wanted), "{wanted} is not in the footer:\n{shown}");
        assert!(shown.starts_with(" lifeboat"), "{shown}");
    }
    let is_clean = |symbol: &str| !symbol.chars().any(char::is_control);
    assert!(buffer.content.iter().all(|cell| is_clean(cell.symbol())));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_comes_in_breaks_it(
        happenings in prop::collection::vec(happening(), 0..60), ascii: bool, is_filled: bool,
    ) {
        let depth = if ascii { Depth::None } else { Depth::True };
        let mut model = if is_filled { filled((80, 24), depth) } else { opened((80, 24), depth) };
        for happening in &happenings {
            happen(&mut model, happening);
            assert_whole(&model);
        }
    }
}
