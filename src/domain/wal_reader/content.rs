//! What a record says.

use crate::domain::wal_reader::heap::{self, Change, Truncated};
use crate::domain::wal_reader::record::{Parts, Record};
use crate::domain::wal_reader::relmap::{self, RelationMap};
use crate::domain::wal_reader::rmgr::Rmgr;
use crate::domain::wal_reader::standby::{self, Locks, RunningTransactions};
use crate::domain::wal_reader::storage::{self, DatabaseChange, StorageChange};
use crate::domain::wal_reader::transaction::{self, Ended, Prepared};
use crate::domain::wal_reader::xlog::{self, Checkpoint, EndOfRecovery, ParameterChange, RestorePoint};

/// What a record says, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'a> {
    /// A transaction committed.
    Commit(Ended<'a>),
    /// A transaction was rolled back.
    Abort(Ended<'a>),
    /// A transaction was prepared.
    Prepare(Prepared<'a>),
    /// Rows changed.
    Change(Change),
    /// Relations were truncated.
    Truncate(Truncated<'a>),
    /// A relation's file was made or cut.
    Storage(StorageChange),
    /// A database was made or dropped.
    Database(DatabaseChange),
    /// Catalogs that are mapped were given other files.
    RelationMap(RelationMap<'a>),
    /// A checkpoint.
    Checkpoint(Checkpoint),
    /// The rest of the segment is empty.
    Switch,
    /// A restore point.
    RestorePoint(RestorePoint<'a>),
    /// A timeline began.
    EndOfRecovery(EndOfRecovery),
    /// Settings changed.
    Parameters(ParameterChange),
    /// Object ids up to this one may be given out.
    NextOid(u32),
    /// Exclusive locks were taken.
    Locks(Locks<'a>),
    /// Which transactions run.
    Running(RunningTransactions<'a>),
    /// Known, and of no concern here: indexes, visibility, statistics of pages.
    Other,
    /// Not known in this version, or not as it is laid out here: count it and guess nothing.
    Unknown,
}

impl<'a> Content<'a> {
    /// Reads a record's content from its parts.
    #[must_use]
    #[inline]
    pub fn read(record: &Record<'a>, parts: &Parts<'a>) -> Content<'a> {
        if record.is_cut {
            return Content::Unknown;
        }
        let found = match record.rmgr {
            Rmgr::HEAP => heap::read(record.info, parts),
            Rmgr::HEAP2 => heap::read2(record.info, parts),
            Rmgr::TRANSACTION => transaction::read(record, parts.main),
            Rmgr::STORAGE => storage::read(record.info, parts.main),
            Rmgr::DATABASE => storage::read_database(record.info, parts.main, record.version),
            Rmgr::RELATION_MAP => relmap::read(record.info, parts.main),
            Rmgr::XLOG => xlog::read(record.info, parts.main, record.version),
            Rmgr::STANDBY => standby::read(record.info, parts.main),
            other if other.is_known(record.version) => Some(Content::Other),
            _ => None,
        };
        found.unwrap_or(Content::Unknown)
    }
}
