//! The effects: starting steps, reading facts, ending processes. Each reports back through the inbox.

use super::{Input, Runner, RunnerError};
use crate::domain::event::{Finding, RunEvent, StepResult, Verdict};
use crate::domain::facts::Facts;
use crate::domain::plan::{Argument, CommandLine, Step, StepId, StepKind};
use crate::domain::text;
use crate::engine::processes::{self, Mark};
use crate::engine::step_process::{self, StartError, StepSpec};
use crate::engine::{
    checks, facts, identity,
    surroundings::{Surroundings, SurroundingsError},
};
use crate::planning::machine::Seen;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What is asked to end gets this long before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// A server that is asked to end gets this long before it is asked more firmly.
const SERVER_GRACE: Duration = Duration::from_secs(60);

/// In a check's argument: the value that a step had captured before the run went back.
const BEFORE: &str = "before:";

impl Runner {
    /// Starts a step whose `StepStarted` is durable.
    pub(super) fn perform(&mut self, id: &StepId) -> Result<(), RunnerError> {
        let Some(position) = self.run.plan.position(id) else { return Ok(()) };
        let step = self.run.plan.steps[position].clone();
        match &step.kind {
            StepKind::Check { check, with } => {
                self.check(&step.id, check, with);
                Ok(())
            }
            StepKind::Note { .. } => self.ended(id, Seen::default()),
            StepKind::Wait { server, .. } => match self.server_over(server) {
                Some(reason) => self.ended(id, Seen { failed: true, reason: Some(reason), ..Seen::default() }),
                None => self.settle(id),
            },
            StepKind::Gate { .. } | StepKind::Decision { .. } => Ok(()),
            StepKind::Command { command }
            | StepKind::Server { command }
            | StepKind::Stop { command, .. }
            | StepKind::Sql { command } => self.start(position, &step, command),
        }
    }

    fn start(&mut self, position: usize, step: &Step, command: &CommandLine) -> Result<(), RunnerError> {
        let attempt = self.run.steps[position].attempt;
        let folder = self.folder.step_folder(position, attempt);
        // What an earlier start of it said is not about this one.
        self.logs.remove(&position);
        self.ending.remove(&step.id);
        let (argv, environment) = match self.resolve(command) {
            Ok(resolved) => resolved,
            Err(reason) => return self.not_started(position, reason),
        };
        let spec = StepSpec {
            run: self.folder.id.clone(),
            position,
            step: step.id.clone(),
            attempt,
            is_lifeboat: is_lifeboat(&argv),
            argv,
            directory: command.directory.clone().unwrap_or_else(|| PathBuf::from("/")),
            stdout_is_data: command.stdout_is_data,
            release: command.release,
        };
        match step_process::start(&folder, &spec, &environment, &self.equipment.launcher) {
            Ok(started) => {
                self.follow(position, attempt, Some(started));
                Ok(())
            }
            // Its processes may live, or what it wrote may tell: looked at as if another runner had started it.
            Err(StartError::Lost { .. }) => {
                self.follow(position, attempt, None);
                Ok(())
            }
            // Not the step's failure but Lifeboat's own (a full state directory, no more processes): the run stops here.
            // Whoever attaches when that is mended finds by the claim that nothing was started.
            Err(error) => Err(RunnerError::NotStarted { step: step.id.clone(), error }),
        }
    }

    /// It can't be started as planned; nothing of it was.
    fn not_started(&mut self, position: usize, reason: String) -> Result<(), RunnerError> {
        let attempt = self.run.steps[position].attempt;
        let step = self.run.plan.steps[position].id.clone();
        let result = StepResult {
            verdict: Verdict::Failed,
            reason: Some(format!("it could not be started: {reason}")),
            outcome: None,
            milliseconds: 0,
            captures: BTreeMap::new(),
            findings: Vec::new(),
        };
        self.record(RunEvent::StepEnded { step, attempt, result })
    }

    /// The final argument list and environment. Values of secrets come from the runner's own environment.
    fn resolve(&self, command: &CommandLine) -> Result<(Vec<String>, BTreeMap<String, String>), String> {
        let plan = &self.run.plan;
        let final_text = |argument: &Argument| {
            argument.resolved().ok_or_else(|| format!("'{argument}' waits for a value that was not captured"))
        };
        let argv = command.argv.iter().map(final_text).collect::<Result<Vec<String>, String>>()?;
        let mut environment = plan.environment.clone();
        for name in &plan.secret_environment {
            let value = self.equipment.environment.real.get(name).ok_or_else(|| {
                format!("{name} was set when the run was planned and is not in the environment of this runner: set it and attach again")
            })?;
            environment.insert(name.clone(), value.clone());
        }
        for (name, value) in &command.env {
            environment.insert(name.clone(), final_text(value)?);
        }
        Ok((argv, environment))
    }

