//! Lint of runbooks, with line and column: what can be known to go wrong before anything is bound or run.

mod choices;
mod commands;
mod conditions;
mod order;
mod values;

use crate::domain::plan::StepId;
use crate::planning::check::conditions::Allowed;
use crate::planning::runbook::{Finding, Parameter, Problem, Runbook, RunbookStep, place, read};
use std::collections::BTreeMap;

/// The names a runbook may use, as the engine provides them.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary<'v> {
    /// Facts that are one text.
    pub facts: &'v [&'v str],
    /// Facts that are a list of arguments.
    pub list_facts: &'v [&'v str],
    /// Checks and the names of their arguments, all of which must be given.
    pub checks: &'v [(&'v str, &'v [&'v str])],
}

/// What this version of Lifeboat provides to runbooks.
pub const VOCABULARY: Vocabulary<'static> = Vocabulary {
    facts: &[
        "archive-id",
        "data-directory",
        "database",
        "depth",
        "directory",
        "host",
        "kept-record",
        "lifeboat",
        "manager",
        "manager-cluster",
        "manager-unit",
        "manager-version",
        "pgbackrest",
        "pgbackrest-config",
        "port",
        "postgres-bin",
        "probe-sql",
        "production-config-file",
        "production-data-directory",
        "production-log",
        "production-port",
        "production-socket-directory",
        "production-start-directory",
        "production-state",
        "repository",
        "run",
        "set",
        "set-stop",
        "socket-directory",
        "stanza",
        "state-directory",
        "survives-logout",
        "system-identifier",
        "target-discards",
        "target-keeps",
        "target-type",
        "timeline",
        "timeline-left-at",
        "user",
    ],
    list_facts: &["pgbackrest-options", "production-restore-command", "restore-command", "target-options"],
    checks: &[
        ("archive-covers-target", &["stanza", "repository", "set", "timeline", "target"]),
        ("archived-everywhere", &["stanza", "segment", "limit"]),
        ("backup-jobs", &["stanza"]),
        ("backup-jobs-held", &["stanza"]),
        ("back-in-production", &["data-directory", "system-identifier", "user"]),
        ("recovery-goal", &["stanza", "repository", "set", "timeline", "target", "exclusive", "safety", "left-at"]),
        ("backup-set-usable", &["stanza", "repository", "set"]),
        ("cluster-is-the-stanzas", &["data-directory", "stanza", "system-identifier"]),
        ("drill-directory-free", &["directory"]),
        ("end-of-archive-reached", &["lsn", "newest-segment", "segment-bytes"]),
        ("forward-guards", &["data-directory", "new-lsn", "last-paused-lsn", "timeline"]),
        ("free-space", &["directory", "stanza", "repository", "set"]),
        ("history-free", &["stanza", "timeline"]),
        ("manager-held", &["data-directory", "unit", "config-file"]),
        ("no-tcp-listener", &["server"]),
        ("nobody-wrote", &["data-directory", "safety"]),
        ("ownership", &["directory", "production"]),
        ("port-free", &["socket-directory", "port"]),
        ("production-baseline", &["production", "stanza"]),
        ("production-untouched", &["production", "stanza", "baseline"]),
        ("recovery-hazards", &["data-directory", "config-file"]),
        ("restored-files", &["data-directory", "stanza", "repository", "set"]),
        ("room-to-keep", &["data-directory", "kept", "how", "stanza", "repository", "set"]),
        ("safe-redo-start", &["data-directory", "timeline", "stanza", "folder"]),
        ("settings-compared", &["safety", "socket-directory", "port", "user", "database"]),
        ("settings-compared-fenced", &["safety", "socket-directory", "port", "user", "database"]),
        ("spool-and-locks", &["stanza", "directory"]),
        ("standby-is-whole", &["kept", "data-directory"]),
        ("tablespaces-do-not-collide", &["stanza", "repository", "set", "production"]),
        ("thrown-away", &["stanza", "timeline", "setting", "value", "inclusive", "safety", "user"]),
        ("versions-match", &["stanza", "repository", "set", "postgres-bin"]),
        ("waits-to-be-let-go", &["socket-directory", "port", "user", "database"]),
        ("what-hangs-on-it", &["socket-directory", "port", "user", "database"]),
        ("who-manages-it", &["data-directory"]),
    ],
};

/// Reads a runbook and checks it: its shape and its meaning, all findings at once.
///
/// # Errors
/// Every mistake, in the order of the text.
pub fn lint(text: &str, vocabulary: &Vocabulary<'_>) -> Result<Runbook, Vec<Finding>> {
    let (runbook, mut problems) = read(text);
    if let Some(runbook) = &runbook {
        problems.extend(problems_of(runbook, vocabulary));
    }
    match runbook {
        Some(runbook) if problems.is_empty() => Ok(runbook),
        _ => Err(place(text, problems)),
    }
}

/// Checks the meaning of a runbook whose shape is right.
#[must_use]
pub fn check(runbook: &Runbook, vocabulary: &Vocabulary<'_>) -> Vec<Finding> {
    place(&runbook.text, problems_of(runbook, vocabulary))
}

fn problems_of(runbook: &Runbook, vocabulary: &Vocabulary<'_>) -> Vec<Problem> {
    let mut lint = Lint { runbook, vocabulary, problems: Vec::new() };
    lint.parameters();
    for (position, step) in runbook.steps.iter().enumerate() {
        lint.reach(position, step);
        lint.order(position, step);
        lint.values(position, step);
        lint.commands(step);
        lint.choices(position, step);
    }
    lint.problems
}

/// The runbook under the lint, and what was found so far.
struct Lint<'a> {
    runbook: &'a Runbook,
    vocabulary: &'a Vocabulary<'a>,
    problems: Vec<Problem>,
}

impl<'a> Lint<'a> {
    fn problem(&mut self, at: usize, what: impl Into<String>, remedy: impl Into<String>) {
        self.problems.push(Problem { at, what: what.into(), remedy: remedy.into() });
    }

    /// The nearest earlier step of this name.
    fn earlier(&self, position: usize, id: &str) -> Option<&'a RunbookStep> {
        self.runbook.steps[..position].iter().rev().find(|step| step.id.as_str() == id)
    }

    fn parameter(&self, name: &str) -> Option<&'a Parameter> {
        self.runbook.parameters.get(name)
    }

    /// What its conditions leave of the values of each parameter they look at.
    fn allowed(&self, step: &RunbookStep) -> BTreeMap<&'a str, Allowed> {
        conditions::of(self.runbook, step)
    }

    /// Whenever the conditions of `narrow` hold, those of `wide` do.
    fn implied(&self, narrow: &RunbookStep, wide: &RunbookStep) -> bool {
        Self::chosen_implies(narrow, wide) && self.implied_by_parameters(narrow, wide)
    }

    /// The same for the conditions on parameters alone.
    fn implied_by_parameters(&self, narrow: &RunbookStep, wide: &RunbookStep) -> bool {
        let (narrow, wide) = (self.allowed(narrow), self.allowed(wide));
        wide.iter().all(|(name, wide)| {
            let universe = self.parameter(name).map_or_else(Allowed::anything, Allowed::of_parameter);
            narrow.get(name).unwrap_or(&universe).within(wide)
        })
    }

    fn ids(&self) -> impl Iterator<Item = &'a StepId> + use<'a> {
        self.runbook.steps.iter().map(|step| &step.id)
    }
}
