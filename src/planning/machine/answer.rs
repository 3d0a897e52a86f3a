//! What people ask of a run, and the event that grants it.

use crate::domain::digest::Digest;
use crate::domain::event::{Operator, Resolution, RunEvent, Via};
use crate::domain::plan::{Asked, Choice, Step, StepId, StepKind};
use crate::domain::run::{Run, StepState, choice_of};
use crate::domain::status::StepStatus;
use crate::domain::text::clean;
use crate::planning::plan::seal;
use crate::planning::target::RecoveryTarget;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a person asks of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Answers a gate.
    Approve {
        /// The gate.
        step: StepId,
        /// The sequence number of the entry that opened it.
        sequence: u64,
        /// The seal that was shown.
        seal: Digest,
        /// What was typed.
        answer: String,
        /// Who.
        by: Operator,
        /// How.
        via: Via,
    },
    /// Chooses the way on at a decision, or past a step that is held.
    Decide {
        /// The decision.
        step: StepId,
        /// The sequence number of the entry that opened it; 0 when it has not opened.
        sequence: u64,
        /// The seal that was shown.
        seal: Digest,
        /// The choice.
        choice: String,
        /// What is given with it, as it was typed.
        values: BTreeMap<String, String>,
        /// Who.
        by: Operator,
        /// How.
        via: Via,
    },
    /// Decides about a step that is unknown or held.
    Resolve {
        /// The step.
        step: StepId,
        /// The decision.
        answer: Resolution,
        /// Who.
        by: Operator,
    },
    /// Ends the run.
    Abort {
        /// Who.
        by: Operator,
        /// Why.
        reason: String,
    },
    /// Writes something down.
    Note {
        /// Who.
        by: Operator,
        /// What.
        text: String,
    },
}

/// Why a request is not granted; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The run has ended.
    #[error("the run has ended: it is {0}")]
    Ended(&'static str),
    /// No such step.
    #[error("the plan has no step '{0}'")]
    NoStep(StepId),
    /// The step is not a waiting gate.
    #[error("'{step}' is not a gate that waits: it is {status}")]
    NotWaiting {
        /// The step.
        step: StepId,
        /// Its status.
        status: &'static str,
    },
    /// It opened again, or the plan was amended, since the answer was prepared.
    #[error("the gate has opened again since you looked (entry {open}, you saw {seen}): look at it, then answer")]
    Stale {
        /// The entry that opened it.
        open: u64,
        /// The one the answer was for.
        seen: u64,
    },
    /// The plan is another one.
    #[error("the plan has changed since you looked: its seal is {0} now; look at it, then answer")]
    OtherPlan(String),
    /// The answer is wrong.
    #[error("the answer is not what the gate asks for, to the letter; nothing was approved")]
    WrongAnswer,
    /// Given beforehand, but facts changed, or a step has failed that nobody could know of.
    #[error(
        "'{0}' shows what nobody knew beforehand: an answer given then does not count for it, a person has to look"
    )]
    NotBeforehand(StepId),
    /// The step is no decision, or has no such choice.
    #[error("'{step}' has no choice '{choice}': it has {known}")]
    NoChoice {
        /// The step.
        step: StepId,
        /// What was typed, cleaned.
        choice: String,
        /// Those there are.
        known: String,
    },
    /// The decision can't be taken now.
    #[error("'{choice}' can't be chosen now: {why}")]
    NotNow {
        /// The choice.
        choice: StepId,
        /// Why not, and what can be done.
        why: String,
    },
    /// A value that the choice asks for is missing, unknown or wrong.
    #[error("'{choice}' {why}")]
    Value {
        /// The choice.
        choice: StepId,
        /// What is wrong.
        why: String,
    },
    /// The step is not unknown.
    #[error("'{step}' is {status}, neither unknown nor held: there is nothing to decide about it")]
    NotUnknown {
        /// The step.
        step: StepId,
        /// Its status.
        status: &'static str,
    },
    /// Processes of the step live.
    #[error(
        "{0} processes of the step are still alive: running it again beside them would damage what they write; wait, or `lifeboat abort`"
    )]
    StillAlive(usize),
    /// The end was asked for before.
    #[error("the end was asked for already; the steps that run are being ended")]
    Aborting,
}

