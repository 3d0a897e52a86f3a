//! The events of a run, in the past tense: what the journal holds and what [`crate::domain::run::Run`] is folded from.
//!
//! For an old reader: an event it does not know makes the journal *newer* than it, and it refuses the
//! journal in words instead of guessing. None of these may be dropped.

use crate::domain::digest::Digest;
use crate::domain::facts::{Drift, Facts};
use crate::domain::plan::{Plan, StepId};
use chrono::{DateTime, FixedOffset};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The journal format written by this version; a greater one is refused.
pub const JOURNAL_VERSION: u32 = 1;

/// The name of a run: 4 to 12 characters of Crockford's base 32 (`7Q2K`), read aloud without confusion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// A text that can't name a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the name of a run: 4 to 12 of 0-9 and A-Z without I, L, O, U; `lifeboat runs` lists them")]
pub struct RunIdError(String);

impl RunId {
    /// Reads a name; lower case is accepted.
    ///
    /// # Errors
    /// [`RunIdError`] when the text is anything else.
    pub fn parse(text: &str) -> Result<RunId, RunIdError> {
        let upper = text.to_ascii_uppercase();
        let good = (4..=12).contains(&upper.len())
            && upper.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z') && !b"ILOU".contains(&byte));
        if good { Ok(RunId(upper)) } else { Err(RunIdError(text.chars().take(60).collect())) }
    }

    /// A name made of `random`, eight characters long.
    #[must_use]
    pub fn from_random(random: u64) -> RunId {
        const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        RunId((0..8).map(|index| char::from(DIGITS[(random >> (index * 5) & 31) as usize])).collect())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RunId {
    type Error = RunIdError;
    fn try_from(text: String) -> Result<RunId, RunIdError> {
        RunId::parse(&text)
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> String {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Who asked: the login name behind `sudo` where there is one, and the uid the program ran under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// The person's name, cleaned.
    pub name: String,
    /// The uid of the process that asked.
    pub uid: u32,
}

/// The machine a run belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// `/etc/machine-id`, or empty where there is none.
    pub machine_id: String,
}

/// How an approval or another answer arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Typed on a terminal at the gate.
    Terminal,
    /// `--approve STEP=ANSWER` or an unattended drill: given before the gate was seen.
    CommandLine,
    /// `lifeboat approve RUN STEP`: given for a gate that stood open.
    Request,
}

/// What a person decided about a step whose outcome nobody saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It was done: go on after it.
    Done,
    /// Run it again.
    Again,
    /// End the run.
    Abort,
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should.
    Done,
    /// Not as it should.
    Failed,
    /// Ended because a person aborted the run.
    Aborted,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It could not be started: the operating system's error number.
    NotStarted(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(out, "exit code {code}"),
            Exit::Signal(signal) => write!(out, "ended by signal {signal}"),
            Exit::NotStarted(number) => write!(out, "could not be started (system error {number})"),
        }
    }
}

/// What stands in a step's output file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputDigest {
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// What the step process saw of its command; it writes this as `outcome.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How the main process ended.
    pub exit: Exit,
    /// Monotonic milliseconds from start to end.
    pub milliseconds: u64,
    /// The output file.
    pub output: OutputDigest,
    /// Standard error's file, where that is apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<OutputDigest>,
    /// Processes that outlived the main one and were ended (TERM, 5 s, KILL).
    pub leftovers: u32,
    /// The boot it ran in.
    pub boot_id: String,
}

/// One thing a check found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// It holds; otherwise it is the reason of a failure.
    pub holds: bool,
    /// What was looked at and what was found.
    pub what: String,
    /// What to do when it does not hold.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

/// How a step ended and what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepResult {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in words, when it is not [`Verdict::Done`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the step process saw; absent for steps without a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Monotonic milliseconds the step took.
    pub milliseconds: u64,
    /// Captured values by name within the step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub captures: BTreeMap<String, String>,
    /// What a check found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// How a run ended. A waiting or unknown run has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every due step was done.
    Done,
    /// A step failed; what was due in any case was still done.
    Failed,
    /// A person aborted it.
    Aborted,
}

