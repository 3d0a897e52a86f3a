//! What is wrong with a runbook, where, and what to do.

use std::fmt;

/// A mistake by its place in bytes, before lines are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Bytes from the runbook's beginning.
    pub at: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// A mistake with its line and column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The line, 1 for the first.
    pub line: usize,
    /// The column in characters, 1 for the first.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// `LINE:COLUMN: what: remedy`; the file's name is put before it by who knows it.
impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.line, self.column, self.what, self.remedy)
    }
}

/// Problems as findings: in the order of the text, each once.
#[must_use]
pub fn place(text: &str, mut problems: Vec<Problem>) -> Vec<Finding> {
    problems.sort_by(|left, right| (left.at, &left.what).cmp(&(right.at, &right.what)));
    problems.dedup();
    problems
        .into_iter()
        .map(|problem| {
            let end = (0..=problem.at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let before = &text[..end];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            Finding {
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                what: problem.what,
                remedy: problem.remedy,
            }
        })
        .collect()
}

/// The one of `known` that was probably meant by `given`, if one is near enough.
#[must_use]
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|name| (distance(given, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein distance over bytes.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, one) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, other) in right.bytes().enumerate() {
            let cost = diagonal + usize::from(one != other);
            diagonal = row[column + 1];
            row[column + 1] = cost.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters() {
        let problem = |at| Problem { at, what: "x".into(), remedy: "y".into() };
        let found = place("a\né=b\n", vec![problem(6), problem(4), problem(0), problem(3), problem(99)]);
        let places: Vec<(usize, usize)> = found.iter().map(|finding| (finding.line, finding.column)).collect();
        assert_eq!(places, [(1, 1), (2, 1), (2, 2), (2, 4), (3, 1)]);
    }

    #[test]
    fn guesses_only_what_is_near() {
        assert_eq!(nearest("stanca", ["set", "stanza"]), Some("stanza"));
        assert_eq!(nearest("nothing-like-it", ["set", "stanza"]), None);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