/// The event that grants a request. `living` is the number of processes of the step in question that are alive.
///
/// # Errors
/// [`Refusal`], in words for the person who asked.
pub fn answer(run: &Run, request: &Request, living: usize) -> Result<RunEvent, Refusal> {
    if run.ended.is_some() {
        return Err(Refusal::Ended(run.outcome_word()));
    }
    match request {
        Request::Approve { step, sequence, seal, answer, by, via } => {
            let (planned, state) = run.step(step).ok_or_else(|| Refusal::NoStep(step.clone()))?;
            let not_waiting = || Refusal::NotWaiting { step: step.clone(), status: state.status.word() };
            if run.aborting {
                return Err(Refusal::Aborting);
            }
            let (StepKind::Gate { answer: wanted, .. }, StepStatus::Waiting, Some(gate)) =
                (&planned.kind, state.status, &state.gate)
            else {
                return Err(not_waiting());
            };
            if gate.sequence != *sequence {
                return Err(Refusal::Stale { open: gate.sequence, seen: *sequence });
            }
            if gate.seal != *seal {
                return Err(Refusal::OtherPlan(gate.seal.short()));
            }
            if *via == Via::CommandLine && (gate.opening > 1 || !gate.drift.is_empty()) {
                return Err(Refusal::NotBeforehand(step.clone()));
            }
            if wanted.is_empty() || answer != wanted {
                return Err(Refusal::WrongAnswer);
            }
            let (step, by) = (step.clone(), by.clone());
            Ok(RunEvent::GateAnswered { step, opening: gate.opening, seal: *seal, by, via: *via })
        }
        Request::Decide { .. } => decided(run, request),
        Request::Resolve { step, answer, by } => {
            let (_, state) = run.step(step).ok_or_else(|| Refusal::NoStep(step.clone()))?;
            if state.status.is_active() && living > 0 {
                return Err(Refusal::StillAlive(living));
            }
            if !matches!(state.status, StepStatus::Unknown | StepStatus::Held) {
                return Err(Refusal::NotUnknown { step: step.clone(), status: state.status.word() });
            }
            if living > 0 && *answer != Resolution::Abort {
                return Err(Refusal::StillAlive(living));
            }
            Ok(RunEvent::StepResolved {
                step: step.clone(),
                attempt: state.attempt,
                answer: *answer,
                by: by.clone(),
                evidence: evidence(state),
                seal: seal_of_going_back(run, step, *answer),
            })
        }
        Request::Abort { .. } if run.aborting => Err(Refusal::Aborting),
        Request::Abort { by, reason } => Ok(RunEvent::AbortRequested { by: by.clone(), reason: reason.clone() }),
        Request::Note { by, text } => Ok(RunEvent::NoteWritten { by: by.clone(), text: text.clone() }),
    }
}

/// What a person saw of the step they decided about.
fn evidence(state: &StepState) -> Vec<String> {
    let reason = state.result.as_ref().and_then(|result| result.reason.clone());
    state.remarks.iter().cloned().chain(reason).collect()
}

fn seal_of_going_back(run: &Run, step: &StepId, answer: Resolution) -> Option<Digest> {
    let (first, last) = run.goes_back_with(run.plan.position(step)?)?;
    (answer == Resolution::Again).then(|| seal_without(run, first, last))
}

/// The seal of the plan without what the steps from `first` to `last` have captured.
fn seal_without(run: &Run, first: usize, last: usize) -> Digest {
    let from = run.plan.rewound(first, last);
    let mut plan = run.plan.clone();
    plan.steps.iter_mut().for_each(|step| step.empty(&from));
    seal(&plan)
}

fn decided(run: &Run, request: &Request) -> Result<RunEvent, Refusal> {
    let Request::Decide { step: id, sequence, seal: shown, choice, values, by, via } = request else {
        return Err(Refusal::Aborting);
    };
    let (step, state) = run.step(id).ok_or_else(|| Refusal::NoStep(id.clone()))?;
    if run.aborting {
        return Err(Refusal::Aborting);
    }
    let taken = known_choice(step, choice)?;
    let position = run.plan.position(id).unwrap_or_default();
    let back_to = taken.back_to.as_ref().and_then(|back_to| run.plan.position(back_to));
    let opening = match (&state.gate, state.status) {
        (Some(gate), StepStatus::Waiting) => {
            if gate.sequence != *sequence {
                return Err(Refusal::Stale { open: gate.sequence, seen: *sequence });
            }
            if *via == Via::CommandLine && (gate.opening > 1 || !gate.drift.is_empty()) {
                return Err(Refusal::NotBeforehand(id.clone()));
            }
            gate.opening
        }
        (_, StepStatus::Pending) if may_be_met(run, step) => {
            if *via == Via::CommandLine {
                return Err(Refusal::NotBeforehand(id.clone()));
            }
            0
        }
        // Answered once beforehand, its answer is not for what came of it.
        (_, StepStatus::Done) if run.may_decide_anew(position) && *via != Via::CommandLine => 0,
        _ => return Err(Refusal::NotWaiting { step: id.clone(), status: state.status.word() }),
    };
    if run.plan.seal != *shown {
        return Err(Refusal::OtherPlan(run.plan.seal.short()));
    }
    may_be_taken(run, taken, back_to, position)?;
    let seal = run.leads_back(position, back_to).map_or(run.plan.seal, |(first, last)| seal_without(run, first, last));
    let (step, choice, by, via) = (id.clone(), taken.id.clone(), by.clone(), *via);
    Ok(RunEvent::DecisionMade { step, opening, choice, values: checked_values(taken, values)?, seal, by, via })
}

