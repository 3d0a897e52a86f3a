//! The real pgbackrest.
//!
//! Questions only: everything here leaves cluster and repository as they are. The calls are those that work from 2.30
//! to 2.59: data on stdout, warnings and errors on stderr, nothing written to log files, and an I/O time limit, without
//! which a dead object store holds a command for 81 s (tried with 2.45).

mod exit;
mod listing;

pub use exit::ExitCode;
pub use listing::{RepoEntry, RepoListing};

use crate::domain::version::PgBackRestVersion;
use crate::engine::ask::{self, Answer, AskError, Cancel, Question};
use crate::engine::pgbackrest_config::{BackrestConfig, ConfigError};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The oldest version whose answers are understood.
pub const OLDEST: PgBackRestVersion = PgBackRestVersion::release(2, 30);

/// pgBackRest's `io-timeout` for questions, in seconds: well below the time limit of a question.
const IO_TIMEOUT_SECONDS: u32 = 20;

/// How much of stderr an error shows, in characters.
const SHOWN_CHARACTERS: usize = 4_000;

/// The pgbackrest program with the configuration and the environment it is asked with.
#[derive(Clone)]
pub struct Pgbackrest {
    /// The program, absolute: pgBackRest copies the name it was called by into `restore_command`.
    pub binary: PathBuf,
    /// The configuration file for `--config`, absolute (2.45 takes a relative one from `/`); `None`: its default.
    pub config: Option<PathBuf>,
    environment: BTreeMap<String, OsString>,
    /// The stanza whose own section counts when a repository is listed or read.
    stanza: Option<String>,
    time_limit: Duration,
    output_limit_bytes: u64,
    cancel: Option<Cancel>,
}

/// A question to pgbackrest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Query<'a> {
    /// `version`.
    Version,
    /// `info`, as JSON.
    Info {
        /// Only this stanza; pgBackRest wants one with `set`.
        stanza: Option<&'a str>,
        /// The details of this backup set.
        set: Option<&'a str>,
        /// Only the repository with this key.
        repository: Option<u32>,
    },
    /// `repo-ls`, as JSON.
    List {
        /// The repository's key.
        repository: u32,
        /// Relative to the repository.
        path: &'a str,
        /// With all below it.
        recurse: bool,
    },
    /// `repo-get`: a file, decrypted, not decompressed.
    Get {
        /// The repository's key.
        repository: u32,
        /// Relative to the repository.
        path: &'a str,
    },
}

/// Why pgbackrest has not answered.
#[derive(Debug, thiserror::Error)]
pub enum PgbackrestError {
    /// It could not be asked: not installed, not executable, no answer in time, too much of it.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It ended with an error.
    #[error("{command} ended with {code}: {}.\n{said}\nWhat to do: {}", code.meaning(), code.advice())]
    Refused {
        /// What was run, to be shown.
        command: String,
        /// Its exit status.
        code: ExitCode,
        /// What it said, cleaned and without secrets.
        said: String,
    },
    /// It printed something that pgbackrest does not print.
    #[error(
        "{command} printed what pgbackrest does not print ({reason}); it begins with: {begin}\nWhat to do: run it by hand; name the real pgbackrest with --pgbackrest if this is another program or a wrapper that prints"
    )]
    Garbage {
        /// What was run, to be shown.
        command: String,
        /// What is wrong with it.
        reason: String,
        /// Its first characters, cleaned and without secrets.
        begin: String,
    },
    /// The version is older than [`OLDEST`].
    #[error("{} is pgBackRest {version}, and {OLDEST} or newer is needed: install a newer one, or name another with --pgbackrest", binary.display())]
    TooOld {
        /// The program.
        binary: PathBuf,
        /// Its version.
        version: PgBackRestVersion,
    },
}

impl std::fmt::Debug for Pgbackrest {
    /// Names of the environment only: its values may be secret.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Pgbackrest")
            .field("binary", &self.binary)
            .field("config", &self.config)
            .field("environment", &self.environment.keys())
            .finish()
    }
}

