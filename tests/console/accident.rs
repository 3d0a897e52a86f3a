//! The page of an accident: asking, reading, looking at suspects, and going on to a plan.

use crate::pages::pictures;
use crate::support::{filled, picture, press, proposal, reply, screen, text, type_text};
use lifeboat::domain::wal::WalSegment;
use lifeboat::engine::accident::Progress;
use lifeboat::planning::accident::{Answer, Counts, Reach};
use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::runbook::SHIPPED;
use lifeboat::ui::action::Action;
use lifeboat::ui::command::Place;
use lifeboat::ui::event::{AccidentFound, Reply, RunbookCard};
use lifeboat::ui::model::{Model, Page};
use lifeboat::ui::theme::Depth;

const SIZE: (u16, u16) = (120, 40);

const ANSWER: &str = include_str!("../fixtures/accident/two-accidents.json");

/// Two accidents; the second is the louder one.
pub(crate) fn found() -> AccidentFound {
    let mut answer: Answer = serde_json::from_str(ANSWER).unwrap();
    answer.histogram = (0..120)
        .map(|place| Counts {
            inserted: if place % 3 == 0 { 2 + place % 7 } else { 0 },
            updated: 0,
            deleted: match place {
                66 => 1_240,
                75 => 48_000,
                _ => 0,
            },
        })
        .collect();
    AccidentFound {
        answer,
        place: "the archive of stanza main".into(),
        reach: Reach { directory: Some(("/srv/pg 15/pg_wal".into(), [].into())), ..Reach::default() },
        server_zone: Some(chrono_tz::Europe::Berlin),
    }
}

/// A console whose runbooks are all there, on the page, the question asked.
fn asked(size: (u16, u16), depth: Depth) -> Model {
    let mut model = filled(size, depth);
    let card = |(name, text): &(&str, &str)| RunbookCard {
        name: (*name).into(),
        file: None,
        runbook: Ok(Box::new(lint(text, &VOCABULARY).unwrap())),
    };
    reply(&mut model, Reply::Runbooks(Ok(SHIPPED.iter().map(card).collect())));
    press(&mut model, &["5"]);
    type_text(&mut model, "12:10 window 20m");
    let actions = press(&mut model, &["Enter"]);
    let [Action::FindAccident { ticket, stanza, question }] = actions.as_slice() else { panic!("{actions:?}") };
    assert_eq!((*ticket, stanza.as_deref()), (model.accident.ticket, Some("main")));
    assert_eq!((question.side_seconds, question.around.to_rfc3339()), (1200, "2026-11-22T09:10:00+00:00".into()));
    model
}

pub(crate) fn answered(size: (u16, u16), depth: Depth) -> Model {
    let mut model = asked(size, depth);
    let ticket = model.accident.ticket;
    reply(&mut model, Reply::Accident(ticket, Ok(found())));
    model
}

pub(crate) fn progress(place: usize) -> Progress {
    Progress { segment: WalSegment::parse("00000001000000000000000A").unwrap(), place, of: 12 }
}

#[test]
fn asking() {
    pictures("accident_asking", |size, depth| {
        let mut model = filled(size, depth);
        press(&mut model, &["a"]);
        type_text(&mut model, "02:13 window 30m table orders");
        model
    });
}

#[test]
fn reading() {
    pictures("accident_reading", |size, depth| {
        let mut model = asked(size, depth);
        let ticket = model.accident.ticket;
        reply(&mut model, Reply::AccidentProgress(ticket, progress(5)));
        model
    });
}

/// The second of the two was found so far, or the first as well.
fn so_far(only_second: bool) -> Box<AccidentFound> {
    let mut found = found();
    if only_second {
        found.answer.suspects.remove(0);
        found.answer.proposed = None;
    }
    found.answer.notes.clear();
    Box::new(AccidentFound {
        place: "what was read so far".into(),
        reach: Reach::default(),
        server_zone: None,
        ..found
    })
}

#[test]
fn suspects_so_far() {
    pictures("accident_so_far", |size, depth| {
        let mut model = asked(size, depth);
        let ticket = model.accident.ticket;
        reply(&mut model, Reply::AccidentProgress(ticket, progress(5)));
        reply(&mut model, Reply::AccidentSoFar(ticket, so_far(false)));
        model
    });
}

