//! Each accident of the rehearsal, recovered in place: what was promised before it is back, and nothing of it or after it.

use crate::in_place_support::{self as in_place, Recovery, Way, assert_handed_back, before};
use crate::lab::{self, Lab};
use chrono::SecondsFormat;
use lifeboat::domain::lsn::Lsn;
use lifeboat::engine::rehearsal::{Acknowledged, Truth};
use serde_json::Value;

#[test]
fn deleted_rows_come_back_after_a_target_too_late_and_one_too_early() {
    let lab = in_place::practice();
    let truth = accident(&lab, "deleted-rows", "1");
    let (good, after) = divided(&lab, &truth);
    let deleted = truth.blows[0].rows.unwrap();
    let payments = truth.baseline.iter().find(|baseline| baseline.table == "payments").unwrap();
    let old = |lab: &Lab| -> u64 {
        let count = format!("SELECT count(*) FROM payments WHERE payment_id <= {}", payments.highest);
        in_place::ask(lab, &count).parse().unwrap()
    };

    let proposed = filled(&lab, &truth);

    // Behind the accident: seen at the pause.
    let late = after[2].lsn;
    let mut recovery = Recovery::begin(&lab, &[], &["-p", &before(late)]);
    recovery.comes_to(&Way::Decision);
    recovery.assert_pauses_before(late);
    assert!(old(&lab) < payments.rows && payments.rows - old(&lab) <= deleted);

    // Back, by another restore: half of what the writer was promised meanwhile.
    let early = good.len() / 2;
    recovery.decide(&["back", &before(good[early].lsn), "exclusive=true"]);
    recovery.comes_to(&Way::Decision);
    recovery.assert_pauses_before(good[early].lsn);
    assert_eq!((old(&lab), there(&lab, &good)), (payments.rows, rows(&good[..=early])));
    assert_eq!(recovery.drill.steps_started("restore"), 2);

    // And forward, without one, to right before the first accident, as the WAL tells it.
    recovery.decide(&["forward", &before(proposed)]);
    recovery.comes_to(&Way::Decision);
    recovery.assert_pauses_before(proposed);
    assert_eq!((old(&lab), there(&lab, &good), there(&lab, &after)), (payments.rows, rows(&good), 0));
    assert_eq!(recovery.drill.steps_started("restore"), 2);

    recovery.decide(&["promote"]);
    recovery.comes_to(&Way::Ended("done"));
    recovered(&recovery, &truth);
    let lost = recovery.value("goal.first-discarded");
    let accident = format!("xid {}", truth.blows[0].commit.xid);
    assert!(lost.contains(&accident), "the accident is what is lost first: {lost}");

    // What was thrown away is named by table, and where it still is: when it was decided, and at the end.
    for told in ["weigh.shown", "discarded.shown"] {
        let shown = recovery.value(told);
        assert!(shown.contains(&format!("{deleted} deletes from payments")), "{told}: {shown}");
        assert!(shown.contains(" inserts into orders") && shown.contains(&accident), "{told}: {shown}");
        assert!(!shown.contains("relation file") && !shown.contains("not counted"), "{told}: {shown}");
    }
    let sold = after.iter().filter(|commit| commit.order_id.is_some()).count();
    let inserts = recovery.value("discarded.shown").split(" inserts into orders").next().unwrap();
    let inserts: usize = inserts.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(inserts >= sold, "{inserts} orders were thrown away, and {sold} were promised");
    let place = recovery.value("discarded.where").to_owned();
    assert!(place.contains("repo1, repo2") && place.contains("safety/pg_wal"), "{place}");
    let told: String = recovery.transcript(&[]).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(told.contains("Thrown away: ") && told.contains("Still there: timeline 1"), "{told}");
}

