//! Every page of lists and texts while nothing has come yet, when what was asked failed, when there is nothing, and when
//! there is much.

use crate::pages::pictures;
use crate::support::{
    AT_GATE, at_run, ended_card, filled, id, many, opened, paged, press, proposal, reply, runbooks, screen,
};
use lifeboat::domain::inventory::LastDrills;
use lifeboat::ui::event::Reply;
use lifeboat::ui::model::Model;
use lifeboat::ui::theme::Depth;

/// Stanzas of the greatest sample.
const MANY: usize = 1000;

fn went(mut model: Model, keys: &[&str]) -> Model {
    press(&mut model, keys);
    model
}

#[test]
fn slow() {
    for (name, key) in [("timeline", "2"), ("runbooks", "3"), ("runs", "4")] {
        pictures(&format!("slow_{name}"), |size, depth| went(opened(size, depth), &[key]));
    }
    pictures("slow_plan", |size, depth| went(filled(size, depth), &["d"]));
    pictures("slow_run", |size, depth| went(filled(size, depth), &["4", "Enter"]));
    pictures("slow_transcript", |size, depth| went(filled(size, depth), &["4", "t"]));
    // A look that takes its time leaves what was known on the screen.
    pictures("slow_inventory_again", |size, depth| went(filled(size, depth), &["r"]));
}

#[test]
fn failing() {
    let why = || "the state directory /var/lib/lifeboat can't be read: Permission denied".to_owned();
    pictures("failing_inventory", |size, depth| {
        let mut model = filled(size, depth);
        reply(&mut model, Reply::Inventory(Err("pgbackrest did not answer within 60 s".into()), LastDrills::new()));
        model
    });
    pictures("failing_runbooks", |size, depth| {
        let mut model = opened(size, depth);
        reply(&mut model, Reply::Runbooks(Err(why())));
        went(model, &["3"])
    });
    pictures("failing_runs", |size, depth| {
        let mut model = opened(size, depth);
        reply(&mut model, Reply::Runs(Err(why())));
        went(model, &["4"])
    });
    pictures("failing_run", |size, depth| {
        let mut model = at_run(size, depth, AT_GATE);
        reply(&mut model, Reply::Lost(id(), "line 9 of its journal is damaged".into()));
        model
    });
    pictures("failing_transcript", |size, depth| {
        let mut model = went(filled(size, depth), &["4", "t"]);
        reply(&mut model, Reply::Transcript(id(), Err("line 9 of its journal is damaged".into())));
        model
    });
    pictures("failing_rehearsal", |size, depth| {
        let mut model = went(paged(size, depth), &["p"]);
        reply(&mut model, Reply::Score(Err("the shop's server does not answer".into())));
        model
    });
    pictures("failing_accident", |size, depth| {
        let mut model = went(crate::accident::answered(size, depth), &["r"]);
        let ticket = model.accident.ticket;
        reply(&mut model, Reply::Accident(ticket, Err("no WAL of that time is in any repository".into())));
        model
    });
}

#[test]
fn many_of_all() {
    let big = |size, depth| {
        let mut model = filled(size, depth);
        reply(&mut model, Reply::Inventory(Ok(many(MANY).into()), LastDrills::new()));
        model
    };
    pictures("many_inventory", big);
    pictures("many_timeline", |size, depth| went(big(size, depth), &["2"]));
    pictures("many_stanzas", |size, depth| went(big(size, depth), &["s"]));
    pictures("many_runbooks", |size, depth| {
        let mut model = filled(size, depth);
        let card = runbooks()[0].clone();
        let cards = (0..MANY).map(|number| {
            let mut card = card.clone();
            card.name = format!("drill-{number:04}");
            card
        });
        reply(&mut model, Reply::Runbooks(Ok(cards.collect())));
        went(model, &["3", "Down", "Down"])
    });
    pictures("many_runs_end", |size, depth| {
        let mut model = filled(size, depth);
        reply(&mut model, Reply::Runs(Ok((0..MANY).map(|_| ended_card()).collect())));
        went(model, &["4", "End"])
    });
}

#[test]
fn a_plan_read_to_its_end() {
    pictures("plan_end", |size, depth| {
        let mut model = went(filled(size, depth), &["d"]);
        let ticket = model.plan.ticket;
        reply(&mut model, Reply::Proposal(ticket, Ok(Box::new(proposal()))));
        went(model, &["Tab", "End"])
    });
}

#[test]
fn what_failed_is_said_beside_what_is_known() {
    let mut model = filled((80, 24), Depth::True);
    reply(&mut model, Reply::Inventory(Err("pgbackrest did not answer".into()), LastDrills::new()));
    let shown = screen(&model);
    assert!(
        shown.contains("the last look failed: pgbackrest did not answer") && shown.contains("20261122-064008F"),
        "{shown}"
    );
}

#[test]
fn a_set_that_cannot_be_read_is_not_missed() {
    let mut model = filled((80, 24), Depth::True);
    let mut inventory = crate::support::inventory("05");
    inventory.stanzas[0].repositories[0].unreadable_sets.push("set 4: no stop time".into());
    reply(&mut model, Reply::Inventory(Ok(inventory.into()), LastDrills::new()));
    assert!(screen(&model).contains("· 3 sets ! 1 unreadable · WAL up to"), "{}", screen(&model));
}