impl Pgbackrest {
    /// Finds the program: `binary`, else `pgbackrest` in the `PATH` of `environment`. `config` is made absolute.
    /// `environment` is all that pgbackrest will get; it holds the `PGBACKREST_*` variables, secrets included.
    ///
    /// # Errors
    /// [`AskError::NotFound`] when there is no such program.
    pub fn locate(
        binary: Option<&Path>,
        config: Option<&Path>,
        environment: BTreeMap<String, OsString>,
    ) -> Result<Pgbackrest, PgbackrestError> {
        let search_path = environment.get("PATH").map(OsString::as_os_str);
        let binary = ask::locate_program(binary.unwrap_or(Path::new("pgbackrest")), search_path)?;
        let config = config.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let (time_limit, output_limit_bytes) = (ask::DEFAULT_TIME_LIMIT, ask::DEFAULT_OUTPUT_LIMIT_BYTES);
        Ok(Pgbackrest { binary, config, environment, stanza: None, time_limit, output_limit_bytes, cancel: None })
    }

    /// The same, listing and reading repositories as the stanza's own section of the configuration has them (its place, its
    /// passphrase). Without it only `[global]` counts.
    #[must_use]
    pub fn for_stanza(self, stanza: &str) -> Pgbackrest {
        Pgbackrest { stanza: Some(stanza.to_owned()), ..self }
    }

    /// The same with other limits for every question.
    #[must_use]
    pub fn with_limits(self, time_limit: Duration, output_limit_bytes: u64) -> Pgbackrest {
        Pgbackrest { time_limit, output_limit_bytes, ..self }
    }

    /// The same, every question ended once this is set.
    #[must_use]
    pub fn with_cancel(self, cancel: Cancel) -> Pgbackrest {
        Pgbackrest { cancel: Some(cancel), ..self }
    }

