//! How transactions end: `access/xact.h` (`xl_xact_commit`, `xl_xact_abort`, `xl_xact_prepare`), `ParseCommitRecord` of
//! `rmgrdesc/xactdesc.c` for the order of what follows, and `storage/sinval.h` for the invalidation messages.
//!
//! From 12 to 19 the fixed parts are the same. Dropped statistics came with 15 (`XACT_XINFO_HAS_DROPPED_STATS`; 12 bytes
//! an item, from 18 on 16), and with them two more counts in the header of a prepared transaction.

use crate::domain::wal_reader::bytes::{Cursor, Oids, PgTime, RelationFiles, u32_at};
use crate::domain::wal_reader::content::Content;
use crate::domain::wal_reader::record::Record;
use crate::domain::wal_reader::version::WalVersion;

const KIND: u8 = 0x70;
const HAS_INFO: u8 = 0x80;

const HAS_DATABASE: u32 = 1;
const HAS_SUBTRANSACTIONS: u32 = 1 << 1;
const HAS_RELATION_FILES: u32 = 1 << 2;
const HAS_INVALIDATIONS: u32 = 1 << 3;
const HAS_TWO_PHASE: u32 = 1 << 4;
const HAS_ORIGIN: u32 = 1 << 5;
const HAS_GID: u32 = 1 << 7;
const HAS_DROPPED_STATS: u32 = 1 << 8;

/// `PGSTAT_KIND_RELATION`.
const STATS_OF_RELATION: u32 = 2;

/// Invalidations of the relation cache have this id (`SHAREDINVALRELCACHE_ID`).
const RELATION_CACHE: u8 = 0xFE;
/// Bytes of a `SharedInvalidationMessage`.
const MESSAGE_BYTES: usize = 16;

/// The end of a transaction: its commit or its abort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended<'a> {
    /// The transaction. For a prepared one it is not the id in the record's header.
    pub xid: u32,
    /// Whether it had been prepared before (`COMMIT PREPARED`, `ROLLBACK PREPARED`).
    pub was_prepared: bool,
    /// When, by the server's clock.
    pub time: PgTime,
    /// The database it worked in; 0 where it isn't said.
    pub database: u32,
    /// The subtransactions that share its fate.
    pub subtransactions: Oids<'a>,
    /// The relation files that are removed with it, the last one scheduled first.
    pub removed: RelationFiles<'a>,
    /// How many objects' statistics are dropped with it (15 on).
    pub dropped_stats: u32,
    /// The relations among them: those that it drops, of its own making or not.
    pub dropped: DroppedRelations<'a>,
    /// What other sessions have to forget: a commit names the relations whose definition it changed.
    pub invalidations: Invalidations<'a>,
    /// Where it comes from, where it was replicated: the commit's position and time there.
    pub origin: Option<(u64, PgTime)>,
}

/// A transaction that was prepared for a commit in two phases: it is still open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared<'a> {
    /// The transaction.
    pub xid: u32,
    /// Its database.
    pub database: u32,
    /// When it was prepared.
    pub time: PgTime,
    /// Its name, as bytes without the closing zero.
    pub gid: &'a [u8],
    /// Its subtransactions.
    pub subtransactions: Oids<'a>,
}

/// Relations whose statistics are dropped with a commit (15 on), tables, indexes and the like. The last one dropped comes
/// first (`pgstat_get_transactional_drops`, `utils/activity/pgstat_xact.c`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DroppedRelations<'a> {
    items: &'a [u8],
    item_bytes: usize,
}

impl<'a> DroppedRelations<'a> {
    /// Database and oid of each.
    pub fn iter(self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let items = self.items.chunks_exact(self.item_bytes.max(12));
        items.filter(|item| u32_at(item, 0) == STATS_OF_RELATION).map(|item| (u32_at(item, 4), u32_at(item, 8)))
    }
}

/// Caches of catalogs, by their number (`SysCacheIdentifier`, `utils/syscache.h`): another one in nearly every version, and
/// known here for the one that is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CatalogCaches {
    /// Of `pg_index` by the index's oid (`INDEXRELID`).
    pub indexes: u8,
    /// Of `pg_class` by oid (`RELOID`).
    pub relations: u8,
    /// Of `pg_sequence` by the sequence's oid (`SEQRELID`).
    pub sequences: u8,
    /// Of `pg_type` by oid (`TYPEOID`).
    pub types: u8,
}

impl CatalogCaches {
    /// Those of a version, where they are known.
    #[must_use]
    pub fn of(version: WalVersion) -> Option<CatalogCaches> {
        (version == WalVersion::V15).then_some(CatalogCaches { indexes: 32, relations: 55, sequences: 59, types: 80 })
    }

    /// The hash by which a cache with one oid as its key knows an entry (`murmurhash32`, `common/hashfn.h`).
    #[must_use]
    pub fn hash(oid: u32) -> u32 {
        let mut hash = oid;
        hash ^= hash >> 16;
        hash = hash.wrapping_mul(0x85EB_CA6B);
        hash ^= hash >> 13;
        hash = hash.wrapping_mul(0xC2B2_AE35);
        hash ^ hash >> 16
    }
}

