//! From the first screen to a run, by keys; filters, targets, notes, outputs.

use crate::support::{
    RESTORING, at_run, ended_card, filled, id, open_card, opened, press, proposal, reply, screen, type_text,
};
use lifeboat::planning::machine::Request;
use lifeboat::ui::action::{Action, Anchor, OutputKey};
use lifeboat::ui::event::{Event, OutputPage, Reply};
use lifeboat::ui::model::{Page, Popup};
use lifeboat::ui::theme::Depth;
use lifeboat::ui::update::update;
use std::collections::BTreeMap;

const SIZE: (u16, u16) = (80, 24);

fn given(actions: &[Action]) -> BTreeMap<String, String> {
    let proposed = actions.iter().rev().find_map(|action| match action {
        Action::Propose { given, .. } => Some(given.clone()),
        _ => None,
    });
    proposed.unwrap()
}

#[test]
fn two_keys_lead_from_the_first_screen_into_a_drill() {
    let mut model = filled(SIZE, Depth::True);
    let asked = given(&press(&mut model, &["d"]));
    assert_eq!(asked["set"], "20261122-064008F_20261122-064026I");
    assert_eq!((asked["stanza"].as_str(), asked["repository"].as_str()), ("main", "1"));
    let ticket = model.plan.ticket;
    assert!(press(&mut model, &["b"]).is_empty(), "nothing begins before the plan is there");
    reply(&mut model, Reply::Proposal(ticket, Ok(Box::new(proposal()))));
    let begun = press(&mut model, &["b"]);
    assert!(matches!(&begun[..], [Action::Begin(begun)] if begun.run == id()), "{begun:?}");
    assert!(press(&mut model, &["b"]).is_empty(), "once");
    let attached = reply(&mut model, Reply::Begun(Ok(id())));
    assert!(attached.iter().any(|action| matches!(action, Action::Attach(run) if *run == id())));
    assert_eq!(model.page(), Page::Run);
}

#[test]
fn read_only_a_plan_is_shown_and_no_key_is_promised_that_begins_it() {
    let mut model = filled((80, 24), Depth::True);
    model.setup.read_only = true;
    press(&mut model, &["d"]);
    let ticket = model.plan.ticket;
    reply(&mut model, Reply::Proposal(ticket, Ok(Box::new(proposal()))));
    let shown = screen(&model);
    assert!(shown.contains("read-only: no run begins here") && !shown.contains("b begin"), "{shown}");
    assert!(press(&mut model, &["b"]).is_empty());
    let said = "--read-only: nothing is begun, answered or written; leave it out to do so";
    assert!(screen(&model).contains(said), "{}", screen(&model));
}

#[test]
fn an_answer_to_an_earlier_question_is_not_the_plan() {
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["d"]);
    let old = model.plan.ticket;
    press(&mut model, &["r"]);
    reply(&mut model, Reply::Proposal(old, Ok(Box::new(proposal()))));
    assert!(model.plan.proposal.is_none());
    assert!(press(&mut model, &["b"]).is_empty());
}

#[test]
fn a_parameter_is_changed_and_taken_back() {
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["d"]);
    press(&mut model, &["Down", "Enter", "a", "m", "c"]);
    let asked = given(&press(&mut model, &["Enter"]));
    assert_eq!(asked["depth"], "amcheck", "{}", screen(&model));
    let asked = given(&press(&mut model, &["x"]));
    assert!(!asked.contains_key("depth"));
    press(&mut model, &["Up", "Enter", "^U"]);
    type_text(&mut model, "shop");
    assert_eq!(given(&press(&mut model, &["Enter"]))["database"], "shop");
}

#[test]
fn the_moment_on_the_timeline_becomes_the_target() {
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["End", "2", "End", "Left", "Left"]);
    let at = model.timeline.at.unwrap();
    let asked = given(&press(&mut model, &["Enter"]));
    assert_eq!(asked["target"], format!("time:{}", at.format("%Y-%m-%d %H:%M:%S%.6f+00")));
    assert_eq!(asked["set"], "20261122-064008F_20261122-064026I");
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["2", "t"]);
    type_text(&mut model, "0/6000100");
    assert!(screen(&model).contains("understood as lsn 0/6000100"));
    press(&mut model, &["Enter"]);
    assert!(screen(&model).contains("Target: lsn 0/6000100"));
}

