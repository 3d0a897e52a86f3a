//! Resource managers and the kinds of their records: `access/rmgrlist.h`, and `rmgrdesc/` for the names, which are those
//! that `pg_waldump` prints.

use crate::domain::wal_reader::version::WalVersion;
use std::fmt;

/// A resource manager's number. 128 and above belong to extensions (15 on).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rmgr(pub u8);

/// Names by number. 12 to 18 end at `LogicalMessage`, 19 added `XLOG2`.
const NAMES: [&str; 23] = [
    "XLOG",
    "Transaction",
    "Storage",
    "CLOG",
    "Database",
    "Tablespace",
    "MultiXact",
    "RelMap",
    "Standby",
    "Heap2",
    "Heap",
    "Btree",
    "Hash",
    "Gin",
    "Gist",
    "Sequence",
    "SPGist",
    "BRIN",
    "CommitTs",
    "ReplicationOrigin",
    "Generic",
    "LogicalMessage",
    "XLOG2",
];

impl Rmgr {
    /// Checkpoints, switches, restore points, page images.
    pub const XLOG: Rmgr = Rmgr(0);
    /// Commits and aborts.
    pub const TRANSACTION: Rmgr = Rmgr(1);
    /// Files made and cut.
    pub const STORAGE: Rmgr = Rmgr(2);
    /// Which transactions committed.
    pub const CLOG: Rmgr = Rmgr(3);
    /// Databases made and dropped.
    pub const DATABASE: Rmgr = Rmgr(4);
    /// Where mapped catalogs lie.
    pub const RELATION_MAP: Rmgr = Rmgr(7);
    /// What a standby has to know: locks, running transactions.
    pub const STANDBY: Rmgr = Rmgr(8);
    /// The second half of the heap's records.
    pub const HEAP2: Rmgr = Rmgr(9);
    /// Rows inserted, updated, deleted.
    pub const HEAP: Rmgr = Rmgr(10);

    /// The usual kind of index.
    pub const BTREE: Rmgr = Rmgr(11);

    /// The first number that belongs to extensions.
    const FIRST_CUSTOM: u8 = 128;

    /// Whether a server of this version can have written it: its own, or an extension's.
    #[must_use]
    #[inline]
    pub fn is_known(self, version: WalVersion) -> bool {
        let built_in = if version >= WalVersion::V19 { 23 } else { 22 };
        self.0 < built_in || (self.0 >= Rmgr::FIRST_CUSTOM && version >= WalVersion::V15)
    }
}

impl fmt::Display for Rmgr {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0)) {
            Some(name) => out.write_str(name),
            None => write!(out, "custom{:03}", self.0),
        }
    }
}

/// The name of a kind of record among those whose content is read, `COMMIT` or `INSERT+INIT`; `None` for the others.
/// `info` is the record's.
#[must_use]
pub fn record_name(rmgr: Rmgr, info: u8, version: WalVersion) -> Option<&'static str> {
    let kind = info & 0xF0;
    match rmgr {
        Rmgr::XLOG => xlog(kind, version),
        Rmgr::TRANSACTION => transaction(kind & 0x70, version),
        Rmgr::STORAGE => match kind {
            0x10 => Some("CREATE"),
            0x20 => Some("TRUNCATE"),
            _ => None,
        },
        Rmgr::DATABASE => match (kind, version >= WalVersion::V15) {
            (0x00, false) => Some("CREATE"),
            (0x10, false) | (0x20, true) => Some("DROP"),
            (0x00, true) => Some("CREATE_FILE_COPY"),
            (0x10, true) => Some("CREATE_WAL_LOG"),
            _ => None,
        },
        Rmgr::RELATION_MAP => (kind == 0).then_some("UPDATE"),
        Rmgr::STANDBY => match kind {
            0x00 => Some("LOCK"),
            0x10 => Some("RUNNING_XACTS"),
            0x20 => Some("INVALIDATIONS"),
            _ => None,
        },
        Rmgr::HEAP => heap(kind),
        Rmgr::HEAP2 => heap2(kind, version),
        _ => None,
    }
}

fn xlog(kind: u8, version: WalVersion) -> Option<&'static str> {
    Some(match kind {
        0x00 => "CHECKPOINT_SHUTDOWN",
        0x10 => "CHECKPOINT_ONLINE",
        0x20 => "NOOP",
        0x30 => "NEXTOID",
        0x40 => "SWITCH",
        0x50 => "BACKUP_END",
        0x60 => "PARAMETER_CHANGE",
        0x70 => "RESTORE_POINT",
        0x80 => "FPW_CHANGE",
        0x90 => "END_OF_RECOVERY",
        0xA0 => "FPI_FOR_HINT",
        0xB0 => "FPI",
        0xD0 => "OVERWRITE_CONTRECORD",
        0xE0 if version >= WalVersion::V17 => "CHECKPOINT_REDO",
        _ => return None,
    })
}

fn transaction(kind: u8, version: WalVersion) -> Option<&'static str> {
    Some(match kind {
        0x00 => "COMMIT",
        0x10 => "PREPARE",
        0x20 => "ABORT",
        0x30 => "COMMIT_PREPARED",
        0x40 => "ABORT_PREPARED",
        0x50 => "ASSIGNMENT",
        0x60 if version >= WalVersion::V14 => "INVALIDATION",
        _ => return None,
    })
}

fn heap(kind: u8) -> Option<&'static str> {
    Some(match kind {
        0x00 => "INSERT",
        0x80 => "INSERT+INIT",
        0x10 => "DELETE",
        0x20 => "UPDATE",
        0xA0 => "UPDATE+INIT",
        0x30 => "TRUNCATE",
        0x40 => "HOT_UPDATE",
        0xC0 => "HOT_UPDATE+INIT",
        0x50 => "HEAP_CONFIRM",
        0x60 => "LOCK",
        0x70 => "INPLACE",
        _ => return None,
    })
}

fn heap2(kind: u8, version: WalVersion) -> Option<&'static str> {
    let later = |from12, from14, from17| {
        if version >= WalVersion::V17 {
            from17
        } else if version >= WalVersion::V14 {
            from14
        } else {
            from12
        }
    };
    Some(match kind {
        0x00 => "REWRITE",
        0x10 => later("CLEAN", "PRUNE", "PRUNE_ON_ACCESS"),
        0x20 => later("FREEZE_PAGE", "VACUUM", "PRUNE_VACUUM_SCAN"),
        0x30 => later("CLEANUP_INFO", "FREEZE_PAGE", "PRUNE_VACUUM_CLEANUP"),
        0x40 => "VISIBLE",
        0x50 => "MULTI_INSERT",
        0xD0 => "MULTI_INSERT+INIT",
        0x60 => "LOCK_UPDATED",
        0x70 => "NEW_CID",
        _ => return None,
    })
}
