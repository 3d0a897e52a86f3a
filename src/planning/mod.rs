//! Decides: which set, which steps, and whether it may go on. Pure: readings come in as arguments.

pub mod accident;
pub mod check;
pub mod extract;
pub mod keeping;
pub mod machine;
pub mod parameters;
pub mod plan;
pub mod restore_command;
pub mod runbook;
pub mod selection;
pub mod target;
pub mod template;
pub mod typing;
