//! The way back after a recovery in place, with a tablespace; and what it says where nothing was kept.

use crate::driven::Driven;
use crate::lab::{self, Lab};
use crate::terminal::Terminal;
use crate::told::{self, make_directory};
use std::fs;

/// A cluster with a tablespace, rows before and after a moment; that moment as an LSN.
fn with_tablespace(lab: &Lab) -> String {
    let space = lab.home().join("space");
    make_directory(&space);
    lab.sql(&format!("CREATE TABLESPACE fast LOCATION '{}'", space.display()));
    lab.sql("CREATE TABLE parts (part integer, told text) TABLESPACE fast");
    lab.pgbackrest(&["--repo=1", "--type=incr", "backup"]);
    lab.sql("INSERT INTO parts SELECT n, 'before' FROM generate_series(1, 100) AS n");
    let target = lab.sql("SELECT pg_current_wal_insert_lsn()");
    lab.sql("INSERT INTO parts SELECT n, 'after' FROM generate_series(1, 50) AS n");
    target
}

/// In place to the moment, promoted, and given back.
fn recovered<'l>(lab: &'l Lab, target: &str, more: &[&str]) -> Driven<'l> {
    let target = format!("target=lsn:{target}");
    let mut run = Driven::begin(lab, &[&["pitr-in-place", "-p", &target], more].concat());
    run.through_gates();
    run.decide(&["promote"]);
    run.ended("done");
    run
}

fn parts(lab: &Lab) -> String {
    lab.sql("SELECT string_agg(told || ' ' || n, ', ' ORDER BY told) FROM (SELECT told, count(*) AS n FROM parts GROUP BY told) AS t")
}

#[test]
fn what_was_kept_comes_back_with_its_tablespace_and_cleanup_asks_twice() {
    let lab = lab::running();
    let target = with_tablespace(&lab);
    let first = recovered(&lab, &target, &[]);
    assert_eq!(parts(&lab), "before 100");
    lab.sql("INSERT INTO parts VALUES (1, 'since')");
    let kept = lab.layout.production().with_file_name(format!("production.kept-{}", first.id()));
    assert!(kept.join("kept.json").exists());
    let listed = told::lifeboat(&lab, &["runs"]).said;
    assert!(listed.contains(&format!("{} keeps", first.id())) && listed.contains(kept.to_str().unwrap()), "{listed}");

    let mut undo = Driven::begin(&lab, &["pitr-undo"]);
    assert_eq!(undo.run.plan.parameters["record"], kept.join("kept.json").to_str().unwrap());
    undo.through_gates();
    undo.ended("done");
    assert_eq!(parts(&lab), "after 50, before 100");
    assert_eq!(lab.sql("SELECT pg_walfile_name(pg_current_wal_lsn()) LIKE '00000001%'"), "t");
    assert_eq!(undo.run.result["back.timeline"], "1");
    // What had been restored is not lost.
    let aside = lab.layout.production().with_file_name(format!("production.aside-{}", first.id()));
    assert!(aside.join("content/PG_VERSION").exists());
    assert!(!aside.join("content/global/pg_control").exists(), "nobody starts it by mistake");
    // Archiving goes on where it was.
    lab.wait_archived();
    // A second time there is nothing to bring back.
    let again = Driven::begin(&lab, &["pitr-undo"]);
    assert_eq!(again.run.plan.parameters["record"], "none");
    again.ended("done");

    // The same day the name alone is not enough, neither typed nor given.
    let id = first.id();
    let mut terminal = Terminal::start(&lab, &["cleanup", &id]);
    let asked = |terminal: &Terminal, word: &str| {
        let wanted = format!("Type {word} to remove it");
        lab::wait_until(&wanted, || terminal.screen().contains(&wanted) && terminal.screen().trim_end().ends_with('>'));
    };
    asked(&terminal, &id);
    terminal.answer(&id);
    asked(&terminal, "discard");
    terminal.answer(&id);
    lab::wait_until("the prompt again", || {
        terminal.screen().contains("That is not the word.") && terminal.screen().trim_end().ends_with('>')
    });
    terminal.send("\x1b");
    assert_eq!(terminal.wait_end(), 3, "{}", terminal.all());
    lab::wait_until("Nothing was removed.", || terminal.all().contains("Nothing was removed."));
    assert!(kept.exists() && aside.exists());
    let once = told::lifeboat(&lab, &["cleanup", &id, "--yes", &id]);
    assert_eq!(once.exit, 3, "{once:?}");
    assert!(once.said.contains("less than a day ago") && once.said.contains("--kept-today discard"), "{once:?}");
    assert!(kept.exists() && aside.exists());
    let twice = told::lifeboat(&lab, &["cleanup", &id, "--yes", &id, "--kept-today", "discard"]);
    assert_eq!(twice.exit, 0, "{twice:?}");
    assert!(!kept.exists() && !aside.exists() && !first.directory().exists());
    let left = told::tree(&lab.home().join("space"));
    assert!(left.iter().all(|name| name.starts_with("PG_")), "{left:?}");
    assert_eq!(parts(&lab), "after 50, before 100");
    assert!(!told::lifeboat(&lab, &["runs"]).said.contains(&format!("{id} keeps")));
}

