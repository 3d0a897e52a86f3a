//! Plans: binding parameters and facts into a runbook, the seal over what was bound, and amending it.

mod bind;
mod resolve;
mod seal;

pub use bind::bind;
pub use seal::{amend, seal};

use crate::domain::facts::Facts;
use crate::domain::plan::StepId;
use std::collections::BTreeMap;

/// What the engine read from the machine for one plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownFacts {
    /// Facts of one text, for `${name}`.
    pub texts: BTreeMap<String, String>,
    /// Facts that are a list of arguments, for `@{name}`.
    pub lists: BTreeMap<String, Vec<String>>,
    /// What the plan rests on; it goes into the plan as it is.
    pub sealed: Facts,
    /// The environment of every command; values of secret options as `<set>`.
    pub environment: BTreeMap<String, String>,
    /// The names of the secrets that have to be set when a command starts.
    pub secret_environment: Vec<String>,
}

/// Why a runbook can't become a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// `-p` names no parameter.
    #[error("the runbook has no parameter '{name}'; it has: {known}")]
    UnknownParameter {
        /// What was given.
        name: String,
        /// The parameters there are.
        known: String,
    },
    /// Nothing gives the parameter a value.
    #[error("parameter '{name}' ({about}) has no value: give it with -p {name}=…{fact}")]
    Missing {
        /// The parameter.
        name: String,
        /// What it is for.
        about: String,
        /// The fact it would have come from, in words.
        fact: String,
    },
    /// The value is not of the parameter's type.
    #[error("parameter '{name}' can't be '{value}': {why}")]
    BadValue {
        /// The parameter.
        name: String,
        /// The value, cut and without control characters.
        value: String,
        /// Why not.
        why: String,
    },
    /// A fact is not known on this machine.
    #[error("step '{step}' needs '{name}', which could not be read on this machine: see the facts in `lifeboat plan`")]
    FactMissing {
        /// The step.
        step: StepId,
        /// The fact.
        name: String,
    },
    /// An optional parameter without a value is used.
    #[error("step '{step}' needs parameter '{name}', which has no value: give it with -p {name}=…")]
    Unbound {
        /// The step.
        step: StepId,
        /// The parameter.
        name: String,
    },
    /// A value is empty in a step that can't be undone.
    #[error(
        "'{name}' is empty, and the destructive step '{step}' uses it: an empty value can mean everything; give it a value"
    )]
    Empty {
        /// The step.
        step: StepId,
        /// The parameter, fact or list.
        name: String,
    },
    /// A gate would be answered by Enter.
    #[error("the answer of gate '{step}' would be empty: Enter must never approve; give the value it is made of")]
    EmptyAnswer {
        /// The gate.
        step: StepId,
    },
    /// A value holds a NUL byte or, for a command, can't be used as it is.
    #[error("step '{step}': {what}")]
    Unusable {
        /// The step.
        step: StepId,
        /// What can't be used, and what to do.
        what: String,
    },
}
