//! Placeholders: known, bound when they are used, and never empty where that could destroy something.

use crate::domain::plan::{Capture, CaptureFrom, When};
use crate::planning::check::Lint;
use crate::planning::check::conditions::{Allowed, may_be_unbound};
use crate::planning::runbook::{Action, DefaultValue, RunbookStep, ShownTemplate, nearest};
use crate::planning::template::{Element, Template, TemplatePiece};

impl Lint<'_> {
    /// Defaults that don't fit their parameter.
    pub(super) fn parameters(&mut self) {
        for (name, parameter) in &self.runbook.parameters {
            match &parameter.default {
                Some(DefaultValue::Literal(value)) => {
                    if let Err(error) = parameter.kind.parse(&value.text) {
                        let what = format!("the default of '{name}' is not of type {}", parameter.kind);
                        self.problem(value.at, what, error.to_string());
                    }
                }
                Some(DefaultValue::Fact(fact)) if !self.vocabulary.facts.contains(&fact.text.as_str()) => {
                    let remedy = self.near_fact(&fact.text);
                    self.problem(fact.at, format!("unknown fact '{}'", fact.text), remedy);
                }
                _ => {}
            }
        }
    }

    fn near_fact(&self, name: &str) -> String {
        nearest(name, self.vocabulary.facts.iter().copied()).map_or_else(
            || format!("known: {}", self.vocabulary.facts.join(", ")),
            |near| format!("'{near}' is probably meant"),
        )
    }

    /// Every placeholder of a step.
    pub(super) fn values(&mut self, position: usize, step: &RunbookStep) {
        for (word, template) in step.templates() {
            for piece in &template.pieces {
                match piece {
                    TemplatePiece::Text(_) => {}
                    TemplatePiece::Name { name, offset } => self.name(step, name, template.at + offset, word),
                    TemplatePiece::Capture { step: of, name, offset } => {
                        self.capture(position, step, (of, name), template.at + offset, word);
                    }
                }
            }
        }
        if let Some(command) = step.action.command() {
            for element in &command.argv {
                if let Element::Splice { list, at } = element {
                    self.list(list, *at);
                }
            }
        }
        match &step.action {
            Action::Check { check, with } => {
                self.check_is_known(step, check, with.keys().map(String::as_str).collect())
            }
            Action::Gate { shows, .. } | Action::Decision { shows, .. } => self.shown_from(position, step, shows),
            _ => {}
        }
        match &step.action {
            Action::Gate { answer, .. } if answer.literal().is_some_and(|text| text.trim().is_empty()) => {
                let what = format!("the answer of gate '{}' is empty", step.id);
                self.problem(answer.at, what, "give what must be typed, as answer = \"${stanza}\"");
            }
            _ => {}
        }
        self.kept_values(step);
        if step.destructive {
            self.no_empty_literal(step);
        }
    }

    /// What is shown of an earlier step has to be captured by it; the step may be left out.
    fn shown_from(&mut self, position: usize, step: &RunbookStep, shows: &[ShownTemplate]) {
        for from in shows.iter().filter_map(|shown| shown.from.as_ref()) {
            let captured = from.text.split_once('.').is_some_and(|(of, name)| {
                let source = self.earlier(position, of);
                source.is_some_and(|source| source.captures.iter().any(|capture| capture.name == name))
            });
            if !captured {
                let what = format!("step '{}' shows '{}', which no step before it captures", step.id, from.text);
                self.problem(from.at, what, "name a captured value as STEP.NAME");
            }
        }
    }

    fn name(&mut self, step: &RunbookStep, name: &str, at: usize, word: &str) {
        let Some(parameter) = self.parameter(name) else {
            if self.vocabulary.list_facts.contains(&name) {
                let remedy = format!("write \"@{{{name}}}\" as an argument of its own");
                self.problem(at, format!("'{name}' is a list of arguments"), remedy);
            } else if !self.vocabulary.facts.contains(&name) {
                let known =
                    self.runbook.parameters.keys().map(String::as_str).chain(self.vocabulary.facts.iter().copied());
                let remedy = nearest(name, known).map_or_else(
                    || {
                        format!(
                            "describe it under [parameters.{name}], or use a fact: {}",
                            self.vocabulary.facts.join(", ")
                        )
                    },
                    |near| format!("'{near}' is probably meant"),
                );
                self.problem(at, format!("unknown parameter or fact '{name}'"), remedy);
            } else if word == "sql" {
                let what = format!("the fact '{name}' stands in SQL text, which its value could end");
                self.problem(at, what, "use a parameter of type identifier, integer or sql");
            }
            return;
        };
        let allowed = self.allowed(step).get(name).cloned().unwrap_or_else(|| Allowed::of_parameter(parameter));
        if may_be_unbound(parameter) && allowed.has_unbound() {
            let what = match (step.destructive, word) {
                (true, _) => format!("'{name}' may be empty in the destructive step '{}'", step.id),
                (_, "answer") => format!("the answer of gate '{}' may be empty: '{name}' is optional", step.id),
                _ => format!("'{name}' is optional and may have no value in step '{}'", step.id),
            };
            let remedy = format!("add only_if = {{ parameter = \"{name}\", given = true }}, or give it a default");
            self.problem(at, what, remedy);
        }
        if let Some(DefaultValue::Literal(value)) = &parameter.default
            && value.text.is_empty()
            && (step.destructive || word == "answer")
        {
            let what = format!("'{name}' is empty by default and used in step '{}'", step.id);
            self.problem(at, what, "an empty value can mean everything: give another default, or none");
        }
        if word == "sql" && !parameter.kind.fits_into_sql() {
            let what = format!("'{name}' of type {} stands in SQL text, which its value could end", parameter.kind);
            self.problem(at, what, "give it the type identifier, integer or sql");
        }
    }

    fn capture(&mut self, position: usize, step: &RunbookStep, (of, name): (&str, &str), at: usize, word: &str) {
        if matches!(word, "answer" | "directory" | "sql" | "socket") {
            let what = format!("a captured value can't stand in the {word} of step '{}'", step.id);
            self.problem(at, what, "it has to be known when the plan is made: use a parameter or a fact");
            return;
        }
        let Some(source) = self.earlier(position, of) else {
            let (what, remedy) = if self.ids().any(|id| id.as_str() == of) {
                (
                    format!("'{of}.{name}' is used before step '{of}' has captured it"),
                    format!("move step '{}' behind it", step.id),
                )
            } else {
                let near = nearest(of, self.runbook.steps[..position].iter().map(|step| step.id.as_str()));
                let remedy = near.map_or_else(
                    || "name a step before this one that captures it".to_owned(),
                    |near| format!("'{near}' is probably meant"),
                );
                (format!("there is no step '{of}'"), remedy)
            };
            self.problem(at, what, remedy);
            return;
        };
        let Some(captured) = source.captures.iter().find(|capture| capture.name == name) else {
            let near = nearest(name, source.captures.iter().map(|capture| capture.name.as_str()));
            let remedy = near.map_or_else(
                || format!("add it to 'capture' of step '{of}'"),
                |near| format!("'{near}' is probably meant"),
            );
            self.problem(at, format!("step '{of}' captures no '{name}'"), remedy);
            return;
        };
        let always_taken = source.when == When::Always || source.when == step.when;
        if !self.implied(step, source) || !always_taken || (step.when == When::Failure && source.when != When::Always) {
            let what = format!("step '{}' uses '{of}.{name}', but step '{of}' may be skipped when it is not", step.id);
            self.problem(at, what, "give both the same conditions and the same 'when'");
        }
        if step.destructive && !never_empty(captured) {
            let what = format!("'{of}.{name}' may be empty in the destructive step '{}'", step.id);
            self.problem(at, what, "capture it by { line = … }, which fails on an empty value, or use a fact");
        }
    }

    fn list(&mut self, list: &str, at: usize) {
        if self.vocabulary.list_facts.contains(&list) {
            return;
        }
        let known = self.vocabulary.list_facts;
        let single = self.vocabulary.facts.contains(&list) || self.parameter(list).is_some();
        let remedy = match nearest(list, known.iter().copied()) {
            _ if single => format!("it is one value: write ${{{list}}}"),
            Some(near) => format!("'{near}' is probably meant"),
            None => format!("known: {}", known.join(", ")),
        };
        self.problem(at, format!("unknown list '{list}'"), remedy);
    }

    fn check_is_known(&mut self, step: &RunbookStep, check: &crate::planning::runbook::Located, given: Vec<&str>) {
        let checks = self.vocabulary.checks;
        if check.text.is_empty() {
            return;
        }
        let Some((_, wanted)) = checks.iter().find(|(name, _)| *name == check.text) else {
            let known: Vec<&str> = checks.iter().map(|(name, _)| *name).collect();
            let remedy = nearest(&check.text, known.iter().copied())
                .map_or_else(|| format!("known: {}", known.join(", ")), |near| format!("'{near}' is probably meant"));
            self.problem(check.at, format!("unknown check '{}'", check.text), remedy);
            return;
        };
        for name in given.iter().filter(|name| !wanted.contains(name)) {
            let what = format!("check '{}' in step '{}' takes no '{name}'", check.text, step.id);
            self.problem(check.at, what, format!("it takes: {}", wanted.join(", ")));
        }
        for name in wanted.iter().filter(|name| !given.contains(name)) {
            let what = format!("check '{}' in step '{}' lacks '{name}'", check.text, step.id);
            self.problem(check.at, what, format!("add it to 'with'; it takes: {}", wanted.join(", ")));
        }
    }

    /// What is expected or proven has to be captured.
    fn kept_values(&mut self, step: &RunbookStep) {
        let captured = |name: &str| step.captures.iter().any(|capture| capture.name == name);
        let remedy = "add it to 'capture' of the same step";
        for (name, template) in &step.expect {
            if !captured(name) {
                self.problem(
                    template.at,
                    format!("step '{}' expects '{name}' and does not capture it", step.id),
                    remedy,
                );
            }
        }
        for name in &step.proves {
            if !captured(&name.text) {
                let what = format!("step '{}' proves '{}' and does not capture it", step.id, name.text);
                self.problem(name.at, what, remedy);
            }
        }
    }

    fn no_empty_literal(&mut self, step: &RunbookStep) {
        let remedy = "an empty value can mean everything: give one, or leave the argument out";
        let empty =
            |template: &&Template| template.literal().is_some_and(|text| text.is_empty() || text.ends_with('='));
        let found: Vec<usize> = step
            .templates()
            .into_iter()
            .filter(|(word, _)| matches!(*word, "argument" | "environment value"))
            .map(|(_, template)| template)
            .filter(empty)
            .map(|template| template.at)
            .collect();
        for at in found {
            self.problem(at, format!("an empty value in the destructive step '{}'", step.id), remedy);
        }
    }
}

/// Reading it fails on an empty value; what a check answers is looked at again before the step starts, which refuses an
/// empty value.
fn never_empty(capture: &Capture) -> bool {
    matches!(capture.from, CaptureFrom::Line(_) | CaptureFrom::Answer)
}
