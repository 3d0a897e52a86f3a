//! Run folders and locks.
