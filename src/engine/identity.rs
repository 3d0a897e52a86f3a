//! Becoming the data directory's owner, once, at the start.
