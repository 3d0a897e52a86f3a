//! What holds of values, seals and choices, looked up in the journal and not in what the machine made of it.

use crate::plans;
use crate::world::World;
use lifeboat::domain::event::{Entry, Resolution, RunEvent};
use lifeboat::domain::plan::{Argument, Choice, Piece, Step, StepId, StepKind};
use lifeboat::domain::run::Run;
use lifeboat::domain::status::StepStatus;
use lifeboat::planning::plan::seal;
use std::collections::BTreeMap;

/// The newest captured value of each name.
pub(crate) fn newest(journal: &[Entry]) -> BTreeMap<String, String> {
    journal.iter().flat_map(|entry| captured(&entry.event)).collect()
}

fn captured(event: &RunEvent) -> Vec<(String, String)> {
    let (step, values) = match event {
        RunEvent::StepEnded { step, result, .. } => (step, &result.captures),
        RunEvent::DecisionMade { step, values, .. } => (step, values),
        _ => return Vec::new(),
    };
    values.iter().map(|(name, value)| (format!("{step}.{name}"), value.clone())).collect()
}

fn arguments(step: &Step) -> Vec<&Argument> {
    let of_kind: Vec<&Argument> = match &step.kind {
        StepKind::Check { with, .. } => with.values().collect(),
        StepKind::Gate { shows, .. } | StepKind::Decision { shows, .. } => {
            shows.iter().map(|shown| &shown.value).collect()
        }
        StepKind::Note { text } => vec![text],
        _ => step.kind.command().iter().flat_map(|command| command.arguments()).collect(),
    };
    of_kind.into_iter().chain(step.expect.values()).collect()
}

fn filled(run: &Run) -> impl Iterator<Item = (&String, &String)> {
    run.plan.steps.iter().flat_map(arguments).flat_map(|argument| &argument.pieces).filter_map(|piece| match piece {
        Piece::Filled { name, value } => Some((name, value)),
        Piece::Text(_) | Piece::Capture(_) => None,
    })
}

pub(crate) fn choices(step: &Step) -> &[Choice] {
    match &step.kind {
        StepKind::Decision { choices, .. } => choices,
        _ => &[],
    }
}

/// The steps that an event makes due again, as the run was before it.
pub(crate) fn made_due_again(before: &Run, event: &RunEvent) -> Option<(usize, usize)> {
    match event {
        RunEvent::DecisionMade { step, choice, .. } => {
            let at = before.plan.position(step)?;
            let choice = choices(&before.plan.steps[at]).iter().find(|known| known.id == *choice)?;
            let back_to = choice.back_to.as_ref().and_then(|back_to| before.plan.position(back_to));
            if before.steps[at].status != StepStatus::Done {
                return Some((back_to?, at));
            }
            // Taken anew: all that followed is due again.
            Some((back_to.unwrap_or(at + 1), before.steps.len() - 1))
        }
        RunEvent::StepResolved { step, answer: Resolution::Again, .. } => {
            before.goes_back_with(before.plan.position(step)?)
        }
        _ => None,
    }
}

impl World {
    /// Right after an entry: every value in the plan is the newest, what is captured anew is out, the seal is the plan's.
    pub(crate) fn keeps_values_and_seal(&mut self, before: &Run, event: &RunEvent) {
        self.newest.extend(captured(event));
        let sealed = matches!(
            event,
            RunEvent::PlanAmended { .. } | RunEvent::DecisionMade { .. } | RunEvent::StepResolved { .. }
        );
        if sealed {
            assert_eq!(seal(&self.run.plan), self.run.plan.seal, "the seal is that of the plan as it is: {event:?}");
        }
        let again = made_due_again(before, event);
        if let Some((first, last)) = again {
            for step in &before.plan.steps[first..=last] {
                self.may_repeat.insert(step.id.clone());
            }
        }
        for (name, value) in filled(&self.run) {
            assert_eq!(self.newest.get(name), Some(value), "{name} is not the newest after {event:?}");
            let (step, _) = name.split_once('.').unwrap();
            let position = self.run.plan.position(&plans::id(step));
            let taken_out = again.is_some_and(|(first, last)| position.is_some_and(|at| at >= first && at <= last));
            assert!(!taken_out, "{name} is still in after {event:?}");
        }
    }

    /// A decision is taken anew only while nothing was begun behind it that is final.
    pub(crate) fn nothing_final_behind(&self, decision: &StepId) {
        let at = self.run.plan.position(decision).unwrap();
        for step in &self.run.plan.steps[at + 1..] {
            let is_final = step.destructive || step.kind.command().is_some_and(|command| command.release);
            assert!(!is_final || self.last_start(&step.id).is_none(), "{decision} was taken anew behind {}", step.id);
        }
    }

    /// The choice at each decision, as the journal has it.
    fn chosen(&self, decision: &StepId) -> Option<&StepId> {
        self.journal.iter().rev().find_map(|entry| match &entry.event {
            RunEvent::DecisionMade { step, choice, .. } if step == decision => Some(choice),
            _ => None,
        })
    }

    /// Where in the journal a step was started last.
    pub(crate) fn last_start(&self, id: &StepId) -> Option<usize> {
        let started = |event: &RunEvent| matches!(event, RunEvent::StepStarted { step, .. } if step == id);
        self.journal.iter().rposition(|entry| started(&entry.event))
    }

    /// Why the step is not due after what was chosen, if it is not.
    pub(crate) fn not_chosen(&self, step: &Step) -> Option<String> {
        let only = step.only_choice.as_ref()?;
        match self.chosen(&only.step) {
            None if only.first => None,
            Some(choice) if only.is.contains(choice) => None,
            chosen => Some(format!("{chosen:?} was chosen at {}", only.step)),
        }
    }

    /// The last choice at some decision was to give up.
    pub(crate) fn was_given_up(&self) -> bool {
        self.run.plan.steps.iter().any(|step| {
            let chosen = self.chosen(&step.id);
            choices(step).iter().any(|choice| choice.gives_up && Some(&choice.id) == chosen)
        })
    }

    /// Where in the journal the run went back behind a step last.
    pub(crate) fn last_way_back_behind(&self, id: &StepId) -> Option<usize> {
        let at = self.run.plan.position(id)?;
        (1..self.journal.len()).rev().find(|&index| {
            let event = &self.journal[index].event;
            let RunEvent::DecisionMade { .. } = event else { return false };
            let before = Run::fold(&self.journal[..index]).unwrap();
            made_due_again(&before, event).is_some_and(|(first, last)| first <= at && at <= last)
        })
    }
}
