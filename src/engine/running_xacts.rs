//! Asks `pg_waldump` whether a start that pauses at the target is safe to be repeated.

use crate::domain::lsn::Lsn;
use crate::domain::running_xacts::{RunningXacts, RunningXactsError, first_running_xacts};
use crate::domain::wal::TimelineId;
use crate::engine::ask::{self, AskError, Question};
use crate::engine::postgres::PostgresPrograms;
use std::collections::BTreeMap;
use std::path::Path;

/// So many records of the Standby resource manager are read at most: locks of a busy server come before the first snapshot.
/// Mostly it is the very first, and with one record asked for `pg_waldump` ends there: at the end of the WAL it waits five
/// seconds for more (15).
const RECORDS: [&str; 2] = ["1", "20000"];

/// Whether looking is safe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LookSafe {
    /// The first snapshot is whole: hot standby is active before the target, and a start stops there.
    Safe(RunningXacts),
    /// The first snapshot overflowed: a start may *promote* at the target. Another set, or deciding without looking.
    Overflowed(RunningXacts),
    /// There is no snapshot in this WAL: nothing is known, and looking is not allowed.
    Unknown {
        /// What `pg_waldump` said, cleaned.
        said: String,
    },
}

/// Why it could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum LookSafeError {
    /// `pg_waldump` did not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// It answered with something else.
    #[error(transparent)]
    Output(#[from] RunningXactsError),
}

/// Reads the WAL in `wal_directory` from `redo` on: `pg_wal` of the data directory, or a folder with the segments that
/// `archive-get` fetched (right after a restore `pg_wal` is empty). `redo` is that of `pg_controldata`; for a fresh
/// restore that of `backup_label`.
///
/// # Errors
/// [`LookSafeError`]. Missing WAL is no error but [`LookSafe::Unknown`].
pub fn look_safe(
    programs: &PostgresPrograms,
    wal_directory: &Path,
    redo: Lsn,
    timeline: TimelineId,
    environment: &BTreeMap<String, String>,
) -> Result<LookSafe, LookSafeError> {
    let mut said = String::new();
    for records in RECORDS {
        let answer = ask::ask(&question(programs, wal_directory, redo, timeline, environment, records))?;
        // it ends with 1 at the end of the WAL: what it printed before counts
        match first_running_xacts(&String::from_utf8_lossy(&answer.stdout), redo)? {
            Some(record) if record.overflowed => return Ok(LookSafe::Overflowed(record)),
            Some(record) => return Ok(LookSafe::Safe(record)),
            None => said = answer.stderr.trim().to_owned(),
        }
    }
    Ok(LookSafe::Unknown { said })
}

fn question(
    programs: &PostgresPrograms,
    wal_directory: &Path,
    redo: Lsn,
    timeline: TimelineId,
    environment: &BTreeMap<String, String>,
    records: &str,
) -> Question {
    let mut question = Question::new(programs.program("pg_waldump"));
    question.environment = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    question.environment.insert("LC_ALL".into(), "C".into());
    question.environment.remove("LANGUAGE");
    question.output_limit_bytes = 64 << 20;
    question.arguments.push("-p".into());
    question.arguments.push(wal_directory.into());
    let (redo_text, timeline) = (redo.to_string(), timeline.to_string());
    let rest = ["-t", &timeline, "-s", &redo_text, "-r", "Standby", "-n", records];
    question.arguments.extend(rest.iter().map(Into::into));
    question
}
