//! The checks that runbooks name: questions with an answer of their own. They change nothing and may be asked again.
//!
//! A check that looked and found something wrong says so in a [`Finding`] that does not hold; one that could not look
//! ends with a [`CheckError`]. Neither lets a run go on.

mod archive;
mod archived;
mod cluster;
mod compared;
mod coverage;
mod files;
mod fork;
mod forward;
mod goal;
mod handed_back;
mod hangs;
mod hazards;
mod jobs;
mod keeping;
mod let_go;
mod manager;
mod production;
mod restored;
mod server;
mod standby;
mod tablespaces;
mod thrown_away;
mod versions;
mod written;

use crate::domain::event::Finding;
use crate::domain::info::{self, InfoError};
use crate::domain::inventory::{BackupSet, Inventory, Repository, RepositoryKey, Stanza};
use crate::domain::label::BackupLabel;
use crate::domain::text::size as shown_bytes;
use crate::engine::pgbackrest::PgbackrestError;
use crate::engine::pgbackrest_config::{BackrestConfig, ConfigError};
use crate::engine::postgres::PostgresError;
use crate::engine::surroundings::Surroundings;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// In the order they were looked at.
    pub findings: Vec<Finding>,
    /// Values for later steps, by name.
    pub captures: BTreeMap<String, String>,
}

/// Why a check could not look.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// No check of that name.
    #[error("there is no check '{0}': `lifeboat runbook check` lists those there are")]
    Unknown(String),
    /// An argument is missing.
    #[error("the check '{check}' needs the argument '{argument}': add it to the step's `with`")]
    Missing {
        /// The check.
        check: String,
        /// The argument.
        argument: &'static str,
    },
    /// An argument can't be read.
    #[error("the argument {argument} = '{value}' can't be read: {why}")]
    Argument {
        /// The argument.
        argument: &'static str,
        /// Its value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The archives could not be looked at.
    #[error(transparent)]
    Archives(#[from] crate::engine::archives::ArchivesError),
    /// pgbackrest could not be asked.
    #[error(transparent)]
    Pgbackrest(#[from] PgbackrestError),
    /// Its answer can't be read.
    #[error("pgbackrest info can't be read: {0}")]
    Info(#[from] InfoError),
    /// Its configuration can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// PostgreSQL could not be asked.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A file could not be looked at.
    #[error("{} can't be looked at: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was asked for is not in the inventory.
    #[error("{0}")]
    NotThere(String),
}

impl CheckReport {
    /// Everything that was looked at is as it has to be.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.findings.iter().all(|finding| finding.holds)
    }

    fn good(&mut self, what: impl Into<String>) {
        self.findings.push(Finding { holds: true, what: what.into(), remedy: String::new() });
    }

    fn bad(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding { holds: false, what: what.into(), remedy: remedy.into() });
    }

    fn put(&mut self, name: &str, value: impl ToString) {
        self.captures.insert(name.to_owned(), value.to_string());
    }
}

/// Asks the check `name` with its arguments.
///
/// # Errors
/// [`CheckError`] when it could not look.
pub fn run(
    name: &str,
    with: &BTreeMap<String, String>,
    surroundings: &Surroundings,
) -> Result<CheckReport, CheckError> {
    let input = Input { check: name, with, around: surroundings };
    match name {
        "archive-covers-target" => coverage::archive_covers_target(&input),
        "archived-everywhere" => archived::archived_everywhere(&input),
        "backup-jobs" => jobs::backup_jobs(&input),
        "backup-jobs-held" => jobs::backup_jobs_held(&input),
        "back-in-production" => handed_back::back_in_production(&input),
        "recovery-goal" => goal::recovery_goal(&input),
        "backup-set-usable" => archive::backup_set_usable(&input),
        "cluster-is-the-stanzas" => cluster::cluster_is_the_stanzas(&input),
        "drill-directory-free" => files::drill_directory_free(&input),
        "end-of-archive-reached" => coverage::end_of_archive_reached(&input),
        "forward-guards" => forward::forward_guards(&input),
        "free-space" => files::free_space(&input),
        "history-free" => archived::history_free(&input),
        "manager-held" => manager::manager_held(&input),
        "nobody-wrote" => written::nobody_wrote(&input),
        "no-tcp-listener" => server::no_tcp_listener(&input),
        "ownership" => files::ownership(&input),
        "port-free" => server::port_free(&input),
        "production-baseline" => production::baseline(&input),
        "production-untouched" => production::untouched(&input),
        "recovery-hazards" => hazards::recovery_hazards(&input),
        "restored-files" => restored::restored_files(&input),
        "room-to-keep" => keeping::room_to_keep(&input),
        "safe-redo-start" => forward::safe_redo_start(&input),
        "settings-compared" => compared::settings_compared(&input, compared::Door::Open),
        "settings-compared-fenced" => compared::settings_compared(&input, compared::Door::Fenced),
        "spool-and-locks" => server::spool_and_locks(&input),
        "standby-is-whole" => standby::standby_is_whole(&input),
        "tablespaces-do-not-collide" => tablespaces::do_not_collide(&input),
        "thrown-away" => thrown_away::thrown_away_by(&input),
        "versions-match" => versions::versions_match(&input),
        "waits-to-be-let-go" => let_go::waits_to_be_let_go(&input),
        "what-hangs-on-it" => hangs::what_hangs_on_it(&input),
        "who-manages-it" => manager::who_manages_it(&input),
        other => Err(CheckError::Unknown(crate::domain::text::clean(other))),
    }
}

/// A check's arguments and surroundings.
struct Input<'i> {
    check: &'i str,
    with: &'i BTreeMap<String, String>,
    around: &'i Surroundings,
}

