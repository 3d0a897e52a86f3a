//! What a recovering PostgreSQL server says in its log, folded line by line.
//!
//! The log has to be written with `log_destination=stderr`, `lc_messages=C`, `log_line_prefix='%m [%p] '` and
//! `log_timezone=UTC` (a server step sets them). Texts are those of PostgreSQL 12 to 17; every fixture is a log
//! of a real recovery by version 15.
//!
//! One [`RecoveryLog`] is for one start of the server: that a target was reached counts for this start only.
//! Recovery messages count only from the startup process, readiness only from the postmaster: a session can
//! write any text into the log (`RAISE LOG`), but not as another process.

mod line;
mod reasons;
mod stop;

pub use reasons::EndReason;
pub use stop::{Side, Stop, StopPoint};

use crate::domain::lsn::Lsn;
use crate::domain::plan::Milestone;
use chrono::{DateTime, Utc};
use line::{Line, Message};
use std::collections::BTreeMap;
use stop::{instant, position, stop};

/// What connections a server accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// `ready to accept read-only connections`: in recovery.
    ReadOnly,
    /// `ready to accept connections`.
    ReadWrite,
}

/// WAL segments that were fetched from the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many, history files not counted; one fetched twice counts twice.
    pub count: u64,
    /// The last one's name.
    pub last: Option<String>,
}

/// The fold of a recovering server's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecoveryLog {
    /// The target as PostgreSQL understood it (`XID 728`, `"before-release"`, a time); `None` when it recovers to the end of WAL.
    pub starting_target: Option<String>,
    /// It recovers from an archive (with a target or to the end of WAL).
    pub archive_recovery: bool,
    /// Where replay began.
    pub redo_starts_at: Option<Lsn>,
    /// Segments fetched so far.
    pub segments: Restored,
    /// The last segment the archive did not have.
    pub not_found: Option<String>,
    /// Where replay is, as PostgreSQL 15 and newer say every ten seconds.
    pub redo_at: Option<Lsn>,
    /// The last restart point, as the checkpointer says with `log_checkpoints=on`: where it is, and when the last
    /// transaction that was replayed by then was committed. For showing progress, never for a proof.
    pub restart_point: Option<(Lsn, Option<DateTime<Utc>>)>,
    /// Where the data became consistent.
    pub consistent_at: Option<Lsn>,
    /// Where recovery stopped because of the target.
    pub stopped: Option<Stop>,
    /// It paused at the target.
    pub paused_at_end: bool,
    /// It paused elsewhere: a setting is lower than on the primary. It will not go on in this start.
    pub stalled: Option<String>,
    /// The end of the last record that was replayed.
    pub redo_done: Option<Lsn>,
    /// When the last replayed transaction was committed.
    pub last_commit_time: Option<DateTime<Utc>>,
    /// The timeline it promotes to.
    pub new_timeline: Option<u32>,
    /// Recovery is over: it was promoted.
    pub archive_recovery_complete: bool,
    /// What connections it accepts.
    pub ready: Option<Ready>,
    /// It was asked to end, or ends by itself.
    pub shutting_down: bool,
    /// The first thing the server itself named as a cause of its end: a shutdown request, a child that was killed.
    pub ended_by: Option<String>,
    /// The postmaster said its last line.
    pub ended: bool,
    /// FATAL and PANIC messages of the postmaster and the startup process, with their DETAIL and HINT lines.
    /// Those of sessions (`role … does not exist`) are not among them.
    pub fatal: Vec<String>,
    /// `ERROR: [NNN]: …` lines of pgBackRest's `archive-get`. PostgreSQL takes such an error for the end of WAL.
    pub errors: Vec<String>,
    evidence: Evidence,
    postmaster: Option<u32>,
    startup: Option<u32>,
    open: Option<Open>,
}

/// The messages that prove a milestone, as they were said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Evidence {
    consistent: String,
    redo_done: String,
    complete: String,
    ready: String,
}

/// The message that DETAIL, HINT and continuation lines belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Open {
    pid: u32,
    what: OpenMessage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OpenMessage {
    Fatal,
    Stalled,
    RestartPoint,
    Ignored,
}

/// At most this many messages are kept of each kind; the rest is in the server's output file.
const KEPT: usize = 50;