/// The target that a plan takes from the WAL around the accident: right before it, with what that keeps and discards.
fn filled(lab: &Lab, truth: &Truth) -> Lsn {
    let around = truth.page_says.to_rfc3339_opts(SecondsFormat::Secs, true);
    let plan = |runbook: &str, more: &[&str]| {
        let accident = format!("accident=around:{around} window 30m table payments");
        lab.run_lifeboat(&[&["plan", runbook, "-p", &accident], more].concat())
    };
    let output = plan("pitr-in-place", &["--json"]);
    lab::assert_done(&output, "lifeboat plan -p accident=");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let parameter =
        |name: &str| said["parameters"][name].as_str().unwrap_or_else(|| panic!("{name}: {said}")).to_owned();
    assert_eq!((parameter("exclusive"), parameter("timeline")), ("true".to_owned(), truth.timeline.to_string()));
    let target = Lsn::parse(parameter("target").strip_prefix("lsn:").unwrap()).unwrap();
    assert!(target <= truth.blows[0].commit.lsn, "{target} is behind the accident");
    let last = truth.last_good.as_ref().unwrap();
    let text = String::from_utf8(plan("pitr-in-place", &[]).stdout).unwrap();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [format!("(xid {})", last.xid), format!("{} deletes from payments", truth.blows[0].rows.unwrap())] {
        assert!(text.contains(&words), "'{words}' is not in: {text}");
    }
    // Both can't be given, and nothing is made up where there was no accident.
    let both = plan("pitr-side-by-side", &["-p", "target=latest"]);
    assert_eq!(both.status.code(), Some(2), "{both:?}");
    assert!(String::from_utf8_lossy(&both.stderr).contains("leave one out"), "{both:?}");
    let other =
        ["plan", "pitr-in-place", "-p", &format!("accident=around:{around} window 30m table customers_of_mars")];
    let none = lab.run_lifeboat(&other);
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("none is surely an accident"), "{none:?}");
    target
}

#[test]
fn a_dropped_table_comes_back_from_its_page_and_at_a_time() {
    let lab = in_place::practice();
    let truth = accident(&lab, "dropped-table", "1");
    // Led by nothing but the moment that the page names. The tables were made minutes ago, by the test's own fixture: what
    // made a table is not looked at here.
    let around = truth.page_says.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut recovery = Recovery::begin(&lab, &[], &["-p", &format!("accident=around:{around} window 20s")]);
    recovery.comes_to(&Way::Decision);
    assert_eq!(recovery.value("seen.locked"), "0");
    recovery.assert_pauses_before(truth.boundary);
    all_back(&lab, &truth);

    too_early(&mut recovery, &truth);
    let at = truth.blows[0].commit.committed_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    recovery.decide(&["forward", &format!("target={at}")]);
    if truth.blows[0].commits_between == 0 {
        // Nobody committed meanwhile: the time leads before its first record, and nothing is locked.
        recovery.comes_to(&Way::Decision);
        assert_eq!(recovery.value("seen.locked"), "0");
        recovery.assert_pauses_before(truth.blows[0].first_record);
        all_back(&lab, &truth);
    } else {
        // It is open at the pause, and what it dropped is locked, as was said.
        assert!(recovery.value("goal.shown").contains("stays locked until promotion"));
        recovery.comes_to(&Way::Held("probe".to_owned()));
        assert!(recovery.reasons().contains("lock timeout"), "{}", recovery.reasons());
        recovery.resolve("probe", "done");
        recovery.comes_to(&Way::Decision);
    }
    recovery.assert_pauses_before(truth.boundary);
    assert_eq!(recovery.drill.steps_started("restore"), 2);
    recovery.decide(&["promote"]);
    recovery.comes_to(&Way::Ended("done"));
    recovered(&recovery, &truth);
}

#[test]
fn a_lost_data_directory_comes_back_to_the_last_commit_in_a_repository() {
    let lab = in_place::practice();
    let truth = accident(&lab, "lost-data-directory", "2");
    let mut recovery = Recovery::begin(&lab, &[], &["-p", "target=latest"]);
    recovery.comes_to(&Way::Decision);
    recovery.assert_pauses_before(truth.boundary);
    all_back(&lab, &truth);

    too_early(&mut recovery, &truth);
    recovery.decide(&["forward", "target=latest"]);
    recovery.comes_to(&Way::Decision);
    recovery.assert_pauses_before(truth.boundary);
    all_back(&lab, &truth);
    assert_eq!(recovery.drill.steps_started("restore"), 2);
    recovery.decide(&["promote"]);
    recovery.comes_to(&Way::Ended("done"));
    recovered(&recovery, &truth);
}

/// Back by another restore, to half of what the writer was promised; nothing behind that is there.
fn too_early(recovery: &mut Recovery<'_>, truth: &Truth) {
    let (good, _) = divided(recovery.lab, truth);
    let early = good.len() / 2;
    recovery.decide(&["back", &before(good[early].lsn), "exclusive=true"]);
    recovery.comes_to(&Way::Decision);
    recovery.assert_pauses_before(good[early].lsn);
    assert_eq!(there(recovery.lab, &good), rows(&good[..=early]));
}

