//! The backup set for a transaction or a restore point: the inventory can't say which sets ended before it, the WAL can.
//!
//! pgBackRest takes the newest set for such a target, and where that ended behind it recovery fails at its very end. Here
//! the place is looked for in the WAL, and the newest set before it is taken.

use crate::domain::inventory::{RepositoryKey, Stanza};
use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::domain::wal_marks::TransactionEnd;
use crate::engine::moments::{Moments, MomentsError};
use crate::engine::pgbackrest::Pgbackrest;
use crate::engine::postgres::PostgresPrograms;
use crate::engine::wal_source::{Cluster, WalSource};
use crate::planning::selection::{self, Choice, Histories, Place, Refusal, Wish};
use crate::planning::target::RecoveryTarget;
use chrono::SecondsFormat;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where WAL is read, and with what.
#[derive(Debug, Clone, Copy)]
pub struct WalAtHand<'a> {
    /// Asked for the repositories' WAL.
    pub pgbackrest: &'a Pgbackrest,
    /// The programs that read it.
    pub postgres: &'a PostgresPrograms,
    /// What they are started with.
    pub environment: &'a BTreeMap<String, String>,
    /// Where else WAL lies: production's `pg_wal`, what a run has put in safety.
    pub directories: &'a [PathBuf],
    /// A directory of ours for the segments that are read; what lies there is removed again.
    pub below: &'a Path,
}

/// As [`selection::choose`]; for a transaction or a restore point whose set is not named it is found by the WAL.
///
/// # Errors
/// [`Refusal`]; where the WAL does not tell either, [`Refusal::NeedsSet`] with the reason.
pub fn choose(stanza: &Stanza, wish: &Wish, histories: &Histories, at_hand: &WalAtHand<'_>) -> Result<Choice, Refusal> {
    let refusal = match selection::choose(stanza, wish, histories) {
        Err(refusal) => refusal,
        chosen => return chosen,
    };
    let Refusal::NeedsSet { target, sets, .. } = &refusal else { return Err(refusal) };
    let wanted: Vec<Place> = sets.iter().map(|(place, _)| *place).collect();
    let found = match &wish.target {
        RecoveryTarget::Xid { xid, .. } => transaction(stanza, wish, &wanted, *xid, at_hand),
        RecoveryTarget::Name { name } => restore_point(stanza, wish, &wanted, name, at_hand),
        _ => return Err(refusal),
    };
    let found = match found {
        Ok(found) => found,
        Err(why) => {
            return Err(Refusal::NeedsSet { target: target.clone(), sets: sets.clone(), looked: Some(why) });
        }
    };
    // its place is known now: the choice is that for a position
    let placed = RecoveryTarget::Lsn { lsn: found.at, exclusive: wish.target.is_exclusive() };
    let choice = selection::choose(stanza, &Wish { target: placed, ..wish.clone() }, histories)?;
    let warnings = choice.warnings.into_iter().chain(found.warning).collect();
    Ok(Choice {
        reason: format!("{}; {}", found.words, choice.reason),
        pgbackrest: selection::pgbackrest_choice(stanza, wish.repository, &wish.target),
        warnings,
        ..choice
    })
}

/// As [`selection::lies_in_history`], and of times as well: whether one keeps a commit behind the place where production
/// left the timeline is read from the WAL there. Where there is none, nothing is kept of it either.
///
/// # Errors
/// [`Refusal::Left`].
pub fn lies_in_history(
    stanza: &Stanza,
    wish: &Wish,
    chosen: &Choice,
    histories: &Histories,
    at_hand: &WalAtHand<'_>,
) -> Result<(), Refusal> {
    selection::lies_in_history(wish, histories)?;
    let (RecoveryTarget::Time { at, exclusive }, Some(fork)) = (&wish.target, selection::fork(wish, histories)) else {
        return Ok(());
    };
    let place = Place { repository: chosen.repository, set: chosen.set };
    let Ok(mut moments) = open(stanza, wish, place, fork.switch, at_hand) else { return Ok(()) };
    let behind = moments.neighbours(fork.switch).ok().and_then(|moment| moment.first_discarded);
    let keeps = |end: &TransactionEnd| if *exclusive { end.time < *at } else { end.time <= *at };
    match behind.filter(keeps) {
        Some(end) => {
            let time = end.time.to_rfc3339_opts(SecondsFormat::Micros, true);
            Err(fork.refuses(format!("the commit of xid {} at {time}, which {} keeps,", end.xid, wish.target)))
        }
        None => Ok(()),
    }
}

