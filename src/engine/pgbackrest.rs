//! The real pgbackrest.
