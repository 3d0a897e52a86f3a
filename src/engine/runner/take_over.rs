//! What is found of a step on disk and among the processes: after its end, and by a runner that takes over.

use super::{Runner, RunnerError, follow, reason};
use crate::domain::event::Outcome;
use crate::domain::plan::{StepId, StepKind};
use crate::engine::pgbackrest_config::BackrestConfig;
use crate::engine::processes::Mark;
use crate::engine::step_process::Started;
use crate::engine::surroundings::PGBACKREST_CONFIG;
use crate::engine::{clock, step_process};
use crate::planning::machine::{self, Observed, Seen};
use std::io::Read;
use std::path::Path;

/// As much of an output as captures are looked for in.
const CAPTURED_BYTES: u64 = 1024 * 1024;

/// What stands in a step's folder once nothing of it lives.
#[derive(Debug)]
pub(super) enum Ended {
    /// The step process wrote down how it ended.
    Written(Box<Outcome>),
    /// It did not.
    Unwritten(Vec<String>),
}

impl Ended {
    /// Reads the folder; `trouble` is what kept the caller from waiting for the processes' end.
    pub(super) fn read(folder: &Path, trouble: Option<String>) -> Ended {
        let mut evidence = match step_process::outcome(folder) {
            Ok(Some(outcome)) => return Ended::Written(Box::new(outcome)),
            Ok(None) => vec!["its step process ended without writing down an outcome".to_owned()],
            Err(error) => vec![format!("the outcome its step process wrote can't be read: {error}")],
        };
        evidence.extend(trouble.map(|trouble| format!("its processes could not be waited for: {trouble}")));
        match step_process::started(folder) {
            Ok(Some(started)) => {
                evidence.push(format!("its command was started as process {}", started.process.pid));
                if started.boot_id != clock::boot_id() {
                    evidence.push("the host was booted since".to_owned());
                }
            }
            Ok(None) => evidence.push("nothing shows that its command was started".to_owned()),
            Err(error) => evidence.push(format!("the record of its start can't be read: {error}")),
        }
        match std::fs::metadata(folder.join("output")) {
            Ok(output) => evidence.push(format!("its output has {} bytes", output.len())),
            Err(error) => evidence.push(format!("its output can't be looked at: {error}")),
        }
        Ended::Unwritten(evidence)
    }
}

impl Runner {
    /// Looks at every step that was running under the last runner.
    pub(super) fn take_over(&mut self) -> Result<(), RunnerError> {
        for position in 0..self.run.steps.len() {
            let state = &self.run.steps[position];
            if !state.status.is_active() {
                continue;
            }
            let (attempt, step) = (state.attempt, self.run.plan.steps[position].clone());
            let folder = self.folder.step_folder(position, attempt);
            let observed = if step.kind.command().is_none() { Observed::Alive } else { self.find(position, &folder)? };
            match machine::taken_over(&self.run, &step.id, observed) {
                Some(event) => self.record(event)?,
                None => self.follow(position, attempt, None),
            }
        }
        if self.run.aborting {
            self.end_everything();
        }
        Ok(())
    }

    fn find(&mut self, position: usize, folder: &Path) -> Result<Observed, RunnerError> {
        let claim = step_process::take_claim(folder).map_err(|error| RunnerError::System {
            what: "looking whether a step had begun",
            error: std::io::Error::other(error),
        })?;
        Ok(match claim {
            step_process::Claim::NeverBegan => Observed::NeverBegan,
            step_process::Claim::Began if step_process::is_alive(folder).unwrap_or(true) => Observed::Alive,
            step_process::Claim::Began => {
                let ended = Ended::read(folder, None);
                self.observed(position, ended)
            }
        })
    }

    /// What there is to judge a step by whose processes are gone.
    pub(super) fn observed(&mut self, position: usize, ended: Ended) -> Observed {
        let outcome = match ended {
            Ended::Written(outcome) => *outcome,
            Ended::Unwritten(mut evidence) => {
                if let Some(log) = self.logs.get(&position)
                    && let Some(reason) = log.reason_of_end()
                {
                    evidence.push(format!("its log ends with: {reason}"));
                }
                return Observed::Gone(evidence);
            }
        };
        let step = &self.run.plan.steps[position];
        let folder = self.folder.step_folder(position, self.run.steps[position].attempt);
        let reason = match (&step.kind, self.logs.get(&position)) {
            (StepKind::Server { .. }, Some(log)) => {
                log.reason_of_end().map(|reason| reason.to_string()).or_else(|| log.ended_by.clone())
            }
            _ => reason::of(&folder),
        };
        let output = if step.captures.is_empty() { Vec::new() } else { head(&folder.join("output")) };
        // Captures and reasons go into the journal, and from there to the screen and the transcript.
        let secrets = self.secrets();
        let output = if output.is_empty() { output } else { secrets.redact(&text(output)).into_bytes() };
        let reason = reason.map(|reason| secrets.redact(&reason));
        let milliseconds = outcome.milliseconds;
        Observed::Ended(Seen { outcome: Some(outcome), output, reason, milliseconds, ..Seen::default() })
    }

    /// The configuration whose secrets are kept out of the journal; without one that of the environment.
    fn secrets(&self) -> BackrestConfig {
        let real = &self.equipment.environment.real;
        let file = self.run.plan.facts.identity.get(PGBACKREST_CONFIG).filter(|path| !path.is_empty());
        BackrestConfig::load(file.map(Path::new), real).unwrap_or_else(|_| BackrestConfig::of_environment(real))
    }

    /// Reads the rest of a server's log before its end is judged, and lets waits come true that it fulfils.
    pub(super) fn last_words(&mut self, position: usize, attempt: u32) -> Result<(), RunnerError> {
        match follow::read_log(&self.folder.step_folder(position, attempt)) {
            Ok(log) => self.heard(position, attempt, log),
            Err(error) => {
                tracing::warn!(%error, "the server's log can't be read");
                Ok(())
            }
        }
    }

    /// Lets threads wait for what a living step does.
    pub(super) fn follow(&self, position: usize, attempt: u32, started: Option<Started>) {
        let folder = self.folder.step_folder(position, attempt);
        let is_server = matches!(self.run.plan.steps[position].kind, StepKind::Server { .. });
        follow::output(folder.clone(), position, attempt, is_server.then(|| self.inbox.clone()));
        follow::until_over(folder, position, attempt, started, self.inbox.clone());
    }

    /// How many processes of a step are alive.
    pub(super) fn living(&self, step: &StepId) -> usize {
        let Some(position) = self.run.plan.position(step) else { return 0 };
        let attempt = self.run.steps[position].attempt;
        let folder = self.folder.step_folder(position, attempt);
        let mark = Mark { run: self.folder.id.clone(), position, attempt };
        // What can't be looked at counts as alive: a second start beside it would be worse than a refusal.
        let marked = step_process::survivors(&folder, &mark).map_or(1, |found| found.len());
        // A process that cleared its environment still holds the lock.
        let held = folder.join("alive").exists() && step_process::is_alive(&folder).unwrap_or(true);
        marked.max(usize::from(held))
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn head(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(CAPTURED_BYTES).read_to_end(&mut bytes));
    if let Err(error) = read {
        tracing::warn!(%error, path = %path.display(), "the output can't be read");
    }
    bytes
}
