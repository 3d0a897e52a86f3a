//! The steps of in-place recovery that Lifeboat does itself, on a real cluster with a tablespace and two repositories.

use crate::lab::{self, Lab, lifeboat};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const RUN: &str = "7Q2K";

/// A practice cluster with 1,001 rows in a tablespace, backed up, then one row more that only WAL has.
pub(crate) struct Incident {
    pub(crate) lab: Lab,
    pub(crate) production: PathBuf,
    pub(crate) safety: PathBuf,
    pub(crate) set: String,
    pub(crate) tablespace: String,
    /// The end of the last commit that is to be kept.
    pub(crate) target: String,
}

impl Incident {
    pub(crate) fn new() -> Incident {
        let lab = lab::running();
        // On a busy machine a checkpoint comes in the middle and recycles the segments that are to be saved.
        lab.sql("ALTER SYSTEM SET wal_keep_size = '1GB'");
        lab.sql("SELECT pg_reload_conf()");
        let place = lab.home().join("fast");
        lab::assert_done(&lab::as_owner("mkdir").arg(&place).output().unwrap(), "mkdir");
        lab.sql(&format!("CREATE TABLESPACE fast LOCATION '{}'", place.display()));
        lab.sql("CREATE TABLE held TABLESPACE fast AS SELECT generate_series(1, 1001) AS i");
        lab.pgbackrest(&["--repo=1", "--type=full", "backup"]);
        let info: serde_json::Value =
            serde_json::from_str(&lab.pgbackrest(&["--repo=1", "info", "--output=json"])).unwrap();
        let set = info[0]["backup"].as_array().unwrap().last().unwrap()["label"].as_str().unwrap().to_owned();
        let tablespace = lab.sql("SELECT oid FROM pg_tablespace WHERE spcname = 'fast'");
        lab.sql("INSERT INTO held VALUES (1002)");
        let target = lab.sql("SELECT pg_current_wal_insert_lsn()");
        lab.wait_archived();
        lab.sql("DELETE FROM held");
        lab.wait_archived();
        let (production, safety) = (lab.layout.production(), lab.home().join("safety"));
        Incident { lab, production, safety, set, tablespace, target }
    }

    /// Runs a helper, and returns its lines.
    pub(crate) fn helper(&self, arguments: &[&str]) -> Result<BTreeMap<String, String>, String> {
        let output = lifeboat().arg("internal").args(arguments).output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8(output.stderr).unwrap());
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let line = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(text.lines().map(|text| line(text).unwrap_or_else(|| panic!("{text}"))).collect())
    }

    pub(crate) fn data(&self) -> &str {
        self.production.to_str().unwrap()
    }

    pub(crate) fn bin(&self) -> &str {
        self.lab.marker.bin_directory.to_str().unwrap()
    }

    pub(crate) fn kept(&self) -> String {
        format!("{}.kept-{RUN}", self.data())
    }

    fn keep(&self, how: &str) -> Result<BTreeMap<String, String>, String> {
        let (kept, data) = (self.kept(), self.data());
        let place = ["--run", RUN, "--data-directory", data, "--kept", &kept, "--how", how];
        let set = ["--set-tablespaces", &self.tablespace, "--set-bytes", "50000000"];
        self.helper(&[&["keep"], &place[..], &set[..]].concat())
    }

    pub(crate) fn restore(&self, more: &[&str]) {
        let set = format!("--set={}", self.set);
        self.lab.pgbackrest(&[&["--repo=1", &set][..], more, &["restore"][..]].concat());
    }

    pub(crate) fn set_target(&self, setting: &str, value: &str) -> Result<BTreeMap<String, String>, String> {
        let target = ["set-target", "--data-directory", self.data(), "--setting", setting, "--value", value];
        let rest = ["--inclusive", "off", "--timeline", "1", "--postgres-bin", self.bin()];
        self.helper(&[&target[..], &rest[..]].concat())
    }

    fn place_wal(&self) -> Result<BTreeMap<String, String>, String> {
        let config = self.lab.layout.pgbackrest_config();
        let (safety, program) = (self.safety.to_str().unwrap(), self.lab.marker.pgbackrest.to_str().unwrap());
        let place = ["place-wal", "--data-directory", self.data(), "--safety", safety, "--timeline", "1"];
        let asked = ["--stanza", "main", "--pgbackrest", program, "--pgbackrest-config", config.to_str().unwrap()];
        self.helper(&[&place[..], &asked[..], &["--postgres-bin", self.bin()][..]].concat())
    }

    /// Starts the restored server, which pauses at its target; returns the rows of the table.
    pub(crate) fn look(&self) -> String {
        let output = lab::as_owner(self.lab.marker.bin_directory.join("pg_ctl"))
            .args(["start", "-s", "-w", "-D", self.data(), "-l"])
            .arg(self.lab.layout.server_log())
            .args(["-o", "-c recovery_target_action=pause -c archive_mode=off"])
            .output()
            .unwrap();
        lab::assert_done(&output, "pg_ctl start");
        lab::wait_until("it pauses at the target", || {
            self.lab.sql("SELECT pg_get_wal_replay_pause_state()") == "paused"
        });
        self.lab.sql("SELECT concat(count(*), ' ', max(i)) FROM held")
    }
}

