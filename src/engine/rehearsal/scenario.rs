//! What can happen to the practice cluster.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An accident to rehearse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// A job deletes a large share of a table; sometimes something louder follows.
    DeletedRows,
    /// A table is dropped by mistake.
    DroppedTable,
    /// The disk with the data directory is gone.
    LostDataDirectory,
}

impl Scenario {
    /// All of them, as `--scenario` takes them.
    pub const ALL: [Scenario; 3] = [Self::DeletedRows, Self::DroppedTable, Self::LostDataDirectory];

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::DeletedRows => "deleted-rows",
            Self::DroppedTable => "dropped-table",
            Self::LostDataDirectory => "lost-data-directory",
        }
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

impl FromStr for Scenario {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|scenario| scenario.word() == text).ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|scenario| scenario.word()).collect();
            format!("there is {}", words.join(", "))
        })
    }
}
