//! The real PostgreSQL programs.
