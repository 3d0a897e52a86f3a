//! A plan that is being made: the runbook, what the person gave, what came of it.

use crate::engine::accident::Progress;
use crate::engine::proposal::Proposal;
use crate::ui::model::Cursor;
use std::collections::BTreeMap;

/// Where the keys of the plan's page go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Panel {
    /// To the parameters.
    #[default]
    Parameters,
    /// To the text of the plan.
    Text,
}

impl Panel {
    /// The other one.
    #[must_use]
    pub fn other(self) -> Panel {
        match self {
            Panel::Parameters => Panel::Text,
            Panel::Text => Panel::Parameters,
        }
    }
}

impl PlanState {
    /// Whether an accident is searched for, which takes time and may be broken off.
    #[must_use]
    pub fn is_searching(&self) -> bool {
        self.is_asking && self.given.contains_key("accident")
    }
}

/// The plan.
#[derive(Debug, Clone, Default)]
pub struct PlanState {
    /// The runbook; empty while no plan was asked for.
    pub runbook: String,
    /// What the person gave.
    pub given: BTreeMap<String, String>,
    /// The parameter under the cursor.
    pub cursor: Cursor,
    /// Where keys go.
    pub panel: Panel,
    /// The first line of the text on the screen.
    pub top: usize,
    /// Of the question that was asked last.
    pub ticket: u64,
    /// The answer is not there yet.
    pub is_asking: bool,
    /// How far the search for the accident is, where one is named.
    pub progress: Option<Progress>,
    /// That search is being broken off.
    pub is_leaving: bool,
    /// What came of it.
    pub proposal: Option<Proposal>,
    /// Why there is no plan.
    pub problem: Option<String>,
    /// The run is being begun.
    pub is_beginning: bool,
}
