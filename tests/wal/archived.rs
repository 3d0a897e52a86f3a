//! A cluster whose WAL goes to a repository of pgBackRest, and servers that are recovered from it.

use crate::cluster::{Cluster, as_owner, done};
use lifeboat::engine::accident::Place;
use lifeboat::planning::accident::ExactTarget;
use lifeboat::settings::PgbackrestSettings;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(180);
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A cluster with its archive.
pub(crate) struct Archived {
    pub(crate) cluster: Cluster,
}

impl Archived {
    /// A running cluster with a stanza `main`; what is archived and not needed any more leaves `pg_wal` with a checkpoint.
    pub(crate) fn start(segment_megabytes: u32, settings: &str) -> Archived {
        let cluster = Cluster::start_with(segment_megabytes, |home| {
            Archived::configure(home);
            let push = format!("pgbackrest --config={}/pgbackrest.conf --stanza=main archive-push %p", home.display());
            format!(
                "archive_mode = on\narchive_command = '{push}'\nwal_keep_size = 0\nmin_wal_size = '{}MB'\n{settings}",
                2 * segment_megabytes
            )
        });
        let archived = Archived { cluster };
        archived.pgbackrest(&["stanza-create"]);
        archived
    }

    fn configure(home: &Path) {
        let at = home.display();
        let text = format!(
            "[global]\nrepo1-path={at}/repo\nrepo1-retention-full=9\nlog-path={at}\nlock-path={at}/lock\nspool-path={at}\n\
             log-level-file=off\nlog-level-console=warn\ncompress-level=1\nstart-fast=y\n\
             [main]\npg1-path={at}/data\npg1-socket-path={at}\npg1-user=postgres\n"
        );
        fs::write(home.join("pgbackrest.conf"), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = as_owner("pgbackrest");
        command.arg(format!("--config={}", self.cluster.home().join("pgbackrest.conf").display())).arg("--stanza=main");
        command
    }

    fn pgbackrest(&self, arguments: &[&str]) {
        done(self.command().args(arguments));
    }

    /// Makes a full set.
    pub(crate) fn back_up(&self) {
        self.pgbackrest(&["--type=full", "--no-archive-check", "backup"]);
    }

    /// Where Lifeboat looks: the stanza's archive, with `pg_wal` beside it.
    pub(crate) fn place(&self) -> Place {
        let config = Some(self.cluster.home().join("pgbackrest.conf"));
        let binary = PathBuf::from("/usr/bin/pgbackrest");
        let search_path = [("PATH".to_owned(), SEARCH_PATH.to_owned())];
        Place {
            pgbackrest: PgbackrestSettings { binary, config, ..PgbackrestSettings::default() },
            bin_directory: None,
            state_directory: Some(self.cluster.home().join("state")),
            cache_limit_bytes: 256 << 20,
            is_read_only: false,
            environment: BTreeMap::from(search_path),
        }
    }

    /// Ends the segment that is written, waits until it is archived, and lets `pg_wal` go as far as the server does. Returns
    /// the segment.
    pub(crate) fn archive_all(&self) -> String {
        let last = self.cluster.sql_in("postgres", "SELECT pg_walfile_name(pg_switch_wal())");
        let begin = Instant::now();
        while self.cluster.sql_in("postgres", "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver") < last {
            assert!(begin.elapsed() < PATIENCE, "{last} is not archived");
            std::thread::sleep(Duration::from_millis(50));
        }
        self.cluster.sql_in("postgres", "CHECKPOINT");
        last
    }

    /// A server restored by pgBackRest that pauses at a target.
    pub(crate) fn recover(&self, target: &ExactTarget) -> Recovered {
        let recovered = Cluster::nowhere();
        let data = recovered.data();
        let option = |name: &str, value: String| format!("--{name}={value}");
        let mut command = self.command();
        command
            .arg(option("pg1-path", data.display().to_string()))
            .arg(option("lock-path", recovered.home().join("lock").display().to_string()))
            .args(["--type=lsn", "--target-exclusive", "--target-action=pause"])
            .arg(option("target", target.value.to_string()))
            .arg(option("target-timeline", target.timeline.to_string()))
            .arg("restore");
        done(&mut command);
        let mut recovered = Recovered { cluster: recovered };
        let home = recovered.cluster.home().display().to_string();
        recovered.set(&format!("unix_socket_directories = '{home}'\narchive_mode = off"));
        recovered.cluster.up();
        recovered.wait_paused(target);
        recovered
    }
}

/// A server that stands at a target.
pub(crate) struct Recovered {
    pub(crate) cluster: Cluster,
}

impl Recovered {
    fn set(&self, settings: &str) {
        let conf = self.cluster.data().join("postgresql.auto.conf");
        let text = fs::read_to_string(&conf).unwrap();
        fs::write(conf, format!("{text}\n{settings}\n")).unwrap();
    }

    /// Goes on to a later target.
    pub(crate) fn forward(&mut self, target: &ExactTarget) {
        self.cluster.stop("fast");
        self.set(&format!("recovery_target_lsn = '{}'", target.value));
        self.cluster.up();
        self.wait_paused(target);
    }

    fn wait_paused(&self, target: &ExactTarget) {
        let begin = Instant::now();
        let state = || {
            self.cluster.sql_in("postgres", "SELECT pg_is_in_recovery() AND pg_get_wal_replay_pause_state() = 'paused'")
        };
        while state() != "t" {
            assert!(begin.elapsed() < PATIENCE, "{target:?} is not reached");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
