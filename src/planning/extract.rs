//! Captured values out of a step's output, and whether they are what the step expects.
//!
//! Output is hostile: what is kept of it is bounded and cleaned before anything else sees it.

use crate::domain::plan::{Capture, CaptureFrom, Step};
use crate::domain::text::clean;
use std::collections::BTreeMap;

/// The most a captured value may hold, in bytes: it goes into the journal, the transcript and argument lists.
pub const MOST_VALUE_BYTES: usize = 16 * 1024;

/// The most of an output that is looked through, in bytes.
pub const MOST_OUTPUT_BYTES: usize = 4 * 1024 * 1024;

/// Why a value can't be read from a step's output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtractError {
    /// No line begins as it should.
    #[error("'{name}' can't be read: no line of the output begins with '{prefix}'; look at the step's output")]
    NoLine {
        /// The value.
        name: String,
        /// What was looked for.
        prefix: String,
    },
    /// The line holds nothing more.
    #[error("'{name}' is empty: the line '{prefix}' holds nothing more; look at the step's output")]
    EmptyLine {
        /// The value.
        name: String,
        /// The line's beginning.
        prefix: String,
    },
    /// The header has no such column, or the output no header.
    #[error("'{name}' can't be read: the output has no column '{column}'; it has: {found}")]
    NoColumn {
        /// The value.
        name: String,
        /// The column that was looked for.
        column: String,
        /// The columns there are.
        found: String,
    },
    /// A header and nothing below.
    #[error("'{name}' can't be read: the query gave no row")]
    NoRow {
        /// The value.
        name: String,
    },
    /// Not CSV.
    #[error(
        "'{name}' can't be read: the output is not CSV (a quote that does not end, or a row shorter than its header)"
    )]
    BadCsv {
        /// The value.
        name: String,
    },
    /// Longer than is kept.
    #[error("'{name}' has {bytes} bytes, and at most {MOST_VALUE_BYTES} are kept: capture less")]
    TooLong {
        /// The value.
        name: String,
        /// Its length.
        bytes: usize,
    },
}

/// The values that `step` captures from its standard output.
///
/// # Errors
/// [`ExtractError`] for the first value that can't be read. A value from a line is never empty; one from a
/// column or a whole output may be.
pub fn captures(step: &Step, stdout: &[u8]) -> Result<BTreeMap<String, String>, ExtractError> {
    let text = String::from_utf8_lossy(&stdout[..stdout.len().min(MOST_OUTPUT_BYTES)]);
    let one = |capture| one(capture, &text).map(|value| value.map(|value| (capture.name.clone(), value)));
    step.captures.iter().filter_map(|capture| one(capture).transpose()).collect()
}

fn one(capture: &Capture, text: &str) -> Result<Option<String>, ExtractError> {
    let name = || capture.name.clone();
    let value = match &capture.from {
        CaptureFrom::Whole => text.trim().to_owned(),
        CaptureFrom::Line(prefix) => {
            let rest = text.lines().find_map(|line| line.strip_prefix(prefix.as_str()));
            let rest = rest.ok_or_else(|| ExtractError::NoLine { name: name(), prefix: prefix.clone() })?.trim();
            if rest.is_empty() {
                return Err(ExtractError::EmptyLine { name: name(), prefix: prefix.clone() });
            }
            rest.to_owned()
        }
        CaptureFrom::Column(column) => cell(&name(), column, text)?,
        // Not read from an output.
        CaptureFrom::Answer => return Ok(None),
    };
    if value.len() > MOST_VALUE_BYTES {
        return Err(ExtractError::TooLong { name: name(), bytes: value.len() });
    }
    Ok(Some(clean(&value)))
}

/// The cell of `column` in the first row below the header.
fn cell(name: &str, column: &str, text: &str) -> Result<String, ExtractError> {
    let bad = || ExtractError::BadCsv { name: name.to_owned() };
    let (header, rest) = record(text).ok_or_else(bad)?;
    let position = header.iter().position(|found| found == column).ok_or_else(|| {
        let mut found = clean(&header.join(", "));
        found.truncate(found.char_indices().nth(200).map_or(found.len(), |(at, _)| at));
        ExtractError::NoColumn { name: name.to_owned(), column: column.to_owned(), found }
    })?;
    if rest.is_empty() {
        return Err(ExtractError::NoRow { name: name.to_owned() });
    }
    let (mut row, _) = record(rest).ok_or_else(bad)?;
    if row.len() != header.len() {
        return Err(bad());
    }
    Ok(row.swap_remove(position))
}

/// One record of CSV and what follows it; `None` where a quote does not end or text follows one.
fn record(text: &str) -> Option<(Vec<String>, &str)> {
    let mut cells = Vec::new();
    let mut rest = text;
    loop {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(inside) => quoted(inside)?,
            None => {
                let end = rest.find([',', '\n']).unwrap_or(rest.len());
                (rest[..end].trim_end_matches('\r').to_owned(), &rest[end..])
            }
        };
        cells.push(cell);
        let after = after.strip_prefix('\r').unwrap_or(after);
        match after.as_bytes().first() {
            Some(b',') => rest = &after[1..],
            Some(b'\n') => return Some((cells, &after[1..])),
            None => return Some((cells, "")),
            Some(_) => return None,
        }
    }
}

/// A cell after its opening quote, and what follows its closing one.
fn quoted(inside: &str) -> Option<(String, &str)> {
    let mut cell = String::new();
    let mut rest = inside;
    loop {
        let end = rest.find('"')?;
        cell.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                cell.push('"');
                rest = more;
            }
            None => return Some((cell, rest)),
        }
    }
}

