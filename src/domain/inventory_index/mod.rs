//! The last known inventory as a file that is read by position: 200,000 sets lie on the disk, and only the stanza that is
//! looked at is in memory. Bytes only; `engine::inventory_index` has the file.
//!
//! ```text
//! header    68 bytes: magic, format, where the outline lies and its sum, whose answer this is, and the header's sum
//! stanzas   one after the other, each by itself
//! outline   what is told of all stanzas, and where each lies, with its sum
//! ```
//!
//! It is disposable: it is written for one version of the program, and what is foreign, cut or changed anywhere is no
//! index ([`Damage`]). Every byte belongs to a sum (CRC-32C), and the length is exact.

use crate::domain::inventory::{Inventory, Known, KnownStanza, Stanza};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// The header's length in bytes.
pub const HEADER_BYTES: usize = 68;

/// What an index begins with.
const MAGIC: [u8; 8] = *b"LIFEBIDX";
/// Grows with every change of what is written. A test holds one to the other.
const FORMAT: u32 = 1;

/// Whose answer an index is: a digest of what was asked, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexKey(pub [u8; 32]);

/// Why these bytes are no index to go by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// No index, or one of another version.
    #[error("it is of another version, or no index at all")]
    Foreign,
    /// Of another configuration, or of one that changed since.
    #[error("it belongs to another configuration")]
    OtherKey,
    /// Cut, or changed.
    #[error("it is damaged")]
    Damaged,
}

/// Where some bytes of the file lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The first, in bytes from the file's beginning.
    pub offset: u64,
    /// How many.
    pub length: u64,
    /// Their CRC-32C.
    sum: u32,
}

impl Place {
    fn of(offset: u64, bytes: &[u8]) -> Place {
        Place { offset, length: bytes.len() as u64, sum: crc32c::crc32c(bytes) }
    }

    fn check(&self, bytes: &[u8]) -> Result<(), Damage> {
        if *self == Place::of(self.offset, bytes) { Ok(()) } else { Err(Damage::Damaged) }
    }

    /// The stanza that these bytes, read from there, are.
    ///
    /// # Errors
    /// [`Damage::Damaged`].
    pub fn stanza(&self, bytes: &[u8]) -> Result<Stanza, Damage> {
        self.check(bytes)?;
        whole(bytes)
    }
}

/// What is told of all stanzas, and where each lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The inventory, no stanza of it held.
    pub known: Known,
    /// Where its stanzas lie, in their order.
    pub places: Vec<Place>,
}

impl Outline {
    /// Where the stanza of this name lies.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Place> {
        let at = self.known.stanzas.iter().position(|stanza| stanza.name == name)?;
        self.places.get(at).copied()
    }
}

#[derive(Serialize, Deserialize)]
struct WrittenOutline {
    /// Seconds since 1970, and the nanoseconds after them.
    read_at: (i64, u32),
    pgbackrest: String,
    warnings: Vec<String>,
    stanzas: Vec<(KnownStanza, Place)>,
}

/// Makes an index: the stanzas one by one behind [`HEADER_BYTES`] bytes, then the outline, then the header to go first.
#[derive(Debug)]
pub struct Writer {
    key: IndexKey,
    /// Where the next bytes go.
    offset: u64,
    stanzas: Vec<(KnownStanza, Place)>,
}

impl Writer {
    /// An empty one.
    #[must_use]
    pub fn new(key: IndexKey) -> Writer {
        Writer { key, offset: HEADER_BYTES as u64, stanzas: Vec::new() }
    }

    /// The bytes of a stanza.
    ///
    /// # Errors
    /// [`Damage::Damaged`] when it can't be written down, which memory alone can cause.
    pub fn stanza(&mut self, stanza: &Stanza) -> Result<Vec<u8>, Damage> {
        let bytes = postcard::to_allocvec(stanza).map_err(|_| Damage::Damaged)?;
        self.stanzas.push((KnownStanza::short(stanza), Place::of(self.offset, &bytes)));
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }

    /// The outline, and the header: with it the file is whole. What `inventory` tells beside its stanzas is taken; those
    /// are the ones that were written.
    ///
    /// # Errors
    /// As for [`Writer::stanza`].
    pub fn finish(self, inventory: &Inventory) -> Result<(Vec<u8>, [u8; HEADER_BYTES]), Damage> {
        let outline = WrittenOutline {
            read_at: (inventory.read_at.timestamp(), inventory.read_at.timestamp_subsec_nanos()),
            pgbackrest: inventory.pgbackrest.clone(),
            warnings: inventory.warnings.clone(),
            stanzas: self.stanzas,
        };
        let bytes = postcard::to_allocvec(&outline).map_err(|_| Damage::Damaged)?;
        let place = Place::of(self.offset, &bytes);
        Ok((bytes, header(&place, self.key)))
    }
}

fn header(outline: &Place, key: IndexKey) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let parts: [&[u8]; 6] = [
        &MAGIC,
        &FORMAT.to_le_bytes(),
        &outline.sum.to_le_bytes(),
        &outline.offset.to_le_bytes(),
        &outline.length.to_le_bytes(),
        &key.0,
    ];
    let (body, sum) = header.split_at_mut(HEADER_BYTES - 4);
    body.copy_from_slice(&parts.concat());
    sum.copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    header
}

/// Where the outline lies, by the header of a file of so many bytes.
///
/// # Errors
/// [`Damage`].
pub fn outline_place(header: &[u8; HEADER_BYTES], file_bytes: u64, key: IndexKey) -> Result<Place, Damage> {
    let word = |at: usize| header.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes);
    let long = |at: usize| header.get(at..at + 8).and_then(|long| long.try_into().ok()).map_or(0, u64::from_le_bytes);
    if header[..8] != MAGIC || word(8) != FORMAT {
        return Err(Damage::Foreign);
    }
    if crc32c::crc32c(&header[..HEADER_BYTES - 4]) != word(HEADER_BYTES - 4) {
        return Err(Damage::Damaged);
    }
    if header[32..64] != key.0 {
        return Err(Damage::OtherKey);
    }
    let place = Place { offset: long(16), length: long(24), sum: word(12) };
    if place.offset.checked_add(place.length) == Some(file_bytes) { Ok(place) } else { Err(Damage::Damaged) }
}

/// The outline that these bytes, read from its place, are.
///
/// # Errors
/// [`Damage::Damaged`].
pub fn outline(place: &Place, bytes: &[u8]) -> Result<Outline, Damage> {
    place.check(bytes)?;
    let written: WrittenOutline = whole(bytes)?;
    let mut next = HEADER_BYTES as u64;
    for (_, stanza) in &written.stanzas {
        // One right behind the other: whatever is read later was written for that.
        if stanza.offset != next {
            return Err(Damage::Damaged);
        }
        next = next.checked_add(stanza.length).ok_or(Damage::Damaged)?;
    }
    if next != place.offset {
        return Err(Damage::Damaged);
    }
    let (seconds, nanoseconds) = written.read_at;
    let read_at: Option<DateTime<Utc>> = DateTime::from_timestamp(seconds, nanoseconds);
    let (stanzas, places) = written.stanzas.into_iter().unzip();
    let known = Known {
        read_at: read_at.ok_or(Damage::Damaged)?,
        pgbackrest: written.pgbackrest,
        warnings: written.warnings,
        stanzas,
    };
    Ok(Outline { known, places })
}

/// All of the bytes and no more.
fn whole<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Damage> {
    match postcard::take_from_bytes(bytes) {
        Ok((found, [])) => Ok(found),
        _ => Err(Damage::Damaged),
    }
}
