//! Questions that change nothing.
//!
//! `pgbackrest info` ends with 0 whatever it finds, and answers `[]` both for a repository without stanzas and for one
//! whose file system is not mounted. Here its answer is set beside the configuration, so that the two are told apart.

use crate::domain::info;
use crate::domain::inventory::{BackupSet, Inventory, RepositoryKey, Stanza, StatusCode};
use crate::domain::label::BackupLabel;
use crate::domain::text::clean;
use crate::engine::clock;
use crate::engine::pgbackrest::{Pgbackrest, PgbackrestError, Query};
use crate::engine::pgbackrest_config::{BackrestConfig, ConfigError, ConfiguredRepository};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Why there is no inventory.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// pgbackrest could not be asked or refused.
    #[error(transparent)]
    Pgbackrest(#[from] PgbackrestError),
    /// pgBackRest's configuration can't be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The answer is not an inventory.
    #[error("{0}")]
    NotUnderstood(String),
    /// Nothing was found, and a repository's directory on this host is missing, empty or closed.
    #[error(
        "no backup was found, and that may only be for this: {}. Mount it, or correct the path in {config}, then look again",
        joined(problems)
    )]
    RepositoryMissing {
        /// What is wrong with each.
        problems: Vec<PathProblem>,
        /// Where the paths are set.
        config: String,
    },
    /// No repository has this stanza.
    #[error("there is no stanza '{stanza}' in any repository: {}", known_stanzas(known, *configured, stanza))]
    UnknownStanza {
        /// The name that was asked for, cleaned.
        stanza: String,
        /// Whether the configuration has a section for it.
        configured: bool,
        /// The stanzas that exist, cleaned.
        known: Vec<String>,
    },
    /// The set is not there, or its details can't be read.
    #[error("{} of stanza '{stanza}' has no readable backup set {label}{}: look at the inventory again, it may have expired", repository.name(), reason(said))]
    SetNotFound {
        /// The stanza, cleaned.
        stanza: String,
        /// The repository.
        repository: RepositoryKey,
        /// The set.
        label: BackupLabel,
        /// What pgBackRest said of the repository, unless that it is fine.
        said: Option<String>,
    },
}

/// A repository's directory that can't be looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathProblem {
    /// The repository.
    pub repository: RepositoryKey,
    /// Its configured path.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl std::fmt::Display for PathProblem {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}'s directory {} {}", self.repository.name(), clean(&self.path.to_string_lossy()), self.what)
    }
}

/// All that pgBackRest tells about its backups now, of `stanza` or of all stanzas.
///
/// Stanzas whose own section sets a repository are asked for one by one: without `--stanza` pgBackRest reads `[global]`
/// only and would not show them. Messages are without secrets, and where a repository's directory is missing or
/// empty its status says so.
///
/// # Errors
/// [`LookError`]. A repository that can't be read is not an error as long as another one answers; its status tells.
pub fn inventory(pgbackrest: &Pgbackrest, stanza: Option<&str>) -> Result<Inventory, LookError> {
    // Both questions at once: each takes as long as pgbackrest takes to start. What is no pgbackrest, or too old, is told
    // before whatever came of the second.
    std::thread::scope(|scope| {
        let version = scope.spawn(|| pgbackrest.version());
        let found = configured_inventory(pgbackrest, stanza);
        let version = version.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let mut found = found?;
        found.pgbackrest = version.to_string();
        Ok(found)
    })
}

fn configured_inventory(pgbackrest: &Pgbackrest, stanza: Option<&str>) -> Result<Inventory, LookError> {
    let (config, not_configured) = match pgbackrest.configuration() {
        Ok(config) => (config, None),
        // Some builds of pgBackRest have other default files: its own answer decides.
        Err(error @ ConfigError::NotConfigured { .. }) => (pgbackrest.variables_only(), Some(error)),
        Err(error) => return Err(error.into()),
    };
    let look = Look { pgbackrest, config: &config };
    let mut inventory = match stanza {
        Some(stanza) => look.one(stanza)?,
        None => look.all()?,
    };
    let is_nothing = inventory.stanzas.iter().all(is_missing);
    if let (true, Some(error)) = (is_nothing, not_configured) {
        return Err(error.into());
    }
    look.explain(&mut inventory);
    Ok(inventory)
}

