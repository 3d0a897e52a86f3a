//! The parsed file to [`Settings`], noting every mistake on the way.

use crate::domain::text::clean_lines;
use crate::settings::{DrillDepth, Problem, Settings, THEMES};
use chrono_tz::Tz;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The sections and their keys: the one table behind reading, "did you mean" and the list in messages.
const KNOWN: [(&str, &[&str]); 7] = [
    ("pgbackrest", &["binary", "config", "stanza"]),
    ("postgres", &["bin_directory", "owner", "user"]),
    ("state", &["directory", "runtime_directory", "wal_cache"]),
    ("drill", &["directory", "probe_sql", "database", "depth"]),
    ("runbooks", &["directory"]),
    ("console", &["theme", "seconds", "ascii"]),
    ("operator", &["timezone"]),
];

/// The keys that take no text, but true or false.
const SWITCHES: [(&str, &str); 2] = [("console", "seconds"), ("console", "ascii")];

/// Line and column of a byte offset, both from 1.
pub(super) fn problem(file: &Path, text: &str, offset: usize, what: impl Into<String>) -> Problem {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    Problem { file: file.to_path_buf(), line, column, what: clean_lines(&what.into()) }
}

/// Walks the parsed file and notes every mistake on the way.
pub(super) struct Reader<'t> {
    pub(super) file: &'t Path,
    pub(super) folder: &'t Path,
    pub(super) text: &'t str,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_> {
    fn note(&mut self, offset: usize, what: impl Into<String>) {
        self.problems.push(problem(self.file, self.text, offset, what));
    }

    pub(super) fn sections(&mut self, table: &DeTable<'_>, settings: &mut Settings) {
        for (name, value) in table {
            let section = name.get_ref().as_ref();
            let Some((_, keys)) = KNOWN.iter().find(|(known, _)| *known == section) else {
                let what = unknown_section(section, value.get_ref());
                self.note(name.span().start, what);
                continue;
            };
            let DeValue::Table(entries) = value.get_ref() else {
                let kind = value.get_ref().type_str();
                self.note(value.span().start, format!("'{section}' is a section: write [{section}], not a {kind}"));
                continue;
            };
            for (key, value) in entries {
                if keys.contains(&key.get_ref().as_ref()) {
                    self.value(section, key.get_ref(), value, settings);
                } else {
                    self.note(key.span().start, unknown_key(section, keys, key.get_ref()));
                }
            }
        }
    }

    fn value(&mut self, section: &str, key: &str, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        if SWITCHES.contains(&(section, key)) {
            match value.get_ref() {
                DeValue::Boolean(on) => switch(key, *on, settings),
                other => {
                    let kind = article(other.type_str());
                    let what = format!("[{section}] {key} takes true or false, without quotes, not {kind}");
                    self.note(value.span().start, what);
                }
            }
            return;
        }
        let Some(text) = value.get_ref().as_str() else {
            let kind = value.get_ref().type_str();
            self.note(value.span().start, format!("[{section}] {key} takes text in quotes, not {}", article(kind)));
            return;
        };
        if let Err(what) = self.assign(section, key, text, settings) {
            self.note(value.span().start, format!("[{section}] {key}: {what}"));
        }
    }

    fn assign(&self, section: &str, key: &str, text: &str, settings: &mut Settings) -> Result<(), String> {
        if text.trim().is_empty() {
            return Err("the value is empty; leave the line out to get the default".to_owned());
        }
        if text.chars().any(|letter| letter.is_control() && !(key == "probe_sql" && letter.is_whitespace())) {
            return Err("the value holds a control character".to_owned());
        }
        let path = || self.folder.join(text);
        match (section, key) {
            ("pgbackrest", "binary") if !text.contains('/') => settings.pgbackrest.binary = PathBuf::from(text),
            ("pgbackrest", "binary") => settings.pgbackrest.binary = path(),
            ("pgbackrest", "config") => settings.pgbackrest.config = Some(path()),
            ("pgbackrest", "stanza") => settings.pgbackrest.stanza = Some(text.to_owned()),
            ("postgres", "bin_directory") => settings.postgres.bin_directory = Some(path()),
            ("postgres", "owner") => settings.postgres.owner = Some(text.to_owned()),
            ("postgres", "user") => settings.postgres.user = Some(text.to_owned()),
            ("state", "directory") => settings.state.directory = Some(path()),
            ("state", "runtime_directory") => settings.state.runtime_directory = Some(path()),
            ("state", "wal_cache") => settings.state.wal_cache_bytes = bytes(text)?,
            ("drill", "directory") => settings.drill.directory = Some(path()),
            ("drill", "probe_sql") => settings.drill.probe_sql = Some(text.to_owned()),
            ("drill", "database") => settings.drill.database = text.to_owned(),
            ("drill", "depth") => settings.drill.depth = depth(text)?,
            ("runbooks", "directory") => settings.runbooks.directory = Some(path()),
            ("console", "theme") => settings.console.theme = theme(text)?,
            ("operator", "timezone") => settings.operator.timezone = Some(timezone(text)?),
            _ => return Err("this version can't read it".to_owned()),
        }
        Ok(())
    }
}

