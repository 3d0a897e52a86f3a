//! Production as it is found when a plan is made: whether its server runs, where it listens, and what starts it.

use crate::engine::kept;
use crate::engine::managers::{self, Managed};
use crate::engine::pgbackrest_config::BackrestConfig;
use crate::engine::postgres::{LiveState, PostgresPrograms, server_is_live};
use crate::engine::safety;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// PostgreSQL's socket directory where nothing says another (Debian's packages; PostgreSQL's own default is `/tmp`).
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";
const PORT: u16 = 5432;

/// What was found. Nothing of it is sealed: the checks of a run look again.
#[derive(Debug, Clone)]
pub struct Production {
    /// Its data directory.
    pub data_directory: PathBuf,
    /// `running`, `stopped` or `lost` (no cluster in the data directory).
    pub state: &'static str,
    /// The directory of its socket.
    pub socket_directory: PathBuf,
    /// Its port.
    pub port: u16,
    /// Its `postgresql.conf`.
    pub config_file: PathBuf,
    /// Where its server's output goes.
    pub log: PathBuf,
    /// What starts and stops it.
    pub managed: Managed,
}

impl Production {
    /// Looks at the data directory that the configuration names for `stanza`; `None` where it names none on this host.
    #[must_use]
    pub fn find(
        config: &BackrestConfig,
        stanza: &str,
        programs: &PostgresPrograms,
        environment: &BTreeMap<String, String>,
    ) -> Option<Production> {
        let data_directory = config.pg1_path(stanza)?;
        let live = server_is_live(&data_directory).unwrap_or(LiveState::Stopped);
        let is_there = data_directory.join("PG_VERSION").exists();
        let (state, pid) = match &live {
            LiveState::Running { pid, .. } => ("running", Some(*pid)),
            // what a restore left half done is no cluster any more
            _ if is_there && !kept::is_unfinished_restore(&data_directory) => ("stopped", None),
            _ => ("lost", None),
        };
        let (socket, port) = match live {
            LiveState::Running { socket_directory, port, .. } => (socket_directory.map(PathBuf::from), port),
            _ => (None, None),
        };
        let managed = managers::find(Path::new("/"), &data_directory, pid);
        let debian = managed
            .cluster
            .as_ref()
            .map(|(version, name)| Path::new("/etc/postgresql").join(version).join(name).join("postgresql.conf"));
        // Debian's tools name theirs on the command line: one in the data directory, of an older backup, counts for nothing.
        let asked = || is_there.then(|| safety::places(programs, environment, &data_directory, None).ok()).flatten();
        let config_file = debian
            .or_else(|| asked().and_then(|places| places.files.get("config_file").cloned()))
            .unwrap_or_else(|| data_directory.join("postgresql.conf"));
        Some(Production {
            state,
            socket_directory: socket
                .or_else(|| config.pg1_socket_path(stanza))
                .unwrap_or_else(|| PathBuf::from(SOCKET_DIRECTORY)),
            port: port.or_else(|| config.pg1_port(stanza)).unwrap_or(PORT),
            log: pid.and_then(output_of).unwrap_or_else(|| data_directory.join("server.log")),
            config_file,
            managed,
            data_directory,
        })
    }

    /// What `pg_ctl start -D` is given: the configuration's directory, since the configuration names the data directory
    /// where the two are apart.
    #[must_use]
    pub fn start_directory(&self) -> PathBuf {
        self.config_file.parent().unwrap_or(&self.data_directory).to_owned()
    }

    /// For `${name}` in runbooks.
    #[must_use]
    pub fn texts(&self) -> Vec<(&'static str, String)> {
        let (version, cluster) = self.managed.cluster.clone().unwrap_or_default();
        let kept = kept::newest_record(&self.data_directory);
        vec![
            ("kept-record", kept.map_or_else(|| "none".to_owned(), |record| record.display().to_string())),
            ("data-directory", self.data_directory.display().to_string()),
            ("production-state", self.state.to_owned()),
            ("production-socket-directory", self.socket_directory.display().to_string()),
            ("production-port", self.port.to_string()),
            ("production-config-file", self.config_file.display().to_string()),
            ("production-start-directory", self.start_directory().display().to_string()),
            ("production-log", self.log.display().to_string()),
            ("manager", self.managed.at_work().map_or(self.managed.local(), |one| one.manager).word().to_owned()),
            ("manager-unit", self.managed.unit.clone().unwrap_or_default()),
            ("manager-version", version),
            ("manager-cluster", cluster),
        ]
    }
}

/// The file that a server's standard output goes to, where it is one.
fn output_of(pid: u32) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/{pid}/fd/1")).ok()?;
    (path.is_absolute() && path.is_file()).then_some(path)
}
