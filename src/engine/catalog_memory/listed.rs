//! The two questions that the catalogs of a server are asked, and the rows that answer them.

use crate::domain::catalog_memory::{FileKey, Relation};
use crate::domain::text::clean;
use serde::Deserialize;

/// Every database, as [`ListedDatabase`].
pub(crate) const DATABASES: &str = "SELECT json_build_array(oid::bigint, datname, datallowconn, dattablespace::bigint) \
     FROM pg_catalog.pg_database ORDER BY oid";

/// Every relation of a database that has a file, as [`ListedRelation`]. Mapped relations (`relfilenode` 0) have their number
/// elsewhere; `relpages` rather than `pg_relation_size`, which would wait for the locks of users. Statistics are counted on as
/// rows come and go.
pub(crate) const RELATIONS: &str = "SELECT json_build_array(c.oid::bigint, pg_relation_filenode(c.oid)::bigint, \
     c.reltablespace::bigint, c.relisshared, c.relkind, n.nspname, c.relname, \
     CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END, \
     c.relpages::bigint * current_setting('block_size')::bigint, coalesce(i.indrelid, t.oid)::bigint, \
     CASE WHEN pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_deleted(c.oid) > 0 \
     THEN greatest(pg_stat_get_live_tuples(c.oid), 0) END, \
     c.oid::bigint < 16384 OR n.nspname IN ('pg_catalog', 'information_schema') \
     OR (c.relkind = 't' AND c.relname ~ '^pg_toast_[0-9]{1,4}$')) \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid \
     LEFT JOIN pg_catalog.pg_class t ON c.relkind = 't' AND t.reltoastrelid = c.oid \
     WHERE pg_relation_filenode(c.oid) IS NOT NULL";

/// A database. Texts are as the server has them.
#[derive(Debug, Deserialize)]
pub(crate) struct ListedDatabase {
    pub(crate) oid: u32,
    pub(crate) name: String,
    /// Connections are allowed.
    pub(crate) is_open: bool,
    pub(crate) default_tablespace: u32,
}

/// A relation with a file, in the order of [`RELATIONS`]. Texts are as the server has them.
#[derive(Debug, Deserialize)]
pub(crate) struct ListedRelation {
    pub(crate) oid: u32,
    pub(crate) file: u32,
    tablespace: u32,
    is_shared: bool,
    pub(crate) kind: char,
    pub(crate) schema: String,
    pub(crate) name: String,
    /// The planner's estimate of its rows.
    pub(crate) estimated: Option<u64>,
    bytes: u64,
    owner: Option<u32>,
    /// Its rows by the statistics, where there are any of it.
    pub(crate) counted: Option<u64>,
    pub(crate) is_catalog: bool,
}

impl ListedRelation {
    /// As it is remembered, under its file. `database_name`: cleaned.
    pub(crate) fn relation(&self, database: &ListedDatabase, database_name: &str) -> (FileKey, Relation) {
        let (database_oid, database_name) = if self.is_shared { (0, "") } else { (database.oid, database_name) };
        let tablespace = if self.tablespace == 0 { database.default_tablespace } else { self.tablespace };
        let relation = Relation {
            oid: self.oid,
            database_name: database_name.to_owned(),
            schema: clean(&self.schema),
            name: clean(&self.name),
            kind: self.kind,
            owner: self.owner,
            rows: self.estimated,
            bytes: self.bytes,
        };
        (FileKey { database: database_oid, tablespace, file: self.file }, relation)
    }
}
