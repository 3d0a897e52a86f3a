//! Layout: shell.