fn remove_segment(repository: &Path, segment: &str) {
    let folder = repository.join("archive/main/15-1").join(&segment[..16]);
    let found = fs::read_dir(&folder).unwrap().filter_map(Result::ok);
    let own: Vec<_> = found.filter(|entry| entry.file_name().to_string_lossy().starts_with(segment)).collect();
    assert_eq!(own.len(), 1, "{segment}");
    fs::remove_file(own[0].path()).unwrap();
}

#[test]
fn the_old_cluster_is_kept_restored_over_and_put_back_with_its_tablespace() {
    let it = Incident::new();
    let segment = it.lab.sql(&format!("SELECT pg_walfile_name('{}')", it.target));
    let safety = it.safety.to_str().unwrap();
    let wal = it.production.join("pg_wal");
    let save = ["save-wal", "--pg-wal", wal.to_str().unwrap(), "--safety", safety];
    let saved = it.helper(&save).unwrap();
    assert!(saved["added"].parse::<u32>().unwrap() > 1, "{saved:?}");
    assert!(it.safety.join("pg_wal").join(&segment).exists(), "{saved:?}");
    let settings = ["save-settings", "--data-directory", it.data(), "--postgres-bin", it.bin(), "--safety", safety];
    let saved = it.helper(&settings).unwrap();
    assert_eq!((saved["unknown"].as_str(), saved["left-out"].as_str()), ("none", "none"), "{saved:?}");
    let copy = it.safety.join("configuration").join(it.production.strip_prefix("/").unwrap());
    assert_eq!(
        fs::read(copy.join("postgresql.conf")).unwrap(),
        fs::read(it.production.join("postgresql.conf")).unwrap()
    );

    let said = it.keep("rename").unwrap_err();
    assert!(said.contains("stop it first"), "{said}");
    it.lab.stop();
    assert_eq!(it.helper(&save).unwrap()["set-beside"], "none");
    let said = it.keep("hard-link").unwrap_err();
    assert!(said.contains("no way to keep a cluster"), "{said}");
    let kept = it.keep("rename").unwrap();
    assert_eq!((kept["kept-at"].as_str(), kept["how"].as_str()), (it.kept().as_str(), "rename"));
    assert!(kept["kept-bytes"].parse::<u64>().unwrap() > 10_000_000, "{kept:?}");
    assert!(kept["way-back"].contains("renaming"), "{kept:?}");
    // again: nothing more is done; in another way it is refused
    assert_eq!(it.keep("rename").unwrap()["record"], kept["record"]);
    let said = it.keep("copy").unwrap_err();
    assert!(said.contains("another way"), "{said}");
    assert!(it.keep("nothing").is_ok(), "the data directory is empty now");

    // the segment with the target is in no repository
    for repository in [it.lab.layout.first_repository(), it.lab.layout.second_repository()] {
        remove_segment(&repository, &segment);
    }
    it.restore(&["--type=default", "--target-timeline=current"]);
    assert!(it.keep("nothing").unwrap_err().contains("holds a cluster"));
    let placed = it.place_wal().unwrap();
    assert!(placed["placed"].split(", ").any(|name| name == segment), "{placed:?}");
    assert_eq!((placed["repositories-unread"].as_str(), placed["not-placed"].as_str()), ("none", "none"));
    assert!(placed["in-repository"].parse::<u32>().unwrap() > 0, "{placed:?}");
    let again = it.place_wal().unwrap();
    assert_eq!((again["placed"].as_str(), &again["there"]), ("none", &placed["placed"]));
    it.set_target("recovery_target_lsn", &it.target).unwrap();
    let conf = fs::read_to_string(it.production.join("postgresql.auto.conf")).unwrap();
    assert!(conf.contains("recovery_target_action = 'shutdown'"), "{conf}");
    assert_eq!(it.look(), "1002 1002");
    let said = it.set_target("recovery_target_lsn", "0/FFFFFFF").unwrap_err();
    assert!(said.contains("stop it first"), "{said}");
    it.lab.stop();
    assert!(it.production.join("recovery.signal").exists());

    // and back to what was before
    let back = it.helper(&["put-back", "--record", &kept["record"]]).unwrap();
    assert_eq!(back["left-in-place"], "none");
    assert_eq!(it.helper(&["put-back", "--record", &kept["record"]]).unwrap()["aside"], back["aside"]);
    it.lab.start();
    assert_eq!(it.lab.sql("SELECT count(*) FROM held"), "0");
    it.lab.sql("INSERT INTO held VALUES (1)");
    let removed = it.helper(&["remove-kept", "--record", &kept["record"], "--run", RUN]).unwrap();
    assert!(removed["removed-bytes"].parse::<u64>().unwrap() > 10_000_000, "{removed:?}");
    assert!(!Path::new(&it.kept()).exists());
    assert_eq!(it.lab.sql("SELECT count(*) FROM held"), "1");
}

