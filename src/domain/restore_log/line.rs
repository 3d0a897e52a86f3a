//! One line of pgBackRest's log, taken apart.

use crate::domain::label::BackupLabel;

/// `… P01 DETAIL: text`, `WARN: text`, or a further line of the message before.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'l> {
    /// A message.
    Message {
        /// `INFO`, `DETAIL`, `WARN`, `ERROR`, …
        level: &'l str,
        /// What it says.
        text: &'l str,
    },
    /// Indented to the column of the message before.
    Continuation(&'l str),
    /// Something else.
    Other,
}

const LEVELS: [&str; 7] = ["ASSERT", "ERROR", "WARN", "INFO", "DETAIL", "DEBUG", "TRACE"];

pub(super) fn read(line: &str) -> Line<'_> {
    let line = line.trim_end();
    // 36 spaces beside a time, 12 without, 6 or 7 on standard error
    if line.starts_with("      ") {
        return Line::Continuation(line.trim_start());
    }
    let Some((head, text)) = line.split_once(": ") else { return Line::Other };
    let mut words = head.split_whitespace().rev();
    let level = words.next().unwrap_or_default();
    let process = words.next();
    let known = LEVELS.contains(&level) && process.is_none_or(is_process);
    if known { Line::Message { level, text } } else { Line::Other }
}

fn is_process(word: &str) -> bool {
    word.strip_prefix('P').is_some_and(|digits| digits.len() >= 2 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What a line about a file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct FileLine<'l> {
    pub(super) path: &'l str,
    /// As shown, rounded to a tenth of its unit, in bytes.
    pub(super) bytes: u64,
    /// Of the whole restore, in hundredths of a percent.
    pub(super) hundredths: u32,
    /// It was right already (`--delta`).
    pub(super) kept: bool,
}

/// `restore [zeroed ]file PATH[ - exists and …] ([bundle B, ][bi [N/]]SIZE, PCT%)[ checksum …]`, 2.39 and newer with two
/// decimals, before without.
pub(super) fn file(text: &str) -> Option<FileLine<'_>> {
    let rest = text.strip_prefix("restore ")?;
    let rest = rest.strip_prefix("zeroed ").unwrap_or(rest).strip_prefix("file ")?;
    let rest = match rest.rsplit_once(" checksum ") {
        Some((rest, checksum)) if checksum.bytes().all(|byte| byte.is_ascii_hexdigit()) => rest,
        _ => rest,
    };
    // the path may hold parentheses: the last pair is pgBackRest's
    let (path, inner) = rest.strip_suffix("%)")?.rsplit_once(" (")?;
    let mut parts = inner.rsplit(", ");
    let hundredths = percent(parts.next()?)?;
    let size = parts.next()?;
    let size = size.strip_prefix("bi ").unwrap_or(size);
    let bytes = size_of(size.rsplit('/').next().unwrap_or(size))?;
    let (path, kept) = match path.rsplit_once(" - exists and ") {
        Some((path, _)) => (path, true),
        None => (path, false),
    };
    Some(FileLine { path, bytes, hundredths, kept })
}

fn percent(text: &str) -> Option<u32> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 100)?;
    let part = match part.len() {
        0 => 0,
        2 => part.parse::<u32>().ok()?,
        _ => return None,
    };
    Some((whole * 100 + part).min(10_000))
}

/// `260B`, `1.3MB`: pgBackRest's units are powers of 1024.
pub(super) fn size_of(text: &str) -> Option<u64> {
    let digits = text.find(|next: char| !next.is_ascii_digit() && next != '.')?;
    let power = match &text[digits..] {
        "B" => 0,
        "KB" => 1,
        "MB" => 2,
        "GB" => 3,
        "TB" => 4,
        "PB" => 5,
        _ => return None,
    };
    let number: f64 = text[..digits].parse().ok()?;
    // the value is below 1024 of its unit: it fits
    Some((number * f64::from(1024u32).powi(power)).round() as u64)
}

/// `[repo1: ]restore backup set LABEL, …`, before 2.32 without the repository.
pub(super) fn set(text: &str) -> Option<(Option<u32>, BackupLabel)> {
    let (repository, rest) = match text.strip_prefix("repo").and_then(|rest| rest.split_once(": ")) {
        Some((key, rest)) => (Some(key.parse().ok()?), rest),
        None => (None, text),
    };
    let rest = rest.strip_prefix("restore backup set ")?;
    let label = rest.split(',').next().unwrap_or(rest).trim();
    Some((repository, BackupLabel::parse(label).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_file_line_is_read() {
        let of = |text| file(text).map(|line| (line.path, line.bytes, line.hundredths, line.kept));
        for (text, expected) in [
            ("restore file /d/base/5/16391 (1.6MB, 9.16%) checksum cd85", ("/d/base/5/16391", 1_677_722, 916, false)),
            ("restore file /d/x (8KB, 100%) checksum cd85", ("/d/x", 8192, 10_000, false)),
            ("restore file /d/a (copy) (0B, 0.00%)", ("/d/a (copy)", 0, 0, false)),
            (
                "restore file /d/x (bundle 20261122-071222F/2/290264, bi 112KB, 99.37%) checksum 58",
                ("/d/x", 114_688, 9937, false),
            ),
            (
                "restore file /d/x - exists and matches backup (bundle 1/0, 88B, 72.20%) checksum c6",
                ("/d/x", 88, 7220, true),
            ),
            ("restore file /d/x - exists and is zero size (0B, 100.00%)", ("/d/x", 0, 10_000, true)),
            ("restore zeroed file /d/16396 (bi 0B/57.9MB, 72.20%)", ("/d/16396", 60_712_550, 7220, false)),
        ] {
            assert_eq!(of(text), Some(expected), "{text}");
        }
        for text in [
            "restore size = 32.5MB, file total = 1272",
            "restore global/pg_control (performed last)",
            "restore file",
            "restore file /x (1Q, 1.00%)",
            "restore file /x (1B, 101.00%)",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    #[test]
    fn lines_have_a_level_or_continue() {
        assert_eq!(read("2026-11-22 06:50:28.403 P00   INFO: x: y"), Line::Message { level: "INFO", text: "x: y" });
        assert_eq!(read("P112 DETAIL: x"), Line::Message { level: "DETAIL", text: "x" });
        assert_eq!(read("ERROR: [031]: bad"), Line::Message { level: "ERROR", text: "[031]: bad" });
        assert_eq!(read("                                    HINT: x"), Line::Continuation("HINT: x"));
        assert_eq!(read("something P1 INFO: x"), Line::Other);
        assert_eq!(read("NOTE: x"), Line::Other);
    }
}