/// A backup set with its databases, tablespaces and links.
///
/// # Errors
/// [`LookError`]; [`LookError::SetNotFound`] also when the repository can't be read.
pub fn set_detail(
    pgbackrest: &Pgbackrest,
    stanza: &str,
    repository: RepositoryKey,
    label: BackupLabel,
) -> Result<BackupSet, LookError> {
    let name = label.to_string();
    let query = Query::Info { stanza: Some(stanza), set: Some(&name), repository: Some(repository.0) };
    let inventory = ask(pgbackrest, &query)?;
    let part = inventory.stanza(&clean(stanza)).and_then(|found| found.repository(repository));
    let set = part.and_then(|part| part.set(label)).filter(|set| set.detail().is_some());
    set.cloned().ok_or_else(|| {
        let status = part.map(|part| &part.status).filter(|status| status.code != StatusCode::Ok);
        let said = status.map(|status| pgbackrest.redact(&status.message));
        LookError::SetNotFound { stanza: clean(stanza), repository, label, said }
    })
}

/// One look, with what is needed throughout.
struct Look<'a> {
    pgbackrest: &'a Pgbackrest,
    config: &'a BackrestConfig,
}

impl Look<'_> {
    fn ask(&self, stanza: Option<&str>) -> Result<Inventory, LookError> {
        ask(self.pgbackrest, &Query::Info { stanza, set: None, repository: None })
    }

    fn all(&self) -> Result<Inventory, LookError> {
        let mut own: Vec<String> = self.config.stanzas();
        own.retain(|stanza| self.config.sets_own_repositories(stanza));
        let has_global = own.is_empty() || self.config.sets_global_repositories();
        let mut answers = if has_global { vec![self.ask(None)?] } else { Vec::new() };
        for stanza in &own {
            answers.push(self.ask(Some(stanza))?);
        }
        // In the order of asking: what a stanza's own section says replaces what [global] made of it.
        let joined = answers.into_iter().reduce(|mut joined, answer| {
            joined.stanzas.retain(|known| answer.stanzas.iter().all(|newer| newer.name != known.name));
            joined.stanzas.extend(answer.stanzas);
            let new = |warning: &String| !joined.warnings.contains(warning);
            let warnings: Vec<String> = answer.warnings.into_iter().filter(new).collect();
            joined.warnings.extend(warnings);
            joined
        });
        let mut found = joined.map_or_else(|| self.ask(None), Ok)?;
        found.stanzas.sort_by(|a, b| a.name.cmp(&b.name));
        if found.stanzas.iter().all(is_missing) {
            self.refuse_missing_repositories(self.repositories())?;
        }
        Ok(found)
    }

    fn one(&self, stanza: &str) -> Result<Inventory, LookError> {
        let found = self.ask(Some(stanza))?;
        if !found.stanzas.iter().all(is_missing) {
            return Ok(found);
        }
        // A second question only on the way to an error; when it fails, the names are simply not told.
        let everything = self.ask(None).map(|inventory| inventory.stanzas).unwrap_or_default();
        let exists = |found: &&Stanza| !found.is_nameless() && !is_missing(found);
        let known: Vec<String> = everything.iter().filter(exists).map(|found| found.name.clone()).collect();
        let configured = self.config.stanzas().iter().any(|name| name == stanza);
        if configured || known.is_empty() {
            self.refuse_missing_repositories(self.config.repositories(stanza))?;
        }
        Err(LookError::UnknownStanza { stanza: clean(stanza), configured, known })
    }

    /// The repositories of all stanzas and the global ones, each directory once.
    fn repositories(&self) -> Vec<ConfiguredRepository> {
        let stanzas = self.config.stanzas();
        let mut found = if stanzas.is_empty() { self.config.global_repositories() } else { Vec::new() };
        found.extend(stanzas.iter().flat_map(|stanza| self.config.repositories(stanza)));
        let mut seen = BTreeSet::new();
        found.retain(|repository| seen.insert((repository.key, repository.path.clone())));
        found
    }

    /// Nothing was found: an error when that may be due to directories which are not there.
    fn refuse_missing_repositories(&self, repositories: Vec<ConfiguredRepository>) -> Result<(), LookError> {
        let problems: Vec<PathProblem> = repositories.iter().filter_map(path_problem).collect();
        if problems.is_empty() {
            return Ok(());
        }
        let config =
            self.config.path().map_or("the PGBACKREST_* variables".to_owned(), |path| path.display().to_string());
        Err(LookError::RepositoryMissing { problems, config })
    }

    /// Takes secrets out of messages, and adds what pgBackRest does not say.
    fn explain(&self, inventory: &mut Inventory) {
        for warning in &mut inventory.warnings {
            *warning = self.pgbackrest.redact(warning);
        }
        for stanza in &mut inventory.stanzas {
            if needs_words(stanza.status.code) {
                stanza.status.message = self.pgbackrest.redact(&stanza.status.message);
            }
            let configured = if stanza.is_nameless() {
                self.config.global_repositories()
            } else {
                self.config.repositories(&stanza.name)
            };
            for repository in &mut stanza.repositories {
                let message = &mut repository.status.message;
                if needs_words(repository.status.code) {
                    *message = self.pgbackrest.redact(message);
                    let is_garbled = message.contains("[FormatError]") || message.contains("[CryptoError]");
                    if is_garbled && &*repository.cipher != "none" {
                        let name = repository.key.name();
                        message.push_str(&format!("\nThis repository is encrypted: is {name}-cipher-pass right?"));
                    }
                }
                let place = configured.iter().find(|place| place.key == repository.key.0);
                let problem = place.filter(|_| is_absent(repository.status.code)).and_then(path_problem);
                if let Some(problem) = problem {
                    message.push_str(&format!("\n{problem}"));
                }
            }
        }
    }
}

