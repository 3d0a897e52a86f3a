//! One line of a journal: how it is written, and what makes it the right one after the line before.
//!
//! `{"seq":1,"time":"…","mono_ns":1,"boot":"…","event":{…},"prev":"<64 hex>","hash":"<64 hex>"}`, where `hash` is the
//! SHA-256 of the exact bytes of the line up to, not including, `,"hash":`.

use crate::domain::digest::Digest;
use crate::domain::event::{Entry, JOURNAL_VERSION, RunEvent};
use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// `,"hash":"` + 64 digits + `"}`.
const TAIL_LENGTH: usize = 9 + 64 + 2;

/// When and in which boot an entry is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Wall-clock time with its offset.
    pub at: DateTime<FixedOffset>,
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub monotonic_ns: u64,
    /// The boot.
    pub boot_id: String,
}

/// The place in a chain behind the last good entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    sequence: u64,
    head: Digest,
}

/// Why a complete line is not the next entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LineFault {
    Damaged(String),
    Newer(String),
}

#[derive(Serialize)]
struct LineOut<'a> {
    seq: u64,
    time: &'a DateTime<FixedOffset>,
    mono_ns: u64,
    boot: &'a str,
    event: &'a RunEvent,
    prev: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineIn<'a> {
    seq: u64,
    time: DateTime<FixedOffset>,
    mono_ns: u64,
    #[serde(borrow)]
    boot: Cow<'a, str>,
    event: RunEvent,
    prev: Digest,
    hash: Digest,
}

/// The little of a line that is read when the rest of it is not understood.
#[derive(Deserialize)]
struct Glimpse {
    event: GlimpseOfEvent,
}

#[derive(Deserialize)]
struct GlimpseOfEvent {
    #[serde(rename = "type")]
    kind: String,
    version: Option<u64>,
}

impl Chain {
    /// Before the first entry.
    #[must_use]
    pub fn start() -> Chain {
        Chain { sequence: 0, head: Digest::ZERO }
    }

    /// Behind `entry`.
    #[must_use]
    pub fn at(entry: &Entry) -> Chain {
        Chain { sequence: entry.sequence, head: entry.hash }
    }

    /// The last entry's hash; zeros before the first.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.head
    }

    /// The last entry's sequence number; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Takes a complete line (without its line feed) as the next entry. On an error nothing is changed.
    pub(crate) fn accept(&mut self, line: &[u8]) -> Result<Entry, LineFault> {
        let damaged = |what: &str| LineFault::Damaged(what.to_owned());
        let cut = line.len().checked_sub(TAIL_LENGTH).ok_or_else(|| damaged("it is too short to be an entry"))?;
        let (body, tail) = line.split_at(cut);
        if !tail.starts_with(b",\"hash\":\"") || !tail.ends_with(b"\"}") {
            return Err(damaged("it does not end with a hash"));
        }
        let stated = std::str::from_utf8(&tail[9..9 + 64]).ok().and_then(|hex| Digest::parse(hex).ok());
        let hash = Digest::of(body);
        if stated != Some(hash) {
            return Err(damaged("its text does not have the hash it carries: it was altered after it was written"));
        }
        let entry: LineIn<'_> = serde_json::from_slice(line).map_err(|error| not_understood(line, &error))?;
        if let RunEvent::RunCreated { version, .. } = &entry.event
            && *version > JOURNAL_VERSION
        {
            return Err(newer(u64::from(*version)));
        }
        if entry.prev != self.head {
            return Err(damaged("it does not carry the hash of the line before: a line was removed, added or moved"));
        }
        if entry.seq != self.sequence + 1 {
            return Err(LineFault::Damaged(format!("entry {} follows entry {}", entry.seq, self.sequence)));
        }
        debug_assert_eq!(entry.hash, hash, "the tail was compared above");
        self.sequence = entry.seq;
        self.head = hash;
        Ok(Entry {
            sequence: entry.seq,
            at: entry.time,
            monotonic_ns: entry.mono_ns,
            boot_id: entry.boot.into_owned(),
            event: entry.event,
            hash,
        })
    }

    /// What is wrong with the bytes behind the last line feed, when they are not simply the beginning of the next
    /// entry. Zero bytes at their end count as unwritten: some file systems grow a file before its data is there.
    pub(crate) fn fault_of_tail(&self, tail: &[u8]) -> Option<String> {
        let written = tail.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let begins = format!("{{\"seq\":{},\"time\":\"", self.sequence + 1);
        let common = written.min(begins.len());
        if tail[..common] != begins.as_bytes()[..common] {
            return Some(format!("it is not the beginning of entry {}", self.sequence + 1));
        }
        let (_, before_last) = tail.split_last()?;
        if self.clone().accept(before_last).is_ok() {
            return Some("a whole entry stands there, but its line feed was altered".to_owned());
        }
        None
    }
}

fn newer(version: u64) -> LineFault {
    LineFault::Newer(format!("it has format {version}, this Lifeboat reads up to {JOURNAL_VERSION}"))
}

/// The hash holds, so the line is as it was written; what is not understood was written by another version.
fn not_understood(line: &[u8], error: &serde_json::Error) -> LineFault {
    match serde_json::from_slice::<Glimpse>(line) {
        Ok(Glimpse { event: GlimpseOfEvent { version: Some(version), .. } })
            if version > u64::from(JOURNAL_VERSION) =>
        {
            newer(version)
        }
        Ok(Glimpse { event }) if is_word(&event.kind) => LineFault::Newer(format!(
            "its event '{}' is not understood by this Lifeboat ({error})",
            event.kind.chars().take(40).collect::<String>()
        )),
        _ => LineFault::Damaged(format!("it is not an entry ({error})")),
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

/// The bytes of the next line, with its line feed, and the entry it holds.
///
/// # Errors
/// When the event can't be written as JSON, which none of today's can cause.
pub fn encode(chain: &Chain, stamp: Stamp, event: RunEvent) -> Result<(Vec<u8>, Entry), serde_json::Error> {
    let sequence = chain.sequence + 1;
    let out = LineOut {
        seq: sequence,
        time: &stamp.at,
        mono_ns: stamp.monotonic_ns,
        boot: &stamp.boot_id,
        event: &event,
        prev: chain.head,
    };
    let mut bytes = serde_json::to_vec(&out)?;
    bytes.pop(); // the closing brace, which comes back behind the hash
    let hash = Digest::of(&bytes);
    bytes.extend_from_slice(format!(",\"hash\":\"{hash}\"}}\n").as_bytes());
    let Stamp { at, monotonic_ns, boot_id } = stamp;
    Ok((bytes, Entry { sequence, at, monotonic_ns, boot_id, event, hash }))
}