#[test]
fn what_was_kept_comes_back_where_the_directory_is_half_restored_or_lost() {
    let lab = lab::running();
    let target = with_tablespace(&lab);
    let everything = parts(&lab);
    let production = lab.layout.production();

    // Given up in the middle of a restore, as far as the directory can tell: its control file comes last.
    let at = format!("target=lsn:{target}");
    let mut first = Driven::begin(&lab, &["pitr-in-place", "-p", &at]);
    first.through_gates();
    assert!(first.run.open_decision().is_some(), "{}", first.why());
    lab::assert_done(&lab.run_lifeboat(&["abort", &first.id()]), "abort");
    first.attach();
    first.ended("aborted");
    let control = production.join("global/pg_control");
    fs::rename(&control, production.join("global/pg_control.pgbackrest.tmp")).unwrap();
    fs::remove_file(production.join("PG_VERSION")).unwrap();
    fs::remove_dir_all(production.join("pg_wal")).unwrap();
    let undo = undone(&lab);
    assert_eq!(undo.run.plan.parameters["production-state"], "lost");
    assert_eq!(parts(&lab), everything);
    assert_eq!(undo.run.result["back.timeline"], "1");

    // Promoted, and then the directory is gone; its tablespace is not.
    let second = recovered(&lab, &target, &[]);
    assert_eq!(parts(&lab), "before 100");
    lab.stop();
    fs::remove_dir_all(&production).unwrap();
    let undo = undone(&lab);
    assert_eq!(undo.run.plan.parameters["production-state"], "lost");
    assert!(undo.run.plan.parameters["record"].contains(&second.id()), "the newest that is not back");
    assert_eq!(parts(&lab), everything);
    assert_eq!(undo.run.result["back.timeline"], "1");
    lab.wait_archived();
}

/// `pitr-undo` to its end.
fn undone(lab: &Lab) -> Driven<'_> {
    let mut undo = Driven::begin(lab, &["pitr-undo"]);
    undo.through_gates();
    undo.ended("done");
    undo
}

#[test]
fn where_nothing_was_kept_it_changes_nothing_and_proves_the_road() {
    let lab = lab::running();
    lab.wait_archived();
    let newest = lab.sql("SELECT last_archived_wal FROM pg_stat_archiver");
    let run = Driven::begin(&lab, &["pitr-undo"]);
    run.ended("done");
    assert_eq!(run.run.result["road.newest-segment"], newest);
    let said = run.told.said.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["There is no copy", "replay to the end of timeline 1", &newest, " to replay, about "] {
        assert!(said.contains(words), "'{words}' is not in: {said}");
    }
    assert!(!run.directory().exists());
    assert_eq!(lab.sql("SELECT pg_is_in_recovery()"), "f");
}

#[test]
fn a_record_of_another_run_or_place_is_refused_before_anything_is_stopped() {
    let lab = lab::running();
    let home = lab.layout.production().with_file_name("production.kept-7Q2K9XAB");
    make_directory(&home);
    fs::write(home.join("kept.json"), "{\"format\": 1, \"run\": \"7Q2K9XAB\"}").unwrap();
    // Without its mark it is nobody's, and is not offered.
    let run = Driven::begin(&lab, &["pitr-undo"]);
    assert_eq!(run.run.plan.parameters["record"], "none");
    let record = format!("record={}", home.join("kept.json").display());
    let named = Driven::begin(&lab, &["pitr-undo", "-p", &record]);
    named.ended("failed");
    assert!(named.why().contains("record"), "{}", named.why());
    assert_eq!(lab.sql("SELECT 1"), "1", "production was not stopped");
}
