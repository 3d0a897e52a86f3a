//! Everything that comes in: keys, sizes, the clock, and the answers to what went out. One inbox, one order.

use crate::domain::event::RunId;
use crate::domain::inventory::{BackupSet, Known, LastDrills, SetKey, Stanza};
use crate::domain::progress::Progress;
use crate::domain::run::Run;
use crate::engine::accident::Progress as WalProgress;
use crate::engine::ground::Ground;
use crate::engine::proposal::Proposal;
use crate::engine::rehearsal::{Incident, Score};
use crate::engine::seat::Driver;
use crate::planning::accident::{Answer, Reach};
use crate::planning::machine::Request;
use crate::planning::runbook::Runbook;
use crate::ui::action::OutputKey;
use chrono::{DateTime, FixedOffset, Utc};
use ratatui::crossterm::event::KeyEvent;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A key, and when it came: keys that were there at once have the same time.
    Key(KeyEvent, Duration),
    /// Something was pasted.
    Paste(String),
    /// The terminal has this many columns and rows.
    Resize(u16, u16),
    /// The time.
    Tick(DateTime<FixedOffset>),
    /// Somebody asks the program to stop, to go on later.
    Stop,
    /// An answer.
    Reply(Box<Reply>),
}

/// An answer to an action, or news of a run that is followed.
#[derive(Debug, Clone)]
pub enum Reply {
    /// The inventory, with the last drill of each set.
    Inventory(Result<Known, String>, LastDrills),
    /// The inventory that was found last, kept on the disk.
    Kept(Box<Known>),
    /// A stanza, by its name, of the inventory that was read at this time.
    Stanza(String, DateTime<Utc>, Result<Arc<Stanza>, String>),
    /// The last drill of each set.
    Drills(LastDrills),
    /// How far the archive of a stanza goes.
    Ground(String, Ground),
    /// A set's details.
    Detail(SetKey, Result<BackupSet, String>),
    /// How far WAL was read for a question, by its ticket.
    AccidentProgress(u64, WalProgress),
    /// The suspects so far, by the question's ticket: more may come.
    AccidentSoFar(u64, Box<AccidentFound>),
    /// What happened, by the question's ticket.
    Accident(u64, Result<AccidentFound, String>),
    /// The runbooks.
    Runbooks(Result<Vec<RunbookCard>, String>),
    /// How far the search for the accident of a plan is.
    ProposalProgress(u64, WalProgress),
    /// A plan, by its ticket.
    Proposal(u64, Result<Box<Proposal>, String>),
    /// A run has begun, or why it has not.
    Begun(Result<RunId, String>),
    /// The runs on this host, the newest first.
    Runs(Result<Vec<RunCard>, String>),
    /// A followed run as it stands.
    Run(RunNews),
    /// A run can't be followed any more.
    Lost(RunId, String),
    /// A window of an output.
    Output(OutputKey, OutputPage),
    /// Where a text stands in an output, if it does: the byte at which its line begins.
    Found(OutputKey, Option<u64>),
    /// What came of a request: the words for it.
    Answered(RunId, Result<String, String>),
    /// Another console drives the run: nothing was sent.
    Driven(RunId, Box<Request>, Driver),
    /// What happened to the practice cluster.
    Rehearsal(Result<Option<Incident>, String>),
    /// How its recovery came out.
    Score(Result<Score, String>),
    /// A transcript's lines.
    Transcript(RunId, Result<Vec<String>, String>),
    /// Something that was to be done for a person can't be.
    Failed(String),
}

/// What came of looking for an accident.
#[derive(Debug, Clone, PartialEq)]
pub struct AccidentFound {
    /// The suspects.
    pub answer: Answer,
    /// Where the WAL was read, as a person says it.
    pub place: String,
    /// How a person gets at the WAL.
    pub reach: Reach,
    /// The server's zone, where it is known.
    pub server_zone: Option<chrono_tz::Tz>,
}

/// A runbook in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunbookCard {
    /// Its name.
    pub name: String,
    /// The person's own file.
    pub file: Option<PathBuf>,
    /// The runbook, or its mistakes.
    pub runbook: Result<Box<Runbook>, String>,
}

/// A run in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCard {
    /// Its name.
    pub id: RunId,
    /// A runner has it.
    pub is_runner_alive: bool,
    /// What its journal tells, or why it tells nothing.
    pub told: Result<RunTold, String>,
}

/// What the list tells of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTold {
    /// The runbook.
    pub runbook: String,
    /// `done`, `failed`, `aborted`, `unknown`, `waiting`, `running`.
    pub outcome: &'static str,
    /// It has not ended.
    pub is_open: bool,
    /// Who began it.
    pub by: String,
    /// When.
    pub began: DateTime<FixedOffset>,
    /// When it ended.
    pub ended: Option<DateTime<FixedOffset>>,
    /// What it is about: set and target.
    pub about: String,
    /// The gate at which it waits.
    pub gate: Option<String>,
}

/// A followed run as it stands.
#[derive(Debug, Clone)]
pub struct RunNews {
    /// The run, where it changed.
    pub run: Option<Box<Run>>,
    /// A runner has it.
    pub is_runner_alive: bool,
    /// Where the step is that goes on.
    pub progress: Option<Progress>,
    /// Another console that drives it.
    pub driver: Option<Driver>,
}

/// Some lines of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputPage {
    /// The byte at which the first line begins.
    pub start: u64,
    /// The byte behind the last line.
    pub end: u64,
    /// The file's length in bytes.
    pub length: u64,
    /// The lines with the byte at which each begins; cleaned, without secrets.
    pub lines: Vec<(u64, String)>,
}
