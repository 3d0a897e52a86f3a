//! Where recovery stopped because of its target.

use crate::domain::lsn::Lsn;
use chrono::{DateTime, Utc};

/// On which side of the stopping point recovery stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The transaction or position was not replayed.
    Before,
    /// It was.
    After,
}

/// What recovery stopped at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopPoint {
    /// A transaction's commit or abort, with its time.
    Transaction {
        /// Its id.
        xid: u32,
        /// When it ended.
        time: Option<DateTime<Utc>>,
    },
    /// A position.
    Position(Lsn),
    /// A named restore point, with the time it was made.
    Name {
        /// Its name.
        name: String,
        /// When it was made.
        time: Option<DateTime<Utc>>,
    },
    /// The first consistent state (`recovery_target = 'immediate'`).
    Consistency,
    /// A text that this version does not know.
    Other,
}

/// That and where recovery stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Which side.
    pub side: Side,
    /// Of what.
    pub at: StopPoint,
    /// The message.
    pub text: String,
}

pub(super) fn position(text: &str) -> Option<Lsn> {
    Lsn::parse(text.trim()).ok()
}

/// PostgreSQL writes `2026-11-22 15:31:53.676128+00`, with minutes in the offset only where there are any.
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let parsed = DateTime::parse_from_str(text.trim(), "%Y-%m-%d %H:%M:%S%.f%#z").ok()?;
    Some(parsed.with_timezone(&Utc))
}

/// Reads `recovery stopping …`.
pub(super) fn stop(text: String) -> Option<Stop> {
    let rest = text.strip_prefix("recovery stopping ")?;
    let (side, rest) = match rest.strip_prefix("before ") {
        Some(rest) => (Side::Before, rest),
        None => (Side::After, rest.trim_start_matches("after ")),
    };
    let at = stop_point(rest);
    Some(Stop { side, at, text })
}

fn stop_point(rest: &str) -> StopPoint {
    if rest == "reaching consistency" {
        return StopPoint::Consistency;
    }
    if let Some(lsn) = rest.strip_prefix("WAL location (LSN) ").and_then(|lsn| position(lsn.trim_matches('"'))) {
        return StopPoint::Position(lsn);
    }
    // a name may hold quotes and commas: its time is what follows the last one
    if let Some((name, time)) = rest.strip_prefix("at restore point \"").and_then(|rest| rest.rsplit_once("\", time "))
    {
        return StopPoint::Name { name: name.to_owned(), time: instant(time) };
    }
    if let Some((_, rest)) = rest.split_once(" of transaction ") {
        let (xid, time) = rest.split_once(", time ").unwrap_or((rest, ""));
        if let Ok(xid) = xid.parse() {
            return StopPoint::Transaction { xid, time: instant(time) };
        }
    }
    StopPoint::Other
}
