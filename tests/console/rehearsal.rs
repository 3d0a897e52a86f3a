//! The rehearsal's page: the page, the clock, the score.

use crate::pages::pictures;
use crate::support::{ended_card, filled, now, paged, press, reply, screen};
use lifeboat::engine::rehearsal::Score;
use lifeboat::ui::action::Action;
use lifeboat::ui::command::Place;
use lifeboat::ui::event::{Event, Reply, RunCard};
use lifeboat::ui::model::{Model, Page};
use lifeboat::ui::theme::Depth;
use lifeboat::ui::update::update;

fn score(seconds: Option<f64>) -> Score {
    Score {
        rows_expected: 5213,
        rows_lost: 12,
        rows_still_deleted: 0,
        rows_left: 0,
        rows_out_of_reach: 0,
        seconds,
        right: vec!["nothing committed after the accident is there".into()],
        wrong: vec!["12 rows that were acknowledged in time are lost: the target was too early".into()],
    }
}

/// A recovery that was begun after the page, and has ended.
fn recovered() -> RunCard {
    let mut card = ended_card();
    if let Ok(told) = &mut card.told {
        told.runbook = "pitr-in-place".into();
        told.began = now() - chrono::TimeDelta::seconds(200);
        told.ended = Some(now());
    }
    card
}

fn asks_for_score(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Score))
}

fn tick(model: &mut Model, seconds: i64) -> Vec<Action> {
    let later = model.now + chrono::TimeDelta::seconds(seconds);
    update(model, Event::Tick(later))
}

#[test]
fn the_page_and_its_clock() {
    pictures("rehearsal", paged);
}

#[test]
fn the_score() {
    pictures("rehearsal_score", |size, depth| {
        let mut model = paged(size, depth);
        reply(&mut model, Reply::Score(Ok(score(Some(71.3)))));
        model
    });
}

#[test]
fn whoever_opens_it_on_a_broken_practice_cluster_has_been_paged() {
    let mut model = paged((80, 24), Depth::True);
    assert_eq!(model.page(), Page::Rehearsal);
    assert!(screen(&model).contains("since then  7 min 04 s"), "{}", screen(&model));
    press(&mut model, &["Enter"]);
    assert_eq!((model.page(), model.place()), (Page::Timeline, Place::Input), "the moment is asked for");
}

#[test]
fn the_score_is_asked_for_when_a_recovery_is_done_and_until_the_shop_sells_again() {
    let mut model = paged((80, 24), Depth::True);
    assert!(!asks_for_score(&tick(&mut model, 2)), "nothing is recovered yet");
    // A run from before the page is none, nor is one that has not ended.
    reply(&mut model, Reply::Runs(Ok(vec![ended_card()])));
    assert!((0..4).all(|_| !asks_for_score(&tick(&mut model, 1))));
    reply(&mut model, Reply::Runs(Ok(vec![recovered()])));
    assert!((0..4).filter(|_| asks_for_score(&tick(&mut model, 1))).count() == 1, "once, while it is on its way");
    reply(&mut model, Reply::Score(Ok(score(None))));
    assert!(screen(&model).contains("the shop has not taken an order yet"), "{}", screen(&model));
    assert!((0..4).any(|_| asks_for_score(&tick(&mut model, 1))), "the time is open");
    reply(&mut model, Reply::Score(Ok(score(Some(71.3)))));
    assert!((0..8).all(|_| !asks_for_score(&tick(&mut model, 1))));
    let shown = screen(&model);
    assert!(shown.contains("12 of 5213") && shown.contains("71.3 s from the page"), "{shown}");
}

#[test]
fn elsewhere_there_is_no_rehearsal() {
    let mut model = filled((80, 24), Depth::True);
    press(&mut model, &["p"]);
    assert_eq!(model.page(), Page::Inventory);
    assert!(screen(&model).contains("no practice cluster"), "{}", screen(&model));
}
