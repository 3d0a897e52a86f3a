//! Whether a set can be restored to a target, and why not.

use crate::domain::inventory::BackupSet;
use crate::domain::label::BackupLabel;
use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::planning::selection::{Candidate, CurrentDatabase, Histories, Wish};
use crate::planning::target::{RecoveryTarget, show};
use chrono::{DateTime, Utc};
use std::fmt;

/// Why a set doesn't do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It is of a database from before a stanza-upgrade, or of another cluster.
    OtherDatabase {
        /// The version of that database.
        version: String,
    },
    /// Page checksum errors were found in it or in a set it builds upon.
    PageErrors {
        /// In which.
        set: BackupLabel,
    },
    /// A set it builds upon is not there.
    ChainBroken {
        /// Which.
        missing: BackupLabel,
    },
    /// It was taken from a stopped server and has no WAL: there is nothing to replay from.
    Offline,
    /// It ended too late: what it restores to lies after the target.
    EndsAfter {
        /// When it ended, in whole seconds.
        stop: DateTime<Utc>,
    },
    /// The same for positions.
    EndsBehind {
        /// Where it ended.
        stop: Lsn,
    },
    /// Its positions are not known (made before pgBackRest 2.38).
    NoPosition,
    /// Its timeline does not lead to the wanted one, or was left before the set ended.
    NotAncestor {
        /// The set's timeline.
        of_set: TimelineId,
        /// The wanted one.
        wanted: TimelineId,
    },
    /// Whether its timeline leads to the wanted one can't be told.
    NoHistory {
        /// The set's timeline.
        of_set: TimelineId,
        /// The wanted one, whose history file was not found.
        wanted: TimelineId,
    },
}

impl fmt::Display for Unfit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unfit::OtherDatabase { version } => {
                write!(out, "it is of another database (PostgreSQL {version}), not of the current one")
            }
            Unfit::PageErrors { set } => write!(out, "page checksum errors were found in {set}"),
            Unfit::ChainBroken { missing } => write!(out, "it builds upon {missing}, which is not there"),
            Unfit::Offline => write!(out, "it was taken offline and has no WAL to recover along"),
            Unfit::EndsAfter { stop } => write!(
                out,
                "it ended at {}, not before the target; PostgreSQL would not complain and give a later state",
                show(*stop)
            ),
            Unfit::EndsBehind { stop } => write!(out, "it ended at {stop}, behind the target"),
            Unfit::NoPosition => write!(out, "its LSN is not known (made before pgBackRest 2.38)"),
            Unfit::NotAncestor { of_set, wanted } => {
                write!(out, "it is on timeline {of_set}, which does not lead to timeline {wanted} from where it ended")
            }
            Unfit::NoHistory { of_set, wanted } => write!(
                out,
                "it is on timeline {of_set}, and without {} nobody can tell whether that leads to timeline {wanted}",
                wanted.history_file()
            ),
        }
    }
}

/// What was found of a set that does.
pub(super) struct Judged {
    pub(super) timeline: TimelineId,
    pub(super) warnings: Vec<String>,
}

pub(super) fn judge(
    candidate: Candidate<'_>,
    wish: &Wish,
    current: &CurrentDatabase,
    histories: &Histories,
) -> Result<Judged, Unfit> {
    let Candidate { repository, set } = candidate;
    let named = wish.set.is_some();
    let mut warnings = Vec::new();
    let database = repository.database(set.database());
    let of_current =
        database.is_some_and(|database| database.system_id == current.system && database.version == current.version);
    if !of_current {
        let version = database.map_or_else(|| "unknown".to_owned(), |database| database.version.to_string());
        let why = Unfit::OtherDatabase { version };
        if !named {
            return Err(why);
        }
        warnings.push(format!("{}: {why}", set.label()));
    }
    if let Some(missing) = repository.chain(set.label()).and_then(|chain| chain.missing) {
        return Err(Unfit::ChainBroken { missing });
    }
    if let Some(bad) = bad_pages(candidate) {
        let why = Unfit::PageErrors { set: bad };
        if !named {
            return Err(why);
        }
        warnings.push(format!("{}: {why}", set.label()));
    }
    let of_set = set.wal().ok_or(Unfit::Offline)?.start.timeline;
    let timeline = match (&wish.target, wish.timeline, wish.production_timeline) {
        // pgBackRest forces the set's own for it; production's says nothing about another cluster.
        (RecoveryTarget::Immediate, ..) => of_set,
        (_, Some(wanted), _) => wanted,
        (_, None, Some(production)) if of_current => production,
        _ => of_set,
    };
    leads_to(candidate, of_set, timeline, histories)?;
    ends_before(set, &wish.target)?;
    if matches!(wish.target, RecoveryTarget::Xid { .. } | RecoveryTarget::Name { .. }) {
        warnings.push(format!(
            "nothing in the inventory says whether {} comes after this set: an earlier one is only found not to be \
             there at the end of all WAL",
            wish.target
        ));
    }
    Ok(Judged { timeline, warnings })
}

/// The set of its chain with page errors: files are taken from all of them.
fn bad_pages(candidate: Candidate<'_>) -> Option<BackupLabel> {
    let chain = candidate.repository.chain(candidate.set.label())?;
    chain.sets.iter().find(|set| set.error() == Some(true)).map(|set| set.label())
}

fn leads_to(
    candidate: Candidate<'_>,
    of_set: TimelineId,
    wanted: TimelineId,
    histories: &Histories,
) -> Result<(), Unfit> {
    if of_set == wanted {
        return Ok(());
    }
    let no_way = Unfit::NotAncestor { of_set, wanted };
    if wanted < of_set {
        return Err(no_way);
    }
    // Its own repository first: a stray drill may have left another history of that number in one of them.
    let of = |repository: &_| histories.get(repository).and_then(|files| files.get(&wanted));
    let history = of(&candidate.repository.key)
        .or_else(|| histories.keys().find_map(of))
        .ok_or(Unfit::NoHistory { of_set, wanted })?;
    let stop = candidate.set.lsn().ok_or(Unfit::NoPosition)?.stop;
    if history.contains(of_set, stop) { Ok(()) } else { Err(no_way) }
}

/// Recovery must go past the set's own end. The inventory has whole seconds, cut off: so the second of the
/// target must be a later one (pgBackRest compares the same way, but only without `--set`).
fn ends_before(set: &BackupSet, target: &RecoveryTarget) -> Result<(), Unfit> {
    match target {
        RecoveryTarget::Time { at, .. } if set.stop().timestamp() >= at.timestamp() => {
            Err(Unfit::EndsAfter { stop: set.stop() })
        }
        RecoveryTarget::Lsn { lsn, .. } => {
            let stop = set.lsn().ok_or(Unfit::NoPosition)?.stop;
            if stop <= *lsn { Ok(()) } else { Err(Unfit::EndsBehind { stop }) }
        }
        _ => Ok(()),
    }
}
