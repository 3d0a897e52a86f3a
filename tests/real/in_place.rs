//! One writing run per data directory, and drills that are in its way.

use crate::kills_support::{self as kills, Drill};
use crate::lab::{self, Lab};
use crate::told;
use std::fs;
use std::process::Output;

/// A runbook whose one destructive step writes into production's data directory, and goes on until it is told to end.
const IN_PLACE: &str = r#"
[runbook]
name = "in-place"
version = 1
title = "Write into the data directory"
about = "It stands for a recovery in place."

[parameters.stanza]
type = "stanza"
about = "the stanza"
default = { fact = "stanza" }

[[step]]
id = "go"
kind = "gate"
title = "Begin"
why = "It can't be undone."
answer = "${stanza}"
shows = [{ label = "into", value = "${production-data-directory}" }]

[[step]]
id = "write"
kind = "command"
title = "Write"
why = "It is what a recovery in place does."
destructive = true
argv = ["/usr/bin/tail", "-n", "1", "-F", "${production-data-directory}/lifeboat-test"]
failure = "None is expected."
repeat = "It only waits."
"#;

fn in_place(lab: &Lab, arguments: &[&str]) -> Output {
    lab.run_lifeboat(&[&["run", "in-place"], arguments].concat())
}

fn lab() -> Lab {
    let lab = lab::copy();
    let runbooks = lab.layout.directory.join("runbooks");
    told::make_directory(&runbooks);
    fs::write(runbooks.join("in-place.toml"), IN_PLACE).unwrap();
    lab
}

#[test]
fn a_second_run_in_one_data_directory_is_refused_and_told_which_run_it_is() {
    let lab = lab();
    let first = in_place(&lab, &[]);
    assert_eq!(first.status.code(), Some(3), "{}", kills::text(&first));
    let mut drill = Drill::begun(&lab, &[]);
    let id = drill.folder.id.to_string();
    let refused = |what: &str| {
        let second = in_place(&lab, &["--approve", "go=main"]);
        let said = kills::text(&second).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(second.status.code(), Some(2), "{what}: {said}");
        for told in [
            format!("run {id} works in {}", lab.layout.production().display()),
            format!("lifeboat abort {id}"),
            format!("lifeboat attach {id}"),
        ] {
            assert!(said.contains(&told), "{what}: '{told}' is not in: {said}");
        }
        assert_eq!(told::runs(&lab).len(), 1, "{what}: the second was never begun");
    };
    refused("it waits at its gate");
    // A drill only reads the data directory: it has a lock of its own.
    let beside = lab.run_lifeboat(&["run", "restore-drill"]);
    assert_eq!(beside.status.code(), Some(3), "{}", kills::text(&beside));
    let beside = Drill::begun(&lab, std::slice::from_ref(&drill.folder.id));
    lab::assert_done(&lab.run_lifeboat(&["abort", beside.folder.id.as_str()]), "abort");
    lab::assert_done(&lab.run_lifeboat(&["cleanup", beside.folder.id.as_str()]), "cleanup");
    fs::remove_dir_all(&beside.folder.path).unwrap();

    lab::assert_done(&lab.run_lifeboat(&["approve", &id, "go", "main"]), "approve");
    drill.started("write", 1);
    refused("it writes");
    // The runner is gone, what it started works on: nobody holds the lock, and the directory is not free all the same.
    assert!(drill.kill_runner());
    refused("its runner is gone");
    lab::assert_done(&lab.run_lifeboat(&["abort", &id]), "abort");
    let next = in_place(&lab, &[]);
    assert_eq!(next.status.code(), Some(3), "the directory is free: {}", kills::text(&next));
}

#[test]
fn a_drill_that_is_in_the_way_is_named_with_what_ends_it() {
    let lab = lab();
    let drill = lab.run_lifeboat(&["run", "restore-drill"]);
    assert_eq!(drill.status.code(), Some(3), "{}", kills::text(&drill));
    let drill = Drill::begun(&lab, &[]);
    let first = in_place(&lab, &[]);
    let said = kills::text(&first);
    assert_eq!(first.status.code(), Some(3), "{said}");
    assert!(said.contains(&format!("drill {} of the same stanza", drill.folder.id)), "{said}");
    assert!(said.contains(&format!(" abort {}\n", drill.folder.id)), "{said}");
    // Another drill is in nobody's way.
    let other = lab.run_lifeboat(&["run", "restore-drill"]);
    assert!(!kills::text(&other).contains("of the same stanza"), "{}", kills::text(&other));
}
