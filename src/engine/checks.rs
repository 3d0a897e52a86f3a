//! The checks that runbooks name.