/// The invalidation messages of a commit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Invalidations<'a>(&'a [u8]);

impl<'a> Invalidations<'a> {
    /// How many messages there are.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.len() / MESSAGE_BYTES
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Entries of the catalogs' caches that are stale: the cache's number and the entry's hash. Each row that is inserted,
    /// deleted, or updated with its key kept, is named once by each cache of its catalog; nothing is left out.
    pub fn entries(self) -> impl Iterator<Item = (u8, u32)> + use<'a> {
        let messages = self.0.chunks_exact(MESSAGE_BYTES).filter(|message| message[0] < 0x80);
        messages.map(|message| (message[0], u32_at(message, 8)))
    }

    /// The relations whose definition changed: database and oid, those of dropped ones too. One may come more than once.
    /// An oid of 0 stands for all of the database.
    pub fn relations(self) -> impl Iterator<Item = (u32, u32)> + use<'a> {
        let messages = self.0.chunks_exact(MESSAGE_BYTES).filter(|message| message[0] == RELATION_CACHE);
        messages.map(|message| (u32_at(message, 4), u32_at(message, 8)))
    }
}

/// Reads a record of the resource manager *Transaction*.
pub(super) fn read<'a>(record: &Record<'_>, main: &'a [u8]) -> Option<Content<'a>> {
    let kind = record.info & KIND;
    match kind {
        0x00 | 0x30 => ended(record, main, kind == 0x30).map(Content::Commit),
        0x20 | 0x40 => ended(record, main, kind == 0x40).map(Content::Abort),
        0x10 => prepared(record, main).map(Content::Prepare),
        0x50 => Some(Content::Other),
        0x60 if record.version >= WalVersion::V14 => Some(Content::Other),
        _ => None,
    }
}

fn ended<'a>(record: &Record<'_>, main: &'a [u8], was_prepared: bool) -> Option<Ended<'a>> {
    let mut rest = Cursor(main);
    let time = rest.time()?;
    let flags = if record.info & HAS_INFO == 0 { 0 } else { rest.u32()? };
    let has = |flag: u32| flags & flag != 0;
    if has(HAS_DROPPED_STATS) && record.version < WalVersion::V15 {
        return None;
    }
    let mut found = Ended {
        xid: record.xid,
        was_prepared,
        time,
        database: 0,
        subtransactions: Oids::default(),
        removed: RelationFiles::default(),
        dropped_stats: 0,
        dropped: DroppedRelations::default(),
        invalidations: Invalidations::default(),
        origin: None,
    };
    if has(HAS_DATABASE) {
        found.database = rest.u32()?;
        rest.u32()?;
    }
    if has(HAS_SUBTRANSACTIONS) {
        found.subtransactions = Oids(rest.counted(4)?);
    }
    if has(HAS_RELATION_FILES) {
        found.removed = RelationFiles(rest.counted(12)?);
    }
    if has(HAS_DROPPED_STATS) {
        let item = if record.version >= WalVersion::V18 { 16 } else { 12 };
        let items = rest.counted(item)?;
        found.dropped_stats = u32::try_from(items.len() / item).ok()?;
        found.dropped = DroppedRelations { items, item_bytes: item };
    }
    if has(HAS_INVALIDATIONS) {
        found.invalidations = Invalidations(rest.counted(MESSAGE_BYTES)?);
    }
    if has(HAS_TWO_PHASE) {
        found.xid = rest.u32()?;
        if has(HAS_GID) {
            let end = rest.0.iter().position(|byte| *byte == 0)?;
            rest.take(end + 1)?;
        }
    }
    if has(HAS_ORIGIN) {
        found.origin = Some((rest.u64()?, rest.time()?));
    }
    // A prepared transaction without its id, or bytes that no flag explains: another layout.
    if was_prepared != has(HAS_TWO_PHASE) || !rest.0.is_empty() {
        return None;
    }
    Some(found)
}

/// `TwoPhaseFileHeader`, then, each at a multiple of eight bytes: the name, subtransactions, and what is not read here.
fn prepared<'a>(record: &Record<'_>, main: &'a [u8]) -> Option<Prepared<'a>> {
    let mut rest = Cursor(main);
    rest.u64()?;
    let (xid, database, time) = (rest.u32()?, rest.u32()?, rest.time()?);
    rest.u32()?;
    let subtransactions = usize::try_from(rest.u32()?).ok()?;
    rest.u64()?;
    if record.version >= WalVersion::V15 {
        rest.u64()?;
    }
    rest.u32()?;
    rest.u16()?;
    let gid_bytes = usize::from(rest.u16()?);
    rest.take(16)?;
    let gid = rest.take(gid_bytes)?;
    rest.take(gid_bytes.next_multiple_of(8) - gid_bytes)?;
    let subtransactions = Oids(rest.take(subtransactions.checked_mul(4)?)?);
    let gid = gid.split(|byte| *byte == 0).next().unwrap_or_default();
    Some(Prepared { xid, database, time, gid, subtransactions })
}
