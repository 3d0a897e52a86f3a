//! A step's name and its command: argument lists with values that earlier steps will capture.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

/// The name of a step: lower-case letters, digits and `-`, beginning with a letter, at most 40.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StepId(String);

/// A text that can't name a step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' can't name a step: use a-z, 0-9 and '-', begin with a letter, at most 40 characters")]
pub struct StepIdError(String);

impl StepId {
    /// # Errors
    /// [`StepIdError`] when the text is not a step's name.
    pub fn new(text: &str) -> Result<StepId, StepIdError> {
        let good = text.len() <= 40
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if good { Ok(StepId(text.to_owned())) } else { Err(StepIdError(text.chars().take(60).collect())) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for StepId {
    type Error = StepIdError;
    fn try_from(text: String) -> Result<StepId, StepIdError> {
        StepId::new(&text)
    }
}

impl From<StepId> for String {
    fn from(id: StepId) -> String {
        id.0
    }
}

impl fmt::Display for StepId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// One piece of an argument: text, or a value that an earlier step will capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Final text.
    Text(String),
    /// `STEP.NAME` of a value captured by an earlier step.
    Capture(String),
    /// A captured value that was put in. It keeps its name: where the run goes back to an earlier step, it is taken out.
    Filled {
        /// `STEP.NAME`.
        name: String,
        /// The value; never looked through for placeholders.
        value: String,
    },
}

/// One argument, environment value or shown value. All pieces are text once nothing is pending.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Argument {
    /// The pieces in order.
    pub pieces: Vec<Piece>,
}

impl Argument {
    /// An argument that is final.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Argument {
        Argument { pieces: vec![Piece::Text(text.into())] }
    }

    /// The final text, or `None` while a captured value is pending.
    #[must_use]
    pub fn resolved(&self) -> Option<String> {
        self.pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(text.as_str()),
                Piece::Filled { value, .. } => Some(value.as_str()),
                Piece::Capture(_) => None,
            })
            .collect()
    }

    /// The captured values it waits for.
    pub fn pending(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Capture(name) => Some(name.as_str()),
            Piece::Text(_) | Piece::Filled { .. } => None,
        })
    }

    /// A captured value that was put in and is empty, by name.
    #[must_use]
    pub fn filled_empty(&self) -> Option<&str> {
        self.pieces.iter().find_map(|piece| match piece {
            Piece::Filled { name, value } if value.is_empty() => Some(name.as_str()),
            _ => None,
        })
    }

    /// Puts in those of `values` it waits for; the rest stays pending. A value put in is text: it is
    /// never looked through for further placeholders.
    pub(super) fn fill(&mut self, values: &BTreeMap<String, String>) {
        for piece in &mut self.pieces {
            if let Piece::Capture(name) = piece
                && let Some(value) = values.get(name)
            {
                *piece = Piece::Filled { name: std::mem::take(name), value: value.clone() };
            }
        }
    }

    /// Takes out what the steps in `from` had captured: it waits for their values again.
    pub(super) fn empty(&mut self, from: &BTreeSet<StepId>) {
        for piece in &mut self.pieces {
            if let Piece::Filled { name, .. } = piece
                && is_of(name, from)
            {
                *piece = Piece::Capture(std::mem::take(name));
            }
        }
    }

    /// What was put in becomes plain text, as it stands in the seal.
    pub(super) fn settle(&mut self) {
        for piece in &mut self.pieces {
            if let Piece::Filled { value, .. } = piece {
                *piece = Piece::Text(std::mem::take(value));
            }
        }
    }
}

/// For a screen: pending values appear as `${step.name}`.
impl fmt::Display for Argument {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => out.write_str(text),
            Piece::Filled { value, .. } => out.write_str(value),
            Piece::Capture(name) => write!(out, "${{{name}}}"),
        })
    }
}

/// Whether `STEP.NAME` names a value of one of these steps.
#[must_use]
pub fn is_of(name: &str, steps: &BTreeSet<StepId>) -> bool {
    let step = name.split_once('.').map_or(name, |(step, _)| step);
    steps.iter().any(|id| id.as_str() == step)
}

/// A command exactly as it will be given to exec: no shell reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
    /// The program (absolute path) and its arguments.
    pub argv: Vec<Argument>,
    /// What is added to the run's base environment ([`super::Plan::environment`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Argument>,
    /// Where it starts; the root directory when absent, since the owner may not enter where Lifeboat was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// Standard output carries data to be read (`sql`, captures): standard error then goes to a file of its own.
    #[serde(default)]
    pub stdout_is_data: bool,
    /// The exit codes that mean success.
    pub success: Vec<i32>,
    /// What it starts is not the run's: it is let go when the command ends, and outlives the run (a server that is
    /// handed back to what manages it).
    #[serde(default, skip_serializing_if = "is_false")]
    pub release: bool,
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

impl CommandLine {
    /// Every argument and environment value, to look for pending ones or to fill them.
    pub fn arguments(&self) -> impl Iterator<Item = &Argument> {
        self.argv.iter().chain(self.env.values())
    }

    /// It is pgBackRest's `restore`: its command stands behind all options.
    #[must_use]
    pub fn is_restore(&self) -> bool {
        self.argv.last().is_some_and(|word| word.resolved().as_deref() == Some("restore"))
    }

    pub(super) fn arguments_mut(&mut self) -> impl Iterator<Item = &mut Argument> {
        self.argv.iter_mut().chain(self.env.values_mut())
    }
}
