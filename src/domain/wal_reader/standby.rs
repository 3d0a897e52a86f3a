//! What a standby is told: `storage/standbydefs.h`, the same from PostgreSQL 12 to 19.

use crate::domain::wal_reader::bytes::{Cursor, Oids, u32_at};
use crate::domain::wal_reader::content::Content;

/// An `ACCESS EXCLUSIVE` lock, as a standby takes it over. It is held until its transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lock {
    /// Who holds it: a transaction or a subtransaction.
    pub xid: u32,
    /// The relation's database.
    pub database: u32,
    /// The relation's oid.
    pub relation: u32,
}

/// Locks, one after another, as they lie in a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Locks<'a>(&'a [u8]);

impl<'a> Locks<'a> {
    /// Them, in order.
    pub fn iter(self) -> impl Iterator<Item = Lock> + use<'a> {
        self.0.chunks_exact(12).map(|lock| Lock {
            xid: u32_at(lock, 0),
            database: u32_at(lock, 4),
            relation: u32_at(lock, 8),
        })
    }
}

/// Which transactions were running at a moment (`xl_running_xacts`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunningTransactions<'a> {
    /// More subtransactions ran than are listed.
    pub overflowed: bool,
    /// The next transaction id that is given out.
    pub next_xid: u32,
    /// The oldest that still ran.
    pub oldest_running: u32,
    /// The running transactions.
    pub transactions: Oids<'a>,
    /// Their subtransactions, where all are known.
    pub subtransactions: Oids<'a>,
}

/// Reads a record of the resource manager *Standby*.
pub(super) fn read<'a>(info: u8, main: &'a [u8]) -> Option<Content<'a>> {
    let mut rest = Cursor(main);
    match info & 0xF0 {
        0x00 => rest.counted(12).map(|locks| Content::Locks(Locks(locks))),
        0x10 => {
            let (transactions, subtransactions) = (rest.u32()?, rest.u32()?);
            let overflowed = rest.u32()? & 0xFF != 0;
            let (next_xid, oldest_running) = (rest.u32()?, rest.u32()?);
            rest.u32()?;
            let mut oids = |count: u32| Some(Oids(rest.take(usize::try_from(count).ok()?.checked_mul(4)?)?));
            Some(Content::Running(RunningTransactions {
                overflowed,
                next_xid,
                oldest_running,
                transactions: oids(transactions)?,
                subtransactions: oids(subtransactions)?,
            }))
        }
        0x20 => Some(Content::Other),
        _ => None,
    }
}