#[test]
fn suspects_come_while_it_is_read_and_one_of_them_can_be_taken() {
    let mut model = asked(SIZE, Depth::True);
    let ticket = model.accident.ticket;
    let xid = |model: &Model| model.accident.current().map(|suspect| suspect.xid);
    reply(&mut model, Reply::AccidentProgress(ticket, progress(5)));
    reply(&mut model, Reply::AccidentSoFar(ticket - 1, so_far(false)));
    assert_eq!(xid(&model), None, "of an earlier question");
    reply(&mut model, Reply::AccidentSoFar(ticket, so_far(true)));
    let second = xid(&model);
    assert!(second.is_some() && second != Some(998) && model.accident.is_reading);
    // Nobody chose it: what is proposed goes before.
    reply(&mut model, Reply::AccidentSoFar(ticket, so_far(false)));
    assert_eq!(xid(&model), Some(998));
    let shown = screen(&model);
    for words in ["5 of 12 read", "3 so far", "there may be more", "Esc breaks it off"] {
        assert!(shown.contains(words), "'{words}' is missing: {shown}");
    }
    // What the person chose stays under the cursor, to the end.
    press(&mut model, &["Down"]);
    reply(&mut model, Reply::AccidentSoFar(ticket, so_far(false)));
    assert_eq!(xid(&model), second);
    let actions = press(&mut model, &["Enter", "Enter"]);
    assert!(matches!(actions.last(), Some(Action::Propose { .. })), "{actions:?}");
    press(&mut model, &["Esc"]);
    let actions = press(&mut model, &["Esc"]);
    assert!(matches!(&actions[..], [Action::LeaveAccident]), "{actions:?}");
    reply(&mut model, Reply::Accident(ticket, Ok(found())));
    assert_eq!((xid(&model), model.accident.is_reading), (second, false));
    assert!(!screen(&model).contains("there may be more"), "{}", screen(&model));
    // One that comes late is of no use any more.
    reply(&mut model, Reply::AccidentSoFar(ticket, so_far(true)));
    assert_eq!(model.accident.suspects().len(), 3);
}

#[test]
fn suspects() {
    pictures("accident", answered);
}

#[test]
fn the_end_of_the_details() {
    pictures("accident_details", |size, depth| {
        let mut model = answered(size, depth);
        press(&mut model, &["Down", "Tab", "End"]);
        model
    });
}

#[test]
fn choosing_what_is_done_with_it() {
    pictures("accident_use", |size, depth| {
        let mut model = answered(size, depth);
        press(&mut model, &["Enter"]);
        model
    });
}

#[test]
fn a_suspect_becomes_the_exact_target_of_a_plan() {
    for (ways, runbook) in
        [(&["Enter", "Enter"][..], "pitr-in-place"), (&["Enter", "Down", "Enter"], "pitr-side-by-side")]
    {
        let mut model = answered(SIZE, Depth::True);
        let actions = press(&mut model, ways);
        let Some(Action::Propose { runbook: asked, given, .. }) = actions.last() else { panic!("{actions:?}") };
        assert_eq!(asked, runbook);
        for (name, value) in [
            ("target", "lsn:0/8A00028"),
            ("exclusive", "true"),
            ("timeline", "1"),
            ("stanza", "main"),
            ("repository", "1"),
            ("set", "20261122-064008F_20261122-064026I"),
        ] {
            assert_eq!(given.get(name).map(String::as_str), Some(value), "{name} of {runbook}");
        }
        assert_eq!(model.page(), Page::Plan);
        press(&mut model, &["Esc"]);
        assert_eq!(model.page(), Page::Accident, "back to the suspects");
    }
}

#[test]
fn another_suspect_is_another_target() {
    let mut model = answered(SIZE, Depth::True);
    assert_eq!(model.accident.current().unwrap().xid, 998, "the proposed one, not the loudest");
    let copied = press(&mut model, &["Down", "y"]);
    assert!(matches!(&copied[..], [Action::Copy(text)] if text == "lsn:0/8C00100"), "{copied:?}");
    let copied = press(&mut model, &["P", "Y"]);
    let [Action::Copy(command)] = copied.as_slice() else { panic!("{copied:?}") };
    assert!(command.starts_with("pg_waldump --path='/srv/pg 15/pg_wal' --timeline=1 --start=0/8A00028"), "{command}");
    assert!(command.ends_with("--xid=998"), "{command}");
}

#[test]
fn reading_is_broken_off_and_the_rest_of_the_console_goes_on() {
    let mut model = asked(SIZE, Depth::True);
    let ticket = model.accident.ticket;
    assert!(screen(&model).contains("Esc breaks it off"));
    press(&mut model, &["1"]);
    assert_eq!(model.page(), Page::Inventory);
    reply(&mut model, Reply::AccidentProgress(ticket, progress(3)));
    press(&mut model, &["5"]);
    assert!(screen(&model).contains("3 of 12"), "{}", screen(&model));
    let actions = press(&mut model, &["Esc"]);
    assert!(matches!(&actions[..], [Action::LeaveAccident]), "{actions:?}");
    assert_eq!(model.page(), Page::Accident);
    // A second one goes back, whatever becomes of the reading.
    press(&mut model, &["Esc"]);
    assert_eq!(model.page(), Page::Inventory);
    reply(&mut model, Reply::Accident(ticket, Ok(found())));
    assert!(!model.accident.is_reading && model.accident.found.is_some());
}

