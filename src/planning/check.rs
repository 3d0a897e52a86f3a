//! Lint of runbooks, with line and column.
