//! What happened: the question, how far reading is, the suspects, and which of them the cursor is on.

use crate::engine::accident::Progress;
use crate::planning::accident::{Question, Suspect};
use crate::ui::event::AccidentFound;
use crate::ui::model::{Cursor, Panel};

/// The page of an accident.
#[derive(Debug, Clone, Default)]
pub struct AccidentState {
    /// The question as it was typed.
    pub text: String,
    /// As it was understood.
    pub question: Option<Question>,
    /// Of the question that was asked last.
    pub ticket: u64,
    /// It is being answered.
    pub is_reading: bool,
    /// Reading is being broken off.
    pub is_leaving: bool,
    /// How far reading is.
    pub progress: Option<Progress>,
    /// What came of it; while it is read, what came of it so far.
    pub found: Option<AccidentFound>,
    /// Why nothing came of it.
    pub problem: Option<String>,
    /// The person chose a suspect: the cursor stays on it while more are found.
    pub is_chosen: bool,
    /// The suspect under the cursor.
    pub cursor: Cursor,
    /// Where keys go: to the suspects (`Parameters`), or to the text of one of them.
    pub panel: Panel,
    /// The first line of that text on the screen.
    pub top: usize,
}

impl AccidentState {
    /// The suspects, in commit order.
    #[must_use]
    pub fn suspects(&self) -> &[Suspect] {
        self.found.as_ref().map_or(&[], |found| &found.answer.suspects)
    }

    /// The one under the cursor.
    #[must_use]
    pub fn current(&self) -> Option<&Suspect> {
        self.suspects().get(self.cursor.at)
    }

    /// The place of the one that is proposed.
    #[must_use]
    pub fn proposed(&self) -> Option<usize> {
        let proposed = self.found.as_ref()?.answer.proposed.as_ref()?;
        self.suspects().iter().position(|suspect| suspect.xid == proposed.xid && suspect.target == proposed.target)
    }
}
