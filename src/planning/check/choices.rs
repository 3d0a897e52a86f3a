//! Decisions: where a choice leads, and that what depends on it can come true.

use crate::domain::plan::{Asked, StepId, When};
use crate::planning::check::Lint;
use crate::planning::runbook::{Action, ChoiceTemplate, Located, OnlyChoiceTemplate, RunbookStep, nearest};

impl Lint<'_> {
    /// Rules about a decision, and about a step that depends on one.
    pub(super) fn choices(&mut self, position: usize, step: &RunbookStep) {
        if let Action::Decision { choices, .. } = &step.action {
            self.ways_on(position, step, choices);
        }
        if let Some(only) = &step.only_choice {
            self.depends(position, step, only);
        }
        if step.destructive {
            self.gated_for_each_choice(position, step);
        }
    }

    /// A gate that was answered before a choice knows nothing of it: behind a decision, after each choice that makes a
    /// destructive step due, a gate of its own stands between the two. Else one that is due for other choices only would be
    /// looked for in vain, and the older answer count. (On a way back the plan is sealed anew, which opens every gate again.)
    fn gated_for_each_choice(&mut self, position: usize, step: &RunbookStep) {
        let mut missing: Vec<(String, String)> = Vec::new();
        for (at, decision) in self.runbook.steps.iter().enumerate() {
            let Action::Decision { choices, .. } = &decision.action else { continue };
            for choice in choices {
                if position <= at || choice.back_to.is_some() || !is_due_after(step, decision, choice) {
                    continue;
                }
                let gated = self.runbook.steps[at + 1..position].iter().any(|gate| {
                    matches!(gate.action, Action::Gate { .. })
                        && (gate.when == When::Always || gate.when == step.when)
                        && is_due_after(gate, decision, choice)
                        && self.implied_by_parameters(step, gate)
                });
                if !gated {
                    missing.push((decision.id.to_string(), choice.id.text.clone()));
                }
            }
        }
        for (decision, choice) in missing {
            let what = format!(
                "no gate between choice '{choice}' of '{decision}' and the destructive step '{}' is due then",
                step.id
            );
            self.problem(
                step.at,
                what,
                format!("add a gate there that is due after '{choice}', or widen one that is not"),
            );
        }
    }

    fn ways_on(&mut self, position: usize, step: &RunbookStep, choices: &[ChoiceTemplate]) {
        if choices.iter().filter(|choice| choice.back_to.is_none() && !choice.gives_up).count() == 0 {
            let what = format!("no choice of decision '{}' leads on", step.id);
            self.problem(step.at, what, "add one without back_to and gives_up");
        }
        for (index, choice) in choices.iter().enumerate() {
            if StepId::new(&choice.id.text).is_err() {
                let what = format!("'{}' can't name a choice", choice.id.text);
                self.problem(choice.id.at, what, "use a-z, 0-9 and '-', begin with a letter, at most 40 characters");
            }
            if choices[..index].iter().any(|other| other.id.text == choice.id.text) {
                self.problem(choice.id.at, format!("a second choice '{}'", choice.id.text), "give each its own name");
            }
            let Some(back_to) = &choice.back_to else {
                self.target_is_read(position, position, choice);
                continue;
            };
            if choice.gives_up {
                let what = format!("choice '{}' gives up and leads back", choice.id.text);
                self.problem(back_to.at, what, "what gives up leads on to the end: leave out back_to");
            }
            match self.runbook.steps[..position].iter().position(|earlier| earlier.id.as_str() == back_to.text) {
                Some(first) => {
                    self.servers_end(first, position, choice);
                    self.nothing_is_released(first, position, choice);
                    self.target_is_read(first, position, choice);
                }
                None => self.no_such_step(position, back_to),
            }
        }
    }

    /// What is handed back to its manager is not the run's any more: nothing can stop it on the way.
    fn nothing_is_released(&mut self, first: usize, position: usize, choice: &ChoiceTemplate) {
        for step in &self.runbook.steps[first..position] {
            if step.action.command().is_some_and(|command| command.release) {
                let what = format!(
                    "choice '{}' leads back to before step '{}', which starts what outlives the run",
                    choice.id.text, step.id
                );
                self.problem(step.at, what, "put what is released behind the last way back");
            }
        }
    }

    /// A target that is given with a choice is read by the check that works it out, on the way back to the decision.
    fn target_is_read(&mut self, first: usize, position: usize, choice: &ChoiceTemplate) {
        let reads = |step: &RunbookStep| {
            matches!(&step.action, Action::Check { check, .. } if check.text == "recovery-goal")
                && step.only_choice.as_ref().is_none_or(|only| only.is.iter().any(|is| is.text == choice.id.text))
        };
        if choice.asks.contains(&Asked::Target) && !self.runbook.steps[first..position].iter().any(reads) {
            let what = format!("choice '{}' asks for a target that no step on its way reads", choice.id.text);
            self.problem(choice.id.at, what, "lead back to a check 'recovery-goal', or leave out asks");
        }
    }

    fn no_such_step(&mut self, position: usize, name: &Located) {
        let earlier = self.runbook.steps[..position].iter().map(|step| step.id.as_str());
        let remedy = nearest(&name.text, earlier).map_or_else(
            || "name a step that stands before this decision".into(),
            |near| format!("'{near}' is probably meant"),
        );
        self.problem(name.at, format!("'back_to' names '{}', which is no step before it", name.text), remedy);
    }

    /// A server that runs at the decision has to be stopped before the step that starts it is due again.
    fn servers_end(&mut self, first: usize, position: usize, choice: &ChoiceTemplate) {
        for server in first..position {
            let started = &self.runbook.steps[server];
            if !matches!(started.action, Action::Server(_)) {
                continue;
            }
            let stops = self.runbook.steps[first..server].iter().any(|stop| {
                matches!(&stop.action, Action::Stop { server, .. } if server.text == started.id.as_str())
                    && stop.only_choice.as_ref().is_none_or(|only| only.is.iter().any(|is| is.text == choice.id.text))
            });
            if !stops {
                let what = format!(
                    "choice '{}' leads back to before server '{}', and nothing stops it on the way",
                    choice.id.text, started.id
                );
                let remedy = format!("put a stop step for '{}' between the step it leads back to and it", started.id);
                self.problem(choice.id.at, what, remedy);
            }
        }
    }

    fn depends(&mut self, position: usize, step: &RunbookStep, only: &OnlyChoiceTemplate) {
        let decisions = self.runbook.steps.iter().enumerate();
        let found = decisions.filter_map(|(at, decision)| match &decision.action {
            Action::Decision { choices, .. } => Some((at, decision, choices)),
            _ => None,
        });
        let found: Vec<_> = found.collect();
        let Some((at, _, choices)) = found.iter().find(|(_, decision, _)| decision.id.as_str() == only.step.text)
        else {
            let remedy = nearest(&only.step.text, found.iter().map(|(_, decision, _)| decision.id.as_str()))
                .map_or_else(|| "name a step of kind decision".into(), |near| format!("'{near}' is probably meant"));
            self.problem(only.step.at, format!("there is no decision '{}'", only.step.text), remedy);
            return;
        };
        if *at == position {
            self.problem(only.step.at, format!("decision '{}' depends on itself", step.id), "name another decision");
        }
        for word in &only.is {
            let Some(choice) = choices.iter().find(|choice| choice.id.text == word.text) else {
                let remedy = nearest(&word.text, choices.iter().map(|choice| choice.id.text.as_str()))
                    .map_or_else(|| "name one of its choices".into(), |near| format!("'{near}' is probably meant"));
                self.problem(word.at, format!("'{}' has no choice '{}'", only.step.text, word.text), remedy);
                continue;
            };
            let leads_here = position > *at
                || choice.back_to.as_ref().is_some_and(|back_to| {
                    self.runbook.steps[..=position].iter().any(|earlier| earlier.id.as_str() == back_to.text)
                });
            if !leads_here {
                let what =
                    format!("step '{}' is never due after '{}', which does not lead back to it", step.id, word.text);
                self.problem(word.at, what, "leave the choice out, or let it lead back further");
            }
        }
        if only.is.is_empty() && !only.first {
            self.problem(
                step.at,
                format!("step '{}' is never due: 'only_choice' allows nothing", step.id),
                "name choices",
            );
        }
        if only.first && position > *at {
            let what = format!("step '{}' stands behind '{}', where something was chosen", step.id, only.step.text);
            self.problem(only.step.at, what, "leave out first = true");
        }
    }

    /// Whenever `narrow` is due as far as choices go, `wide` is.
    pub(super) fn chosen_implies(narrow: &RunbookStep, wide: &RunbookStep) -> bool {
        let Some(wide) = &wide.only_choice else { return true };
        let Some(narrow) = &narrow.only_choice else { return false };
        narrow.step.text == wide.step.text
            && (wide.first || !narrow.first)
            && narrow.is.iter().all(|word| wide.is.iter().any(|other| other.text == word.text))
    }
}

/// As far as this decision goes, the step is due after this choice.
fn is_due_after(step: &RunbookStep, decision: &RunbookStep, choice: &ChoiceTemplate) -> bool {
    step.only_choice.as_ref().is_none_or(|only| {
        only.step.text == decision.id.as_str() && only.is.iter().any(|word| word.text == choice.id.text)
    })
}
