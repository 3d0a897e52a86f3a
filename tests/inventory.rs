//! Every sample of `pgbackrest info` decodes to what it says, and bad input is answered in words.

#![expect(clippy::unwrap_used, reason = "a test may end at what it did not expect")]

use chrono::{DateTime, Utc};
use lifeboat::domain::info::{InfoError, decode};
use lifeboat::domain::inventory::{
    BackupSet, Bytes, DatabaseId, Inventory, LastDrill, LastDrills, Repository, RepositoryKey, SetKey, Stanza,
    StatusCode, SystemId,
};
use lifeboat::domain::label::{BackupKind, BackupLabel};
use lifeboat::report::inventory::{Layout, json, table};
use proptest::prelude::*;
use std::path::PathBuf;

const FULL: &str = "20261122-064008F";
const DIFF: &str = "20261122-064008F_20261122-064020D";
const INCR: &str = "20261122-064008F_20261122-064026I";

fn sample_bytes(number: &str) -> Vec<u8> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/info");
    let file = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_str().unwrap().starts_with(number));
    std::fs::read(file.unwrap()).unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn inventory(bytes: &[u8]) -> Inventory {
    Inventory::from_info(decode(bytes).unwrap(), at(1_795_350_000), "2.45")
}

fn sample(number: &str) -> Inventory {
    inventory(&sample_bytes(number))
}

/// The only stanza of a sample.
fn main_stanza(inventory: &Inventory) -> &Stanza {
    assert_eq!(inventory.stanzas.len(), 1);
    inventory.stanza("main").unwrap()
}

fn repository(inventory: &Inventory, key: u32) -> &Repository {
    main_stanza(inventory).repository(RepositoryKey(key)).unwrap()
}

fn label(text: &str) -> BackupLabel {
    text.parse().unwrap()
}

fn labels<'a>(sets: impl IntoIterator<Item = &'a BackupSet>) -> Vec<String> {
    sets.into_iter().map(|set| set.label().to_string()).collect()
}

#[test]
fn sample_01_no_stanza() {
    let inventory = sample("01");
    assert!(inventory.stanzas.is_empty());
    let table = wide(&inventory);
    assert!(table.contains("no stanza was found") && table.contains("not mounted"), "{table}");
}

#[test]
fn samples_02_and_03_a_missing_stanza_is_not_an_empty_one() {
    for (number, code, hint) in [
        ("02", StatusCode::MissingStanzaPath, "not mounted"),
        ("03", StatusCode::MissingStanzaData, "backup.info is not"),
    ] {
        let inventory = sample(number);
        assert_eq!(main_stanza(&inventory).status.code, code);
        let repository = repository(&inventory, 1);
        assert_eq!(repository.status.code, code);
        assert!(!repository.was_read());
        let table = wide(&inventory);
        assert!(table.contains("may hold backups nevertheless") && table.contains(hint), "{table}");
    }
}

#[test]
fn sample_04_a_stanza_without_a_set() {
    let inventory = sample("04");
    let repository = repository(&inventory, 1);
    assert_eq!(repository.status.code, StatusCode::NoValidBackups);
    assert!(repository.was_read());
    assert!(repository.sets.is_empty());
    let current = repository.current_database().unwrap();
    assert_eq!(current.system_id, Some(SystemId(7_710_881_718_654_896_541)));
    assert_eq!(repository.archive(current.id).unwrap().max, None);
    assert!(!wide(&inventory).contains("nevertheless"));
}

