//! What stands in front of a page.

use crate::domain::event::{Resolution, RunId};
use crate::domain::inventory::RepositoryKey;
use crate::domain::plan::StepId;
use crate::planning::machine::Request;
use crate::ui::command::Command;
use crate::ui::model::Cursor;
use ratatui_textarea::TextArea;

/// What a line of text is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// The target on the timeline.
    Target,
    /// About when it happened.
    Accident,
    /// A parameter of the plan.
    Parameter(String),
    /// Narrowing the list of the page.
    Filter,
    /// Searching the text of the page.
    Search,
    /// Ending the run: the word has to be typed.
    Abort,
    /// The target that a way on asks for: of this decision, this choice.
    Way(StepId, StepId),
}

/// What choosing an item means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Do it.
    Command(Command),
    /// Take this theme.
    Theme(String),
    /// Look at this stanza, and of it only this repository.
    Stanza(String, Option<RepositoryKey>),
    /// The parameter is to have this value.
    Parameter(String, String),
    /// A plan of this runbook to the target on the timeline.
    Runbook(String),
    /// A plan of this runbook to right before the suspect under the cursor.
    Accident(String),
    /// Open this run.
    Run(RunId),
    /// This moment is meant, for what it was asked for.
    Target(Purpose, String),
    /// Decide about a step whose outcome is unknown, or that is held.
    Resolve(StepId, Resolution),
    /// Drive the run from here on, and send this.
    TakeOver(Box<Request>),
    /// Leave it as it is.
    Leave,
    /// Take this way on: of this decision, this choice; whether it asks for a target.
    Way(StepId, StepId, bool),
}

/// Something to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What is chosen.
    pub label: String,
    /// A word on it.
    pub about: String,
    /// What it means.
    pub value: Value,
}

/// What stands in front.
#[derive(Debug, Clone)]
pub enum Popup {
    /// A line of text is asked for.
    Input {
        /// What for.
        purpose: Purpose,
        /// The question.
        title: String,
        /// What was typed.
        text: String,
        /// What was understood, or what is wrong with it.
        told: Vec<String>,
    },
    /// Something is to be chosen.
    Picker {
        /// The question.
        title: String,
        /// What should be known before choosing.
        about: Vec<String>,
        /// What there is.
        items: Vec<Item>,
        /// Only what fits this.
        filter: String,
        /// The items that fit, the best first, by their places.
        shown: Vec<usize>,
        /// The one under the cursor.
        cursor: Cursor,
    },
    /// A note for the journal.
    Note(Box<TextArea<'static>>),
}

impl Popup {
    /// A picker with all its items shown.
    #[must_use]
    pub fn picker(title: &str, about: Vec<String>, items: Vec<Item>) -> Popup {
        let shown = (0..items.len()).collect();
        let cursor = Cursor::default();
        Popup::Picker { title: title.to_owned(), about, items, filter: String::new(), shown, cursor }
    }

    /// A question for a line of text.
    #[must_use]
    pub fn input(purpose: Purpose, title: &str, text: &str) -> Popup {
        Popup::Input { purpose, title: title.to_owned(), text: text.to_owned(), told: Vec::new() }
    }
}
