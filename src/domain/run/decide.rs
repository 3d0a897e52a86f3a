//! Decisions: the way on that a person chose, back to an earlier step or past what stands in the way.

use crate::domain::event::{Entry, RunEvent};
use crate::domain::plan::{Choice, Step, StepId, StepKind, is_of};
use crate::domain::run::{Run, StepState};
use crate::domain::status::StepStatus;
use std::collections::BTreeMap;

impl Run {
    /// Takes a [`RunEvent::DecisionMade`] in; on an error nothing is changed.
    pub(super) fn decide(&mut self, position: usize, entry: &Entry) -> Result<(), String> {
        let RunEvent::DecisionMade { step: id, opening, choice, values, seal, by, via } = &entry.event else {
            return Err("not a decision".to_owned());
        };
        let step = &self.plan.steps[position];
        let Some(taken) = choice_of(step, choice) else {
            return Err(format!("decision '{id}' has no choice '{choice}'"));
        };
        let state = &self.steps[position];
        let anew = state.status == StepStatus::Done;
        if anew && !self.may_decide_anew(position) {
            return Err(format!("decision '{id}' was taken, and what followed can't be taken back by it"));
        }
        let open = state.gate.as_ref().filter(|_| state.status == StepStatus::Waiting).map_or(0, |gate| gate.opening);
        if *opening != open {
            return Err(format!("decision '{id}': the answer belongs to opening {opening}, not {open}"));
        }
        let back_to = match &taken.back_to {
            None => None,
            Some(back_to) => match self.plan.position(back_to) {
                Some(first) if first <= position => Some(first),
                _ => return Err(format!("decision '{id}' leads back to '{back_to}', which is no step before it")),
            },
        };
        let leads_back = self.leads_back(position, back_to);
        let state = &mut self.steps[position];
        if let Some(gate) = &mut state.gate {
            gate.answered = Some((by.clone(), *via));
        }
        state.choice = Some(choice.clone());
        state.ended = Some(entry.at);
        state.status = StepStatus::Done;
        for (name, value) in values {
            self.values.insert(format!("{id}.{name}"), value.clone());
        }
        if back_to.is_none() {
            self.pass_over(position, choice);
        }
        if let Some((first, last)) = leads_back {
            self.go_back(first, last);
        }
        self.plan.seal = *seal;
        Ok(())
    }

    /// Whether a decision that was taken can be taken anew: a step behind it is held, or a gate waits there, and nothing
    /// behind it was begun that can't be undone or that outlives the run, nor runs. One that was begun and turned out to have
    /// done nothing counts as well: nobody would stake a cluster on it.
    #[must_use]
    pub fn may_decide_anew(&self, position: usize) -> bool {
        let Some(behind) = self.plan.steps.get(position + 1..) else { return false };
        let behind: Vec<_> = behind.iter().zip(&self.steps[position + 1..]).collect();
        let waits = |step: &Step, state: &StepState| match state.status {
            StepStatus::Held => true,
            StepStatus::Waiting => matches!(step.kind, StepKind::Gate { .. }),
            _ => false,
        };
        let is_final = |step: &Step| step.destructive || step.kind.command().is_some_and(|command| command.release);
        self.steps[position].status == StepStatus::Done
            && matches!(self.plan.steps[position].kind, StepKind::Decision { .. })
            && behind.iter().any(|(step, state)| waits(step, state))
            && !behind.iter().any(|(step, state)| {
                // The last decision that was taken: what was chosen behind it was chosen on what it led to.
                state.status.is_active() || state.choice.is_some() || (is_final(step) && state.attempt > 0)
            })
    }

    /// The steps that are due again with a choice at the decision at `position`, from the first to the last. Taken anew it
    /// makes those behind it due again as well: they were done, skipped or held for another choice.
    #[must_use]
    pub fn leads_back(&self, position: usize, back_to: Option<usize>) -> Option<(usize, usize)> {
        let anew = self.may_decide_anew(position);
        let last = if anew { self.steps.len() - 1 } else { position };
        let first = back_to.or(anew.then_some(position + 1))?;
        Some((first, last))
    }

