//! What there is to notice in a stream of records: above all, what a committed transaction did.

use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::domain::wal_reader::{Ended, Locks, PgTime, Prepared, RelationFile, RestorePoint};
use crate::planning::accident::counts::Touched;
use crate::planning::accident::gone::Gone;

/// An exclusive lock that a transaction took: it is held until its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLock {
    /// The relation's database.
    pub database: u32,
    /// Its oid.
    pub relation: u32,
    /// The record that says so.
    pub at: Lsn,
}

/// A transaction that was committed, its subtransactions included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Its id.
    pub xid: u32,
    /// The subtransactions that were committed with it.
    pub subtransactions: Vec<u32>,
    /// When, by the server's clock.
    pub time: PgTime,
    /// The start of its first record.
    pub first: Lsn,
    /// Whether that is its first record for sure: it didn't run yet where reading began.
    pub first_is_sure: bool,
    /// The start of its commit record.
    pub start: Lsn,
    /// The end of its commit record.
    pub end: Lsn,
    /// The timeline of its commit.
    pub timeline: TimelineId,
    /// Its database; 0 where it isn't said.
    pub database: u32,
    /// Whether it was prepared before.
    pub was_prepared: bool,
    /// Whether it wrote records that neither change rows nor come with ANALYZE or VACUUM, or may have written such.
    pub does_other: bool,
    /// Whether it cut blocks off a table's end.
    pub cuts: bool,
    /// The number of a file of its database in which it locked rows; 0 for none. Of rows in several, or in what all databases
    /// share, it [does other](Committed::does_other) things.
    pub locks_rows: u32,
    /// What it did to rows, by file, in the order of the first change. Catalogs are among them.
    pub touched: Vec<(RelationFile, Touched)>,
    /// Files that it made, in order.
    pub created: Vec<RelationFile>,
    /// Files that are removed with its commit, in the order in which that was asked for.
    pub removed: Vec<RelationFile>,
    /// Relations that it truncated, as database and oid; known where `wal_level` is `logical`.
    pub truncated: Vec<(u32, u32)>,
    /// Relations that it dropped, where the version's WAL tells.
    pub gone: Option<Gone>,
    /// Where catalogs lie since that are mapped, by oid: it rewrote one of them.
    pub mapped: Vec<(u32, RelationFile)>,
    /// Relations whose definition it changed, as database and oid.
    pub redefined: Vec<(u32, u32)>,
    /// Its exclusive locks.
    pub locks: Vec<HeldLock>,
    /// Databases that it dropped.
    pub dropped_databases: Vec<u32>,
    /// Databases that it made.
    pub created_databases: Vec<u32>,
}

/// What there is to notice.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A transaction was committed.
    Committed(&'a Committed),
    /// Exclusive locks were taken, or are told again, by their transactions.
    Locks {
        /// Where.
        at: Lsn,
        /// Which.
        locks: Locks<'a>,
    },
    /// A transaction was prepared.
    Prepared {
        /// Where.
        at: Lsn,
        /// Which.
        prepared: Prepared<'a>,
    },
    /// A transaction was rolled back.
    Aborted {
        /// Where.
        at: Lsn,
        /// Which.
        ended: Ended<'a>,
    },
    /// A list of the running transactions, which comes behind all of their locks.
    Running {
        /// Where.
        at: Lsn,
        /// The oldest of them: what is older has ended.
        oldest: u32,
    },
    /// A restore point.
    RestorePoint {
        /// Where.
        at: Lsn,
        /// What.
        point: RestorePoint<'a>,
    },
}
