//! Placeholders in argument lists: `${name}`, `${step.capture}`, `$$`, and `@{list}` as a whole argument.
//!
//! A template is cut into pieces once, when the runbook is read. What is put in later is text and is
//! never looked through again, so a value can't bring a placeholder, an argument or a quote of its own.

use std::fmt;

/// One piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplatePiece {
    /// Text as it stands (`$$` has become `$`).
    Text(String),
    /// `${name}`: a parameter or a fact.
    Name {
        /// The parameter or fact.
        name: String,
        /// Bytes from the template's beginning to the `$`.
        offset: usize,
    },
    /// `${step.capture}`: a value that an earlier step captures.
    Capture {
        /// The step.
        step: String,
        /// The value's name within the step.
        name: String,
        /// Bytes from the template's beginning to the `$`.
        offset: usize,
    },
}

/// A text with placeholders, and where in the runbook it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    /// The pieces in order.
    pub pieces: Vec<TemplatePiece>,
    /// Bytes from the runbook's beginning to the text's first character (after the quote).
    pub at: usize,
}

/// An element of an argument list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    /// One argument.
    One(Template),
    /// `@{list}`: as many arguments as the list has.
    Splice {
        /// The list's name.
        list: String,
        /// Bytes from the runbook's beginning to the `@`.
        at: usize,
    },
}

/// A placeholder that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct TemplateError {
    /// Bytes from the template's beginning.
    pub offset: usize,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl Template {
    /// Cuts `text` into pieces; `at` is where its first character stands in the runbook.
    ///
    /// # Errors
    /// [`TemplateError`] for a `$` that begins no placeholder, one that does not end, or a bad name in it.
    pub fn parse(text: &str, at: usize) -> Result<Template, TemplateError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            plain.push_str(&rest[..dollar]);
            let offset = text.len() - rest.len() + dollar;
            let after = &rest[dollar + 1..];
            if let Some(next) = after.strip_prefix('$') {
                plain.push('$');
                rest = next;
                continue;
            }
            let (piece, length) = placeholder(after, offset)?;
            if !plain.is_empty() {
                pieces.push(TemplatePiece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
            rest = &after[length..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(TemplatePiece::Text(plain));
        }
        Ok(Template { pieces, at })
    }

    /// It is the empty text.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Its text where it has no placeholder.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [TemplatePiece::Text(text)] => Some(text),
            _ => None,
        }
    }
}

/// As it is written in a runbook.
impl fmt::Display for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pieces.iter().try_for_each(|piece| match piece {
            TemplatePiece::Text(text) => out.write_str(&text.replace('$', "$$")),
            TemplatePiece::Name { name, .. } => write!(out, "${{{name}}}"),
            TemplatePiece::Capture { step, name, .. } => write!(out, "${{{step}.{name}}}"),
        })
    }
}

/// Reads `{name}` or `{step.capture}` after a `$`; also returns how many bytes it took.
fn placeholder(after: &str, offset: usize) -> Result<(TemplatePiece, usize), TemplateError> {
    let Some(inner) = after.strip_prefix('{') else {
        return Err(TemplateError {
            offset,
            what: "a '$' that begins no placeholder".into(),
            remedy: "write ${name} for a value, or $$ for the character itself".into(),
        });
    };
    let Some(end) = inner.find('}') else {
        return Err(TemplateError {
            offset,
            what: "a placeholder that does not end".into(),
            remedy: "close it with '}', or write $$ for the character '$' itself".into(),
        });
    };
    let body = &inner[..end];
    let bad = || TemplateError {
        offset,
        what: format!("'{}' is not a placeholder's name", body.chars().take(60).collect::<String>()),
        remedy: "use ${name} for a parameter or a fact, ${step.name} for a captured value: a-z, 0-9, '-' and '_'"
            .into(),
    };
    let piece = match body.split_once('.') {
        None if is_name(body) => TemplatePiece::Name { name: body.into(), offset },
        Some((step, name)) if is_name(step) && is_name(name) => {
            TemplatePiece::Capture { step: step.into(), name: name.into(), offset }
        }
        _ => return Err(bad()),
    };
    Ok((piece, end + 2))
}

/// A name of a parameter, fact, check argument or captured value: a-z, 0-9, `-`, `_`, beginning with a letter, at most 60.
#[must_use]
pub fn is_name(text: &str) -> bool {
    text.len() <= 60
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

impl Element {
    /// Reads one element of an argument list.
    ///
    /// # Errors
    /// [`TemplateError`] as [`Template::parse`], and for an `@{` that is not the whole element.
    pub fn parse(text: &str, at: usize) -> Result<Element, TemplateError> {
        if let Some(position) = text.find("@{") {
            let list = text.strip_prefix("@{").and_then(|rest| rest.strip_suffix('}'));
            return match list.filter(|list| is_name(list)) {
                Some(list) => Ok(Element::Splice { list: list.into(), at }),
                None => Err(TemplateError {
                    offset: position,
                    what: "a list stands inside an argument".into(),
                    remedy: "a list gives whole arguments: make \"@{name}\" an element of its own".into(),
                }),
            };
        }
        Template::parse(text, at).map(Element::One)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cuts_text_names_and_captures() {
        let template = Template::parse("--set=${set} $$1 ${control.max}", 10).unwrap();
        assert_eq!(
            template.pieces,
            vec![
                TemplatePiece::Text("--set=".into()),
                TemplatePiece::Name { name: "set".into(), offset: 6 },
                TemplatePiece::Text(" $1 ".into()),
                TemplatePiece::Capture { step: "control".into(), name: "max".into(), offset: 17 },
            ]
        );
        assert_eq!(template.to_string(), "--set=${set} $$1 ${control.max}");
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (text, offset, gist) in [
            ("a$b", 1, "begins no placeholder"),
            ("a ${b", 2, "does not end"),
            ("${}", 0, "not a placeholder's name"),
            ("${a.b.c}", 0, "not a placeholder's name"),
            ("${A}", 0, "not a placeholder's name"),
            ("é$", 2, "begins no placeholder"),
        ] {
            let error = Template::parse(text, 0).unwrap_err();
            assert_eq!(error.offset, offset, "{text}");
            assert!(error.what.contains(gist), "{text}: {error}");
        }
    }

    #[test]
    fn a_list_is_a_whole_argument() {
        assert_eq!(Element::parse("@{options}", 3).unwrap(), Element::Splice { list: "options".into(), at: 3 });
        for text in ["--x=@{options}", "@{options} ", "@{a}@{b}", "@{}"] {
            assert!(Element::parse(text, 0).is_err(), "{text}");
        }
        assert!(matches!(Element::parse("user@host", 0).unwrap(), Element::One(_)));
    }

    proptest! {
        #[test]
        fn text_without_a_dollar_stays_as_it_is(text in "[^$]{1,40}") {
            let template = Template::parse(&text, 0).unwrap();
            prop_assert_eq!(template.literal(), Some(text.as_str()));
        }

        #[test]
        fn any_text_is_read_or_refused_and_reads_back(text in any::<String>()) {
            if let Ok(template) = Template::parse(&text, 7) {
                prop_assert_eq!(template.to_string(), text);
            }
        }
    }
}
