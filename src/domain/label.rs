//! Labels of backup sets.