    /// The configuration that pgbackrest uses, read by Lifeboat itself.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn configuration(&self) -> Result<BackrestConfig, ConfigError> {
        BackrestConfig::load(self.config.as_deref(), &self.variables())
    }

    /// The exact command of a question, program first, as it is executed.
    #[must_use]
    pub fn argv(&self, query: &Query<'_>) -> Vec<OsString> {
        std::iter::once(self.binary.clone().into_os_string()).chain(self.arguments(query)).collect()
    }

    /// The version, which is checked to be one that is understood.
    ///
    /// # Errors
    /// [`PgbackrestError::TooOld`], [`PgbackrestError::Garbage`] when the program is something else, or it can't be asked.
    pub fn version(&self) -> Result<PgBackRestVersion, PgbackrestError> {
        let query = Query::Version;
        let stdout = self.answer(&query)?;
        let version = PgBackRestVersion::parse(&String::from_utf8_lossy(&stdout))
            .map_err(|error| self.garbage(&query, &stdout, error.to_string()))?;
        if version < OLDEST {
            return Err(PgbackrestError::TooOld { binary: self.binary.clone(), version });
        }
        Ok(version)
    }

    /// `info` as JSON, as it came. Note that pgBackRest answers with status 0 when a stanza or a repository is missing,
    /// can't be read or can't be decrypted; that is in the answer.
    ///
    /// # Errors
    /// When it can't be asked or ends with an error.
    pub fn info(
        &self,
        stanza: Option<&str>,
        set: Option<&str>,
        repository: Option<u32>,
    ) -> Result<Vec<u8>, PgbackrestError> {
        self.answer(&Query::Info { stanza, set, repository })
    }

    /// What is below `path` in a repository. A path that does not exist is empty.
    ///
    /// # Errors
    /// When it can't be asked, ends with an error or prints something else.
    pub fn list(&self, repository: u32, path: &str, recurse: bool) -> Result<RepoListing, PgbackrestError> {
        let query = Query::List { repository, path, recurse };
        let stdout = self.answer(&query)?;
        RepoListing::parse(&stdout).map_err(|reason| self.garbage(&query, &stdout, reason))
    }

    /// A file of a repository, decrypted, not decompressed; `None` when it is not there. The information files and
    /// manifests of an encrypted repository hold keys: what comes of them must never be shown or logged.
    ///
    /// # Errors
    /// When it can't be asked or ends with an error.
    pub fn get(&self, repository: u32, path: &str) -> Result<Option<Vec<u8>>, PgbackrestError> {
        let query = Query::Get { repository, path };
        let answer = self.ask(&query)?;
        // With --ignore-missing, 1 says that there is no such file.
        if answer.code == 1 && answer.stderr.trim().is_empty() && answer.stdout.is_empty() {
            return Ok(None);
        }
        self.accepted(&query, answer).map(Some)
    }

    /// As [`Pgbackrest::get`], into a file; `false` when it is not there.
    ///
    /// # Errors
    /// As [`Pgbackrest::get`]; what the file then holds is no use.
    pub fn get_into(&self, repository: u32, path: &str, file: Arc<File>) -> Result<bool, PgbackrestError> {
        let query = Query::Get { repository, path };
        let answer = self.ask_into(&query, Some(Arc::clone(&file)))?;
        let is_empty = file.metadata().is_ok_and(|file| file.len() == 0);
        if answer.code == 1 && answer.stderr.trim().is_empty() && is_empty {
            return Ok(false);
        }
        self.accepted(&query, answer).map(|_| true)
    }

    /// `text` without the secrets of the configuration and the environment. Where pgBackRest quotes a line that it could
    /// not understand, the line is left out: it may be a passphrase, or a part of a decrypted information file.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let config = self.configuration().unwrap_or_else(|_| self.variables_only());
        config.redact(&without_quoted_lines(text))
    }

    /// What the environment alone configures.
    #[must_use]
    pub fn variables_only(&self) -> BackrestConfig {
        BackrestConfig::of_environment(&self.variables())
    }

    fn variables(&self) -> BTreeMap<String, String> {
        self.environment.iter().map(|(name, value)| (name.clone(), value.to_string_lossy().into_owned())).collect()
    }

    fn arguments(&self, query: &Query<'_>) -> Vec<OsString> {
        // 2.59 refuses --config and the others here.
        if *query == Query::Version {
            return vec!["version".into()];
        }
        let mut arguments: Vec<OsString> = Vec::new();
        if let Some(config) = &self.config {
            let mut argument = OsString::from("--config=");
            argument.push(config);
            arguments.push(argument);
        }
        for level in ["console=off", "stderr=warn", "file=off"] {
            arguments.push(format!("--log-level-{level}").into());
        }
        arguments.push(format!("--io-timeout={IO_TIMEOUT_SECONDS}").into());
        if matches!(query, Query::List { .. } | Query::Get { .. }) {
            arguments.extend(self.stanza.as_ref().map(|stanza| format!("--stanza={stanza}").into()));
        }
        match query {
            Query::Version => {}
            Query::Info { stanza, set, repository } => {
                arguments.extend(stanza.map(|stanza| format!("--stanza={stanza}").into()));
                arguments.extend(repository.map(|key| format!("--repo={key}").into()));
                arguments.extend(set.map(|set| format!("--set={set}").into()));
                arguments.extend(["--output=json".into(), "info".into()]);
            }
            Query::List { repository, path, recurse } => {
                arguments.extend([format!("--repo={repository}").into(), "--output=json".into()]);
                arguments.extend(recurse.then(|| "--recurse".into()));
                arguments.extend(["repo-ls".into(), (*path).into()]);
            }
            Query::Get { repository, path } => {
                arguments.extend([format!("--repo={repository}").into(), "--ignore-missing".into()]);
                arguments.extend(["repo-get".into(), (*path).into()]);
            }
        }
        arguments
    }

    fn ask(&self, query: &Query<'_>) -> Result<Answer, PgbackrestError> {
        self.ask_into(query, None)
    }

    fn ask_into(&self, query: &Query<'_>, stdout_file: Option<Arc<File>>) -> Result<Answer, PgbackrestError> {
        let question = Question {
            program: self.binary.clone(),
            arguments: self.arguments(query),
            environment: self.environment.clone(),
            time_limit: self.time_limit,
            output_limit_bytes: self.output_limit_bytes,
            cancel: self.cancel.clone(),
            stdout_file,
        };
        let answer = ask::ask(&question).map_err(|error| match error {
            AskError::TimedOut { program, seconds, stderr } => {
                AskError::TimedOut { program, seconds, stderr: self.redact(&stderr) }
            }
            other => other,
        })?;
        if answer.code == 0 && !answer.stderr.is_empty() {
            tracing::warn!(command = self.shown(query), "{}", self.redact(&answer.stderr));
        }
        Ok(answer)
    }

    /// What a question that was answered with success has on stdout.
    ///
    /// # Errors
    /// When it can't be asked or ends with an error.
    pub fn answer(&self, query: &Query<'_>) -> Result<Vec<u8>, PgbackrestError> {
        let answer = self.ask(query)?;
        self.accepted(query, answer)
    }

    fn accepted(&self, query: &Query<'_>, answer: Answer) -> Result<Vec<u8>, PgbackrestError> {
        if answer.code == 0 {
            return Ok(answer.stdout);
        }
        // From 2.53 errors of some commands are on stdout.
        let said = if answer.stderr.trim().is_empty() { begin_of(&answer.stdout) } else { answer.stderr };
        let said = last_characters(self.redact(said.trim()), SHOWN_CHARACTERS);
        let said = if said.is_empty() { "It said nothing.".to_owned() } else { said };
        Err(PgbackrestError::Refused { command: self.shown(query), code: ExitCode(answer.code), said })
    }

    /// The error for an answer that can't be understood; for callers that decode an answer themselves.
    #[must_use]
    pub fn garbage(&self, query: &Query<'_>, stdout: &[u8], reason: String) -> PgbackrestError {
        let begin: String = self.redact(&begin_of(stdout)).chars().take(200).collect();
        let begin = if begin.is_empty() { "(nothing)".to_owned() } else { begin };
        PgbackrestError::Garbage { command: self.shown(query), reason: self.redact(&reason), begin }
    }

    fn shown(&self, query: &Query<'_>) -> String {
        let words = self.argv(query);
        words.iter().map(|word| shown_word(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word as it is shown in a message; in quotes where it could be taken for several.
fn shown_word(word: &OsStr) -> String {
    let word = crate::domain::text::clean(&word.to_string_lossy());
    if word.contains(char::is_whitespace) || word.is_empty() { format!("'{word}'") } else { word }
}

/// The first kilobyte of an answer as clean text.
fn begin_of(bytes: &[u8]) -> String {
    crate::domain::text::clean_lines(&String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]))
}

fn last_characters(text: String, most: usize) -> String {
    match text.chars().count().checked_sub(most) {
        Some(cut) if cut > 0 => format!("…{}", text.chars().skip(cut).collect::<String>()),
        _ => text,
    }
}

/// Replaces what follows `at line N:` up to the line's end.
fn without_quoted_lines(text: &str) -> String {
    const MARK: &str = " at line ";
    let cut = |line: &str| {
        let after = line.find(MARK)? + MARK.len();
        let digits = line[after..].bytes().take_while(u8::is_ascii_digit).count();
        let end = after + digits;
        (digits > 0 && line[end..].starts_with(':')).then(|| format!("{} (the line is not shown)", &line[..end]))
    };
    text.split('\n').map(|line| cut(line).unwrap_or_else(|| line.to_owned())).collect::<Vec<_>>().join("\n")
}
