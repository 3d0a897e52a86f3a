//! The WAL reader and the search for accidents, on WAL that real PostgreSQL servers write.
//!
//! They need PostgreSQL 15 (`make install-needs`), and fail where it is missing: none is skipped.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accidents;
mod archived;
mod as_they_come;
mod cli;
mod cluster;
mod databases;
mod drops;
mod equal;
mod fuzz;
mod memory;
mod open;
mod scenarios;
mod session;
mod synthetic;
mod waldump;
mod week;
mod workload;
#[path = "../../src/domain/wal_reader/tests/writer.rs"]
#[expect(dead_code, reason = "the reader's own tests need more of it")]
mod writer;

/// Where the writer looks for what it shares with the reader's own tests.
mod domain {
    pub(crate) use lifeboat::domain::{lsn, wal, wal_reader};
}
