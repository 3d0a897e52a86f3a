//! What a run proved, and, as plainly, what it did not.

use crate::domain::event::{Resolution, RunEvent, RunOutcome};
use crate::domain::plan::{Step, StepKind};
use crate::domain::run::{Run, StepState};
use crate::domain::status::StepStatus;
use crate::report::transcript::{Block, Maker, Outputs, Section, section, words};

/// The values that were read back.
pub(crate) fn proven(maker: &Maker<'_>) -> Section {
    let run = maker.run;
    let mut blocks = Vec::new();
    if run.ended.is_none() {
        blocks.push(Block::Paragraph("The run has not ended; its result is not written yet.".into()));
    } else if run.result.is_empty() {
        blocks.push(Block::Paragraph("Nothing was read back.".into()));
    } else {
        blocks.push(Block::Paragraph("Read back from what was restored, not taken from an exit status:".into()));
        blocks.push(Block::Pairs(run.result.iter().map(|(name, value)| maker.pair(name, value)).collect()));
    }
    section("What was proven", blocks)
}

/// A sentence for everything that was not shown.
pub(crate) fn not_proven(maker: &Maker<'_>) -> Section {
    let list = sentences(maker).iter().map(|sentence| maker.prose(sentence)).collect();
    section("What is not proven", vec![Block::List(list)])
}

/// The sentences, not yet cleaned.
pub(crate) fn sentences(maker: &Maker<'_>) -> Vec<String> {
    let run = maker.run;
    let mut found = Vec::new();
    match run.ended {
        None => {
            found.push(format!("The run has not ended (it is {}): nothing about its end is known.", run.outcome_word()))
        }
        Some((RunOutcome::Done, _)) => {}
        Some((outcome, _)) => found.push(format!(
            "The run ended as {}: what its later steps would have shown was not shown.",
            words::run_outcome(outcome)
        )),
    }
    found.extend(run.each().filter_map(|(step, state)| step_sentence(step, state)));
    found.extend(decided_by_people(maker));
    for (step, _) in run.each() {
        for name in &step.proves {
            let full = format!("{}.{name}", step.id);
            if run.ended.is_some() && !run.result.contains_key(&full) {
                found.push(format!("{full} was to be read back and was not."));
            }
        }
    }
    found.extend(bad_outputs(run, maker.outputs));
    found.push(
        "Exit statuses are recorded, but prove nothing about data: only the values of the result were read back."
            .into(),
    );
    found.push(format!(
        "Lines missing from the journal's end, or a journal written anew as a whole, can't be seen in the journal alone: \
         compare the head {} with one that left this host.",
        run.head.short()
    ));
    found
}

fn step_sentence(step: &Step, state: &StepState) -> Option<String> {
    let id = &step.id;
    let why = || if state.remarks.is_empty() { String::new() } else { format!(": {}", state.remarks.join("; ")) };
    Some(
        match state.status {
            StepStatus::Done => return None,
            StepStatus::Failed => {
                let reason = state.result.as_ref().and_then(|result| result.reason.clone());
                format!("Step {id} failed{}", reason.map_or_else(why, |reason| format!(": {reason}")))
            }
            StepStatus::Unknown => format!("Nobody saw how step {id} ended{}", why()),
            // What another choice would have led to says nothing about what was done.
            StepStatus::Skipped if step.only_choice.is_some() => return None,
            StepStatus::Skipped => format!("Step {id} was skipped{}", why()),
            StepStatus::Aborted => format!("Step {id} was aborted"),
            StepStatus::Pending => format!("Step {id} never ran"),
            StepStatus::Running | StepStatus::Ready => format!("Step {id} has not ended"),
            StepStatus::Waiting => {
                format!("{} {id} has not been answered", if is_decision(step) { "Decision" } else { "Gate" })
            }
            StepStatus::Held => {
                let reason = state.result.as_ref().and_then(|result| result.reason.clone());
                format!(
                    "Step {id} failed and is held for a person{}",
                    reason.map_or_else(why, |reason| format!(": {reason}"))
                )
            }
        } + ".",
    )
}

fn is_decision(step: &Step) -> bool {
    matches!(step.kind, StepKind::Decision { .. })
}

fn decided_by_people<'a>(maker: &'a Maker<'_>) -> impl Iterator<Item = String> + 'a {
    maker.entries.iter().enumerate().filter_map(|(position, entry)| match &entry.event {
        RunEvent::StepResolved { step, answer: Resolution::Done, by, .. } => {
            let before = maker.entries[..position].iter().rev().find(|before| before.event.step() == Some(step));
            let seen = match before.map(|before| &before.event) {
                Some(RunEvent::StepUnknown { .. }) | None => "nobody saw its outcome",
                Some(_) => "it had failed",
            };
            Some(format!("Step {step} counts as done because {} said so; {seen}.", words::operator(by)))
        }
        _ => None,
    })
}

fn bad_outputs(run: &Run, outputs: &Outputs<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for (position, (step, state)) in run.each().enumerate() {
        for attempt in 1..=state.attempt {
            let printed = outputs(position, attempt);
            let recorded =
                attempt == state.attempt && state.result.as_ref().is_some_and(|result| result.outcome.is_some());
            match printed {
                None if recorded => {
                    found.push(format!("The output of step {}, attempt {attempt}, is gone.", step.id));
                }
                Some(printed) => {
                    let streams = [Some(&printed.output), printed.errors.as_ref()];
                    if streams.into_iter().flatten().any(|stream| stream.sha256_matches == Some(false)) {
                        found.push(format!(
                            "The output of step {}, attempt {attempt}, is not the one whose hash the journal carries: it was \
                             altered or damaged after the step ended.",
                            step.id
                        ));
                    }
                }
                None => {}
            }
        }
    }
    found
}