impl RecoveryLog {
    /// Takes in the next line.
    pub fn feed(&mut self, line: &str) {
        match line::read(line) {
            Line::Message(message) => self.message(message),
            Line::Continuation(text) => self.attach(&text),
            Line::Foreign(text) => {
                self.open = None;
                if let Some(error) = line::pgbackrest_error(&text) {
                    push(&mut self.errors, error);
                }
                if let Some(segment) = line::not_found(&text) {
                    self.not_found = Some(segment.to_owned());
                }
            }
        }
    }

    /// The message that proves that a milestone was reached in this start, or `None` while it was not.
    #[must_use]
    pub fn reached(&self, milestone: Milestone) -> Option<&str> {
        match milestone {
            Milestone::Consistent => self.consistent_at.map(|_| self.evidence.consistent.as_str()),
            Milestone::TargetReached => match &self.stopped {
                // it also says so right before "requested recovery stop point is before consistent recovery point"
                Some(stop) => self.consistent_at.map(|_| stop.text.as_str()),
                None if self.archive_recovery && self.starting_target.is_none() => {
                    self.redo_done.map(|_| self.evidence.redo_done.as_str())
                }
                None => None,
            },
            Milestone::Paused => match &self.stopped {
                Some(stop) if self.paused_at_end => self.consistent_at.map(|_| stop.text.as_str()),
                _ => None,
            },
            Milestone::Promoted => (self.archive_recovery_complete && self.ready == Some(Ready::ReadWrite))
                .then_some(self.evidence.complete.as_str()),
        }
    }

    /// Why a milestone will never come in this start although the server still runs: replay paused for a setting,
    /// or it promoted without having met its target (PostgreSQL up to 12 does).
    #[must_use]
    pub fn blocked(&self, milestone: Milestone) -> Option<EndReason> {
        if self.reached(milestone).is_some() {
            return None;
        }
        if let Some(stalled) = &self.stalled {
            return Some(EndReason {
                said: stalled.clone(),
                means: "Replay paused before the target: a setting is lower than it was in production. Resuming or promoting here would end the server or lose what comes after.".into(),
                remedy: "Stop the server, raise the setting that the DETAIL names, and start it again; no new restore is needed.".into(),
            });
        }
        if milestone == Milestone::Paused && self.archive_recovery_complete {
            return Some(EndReason {
                said: self.evidence.complete.clone(),
                means: "The server promoted instead of pausing: nothing can be looked at before it is final.".into(),
                remedy: "Restore again before anything is written to it; look for 'subxid ovf' (a transaction with more than 64 subtransactions) at the start of replay, or choose another set.".into(),
            });
        }
        if milestone == Milestone::Promoted && self.ready == Some(Ready::ReadWrite) && !self.archive_recovery {
            return Some(EndReason {
                said: self.evidence.ready.clone(),
                means: "This start was in no recovery: the server was promoted in an earlier one, which ended before it could say so.".into(),
                remedy: "It is open for reading and writing: go on with `lifeboat resolve … done`.".into(),
            });
        }
        if milestone == Milestone::TargetReached && self.archive_recovery_complete {
            return Some(EndReason {
                said: self.evidence.complete.clone(),
                means: "The server promoted without having met its target: the WAL ended before it.".into(),
                remedy: "What is restored is not the state that was asked for. Restore again with an earlier target."
                    .into(),
            });
        }
        None
    }

    /// Why the server ended, for a person: its first FATAL with what it means and what to do.
    /// `None` when the log names no reason (it was asked to end, or was killed).
    #[must_use]
    pub fn reason_of_end(&self) -> Option<EndReason> {
        let mut reason = match (self.fatal.first(), &self.stopped) {
            (Some(fatal), _) => reasons::explain(fatal),
            (None, Some(stop)) if self.shutting_down && !self.paused_at_end && !self.archive_recovery_complete => {
                EndReason {
                    said: stop.text.clone(),
                    means: "The server ended at its target, as recovery_target_action=shutdown asks (hot_standby=off has the same effect).".into(),
                    remedy: "Start it again with -c recovery_target_action=pause -c hot_standby=on to look at it.".into(),
                }
            }
            (None, _) => return None,
        };
        if let Some(time) = self.last_commit_time.filter(|_| !self.fatal.is_empty()) {
            reason.said.push_str(&format!("\nlast completed transaction: {}", time.to_rfc3339()));
        }
        if let Some(error) = self.errors.first() {
            reason.said.push_str(&format!("\narchive-get said before: {error}"));
        }
        Some(reason)
    }

