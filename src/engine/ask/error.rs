//! Why there is no answer.

use crate::domain::text::clean;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such program.
    #[error("there is no program {program}: {advice}")]
    NotFound {
        /// The path or the name that was looked for.
        program: String,
        /// How to get it.
        advice: String,
    },
    /// The file is there and can't be executed.
    #[error(
        "{} can't be executed ({reason}): look at its mode and at the mount options of its file system (noexec), or name another program",
        program.display()
    )]
    NotExecutable {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        reason: String,
    },
    /// It did not end in time, and was ended with its children.
    #[error(
        "{} gave no answer within {seconds} s and was ended with its children: run it by hand to see what it waits for (a host that does not answer, a hung mount, a question for a password){}",
        program.display(), last_words(stderr)
    )]
    TimedOut {
        /// The program.
        program: PathBuf,
        /// The limit, in seconds.
        seconds: u64,
        /// What it had written to stderr until then, cleaned.
        stderr: String,
    },
    /// It did not end in time, and not even after it was killed.
    #[error(
        "{} gave no answer within {seconds} s and can't be ended either: it hangs in the kernel, most likely on a mount whose server is gone; look at the mounts",
        program.display()
    )]
    Stuck {
        /// The program.
        program: PathBuf,
        /// The limit, in seconds.
        seconds: u64,
    },
    /// A person wished it to end; it was ended with its children.
    #[error("{} was broken off", program.display())]
    Cancelled {
        /// The program.
        program: PathBuf,
    },
    /// It wrote more than it may, and was ended with its children.
    #[error(
        "{} wrote more than {limit_bytes} bytes and was ended with its children: is it really the program it is taken for?",
        program.display()
    )]
    TooLarge {
        /// The program.
        program: PathBuf,
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// It was started, and reading from it or waiting for it failed; it was ended with its children.
    #[error("{} was started, and {what} failed: {error}", program.display())]
    Lost {
        /// The program.
        program: PathBuf,
        /// What failed.
        what: &'static str,
        /// What the kernel said.
        error: io::Error,
    },
    /// It could not be started for another reason.
    #[error("{} can't be started: {error}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

/// There is no such program; with how to get it.
pub(super) fn not_found(program: &Path, search_path: Option<&OsStr>) -> AskError {
    let name = program.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
    let package = match name.as_ref() {
        "pgbackrest" => {
            "install the package pgbackrest (Debian and Ubuntu: apt-get install pgbackrest), or name it with --pgbackrest"
        }
        "psql" | "pg_ctl" | "postgres" | "pg_controldata" | "initdb" | "pg_amcheck" | "pg_isready" => {
            "install the package postgresql (Debian and Ubuntu: apt-get install postgresql; its programs are in /usr/lib/postgresql/VERSION/bin)"
        }
        _ => "install it, or name another",
    };
    let in_path = program.as_os_str().as_encoded_bytes().contains(&b'/');
    let advice = match search_path {
        Some(path) if !in_path => format!("{package} (looked in {})", clean(&path.to_string_lossy())),
        _ => package.to_owned(),
    };
    AskError::NotFound { program: clean(&program.to_string_lossy()), advice }
}

/// The kernel refused to execute it.
pub(super) fn start_error(program: &Path, error: io::Error) -> AskError {
    let raw = error.raw_os_error().map(Errno::from_raw_os_error);
    match raw {
        Some(Errno::NOENT) if program.exists() => AskError::NotExecutable {
            program: program.to_owned(),
            reason: "the interpreter its first line names, or its loader, is missing".to_owned(),
        },
        Some(Errno::NOENT) => not_found(program, None),
        Some(Errno::ACCESS | Errno::PERM | Errno::NOEXEC | Errno::ISDIR) => {
            AskError::NotExecutable { program: program.to_owned(), reason: clean(&error.to_string()) }
        }
        _ => AskError::Start { program: program.to_owned(), error },
    }
}

/// The last line of what a program said, as an addition to a message.
fn last_words(stderr: &str) -> String {
    stderr.trim_end().lines().next_back().map(|line| format!("; its last words: {line}")).unwrap_or_default()
}
