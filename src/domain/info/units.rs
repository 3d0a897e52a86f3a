//! Numbers of pgBackRest with their meaning, so that none is taken for another.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    };
}

number! {
    /// The number of a repository: 2 for `repo2`, as `--repo=2` takes it.
    RepositoryKey(u32)
}

number! {
    /// The number of an entry in a repository's database history: it grows with every stanza-upgrade, and the greatest
    /// is the current one. It says nothing across repositories.
    DatabaseId(u32)
}

number! {
    /// PostgreSQL's system identifier. It exceeds 2^53: never let it pass through a floating-point number.
    SystemId(u64)
}

number! {
    /// A size in bytes.
    Bytes(u64)
}

impl RepositoryKey {
    /// The name in pgBackRest's options and messages: `repo2`.
    #[must_use]
    pub fn name(self) -> String {
        format!("repo{}", self.0)
    }
}
