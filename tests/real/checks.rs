//! The checks of the restore drill, asked on a real cluster with real archives.

use crate::lab::{self, Lab};
use lifeboat::engine::checks::{self, CheckReport};
use lifeboat::engine::pgbackrest::Pgbackrest;
use lifeboat::engine::postgres::{LiveState, PostgresPrograms, live_tablespaces, server_is_live, tcp_listeners};
use lifeboat::engine::surroundings::Surroundings;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What the checks ask with, and the arguments most of them take.
struct Asked {
    around: Surroundings,
    set: String,
    production: String,
}

impl Asked {
    fn of(lab: &Lab) -> Asked {
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let variables = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        let config = lab.layout.pgbackrest_config();
        let pgbackrest = Pgbackrest::locate(Some(&lab.marker.pgbackrest), Some(&config), variables).unwrap();
        let postgres = PostgresPrograms::at(&lab.marker.bin_directory, &environment).unwrap();
        let around = Surroundings { pgbackrest, postgres, environment, run: None, servers: BTreeMap::new() };
        let info: serde_json::Value =
            serde_json::from_str(&lab.pgbackrest(&["--repo=1", "info", "--output=json"])).unwrap();
        let set = info[0]["backup"].as_array().unwrap().last().unwrap()["label"].as_str().unwrap().to_owned();
        Asked { around, set, production: lab.layout.production().to_str().unwrap().to_owned() }
    }

    /// Asks with stanza, set and production as they are; `more` goes before them.
    fn ask(&self, check: &str, more: &[(&str, &str)]) -> CheckReport {
        let usual = [
            ("stanza", "main"),
            ("repository", "1"),
            ("set", self.set.as_str()),
            ("timeline", "current"),
            ("target", "latest"),
            ("production", self.production.as_str()),
        ];
        let with = usual.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        checks::run(check, &with, &self.around).unwrap()
    }
}

fn wrong_with(report: &CheckReport) -> String {
    report.findings.iter().filter(|finding| !finding.holds).map(|finding| finding.what.as_str()).collect()
}

