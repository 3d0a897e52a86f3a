//! The screens of the five decisions of a recovery in place, with the groups that its runbook names: complete at 80x24.

use crate::pages::pictures;
use crate::support::{AT_GATE, at_run, press, screen};
use lifeboat::domain::plan::{Argument, Choice, Shown, StepKind};
use lifeboat::planning::check::{VOCABULARY, lint};
use lifeboat::planning::runbook::{Action, SHIPPED, ShownTemplate};
use lifeboat::planning::template::TemplatePiece;
use lifeboat::ui::model::Model;
use lifeboat::ui::theme::Depth;

/// What a practice cluster's run had captured and been given, by the names that the runbook uses.
const VALUES: [(&str, &str); 57] = [
    ("target", "time:2026-11-22 23:13:04.000000+00"),
    ("target-keeps", "the commit of 2026-11-22 23:13:03.912345Z (xid 812)"),
    ("target-discards", "186 later commits: 184 inserts into orders"),
    ("timeline", "1"),
    ("set", "20261122-023822F_20261122-083829I"),
    ("repository", "1"),
    ("run", "7Q2K9XAB"),
    ("host", "db1"),
    ("data-directory", "/var/lib/postgresql/15/main"),
    ("production-state", "running"),
    ("system-identifier", "7561840291034567890"),
    ("manager", "pg_ctlcluster"),
    ("directory", "/var/lib/lifeboat/drills/7Q2K9XAB"),
    ("socket-directory", "/var/lib/lifeboat/drills/7Q2K9XAB/socket"),
    ("port", "5432"),
    ("user", "postgres"),
    ("database", "shop"),
    ("cluster.role", "primary"),
    ("managed.manager", "pg_ctlcluster"),
    ("managed.hold", "start.conf says disabled while the work goes on"),
    ("managed.unit", "postgresql@15-main.service"),
    ("hangs.connections", "12 of application shop, 1 of psql"),
    ("hangs.standbys", "walreceiver 10.0.0.12 streaming, lag 0"),
    ("hangs.slots", "cdc (logical pgoutput shop)"),
    ("hangs.subscriptions", "none"),
    ("hangs.prepared", "none"),
    ("hangs.jobs", "pg_cron in shop: 3 jobs"),
    ("timers.jobs", "/etc/cron.d/pgbackrest: 30 2 * * * postgres pgbackrest --stanza=main backup"),
    ("timers.hold", "sed -i 's/^/#/' /etc/cron.d/pgbackrest"),
    ("room.how", "rename"),
    ("room.cost", "about 1 s"),
    ("room.way-back", "about 10 s, by renaming it back"),
    ("goal.set", "20261122-023822F_20261122-083829I"),
    ("goal.repository", "1"),
    ("goal.set-stop", "2026-11-22T08:38:31Z"),
    ("goal.shown", "time 2026-11-22 23:13:04.000000+00, exclusive: right before the record at 0/70001A8"),
    ("goal.timeline", "1"),
    ("goal.last-kept", "2026-11-22T23:13:03.912345Z (xid 812, at 0/7000150)"),
    ("goal.first-discarded", "2026-11-22T23:13:04.104417Z (xid 813, at 0/70001A8)"),
    ("weigh.shown", "186 commits: 184 inserts into orders"),
    ("keep.kept-at", "/var/lib/postgresql/15/main.lifeboat-kept-7Q2K9XAB"),
    ("keep.kept-bytes", "22912435"),
    ("keep.way-back", "about 10 s, by renaming it back"),
    ("seen.lsn", "0/70001A8"),
    ("seen.time", "2026-11-22T23:13:03.912345Z"),
    ("seen.locked", "0"),
    ("seen.libraries", "pg_cron"),
    ("paused.evidence", "recovery stopping before WAL location (LSN) \"0/70001A8\"; pausing at the end of recovery"),
    ("history-free.next-timeline", "2"),
    ("promoted.timeline", "2"),
    ("off.jobs", "pg_cron: job 1 in shop, '30 2 * * *'"),
    ("off.subscriptions", "shop.feed, shop.idle (disabled)"),
    ("since-kept.written", "nothing: it is as it was when it was stopped"),
    ("first-commit.lsn", "0/7000420"),
    ("close.segment", "000000020000000000000007"),
    ("save-wal-again.not-archived", "none"),
    ("differs.sequences", "shop: public.orders_order_id_seq was at 912, is at 871"),
];

fn value(name: &str) -> String {
    let found = VALUES.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no sample of {name}")).1.to_owned()
}

