//! Placeholders in argument lists.
