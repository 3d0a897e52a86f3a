//! An inventory as far as it is held in memory: what all stanzas are called and how many sets they have, and of those
//! that are looked at everything. The rest lies in an index ([`crate::domain::inventory_index`]).

use crate::domain::inventory::{Inventory, RepositoryKey, SetKey, Stanza, Status};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What is held of an inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// When it was read.
    pub read_at: DateTime<Utc>,
    /// The version of the program that told it, as text: `2.45`.
    pub pgbackrest: String,
    /// Lines that pgBackRest printed around its answer, cleaned.
    pub warnings: Vec<String>,
    /// The stanzas, in the inventory's order (by name).
    pub stanzas: Vec<KnownStanza>,
}

/// A stanza in short, and whole where it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownStanza {
    /// Its name, cleaned.
    pub name: String,
    /// The status over all repositories.
    pub status: Status,
    /// Its repositories, by key.
    pub repositories: Vec<KnownRepository>,
    /// All of it, where it is held.
    #[serde(skip)]
    pub whole: Option<Arc<Stanza>>,
}

/// A stanza's part of one repository, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownRepository {
    /// Its number.
    pub key: RepositoryKey,
    /// What came of reading it.
    pub status: Status,
    /// How many sets it has.
    pub sets: usize,
}

impl Known {
    /// The stanza of this name.
    #[must_use]
    pub fn stanza(&self, name: &str) -> Option<&KnownStanza> {
        self.stanzas.iter().find(|stanza| stanza.name == name)
    }

    /// Holds this stanza, where one of its name is known, and no other whole.
    pub fn hold(&mut self, whole: Arc<Stanza>) {
        if self.stanza(&whole.name).is_none() {
            return;
        }
        for stanza in &mut self.stanzas {
            stanza.whole = (stanza.name == whole.name).then(|| Arc::clone(&whole));
        }
    }

    /// When the set ended, where its stanza is held.
    #[must_use]
    pub fn stop_of(&self, key: &SetKey) -> Option<DateTime<Utc>> {
        let stanza = self.stanza(&key.stanza)?.whole.as_deref()?;
        Some(stanza.repository(key.repository)?.set(key.label)?.stop())
    }

    /// Whether any stanza has a set.
    #[must_use]
    pub fn has_sets(&self) -> bool {
        self.stanzas.iter().any(|stanza| stanza.sets() > 0)
    }
}

impl KnownStanza {
    /// The stanza in short.
    #[must_use]
    pub fn short(stanza: &Stanza) -> KnownStanza {
        let repositories = stanza.repositories.iter().map(|repository| KnownRepository {
            key: repository.key,
            status: repository.status.clone(),
            sets: repository.sets.len(),
        });
        KnownStanza {
            name: stanza.name.clone(),
            status: stanza.status.clone(),
            repositories: repositories.collect(),
            whole: None,
        }
    }

    /// How many sets it has in all repositories.
    #[must_use]
    pub fn sets(&self) -> usize {
        self.repositories.iter().map(|repository| repository.sets).sum()
    }

    /// Whether this is no stanza at all; see [`Stanza::is_nameless`].
    #[must_use]
    pub fn is_nameless(&self) -> bool {
        self.name == Stanza::NAMELESS
    }
}

impl From<Inventory> for Known {
    /// All of it, held.
    fn from(inventory: Inventory) -> Known {
        let whole = |stanza: Stanza| {
            let short = KnownStanza::short(&stanza);
            KnownStanza { whole: Some(Arc::new(stanza)), ..short }
        };
        Known {
            read_at: inventory.read_at,
            pgbackrest: inventory.pgbackrest,
            warnings: inventory.warnings,
            stanzas: inventory.stanzas.into_iter().map(whole).collect(),
        }
    }
}
