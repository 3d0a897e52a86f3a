//! Puts values into one step's templates and collects what does not fit.

use crate::domain::plan::{Argument, Piece, StepId};
use crate::planning::plan::{BindError, KnownFacts};
use crate::planning::runbook::{Runbook, RunbookStep};
use crate::planning::template::{Element, Template, TemplatePiece};
use std::collections::BTreeMap;

/// Everything a placeholder can stand for.
pub(super) struct Values<'a> {
    pub(super) runbook: &'a Runbook,
    pub(super) parameters: &'a BTreeMap<String, String>,
    pub(super) facts: &'a KnownFacts,
}

/// For one step. A step that is ruled out reports nothing: what it lacks stays visible as `${name}`.
pub(super) struct Resolver<'a> {
    values: &'a Values<'a>,
    step: &'a RunbookStep,
    due: bool,
    errors: &'a mut Vec<BindError>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(
        values: &'a Values<'a>,
        step: &'a RunbookStep,
        due: bool,
        errors: &'a mut Vec<BindError>,
    ) -> Resolver<'a> {
        Resolver { values, step, due, errors }
    }

    fn error(&mut self, error: BindError) {
        if self.due && !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    pub(super) fn unusable(&mut self, what: String) {
        let step = self.step.id.clone();
        self.error(BindError::Unusable { step, what });
    }

    /// A parameter's or a fact's value.
    fn value(&mut self, name: &str) -> Option<String> {
        let step = self.step.id.clone();
        let found = if self.values.runbook.parameters.contains_key(name) {
            let bound = self.values.parameters.get(name);
            if bound.is_none() {
                self.error(BindError::Unbound { step: step.clone(), name: name.into() });
            }
            bound
        } else {
            let known = self.values.facts.texts.get(name);
            if known.is_none() {
                self.error(BindError::FactMissing { step: step.clone(), name: name.into() });
            }
            known
        };
        let value = found.cloned()?;
        if value.is_empty() && self.step.destructive {
            self.error(BindError::Empty { step, name: name.into() });
        }
        if value.contains('\0') {
            self.unusable(format!("'{name}' has a NUL byte in it, which no argument can hold"));
        }
        Some(value)
    }

    /// A fact that a step needs without naming it.
    pub(super) fn fact(&mut self, name: &str) -> String {
        self.value(name).unwrap_or_default()
    }

    pub(super) fn argument(&mut self, template: &Template) -> Argument {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut text = String::new();
        for piece in &template.pieces {
            match piece {
                TemplatePiece::Text(part) => text.push_str(part),
                TemplatePiece::Name { name, .. } => match self.value(name) {
                    Some(value) => text.push_str(&value),
                    None => text.push_str(&format!("${{{name}}}")),
                },
                TemplatePiece::Capture { step, name, .. } => {
                    if !text.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut text)));
                    }
                    pieces.push(Piece::Capture(format!("{step}.{name}")));
                }
            }
        }
        if !text.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(text));
        }
        Argument { pieces }
    }

    pub(super) fn arguments(&mut self, elements: &[Element]) -> Vec<Argument> {
        let mut argv = Vec::new();
        for element in elements {
            match element {
                Element::One(template) => argv.push(self.argument(template)),
                Element::Splice { list, .. } => self.splice(list, &mut argv),
            }
        }
        argv
    }

    /// An empty list gives no argument; that is what a list is for. An empty element of it is another matter.
    fn splice(&mut self, list: &str, argv: &mut Vec<Argument>) {
        let step = self.step.id.clone();
        let Some(elements) = self.values.facts.lists.get(list) else {
            self.error(BindError::FactMissing { step, name: list.into() });
            argv.push(Argument::text(format!("@{{{list}}}")));
            return;
        };
        if elements.iter().any(|element| element.contains('\0')) {
            self.unusable(format!("'{list}' has a NUL byte in it, which no argument can hold"));
        }
        if self.step.destructive && elements.iter().any(|element| element.is_empty() || element.ends_with('=')) {
            self.error(BindError::Empty { step, name: list.into() });
        }
        argv.extend(elements.iter().map(|element| Argument::text(element.clone())));
    }

    pub(super) fn map(&mut self, templates: &BTreeMap<String, Template>) -> BTreeMap<String, Argument> {
        templates.iter().map(|(name, template)| (name.clone(), self.argument(template))).collect()
    }

    /// A gate's answer: final, and more than blanks.
    pub(super) fn answer(&mut self, template: &Template) -> String {
        let step = self.step.id.clone();
        match self.argument(template).resolved() {
            Some(answer) if answer.trim().is_empty() => {
                self.error(BindError::EmptyAnswer { step });
                answer
            }
            Some(answer) => answer,
            None => {
                self.unusable("its answer waits for a captured value: make it of a parameter or a fact".into());
                String::new()
            }
        }
    }

    /// A final text that begins with `/`.
    pub(super) fn absolute_text(&mut self, template: &Template, what: &str) -> Option<String> {
        let text = self.argument(template).resolved();
        if !text.as_ref().is_some_and(|text| text.starts_with('/')) {
            self.unusable(format!("its {what} '{template}' is not an absolute path: give one that begins with '/'"));
        }
        text
    }

    pub(super) fn program_is_absolute(&mut self, argv: &[Argument]) {
        let program = argv.first().and_then(Argument::resolved).unwrap_or_default();
        if !program.starts_with('/') {
            self.unusable(format!(
                "its program '{program}' has no absolute path: what PATH finds is not what was reviewed"
            ));
        }
    }

    /// libpq reads a database name with `=` in it, or one that begins like a URI, as connection settings.
    pub(super) fn database_is_a_name(&mut self, name: &str) {
        if name.is_empty() || name.contains('=') || name.starts_with("postgres://") || name.starts_with("postgresql://")
        {
            self.unusable(format!("'{name}' as a database would be read as connection settings: give a plain name"));
        }
    }

    /// The name of another step.
    pub(super) fn step_id(&mut self, name: &str) -> StepId {
        let found = self.values.runbook.steps.iter().find(|step| step.id.as_str() == name);
        match found {
            Some(step) => step.id.clone(),
            None => {
                self.unusable(format!("it names the step '{name}', which is not there: see `lifeboat runbook check`"));
                self.step.id.clone()
            }
        }
    }
}