#[test]
fn sample_05_every_field_of_three_sets() {
    let inventory = sample("05");
    let repository = repository(&inventory, 1);
    assert_eq!(&*repository.cipher, "none");
    assert_eq!(labels(&repository.sets), [FULL, DIFF, INCR]);
    let archive = repository.archive(DatabaseId(1)).unwrap();
    assert_eq!((&*archive.id, archive.min.unwrap().to_string().as_str()), ("15-1", "000000010000000000000001"));
    assert_eq!(archive.max.unwrap().to_string(), "000000010000000000000007");

    let full = repository.set(label(FULL)).unwrap();
    assert_eq!((full.kind(), full.prior(), full.references()), (BackupKind::Full, None, vec![]));
    assert_eq!(full.annotations().collect::<Vec<_>>(), [("owner", "dba"), ("reason", "nightly full")]);
    assert_eq!((full.start(), full.stop()), (at(1_795_329_608), at(1_795_329_616)));
    assert_eq!(full.lsn().unwrap().stop.to_string(), "0/315F090");
    assert_eq!(full.error(), Some(false));
    assert_eq!(full.made_by().unwrap().to_string(), "2.45");

    let incr = repository.set(label(INCR)).unwrap();
    assert_eq!((incr.kind(), incr.prior()), (BackupKind::Incremental, Some(label(DIFF))));
    assert_eq!(incr.references(), [label(FULL), label(DIFF)]);
    assert_eq!(incr.wal().unwrap().start.to_string(), "000000010000000000000007");
    assert_eq!((incr.database_bytes(), incr.copied_bytes()), (Bytes(33_970_580), Bytes(1_745_196)));
    assert_eq!((incr.repository_bytes(), incr.repository_added()), (Some(Bytes(5_243_819)), Some(Bytes(595_172))));
    assert_eq!((incr.annotations().count(), incr.detail()), (0, None));
    assert!(repository.is_of_current_database(incr));

    assert_eq!(labels(repository.chain(label(INCR)).unwrap().sets), [FULL, DIFF, INCR]);
    assert_eq!(labels(repository.dependents(label(FULL))), [DIFF, INCR]);
    assert_eq!(labels(repository.dependents(label(DIFF))), [INCR]);
    assert!(repository.broken().is_empty());
}

#[test]
fn samples_06_and_19_the_detail_of_one_set() {
    let inventory = sample("06");
    let detail = repository(&inventory, 1).set(label(INCR)).unwrap().detail().unwrap().clone();
    let databases: Vec<(&str, u32)> = detail.databases.iter().map(|found| (&*found.name, found.oid)).collect();
    assert_eq!(databases, [("app", 16385), ("postgres", 5)]);
    let space = &detail.tablespaces[0];
    assert_eq!((&*space.name, space.oid, &*space.destination), ("ts1", 16384, "/srv/lab/lab/tbs1"));
    assert!(detail.links.is_empty() && detail.errors.is_empty());
    // A set that was asked for alone stands without those it builds upon: its chain is not there to be seen.
    assert_eq!(repository(&inventory, 1).chain(label(INCR)).unwrap().missing, Some(label(DIFF)));

    let damaged = sample("19");
    let set = repository(&damaged, 1).set(label("20261122-065639F")).unwrap();
    assert_eq!(set.error(), Some(true));
    assert_eq!(set.detail().unwrap().errors, ["base/5/16407".into()]);
}

#[test]
fn sample_07_a_set_that_no_repository_has() {
    let inventory = sample("07");
    assert_eq!(main_stanza(&inventory).status.code, StatusCode::SetNotFound);
    assert_eq!(main_stanza(&inventory).status.message, "requested backup not found");
}

#[test]
fn samples_08_to_11_a_repository_that_could_not_be_read_says_why() {
    for (number, begins, advice) in [
        ("08", "[FileOpenError] unable to load info file", "may not read repo1"),
        ("10", "[ChecksumError] unable to load info file", "Do not run stanza-create"),
        ("11", "[FileMissingError] unable to load info file", "archive.info and its copy are gone"),
    ] {
        let inventory = sample(number);
        let repository = repository(&inventory, 1);
        assert_eq!(repository.status.code, StatusCode::Unreadable);
        assert!(repository.status.message.starts_with(begins), "{}", repository.status.message);
        assert!(repository.status.message.contains("\nHINT: "));
        assert!(!repository.was_read());
        let table = wide(&inventory);
        assert!(table.contains("could not be read") && table.contains(advice), "{table}");
        assert!(table.contains("may hold backups nevertheless") && !table.contains("no stanza"), "{table}");
    }
    let hidden = sample("09");
    assert!(hidden.stanzas[0].is_nameless());
    assert!(hidden.stanzas[0].repositories[0].status.message.contains("Permission denied"));
    let table = wide(&hidden);
    assert!(table.contains("stanzas unknown: a repository could not be read"), "{table}");
}

