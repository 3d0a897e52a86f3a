//! The rehearsal: the page, the clock, the score.

use crate::engine::rehearsal::{Incident, Score};
use crate::ui::model::RunsState;
use std::path::PathBuf;

/// The practice cluster that the console is opened on.
#[derive(Debug, Clone, Default)]
pub struct RehearsalState {
    /// Its directory; `None` where it is no practice cluster.
    pub directory: Option<PathBuf>,
    /// What happened to it, as far as the engineer on call knows; `None`: nothing, or not read yet.
    pub incident: Option<Incident>,
    /// Why that can't be told.
    pub problem: Option<String>,
    /// How the recovery came out.
    pub score: Option<Result<Score, String>>,
    /// The score is being asked for.
    pub is_asking: bool,
}

impl RehearsalState {
    /// Whether there is something to score that has not been: a run that was begun after the page is done.
    #[must_use]
    pub fn is_due(&self, runs: &RunsState) -> bool {
        // The shop takes its first order some seconds after it may: until then the time is open.
        let is_open = match &self.score {
            None | Some(Err(_)) => true,
            Some(Ok(score)) => score.seconds.is_none(),
        };
        let Some(incident) = self.incident.as_ref().filter(|_| is_open && !self.is_asking) else { return false };
        runs.cards.iter().flatten().filter_map(|card| card.told.as_ref().ok()).any(|told| {
            told.outcome == "done"
                && told.runbook != crate::engine::drills::DRILL
                && told.began.to_utc() > incident.paged_at
        })
    }
}
