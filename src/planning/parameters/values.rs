//! The values of the types, one reader each.

use crate::planning::parameters::ValueError;
use chrono::{DateTime, Utc};

pub(super) fn bad<T>(text: impl Into<String>) -> Result<T, ValueError> {
    Err(ValueError(text.into()))
}

/// Changes the direction in which a terminal shows text.
pub(super) fn is_bidi(letter: char) -> bool {
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

pub(super) fn path(value: &str) -> Result<String, ValueError> {
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

pub(super) fn plain_name(value: &str, most: usize, more: &str, expected: &str) -> Result<String, ValueError> {
    let good = (1..=most).contains(&value.len())
        && value.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
        && value.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter));
    if good { Ok(value.to_owned()) } else { bad(format!("{expected}: letters, digits and {more}")) }
}

/// `20261122-023822F`, or `20261122-023822F_20261122-083829I` (`D` for a differential).
pub(super) fn set(value: &str) -> Result<String, ValueError> {
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
pub(super) fn time(value: &str) -> Result<String, ValueError> {
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

pub(super) fn lsn(value: &str) -> Result<String, ValueError> {
    let half = |text: &str| {
        let good = (1..=8).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if good { u32::from_str_radix(text, 16).ok() } else { None }
    };
    match value.split_once('/').and_then(|(high, low)| half(high).zip(half(low))) {
        Some((high, low)) => Ok(format!("{high:X}/{low:X}")),
        None => bad("a WAL location is expected, as 0/6000028"),
    }
}

pub(super) fn timeline(value: &str) -> Result<String, ValueError> {
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

pub(super) fn identifier(value: &str) -> Result<String, ValueError> {
    let good = (1..=63).contains(&value.len())
        && value.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if good { Ok(value.to_owned()) } else { bad("a name in SQL is expected: letters, digits and _, at most 63") }
}

/// `psql -c` takes a text that begins with a backslash as one of its own commands, and `\!` starts a shell.
pub(super) fn sql(value: &str) -> Result<String, ValueError> {
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
