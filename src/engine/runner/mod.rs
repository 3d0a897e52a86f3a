//! The loop: input, machine, journal, effect. The only writer of a run's journal, under the run's lock.
//!
//! It decides nothing: [`machine`] does. It owns no command either: a step process does, so that a runner may
//! be killed at any moment. What it holds in memory can be folded again from the journal and the step folders.

mod follow;
mod perform;
mod reason;
mod serve;
mod take_over;
pub mod targets;

pub use serve::{Reply, SOCKET_NOTE};

use crate::domain::event::{RunEvent, RunId, Verdict};
use crate::domain::facts::Facts;
use crate::domain::plan::{StepId, StepKind};
use crate::domain::recovery_log::RecoveryLog;
use crate::domain::run::{IllegalEvent, Run};
use crate::domain::status::StepStatus;
use crate::engine::environment::BaseEnvironment;
use crate::engine::journal::{Journal, JournalError};
use crate::engine::step_process::{Launcher, StartError};
use crate::engine::store::{RunFolder, StoreError, TargetKind};
use crate::engine::syslog;
use crate::planning::machine::{self, Next, Refusal, Request, Seen};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Why a runner stopped before the run's end. The steps' processes go on; nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// Another runner has the run.
    #[error("another runner has run {0}")]
    Held(String),
    /// Another run works in the same place.
    #[error("{}", targets::held(holder.as_ref(), *kind, path))]
    TargetHeld {
        /// That run, where it can be told.
        holder: Option<RunId>,
        /// What kind of place.
        kind: TargetKind,
        /// The place.
        path: PathBuf,
    },
    /// The run's folder or lock.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading or writing the journal. After a failed write nothing more is started.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal holds something that can't have happened.
    #[error("the journal holds something that can't have happened: {0}")]
    Illegal(#[from] IllegalEvent),
    /// A step's processes can't be started at all, or not even prepared.
    #[error(
        "step '{step}' could not be started, and nothing more is: {error}; `lifeboat attach` goes on with it when that is mended"
    )]
    NotStarted {
        /// The step.
        step: StepId,
        /// Why not.
        error: StartError,
    },
    /// What an encrypted repository or a store is opened with is not in the environment of this runner. No step failed.
    #[error(
        "{} was set when run {run} was planned and is not in the environment now: nothing more is started, and no step has failed; set it, then go on: lifeboat attach {run}",
        names.join(" and ")
    )]
    SecretsMissing {
        /// The run.
        run: RunId,
        /// The variables, by name alone.
        names: Vec<String>,
    },
    /// The operating system refused something the runner can't do without.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        error: std::io::Error,
    },
}

impl RunnerError {
    fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> RunnerError {
        move |error| RunnerError::System { what, error }
    }
}

/// Everything that comes in, through one channel, in one order.
#[derive(Debug)]
enum Input {
    /// A person asked something; the reply is sent after the event is durable.
    Asked(Request, serve::Asker),
    /// The facts that were to be read for a step.
    Facts(StepId, Facts),
    /// A check or another step without a command has its answer.
    Answered(StepId, Seen),
    /// None of a step's processes is alive any more.
    Over { position: usize, attempt: u32, outcome: take_over::Ended },
    /// A server's log has more lines.
    Log { position: usize, attempt: u32, log: Box<RecoveryLog> },
}

/// What a runner needs besides the run's folder.
#[derive(Debug, Clone)]
pub struct Equipment {
    /// The environment of every command, secrets included.
    pub environment: BaseEnvironment,
    /// How step processes are started.
    pub launcher: Launcher,
    /// Where the socket for requests is.
    pub socket: PathBuf,
}

struct Runner {
    folder: RunFolder,
    journal: Journal,
    run: Run,
    equipment: Equipment,
    inbox: mpsc::UnboundedSender<Input>,
    facts: Option<(StepId, Facts)>,
    reading: Option<StepId>,
    logs: BTreeMap<usize, RecoveryLog>,
    ending: BTreeSet<StepId>,
}