#[test]
fn where_several_runbooks_take_a_target_the_person_says_which() {
    let mut model = filled(SIZE, Depth::True);
    let mut cards = crate::support::runbooks();
    let mut other = cards[0].clone();
    other.name = "in-place".into();
    cards.insert(0, other);
    reply(&mut model, Reply::Runbooks(Ok(cards)));
    press(&mut model, &["2", "Left", "Enter"]);
    assert!(screen(&model).contains("What is to be done with this moment?"));
    let asked = press(&mut model, &["Down", "Enter"]);
    let names = asked.iter().filter_map(|action| match action {
        Action::Propose { runbook, .. } => Some(runbook.as_str()),
        _ => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), ["in-place"]);
    assert!(given(&asked).contains_key("target"));
}

#[test]
fn a_typed_time_is_shown_in_both_zones_before_it_is_taken() {
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["2", "t"]);
    type_text(&mut model, "2026-11-22 11:13:00+03");
    let shown = screen(&model);
    assert!(shown.contains("2026-11-22 08:13:00 +00") && shown.contains("2026-11-22 11:13:00 +03:00"), "{shown}");
    press(&mut model, &["^U"]);
    type_text(&mut model, "2026-11-22 11:13");
    let shown = screen(&model);
    assert!(shown.contains("more than one moment"), "{shown}");
    press(&mut model, &["Enter"]);
    assert!(matches!(model.popup, Some(Popup::Picker { .. })), "it is asked which");
}

#[test]
fn a_run_that_is_on_is_told_of_first_and_only_once() {
    let mut model = opened(SIZE, Depth::True);
    reply(&mut model, Reply::Runs(Ok(vec![open_card()])));
    assert!(screen(&model).contains("A run is on"));
    let opened = press(&mut model, &["Enter"]);
    assert!(opened.iter().any(|action| matches!(action, Action::Attach(run) if *run == id())));
    let mut model = crate::support::opened(SIZE, Depth::True);
    reply(&mut model, Reply::Runs(Ok(vec![open_card()])));
    press(&mut model, &["Esc"]);
    reply(&mut model, Reply::Runs(Ok(vec![open_card(), ended_card()])));
    assert!(model.popup.is_none());
    assert!(screen(&model).contains("■ 7Q2K9XAB at a gate"), "the header tells of it on");
}

#[test]
fn lists_are_narrowed() {
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["/"]);
    type_text(&mut model, "064020D");
    press(&mut model, &["Enter"]);
    assert_eq!(model.inventory.rows.len(), 2);
    press(&mut model, &["/", "^U", "Enter"]);
    assert!(model.inventory.rows.len() > 2);
}

#[test]
fn a_note_goes_into_the_journal() {
    let mut model = at_run(SIZE, Depth::True, RESTORING);
    press(&mut model, &["e"]);
    type_text(&mut model, "first");
    press(&mut model, &["Enter"]);
    update(&mut model, Event::Paste("second \u{1b}[2J".into()));
    let sent = press(&mut model, &["^S"]);
    let [Action::Send { request, .. }] = &sent[..] else { panic!("{sent:?}") };
    let Request::Note { text, .. } = &**request else { panic!("{request:?}") };
    assert_eq!(text, "first\nsecond ␛[2J");
}