fn segments(repository: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository.join("archive")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().filter_map(Result::ok) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_name().to_str().unwrap().split_once('-').is_some_and(|(name, _)| name.len() == 24) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// The segment's file in a repository.
fn file_of(repository: &Path, segment: &str) -> PathBuf {
    let named = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().starts_with(segment);
    segments(repository).into_iter().find(named).unwrap()
}

#[test]
fn a_sound_backup_passes_and_a_hole_in_its_wal_is_named() {
    let lab = lab::running();
    for _ in 0..3 {
        lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
        lab.wait_archived();
    }
    let asked = Asked::of(&lab);
    let bin = asked.around.postgres.bin_directory.to_str().unwrap().to_owned();
    let drill = lab.home().join("drill");
    let directory = ("directory", drill.to_str().unwrap());
    for (check, more) in [
        ("backup-set-usable", vec![]),
        ("versions-match", vec![("postgres-bin", bin.as_str())]),
        ("free-space", vec![directory]),
        ("tablespaces-do-not-collide", vec![]),
        ("drill-directory-free", vec![directory]),
        ("spool-and-locks", vec![directory]),
    ] {
        let report = asked.ask(check, &more);
        assert!(report.holds() && !report.findings.is_empty(), "{check}: {report:?}");
    }
    let whole = asked.ask("archive-covers-target", &[]);
    assert!(whole.holds(), "{whole:?}");
    assert_eq!(whole.captures["newest-segment"], lab.sql("SELECT last_archived_wal FROM pg_stat_archiver"));
    assert_eq!(whole.captures["segment-bytes"], (16 << 20).to_string());

    // archive-get takes a segment from whichever repository has it
    let hole = {
        let all = segments(&lab.layout.first_repository());
        all[all.len() - 2].file_name().unwrap().to_str().unwrap()[..24].to_owned()
    };
    fs::remove_file(file_of(&lab.layout.first_repository(), &hole)).unwrap();
    assert!(asked.ask("archive-covers-target", &[]).holds());
    fs::remove_file(file_of(&lab.layout.second_repository(), &hole)).unwrap();
    let gap = asked.ask("archive-covers-target", &[]);
    assert!(wrong_with(&gap).contains(&format!("WAL is missing: {hole} to {hole}")), "{gap:?}");

    // a segment between the set's start and stop is needed from its own repository
    let info = lab.pgbackrest(&["--repo=1", &format!("--set={}", asked.set), "info", "--output=json"]);
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let start = info[0]["backup"][0]["archive"]["start"].as_str().unwrap();
    fs::remove_file(file_of(&lab.layout.first_repository(), start)).unwrap();
    let unusable = asked.ask("backup-set-usable", &[]);
    assert!(wrong_with(&unusable).contains(start), "{unusable:?}");
}

#[test]
fn a_tablespace_made_after_the_set_is_refused() {
    let lab = lab::running();
    let asked = Asked::of(&lab);
    let place = lab.layout.directory.join("later");
    lab::assert_done(&lab::as_owner("mkdir").arg(&place).output().unwrap(), "mkdir");
    lab.sql(&format!("CREATE TABLESPACE later LOCATION '{}'", place.display()));
    assert_eq!(live_tablespaces(&lab.layout.production()).unwrap()[0].location, place);
    let report = asked.ask("tablespaces-do-not-collide", &[]);
    assert!(wrong_with(&report).contains("was made after set"), "{report:?}");
    lab.pgbackrest(&["--repo=1", "--type=incr", "backup"]);
    assert!(Asked::of(&lab).ask("tablespaces-do-not-collide", &[]).holds());
}

#[test]
fn production_that_goes_on_is_untouched_and_a_stray_timeline_is_not() {
    let lab = lab::running();
    let asked = Asked::of(&lab);
    let before = asked.ask("production-baseline", &[]);
    let baseline = ("baseline", before.captures["baseline"].as_str());
    lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 100)");
    lab.wait_archived();
    let untouched = asked.ask("production-untouched", &[baseline]);
    assert!(untouched.holds(), "{untouched:?}");
    let folder = segments(&lab.layout.second_repository())[0].parent().unwrap().parent().unwrap().to_owned();
    fs::write(folder.join("00000002.history"), "1\t0/3000000\tno recovery target specified\n").unwrap();
    let touched = asked.ask("production-untouched", &[baseline]);
    assert!(wrong_with(&touched).contains("repo2/15-1 got new history files: 00000002.history"), "{touched:?}");
}

#[test]
fn a_server_is_told_from_what_it_left_behind() {
    let lab = lab::running();
    let asked = Asked::of(&lab);
    let production = lab.layout.production();
    let LiveState::Running { pid, port, socket_directory, status } = server_is_live(&production).unwrap() else {
        panic!("it runs");
    };
    assert_eq!((port, status.as_deref()), (Some(lab.marker.port), Some("ready")));
    assert_eq!(socket_directory.as_deref(), lab.layout.sockets().to_str());
    assert_eq!(tcp_listeners(pid).unwrap(), []);
    let left = fs::read(production.join("postmaster.pid")).unwrap();
    let postgres = &asked.around.postgres;
    let control = postgres.control_data(&production, &asked.around.environment).unwrap();
    assert_eq!(control.system_identifier.to_string(), lab.sql("SELECT system_identifier FROM pg_control_system()"));
    let setting = |name: &str| lab.sql(&format!("SHOW {name}"));
    for (name, value) in control.limits.settings() {
        assert_eq!(value.to_string(), setting(name), "{name}");
    }
    assert!(control.data_checksums && !control.was_stopped_cleanly());
    let major = postgres.major().to_owned();
    assert_eq!(
        PostgresPrograms::find(Some(&lab.marker.bin_directory), &major, &asked.around.environment).unwrap(),
        *postgres
    );
    assert!(PostgresPrograms::find(Some(&lab.marker.bin_directory), "12", &asked.around.environment).is_err());
    lab.stop();
    assert_eq!(server_is_live(&production).unwrap(), LiveState::Stopped);
    fs::write(production.join("postmaster.pid"), left).unwrap();
    // the file goes a moment before the process does; until then it counts as running
    lab::wait_until(
        "the server's process has ended",
        || matches!(server_is_live(&production).unwrap(), LiveState::Stale { pid: stale, .. } if stale == pid),
    );
    let control = postgres.control_data(&production, &asked.around.environment).unwrap();
    assert!(control.was_stopped_cleanly());
}
