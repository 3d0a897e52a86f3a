//! The environment of every command.
