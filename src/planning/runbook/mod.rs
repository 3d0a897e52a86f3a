//! TOML to [`Runbook`]: the shape of a runbook, with the place of everything in its text.
//!
//! Reading never stops at the first mistake: all of them are told at once, each with line and column.
//! What the words mean together is [`crate::planning::check`].

mod decode;
mod finding;
mod table;

pub use decode::is_runbook_name;
pub use finding::{Finding, Problem, nearest, place};

use crate::domain::digest::Digest;
use crate::domain::plan::{Asked, Capture, Milestone, StepId, When};
use crate::planning::parameters::ParameterType;
use crate::planning::template::{Element, Template};
use std::collections::BTreeMap;

/// The format of runbook files this version reads; a greater one is refused.
pub const RUNBOOK_VERSION: i64 = 1;

/// The runbooks in the binary: name and text.
pub const SHIPPED: &[(&str, &str)] = &[
    ("restore-drill", include_str!("../../../runbooks/restore-drill.toml")),
    ("pitr-in-place", include_str!("../../../runbooks/pitr-in-place.toml")),
    ("pitr-side-by-side", include_str!("../../../runbooks/pitr-side-by-side.toml")),
    ("pitr-undo", include_str!("../../../runbooks/pitr-undo.toml")),
];

/// The text of a shipped runbook.
#[must_use]
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(own, _)| *own == name).map(|(_, text)| *text)
}

/// A word or name and where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Located {
    /// The text.
    pub text: String,
    /// Bytes from the runbook's beginning.
    pub at: usize,
}

/// A runbook as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runbook {
    /// Its name.
    pub name: Located,
    /// A line for lists.
    pub title: String,
    /// What it is for and what it needs.
    pub about: String,
    /// Its parameters by name.
    pub parameters: BTreeMap<String, Parameter>,
    /// Its steps in order.
    pub steps: Vec<RunbookStep>,
    /// The whole text: a plan pins its digest.
    pub text: String,
}

impl Runbook {
    /// SHA-256 of its text.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(self.text.as_bytes())
    }
}

/// A value a person may give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Where its table stands.
    pub at: usize,
    /// Its type.
    pub kind: ParameterType,
    /// What it is for.
    pub about: String,
    /// What it is when nobody gives it.
    pub default: Option<DefaultValue>,
    /// It may stay unbound; steps that use it then need a condition.
    pub optional: bool,
}

/// What a parameter is when nobody gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultValue {
    /// What was read from the machine under this name.
    Fact(Located),
    /// This text.
    Literal(Located),
}

/// A step as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunbookStep {
    /// Where it begins.
    pub at: usize,
    /// Its name.
    pub id: StepId,
    /// Where its name stands.
    pub id_at: usize,
    /// A line for the list of steps.
    pub title: String,
    /// Why it is done.
    pub why: String,
    /// What it does.
    pub action: Action,
    /// It can't be undone.
    pub destructive: bool,
    /// When it is due.
    pub when: When,
    /// All of them must hold.
    pub only_if: Vec<Condition>,
    /// Due only when this earlier step was started.
    pub only_after: Option<Located>,
    /// Due only after certain choices.
    pub only_choice: Option<OnlyChoiceTemplate>,
    /// A failure waits for a person instead of ending the work.
    pub hold: bool,
    /// Told to be overdue after this many seconds.
    pub limit_seconds: Option<u64>,
    /// What a failure means and what to do.
    pub failure: String,
    /// What makes it safe to repeat.
    pub repeat: String,
    /// Values kept for later steps.
    pub captures: Vec<Capture>,
    /// What captured values have to be.
    pub expect: BTreeMap<String, Template>,
    /// Captured values that belong to the run's result.
    pub proves: Vec<Located>,
}

/// A condition on what was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnlyChoiceTemplate {
    /// The decision.
    pub step: Located,
    /// The choices.
    pub is: Vec<Located>,
    /// Due as well while nothing was chosen.
    pub first: bool,
}

/// A way on from a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChoiceTemplate {
    /// Its name.
    pub id: Located,
    /// A line for the list of choices.
    pub title: String,
    /// The earlier step it leads back to.
    pub back_to: Option<Located>,
    /// What a person has to give with it.
    pub asks: Vec<Asked>,
    /// The work is given up.
    pub gives_up: bool,
}

/// A condition on a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The parameter.
    pub parameter: Located,
    /// What must hold.
    pub test: Test,
}

