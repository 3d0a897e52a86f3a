//! PostgreSQL's own programs and files, without SQL: which programs, what a control file says, whether a server is
//! alive, where tablespaces lie, what listens.

mod limits;
mod listeners;
mod live;
mod programs;

pub use limits::replay_limits;
pub use listeners::{Listener, tcp_listeners};
pub use live::{LiveState, LiveTablespace, clear_stale_pid, live_tablespaces, processes_in, server_is_live};
pub use programs::{PostgresPrograms, major_of};

use crate::domain::control_data::ControlDataError;
use crate::engine::ask::AskError;
use std::io;
use std::path::PathBuf;

/// Why PostgreSQL could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No server programs of that major version.
    #[error(
        "no PostgreSQL {major} server programs: looked for 'postgres' in {looked}; install the package postgresql-{major}, or name the folder as bin_directory in [postgres] of the settings"
    )]
    NotFound {
        /// The major version.
        major: String,
        /// The places, joined.
        looked: String,
    },
    /// The programs that were found are of another version.
    #[error(
        "{} is PostgreSQL {found}, the backup set needs {needed}: install postgresql-{needed}, or name its folder as bin_directory in [postgres] of the settings",
        bin_directory.display()
    )]
    OtherVersion {
        /// Where they are.
        bin_directory: PathBuf,
        /// Their major version.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// A program gave no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A program answered with an error.
    #[error("{} ended with exit code {code}: {said}", program.display())]
    Refused {
        /// The program.
        program: PathBuf,
        /// Its exit code.
        code: i32,
        /// What it said, cleaned.
        said: String,
    },
    /// What it printed is not a control file's.
    #[error("{}: {source}", data_directory.display())]
    ControlData {
        /// The data directory.
        data_directory: PathBuf,
        /// Why not.
        source: ControlDataError,
    },
    /// A server runs where none may.
    #[error("a PostgreSQL server (process {pid}) runs on {}; stop it first", path.display())]
    Live {
        /// Its data directory.
        path: PathBuf,
        /// The postmaster.
        pid: u32,
    },
    /// A file can't be read.
    #[error("{} can't be read: {source}; run as the owner of the data directory", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PostgresError {
    fn unreadable(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> PostgresError {
        let path = path.into();
        move |source| PostgresError::Unreadable { path, source }
    }
}
