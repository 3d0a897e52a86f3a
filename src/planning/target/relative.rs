//! Moments as people say them: `02:13`, `yesterday 02:13 +03`, `10 minutes ago`. What comes out is an absolute moment;
//! the clock and the zone are arguments.

use crate::planning::target::time::{parse_offset, parse_time_of_day, readings};
use crate::planning::target::{RecoveryTarget, TargetError, cut};
use chrono::{
    DateTime, Days, FixedOffset, MappedLocalTime, NaiveDate, NaiveTime, SubsecRound as _, TimeDelta, TimeZone, Utc,
};

/// A target as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood {
    /// The target; a time is absolute.
    pub target: RecoveryTarget,
    /// A time of the day without an offset was read in the person's zone: to be shown before anything is done with it.
    pub is_zone_assumed: bool,
}

impl Understood {
    /// The target as it is given with `-p target=…`: absolute, a time with its offset.
    #[must_use]
    pub fn given(&self) -> String {
        match self.target.value() {
            Some(value) => format!("{}:{value}", self.target.kind()),
            None => self.target.kind().to_owned(),
        }
    }

    /// Itself, unless a zone had to be assumed: where nobody sees at once what was understood.
    ///
    /// # Errors
    /// [`TargetError::NoOffset`] with what it could mean.
    pub fn said<Z: TimeZone>(self, text: &str, zone: &Z) -> Result<Understood, TargetError> {
        match &self.target {
            RecoveryTarget::Time { at, .. } if self.is_zone_assumed => {
                let naive = at.with_timezone(zone).naive_local();
                Err(TargetError::NoOffset { text: cut(text), readings: readings(naive, zone) })
            }
            _ => Ok(self),
        }
    }
}

/// What [`RecoveryTarget::parse`] reads, and moments seen from `now`: `HH:MM`, `today HH:MM`, `yesterday HH:MM` with or
/// without an offset (without, in `zone`), `10 minutes ago`, `1 h 30 min ago`. A time of the day alone is the last one
/// that has been. Each may stand behind `time:`.
///
/// # Errors
/// [`TargetError`], with what to type instead; [`TargetError::NoOffset`] for an hour that comes twice in `zone`.
pub fn understand<Z: TimeZone>(
    text: &str,
    exclusive: bool,
    now: DateTime<Utc>,
    zone: &Z,
) -> Result<Understood, TargetError> {
    let text = text.trim();
    let said = text.strip_prefix("time:").unwrap_or(text).trim();
    let time = |at, is_zone_assumed| Understood { target: RecoveryTarget::Time { at, exclusive }, is_zone_assumed };
    if let Some(span) = said.strip_suffix("ago").filter(|span| span.ends_with(char::is_whitespace)) {
        return Ok(time(ago(said, span, now)?, false));
    }
    let (day, rest) = match said.split_once(char::is_whitespace) {
        Some(("today", rest)) => (Some(0), rest.trim_start()),
        Some(("yesterday", rest)) => (Some(1), rest.trim_start()),
        _ => (None, said),
    };
    if day.is_some() || is_time_of_day(rest) {
        let (at, is_zone_assumed) = on_day(said, rest, day, now, zone)?;
        return if at > now { Err(TargetError::Future { at, now }) } else { Ok(time(at, is_zone_assumed)) };
    }
    let target = RecoveryTarget::parse(text, exclusive, now, zone)?;
    Ok(Understood { target, is_zone_assumed: false })
}

/// `HH:MM` is one; `0/3000028` and `2026-…` are not.
fn is_time_of_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 5 && bytes[2] == b':' && [0, 1, 3, 4].iter().all(|place| bytes[*place].is_ascii_digit())
}

/// A time of the day: of that many days ago, or the last one that has been.
fn on_day<Z: TimeZone>(
    text: &str,
    rest: &str,
    days_ago: Option<u64>,
    now: DateTime<Utc>,
    zone: &Z,
) -> Result<(DateTime<Utc>, bool), TargetError> {
    let (time, offset) = parse_time_of_day(text, rest)?;
    let offset = offset.trim();
    if offset.is_empty() {
        return Ok((last(text, time, days_ago, now, zone)?, true));
    }
    let zone: FixedOffset =
        parse_offset(offset).ok_or_else(|| TargetError::ZoneName { text: cut(text), zone: cut(offset) })?;
    Ok((last(text, time, days_ago, now, &zone)?, false))
}