    /// Values for later steps. Each is there only when the log says it:
    /// `lsn` (consistent: where; target: a position target or the end of redo; promoted: the end of redo),
    /// `time` (the stopping transaction's or the last commit's, RFC 3339 in UTC), `timeline` (decimal), `segments`, `last-segment`,
    /// `xid`, `evidence`.
    #[must_use]
    pub fn captures(&self, milestone: Milestone) -> BTreeMap<String, String> {
        let mut captures = BTreeMap::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                captures.insert(name.to_owned(), value);
            }
        };
        put("evidence", self.reached(milestone).map(str::to_owned));
        put("segments", Some(self.segments.count.to_string()));
        put("last-segment", self.segments.last.clone());
        put("timeline", self.timeline(milestone).map(|timeline| timeline.to_string()));
        if milestone == Milestone::Consistent {
            put("lsn", self.consistent_at.map(|lsn| lsn.to_string()));
            return captures;
        }
        let stop = self.stopped.as_ref().map(|stop| &stop.at);
        put("lsn", self.end_of_replay().map(|lsn| lsn.to_string()));
        put("time", self.time_of_stop().or(self.last_commit_time).map(|time| time.to_rfc3339()));
        if let Some(StopPoint::Transaction { xid, .. }) = stop {
            put("xid", Some(xid.to_string()));
        }
        captures
    }

    fn timeline(&self, milestone: Milestone) -> Option<u32> {
        let promoted = self.new_timeline.filter(|_| milestone == Milestone::Promoted);
        let segment = || u32::from_str_radix(self.segments.last.as_deref()?.get(..8)?, 16).ok();
        promoted.or_else(segment)
    }

    fn end_of_replay(&self) -> Option<Lsn> {
        match self.stopped.as_ref().map(|stop| &stop.at) {
            Some(StopPoint::Consistency) => self.consistent_at,
            Some(StopPoint::Position(lsn)) => self.redo_done.or(Some(*lsn)),
            _ => self.redo_done,
        }
    }

    fn time_of_stop(&self) -> Option<DateTime<Utc>> {
        match self.stopped.as_ref().map(|stop| &stop.at)? {
            StopPoint::Transaction { time, .. } | StopPoint::Name { time, .. } => *time,
            _ => None,
        }
    }

    fn message(&mut self, message: Message) {
        let Message { pid, level, text } = message;
        match level.as_str() {
            "DETAIL" | "HINT" | "CONTEXT" | "STATEMENT" => {
                if self.open.is_some_and(|open| open.pid == pid) && matches!(level.as_str(), "DETAIL" | "HINT") {
                    self.attach(&format!("{level}: {text}"));
                }
                return;
            }
            // no session can write PANIC, so it counts from whichever process
            "FATAL" | "PANIC" if level == "PANIC" || self.is_own(pid) => {
                let full = self.fatal.len() >= KEPT;
                push(&mut self.fatal, &text);
                self.open = Some(Open { pid, what: if full { OpenMessage::Ignored } else { OpenMessage::Fatal } });
                return;
            }
            "WARNING" if self.startup == Some(pid) && text.starts_with("hot standby is not possible") => {
                self.stalled = Some(text);
                self.open = Some(Open { pid, what: OpenMessage::Stalled });
                return;
            }
            _ => self.open = Some(Open { pid, what: OpenMessage::Ignored }),
        }
        if level != "LOG" {
            return;
        }
        if self.postmaster.is_none() && text.starts_with("starting PostgreSQL ") {
            self.postmaster = Some(pid);
        } else if self.startup.is_none() && text.starts_with("database system was ") {
            self.startup = Some(pid);
        } else if self.startup == Some(pid) {
            self.startup_says(text);
        } else if self.postmaster == Some(pid) {
            self.postmaster_says(&text);
        } else if let Some(lsn) = text.strip_prefix("recovery restart point at ").and_then(position) {
            self.restart_point = Some((lsn, None));
            self.open = Some(Open { pid, what: OpenMessage::RestartPoint });
        }
    }

    fn is_own(&self, pid: u32) -> bool {
        self.startup == Some(pid) || self.postmaster.is_none_or(|postmaster| postmaster == pid)
    }

    fn startup_says(&mut self, text: String) {
        if let Some(target) = text.strip_prefix("starting point-in-time recovery to ") {
            self.starting_target = Some(target.to_owned());
            self.archive_recovery = true;
        } else if text == "starting archive recovery" {
            self.archive_recovery = true;
        } else if let Some(lsn) = text.strip_prefix("redo starts at ") {
            self.redo_starts_at = position(lsn);
        } else if let Some((_, lsn)) = text.strip_prefix("redo in progress, ").and_then(|rest| rest.split_once("LSN: "))
        {
            self.redo_at = position(lsn);
        } else if let Some(lsn) = text.strip_prefix("consistent recovery state reached at ") {
            self.consistent_at = position(lsn);
            self.evidence.consistent = text;
        } else if let Some(lsn) = text.strip_prefix("redo done at ") {
            self.redo_done = position(lsn.split(' ').next().unwrap_or_default());
            self.evidence.redo_done = text;
        } else if let Some(name) = quoted_after(&text, "restored log file ") {
            self.restored(name.to_owned());
        } else if let Some(time) = text.strip_prefix("last completed transaction was at log time ") {
            self.last_commit_time = instant(time);
        } else if text.starts_with("recovery stopping ") {
            self.stopped = stop(text);
        } else if text == "pausing at the end of recovery" {
            self.paused_at_end = true;
        } else if let Some(timeline) = text.strip_prefix("selected new timeline ID: ") {
            self.new_timeline = timeline.parse().ok();
        } else if text == "archive recovery complete" {
            self.archive_recovery_complete = true;
            self.evidence.complete = text;
        }
    }

    fn postmaster_says(&mut self, text: &str) {
        match text {
            "database system is ready to accept connections" => self.ready = Some(Ready::ReadWrite),
            // "read only" up to 13
            "database system is ready to accept read-only connections"
            | "database system is ready to accept read only connections" => self.ready = Some(Ready::ReadOnly),
            "database system is shut down" => (self.shutting_down, self.ended) = (true, true),
            "shutdown at recovery target" => self.shutting_down = true,
            "all server processes terminated; reinitializing" => {
                // a crash: recovery begins again under another process
                (self.startup, self.ready) = (None, None);
            }
            other => {
                let asked = other.starts_with("received ") && other.ends_with("shutdown request");
                let forced = other.starts_with("shutting down due to");
                self.shutting_down |= asked || forced;
                let lost = other.contains(" was terminated by signal ") || other.contains(" exited with exit code ");
                if asked || forced || lost {
                    self.ended_by.get_or_insert_with(|| other.to_owned());
                }
                return;
            }
        }
        if self.ready.is_some() {
            self.evidence.ready = text.to_owned();
        }
    }

    /// What the server said when it became ready, or `None` before.
    #[must_use]
    pub fn ready_evidence(&self) -> Option<&str> {
        self.ready.map(|_| self.evidence.ready.as_str())
    }

    fn restored(&mut self, name: String) {
        if name.len() == 24 {
            self.segments.count += 1;
            self.segments.last = Some(name);
        }
    }

    fn attach(&mut self, text: &str) {
        let into = match self.open.map(|open| open.what) {
            Some(OpenMessage::Fatal) => self.fatal.last_mut(),
            Some(OpenMessage::Stalled) => self.stalled.as_mut(),
            Some(OpenMessage::RestartPoint) => {
                let time = text.strip_prefix("DETAIL: Last completed transaction was at log time ");
                if let (Some((_, commit)), Some(time)) = (&mut self.restart_point, time) {
                    *commit = instant(time.trim_end_matches('.'));
                }
                None
            }
            Some(OpenMessage::Ignored) | None => None,
        };
        if let Some(into) = into
            && into.len() < 4096
        {
            into.push('\n');
            into.push_str(text);
        }
    }
}

fn push(into: &mut Vec<String>, text: &str) {
    if into.len() < KEPT {
        into.push(text.to_owned());
    }
}

fn quoted_after<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_prefix('"')?.split('"').next()
}

#[cfg(test)]
mod tests;
