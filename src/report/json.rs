//! Layout: JSON for programs. One object, `"schema": 1` first in meaning; fields may be added, never renamed.

use crate::domain::plan::{Argument, Milestone, Plan, Shown, Step, StepKind, When};
use serde_json::{Map, Value, json};

/// A plan, as `lifeboat plan --json` prints it. Values that a step still has to capture appear as `${step.name}`.
#[must_use]
pub fn plan(plan: &Plan) -> Value {
    let facts: Map<String, Value> =
        plan.facts.identity.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
    json!({
        "schema": 1,
        "runbook": plan.runbook,
        "title": plan.title,
        "runbook_sha256": plan.runbook_digest,
        "seal": plan.seal,
        "parameters": plan.parameters,
        "facts": facts,
        "thresholds": plan.facts.thresholds,
        "environment": plan.environment,
        "secret_environment": plan.secret_environment,
        "steps": plan.steps.iter().map(step).collect::<Vec<Value>>(),
    })
}

fn step(step: &Step) -> Value {
    let command = step.kind.command();
    let mut object = json!({
        "id": step.id,
        "title": step.title,
        "why": step.why,
        "kind": step.kind.word(),
        "destructive": step.destructive,
        "argv": command.map(|command| texts(&command.argv)),
        "answer": match &step.kind {
            StepKind::Gate { answer, .. } => Some(answer.as_str()),
            _ => None,
        },
        "when": match step.when {
            When::Success => "success",
            When::Always => "always",
            When::Failure => "failure",
        },
        "ruled_out": step.ruled_out,
        "only_choice": step.only_choice.as_ref().map(|only| {
            json!({ "step": only.step, "is": only.is, "first": only.first })
        }),
        "hold": step.hold,
        "only_after": step.only_after.as_ref().map(|after| after.as_str()),
        "limit_seconds": step.limit_seconds,
        "failure": step.failure,
        "repeat": step.repeat,
        "pending": step.pending().collect::<Vec<&str>>(),
        "proves": step.proves,
    });
    let mut more = Map::new();
    if let Some(command) = command {
        let env: Map<String, Value> =
            command.env.iter().map(|(name, value)| (name.clone(), Value::from(value.to_string()))).collect();
        more.insert("env".into(), Value::Object(env));
        let directory = command.directory.as_ref().map(|directory| directory.to_string_lossy());
        more.insert("directory".into(), json!(directory));
        more.insert("success".into(), json!(command.success));
        more.insert("release".into(), json!(command.release));
    }
    match &step.kind {
        StepKind::Check { check, with } => {
            let with: Map<String, Value> =
                with.iter().map(|(name, value)| (name.clone(), Value::from(value.to_string()))).collect();
            more.insert("check".into(), json!(check));
            more.insert("with".into(), Value::Object(with));
        }
        StepKind::Gate { shows, .. } => {
            more.insert("shows".into(), self::shows(shows));
        }
        StepKind::Decision { shows, choices } => {
            more.insert("shows".into(), self::shows(shows));
            more.insert("choices".into(), json!(choices));
        }
        StepKind::Wait { server, until } => {
            more.insert("server".into(), json!(server));
            more.insert("until".into(), json!(milestone(*until)));
        }
        StepKind::Stop { server, .. } => {
            more.insert("server".into(), json!(server));
        }
        StepKind::Note { text } => {
            more.insert("text".into(), json!(text.to_string()));
        }
        StepKind::Command { .. } | StepKind::Server { .. } | StepKind::Sql { .. } => {}
    }
    if let Value::Object(object) = &mut object {
        object.extend(more);
    }
    object
}

/// What a gate or a decision shows.
#[must_use]
pub fn shows(shows: &[Shown]) -> Value {
    shows.iter().map(|shown| json!({"label": shown.label, "value": shown.value.to_string()})).collect()
}

fn texts(arguments: &[Argument]) -> Vec<String> {
    arguments.iter().map(ToString::to_string).collect()
}

/// The word of a milestone, as runbooks write it.
#[must_use]
pub fn milestone(until: Milestone) -> &'static str {
    match until {
        Milestone::Consistent => "consistent",
        Milestone::TargetReached => "target-reached",
        Milestone::Paused => "paused",
        Milestone::Promoted => "promoted",
    }
}