#[test]
fn a_promoted_cluster_is_given_no_target() {
    let it = Incident::new();
    it.lab.stop();
    let said = it.set_target("recovery_target_lsn", &it.target).unwrap_err();
    assert!(said.contains("'shut down'") && said.contains("promoted, or never was in recovery"), "{said}");
    it.restore(&["--delta", "--type=default", "--target-timeline=current"]);
    // every other target that is there goes
    for (setting, value) in [
        ("recovery_target_name", "before the accident"),
        ("recovery_target_xid", "777"),
        ("recovery_target_time", "2026-11-22 02:13:00.25+03"),
        ("recovery_target_lsn", it.target.as_str()),
    ] {
        it.set_target(setting, value).unwrap();
        let conf = fs::read_to_string(it.production.join("postgresql.auto.conf")).unwrap();
        let own = |line: &&str| {
            line.starts_with("recovery_target_")
                && !["inclusive", "timeline", "action"].iter().any(|name| line[16..].starts_with(name))
        };
        let targets: Vec<&str> = conf.lines().filter(own).collect();
        assert!(targets.len() == 1 && targets[0].starts_with(&format!("{setting} =")), "{conf}");
    }
    for (setting, value) in
        [("recovery_target_time", "2026-11-22 02:13:00"), ("recovery_target_xid", "x"), ("port", "1")]
    {
        assert!(it.set_target(setting, value).is_err(), "{setting}");
    }
    assert_eq!(it.look(), "1002 1002");
    it.lab.sql("SELECT pg_promote()");
    it.lab.stop();
    let said = it.set_target("recovery_target_lsn", "0/FFFFFFF").unwrap_err();
    assert!(said.contains("promoted"), "{said}");
}