/// What happened. Field order is the order in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RunEvent {
    /// The first entry: the sealed plan.
    RunCreated {
        /// [`JOURNAL_VERSION`] of the writer.
        version: u32,
        /// The run.
        run: RunId,
        /// The sealed plan.
        plan: Box<Plan>,
        /// Who asked for it.
        by: Operator,
        /// Where.
        host: Host,
    },
    /// A runner took the run over; nothing was running under another one then.
    RunnerStarted {
        /// Its process id, for the reader only.
        pid: u32,
        /// 1 for the first.
        attempt: u32,
    },
    /// Durable before the command starts.
    StepStarted {
        /// The step.
        step: StepId,
        /// 1 for the first time.
        attempt: u32,
    },
    /// A server said it accepts connections.
    StepReady {
        /// The step.
        step: StepId,
        /// Which time.
        attempt: u32,
        /// The line of its log.
        evidence: String,
    },
    /// A step ended and was seen to end.
    StepEnded {
        /// The step.
        step: StepId,
        /// Which time.
        attempt: u32,
        /// How.
        result: StepResult,
    },
    /// Proven never to have begun, or a question without effect that was cut short: it may start again.
    StepInterrupted {
        /// The step.
        step: StepId,
        /// Which time.
        attempt: u32,
        /// What proves it.
        evidence: String,
    },
    /// It began and nobody saw how it ended: a person decides.
    StepUnknown {
        /// The step.
        step: StepId,
        /// Which time.
        attempt: u32,
        /// What was seen.
        evidence: Vec<String>,
    },
    /// A person decided about a step that is unknown or held.
    StepResolved {
        /// The step.
        step: StepId,
        /// Which time.
        attempt: u32,
        /// What was decided.
        answer: Resolution,
        /// By whom.
        by: Operator,
        /// The evidence that was shown.
        evidence: Vec<String>,
        /// The plan's seal where starting a server again makes later steps due again, without what they had captured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seal: Option<Digest>,
    },
    /// A step is not due.
    StepSkipped {
        /// The step.
        step: StepId,
        /// Why not.
        reason: String,
    },
    /// A step can't start as planned (a value it needs was never captured, a secret is not in the environment).
    StepRefused {
        /// The step.
        step: StepId,
        /// Why not.
        reason: String,
    },
    /// A gate waits for a person. Again, with `drift`, when a fact under it changed.
    GateOpened {
        /// The gate.
        step: StepId,
        /// 1 for the first time; a greater number is a re-opened gate.
        opening: u32,
        /// The plan that is asked about.
        seal: Digest,
        /// The facts at this moment; what comes after is compared with them.
        facts: Facts,
        /// What changed since the last approval.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        drift: Vec<Drift>,
    },
    /// A person typed the gate's answer.
    GateAnswered {
        /// The gate.
        step: StepId,
        /// Which opening was answered.
        opening: u32,
        /// The seal that was shown.
        seal: Digest,
        /// By whom.
        by: Operator,
        /// How it arrived.
        via: Via,
    },
    /// A person chose the way on. Back to an earlier step: everything from there to the decision is done again. Past a
    /// step that is held: what stands before the decision is passed over.
    DecisionMade {
        /// The decision.
        step: StepId,
        /// Which opening was answered; 0 when it was taken while an earlier step was held.
        opening: u32,
        /// The choice.
        choice: StepId,
        /// What was given with it, checked, by name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        values: BTreeMap<String, String>,
        /// The seal of the plan without what will be captured anew.
        seal: Digest,
        /// By whom.
        by: Operator,
        /// How it arrived.
        via: Via,
    },
    /// Captured values were put into the plan: a new seal.
    PlanAmended {
        /// The values by `STEP.NAME`.
        values: BTreeMap<String, String>,
        /// The new seal.
        seal: Digest,
    },
    /// A person asked for the end.
    AbortRequested {
        /// Who.
        by: Operator,
        /// Why, cleaned.
        reason: String,
    },
    /// A person wrote something down.
    NoteWritten {
        /// Who.
        by: Operator,
        /// What, cleaned.
        text: String,
    },
    /// The last entry.
    RunEnded {
        /// How.
        outcome: RunOutcome,
        /// What was proven: captured values by `STEP.NAME`.
        result: BTreeMap<String, String>,
    },
}

impl RunEvent {
    /// Written because a person asked for it: what a granted request leaves behind.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        matches!(
            self,
            RunEvent::StepResolved { .. }
                | RunEvent::GateAnswered { .. }
                | RunEvent::DecisionMade { .. }
                | RunEvent::AbortRequested { .. }
                | RunEvent::NoteWritten { .. }
        )
    }

    /// The step it speaks of, if it speaks of one.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        match self {
            RunEvent::StepStarted { step, .. }
            | RunEvent::StepReady { step, .. }
            | RunEvent::StepEnded { step, .. }
            | RunEvent::StepInterrupted { step, .. }
            | RunEvent::StepUnknown { step, .. }
            | RunEvent::StepResolved { step, .. }
            | RunEvent::StepSkipped { step, .. }
            | RunEvent::StepRefused { step, .. }
            | RunEvent::GateOpened { step, .. }
            | RunEvent::GateAnswered { step, .. }
            | RunEvent::DecisionMade { step, .. } => Some(step),
            RunEvent::RunCreated { .. }
            | RunEvent::RunnerStarted { .. }
            | RunEvent::PlanAmended { .. }
            | RunEvent::AbortRequested { .. }
            | RunEvent::NoteWritten { .. }
            | RunEvent::RunEnded { .. } => None,
        }
    }

    /// Nothing may follow it.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self, RunEvent::RunEnded { .. })
    }
}

/// An event with its place and time, as read from a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// 1 for the first, without gaps.
    pub sequence: u64,
    /// Wall-clock time with its offset.
    pub at: DateTime<FixedOffset>,
    /// Monotonic nanoseconds (`CLOCK_BOOTTIME`), comparable within one boot.
    pub monotonic_ns: u64,
    /// The boot it was written in.
    pub boot_id: String,
    /// What happened.
    pub event: RunEvent,
    /// The hash of this entry's line (the next one carries it).
    pub hash: Digest,
}
