//! Recovery targets: read from what a person types, and written as pgBackRest's options.

use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal::TimelineId;
use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, TimeZone, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest name of a restore point, in bytes (`MAXFNAMELEN - 1`, PostgreSQL 9.1 on).
const LONGEST_NAME: usize = 63;

/// The moment to recover to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecoveryTarget {
    /// To the end of the WAL that there is. Proves nothing about completeness: PostgreSQL promotes at a gap.
    Latest,
    /// To the moment the backup set is consistent: its own stop.
    Immediate,
    /// To a time, in microseconds, as PostgreSQL stamps commits.
    Time {
        /// The time.
        at: DateTime<Utc>,
        /// Stop before a commit at exactly this time.
        exclusive: bool,
    },
    /// To a position.
    Lsn {
        /// The position.
        lsn: Lsn,
        /// Stop before the record that begins there.
        exclusive: bool,
    },
    /// To the commit or abort of a transaction.
    Xid {
        /// Its 32-bit id.
        xid: u32,
        /// Stop before it.
        exclusive: bool,
    },
    /// To a restore point made with `pg_create_restore_point`.
    Name {
        /// Its name.
        name: String,
    },
}

/// What PostgreSQL does at the target. Never *pause*: where hot standby can't be active PostgreSQL promotes
/// instead (tried with 15.20), so looking is a start with another setting, and this stays in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetAction {
    /// End recovery, accept writes, begin a timeline.
    Promote,
    /// Stop the server.
    Shutdown,
}

impl TargetAction {
    /// pgBackRest's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            TargetAction::Promote => "promote",
            TargetAction::Shutdown => "shutdown",
        }
    }
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Nothing of it is understood.
    #[error(
        "'{0}' is not a recovery target; write latest, immediate, a time with its offset (2026-11-22 02:13:00+03), \
         an LSN (0/3000028), xid:1234 or name:before-release"
    )]
    Unknown(String),
    /// A time whose zone isn't said. Half of all wrong restores begin here.
    #[error("the time '{text}' has no offset. Write which one is meant: {}", .readings.join(", or "))]
    NoOffset {
        /// As it was typed.
        text: String,
        /// What it could mean, each ready to be typed, with the same moment in UTC.
        readings: Vec<String>,
    },
    /// A zone as a word.
    #[error(
        "'{zone}' in '{text}' is not an offset; write +HH or +HH:MM, or Z for UTC: names such as CST are ambiguous"
    )]
    ZoneName {
        /// As it was typed.
        text: String,
        /// The word.
        zone: String,
    },
    /// A time that can't be.
    #[error("the time '{text}' can't be read: {reason}")]
    Time {
        /// As it was typed.
        text: String,
        /// Why.
        reason: &'static str,
    },
    /// A time after now.
    #[error("{} is in the future (now {}, {} later); check the offset, or recover to latest", show(*.at), show(*.now), span(*.at - *.now))]
    Future {
        /// The target.
        at: DateTime<Utc>,
        /// The clock.
        now: DateTime<Utc>,
    },
    /// Not an LSN.
    #[error("'{0}' is not an LSN that can be recovered to; it is two hexadecimal numbers, such as 0/3000028")]
    Lsn(String),
    /// Not a transaction id.
    #[error(
        "'{0}' is not a transaction id; it is a whole number from 3 on, as pg_current_xact_id() or pg_waldump show it"
    )]
    Xid(String),
    /// A name that PostgreSQL or pgBackRest would not take.
    #[error("'{name}' can't be the name of a restore point here: {reason}")]
    Name {
        /// Cleaned.
        name: String,
        /// Why.
        reason: &'static str,
    },
    /// A target that has no before.
    #[error("exclusive does not go with {0}: it is for a time, an LSN or a transaction")]
    Exclusive(&'static str),
}