    /// Everything from `first` to `last` is due again, and what it had captured is captured anew. What is active now is
    /// due again once it has ended.
    pub(super) fn go_back(&mut self, first: usize, last: usize) {
        for state in &mut self.steps[first..=last] {
            if state.status.is_active() {
                state.again = true;
                continue;
            }
            state.status = StepStatus::Pending;
            state.ended = None;
            state.result = None;
            state.remarks.clear();
        }
        let from = self.plan.rewound(first, last);
        let (old, kept) = std::mem::take(&mut self.values).into_iter().partition(|(name, _)| is_of(name, &from));
        self.values = kept;
        self.before.extend::<BTreeMap<String, String>>(old);
        self.plan.steps.iter_mut().for_each(|step| step.empty(&from));
    }

    /// A decision taken while an earlier step was held: nothing before the decision is done any more. A server that was to
    /// be started again with another target is not, once it is stopped.
    fn pass_over(&mut self, position: usize, choice: &StepId) {
        for state in &mut self.steps[..position] {
            state.again = false;
            match state.status {
                StepStatus::Held => state.status = StepStatus::Failed,
                // A gate that waits as well: what it asks about is not done any more.
                StepStatus::Pending | StepStatus::Waiting => {
                    state.status = StepStatus::Skipped;
                    state.remarks.push(format!("'{choice}' was chosen before it was due"));
                }
                _ => {}
            }
        }
    }

    /// The steps that are due again when the server at `position` is started again: what was seen of the one that ended
    /// says nothing about the next, as long as the decision that rests on it was not taken.
    #[must_use]
    pub fn goes_back_with(&self, position: usize) -> Option<(usize, usize)> {
        if !matches!(self.plan.steps.get(position)?.kind, StepKind::Server { .. }) {
            return None;
        }
        let decision = (position + 1..self.plan.steps.len())
            .find(|later| matches!(self.plan.steps[*later].kind, StepKind::Decision { .. }))?;
        (self.steps[decision].status != StepStatus::Done).then_some((position + 1, decision))
    }

    /// What was chosen last at a decision.
    #[must_use]
    pub fn choice_at(&self, decision: &StepId) -> Option<&StepId> {
        self.step(decision).and_then(|(_, state)| state.choice.as_ref())
    }

    /// Why a step is not due after what was chosen, if it is not.
    #[must_use]
    pub fn not_chosen(&self, step: &Step) -> Option<String> {
        let only = step.only_choice.as_ref()?;
        match self.choice_at(&only.step) {
            None if only.first => None,
            None => Some(format!("nothing was decided at '{}' yet", only.step)),
            Some(choice) if only.is.contains(choice) => None,
            Some(choice) => Some(format!("'{choice}' was chosen at '{}'", only.step)),
        }
    }

    /// The work was given up at a decision.
    #[must_use]
    pub fn given_up(&self) -> bool {
        self.each().any(|(step, state)| {
            state.choice.as_ref().and_then(|choice| choice_of(step, choice)).is_some_and(|choice| choice.gives_up)
        })
    }

    /// The gate that answers for the step at `position`: the nearest one before it that is due after what was chosen.
    #[must_use]
    pub fn gate_before(&self, position: usize) -> Option<usize> {
        let steps = &self.plan.steps[..position];
        steps.iter().rposition(|step| {
            matches!(step.kind, StepKind::Gate { .. }) && step.ruled_out.is_none() && self.not_chosen(step).is_none()
        })
    }
}

/// The choice of this name at a decision.
#[must_use]
pub fn choice_of<'s>(step: &'s Step, id: &StepId) -> Option<&'s Choice> {
    match &step.kind {
        StepKind::Decision { choices, .. } => choices.iter().find(|choice| &choice.id == id),
        _ => None,
    }
}
