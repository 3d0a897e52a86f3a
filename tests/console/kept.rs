//! The inventory that was found last, before pgbackrest has answered.

use crate::support::{inventory, many, opened, press, reply, screen};
use chrono::TimeDelta;
use lifeboat::domain::inventory::{Inventory, Known, LastDrills, Stanza};
use lifeboat::ui::action::Action;
use lifeboat::ui::event::Reply;
use lifeboat::ui::model::Model;
use lifeboat::ui::theme::Depth;
use std::sync::Arc;

/// As it comes from an index: one stanza whole.
fn of_index(inventory: Inventory) -> (Known, Vec<Arc<Stanza>>) {
    let wholes: Vec<Arc<Stanza>> = inventory.stanzas.iter().cloned().map(Arc::new).collect();
    let mut known = Known::from(inventory);
    known.hold(Arc::clone(&wholes[0]));
    (known, wholes)
}

fn console() -> Model {
    opened((80, 24), Depth::Palette)
}

#[test]
fn the_last_known_sets_stand_there_with_their_age_while_pgbackrest_is_asked() {
    let mut model = console();
    let mut old = inventory("05");
    old.read_at -= TimeDelta::hours(15);
    reply(&mut model, Reply::Kept(Box::new(of_index(old).0)));
    let shown = screen(&model);
    assert!(shown.contains("last known, read 15 h ago · asking pgbackrest"), "{shown}");
    assert!(shown.contains("F 20261122-064008F") && shown.contains("the runs on this host are being read"), "{shown}");
    // That there was no drill is not known yet.
    assert!(!shown.contains("no drill") && !shown.contains("never"), "{shown}");
    reply(&mut model, Reply::Drills(LastDrills::new()));
    assert!(screen(&model).contains("no drill"));
    let at = model.inventory.cursor;
    reply(&mut model, Reply::Inventory(Ok(inventory("05").into()), LastDrills::new()));
    let shown = screen(&model);
    assert!(shown.contains("read 40 s ago") && !shown.contains("last known") && !shown.contains("asking"), "{shown}");
    assert_eq!(model.inventory.cursor, at);
}

#[test]
fn a_look_that_fails_leaves_them_there_and_says_so() {
    let mut model = console();
    reply(&mut model, Reply::Kept(Box::new(of_index(inventory("05")).0)));
    reply(&mut model, Reply::Inventory(Err("repo1 is not mounted\nmount it".into()), LastDrills::new()));
    let shown = screen(&model);
    assert!(shown.contains("last known, read 40 s ago · the last look failed"), "{shown}");
    assert!(shown.contains("the last look failed: repo1 is not mounted"), "{shown}");
}

#[test]
fn what_is_kept_never_takes_the_place_of_what_was_told() {
    let mut model = console();
    reply(&mut model, Reply::Inventory(Ok(inventory("05").into()), LastDrills::new()));
    let before = screen(&model);
    reply(&mut model, Reply::Kept(Box::new(of_index(many(3)).0)));
    assert_eq!(screen(&model), before);
}

#[test]
fn another_stanza_is_read_when_it_is_chosen() {
    let mut model = console();
    let (known, wholes) = of_index(many(1000));
    let read_at = known.read_at;
    reply(&mut model, Reply::Inventory(Ok(known), LastDrills::new()));
    let mut actions = press(&mut model, &["s"]);
    for letter in "0777".chars() {
        actions.extend(press(&mut model, &[&letter.to_string()]));
    }
    actions.extend(press(&mut model, &["Enter"]));
    assert!(actions.iter().any(|action| matches!(action, Action::ReadStanza(name) if name == "cluster0777")));
    assert!(model.inventory.rows.is_empty() && screen(&model).contains("cluster0777"));
    // What was read of an earlier answer, or for another wish, does not belong here.
    reply(&mut model, Reply::Stanza("cluster0777".into(), read_at - TimeDelta::hours(1), Ok(Arc::clone(&wholes[777]))));
    reply(&mut model, Reply::Stanza("cluster0001".into(), read_at, Ok(Arc::clone(&wholes[1]))));
    assert!(model.inventory.rows.is_empty());
    reply(&mut model, Reply::Stanza("cluster0777".into(), read_at, Ok(Arc::clone(&wholes[777]))));
    assert!(!model.inventory.rows.is_empty());
    let held = model.inventory.found.iter().flat_map(|found| &found.stanzas).filter(|stanza| stanza.whole.is_some());
    assert_eq!(held.count(), 1, "what is not looked at is not held");
    // The next answer tells the first one whole: the chosen one is asked for.
    let mut later = of_index(many(1000)).0;
    later.read_at += TimeDelta::minutes(1);
    let actions = reply(&mut model, Reply::Inventory(Ok(later), LastDrills::new()));
    assert!(actions.iter().any(|action| matches!(action, Action::ReadStanza(name) if name == "cluster0777")));
}

#[test]
fn a_stanza_that_cannot_be_read_is_asked_for_anew() {
    let mut model = console();
    let (mut known, _) = of_index(many(3));
    for stanza in &mut known.stanzas {
        stanza.whole = None;
    }
    let read_at = known.read_at;
    let actions = reply(&mut model, Reply::Inventory(Ok(known), LastDrills::new()));
    assert!(actions.iter().any(|action| matches!(action, Action::ReadStanza(_))));
    let damaged = Err("the file with the inventory: it is damaged; look again".to_owned());
    let actions = reply(&mut model, Reply::Stanza("cluster0000".into(), read_at, damaged));
    assert!(actions.iter().any(|action| matches!(action, Action::Look(None))), "{actions:?}");
}