fn last<Z: TimeZone>(
    text: &str,
    time: NaiveTime,
    days_ago: Option<u64>,
    now: DateTime<Utc>,
    zone: &Z,
) -> Result<DateTime<Utc>, TargetError> {
    let refused = |reason| TargetError::Time { text: cut(text), reason };
    let today = now.with_timezone(zone).date_naive();
    let day = |ago: u64| today.checked_sub_days(Days::new(ago)).ok_or_else(|| refused("it is out of range"));
    match days_ago {
        Some(ago) => on(text, day(ago)?, time, zone),
        None => {
            let at = on(text, day(0)?, time, zone);
            match at {
                Ok(at) if at > now => on(text, day(1)?, time, zone),
                at => at,
            }
        }
    }
}

fn on<Z: TimeZone>(text: &str, day: NaiveDate, time: NaiveTime, zone: &Z) -> Result<DateTime<Utc>, TargetError> {
    let naive = day.and_time(time);
    match zone.from_local_datetime(&naive) {
        MappedLocalTime::Single(at) => Ok(at.with_timezone(&Utc)),
        // The hour that comes twice, or never: it has to be said which moment is meant.
        MappedLocalTime::Ambiguous(..) | MappedLocalTime::None => {
            Err(TargetError::NoOffset { text: cut(text), readings: readings(naive, zone) })
        }
    }
}