/// At the pause: every row that was promised before the accident, and none of after it.
fn all_back(lab: &Lab, truth: &Truth) {
    let (good, after) = divided(lab, truth);
    assert_eq!((there(lab, &good), there(lab, &after)), (rows(&good), 0));
}

/// Lets the accident happen.
fn accident(lab: &Lab, scenario: &str, seed: &str) -> Truth {
    let directory = lab.layout.directory.to_str().unwrap();
    let output = lab.run_lifeboat(&["rehearse", "--break", directory, "--scenario", scenario, "--seed", seed]);
    lab::assert_done(&output, "lifeboat rehearse --break");
    Truth::read_from(&lab.layout).unwrap()
}

/// What the writer was promised up to the accident, and after it.
fn divided(lab: &Lab, truth: &Truth) -> (Vec<Acknowledged>, Vec<Acknowledged>) {
    let noted = Acknowledged::read_all(&lab.layout).unwrap().into_iter();
    noted
        .filter(|commit| commit.timeline == truth.timeline)
        .partition(|commit| commit.lsn <= truth.boundary || truth.good.contains(&commit.xid))
}

fn rows(commits: &[Acknowledged]) -> u64 {
    let count = |commit: &Acknowledged| {
        [commit.order_id, commit.payment_id, commit.customer_id].iter().flatten().count() as u64
    };
    commits.iter().map(count).sum()
}

/// How many of the rows of these commits are there, by number and time: a number may be given out again later.
fn there(lab: &Lab, commits: &[Acknowledged]) -> u64 {
    let mut found = 0;
    for (table, key, time) in [
        ("customers", "customer_id", "created_at"),
        ("orders", "order_id", "placed_at"),
        ("payments", "payment_id", "paid_at"),
    ] {
        let wanted: Vec<String> = commits
            .iter()
            .filter_map(|commit| {
                let number = match table {
                    "customers" => commit.customer_id,
                    "orders" => commit.order_id,
                    _ => commit.payment_id,
                }?;
                Some(format!("({number}, '{}'::timestamptz)", commit.at.to_rfc3339()))
            })
            .collect();
        if wanted.is_empty() || in_place::ask(lab, &format!("SELECT to_regclass('{table}') IS NULL")) == "t" {
            continue;
        }
        let count = format!(
            "SELECT count(*) FROM {table} JOIN (VALUES {}) AS promised (number, at)
             ON {table}.{key} = promised.number AND {table}.{time} = promised.at",
            wanted.join(", ")
        );
        found += in_place::ask(lab, &count).parse::<u64>().unwrap();
    }
    found
}

/// All that was there and all that was promised before the accident is back, nothing else, and the shop sells.
fn recovered(recovery: &Recovery<'_>, truth: &Truth) {
    let lab = recovery.lab;
    assert_handed_back(recovery, 2);
    let (good, after) = divided(lab, truth);
    assert!(rows(&good) > 0 && rows(&after) > 0);
    assert_eq!((there(lab, &good), there(lab, &after)), (rows(&good), 0));
    for baseline in &truth.baseline {
        let (table, key) = (&baseline.table, format!("{}_id", baseline.table.trim_end_matches('s')));
        let old = lab.sql(&format!("SELECT count(*) FROM {table} WHERE {key} <= {}", baseline.highest));
        assert_eq!(old, baseline.rows.to_string(), "{table}");
    }
    let noted = Acknowledged::read_all(&lab.layout).unwrap().len();
    lab::wait_until("the shop sells again", || Acknowledged::read_all(&lab.layout).unwrap().len() > noted);
    let output = lab.run_lifeboat(&["rehearse", "--json", "--score", lab.layout.directory.to_str().unwrap()]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let score = &said["score"];
    assert_eq!(
        (&score["rows_lost"], &score["rows_left"], &score["wrong"]),
        (&0.into(), &0.into(), &Value::Array(Vec::new()))
    );
    assert!(score["seconds"].as_f64().unwrap() > 0.0, "{said}");
    recovery.assert_transcript();
    recovery.assert_nothing_destroyed_twice();
    let reached: Lsn = Lsn::parse(recovery.value("seen.lsn")).unwrap();
    assert!(reached <= truth.boundary);
}