impl Input<'_> {
    fn text(&self, argument: &'static str) -> Result<&str, CheckError> {
        let missing = || CheckError::Missing { check: self.check.to_owned(), argument };
        self.with.get(argument).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(missing)
    }

    fn path(&self, argument: &'static str) -> Result<&Path, CheckError> {
        let text = self.text(argument)?;
        let path = Path::new(text);
        if !path.is_absolute() {
            return Err(wrong(argument, text, "an absolute path is needed"));
        }
        Ok(path)
    }

    fn parsed<T: std::str::FromStr>(&self, argument: &'static str) -> Result<T, CheckError>
    where
        T::Err: std::fmt::Display,
    {
        let text = self.text(argument)?;
        text.parse().map_err(|error: T::Err| wrong(argument, text, &error.to_string()))
    }

    fn config(&self) -> Result<BackrestConfig, CheckError> {
        Ok(self.around.pgbackrest.configuration()?)
    }

    fn repository_key(&self) -> Result<RepositoryKey, CheckError> {
        self.parsed("repository").map(RepositoryKey)
    }

    fn label(&self) -> Result<BackupLabel, CheckError> {
        let text = self.text("set")?;
        BackupLabel::parse(text).map_err(|error| wrong("set", text, &error.to_string()))
    }

    /// The stanza in all repositories; with `set`, its details as well.
    fn stanza(&self, set: Option<&str>, repository: Option<u32>) -> Result<Stanza, CheckError> {
        let name = self.text("stanza")?;
        let bytes = self.around.pgbackrest.info(Some(name), set, repository)?;
        // nothing here depends on when it was read
        let inventory = Inventory::from_info(info::decode(&bytes)?, chrono::DateTime::UNIX_EPOCH, "");
        inventory.stanzas.into_iter().find(|stanza| stanza.name == name).ok_or_else(|| {
            CheckError::NotThere(format!(
                "pgbackrest knows no stanza '{name}' (a repository that is not mounted looks the same): look at `lifeboat inventory`"
            ))
        })
    }
}

fn wrong(argument: &'static str, value: &str, why: &str) -> CheckError {
    CheckError::Argument { argument, value: crate::domain::text::clean(value), why: why.to_owned() }
}

/// The repository and the set in it that the arguments name.
fn set_of(stanza: &Stanza, key: RepositoryKey, label: BackupLabel) -> Result<(&Repository, &BackupSet), CheckError> {
    let missing = |what: String| CheckError::NotThere(format!("{what}; choose again from `lifeboat inventory`"));
    let repository = stanza
        .repository(key)
        .ok_or_else(|| missing(format!("the stanza {} has no repository {}", stanza.name, key.name())))?;
    let set = repository.set(label).ok_or_else(|| {
        let status = &repository.status.message;
        missing(format!("{} has no backup set {label} any more (it says: {status})", key.name()))
    })?;
    Ok((repository, set))
}

/// The nearest part of a path that exists.
fn existing(path: &Path) -> &Path {
    path.ancestors().find(|part| part.symlink_metadata().is_ok()).unwrap_or(Path::new("/"))
}

/// A list as one text: `none` when it is empty, cut when it is long.
fn listed(values: &[String]) -> String {
    const MOST: usize = 30;
    if values.is_empty() {
        return "none".to_owned();
    }
    let mut text = values.iter().take(MOST).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = values.len().checked_sub(MOST).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests;