#[test]
fn a_run_is_ended_by_its_word_only() {
    let mut model = at_run(SIZE, Depth::True, RESTORING);
    press(&mut model, &["A", "Enter"]);
    assert!(screen(&model).contains("nothing was ended"));
    press(&mut model, &["A"]);
    update(&mut model, Event::Paste("abort".into()));
    assert!(press(&mut model, &["Enter"]).is_empty(), "a paste ends nothing");
    press(&mut model, &["A"]);
    type_text(&mut model, "abort wrong set");
    let sent = press(&mut model, &["Enter"]);
    let [Action::Send { request, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert!(matches!(&**request, Request::Abort { reason, .. } if reason == "wrong set"), "{request:?}");
}

#[test]
fn an_output_is_read_by_position() {
    let mut model = at_run(SIZE, Depth::True, RESTORING);
    let key = OutputKey { run: id(), position: 2, attempt: 1 };
    let lines = (0..300).map(|line| (1_000_000 + line * 10, format!("line {line}"))).collect();
    let page = OutputPage { start: 1_000_000, end: 1_003_000, length: 1_003_000, lines };
    reply(&mut model, Reply::Output(key.clone(), page.clone()));
    assert!(screen(&model).contains("line 299") && screen(&model).contains("the end"));
    let asked = press(&mut model, &["PgUp"]);
    assert!(matches!(&asked[..], [Action::ReadOutput(of, Anchor::Before(_))] if *of == key), "{asked:?}");
    let asked = press(&mut model, &["Home"]);
    assert!(matches!(&asked[..], [Action::ReadOutput(_, Anchor::From(0))]), "{asked:?}");
    press(&mut model, &["/"]);
    type_text(&mut model, "line 7");
    let asked = press(&mut model, &["Enter"]);
    assert!(matches!(&asked[..], [Action::SearchOutput { backwards: false, .. }]), "{asked:?}");
    let asked = reply(&mut model, Reply::Found(key, Some(1_000_070)));
    assert!(matches!(&asked[..], [Action::ReadOutput(_, Anchor::From(1_000_070))]), "{asked:?}");
}

#[test]
fn copies_go_to_the_terminal_and_say_so() {
    let mut model = at_run(SIZE, Depth::True, RESTORING);
    let copied = press(&mut model, &["y"]);
    let [Action::Copy(line)] = &copied[..] else { panic!("{copied:?}") };
    assert!(line.starts_with("7Q2K9XAB restore-drill on db1: step 3/11"), "{line}");
    let copied = press(&mut model, &["Y"]);
    let [Action::Copy(command)] = &copied[..] else { panic!("{copied:?}") };
    assert!(command.starts_with("/usr/bin/pgbackrest --stanza=main") && command.ends_with(" restore"), "{command}");
}

#[test]
fn a_text_that_was_scrolled_to_its_end_comes_back_with_the_first_key() {
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["?", "End"]);
    let end = screen(&model);
    assert!(end.contains("leave without a note"), "{end}");
    press(&mut model, &["k"]);
    assert_ne!(screen(&model), end);
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["d"]);
    let ticket = model.plan.ticket;
    reply(&mut model, Reply::Proposal(ticket, Ok(Box::new(proposal()))));
    press(&mut model, &["Tab", "End"]);
    let end = screen(&model);
    assert!(end.contains("seal"), "{end}");
    press(&mut model, &["k"]);
    assert_ne!(screen(&model), end);
}

#[test]
fn all_steps_of_a_runbook_are_read_on_the_smallest_screen() {
    let mut model = filled(SIZE, Depth::True);
    press(&mut model, &["3"]);
    while model.runbooks.current().unwrap().name != "restore-drill" {
        press(&mut model, &["Down"]);
    }
    let titles: Vec<String> = {
        let card = model.runbooks.current().unwrap();
        card.runbook.as_ref().unwrap().steps.iter().map(|step| step.title.clone()).collect()
    };
    let mut seen = screen(&model);
    assert!(seen.contains("more: PgDn"), "{seen}");
    for _ in 0..20 {
        press(&mut model, &["PgDn"]);
        seen += &screen(&model);
    }
    let cut = |title: &str| title.chars().take(50).collect::<String>();
    for title in &titles {
        assert!(seen.contains(&cut(title)), "{title}");
    }
    assert!(screen(&model).contains("can't be undone: a gate stands before it"), "{}", screen(&model));
    // The way back begins at once.
    press(&mut model, &["PgUp"]);
    assert!(!screen(&model).contains("can't be undone: a gate stands before it"));
}
