//! Reading pgBackRest's configuration.
//!
//! Only what has to be known beside what `pgbackrest` itself answers: where the repositories and the cluster of a stanza
//! are, which directories production uses, and which values are secret. What is wrong with an option's value is
//! pgBackRest's to say; a file that it could not read at all is refused here, with file and line.
//!
//! Files and order as pgBackRest 2.45 has them (tried): the environment (`PGBACKREST_*`), then `[stanza:command]`,
//! `[stanza]`, `[global:command]`, `[global]`. The file is the one named, else `/etc/pgbackrest/pgbackrest.conf` with
//! `/etc/pgbackrest/conf.d/*.conf`, else `/etc/pgbackrest.conf` (also with `conf.d`).

mod load;
mod names;
mod secrets;
#[cfg(test)]
mod tests;

pub use load::ConfigError;
pub use secrets::Secret;

use crate::domain::secrets::{SHOWN, is_secret_option};
use crate::engine::pgbackrest_config::names::{
    current_name, index, is_data_directory, is_list, is_place_of_repository,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// pgBackRest's configuration: its files and the `PGBACKREST_*` variables. [`std::fmt::Debug`] shows no secret value.
#[derive(Clone, PartialEq, Eq)]
pub struct BackrestConfig {
    path: Option<PathBuf>,
    included: Vec<PathBuf>,
    entries: Vec<Entry>,
}

/// One option where it was set.
#[derive(Clone, PartialEq, Eq)]
struct Entry {
    /// `None` for the environment.
    section: Option<String>,
    /// With its index and its name of today.
    option: String,
    value: String,
}

/// A repository as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfiguredRepository {
    /// The number in `repoN-…`.
    pub key: u32,
    /// `repoN-type`: posix (the default), cifs, s3, azure, gcs, sftp.
    pub kind: String,
    /// `repoN-path`: on the host that has the repository, or in the bucket.
    pub path: PathBuf,
    /// `repoN-host`: the repository host, when it is another one.
    pub host: Option<String>,
}

impl ConfiguredRepository {
    /// The directory on this host, when the repository is one.
    #[must_use]
    pub fn local_path(&self) -> Option<&Path> {
        (self.host.is_none() && matches!(self.kind.as_str(), "posix" | "cifs")).then_some(self.path.as_path())
    }
}

impl BackrestConfig {
    /// The main file in use, absolute; `None` when the configuration is the environment or `conf.d` alone.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The further files that were read from the include directory, in their order.
    #[must_use]
    pub fn included(&self) -> &[PathBuf] {
        &self.included
    }

    /// The value of `option` (with its index: `repo1-path`) as `command` would see it for `stanza`, before the option's
    /// default. Of an option set repeatedly it is the first.
    #[must_use]
    pub fn value(&self, stanza: &str, command: &str, option: &str) -> Option<&str> {
        self.values_in(&sections(Some(stanza), Some(command)), option).into_iter().next()
    }

    /// All values of an option that may be repeated (`recovery-option`, `tablespace-map`), from the place that decides.
    #[must_use]
    pub fn values(&self, stanza: &str, command: &str, option: &str) -> Vec<&str> {
        self.values_in(&sections(Some(stanza), Some(command)), option)
    }

