//! Which backup set: ours, and which pgBackRest itself would take.
//!
//! pgBackRest goes through the repositories by key and takes the first set it finds; it looks at sets of any
//! database, with page errors, on timelines that do not lead to the wanted one, and sorts by label, which is
//! local time. Here every set is judged first, and of those that fit the one that replays least is taken.

mod fitness;
mod own;
mod refusal;
#[cfg(test)]
mod tests;

pub use fitness::Unfit;
pub use own::pgbackrest_choice;
pub use refusal::Refusal;

use crate::domain::inventory::{BackupSet, Repository, RepositoryKey, Stanza, SystemId};
use crate::domain::label::BackupLabel;
use crate::domain::lsn::Lsn;
use crate::domain::wal::{TimelineHistory, TimelineId};
use crate::planning::target::{RecoveryTarget, show};
use fitness::judge;
use refusal::nearest;
use std::collections::BTreeMap;
use std::fmt;

/// The history files that were read: of each repository, of each timeline.
pub type Histories = BTreeMap<RepositoryKey, BTreeMap<TimelineId, TimelineHistory>>;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Only this repository.
    pub repository: Option<RepositoryKey>,
    /// Exactly this set.
    pub set: Option<BackupLabel>,
    /// To this moment.
    pub target: RecoveryTarget,
    /// Along this timeline; it goes before production's.
    pub timeline: Option<TimelineId>,
    /// The timeline production is on, where that is known.
    pub production_timeline: Option<TimelineId>,
    /// Production's system identifier, where that is known; it says which database is the current one.
    pub production_system: Option<SystemId>,
}

impl Wish {
    /// A wish for a target and nothing else.
    #[must_use]
    pub fn new(target: RecoveryTarget) -> Wish {
        Wish { repository: None, set: None, target, timeline: None, production_timeline: None, production_system: None }
    }
}

/// A set in its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The repository.
    pub repository: RepositoryKey,
    /// The set.
    pub set: BackupLabel,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} in {}", self.set, self.repository.name())
    }
}

/// What was chosen, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The repository.
    pub repository: RepositoryKey,
    /// The set.
    pub set: BackupLabel,
    /// The timeline to recover along, for `--target-timeline`.
    pub timeline: TimelineId,
    /// Why this one, in a sentence.
    pub reason: String,
    /// What a person should know of it before going on.
    pub warnings: Vec<String>,
    /// The others that would do, the best first.
    pub alternatives: Vec<Place>,
    /// What pgBackRest would take without `--set`; `None` where it would end with an error.
    pub pgbackrest: Option<Place>,
}

/// A set that was looked at.
#[derive(Clone, Copy)]
struct Candidate<'a> {
    repository: &'a Repository,
    set: &'a BackupSet,
}

impl Candidate<'_> {
    fn place(&self) -> Place {
        Place { repository: self.repository.key, set: self.set.label() }
    }
}

