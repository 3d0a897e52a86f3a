//! Which event is legal in which status of a step: one table, the same for a live run and for reading one back.

use crate::domain::event::{Resolution, RunEvent, Verdict};
use serde::{Deserialize, Serialize};

/// The status of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// Begun; for a server: not ready yet.
    Running,
    /// A server that accepts connections.
    Ready,
    /// A gate that waits for a person.
    Waiting,
    /// Ended as it should; for a gate: answered.
    Done,
    /// Ended as it should not.
    Failed,
    /// Ended as it should not, and a person decides: mend it and do it again, or another way on.
    Held,
    /// Not due.
    Skipped,
    /// It began, and nobody saw how it ended.
    Unknown,
    /// Ended because the run was aborted.
    Aborted,
}

impl StepStatus {
    /// The word shown and written in JSON.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            StepStatus::Pending => "pending",
            StepStatus::Running => "running",
            StepStatus::Ready => "ready",
            StepStatus::Waiting => "waiting",
            StepStatus::Done => "done",
            StepStatus::Failed => "failed",
            StepStatus::Held => "held",
            StepStatus::Skipped => "skipped",
            StepStatus::Unknown => "unknown",
            StepStatus::Aborted => "aborted",
        }
    }

    /// A command of it may be alive.
    #[must_use]
    pub fn is_active(self) -> bool {
        matches!(self, StepStatus::Running | StepStatus::Ready)
    }
}

/// The status after `event` happened to a step that is `status`, or `None` when that can't happen.
///
/// A gate goes from done back to waiting when a fact under it changed: it re-opens. Whether a failure holds the run is
/// for the step to say ([`crate::domain::plan::Step::hold`]).
#[must_use]
pub fn after(status: StepStatus, event: &RunEvent) -> Option<StepStatus> {
    use StepStatus as S;
    let next = match (status, event) {
        (S::Pending, RunEvent::StepStarted { .. }) => S::Running,
        (S::Pending, RunEvent::StepSkipped { .. }) => S::Skipped,
        (S::Pending, RunEvent::StepRefused { .. }) => S::Failed,
        (S::Pending | S::Done | S::Waiting, RunEvent::GateOpened { .. }) => S::Waiting,
        (S::Waiting, RunEvent::GateAnswered { .. }) => S::Done,
        // Pending: before it has opened, while an earlier step is held. Done: taken anew, as long as a later step waits and
        // nothing that can't be undone was begun ([`crate::domain::run::Run::may_decide_anew`]).
        (S::Waiting | S::Pending | S::Done, RunEvent::DecisionMade { .. }) => S::Done,
        (S::Running, RunEvent::StepReady { .. }) => S::Ready,
        (S::Running | S::Ready, RunEvent::StepEnded { result, .. }) => match result.verdict {
            Verdict::Done => S::Done,
            Verdict::Failed => S::Failed,
            Verdict::Aborted => S::Aborted,
        },
        (S::Running, RunEvent::StepInterrupted { .. }) => S::Pending,
        (S::Running | S::Ready, RunEvent::StepUnknown { .. }) => S::Unknown,
        (S::Unknown | S::Held, RunEvent::StepResolved { answer, .. }) => match answer {
            Resolution::Done => S::Done,
            Resolution::Again => S::Pending,
            Resolution::Abort => S::Aborted,
        },
        _ => return None,
    };
    Some(next)
}
