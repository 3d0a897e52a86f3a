//! Which moments can be recovered, as far as sets and the newest archived segment tell; and the cursor in them.

use crate::domain::inventory::{Repository, RepositoryKey};
use crate::planning::selection::{self, Choice, Wish};
use crate::planning::target::RecoveryTarget;
use crate::ui::model::InventoryState;
use chrono::{DateTime, TimeDelta, Timelike, Utc};

/// How far one repository reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The repository.
    pub repository: RepositoryKey,
    /// When the sets of the current database ended, in order.
    pub stops: Vec<DateTime<Utc>>,
    /// When the newest segment came into its archive, where that is known.
    pub newest: Option<DateTime<Utc>>,
}

/// The timeline.
#[derive(Debug, Clone, Default)]
pub struct TimelineState {
    /// The cursor; `None`: at the end of WAL.
    pub at: Option<DateTime<Utc>>,
    /// A target that was typed and is no moment on the line; it goes before the cursor.
    pub typed: Option<RecoveryTarget>,
    /// Which set would serve, or why none would.
    pub choice: Option<Result<Choice, String>>,
}

impl TimelineState {
    /// The target as it stands.
    #[must_use]
    pub fn target(&self) -> RecoveryTarget {
        match (&self.typed, self.at) {
            (Some(typed), _) => typed.clone(),
            (None, Some(at)) => RecoveryTarget::Time { at, exclusive: false },
            (None, None) => RecoveryTarget::Latest,
        }
    }

    /// Chooses the set for the target anew.
    pub fn choose(&mut self, inventory: &InventoryState) {
        let Some(stanza) = inventory.current_stanza() else {
            self.choice = None;
            return;
        };
        let ground = inventory.ground().cloned().unwrap_or_default();
        let wish = Wish {
            repository: inventory.repository,
            production_timeline: ground.production_timeline,
            production_system: ground.production_system,
            ..Wish::new(self.target())
        };
        let choice = selection::choose(stanza, &wish, &ground.histories);
        self.choice = Some(choice.map_err(|refusal| refusal.to_string()));
    }

    /// Moves the cursor by so many minutes; from the end of WAL it goes back from the newest moment that is known.
    pub fn step(&mut self, minutes: i64, reaches: &[Reach]) {
        let Some((first, last)) = span(reaches) else { return };
        self.typed = None;
        let from = self.at.unwrap_or(last);
        // A whole minute is what people remember and type.
        let whole = from.with_second(0).and_then(|at| at.with_nanosecond(0)).unwrap_or(from);
        let whole = if minutes < 0 && whole < from { whole + TimeDelta::minutes(1) } else { whole };
        let to = whole + TimeDelta::minutes(minutes);
        self.at = if to > last { None } else { Some(to.max(first)) };
    }

    /// Moves the cursor to the stop of the next set, or of the one before.
    pub fn step_set(&mut self, forward: bool, reaches: &[Reach]) {
        let mut stops: Vec<DateTime<Utc>> = reaches.iter().flat_map(|reach| reach.stops.iter().copied()).collect();
        stops.sort_unstable();
        self.typed = None;
        self.at = match (self.at, forward) {
            (None, true) => None,
            (None, false) => stops.last().copied(),
            (Some(at), true) => stops.into_iter().find(|stop| *stop > at),
            (Some(at), false) => stops.iter().rev().find(|stop| **stop < at).copied().or(Some(at)),
        };
    }

    /// To the first moment, or to the end of WAL.
    pub fn jump(&mut self, to_end: bool, reaches: &[Reach]) {
        self.typed = None;
        self.at = if to_end { None } else { span(reaches).map(|(first, _)| first) };
    }
}

impl InventoryState {
    /// How far each repository of the selected stanza reaches.
    #[must_use]
    pub fn reaches(&self) -> Vec<Reach> {
        let repositories = self.current_stanza().into_iter().flat_map(|stanza| &stanza.repositories);
        let wanted = |repository: &&Repository| self.repository.is_none_or(|wanted| wanted == repository.key);
        repositories
            .filter(wanted)
            .map(|repository| {
                let mut stops: Vec<DateTime<Utc>> = repository.current_sets().map(|set| set.stop()).collect();
                stops.sort_unstable();
                let newest = self.ground().and_then(|ground| ground.newest.get(&repository.key));
                Reach { repository: repository.key, stops, newest: newest.map(|newest| newest.archived) }
            })
            .collect()
    }
}

impl Reach {
    /// From the first stop to the newest moment that is known.
    #[must_use]
    pub fn span(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let first = *self.stops.first()?;
        let last = self.stops.last().copied().max(self.newest)?;
        Some((first, last))
    }
}

/// From the first moment of all to the last.
#[must_use]
pub(super) fn span(reaches: &[Reach]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let spans = || reaches.iter().filter_map(Reach::span);
    Some((spans().map(|(first, _)| first).min()?, spans().map(|(_, last)| last).max()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64, second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_329_600 + minute * 60 + second, 0).unwrap_or_default()
    }

    fn reaches() -> [Reach; 1] {
        [Reach { repository: RepositoryKey(1), stops: vec![at(0, 30), at(10, 5)], newest: Some(at(90, 20)) }]
    }

    #[test]
    fn the_cursor_goes_by_whole_minutes_and_stays_within_what_there_is() {
        let (mut line, reaches) = (TimelineState::default(), reaches());
        line.step(-1, &reaches);
        assert_eq!(line.at, Some(at(90, 0)));
        line.step(-60, &reaches);
        assert_eq!(line.at, Some(at(30, 0)));
        line.step(-60, &reaches);
        assert_eq!(line.at, Some(at(0, 30)));
        line.step(1, &reaches);
        assert_eq!(line.at, Some(at(1, 0)));
        line.step(90, &reaches);
        assert_eq!(line.at, None, "behind the newest moment there is only the end of WAL");
        assert_eq!(line.target(), RecoveryTarget::Latest);
    }

    #[test]
    fn the_cursor_goes_from_set_to_set() {
        let (mut line, reaches) = (TimelineState::default(), reaches());
        line.step_set(false, &reaches);
        assert_eq!(line.at, Some(at(10, 5)));
        line.step_set(false, &reaches);
        line.step_set(false, &reaches);
        assert_eq!(line.at, Some(at(0, 30)));
        line.step_set(true, &reaches);
        line.step_set(true, &reaches);
        assert_eq!(line.at, None);
        line.jump(false, &reaches);
        assert_eq!(line.at, Some(at(0, 30)));
        line.step(1, &[]);
        assert_eq!(line.at, Some(at(0, 30)), "without sets nothing moves");
    }
}
