//! Typed parameters: what a person may give with `-p name=value`, checked and brought into one form.
//!
//! pgBackRest (2.45, and up to 2.60) writes recovery targets into `postgresql.auto.conf` without quoting
//! them, so a `'` or a control character in a value keeps the restored server from starting. Nothing
//! that can reach pgBackRest may hold one.

mod values;

pub use values::{duration_seconds, size_bytes};

use crate::planning::parameters::values::{bad, identifier, is_bidi, lsn, path, plain_name, set, sql, time, timeline};
use std::fmt;

/// The type of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterType {
    /// Text without control characters and `'`.
    String,
    /// A whole number.
    Integer,
    /// Bytes; `10GB` is given, bytes in digits are bound (factor 1024, as pgBackRest and PostgreSQL count).
    Size,
    /// Seconds; `1h30m` is given, seconds in digits are bound.
    Duration,
    /// `true` or `false`.
    Boolean,
    /// One of a few words.
    Choice(Vec<String>),
    /// An absolute path without `..`.
    Path,
    /// A stanza's name.
    Stanza,
    /// A repository's number, 1 to 256.
    Repository,
    /// A backup set's label.
    Set,
    /// How a recovery target is given.
    TargetType,
    /// A moment with a numeric offset; bound as `YYYY-MM-DD HH:MM:SS.ffffff+00`.
    Time,
    /// A WAL location, `X/Y`.
    Lsn,
    /// A transaction id.
    Xid,
    /// The name of a restore point.
    Name,
    /// A timeline's number, or `current`.
    Timeline,
    /// SQL text for `psql -c`.
    Sql,
    /// A name in SQL that needs no quotes.
    Identifier,
}

/// The words of the type *target-type*.
pub const TARGET_TYPES: [&str; 6] = ["latest", "immediate", "time", "lsn", "xid", "name"];

/// The words of all types, as runbooks write them.
pub const TYPE_WORDS: [&str; 18] = [
    "string",
    "integer",
    "size",
    "duration",
    "boolean",
    "choice",
    "path",
    "stanza",
    "repository",
    "set",
    "target-type",
    "time",
    "lsn",
    "xid",
    "name",
    "timeline",
    "sql",
    "identifier",
];

/// A value that does not fit its parameter: why not, and what is expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ValueError(pub String);

impl fmt::Display for ParameterType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            ParameterType::String => "string",
            ParameterType::Integer => "integer",
            ParameterType::Size => "size",
            ParameterType::Duration => "duration",
            ParameterType::Boolean => "boolean",
            ParameterType::Choice(_) => "choice",
            ParameterType::Path => "path",
            ParameterType::Stanza => "stanza",
            ParameterType::Repository => "repository",
            ParameterType::Set => "set",
            ParameterType::TargetType => "target-type",
            ParameterType::Time => "time",
            ParameterType::Lsn => "lsn",
            ParameterType::Xid => "xid",
            ParameterType::Name => "name",
            ParameterType::Timeline => "timeline",
            ParameterType::Sql => "sql",
            ParameterType::Identifier => "identifier",
        })
    }
}

impl ParameterType {
    /// The type of this word; `choices` belong to *choice* alone.
    #[must_use]
    pub fn from_word(word: &str, choices: Vec<String>) -> Option<ParameterType> {
        Some(match word {
            "string" => ParameterType::String,
            "integer" => ParameterType::Integer,
            "size" => ParameterType::Size,
            "duration" => ParameterType::Duration,
            "boolean" => ParameterType::Boolean,
            "choice" => ParameterType::Choice(choices),
            "path" => ParameterType::Path,
            "stanza" => ParameterType::Stanza,
            "repository" => ParameterType::Repository,
            "set" => ParameterType::Set,
            "target-type" => ParameterType::TargetType,
            "time" => ParameterType::Time,
            "lsn" => ParameterType::Lsn,
            "xid" => ParameterType::Xid,
            "name" => ParameterType::Name,
            "timeline" => ParameterType::Timeline,
            "sql" => ParameterType::Sql,
            "identifier" => ParameterType::Identifier,
            _ => return None,
        })
    }

