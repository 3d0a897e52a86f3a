//! Which relations are locked where recovery stops: a standby takes over each `ACCESS EXCLUSIVE` lock from the WAL and holds it
//! until its transaction ends (`storage/ipc/standby.c`). What is open at the pause ends with promotion; what is prepared stays.

use crate::domain::lsn::Lsn;
use crate::domain::wal_reader::Ended;
use crate::planning::accident::committed::{Committed, HeldLock, Notice};
use crate::planning::accident::transactions::precedes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Locks that are kept of open transactions, a few MB.
const MOST_HELD: usize = 50_000;
/// And of those that ended last: where recovery stops is known a little later.
const MOST_RELEASED: usize = 10_000;

/// A lock, and when its transaction was prepared.
#[derive(Debug, Clone, Copy)]
struct Held {
    lock: HeldLock,
    prepared: Option<Lsn>,
}

/// Follows locks, in the order of the WAL.
#[derive(Debug, Default)]
pub(super) struct Holders {
    open: BTreeMap<u32, Vec<Held>>,
    count: usize,
    /// Where its transaction ended, and the lock.
    released: VecDeque<(Lsn, Held)>,
    /// The first list of running transactions that was read: before it, what was locked earlier is not known.
    first_snapshot: Option<Lsn>,
}

/// Relations, by database and oid.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Locked {
    /// Locked until promotion.
    pub(super) until_promotion: BTreeSet<(u32, u32)>,
    /// Locked by a prepared transaction, beyond promotion.
    pub(super) prepared: BTreeSet<(u32, u32)>,
}

impl Locked {
    /// Keeps at most so many of each.
    pub(super) fn shorten(&mut self, most: usize) {
        for locked in [&mut self.until_promotion, &mut self.prepared] {
            while locked.len() > most {
                locked.pop_last();
            }
        }
    }

    /// Adds a transaction's own locks that it took before recovery stops.
    pub(super) fn add(&mut self, locks: &[HeldLock], stop: Lsn, most: usize) {
        let held = locks.iter().filter(|lock| lock.at < stop).take(most).map(|lock| (lock.database, lock.relation));
        self.until_promotion.extend(held.filter(|lock| !self.prepared.contains(lock)));
    }
}

impl Holders {
    /// Takes what a stream of records gives.
    pub(super) fn notice(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Locks { at, locks } => {
                for lock in locks.iter() {
                    self.lock(lock.xid, HeldLock { database: lock.database, relation: lock.relation, at: *at });
                }
            }
            Notice::Prepared { at, prepared } => {
                for xid in std::iter::once(prepared.xid).chain(prepared.subtransactions.iter()) {
                    let held = self.open.get_mut(&xid).into_iter().flatten();
                    held.for_each(|held| held.prepared = Some(*at));
                }
            }
            Notice::Committed(committed) => self.committed(committed),
            Notice::Aborted { at, ended } => self.aborted(*at, ended),
            Notice::Running { at, oldest } => {
                self.first_snapshot.get_or_insert(*at);
                let gone: Vec<u32> = self.open.keys().copied().filter(|xid| precedes(*xid, *oldest)).collect();
                gone.into_iter().for_each(|xid| self.release(*at, xid));
            }
            Notice::RestorePoint { .. } => {}
        }
    }

    /// What is locked where recovery stops, before the record that begins there.
    pub(super) fn at(&self, stop: Lsn) -> Locked {
        let open = self.open.values().flatten();
        let released = self.released.iter().filter(|(end, _)| *end >= stop).map(|(_, held)| held);
        let mut locked = Locked::default();
        for held in open.chain(released).filter(|held| held.lock.at < stop) {
            let relation = (held.lock.database, held.lock.relation);
            if held.prepared.is_some_and(|at| at < stop) {
                locked.prepared.insert(relation);
            } else {
                locked.until_promotion.insert(relation);
            }
        }
        locked
    }

    /// Whether every lock that is held there was told: a list of running transactions comes with all of their locks.
    pub(super) fn knows(&self, stop: Lsn) -> bool {
        self.first_snapshot.is_some_and(|at| at < stop)
    }

    fn lock(&mut self, xid: u32, lock: HeldLock) {
        let held = self.open.entry(xid).or_default();
        // Each list of running transactions names them all again.
        let is_known =
            held.iter().any(|held| (held.lock.database, held.lock.relation) == (lock.database, lock.relation));
        if !is_known && self.count < MOST_HELD {
            self.count += 1;
            held.push(Held { lock, prepared: None });
        }
    }

    fn committed(&mut self, committed: &Committed) {
        if self.open.is_empty() {
            return;
        }
        for xid in std::iter::once(committed.xid).chain(committed.subtransactions.iter().copied()) {
            self.release(committed.start, xid);
        }
    }

    fn aborted(&mut self, at: Lsn, ended: &Ended<'_>) {
        for xid in std::iter::once(ended.xid).chain(ended.subtransactions.iter()) {
            self.release(at, xid);
        }
    }

    fn release(&mut self, at: Lsn, xid: u32) {
        let Some(held) = self.open.remove(&xid) else { return };
        self.count -= held.len();
        self.released.extend(held.into_iter().map(|held| (at, held)));
        let more = self.released.len().saturating_sub(MOST_RELEASED);
        self.released.drain(..more);
    }
}
