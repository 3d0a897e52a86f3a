//! The fast road: the document exactly as pgBackRest writes it, without white space and with its keys in order.
//!
//! A general decoder spends most of its time on finding out which key comes next. Here the next piece of text is known
//! and only compared, and what is unlike it goes the general way: a single set, or, where it matters for the answer
//! to be right, the whole document. So nothing here decides that a document is bad, and nothing is read differently:
//! `fast_and_general_agree` holds both roads against each other.

use crate::domain::info::backup::{BackupSet, LsnRange, OptionalBytes, Remarks, UnreadableSet, WalRange};
use crate::domain::info::general::{self, are_instants};
use crate::domain::info::raw::RawBackup;
use crate::domain::info::stanza::InfoStanza;
use crate::domain::info::units::{DatabaseId, RepositoryKey};
use crate::domain::label::{BackupLabel, Member};
use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::domain::version::PgBackRestVersion;
use crate::domain::wal::WalSegment;
use std::sync::Arc;

/// The stanzas and how many bytes they took; `None` when the document goes another way than expected.
pub(crate) fn parse(text: &str) -> Option<(Vec<InfoStanza>, usize)> {
    let mut cursor = Cursor { text, at: 0 };
    let mut stanzas: Vec<InfoStanza> = Vec::new();
    cursor.expect("[")?;
    loop {
        // Stanzas of one site are much alike: room for as many sets as the one before has.
        let likely = stanzas.last().and_then(|stanza| stanza.backups.as_ref()).map_or(0, Vec::len);
        stanzas.push(stanza(&mut cursor, likely)?);
        if cursor.skip(",") {
            continue;
        }
        cursor.expect("]")?;
        stanzas.shrink_to_fit();
        return Some((stanzas, cursor.at));
    }
}

/// A stanza: its sets here, the little that is around them by the general decoder.
fn stanza(cursor: &mut Cursor<'_>, likely: usize) -> Option<InfoStanza> {
    let before = cursor.at;
    cursor.expect("{\"archive\":")?;
    cursor.value()?;
    cursor.expect(",\"backup\":")?;
    let list = cursor.at;
    cursor.expect("[")?;
    let mut reader = SetReader::default();
    let mut sets = Vec::with_capacity(likely);
    if !cursor.skip("]") {
        loop {
            sets.push(reader.set(cursor)?);
            if cursor.skip(",") {
                continue;
            }
            cursor.expect("]")?;
            break;
        }
    }
    let after = cursor.at;
    cursor.rest_of_object()?;
    let around = format!("{}[]{}", &cursor.text[before..list], &cursor.text[after..cursor.at]);
    let mut stanza: InfoStanza = serde_json::from_str(&around).ok()?;
    sets.shrink_to_fit();
    stanza.backups = Some(sets);
    Some(stanza)
}

