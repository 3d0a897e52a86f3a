//! Conditions as sets of values: which can't hold together, and which follow from which.

use crate::domain::plan::When;
use crate::planning::check::Lint;
use crate::planning::runbook::{Action, DefaultValue, Parameter, Runbook, RunbookStep, Test, nearest};
use std::collections::{BTreeMap, BTreeSet};

/// Values of a parameter; `None` stands for "not given".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Allowed {
    /// One of these.
    Only(BTreeSet<Option<String>>),
    /// Any but these.
    Except(BTreeSet<Option<String>>),
}

/// It may have no value when the plan is made.
pub(super) fn may_be_unbound(parameter: &Parameter) -> bool {
    parameter.optional && !matches!(parameter.default, Some(DefaultValue::Literal(_)))
}

/// What the conditions of `step` leave of the values of each parameter they look at.
pub(super) fn of<'a>(runbook: &'a Runbook, step: &RunbookStep) -> BTreeMap<&'a str, Allowed> {
    let mut found: BTreeMap<&'a str, Allowed> = BTreeMap::new();
    for condition in &step.only_if {
        let Some((name, parameter)) = runbook.parameters.get_key_value(&condition.parameter.text) else { continue };
        let allowed = found.entry(name.as_str()).or_insert_with(|| Allowed::of_parameter(parameter));
        *allowed = allowed.and(&Allowed::of_test(&condition.test));
    }
    found
}

impl Allowed {
    pub(super) fn anything() -> Allowed {
        Allowed::Except(BTreeSet::new())
    }

    /// All values it can have.
    pub(super) fn of_parameter(parameter: &Parameter) -> Allowed {
        let unbound = may_be_unbound(parameter);
        // Without any words its table has a mistake, which is told there.
        match parameter.kind.words().filter(|words| !words.is_empty()) {
            Some(words) => Allowed::Only(words.into_iter().map(Some).chain(unbound.then_some(None)).collect()),
            None if unbound => Allowed::anything(),
            None => Allowed::Except(BTreeSet::from([None])),
        }
    }

    fn of_test(test: &Test) -> Allowed {
        match test {
            Test::Is(values) => Allowed::Only(values.iter().map(|value| Some(value.text.clone())).collect()),
            Test::Not(values) => Allowed::Except(values.iter().map(|value| Some(value.text.clone())).collect()),
            Test::Given(true) => Allowed::Except(BTreeSet::from([None])),
            Test::Given(false) => Allowed::Only(BTreeSet::from([None])),
        }
    }

    /// The values in both.
    pub(super) fn and(&self, other: &Allowed) -> Allowed {
        match (self, other) {
            (Allowed::Only(one), Allowed::Only(two)) => Allowed::Only(one.intersection(two).cloned().collect()),
            (Allowed::Only(only), Allowed::Except(but)) | (Allowed::Except(but), Allowed::Only(only)) => {
                Allowed::Only(only.difference(but).cloned().collect())
            }
            (Allowed::Except(one), Allowed::Except(two)) => Allowed::Except(one.union(two).cloned().collect()),
        }
    }

    /// No value is left.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Allowed::Only(values) if values.is_empty())
    }

    /// It may have no value.
    pub(super) fn has_unbound(&self) -> bool {
        match self {
            Allowed::Only(values) => values.contains(&None),
            Allowed::Except(values) => !values.contains(&None),
        }
    }

    /// Every value of it is in `other`.
    pub(super) fn within(&self, other: &Allowed) -> bool {
        match (self, other) {
            (Allowed::Only(one), Allowed::Only(two)) => one.is_subset(two),
            (Allowed::Only(only), Allowed::Except(but)) => only.is_disjoint(but),
            (Allowed::Except(_), Allowed::Only(_)) => false,
            (Allowed::Except(one), Allowed::Except(two)) => two.is_subset(one),
        }
    }
}

impl Lint<'_> {
    /// Can the step ever be due?
    pub(super) fn reach(&mut self, position: usize, step: &RunbookStep) {
        for condition in &step.only_if {
            let name = &condition.parameter;
            let Some(parameter) = self.parameter(&name.text) else {
                let remedy = nearest(&name.text, self.runbook.parameters.keys().map(String::as_str)).map_or_else(
                    || format!("describe it under [parameters.{}]", name.text),
                    |near| format!("'{near}' is probably meant"),
                );
                self.problem(name.at, format!("unknown parameter '{}' in a condition", name.text), remedy);
                continue;
            };
            let (Test::Is(values) | Test::Not(values)) = &condition.test else { continue };
            for value in values {
                if parameter.kind.parse(&value.text).as_ref() != Ok(&value.text) {
                    let what = format!("'{}' is never the value of '{}'", value.text, name.text);
                    let remedy = match parameter.kind.words() {
                        Some(words) => format!("its values are: {}", words.join(", ")),
                        None => format!("it is of type {}, compared in the form in which it is bound", parameter.kind),
                    };
                    self.problem(value.at, what, remedy);
                }
            }
        }
        let empty = self.allowed(step).into_iter().find(|(_, allowed)| allowed.is_empty()).map(|(name, _)| name);
        if let Some(name) = empty {
            let what = format!("step '{}' is unreachable: its conditions on '{name}' never hold together", step.id);
            self.problem(step.at, what, "change the conditions, or remove the step");
        }
        let can_fail = |step: &RunbookStep| !matches!(step.action, Action::Gate { .. } | Action::Note { .. });
        if step.when == When::Failure && !self.runbook.steps[..position].iter().any(can_fail) {
            let what = format!("step '{}' is unreachable: no step before it can fail", step.id);
            self.problem(step.at, what, "move it behind the steps it is about");
        }
    }
}
