//! Typed parameters: what a person may give with `-p name=value`, checked and brought into one form.
//!
//! pgBackRest (2.45, and up to 2.60) writes recovery targets into `postgresql.auto.conf` without quoting
//! them, so a `'` or a control character in a value keeps the restored server from starting. Nothing
//! that can reach pgBackRest may hold one.

use chrono::{DateTime, Utc};
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

fn bad<T>(text: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError(text.into()))
}

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

/// Changes the direction in which a terminal shows text.
fn is_bidi(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Digits and a unit, one or more times; the sum in the smallest unit.
fn quantities(value: &str, unit: impl Fn(&str) -> Option<u64>) -> Option<u64> {
    let mut rest = value;
    let mut sum = 0u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        sum = sum.checked_add(number.checked_mul(unit(&rest[..letters])?)?)?;
        rest = &rest[letters..];
    }
    Some(sum)
}

/// Bytes of `512`, `16MB`, `10GiB` (factor 1024).
///
/// # Errors
/// [`ValueError`] for anything else, or more than 64 bits hold.
pub fn size_bytes(value: &str) -> Result<u64, ValueError> {
    let unit = |word: &str| {
        Some(match word.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kb" | "kib" => 1 << 10,
            "m" | "mb" | "mib" => 1 << 20,
            "g" | "gb" | "gib" => 1 << 30,
            "t" | "tb" | "tib" => 1u64 << 40,
            _ => return None,
        })
    };
    let single = value.trim_start_matches(|letter: char| letter.is_ascii_digit());
    match quantities(value, unit) {
        Some(bytes) if !single.contains(|letter: char| letter.is_ascii_digit()) => Ok(bytes),
        _ => bad("a size is expected: a whole number with B, kB, MB, GB or TB, as 16MB"),
    }
}

/// Seconds of `90s`, `15m`, `1h30m`, `2d`.
///
/// # Errors
/// [`ValueError`] for anything else: a number without a unit has no meaning here.
pub fn duration_seconds(value: &str) -> Result<u64, ValueError> {
    let unit = |word: &str| {
        Some(match word {
            "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return None,
        })
    };
    quantities(value, unit)
        .map_or_else(|| bad("a duration is expected: a whole number with s, m, h or d, as 1h30m"), Ok)
}

fn path(value: &str) -> Result<String, ValueError> {
    if !value.starts_with('/') {
        return bad("an absolute path is expected: it begins with '/'");
    }
    if value.split('/').any(|part| part == "..") {
        return bad("a path with '..' in it can lead elsewhere than it reads: write it out");
    }
    let parts: Vec<&str> = value.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() {
        return bad("the root directory is not a place to work in");
    }
    Ok(format!("/{}", parts.join("/")))
}

fn plain_name(value: &str, most: usize, more: &str, expected: &str) -> Result<String, ValueError> {
    let good = (1..=most).contains(&value.len())
        && value.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && value.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter));
    if good { Ok(value.to_owned()) } else { bad(format!("{expected}: letters, digits and {more}")) }
}

/// `20261122-023822F`, or `20261122-023822F_20261122-083829I` (`D` for a differential).
fn set(value: &str) -> Result<String, ValueError> {
    let stamp = |text: &str| {
        text.len() == 15
            && text
                .bytes()
                .enumerate()
                .all(|(index, byte)| if index == 8 { byte == b'-' } else { byte.is_ascii_digit() })
    };
    let good = value.is_ascii()
        && match value.len() {
            16 => stamp(&value[..15]) && value.ends_with('F'),
            33 => stamp(&value[..15]) && &value[15..17] == "F_" && stamp(&value[17..32]) && value.ends_with(['D', 'I']),
            _ => false,
        };
    if good {
        Ok(value.to_owned())
    } else {
        bad("the label of a backup set is expected, as 20261122-023822F or 20261122-023822F_20261122-083829I")
    }
}

/// A moment with a numeric offset, as `YYYY-MM-DD HH:MM:SS.ffffff+00`: pgBackRest reads a time without one
/// in the host's zone and PostgreSQL in its own (measured: recovery stopped 97 s early, without an error).
fn time(value: &str) -> Result<String, ValueError> {
    let expected =
        "a time with a numeric offset is expected, as 2026-11-22 02:13:00+03 or 2026-11-22 02:13:00.25+05:30";
    let shape = || ValueError(expected.to_owned());
    let shaped = value.get(..10).zip(value.get(11..)).filter(|_| value.as_bytes()[10] == b' ');
    let (date, clock) = shaped.ok_or_else(shape)?;
    let date_good = date.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let sign = clock.find(['+', '-']).ok_or_else(shape)?;
    let (clock, offset) = (&clock[..sign], &clock[sign + 1..]);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let offset_good = match offset.len() {
        2 => digits(offset),
        5 => digits(&offset[..2]) && &offset[2..3] == ":" && digits(&offset[3..]),
        _ => false,
    };
    let fraction_good = clock.split_once('.').is_none_or(|(_, part)| part.len() <= 6 && digits(part));
    let whole = clock.split('.').next().unwrap_or_default();
    if !date_good || !offset_good || !fraction_good || whole.len() != 8 {
        return Err(shape());
    }
    let minutes = if offset.len() == 2 { ":00" } else { "" };
    let moment = DateTime::parse_from_str(&format!("{value}{minutes}"), "%Y-%m-%d %H:%M:%S%.f%:z");
    match moment {
        // A leap second is 60 in the text and would be shown as 60 again, which PostgreSQL moves to the next minute.
        Ok(moment) if !whole.ends_with(":60") => {
            Ok(moment.with_timezone(&Utc).format("%Y-%m-%d %H:%M:%S%.6f+00").to_string())
        }
        _ => bad(format!("there is no such moment; {expected}")),
    }
}

fn lsn(value: &str) -> Result<String, ValueError> {
    let half = |text: &str| {
        let good = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if good { u32::from_str_radix(text, 16).ok() } else { None }
    };
    match value.split_once('/').and_then(|(high, low)| half(high).zip(half(low))) {
        Some((high, low)) => Ok(format!("{high:X}/{low:X}")),
        None => bad("a WAL location is expected, as 0/6000028"),
    }
}

fn timeline(value: &str) -> Result<String, ValueError> {
    if value == "current" {
        return Ok(value.to_owned());
    }
    match value.parse::<u32>() {
        Ok(number) if number > 0 => Ok(number.to_string()),
        _ => bad(
            "a timeline's number in decimal digits, or 'current', is expected ('latest' follows whatever strayed into the archive)",
        ),
    }
}

fn identifier(value: &str) -> Result<String, ValueError> {
    let good = (1..=63).contains(&value.len())
        && value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if good { Ok(value.to_owned()) } else { bad("a name in SQL is expected: letters, digits and _, at most 63") }
}

/// `psql -c` takes a text that begins with a backslash as one of its own commands, and `\!` starts a shell.
fn sql(value: &str) -> Result<String, ValueError> {
    let text = value.trim();
    if text.is_empty() {
        return bad("SQL is expected, and there is none");
    }
    if text.starts_with('\\') {
        return bad(
            "SQL is expected; a text that begins with a backslash is a command of psql, and can start programs",
        );
    }
    if text.chars().any(|letter| (letter.is_control() && !matches!(letter, '\n' | '\t')) || is_bidi(letter)) {
        return bad("it has a control character in it");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
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
