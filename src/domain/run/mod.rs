//! A run as the fold of its journal: the same for the runner, the console, `attach` and the transcript.

mod decide;

pub use decide::choice_of;

use crate::domain::digest::Digest;
use crate::domain::event::{
    Entry, Host, JOURNAL_VERSION, Operator, Resolution, RunEvent, RunId, RunOutcome, StepResult, Via,
};
use crate::domain::facts::{Drift, Facts};
use crate::domain::plan::{Plan, Step, StepId, StepKind};
use crate::domain::status::{self, StepStatus};
use chrono::{DateTime, FixedOffset};
use std::collections::BTreeMap;

/// An entry that can't follow what came before it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalEvent {
    /// The journal does not begin with the sealed plan.
    #[error("entry 1 is not the run's plan: this is not a journal of Lifeboat, or its beginning is missing")]
    NoPlan,
    /// Written by a newer Lifeboat.
    #[error(
        "the journal has format {found}, this Lifeboat reads up to {JOURNAL_VERSION}: use the version that wrote it"
    )]
    Newer {
        /// The journal's format.
        found: u32,
    },
    /// An entry is missing or doubled.
    #[error("entry {found} follows entry {last}: an entry is missing or stands twice")]
    Sequence {
        /// The last good one.
        last: u64,
        /// What came.
        found: u64,
    },
    /// An event for a step the plan does not have, or one that its status does not allow.
    #[error("entry {sequence}: {what}")]
    Step {
        /// The entry.
        sequence: u64,
        /// What is wrong with it.
        what: String,
    },
}

/// A gate as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateState {
    /// How often it opened.
    pub opening: u32,
    /// The entry that opened it last: an approval names it.
    pub sequence: u64,
    /// The seal that was shown.
    pub seal: Digest,
    /// The facts that were shown.
    pub facts: Facts,
    /// What had changed when it re-opened.
    pub drift: Vec<Drift>,
    /// Who answered this opening, and how.
    pub answered: Option<(Operator, Via)>,
}

/// A step as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepState {
    /// Its status.
    pub status: StepStatus,
    /// How often it was started.
    pub attempt: u32,
    /// When it was started last (or the gate opened).
    pub started: Option<DateTime<FixedOffset>>,
    /// When it ended.
    pub ended: Option<DateTime<FixedOffset>>,
    /// How it ended.
    pub result: Option<StepResult>,
    /// Why it was skipped or refused, or what was seen of an unknown one.
    pub remarks: Vec<String>,
    /// For a gate or a decision.
    pub gate: Option<GateState>,
    /// The entry that started it last; 0 before that.
    pub begun: u64,
    /// The run went back while it was active: once it has ended it is due again.
    pub again: bool,
    /// For a decision: what was chosen last.
    pub choice: Option<StepId>,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// The plan, with all amendments.
    pub plan: Plan,
    /// Who asked for it.
    pub by: Operator,
    /// Where.
    pub host: Host,
    /// When it was created.
    pub created: DateTime<FixedOffset>,
    /// The steps' states, in the plan's order.
    pub steps: Vec<StepState>,
    /// Captured values by `STEP.NAME`.
    pub values: BTreeMap<String, String>,
    /// Captured values as they were before the run went back behind the steps that captured them.
    pub before: BTreeMap<String, String>,
    /// How often a runner took it over.
    pub runners: u32,
    /// Some step failed.
    pub failed: bool,
    /// A person asked for the end.
    pub aborting: bool,
    /// Set at the end, with the time.
    pub ended: Option<(RunOutcome, DateTime<FixedOffset>)>,
    /// What was proven.
    pub result: BTreeMap<String, String>,
    /// Notes people wrote, with their place in the journal.
    pub notes: Vec<(u64, Operator, String)>,
    /// The last entry's sequence number.
    pub sequence: u64,
    /// The last entry's hash.
    pub head: Digest,
    /// The boot the last entry was written in.
    pub boot_id: String,
}

impl Run {
    /// The run its first entry begins.
    ///
    /// # Errors
    /// [`IllegalEvent::NoPlan`], [`IllegalEvent::Newer`] or [`IllegalEvent::Sequence`].
    pub fn begin(entry: &Entry) -> Result<Run, IllegalEvent> {
        let RunEvent::RunCreated { version, run, plan, by, host } = &entry.event else {
            return Err(IllegalEvent::NoPlan);
        };
        if *version > JOURNAL_VERSION {
            return Err(IllegalEvent::Newer { found: *version });
        }
        if entry.sequence != 1 {
            return Err(IllegalEvent::Sequence { last: 0, found: entry.sequence });
        }
        let fresh = StepState {
            status: StepStatus::Pending,
            attempt: 0,
            started: None,
            ended: None,
            result: None,
            remarks: Vec::new(),
            gate: None,
            begun: 0,
            again: false,
            choice: None,
        };
        Ok(Run {
            id: run.clone(),
            steps: vec![fresh; plan.steps.len()],
            plan: (**plan).clone(),
            by: by.clone(),
            host: host.clone(),
            created: entry.at,
            values: BTreeMap::new(),
            before: BTreeMap::new(),
            runners: 0,
            failed: false,
            aborting: false,
            ended: None,
            result: BTreeMap::new(),
            notes: Vec::new(),
            sequence: 1,
            head: entry.hash,
            boot_id: entry.boot_id.clone(),
        })
    }

