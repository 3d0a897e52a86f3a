//! The WAL read record by record: bytes of segments go in, records come out.
//!
//! It reads what PostgreSQL writes, by the layouts of its headers: `access/xlog_internal.h` (pages),
//! `access/xlogrecord.h` (records and their blocks), and for the content of a record the header that each file here
//! names. PostgreSQL 15 is proven against `pg_waldump`; 12 to 19 are read by layout and say so
//! ([`WalVersion::is_proven`]). Numbers are little-endian, as on every machine that PostgreSQL is packaged for.
//!
//! What is not known is counted, never guessed: an unknown resource manager or record type is a record like any other,
//! with its size and its transaction, and [`Content::Unknown`].

mod block;
mod bytes;
mod checksum;
mod content;
mod heap;
mod pages;
mod record;
mod relmap;
mod rmgr;
mod standby;
mod stop;
mod storage;
mod stream;
mod totals;
mod transaction;
mod version;
mod xlog;

#[cfg(test)]
mod tests;

pub use block::{Block, Blocks, RelationFile};
pub use bytes::{Oids, PgTime, RelationFiles};
pub use content::Content;
pub use heap::{Change, ChangeKind, Truncated};
pub use pages::Pages;
pub use record::{MalformedRecord, Parts, Record};
pub use relmap::RelationMap;
pub use rmgr::{Rmgr, record_name};
pub use standby::{Lock, Locks, RunningTransactions};
pub use stop::{Stop, StopReason};
pub use storage::{DatabaseChange, StorageChange};
pub use stream::WalStream;
pub use totals::{RecordTotals, Totals};
pub use transaction::{CatalogCaches, DroppedRelations, Ended, Invalidations, Prepared};
pub use version::WalVersion;
pub use xlog::{Checkpoint, EndOfRecovery, ParameterChange, RestorePoint};
