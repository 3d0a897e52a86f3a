//! A TOML table that knows which of its keys were asked for, so that the others are unknown keys.

use crate::planning::runbook::{Located, Problem, nearest};
use crate::planning::template::{Element, Template, TemplateError};
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The text that is read and what was found wrong with it.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
    pub(super) problems: Vec<Problem>,
}

/// A table under its words for messages (`step 'restore'`).
pub(super) struct Table<'t> {
    entries: &'t DeTable<'t>,
    pub(super) at: usize,
    pub(super) what: String,
    asked: BTreeSet<&'static str>,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl<'t> Reader<'t> {
    pub(super) fn problem(&mut self, at: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { at, what: what.into(), remedy: remedy.into() });
    }

    fn wrong_type(&mut self, value: &Value<'t>, key: &str, wanted: &str) {
        let found = value.get_ref().type_str();
        self.problem(value.span().start, format!("'{key}' is a TOML {found}"), format!("give {wanted}"));
    }

    /// A table, or a problem.
    pub(super) fn table(&mut self, value: &'t Value<'t>, key: &str, what: String) -> Option<Table<'t>> {
        match value.get_ref() {
            DeValue::Table(entries) => Some(Table { entries, at: value.span().start, what, asked: BTreeSet::new() }),
            _ => {
                self.wrong_type(value, key, "a table");
                None
            }
        }
    }

    /// A text with the place of its first character.
    pub(super) fn text(&mut self, value: &Value<'t>, key: &str) -> Option<Located> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong_type(value, key, "a text in quotes");
            return None;
        };
        let span = value.span();
        // With escapes in it the text does not stand in the file as it reads: then its opening quote must do.
        let raw = self.text.get(span.clone()).unwrap_or_default();
        let inside = if text.is_empty() { None } else { raw.find(text.as_ref()) };
        Some(Located { text: text.clone().into_owned(), at: span.start + inside.unwrap_or(0) })
    }

    /// A text with placeholders.
    pub(super) fn template(&mut self, value: &Value<'t>, key: &str) -> Option<Template> {
        let text = self.text(value, key)?;
        let read = Template::parse(&text.text, text.at);
        self.sound(&text, read)
    }

    /// An element of an argument list.
    pub(super) fn element(&mut self, value: &Value<'t>, key: &str) -> Option<Element> {
        let text = self.text(value, key)?;
        let read = Element::parse(&text.text, text.at);
        self.sound(&text, read)
    }

    fn sound<T>(&mut self, text: &Located, read: Result<T, TemplateError>) -> Option<T> {
        match read {
            Ok(read) => Some(read),
            Err(error) => {
                self.problem(text.at + error.offset, error.what, error.remedy);
                None
            }
        }
    }
}

impl<'t> Table<'t> {
    pub(super) fn root(entries: &'t DeTable<'t>) -> Table<'t> {
        Table { entries, at: 0, what: "the runbook".into(), asked: BTreeSet::new() }
    }

    /// The value of a key, if it is there; the key is known from now on.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'t Value<'t>> {
        self.asked.insert(key);
        self.entries.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Every entry, for a table whose keys are names.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Located, &'t Value<'t>)> + use<'t> {
        self.entries
            .iter()
            .map(|(key, value)| (Located { text: key.get_ref().clone().into_owned(), at: key.span().start }, value))
    }

    pub(super) fn text(&mut self, reader: &mut Reader<'t>, key: &'static str) -> Option<Located> {
        let value = self.value(key)?;
        reader.text(value, key)
    }

    /// A text that has to be there and to say something.
    pub(super) fn needed(&mut self, reader: &mut Reader<'t>, key: &'static str, remedy: &str) -> Option<Located> {
        let there = self.has(key);
        match self.text(reader, key) {
            Some(text) if text.text.trim().is_empty() => {
                reader.problem(text.at, format!("'{key}' of {} is empty", self.what), remedy);
                None
            }
            Some(text) => Some(text),
            None => {
                if !there {
                    self.missing(reader, key, remedy);
                }
                None
            }
        }
    }

    pub(super) fn missing(&self, reader: &mut Reader<'t>, key: &str, remedy: &str) {
        reader.problem(self.at, format!("{} has no '{key}'", self.what), remedy);
    }

    pub(super) fn template(&mut self, reader: &mut Reader<'t>, key: &'static str) -> Option<Template> {
        let value = self.value(key)?;
        reader.template(value, key)
    }

    /// A template that has to be there; an empty one stands for it when it is not.
    pub(super) fn needed_template(&mut self, reader: &mut Reader<'t>, key: &'static str, remedy: &str) -> Template {
        if !self.has(key) {
            self.missing(reader, key, remedy);
        }
        self.template(reader, key).unwrap_or_default()
    }

    pub(super) fn boolean(&mut self, reader: &mut Reader<'t>, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        if let DeValue::Boolean(flag) = value.get_ref() {
            return Some(*flag);
        }
        reader.wrong_type(value, key, "true or false, without quotes");
        None
    }

    pub(super) fn integer(&mut self, reader: &mut Reader<'t>, key: &'static str) -> Option<(i64, usize)> {
        let value = self.value(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        if number.is_none() {
            reader.wrong_type(value, key, "a whole number, without quotes");
        }
        number.map(|number| (number, value.span().start))
    }

    /// An array, its elements as they are.
    pub(super) fn array(&mut self, reader: &mut Reader<'t>, key: &'static str, of: &str) -> Option<Vec<&'t Value<'t>>> {
        let value = self.value(key)?;
        if let DeValue::Array(array) = value.get_ref() {
            return Some(array.iter().collect());
        }
        reader.wrong_type(value, key, &format!("a list of {of} in []"));
        None
    }

    pub(super) fn texts(&mut self, reader: &mut Reader<'t>, key: &'static str) -> Option<Vec<Located>> {
        let array = self.array(reader, key, "texts")?;
        Some(array.into_iter().filter_map(|value| reader.text(value, key)).collect())
    }

    /// A table of templates by name.
    pub(super) fn templates(&mut self, reader: &mut Reader<'t>, key: &'static str) -> BTreeMap<String, Template> {
        let Some(value) = self.value(key) else { return BTreeMap::new() };
        let Some(table) = reader.table(value, key, format!("'{key}' of {}", self.what)) else {
            return BTreeMap::new();
        };
        table
            .entries()
            .filter_map(|(name, value)| reader.template(value, &name.text).map(|template| (name.text, template)))
            .collect()
    }

    /// Tells of every key nobody asked for.
    pub(super) fn finish(self, reader: &mut Reader<'t>) {
        for (key, _) in self.entries() {
            if self.asked.contains(key.text.as_str()) {
                continue;
            }
            let known: Vec<&str> = self.asked.iter().copied().collect();
            let remedy = match nearest(&key.text, known.iter().copied()) {
                Some(near) => format!("'{near}' is probably meant"),
                None => format!("known here: {}", known.join(", ")),
            };
            reader.problem(key.at, format!("unknown key '{}' in {}", key.text, self.what), remedy);
        }
    }
}
