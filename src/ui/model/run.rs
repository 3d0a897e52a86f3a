//! The run that is followed: what is known of it, which step is looked at, what is typed at its gate.

use crate::domain::event::RunId;
use crate::domain::plan::Step;
use crate::domain::progress::Progress;
use crate::domain::run::{GateState, Run, StepState};
use crate::domain::status::StepStatus;
use crate::engine::seat::Driver;
use crate::planning::typing::Typing;
use crate::ui::action::OutputKey;
use crate::ui::event::OutputPage;

/// What waits for a person. The one place that knows all of them.
#[derive(Debug, Clone, Copy)]
pub enum Attention<'a> {
    /// A gate.
    Gate(&'a Step, &'a GateState),
    /// A step whose outcome nobody saw.
    Unknown(&'a Step, &'a StepState),
    /// A step that failed and is held for a person.
    Held(&'a Step, &'a StepState),
    /// A way on that is to be chosen.
    Decision(&'a Step, &'a GateState),
}

impl<'a> Attention<'a> {
    /// The step.
    #[must_use]
    pub fn step(self) -> &'a Step {
        match self {
            Attention::Gate(step, _) | Attention::Decision(step, _) => step,
            Attention::Unknown(step, _) | Attention::Held(step, _) => step,
        }
    }

    /// The journal's entry it began with, as far as it has one of its own.
    #[must_use]
    pub fn sequence(self) -> u64 {
        match self {
            Attention::Gate(_, gate) | Attention::Decision(_, gate) => gate.sequence,
            Attention::Unknown(_, state) | Attention::Held(_, state) => state.begun,
        }
    }

    /// What is told of it to somebody who looks elsewhere.
    #[must_use]
    pub fn words(self) -> String {
        let title = &self.step().title;
        match self {
            Attention::Gate(..) => format!("waits at gate: {title}"),
            Attention::Decision(..) => format!("waits for a decision: {title}"),
            Attention::Unknown(..) => format!("the outcome of '{title}' is unknown"),
            Attention::Held(..) => format!("'{title}' failed and is held"),
        }
    }
}

/// What waits for a person in a run, if anything does.
#[must_use]
pub fn attention(run: &Run) -> Option<Attention<'_>> {
    if run.ended.is_some() || run.aborting {
        return None;
    }
    if let Some((step, state)) = run.unknown().next() {
        return Some(Attention::Unknown(step, state));
    }
    if let Some((step, state)) = run.held().next() {
        return Some(Attention::Held(step, state));
    }
    let gate = run.open_gate().map(|(step, gate)| Attention::Gate(step, gate));
    gate.or_else(|| run.open_decision().map(|(step, gate)| Attention::Decision(step, gate)))
}

/// The gate that was gone to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateFocus {
    /// The entry that opened it: an answer is for this opening.
    pub sequence: u64,
    /// What is typed.
    pub typing: Typing,
    /// No key came for a while: what is typed now is typed for the gate.
    pub is_quiet: bool,
    /// An answer is on its way.
    pub is_sent: bool,
    /// What came of the last answer.
    pub said: Option<String>,
    /// Lines scrolled down from the beginning.
    pub scrolled: usize,
}

/// What is looked at of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutputView {
    /// Which output; `None` for a step without one.
    pub key: Option<OutputKey>,
    /// The lines that were read.
    pub page: OutputPage,
    /// The end is kept in sight.
    pub is_followed: bool,
    /// Long lines are broken.
    pub is_wrapped: bool,
    /// What is searched for.
    pub search: String,
}

/// The run.
#[derive(Debug, Clone)]
pub struct RunState {
    /// Its name.
    pub id: RunId,
    /// The run as it stands; `None` before the first news.
    pub run: Option<Box<Run>>,
    /// A runner has it.
    pub is_runner_alive: bool,
    /// Where the step is that goes on.
    pub progress: Option<Progress>,
    /// Another console that drives it.
    pub driver: Option<Driver>,
    /// The step that is looked at; `None`: the one that goes on.
    pub chosen: Option<usize>,
    /// Its output.
    pub output: OutputView,
    /// The gate that was gone to.
    pub gate: Option<GateFocus>,
    /// What a person was told of: the gate's entry, or the end.
    pub told_of: Option<u64>,
    /// Why it can't be followed any more.
    pub lost: Option<String>,
}

impl RunState {
    /// Before its first news.
    #[must_use]
    pub fn new(id: RunId) -> RunState {
        let output = OutputView { is_followed: true, ..OutputView::default() };
        RunState {
            id,
            run: None,
            is_runner_alive: true,
            progress: None,
            driver: None,
            chosen: None,
            output,
            gate: None,
            told_of: None,
            lost: None,
        }
    }

    /// The position of the step that is looked at.
    #[must_use]
    pub fn position(&self) -> usize {
        let last = self.run.as_ref().map_or(0, |run| run.steps.len().saturating_sub(1));
        self.chosen.unwrap_or_else(|| self.run.as_deref().map_or(0, current)).min(last)
    }

    /// The step that is looked at.
    #[must_use]
    pub fn step(&self) -> Option<(&Step, &StepState)> {
        let run = self.run.as_ref()?;
        Some((run.plan.steps.get(self.position())?, run.steps.get(self.position())?))
    }

    /// The output that belongs to the step that is looked at.
    #[must_use]
    pub fn wanted_output(&self) -> Option<OutputKey> {
        let (run, (step, state)) = (self.run.as_ref()?, self.step()?);
        let server = match &step.kind {
            crate::domain::plan::StepKind::Wait { server, .. } => run.plan.position(server),
            _ => None,
        };
        // A wait has no output: what it waits for stands in the server's.
        let position = server.unwrap_or_else(|| self.position());
        let attempt = server.map_or(state.attempt, |position| run.steps[position].attempt);
        let has_output = run.plan.steps.get(position)?.kind.command().is_some() && attempt > 0;
        has_output.then(|| OutputKey { run: self.id.clone(), position, attempt })
    }
}

/// The position of the step that matters now: what waits, else what goes on, else the next, else the last.
#[must_use]
pub(super) fn current(run: &Run) -> usize {
    let waits = match attention(run) {
        Some(waiting) => run.plan.position(&waiting.step().id),
        None => None,
    };
    let with = |wanted: StepStatus| run.steps.iter().position(|state| state.status == wanted);
    let failed = || with(StepStatus::Failed).filter(|_| run.ended.is_some());
    waits
        .or_else(|| with(StepStatus::Running))
        .or_else(failed)
        .or_else(|| with(StepStatus::Pending).filter(|_| run.ended.is_none()))
        .unwrap_or(run.steps.len().saturating_sub(1))
}
