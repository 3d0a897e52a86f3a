//! Gates on a terminal.
