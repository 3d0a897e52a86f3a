//! Values that must not be shown, and hiding them.

use crate::domain::secrets::{SHOWN, is_secret_option};
use crate::domain::text::clean;
use crate::engine::pgbackrest_config::{BackrestConfig, Entry};
use std::collections::BTreeSet;

/// The value of an option that must not be shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The option, as `repo1-cipher-pass`.
    pub option: String,
    value: String,
}

impl Secret {
    /// The value: to redact it or to hand it to a command's environment, never to show it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.value
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Secret({} {SHOWN})", self.option)
    }
}

impl BackrestConfig {
    /// The values of all secret options, wherever they are set, each once.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let mut seen = BTreeSet::new();
        self.entries
            .iter()
            .filter(|entry| entry.holds_secret() && seen.insert(&entry.value))
            .map(|entry| Secret { option: entry.option.clone(), value: entry.value.clone() })
            .collect()
    }

    /// `text` with every secret value replaced by [`SHOWN`]. A value shorter than four characters is replaced only
    /// where it stands as a word: else it would eat the text.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        let mut values: Vec<String> = Vec::new();
        for secret in self.secrets() {
            values.push(clean(&secret.value));
            values.push(secret.value);
        }
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        values.iter().fold(text.to_owned(), |text, value| hide(&text, value))
    }
}

impl Entry {
    fn holds_secret(&self) -> bool {
        // Other recovery options (restore targets, restore_command) are needed on the screen.
        is_secret_option(&self.option) && (self.option != "recovery-option" || self.value.contains("password"))
    }
}

fn hide(text: &str, value: &str) -> String {
    if value.is_empty() || !text.contains(value) {
        return text.to_owned();
    }
    if value.chars().count() >= 4 {
        return text.replace(value, SHOWN);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(value) {
        let (before, after) = (&rest[..at], &rest[at + value.len()..]);
        let part_of_a_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let inside = part_of_a_word(before.chars().next_back()) || part_of_a_word(after.chars().next());
        out.push_str(before);
        out.push_str(if inside { value } else { SHOWN });
        rest = after;
    }
    out.push_str(rest);
    out
}
