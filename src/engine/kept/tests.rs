#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::domain::event::RunId;
use crate::engine::drill_directory::MARKER;
use crate::planning::keeping::{KeepOption, Keeping, PartKind, RestoreKind, Speeds, Way, keep_plan};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

/// What a control file of PostgreSQL 15 begins with.
const CONTROL: [u8; 16] = [0x34, 0x9c, 0xb6, 0xd3, 0x10, 0x1b, 3, 0x6b, 0x14, 5, 0, 0, 0x25, 0x77, 0x0d, 0x0c];

/// A made-up cluster with a tablespace and `pg_wal` elsewhere.
struct Site {
    root: tempfile::TempDir,
    run: RunId,
}

impl Site {
    fn new() -> Site {
        let site = Site { root: tempfile::tempdir().unwrap(), run: RunId::parse("7Q2K").unwrap() };
        for directory in
            ["main/global", "main/pg_tblspc", "main/base/5", "wal/main", "ts/PG_15_202209061/5", "ts/PG_14_1"]
        {
            fs::create_dir_all(site.path(directory)).unwrap();
        }
        site.fill("old");
        fs::write(site.path("main/PG_VERSION"), "15\n").unwrap();
        fs::write(site.path("wal/main/000000010000000000000001"), "wal").unwrap();
        symlink(site.path("ts"), site.path("main/pg_tblspc/16384")).unwrap();
        symlink(site.path("wal/main"), site.path("main/pg_wal")).unwrap();
        symlink("/etc/hostname", site.path("main/postgresql.conf")).unwrap();
        fs::set_permissions(site.path("main"), fs::Permissions::from_mode(0o750)).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    /// Content of a cluster, in place.
    fn fill(&self, what: &str) {
        fs::create_dir_all(self.path("main/global")).unwrap();
        fs::create_dir_all(self.path("main/base/5")).unwrap();
        fs::create_dir_all(self.path("ts/PG_15_202209061/5")).unwrap();
        fs::write(self.path("main/global/pg_control"), CONTROL).unwrap();
        fs::write(self.path("main/base/5/1259"), what).unwrap();
        fs::write(self.path("ts/PG_15_202209061/5/16385"), what).unwrap();
    }

    fn option(&self, keeping: Keeping) -> KeepOption {
        let set = SetToRestore { bytes: 1 << 20, tablespaces: [16384].into() };
        let elsewhere = self.path("elsewhere");
        let facts = survey(&self.run, &self.path("main"), &set, Some(&elsewhere)).unwrap();
        let plan = keep_plan(&facts, &Speeds::default());
        plan.options.into_iter().find(|option| option.keeping == keeping).unwrap()
    }

    fn keep(&self, option: &KeepOption) -> Result<Kept, KeptError> {
        keep(&self.run, "2026-11-22T17:00:00Z".parse().unwrap(), option)
    }

    fn home(&self) -> PathBuf {
        home_of(&self.run, &self.path("main"))
    }

    fn table(&self) -> (String, String) {
        let read = |path| fs::read_to_string(self.path(path)).unwrap_or_default();
        (read("main/base/5/1259"), read("ts/PG_15_202209061/5/16385"))
    }

    /// Every path below the root with what a copy has to have in common.
    fn tree(&self, below: &str) -> BTreeMap<String, (u32, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.path(below)];
        while let Some(path) = left.pop() {
            let stat = path.symlink_metadata().unwrap();
            let content = if stat.is_symlink() {
                fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
            } else if stat.is_dir() {
                left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                Vec::new()
            } else {
                fs::read(&path).unwrap()
            };
            let name = path.strip_prefix(self.path(below)).unwrap().display().to_string();
            found.insert(name, (stat.mode(), content));
        }
        found
    }
}

fn both(text: &str) -> (String, String) {
    (text.to_owned(), text.to_owned())
}

