//! The rehearsal's accidents: each is recovered by hand with pgbackrest, to the best target and to wrong ones, and the
//! score says so.

use crate::lab::{self, Lab};
use chrono::{TimeDelta, Utc};
use lifeboat::domain::lsn::Lsn;
use lifeboat::engine::rehearsal::{Acknowledged, TIMEZONE, Truth};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Draws a second accident that is louder than the first.
const TWO_ACCIDENTS: &str = "1";

#[test]
fn deleted_rows_are_scored_at_the_right_target_and_at_wrong_ones() {
    let lab = lab::running();
    let configuration = fs::read_to_string(lab.layout.production().join("postgresql.conf")).unwrap();
    let truth = break_it(&lab, "deleted-rows", TWO_ACCIDENTS);
    assert_eq!(truth.blows.len(), 2, "this seed has a louder accident after the first: {:?}", truth.blows);
    let first = &truth.blows[0];
    assert!(first.rows.unwrap() > 1_000, "a large share: {:?}", first.rows);
    for blow in &truth.blows {
        let known = lab.sql(&format!("SELECT to_json(pg_xact_commit_timestamp('{}'::xid))", blow.commit.xid));
        let known: chrono::DateTime<Utc> = serde_json::from_str(&known).unwrap();
        assert_eq!(known, blow.commit.committed_at, "{}", blow.statement);
    }
    assert!(truth.blows[1].commit.lsn > first.commit.lsn);
    let noted = fs::read_to_string(lab.layout.failures()).unwrap();
    assert!(noted.contains(r#"relation \"customers\" does not exist"#), "{noted}");

    let before = score(&lab);
    assert_eq!(before["rows_lost"], first.rows.unwrap() + lost_customers(&truth), "not recovered: {before}");
    assert!(before["seconds"].is_null());

    let (good, after) = divided(&lab, &truth);
    recover(&lab, &configuration, Some(truth.target.unwrap()));
    let exact = score(&lab);
    assert_eq!((&exact["rows_lost"], &exact["rows_left"]), (&0.into(), &0.into()), "{exact}");
    assert!(exact["seconds"].as_f64().unwrap() > 0.0);

    // The page's time, or a guess: too early by half of what the writer did.
    let at = good.len() / 2;
    recover(&lab, &configuration, Some(good[at].lsn));
    let early = score(&lab);
    assert_eq!(early["rows_lost"], rows(&good[at + 1..]), "{early}");
    assert_eq!((&early["rows_left"], &early["rows_still_deleted"]), (&0.into(), &0.into()), "{early}");

    // Three commits after the accident, before the louder one.
    recover(&lab, &configuration, Some(after[2].lsn));
    let late = score(&lab);
    assert_eq!(late["rows_left"], rows(&after[..3]), "{late}");
    assert_eq!((&late["rows_lost"], &late["rows_still_deleted"]), (&first.rows.into(), &first.rows.into()), "{late}");
}

#[test]
fn a_dropped_table_is_scored_at_the_right_target_and_after_it() {
    let lab = lab::running();
    let configuration = fs::read_to_string(lab.layout.production().join("postgresql.conf")).unwrap();
    let truth = break_it(&lab, "dropped-table", "1");
    let table = &truth.blows[0].table;
    let noted = fs::read_to_string(lab.layout.failures()).unwrap();
    assert!(noted.contains(&format!(r#"relation \"{table}\" does not exist"#)), "{noted}");
    let (_, after) = divided(&lab, &truth);
    assert!(after.len() > 2, "the shop goes on with what works");

    recover(&lab, &configuration, Some(after[2].lsn));
    let late = score(&lab);
    let there = truth.baseline.iter().find(|baseline| baseline.table == *table).unwrap().rows;
    assert!(late["rows_lost"].as_u64().unwrap() > there, "the table and what was promised since: {late}");
    assert_eq!(late["rows_still_deleted"], late["rows_lost"], "{late}");
    assert_eq!(late["rows_left"], rows(&after[..3]), "{late}");

    recover(&lab, &configuration, Some(truth.target.unwrap()));
    let exact = score(&lab);
    assert_eq!((&exact["rows_lost"], &exact["rows_left"]), (&0.into(), &0.into()), "{exact}");
}

#[test]
fn a_lost_data_directory_is_scored_against_what_the_archive_has() {
    let lab = lab::running();
    let configuration = fs::read_to_string(lab.layout.production().join("postgresql.conf")).unwrap();
    let truth = break_it(&lab, "lost-data-directory", "2");
    assert_eq!(fs::read_dir(lab.layout.production()).unwrap().count(), 0);
    assert!(lab::processes_naming(&lab.layout.production()).is_empty());
    assert!(fs::read_to_string(lab.layout.failures()).unwrap().contains("the server is gone"));
    let (good, out_of_reach) = divided(&lab, &truth);
    assert_eq!(truth.last_acknowledged, out_of_reach.last().cloned(), "the shop sold until the end");

    recover(&lab, &configuration, None);
    let latest = score(&lab);
    assert_eq!((&latest["rows_lost"], &latest["rows_left"]), (&0.into(), &0.into()), "{latest}");
    assert_eq!(latest["rows_out_of_reach"], rows(&out_of_reach), "{latest}");

    let earlier = good.len() - 5;
    recover(&lab, &configuration, Some(good[earlier].lsn));
    let early = score(&lab);
    assert_eq!(early["rows_lost"], rows(&good[earlier + 1..]), "{early}");
}

#[test]
fn a_practice_cluster_has_one_accident_and_no_score_without() {
    let lab = lab::running();
    let directory = lab.layout.directory.to_str().unwrap();
    let output = lab.run_lifeboat(&["rehearse", "--score", directory]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--break"), "{output:?}");
    fs::create_dir(lab.layout.accident()).unwrap();
    let output = lab.run_lifeboat(&["rehearse", "--break", directory]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there was one already"), "{output:?}");
    assert_eq!(lab.sql("SELECT count(*) > 6000 FROM payments"), "t");
}

/// Lets the accident happen and looks at what the engineer gets.
fn break_it(lab: &Lab, scenario: &str, seed: &str) -> Truth {
    let directory = lab.layout.directory.to_str().unwrap();
    let output = lab.run_lifeboat(&["rehearse", "--break", directory, "--scenario", scenario, "--seed", seed]);
    lab::assert_done(&output, "lifeboat rehearse --break");
    let truth = Truth::read_from(&lab.layout).unwrap();
    let page = fs::read_to_string(lab.layout.page()).unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains(&page), "{page}");
    let said = truth.page_says.with_timezone(&TIMEZONE).format("%H:%M:%S").to_string();
    assert!(page.contains(&format!("Since about {said} local time")), "{page}");
    let wrong = truth.page_says - truth.happened_at;
    assert!((TimeDelta::seconds(-5)..=TimeDelta::seconds(9)).contains(&wrong), "{wrong}");
    assert!(truth.page_says < truth.paged_at);
    assert_eq!(fs::metadata(lab.layout.truth()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(lab::read_marker(&lab.layout.directory).scenario, scenario);
    truth
}

/// What the writer was promised before the accident and after it; by time, which it commits in the order of.
fn divided(lab: &Lab, truth: &Truth) -> (Vec<Acknowledged>, Vec<Acknowledged>) {
    let noted = Acknowledged::read_all(&lab.layout).unwrap();
    let end = truth.last_good.as_ref().map(|commit| commit.committed_at);
    assert!(noted.iter().is_sorted_by_key(|commit| commit.committed_at));
    noted.into_iter().partition(|commit| Some(commit.committed_at) <= end)
}

fn rows(commits: &[Acknowledged]) -> u64 {
    let count = |commit: &Acknowledged| {
        [commit.order_id, commit.payment_id, commit.customer_id].iter().flatten().count() as u64
    };
    commits.iter().map(count).sum()
}

fn lost_customers(truth: &Truth) -> u64 {
    truth.baseline.iter().find(|baseline| baseline.table == "customers").unwrap().rows
}

/// What an engineer would type: up to this position, which itself is left out, or to the end of the archive.
fn recover(lab: &Lab, configuration: &str, target: Option<Lsn>) {
    if lab.layout.production().join("postmaster.pid").exists() {
        lab.stop();
    }
    let target = target.map(|target| {
        [
            "--type=lsn".to_owned(),
            format!("--target={target}"),
            "--target-exclusive".to_owned(),
            "--target-action=promote".to_owned(),
        ]
    });
    let mut arguments: Vec<&str> = target.iter().flatten().map(String::as_str).collect();
    arguments.extend(["--delta", "--target-timeline=current", "restore"]);
    lab.pgbackrest(&arguments);
    // The backup's own names the directory that the practice cluster was built in; this is a copy of it.
    fs::write(lab.layout.production().join("postgresql.conf"), configuration).unwrap();
    let noted = Acknowledged::read_all(&lab.layout).unwrap().len();
    lab.start();
    lab::wait_until("the server is promoted", || lab.sql("SELECT pg_is_in_recovery()") == "f");
    lab::wait_until("the shop sells again", || Acknowledged::read_all(&lab.layout).unwrap().len() > noted);
}

/// The score; its exit status says whether it is perfect.
fn score(lab: &Lab) -> Value {
    let output = lab.run_lifeboat(&["rehearse", "--json", "--score", lab.layout.directory.to_str().unwrap()]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let perfect = said["score"]["rows_lost"] == 0 && said["score"]["rows_left"] == 0;
    assert_eq!(output.status.code(), Some(if perfect { 0 } else { 1 }), "{said}");
    said["score"].clone()
}
