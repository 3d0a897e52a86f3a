//! Questions to a running server, through `psql` and a socket: read-only, each with time limits of its own.

use crate::domain::text::clean;
use crate::engine::ask::{self, AskError, Question};
use crate::engine::postgres::PostgresPrograms;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What every question runs with: it never waits long for a lock, and can't change anything.
const OPTIONS: &str = "-c statement_timeout=15s -c lock_timeout=3s -c default_transaction_read_only=on \
    -c idle_in_transaction_session_timeout=15s -c search_path=pg_catalog";

/// A server's door.
#[derive(Debug, Clone)]
pub struct Psql {
    program: PathBuf,
    environment: BTreeMap<String, String>,
    socket_directory: PathBuf,
    port: u16,
    user: String,
}

/// A row as JSON: column to value.
pub type Row = serde_json::Map<String, Value>;

/// Why the server did not answer.
#[derive(Debug, thiserror::Error)]
pub enum PsqlError {
    /// psql could not be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// No server listens there.
    #[error("the server does not run: {said}")]
    Down {
        /// What psql said, cleaned.
        said: String,
    },
    /// The server refused.
    #[error("psql, database {database}: {said}")]
    Refused {
        /// The database, cleaned.
        database: String,
        /// What psql said, cleaned.
        said: String,
    },
    /// The answer is not the JSON that was asked for.
    #[error("psql, database {database}: its answer can't be read: {why}")]
    Answer {
        /// The database, cleaned.
        database: String,
        /// Why not.
        why: String,
    },
}

impl PsqlError {
    /// Nobody listens there.
    #[must_use]
    pub fn is_down(&self) -> bool {
        matches!(self, PsqlError::Down { .. })
    }
}

impl Psql {
    /// The door of a server: its socket's directory, its port, and who asks.
    #[must_use]
    pub fn new(
        programs: &PostgresPrograms,
        environment: &BTreeMap<String, String>,
        socket_directory: &Path,
        port: u16,
        user: &str,
    ) -> Psql {
        Psql {
            program: programs.program("psql"),
            environment: environment.clone(),
            socket_directory: socket_directory.to_owned(),
            port,
            user: user.to_owned(),
        }
    }

    /// The rows of one SELECT. `sql` is Lifeboat's own text; nothing from outside is put into it.
    ///
    /// # Errors
    /// [`PsqlError`].
    pub fn rows(&self, database: &str, sql: &str) -> Result<Vec<Row>, PsqlError> {
        let mut question = Question::new(&self.program);
        question.environment = self.environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        let own = [("LC_ALL", "C"), ("PGOPTIONS", OPTIONS), ("PGAPPNAME", "lifeboat"), ("PGCLIENTENCODING", "UTF8")];
        question.environment.extend(own.map(|(name, value)| (name.to_owned(), value.into())));
        question.environment.insert("PGCONNECT_TIMEOUT".to_owned(), "10".into());
        // given as an argument, a name with '=' in it would be taken for a whole connection string
        question.environment.insert("PGDATABASE".to_owned(), database.into());
        question.environment.insert("PGUSER".to_owned(), (&self.user).into());
        question.environment.remove("LANGUAGE");
        question.arguments = ["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-h"].map(Into::into).to_vec();
        question.arguments.push(self.socket_directory.clone().into());
        let query = format!("SELECT coalesce(json_agg(row_to_json(it)), '[]') FROM ({sql}) it");
        question.arguments.extend(["-p".into(), self.port.to_string().into(), "-c".into(), query.into()]);
        question.time_limit = Duration::from_secs(40);
        question.output_limit_bytes = 64 << 20;
        let answer = ask::ask(&question)?;
        let database = clean(database);
        if answer.code != 0 {
            let said = clean(answer.stderr.trim());
            let down = ["No such file or directory", "Connection refused"].iter().any(|sign| said.contains(sign));
            return Err(if down { PsqlError::Down { said } } else { PsqlError::Refused { database, said } });
        }
        serde_json::from_slice(&answer.stdout)
            .map_err(|error| PsqlError::Answer { database, why: clean(&error.to_string()) })
    }

    /// The databases that can be connected to, templates left out.
    ///
    /// # Errors
    /// [`PsqlError`].
    pub fn databases(&self, from: &str) -> Result<Vec<String>, PsqlError> {
        let sql = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname";
        let rows = self.rows(from, sql)?;
        Ok(rows.iter().filter_map(|row| Some(row.get("datname")?.as_str()?.to_owned())).collect())
    }
}

/// A value of a row for a screen: cleaned, empty where it is NULL or missing.
#[must_use]
pub fn shown(row: &Row, column: &str) -> String {
    match row.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => clean(text),
        Some(other) => clean(&other.to_string()),
    }
}
