//! What a restore may silently change: settings, replication slots, sequences, tables. Saved before the stop, compared
//! after the promotion.

use crate::domain::digest::Digest;
use crate::domain::text::clean;
use crate::engine::psql::{Psql, PsqlError, shown};
use crate::engine::replace_file::{self, ReplaceError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// The file's name in the folder of what was put in safety.
pub const CATALOG: &str = "catalog.json";

const FORMAT: u32 = 1;

/// A server's catalog, as far as it is compared. All names and values are cleaned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Of this file.
    pub format: u32,
    /// `pg_settings`, without those of the asking session. Values that hold passwords are digests.
    pub settings: BTreeMap<String, String>,
    /// Replication slots by name: type, plugin, database.
    pub slots: BTreeMap<String, String>,
    /// By name.
    pub databases: BTreeMap<String, DatabaseCatalog>,
    /// Settings that the command line of the server that was asked gave; of no meaning later.
    #[serde(skip)]
    pub forced: BTreeSet<String>,
}

/// One database's part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseCatalog {
    /// The last value of each sequence; `None` for one that was never used.
    pub sequences: BTreeMap<String, Option<i64>>,
    /// The planner's estimate of each table's rows (`-1`: never analysed).
    pub tables: BTreeMap<String, i64>,
}

/// Why it was not saved or read.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The server did not answer.
    #[error(transparent)]
    Psql(#[from] PsqlError),
    /// It can't be written.
    #[error(transparent)]
    Replace(#[from] ReplaceError),
    /// It can't be read.
    #[error("{} can't be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no catalog.
    #[error("{} is not a saved catalog: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// `source`: what the asking session set itself is not the server's.
const SETTINGS: &str = "SELECT name, setting, source FROM pg_settings WHERE source NOT IN ('client', 'session', 'interactive') \
    AND name NOT IN ('transaction_read_only', 'transaction_isolation', 'transaction_deferrable', 'in_hot_standby')";
const SLOTS: &str = "SELECT slot_name, slot_type, plugin, database FROM pg_replication_slots WHERE NOT temporary";
const SEQUENCES: &str = "SELECT schemaname, sequencename, last_value::text AS last FROM pg_sequences";
const TABLES: &str = "SELECT n.nspname, c.relname, c.reltuples::bigint::text AS rows FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'm') AND c.relpersistence <> 't' \
    AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'";

/// Asks a running server for all of it.
///
/// # Errors
/// [`PsqlError`].
pub fn read(psql: &Psql, database: &str) -> Result<Catalog, PsqlError> {
    let mut catalog = Catalog { format: FORMAT, ..Catalog::default() };
    for row in psql.rows(database, SETTINGS)? {
        let name = shown(&row, "name");
        let value = masked(&name, shown(&row, "setting"));
        // Files that the command line names are told as an override (PostgreSQL 15).
        if matches!(shown(&row, "source").as_str(), "command line" | "override") {
            catalog.forced.insert(name.clone());
        }
        catalog.settings.insert(name, value);
    }
    for row in psql.rows(database, SLOTS)? {
        let parts = ["slot_type", "plugin", "database"].map(|column| shown(&row, column));
        let told = parts.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(" ");
        catalog.slots.insert(shown(&row, "slot_name"), told);
    }
    for name in psql.databases(database)? {
        let mut found = DatabaseCatalog::default();
        for row in psql.rows(&name, SEQUENCES)? {
            let sequence = format!("{}.{}", shown(&row, "schemaname"), shown(&row, "sequencename"));
            found.sequences.insert(sequence, shown(&row, "last").parse().ok());
        }
        for row in psql.rows(&name, TABLES)? {
            let table = format!("{}.{}", shown(&row, "nspname"), shown(&row, "relname"));
            found.tables.insert(table, shown(&row, "rows").parse().unwrap_or(-1));
        }
        catalog.databases.insert(clean(&name), found);
    }
    Ok(catalog)
}

/// A connection string may hold a password: its digest tells whether it changed.
fn masked(name: &str, value: String) -> String {
    let secret = ["conninfo", "password", "passphrase", "secret"].iter().any(|part| name.contains(part));
    if !secret || value.is_empty() {
        return value;
    }
    format!("<set, {}>", &Digest::of(value.as_bytes()).to_string()[..8])
}

impl Catalog {
    /// Without the settings that the command line of `server` gave, and without recovery's own: those hold until it is
    /// started again.
    #[must_use]
    pub fn without_forced(&self, server: &Catalog) -> Catalog {
        let is_recovery = |name: &str| name.starts_with("recovery_target") || name == "restore_command";
        let mut left = self.clone();
        left.settings.retain(|name, _| !server.forced.contains(name) && !is_recovery(name));
        left
    }

    /// Writes it into `folder`, 0600, durably; an older one is replaced.
    ///
    /// # Errors
    /// [`CatalogError`].
    pub fn save(&self, folder: &Path) -> Result<PathBuf, CatalogError> {
        let path = folder.join(CATALOG);
        let content = |error: serde_json::Error| CatalogError::Content { path: path.clone(), why: error.to_string() };
        let mut text = serde_json::to_vec_pretty(self).map_err(content)?;
        text.push(b'\n');
        std::fs::create_dir_all(folder).map_err(|source| CatalogError::Io { path: folder.to_owned(), source })?;
        replace_file::replace(&path, &text, 0o600)?;
        Ok(path)
    }

    /// The one that was saved into `folder`; `None` where none was.
    ///
    /// # Errors
    /// [`CatalogError`]: it can't be read, or is newer than this Lifeboat.
    pub fn load(folder: &Path) -> Result<Option<Catalog>, CatalogError> {
        let path = folder.join(CATALOG);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(CatalogError::Io { path, source }),
        };
        let refuse = |why: String| CatalogError::Content { path: path.clone(), why };
        let catalog: Catalog = serde_json::from_slice(&text).map_err(|error| refuse(clean(&error.to_string())))?;
        if catalog.format != FORMAT {
            return Err(refuse(format!("it has format {}, this Lifeboat reads {FORMAT}", catalog.format)));
        }
        Ok(Some(catalog))
    }
}

/// What differs between a server before and after, each in a sentence's part.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Settings with another value.
    pub settings: Vec<String>,
    /// Replication slots that are gone.
    pub slots: Vec<String>,
    /// Sequences that stand lower: they would hand out again what was used after the target.
    pub sequences: Vec<String>,
    /// Databases, tables and sequences that are gone, or came back.
    pub tables: Vec<String>,
}

