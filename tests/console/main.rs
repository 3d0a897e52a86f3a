//! The console without a terminal: what it shows, what keys do, and that nothing breaks it.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

#[path = "../sample_plan/mod.rs"]
mod sample_plan;
#[path = "../sample_run/mod.rs"]
mod sample_run;

mod accident;
mod anything;
mod deciding;
mod gates;
mod hostile;
mod kept;
mod keys;
mod movement;
mod pages;
mod rehearsal;
mod seat;
mod sources;
mod support;
mod targets;
#[path = "../tricks/mod.rs"]
mod tricks;
mod wall;
