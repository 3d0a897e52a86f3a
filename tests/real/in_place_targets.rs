//! Targets that can't be reached are refused with the reason and the nearest that works, while production still runs.

use crate::in_place_support as in_place;
use crate::kills_support as kills;
use crate::lab::Lab;
use lifeboat::domain::lsn::Lsn;
use std::fs;
use std::path::PathBuf;

/// What a refusal says, with its line breaks taken for blanks, after it has been seen that production is as it was.
fn refused(lab: &Lab, server: u32, code: i32, arguments: &[&str]) -> String {
    let gates = ["--approve", "fence=main", "--approve", "overwrite=main"];
    let output = in_place::run(lab, &[arguments, &gates].concat());
    let said = kills::text(&output).split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert_eq!(in_place::postmaster(lab), server, "{arguments:?}: production was stopped: {said}");
    assert_eq!(lab.sql("INSERT INTO marks VALUES ('untouched') RETURNING pg_is_in_recovery()"), "f");
    let beside = fs::read_dir(&lab.layout.directory).unwrap().filter_map(Result::ok);
    assert!(!beside.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains(".kept-")), "{said}");
    said
}

fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "'{word}' is not in: {said}");
    }
}

#[test]
fn a_target_that_cannot_be_reached_is_refused_while_production_runs() {
    let lab = in_place::practice();
    lab.quiet();
    in_place::marks(&lab);
    let server = in_place::postmaster(&lab);

    // Before a run begins.
    says(&refused(&lab, server, 2, &["-p", "target=2026-11-22 02:13:00"]), &["has no offset", "+03"]);
    says(&refused(&lab, server, 2, &["-p", "target=2199-01-01 00:00:00+00"]), &["is in the future", "latest"]);
    let early = refused(&lab, server, 2, &["-p", "target=0/1000028"]);
    says(&early, &["no backup set can be recovered to", "the nearest that works", "immediate"]);
    let stop = lab.sql("SELECT now() - interval '1 day'");
    says(&refused(&lab, server, 2, &["-p", &format!("target={stop}")]), &["the nearest that works", "and later"]);
    let newest = newest_set(&lab);
    let named = format!("set={newest}");
    let before = refused(&lab, server, 2, &["-p", "target=0/5000028", "-p", &named]);
    says(&before, &[&newest, "the nearest that works"]);
    says(&refused(&lab, server, 2, &["-p", "target=latest", "-p", "timeline=2"]), &["timeline 2"]);

    // Behind the last commit in a repository: known only with the WAL at hand.
    let end = lab.sql("SELECT pg_current_wal_insert_lsn()");
    let behind = Lsn(Lsn::parse(&end).unwrap().0 + (64 << 20)).to_string();
    let said = refused(&lab, server, 1, &["-p", &format!("target={behind}")]);
    says(&said, &[&behind, "target=latest"]);
    let now = lab.sql("SELECT clock_timestamp()");
    let said = refused(&lab, server, 1, &["-p", &format!("target={now}")]);
    says(&said, &["no transaction ended at or after", "target=latest", "the last transaction that can come back"]);
    says(&refused(&lab, server, 2, &["-p", "target=xid:4000000"]), &["xid 4000000", &newest]);
    says(
        &refused(&lab, server, 1, &["-p", "target=xid:4000000", "-p", &named]),
        &["transaction 4000000", "target=latest"],
    );

    a_transaction_gets_the_newest_set_before_it(&lab, &newest);

    // A gap in every repository and in production's own directory.
    let gap = lab.sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
    lab.wait_archived();
    lab.sql("INSERT INTO marks VALUES ('behind the gap')");
    let target = lab.sql("SELECT pg_current_wal_insert_lsn()");
    for _ in 0..2 {
        lab.sql("INSERT INTO marks VALUES ('later')");
        lab.wait_archived();
    }
    remove_everywhere(&lab, &gap);
    let said = refused(&lab, server, 1, &["-p", &format!("target={target}")]);
    says(&said, &["missing", &gap]);
    let said = refused(&lab, server, 1, &["-p", "target=latest"]);
    says(&said, &["missing", "exclusive=false"]);
}

/// Its place is found in the WAL, in production's own directory as well.
fn a_transaction_gets_the_newest_set_before_it(lab: &Lab, set: &str) {
    let mark = || lab.sql("INSERT INTO marks VALUES ('numbered') RETURNING pg_current_xact_id()");
    let plan_of = |target: &str| -> String {
        let wish = ["plan", "pitr-in-place", "--json", "-p", target, "-p", "exclusive=false"];
        let output = lab.run_lifeboat(&wish);
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        plan["parameters"]["set"].as_str().unwrap_or_else(|| panic!("{plan}")).to_owned()
    };
    let planned = |xid: &str| plan_of(&format!("target=xid:{xid}"));
    let before = mark();
    lab.sql("SELECT pg_create_restore_point('before')");
    in_place::backup(lab);
    let behind = mark();
    lab.sql("SELECT pg_create_restore_point('behind')");
    let newest = newest_set(lab);
    assert_eq!((planned(&before), planned(&behind)), (set.to_owned(), newest.clone()));
    assert_eq!((plan_of("target=name:before"), plan_of("target=name:behind")), (set.to_owned(), newest));
}

fn newest_set(lab: &Lab) -> String {
    let info: serde_json::Value =
        serde_json::from_str(&lab.pgbackrest(&["--repo=1", "info", "--output=json"])).unwrap();
    info[0]["backup"].as_array().unwrap().last().unwrap()["label"].as_str().unwrap().to_owned()
}

/// Takes a segment out of both repositories and out of the server's own directory, where it is not needed any more.
fn remove_everywhere(lab: &Lab, segment: &str) {
    lab.sql("CHECKPOINT");
    let mut found: Vec<PathBuf> = Vec::new();
    for repository in [lab.layout.first_repository(), lab.layout.second_repository()] {
        let folder = repository.join("archive/main/15-1").join(&segment[..16]);
        let names = fs::read_dir(folder).unwrap().filter_map(Result::ok).map(|entry| entry.path());
        found.extend(names.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(segment)));
    }
    assert_eq!(found.len(), 2, "{found:?}");
    let own = lab.layout.production().join("pg_wal").join(segment);
    found.extend(own.exists().then_some(own));
    found.iter().for_each(|path| fs::remove_file(path).unwrap());
}
