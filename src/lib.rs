//! Lifeboat: guided point-in-time restores and restore drills for PostgreSQL with pgBackRest.
//!
//! Four floors, and a floor looks only down: [`domain`] (what is true), [`planning`] (what to do),
//! [`engine`] (the only I/O), and on top [`cli`], which lays runs out for people with [`report`].
//! `tests/floors.rs` keeps it so.

pub mod cli;
pub mod domain;
pub mod engine;
pub mod planning;
pub mod report;
pub mod settings;