/// What was looked for.
struct Found {
    at: Lsn,
    words: String,
    warning: Option<String>,
}

/// The end of a transaction. The sets come newest first: mostly it is behind the newest whose first transaction is not a
/// later one.
fn transaction(
    stanza: &Stanza,
    wish: &Wish,
    sets: &[Place],
    xid: u32,
    at_hand: &WalAtHand<'_>,
) -> Result<Found, String> {
    let mut said = "no set tells where its WAL ends".to_owned();
    for place in sets {
        let Some(floor) = floor(stanza, *place) else { continue };
        let mut moments = match open(stanza, wish, *place, floor, at_hand) {
            Ok(moments) => moments,
            Err(why) => {
                said = why;
                continue;
            }
        };
        let looked = moments.first_end().and_then(|first| match first {
            // numbers go round: later ones are those within the next 2^31
            Some(first) if first.xid != xid && first.xid.wrapping_sub(xid) < 1 << 31 => Ok(None),
            _ => moments.find_xid(xid, moments.range()).map(Some),
        });
        match looked {
            Ok(Some(end)) => {
                let ended = end.time.to_rfc3339_opts(SecondsFormat::Micros, true);
                let words = format!("transaction {xid} ended at {ended}");
                return Ok(Found { at: end.start, words, warning: None });
            }
            Ok(None) => {
                said = format!("transaction {xid} has a lower number than those after {place}");
            }
            // it lies before no older set either, but a gap may have ended the search
            Err(error @ MomentsError::NotFound { gap: None, .. }) => return Err(error.to_string()),
            Err(error) => said = error.to_string(),
        }
    }
    Err(said)
}

/// The newest restore point of a name: behind the newest set first, then between each older one and the one after it.
fn restore_point(
    stanza: &Stanza,
    wish: &Wish,
    sets: &[Place],
    name: &str,
    at_hand: &WalAtHand<'_>,
) -> Result<Found, String> {
    let mut said = "no set tells where its WAL ends".to_owned();
    let mut until = Lsn(u64::MAX);
    for place in sets {
        let Some(floor) = floor(stanza, *place).filter(|floor| *floor < until) else { continue };
        let looked = open(stanza, wish, *place, floor, at_hand)
            .and_then(|mut moments| moments.find_restore_point(name, floor..until).map_err(|error| error.to_string()));
        match looked {
            Ok(point) => {
                let words = format!("restore point '{}' lies at {}", point.name, point.start);
                let warning = Some("an earlier restore point of the same name is reached with an older set only: name it with -p set=…".to_owned());
                return Ok(Found { at: point.start, words, warning });
            }
            Err(why) => said = why,
        }
        until = floor;
    }
    Err(said)
}

fn floor(stanza: &Stanza, place: Place) -> Option<Lsn> {
    stanza.repository(place.repository)?.set(place.set)?.lsn().map(|range| range.stop)
}

fn open(stanza: &Stanza, wish: &Wish, place: Place, floor: Lsn, at_hand: &WalAtHand<'_>) -> Result<Moments, String> {
    let unknown = |key: RepositoryKey| format!("{} does not say whose WAL it holds", key.name());
    let repository = stanza.repository(place.repository).ok_or_else(|| unknown(place.repository))?;
    let set = repository.set(place.set).ok_or_else(|| unknown(place.repository))?;
    let cluster = Cluster::of_set(repository, set).ok_or_else(|| unknown(place.repository))?;
    let own = set.wal().map_or(TimelineId(1), |wal| wal.start.timeline);
    let timeline = wish.timeline.or(wish.production_timeline).unwrap_or(own);
    let source =
        WalSource::open(at_hand.pgbackrest, stanza, cluster, at_hand.directories).map_err(|error| error.to_string())?;
    Moments::open(&source, at_hand.postgres, at_hand.environment, at_hand.below, timeline, floor)
        .map_err(|error| error.to_string())
}
