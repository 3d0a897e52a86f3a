//! What `pgbackrest restore` says while it works.