impl RecoveryTarget {
    /// Reads `latest`, `immediate`, `[time:]TIME`, `[lsn:]LSN`, `xid:NUMBER` or `name:NAME`. A time needs an offset
    /// (`Z`, `+03`, `+0300`, `+03:00`) and may not be after `now`; `zone` is the operator's, for the offered readings.
    ///
    /// # Errors
    /// [`TargetError`], with what to type instead.
    pub fn parse<Z: TimeZone>(
        text: &str,
        exclusive: bool,
        now: DateTime<Utc>,
        zone: &Z,
    ) -> Result<RecoveryTarget, TargetError> {
        let text = text.trim();
        let target = match text.split_once(':') {
            _ if text == "latest" => RecoveryTarget::Latest,
            _ if text == "immediate" => RecoveryTarget::Immediate,
            Some(("xid", number)) => RecoveryTarget::Xid { xid: parse_xid(number.trim())?, exclusive },
            Some(("name", name)) => RecoveryTarget::Name { name: parse_name(name)? },
            Some(("lsn", lsn)) => RecoveryTarget::Lsn { lsn: parse_lsn(lsn.trim())?, exclusive },
            Some(("time", time)) => RecoveryTarget::Time { at: parse_time(time.trim(), now, zone)?, exclusive },
            _ if Lsn::parse(text).is_ok() => RecoveryTarget::Lsn { lsn: parse_lsn(text)?, exclusive },
            _ if text.starts_with(|first: char| first.is_ascii_digit()) && text.contains('-') => {
                RecoveryTarget::Time { at: parse_time(text, now, zone)?, exclusive }
            }
            _ => return Err(TargetError::Unknown(cut(text))),
        };
        match target {
            RecoveryTarget::Latest | RecoveryTarget::Immediate | RecoveryTarget::Name { .. } if exclusive => {
                Err(TargetError::Exclusive(target.kind()))
            }
            target => Ok(target),
        }
    }

    /// pgBackRest's `--type`, but `latest` instead of `default`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            RecoveryTarget::Latest => "latest",
            RecoveryTarget::Immediate => "immediate",
            RecoveryTarget::Time { .. } => "time",
            RecoveryTarget::Lsn { .. } => "lsn",
            RecoveryTarget::Xid { .. } => "xid",
            RecoveryTarget::Name { .. } => "name",
        }
    }

    /// Whether recovery stops before the target itself.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        match self {
            RecoveryTarget::Latest | RecoveryTarget::Immediate | RecoveryTarget::Name { .. } => false,
            RecoveryTarget::Time { exclusive, .. }
            | RecoveryTarget::Lsn { exclusive, .. }
            | RecoveryTarget::Xid { exclusive, .. } => *exclusive,
        }
    }

    /// The value of pgBackRest's `--target`, where the kind takes one. A time is always in UTC with its offset:
    /// without one pgBackRest reads it in its own zone and PostgreSQL in the server's.
    #[must_use]
    pub fn value(&self) -> Option<String> {
        match self {
            RecoveryTarget::Latest | RecoveryTarget::Immediate => None,
            RecoveryTarget::Time { at, .. } => Some(at.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()),
            RecoveryTarget::Lsn { lsn, .. } => Some(lsn.to_string()),
            RecoveryTarget::Xid { xid, .. } => Some(xid.to_string()),
            RecoveryTarget::Name { name } => Some(name.clone()),
        }
    }

    /// The options of `pgbackrest restore`, in the order in which they are shown. The timeline is always said: left
    /// out it is *latest* from PostgreSQL 12 on, and a stray drill's history file decides. `immediate` takes none
    /// (pgBackRest refuses it with 31), `default` takes no action.
    #[must_use]
    pub fn options(&self, timeline: TimelineId, action: TargetAction) -> Vec<String> {
        let kind = if *self == RecoveryTarget::Latest { "default" } else { self.kind() };
        let mut options = vec![format!("--type={kind}")];
        options.extend(self.value().map(|value| format!("--target={value}")));
        if self.is_exclusive() {
            options.push("--target-exclusive".to_owned());
        }
        if *self != RecoveryTarget::Immediate {
            options.push(format!("--target-timeline={timeline}"));
        }
        if *self != RecoveryTarget::Latest {
            options.push(format!("--target-action={}", action.word()));
        }
        options
    }
}

/// As a person reads it: `time 2026-11-21 23:13:00.000000+00, exclusive`.
impl fmt::Display for RecoveryTarget {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.kind())?;
        if let Some(value) = self.value() {
            write!(out, " {value}")?;
        }
        if self.is_exclusive() { out.write_str(", exclusive") } else { Ok(()) }
    }
}

/// A moment in UTC, to the second, or finer where it is.
pub(crate) fn show(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S%.f+00").to_string()
}

fn span(length: chrono::TimeDelta) -> String {
    match length.num_seconds() {
        0..=119 => format!("{} s", length.num_seconds()),
        120..=7199 => format!("{} min", length.num_minutes()),
        7200..=172_799 => format!("{} h", length.num_hours()),
        _ => format!("{} days", length.num_days()),
    }
}

fn cut(text: &str) -> String {
    clean(&text.chars().take(80).collect::<String>())
}

fn parse_lsn(text: &str) -> Result<Lsn, TargetError> {
    Lsn::parse(text).ok().filter(|lsn| lsn.0 != 0).ok_or_else(|| TargetError::Lsn(cut(text)))
}

