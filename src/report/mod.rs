//! Layouts of runs and plans for people and programs: pure, shared by everything above the engine.

pub mod accident;
pub mod ascii;
pub mod choice;
pub mod command_text;
pub mod deciding;
pub mod drill;
pub mod gate;
pub mod html;
pub mod inventory;
pub mod json;
pub mod lines;
pub mod markdown;
pub mod plan_text;
pub mod shell;
pub mod status;
pub mod summary;
pub mod text;
pub mod transcript;
pub mod transcript_json;
pub mod width;