    fn check(&self, id: &StepId, name: &str, with: &BTreeMap<String, Argument>) {
        let (inbox, id, name) = (self.inbox.clone(), id.clone(), name.to_owned());
        let given = with.iter().filter_map(|(key, value)| Some((key.clone(), value.resolved()?)));
        let mut with: BTreeMap<String, String> = given.chain(self.decided()).collect();
        for value in with.values_mut() {
            if let Some(name) = value.strip_prefix(BEFORE) {
                *value = self.run.before.get(name).cloned().unwrap_or_default();
            }
        }
        let surroundings = self.surroundings();
        std::thread::spawn(move || {
            let began = Instant::now();
            let report = surroundings
                .map_err(|error| error.to_string())
                .and_then(|surroundings| checks::run(&name, &with, &surroundings).map_err(|error| error.to_string()));
            let mut seen = match report {
                Ok(report) => Seen { findings: report.findings, captures: report.captures, ..Seen::default() },
                Err(error) => {
                    let finding = Finding { holds: false, what: error, remedy: String::new() };
                    Seen { findings: vec![finding], ..Seen::default() }
                }
            };
            seen.milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            // The runner may have ended meanwhile; a check may be asked again.
            let _ = inbox.send(Input::Answered(id, seen));
        });
    }

    /// What people gave with their last choices, as `decided.NAME`: a check before the decision finds it there once the
    /// run has gone back.
    fn decided(&self) -> BTreeMap<String, String> {
        let decisions = self.run.each().filter(|(step, _)| matches!(step.kind, StepKind::Decision { .. }));
        decisions
            .flat_map(|(step, _)| {
                let prefix = format!("{}.", step.id);
                let own = self.run.values.iter().filter_map(move |(name, value)| {
                    Some((format!("decided.{}", name.strip_prefix(&prefix)?), value.clone()))
                });
                own.collect::<Vec<_>>()
            })
            .collect()
    }

    pub(super) fn read_facts(&mut self, step: StepId) {
        self.reading = Some(step.clone());
        let (inbox, plan, surroundings) = (self.inbox.clone(), self.run.plan.clone(), self.surroundings());
        std::thread::spawn(move || {
            // Without programs to ask nothing can be read again: that is a difference of its own, and the gate says which.
            let facts = match surroundings {
                Ok(surroundings) => facts::read(&plan, &surroundings),
                Err(error) => unread(plan.facts, &error),
            };
            let _ = inbox.send(Input::Facts(step, facts));
        });
    }

    fn surroundings(&self) -> Result<Surroundings, SurroundingsError> {
        let servers: BTreeMap<String, u32> = self
            .run
            .each()
            .enumerate()
            .filter(|(_, (step, state))| matches!(step.kind, StepKind::Server { .. }) && state.status.is_active())
            .filter_map(|(position, (step, state))| {
                let folder = self.folder.step_folder(position, state.attempt);
                let started = step_process::started(&folder).ok().flatten()?;
                Some((step.id.to_string(), started.process.pid))
            })
            .collect();
        Surroundings::of_plan(&self.run.plan, &self.folder.id, &self.equipment.environment, servers)
    }

    /// An abort: every process of the run is asked to end, servers the way PostgreSQL wants it.
    pub(super) fn end_everything(&self) {
        for (step, state) in self.run.each() {
            if state.status.is_active() && step.kind.command().is_some() {
                self.end_step(&step.id);
            }
        }
    }

    /// Ends what lives of a step that runs a command; its step process then writes the outcome.
    pub(super) fn end_step(&self, id: &StepId) {
        let (Some(position), Some((step, state))) = (self.run.plan.position(id), self.run.step(id)) else { return };
        let folder = self.folder.step_folder(position, state.attempt);
        let mark = Mark { run: self.folder.id.clone(), position, attempt: state.attempt };
        let is_server = matches!(step.kind, StepKind::Server { .. });
        std::thread::spawn(move || {
            if is_server && let Ok(Some(started)) = step_process::started(&folder) {
                // INT is PostgreSQL's fast shutdown; TERM would wait for every client.
                if let Err(error) = processes::interrupt(&started.process, SERVER_GRACE) {
                    tracing::warn!(%error, "the server could not be asked to end");
                }
            }
            match step_process::terminate(&folder, &mark, GRACE) {
                Ok(ended) if ended.left.is_empty() => {}
                Ok(ended) => tracing::warn!(left = ?ended.left, "processes of the step could not be ended"),
                Err(error) => tracing::warn!(%error, "the step's processes could not be ended"),
            }
        });
    }
}

/// Whether a command is a helper of this very program, as plans name it.
fn is_lifeboat(argv: &[String]) -> bool {
    identity::program_to_show().is_ok_and(|own| argv.first().is_some_and(|program| own.as_os_str() == program.as_str()))
}

/// The facts of the plan, with the reason why nothing of them could be read again.
fn unread(mut facts: Facts, error: &SurroundingsError) -> Facts {
    facts.identity.insert("nothing can be read again".to_owned(), text::clean(&error.to_string()));
    facts
}
