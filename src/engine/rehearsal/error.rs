//! What can keep a practice cluster from being built, opened or ended.

use std::path::{Path, PathBuf};

/// Why a practice cluster could not be built, opened or ended.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// PostgreSQL's `initdb` and `postgres` refuse to run as root.
    #[error(
        "a practice cluster can't be built as root: PostgreSQL refuses to run as root. Start it as the user `postgres`, for example with `sudo -u postgres`"
    )]
    Root,
    /// A program that is needed is not installed.
    #[error("{program} was not found in {looked}. Install {package}, or run `make install-needs`")]
    ProgramMissing {
        /// Name of the program.
        program: &'static str,
        /// Where it was looked for.
        looked: String,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// The directory can't hold a practice cluster.
    #[error("{directory} can't hold a practice cluster: {reason}", directory = directory.display())]
    Directory {
        /// The directory that was asked for.
        directory: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The directory is not a practice cluster of ours: nothing in it is touched.
    #[error("{directory} is not a practice cluster that Lifeboat built ({reason}); nothing was touched", directory = directory.display())]
    NotARehearsal {
        /// The directory that was named.
        directory: PathBuf,
        /// What was missing or different.
        reason: String,
    },
    /// A program ended with a failure.
    #[error("{what} failed: `{command}` ended with {status}{output}")]
    Command {
        /// What was being done, for a person.
        what: String,
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// A line break and the last lines it printed, or nothing.
        output: String,
    },
    /// A program did not end in time and was ended.
    #[error("{what} took longer than {seconds} s and was ended: `{command}`")]
    TooSlow {
        /// What was being done, for a person.
        what: String,
        /// The program and its arguments.
        command: String,
        /// The limit, in seconds.
        seconds: u64,
    },
    /// A file or process could not be worked with.
    #[error("{action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried, as a phrase that a path can follow.
        action: &'static str,
        /// The file or program it was tried on.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A signal asked for the end.
    #[error("interrupted")]
    Interrupted,
    /// The writer did not report its first acknowledged order.
    #[error("the writer did not commit its first order: {0}")]
    Writer(String),
    /// The accident could not be caused, or what is known of it can't be read.
    #[error("the rehearsal's accident: {0}")]
    Accident(String),
    /// Processes of the practice cluster could not be ended.
    #[error(
        "processes of the practice cluster are still alive after KILL: {0}. Nothing was removed; look at them with `ps -fp`"
    )]
    StillRunning(String),
}

impl RehearsalError {
    /// Makes an input or output error that names what was tried on which path.
    pub(super) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
