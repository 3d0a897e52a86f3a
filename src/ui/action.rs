//! Everything that may go out: what `update` wants done, as data. `worker` and `console` do it.

use crate::domain::event::RunId;
use crate::domain::inventory::SetKey;
use crate::engine::proposal::Proposal;
use crate::planning::accident::Question;
use crate::planning::machine::Request;
use std::collections::BTreeMap;

/// Which output: of the step at a position (from 0), of one attempt (from 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputKey {
    /// The run.
    pub run: RunId,
    /// The step's position.
    pub position: usize,
    /// The attempt.
    pub attempt: u32,
}

/// From where a window of an output is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anchor {
    /// Its last lines.
    End,
    /// The lines from this byte on.
    From(u64),
    /// The lines before this byte.
    Before(u64),
}

/// What the pager shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paged {
    /// A step's output.
    Output(OutputKey),
    /// These lines.
    Text(Vec<String>),
}

/// Something to do outside.
#[derive(Debug, Clone)]
pub enum Action {
    /// Ask pgBackRest for the inventory, with this stanza whole, else with the first.
    Look(Option<String>),
    /// Read a stanza of the inventory that was told last.
    ReadStanza(String),
    /// Read the last drill of each set.
    LoadDrills,
    /// Ask how far the archive of a stanza goes.
    Survey(String),
    /// Ask for a set's databases and tablespaces.
    Detail(SetKey),
    /// Read WAL and look for an accident; what is being read for an earlier question is broken off.
    FindAccident {
        /// Comes back with the answer: a later question makes an earlier answer void.
        ticket: u64,
        /// The stanza, where it is known.
        stanza: Option<String>,
        /// What is asked.
        question: Question,
    },
    /// Break that off: what was read until then is answered for.
    LeaveAccident,
    /// Read the runbooks.
    LoadRunbooks,
    /// Make a plan; what is being searched for an earlier one is broken off.
    Propose {
        /// Comes back with the answer: a later question makes an earlier answer void.
        ticket: u64,
        /// The runbook.
        runbook: String,
        /// What the person gave.
        given: BTreeMap<String, String>,
    },
    /// Break off the search for the accident of a plan: there is no plan then.
    LeavePlan,
    /// Begin a run.
    Begin(Box<Proposal>),
    /// Read the list of runs.
    LoadRuns,
    /// Follow a run from now on.
    Attach(RunId),
    /// Follow no run any more.
    Detach,
    /// Read a window of an output.
    ReadOutput(OutputKey, Anchor),
    /// Look for a text in an output, from a byte on, or backwards from it.
    SearchOutput {
        /// Which output.
        output: OutputKey,
        /// What for.
        text: String,
        /// From this byte.
        from: u64,
        /// Towards the beginning.
        backwards: bool,
    },
    /// Send a request to a run.
    Send {
        /// The run.
        run: RunId,
        /// What is asked.
        request: Box<Request>,
        /// Even where another console drives the run.
        takes_over: bool,
    },
    /// Read what happened to the practice cluster.
    LoadRehearsal,
    /// Ask how the recovery of the practice cluster came out.
    Score,
    /// Lay out a transcript.
    LoadTranscript(RunId),
    /// Put a text into the clipboard of the person's terminal.
    Copy(String),
    /// Show something in the pager.
    Pager(Paged),
    /// Tell a person who may look elsewhere: bell, notification.
    Notify(String),
    /// The terminal's title.
    Title(String),
    /// Forget what was typed ahead.
    DropTyped,
    /// Stop the program, to go on later.
    Suspend,
    /// Draw all of it anew.
    Redraw,
}