impl Differences {
    /// Compares two catalogs.
    #[must_use]
    pub fn between(before: &Catalog, now: &Catalog) -> Differences {
        let mut found = Differences::default();
        let names: BTreeSet<&String> = before.settings.keys().chain(now.settings.keys()).collect();
        for name in names {
            let value = |of: &Catalog| of.settings.get(name).cloned().unwrap_or_else(|| "(none)".to_owned());
            let (was, is) = (value(before), value(now));
            if was != is {
                found.settings.push(format!("{name} was '{was}', is '{is}'"));
            }
        }
        let gone = before.slots.iter().filter(|(name, _)| !now.slots.contains_key(*name));
        found.slots = gone.map(|(name, told)| format!("{name} ({told})")).collect();
        for (database, was) in &before.databases {
            match now.databases.get(database) {
                Some(is) => found.in_database(database, was, is),
                None => found.tables.push(format!("the database {database} is gone")),
            }
        }
        let back = now.databases.keys().filter(|name| !before.databases.contains_key(*name));
        found.tables.extend(back.map(|name| format!("the database {name} is there again")));
        found
    }

    fn in_database(&mut self, database: &str, was: &DatabaseCatalog, is: &DatabaseCatalog) {
        for (name, before) in &was.sequences {
            let shown = |value: Option<i64>| value.map_or("unused".to_owned(), |value| value.to_string());
            match is.sequences.get(name) {
                Some(now) if now < before => {
                    let told = format!("{database}: {name} was at {}, is at {}", shown(*before), shown(*now));
                    self.sequences.push(told);
                }
                Some(_) => {}
                None => self.tables.push(format!("{database}: the sequence {name} is gone")),
            }
        }
        for (name, rows) in was.tables.iter().filter(|(name, _)| !is.tables.contains_key(*name)) {
            let about = if *rows >= 0 { format!(" (about {rows} rows)") } else { String::new() };
            self.tables.push(format!("{database}: the table {name} is gone{about}"));
        }
        let back = is.tables.keys().filter(|name| !was.tables.contains_key(*name));
        self.tables.extend(back.map(|name| format!("{database}: the table {name} is there again")));
    }