/// The version is the caller's to add.
fn ask(pgbackrest: &Pgbackrest, query: &Query<'_>) -> Result<Inventory, LookError> {
    let bytes = pgbackrest.answer(query)?;
    let document =
        info::decode(&bytes).map_err(|error| LookError::NotUnderstood(pgbackrest.redact(&error.to_string())))?;
    Ok(Inventory::from_info(document, clock::now().to_utc(), ""))
}

fn is_absent(code: StatusCode) -> bool {
    matches!(code, StatusCode::MissingStanzaPath | StatusCode::MissingStanzaData)
}

/// Codes whose message is free text.
fn needs_words(code: StatusCode) -> bool {
    matches!(code, StatusCode::Unreadable | StatusCode::Unknown(_))
}

fn is_missing(stanza: &Stanza) -> bool {
    stanza.status.code == StatusCode::MissingStanzaPath
}

/// What is wrong with a repository's directory on this host; nothing is said of others.
fn path_problem(repository: &ConfiguredRepository) -> Option<PathProblem> {
    let path = repository.local_path()?;
    let what = directory_problem(path)?;
    Some(PathProblem { repository: RepositoryKey(repository.key), path: path.to_owned(), what })
}

fn directory_problem(path: &Path) -> Option<String> {
    match std::fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Some("is empty: is its file system mounted?".to_owned()),
        Ok(false) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some("does not exist: is its file system mounted?".to_owned())
        }
        Err(error) => Some(format!("can't be read ({error})")),
    }
}

fn joined(problems: &[PathProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

fn known_stanzas(known: &[String], configured: bool, stanza: &str) -> String {
    let exist = match known {
        [] => "no stanza exists in the repositories".to_owned(),
        names => format!("these exist: {}", names.join(", ")),
    };
    if configured {
        format!(
            "{exist}. It is configured, so either nothing was ever backed up (pgbackrest --stanza={stanza} stanza-create), or the repository is the wrong one"
        )
    } else {
        format!("{exist}. Name one of them with --stanza")
    }
}

fn reason(said: &Option<String>) -> String {
    said.as_ref().map(|said| format!(" ({said})")).unwrap_or_default()
}