#[test]
fn samples_12_to_14_two_repositories() {
    let missing = sample("12");
    assert_eq!(main_stanza(&missing).status.code, StatusCode::DifferentAcrossRepositories);
    assert_eq!(repository(&missing, 1).sets.len(), 3);
    assert_eq!(repository(&missing, 2).status.code, StatusCode::MissingStanzaPath);
    assert_eq!(&*repository(&missing, 2).cipher, "aes-256-cbc");

    let mixed = sample("13");
    assert_eq!(labels(&repository(&mixed, 1).sets), [FULL, DIFF, INCR]);
    assert_eq!(labels(&repository(&mixed, 2).sets), ["20261122-064136F"]);
    assert_eq!(
        repository(&mixed, 2).archive(DatabaseId(1)).unwrap().min.unwrap().to_string(),
        "000000010000000000000009"
    );

    let second = sample("14");
    assert_eq!(main_stanza(&second).repositories.len(), 1);
    assert_eq!(repository(&second, 2).sets.len(), 1);
}

#[test]
fn sample_15_garbage_in_a_message_hides_nothing_else() {
    let bytes = sample_bytes("15");
    assert!(std::str::from_utf8(&bytes).is_err());
    let inventory = inventory(&bytes);
    assert_eq!(labels(&repository(&inventory, 1).sets), [FULL, DIFF, INCR]);
    let broken = repository(&inventory, 2);
    assert_eq!(broken.status.code, StatusCode::Unreadable);
    assert!(broken.status.message.starts_with("[FormatError] unable to load info file"));
    assert!(broken.status.message.ends_with("HINT: has a stanza-create been performed?"));
    assert!(!broken.status.message.contains(|character: char| character.is_control() && character != '\n'));
    let table = wide(&inventory);
    assert!(table.contains("repo2-cipher-pass"), "{table}");
    assert!(table.lines().all(|line| !line.contains(char::is_control)), "{table}");
}

#[test]
fn samples_16_and_30_to_34_locks_with_their_progress() {
    let old = sample("16");
    let locks = &main_stanza(&old).locks;
    assert!(locks.backup.held && locks.backup.progress.is_none() && locks.restore.is_none());

    assert!(main_stanza(&sample("31")).is_progress_only);
    for number in ["32", "33"] {
        let inventory = sample(number);
        let locks = &main_stanza(&inventory).locks;
        assert!(locks.backup.held);
        assert_eq!(locks.backup.progress.unwrap().size, Bytes(167_996_868));
        assert_eq!(locks.backup.repositories.len(), 2);
        assert_eq!(locks.backup.repositories[1].0, RepositoryKey(2));
        assert!(!locks.restore.as_ref().unwrap().held);
        assert!(wide(&inventory).contains("a backup or expire is running on this host: 0 B of 168 MB (0 %)"));
    }
    let progress_only = wide(&sample("33"));
    assert!(progress_only.contains("only the progress was asked for"), "{progress_only}");

    let restoring = sample("34");
    let restore = main_stanza(&restoring).locks.restore.clone().unwrap();
    assert!(restore.held);
    assert_eq!(restore.progress.unwrap().size, Bytes(83_998_694));
    assert!(wide(&restoring).contains("a restore is running on this host"));
}

#[test]
fn sample_17_a_promoted_copy_that_archives_is_pointed_out() {
    let inventory = sample("17");
    let archive = repository(&inventory, 1).archive(DatabaseId(1)).unwrap();
    assert_eq!(archive.max.unwrap().timeline.0, 2);
    let table = wide(&inventory);
    assert!(table.contains("newest WAL is on timeline 2, the newest set on timeline 1"), "{table}");
}

#[test]
fn sample_18_page_checksum_errors_are_pointed_out() {
    let inventory = sample("18");
    let sets = &repository(&inventory, 1).sets;
    assert_eq!(sets.iter().map(BackupSet::error).collect::<Vec<_>>(), [Some(false), Some(true)]);
    assert_eq!(wide(&inventory).matches("! page checksum errors").count(), 1);
}

#[test]
fn samples_20_and_21_after_a_stanza_upgrade() {
    let before = sample("20");
    for key in [1, 2] {
        let repository = repository(&before, key);
        assert_eq!(repository.current_database().unwrap().id, DatabaseId(2));
        assert_eq!(repository.current_sets().count(), 0);
        assert!(!repository.sets.is_empty());
    }
    // pgBackRest says ok: the loss of cover has to be said by us.
    assert_eq!(main_stanza(&before).status.code, StatusCode::Ok);
    assert_eq!(wide(&before).matches("the current database has no backup set here yet").count(), 2);

    let after = sample("21");
    assert_eq!(labels(repository(&after, 1).current_sets()), ["20261122-065953F"]);
    assert_eq!(repository(&after, 2).current_sets().count(), 0);
    assert_eq!(wide(&after).matches("the current database has no backup set here yet").count(), 1);
}

