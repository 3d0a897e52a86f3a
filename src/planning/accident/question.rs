//! What a person asks: about when it happened, how far to look to each side, which table.

use crate::domain::text::clean;
use crate::planning::accident::search::Window;
use crate::planning::parameters::duration_seconds;
use crate::planning::target::{RecoveryTarget, understand};
use chrono::{DateTime, TimeDelta, TimeZone, Utc};

/// How far is looked to each side where nothing else is asked for, in seconds.
const SIDE_SECONDS: u64 = 15 * 60;

/// A question about an accident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// About when.
    pub around: DateTime<Utc>,
    /// How far before and after that, in seconds.
    pub side_seconds: u64,
    /// Only what touches this table: a name, an oid or a file number.
    pub table: Option<String>,
}

impl Question {
    /// About when, with so many seconds to each side, and no table.
    ///
    /// # Errors
    /// In words, as [`Question::parse`].
    pub fn about<Z: TimeZone>(time: &str, side_seconds: u64, now: DateTime<Utc>, zone: &Z) -> Result<Question, String> {
        let time = time.trim();
        let time = time.strip_prefix("around:").unwrap_or(time);
        let question = Question { around: moment(time, now, zone)?, side_seconds, table: None };
        question.window()?;
        Ok(question)
    }

    /// Reads `[around:]TIME [window DURATION] [table NAME]`. The time is what [`understand`] takes: with its offset
    /// (`2026-11-22 02:13+03`), seen from `now` (`10 minutes ago`), or a time of day in `zone` (`02:13`), which means the last
    /// one before `now`.
    ///
    /// # Errors
    /// In words, with what to type instead.
    pub fn parse<Z: TimeZone>(text: &str, now: DateTime<Utc>, zone: &Z) -> Result<Question, String> {
        let text = text.trim();
        let text = text.strip_prefix("around:").unwrap_or(text).trim_start();
        let (time, mut rest) = cut(text);
        let mut question = Question { around: moment(time, now, zone)?, side_seconds: SIDE_SECONDS, table: None };
        while let Some((word, value, behind)) = rest {
            if value.is_empty() {
                return Err(format!("'{word}' needs a value: window 30m, table orders"));
            }
            if word == "window" {
                let seconds = duration_seconds(value).map_err(|error| format!("window {}: {error}", clean(value)))?;
                question.side_seconds = seconds;
            } else {
                question.table = Some(clean(value));
            }
            rest = behind.and_then(|behind| cut(behind).1);
        }
        question.window()?;
        Ok(question)
    }

    /// The span of time that is read.
    ///
    /// # Errors
    /// In words, when it is longer than time itself.
    pub fn window(&self) -> Result<Window, String> {
        let side = i64::try_from(self.side_seconds).ok().and_then(TimeDelta::try_seconds);
        let around = self.around;
        let bounds = side.and_then(|side| Some((around.checked_sub_signed(side)?, around.checked_add_signed(side)?)));
        let (from, to) = bounds.ok_or_else(|| "the window is longer than time itself".to_owned())?;
        Ok(Window { from, to, around })
    }
}

/// A word with its value, and what stands from the next word on.
type Word<'t> = (&'static str, &'t str, Option<&'t str>);

/// What stands before the first word, and that word.
fn cut(text: &str) -> (&str, Option<Word<'_>>) {
    let next = |text: &str| {
        let found = ["window", "table"].into_iter().filter_map(|word| Some((place_of(text, word)?, word)));
        found.min()
    };
    let Some((at, word)) = next(text) else { return (text.trim(), None) };
    let behind = &text[at + word.len()..];
    let (value, behind) = next(behind).map_or((behind, None), |(next, _)| (&behind[..next], Some(&behind[next..])));
    (text[..at].trim(), Some((word, value.trim(), behind)))
}

/// Where a word stands by itself.
fn place_of(text: &str, word: &str) -> Option<usize> {
    let mut places = text.match_indices(word).map(|(place, _)| place);
    places.find(|place| {
        let behind = text[place + word.len()..].chars().next();
        let before = text[..*place].chars().next_back();
        before.is_none_or(char::is_whitespace) && behind.is_none_or(char::is_whitespace)
    })
}

fn moment<Z: TimeZone>(text: &str, now: DateTime<Utc>, zone: &Z) -> Result<DateTime<Utc>, String> {
    match understand(text, false, now, zone).map_err(|error| error.to_string())?.target {
        RecoveryTarget::Time { at, .. } => Ok(at),
        _ => Err(format!("'{}' is no time; write it with its offset, as 2026-11-22 02:13:00+03", clean(text))),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn asked(text: &str) -> Result<Question, String> {
        let zone = chrono::FixedOffset::east_opt(3 * 3600).unwrap();
        Question::parse(text, "2026-11-22T09:40:00Z".parse().unwrap(), &zone)
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_time_alone_a_window_and_a_table_are_understood_in_any_order() {
        let plain = asked("2026-11-22 11:13:00+03").unwrap();
        assert_eq!((plain.around, plain.side_seconds, &plain.table), (at("2026-11-22T08:13:00Z"), 900, &None));
        for text in [
            "around:2026-11-22 11:13:00+03 window 1h30m table shop.windows",
            "2026-11-22 11:13:00+03  table shop.windows window 1h30m",
        ] {
            let asked = asked(text).unwrap();
            assert_eq!((asked.around, asked.side_seconds), (plain.around, 5400), "{text}");
            assert_eq!(asked.table.as_deref(), Some("shop.windows"), "{text}");
            assert_eq!(asked.window().unwrap().from, at("2026-11-22T06:43:00Z"));
        }
    }

    #[test]
    fn a_time_of_day_is_the_last_one_here() {
        assert_eq!(asked("12:13").unwrap().around, at("2026-11-22T09:13:00Z"));
        assert_eq!(asked("02:13:07 window 5m").unwrap().around, at("2026-11-21T23:13:07Z"));
        assert_eq!(asked("12:41").unwrap().around, at("2026-11-21T09:41:00Z"), "today it is not 12:41 yet");
        assert_eq!(asked("yesterday 02:13 +03 window 5m").unwrap().around, at("2026-11-20T23:13:00Z"));
        assert_eq!(asked("10 minutes ago table orders").unwrap().around, at("2026-11-22T09:30:00Z"));
    }

    #[test]
    fn what_is_no_question_is_said_in_words() {
        for (text, words) in [
            ("", "''"),
            ("0/3000028", "no time"),
            ("2026-11-22 11:13:00", "has no offset"),
            ("2027-11-22 11:13:00Z", "in the future"),
            ("12:13 window", "needs a value"),
            ("12:13 table", "needs a value"),
            ("12:13 window soon", "window soon"),
            ("12:13 window 99999999999h", "window"),
            ("25:99", "'25:99'"),
        ] {
            let said = asked(text).unwrap_err();
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}