/// What does not hold of the values that `step` expects, in words; empty when all of it holds.
///
/// Values are compared to the letter. An expected value that is still pending does not hold.
#[must_use]
pub fn expectations(step: &Step, captures: &BTreeMap<String, String>) -> Vec<String> {
    step.expect
        .iter()
        .filter_map(|(name, expected)| {
            let found = captures.get(name);
            match (expected.resolved(), found) {
                (Some(expected), Some(found)) if &expected == found => None,
                (Some(expected), Some(found)) => Some(format!("{name} is '{found}', and has to be '{expected}'")),
                (Some(expected), None) => Some(format!("{name} was not read, and has to be '{expected}'")),
                (None, _) => Some(format!("{name} can't be judged: '{expected}' was never captured")),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use crate::domain::plan::{Argument, StepId, StepKind, When};
    use proptest::prelude::*;

    fn step(from: CaptureFrom) -> Step {
        Step {
            id: StepId::new("look").unwrap(),
            title: String::new(),
            why: String::new(),
            kind: StepKind::Note { text: Argument::text("") },
            destructive: false,
            when: When::Success,
            ruled_out: None,
            only_after: None,
            only_choice: None,
            hold: false,
            limit_seconds: None,
            failure: String::new(),
            repeat: String::new(),
            captures: vec![Capture { name: "v".into(), from }],
            expect: BTreeMap::new(),
            proves: Vec::new(),
        }
    }

    fn read(from: CaptureFrom, output: &str) -> Result<String, ExtractError> {
        captures(&step(from), output.as_bytes()).map(|mut values| values.remove("v").unwrap())
    }

    #[test]
    fn reads_the_first_line_with_the_beginning() {
        let control = "pg_control version number:            1300\nmax_connections setting:              100\n";
        let line = |prefix: &str| CaptureFrom::Line(prefix.into());
        assert_eq!(read(line("max_connections setting:"), control).unwrap(), "100");
        assert!(matches!(read(line("max_wal_senders setting:"), control), Err(ExtractError::NoLine { .. })));
        assert!(matches!(read(line("a:"), "a:  \n"), Err(ExtractError::EmptyLine { .. })));
        assert!(matches!(read(line("x"), " x 1\n"), Err(ExtractError::NoLine { .. })), "only at a line's beginning");
    }

    #[test]
    fn reads_csv_as_psql_writes_it() {
        let column = |name: &str| CaptureFrom::Column(name.into());
        let output = "a,\"b,\"\"c\"\"\",d\n1,\"two\nlines, \"\"q\"\"\",\n4,5,6\n";
        assert_eq!(read(column("a"), output).unwrap(), "1");
        assert_eq!(read(column("b,\"c\""), output).unwrap(), "two\u{240a}lines, \"q\"");
        assert_eq!(read(column("d"), output).unwrap(), "");
        assert!(matches!(read(column("e"), output), Err(ExtractError::NoColumn { .. })));
        assert!(matches!(read(column("a"), "a,b\n"), Err(ExtractError::NoRow { .. })));
        assert!(matches!(read(column("a"), "a,b\n1\n"), Err(ExtractError::BadCsv { .. })));
        assert!(matches!(read(column("a"), "a\n\"1\n"), Err(ExtractError::BadCsv { .. })));
        assert!(matches!(read(column("a"), ""), Err(ExtractError::NoColumn { .. })));
        assert_eq!(read(column("a"), "a\n\n").unwrap(), "", "a single NULL is an empty line");
    }

    #[test]
    fn what_is_kept_is_bounded_and_cleaned() {
        assert_eq!(read(CaptureFrom::Whole, " \u{1b}[2J\u{202e}x \n").unwrap(), "\u{241b}[2J<U+202E>x");
        let long = "x".repeat(MOST_VALUE_BYTES + 1);
        assert!(matches!(read(CaptureFrom::Whole, &long), Err(ExtractError::TooLong { .. })));
    }

    #[test]
    fn expects_to_the_letter() {
        let mut step = step(CaptureFrom::Whole);
        step.expect.insert("v".into(), Argument::text("off"));
        assert_eq!(expectations(&step, &BTreeMap::from([("v".into(), "off".into())])), Vec::<String>::new());
        assert_eq!(
            expectations(&step, &BTreeMap::from([("v".into(), "Off".into())])),
            ["v is 'Off', and has to be 'off'"]
        );
        assert_eq!(expectations(&step, &BTreeMap::new()).len(), 1);
        step.expect.insert("v".into(), Argument { pieces: vec![crate::domain::plan::Piece::Capture("a.b".into())] });
        assert_eq!(expectations(&step, &BTreeMap::from([("v".into(), "${a.b}".into())])).len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_give_clean_values_or_an_error(output in proptest::collection::vec(any::<u8>(), 0..400)) {
            for from in [CaptureFrom::Whole, CaptureFrom::Line("a".into()), CaptureFrom::Column("a".into())] {
                if let Ok(values) = captures(&step(from), &output) {
                    prop_assert!(!values["v"].contains(char::is_control));
                }
            }
        }

        #[test]
        fn any_cell_comes_back(cells in proptest::collection::vec("[ -~\n]{0,12}", 1..5)) {
            let line = |cells: Vec<String>| cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect::<Vec<_>>().join(",");
            let header = line((0..cells.len()).map(|index| format!("c{index}")).collect());
            let output = format!("{header}\n{}\n", line(cells.clone()));
            for (index, cell) in cells.iter().enumerate() {
                let found = read(CaptureFrom::Column(format!("c{index}")), &output).unwrap();
                prop_assert_eq!(found, clean(cell));
            }
        }
    }
}
