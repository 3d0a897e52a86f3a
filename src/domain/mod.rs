//! What is true: backup sets, WAL, time, and the events of a run.
//!
//! Nothing in this floor opens a file, starts a process, reads the clock or draws a random number;
//! times and readings come in as arguments. It uses nothing above it.

pub mod auto_conf;
pub mod catalog_memory;
pub mod control_data;
pub mod control_file;
pub mod digest;
pub mod event;
pub mod facts;
pub mod info;
pub mod inventory;
pub mod inventory_index;
pub mod label;
pub mod lsn;
pub mod manifest;
pub mod plan;
pub mod progress;
pub mod rate;
pub mod recovery_log;
pub mod restore_log;
pub mod run;
pub mod running_xacts;
pub mod secrets;
pub mod status;
pub mod still_held;
pub mod text;
pub mod version;
pub mod wal;
pub mod wal_marks;
pub mod wal_page;
pub mod wal_reader;
