//! What `pgbackrest repo-ls --output=json` lists.

use crate::domain::text::clean;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;

/// The entries below a path of a repository, by their name relative to it. A path that is not there has none
/// (pgBackRest does not tell the two apart).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepoListing {
    /// Names are cleaned.
    pub entries: BTreeMap<String, RepoEntry>,
}

/// A file, directory or link in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepoEntry {
    /// A file.
    File {
        /// As stored: compressed and encrypted.
        size_bytes: u64,
        /// When it was written: seconds since 1970.
        modified: i64,
    },
    /// A directory.
    Path,
    /// A link.
    Link {
        /// Where it points, cleaned.
        destination: String,
    },
    /// Anything else.
    Special,
}

/// The entries as they come: an archive of weeks has hundreds of thousands, each is kept once.
struct Entries(BTreeMap<String, RepoEntry>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Entries, D::Error> {
        from.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object with an entry for each file")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some((name, raw)) = map.next_entry::<String, Raw>()? {
            // The path itself: a directory whose content is asked for.
            if !(name == "." && raw.kind == "path") {
                entries.insert(clean(&name), RepoEntry::from(raw));
            }
        }
        Ok(Entries(entries))
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    time: i64,
    #[serde(default)]
    destination: String,
}

impl RepoListing {
    /// Reads the JSON; warnings before it (pgBackRest 2.53 and newer write them to stdout) are passed over.
    ///
    /// # Errors
    /// What is not as `repo-ls` writes it.
    pub fn parse(bytes: &[u8]) -> Result<RepoListing, String> {
        let text = String::from_utf8_lossy(bytes);
        let start = if text.starts_with('{') { Some(0) } else { text.find("\n{").map(|at| at + 1) };
        let json = start.map(|start| &text[start..]).ok_or("there is no JSON object in it")?;
        let Entries(entries) = serde_json::from_str(json).map_err(|error| clean(&error.to_string()))?;
        Ok(RepoListing { entries })
    }

    /// The files among the entries, with their sizes in bytes, in the order of their names.
    pub fn files(&self) -> impl Iterator<Item = (&str, u64)> {
        self.entries.iter().filter_map(|(name, entry)| match entry {
            RepoEntry::File { size_bytes, .. } => Some((name.as_str(), *size_bytes)),
            _ => None,
        })
    }
}

impl From<Raw> for RepoEntry {
    fn from(raw: Raw) -> RepoEntry {
        match raw.kind.as_str() {
            "file" => RepoEntry::File { size_bytes: raw.size, modified: raw.time },
            "path" => RepoEntry::Path,
            "link" => RepoEntry::Link { destination: clean(&raw.destination) },
            _ => RepoEntry::Special,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn reads_files_links_and_warnings_before() {
        let json = "P00   WARN: configuration file contains invalid option 'x'\n\
            {\".\":{\"type\":\"path\"},\"15-1/00000002.history\":{\"type\":\"file\",\"size\":58,\"time\":1795329617},\
            \"latest\":{\"type\":\"link\",\"destination\":\"20261122-064237F\"},\"odd\\u001b\":{\"type\":\"special\"}}\n";
        let listing = RepoListing::parse(json.as_bytes()).unwrap();
        assert_eq!(listing.entries.len(), 3);
        assert_eq!(listing.files().collect::<Vec<_>>(), [("15-1/00000002.history", 58)]);
        assert!(listing.entries.contains_key("odd␛"));
        assert_eq!(RepoListing::parse(b"{\".\":{\"type\":\"path\"}}\n").unwrap(), RepoListing::default());
    }

    #[test]
    fn refuses_other_text() {
        for text in ["", "[]", "{", "no\n{x", "{\"a\":1}"] {
            assert!(RepoListing::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