#[test]
fn a_renamed_cluster_is_disarmed_recorded_and_leaves_an_empty_place() {
    let site = Site::new();
    let option = site.option(Keeping::Rename);
    assert_eq!((option.refused.as_slice(), option.restore), (&[][..], RestoreKind::Fresh));
    let kept = site.keep(&option).unwrap();
    let data = site.home().join(CONTENT);
    assert!(data.join("global").join(DISARMED).exists() && !data.join("global/pg_control").exists());
    assert_eq!(fs::read_dir(site.path("main")).unwrap().count(), 0);
    assert_eq!(fs::metadata(site.path("main")).unwrap().mode() & 0o7777, 0o750);
    assert!(site.path("ts/lifeboat-kept-7Q2K/content/5/16385").exists() && site.path("ts/PG_14_1").exists());
    assert!(!site.path("ts/PG_15_202209061").exists() && !site.path("wal/main").exists());
    assert_eq!(kept.record.state, KeptState::Kept);
    assert_eq!(kept.record.system_identifier, Some(7_711_036_746_073_807_924));
    assert_eq!(kept.record.parts.len(), 3);
    assert_eq!(kept.record.links[0].destination, Path::new("/etc/hostname"));
    assert_eq!(read_record(&site.run, &site.home()).unwrap(), Some(kept.record.clone()));
    assert_eq!(fs::metadata(site.home()).unwrap().mode() & 0o777, 0o700);
    // once more changes nothing
    assert_eq!(site.keep(&option).unwrap().record, kept.record);
}

#[test]
fn the_way_back_puts_everything_where_it_was_and_the_other_aside() {
    let site = Site::new();
    let (main, tablespace, wal) = (site.tree("main"), site.tree("ts/PG_15_202209061"), site.tree("wal/main"));
    site.keep(&site.option(Keeping::Rename)).unwrap();
    site.fill("new");
    fs::write(site.path("main/PG_VERSION"), "15\n").unwrap();
    fs::create_dir(site.path("main/pg_tblspc")).unwrap();
    symlink(site.path("ts"), site.path("main/pg_tblspc/16384")).unwrap();
    fs::create_dir_all(site.path("later/PG_15_202209061")).unwrap();
    symlink(site.path("later"), site.path("main/pg_tblspc/16390")).unwrap();
    let back = put_back(&site.run, &site.home()).unwrap();
    assert_eq!(site.tree("main"), main);
    assert_eq!(site.tree("ts/PG_15_202209061"), tablespace);
    assert_eq!(site.tree("wal/main"), wal);
    assert_eq!(back.left_in_place, [site.path("later/PG_15_202209061")]);
    let aside = site.path("main.aside-7Q2K/content");
    assert_eq!(fs::read_to_string(aside.join("base/5/1259")).unwrap(), "new");
    assert!(aside.join("global").join(DISARMED).exists() && !aside.join("global/pg_control").exists());
    assert_eq!(fs::read_to_string(site.path("ts/lifeboat-aside-7Q2K/content/5/16385")).unwrap(), "new");
    assert_eq!(put_back(&site.run, &site.home()).unwrap().aside, back.aside);
    // and cleaning up leaves the cluster alone
    remove_kept(&site.run, &site.home()).unwrap();
    assert_eq!((site.tree("main"), site.tree("ts/PG_15_202209061")), (main, tablespace));
    assert_eq!(fs::read_dir(site.path("ts")).unwrap().count(), 2);
    assert_eq!(fs::read_dir(site.path("wal")).unwrap().count(), 1);
    assert!(!site.home().exists() && !site.path("main.aside-7Q2K").exists());
}

#[test]
fn the_newest_record_is_one_of_this_place_with_its_mark_and_not_back_yet() {
    let site = Site::new();
    let main = site.path("main");
    assert_eq!(newest_record(&main), None);
    // what carries no mark, or is another directory's, is nobody's way back
    fs::create_dir(site.path("main.kept-7Q2M")).unwrap();
    fs::write(site.path("main.kept-7Q2M").join(RECORD), "{\"format\": 1, \"run\": \"7Q2M\"}").unwrap();
    site.keep(&site.option(Keeping::Rename)).unwrap();
    assert_eq!(newest_record(&main), Some(site.home().join(RECORD)));
    assert_eq!(newest_record(&site.path("other")), None);
    put_back(&site.run, &site.home()).unwrap();
    assert_eq!(newest_record(&main), None, "it is back in its place");
}

