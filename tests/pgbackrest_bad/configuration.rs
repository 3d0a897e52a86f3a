//! pgBackRest's configuration, and its secrets.

use crate::support::{
    Fixture, PASS, argument_inside, assert_says, config_file, directory, environment, inside, is_root, real, script,
};
use lifeboat::engine::look::{self, LookError};
use lifeboat::engine::pgbackrest::Pgbackrest;
use lifeboat::engine::pgbackrest_config::{BackrestConfig, ConfigError};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

#[test]
fn a_secret_in_the_environment_works_and_is_never_shown() {
    let place = directory();
    let config = Fixture::get().config(place.path(), "");
    let mut with_pass = environment();
    with_pass.insert("PGBACKREST_REPO1_CIPHER_PASS".to_owned(), PASS.into());
    let pgbackrest = Pgbackrest::locate(None, Some(&config), with_pass.clone()).unwrap();
    assert_eq!(look::inventory(&pgbackrest, Some("main")).unwrap().stanzas[0].repositories[0].sets.len(), 1);
    assert!(!format!("{pgbackrest:?} {:?}", pgbackrest.configuration().unwrap()).contains(PASS));
    // A program that tells all it knows, on stderr and on stdout.
    for tell in ["env >&2; exit 25", "env; exit 25", "env", "env >&2; sleep 1000"] {
        let binary = script(place.path(), tell);
        let pgbackrest = Pgbackrest::locate(Some(&binary), Some(&config), with_pass.clone()).unwrap();
        let error = pgbackrest.with_limits(Duration::from_secs(2), 10_000).version().unwrap_err();
        assert!(!format!("{error} {error:?}").contains(PASS), "{tell}: {error:?}");
    }
    assert_eq!(pgbackrest.redact(&format!("PASS={PASS}.")), "PASS=<set>.");
}

#[test]
fn a_bad_line_is_told_without_its_text() {
    let place = directory();
    let config = config_file(place.path(), &format!("[global]\nrepo1-path=/x\n{PASS}\n"));
    let error = look::inventory(&real(&config), None).unwrap_err();
    assert!(matches!(error, LookError::Config(ConfigError::BadLine { line: 3, .. })), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(PASS));
    // The same when pgbackrest is asked without looking: it quotes the line.
    let error = real(&config).info(None, None, None).unwrap_err();
    assert_says(&error.to_string(), &["29 (format)", "at line 3 (the line is not shown)"]);
    assert!(!format!("{error} {error:?}").contains(PASS));
}

#[test]
fn missing_configuration_file() {
    let place = directory();
    let gone = place.path().join("gone.conf");
    let error = look::inventory(&real(&gone), None).unwrap_err();
    assert!(matches!(error, LookError::Config(ConfigError::Missing { .. })), "{error:?}");
    assert_says(&error.to_string(), &[&gone.display().to_string(), "does not exist", "correct the path"]);
    let error = real(&gone).info(None, None, None).unwrap_err();
    assert_says(&error.to_string(), &["55 (file-missing)", &gone.display().to_string()]);
}

#[test]
fn unreadable_configuration() {
    if let Some(config) = argument_inside() {
        let error = look::inventory(&real(&config), None).unwrap_err();
        assert!(matches!(error, LookError::Config(ConfigError::Unreadable { .. })), "{error:?}");
        let at = config.display().to_string();
        assert_says(&error.to_string(), &[&at, "can't be read as", "uid", "as the user who runs pgbackrest"]);
        return;
    }
    let place = directory();
    let config = config_file(place.path(), "[global]\nrepo1-path=/x\n");
    std::fs::set_permissions(&config, PermissionsExt::from_mode(0o000)).unwrap();
    // Root reads everything, so it becomes somebody else.
    let other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    inside("configuration::unreadable_configuration", if is_root() { &other } else { &["env"] }, &config);
}

#[test]
fn the_configuration_is_read_as_pgbackrest_reads_it() {
    let place = directory();
    let config = Fixture::get().config(place.path(), &format!("repo1-cipher-pass={PASS}\n"));
    let read = BackrestConfig::load(Some(&config), &BTreeMap::new()).unwrap();
    assert_eq!((read.stanzas(), read.path()), (vec!["main".to_owned()], Some(config.as_path())));
    assert_eq!(read.pg1_path("main").unwrap(), Fixture::get().directory.join("pg"));
    assert_eq!(read.secrets().len(), 1);
    // Old names, spaces and comments: the real one takes the same file, and finds the same repository.
    let repository = Fixture::get().directory.display();
    let old = format!(
        "# old\n  [global]\n repo-path = {repository}/repo\n\trepo-cipher-type=aes-256-cbc\nrepo-cipher-pass={PASS}\n\
         [main]\ndb-path=/x\n"
    );
    let pgbackrest = real(&config_file(place.path(), &old));
    assert_eq!(look::inventory(&pgbackrest, Some("main")).unwrap().stanzas[0].repositories[0].sets.len(), 1);
    let read = pgbackrest.configuration().unwrap();
    assert_eq!(read.repositories("main")[0].local_path().unwrap(), Path::new(&format!("{repository}/repo")));
    assert_eq!(read.pg1_path("main").unwrap(), Path::new("/x"));
}