/// PostgreSQL takes the 64-bit id with its epoch too and compares the lower half.
fn parse_xid(text: &str) -> Result<u32, TargetError> {
    let refused = || TargetError::Xid(cut(text));
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = if digits { text.parse().map_err(|_| refused())? } else { return Err(refused()) };
    // The lower half fits; 0 to 2 are PostgreSQL's own.
    let xid = (number & 0xFFFF_FFFF) as u32;
    if xid < 3 { Err(refused()) } else { Ok(xid) }
}

fn parse_name(text: &str) -> Result<String, TargetError> {
    let refused = |reason| TargetError::Name { name: cut(text), reason };
    if text.is_empty() {
        return Err(refused("it is empty"));
    }
    if text.len() > LONGEST_NAME {
        return Err(refused("it has more than 63 bytes"));
    }
    // pgBackRest writes the value between quotes as it is: these would end it or change it.
    if text.contains(['\'', '\\']) {
        return Err(refused("it holds a quote or a backslash, which pgBackRest does not escape"));
    }
    if clean(text) != text {
        return Err(refused("it holds a control character"));
    }
    Ok(text.to_owned())
}

fn parse_time<Z: TimeZone>(text: &str, now: DateTime<Utc>, zone: &Z) -> Result<DateTime<Utc>, TargetError> {
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
    let shape = "it is written YYYY-MM-DD HH:MM:SS, with an offset";
    let date = text.get(..10).filter(|date| follows(date, "dddd-dd-dd")).ok_or_else(|| refused(shape))?;
    let date: NaiveDate = date.parse().map_err(|_| refused("there is no such day"))?;
    let rest = text[10..].strip_prefix([' ', 'T', 't']).ok_or_else(|| refused("the time of the day is missing"))?;
    let minutes = rest.get(..5).filter(|minutes| follows(minutes, "dd:dd")).ok_or_else(|| refused(shape))?;
    let (hour, minute) = (number(&minutes[..2]), number(&minutes[3..]));
    let (mut rest, mut second, mut micro) = (&rest[5..], 0, 0);
    if let Some(seconds) = rest.strip_prefix(':') {
        second = number(seconds.get(..2).filter(|two| follows(two, "dd")).ok_or_else(|| refused(shape))?);
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
    let naive = date
        .and_hms_micro_opt(hour, minute, second, micro)
        .ok_or_else(|| refused("there is no such time of the day"))?;
    Ok((naive, rest))
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

fn parse_offset(text: &str) -> Option<FixedOffset> {
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
fn readings<Z: TimeZone>(naive: NaiveDateTime, zone: &Z) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
    use super::*;
    use chrono_tz::Europe::{Berlin, Istanbul};
    use proptest::prelude::*;

    fn now() -> DateTime<Utc> {
        "2026-11-22T23:38:57Z".parse().unwrap()
    }

    fn parse(text: &str) -> Result<RecoveryTarget, TargetError> {
        RecoveryTarget::parse(text, false, now(), &Istanbul)
    }

    fn refusal(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn options_for_each_kind() {
        let cases: [(&str, bool, &[&str]); 8] = [
            ("latest", false, &["--type=default", "--target-timeline=3"]),
            ("immediate", false, &["--type=immediate", "--target-action=shutdown"]),
            (
                "2026-11-22 02:13:00+03",
                false,
                &[
                    "--type=time",
                    "--target=2026-11-21 23:13:00.000000+00",
                    "--target-timeline=3",
                    "--target-action=shutdown",
                ],
            ),
            (
                "time:2026-11-22T02:13:00.12Z",
                true,
                &[
                    "--type=time",
                    "--target=2026-11-22 02:13:00.120000+00",
                    "--target-exclusive",
                    "--target-timeline=3",
                    "--target-action=shutdown",
                ],
            ),
            (
                "0/3000028",
                true,
                &[
                    "--type=lsn",
                    "--target=0/3000028",
                    "--target-exclusive",
                    "--target-timeline=3",
                    "--target-action=shutdown",
                ],
            ),
            ("lsn:1a/0003000028", true, &[]),
            (
                "xid:4294968039",
                false,
                &["--type=xid", "--target=743", "--target-timeline=3", "--target-action=shutdown"],
            ),
            (
                "name:before release",
                false,
                &["--type=name", "--target=before release", "--target-timeline=3", "--target-action=shutdown"],
            ),
        ];
        for (text, exclusive, expected) in cases {
            let options = RecoveryTarget::parse(text, exclusive, now(), &Istanbul)
                .map(|target| target.options(TimelineId(3), TargetAction::Shutdown))
                .unwrap_or_default();
            assert_eq!(options, expected, "{text}");
        }
        let promoted = RecoveryTarget::Immediate.options(TimelineId(1), TargetAction::Promote);
        assert_eq!(promoted, ["--type=immediate", "--target-action=promote"]);
    }

    #[test]
    fn offsets() {
        for (offset, expected) in [
            ("Z", "02:13:00"),
            ("+00", "02:13:00"),
            (" +03", "23:13:00"),
            ("+0530", "20:43:00"),
            ("-05:00", "07:13:00"),
            (" UTC", "02:13:00"),
        ] {
            let target = parse(&format!("2026-11-22 02:13{offset}")).unwrap();
            assert!(target.value().unwrap().contains(expected), "{offset}: {target}");
        }
        for offset in ["+3", "+16", "+03:60", "CST", "Europe/Istanbul", "+03 x", "+", "−", "+0a"] {
            assert!(refusal(&format!("2026-11-22 02:13:00 {offset}")).contains("is not an offset"), "{offset}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_refused_with_both_readings() {
        let said = refusal("2026-11-22 02:13:00");
        assert!(said.contains("2026-11-22 02:13:00+00 (UTC)"), "{said}");
        assert!(said.contains("2026-11-22 02:13:00+03:00 (your zone; 2026-11-21 23:13:00+00)"), "{said}");
        let offered = "2026-11-22 02:13:00+03:00";
        assert_eq!(parse(offered).unwrap().value().unwrap(), "2026-11-21 23:13:00.000000+00");

        let berlin = |text| RecoveryTarget::parse(text, false, now(), &Berlin).unwrap_err().to_string();
        let twice = berlin("2026-10-25 02:30:00");
        assert!(twice.contains("02:30:00+02:00") && twice.contains("02:30:00+01:00"), "{twice}");
        let skipped = berlin("2026-03-29 02:30:00");
        assert!(skipped.contains("clocks skipped"), "{skipped}");
        // Where the operator's zone is UTC there is one reading.
        let utc = RecoveryTarget::parse("2026-11-22 02:13", false, now(), &Utc).unwrap_err();
        assert!(matches!(utc, TargetError::NoOffset { readings, .. } if readings.len() == 1));
    }

    #[test]
    fn the_future_is_refused() {
        assert!(parse("2026-11-22 23:38:57Z").is_ok());
        let said = refusal("2026-11-23 02:13:00Z");
        assert!(said.contains("in the future") && said.contains("2 h later"), "{said}");
        assert!(refusal("2026-11-22 23:38:57.000001Z").contains("in the future"));
    }

    #[test]
    fn other_refusals_say_why() {
        for (text, words) in [
            ("", "is not a recovery target"),
            ("yesterday", "is not a recovery target"),
            ("Latest", "is not a recovery target"),
            ("2026-11-22", "time of the day is missing"),
            ("2026-02-30 00:00Z", "no such day"),
            ("2026-11-22 24:00Z", "no such time"),
            ("2026-11-22 23:59:60Z", "no such time"),
            ("2026-11-22 02:13:00.1234567Z", "microseconds"),
            ("2026-11-22 2:13Z", "YYYY-MM-DD HH:MM:SS"),
            ("time:02:13Z", "YYYY-MM-DD HH:MM:SS"),
            ("lsn:0/0", "is not an LSN"),
            ("lsn:3000028", "is not an LSN"),
            ("xid:2", "is not a transaction id"),
            ("xid:-5", "is not a transaction id"),
            ("xid:99999999999999999999999", "is not a transaction id"),
            ("name:", "empty"),
            ("name:it's", "quote"),
            ("name:a\\b", "backslash"),
            ("name:a\u{1b}[2J", "control character"),
        ] {
            let said = refusal(text);
            assert!(said.contains(words) && !said.contains('\u{1b}'), "{text}: {said}");
        }
        assert!(refusal(&format!("name:{}", "n".repeat(64))).contains("63 bytes"));
        for text in ["latest", "immediate", "name:x"] {
            assert!(matches!(RecoveryTarget::parse(text, true, now(), &Utc), Err(TargetError::Exclusive(_))), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "([0-9:TZ+/ .-]|time:|xid:|name:|lsn:|.){0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn the_written_time_reads_back(micros in 0i64..1_795_000_000_000_000) {
            let target = RecoveryTarget::Time { at: DateTime::from_timestamp_micros(micros).unwrap(), exclusive: false };
            prop_assert_eq!(parse(&target.value().unwrap()), Ok(target));
        }
    }
}
