//! The small process that owns one command.