fn shown(template: &ShownTemplate) -> Shown {
    let pieces = template.value.pieces.iter().map(|piece| match piece {
        TemplatePiece::Text(text) => text.clone(),
        TemplatePiece::Name { name, .. } => value(name),
        TemplatePiece::Capture { step, name, .. } => value(&format!("{step}.{name}")),
    });
    let text: String = pieces.collect();
    Shown {
        label: template.label.clone(),
        value: Argument::text(text),
        group: template.group.clone(),
        from: template.from.as_ref().map(|from| from.text.clone()),
    }
}

/// A console at a gate or decision of the shipped recovery in place: its step stands in the place of the sample's gate.
fn at(step: &str, size: (u16, u16), depth: Depth) -> Model {
    let (_, text) = SHIPPED.iter().find(|(name, _)| *name == "pitr-in-place").unwrap();
    let runbook = lint(text, &VOCABULARY).unwrap();
    let written = runbook.steps.iter().find(|written| written.id.as_str() == step).unwrap();
    let kind = match &written.action {
        Action::Gate { shows, .. } => {
            StepKind::Gate { answer: "main".into(), shows: shows.iter().map(shown).collect() }
        }
        Action::Decision { shows, choices } => StepKind::Decision {
            shows: shows.iter().map(shown).collect(),
            choices: choices
                .iter()
                .map(|choice| Choice {
                    id: crate::sample_plan::id(&choice.id.text),
                    title: choice.title.clone(),
                    back_to: None,
                    asks: choice.asks.clone(),
                    gives_up: choice.gives_up,
                })
                .collect(),
        },
        other => panic!("{step} is {}", other.word()),
    };
    let mut model = at_run(size, depth, AT_GATE);
    let run = model.run.as_mut().and_then(|state| state.run.as_mut()).unwrap();
    let planned = &mut run.plan.steps[1];
    (planned.title, planned.why, planned.kind) = (written.title.clone(), written.why.clone(), kind);
    run.values.extend(VALUES.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    // Only what overwrites lets a restore pass.
    run.plan.steps[2].destructive = step == "overwrite";
    press(&mut model, &["g"]);
    model
}

const DECISIONS: [(&str, &str); 5] = [
    ("fence", "target"),
    ("overwrite", "overwrite"),
    ("inspect", "paused"),
    ("promote-gate", "promote"),
    ("let-back", "let_back"),
];

#[test]
fn the_screens_of_the_five_decisions() {
    for (step, name) in DECISIONS {
        pictures(&format!("decision_{name}"), |size, depth| at(step, size, depth));
    }
}

/// What a text of a run shows of a gate's values, in one line.
fn flat(shown: &str) -> String {
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_is_complete_at_80x24_without_scrolling() {
    for (step, _) in DECISIONS {
        let model = at(step, (80, 24), Depth::True);
        let whole = screen(&model);
        let run = model.run.as_ref().and_then(|state| state.run.as_ref()).unwrap();
        let (StepKind::Gate { shows, .. } | StepKind::Decision { shows, .. }) = &run.plan.steps[1].kind else {
            panic!("{step}");
        };
        let flat = flat(&whole);
        for entry in shows {
            assert!(flat.contains(&entry.label), "{step}: '{}' is missing:\n{whole}", entry.label);
            // A long path may break anywhere; its first word may not be missing.
            let told = entry.told(&run.values);
            let first = told.split_whitespace().next().unwrap();
            assert!(flat.contains(&first.chars().take(20).collect::<String>()), "{step}: '{told}':\n{whole}");
        }
        // A choice that asks for a target is typed `back target=…`.
        assert!(!whole.replace("target=…", "").contains('…'), "{step} leaves something out:\n{whole}");
        if step == "overwrite" {
            assert!(whole.contains("lets pass step 3, which can't be undone"), "{whole}");
        }
        let asked = if step == "inspect" { "Choose the way on" } else { "Type main and Enter to go on" };
        assert!(whole.contains(asked), "{whole}");
    }
}

#[test]
fn what_is_not_known_says_so_and_the_commands_stand_below() {
    let shown = screen(&at("let-back", (80, 24), Depth::True));
    assert!(shown.contains("not known: not compared with before"), "{shown}");
    assert!(shown.contains("was at 912, is at 871"), "{shown}");
    let mut model = at("overwrite", (80, 24), Depth::True);
    assert!(!screen(&model).contains("/usr/bin/pgbackrest"), "{}", screen(&model));
    press(&mut model, &["PgDn", "PgDn", "PgDn", "PgDn", "PgDn"]);
    assert!(screen(&model).contains("/usr/bin/pgbackrest"), "{}", screen(&model));
    press(&mut model, &["PgUp", "PgUp", "PgUp", "PgUp", "PgUp"]);
    assert!(screen(&model).contains("■ GATE · step 2"), "{}", screen(&model));
    let wide = screen(&at("overwrite", (120, 40), Depth::True));
    assert!(wide.contains("/usr/bin/pgbackrest") && !wide.contains("PgDn:"), "{wide}");
}
