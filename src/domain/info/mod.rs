//! The tolerant shape of `pgbackrest info --output=json`, 2.3x to 2.59.
//!
//! Unknown fields are passed over and missing ones are no error; warnings around the document are kept; what isn't
//! JSON because pgBackRest wrote garbage into a message is repaired. The document is decoded straight from its bytes,
//! one set at a time into a compact form, so that 155 MB of it need little more memory than themselves.

pub mod backup;
mod canonical;
mod general;
mod raw;
mod repair;
mod scalar;
pub mod stanza;
pub mod units;

use crate::domain::info::repair::{Repaired, repair};
use crate::domain::info::stanza::InfoStanza;
use crate::domain::text::{clean, clean_bytes};

/// Lines around the document that are kept; more are only counted.
const MOST_WARNINGS: usize = 50;

/// How much of the output is shown with an error, in bytes to either side.
const CONTEXT: usize = 40;

/// A decoded document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InfoDocument {
    /// Lines before and after the JSON, cleaned: 2.53 on prints warnings about the configuration there.
    pub warnings: Vec<String>,
    /// The stanzas, in the document's order.
    pub stanzas: Vec<InfoStanza>,
}

/// The output of `pgbackrest info` can't be read. Nothing is known of the backups then: they may be all there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InfoError {
    /// No output at all.
    #[error(
        "pgbackrest info printed nothing, so nothing is known of the backups; run `pgbackrest info` by hand and read its \
        error output"
    )]
    Empty,
    /// Output without a document.
    #[error(
        "pgbackrest info did not print the JSON that was asked for (no line begins with '['), so nothing is known of the \
        backups; it begins: {near}. Check that the program is pgbackrest, and run `pgbackrest info` by hand"
    )]
    NoDocument {
        /// How it begins, cleaned.
        near: String,
    },
    /// The document stops in the middle.
    #[error(
        "the JSON of pgbackrest info is cut off after byte {offset}, so nothing is known of the backups; it ends: {near}. \
        pgbackrest was killed, or its output was limited: ask again"
    )]
    CutOff {
        /// Where it ends, in bytes from the start of the output.
        offset: usize,
        /// What stands there, cleaned.
        near: String,
    },
    /// The document is damaged, or of a shape that no known version prints.
    #[error(
        "the JSON of pgbackrest info can't be read at byte {offset}: {what}; there stands: {near}. Nothing is known of the \
        backups; run `pgbackrest info` (without --output=json) by hand, and check the version of pgbackrest"
    )]
    Damaged {
        /// Where, in bytes from the start of the output.
        offset: usize,
        /// What is wrong, cleaned.
        what: String,
        /// What stands there, cleaned.
        near: String,
    },
}

/// Decodes the standard output of `pgbackrest info --output=json`.
///
/// # Errors
/// [`InfoError`] when there is no document in it, or a damaged one.
pub fn decode(bytes: &[u8]) -> Result<InfoDocument, InfoError> {
    if bytes.trim_ascii().is_empty() {
        return Err(InfoError::Empty);
    }
    let start = find_document(bytes).ok_or_else(|| InfoError::NoDocument { near: near(bytes, 0) })?;
    let body = &bytes[start..];
    let (stanzas, length) = match std::str::from_utf8(body).ok().map(parse) {
        Some(Ok(found)) => found,
        first => match (repair(body), first) {
            (Some(repaired), _) => parse_repaired(&repaired, bytes, start)?,
            // Without anything to repair it was UTF-8, and the first try is the answer.
            (None, Some(Err(failure))) => return Err(failure.explain(bytes, start)),
            (None, _) => return Err(InfoError::NoDocument { near: near(bytes, start) }),
        },
    };
    let mut warnings = Vec::new();
    let around = bytes[..start].split(|&byte| byte == b'\n').chain(body[length..].split(|&byte| byte == b'\n'));
    let mut more = 0;
    for line in around.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        if warnings.len() < MOST_WARNINGS {
            warnings.push(clean_bytes(&line[..line.len().min(1000)]));
        } else {
            more += 1;
        }
    }
    if more > 0 {
        warnings.push(format!("… and {more} more lines"));
    }
    Ok(InfoDocument { warnings, stanzas })
}

/// Where the document begins: the first line that begins with `[` and goes on as a list of objects, else the first
/// that begins with `[` at all.
fn find_document(bytes: &[u8]) -> Option<usize> {
    let mut first = None;
    let mut start = 0;
    loop {
        // Looked at before the line's end is searched: the document is a single line of any length.
        if bytes.get(start) == Some(&b'[') {
            if let Some(b'{' | b']') = bytes[start + 1..].trim_ascii_start().first() {
                return Some(start);
            }
            first = first.or(Some(start));
        }
        match bytes[start..].iter().position(|&byte| byte == b'\n') {
            Some(length) => start += length + 1,
            None => return first,
        }
    }
}

/// Why a text is no document, and where in it.
struct Failure {
    position: usize,
    is_cut_off: bool,
    what: String,
}

impl Failure {
    fn explain(self, bytes: &[u8], start: usize) -> InfoError {
        let offset = start + self.position;
        let near = near(bytes, offset);
        if self.is_cut_off {
            InfoError::CutOff { offset, near }
        } else {
            InfoError::Damaged { offset, what: self.what, near }
        }
    }
}

/// The stanzas, and how many bytes they took; what follows is not looked at.
fn parse(text: &str) -> Result<(Vec<InfoStanza>, usize), Failure> {
    canonical::parse(text).map_or_else(|| parse_generally(text), Ok)
}

fn parse_generally(text: &str) -> Result<(Vec<InfoStanza>, usize), Failure> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Vec<InfoStanza>>();
    match stream.next() {
        Some(Ok(mut stanzas)) => {
            stanzas.shrink_to_fit();
            Ok((stanzas, stream.byte_offset()))
        }
        Some(Err(error)) => Err(Failure {
            position: position(text, &error),
            is_cut_off: error.is_eof(),
            what: clean(without_place(&error.to_string())),
        }),
        None => Err(Failure { position: 0, is_cut_off: true, what: String::new() }),
    }
}

fn parse_repaired(repaired: &Repaired, bytes: &[u8], start: usize) -> Result<(Vec<InfoStanza>, usize), InfoError> {
    match parse(&repaired.text) {
        Ok((stanzas, length)) => Ok((stanzas, repaired.original(length))),
        Err(failure) => {
            let position = repaired.original(failure.position);
            Err(Failure { position, ..failure }.explain(bytes, start))
        }
    }
}

/// The error's place as a position in `text`.
fn position(text: &str, error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    let line_start: usize = text.split_inclusive('\n').take(lines_before).map(str::len).sum();
    (line_start + error.column()).min(text.len())
}

/// serde_json's message without its ` at line 1 column 2`: bytes are what a single long line needs.
fn without_place(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(what, _)| what)
}

/// What stands around `offset`, cleaned and cut.
fn near(bytes: &[u8], offset: usize) -> String {
    let offset = offset.min(bytes.len());
    let piece = &bytes[offset.saturating_sub(CONTEXT)..(offset + CONTEXT).min(bytes.len())];
    clean_bytes(piece)
}

#[cfg(test)]
mod tests;
