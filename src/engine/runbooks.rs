//! The runbooks there are: the shipped ones and a person's own.

use crate::domain::text::clean;
use crate::planning::check::{VOCABULARY, lint};
use crate::planning::runbook::{Finding, Runbook, SHIPPED, is_runbook_name};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A runbook bigger than this is not one, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// A runbook's text and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// The user's file; `None` when it is shipped in the binary.
    pub file: Option<PathBuf>,
    /// The user's file stands in for a shipped runbook.
    pub overrides: bool,
}

/// Why a runbook can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RunbookError {
    /// A file or directory can't be read.
    #[error("{} can't be read: look at its permissions", clean(&path.to_string_lossy()))]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Not a file of a runbook's size.
    #[error("{} is no runbook: not a file, or bigger than 1 MB", clean(&.0.to_string_lossy()))]
    NoRunbook(PathBuf),
    /// Not text.
    #[error("{} is not UTF-8 text", clean(&.0.to_string_lossy()))]
    NotText(PathBuf),
    /// There is none of this name.
    #[error("there is no runbook '{name}'; there are: {known}")]
    Missing {
        /// Cleaned.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// It has mistakes.
    #[error("the runbook '{name}' can't be used:\n{}", findings.join("\n"))]
    Mistakes {
        /// Its name.
        name: String,
        /// All of them, each with its place.
        findings: Vec<String>,
    },
    /// The file has another name than the runbook in it.
    #[error("{place} holds a runbook named '{found}': give the file that name")]
    OtherName {
        /// The file.
        place: String,
        /// What it holds, cleaned.
        found: String,
    },
}

/// All runbooks by name: the shipped ones, and those in `directory`, where a file `NAME.toml` overrides a shipped one.
///
/// # Errors
/// When the directory or a file in it can't be read. A directory that does not exist is an empty one.
pub fn sources(directory: Option<&Path>) -> Result<BTreeMap<String, Source>, RunbookError> {
    let mut found: BTreeMap<String, Source> = SHIPPED
        .iter()
        .map(|(name, text)| {
            let source = Source { name: (*name).into(), text: (*text).into(), file: None, overrides: false };
            ((*name).to_owned(), source)
        })
        .collect();
    let Some(directory) = directory else { return Ok(found) };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(unreadable(directory)(error)),
    };
    for entry in entries {
        let path = entry.map_err(unreadable(directory))?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()).filter(|name| is_runbook_name(name)) else {
            continue;
        };
        let overrides = found.contains_key(name);
        let source = Source { name: name.to_owned(), text: read(&path)?, file: Some(path.clone()), overrides };
        found.insert(name.to_owned(), source);
    }
    Ok(found)
}

/// The source of the runbook `name`.
///
/// # Errors
/// When there is none: with those there are.
pub fn source(name: &str, directory: Option<&Path>) -> Result<Source, RunbookError> {
    let mut all = sources(directory)?;
    let known = all.keys().cloned().collect::<Vec<_>>().join(", ");
    all.remove(name).ok_or_else(|| RunbookError::Missing { name: clean(name), known })
}

/// The runbook `name`, checked.
///
/// # Errors
/// When there is none, or it has mistakes: all of them in the message.
pub fn load(name: &str, directory: Option<&Path>) -> Result<Runbook, RunbookError> {
    let source = source(name, directory)?;
    let place = source.file.as_ref().map_or_else(|| format!("{name} (shipped)"), |file| file.display().to_string());
    let runbook = lint(&source.text, &VOCABULARY).map_err(|findings| RunbookError::Mistakes {
        name: name.to_owned(),
        findings: findings.iter().map(|finding| located(&place, finding)).collect(),
    })?;
    if runbook.name.text != name {
        return Err(RunbookError::OtherName { place, found: clean(&runbook.name.text) });
    }
    Ok(runbook)
}

/// A runbook file's text.
///
/// # Errors
/// When it can't be read, is too big, or no text.
pub fn read(path: &Path) -> Result<String, RunbookError> {
    let metadata = std::fs::metadata(path).map_err(unreadable(path))?;
    if !metadata.is_file() || metadata.len() > MOST_BYTES {
        return Err(RunbookError::NoRunbook(path.to_owned()));
    }
    let bytes = std::fs::read(path).map_err(unreadable(path))?;
    String::from_utf8(bytes).map_err(|_| RunbookError::NotText(path.to_owned()))
}

/// A finding with its file, line and column.
#[must_use]
pub fn located(file: &str, finding: &Finding) -> String {
    clean(&format!("{file}:{finding}"))
}

fn unreadable(path: &Path) -> impl Fn(std::io::Error) -> RunbookError {
    move |source| RunbookError::Unreadable { path: path.to_owned(), source }
}