    /// The stanzas that are configured with a data directory, in the order of their names.
    #[must_use]
    pub fn stanzas(&self) -> Vec<String> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        for entry in self.entries.iter().filter(|entry| is_data_directory(&entry.option)) {
            match &entry.section {
                Some(section) => found.insert(base(section).to_owned()),
                None => self.variable("stanza").is_some_and(|stanza| found.insert(stanza.to_owned())),
            };
        }
        found.remove("global");
        found.into_iter().collect()
    }

    /// `pg1-path`: the data directory of the stanza on this host.
    #[must_use]
    pub fn pg1_path(&self, stanza: &str) -> Option<PathBuf> {
        self.of_stanza(stanza, "pg1-path").map(PathBuf::from)
    }

    /// `pg1-port`, 5432 where it is not set; `None` when it is not a port.
    #[must_use]
    pub fn pg1_port(&self, stanza: &str) -> Option<u16> {
        self.of_stanza(stanza, "pg1-port").map_or(Some(5432), |port| port.parse().ok())
    }

    /// `pg1-socket-path`, where it is set.
    #[must_use]
    pub fn pg1_socket_path(&self, stanza: &str) -> Option<PathBuf> {
        self.of_stanza(stanza, "pg1-socket-path").map(PathBuf::from)
    }

    /// The repositories of a stanza, in the order of their keys.
    #[must_use]
    pub fn repositories(&self, stanza: &str) -> Vec<ConfiguredRepository> {
        self.repositories_in(&sections(Some(stanza), None))
    }

    /// The repositories that do not depend on a stanza: what `pgbackrest info` reads when none is named.
    #[must_use]
    pub fn global_repositories(&self) -> Vec<ConfiguredRepository> {
        self.repositories_in(&sections(None, None))
    }

    /// Whether the stanza's own section says where a repository is or how to read it: `pgbackrest info` without a stanza
    /// does not look there.
    #[must_use]
    pub fn sets_own_repositories(&self, stanza: &str) -> bool {
        self.sets_repositories_in(stanza)
    }

    /// The same for `[global]` and the environment.
    #[must_use]
    pub fn sets_global_repositories(&self) -> bool {
        self.sets_repositories_in("global")
            || self.entries.iter().any(|entry| entry.section.is_none() && is_place_of_repository(&entry.option))
    }

    /// Whether WAL is archived or fetched asynchronously for the stanza, by any of its commands.
    #[must_use]
    pub fn archive_async(&self, stanza: &str) -> bool {
        ["archive-push", "archive-get"].iter().any(|command| self.value(stanza, command, "archive-async") == Some("y"))
    }

    /// The directory that asynchronous archiving queues in (it is not used unless [`BackrestConfig::archive_async`]);
    /// pgBackRest's default is `/var/spool/pgbackrest`.
    #[must_use]
    pub fn spool_path(&self, stanza: &str) -> PathBuf {
        self.value(stanza, "archive-get", "spool-path").unwrap_or("/var/spool/pgbackrest").into()
    }

    /// The directory of locks and stop files; pgBackRest's default is `/tmp/pgbackrest`.
    #[must_use]
    pub fn lock_path(&self, stanza: &str) -> PathBuf {
        self.of_stanza(stanza, "lock-path").unwrap_or("/tmp/pgbackrest").into()
    }

    fn variable(&self, option: &str) -> Option<&str> {
        self.entries
            .iter()
            .find(|entry| entry.section.is_none() && entry.option == option)
            .map(|entry| entry.value.as_str())
    }

    fn of_stanza(&self, stanza: &str, option: &str) -> Option<&str> {
        self.values_in(&sections(Some(stanza), None), option).into_iter().next()
    }

    fn values_in(&self, sections: &[String], option: &str) -> Vec<&str> {
        let option = current_name(option);
        if let Some(value) = self.variable(&option) {
            return if is_list(&option) { value.split(':').collect() } else { vec![value] };
        }
        for section in sections {
            let found: Vec<&str> = self
                .entries
                .iter()
                .filter(|entry| entry.section.as_deref() == Some(section) && entry.option == option)
                .map(|entry| entry.value.as_str())
                .collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    fn sets_repositories_in(&self, name: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.section.as_deref().map(base) == Some(name) && index(&entry.option, "repo").is_some())
    }

    fn repositories_in(&self, sections: &[String]) -> Vec<ConfiguredRepository> {
        let applies = |entry: &&Entry| entry.section.as_ref().is_none_or(|section| sections.contains(section));
        let mut keys: BTreeSet<u32> =
            self.entries.iter().filter(applies).filter_map(|entry| index(&entry.option, "repo")).collect();
        if keys.is_empty() {
            keys.insert(1);
        }
        let value = |key: u32, name: &str| {
            self.values_in(sections, &format!("repo{key}-{name}")).into_iter().next().map(str::to_owned)
        };
        keys.into_iter()
            .map(|key| ConfiguredRepository {
                key,
                kind: value(key, "type").unwrap_or_else(|| "posix".to_owned()),
                path: value(key, "path").map_or_else(|| PathBuf::from("/var/lib/pgbackrest"), PathBuf::from),
                host: value(key, "host"),
            })
            .collect()
    }
}

impl std::fmt::Debug for BackrestConfig {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = |entry: &Entry| {
            let section = entry.section.as_deref().unwrap_or("environment");
            let value = if is_secret_option(&entry.option) { SHOWN } else { &entry.value };
            format!("[{section}] {}={}", entry.option, self.redact(value))
        };
        out.debug_struct("BackrestConfig")
            .field("path", &self.path)
            .field("included", &self.included)
            .field("entries", &self.entries.iter().map(shown).collect::<Vec<_>>())
            .finish()
    }
}

/// The sections that apply, the deciding one first.
fn sections(stanza: Option<&str>, command: Option<&str>) -> Vec<String> {
    let mut found = Vec::new();
    for section in stanza.into_iter().chain(["global"]) {
        found.extend(command.map(|command| format!("{section}:{command}")));
        found.push(section.to_owned());
    }
    found
}

/// A section's name without the command.
fn base(section: &str) -> &str {
    section.split_once(':').map_or(section, |(base, _)| base)
}
