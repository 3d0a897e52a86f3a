//! The ways on from a decision, as text.

use crate::domain::plan::Choice;
use crate::domain::text::clean;

/// A choice as it is typed, with what has to be given: `forward target=…`.
#[must_use]
pub fn typed(choice: &Choice) -> String {
    let asks: String = choice.asks.iter().map(|asked| format!(" {}=…", asked.word())).collect();
    format!("{}{asks}", choice.id)
}

/// A choice in a line: what is typed, what it means, where it leads.
#[must_use]
pub fn choice_text(choice: &Choice) -> String {
    let back = choice.back_to.as_ref().map_or_else(String::new, |step| format!(" (back to step '{step}')"));
    format!("{}: {}{back}", typed(choice), clean(&choice.title))
}