    /// The words it allows, where they are few.
    #[must_use]
    pub fn words(&self) -> Option<Vec<String>> {
        match self {
            ParameterType::Choice(choices) => Some(choices.clone()),
            ParameterType::Boolean => Some(vec!["true".into(), "false".into()]),
            ParameterType::TargetType => Some(TARGET_TYPES.iter().map(|word| (*word).to_owned()).collect()),
            _ => None,
        }
    }

    /// A value of it can stand in SQL text without ending a string or a statement.
    #[must_use]
    pub fn fits_into_sql(&self) -> bool {
        !matches!(self, ParameterType::String | ParameterType::Path | ParameterType::Name)
    }

    /// Checks a value and brings it into the one form in which it is bound and sealed.
    ///
    /// # Errors
    /// [`ValueError`] with what is expected.
    pub fn parse(&self, value: &str) -> Result<String, ValueError> {
        match self {
            ParameterType::Sql => return sql(value),
            _ if value.chars().any(|letter| letter.is_control() || is_bidi(letter)) => {
                return bad("it has a control character in it");
            }
            _ if value.contains('\'') => {
                return bad("it has a ' in it, which pgBackRest would write into PostgreSQL's settings unquoted");
            }
            _ => {}
        }
        match self {
            ParameterType::String => Ok(value.to_owned()),
            ParameterType::Integer => match value.parse::<i64>() {
                Ok(number) => Ok(number.to_string()),
                Err(_) => bad("a whole number is expected"),
            },
            ParameterType::Size => size_bytes(value).map(|bytes| bytes.to_string()),
            ParameterType::Duration => duration_seconds(value).map(|seconds| seconds.to_string()),
            ParameterType::Boolean | ParameterType::Choice(_) | ParameterType::TargetType => {
                let words = self.words().unwrap_or_default();
                if words.iter().any(|word| word == value) {
                    Ok(value.to_owned())
                } else {
                    bad(format!("one of these is expected: {}", words.join(", ")))
                }
            }
            ParameterType::Path => path(value),
            ParameterType::Stanza => plain_name(value, 128, "._-", "a stanza's name is expected"),
            ParameterType::Repository => match value.parse::<u16>() {
                Ok(number @ 1..=256) => Ok(number.to_string()),
                _ => bad("a repository's number is expected: 1 to 256"),
            },
            ParameterType::Set => set(value),
            ParameterType::Time => time(value),
            ParameterType::Lsn => lsn(value),
            ParameterType::Xid => match value.parse::<u64>() {
                Ok(number) if number >= 3 && number.to_string() == value => Ok(value.to_owned()),
                _ => bad("a transaction id is expected: a whole number of at least 3"),
            },
            ParameterType::Name => match value.len() {
                1..=63 => Ok(value.to_owned()),
                _ => bad("the name of a restore point is expected: 1 to 63 bytes"),
            },
            ParameterType::Timeline => timeline(value),
            ParameterType::Identifier => identifier(value),
            ParameterType::Sql => sql(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Utc};
    use proptest::prelude::*;

    fn all_types() -> Vec<ParameterType> {
        TYPE_WORDS.iter().filter_map(|word| ParameterType::from_word(word, vec!["a".into(), "b".into()])).collect()
    }

    #[test]
    fn every_word_is_a_type_and_comes_back() {
        let words: Vec<String> = all_types().iter().map(ToString::to_string).collect();
        assert_eq!(words, TYPE_WORDS);
    }

    #[test]
    fn good_values_come_out_in_one_form() {
        for (kind, value, bound) in [
            (ParameterType::Integer, "-007", "-7"),
            (ParameterType::Size, "16MB", "16777216"),
            (ParameterType::Size, "512", "512"),
            (ParameterType::Duration, "1h30m", "5400"),
            (ParameterType::Path, "/var//lib/./x/", "/var/lib/x"),
            (ParameterType::Repository, "2", "2"),
            (ParameterType::Set, "20261122-023822F_20261122-083829I", "20261122-023822F_20261122-083829I"),
            (ParameterType::Time, "2026-11-22 02:13:00+03", "2026-11-21 23:13:00.000000+00"),
            (ParameterType::Time, "2026-11-22 02:13:00.25-05:30", "2026-11-22 07:43:00.250000+00"),
            (ParameterType::Lsn, "0/0600002a", "0/600002A"),
            (ParameterType::Timeline, "07", "7"),
            (ParameterType::Sql, " SELECT 'a' ", "SELECT 'a'"),
            (ParameterType::Identifier, "orders_2", "orders_2"),
        ] {
            assert_eq!(kind.parse(value), Ok(bound.to_owned()), "{kind} {value}");
        }
    }

    #[test]
    fn bad_values_are_refused() {
        for (kind, value) in [
            (ParameterType::String, "it's"),
            (ParameterType::String, "a\nb"),
            (ParameterType::String, "a\u{202e}b"),
            (ParameterType::Integer, "1.5"),
            (ParameterType::Size, "1GB2MB"),
            (ParameterType::Size, "99999999TB"),
            (ParameterType::Duration, "90"),
            (ParameterType::Duration, ""),
            (ParameterType::Boolean, "yes"),
            (ParameterType::Path, "var/lib"),
            (ParameterType::Path, "/var/../etc"),
            (ParameterType::Path, "//."),
            (ParameterType::Stanza, "-main"),
            (ParameterType::Stanza, "ma in"),
            (ParameterType::Stanza, ""),
            (ParameterType::Repository, "0"),
            (ParameterType::Set, "latest"),
            (ParameterType::Set, "20261122-023822Fé20261122-08382"),
            (ParameterType::Time, "2026-11-22 02:13:00"),
            (ParameterType::Time, "2026-11-22T02:13:00+03"),
            (ParameterType::Time, "2026-11-22 02:13:00 Europe/Berlin"),
            (ParameterType::Time, "2026-11-22 02:13:00Z"),
            (ParameterType::Time, "2026-11-22 02:13:60+00"),
            (ParameterType::Time, "2026-02-30 02:13:00+00"),
            (ParameterType::Time, "2026-11-22 02:13:00.1234567+00"),
            (ParameterType::Time, "+2026-11-2 02:13:00+00"),
            (ParameterType::Lsn, "0-6000028"),
            (ParameterType::Lsn, "0/+600"),
            (ParameterType::Xid, "2"),
            (ParameterType::Timeline, "latest"),
            (ParameterType::Timeline, "0"),
            (ParameterType::Name, ""),
            (ParameterType::Sql, "  \\! id"),
            (ParameterType::Sql, " "),
            (ParameterType::Identifier, "a\"b"),
        ] {
            assert!(kind.parse(value).is_err(), "{kind} {value:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_bound_binds_again_to_the_same(value in any::<String>()) {
            for kind in all_types().iter().filter(|kind| **kind != ParameterType::Duration) {
                if let Ok(bound) = kind.parse(&value) {
                    prop_assert_eq!(kind.parse(&bound), Ok(bound.clone()));
                }
            }
        }

        #[test]
        fn nothing_but_sql_lets_a_quote_or_a_control_character_through(value in any::<String>()) {
            for kind in all_types().iter().filter(|kind| **kind != ParameterType::Sql) {
                if let Ok(bound) = kind.parse(&value) {
                    prop_assert!(!bound.contains(|letter: char| letter == '\'' || letter.is_control()));
                }
            }
        }

        #[test]
        fn a_moment_stays_the_same_moment(seconds in 0i64..4_000_000_000, micros in 0u32..1_000_000, offset in -12i32..=14) {
            let zone = chrono::FixedOffset::east_opt(offset * 3600);
            let moment = DateTime::<Utc>::from_timestamp(seconds, micros * 1000);
            if let (Some(zone), Some(moment)) = (zone, moment) {
                let given = moment.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S%.6f%:z").to_string();
                let bound = moment.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string();
                prop_assert_eq!(ParameterType::Time.parse(&given), Ok(bound));
            }
        }
    }
}
