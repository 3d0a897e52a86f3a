//! The blocks that a record touches: `access/xlogrecord.h`, the same from PostgreSQL 9.5 to 19 but for the flags of page
//! images, which 15 laid out anew.

use crate::domain::wal_reader::bytes::Cursor;
use crate::domain::wal_reader::record::MalformedRecord;
use crate::domain::wal_reader::version::WalVersion;
use std::fmt;

/// The highest number of a block in a record (`XLR_MAX_BLOCK_ID`).
const LAST_BLOCK: u8 = 32;
const TOP_LEVEL_XID: u8 = 252;
const ORIGIN: u8 = 253;
const DATA_LONG: u8 = 254;
const DATA_SHORT: u8 = 255;

const FORK: u8 = 0x0F;
const HAS_IMAGE: u8 = 0x10;
const HAS_DATA: u8 = 0x20;
const WILL_INIT: u8 = 0x40;
const SAME_RELATION: u8 = 0x80;

const HAS_HOLE: u8 = 0x01;

/// Where a relation lies: `RelFileNode` of `storage/relfilenode.h`, from 16 on `RelFileLocator`. Its number is *not* the
/// relation's oid: it changes with TRUNCATE, VACUUM FULL, CLUSTER and every other rewrite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationFile {
    /// The tablespace's oid; 1663 is `pg_default`, 1664 `pg_global`.
    pub tablespace: u32,
    /// The database's oid; 0 for what all databases share.
    pub database: u32,
    /// The file's number.
    pub number: u32,
}

/// As `pg_waldump` writes it: `1663/16384/24576`.
impl fmt::Display for RelationFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.tablespace, self.database, self.number)
    }
}

/// A block that a record touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number in the record; 0 is the one that a change is about.
    pub id: u8,
    /// The fork: 0 main, 1 free space map, 2 visibility map, 3 init.
    pub fork: u8,
    /// Whether replay makes the page anew.
    pub will_init: bool,
    /// Whose it is.
    pub relation: RelationFile,
    /// Its number in the fork.
    pub block: u32,
    /// How many bytes its page image takes; 0 without one.
    pub image_bytes: u32,
    /// Whether the image is compressed.
    pub is_compressed: bool,
    /// How many bytes of change lie beside the image.
    pub data_bytes: u32,
}

/// What the headers before a record's data say.
pub(super) struct Headers {
    /// The block with the lowest number.
    pub(super) first: Option<Block>,
    /// Bytes of all images.
    pub(super) image_bytes: u32,
    /// Bytes of the main data: the last of the record.
    pub(super) main_bytes: usize,
    /// Bytes of the headers themselves.
    pub(super) header_bytes: usize,
    /// Bytes of images, block data and main data.
    pub(super) payload_bytes: u64,
    /// The transaction that a subtransaction belongs to, where `wal_level` is `logical` (14 on).
    pub(super) top_level_xid: Option<u32>,
}

/// The blocks of a record, in order.
#[derive(Debug, Clone)]
pub struct Blocks<'a> {
    rest: Cursor<'a>,
    version: WalVersion,
    before: Option<(u8, RelationFile)>,
    /// Bytes of payload that the headers so far announce.
    announced: u64,
    /// Bytes of the body that were not kept.
    beyond: u64,
}

/// What comes next among the headers.
enum Next {
    Block(Block),
    TopLevelXid(u32),
    Origin,
    Main(usize),
    /// The headers end with the record: no main data.
    Nothing,
}

impl<'a> Blocks<'a> {
    #[inline]
    pub(super) fn new(body: &'a [u8], body_bytes: u64, version: WalVersion) -> Blocks<'a> {
        let beyond = body_bytes.saturating_sub(body.len() as u64);
        Blocks { rest: Cursor(body), version, before: None, announced: 0, beyond }
    }

    #[inline]
    fn advance(&mut self) -> Option<Next> {
        // What the headers announced fills the rest: they have ended.
        if self.rest.0.len() as u64 + self.beyond <= self.announced {
            return Some(Next::Nothing);
        }
        match self.rest.u8()? {
            DATA_SHORT => Some(Next::Main(usize::from(self.rest.u8()?))),
            DATA_LONG => Some(Next::Main(usize::try_from(self.rest.u32()?).ok()?)),
            ORIGIN => self.rest.u16().map(|_| Next::Origin),
            TOP_LEVEL_XID => self.rest.u32().map(Next::TopLevelXid),
            id if id <= LAST_BLOCK && self.before.is_none_or(|(before, _)| before < id) => self.block(id),
            _ => None,
        }
    }

    #[inline]
    fn block(&mut self, id: u8) -> Option<Next> {
        let flags = self.rest.u8()?;
        let data_bytes = u32::from(self.rest.u16()?);
        if (flags & HAS_DATA != 0) != (data_bytes > 0) {
            return None;
        }
        let (mut image_bytes, mut is_compressed) = (0, false);
        if flags & HAS_IMAGE != 0 {
            image_bytes = u32::from(self.rest.u16()?);
            self.rest.u16()?;
            let info = self.rest.u8()?;
            // 15 on: pglz 0x04, lz4 0x08, zstd 0x10. Before: 0x02, pglz.
            let compression = if self.version >= WalVersion::V15 { 0x1C } else { 0x02 };
            is_compressed = info & compression != 0;
            if is_compressed && info & HAS_HOLE != 0 {
                self.rest.u16()?;
            }
        }
        let relation = if flags & SAME_RELATION == 0 { self.rest.relation()? } else { self.before?.1 };
        let block = Block {
            id,
            fork: flags & FORK,
            will_init: flags & WILL_INIT != 0,
            relation,
            block: self.rest.u32()?,
            image_bytes,
            is_compressed,
            data_bytes,
        };
        self.before = Some((id, relation));
        self.announced += u64::from(image_bytes) + u64::from(data_bytes);
        Some(Next::Block(block))
    }
}

impl Iterator for Blocks<'_> {
    type Item = Block;
    fn next(&mut self) -> Option<Block> {
        loop {
            match self.advance()? {
                Next::Block(block) => return Some(block),
                Next::TopLevelXid(_) | Next::Origin => {}
                Next::Main(_) | Next::Nothing => return None,
            }
        }
    }
}

/// Reads all headers of a record's body once.
#[inline]
pub(super) fn headers(body: &[u8], body_bytes: u64, version: WalVersion) -> Result<Headers, MalformedRecord> {
    let mut blocks = Blocks::new(body, body_bytes, version);
    let (mut first, mut image_bytes, mut top_level_xid) = (None, 0u32, None);
    let main_bytes = loop {
        match blocks.advance().ok_or(MalformedRecord)? {
            Next::Block(block) => {
                // Not `first.or(…)`: that picks one of two places in memory, and waits for what was just written there.
                if first.is_none() {
                    first = Some(block);
                }
                image_bytes += block.image_bytes;
            }
            Next::TopLevelXid(xid) => top_level_xid = Some(xid),
            Next::Origin => {}
            Next::Main(bytes) => break bytes,
            Next::Nothing => break 0,
        }
    };
    Ok(Headers {
        first,
        image_bytes,
        main_bytes,
        header_bytes: body.len() - blocks.rest.0.len(),
        payload_bytes: blocks.announced + main_bytes as u64,
        top_level_xid,
    })
}
