//! `postgresql.auto.conf`: which settings are in it, and another recovery target written into it.
//!
//! It is read as bytes and kept byte for byte, but for the lines of the recovery target: two targets side by side end in
//! `FATAL: multiple recovery targets specified`. `recovery_target_action = 'shutdown'` is always written: a plain start
//! can then only stop at the target; pausing is asked for on the command line of a start that only looks.

use crate::domain::lsn::Lsn;
use crate::domain::text::clean_bytes;
use crate::domain::wal::TimelineId;
use chrono::{DateTime, Utc};

/// A setting as it stands in the file. The last of a name counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The line, from 1.
    pub line: usize,
    /// The name in lower case: PostgreSQL does not tell them apart.
    pub name: String,
    /// The value without its quotes. Raw: clean it before it is shown.
    pub value: Vec<u8>,
}

impl Setting {
    /// The value for a screen.
    #[must_use]
    pub fn shown(&self) -> String {
        clean_bytes(&self.value)
    }
}

/// Where recovery is to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopAt {
    /// At a position.
    Lsn(Lsn),
    /// At the first commit after a moment.
    Time(DateTime<Utc>),
    /// At a transaction's commit.
    Xid(u32),
    /// At a named restore point.
    Name(String),
    /// As soon as the data is consistent.
    Immediate,
}

/// Which timeline recovery follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FollowTimeline {
    /// The backup's own.
    Current,
    /// The newest that is found.
    Latest,
    /// This one.
    Id(TimelineId),
}

/// A recovery target, as it is written into the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryTarget {
    /// Where.
    pub stop: StopAt,
    /// After the target (true) or right before it. Written for a position, a time and a transaction; PostgreSQL does not
    /// ask it for the others.
    pub inclusive: bool,
    /// Which timeline.
    pub timeline: FollowTimeline,
}

/// A file that can't be rewritten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AutoConfError {
    /// PostgreSQL would not start with it.
    #[error(
        "line {line} of postgresql.auto.conf is no setting: '{text}'; PostgreSQL would not start with it, correct it first"
    )]
    Line {
        /// The line, from 1.
        line: usize,
        /// The line, cleaned and cut.
        text: String,
    },
    /// A file is included: what it sets can't be replaced here.
    #[error(
        "line {line} of postgresql.auto.conf includes another file: '{text}'; Lifeboat does not follow it, move its settings here first"
    )]
    Include {
        /// The line, from 1.
        line: usize,
        /// The line, cleaned and cut.
        text: String,
    },
    /// A value with a line end can't be written.
    #[error("'{0}' holds a control character, which can't stand in postgresql.auto.conf")]
    Value(String),
}

/// The settings in the file, in its order. Comments and empty lines are passed over.
///
/// # Errors
/// [`AutoConfError`] for a line that PostgreSQL refuses, and for an include.
pub fn settings(file: &[u8]) -> Result<Vec<Setting>, AutoConfError> {
    let mut found = Vec::new();
    for (index, line) in file.split(|byte| *byte == b'\n').enumerate() {
        if let Some((name, value)) = read_line(line, index + 1)? {
            found.push(Setting { line: index + 1, name, value });
        }
    }
    Ok(found)
}

/// The settings that decide about recovery: every `recovery_target…`, `restore_command`, and what else acts at its end
/// (`recovery_end_command`, `archive_cleanup_command`, `promote_trigger_file` up to 15, `primary_conninfo` and the like).
///
/// # Errors
/// As [`settings`].
pub fn recovery_settings(file: &[u8]) -> Result<Vec<Setting>, AutoConfError> {
    const OTHERS: [&str; 8] = [
        "restore_command",
        "recovery_end_command",
        "archive_cleanup_command",
        "promote_trigger_file",
        "primary_conninfo",
        "primary_slot_name",
        "recovery_min_apply_delay",
        "hot_standby",
    ];
    let mut found = settings(file)?;
    found.retain(|setting| is_target(&setting.name) || OTHERS.contains(&setting.name.as_str()));
    Ok(found)
}

