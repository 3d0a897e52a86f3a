//! What a recovering PostgreSQL server says in its log.
