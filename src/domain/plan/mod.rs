//! The sealed plan as data: a runbook with every parameter bound and every argument list resolved.
//!
//! These types live on the lowest floor because the journal's first entry carries the plan and a run is
//! a fold of its journal. How a plan is made and sealed is `planning::plan`.

mod command;

pub use command::{Argument, CommandLine, Piece, StepId, StepIdError, is_of};

use self::command::is_false;
use crate::domain::digest::Digest;
use crate::domain::facts::Facts;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// When a step is due, seen from how the run went so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Only while no earlier step failed.
    #[default]
    Success,
    /// In any case, as for stopping the server and removing the drill directory.
    Always,
    /// Only after a failure.
    Failure,
}

/// Something a server says in its log that a *wait* step waits for (PostgreSQL 15 texts, `lc_messages=C`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Milestone {
    /// `consistent recovery state reached at …`.
    Consistent,
    /// `recovery stopping …` (a target) or, for a recovery to the end of WAL, `redo done at …`.
    TargetReached,
    /// `recovery stopping …` and `pausing at the end of recovery` in one start: what else looks like a pause is none.
    Paused,
    /// `archive recovery complete` and `ready to accept connections`: promoted, read-write.
    Promoted,
}

/// How a value is read from a step's output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureFrom {
    /// The rest of the first line that begins with this text, trimmed (`pg_controldata`).
    Line(String),
    /// This column of the first row of CSV with a header (`sql`).
    Column(String),
    /// All of the output, trimmed.
    Whole,
    /// The value of this name that a check or a server's log gives.
    Answer,
}

/// A value kept from a step, known to later steps as `${STEP.NAME}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    /// The value's name within the step.
    pub name: String,
    /// Where it is read from.
    pub from: CaptureFrom,
}

/// A label and a value on a gate or in a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// What it is: `overwrites`, `way back`.
    pub label: String,
    /// What holds; where it is `from` a step, what is said while that step has captured nothing.
    pub value: Argument,
    /// What it belongs to, for a screen: `way back`. What has the same stands together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `STEP.NAME` of a value that a step which may be left out captures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl Shown {
    /// A value with its label.
    #[must_use]
    pub fn new(label: impl Into<String>, value: Argument) -> Shown {
        Shown { label: label.into(), value, group: None, from: None }
    }

    /// What will be shown, before anything was captured.
    #[must_use]
    pub fn planned(&self) -> String {
        self.from.as_ref().map_or_else(|| self.value.to_string(), |name| format!("${{{name}}}"))
    }

    /// What holds, with the values that were captured so far.
    #[must_use]
    pub fn told(&self, captured: &BTreeMap<String, String>) -> String {
        let from = self.from.as_ref().and_then(|name| captured.get(name));
        from.filter(|value| !value.is_empty()).cloned().unwrap_or_else(|| self.value.to_string())
    }
}

/// One way on from a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Its name, typed to take it.
    pub id: StepId,
    /// A line for the list of choices.
    pub title: String,
    /// The earlier step the run goes back to; it goes on behind the decision when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_to: Option<StepId>,
    /// The values a person has to give with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asks: Vec<Asked>,
    /// The work is given up: the run leads to a safe end and counts as aborted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gives_up: bool,
}

/// A value that a person gives with a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// A recovery target, as it is given with `-p target=…`.
    Target,
}

impl Asked {
    /// The name it is given under.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Asked::Target => "target",
        }
    }
}

/// A step is due only after certain choices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnlyChoice {
    /// The decision; the last choice there counts.
    pub step: StepId,
    /// One of these was chosen.
    pub is: Vec<StepId>,
    /// It is due as well while nothing was chosen there.
    #[serde(default, skip_serializing_if = "is_false")]
    pub first: bool,
}