/// `1 hour 10 minutes`, `90 s`, `2d`: numbers, each with its unit.
fn ago(text: &str, span: &str, now: DateTime<Utc>) -> Result<DateTime<Utc>, TargetError> {
    let refused = |reason| TargetError::Time { text: cut(text), reason };
    let shape = "it is written as '10 minutes ago', '1 h 30 min ago', '2 days ago'";
    let mut rest = span.trim();
    let mut seconds: i64 = 0;
    if rest.is_empty() {
        return Err(refused(shape));
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: i64 = rest[..digits].parse().map_err(|_| refused(shape))?;
        rest = rest[digits..].trim_start();
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = match &rest[..letters] {
            "s" | "sec" | "second" | "seconds" => 1,
            "m" | "min" | "minute" | "minutes" => 60,
            "h" | "hour" | "hours" => 3600,
            "d" | "day" | "days" => 86_400,
            _ => return Err(refused(shape)),
        };
        rest = rest[letters..].trim_start();
        let part = number.checked_mul(unit);
        seconds = part.and_then(|part| seconds.checked_add(part)).ok_or_else(|| refused("it is out of range"))?;
    }
    let span = TimeDelta::try_seconds(seconds).ok_or_else(|| refused("it is out of range"))?;
    // To the second: nobody means more of it.
    now.trunc_subsecs(0).checked_sub_signed(span).ok_or_else(|| refused("it is out of range"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
    use super::*;
    use chrono_tz::Europe::{Berlin, Istanbul};
    use proptest::prelude::*;

    fn now() -> DateTime<Utc> {
        "2026-11-22T23:38:57Z".parse().unwrap()
    }

    /// In Istanbul it is 02:38:57 of the 23rd.
    fn understood(text: &str) -> (String, bool) {
        let found = understand(text, true, now(), &Istanbul).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(found.target.is_exclusive(), "{text}");
        (found.given(), found.is_zone_assumed)
    }

    #[test]
    fn moments_seen_from_now_become_absolute() {
        for (text, given, is_zone_assumed) in [
            ("02:13", "time:2026-11-22 23:13:00.000000+00", true),
            ("02:13 +03", "time:2026-11-22 23:13:00.000000+00", false),
            ("02:13:04.25Z", "time:2026-11-22 02:13:04.250000+00", false),
            ("03:00", "time:2026-11-22 00:00:00.000000+00", true),
            ("today 02:13", "time:2026-11-22 23:13:00.000000+00", true),
            ("yesterday 02:13", "time:2026-11-21 23:13:00.000000+00", true),
            ("yesterday 02:13 +03", "time:2026-11-21 23:13:00.000000+00", false),
            ("yesterday 23:13Z", "time:2026-11-21 23:13:00.000000+00", false),
            ("time:yesterday 02:13+03", "time:2026-11-21 23:13:00.000000+00", false),
            ("10 minutes ago", "time:2026-11-22 23:28:57.000000+00", false),
            ("1 h 30 min ago", "time:2026-11-22 22:08:57.000000+00", false),
            ("1h30m ago", "time:2026-11-22 22:08:57.000000+00", false),
            ("2 days ago", "time:2026-11-20 23:38:57.000000+00", false),
            ("2026-11-22 02:13+03", "time:2026-11-21 23:13:00.000000+00", false),
            ("0/3000028", "lsn:0/3000028", false),
            ("xid:812", "xid:812", false),
        ] {
            assert_eq!(understood(text), (given.to_owned(), is_zone_assumed), "{text}");
            // What is put into a plan reads back as the same.
            let absolute = RecoveryTarget::parse(given, true, now(), &Utc).unwrap();
            assert_eq!(Understood { target: absolute, is_zone_assumed: false }.given(), given);
        }
        assert_eq!(understand("name:a", false, now(), &Utc).unwrap().given(), "name:a");
        assert_eq!(understand("latest", false, now(), &Utc).unwrap().given(), "latest");
    }

    #[test]
    fn an_hour_that_comes_twice_or_never_is_asked_for() {
        let at = |now: &str, text: &str| understand(text, true, now.parse().unwrap(), &Berlin);
        let readings = |found| match found {
            Err(TargetError::NoOffset { readings, .. }) => readings,
            other => panic!("{other:?}"),
        };
        let twice = readings(at("2026-10-25T06:00:00Z", "02:30"));
        assert!(twice.iter().any(|reading| reading.starts_with("2026-10-25 02:30:00+02:00")), "{twice:?}");
        assert!(twice.iter().any(|reading| reading.starts_with("2026-10-25 02:30:00+01:00")), "{twice:?}");
        let never = readings(at("2026-03-29T06:00:00Z", "today 02:30"));
        assert!(never.iter().any(|reading| reading.contains("clocks skipped")), "{never:?}");
        // With its offset it is no question.
        assert!(at("2026-10-25T06:00:00Z", "02:30 +02").is_ok());
    }

    #[test]
    fn where_nobody_looks_the_offset_has_to_be_said() {
        let said = |text| understand(text, true, now(), &Istanbul).unwrap().said(text, &Istanbul);
        let refusal = said("02:13").unwrap_err().to_string();
        assert!(refusal.contains("2026-11-23 02:13:00+03:00 (your zone; 2026-11-22 23:13:00+00)"), "{refusal}");
        assert!(said("02:13 +03").is_ok() && said("5 min ago").is_ok());
    }

    #[test]
    fn what_is_not_understood_says_why() {
        let refusal = |text: &str| understand(text, false, now(), &Istanbul).expect_err(text).to_string();
        for (text, words) in [
            ("today 23:00", "in the future"),
            ("yesterday", "is not a recovery target"),
            ("yesterday noon", "can't be read"),
            ("25:00", "no such time"),
            ("02:13 CST", "is not an offset"),
            ("ago", "is not a recovery target"),
            (" ago", "is not a recovery target"),
            ("ten minutes ago", "10 minutes ago"),
            ("10 parsecs ago", "10 minutes ago"),
            ("99999999999999999999 s ago", "10 minutes ago"),
            ("9223372036854775807 d ago", "out of range"),
            ("9223372036854775807 s ago", "out of range"),
            ("2026-11-22 02:13", "has no offset"),
            ("tomorrow", "is not a recovery target"),
        ] {
            assert!(refusal(text).contains(words), "{text}: {}", refusal(text));
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_lies_ahead(text in "(yesterday |today |time:)?[0-9:]{0,9}( ?[0-9+Zdhms minago]{0,12}|.{0,9})") {
            if let Ok(Understood { target: RecoveryTarget::Time { at, .. }, .. }) = understand(&text, true, now(), &Berlin) {
                prop_assert!(at <= now());
            }
        }
    }
}