fn known_choice<'s>(step: &'s Step, choice: &str) -> Result<&'s Choice, Refusal> {
    let StepKind::Decision { choices, .. } = &step.kind else {
        return Err(Refusal::NotWaiting { step: step.id.clone(), status: "not a decision" });
    };
    StepId::new(choice).ok().and_then(|id| choice_of(step, &id)).ok_or_else(|| Refusal::NoChoice {
        step: step.id.clone(),
        choice: clean(&choice.chars().take(60).collect::<String>()),
        known: choices.iter().map(|choice| choice.id.as_str()).collect::<Vec<_>>().join(", "),
    })
}

/// The choices that can be taken now, with their decisions: those of an open one, those that lead past what is held, and the
/// others of one that was taken, as long as nothing final was begun since.
#[must_use]
pub fn ways_past(run: &Run) -> Vec<(&Step, &Choice)> {
    let mut ways = Vec::new();
    for (position, (step, state)) in run.each().enumerate() {
        let StepKind::Decision { choices, .. } = &step.kind else { continue };
        let can_be_taken = match state.status {
            StepStatus::Waiting => true,
            StepStatus::Pending => may_be_met(run, step),
            StepStatus::Done => run.may_decide_anew(position),
            _ => false,
        };
        if !can_be_taken {
            continue;
        }
        let open = |choice: &&Choice| {
            let back_to = choice.back_to.as_ref().and_then(|back_to| run.plan.position(back_to));
            may_be_taken(run, choice, back_to, position).is_ok()
        };
        ways.extend(choices.iter().filter(open).map(|choice| (step, choice)));
    }
    ways
}

/// A decision that has not opened can be taken while a step is held, when it would be due if the run came to it.
fn may_be_met(run: &Run, step: &Step) -> bool {
    run.held().next().is_some() && step.ruled_out.is_none() && run.not_chosen(step).is_none()
}

/// While a step is held only a way back to before it, or giving up, leads anywhere. Where the decision is taken anew, what is
/// held behind it was for the choice that is left.
fn may_be_taken(run: &Run, taken: &Choice, back_to: Option<usize>, position: usize) -> Result<(), Refusal> {
    let not_now = |why: String| Err(Refusal::NotNow { choice: taken.id.clone(), why });
    if let Some((unknown, _)) = run.unknown().next() {
        return not_now(format!("nobody saw how '{}' ended; `lifeboat resolve` it first", unknown.id));
    }
    let anew = run.may_decide_anew(position);
    if anew && back_to.is_none() && run.steps[position].choice.as_ref() == Some(&taken.id) {
        return not_now("it was chosen already; go on with what waits".to_owned());
    }
    for (held, _) in run.held() {
        let at = run.plan.position(&held.id).unwrap_or_default();
        let leads_past = taken.gives_up || back_to.is_some_and(|first| first <= at);
        if (at > position && !anew) || (at <= position && !leads_past) {
            return not_now(format!("'{}' has failed and is held; `lifeboat resolve` it first", held.id));
        }
    }
    Ok(())
}

/// Exactly the values that the choice asks for, each as its type reads it. Whether a time lies in the future is for
/// whoever looks at the archive: here there is no clock.
fn checked_values(taken: &Choice, given: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refusal> {
    let wrong = |why: String| Refusal::Value { choice: taken.id.clone(), why };
    let with_target = taken.asks.contains(&Asked::Target);
    let known = |name: &str| taken.asks.iter().any(|asked| asked.word() == name) || (with_target && name == EXCLUSIVE);
    if let Some(name) = given.keys().find(|name| !known(name)) {
        return Err(wrong(format!("takes no value '{}'", clean(name))));
    }
    let mut checked = BTreeMap::new();
    for asked in &taken.asks {
        let name = asked.word();
        let text = given.get(name).ok_or_else(|| wrong(format!("needs a value: give {name}=…")))?;
        match asked {
            Asked::Target => {
                let (target, exclusive) = target(text, given.get(EXCLUSIVE).map(String::as_str)).map_err(wrong)?;
                checked.insert(name.to_owned(), target);
                checked.insert(EXCLUSIVE.to_owned(), exclusive);
            }
        }
    }
    Ok(checked)
}

/// Given beside a target: whether recovery stops right before it. Without it that is so for whatever has a before.
const EXCLUSIVE: &str = "exclusive";

fn target(text: &str, exclusive: Option<&str>) -> Result<(String, String), String> {
    let read = |exclusive| RecoveryTarget::parse(text, exclusive, DateTime::<Utc>::MAX_UTC, &Utc);
    let target = match exclusive {
        None => read(true).or_else(|_| read(false)),
        Some("true") => read(true),
        Some("false") => read(false),
        Some(_) => return Err("needs exclusive=true or exclusive=false".to_owned()),
    };
    let target = target.map_err(|error| format!("can't go there: {error}"))?;
    let text = match target.value() {
        Some(value) => format!("{}:{value}", target.kind()),
        None => target.kind().to_owned(),
    };
    Ok((text, target.is_exclusive().to_string()))
}