/// Chooses the repository and the set for a wish.
///
/// # Errors
/// [`Refusal`], with the reason and the nearest that works.
pub fn choose(stanza: &Stanza, wish: &Wish, histories: &Histories) -> Result<Choice, Refusal> {
    let repositories = readable(stanza, wish)?;
    let current = current_database(&repositories, wish)?;
    let candidates: Vec<Candidate<'_>> = repositories
        .iter()
        .flat_map(|repository| repository.sets.iter().map(|set| Candidate { repository, set }))
        .filter(|candidate| wish.set.is_none_or(|label| label == candidate.set.label()))
        .collect();
    if candidates.is_empty() {
        return Err(none_at_all(stanza, &repositories, wish));
    }
    let mut fit = Vec::new();
    let mut unfit = Vec::new();
    for candidate in candidates {
        match judge(candidate, wish, &current, histories) {
            Ok(judged) => fit.push((candidate, judged)),
            Err(why) => unfit.push((candidate.place(), why)),
        }
    }
    // The least to replay first; then the lower key, so that the same wish always gets the same answer.
    fit.sort_by(|(left, _), (right, _)| {
        replay_order(right, wish).cmp(&replay_order(left, wish)).then(left.place().cmp(&right.place()))
    });
    let named = wish.set.is_some();
    let blind = matches!(wish.target, RecoveryTarget::Xid { .. } | RecoveryTarget::Name { .. });
    if blind && !named && fit.len() > 1 {
        let sets = fit.iter().map(|(candidate, _)| (candidate.place(), candidate.set.stop())).collect();
        return Err(Refusal::NeedsSet { target: wish.target.clone(), sets, looked: None });
    }
    let Some(((first, judged), others)) = fit.split_first() else {
        let nearest = nearest(stanza, wish, histories, &unfit);
        return Err(match (named, unfit.first()) {
            (true, Some((place, why))) => Refusal::SetUnfit { place: *place, why: why.clone(), nearest },
            _ => Refusal::NothingFits { target: wish.target.clone(), unfit, nearest },
        });
    };
    Ok(Choice {
        repository: first.repository.key,
        set: first.set.label(),
        timeline: judged.timeline,
        reason: reason(first, wish, others.len(), named),
        warnings: judged.warnings.clone(),
        alternatives: others.iter().map(|(candidate, _)| candidate.place()).collect(),
        pgbackrest: pgbackrest_choice(stanza, wish.repository, &wish.target),
    })
}

/// A position on an ancestor of production's timeline behind the place where production left it is none of its own past:
/// a recovery there would bring the discarded commits back and throw away those that were made since. To the end of that
/// timeline (`latest`) it is the way back from a recovery, and has to be asked for in so many words. What a time, a
/// transaction or a restore point means only WAL can tell: those are looked at where that is at hand.
///
/// # Errors
/// [`Refusal::Left`].
pub fn lies_in_history(wish: &Wish, histories: &Histories) -> Result<(), Refusal> {
    let (RecoveryTarget::Lsn { lsn, .. }, Some(fork)) = (&wish.target, fork(wish, histories)) else { return Ok(()) };
    if *lsn > fork.switch { Err(fork.refuses(lsn.to_string())) } else { Ok(()) }
}

/// Where production's timeline left the one that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fork {
    /// The timeline that is asked for.
    pub timeline: TimelineId,
    /// Production's.
    pub production: TimelineId,
    /// Where its last record ends that is production's past as well.
    pub switch: Lsn,
}

impl Fork {
    /// The refusal of something that lies behind it.
    #[must_use]
    pub fn refuses(self, what: String) -> Refusal {
        Refusal::Left { what, timeline: self.timeline, production: self.production, switch: self.switch }
    }
}

/// The fork between the timeline that is asked for and production's; `None` where production is on that timeline, was
/// never on it, or nobody can tell.
#[must_use]
pub fn fork(wish: &Wish, histories: &Histories) -> Option<Fork> {
    let (timeline, production) = (wish.timeline?, wish.production_timeline?);
    let history = histories.values().find_map(|files| files.get(&production))?;
    let left = history.entries.iter().find(|entry| entry.parent == timeline)?;
    Some(Fork { timeline, production, switch: left.switch })
}

/// Along one history a later stop means less to replay. Times are whole seconds: positions decide within one.
fn replay_order(candidate: &Candidate<'_>, wish: &Wish) -> (u64, i64, u64) {
    let position = candidate.set.lsn().map_or(0, |range| range.stop.0);
    let seconds = candidate.set.stop().timestamp();
    if matches!(wish.target, RecoveryTarget::Lsn { .. }) { (position, seconds, 0) } else { (0, seconds, position) }
}

