//! The tolerant shape of `pgbackrest info --output=json`.
