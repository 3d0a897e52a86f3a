//! The way back: the kept cluster returns with its tablespace, from the decision and from a step that is held.

use crate::in_place_support::{self as in_place, Recovery, Way, assert_handed_back, before};
use crate::lab;
use lifeboat::domain::status::StepStatus;
use std::fs;

#[test]
fn the_kept_cluster_comes_back_from_the_decision_and_from_a_held_step() {
    let lab = lab::running();
    let place = lab.home().join("fast");
    lab::assert_done(&lab::as_owner("mkdir").arg(&place).output().unwrap(), "mkdir");
    lab.sql(&format!("CREATE TABLESPACE fast LOCATION '{}'", place.display()));
    lab.sql("CREATE TABLE spaced TABLESPACE fast AS SELECT generate_series(1, 1001) AS i");
    in_place::backup(&lab);
    let target = in_place::marks(&lab);
    lab.sql("INSERT INTO spaced VALUES (1002)");
    let everything = "SELECT concat((SELECT string_agg(mark, ' ') FROM marks), ' ', (SELECT count(*) FROM spaced), ' ',
        (SELECT count(*) FROM orders), ' ', (SELECT max(payment_id) FROM payments))";
    let was = lab.sql(everything);
    assert!(was.starts_with("before after 1002 "), "{was}");

    let mut recovery = Recovery::begin(&lab, &[], &["-p", &before(target)]);
    recovery.comes_to(&Way::Decision);
    recovery.assert_pauses_before(target);
    assert!(
        in_place::ask(&lab, everything).starts_with("before 1001 "),
        "looked at: {}",
        in_place::ask(&lab, everything)
    );
    // While it is kept nobody starts it by mistake.
    let kept = std::path::PathBuf::from(recovery.value("keep.kept-at"));
    assert!(!kept.join("data/global/pg_control").exists() && kept.exists());
    recovery.decide(&["give-up"]);
    recovery.comes_to(&Way::Ended("aborted"));
    back(&recovery, everything, &was);

    // Again, and given up where the recovery stands still: a target that nobody can reach.
    let first = recovery.drill.folder.id.clone();
    let mut recovery = Recovery::begin(&lab, std::slice::from_ref(&first), &["-p", &before(target)]);
    recovery.comes_to(&Way::Decision);
    recovery.decide(&["back", "target=F/F0000028"]);
    recovery.comes_to(&Way::Held("goal".to_owned()));
    assert!(recovery.reasons().contains("F/F0000028"), "{}", recovery.reasons());
    recovery.decide(&["give-up"]);
    recovery.comes_to(&Way::Ended("aborted"));
    assert_eq!(recovery.status("goal"), StepStatus::Failed);
    back(&recovery, everything, &was);
}

/// Everything is as it was before the run, what was restored is beside it, and production goes on where it was.
fn back(recovery: &Recovery<'_>, question: &str, was: &str) {
    let lab = recovery.lab;
    assert_handed_back(recovery, 1);
    assert_eq!(lab.sql(question), was);
    let location = lab.sql("SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'");
    assert_eq!(location, lab.home().join("fast").to_str().unwrap());
    assert_eq!(recovery.status("promote"), StepStatus::Skipped);
    assert_eq!((recovery.status("put-back"), recovery.status("start-server")), (StepStatus::Done, StepStatus::Done));
    recovery.assert_nothing_destroyed_twice();
    recovery.assert_transcript();
    let beside = fs::read_dir(&lab.layout.directory).unwrap().filter_map(Result::ok);
    let names: Vec<String> = beside.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.iter().any(|name| name.contains(recovery.id())), "what was restored is set aside: {names:?}");
}
