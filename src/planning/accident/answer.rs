//! The answer to "what happened?", as it is printed with `--json`.

use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::planning::accident::counts::Counts;
use crate::planning::target::RecoveryTarget;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was found in a window of WAL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// 1.
    pub schema: u32,
    /// The window's begin.
    pub from: DateTime<Utc>,
    /// The window's end.
    pub to: DateTime<Utc>,
    /// How many segments were read.
    pub segments_read: u64,
    /// How many bytes of WAL were read.
    pub bytes_read: u64,
    /// The earliest suspect whose score says accident.
    pub proposed: Option<Proposed>,
    /// The suspects, in commit order.
    pub suspects: Vec<Suspect>,
    /// Rows changed over time: the window in equal parts. For a page; not part of the JSON.
    #[serde(skip)]
    pub histogram: Vec<Counts>,
    /// What has to be known of this answer: what it does not cover, and what stands out.
    pub notes: Vec<String>,
}

/// The transaction that is proposed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposed {
    /// Its id.
    pub xid: u32,
    /// Where recovery should stop.
    pub target: ExactTarget,
}

/// Where recovery stops right before a transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExactTarget {
    /// Always `lsn`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The position.
    pub value: Lsn,
    /// Always true: the record that starts there is not replayed.
    pub exclusive: bool,
    /// The timeline.
    pub timeline: TimelineId,
}

impl ExactTarget {
    /// Before the record that starts at `value`.
    #[must_use]
    pub fn before(value: Lsn, timeline: TimelineId) -> ExactTarget {
        ExactTarget { kind: "lsn".to_owned(), value, exclusive: true, timeline }
    }

    /// As recovery takes it.
    #[must_use]
    pub fn recovery_target(&self) -> RecoveryTarget {
        RecoveryTarget::Lsn { lsn: self.value, exclusive: self.exclusive }
    }
}

/// A transaction that may be the accident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suspect {
    /// Its place by score, from 1.
    pub rank: usize,
    /// Its id.
    pub xid: u32,
    /// The start of its first record, its subtransactions' included.
    pub first_record_lsn: Lsn,
    /// Whether an earlier one may lie before the WAL that was read.
    pub may_begin_earlier: bool,
    /// When it was committed, by the server's clock.
    pub commit_time: DateTime<Utc>,
    /// The start of its commit record.
    pub commit_start_lsn: Lsn,
    /// The end of its commit record.
    pub commit_end_lsn: Lsn,
    /// Its database.
    pub database: String,
    /// What it did, by relation.
    pub relations: Vec<SuspectRelation>,
    /// From 0 to 100.
    pub score: u32,
    /// Why, the weightiest first.
    pub reasons: Vec<String>,
    /// Where to stop right before it.
    pub target: ExactTarget,
    /// Relations on which a transaction that is open at that target, itself or another one, holds its exclusive lock until
    /// promotion: a query on them waits.
    pub locked_until_promotion: Vec<String>,
    /// Those on which one that is prepared there does, beyond promotion: until it is committed or rolled back by its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locked_by_prepared: Vec<String>,
    /// The last commit that the target keeps; `None` where none was read before it.
    pub last_kept: Option<LastKept>,
    /// What was committed behind the target, itself aside, and is discarded too.
    pub discarded: Discarded,
    /// The subtransactions whose records are its own, the first hundred.
    pub subtransactions: Vec<u32>,
}

/// One relation of a suspect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuspectRelation {
    /// Its name, or its file where none is known.
    pub name: String,
    /// Its oid, where it is known.
    pub oid: Option<u32>,
    /// The number of its file at that time; 0 where only the oid is known.
    pub filenode: u32,
    /// Rows inserted.
    pub inserted: u64,
    /// Rows updated.
    pub updated: u64,
    /// Rows deleted.
    pub deleted: u64,
    /// Whether it was truncated.
    pub truncated: bool,
    /// Whether it was dropped.
    pub dropped: bool,
    /// The share of its rows that was updated or deleted, from 0 to 1, where the number of rows is known.
    pub share: Option<f64>,
    /// The size in bytes of what was dropped or truncated of it, as it was remembered or as a backup set has it; no WAL tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// When its name was last seen, where it is remembered and no live catalog said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<DateTime<Utc>>,
}

/// The last commit before a suspect.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastKept {
    /// Its id.
    pub xid: u32,
    /// When.
    pub time: DateTime<Utc>,
    /// The end of its commit record.
    pub lsn: Lsn,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What is lost with a suspect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discarded {
    /// Commits behind the target, as far as the WAL was read.
    pub commits: u64,
    /// Of them those that are proven to be of ANALYZE or VACUUM alone, autovacuum's mostly: nothing is lost with them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub maintenance: u64,
    /// Their rows, by table.
    pub by_table: BTreeMap<String, Counts>,
}
