//! What `pgbackrest restore` says, folded line by line.
//!
//! The restore has to log to standard output with `--log-level-console=detail --log-level-stderr=off`: one stream in
//! order. Lines are those of 2.30 to 2.59; the fixtures are real logs of 2.45 and 2.59.1.

mod line;

use crate::domain::inventory::Bytes;
use crate::domain::label::BackupLabel;
use crate::domain::text::clean;
use line::Line;

/// How a restore ended, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoreEnd {
    /// `completed successfully`.
    Completed,
    /// `aborted with exception [NNN]`, `terminated on signal [NAME]`, or whatever else it said, cleaned.
    Failed(String),
}

/// An error with its code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoreError {
    /// pgBackRest's code, which is its exit code too; `None` when the line has none.
    pub code: Option<u16>,
    /// What it says, with its HINT lines, cleaned.
    pub text: String,
}

/// How far a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoreProgress {
    /// Of the whole, in hundredths of a percent: 7220 is 72.20 %.
    pub hundredths: u32,
    /// Bytes that are right in the data directory; `None` while the total is not known.
    pub done: Option<Bytes>,
    /// Bytes in all.
    pub total: Option<Bytes>,
    /// Files done.
    pub files: u64,
}

/// The fold of a restore's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestoreLog {
    /// The set, once it was chosen.
    pub set: Option<BackupLabel>,
    /// The repository it comes from.
    pub repository: Option<u32>,
    /// Files copied or found right.
    pub files: u64,
    /// Of these, files that were right already (`--delta`).
    pub kept: u64,
    /// Files, links and directories that were not in the set and were removed (`--delta`).
    pub removed: u64,
    /// The file that was done last, cleaned.
    pub current: Option<String>,
    /// `remap data directory to …`, `map tablespace … to …`, `map link … to …`, cleaned.
    pub remaps: Vec<String>,
    /// Warnings, cleaned.
    pub warnings: Vec<String>,
    /// Errors.
    pub errors: Vec<RestoreError>,
    /// How many files the set has: said at the end.
    pub file_total: Option<u64>,
    /// How it ended.
    pub end: Option<RestoreEnd>,
    hundredths: u32,
    /// Sizes of the lines so far: for the total, while nothing better is known.
    seen_bytes: u64,
    known_total: Option<u64>,
    open: Option<Open>,
}

/// The message that continuation lines belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Warning,
    Error,
}

/// At most this many of each kind are kept; all of it stands in the step's output file.
const KEPT: usize = 100;

/// Below this the sum of rounded sizes says too little about the total.
const ENOUGH_HUNDREDTHS: u32 = 100;

impl RestoreLog {
    /// A fold that knows how large the restored cluster will be (`info.size` of the set).
    #[must_use]
    pub fn expecting(total: Bytes) -> RestoreLog {
        RestoreLog { known_total: Some(total.0), ..RestoreLog::default() }
    }

    /// Takes in the next line.
    pub fn feed(&mut self, line: &str) {
        match line::read(line) {
            Line::Message { level, text } => self.message(level, text),
            Line::Continuation(text) => self.attach(&clean(text)),
            Line::Other => self.open = None,
        }
    }

    /// How far it is; `None` before the first file.
    #[must_use]
    pub fn progress(&self) -> Option<RestoreProgress> {
        if self.files == 0 {
            return None;
        }
        let total = self.total();
        let done = total.map(|total| (u128::from(total) * u128::from(self.hundredths) / 10_000) as u64);
        Some(RestoreProgress {
            hundredths: self.hundredths,
            done: done.map(Bytes),
            total: total.map(Bytes),
            files: self.files,
        })
    }

    /// It said that it is complete, and nothing that speaks against it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.end == Some(RestoreEnd::Completed) && self.errors.is_empty()
    }

    fn total(&self) -> Option<u64> {
        let estimate = || {
            // percent is cumulative bytes by all bytes
            (self.hundredths >= ENOUGH_HUNDREDTHS && self.seen_bytes > 0)
                .then(|| (u128::from(self.seen_bytes) * 10_000 / u128::from(self.hundredths)) as u64)
        };
        self.known_total.or_else(estimate)
    }

    fn message(&mut self, level: &str, text: &str) {
        self.open = None;
        match level {
            "WARN" => {
                if self.warnings.len() < KEPT {
                    self.warnings.push(clean(text));
                    self.open = Some(Open::Warning);
                }
            }
            "ERROR" | "ASSERT" => {
                if self.errors.len() < KEPT {
                    self.errors.push(error(text));
                    self.open = Some(Open::Error);
                }
            }
            _ => self.information(text),
        }
    }

    fn information(&mut self, text: &str) {
        if let Some(file) = line::file(text) {
            self.files += 1;
            self.kept += u64::from(file.kept);
            self.current = Some(clean(file.path));
            self.seen_bytes = self.seen_bytes.saturating_add(file.bytes);
            // workers report out of order
            self.hundredths = self.hundredths.max(file.hundredths);
        } else if let Some((repository, set)) = line::set(text) {
            (self.repository, self.set) = (repository, Some(set));
        } else if is_remap(text) {
            if self.remaps.len() < KEPT {
                self.remaps.push(clean(text));
            }
        } else if text.starts_with("remove invalid ") && text.ends_with('\'') && !text.contains(" from '") {
            self.removed += 1;
        } else if let Some(rest) = text.strip_prefix("restore size = ") {
            self.sizes(rest);
        } else if let Some(end) = text.strip_prefix("restore command end: ") {
            self.end = Some(match end.starts_with("completed successfully") {
                true => RestoreEnd::Completed,
                false => RestoreEnd::Failed(clean(end)),
            });
        }
    }

    /// `32.5MB, file total = 1272`
    fn sizes(&mut self, rest: &str) {
        let Some((size, files)) = rest.split_once(", file total = ") else { return };
        self.file_total = files.trim().parse().ok();
        self.known_total = self.known_total.or_else(|| line::size_of(size));
    }

    fn attach(&mut self, text: &str) {
        let into = match self.open {
            Some(Open::Warning) => self.warnings.last_mut(),
            Some(Open::Error) => self.errors.last_mut().map(|error| &mut error.text),
            None => None,
        };
        if let Some(into) = into
            && into.len() < 4096
        {
            into.push('\n');
            into.push_str(text);
        }
    }
}

fn is_remap(text: &str) -> bool {
    ["remap data directory to ", "map tablespace ", "map link "].iter().any(|start| text.starts_with(start))
}

/// `[050]: text`
fn error(text: &str) -> RestoreError {
    let parts = text.strip_prefix('[').and_then(|rest| rest.split_once("]: "));
    match parts.and_then(|(code, rest)| Some((code.parse().ok()?, rest))) {
        Some((code, rest)) => RestoreError { code: Some(code), text: clean(rest) },
        None => RestoreError { code: None, text: clean(text) },
    }
}

#[cfg(test)]
mod tests;