#[test]
fn a_copy_is_whole_disarmed_and_shares_no_file() {
    let site = Site::new();
    let before = site.tree("main");
    let option = site.option(Keeping::CopyElsewhere);
    assert_eq!(option.restore, RestoreKind::Delta);
    let kept = site.keep(&option).unwrap();
    assert_eq!(site.tree("main"), before);
    let mut copy = site.tree("elsewhere/data/content");
    let control = copy.remove(&format!("global/{DISARMED}")).unwrap();
    copy.insert("global/pg_control".to_owned(), control);
    assert_eq!(copy, before);
    let inode = |path: &str| fs::metadata(site.path(path)).unwrap().ino();
    assert_ne!(inode("main/base/5/1259"), inode("elsewhere/data/content/base/5/1259"));
    assert_eq!(fs::metadata(site.path("main/base/5/1259")).unwrap().nlink(), 1);
    // a delta restore, and back
    site.fill("new");
    assert_eq!(fs::read_to_string(site.path("elsewhere/16384/content/5/16385")).unwrap(), "old");
    let home = kept.home;
    assert_eq!(home, site.path("elsewhere/data"));
    put_back(&site.run, &home).unwrap();
    assert_eq!((site.tree("main"), site.table()), (before, both("old")));
    remove_kept(&site.run, &home).unwrap();
    assert!(!site.path("elsewhere/data").exists() && !site.path("elsewhere/16384").exists());
}

#[test]
fn a_torn_copy_goes_on_and_another_boots_is_begun_anew() {
    let site = Site::new();
    let option = site.option(Keeping::Copy);
    site.keep(&option).unwrap();
    // as if it had been killed in the middle of the last file of the data directory
    let mut record = read_record(&site.run, &site.home()).unwrap().unwrap();
    record.state = KeptState::Keeping;
    record.write(&site.home()).unwrap();
    let boot: String = crate::engine::clock::boot_id().chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    for (name, torn) in [(format!("copying-{boot}"), "x"), ("copying-other".to_owned(), "y")] {
        let copying = site.home().join(name);
        drop(crate::engine::drill_directory::mark(&site.run, &copying).unwrap());
        fs::create_dir_all(copying.join("content/base/5")).unwrap();
        fs::write(copying.join("content/base/5/1259"), torn).unwrap();
    }
    fs::remove_dir_all(site.home().join(CONTENT)).unwrap();
    site.keep(&option).unwrap();
    assert_eq!(fs::read_to_string(site.home().join("content/base/5/1259")).unwrap(), "old");
    let mut names: Vec<_> = fs::read_dir(site.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [MARKER, CONTENT, RECORD]);
}

/// Every prefix of the moves of keeping: what an interruption leaves.
#[test]
fn keeping_interrupted_anywhere_completes_or_goes_back() {
    for (stage, goes_back) in (0..6).flat_map(|stage| [(stage, false), (stage, true)]) {
        let site = Site::new();
        let before = (site.tree("main"), site.tree("ts"), site.tree("wal"));
        let option = site.option(Keeping::Rename);
        // the record alone: keeping as it begins, stopped by a directory that can't be marked
        let blocked = site.path("wal/main.kept-7Q2K");
        fs::create_dir(&blocked).unwrap();
        fs::write(blocked.join("x"), "").unwrap();
        site.keep(&option).unwrap_err();
        fs::remove_dir_all(&blocked).unwrap();
        assert_eq!((site.tree("main"), site.tree("wal")), (before.0.clone(), before.2.clone()));
        let chests: Vec<PathBuf> = option.parts.iter().map(|part| part.chest.clone()).collect();
        for chest in &chests {
            drop(crate::engine::drill_directory::mark(&site.run, chest).unwrap());
        }
        let (data, wal, tablespace) = (&option.parts[0], &option.parts[1], &option.parts[2]);
        let steps: [&dyn Fn(); 5] = [
            &|| control::disarm(&data.from).unwrap(),
            &|| moves::move_directory(&data.from, &data.chest.join(CONTENT)).unwrap(),
            &|| fs::create_dir(&data.from).unwrap(),
            &|| moves::move_directory(&wal.from, &wal.chest.join(CONTENT)).unwrap(),
            &|| moves::move_directory(&tablespace.from, &tablespace.chest.join(CONTENT)).unwrap(),
        ];
        steps.iter().take(stage).for_each(|step| step());
        if goes_back {
            put_back(&site.run, &site.home()).unwrap();
            assert_eq!(site.tree("main"), before.0, "{stage}");
            remove_kept(&site.run, &site.home()).unwrap();
            assert_eq!((site.tree("ts"), site.tree("wal")), (before.1, before.2), "{stage}");
        } else {
            assert_eq!(site.keep(&option).unwrap().record.state, KeptState::Kept, "{stage}");
            assert!(site.home().join("content/global").join(DISARMED).exists(), "{stage}");
            assert_eq!(fs::metadata(site.path("main")).unwrap().mode() & 0o7777, 0o750, "{stage}");
            put_back(&site.run, &site.home()).unwrap();
            assert_eq!(site.tree("main"), before.0, "{stage}");
        }
    }
}

