//! History files: where a timeline comes from.

use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::wal::TimelineId;

/// One step of a timeline's ancestry: `parent` was left at `switch`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The timeline that was left.
    pub parent: TimelineId,
    /// Where it was left: positions before are the parent's.
    pub switch: Lsn,
    /// PostgreSQL's remark, cleaned: `no recovery target specified`, `before 2026-11-22 …`.
    pub reason: String,
}

/// The ancestry of a timeline, oldest ancestor first, as in its history file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineHistory {
    /// The timeline it describes.
    pub timeline: TimelineId,
    /// Its ancestors; none for timeline 1.
    pub entries: Vec<HistoryEntry>,
}

/// A line of a history file that can't be so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} of {file} is damaged: {what} in '{text}'; fetch the file again with \
    `pgbackrest archive-get`, or recover along another timeline"
)]
pub struct HistoryError {
    /// The file's name.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: &'static str,
    /// The line, cleaned and cut.
    pub text: String,
}

impl TimelineHistory {
    /// Reads a history file: `parentTLI<TAB>switchLSN<TAB>reason` a line; comments (`#`) and empty lines are passed over.
    ///
    /// # Errors
    /// [`HistoryError`] for a line without both numbers, or timelines that do not increase up to `timeline`: the same
    /// that PostgreSQL refuses.
    pub fn parse(timeline: TimelineId, text: &str) -> Result<TimelineHistory, HistoryError> {
        let mut entries: Vec<HistoryEntry> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let trimmed = line.trim();
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let bad = |what| HistoryError {
                file: timeline.history_file(),
                line: index + 1,
                what,
                text: clean(&line.chars().take(80).collect::<String>()),
            };
            let (parent, rest) = split_word(trimmed);
            let (switch, reason) = split_word(rest);
            let is_number = !parent.is_empty() && parent.bytes().all(|byte| byte.is_ascii_digit());
            let number = if is_number { parent.parse().ok() } else { None };
            let parent = TimelineId(number.ok_or_else(|| bad("no timeline number"))?);
            let switch = Lsn::parse(switch).map_err(|_| bad("no switch position"))?;
            if entries.last().is_some_and(|last| last.parent >= parent) || parent >= timeline {
                return Err(bad("timelines do not increase"));
            }
            entries.push(HistoryEntry { parent, switch, reason: clean(reason) });
        }
        Ok(TimelineHistory { timeline, entries })
    }

    /// Whether recovery along this timeline passes `lsn` on `timeline`: a backup taken there can be used for it.
    ///
    /// It does on the timeline itself, and on an ancestor before that was left.
    #[must_use]
    pub fn contains(&self, timeline: TimelineId, lsn: Lsn) -> bool {
        timeline == self.timeline || self.entries.iter().any(|entry| entry.parent == timeline && lsn < entry.switch)
    }
}

/// The first word, and what follows the white space after it.
fn split_word(text: &str) -> (&str, &str) {
    match text.split_once([' ', '\t']) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = "1\t0/14000050\tno recovery target specified\n\n# kept for the audit\n2\t0/1D000000\tbefore 2026-11-22 07:00:00+00\n";

    fn lsn(text: &str) -> Lsn {
        text.parse().expect(text)
    }

    #[test]
    fn a_backup_is_usable_until_its_timeline_was_left() {
        let history = TimelineHistory::parse(TimelineId(3), FILE).expect("a history");
        assert_eq!(history.entries.len(), 2);
        assert_eq!(history.entries[0].reason, "no recovery target specified");
        assert!(history.contains(TimelineId(3), lsn("9/0")));
        assert!(history.contains(TimelineId(1), lsn("0/1400004F")));
        assert!(!history.contains(TimelineId(1), lsn("0/14000050")));
        assert!(history.contains(TimelineId(2), lsn("0/19000028")));
        assert!(!history.contains(TimelineId(2), lsn("0/1D000000")));
        assert!(!history.contains(TimelineId(4), lsn("0/1")));
    }

    #[test]
    fn damage_names_its_line() {
        for (text, line, what) in [
            ("1\t0/5\tx\nrubbish\n", 2, "no timeline number"),
            ("1\n", 1, "no switch position"),
            ("-1\t0/5\n", 1, "no timeline number"),
            ("1\t0/\u{202e}5\n", 1, "no switch position"),
            ("2\t0/5\n1\t0/6\n", 2, "timelines do not increase"),
            ("3\t0/5\n", 1, "timelines do not increase"),
        ] {
            let error = TimelineHistory::parse(TimelineId(3), text).expect_err(text);
            assert_eq!((error.line, error.what), (line, what), "{text}");
            assert!(error.to_string().contains("00000003.history"));
            assert!(!error.to_string().contains('\u{202e}'));
        }
    }

    proptest! {
        #[test]
        fn reads_back_a_written_history(steps in proptest::collection::vec((1u32..1000, any::<u64>()), 0..8)) {
            let mut parent = 0;
            let entries: Vec<HistoryEntry> = steps.iter().map(|(gap, position)| {
                parent += gap;
                HistoryEntry { parent: TimelineId(parent), switch: Lsn(*position), reason: "because".into() }
            }).collect();
            let text: String =
                entries.iter().map(|entry| format!("{}\t{}\t{}\n", entry.parent, entry.switch, entry.reason)).collect();
            let timeline = TimelineId(parent + 1);
            prop_assert_eq!(TimelineHistory::parse(timeline, &text), Ok(TimelineHistory { timeline, entries }));
        }

        #[test]
        fn never_panics(text in "([0-9/\\t\\n#A-F]|.){0,60}") {
            let _ = TimelineHistory::parse(TimelineId(7), &text);
        }
    }
}