#[test]
fn sample_30_sets_of_an_older_pgbackrest() {
    let inventory = sample("30");
    let second = repository(&inventory, 2);
    assert_eq!(second.archives.len(), 2);
    assert_eq!(
        second.set(label("20261122-064136F")).unwrap().annotations().collect::<Vec<_>>(),
        [("ticket", "OPS-12")]
    );
    assert_eq!(repository(&inventory, 1).sets.len(), 4);
}

#[test]
fn sample_34_one_label_names_two_sets() {
    let inventory = sample("34");
    let key =
        |number| SetKey { stanza: "main".into(), repository: RepositoryKey(number), label: label("20261122-070952F") };
    let (first, second) = (inventory.set(&key(1)).unwrap(), inventory.set(&key(2)).unwrap());
    assert_eq!((first.stop(), second.stop()), (at(1_795_331_418), at(1_795_331_415)));
    assert_eq!(first.made_by().unwrap().to_string(), "2.59.1");

    let drill = LastDrill { at: at(1_795_340_000), depth: "checked".into(), verdict: "done".into() };
    let value = json(&inventory, &LastDrills::from([(key(2), drill)]));
    let drilled = |repository: usize| {
        let sets = value["stanzas"][0]["repositories"][repository]["sets"].as_array().unwrap();
        sets.iter().find(|set| set["label"] == "20261122-070952F").unwrap()["last_drill"].clone()
    };
    assert!(drilled(0).is_null());
    let told = serde_json::json!({ "at": "2026-11-22T09:33:20Z", "depth": "checked", "verdict": "done" });
    assert_eq!(drilled(1), told);
}

#[test]
fn the_table_tells_the_last_drill_of_each_set() {
    let inventory = sample("34");
    let key = |number, set| SetKey { stanza: "main".into(), repository: RepositoryKey(number), label: label(set) };
    let drill = |verdict: &str, hours: i64| LastDrill {
        at: at(1_795_350_000 - hours * 3600),
        depth: "rows".into(),
        verdict: verdict.into(),
    };
    let twin = "20261122-070952F";
    let at_80 =
        |drills: Option<&LastDrills>, ascii| table(&inventory, drills, at(1_795_350_000), Layout { width: 80, ascii });
    let lines_of = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.starts_with(&format!("{twin} "))).map(str::to_owned).collect()
    };
    let drills = LastDrills::from([(key(1, twin), drill("failed", 3)), (key(2, twin), drill("done", 50))]);
    let text = at_80(Some(&drills), false);
    let lines = lines_of(&text);
    assert!(lines[0].contains(" ✗ 3 h ") && lines[1].contains(" ✔ 2 d "), "{text}");
    assert_eq!(text.matches("! its last drill ended 2026-11-22 09:20Z: failed;").count(), 1, "{text}");
    assert!(text.lines().filter(|line| line.contains(" full ")).any(|line| line.contains("never")), "{text}");
    assert!(text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 80), "{text}");
    let plain = at_80(Some(&drills), true);
    assert!(plain.is_ascii() && plain.contains(" x 3 h ") && plain.contains(" + 2 d "), "{plain}");
    // Drills that can't be read are not none.
    let unread = at_80(None, false);
    assert!(!unread.contains("never") && lines_of(&unread)[0].contains(" ? "), "{unread}");
}

#[test]
fn sample_35_block_incrementals_tell_no_repository_size() {
    let inventory = sample("35");
    let incr = &repository(&inventory, 2).sets[1];
    assert_eq!((incr.repository_bytes(), incr.repository_added()), (None, Some(Bytes(259_160))));
    let maps = incr.block_maps().unwrap();
    assert_eq!((maps.size, maps.delta), (Some(Bytes(39_664)), Some(Bytes(15_176))));
    assert!(wide(&inventory).contains("+259kB"));
}

