#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::domain::event::RunId;
use crate::planning::check::VOCABULARY;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// Nothing here is asked: a program that would say nothing, and a configuration of its own.
fn around(directory: &Path, servers: &[(&str, u32)]) -> Surroundings {
    let config = directory.join("pgbackrest.conf");
    let root = directory.display();
    let text = format!(
        "[global]\nrepo1-path={root}/repository\nspool-path={root}/spool\nlock-path={root}/lock\n[main]\npg1-path={root}/production\n"
    );
    fs::write(&config, text).unwrap();
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let variables = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    Surroundings {
        pgbackrest: crate::engine::pgbackrest::Pgbackrest::locate(
            Some(Path::new("/bin/true")),
            Some(&config),
            variables,
        )
        .unwrap(),
        postgres: crate::engine::postgres::PostgresPrograms {
            bin_directory: "/nowhere".into(),
            version: "15.0".to_owned(),
        },
        environment,
        run: Some(RunId::parse("7Q2K").unwrap()),
        servers: servers.iter().map(|(step, pid)| ((*step).to_owned(), *pid)).collect(),
    }
}

fn with(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn ask(name: &str, pairs: &[(&str, &str)], around: &Surroundings) -> CheckReport {
    run(name, &with(pairs), around).unwrap()
}

fn wrong_with(report: &CheckReport) -> String {
    let wrong = report.findings.iter().filter(|finding| !finding.holds);
    wrong.map(|finding| format!("{}: {}\n", finding.what, finding.remedy)).collect()
}

#[test]
fn every_listed_check_exists_and_names_what_it_misses() {
    let home = tempfile::tempdir().unwrap();
    let around = around(home.path(), &[]);
    for (name, arguments) in VOCABULARY.checks {
        let error = run(name, &BTreeMap::new(), &around).unwrap_err();
        assert!(
            matches!(error, CheckError::Missing { argument, .. } if arguments.contains(&argument)),
            "{name}: {error}"
        );
    }
    assert!(matches!(run("no-such", &BTreeMap::new(), &around), Err(CheckError::Unknown(_))));
}

#[test]
fn a_free_directory_is_free_and_asking_makes_nothing() {
    let home = tempfile::tempdir().unwrap();
    let around = around(home.path(), &[]);
    let new = home.path().join("drills/today");
    let empty = home.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for directory in [&new, &empty] {
        let report = ask("drill-directory-free", &[("directory", directory.to_str().unwrap())], &around);
        assert!(report.holds() && report.findings.len() == 1, "{report:?}");
    }
    assert!(!new.parent().unwrap().exists());
}

#[test]
fn places_that_are_not_free_are_refused_with_a_reason() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    let around = around(home.path(), &[]);
    for directory in ["production/pg_tblspc", "full", "real", "other-cluster", "tablespace"] {
        fs::create_dir_all(at(directory)).unwrap();
    }
    fs::write(at("full/file"), "x").unwrap();
    fs::write(at("plain"), "x").unwrap();
    fs::write(at("other-cluster/PG_VERSION"), "15\n").unwrap();
    symlink("real", at("link")).unwrap();
    symlink(at("tablespace"), at("production/pg_tblspc/16400")).unwrap();
    for (directory, why) in [
        ("full", "is not empty: it holds file"),
        ("plain", "is no directory"),
        ("plain/below", "is no directory"),
        ("link", "is a symbolic link"),
        ("link/below", "is a symbolic link"),
        ("other-cluster/drill", "lies in the data directory"),
        ("production/drill", "lies in the data directory"),
        ("repository/drill", "lies in the repository"),
        ("tablespace/drill", "lies in the tablespace"),
        ("spool/drill", "lies in pgBackRest's spool path"),
        ("x/../y", "holds '..'"),
    ] {
        let report = ask("drill-directory-free", &[("directory", at(directory).to_str().unwrap())], &around);
        assert!(wrong_with(&report).contains(why), "{directory}: {report:?}");
        assert!(report.findings.iter().all(|finding| finding.holds || !finding.remedy.is_empty()));
    }
    let mount = ask("drill-directory-free", &[("directory", "/proc")], &around);
    assert!(wrong_with(&mount).contains("is a mount point"));
    let relative = run("drill-directory-free", &with(&[("directory", "drill")]), &around);
    assert!(matches!(relative, Err(CheckError::Argument { .. })));
}

