//! Recovery targets: read from what a person types, and written as pgBackRest's options.

mod relative;
mod time;

#[cfg(test)]
mod tests;

pub use relative::{Understood, understand};

use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal::TimelineId;
use crate::planning::target::time::parse_time;
use chrono::{DateTime, TimeZone, Utc};
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
