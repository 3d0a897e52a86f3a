//! What a recovery target keeps and throws away: the last commit before it, and every commit behind it, counted.

use crate::domain::lsn::Lsn;
use crate::planning::accident::answer::{Discarded, LastKept};
use crate::planning::accident::candidate::Aftermath;
use crate::planning::accident::committed::{Committed, Notice};
use crate::planning::accident::held::{Holders, Locked};
use crate::planning::accident::names::Names;
use crate::planning::accident::search::{Coverage, Search, Window};
use crate::planning::accident::suspects::{discarded, unlisted};
use crate::planning::target::RecoveryTarget;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Locks of one transaction.
const MOST_LOCKED: usize = 1_000;

/// Where recovery stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// Before the record that begins there.
    Before(Lsn),
    /// Behind the record that begins there.
    Behind(Lsn),
    /// Before the first commit of that time or a later one; where inclusive, of a later one.
    Time {
        /// The time.
        at: DateTime<Utc>,
        /// Commits of exactly that time are kept.
        inclusive: bool,
    },
    /// At the commit of a transaction.
    Transaction {
        /// Its id.
        xid: u32,
        /// It is kept.
        inclusive: bool,
    },
}

impl Boundary {
    /// Where a target stops; `None` for those that WAL alone does not place.
    #[must_use]
    pub fn of(target: &RecoveryTarget) -> Option<Boundary> {
        Some(match target {
            RecoveryTarget::Lsn { lsn, exclusive: true } => Boundary::Before(*lsn),
            RecoveryTarget::Lsn { lsn, exclusive: false } => Boundary::Behind(*lsn),
            RecoveryTarget::Time { at, exclusive } => Boundary::Time { at: *at, inclusive: !exclusive },
            RecoveryTarget::Xid { xid, exclusive } => Boundary::Transaction { xid: *xid, inclusive: !exclusive },
            RecoveryTarget::Latest | RecoveryTarget::Immediate | RecoveryTarget::Name { .. } => return None,
        })
    }
}

/// What a target keeps and throws away, as far as the WAL was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThrownAway {
    /// The last commit that is kept; `None` where none was read before it.
    pub last_kept: Option<LastKept>,
    /// The first that is thrown away.
    pub first: Option<LastKept>,
    /// The last that is thrown away.
    pub last: Option<LastKept>,
    /// All of them, by table.
    pub discarded: Discarded,
    /// Of them, those that may have begun before reading did: their rows are counted in part only.
    pub in_part: u64,
    /// Relations on which a transaction that is open where recovery stops holds its exclusive lock until promotion: a query on
    /// them waits.
    #[serde(default)]
    pub locked: Vec<String>,
    /// Those on which one that is prepared there does, beyond promotion.
    #[serde(default)]
    pub locked_by_prepared: Vec<String>,
    /// What was not read or is not sure, in words.
    pub notes: Vec<String>,
}

/// Watches commits in the order of the WAL and divides them at a boundary. Memory is bounded.
#[derive(Debug)]
pub struct Divide {
    boundary: Boundary,
    is_behind: bool,
    after: Aftermath,
    /// Where recovery stops, once that is known.
    stop: Option<Lsn>,
    locked: Locked,
    holders: Holders,
    found: ThrownAway,
    /// Follows relations to the files that they had before.
    moves: Search,
}

impl Divide {
    /// Divides at a boundary, with the names that are known.
    #[must_use]
    pub fn new(boundary: Boundary, names: Names) -> Divide {
        let nobody = DateTime::<Utc>::MIN_UTC;
        let window = Window { from: nobody, to: nobody, around: nobody };
        Divide {
            boundary,
            is_behind: false,
            after: Aftermath::default(),
            stop: None,
            locked: Locked::default(),
            holders: Holders::default(),
            found: ThrownAway::default(),
            moves: Search::new(window, names),
        }
    }

    /// Takes what a stream of records gives.
    pub fn notice(&mut self, notice: &Notice<'_>) {
        self.moves.notice(notice);
        self.holders.notice(notice);
        if let Notice::Committed(committed) = notice {
            self.committed(committed);
        }
    }

    fn committed(&mut self, committed: &Committed) {
        let time = committed.time.utc().unwrap_or_default();
        let one = LastKept { xid: committed.xid, time, lsn: committed.end };
        let is_it = matches!(self.boundary, Boundary::Transaction { xid, .. } if xid == committed.xid);
        // Behind the boundary everything is: PostgreSQL goes by the order in the WAL, whatever the clock says later.
        let was_behind = self.is_behind;
        self.is_behind |= match self.boundary {
            Boundary::Before(lsn) => committed.start >= lsn,
            Boundary::Behind(lsn) => committed.start > lsn,
            Boundary::Time { at, inclusive } => {
                committed.time.utc().is_some_and(|time| time > at || !inclusive && time == at)
            }
            Boundary::Transaction { .. } => is_it,
        };
        let is_kept_itself =
            !was_behind && is_it && matches!(self.boundary, Boundary::Transaction { inclusive: true, .. });
        if !self.is_behind || is_kept_itself {
            self.found.last_kept = Some(one);
            return;
        }
        self.add_locked(committed);
        self.after.add_commit(committed, &self.moves.names, usize::MAX);
        self.found.in_part += u64::from(!committed.first_is_sure);
        self.found.first.get_or_insert_with(|| one.clone());
        self.found.last = Some(one);
    }

    /// What is locked by then is locked at the pause as well.
    fn add_locked(&mut self, committed: &Committed) {
        let kept = self.found.last_kept.as_ref().map(|kept| kept.lsn);
        let stop = match self.stop {
            Some(stop) => stop,
            None => {
                let stop = self.known_stop().unwrap_or(match kept {
                    Some(kept) if kept > committed.first => committed.start,
                    // Where nobody committed while it was open, recovery stops before its first record.
                    _ => committed.first,
                });
                self.locked = self.holders.at(stop);
                *self.stop.insert(stop)
            }
        };
        self.locked.add(&committed.locks, stop, MOST_LOCKED);
    }

    /// Where recovery stops, as far as the boundary says it.
    fn known_stop(&self) -> Option<Lsn> {
        match self.boundary {
            Boundary::Before(lsn) => Some(lsn),
            Boundary::Behind(lsn) => Some(Lsn(lsn.0.saturating_add(1))),
            Boundary::Time { .. } | Boundary::Transaction { .. } => None,
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(mut self, coverage: Coverage) -> ThrownAway {
        let names = self.moves.all_names();
        let discarded = discarded(&self.after, &names);
        // Nothing was committed behind it, and transactions may be open all the same.
        if let (None, Some(stop)) = (self.stop, self.known_stop()) {
            (self.locked, self.stop) = (self.holders.at(stop), Some(stop));
        }
        self.locked.shorten(MOST_LOCKED);
        let locked = names.locked(self.locked.until_promotion);
        let locked_by_prepared = names.locked(self.locked.prepared);
        let is_unsure = self.stop.is_some_and(|stop| !self.holders.knows(stop));
        let mut notes = coverage.notes;
        let never = matches!(self.boundary, Boundary::Transaction { .. }) && !self.is_behind;
        notes.extend(unlisted(&self.after));
        notes.extend(never.then(|| "the transaction's commit is not in the WAL that was read".to_owned()));
        notes.extend(is_unsure.then(|| {
            "which tables are locked there is not sure: no list of running transactions lies in the WAL that was read before"
                .to_owned()
        }));
        ThrownAway { discarded, locked, locked_by_prepared, notes, ..self.found }
    }
}
