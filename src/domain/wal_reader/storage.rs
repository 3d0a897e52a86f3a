//! Files and databases: `catalog/storage_xlog.h`, `commands/dbcommands_xlog.h`.

use crate::domain::wal_reader::block::RelationFile;
use crate::domain::wal_reader::bytes::Cursor;
use crate::domain::wal_reader::content::Content;
use crate::domain::wal_reader::version::WalVersion;

/// A relation's file is made, or cut at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageChange {
    /// A fork's file is made.
    Created {
        /// Whose.
        relation: RelationFile,
        /// The fork: 0 main, 1 free space map, 2 visibility map, 3 init.
        fork: u32,
    },
    /// Blocks at the end are given back, by VACUUM as a rule.
    Cut {
        /// Whose.
        relation: RelationFile,
        /// How many blocks stay.
        blocks: u32,
    },
}

/// A database is made or dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseChange {
    /// Made.
    Created {
        /// Its oid.
        database: u32,
    },
    /// Dropped, with all that was in it.
    Dropped {
        /// Its oid.
        database: u32,
    },
}

/// Reads a record of the resource manager *Storage*: the same from 12 to 19.
pub(super) fn read<'a>(info: u8, main: &'a [u8]) -> Option<Content<'a>> {
    let mut rest = Cursor(main);
    match info & 0xF0 {
        0x10 => Some(Content::Storage(StorageChange::Created { relation: rest.relation()?, fork: rest.u32()? })),
        0x20 => {
            let blocks = rest.u32()?;
            Some(Content::Storage(StorageChange::Cut { relation: rest.relation()?, blocks }))
        }
        _ => None,
    }
}

/// Reads a record of the resource manager *Database*. 15 made room for a second way to create one and moved the drop.
pub(super) fn read_database<'a>(info: u8, main: &'a [u8], version: WalVersion) -> Option<Content<'a>> {
    let database = Cursor(main).u32()?;
    let drop = if version >= WalVersion::V15 { 0x20 } else { 0x10 };
    match info & 0xF0 {
        kind if kind == drop => Some(Content::Database(DatabaseChange::Dropped { database })),
        kind if kind < drop => Some(Content::Database(DatabaseChange::Created { database })),
        _ => None,
    }
}
