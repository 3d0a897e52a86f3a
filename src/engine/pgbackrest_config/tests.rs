#![expect(clippy::unwrap_used, reason = "tests")]
use crate::engine::pgbackrest_config::{BackrestConfig, ConfigError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A configuration file in a directory of its own.
fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pgbackrest.conf");
    std::fs::write(&path, text).unwrap();
    (directory, path)
}

fn config(text: &str, variables: &[(&str, &str)]) -> BackrestConfig {
    let (_directory, path) = file(text);
    BackrestConfig::load(Some(&path), &environment(variables)).unwrap()
}

const TWO_STANZAS: &str = "\
# comment
[global]
repo1-path = /backup/one
repo2-type=s3
repo2-path=/bucket
repo3-host=vault
repo3-path=/far
log-level-file=detail
spool-path=/spool/global

[global:archive-get]
archive-async=y
spool-path=/spool/get

[main]
pg1-path=/data/main
pg1-port=5433
pg1-socket-path=/run/main
repo1-path=/backup/main

[main:restore]
process-max=4
recovery-option=primary_conninfo=host=a password=opensesame
recovery-option=recovery_target_action=pause

[old]
db-path=/data/old
";

#[test]
fn the_nearest_section_decides_and_the_environment_above_all() {
    let plain = config(TWO_STANZAS, &[]);
    assert_eq!(plain.value("main", "restore", "process-max"), Some("4"));
    assert_eq!(plain.value("main", "backup", "process-max"), None);
    assert_eq!(plain.value("main", "info", "repo1-path"), Some("/backup/main"));
    assert_eq!(plain.value("old", "info", "repo1-path"), Some("/backup/one"));
    assert_eq!(plain.value("main", "archive-get", "spool-path"), Some("/spool/get"));
    assert_eq!(plain.value("main", "archive-push", "spool-path"), Some("/spool/global"));
    assert_eq!(plain.values("main", "restore", "recovery-option").len(), 2);
    let set = config(TWO_STANZAS, &[("PGBACKREST_REPO1_PATH", "/env"), ("PGBACKREST_RECOVERY_OPTION", "a=b:c=d")]);
    assert_eq!(set.value("main", "info", "repo1-path"), Some("/env"));
    assert_eq!(set.values("main", "restore", "recovery-option"), ["a=b", "c=d"]);
}

#[test]
fn stanzas_and_their_clusters() {
    let config = config(TWO_STANZAS, &[("PGBACKREST_STANZA", "env"), ("PGBACKREST_PG2_PATH", "/data/env")]);
    assert_eq!(config.stanzas(), ["env", "main", "old"]);
    assert_eq!(config.pg1_path("main").unwrap(), Path::new("/data/main"));
    assert_eq!(config.pg1_path("old").unwrap(), Path::new("/data/old"));
    assert_eq!((config.pg1_port("main"), config.pg1_port("old")), (Some(5433), Some(5432)));
    assert_eq!(config.pg1_socket_path("main").unwrap(), Path::new("/run/main"));
    assert!(config.archive_async("main"));
    assert_eq!(config.spool_path("main"), Path::new("/spool/get"));
    assert_eq!(config.lock_path("main"), Path::new("/tmp/pgbackrest"));
}

#[test]
fn repositories_know_whether_they_are_here() {
    let config = config(TWO_STANZAS, &[]);
    let found = config.repositories("main");
    let local: Vec<_> = found.iter().map(|repository| (repository.key, repository.local_path())).collect();
    assert_eq!(local, [(1, Some(Path::new("/backup/main"))), (2, None), (3, None)]);
    assert_eq!(found[2].host.as_deref(), Some("vault"));
    assert_eq!(config.global_repositories()[0].path, Path::new("/backup/one"));
    let bare = self::config("[main]\npg1-path=/x\n", &[]);
    assert_eq!(bare.repositories("main")[0].local_path(), Some(Path::new("/var/lib/pgbackrest")));
}

#[test]
fn names_from_before_indexes_mean_the_first() {
    let config =
        config("[global]\nrepo-path=/r\nretention-full=2\nbackup-host=b\n[s]\ndb2-path=/two\ndb-port=6000\n", &[]);
    assert_eq!(config.value("s", "info", "repo1-path"), Some("/r"));
    assert_eq!(config.value("s", "expire", "repo1-retention-full"), Some("2"));
    assert_eq!(config.value("s", "info", "repo1-host"), Some("b"));
    assert_eq!(config.value("s", "restore", "pg2-path"), Some("/two"));
    assert_eq!(config.value("s", "restore", "db-port"), Some("6000"));
    assert_eq!(config.stanzas(), ["s"]);
}

