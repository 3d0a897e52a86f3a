#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use super::*;
use crate::domain::info::decode;
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// A host of its own: a configuration, a state directory, and an inventory that is kept there.
struct Host {
    folder: tempfile::TempDir,
    settings: Settings,
}

impl Host {
    fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("pgbackrest.conf");
        std::fs::write(&config, "[global]\nrepo1-path=/srv/repo\n[main]\npg1-path=/srv/pg\n").unwrap();
        let mut settings = Settings::default();
        settings.state.directory = Some(folder.path().join("state"));
        settings.pgbackrest.config = Some(config);
        Host { folder, settings }
    }

    /// As `look` keeps it, without the helper.
    fn keep(&self) {
        let folder = writable_folder(&self.settings).unwrap();
        let draft = tempfile::Builder::new().prefix(NEW).tempfile_in(&folder).unwrap();
        write(&inventory(), key(&self.settings).unwrap(), &draft.reopen().unwrap()).unwrap();
        keep(draft, &folder).unwrap();
        assert!(kept(&self.settings).is_some());
    }

    fn index(&self) -> PathBuf {
        self.folder.path().join("state/inventory/index")
    }
}

fn inventory() -> Inventory {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/info/05-full-diff-incr-annotation.json");
    let document = decode(&std::fs::read(file).unwrap()).unwrap();
    let mut inventory = Inventory::from_info(document, chrono::DateTime::UNIX_EPOCH, "2.45");
    let mut other = inventory.stanzas[0].clone();
    other.name = "other".into();
    other.repositories[0].sets.truncate(1);
    inventory.stanzas.push(other);
    inventory
}

#[test]
fn what_is_kept_is_found_again_a_stanza_at_a_time() {
    let host = Host::new();
    assert!(kept(&host.settings).is_none());
    host.keep();
    let found = kept(&host.settings).unwrap();
    let (known, wanted) = (found.known(None).unwrap(), inventory());
    assert_eq!(known.stanzas[0].whole.as_deref(), Some(&wanted.stanzas[0]));
    assert_eq!((known.stanzas[1].sets(), &known.stanzas[1].whole), (1, &None));
    assert_eq!(found.known(Some("other")).unwrap().stanzas[1].whole.as_deref(), Some(&wanted.stanzas[1]));
    assert_eq!(found.known(Some("gone")).unwrap(), known);
    assert!(matches!(found.stanza("gone"), Err(IndexError::NoStanza(_))));
}

#[test]
fn it_is_closed_to_others_and_to_links() {
    let host = Host::new();
    host.keep();
    let folder = host.index().parent().unwrap().to_owned();
    let mode = |path: &Path| std::fs::symlink_metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&host.index())), (0o700, 0o600));
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o750)).unwrap();
    assert!(kept(&host.settings).is_none() && writable_folder(&host.settings).is_none());
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    let elsewhere = host.folder.path().join("elsewhere");
    std::fs::rename(host.index(), &elsewhere).unwrap();
    symlink(&elsewhere, host.index()).unwrap();
    assert!(kept(&host.settings).is_none());
    std::fs::remove_file(host.index()).unwrap();
    std::fs::rename(&elsewhere, host.index()).unwrap();
    assert!(kept(&host.settings).is_some());
    let other = host.folder.path().join("other");
    std::fs::rename(&folder, &other).unwrap();
    symlink(&other, &folder).unwrap();
    assert!(kept(&host.settings).is_none() && writable_folder(&host.settings).is_none());
}

#[test]
fn another_configuration_does_not_find_it() {
    let host = Host::new();
    host.keep();
    let mut other = host.settings.clone();
    other.pgbackrest.stanza = Some("main".into());
    assert!(kept(&other).is_none());
    other = host.settings.clone();
    other.pgbackrest.binary = "/opt/pgbackrest".into();
    assert!(kept(&other).is_none());
    let config = host.settings.pgbackrest.config.as_ref().unwrap();
    let before = std::fs::read_to_string(config).unwrap();
    std::fs::write(config, before.replace("/srv/repo", "/srv/away")).unwrap();
    assert!(kept(&host.settings).is_none(), "the configuration has changed");
}

/// A stanza that is damaged is no stanza; what lies beside it can be read.
#[test]
fn damage_is_found_where_it_is_read() {
    let host = Host::new();
    host.keep();
    let mut bytes = std::fs::read(host.index()).unwrap();
    let whole = bytes.clone();
    bytes[HEADER_BYTES + 10] ^= 1;
    std::fs::write(host.index(), &bytes).unwrap();
    let found = kept(&host.settings).unwrap();
    assert!(matches!(found.stanza("main"), Err(IndexError::Damage(Damage::Damaged))));
    assert!(found.known(None).is_err());
    assert_eq!(found.stanza("other").unwrap(), inventory().stanzas[1]);
    std::fs::write(host.index(), &whole[..whole.len() - 1]).unwrap();
    assert!(kept(&host.settings).is_none());
    std::fs::write(host.index(), b"").unwrap();
    assert!(kept(&host.settings).is_none());
}

#[test]
fn what_a_killed_writer_left_is_removed() {
    let host = Host::new();
    let folder = writable_folder(&host.settings).unwrap();
    let (old, young) = (folder.join("new-old"), folder.join("new-young"));
    for path in [&old, &young] {
        std::fs::write(path, "x").unwrap();
    }
    let then = SystemTime::now() - FORGOTTEN - Duration::from_secs(60);
    File::options().write(true).open(&old).unwrap().set_modified(then).unwrap();
    forget_old(&folder);
    assert!(!old.exists() && young.exists());
}

#[test]
fn a_key_is_read_from_its_digits() {
    let key = IndexKey(std::array::from_fn(|byte| byte as u8 * 7));
    assert_eq!(key_of_digits(&digits(key)), Some(key));
    for text in ["", "0", &"g".repeat(64), &"é".repeat(32), &"0".repeat(66)] {
        assert_eq!(key_of_digits(text), None, "{text}");
    }
}