/// What a step is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StepKind {
    /// A question with an answer of its own (`engine::checks`); changes nothing, may be asked again.
    Check {
        /// The check's name.
        check: String,
        /// Its arguments.
        with: BTreeMap<String, Argument>,
    },
    /// One program, run to its end by a step process.
    Command {
        /// The program.
        command: CommandLine,
    },
    /// `postgres` in the foreground under a step process of its own; done when it is ready, ended by [`StepKind::Stop`].
    Server {
        /// The server.
        command: CommandLine,
    },
    /// Ends the server of an earlier step; skipped when that server is not running.
    Stop {
        /// The step that started it.
        server: StepId,
        /// The program that asks it to end (`pg_ctl stop`).
        command: CommandLine,
    },
    /// `psql` with standard output as CSV.
    Sql {
        /// The program.
        command: CommandLine,
    },
    /// Waits until a running server's log says something; fails when the server ends before.
    Wait {
        /// The step that started the server.
        server: StepId,
        /// What it waits for.
        until: Milestone,
    },
    /// Waits for a person, who types the answer.
    Gate {
        /// What must be typed, to the letter.
        answer: String,
        /// What will be lost, where, and what was kept.
        shows: Vec<Shown>,
    },
    /// Waits for a person, who chooses the way on; it may lead back to an earlier step.
    Decision {
        /// What is known, to choose by.
        shows: Vec<Shown>,
        /// The ways on.
        choices: Vec<Choice>,
    },
    /// Text for the person and the transcript.
    Note {
        /// The text.
        text: Argument,
    },
}

impl StepKind {
    /// The word used in runbooks and JSON.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            StepKind::Check { .. } => "check",
            StepKind::Command { .. } => "command",
            StepKind::Server { .. } => "server",
            StepKind::Stop { .. } => "stop",
            StepKind::Sql { .. } => "sql",
            StepKind::Wait { .. } => "wait",
            StepKind::Gate { .. } => "gate",
            StepKind::Decision { .. } => "decision",
            StepKind::Note { .. } => "note",
        }
    }

    /// The command a step process runs for it, if any.
    #[must_use]
    pub fn command(&self) -> Option<&CommandLine> {
        match self {
            StepKind::Command { command }
            | StepKind::Server { command }
            | StepKind::Stop { command, .. }
            | StepKind::Sql { command } => Some(command),
            StepKind::Check { .. }
            | StepKind::Wait { .. }
            | StepKind::Gate { .. }
            | StepKind::Decision { .. }
            | StepKind::Note { .. } => None,
        }
    }

    /// A person answers it: a gate or a decision.
    #[must_use]
    pub fn asks_a_person(&self) -> bool {
        matches!(self, StepKind::Gate { .. } | StepKind::Decision { .. })
    }

    /// Everything of it that may hold captured values.
    fn arguments(&self) -> Box<dyn Iterator<Item = &Argument> + '_> {
        match self {
            StepKind::Check { with, .. } => Box::new(with.values()),
            StepKind::Gate { shows, .. } | StepKind::Decision { shows, .. } => {
                Box::new(shows.iter().map(|shown| &shown.value))
            }
            StepKind::Note { text } => Box::new(std::iter::once(text)),
            StepKind::Wait { .. } => Box::new(std::iter::empty()),
            StepKind::Command { command }
            | StepKind::Server { command }
            | StepKind::Stop { command, .. }
            | StepKind::Sql { command } => Box::new(command.arguments()),
        }
    }

    fn arguments_mut(&mut self) -> Box<dyn Iterator<Item = &mut Argument> + '_> {
        match self {
            StepKind::Check { with, .. } => Box::new(with.values_mut()),
            StepKind::Gate { shows, .. } | StepKind::Decision { shows, .. } => {
                Box::new(shows.iter_mut().map(|shown| &mut shown.value))
            }
            StepKind::Note { text } => Box::new(std::iter::once(text)),
            StepKind::Wait { .. } => Box::new(std::iter::empty()),
            StepKind::Command { command }
            | StepKind::Server { command }
            | StepKind::Stop { command, .. }
            | StepKind::Sql { command } => Box::new(command.arguments_mut()),
        }
    }
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, unique in the plan.
    pub id: StepId,
    /// A line for the list of steps.
    pub title: String,
    /// Why it is done.
    pub why: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: StepKind,
    /// It can't be undone: a gate stands before it and the facts are read again before it starts.
    pub destructive: bool,
    /// When it is due.
    pub when: When,
    /// Set when the runbook's condition on parameters ruled it out: the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruled_out: Option<String>,
    /// Due only when this earlier step was started: there is nothing to remove of what nobody began to make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_after: Option<StepId>,
    /// Due only after certain choices at a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_choice: Option<OnlyChoice>,
    /// A failure does not end the work: the run waits for a person, who mends what is wrong and has it done again.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hold: bool,
    /// After this many seconds it is told to be overdue; never enforced by killing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_seconds: Option<u64>,
    /// What a failure means and what to do then.
    pub failure: String,
    /// What makes it safe to repeat, or why it is not.
    pub repeat: String,
    /// Values kept for later steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub captures: Vec<Capture>,
    /// What captured values have to be, to the letter; anything else fails the step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub expect: BTreeMap<String, Argument>,
    /// Captured values that belong to the run's result (`lifeboat run --json`, the transcript's proof).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proves: Vec<String>,
}