/// Runs a run to its end. `ready` is called once the run's lock is held, its journal is read and requests are heard.
///
/// # Errors
/// [`RunnerError`]; another runner can take over afterwards.
pub fn run(folder: RunFolder, equipment: Equipment, ready: impl FnOnce()) -> Result<(), RunnerError> {
    let Some(_lock) = folder.lock_runner()? else {
        return Err(RunnerError::Held(folder.id.to_string()));
    };
    let (journal, entries, torn) = Journal::open(&folder.journal_path())?;
    if let Some(torn) = torn {
        tracing::warn!(?torn, "the journal's last line was cut short and was removed");
    }
    let run = Run::fold(&entries)?;
    let _targets = match run.ended {
        None => targets::lock(&targets::store_of(&folder)?, &run.plan)?,
        Some(_) => Vec::new(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(RunnerError::system("starting the runner's event loop"))?;
    let (inbox, outbox) = mpsc::unbounded_channel();
    let (logs, ending) = (BTreeMap::new(), BTreeSet::new());
    let runner = Runner { folder, journal, run, equipment, inbox, facts: None, reading: None, logs, ending };
    let socket = runner.equipment.socket.clone();
    let result = runtime.block_on(runner.live(outbox, ready));
    // The lock is still held: the socket is this runner's.
    let _ = std::fs::remove_file(socket);
    result
}

impl Runner {
    async fn live(
        mut self,
        mut outbox: mpsc::UnboundedReceiver<Input>,
        ready: impl FnOnce(),
    ) -> Result<(), RunnerError> {
        let listener = serve::bind(&self.equipment.socket)?;
        serve::note(&self.folder.path, &self.equipment.socket)?;
        tokio::spawn(serve::serve(listener, self.inbox.clone()));
        if self.run.ended.is_none() {
            let attempt = self.run.runners + 1;
            self.record(RunEvent::RunnerStarted { pid: std::process::id(), attempt })?;
            self.take_over()?;
            // Before it says that it is ready: whoever started it is told, and not only its log.
            self.needs_no_secret(&machine::next(&self.run, None))?;
        }
        ready();
        loop {
            while self.advance()? {}
            if self.run.ended.is_some() {
                return self.say_goodbye(&mut outbox);
            }
            // The channel can't close: this runner holds a sender itself.
            if let Some(input) = outbox.recv().await {
                self.take(input)?;
            }
        }
    }

    /// Answers what was asked while the run ended; nothing more is heard.
    fn say_goodbye(&mut self, outbox: &mut mpsc::UnboundedReceiver<Input>) -> Result<(), RunnerError> {
        outbox.close();
        while let Ok(input) = outbox.try_recv() {
            if let Input::Asked(request, asker) = input {
                self.asked(&request, asker)?;
            }
        }
        Ok(())
    }

    /// Does one thing that is due; `false` when there is nothing to do but wait.
    fn advance(&mut self) -> Result<bool, RunnerError> {
        let facts = self.facts.take();
        let next = machine::next(&self.run, facts.as_ref().map(|(step, facts)| (step, facts)));
        self.needs_no_secret(&next)?;
        match next {
            Next::Record(event) => self.record(event).map(|()| true),
            Next::ReadFacts(step) => {
                if self.reading.as_ref() != Some(&step) {
                    self.read_facts(step);
                }
                Ok(false)
            }
            Next::Start { step, attempt } => {
                self.record(RunEvent::StepStarted { step: step.clone(), attempt })?;
                self.perform(&step)?;
                Ok(true)
            }
            Next::EndServer(server) => {
                if self.ending.insert(server.clone()) {
                    self.end_step(&server);
                }
                Ok(false)
            }
            Next::Wait | Next::Finished => Ok(false),
        }
    }

    /// Before a step is begun, or facts are read for one: the secrets of the plan have to be in this runner's own
    /// environment. A step begun without them would fail, and facts would look changed. What goes on already, waits, or
    /// ends needs none.
    fn needs_no_secret(&self, next: &Next) -> Result<(), RunnerError> {
        if !matches!(next, Next::Start { .. } | Next::ReadFacts(_)) {
            return Ok(());
        }
        let known = &self.equipment.environment.real;
        let missing = self.run.plan.secret_environment.iter().filter(|name| !known.contains_key(*name));
        let names: Vec<String> = missing.cloned().collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(RunnerError::SecretsMissing { run: self.folder.id.clone(), names })
    }

    fn take(&mut self, input: Input) -> Result<(), RunnerError> {
        match input {
            Input::Asked(request, asker) => self.asked(&request, asker),
            Input::Facts(step, facts) => {
                self.reading = None;
                self.facts = Some((step, facts));
                Ok(())
            }
            Input::Answered(step, seen) => self.ended(&step, seen),
            Input::Over { position, attempt, outcome } => self.over(position, attempt, outcome),
            Input::Log { position, attempt, log } => self.heard(position, attempt, *log),
        }
    }

    /// Makes an event durable, then takes it in.
    fn record(&mut self, event: RunEvent) -> Result<(), RunnerError> {
        let entry = self.journal.append(event)?;
        self.run.apply(&entry)?;
        if matches!(entry.event, RunEvent::GateOpened { .. } | RunEvent::RunEnded { .. })
            && let Err(error) =
                syslog::tell_head(Path::new(syslog::SOCKET), &self.folder.id, entry.sequence, &entry.hash)
        {
            tracing::info!(%error, "the system's log did not take the journal's head");
        }
        Ok(())
    }

    fn asked(&mut self, request: &Request, asker: serve::Asker) -> Result<(), RunnerError> {
        let living = match request {
            Request::Resolve { step, .. } => self.living(step),
            _ => 0,
        };
        let event = match machine::answer(&self.run, request, living) {
            Ok(event) => event,
            Err(refusal) => {
                self.refuse(asker, &refusal);
                return Ok(());
            }
        };
        let aborts = matches!(event, RunEvent::AbortRequested { .. })
            || matches!(event, RunEvent::StepResolved { answer: crate::domain::event::Resolution::Abort, .. });
        if let Err(error) = self.record(event) {
            // Whether it is on disk nobody knows: it is neither granted nor refused.
            asker.answer(&Reply::Lost { why: error.to_string() });
            return Err(error);
        }
        // Acknowledged only now: the entry is durable.
        asker.answer(&Reply::Granted { sequence: self.run.sequence });
        if aborts {
            self.end_everything();
        }
        Ok(())
    }

    fn refuse(&self, asker: serve::Asker, refusal: &Refusal) {
        tracing::info!(run = %self.folder.id, %refusal, "refused a request");
        asker.answer(&Reply::Refused { why: refusal.to_string() });
    }

    fn ended(&mut self, step: &StepId, seen: Seen) -> Result<(), RunnerError> {
        let active = self.run.step(step).is_some_and(|(_, state)| state.status.is_active());
        if !active {
            return Ok(());
        }
        if let Some(event) = machine::judge(&self.run, step, seen) {
            self.record(event)?;
        }
        Ok(())
    }

    /// A step's processes are gone: what its step process wrote down decides, and waits for its server end with it.
    fn over(&mut self, position: usize, attempt: u32, outcome: take_over::Ended) -> Result<(), RunnerError> {
        let (step, state) = (self.run.plan.steps[position].clone(), &self.run.steps[position]);
        if state.attempt != attempt || !state.status.is_active() {
            return Ok(());
        }
        if matches!(step.kind, StepKind::Server { .. }) {
            self.last_words(position, attempt)?;
        }
        let observed = self.observed(position, outcome);
        if let Some(event) = machine::taken_over(&self.run, &step.id, observed) {
            self.record(event)?;
        }
        self.waits_end_with(position)
    }

    /// Waits that can't come true any more fail with the reason their server gave.
    fn waits_end_with(&mut self, server: usize) -> Result<(), RunnerError> {
        let id = self.run.plan.steps[server].id.clone();
        let reason = match &self.run.steps[server].result {
            Some(result) => result.reason.clone().unwrap_or_else(|| "the server was stopped".to_owned()),
            None => "nobody saw how the server ended".to_owned(),
        };
        let waiting: Vec<StepId> = self
            .run
            .each()
            .filter(|(step, state)| {
                state.status == StepStatus::Running
                    && matches!(&step.kind, StepKind::Wait { server, .. } if *server == id)
            })
            .map(|(step, _)| step.id.clone())
            .collect();
        for step in waiting {
            let milliseconds = self.running_for(&step);
            let seen = Seen { failed: true, reason: Some(reason.clone()), milliseconds, ..Seen::default() };
            self.ended(&step, seen)?;
        }
        Ok(())
    }

    /// Milliseconds since the step was started, by the wall clock of the journal (a wait has no process to ask).
    fn running_for(&self, step: &StepId) -> u64 {
        let started = self.run.step(step).and_then(|(_, state)| state.started);
        let now = crate::engine::clock::now();
        started.map_or(0, |started| u64::try_from((now - started).num_milliseconds()).unwrap_or(0))
    }

    /// More of a server's log: it may be ready, and waits may have come true.
    fn heard(&mut self, position: usize, attempt: u32, log: RecoveryLog) -> Result<(), RunnerError> {
        let state = &self.run.steps[position];
        if state.attempt != attempt || !state.status.is_active() {
            return Ok(());
        }
        let step = self.run.plan.steps[position].id.clone();
        if state.status == StepStatus::Running
            && let Some(evidence) = log.ready_evidence().map(str::to_owned)
        {
            self.record(RunEvent::StepReady { step: step.clone(), attempt, evidence })?;
        }
        self.logs.insert(position, log);
        let waiting: Vec<StepId> = self
            .run
            .each()
            .filter(|(_, state)| state.status == StepStatus::Running)
            .filter(|(other, _)| matches!(&other.kind, StepKind::Wait { server, .. } if *server == step))
            .map(|(step, _)| step.id.clone())
            .collect();
        waiting.into_iter().try_for_each(|wait| self.settle(&wait))
    }

    /// Ends a wait whose milestone its server's log has shown.
    fn settle(&mut self, wait: &StepId) -> Result<(), RunnerError> {
        let Some((step, _)) = self.run.step(wait) else { return Ok(()) };
        let StepKind::Wait { server, until } = &step.kind else { return Ok(()) };
        let until = *until;
        let Some(log) = self.run.plan.position(server).and_then(|position| self.logs.get(&position)) else {
            return Ok(());
        };
        if log.reached(until).is_none() {
            // A pause that is not the target, and the like: it will not come true on its own.
            return match log.blocked(until) {
                Some(reason) => {
                    let milliseconds = self.running_for(wait);
                    let reason = Some(reason.to_string());
                    self.ended(wait, Seen { failed: true, reason, milliseconds, ..Seen::default() })
                }
                None => Ok(()),
            };
        }
        let captures = log.captures(until);
        let milliseconds = self.running_for(wait);
        self.ended(wait, Seen { captures, milliseconds, ..Seen::default() })
    }

    /// Whether a step of this run failed because its server ended.
    fn server_over(&self, server: &StepId) -> Option<String> {
        let (_, state) = self.run.step(server)?;
        let over = !state.status.is_active();
        over.then(|| {
            state
                .result
                .as_ref()
                .filter(|result| result.verdict != Verdict::Done)
                .and_then(|result| result.reason.clone())
                .unwrap_or_else(|| format!("server '{server}' is {}", state.status.word()))
        })
    }
}
