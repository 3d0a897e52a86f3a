//! Times as people type them.

use crate::planning::target::{TargetError, cut, show};
use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};

const SHAPE: &str = "it is written YYYY-MM-DD HH:MM:SS, with an offset";

/// A time with its offset; not after `now`.
pub(super) fn parse_time<Z: TimeZone>(text: &str, now: DateTime<Utc>, zone: &Z) -> Result<DateTime<Utc>, TargetError> {
    let (naive, rest) = parse_naive(text)?;
    let rest = rest.trim();
    if rest.is_empty() {
        return Err(TargetError::NoOffset { text: cut(text), readings: readings(naive, zone) });
    }
    let Some(offset) = parse_offset(rest) else {
        return Err(TargetError::ZoneName { text: cut(text), zone: cut(rest) });
    };
    let refused = || TargetError::Time { text: cut(text), reason: "it is out of range" };
    let at = offset.from_local_datetime(&naive).single().ok_or_else(refused)?.with_timezone(&Utc);
    if at > now { Err(TargetError::Future { at, now }) } else { Ok(at) }
}

/// `YYYY-MM-DD HH:MM[:SS[.ffffff]]`, with a space or a `T`; returns what follows it.
fn parse_naive(text: &str) -> Result<(NaiveDateTime, &str), TargetError> {
    let refused = |reason| TargetError::Time { text: cut(text), reason };
    let date = text.get(..10).filter(|date| follows(date, "dddd-dd-dd")).ok_or_else(|| refused(SHAPE))?;
    let date: NaiveDate = date.parse().map_err(|_| refused("there is no such day"))?;
    let rest = text[10..].strip_prefix([' ', 'T', 't']).ok_or_else(|| refused("the time of the day is missing"))?;
    let (time, rest) = parse_time_of_day(text, rest)?;
    Ok((date.and_time(time), rest))
}

/// `HH:MM[:SS[.ffffff]]` at the beginning of `rest`, which is a part of `text`; returns what follows it.
pub(super) fn parse_time_of_day<'t>(text: &str, rest: &'t str) -> Result<(NaiveTime, &'t str), TargetError> {
    let refused = |reason| TargetError::Time { text: cut(text), reason };
    let minutes = rest.get(..5).filter(|minutes| follows(minutes, "dd:dd")).ok_or_else(|| refused(SHAPE))?;
    let (hour, minute) = (number(&minutes[..2]), number(&minutes[3..]));
    let (mut rest, mut second, mut micro) = (&rest[5..], 0, 0);
    if let Some(seconds) = rest.strip_prefix(':') {
        second = number(seconds.get(..2).filter(|two| follows(two, "dd")).ok_or_else(|| refused(SHAPE))?);
        rest = &seconds[2..];
        if let Some(fraction) = rest.strip_prefix(['.', ',']) {
            let digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
            if !(1..=6).contains(&digits) {
                return Err(refused("a fraction has one to six digits: PostgreSQL's times end at microseconds"));
            }
            micro = number(&format!("{:0<6}", &fraction[..digits]));
            rest = &fraction[digits..];
        }
    }
    let time = NaiveTime::from_hms_micro_opt(hour, minute, second, micro)
        .ok_or_else(|| refused("there is no such time of the day"))?;
    Ok((time, rest))
}

/// Whether `text` has a digit at each `d` of `shape`, and the same character elsewhere.
fn follows(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(byte, shape)| if shape == b'd' { byte.is_ascii_digit() } else { byte == shape })
}

/// At most six digits, checked before.
fn number(digits: &str) -> u32 {
    digits.bytes().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'))
}

pub(super) fn parse_offset(text: &str) -> Option<FixedOffset> {
    if matches!(text, "Z" | "z" | "UTC") {
        return FixedOffset::east_opt(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits {
        _ if follows(digits, "dd") => (number(digits), 0),
        _ if follows(digits, "dddd") => (number(&digits[..2]), number(&digits[2..])),
        _ if follows(digits, "dd:dd") => (number(&digits[..2]), number(&digits[3..])),
        _ => return None,
    };
    // PostgreSQL knows offsets below 16 hours.
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok().filter(|_| hours < 16 && minutes < 60)?;
    FixedOffset::east_opt(sign * seconds)
}

/// What a time without an offset could mean, each ready to be typed.
pub(super) fn readings<Z: TimeZone>(naive: NaiveDateTime, zone: &Z) -> Vec<String> {
    let mut readings = vec![format!("{}+00 (UTC)", naive.format("%Y-%m-%d %H:%M:%S%.f"))];
    let mut offer = |local: DateTime<Z>| {
        let local = local.fixed_offset();
        if local.offset().local_minus_utc() != 0 {
            let utc = show(local.with_timezone(&Utc));
            readings.push(format!("{} (your zone; {utc})", local.format("%Y-%m-%d %H:%M:%S%.f%:z")));
        }
    };
    match zone.from_local_datetime(&naive) {
        MappedLocalTime::Single(local) => offer(local),
        // The hour that comes twice when summer time ends.
        MappedLocalTime::Ambiguous(first, second) => {
            offer(first);
            offer(second);
        }
        MappedLocalTime::None => readings.push("another time: your zone's clocks skipped this one".to_owned()),
    }
    readings
}