#[test]
fn what_is_in_the_way_is_refused_before_anything_moves() {
    let site = Site::new();
    let option = site.option(Keeping::Rename);
    let main = site.tree("main");
    // a link in the path
    symlink(site.path("main"), site.path("link")).unwrap();
    let set = SetToRestore::default();
    let said = survey(&site.run, &site.path("link"), &set, None).unwrap_err().to_string();
    assert!(said.contains("symbolic link"), "{said}");
    // no cluster
    let said = survey(&site.run, &site.path("wal"), &set, None).unwrap_err().to_string();
    assert!(said.contains("is no cluster"), "{said}");
    // a live server
    let mut server = std::process::Command::new("sleep").arg("60").current_dir(site.path("main")).spawn().unwrap();
    fs::write(site.path("main/postmaster.pid"), format!("{}\n", server.id())).unwrap();
    let error = site.keep(&option).unwrap_err();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(matches!(error, KeptError::Live { .. }), "{error}");
    fs::remove_file(site.path("main/postmaster.pid")).unwrap();
    // two clusters in one tablespace
    fs::create_dir(site.path("ts/PG_15_2")).unwrap();
    assert!(survey(&site.run, &site.path("main"), &set, None).unwrap_err().to_string().contains("two clusters"));
    assert_eq!(site.tree("main"), main);
}

#[test]
fn another_cluster_in_the_chest_and_another_run_are_refused() {
    let site = Site::new();
    let kept = site.keep(&site.option(Keeping::Rename)).unwrap();
    let other = RunId::parse("8Q2K").unwrap();
    assert!(matches!(put_back(&other, &kept.home), Err(KeptError::Record { .. })));
    assert!(remove_kept(&other, &kept.home).is_err());
    let mut control = CONTROL;
    control[0] += 1;
    fs::write(kept.home.join("content/global").join(DISARMED), control).unwrap();
    let said = put_back(&site.run, &kept.home).unwrap_err().to_string();
    assert!(said.contains("system identifier"), "{said}");
    fs::write(kept.home.join(RECORD), "{\"format\": 2}").unwrap();
    assert!(put_back(&site.run, &kept.home).unwrap_err().to_string().contains("format 2"));
    assert!(kept.home.join(CONTENT).exists());
}

#[test]
fn a_part_of_the_same_plan_only() {
    let site = Site::new();
    let mut option = site.option(Keeping::Rename);
    let copy = site.option(Keeping::Copy);
    site.keep(&option).unwrap();
    assert!(site.keep(&copy).unwrap_err().to_string().contains("another way"));
    option.parts.retain(|part| part.kind != PartKind::Data);
    assert!(site.keep(&option).is_err());
    assert!(copy.parts.iter().all(|part| part.way == Way::Copy));
}

/// As into a mount point: emptied only when the copy aside is whole, and again wherever it was interrupted.
#[test]
fn a_directory_that_cant_be_renamed_is_filled_again_and_what_was_in_it_lies_aside() {
    for stage in 0..4 {
        let site = Site::new();
        let before = site.tree("main");
        let option = site.option(Keeping::CopyElsewhere);
        let kept = site.keep(&option).unwrap();
        site.fill("new");
        control::disarm(&site.path("main")).unwrap();
        let restored = site.tree("main");
        let data = &kept.record.parts[0];
        let (chest, main) = (data.planned.chest.clone(), site.path("main"));
        let aside = survey::copied_aside(&chest);
        // what an interruption leaves: nothing yet, a whole copy, an emptied directory, a half filled one
        let steps: [&dyn Fn(); 3] = [
            &|| {
                drop(crate::engine::drill_directory::mark(&site.run, &aside).unwrap());
                copy::copy_tree(&main, &aside.join(CONTENT), Way::Copy, false).unwrap();
            },
            &|| {
                crate::engine::drill_directory::empty_what_was_copied(&main).unwrap();
            },
            &|| {
                fs::create_dir_all(main.join("base/5")).unwrap();
                fs::write(main.join("base/5/1259"), "torn").unwrap();
            },
        ];
        steps.iter().take(stage).for_each(|step| step());
        put_back::exchange_filling(&site.run, data).unwrap();
        control::arm(&main).unwrap();
        assert_eq!(site.tree("main"), before, "{stage}");
        assert_eq!(site.tree(aside.join(CONTENT).strip_prefix(site.path("")).unwrap().to_str().unwrap()), restored);
        assert!(!chest.join(CONTENT).exists(), "it is not taken for kept any more");
    }
}
