//! Names and row counts from a live server's catalogs, by `psql` on its socket.

use crate::domain::catalog_memory::{FileKey, Relation};
use crate::domain::text::{clean, clean_bytes};
use crate::engine::ask::{self, AskError, Cancel, Question};
use crate::planning::accident::{Counted, Names, RelationKind, RelationName};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A server, and how it is asked.
#[derive(Debug, Clone)]
pub struct LiveCatalog {
    /// `psql`.
    pub psql: PathBuf,
    /// The directory of its socket.
    pub socket_directory: PathBuf,
    /// Its port.
    pub port: u16,
    /// The user to log in as; the system user's name where none is given.
    pub user: Option<String>,
    /// The environment of the command.
    pub environment: BTreeMap<String, String>,
    /// Ends the question when it is set.
    pub cancel: Cancel,
}

/// Why the catalogs can't be read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// `psql` gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// `psql` or the server refused.
    #[error("psql ended with exit code {code}: {said}")]
    Refused {
        /// Its exit code.
        code: i32,
        /// What it said, cleaned.
        said: String,
    },
    /// The answer is not what was asked for.
    #[error("psql printed what can't be read: {0}")]
    Unreadable(String),
}

/// Bounded, reading only, and gone where a lock is in the way: after DDL a probe could wait for ever.
const OPTIONS: &str =
    "-c statement_timeout=15s -c lock_timeout=2s -c default_transaction_read_only=on -c search_path=pg_catalog";
const DATABASES: &str =
    "SELECT json_build_array(oid::int8, datname, dattablespace::int8) FROM pg_database WHERE datallowconn ORDER BY oid";
/// Statistics are counted on as rows come and go. The last but one value says whether there are any of the table.
const RELATIONS: &str = "SELECT json_build_array(c.oid::int8, pg_relation_filenode(c.oid)::int8, n.nspname, c.relname, c.relkind, \
     c.reltuples::float8, coalesce(pg_stat_get_live_tuples(c.oid), 0), \
     coalesce(pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_deleted(c.oid), 0) > 0, c.oid::int8 < 16384 OR n.nspname IN ('pg_catalog', \
     'information_schema') OR (c.relkind = 't' AND c.relname ~ '^pg_toast_[0-9]{1,4}$'), \
     json_build_array(c.reltablespace::int8, c.relisshared, c.relpages::int8 * current_setting('block_size')::int8, \
     coalesce(i.indrelid, t.oid)::int8)) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
     LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_class t ON c.relkind = 't' AND t.reltoastrelid = c.oid WHERE c.relkind IN ('r', 'm', 't', 'i', 'S') AND pg_relation_filenode(c.oid) IS NOT NULL";

/// oid, file, schema, name, kind, estimated rows, live rows, whether they were counted, whether it is a catalog, and what is
/// remembered beside that.
type Row = (u32, u32, String, String, char, f64, i64, bool, bool, Beside);
/// Tablespace, whether all databases share it, bytes by the catalog's count of pages, the table that it belongs to.
type Beside = (u32, bool, u64, Option<u32>);

/// What the server's catalogs say.
#[derive(Debug, Default)]
pub struct Catalogs {
    /// The names.
    pub names: Names,
    /// The same, to be remembered.
    pub relations: Vec<(FileKey, Relation)>,
    /// The databases that refused.
    pub notes: Vec<String>,
}

impl LiveCatalog {
    /// Reads the names of all databases that take connections. A database that refuses is noted.
    ///
    /// # Errors
    /// When the server can't be asked at all.
    pub fn read(&self) -> Result<Catalogs, CatalogError> {
        let mut found = Catalogs::default();
        let databases: Vec<(u32, String, u32)> = self.rows("postgres", DATABASES)?;
        for (oid, database, tablespace) in databases {
            let shown = clean(&database);
            match self.rows::<Row>(&database, RELATIONS) {
                Ok(rows) => {
                    for row in rows {
                        found.relations.push(relation(oid, &shown, tablespace, &row));
                        add(&mut found.names, oid, row);
                    }
                }
                Err(error) => found.notes.push(format!("the names of database {shown} could not be read: {error}")),
            }
            found.names.add_database(oid, shown);
        }
        // What all share is told by each.
        let mut seen = HashSet::new();
        found.relations.retain(|(key, _)| seen.insert(*key));
        Ok(found)
    }

    /// The zone in which the server shows times; `None` where it isn't one of the time zone database.
    #[must_use]
    pub fn time_zone(&self) -> Option<chrono_tz::Tz> {
        let rows: Vec<String> = self.rows("postgres", "SELECT to_json(current_setting('TimeZone'))").ok()?;
        rows.first()?.parse().ok()
    }

