//! What really happened, kept closed until the score; and what the writer was promised.

use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::engine::rehearsal::error::RehearsalError;
use crate::engine::rehearsal::layout::Layout;
use crate::engine::rehearsal::scenario::Scenario;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What really happened to a practice cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// Version of this file's format: 1.
    pub schema: u32,
    /// For whoever opens the file by hand.
    pub note: String,
    /// Which accident it was.
    pub scenario: Scenario,
    /// What all of its chances were drawn from.
    pub seed: u64,
    /// The timeline it happened on.
    pub timeline: TimelineId,
    /// When it happened: the commit's time, or when the server was ended.
    pub happened_at: DateTime<Utc>,
    /// The transactions that did it, in commit order; none where the disk was lost.
    pub blows: Vec<Blow>,
    /// What commits before this position can come back, and nothing else should: the start of the first blow's commit
    /// record, or the end of the newest archived segment.
    pub boundary: Lsn,
    /// The best target, exclusive: the first blow's first record, or its commit record where others committed in
    /// between. None where the disk was lost: everything archived is wanted.
    pub target: Option<Lsn>,
    /// The last commit before the boundary that was seen in the WAL.
    pub last_good: Option<Commit>,
    /// Transactions seen in the WAL whose commit lies before the boundary, the last one last.
    pub good: Vec<u64>,
    /// What was in the tables when the writer's watch began.
    pub baseline: Vec<Baseline>,
    /// The last commit that the writer had noted as acknowledged when the page was sent.
    pub last_acknowledged: Option<Acknowledged>,
    /// When the page came: the clock of the score begins.
    pub paged_at: DateTime<Utc>,
    /// The moment that the page names.
    pub page_says: DateTime<Utc>,
}

/// A commit, as its WAL record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// The transaction's id.
    pub xid: u64,
    /// The time in the record.
    pub committed_at: DateTime<Utc>,
    /// Where the record starts.
    pub lsn: Lsn,
}

/// A transaction that did damage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Blow {
    /// What was run.
    pub statement: String,
    /// The table it hit.
    pub table: String,
    /// How many rows it deleted; absent where a table was dropped.
    pub rows: Option<u64>,
    /// Where its first record starts.
    pub first_record: Lsn,
    /// Its commit.
    pub commit: Commit,
    /// How many other transactions committed between its first record and its commit.
    pub commits_between: u64,
}

/// What was in a table when the writer's watch began. Nobody but an accident ever removes a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The table.
    pub table: String,
    /// Number of rows.
    pub rows: u64,
    /// The highest number in its key; later rows have higher ones.
    pub highest: i64,
}

/// A commit that the writer was promised. The rows carry `at` as their time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acknowledged {
    /// The order it placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_id: Option<i64>,
    /// The payment it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<i64>,
    /// The customer it registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<i64>,
    /// The time in the rows.
    pub at: DateTime<Utc>,
    /// The transaction's id.
    pub xid: u64,
    /// The time in the commit record.
    pub committed_at: DateTime<Utc>,
    /// A position at or after the commit record's end.
    pub lsn: Lsn,
    /// The timeline it was written on.
    pub timeline: TimelineId,
}

/// The tables of the shop with their keys and the column that holds the time.
pub(super) const TABLES: [(&str, &str, &str); 3] = [
    ("customers", "customer_id", "created_at"),
    ("orders", "order_id", "placed_at"),
    ("payments", "payment_id", "paid_at"),
];

impl Acknowledged {
    /// The rows it made: table and number.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&'static str, i64)> {
        [("customers", self.customer_id), ("orders", self.order_id), ("payments", self.payment_id)]
            .into_iter()
            .filter_map(|(table, number)| Some((table, number?)))
    }

    /// Reads all that the writer noted, in its order. A last line without its end is left out: it is being written.
    ///
    /// # Errors
    /// When the file can't be read or holds something else.
    pub fn read_all(layout: &Layout) -> Result<Vec<Self>, RehearsalError> {
        let path = layout.acknowledged();
        let text = fs::read_to_string(&path).map_err(RehearsalError::io("cannot read", &path))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| decode(&path, line)).collect()
    }
}

impl Truth {
    /// Reads the truth of a practice cluster.
    ///
    /// # Errors
    /// When there was no accident, or its file can't be read.
    pub fn read_from(layout: &Layout) -> Result<Self, RehearsalError> {
        let path = layout.truth();
        match fs::read_to_string(&path) {
            Ok(text) => decode(&path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(RehearsalError::Accident(format!(
                "there was none in {}; cause one with `lifeboat rehearse --break {0}`",
                layout.directory.display()
            ))),
            Err(error) => Err(RehearsalError::io("cannot read", &path)(error)),
        }
    }

    /// Writes it, for its owner only. One practice cluster has one accident.
    pub(super) fn write_to(&self, layout: &Layout) -> Result<(), RehearsalError> {
        let path = layout.truth();
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| RehearsalError::io("cannot encode", &path)(error.into()))?;
        text.push('\n');
        write_private(&path, &text)
    }
}

/// Writes a new file for its owner only.
pub(super) fn write_private(path: &Path, text: &str) -> Result<(), RehearsalError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(RehearsalError::io("cannot write", path))
}

fn decode<'a, T: Deserialize<'a>>(path: &Path, text: &'a str) -> Result<T, RehearsalError> {
    serde_json::from_str(text).map_err(|error| RehearsalError::io("cannot understand", path)(error.into()))
}