#[test]
fn secrets_are_found_everywhere_and_never_shown() {
    let text = "[global]\nrepo1-cipher-pass=opensesame\nrepo2-s3-key=AKIAEXAMPLE\nrepo3-gcs-key=ab\n\
                [main]\npg1-path=/x\nrepo1-cipher-pass=opensesame-longer\n\
                [main:restore]\nrecovery-option=primary_conninfo=host=h password=pw-of-replica\nrecovery-option=recovery_target_action=pause\n";
    let config = config(text, &[("PGBACKREST_REPO4_CIPHER_PASS", "from-env"), ("PGBACKREST_REPO4_PATH", "/p")]);
    let options: Vec<String> = config.secrets().iter().map(|secret| secret.option.clone()).collect();
    assert_eq!(options.len(), 6, "{options:?}");
    let said = config.redact("opensesame, opensesame-longer; AKIAEXAMPLE/from-env 'ab' table pause");
    assert_eq!(said, "<set>, <set>; <set>/<set> '<set>' table pause");
    let debug = format!("{config:?} {:?}", config.secrets());
    for secret in ["opensesame", "AKIAEXAMPLE", "from-env", "pw-of-replica"] {
        assert!(!debug.contains(secret), "{secret} in {debug}");
    }
    assert!(debug.contains("/x") && debug.contains("repo1-cipher-pass"));
}

#[test]
fn bad_lines_are_refused_with_file_and_line_and_without_their_text() {
    let cases = [
        ("[global]\n\nopensesame\n", 3, "option=value"),
        ("[global # opensesame\n", 1, "must end with ]"),
        ("[global] # opensesame\n", 1, "must end with ]"),
        ("repo1-cipher-pass=opensesame\n", 1, "before the first section"),
        ("[global]\nrepo1-path=\n", 2, "'repo1-path' has no value"),
        ("[global]\n=opensesame\n", 2, "option=value"),
        ("\u{feff}[global]\n", 1, "option=value"),
    ];
    for (text, number, word) in cases {
        let (_directory, path) = file(text);
        let error = BackrestConfig::load(Some(&path), &BTreeMap::new()).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, ConfigError::BadLine { line, .. } if line == number), "{said}");
        assert!(said.contains(word) && said.contains(&path.display().to_string()), "{said}");
        assert!(!said.contains("opensesame"), "{said}");
    }
}

#[test]
fn a_named_file_alone_leaves_conf_d_out_and_the_default_takes_it_in() {
    let directory = tempfile::tempdir().unwrap();
    let (main, old) = (directory.path().join("pgbackrest.conf"), directory.path().join("old.conf"));
    std::fs::create_dir(directory.path().join("conf.d")).unwrap();
    std::fs::write(directory.path().join("conf.d/b.conf"), "[b]\npg1-path=/b\n").unwrap();
    std::fs::write(directory.path().join("conf.d/a.conf"), "[a]\npg1-path=/a\n").unwrap();
    std::fs::write(directory.path().join("conf.d/not.txt"), "not a configuration").unwrap();
    std::fs::write(&old, "[old]\npg1-path=/old\n").unwrap();
    let load = |explicit: Option<&Path>, variables: &[(&str, &str)]| {
        BackrestConfig::load_with_defaults(explicit, &environment(variables), directory.path(), &old)
    };
    let found = load(None, &[]).unwrap();
    assert_eq!((found.path(), found.stanzas()), (Some(old.as_path()), vec!["a".into(), "b".into(), "old".into()]));
    std::fs::write(&main, "[main]\npg1-path=/main\n").unwrap();
    let found = load(None, &[]).unwrap();
    assert_eq!((found.path(), found.stanzas()), (Some(main.as_path()), vec!["a".into(), "b".into(), "main".into()]));
    assert_eq!(found.included().len(), 2);
    assert_eq!(load(Some(&main), &[]).unwrap().stanzas(), ["main"]);
    let by_variable = load(None, &[("PGBACKREST_CONFIG", old.to_str().unwrap())]).unwrap();
    assert_eq!((by_variable.path(), by_variable.stanzas()), (Some(old.as_path()), vec!["old".into()]));
    let conf_d = directory.path().join("conf.d");
    let both = load(Some(&main), &[("PGBACKREST_CONFIG_INCLUDE_PATH", conf_d.to_str().unwrap())]).unwrap();
    assert_eq!(both.stanzas(), ["a", "b", "main"]);
    let moved = load(None, &[("PGBACKREST_CONFIG_PATH", directory.path().to_str().unwrap())]).unwrap();
    assert_eq!(moved.stanzas(), ["a", "b", "main"]);
}

#[test]
fn a_missing_file_is_refused_and_the_environment_alone_is_enough() {
    let directory = tempfile::tempdir().unwrap();
    let nowhere = directory.path().join("nowhere.conf");
    let missing = BackrestConfig::load(Some(&nowhere), &BTreeMap::new()).unwrap_err().to_string();
    assert!(missing.contains("nowhere.conf does not exist"), "{missing}");
    let load = |variables: &[(&str, &str)]| {
        BackrestConfig::load_with_defaults(None, &environment(variables), directory.path(), &nowhere)
    };
    let nothing = load(&[("HOME", "/root")]).unwrap_err().to_string();
    assert!(nothing.contains("nowhere.conf") && nothing.contains("--pgbackrest-config"), "{nothing}");
    let alone = load(&[("PGBACKREST_STANZA", "main"), ("PGBACKREST_PG1_PATH", "/data")]).unwrap();
    assert_eq!((alone.path(), alone.stanzas()), (None, vec!["main".to_owned()]));
}
