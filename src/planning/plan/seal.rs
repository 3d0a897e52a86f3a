//! The seal: one digest over everything that was reviewed.

use crate::domain::digest::Digest;
use crate::domain::plan::Plan;
use std::collections::BTreeMap;

/// SHA-256 over the plan as JSON with sorted keys and without blanks: everything but the thresholds, which
/// move by nature, and the seal itself.
#[must_use]
pub fn seal(plan: &Plan) -> Digest {
    let mut sealed = plan.clone();
    sealed.seal = Digest::ZERO;
    sealed.facts.thresholds.clear();
    // How a value came into an argument does not matter to what is run.
    sealed.steps.iter_mut().for_each(crate::domain::plan::Step::settle);
    let mut value = serde_json::to_value(&sealed).expect("a plan is made of texts, numbers and maps with text keys");
    // The order of fields in the types must not matter: another version may have another.
    value.sort_all_objects();
    Digest::of(value.to_string().as_bytes())
}

/// What captured values make of a plan: those a step still waits for, and the seal of the plan with them in.
/// `None` when no step that may become due waits for one of them.
#[must_use]
pub fn amend(plan: &Plan, values: &BTreeMap<String, String>) -> Option<(BTreeMap<String, String>, Digest)> {
    let awaited = plan.steps.iter().filter(|step| step.ruled_out.is_none()).flat_map(|step| step.pending());
    let relevant: BTreeMap<String, String> = awaited
        .filter_map(|name| values.get_key_value(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if relevant.is_empty() {
        return None;
    }
    let mut amended = plan.clone();
    amended.steps.iter_mut().for_each(|step| step.fill(&relevant));
    Some((relevant, seal(&amended)))
}