/// A place in the document.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn skip(&mut self, expected: &str) -> bool {
        let is_there = self.rest().starts_with(expected.as_bytes());
        if is_there {
            self.at += expected.len();
        }
        is_there
    }

    fn expect(&mut self, expected: &str) -> Option<()> {
        self.skip(expected).then_some(())
    }

    /// A string without escapes, after its opening quote; its closing quote is passed.
    fn string(&mut self) -> Option<&'a str> {
        let length = self.rest().iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
        let start = self.at;
        self.at += length;
        self.expect("\"")?;
        self.text.get(start..start + length)
    }

    /// A string of this length that `parse` takes: it must refuse quotes and escapes.
    fn exactly<T, E>(&mut self, length: usize, parse: fn(&str) -> Result<T, E>) -> Option<T> {
        let found = parse(self.text.get(self.at..self.at + length)?).ok()?;
        self.at += length;
        self.expect("\"")?;
        Some(found)
    }

    /// A label, after its opening quote.
    fn label(&mut self) -> Option<BackupLabel> {
        let is_full = self.rest().get(16) == Some(&b'"');
        self.exactly(if is_full { 16 } else { 33 }, BackupLabel::parse)
    }

    /// A segment's name, after its opening quote.
    fn segment(&mut self) -> Option<WalSegment> {
        self.exactly(24, WalSegment::parse)
    }

    /// A position, after its opening quote.
    fn lsn(&mut self) -> Option<Lsn> {
        Lsn::parse(self.string()?).ok()
    }

    /// A whole number without a sign.
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        let mut length = 0;
        for byte in self.rest().iter().take_while(|byte| byte.is_ascii_digit()) {
            value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
            length += 1;
        }
        // Neither nothing, nor 007.
        if length == 0 || (length > 1 && self.rest().first() == Some(&b'0')) {
            return None;
        }
        self.at += length;
        Some(value)
    }

    /// Passes a list or an object; whether it is well-formed is seen by whoever reads it.
    fn value(&mut self) -> Option<()> {
        if !matches!(self.rest().first(), Some(b'[' | b'{')) {
            return None;
        }
        self.at += 1;
        self.rest_of_object()
    }

    /// Passes what is left of an open list or object.
    fn rest_of_object(&mut self) -> Option<()> {
        let mut depth = 1u32;
        while depth > 0 {
            let byte = *self.rest().first()?;
            self.at += 1;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => self.rest_of_string()?,
                _ => {}
            }
        }
        Some(())
    }

    fn rest_of_string(&mut self) -> Option<()> {
        loop {
            let length = self.rest().iter().position(|&byte| byte == b'"' || byte == b'\\')?;
            let is_end = self.rest()[length] == b'"';
            self.at += length + if is_end { 1 } else { 2 };
            if self.at > self.text.len() {
                return None;
            }
            if is_end {
                return Some(());
            }
        }
    }
}

