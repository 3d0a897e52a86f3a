//! Every page at three sizes: its text in ASCII without colour, and its cells with their colours.

use crate::support::{
    AT_GATE, RESTORING, UNKNOWN, at_run, ended_card, filled, ground, id, inventory, many, open_card, opened, picture,
    press, proposal, reply, screen, text,
};
use lifeboat::domain::inventory::LastDrills;
use lifeboat::ui::event::Reply;
use lifeboat::ui::model::Model;
use lifeboat::ui::theme::Depth;
use ratatui::buffer::Buffer;
use ratatui::style::Style;
use std::fmt::Write as _;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// The text, and below it which cells look how: a letter for every look, explained at the end.
fn cells(buffer: &Buffer) -> String {
    let mut looks: Vec<Style> = vec![Style::reset()];
    let mut out = text(buffer);
    out.push('\n');
    for row in buffer.content.chunks(usize::from(buffer.area.width)) {
        let letters: String = row
            .iter()
            .map(|cell| {
                let style = cell.style();
                let place = looks.iter().position(|look| *look == style).unwrap_or_else(|| {
                    looks.push(style);
                    looks.len() - 1
                });
                if place == 0 { ' ' } else { char::from(b'a' + u8::try_from(place - 1).unwrap()) }
            })
            .collect();
        let _ = writeln!(out, "{}", letters.trim_end());
    }
    for (place, look) in looks.iter().enumerate().skip(1) {
        let letter = char::from(b'a' + u8::try_from(place - 1).unwrap());
        let modifiers = look.add_modifier;
        let _ = writeln!(
            out,
            "{letter}: {:?} on {:?} {modifiers:?}",
            look.fg.unwrap_or_default(),
            look.bg.unwrap_or_default()
        );
    }
    out
}

/// Takes the pictures of a page.
pub(crate) fn pictures(name: &str, make: impl Fn((u16, u16), Depth) -> Model) {
    for size in SIZES {
        let (columns, rows) = size;
        let mono = make(size, Depth::None);
        let plain = screen(&mono);
        assert!(plain.is_ascii(), "{plain}");
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}_ascii"), plain);
        let colour = make(size, Depth::True);
        insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), cells(&picture(&colour)));
    }
}

#[test]
fn opening() {
    pictures("opening", opened);
}

#[test]
fn nothing_found() {
    pictures("nothing", |size, depth| {
        let mut model = opened(size, depth);
        let why = "no backup was found, and that may only be for this: repo1's directory /backup does not exist: is its \
                   file system mounted?. Mount it, or correct the path in /etc/pgbackrest/pgbackrest.conf, then look again";
        reply(&mut model, Reply::Inventory(Err(why.into()), LastDrills::new()));
        model
    });
}

#[test]
fn one_stanza() {
    pictures("inventory", filled);
}

#[test]
fn two_repositories_one_failing() {
    pictures("inventory_two", |size, depth| {
        let mut model = filled(size, depth);
        reply(&mut model, Reply::Inventory(Ok(inventory("12").into()), LastDrills::new()));
        model
    });
}

#[test]
fn a_thousand_stanzas_and_their_switch() {
    pictures("switch", |size, depth| {
        let mut model = filled(size, depth);
        reply(&mut model, Reply::Inventory(Ok(many(1000).into()), LastDrills::new()));
        press(&mut model, &["s", "0", "7", "7"]);
        model
    });
}

#[test]
fn the_timeline() {
    pictures("timeline", |size, depth| {
        let mut model = filled(size, depth);
        press(&mut model, &["2", "Left", "H"]);
        model
    });
}

#[test]
fn a_moment_before_every_set() {
    pictures("timeline_typed", |size, depth| {
        let mut model = filled(size, depth);
        reply(&mut model, Reply::Ground("main".into(), ground()));
        press(&mut model, &["2", "t"]);
        crate::support::type_text(&mut model, "2026-11-22 08:13+03");
        model
    });
}

#[test]
fn the_runbooks() {
    pictures("runbooks", |size, depth| {
        let mut model = filled(size, depth);
        press(&mut model, &["3"]);
        model
    });
}

