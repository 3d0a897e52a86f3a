//! Stanzas, sets and repositories that are not there.

use crate::support::{Fixture, PASS, assert_says, config_file, directory, real};
use lifeboat::domain::inventory::{RepositoryKey, StatusCode};
use lifeboat::domain::label::BackupLabel;
use lifeboat::engine::look::{self, LookError};

#[test]
fn an_unknown_stanza_is_told_with_those_that_exist() {
    let place = directory();
    let more = format!("repo1-cipher-pass={PASS}\n[new]\npg1-path=/new\n");
    let pgbackrest = real(&Fixture::get().config(place.path(), &more));
    let inventory = look::inventory(&pgbackrest, Some("main")).unwrap();
    assert_eq!(inventory.stanzas[0].repositories[0].sets.len(), 1);
    let error = look::inventory(&pgbackrest, Some("mian")).unwrap_err();
    assert!(matches!(error, LookError::UnknownStanza { configured: false, .. }), "{error:?}");
    assert_says(&error.to_string(), &["no stanza 'mian'", "these exist: main", "--stanza"]);
    let error = look::inventory(&pgbackrest, Some("new")).unwrap_err();
    assert_says(&error.to_string(), &["no stanza 'new'", "It is configured", "stanza-create"]);
}

#[test]
fn the_details_of_a_set_and_a_set_that_is_not_there() {
    let place = directory();
    let pgbackrest = Fixture::get().readable(place.path());
    let inventory = look::inventory(&pgbackrest, None).unwrap();
    let known = &inventory.stanzas[0].repositories[0].sets[0];
    assert!(known.detail().is_none());
    let set = look::set_detail(&pgbackrest, "main", RepositoryKey(1), known.label()).unwrap();
    let link = &set.detail().unwrap().links[0];
    let destination = Fixture::get().directory.join("elsewhere").display().to_string();
    assert_eq!((link.name.as_ref(), link.destination.as_ref()), ("linked", destination.as_str()));
    let gone = BackupLabel::parse("20200101-000000F").unwrap();
    let error = look::set_detail(&pgbackrest, "main", RepositoryKey(1), gone).unwrap_err();
    assert_says(&error.to_string(), &["repo1 of stanza 'main'", "20200101-000000F", "look at the inventory"]);
}

#[test]
fn a_repository_that_is_not_mounted_is_not_taken_for_no_stanza() {
    let place = directory();
    let gone = place.path().join("gone");
    let at = gone.display().to_string();
    let config = config_file(place.path(), &format!("[global]\nrepo1-path={at}\n[main]\npg1-path=/x\n"));
    for stanza in [None, Some("main")] {
        let error = look::inventory(&real(&config), stanza).unwrap_err();
        assert_says(&error.to_string(), &["repo1's directory", &at, "does not exist", "mounted?", "pgbackrest.conf"]);
    }
    std::fs::create_dir(&gone).unwrap();
    let error = look::inventory(&real(&config), None).unwrap_err();
    assert!(matches!(error, LookError::RepositoryMissing { .. }), "{error:?}");
    assert_says(&error.to_string(), &["is empty"]);
    std::fs::create_dir(gone.join("backup")).unwrap();
    assert!(look::inventory(&real(&config), None).unwrap().stanzas.is_empty());
    let error = look::inventory(&real(&config), Some("main")).unwrap_err();
    assert_says(&error.to_string(), &["no stanza exists in the repositories"]);
}

#[test]
fn one_of_two_repositories_not_mounted_is_said_at_the_repository() {
    let place = directory();
    let gone = place.path().join("gone");
    let more = format!("repo1-cipher-pass={PASS}\nrepo2-path={}\n", gone.display());
    let inventory = look::inventory(&real(&Fixture::get().config(place.path(), &more)), Some("main")).unwrap();
    let repositories = &inventory.stanzas[0].repositories;
    assert_eq!((repositories[0].status.code, repositories[0].sets.len()), (StatusCode::Ok, 1));
    assert_eq!(repositories[1].status.code, StatusCode::MissingStanzaPath);
    assert_says(&repositories[1].status.message, &["missing stanza path", &gone.display().to_string(), "mounted?"]);
}

#[test]
fn a_stanza_with_a_repository_of_its_own_is_found_without_being_named() {
    let place = directory();
    let repository = Fixture::get().directory.display();
    let other = place.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let text = format!(
        "[global]\nrepo1-path={}\n[main]\npg1-path=/x\nrepo1-path={repository}/repo\nrepo1-cipher-type=aes-256-cbc\n\
         repo1-cipher-pass={PASS}\n",
        other.display()
    );
    let inventory = look::inventory(&real(&config_file(place.path(), &text)), None).unwrap();
    assert_eq!(inventory.stanza("main").unwrap().repositories[0].sets.len(), 1);
}

#[test]
fn a_wrong_passphrase_is_told_without_any_secret() {
    let place = directory();
    let config = Fixture::get().config(place.path(), "repo1-cipher-pass=a-wrong-passphrase\n");
    let inventory = look::inventory(&real(&config), Some("main")).unwrap();
    let status = &inventory.stanzas[0].repositories[0].status;
    assert_eq!(status.code, StatusCode::Unreadable);
    assert_says(&status.message, &["backup.info", "is repo1-cipher-pass right?"]);
    assert!(!status.message.contains("a-wrong-passphrase"), "{}", status.message);
}

#[test]
fn files_of_a_repository_are_listed_and_read() {
    let place = directory();
    let pgbackrest = Fixture::get().readable(place.path());
    let listing = pgbackrest.list(1, "archive/main", true).unwrap();
    assert!(listing.files().any(|(name, size_bytes)| name == "archive.info" && size_bytes > 0), "{listing:?}");
    assert!(pgbackrest.list(1, "archive/none", true).unwrap().entries.is_empty());
    let info = pgbackrest.get(1, "archive/main/archive.info").unwrap().unwrap();
    assert!(String::from_utf8(info).unwrap().contains("db-system-id"));
    assert_eq!(pgbackrest.get(1, "archive/main/15-1/00000002.history").unwrap(), None);
    let error = pgbackrest.get(3, "archive/main/archive.info").unwrap_err();
    assert_says(&error.to_string(), &["32 (option-invalid-value)", "'3'"]);
}