/// What must hold of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It is one of these.
    Is(Vec<Located>),
    /// It is none of these; an unbound parameter is none of them.
    Not(Vec<Located>),
    /// It has a value, or it has none.
    Given(bool),
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A question of the engine.
    Check {
        /// Its name.
        check: Located,
        /// Its arguments.
        with: BTreeMap<String, Template>,
    },
    /// One program.
    Command(CommandTemplate),
    /// `postgres` in the foreground.
    Server(CommandTemplate),
    /// Ends a server.
    Stop {
        /// The step that started it.
        server: Located,
        /// What asks it to end.
        command: CommandTemplate,
    },
    /// A query through `psql`.
    Sql(SqlTemplate),
    /// Waits for a line of a server's log.
    Wait {
        /// The step that started it.
        server: Located,
        /// What it waits for.
        until: Milestone,
    },
    /// Waits for a person.
    Gate {
        /// What must be typed.
        answer: Template,
        /// What is shown.
        shows: Vec<ShownTemplate>,
    },
    /// Waits for a person, who chooses the way on.
    Decision {
        /// What is shown.
        shows: Vec<ShownTemplate>,
        /// The ways on.
        choices: Vec<ChoiceTemplate>,
    },
    /// Text for the person.
    Note {
        /// The text.
        text: Template,
    },
}

impl Action {
    /// The word used in runbooks.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Action::Check { .. } => "check",
            Action::Command(_) => "command",
            Action::Server(_) => "server",
            Action::Stop { .. } => "stop",
            Action::Sql(_) => "sql",
            Action::Wait { .. } => "wait",
            Action::Gate { .. } => "gate",
            Action::Decision { .. } => "decision",
            Action::Note { .. } => "note",
        }
    }

    /// The command it runs as it was written; `None` for *sql*, whose command is made from it.
    #[must_use]
    pub fn command(&self) -> Option<&CommandTemplate> {
        match self {
            Action::Command(command) | Action::Server(command) | Action::Stop { command, .. } => Some(command),
            _ => None,
        }
    }
}

/// A command before its parameters are bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommandTemplate {
    /// The program and its arguments.
    pub argv: Vec<Element>,
    /// What is added to the environment.
    pub env: BTreeMap<String, Template>,
    /// Where it starts.
    pub directory: Option<Template>,
    /// Standard output is data: standard error goes to a file of its own.
    pub stdout_is_data: bool,
    /// The exit codes that mean success.
    pub success: Vec<i32>,
    /// What it starts outlives the run.
    pub release: bool,
}

/// A query before its parameters are bound.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SqlTemplate {
    /// The query, or several.
    pub sql: Template,
    /// The database.
    pub database: Template,
    /// The directory of the server's socket.
    pub socket: Template,
    /// The port, which is part of the socket's name.
    pub port: Template,
    /// The role.
    pub user: Template,
    /// After this many seconds the server cancels a statement.
    pub statement_timeout_seconds: u64,
    /// After this many seconds the server gives up waiting for a lock.
    pub lock_timeout_seconds: u64,
}

/// What a gate or a decision shows, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownTemplate {
    /// What it is.
    pub label: String,
    /// What it belongs to on a screen.
    pub group: Option<String>,
    /// What holds.
    pub value: Template,
    /// `STEP.NAME` of a value that may not be captured; then the value holds.
    pub from: Option<Located>,
}

impl RunbookStep {
    /// Every template of it with a word for what it is.
    #[must_use]
    pub fn templates(&self) -> Vec<(&'static str, &Template)> {
        let mut found: Vec<(&'static str, &Template)> = Vec::new();
        match &self.action {
            Action::Check { with, .. } => found.extend(with.values().map(|value| ("argument", value))),
            Action::Sql(sql) => {
                found.extend([("sql", &sql.sql), ("database", &sql.database), ("socket", &sql.socket)]);
                found.extend([("port", &sql.port), ("user", &sql.user)]);
            }
            Action::Gate { answer, shows } => {
                found.push(("answer", answer));
                found.extend(shows.iter().map(|shown| ("shown value", &shown.value)));
            }
            Action::Decision { shows, .. } => found.extend(shows.iter().map(|shown| ("shown value", &shown.value))),
            Action::Note { text } => found.push(("text", text)),
            Action::Wait { .. } | Action::Command(_) | Action::Server(_) | Action::Stop { .. } => {}
        }
        if let Some(command) = self.action.command() {
            found.extend(command.argv.iter().filter_map(|element| match element {
                Element::One(template) => Some(("argument", template)),
                Element::Splice { .. } => None,
            }));
            found.extend(command.env.values().map(|value| ("environment value", value)));
            found.extend(command.directory.iter().map(|value| ("directory", value)));
        }
        found.extend(self.expect.values().map(|value| ("expected value", value)));
        found
    }
}

/// Reads a runbook's shape.
///
/// # Errors
/// Every mistake in its shape, in the order of the text.
pub fn parse(text: &str) -> Result<Runbook, Vec<Finding>> {
    let (runbook, problems) = decode::decode(text);
    match runbook {
        Some(runbook) if problems.is_empty() => Ok(runbook),
        _ => Err(place(text, problems)),
    }
}

/// Reads as much as can be read, with what is wrong; no runbook where so much is missing that its steps can't be compared.
#[must_use]
pub fn read(text: &str) -> (Option<Runbook>, Vec<Problem>) {
    decode::decode(text)
}
