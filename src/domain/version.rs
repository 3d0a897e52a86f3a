//! Versions of pgBackRest.

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A version of pgBackRest: `2.45`, `2.59.1`, `2.60.0dev`.
///
/// `2.45` and `2.45.0` are equal; a development version comes before the release of the same number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PgBackRestVersion {
    major: u8,
    minor: u16,
    patch: Option<u8>,
    development: bool,
}

/// The text is not a version of pgBackRest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a version of pgBackRest: 'pgBackRest 2.45' or '2.59.1' is expected")]
pub struct VersionError(String);

impl PgBackRestVersion {
    /// The release `major.minor`, as a bound to compare with.
    #[must_use]
    pub const fn release(major: u8, minor: u16) -> PgBackRestVersion {
        PgBackRestVersion { major, minor, patch: None, development: false }
    }

    /// Reads what `pgbackrest version` prints, or the bare number that backup sets carry.
    ///
    /// # Errors
    /// [`VersionError`] when the text is anything else.
    pub fn parse(text: &str) -> Result<PgBackRestVersion, VersionError> {
        let trimmed = text.trim();
        let number = trimmed.strip_prefix("pgBackRest ").unwrap_or(trimmed);
        parse_number(number)
            .ok_or_else(|| VersionError(crate::domain::text::clean(&text.chars().take(60).collect::<String>())))
    }

    fn key(self) -> (u8, u16, u8, bool) {
        (self.major, self.minor, self.patch.unwrap_or(0), !self.development)
    }
}

fn parse_number(text: &str) -> Option<PgBackRestVersion> {
    let (numbers, development) = match text.strip_suffix("dev") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    // `parse` alone would accept a sign.
    if !numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let mut parts = numbers.split('.');
    let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let patch = parts.next().map(|part| part.parse().ok()).map_or(Some(None), |patch| patch.map(Some))?;
    if parts.next().is_some() {
        return None;
    }
    Some(PgBackRestVersion { major, minor, patch, development })
}

impl fmt::Display for PgBackRestVersion {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:02}", self.major, self.minor)?;
        if let Some(patch) = self.patch {
            write!(out, ".{patch}")?;
        }
        out.write_str(if self.development { "dev" } else { "" })
    }
}

impl PartialEq for PgBackRestVersion {
    fn eq(&self, other: &PgBackRestVersion) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PgBackRestVersion {}

impl PartialOrd for PgBackRestVersion {
    fn partial_cmp(&self, other: &PgBackRestVersion) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PgBackRestVersion {
    fn cmp(&self, other: &PgBackRestVersion) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl FromStr for PgBackRestVersion {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<PgBackRestVersion, VersionError> {
        PgBackRestVersion::parse(text)
    }
}

impl TryFrom<String> for PgBackRestVersion {
    type Error = VersionError;
    fn try_from(text: String) -> Result<PgBackRestVersion, VersionError> {
        PgBackRestVersion::parse(&text)
    }
}

impl From<PgBackRestVersion> for String {
    fn from(version: PgBackRestVersion) -> String {
        version.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn version(text: &str) -> PgBackRestVersion {
        text.parse().expect(text)
    }

    #[test]
    fn reads_what_pgbackrest_prints_in_every_version() {
        assert_eq!(version("pgBackRest 2.45\n"), version("2.45"));
        for text in ["2.45", "2.59.1", "2.60.0dev", "2.46dev", "2.09", "3.00.0"] {
            assert_eq!(version(text).to_string(), text);
        }
    }

    #[test]
    fn later_is_greater() {
        let ascending =
            ["1.29", "2.09", "2.45", "2.46dev", "2.46", "2.53", "2.53.1", "2.59.1", "2.60.0dev", "2.60.0", "2.100"];
        for pair in ascending.windows(2) {
            assert!(version(pair[0]) < version(pair[1]), "{pair:?}");
        }
        assert_eq!(version("2.45"), version("2.45.0"));
        assert_eq!(PgBackRestVersion::release(2, 45), version("2.45"));
    }

    #[test]
    fn refuses_other_text() {
        for text in
            ["", "2", "2.", ".45", "2.45.1.0", "2.+5", "-2.45", "2.45rc", "pgBackRest", "pg 2.45", "2.45 x", "2059001"]
        {
            assert!(PgBackRestVersion::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(major: u8, minor: u16, patch: Option<u8>, development: bool) {
            let version = PgBackRestVersion { major, minor, patch, development };
            let read = PgBackRestVersion::parse(&version.to_string()).expect("a version");
            prop_assert_eq!((read.key(), read.patch), (version.key(), patch));
        }

        #[test]
        fn never_panics(text in ".{0,20}") {
            let _ = PgBackRestVersion::parse(&text);
        }
    }
}
