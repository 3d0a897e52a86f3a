//! The catalogs of a running server, read by its own `psql`.

use crate::domain::catalog_memory::{FileKey, Relation};
use crate::domain::text::clean;
use crate::engine::ask::{self, Question};
use crate::engine::catalog_memory::{CatalogMemoryError, DATABASES, ListedDatabase, ListedRelation, RELATIONS};
use crate::engine::pgbackrest_config::BackrestConfig;
use crate::engine::postgres::{LiveState, PostgresPrograms, server_is_live};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A catalog of a hundred thousand relations takes seconds.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// The same limits for the server; catalogs only, and nothing may be changed. `search_path`: nobody's functions are called.
const OPTIONS: &str = "-c default_transaction_read_only=on -c statement_timeout=100000 -c lock_timeout=2000 \
     -c search_path=pg_catalog -c client_min_messages=error";

/// A running server, and how to ask it.
#[derive(Debug, Clone)]
pub struct Server {
    psql: PathBuf,
    environment: BTreeMap<String, String>,
    socket_directory: Option<String>,
    port: Option<u16>,
    role: String,
}

/// What the catalogs of all databases say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogs {
    /// Every relation with a file.
    pub relations: Vec<(FileKey, Relation)>,
    /// The databases that were read, cleaned.
    pub databases: BTreeSet<String>,
    /// Those that were not, each with the reason, in words.
    pub left_out: Vec<String>,
}

impl Server {
    /// The server on the stanza's data directory, as `postmaster.pid` tells where it listens; else as pgBackRest's
    /// configuration does. The role is `pg1-user`, else `postgres`.
    ///
    /// # Errors
    /// [`CatalogMemoryError::NotRunning`], or `postmaster.pid` can't be read.
    pub fn on(
        data_directory: &Path,
        config: &BackrestConfig,
        stanza: &str,
        programs: &PostgresPrograms,
        environment: &BTreeMap<String, String>,
    ) -> Result<Server, CatalogMemoryError> {
        let not_running = |why: &str| {
            let data_directory = data_directory.to_owned();
            Err(CatalogMemoryError::NotRunning { data_directory, why: why.to_owned() })
        };
        let (port, socket_directory) = match server_is_live(data_directory)? {
            LiveState::Running { port, socket_directory, .. } => (port, socket_directory),
            LiveState::Stopped => return not_running("there is no postmaster.pid"),
            LiveState::Stale { why, .. } => return not_running(&why),
        };
        let configured = config.pg1_socket_path(stanza).map(|path| path.to_string_lossy().into_owned());
        let role = config.value(stanza, "backup", "pg1-user").unwrap_or("postgres").to_owned();
        Ok(Server {
            psql: programs.program("psql"),
            environment: environment.clone(),
            socket_directory: socket_directory.or(configured),
            port: port.or(config.pg1_port(stanza)),
            role,
        })
    }

    /// A server whose door is known.
    #[must_use]
    pub fn at(
        programs: &PostgresPrograms,
        environment: &BTreeMap<String, String>,
        socket_directory: &Path,
        port: u16,
        role: &str,
    ) -> Server {
        Server {
            psql: programs.program("psql"),
            environment: environment.clone(),
            socket_directory: Some(socket_directory.to_string_lossy().into_owned()),
            port: Some(port),
            role: role.to_owned(),
        }
    }

    /// The lines that a query prints.
    fn ask(&self, database: &str, query: &str) -> Result<String, CatalogMemoryError> {
        let mut question = Question::new(&self.psql);
        question.environment = self.environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        for name in ["PGSERVICE", "PGHOSTADDR", "PGOPTIONS", "PGSSLMODE", "PSQLRC", "LANGUAGE"] {
            question.environment.remove(name);
        }
        // As an argument a name with '=' in it would be read as a connection string.
        for (name, value) in [("PGDATABASE", database), ("PGOPTIONS", OPTIONS), ("LC_ALL", "C")] {
            question.environment.insert(name.to_owned(), value.into());
        }
        for (name, value) in [("PGCLIENTENCODING", "UTF8"), ("PGCONNECT_TIMEOUT", "10"), ("PGAPPNAME", "lifeboat")] {
            question.environment.insert(name.to_owned(), value.into());
        }
        question.arguments = ["-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U"].map(OsString::from).into();
        question.arguments.push((&self.role).into());
        if let Some(directory) = &self.socket_directory {
            question.arguments.extend(["-h".into(), directory.into()]);
        }
        if let Some(port) = self.port {
            question.arguments.extend(["-p".into(), port.to_string().into()]);
        }
        question.arguments.extend(["-c".into(), query.into()]);
        question.time_limit = TIME_LIMIT;
        let answer = ask::ask(&question)?;
        if answer.code != 0 {
            let (said, role) = (answer.stderr.trim().to_owned(), clean(&self.role));
            return Err(CatalogMemoryError::Refused { what: format!("database '{}'", clean(database)), said, role });
        }
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }
}

/// Reads the catalogs of all databases that can be connected to, one after the other. A database that can't be read is
/// left out, and said.
///
/// # Errors
/// [`CatalogMemoryError::Refused`] when not even the list of databases can be had, [`CatalogMemoryError::NoDatabase`] when
/// none could be read.
pub fn read_catalogs(server: &Server) -> Result<Catalogs, CatalogMemoryError> {
    let databases: Vec<ListedDatabase> =
        rows(&server.ask("postgres", DATABASES).or_else(|_| server.ask("template1", DATABASES))?)?;
    let mut catalogs = Catalogs::default();
    for database in databases.iter().filter(|database| database.is_open) {
        let shown = clean(&database.name);
        match server.ask(&database.name, RELATIONS).and_then(|text| rows::<ListedRelation>(&text)) {
            Ok(read) => {
                catalogs.relations.extend(read.iter().map(|listed| listed.relation(database, &shown)));
                catalogs.databases.insert(shown);
            }
            Err(error) => catalogs.left_out.push(format!("{shown}: {error}")),
        }
    }
    if catalogs.databases.is_empty() {
        return Err(CatalogMemoryError::NoDatabase { said: catalogs.left_out });
    }
    // what all share is told by each
    let mut seen = BTreeSet::new();
    catalogs.relations.retain(|(key, _)| seen.insert(*key));
    Ok(catalogs)
}

/// The last commit that a restored cluster replayed; `None` where it replayed none since it was started.
#[must_use]
pub fn replayed_until(server: &Server) -> Option<DateTime<Utc>> {
    let query = "SELECT to_json(pg_last_xact_replay_timestamp())";
    rows(&server.ask("postgres", query).ok()?).ok()?.pop()
}

/// Lines of JSON.
fn rows<T: for<'de> Deserialize<'de>>(text: &str) -> Result<Vec<T>, CatalogMemoryError> {
    let garbage = |line: &str| CatalogMemoryError::Garbage { line: clean(&line.chars().take(200).collect::<String>()) };
    text.lines().map(|line| serde_json::from_str(line).map_err(|_| garbage(line))).collect()
}
