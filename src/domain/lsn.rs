//! Positions in the WAL.
