//! Why nothing is chosen, and the nearest that works.

use crate::domain::inventory::{RepositoryKey, Stanza, SystemId};
use crate::domain::label::BackupLabel;
use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::planning::selection::{Histories, Place, Unfit, Wish, choose};
use crate::planning::target::{RecoveryTarget, show};
use chrono::{DateTime, Utc};

/// How many sets a message names.
const NAMED: usize = 5;

/// Why there is no choice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The repository is not configured.
    #[error("stanza {stanza} has no {}; configured: {}", .key.name(), names(.known))]
    NoRepository {
        /// The stanza.
        stanza: String,
        /// The wanted one.
        key: RepositoryKey,
        /// Those there are.
        known: Vec<RepositoryKey>,
    },
    /// No repository could be read: that is not the same as no backups.
    #[error("no repository of stanza {stanza} could be read; sets may be there nevertheless:{}", message_lines(.messages))]
    NothingReadable {
        /// The stanza.
        stanza: String,
        /// What pgBackRest said of each.
        messages: Vec<(RepositoryKey, String)>,
    },
    /// No database of the stanza is the wanted one.
    #[error("{}", no_database(*.system))]
    NoDatabase {
        /// Production's system identifier, where that was the question.
        system: Option<SystemId>,
    },
    /// The repositories hold different clusters.
    #[error(
        "{} and {} hold different database clusters, and which one is meant isn't known: name the repository",
        .first.name(), .other.name()
    )]
    DatabasesDiffer {
        /// One of them.
        first: RepositoryKey,
        /// Another.
        other: RepositoryKey,
    },
    /// There are no sets.
    #[error("stanza {stanza} has no backup set in {}: make one with `pgbackrest backup`, or look into another repository", names(.searched))]
    NoSets {
        /// The stanza.
        stanza: String,
        /// Where was looked.
        searched: Vec<RepositoryKey>,
    },
    /// The named set isn't there.
    #[error("there is no set {label} in {}{}", names(.searched), where_else(.elsewhere, .unread, *.newest))]
    NoSuchSet {
        /// The set.
        label: BackupLabel,
        /// Where was looked.
        searched: Vec<RepositoryKey>,
        /// Where it is.
        elsewhere: Vec<Place>,
        /// Repositories that could not be read.
        unread: Vec<RepositoryKey>,
        /// The newest of those that were searched.
        newest: Option<Place>,
    },
    /// The named set doesn't do.
    #[error("{place} can't be used: {why}{}", nearest_words(.nearest))]
    SetUnfit {
        /// The set.
        place: Place,
        /// Why not.
        why: Unfit,
        /// What would do.
        nearest: Option<String>,
    },
    /// No set does.
    #[error("no backup set can be recovered to {target}:{}{}", unfit_words(.unfit), nearest_words(.nearest))]
    NothingFits {
        /// The target.
        target: RecoveryTarget,
        /// Each set, with the reason.
        unfit: Vec<(Place, Unfit)>,
        /// What would do.
        nearest: Option<String>,
    },
    /// The target can't be compared with a set.
    #[error(
        "nothing in the inventory says which set comes before {target}, and pgBackRest would blindly take the \
         newest{}: name a set that ended before it with -p set=…, or use its LSN or time:{}",
        looked_words(.looked), stops(.sets)
    )]
    NeedsSet {
        /// The target.
        target: RecoveryTarget,
        /// Those there are with their ends, the newest first.
        sets: Vec<(Place, DateTime<Utc>)>,
        /// What came of looking for it in the WAL, where that was done.
        looked: Option<String>,
    },
    /// The target is on a timeline that production has left before.
    #[error(
        "{what} lies on timeline {timeline} behind {switch}, where production's timeline {production} left it: it is no \
         part of production's past, and everything committed on timeline {production} would be lost\
         \n  the nearest that works: -p target={switch} -p timeline={timeline}; or a target along timeline {production}\
         \n  to get at what was discarded there: pitr-side-by-side with -p timeline={timeline}, production goes on; \
         to take all of it back: -p target=latest -p timeline={timeline}"
    )]
    Left {
        /// The position, or what the target would keep that lies behind it.
        what: String,
        /// The timeline it is looked for on.
        timeline: TimelineId,
        /// Production's.
        production: TimelineId,
        /// Where the one was left.
        switch: Lsn,
    },
}

fn names(keys: &[RepositoryKey]) -> String {
    keys.iter().map(|key| key.name()).collect::<Vec<_>>().join(", ")
}

