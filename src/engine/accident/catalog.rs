//! Names and row counts from a live server's catalogs, by `psql` on its socket.

use crate::domain::catalog_memory::{FileKey, Relation};
use crate::domain::text::{clean, clean_bytes};
use crate::engine::ask::{self, AskError, Cancel, Question};
use crate::engine::catalog_memory::{DATABASES, ListedDatabase, ListedRelation, RELATIONS};
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
        let databases: Vec<ListedDatabase> = self.rows("postgres", DATABASES)?;
        for database in databases.iter().filter(|database| database.is_open) {
            let shown = clean(&database.name);
            match self.rows::<ListedRelation>(&database.name, RELATIONS) {
                Ok(listed) => {
                    found.relations.extend(listed.iter().map(|listed| listed.relation(database, &shown)));
                    listed.iter().for_each(|listed| add(&mut found.names, database.oid, listed));
                }
                Err(error) => found.notes.push(format!("the names of database {shown} could not be read: {error}")),
            }
            found.names.add_database(database.oid, shown);
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

fn add(names: &mut Names, database: u32, listed: &ListedRelation) {
    let kind = match listed.kind {
        _ if listed.is_catalog => RelationKind::Catalog,
        't' => RelationKind::Toast,
        'i' => RelationKind::Index,
        'S' => RelationKind::Sequence,
        _ => RelationKind::Table,
    };
    let relation = RelationName {
        oid: listed.oid,
        schema: clean(&listed.schema),
        name: clean(&listed.name),
        kind,
        rows: listed.counted,
        counted: Counted::After,
        estimated: listed.estimated,
        bytes: None,
        remembered: None,
    };
    names.add(database, listed.file, relation);
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
    fn what_a_relation_is_called_is_cleaned_wherever_it_goes() {
        let line = r#"[16400,16399,0,false,"r","public","t\u202e",1000,8192,null,40,false]"#;
        let listed: ListedRelation = serde_json::from_str(line).expect("a row");
        let database: ListedDatabase = serde_json::from_str(r#"[5,"shop",true,1663]"#).expect("a row");
        let mut names = Names::default();
        add(&mut names, database.oid, &listed);
        let found = names.oid(5, 16400).expect("added").clone();
        assert!(!found.name.contains('\u{202e}'));
        assert_eq!((found.rows, found.estimated, found.kind), (Some(40), Some(1000), RelationKind::Table));
        let (key, remembered) = listed.relation(&database, "shop");
        assert_eq!((key, remembered.bytes), (FileKey { database: 5, tablespace: 1663, file: 16399 }, 8192));
        assert_eq!((remembered.name, remembered.rows), (found.name, Some(1000)));
    }
}