/// The file with this recovery target instead of every one that is in it; everything else byte for byte.
///
/// # Errors
/// [`AutoConfError`]; the name of a restore point with a control character too.
pub fn with_target(file: &[u8], target: &RecoveryTarget) -> Result<Vec<u8>, AutoConfError> {
    let mut out = without_target(file)?;
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    let (name, value) = match &target.stop {
        StopAt::Lsn(lsn) => ("recovery_target_lsn", lsn.to_string()),
        // an offset always: without one PostgreSQL reads it in its own zone
        StopAt::Time(time) => ("recovery_target_time", time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string()),
        StopAt::Xid(xid) => ("recovery_target_xid", xid.to_string()),
        StopAt::Name(name) => ("recovery_target_name", name.clone()),
        StopAt::Immediate => ("recovery_target", "immediate".to_owned()),
    };
    let mut set = vec![(name, value)];
    if matches!(target.stop, StopAt::Lsn(_) | StopAt::Time(_) | StopAt::Xid(_)) {
        set.push(("recovery_target_inclusive", if target.inclusive { "on" } else { "off" }.to_owned()));
    }
    let timeline = match target.timeline {
        FollowTimeline::Current => "current".to_owned(),
        FollowTimeline::Latest => "latest".to_owned(),
        FollowTimeline::Id(id) => id.to_string(),
    };
    set.push(("recovery_target_timeline", timeline));
    set.push(("recovery_target_action", "shutdown".to_owned()));
    for (name, value) in set {
        out.extend_from_slice(format!("{name} = {}\n", quoted(&value)?).as_bytes());
    }
    Ok(out)
}

/// The file without any recovery target; everything else byte for byte.
///
/// # Errors
/// As [`settings`].
pub fn without_target(file: &[u8]) -> Result<Vec<u8>, AutoConfError> {
    let mut out = Vec::with_capacity(file.len() + 200);
    for (index, line) in file.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let setting = read_line(line.strip_suffix(b"\n").unwrap_or(line), index + 1)?;
        if !setting.is_some_and(|(name, _)| is_target(&name)) {
            out.extend_from_slice(line);
        }
    }
    Ok(out)
}

/// A value in quotes, as ALTER SYSTEM writes it: a quote and a backslash are doubled.
///
/// # Errors
/// [`AutoConfError::Value`] for a control character.
pub fn quoted(value: &str) -> Result<String, AutoConfError> {
    if value.chars().any(char::is_control) {
        return Err(AutoConfError::Value(crate::domain::text::clean(value)));
    }
    Ok(format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''")))
}

fn is_target(name: &str) -> bool {
    name.starts_with("recovery_target")
}

/// `name = value`, `name value`, a comment behind it; as PostgreSQL's `guc-file.l` reads a line.
fn read_line(line: &[u8], number: usize) -> Result<Option<(String, Vec<u8>)>, AutoConfError> {
    let text = || clean_bytes(&line[..line.len().min(120)]);
    let bad = || AutoConfError::Line { line: number, text: text() };
    let rest = skip_blanks(line);
    if rest.is_empty() || rest[0] == b'#' {
        return Ok(None);
    }
    let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'.' | 0x80..);
    let length = rest.iter().take_while(|byte| part(byte)).count();
    if length == 0 || rest[0].is_ascii_digit() {
        return Err(bad());
    }
    let name = String::from_utf8_lossy(&rest[..length]).to_ascii_lowercase();
    if matches!(name.as_str(), "include" | "include_dir" | "include_if_exists") {
        return Err(AutoConfError::Include { line: number, text: text() });
    }
    let mut rest = skip_blanks(&rest[length..]);
    if let Some(after) = rest.strip_prefix(b"=") {
        rest = skip_blanks(after);
    }
    let (value, rest) = read_value(rest).ok_or_else(bad)?;
    let rest = skip_blanks(rest);
    if rest.is_empty() || rest[0] == b'#' { Ok(Some((name, value))) } else { Err(bad()) }
}

fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)).count();
    &bytes[blanks..]
}

/// A value and what follows it: in quotes (`''` and backslash escapes), or a bare word or number.
fn read_value(bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let Some(mut rest) = bytes.strip_prefix(b"'") else {
        let end = bytes.iter().position(|byte| b" \t\r\x0b\x0c#'=".contains(byte)).unwrap_or(bytes.len());
        return (end > 0).then(|| (bytes[..end].to_vec(), &bytes[end..]));
    };
    let mut value = Vec::new();
    loop {
        match rest {
            [b'\'', b'\'', after @ ..] => {
                value.push(b'\'');
                rest = after;
            }
            [b'\'', after @ ..] => return Some((value, after)),
            [b'\\', after @ ..] => {
                let (byte, used) = escape(after)?;
                value.push(byte);
                rest = &after[used..];
            }
            [byte, after @ ..] => {
                value.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

/// What stands behind a backslash: the byte, and how many were used.
fn escape(after: &[u8]) -> Option<(u8, usize)> {
    let digits = after.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
    if digits > 0 {
        // PostgreSQL cuts it to a byte, too
        let value = after[..digits].iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
        return Some(((value & 0xFF) as u8, digits));
    }
    let byte = match after.first()? {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        other => *other,
    };
    Some((byte, 1))
}

#[cfg(test)]
mod tests;
