//! The terminal: one inbox, `update(state, event) -> actions`, `view(&state)`.
//!
//! It reads runs through `engine::client` only, asks through it, and never writes a journal nor decides a status.

pub mod action;
pub mod command;
pub mod console;
pub mod event;
pub mod keymap;
pub mod model;
pub mod pages;
pub mod paint;
pub mod popups;
pub mod recorder;
pub mod terminal;
pub mod theme;
pub mod times;
pub mod update;
pub mod view;
pub mod widgets;
pub mod width;
pub mod worker;
