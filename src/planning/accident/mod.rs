//! Which transaction did the damage: from a stream of WAL records to a proposed recovery target.
//!
//! [`Transactions`] puts records together to committed transactions, [`Search`] keeps those that may be an accident and
//! counts what was committed after each, and [`Search::answer`] ranks them with reasons in words and works out the exact
//! target. Memory is bounded, whatever the window: what had to be left out is said in the answer.

mod answer;
mod candidate;
mod committed;
mod counts;
mod damage;
mod gone;
mod held;
mod maintenance;
mod moves;
mod names;
mod question;
mod reach;
mod score;
mod search;
mod suspects;
mod thrown_away;
mod transactions;
mod words;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Discarded, ExactTarget, LastKept, Proposed, Suspect, SuspectRelation};
pub use committed::{Committed, HeldLock, Notice};
pub use counts::{Counts, Touched};
pub use gone::Gone;
pub use names::{Counted, Names, RelationKind, RelationName};
pub use question::Question;
pub use reach::Reach;
pub use score::ACCIDENT_SCORE;
pub use search::{Coverage, Search, Window};
pub use thrown_away::{Boundary, Divide, ThrownAway};
pub use transactions::Transactions;
pub use words::{discards, keeps, leaves_locked, throws_away};
