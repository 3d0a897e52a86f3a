//! Tests on real PostgreSQL and real pgBackRest.
//!
//! They need both installed (`make install-needs`), and fail where they are not: none is skipped.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accident;
mod accident_archive;
mod bad_input;
mod checks;
mod console;
mod console_ends;
mod console_lost;
mod console_sent;
mod drill;
mod driven;
mod false_success;
mod in_place;
mod in_place_accidents;
mod in_place_after;
mod in_place_bad;
mod in_place_boots;
mod in_place_false;
mod in_place_keeping;
mod in_place_kills;
mod in_place_pause;
mod in_place_support;
mod in_place_targets;
mod in_place_undo;
mod incident_checks;
mod incident_driver;
mod incident_helpers;
mod kept;
mod kills_abort;
mod kills_clients;
mod kills_disk;
mod kills_operators;
mod kills_runner;
mod kills_server;
mod kills_step;
mod kills_support;
mod lab;
mod letters;
mod limits;
mod managers;
mod moments;
mod pinned;
mod production;
mod progress;
mod read_only;
mod rehearsal;
mod remember;
mod seat;
mod secrets;
mod seeded;
mod sent;
mod side_by_side;
mod terminal;
mod told;
#[path = "../tricks/mod.rs"]
mod tricks;
mod undo;
mod wal_source;
mod who;
