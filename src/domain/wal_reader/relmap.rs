//! Where the catalogs lie that can't say it of themselves: `utils/relmapper.h`, `RelMapFile` of `cache/relmapper.c`. The same
//! from 12 to 19, but for how many mappings there may be.

use crate::domain::wal_reader::block::RelationFile;
use crate::domain::wal_reader::bytes::{Cursor, u32_at};
use crate::domain::wal_reader::content::Content;

/// `RELMAPPER_FILEMAGIC`.
const MAGIC: u32 = 0x0059_2717;
/// `MAX_MAPPINGS`, of 16 on; before it was 62.
const MOST: usize = 64;

/// The map of a database, or of what all share: `pg_class`, `pg_attribute`, `pg_type`, `pg_proc` with their parts. Written
/// whole with each rewrite of one of them (`XLOG_RELMAP_UPDATE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationMap<'a> {
    /// The database; 0 for what all share.
    pub database: u32,
    /// Its tablespace.
    pub tablespace: u32,
    pairs: &'a [u8],
}

impl<'a> RelationMap<'a> {
    /// Each relation's oid and its file.
    pub fn iter(self) -> impl Iterator<Item = (u32, RelationFile)> + use<'a> {
        let (tablespace, database) = (self.tablespace, self.database);
        let file = move |pair: &[u8]| RelationFile { tablespace, database, number: u32_at(pair, 4) };
        self.pairs.chunks_exact(8).map(move |pair| (u32_at(pair, 0), file(pair)))
    }
}

/// Reads a record of the resource manager *RelMap*.
pub(super) fn read<'a>(info: u8, main: &'a [u8]) -> Option<Content<'a>> {
    if info & 0xF0 != 0 {
        return None;
    }
    let mut rest = Cursor(main);
    let (database, tablespace) = (rest.u32()?, rest.u32()?);
    let mut map = Cursor(rest.counted(1)?);
    let magic = map.u32()?;
    let count = usize::try_from(map.u32()?).ok().filter(|count| *count <= MOST && magic == MAGIC)?;
    Some(Content::RelationMap(RelationMap { database, tablespace, pairs: map.take(count * 8)? }))
}