impl Step {
    /// Everything of it that may hold captured values.
    fn arguments(&self) -> impl Iterator<Item = &Argument> {
        self.kind.arguments().chain(self.expect.values())
    }

    fn arguments_mut(&mut self) -> impl Iterator<Item = &mut Argument> {
        self.kind.arguments_mut().chain(self.expect.values_mut())
    }

    /// The captured values it still waits for, as `STEP.NAME`.
    pub fn pending(&self) -> impl Iterator<Item = &str> {
        self.arguments().flat_map(Argument::pending)
    }

    /// A captured value in it that is empty, by name: in a destructive step an empty value could mean everything.
    #[must_use]
    pub fn filled_empty(&self) -> Option<&str> {
        self.arguments().find_map(Argument::filled_empty)
    }

    /// Puts captured values in.
    pub fn fill(&mut self, values: &BTreeMap<String, String>) {
        self.arguments_mut().for_each(|argument| argument.fill(values));
    }

    /// Takes out what the steps in `from` had captured.
    pub fn empty(&mut self, from: &BTreeSet<StepId>) {
        self.arguments_mut().for_each(|argument| argument.empty(from));
    }

    /// What was put in becomes plain text, as it stands in the seal.
    pub fn settle(&mut self) {
        self.arguments_mut().for_each(Argument::settle);
    }
}

/// A plan: what was reviewed is what runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The runbook's name.
    pub runbook: String,
    /// The runbook's title.
    pub title: String,
    /// SHA-256 of the runbook's text: it is pinned.
    pub runbook_digest: Digest,
    /// Bound parameters, cleaned for display.
    pub parameters: BTreeMap<String, String>,
    /// What was read from the machine.
    pub facts: Facts,
    /// The environment of every command. Values of secret options appear as `<set>`.
    pub environment: BTreeMap<String, String>,
    /// Texts of secrets' names that must be present when a command starts (their value is never stored).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_environment: Vec<String>,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// The hash over all of the above but the thresholds (`planning::plan::seal`).
    pub seal: Digest,
}

impl Plan {
    /// The position of a step.
    #[must_use]
    pub fn position(&self, id: &StepId) -> Option<usize> {
        self.steps.iter().position(|step| &step.id == id)
    }

    /// The steps from `first` to `last` whose values are taken out when the run goes back: a decision keeps what was
    /// given with its choice.
    #[must_use]
    pub fn rewound(&self, first: usize, last: usize) -> BTreeSet<StepId> {
        let steps = self.steps.get(first..=last).unwrap_or_default();
        let keeps = |step: &&Step| !matches!(step.kind, StepKind::Decision { .. });
        steps.iter().filter(keeps).map(|step| step.id.clone()).collect()
    }
}