#[test]
fn sample_36_is_no_inventory() {
    let error = decode(&sample_bytes("36")).unwrap_err();
    assert!(matches!(error, InfoError::NoDocument { .. }), "{error}");
    assert!(error.to_string().contains(r#"{"cfg":{"env""#));
}

#[test]
fn json_has_the_promised_shape() {
    let value = json(&sample("05"), &LastDrills::new());
    assert_eq!(value["schema"], 1);
    assert_eq!(value["read_at"], "2026-11-22T12:20:00Z");
    assert_eq!(value["pgbackrest"], "2.45");
    let repository = &value["stanzas"][0]["repositories"][0];
    assert_eq!((&value["stanzas"][0]["name"], &repository["key"]), (&"main".into(), &1.into()));
    assert_eq!(repository["databases"][0]["system_id"], 7_710_881_718_654_896_541u64);
    let set = &repository["sets"][2];
    for (field, expected) in [
        ("label", serde_json::json!(INCR)),
        ("type", serde_json::json!("incr")),
        ("prior", serde_json::json!(DIFF)),
        ("references", serde_json::json!([FULL, DIFF])),
        ("start", serde_json::json!("2026-11-22T06:40:26Z")),
        ("stop", serde_json::json!("2026-11-22T06:40:28Z")),
        ("wal", serde_json::json!({ "start": "000000010000000000000007", "stop": "000000010000000000000007" })),
        ("lsn", serde_json::json!({ "start": "0/7000028", "stop": "0/7000100" })),
        ("database_id", serde_json::json!(1)),
        ("database_bytes", serde_json::json!(33_970_580)),
        ("repository_bytes", serde_json::json!(5_243_819)),
        ("error", serde_json::json!(false)),
        ("annotations", serde_json::json!({})),
        ("last_drill", serde_json::Value::Null),
    ] {
        assert_eq!(set[field], expected, "{field}");
    }
}

#[test]
fn lines_around_the_document_are_kept_and_cleaned() {
    let mut bytes = b"P00   WARN: configuration file contains invalid option 'x\x1b[2J'\n[not json]\n".to_vec();
    bytes.extend(sample_bytes("05"));
    bytes.extend(b"\nP00   WARN: at the end\n");
    let inventory = inventory(&bytes);
    assert_eq!(
        inventory.warnings,
        ["P00   WARN: configuration file contains invalid option 'x␛[2J'", "[not json]", "P00   WARN: at the end"]
    );
    assert_eq!(repository(&inventory, 1).sets.len(), 3);
    assert!(wide(&inventory).contains("pgBackRest says: P00   WARN: configuration file"));
}

/// A stanza with these backup objects.
fn document(backups: &str) -> String {
    let database = r#""db":[{"id":1,"repo-key":1,"system-id":18446744073709551615,"version":"15"}]"#;
    format!(
        r#"[{{"archive":[],"backup":[{backups}],"cipher":"none",{database},"name":"main","repo":[{{"cipher":"none","key":1,"status":{{"code":0,"message":"ok"}}}}],"status":{{"code":0,"message":"ok"}}}}]"#
    )
}

fn backup(label: &str, prior: &str, more: &str) -> String {
    format!(
        r#"{{"database":{{"id":1,"repo-key":1}},"info":{{"delta":1,"size":2}},"label":"{label}","prior":{prior},"timestamp":{{"start":1,"stop":2}}{more}}}"#
    )
}

#[test]
fn unknown_fields_pass_and_missing_ones_are_not_known() {
    let text = document(&backup(FULL, "null", r#","new":{"deep":[[{"x":1e9}],null]},"reference":null"#));
    let inventory = inventory(text.as_bytes());
    let set = repository(&inventory, 1).set(label(FULL)).unwrap();
    assert_eq!((set.error(), set.wal(), set.lsn(), set.made_by()), (None, None, None, None));
    assert_eq!(repository(&inventory, 1).databases[0].system_id, Some(SystemId(u64::MAX)));
}

#[test]
fn before_2_32_there_was_one_repository_without_a_key() {
    let text = r#"[{"archive":[{"database":{"id":1},"id":"12-1","max":"000000010000000000000003","min":"000000010000000000000001"}],
        "backup":[{"archive":{"start":"000000010000000000000002","stop":"000000010000000000000002"},
            "backrest":{"format":5,"version":"2.30"},"database":{"id":1},
            "info":{"delta":1,"repository":{"delta":1,"size":1},"size":2},"label":"20261122-064008F","prior":null,
            "reference":null,"timestamp":{"start":1,"stop":2},"type":"full"}],
        "cipher":"none","db":[{"id":1,"system-id":6569239123849665679,"version":"12"}],"name":"main",
        "status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}]"#;
    let inventory = inventory(text.as_bytes());
    let repository = repository(&inventory, 1);
    assert_eq!((&*repository.cipher, repository.sets.len(), repository.was_read()), ("none", 1, true));
    assert_eq!(repository.archive(DatabaseId(1)).unwrap().max.unwrap().to_string(), "000000010000000000000003");
}

#[test]
fn a_set_whose_prior_is_gone_is_broken_with_all_upon_it() {
    let diff = backup(DIFF, &format!("\"{FULL}\""), "");
    let incr = backup(INCR, &format!("\"{DIFF}\""), "");
    let inventory = inventory(document(&format!("{diff},{incr}")).as_bytes());
    let repository = repository(&inventory, 1);
    let broken: Vec<_> = repository.broken().iter().map(|(set, missing)| (set.label(), *missing)).collect();
    assert_eq!(broken, [(label(DIFF), label(FULL)), (label(INCR), label(FULL))]);
    let chain = repository.chain(label(INCR)).unwrap();
    assert_eq!((labels(chain.sets), chain.missing), (vec![DIFF.to_owned(), INCR.to_owned()], Some(label(FULL))));
    let families = repository.families();
    assert_eq!((families.len(), families[0].full, families[0].members.len()), (1, None, 2));
    assert!(wide(&inventory).contains(&format!("{INCR} can't be restored: it builds upon {FULL}")));
}

#[test]
fn sets_that_build_upon_each_other_in_a_circle_are_broken_too() {
    let diff = backup(DIFF, &format!("\"{INCR}\""), "");
    let incr = backup(INCR, &format!("\"{DIFF}\""), "");
    let inventory = inventory(document(&format!("{diff},{incr}")).as_bytes());
    let repository = repository(&inventory, 1);
    assert_eq!(repository.broken().len(), 2);
    assert!(repository.chain(label(INCR)).unwrap().missing.is_some());
}

#[test]
fn a_set_of_another_family_is_kept_as_it_is_told() {
    let text = document(&backup(DIFF, "\"20251122-064008F\"", r#","reference":["20251122-064008F"]"#));
    let inventory = inventory(text.as_bytes());
    let set = repository(&inventory, 1).set(label(DIFF)).unwrap();
    assert_eq!(set.prior(), Some(label("20251122-064008F")));
    assert_eq!(set.references(), [label("20251122-064008F")]);
}

#[test]
fn a_damaged_set_is_shown_as_one() {
    let good = backup(FULL, "null", "");
    for (bad, what) in [
        (backup("latest\\u001b", "null", ""), "'latest␛' is not the label of a backup set"),
        (backup(DIFF, "\"x\"", ""), "its prior set: 'x' is not the label"),
        (backup(DIFF, "null", r#","reference":["y"]"#), "a set it refers to: 'y' is not the label"),
        (backup(DIFF, "null", r#","archive":{"start":"z","stop":"z"}"#), "'z' is not a WAL segment"),
        (backup(DIFF, "null", r#","lsn":{"start":"0","stop":"0/1"}"#), "'0' is not an LSN"),
        (backup(DIFF, "null", "").replace(r#""stop":2"#, r#""stop":9223372036854775807"#), "out of range"),
        (backup(DIFF, "null", "").replace("timestamp", "time"), "no start or stop time"),
        ("{}".to_owned(), "a backup set without a label"),
    ] {
        let inventory = inventory(document(&format!("{good},{bad}")).as_bytes());
        let repository = repository(&inventory, 1);
        assert_eq!(labels(&repository.sets), [FULL], "{bad}");
        assert!(repository.unreadable_sets[0].contains(what), "{:?}", repository.unreadable_sets);
        assert!(wide(&inventory).contains("! a set can't be shown: "));
    }
}

#[test]
fn hostile_names_are_cleaned_on_the_way_in() {
    let set = backup(FULL, "null", r#","annotation":{"k\u001b[31m":"v\u202e\ne"}"#);
    let text = document(&set).replace(r#""name":"main""#, r#""name":"ma\rin""#);
    let inventory = inventory(text.as_bytes());
    assert_eq!(inventory.stanzas[0].name, "ma␍in");
    let annotations: Vec<_> = inventory.stanzas[0].repositories[0].sets[0].annotations().collect();
    assert_eq!(annotations, [("k␛[31m", "v<U+202E>␊e")]);
}

#[test]
fn raw_control_characters_inside_strings_are_repaired() {
    let text = document(&backup(FULL, "null", ",\"annotation\":{\"a\":\"one\ntwo\x07\",\"b\":\"\\\\\"}"));
    let inventory = inventory(text.as_bytes());
    let annotations: Vec<_> = inventory.stanzas[0].repositories[0].sets[0].annotations().collect();
    assert_eq!(annotations, [("a", "one␊two␇"), ("b", "\\")]);
}

#[test]
fn empty_output_and_garbage_are_answered_in_words() {
    for bytes in [&b""[..], b" \n\n"] {
        assert_eq!(decode(bytes), Err(InfoError::Empty));
    }
    for bytes in [&b"bash: pgbackrest: command not found\n"[..], b"\x7fELF\x02\xff\xfe\x1b]0;x\x07", b"{}", b"  []"] {
        let error = decode(bytes).unwrap_err();
        assert!(matches!(error, InfoError::NoDocument { .. }), "{error}");
        assert!(!error.to_string().contains(char::is_control));
    }
    let error = decode(br#"[{"name":17,"status":{"code":0}}]"#).unwrap_err();
    let InfoError::Damaged { offset, what, near } = &error else { panic!("{error}") };
    assert_eq!((*offset, near.contains("\"name\":17")), (11, true));
    assert!(what.contains("expected a string"), "{what}");
    assert!(error.to_string().contains("Nothing is known of the backups"));
}

#[test]
fn an_error_after_repaired_bytes_names_the_place_in_the_output() {
    let bytes = b"P00 WARN: x\n[{\"cipher\":\"\xff\x01\x02\",\"name\":17}]";
    let InfoError::Damaged { offset, near, .. } = decode(bytes).unwrap_err() else { panic!("not damaged") };
    assert!(bytes[..offset].ends_with(b"\"name\":17") || bytes[..offset].ends_with(b"\"name\":1"), "{offset} {near}");
}

#[test]
fn a_document_cut_off_anywhere_is_told_as_such() {
    for number in ["05", "15", "32"] {
        let bytes = sample_bytes(number);
        for end in 1..bytes.len() {
            match decode(&bytes[..end]) {
                Err(InfoError::CutOff { offset, .. }) => assert!(offset <= end, "{number} {end}"),
                other => panic!("{number} cut at {end}: {other:?}"),
            }
        }
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let _ = decode(&[b"[{", &bytes[..]].concat());
    }

    #[test]
    fn a_flipped_byte_never_panics_and_is_laid_out(position in 0usize..1800, byte: u8, number in "(05|13|15|21|32)") {
        let mut bytes = sample_bytes(&number);
        let position = position % bytes.len();
        bytes[position] = byte;
        if let Ok(document) = decode(&bytes) {
            let inventory = Inventory::from_info(document, at(1_795_350_000), "2.45");
            let table = table(&inventory, Some(&LastDrills::new()), at(1_795_350_000), Layout { width: 80, ascii: false });
            prop_assert!(!table.lines().any(|line| line.contains(char::is_control)));
            let _ = json(&inventory, &LastDrills::new());
        }
    }

    #[test]
    fn no_line_is_wider_than_the_terminal(number in "(05|08|12|13|15|18|20|34)", width in 80usize..160, ascii: bool) {
        let table = table(&sample(&number), Some(&LastDrills::new()), at(1_795_350_000), Layout { width, ascii });
        for line in table.lines() {
            prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{line}");
            prop_assert!(!ascii || line.is_ascii(), "{line}");
        }
    }
}

fn wide(inventory: &Inventory) -> String {
    table(inventory, Some(&LastDrills::new()), at(1_795_350_000), Layout { width: 10_000, ascii: false })
}

fn at_80(number: &str, ascii: bool) -> String {
    table(&sample(number), Some(&LastDrills::new()), at(1_795_350_000), Layout { width: 80, ascii })
}

#[test]
fn tables_at_80_columns() {
    insta::assert_snapshot!("two_repositories_wrong_passphrase", at_80("15", false));
    insta::assert_snapshot!("two_databases", at_80("21", false));
    insta::assert_snapshot!("backups_running", at_80("32", false));
    insta::assert_snapshot!("second_repository_missing_ascii", at_80("12", true));
    insta::assert_snapshot!("repository_unreadable", at_80("09", false));
}