fn message_lines(messages: &[(RepositoryKey, String)]) -> String {
    messages.iter().map(|(key, message)| format!("\n  {}: {}", key.name(), message.replace('\n', "\n    "))).collect()
}

fn no_database(system: Option<SystemId>) -> String {
    match system {
        Some(system) => format!(
            "no repository has a database with production's system identifier {system}: this stanza belongs to \
             another cluster, or a stanza-upgrade is due"
        ),
        None => "pgBackRest tells of no database in this stanza; run `pgbackrest check`".to_owned(),
    }
}

fn where_else(elsewhere: &[Place], unread: &[RepositoryKey], newest: Option<Place>) -> String {
    let mut words = String::new();
    for place in elsewhere {
        words += &format!("; there is {place}");
    }
    if !unread.is_empty() {
        words += &format!("; {} could not be read", names(unread));
    }
    if let (true, Some(newest)) = (elsewhere.is_empty(), newest) {
        words += &format!("; the newest is {newest}");
    }
    words
}

fn nearest_words(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|nearest| format!("\n  the nearest that works: {nearest}")).unwrap_or_default()
}

fn unfit_words(unfit: &[(Place, Unfit)]) -> String {
    let mut lines: String = unfit.iter().rev().take(NAMED).map(|(place, why)| format!("\n  {place}: {why}")).collect();
    if unfit.len() > NAMED {
        lines += &format!("\n  and {} older sets", unfit.len() - NAMED);
    }
    lines
}

fn looked_words(looked: &Option<String>) -> String {
    looked.as_ref().map(|looked| format!(" (looked for in the WAL: {looked})")).unwrap_or_default()
}

fn stops(sets: &[(Place, DateTime<Utc>)]) -> String {
    let mut lines: String =
        sets.iter().take(NAMED).map(|(place, stop)| format!("\n  {place}, ended {}", show(*stop))).collect();
    if sets.len() > NAMED {
        lines += &format!("\n  and {} more", sets.len() - NAMED);
    }
    lines
}

/// The nearest wish that gets a choice, in words.
pub(super) fn nearest(stanza: &Stanza, wish: &Wish, histories: &Histories, unfit: &[(Place, Unfit)]) -> Option<String> {
    let tried = |changed: Wish| choose(stanza, &changed, histories).ok();
    if wish.set.is_some() {
        // Another set for the same target; in the same repository, else in any.
        let other = tried(Wish { set: None, ..wish.clone() });
        let anywhere = || tried(Wish { set: None, repository: None, ..wish.clone() });
        if let Some(choice) = other.or_else(anywhere) {
            return Some(format!("{}, to the same target", Place { repository: choice.repository, set: choice.set }));
        }
    } else if wish.repository.is_some()
        && let Some(choice) = tried(Wish { repository: None, ..wish.clone() })
    {
        return Some(format!("{}, to the same target", Place { repository: choice.repository, set: choice.set }));
    }
    let flawed = unfit.iter().rev().filter(|(_, why)| wish.set.is_none() && matches!(why, Unfit::PageErrors { .. }));
    for (place, why) in flawed {
        let named = Wish { set: Some(place.set), repository: Some(place.repository), ..wish.clone() };
        if tried(named).is_some() {
            return Some(format!("{place}, if it is named: {why}"));
        }
    }
    // Too early for every set: the earliest moment there is, with the set that reaches it.
    let earliest_time = unfit.iter().filter_map(|(place, why)| match why {
        Unfit::EndsAfter { stop } => Some((*stop, *place)),
        _ => None,
    });
    if let Some((stop, place)) = earliest_time.min() {
        let from = show(stop + chrono::TimeDelta::seconds(1));
        return Some(format!("{from} and later, from {place}; or its own end, with immediate"));
    }
    let earliest_position = unfit.iter().filter_map(|(place, why)| match why {
        Unfit::EndsBehind { stop } => Some((*stop, *place)),
        _ => None,
    });
    if let Some((stop, place)) = earliest_position.min() {
        return Some(format!("{stop} and later, from {place}; or its own end, with immediate"));
    }
    let immediate = Wish { target: RecoveryTarget::Immediate, ..wish.clone() };
    if wish.target != RecoveryTarget::Immediate
        && let Some(choice) = tried(immediate)
    {
        let place = Place { repository: choice.repository, set: choice.set };
        return Some(format!("the end of {place} itself, with immediate"));
    }
    None
}