#[test]
fn the_owner_of_production_is_who_runs_it() {
    let home = tempfile::tempdir().unwrap();
    let around = around(home.path(), &[]);
    let directory = home.path().join("drill");
    let of = |production: &str| {
        ask("ownership", &[("directory", directory.to_str().unwrap()), ("production", production)], &around)
    };
    let own = of(home.path().to_str().unwrap());
    assert!(own.findings[0].holds, "{own:?}");
    assert_eq!(own.holds(), !rustix::process::geteuid().is_root());
    assert!(of("/nowhere/data").findings[0].what.contains("does not exist"));
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(wrong_with(&of("/nowhere/data")).contains("everybody may write"));
}

#[test]
fn a_port_is_free_taken_or_out_of_reach() {
    let home = tempfile::tempdir().unwrap();
    let around = around(home.path(), &[]);
    let free = |directory: &Path| {
        ask("port-free", &[("socket-directory", directory.to_str().unwrap()), ("port", "56001")], &around)
    };
    let socket = home.path().join("socket");
    assert!(free(&socket).holds());
    fs::create_dir(&socket).unwrap();
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(wrong_with(&free(&socket)).contains("is open to others"));
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(free(&socket).holds());
    fs::write(socket.join(".s.PGSQL.56001.lock"), "1\n").unwrap();
    assert!(wrong_with(&free(&socket)).contains(".s.PGSQL.56001.lock is there"));
    assert!(free(&home.path().join("other")).holds());
    // "/.s.PGSQL.56001" has 15 bytes
    assert!(free(Path::new(&format!("/{}", "d".repeat(91)))).holds());
    assert!(wrong_with(&free(Path::new(&format!("/{}", "d".repeat(92))))).contains("has 108 bytes"));
    let number = run("port-free", &with(&[("socket-directory", "/x"), ("port", "70000")]), &around);
    assert!(matches!(number, Err(CheckError::Argument { argument: "port", .. })));
}

#[test]
fn the_drills_own_spool_and_locks_differ() {
    let home = tempfile::tempdir().unwrap();
    let around = around(home.path(), &[]);
    let of = |directory: &Path| {
        ask("spool-and-locks", &[("stanza", "main"), ("directory", directory.to_str().unwrap())], &around)
    };
    assert!(of(&home.path().join("drill")).holds());
    // the configured ones are HOME/spool and HOME/lock
    assert!(wrong_with(&of(home.path())).contains("is the configured one"));
    symlink(home.path(), home.path().join("link")).unwrap();
    assert!(!of(&home.path().join("link")).holds());
}

#[test]
fn an_open_tcp_port_is_found_and_a_server_that_is_gone_is_an_error() {
    let home = tempfile::tempdir().unwrap();
    let mut quiet = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let around = around(home.path(), &[("server", quiet.id()), ("open", std::process::id())]);
    let (silent, open) = (
        run("no-tcp-listener", &with(&[("server", "server")]), &around),
        ask("no-tcp-listener", &[("server", "open")], &around),
    );
    quiet.kill().unwrap();
    quiet.wait().unwrap();
    assert!(silent.unwrap().holds());
    assert!(wrong_with(&open).contains(&listener.local_addr().unwrap().to_string()), "{open:?}");
    assert!(run("no-tcp-listener", &with(&[("server", "other")]), &around).is_err());
    assert!(run("no-tcp-listener", &with(&[("server", "server")]), &around).is_err());
}

#[test]
fn replay_that_ends_before_the_newest_segment_is_no_success() {
    let home = tempfile::tempdir().unwrap();
    let around = around(home.path(), &[]);
    let at = |lsn: &str, size: &str| {
        let newest = ("newest-segment", "000000010000000000000004");
        run("end-of-archive-reached", &with(&[("lsn", lsn), newest, ("segment-bytes", size)]), &around)
    };
    for lsn in ["0/4000000", "0/4000090", "1/0"] {
        assert!(at(lsn, "16777216").unwrap().holds(), "{lsn}");
    }
    assert!(wrong_with(&at("0/3FFFFFF", "16777216").unwrap()).contains("begins at 0/4000000"));
    // the same name lies elsewhere with other segments
    assert!(!at("0/4000090", "67108864").unwrap().holds());
    assert!(at("0/4000090", "1000").is_err() && at("x", "16777216").is_err());
}
