//! What bad input from pgBackRest gets: a message that says what is wrong, where, and what to do; nothing is left behind.
//!
//! The real pgbackrest wherever it can be made to misbehave; scripts only for what it never does.

#![expect(clippy::unwrap_used, reason = "tests")]

mod configuration;
mod program;
mod repository;
mod support;
