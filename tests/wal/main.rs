//! The WAL reader and the search for accidents, on WAL that real PostgreSQL servers write.
//!
//! They need PostgreSQL 15 (`make install-needs`), and fail where it is missing: none is skipped.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accidents;
mod archived;
mod cli;
mod cluster;
mod equal;
mod scenarios;
mod waldump;
mod workload;