#[test]
fn a_plan() {
    pictures("plan", |size, depth| {
        let mut model = filled(size, depth);
        press(&mut model, &["d"]);
        let ticket = model.plan.ticket;
        reply(&mut model, Reply::Proposal(ticket, Ok(Box::new(proposal()))));
        model
    });
}

#[test]
fn no_plan() {
    pictures("plan_refused", |size, depth| {
        let mut model = filled(size, depth);
        press(&mut model, &["d"]);
        let ticket = model.plan.ticket;
        reply(&mut model, Reply::Proposal(ticket, Err("PostgreSQL 15's programs are not on this host".into())));
        model
    });
}

#[test]
fn a_run_that_restores() {
    pictures("run", |size, depth| at_run(size, depth, RESTORING));
}

#[test]
fn a_run_at_its_gate() {
    pictures("run_at_gate", |size, depth| at_run(size, depth, AT_GATE));
}

#[test]
fn a_gate() {
    pictures("gate", |size, depth| {
        let mut model = at_run(size, depth, AT_GATE);
        press(&mut model, &["g", "m", "a"]);
        model
    });
}

#[test]
fn a_gate_that_opened_again() {
    pictures("gate_again", |size, depth| {
        let mut model = at_run(size, depth, 9);
        press(&mut model, &["g"]);
        model
    });
}

#[test]
fn an_unknown_outcome() {
    pictures("unknown", |size, depth| {
        let mut model = at_run(size, depth, UNKNOWN);
        press(&mut model, &["g"]);
        model
    });
}

#[test]
fn a_run_that_ended() {
    pictures("run_ended", |size, depth| at_run(size, depth, usize::MAX));
}

#[test]
fn a_note() {
    pictures("note", |size, depth| {
        let mut model = at_run(size, depth, RESTORING);
        press(&mut model, &["e"]);
        crate::support::type_text(&mut model, "The disk of repo2 is full.");
        model
    });
}

#[test]
fn no_runs() {
    pictures("runs_none", |size, depth| {
        let mut model = filled(size, depth);
        reply(&mut model, Reply::Runs(Ok(Vec::new())));
        press(&mut model, &["4"]);
        model
    });
}

#[test]
fn many_runs() {
    pictures("runs", |size, depth| {
        let mut model = filled(size, depth);
        let mut cards = vec![open_card()];
        cards.extend((0..200).map(|_| ended_card()));
        cards[3].told = Err("line 4 of its journal is damaged".into());
        reply(&mut model, Reply::Runs(Ok(cards)));
        press(&mut model, &["4", "Down", "Down", "Down"]);
        model
    });
}

#[test]
fn a_run_that_is_on_when_the_console_opens() {
    pictures("told", |size, depth| {
        let mut model = opened(size, depth);
        reply(&mut model, Reply::Runs(Ok(vec![open_card()])));
        model
    });
}

#[test]
fn a_transcript() {
    pictures("transcript", |size, depth| {
        let mut model = filled(size, depth);
        press(&mut model, &["4", "t"]);
        let lines = (1..=400).map(|number| format!("line {number} of the evidence")).collect();
        reply(&mut model, Reply::Transcript(id(), Ok(lines)));
        press(&mut model, &["PgDn"]);
        model
    });
}

#[test]
fn the_help() {
    pictures("help", |size, depth| {
        let mut model = filled(size, depth);
        press(&mut model, &["?"]);
        model
    });
}

#[test]
fn the_palette() {
    pictures("palette", |size, depth| {
        let mut model = filled(size, depth);
        press(&mut model, &[":", "t", "h", "e", "m"]);
        model
    });
}

#[test]
fn below_the_least_size_a_sentence() {
    for size in [(59, 24), (80, 17), (20, 5), (1, 1), (0, 0)] {
        let model = filled(size, Depth::True);
        let shown = screen(&model);
        assert!(size.0 < 40 || shown.contains("Lifeboat needs 60 columns and 18 rows"), "{size:?}: {shown}");
    }
    assert!(!screen(&filled((60, 18), Depth::True)).contains("Lifeboat needs"));
}
