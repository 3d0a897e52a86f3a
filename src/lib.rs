//! Lifeboat: guided point-in-time restores and restore drills for PostgreSQL with pgBackRest.
//!
//! Four floors, and a floor looks only down: [`domain`] (what is true), [`planning`] (what to do),
//! [`engine`] (the only I/O), and on top [`cli`] and [`ui`], which lay runs out for people with [`report`].
//! `tests/floors.rs` keeps it so.

pub mod cli;
pub mod domain;
pub mod engine;
pub mod planning;
pub mod report;
pub mod settings;
pub mod ui;

use std::process::ExitCode;

/// The program: what the command line asks for, or the console. The two know nothing of one another.
#[must_use]
pub fn main() -> ExitCode {
    match cli::main() {
        cli::Answer::Ended(code) => code,
        cli::Answer::Console(context) => {
            let (program, letters) = (context.program(), cli::terminal::Letters::of(&context));
            match ui::console::open(ui::console::Wishes {
                record: context.globals.record.as_deref().map(engine::identity::resolve),
                settings: context.settings,
                program,
                ascii: letters.is_ascii(),
            }) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => cli::failed(&error.into(), letters),
            }
        }
    }
}
