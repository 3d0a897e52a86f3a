//! Versions of pgBackRest and PostgreSQL.