    /// Nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.slots.is_empty() && self.sequences.is_empty() && self.tables.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn catalog(work_mem: &str, sequence: Option<i64>) -> Catalog {
        let mut database = DatabaseCatalog::default();
        database.sequences.insert("public.orders_id_seq".to_owned(), sequence);
        database.tables.insert("public.orders".to_owned(), 42);
        Catalog {
            format: FORMAT,
            settings: [("work_mem".to_owned(), work_mem.to_owned())].into(),
            slots: [("cdc".to_owned(), "logical pgoutput shop".to_owned())].into(),
            databases: [("shop".to_owned(), database)].into(),
            forced: BTreeSet::new(),
        }
    }

    #[test]
    fn what_only_the_fence_sets_is_no_difference() {
        let before = catalog("8192", Some(1));
        let mut fenced = catalog("4096", Some(1));
        fenced.settings.insert("listen_addresses".to_owned(), String::new());
        fenced.settings.insert("recovery_target_lsn".to_owned(), "0/7000028".to_owned());
        fenced.forced.insert("listen_addresses".to_owned());
        let found = Differences::between(&before.without_forced(&fenced), &fenced.without_forced(&fenced));
        assert_eq!(found.settings, ["work_mem was '8192', is '4096'"]);
    }

    #[test]
    fn what_a_restore_changed_is_named() {
        let before = catalog("8192", Some(900));
        assert!(Differences::between(&before, &before).is_empty());
        let mut now = catalog("4096", Some(700));
        now.slots.clear();
        let shop = now.databases.get_mut("shop").unwrap();
        shop.tables.clear();
        shop.tables.insert("public.dropped".to_owned(), -1);
        let found = Differences::between(&before, &now);
        assert_eq!(found.settings, ["work_mem was '8192', is '4096'"]);
        assert_eq!(found.slots, ["cdc (logical pgoutput shop)"]);
        assert_eq!(found.sequences, ["shop: public.orders_id_seq was at 900, is at 700"]);
        assert_eq!(
            found.tables,
            ["shop: the table public.orders is gone (about 42 rows)", "shop: the table public.dropped is there again"]
        );
        // higher than before is no danger, unused is lower than anything
        assert!(Differences::between(&before, &catalog("8192", Some(901))).is_empty());
        assert_eq!(Differences::between(&before, &catalog("8192", None)).sequences.len(), 1);
    }

    #[test]
    fn it_is_read_back_and_a_newer_one_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Catalog::load(folder.path()).unwrap(), None);
        let written = catalog("8192", Some(1));
        let path = written.save(folder.path()).unwrap();
        assert_eq!(Catalog::load(folder.path()).unwrap(), Some(written));
        std::fs::write(&path, "{\"format\": 2, \"settings\": {}, \"slots\": {}, \"databases\": {}}").unwrap();
        assert!(Catalog::load(folder.path()).unwrap_err().to_string().contains("format 2"));
        std::fs::write(&path, "{").unwrap();
        assert!(Catalog::load(folder.path()).unwrap_err().to_string().contains("not a saved catalog"));
    }

    #[test]
    fn a_password_is_never_saved() {
        let value = masked("primary_conninfo", "host=a password=geheim".to_owned());
        assert!(!value.contains("geheim") && value != masked("primary_conninfo", "host=b".to_owned()));
        assert_eq!(masked("work_mem", "8192".to_owned()), "8192");
    }
}
