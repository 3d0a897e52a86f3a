//! How far a server's replay of WAL is: by its log, and once it answers, in its own words.
//!
//! The server's log tells which segments it fetched, but the position and the last commit only at the end. A server of
//! this run that has become consistent is therefore asked (`psql`, its own socket); production never is.

use crate::domain::lsn::Lsn;
use crate::domain::plan::{CommandLine, StepKind};
use crate::domain::progress::{Far, Pace, Replay};
use crate::domain::rate::Rate;
use crate::domain::recovery_log::RecoveryLog;
use crate::domain::run::Run;
use crate::domain::wal::{SegmentSize, WalSegment};
use crate::engine::ask::{self, Question};
use crate::engine::progress::seconds_since;
use chrono::{DateTime, Utc};
use std::path::PathBuf;
use std::time::Duration;

const ASK_EVERY_SECONDS: f64 = 2.0;
const PATIENCE: Duration = Duration::from_secs(3);
const QUERY: &str = "SELECT pg_last_wal_replay_lsn(), \
    to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
/// Where the drill notes the archive's newest segment, and how large segments are.
const NEWEST: &str = "archive-covers.newest-segment";
const SEGMENT_BYTES: &str = "archive-covers.segment-bytes";

/// A server that replays.
#[derive(Debug)]
pub(super) struct Replaying {
    log: RecoveryLog,
    rate: Rate,
    server: usize,
    door: Option<Door>,
    asked: Option<f64>,
    lsn: Option<Lsn>,
    last_commit: Option<DateTime<Utc>>,
}

/// How the server is asked.
#[derive(Debug)]
struct Door {
    psql: PathBuf,
    socket: String,
    port: String,
    user: String,
}

impl Replaying {
    pub(super) fn of(run: &Run, command: &CommandLine) -> Replaying {
        let server = run.plan.steps.iter().position(|step| step.kind.command() == Some(command)).unwrap_or(0);
        Replaying {
            log: RecoveryLog::default(),
            rate: Rate::default(),
            server,
            door: Door::of(run, command),
            asked: None,
            lsn: None,
            last_commit: None,
        }
    }

    pub(super) fn feed(&mut self, line: &str) {
        self.log.feed(line);
    }

    pub(super) fn far(&mut self, run: &Run) -> Option<Far> {
        if self.log.redo_starts_at.is_none() && self.log.segments.last.is_none() {
            return None;
        }
        let seconds = seconds_since(&run.steps[self.server]);
        self.ask(seconds);
        let size = run.values.get(SEGMENT_BYTES).and_then(|text| text.parse().ok());
        let size = size.and_then(|bytes| SegmentSize::from_bytes(bytes).ok());
        let segment = |name: Option<&String>| name.and_then(|name| WalSegment::parse(name).ok());
        let start_of = |segment: Option<WalSegment>| segment.zip(size).and_then(|(segment, size)| segment.start(size));
        let fetched = start_of(segment(self.log.segments.last.as_ref()));
        let newest = start_of(segment(run.values.get(NEWEST)));
        let lsn = self.log.redo_done.or(self.lsn.max(self.log.redo_at)).or(self.log.consistent_at);
        let position = lsn.max(fetched);
        let size_bytes = size.map_or(0, SegmentSize::bytes);
        Some(Far::Replay(Replay {
            lsn,
            last_commit: self.log.last_commit_time.or(self.last_commit),
            segments: self.log.segments.count,
            segment: self.log.segments.last.clone(),
            segments_left: newest
                .zip(fetched)
                .map(|(newest, fetched)| newest.0.saturating_sub(fetched.0).checked_div(size_bytes).unwrap_or(0)),
            at_most: run.plan.parameters.get("target-type").is_none_or(|kind| kind != "latest"),
            pace: self.pace(seconds, position, newest.map(|newest| Lsn(newest.0 + size_bytes))),
        }))
    }

    /// WAL bytes since the beginning of replay, at `seconds` since the server's start.
    fn pace(&mut self, seconds: f64, position: Option<Lsn>, end: Option<Lsn>) -> Pace {
        let Some((begin, position)) = self.log.redo_starts_at.zip(position) else { return Pace::default() };
        if self.rate == Rate::default() {
            self.rate.observe(0.0, 0);
        }
        self.rate.observe(seconds, position.0.saturating_sub(begin.0));
        let whole = end.map(|end| end.0.saturating_sub(begin.0));
        Pace {
            bytes_per_second: self.rate.bytes_per_second(),
            seconds_left: whole.and_then(|whole| self.rate.seconds_left(whole)),
        }
    }

    fn ask(&mut self, seconds: f64) {
        let is_over = self.log.redo_done.is_some() || self.log.shutting_down;
        let is_too_soon = self.asked.is_some_and(|asked| seconds - asked < ASK_EVERY_SECONDS);
        if self.log.ready.is_none() || is_over || is_too_soon {
            return;
        }
        self.asked = Some(seconds);
        if let Some((lsn, commit)) = self.door.as_ref().and_then(Door::ask) {
            self.lsn = lsn.or(self.lsn);
            self.last_commit = commit.or(self.last_commit);
        }
    }
}

impl Door {
    /// Read off the server's own command line, and the account off a query of the same plan.
    fn of(run: &Run, command: &CommandLine) -> Option<Door> {
        let words: Vec<String> = command.argv.iter().filter_map(|word| word.resolved()).collect();
        let setting = |name: &str| words.iter().find_map(|word| word.strip_prefix(name)).map(str::to_owned);
        let user = run.plan.steps.iter().find_map(|step| match &step.kind {
            StepKind::Sql { command } => {
                let words: Vec<String> = command.argv.iter().filter_map(|word| word.resolved()).collect();
                let at = words.iter().position(|word| word == "-U" || word == "--username")?;
                words.get(at + 1).cloned()
            }
            _ => None,
        });
        Some(Door {
            psql: PathBuf::from(words.first()?).parent()?.join("psql"),
            socket: setting("unix_socket_directories=").filter(|socket| socket.starts_with('/'))?,
            port: setting("port=")?,
            user: user.unwrap_or_else(|| "postgres".to_owned()),
        })
    }

    /// Position and last commit; nothing when the server does not answer.
    fn ask(&self) -> Option<(Option<Lsn>, Option<DateTime<Utc>>)> {
        let mut question = Question::new(&self.psql);
        let fixed = ["-X", "-w", "-A", "-t", "-F", "|", "-d", "postgres", "-c", QUERY];
        let address = ["-h", &self.socket, "-p", &self.port, "-U", &self.user];
        question.arguments = address.iter().chain(&fixed).map(Into::into).collect();
        question.environment.insert("PGCONNECT_TIMEOUT".to_owned(), "2".into());
        question.environment.insert("PGOPTIONS".to_owned(), "-c statement_timeout=2s".into());
        question.time_limit = PATIENCE;
        question.output_limit_bytes = 1 << 16;
        let answer = ask::ask(&question).ok().filter(|answer| answer.code == 0)?;
        let text = String::from_utf8(answer.stdout).ok()?;
        let (lsn, time) = text.trim_end().split_once('|')?;
        Some((Lsn::parse(lsn).ok(), time.parse().ok()))
    }
}