#[test]
fn the_search_for_a_plan_s_accident_shows_how_far_it_is_and_is_broken_off() {
    let mut model = answered(SIZE, Depth::True);
    press(&mut model, &["Enter", "Enter"]);
    assert_eq!(model.page(), Page::Plan);
    // The first of the parameters is the accident.
    press(&mut model, &["Enter", "^U"]);
    type_text(&mut model, "around:02:13 window 5m");
    let actions = press(&mut model, &["Enter"]);
    let Some(Action::Propose { ticket, given, .. }) = actions.last() else { panic!("{actions:?}") };
    assert_eq!(given["accident"], "around:02:13 window 5m");
    let ticket = *ticket;
    assert!(screen(&model).contains("Esc breaks it off: there is no plan then"), "{}", screen(&model));
    reply(&mut model, Reply::ProposalProgress(ticket - 1, progress(9)));
    reply(&mut model, Reply::ProposalProgress(ticket, progress(3)));
    let shown = screen(&model);
    assert!(shown.contains("3 of 12") && !shown.contains("9 of 12"), "{shown}");
    let actions = press(&mut model, &["Esc"]);
    assert!(matches!(&actions[..], [Action::LeavePlan]), "{actions:?}");
    assert_eq!(model.page(), Page::Plan);
    assert!(screen(&model).contains("being broken off"), "{}", screen(&model));
    // Also where the plan was made before that was heard: it was said that there is none.
    for became in [Ok(Box::new(proposal())), Err("the search was broken off".into())] {
        let mut model = model.clone();
        reply(&mut model, Reply::Proposal(ticket, became));
        let shown = screen(&model);
        assert!(
            shown.contains("There is no plan. Nothing was changed.") && shown.contains("was broken off"),
            "{shown}"
        );
        assert!(press(&mut model, &["b"]).is_empty(), "nothing can be begun");
    }
    reply(&mut model, Reply::Proposal(ticket, Err("the search was broken off".into())));
    // What is made without a search is not broken off: Esc goes back.
    press(&mut model, &["Esc"]);
    assert_eq!(model.page(), Page::Accident);
}

#[test]
fn an_answer_to_an_earlier_question_is_not_taken() {
    let mut model = asked(SIZE, Depth::True);
    let earlier = model.accident.ticket;
    press(&mut model, &["w"]);
    press(&mut model, &["^U"]);
    type_text(&mut model, "11:00");
    let actions = press(&mut model, &["Enter"]);
    assert!(matches!(&actions[..], [Action::FindAccident { ticket, .. }] if *ticket == earlier + 1), "{actions:?}");
    reply(&mut model, Reply::AccidentProgress(earlier, progress(12)));
    reply(&mut model, Reply::Accident(earlier, Ok(found())));
    assert!(model.accident.is_reading && model.accident.found.is_none() && model.accident.progress.is_none());
    let later = model.accident.ticket;
    reply(&mut model, Reply::Accident(later, Err("/srv/pg_wal holds no WAL\nname another directory".into())));
    let shown = screen(&model);
    assert!(shown.contains("could not be read") && shown.contains("name another directory"), "{shown}");
}

#[test]
fn what_is_not_understood_is_asked_again() {
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["a"]);
    type_text(&mut model, "yesterday");
    assert!(press(&mut model, &["Enter"]).is_empty());
    assert_eq!(model.place(), Place::Input);
    assert!(screen(&model).contains("not understood"), "{}", screen(&model));
    press(&mut model, &["Esc"]);
    assert_eq!(model.place(), Place::Accident);
    assert!(screen(&model).contains("Say about when (w)"));
    press(&mut model, &["Enter"]);
    assert!(screen(&model).contains("no suspect under the cursor"));
}

#[test]
fn the_timeline_brings_its_moment() {
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["2", "Left", "a"]);
    let shown = screen(&model);
    assert!(shown.contains("> 2026-11-22 09:38:00Z"), "{shown}");
}

#[test]
fn nothing_suspicious_is_said_in_words() {
    let mut model = asked(SIZE, Depth::True);
    let mut nothing = found();
    (nothing.answer.suspects, nothing.answer.proposed) = (Vec::new(), None);
    let ticket = model.accident.ticket;
    reply(&mut model, Reply::Accident(ticket, Ok(nothing)));
    let shown = screen(&model);
    assert!(shown.contains("Nothing in this window looks like an accident"), "{shown}");
    assert!(press(&mut model, &["Enter"]).is_empty());
    press(&mut model, &["P"]);
    assert!(screen(&model).contains("nothing is proposed"));
}

#[test]
fn names_from_the_wal_do_nothing_to_the_terminal() {
    let mut model = asked(SIZE, Depth::True);
    let mut hostile = found();
    let trick = "\u{1b}]0;owned\u{7}\u{202e}x".to_owned();
    hostile.place.clone_from(&trick);
    hostile.answer.notes.insert(0, trick.clone());
    let suspect = &mut hostile.answer.suspects[0];
    suspect.database.clone_from(&trick);
    suspect.reasons.insert(0, trick.clone());
    suspect.relations[0].name = trick;
    let ticket = model.accident.ticket;
    reply(&mut model, Reply::Accident(ticket, Ok(hostile)));
    let shown = text(&picture(&model));
    assert!(!shown.chars().any(|letter| letter.is_control() && letter != '\n') && !shown.contains('\u{202e}'));
}
