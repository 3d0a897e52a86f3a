//! What the console is opened on: settings, a state directory, 200,000 backup sets, and a run that goes on.
//!
//! The sets are told by a program in pgbackrest's place: no machine makes 200,000 backups for a bench. It takes two
//! seconds for it, as a repository far away does.

use crate::sample_plan::{self, anna};
use crate::sample_run;
use lifeboat::engine::store::{RunnerLock, Store};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

pub(crate) const STANZAS: u32 = 1000;
pub(crate) const SETS: u32 = 200;
/// Entries of the sample's run until its restore goes on.
const RESTORING: usize = 12;

pub(crate) struct Host {
    folder: tempfile::TempDir,
}

impl Host {
    pub(crate) fn new() -> Host {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("info.json"), document(STANZAS)).unwrap();
        std::fs::write(at("one.json"), document(1)).unwrap();
        let program = format!(
            "#!/bin/sh\ncase \"$*\" in\n*version*) echo 'pgBackRest 2.45' ;;\n*info*stanza=*|*stanza=*info*) exec cat '{}' ;;\n\
             *info*) sleep 2; exec cat '{}' ;;\n*) exit 25 ;;\nesac\n",
            at("one.json").display(),
            at("info.json").display()
        );
        std::fs::write(at("pgbackrest"), program).unwrap();
        std::fs::set_permissions(at("pgbackrest"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(at("pgbackrest.conf"), format!("[global]\nrepo1-path={}\n", folder.path().display())).unwrap();
        short_lines(&at("text"), 100_000);
        let host = Host { folder };
        for (name, seconds) in [("seconds", true), ("minutes", false)] {
            std::fs::write(host.settings(name), host.settings_text(seconds)).unwrap();
        }
        host
    }

    pub(crate) fn settings(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.toml"))
    }

    /// A text for pagers.
    pub(crate) fn text(&self) -> String {
        self.folder.path().join("text").display().to_string()
    }

    /// A git repository, for whoever shows such.
    pub(crate) fn repository(&self) -> String {
        let folder = self.folder.path().display().to_string();
        let _ = std::process::Command::new("git").args(["init", "-q", &folder]).status();
        folder
    }

    fn settings_text(&self, seconds: bool) -> String {
        let here = self.folder.path().display();
        let user = rustix::process::geteuid().as_raw();
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
        let owner = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.get(2)?.parse() == Ok(user)).then(|| fields[0].to_owned())
        });
        format!(
            "[pgbackrest]\nbinary = \"{here}/pgbackrest\"\nconfig = \"{here}/pgbackrest.conf\"\n\
             [postgres]\nowner = \"{}\"\n[state]\ndirectory = \"{here}/state\"\nruntime_directory = \"{here}/run\"\n\
             [console]\nseconds = {seconds}\n[operator]\ntimezone = \"Europe/Istanbul\"\n",
            owner.unwrap()
        )
    }

    /// A run whose restore goes on. Its runner is this process: nobody else goes on with it.
    pub(crate) fn run(&self) -> Running {
        let store = Store::open(&self.folder.path().join("state")).unwrap();
        let id = lifeboat::domain::event::RunId::parse("7Q2K9XAB").unwrap();
        let made = store.create_run(id, sample_plan::plan(), anna(), sample_plan::host(), None);
        let (folder, mut journal, _) = made.unwrap();
        let lock = folder.lock_runner().unwrap().unwrap();
        for event in sample_run::events().into_iter().take(RESTORING).skip(1) {
            journal.append(event).unwrap();
        }
        let step = folder.step_folder(2, 1);
        std::fs::create_dir_all(&step).unwrap();
        Running { output: step.join("output"), _lock: lock }
    }
}

pub(crate) struct Running {
    pub(crate) output: PathBuf,
    _lock: RunnerLock,
}

impl Running {
    /// So many lines of what a restore prints, `from` this one on.
    pub(crate) fn print(&self, from: u64, lines: u64) {
        append(&self.output, from, lines);
    }
}

pub(crate) fn append(path: &Path, from: u64, lines: u64) {
    let file = File::options().create(true).append(true).open(path).unwrap();
    let mut out = BufWriter::with_capacity(1 << 20, file);
    for line in from..from + lines {
        let hundredths = line / 1000 % 10_000;
        writeln!(
            out,
            "2026-11-22 09:11:03.117 P01 DETAIL: restore file /srv/drill/data/base/{}/{} (8KB, {}.{:02}%) checksum {:016x}{:016x}{:08x}",
            mixed(line) % 90_000 + 10_000,
            mixed(line + 1) % 90_000 + 10_000,
            hundredths / 100,
            hundredths % 100,
            mixed(line + 2),
            mixed(line + 3),
            mixed(line + 4) >> 32
        )
        .unwrap();
    }
    out.flush().unwrap();
}

/// A number that has nothing of the one before it, as checksums have not.
fn mixed(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// A file of so many short lines.
pub(crate) fn short_lines(path: &Path, lines: u64) {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).unwrap());
    for line in 0..lines {
        writeln!(out, "line {line:07}").unwrap();
    }
    out.flush().unwrap();
}

/// One stanza as `pgbackrest info` tells it, and then many of them.
fn document(stanzas_told: u32) -> String {
    let mut sets = String::new();
    for set in 0..SETS {
        let (day, hour) = (set / 24 % 28 + 1, set % 24);
        let stop = 1_790_000_000 + i64::from(set) * 3600;
        let comma = if set == 0 { "" } else { "," };
        let _ = write!(
            sets,
            r#"{comma}{{"archive":{{"start":"0000000100000000000000{set:02X}","stop":"0000000100000000000000{set:02X}"}},"backrest":{{"format":5,"version":"2.45"}},"database":{{"id":1,"repo-key":1}},"error":false,"info":{{"delta":34000000,"repository":{{"delta":5200000,"size":5200000}},"size":34000000}},"label":"202609{day:02}-{hour:02}0000F","lsn":{{"start":"0/{set:X}000028","stop":"0/{set:X}000100"}},"prior":null,"reference":null,"timestamp":{{"start":{},"stop":{stop}}},"type":"full"}}"#,
            stop - 60
        );
    }
    let mut stanzas = String::new();
    for stanza in 0..stanzas_told {
        let comma = if stanza == 0 { "" } else { "," };
        let _ = write!(
            stanzas,
            r#"{comma}{{"archive":[{{"database":{{"id":1,"repo-key":1}},"id":"15-1","max":"0000000100000000000000C8","min":"000000010000000000000001"}}],"backup":[{sets}],"cipher":"none","db":[{{"id":1,"repo-key":1,"system-id":7711077164953686195,"version":"15"}}],"name":"cluster{stanza:04}","repo":[{{"cipher":"none","key":1,"status":{{"code":0,"message":"ok"}}}}],"status":{{"code":0,"lock":{{"backup":{{"held":false}}}},"message":"ok"}}}}"#
        );
    }
    format!("[{stanzas}]")
}