fn switch(key: &str, on: bool, settings: &mut Settings) {
    match key {
        "seconds" => settings.console.seconds = on,
        _ => settings.console.ascii = on,
    }
}

/// `512MB`: a whole number and a unit of 1024 each, as PostgreSQL's own settings have it.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "kB" => Some(1 << 10),
        "MB" => Some(1 << 20),
        "GB" => Some(1 << 30),
        "TB" => Some(1 << 40),
        "" if number == "0" => Some(1),
        _ => None,
    };
    let bytes = number.parse().ok().zip(factor).and_then(|(number, factor): (u64, u64)| number.checked_mul(factor));
    bytes.ok_or_else(|| {
        format!("'{text}' is no size; write a whole number with kB, MB, GB or TB, as 2GB, or 0 for none")
    })
}

fn depth(text: &str) -> Result<DrillDepth, String> {
    let words: Vec<&str> = DrillDepth::ALL.iter().map(|depth| depth.word()).collect();
    let found = DrillDepth::ALL.into_iter().find(|depth| depth.word() == text);
    found.ok_or_else(|| format!("'{text}' is not a depth; it is one of {}", words.join(", ")))
}

fn theme(text: &str) -> Result<&'static str, String> {
    let found = THEMES.into_iter().find(|name| *name == text);
    found.ok_or_else(|| format!("'{text}' is no theme; it is one of {}", THEMES.join(", ")))
}

fn timezone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| {
        let near = nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let hint = near.map_or_else(|| "such as Europe/Berlin or UTC".to_owned(), |near| format!("perhaps {near}"));
        format!("'{text}' is not an IANA time zone name; {hint}")
    })
}

fn unknown_section(name: &str, value: &DeValue<'_>) -> String {
    let sections = KNOWN.map(|(section, _)| section);
    if !value.is_table()
        && let Some((section, _)) = KNOWN.iter().find(|(_, keys)| keys.contains(&name))
    {
        return format!("'{name}' stands outside a section; it belongs under [{section}]");
    }
    let near = nearest(name, sections.into_iter());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean [{near}]?"));
    format!("there is no section [{name}]{hint} (known: {})", sections.join(", "))
}

fn unknown_key(section: &str, keys: &[&str], key: &str) -> String {
    let known = keys.join(", ");
    if let Some(near) = nearest(key, keys.iter().copied()) {
        return format!("[{section}] has no key '{key}'; did you mean '{near}'? (known: {known})");
    }
    if let Some((other, _)) = KNOWN.iter().find(|(_, keys)| keys.contains(&key)) {
        return format!("[{section}] has no key '{key}'; it belongs under [{other}] (known here: {known})");
    }
    format!("[{section}] has no key '{key}' (known: {known})")
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// The known word that is fewest changes away, if it is near enough to be meant.
fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let (changes, near) =
        known.map(|known| (distance(&word, &known.to_lowercase()), known)).min_by_key(|(changes, _)| *changes)?;
    (changes <= (word.chars().count() / 3).max(2)).then_some(near)
}

/// Levenshtein's distance, where swapping two neighbours counts as one change.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=right.len()).collect());
    let mut last = None;
    for (line, letter) in left.chars().enumerate() {
        let mut next = vec![line + 1];
        for (column, other) in right.iter().enumerate() {
            let change = row[column] + usize::from(letter != *other);
            let mut least = change.min(row[column + 1] + 1).min(next[column] + 1);
            if column > 0 && last == Some(*other) && letter == right[column - 1] {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(letter);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, changes) in [("", "", 0), ("", "abc", 3), ("stanza", "stnaza", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(left, right), changes, "{left} {right}");
        }
    }
}