    /// Folds a whole journal.
    ///
    /// # Errors
    /// The first entry that can't follow what came before it.
    pub fn fold<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Result<Run, IllegalEvent> {
        let mut entries = entries.into_iter();
        let mut run = Run::begin(entries.next().ok_or(IllegalEvent::NoPlan)?)?;
        entries.try_for_each(|entry| run.apply(entry))?;
        Ok(run)
    }

    /// Takes one more entry in. On an error nothing is changed.
    ///
    /// # Errors
    /// [`IllegalEvent`] when the entry can't follow.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), IllegalEvent> {
        if entry.sequence != self.sequence + 1 {
            return Err(IllegalEvent::Sequence { last: self.sequence, found: entry.sequence });
        }
        let illegal = |what: String| IllegalEvent::Step { sequence: entry.sequence, what };
        if self.ended.is_some() {
            return Err(illegal("the run had ended before".to_owned()));
        }
        if let Some(id) = entry.event.step() {
            self.apply_to_step(id, entry).map_err(illegal)?;
        }
        match &entry.event {
            RunEvent::RunCreated { .. } => return Err(illegal("a second plan".to_owned())),
            RunEvent::RunnerStarted { .. } => self.runners += 1,
            RunEvent::PlanAmended { values, seal } => {
                self.plan.steps.iter_mut().for_each(|step| step.fill(values));
                self.plan.seal = *seal;
            }
            RunEvent::AbortRequested { .. } => self.aborting = true,
            RunEvent::NoteWritten { by, text } => self.notes.push((entry.sequence, by.clone(), text.clone())),
            RunEvent::RunEnded { outcome, result } => {
                self.ended = Some((*outcome, entry.at));
                self.result = result.clone();
            }
            _ => {}
        }
        self.sequence = entry.sequence;
        self.head = entry.hash;
        self.boot_id.clone_from(&entry.boot_id);
        Ok(())
    }

    fn apply_to_step(&mut self, id: &StepId, entry: &Entry) -> Result<(), String> {
        let Some(position) = self.plan.position(id) else {
            return Err(format!("the plan has no step '{id}'"));
        };
        let (step, state) = (&self.plan.steps[position], &mut self.steps[position]);
        let Some(next) = status::after(state.status, &entry.event) else {
            return Err(format!("step '{id}' is {}: this can't happen to it then", state.status.word()));
        };
        let fits = match entry.event {
            RunEvent::GateOpened { .. } => step.kind.asks_a_person(),
            RunEvent::GateAnswered { .. } => matches!(step.kind, StepKind::Gate { .. }),
            RunEvent::DecisionMade { .. } => matches!(step.kind, StepKind::Decision { .. }),
            RunEvent::StepStarted { .. } => !step.kind.asks_a_person(),
            _ => true,
        };
        if !fits {
            return Err(format!("step '{id}' is a {}: this can't happen to it", step.kind.word()));
        }
        let next = if next == StepStatus::Failed && step.hold { StepStatus::Held } else { next };
        match &entry.event {
            RunEvent::StepStarted { attempt, .. } => {
                if *attempt != state.attempt + 1 {
                    return Err(format!("step '{id}' was started {} times, not {}", state.attempt, attempt - 1));
                }
                state.attempt = *attempt;
                state.begun = entry.sequence;
                state.started = Some(entry.at);
                state.ended = None;
                state.result = None;
                state.remarks.clear();
            }
            RunEvent::StepEnded { attempt, result, .. } => {
                check_attempt(id, state, *attempt)?;
                state.ended = Some(entry.at);
                state.result = Some(result.clone());
                for (name, value) in &result.captures {
                    self.values.insert(format!("{id}.{name}"), value.clone());
                }
                self.failed |= next == StepStatus::Failed;
            }
            RunEvent::StepReady { attempt, .. } => check_attempt(id, state, *attempt)?,
            RunEvent::StepInterrupted { attempt, evidence, .. } => {
                check_attempt(id, state, *attempt)?;
                state.remarks.push(evidence.clone());
            }
            RunEvent::StepUnknown { attempt, evidence, .. } => {
                check_attempt(id, state, *attempt)?;
                state.remarks.clone_from(evidence);
            }
            RunEvent::StepResolved { attempt, answer, seal, .. } => {
                check_attempt(id, state, *attempt)?;
                state.ended = Some(entry.at);
                self.aborting |= *answer == Resolution::Abort;
                if let (Resolution::Again, Some((first, last))) = (answer, self.goes_back_with(position)) {
                    self.go_back(first, last);
                    self.plan.seal = seal.unwrap_or(self.plan.seal);
                }
            }
            RunEvent::StepSkipped { reason, .. } => state.remarks.push(reason.clone()),
            RunEvent::StepRefused { reason, .. } => {
                state.remarks.push(reason.clone());
                state.ended = Some(entry.at);
                self.failed |= next == StepStatus::Failed;
            }
            RunEvent::GateOpened { opening, seal, facts, drift, .. } => {
                let before = state.gate.as_ref().map_or(0, |gate| gate.opening);
                if *opening != before + 1 {
                    return Err(format!("gate '{id}' opened {before} times, not {}", opening.saturating_sub(1)));
                }
                state.started = Some(entry.at);
                state.ended = None;
                state.gate = Some(GateState {
                    opening: *opening,
                    sequence: entry.sequence,
                    seal: *seal,
                    facts: facts.clone(),
                    drift: drift.clone(),
                    answered: None,
                });
            }
            RunEvent::GateAnswered { opening, seal, by, via, .. } => {
                let gate = state.gate.as_mut().ok_or_else(|| format!("gate '{id}' never opened"))?;
                if gate.opening != *opening || gate.seal != *seal {
                    return Err(format!("gate '{id}': the answer belongs to another opening or plan"));
                }
                gate.answered = Some((by.clone(), *via));
                state.ended = Some(entry.at);
            }
            RunEvent::DecisionMade { .. } => return self.decide(position, entry),
            _ => {}
        }
        let state = &mut self.steps[position];
        // It has ended, and the run had gone back behind it meanwhile.
        let due_again = state.again && matches!(next, StepStatus::Done | StepStatus::Held | StepStatus::Pending);
        state.again &= !due_again;
        state.status = if due_again { StepStatus::Pending } else { next };
        Ok(())
    }

    /// The step and its state.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<(&Step, &StepState)> {
        let position = self.plan.position(id)?;
        Some((&self.plan.steps[position], &self.steps[position]))
    }

    /// Steps with their states, in order.
    pub fn each(&self) -> impl Iterator<Item = (&Step, &StepState)> {
        self.plan.steps.iter().zip(&self.steps)
    }

    /// The gate that waits for a person, if one does.
    #[must_use]
    pub fn open_gate(&self) -> Option<(&Step, &GateState)> {
        self.waiting().filter(|(step, _)| matches!(step.kind, StepKind::Gate { .. }))
    }

    /// The decision that waits for a person, if one does.
    #[must_use]
    pub fn open_decision(&self) -> Option<(&Step, &GateState)> {
        self.waiting().filter(|(step, _)| matches!(step.kind, StepKind::Decision { .. }))
    }

    fn waiting(&self) -> Option<(&Step, &GateState)> {
        self.each()
            .find(|(_, state)| state.status == StepStatus::Waiting)
            .and_then(|(step, state)| state.gate.as_ref().map(|gate| (step, gate)))
    }

    /// The steps that failed and wait for a person.
    pub fn held(&self) -> impl Iterator<Item = (&Step, &StepState)> {
        self.each().filter(|(_, state)| state.status == StepStatus::Held)
    }

    /// The steps whose outcome is unknown.
    pub fn unknown(&self) -> impl Iterator<Item = (&Step, &StepState)> {
        self.each().filter(|(_, state)| state.status == StepStatus::Unknown)
    }

    /// `done`, `failed` or `aborted`; while it has not ended `unknown`, `waiting` or `running`.
    #[must_use]
    pub fn outcome_word(&self) -> &'static str {
        match self.ended {
            Some((RunOutcome::Done, _)) => "done",
            Some((RunOutcome::Failed, _)) => "failed",
            Some((RunOutcome::Aborted, _)) => "aborted",
            None if self.unknown().next().is_some() => "unknown",
            None if self.waiting().is_some() || self.held().next().is_some() => "waiting",
            None => "running",
        }
    }
}

fn check_attempt(id: &StepId, state: &StepState, attempt: u32) -> Result<(), String> {
    if attempt == state.attempt {
        Ok(())
    } else {
        Err(format!("step '{id}' is at its start number {}, this is about number {attempt}", state.attempt))
    }
}
