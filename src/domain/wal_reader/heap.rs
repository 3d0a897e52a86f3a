//! Rows: `access/heapam_xlog.h`. The records read here are laid out alike from PostgreSQL 12 to 19.

use crate::domain::wal_reader::block::RelationFile;
use crate::domain::wal_reader::bytes::{Cursor, Oids};
use crate::domain::wal_reader::content::Content;
use crate::domain::wal_reader::record::Parts;

/// The page is made anew with this record.
const KIND: u8 = 0x70;

/// `XLH_DELETE_IS_SUPER`: an `INSERT … ON CONFLICT` takes its own row back.
const DELETE_IS_SUPER: u8 = 1 << 3;
/// `XLH_DELETE_IS_PARTITION_MOVE`: an `UPDATE` moves the row to another partition.
const DELETE_IS_PARTITION_MOVE: u8 = 1 << 4;

/// What happened to rows of one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Where the relation lies. System catalogs and TOAST tables are relations like any other here.
    pub relation: RelationFile,
    /// What happened.
    pub kind: ChangeKind,
    /// How many rows: more than one only for a multi-insert.
    pub rows: u32,
    /// The block of the first row.
    pub block: u32,
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// Inserted.
    Insert,
    /// Updated, in another place or in the same page (HOT).
    Update,
    /// Deleted.
    Delete,
    /// Deleted here, since an update moved it to another partition, where it is inserted.
    MovedAway,
    /// An inserted row was taken back at once: its `INSERT … ON CONFLICT` met another one.
    InsertTakenBack,
}

/// Relations that were truncated, by oid. Written only where `wal_level` is `logical`: elsewhere a TRUNCATE shows as new
/// files and removed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Truncated<'a> {
    /// Their database.
    pub database: u32,
    /// Their oids.
    pub relations: Oids<'a>,
}

/// Reads a record of the resource manager *Heap*.
#[inline]
pub(super) fn read<'a>(info: u8, parts: &Parts<'a>) -> Option<Content<'a>> {
    let change = |kind| {
        let block = parts.first_block?;
        Some(Content::Change(Change { relation: block.relation, kind, rows: 1, block: block.block }))
    };
    match info & KIND {
        0x00 => change(ChangeKind::Insert),
        0x10 => {
            let flags = *parts.main.get(7)?;
            change(if flags & DELETE_IS_SUPER != 0 {
                ChangeKind::InsertTakenBack
            } else if flags & DELETE_IS_PARTITION_MOVE != 0 {
                ChangeKind::MovedAway
            } else {
                ChangeKind::Delete
            })
        }
        0x20 | 0x40 => change(ChangeKind::Update),
        0x30 => {
            let mut rest = Cursor(parts.main);
            let (database, count) = (rest.u32()?, rest.u32()?);
            rest.u32()?;
            let relations = Oids(rest.take(usize::try_from(count).ok()?.checked_mul(4)?)?);
            Some(Content::Truncate(Truncated { database, relations }))
        }
        // Confirmed, locked, changed in place: nothing that a user did to a row.
        _ => Some(Content::Other),
    }
}

/// Reads a record of the resource manager *Heap2*: only the insertion of several rows is a user's change.
#[inline]
pub(super) fn read2<'a>(info: u8, parts: &Parts<'a>) -> Option<Content<'a>> {
    if info & KIND != 0x50 {
        return Some(Content::Other);
    }
    let block = parts.first_block?;
    let rows = u32::from(u16::from_le_bytes([*parts.main.get(2)?, *parts.main.get(3)?]));
    Some(Content::Change(Change { relation: block.relation, kind: ChangeKind::Insert, rows, block: block.block }))
}