fn readable<'a>(stanza: &'a Stanza, wish: &Wish) -> Result<Vec<&'a Repository>, Refusal> {
    let wanted: Vec<&Repository> = match wish.repository {
        None => stanza.repositories.iter().collect(),
        Some(key) => match stanza.repository(key) {
            Some(repository) => vec![repository],
            None => {
                let known = stanza.repositories.iter().map(|repository| repository.key).collect();
                return Err(Refusal::NoRepository { stanza: stanza.name.clone(), key, known });
            }
        },
    };
    let (readable, not): (Vec<&Repository>, Vec<&Repository>) =
        wanted.into_iter().partition(|repository| repository.was_read());
    if readable.is_empty() {
        let messages = not.iter().map(|repository| (repository.key, repository.status.message.clone())).collect();
        return Err(Refusal::NothingReadable { stanza: stanza.name.clone(), messages });
    }
    Ok(readable)
}

/// Which cluster is meant: its system identifier and version.
#[derive(Debug, Clone, PartialEq, Eq)]
struct CurrentDatabase {
    system: Option<SystemId>,
    version: Box<str>,
}

fn current_database(repositories: &[&Repository], wish: &Wish) -> Result<CurrentDatabase, Refusal> {
    let mut found: Vec<(RepositoryKey, CurrentDatabase)> = Vec::new();
    for repository in repositories {
        let of_production =
            |system| repository.databases.iter().rev().find(|database| database.system_id == Some(system));
        let database = match wish.production_system {
            Some(system) => of_production(system),
            None => repository.current_database(),
        };
        if let Some(database) = database {
            let current = CurrentDatabase { system: database.system_id, version: database.version.clone() };
            found.push((repository.key, current));
        }
    }
    let Some((first, current)) = found.first().cloned() else {
        return Err(Refusal::NoDatabase { system: wish.production_system });
    };
    match found.iter().find(|(_, other)| *other != current) {
        // A named set says itself which cluster is meant.
        Some((other, _)) if wish.set.is_none() => Err(Refusal::DatabasesDiffer { first, other: *other }),
        _ => Ok(current),
    }
}

fn none_at_all(stanza: &Stanza, repositories: &[&Repository], wish: &Wish) -> Refusal {
    let searched: Vec<RepositoryKey> = repositories.iter().map(|repository| repository.key).collect();
    let Some(label) = wish.set else {
        return Refusal::NoSets { stanza: stanza.name.clone(), searched };
    };
    let elsewhere = stanza
        .repositories
        .iter()
        .filter(|repository| repository.set(label).is_some())
        .map(|repository| Place { repository: repository.key, set: label })
        .collect();
    let unread = stanza
        .repositories
        .iter()
        .filter(|repository| !repository.was_read())
        .map(|repository| repository.key)
        .collect();
    let newest = repositories
        .iter()
        .flat_map(|repository| {
            repository.sets.iter().map(|set| (set.stop(), Place { repository: repository.key, set: set.label() }))
        })
        .max_by_key(|(stop, _)| *stop)
        .map(|(_, place)| place);
    Refusal::NoSuchSet { label, searched, elsewhere, unread, newest }
}

fn reason(chosen: &Candidate<'_>, wish: &Wish, others: usize, named: bool) -> String {
    let place = chosen.place();
    let stop = show(chosen.set.stop());
    if named {
        return format!("{place} was asked for; it ended at {stop}");
    }
    let among = match others {
        0 => "the only set that fits".to_owned(),
        _ => format!("of {} sets that fit the one that replays least", others + 1),
    };
    match &wish.target {
        RecoveryTarget::Time { at, .. } => {
            let seconds = (*at - chosen.set.stop()).num_seconds();
            format!("{place} is {among}: it ended at {stop}, {seconds} s before the target")
        }
        RecoveryTarget::Lsn { lsn, .. } => {
            let bytes = chosen.set.lsn().map_or(0, |range| lsn.0.saturating_sub(range.stop.0));
            format!("{place} is {among}: it ended {bytes} bytes of WAL before {lsn}")
        }
        RecoveryTarget::Immediate => format!("{place} is {among}: it ended at {stop}, and that is the target"),
        _ => format!("{place} is {among}: it ended at {stop}"),
    }
}