/// Reads the sets of one stanza; what it remembers is what sets have in common with the one before.
#[derive(Default)]
struct SetReader<'a> {
    remarks: Remarks,
    version: Option<(&'a str, Option<PgBackRestVersion>)>,
    /// The text between the brackets, the members it names, and of which full set.
    references: (&'a str, Vec<Member>, Option<BackupLabel>),
    /// The text with its closing brace, and what it says.
    annotations: Option<(&'a str, Arc<str>)>,
}

impl<'a> SetReader<'a> {
    /// A set, by the fast road or else by the general one.
    fn set(&mut self, cursor: &mut Cursor<'a>) -> Option<Result<BackupSet, UnreadableSet>> {
        let start = cursor.at;
        if let Some(set) = self.canonical(cursor) {
            return Some(Ok(set));
        }
        cursor.at = start;
        cursor.value()?;
        let raw: RawBackup<'_> = serde_json::from_str(&cursor.text[start..cursor.at]).ok()?;
        Some(general::set(raw, &mut self.remarks))
    }

    fn canonical(&mut self, cursor: &mut Cursor<'a>) -> Option<BackupSet> {
        cursor.expect("{")?;
        let annotations = if cursor.skip("\"annotation\":{") {
            let found = self.annotations(cursor)?;
            cursor.expect(",")?;
            Some(found)
        } else {
            None
        };
        cursor.expect("\"archive\":{")?;
        let (start, stop) = Self::range(cursor, Cursor::segment)?;
        let wal = WalRange { start, stop };
        cursor.expect(",\"backrest\":{\"format\":5,\"version\":\"")?;
        let made_by = self.version(cursor.string()?);
        cursor.expect("},\"database\":{\"id\":")?;
        let database = u32::try_from(cursor.number()?).ok()?;
        cursor.expect(",\"repo-key\":")?;
        let repository = u32::try_from(cursor.number()?).ok()?;
        let error = if cursor.skip("},\"error\":false,") {
            false
        } else {
            cursor.expect("},\"error\":true,")?;
            true
        };
        cursor.expect("\"info\":{\"delta\":")?;
        let copied_bytes = cursor.number()?;
        cursor.expect(",\"repository\":{\"delta\":")?;
        let repository_added = cursor.number()?;
        cursor.expect(",\"size\":")?;
        let repository_bytes = cursor.number()?;
        cursor.expect("},\"size\":")?;
        let database_bytes = cursor.number()?;
        cursor.expect("},\"label\":\"")?;
        let label = cursor.label()?;
        cursor.expect(",\"lsn\":{")?;
        let (start, stop) = Self::range(cursor, Cursor::lsn)?;
        let lsn = LsnRange { start, stop };
        cursor.expect(",\"prior\":")?;
        let prior = if cursor.skip("null") { None } else { Some(own_member(cursor, label)?) };
        cursor.expect(",\"reference\":")?;
        let references = self.references(cursor, label)?;
        cursor.expect(",\"timestamp\":{\"start\":")?;
        let start = i64::try_from(cursor.number()?).ok()?;
        cursor.expect(",\"stop\":")?;
        let stop = i64::try_from(cursor.number()?).ok()?;
        cursor.expect("},\"type\":\"")?;
        cursor.string()?;
        cursor.expect("}")?;
        are_instants(start, stop).then_some(BackupSet {
            label,
            prior,
            references,
            annotations,
            wal,
            lsn,
            start,
            stop,
            database_bytes,
            copied_bytes,
            repository_bytes: OptionalBytes::new(Some(repository_bytes)),
            repository_added: OptionalBytes::new(Some(repository_added)),
            repository: RepositoryKey(repository),
            database: DatabaseId(database),
            made_by,
            error: Some(error),
            rare: None,
        })
    }

    /// `"start":"…","stop":"…"}`, after the opening brace.
    fn range<T>(cursor: &mut Cursor<'a>, read: fn(&mut Cursor<'a>) -> Option<T>) -> Option<(T, T)> {
        cursor.expect("\"start\":\"")?;
        let start = read(cursor)?;
        cursor.expect(",\"stop\":\"")?;
        let stop = read(cursor)?;
        cursor.expect("}")?;
        Some((start, stop))
    }

    fn version(&mut self, text: &'a str) -> Option<PgBackRestVersion> {
        match self.version {
            Some((known, version)) if known == text => version,
            _ => {
                let version = PgBackRestVersion::parse(text).ok();
                self.version = Some((text, version));
                version
            }
        }
    }

    /// The sets referred to. An incremental set names all that the one before named, and that one: only what is new is
    /// read.
    fn references(&mut self, cursor: &mut Cursor<'a>, label: BackupLabel) -> Option<Box<[Member]>> {
        if cursor.skip("null") {
            return Some(Box::default());
        }
        cursor.expect("[")?;
        let start = cursor.at;
        // Taken, so that nothing half done stays behind when this list turns out to be another.
        let (known, mut members, family) = std::mem::take(&mut self.references);
        let goes_on = |byte: Option<&u8>| matches!(byte, Some(b',' | b']'));
        if family == Some(label.full())
            && cursor.rest().starts_with(known.as_bytes())
            && goes_on(cursor.rest().get(known.len()))
        {
            cursor.at += known.len();
        } else {
            members.clear();
            members.push(own_member(cursor, label)?);
        }
        while cursor.skip(",") {
            members.push(own_member(cursor, label)?);
        }
        let list = cursor.text.get(start..cursor.at)?;
        cursor.expect("]")?;
        let found = members.as_slice().into();
        self.references = (list, members, Some(label.full()));
        Some(found)
    }

    /// The annotations. Jobs write the same ones again and again: the same text is not read twice.
    fn annotations(&mut self, cursor: &mut Cursor<'a>) -> Option<Arc<str>> {
        let start = cursor.at;
        if let Some((text, known)) = &self.annotations
            && cursor.skip(text)
        {
            return Some(Arc::clone(known));
        }
        let mut cleaned = String::new();
        loop {
            cursor.expect("\"")?;
            let key = cursor.string()?;
            cursor.expect(":\"")?;
            let value = cursor.string()?;
            cleaned.extend([&*clean(key), "\n", &*clean(value), "\n"]);
            if !cursor.skip(",") {
                break;
            }
        }
        cursor.expect("}")?;
        let found = self.remarks.share(cleaned);
        self.annotations = Some((cursor.text.get(start..cursor.at)?, Arc::clone(&found)));
        Some(found)
    }
}

/// The member that a label of the same family names, after its opening quote is passed.
fn own_member(cursor: &mut Cursor<'_>, label: BackupLabel) -> Option<Member> {
    cursor.expect("\"")?;
    let other = cursor.label()?;
    (other.full() == label.full()).then(|| other.member())
}
