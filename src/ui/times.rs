//! Times for a screen: UTC and the operator's zone together, relative and absolute together.

use chrono::{DateTime, FixedOffset, Local, TimeZone, Utc};
use chrono_tz::Tz;

/// The operator's zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zone {
    /// By its name in the settings.
    Named(Tz),
    /// The host's.
    Host,
}

impl Zone {
    /// The moment there.
    #[must_use]
    pub fn local(self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        match self {
            Zone::Named(zone) => zone.from_utc_datetime(&at.naive_utc()).fixed_offset(),
            Zone::Host => at.with_timezone(&Local).fixed_offset(),
        }
    }

    /// `+03`, `+05:30`; empty where the zone is UTC and says nothing more.
    #[must_use]
    pub fn offset(self, at: DateTime<Utc>) -> String {
        offset(&self.local(at))
    }

    /// `23:38:57Z  02:38:57 +03`; one time where both are the same.
    #[must_use]
    pub fn clock(self, at: DateTime<Utc>) -> String {
        let local = self.local(at);
        let utc = at.format("%H:%M:%SZ").to_string();
        if is_utc(&local) { utc } else { format!("{utc}  {} {}", local.format("%H:%M:%S"), offset(&local)) }
    }

    /// The same without seconds.
    #[must_use]
    pub fn minutes(self, at: DateTime<Utc>) -> String {
        let local = self.local(at);
        let utc = at.format("%H:%MZ").to_string();
        if is_utc(&local) { utc } else { format!("{utc}  {} {}", local.format("%H:%M"), offset(&local)) }
    }

    /// `2026-11-22 23:13:00Z (02:13:00 +03)`, with the day where it is another one there.
    #[must_use]
    pub fn both(self, at: DateTime<Utc>) -> String {
        let local = self.local(at);
        let utc = at.format("%Y-%m-%d %H:%M:%SZ").to_string();
        if is_utc(&local) {
            return utc;
        }
        let day = if local.date_naive() == at.date_naive() { "" } else { "%m-%d " };
        format!("{utc} ({} {})", local.format(&format!("{day}%H:%M:%S")), offset(&local))
    }

    /// `11-22 23:13Z`.
    #[must_use]
    pub fn short(self, at: DateTime<Utc>) -> String {
        at.format("%m-%d %H:%MZ").to_string()
    }
}

fn is_utc(local: &DateTime<FixedOffset>) -> bool {
    local.offset().local_minus_utc() == 0
}

fn offset(local: &DateTime<FixedOffset>) -> String {
    let seconds = local.offset().local_minus_utc();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    let rest = if minutes % 60 == 0 { String::new() } else { format!(":{:02}", minutes % 60) };
    format!("{sign}{:02}{rest}", minutes / 60)
}

/// How long ago, by its greatest unit: `just now`, `40 s ago`, `12 min ago`, `15 h ago`, `3 d ago`. Seconds go by tens:
/// what changes every second draws the eye, and costs bytes over a slow link.
#[must_use]
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - at).num_seconds() {
        seconds if seconds < 0 => "ahead of the clock".to_owned(),
        0..10 => "just now".to_owned(),
        seconds @ 10..100 => format!("{} ago", span(seconds / 10 * 10)),
        seconds => format!("{} ago", span(seconds)),
    }
}

/// A span of seconds by its greatest unit.
#[must_use]
pub fn span(seconds: i64) -> String {
    match seconds {
        ..100 => format!("{seconds} s"),
        100..6_000 => format!("{} min", seconds / 60),
        6_000..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap_or_default()
    }

    #[test]
    fn both_times_stand_together_and_the_day_where_it_differs() {
        let istanbul = Zone::Named(chrono_tz::Europe::Istanbul);
        assert_eq!(istanbul.both(at("2026-11-22T08:38:31Z")), "2026-11-22 08:38:31Z (11:38:31 +03)");
        assert_eq!(istanbul.both(at("2026-11-22T23:13:00Z")), "2026-11-22 23:13:00Z (11-23 02:13:00 +03)");
        assert_eq!(istanbul.clock(at("2026-11-22T23:13:00Z")), "23:13:00Z  02:13:00 +03");
        assert_eq!(istanbul.minutes(at("2026-11-22T23:13:59Z")), "23:13Z  02:13 +03");
        assert_eq!(Zone::Named(chrono_tz::UTC).both(at("2026-11-22T23:13:00Z")), "2026-11-22 23:13:00Z");
        assert_eq!(Zone::Named(chrono_tz::Asia::Kolkata).offset(at("2026-11-22T23:13:00Z")), "+05:30");
        assert_eq!(Zone::Named(chrono_tz::America::New_York).offset(at("2026-11-22T23:13:00Z")), "-05");
    }

    #[test]
    fn ages_have_one_unit() {
        let now = at("2026-11-22T23:13:00Z");
        assert_eq!(ago(at("2026-11-22T23:12:19Z"), now), "40 s ago");
        assert_eq!(ago(at("2026-11-22T23:12:55Z"), now), "just now");
        assert_eq!(ago(at("2026-11-22T08:13:00Z"), now), "15 h ago");
        assert_eq!(ago(at("2026-11-22T23:13:01Z"), now), "ahead of the clock");
    }
}
