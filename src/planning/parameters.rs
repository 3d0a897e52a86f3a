//! Typed parameters.