    fn rows<T: serde::de::DeserializeOwned>(&self, database: &str, query: &str) -> Result<Vec<T>, CatalogError> {
        let mut question = Question::new(&self.psql);
        let mut arguments: Vec<OsString> =
            ["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-c", query, "-p"].map(OsString::from).to_vec();
        arguments.extend([self.port.to_string().into(), "-h".into(), self.socket_directory.clone().into()]);
        if let Some(user) = &self.user {
            arguments.extend(["-U".into(), user.into()]);
        }
        // A name with '=' in it would be taken for a connection string.
        arguments.extend(["-d".into(), connection(database).into()]);
        question.arguments = arguments;
        question.environment = self.environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        question.environment.insert("PGOPTIONS".to_owned(), OPTIONS.into());
        question.environment.insert("PGCONNECT_TIMEOUT".to_owned(), "5".into());
        question.environment.insert("PGCLIENTENCODING".to_owned(), "UTF8".into());
        question.time_limit = Duration::from_secs(30);
        question.cancel = Some(self.cancel.clone());
        question.output_limit_bytes = 256 << 20;
        let answer = ask::ask(&question)?;
        if answer.code != 0 {
            return Err(CatalogError::Refused { code: answer.code, said: answer.stderr.trim().to_owned() });
        }
        let lines = answer.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_slice(line)
                    .map_err(|_| CatalogError::Unreadable(clean_bytes(&line[..line.len().min(80)])))
            })
            .collect()
    }
}

/// `dbname='…'`, quoted as libpq reads it.
fn connection(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A relation as it is remembered, under its file.
fn relation(database: u32, database_name: &str, default_tablespace: u32, row: &Row) -> (FileKey, Relation) {
    let (oid, file, schema, name, kind, rows, _, _, _, (tablespace, is_shared, bytes, owner)) = row;
    let (database, database_name) = if *is_shared { (0, "") } else { (database, database_name) };
    let tablespace = if *tablespace == 0 { default_tablespace } else { *tablespace };
    let relation = Relation {
        oid: *oid,
        database_name: database_name.to_owned(),
        schema: clean(schema),
        name: clean(name),
        kind: *kind,
        owner: *owner,
        rows: estimate(*rows),
        bytes: *bytes,
    };
    (FileKey { database, tablespace, file: *file }, relation)
}

/// Not negative and whole: what an estimate is, as far as it is one.
fn estimate(rows: f64) -> Option<u64> {
    (rows >= 0.0).then_some(rows as u64)
}

fn add(names: &mut Names, database: u32, row: Row) {
    let (oid, file, schema, name, kind, estimated, live, is_counted, is_catalog, _) = row;
    let kind = match kind {
        _ if is_catalog => RelationKind::Catalog,
        't' => RelationKind::Toast,
        'i' => RelationKind::Index,
        'S' => RelationKind::Sequence,
        _ => RelationKind::Table,
    };
    let rows = if is_counted { u64::try_from(live).ok() } else { None };
    let estimated = estimate(estimated);
    let (schema, name) = (clean(&schema), clean(&name));
    names.add(
        database,
        file,
        RelationName {
            oid,
            schema,
            name,
            kind,
            rows,
            counted: Counted::After,
            estimated,
            bytes: None,
            remembered: None,
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_name_is_never_a_connection_string() {
        assert_eq!(connection("shop"), "dbname='shop'");
        assert_eq!(connection("a='b' host=x \\"), "dbname='a=\\'b\\' host=x \\\\'");
    }

    #[test]
    fn rows_are_known_where_they_were_counted_or_estimated() {
        let rows = |estimated, live, is_counted| {
            let mut names = Names::default();
            let row = (
                16400,
                16399,
                "public".into(),
                "t\u{202e}".into(),
                'r',
                estimated,
                live,
                is_counted,
                false,
                (0, false, 8192, None),
            );
            let (key, remembered) = relation(5, "shop", 1663, &row);
            assert_eq!((key, remembered.bytes), (FileKey { database: 5, tablespace: 1663, file: 16399 }, 8192));
            assert!(!remembered.name.contains('\u{202e}'));
            add(&mut names, 5, row);
            let found = names.oid(5, 16400).expect("added").clone();
            assert!(!found.name.contains('\u{202e}'));
            (found.rows, found.estimated)
        };
        assert_eq!(rows(1000.0, 40, true), (Some(40), Some(1000)));
        assert_eq!(rows(1000.0, 0, false), (None, Some(1000)));
        assert_eq!(rows(-1.0, 0, true), (Some(0), None));
    }
}
