//! Records put together to committed transactions.

use crate::domain::lsn::Lsn;
use crate::domain::wal_reader::{
    CatalogCaches, Change, Content, DatabaseChange, Ended, Parts, Record, RelationFile, Rmgr, RunningTransactions,
    StorageChange,
};
use crate::planning::accident::committed::{Committed, HeldLock, Notice};
use crate::planning::accident::counts::Touched;
use crate::planning::accident::gone::Gone;
use crate::planning::accident::maintenance::is_upkeep;
use std::collections::{HashMap, VecDeque};

/// Open transactions that are kept at once; servers have fewer, but for transactions with very many subtransactions.
const MOST_OPEN: usize = 100_000;
/// Relation files with changes of open transactions: what fills the map that holds them (10 MB) without another doubling.
const MOST_TOUCHED: usize = 110_000;
/// Of them those of one transaction: it does not push out all others.
const MOST_TOUCHED_BY_ONE: usize = MOST_TOUCHED / 4;
/// Created and removed files, changed definitions and locks that are kept of one transaction.
const MOST_LISTED: usize = 10_000;
/// The same of all open transactions together.
const MOST_LISTED_BY_ALL: usize = 100_000;
/// `XLOG_FPI`: pages written as a whole, with no change before.
pub(super) const FULL_PAGES: u8 = 0xB0;
/// `XLOG_HEAP_LOCK`: a row is locked, by an UPDATE of its own transaction too.
const LOCK: u8 = 0x60;

type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// A transaction that has not ended.
#[derive(Debug, Default)]
struct Open {
    first: Lsn,
    files: Vec<RelationFile>,
    /// Of [`Committed`].
    does_other: bool,
    cuts: bool,
    /// 0 for none.
    locks_rows: u32,
    /// Few have any.
    beside: Option<Box<Beside>>,
}

/// What a transaction did that is not done to rows.
#[derive(Debug, Default)]
struct Beside {
    created: Vec<RelationFile>,
    locks: Vec<HeldLock>,
    truncated: Vec<(u32, u32)>,
    mapped: Vec<(u32, RelationFile)>,
    dropped_databases: Vec<u32>,
    created_databases: Vec<u32>,
}

impl Beside {
    /// How many items it lists, itself counted: of many small ones their own size counts.
    fn listed(&self) -> usize {
        let databases = self.dropped_databases.len() + self.created_databases.len();
        1 + self.created.len() + self.locks.len() + self.truncated.len() + self.mapped.len() + databases
    }
}

/// Puts records together. They come in the order of the WAL.
#[derive(Debug, Default)]
pub struct Transactions {
    open: Map<u32, Open>,
    touched: Map<(u32, RelationFile), Touched>,
    spare: Vec<Open>,
    /// The transactions in some order, ended ones among them: of whom one makes way.
    order: VecDeque<u32>,
    /// What the open transactions list of what they did beside changing rows.
    listed: usize,
    /// Transactions from this one on began after reading did.
    first_known: Option<u32>,
    malformed: u64,
    unknown: u64,
    uncounted: u64,
    records: u64,
}

impl Transactions {
    /// Nothing read so far.
    #[must_use]
    pub fn new() -> Transactions {
        Transactions::default()
    }

    /// Takes the next record.
    #[inline]
    pub fn record(&mut self, record: &Record<'_>, notice: &mut impl FnMut(Notice<'_>)) {
        self.records += 1;
        // Index records and the like matter for where a transaction begins and for nothing else.
        let matters = record.rmgr <= Rmgr::HEAP;
        if !matters {
            if let Some(open) = self.open(record) {
                open.does_other |= record.rmgr != Rmgr::BTREE;
            }
            self.unknown += u64::from(!record.rmgr.is_known(record.version));
            return;
        }
        let Ok(parts) = record.parts() else {
            self.malformed += 1;
            self.does_other(record);
            return;
        };
        match Content::read(record, &parts) {
            Content::Change(change) => self.change(record, &change),
            Content::Commit(ended) => self.commit(record, &ended, notice),
            Content::Abort(ended) => {
                self.abort(&ended);
                notice(Notice::Aborted { at: record.lsn, ended });
            }
            Content::Running(running) => {
                self.running(&running);
                notice(Notice::Running { at: record.lsn, oldest: running.oldest_running });
            }
            Content::RestorePoint(point) => notice(Notice::RestorePoint { at: record.lsn, point }),
            Content::Unknown => {
                self.unknown += 1;
                self.does_other(record);
            }
            other => {
                match other {
                    Content::Locks(locks) => notice(Notice::Locks { at: record.lsn, locks }),
                    Content::Prepare(prepared) => notice(Notice::Prepared { at: record.lsn, prepared }),
                    _ => {}
                }
                self.beside(record, &parts, &other);
            }
        }
    }

    /// What was read is followed by a gap: of the transactions that are open there, nothing is sure any more.
    pub fn gap(&mut self) {
        self.open.clear();
        self.touched.clear();
        self.order.clear();
        self.listed = 0;
        self.first_known = None;
    }

    /// Records read.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Records whose content could not be read, of an unknown kind or layout.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown + self.malformed
    }

    /// Changes, or all changes so far of a transaction, that were left out of the counts, since there are too many open
    /// transactions or relations.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.uncounted
    }

    /// The transaction of a record; its first record is noted.
    #[inline]
    fn open(&mut self, record: &Record<'_>) -> Option<&mut Open> {
        if record.xid == 0 {
            return None;
        }
        if self.open.len() >= MOST_OPEN && !self.open.contains_key(&record.xid) {
            self.make_way(record.xid);
        }
        if self.order.len() > 2 * MOST_OPEN {
            let open = &self.open;
            self.order.retain(|xid| open.contains_key(xid));
        }
        let (spare, order) = (&mut self.spare, &mut self.order);
        let open = self.open.entry(record.xid).or_insert_with(|| {
            order.push_back(record.xid);
            Open { first: record.lsn, ..spare.pop().unwrap_or_default() }
        });
        Some(open)
    }

    /// One open transaction is forgotten, one from the middle: where there are so many they are the subtransactions of a
    /// long one as a rule, and the next that begins may be the accident. `xid` stays.
    fn make_way(&mut self, xid: u32) {
        let mut is_met = false;
        while let Some(found) = self.order.swap_remove_front(self.order.len() / 2) {
            is_met |= found == xid;
            if found != xid && self.open.contains_key(&found) {
                self.uncounted += 1;
                self.forget(found);
                break;
            }
        }
        self.order.extend(is_met.then_some(xid));
    }

    #[inline]
    fn change(&mut self, record: &Record<'_>, change: &Change) {
        if let Some(touched) = self.touch(record, change.relation) {
            touched.change(change);
        }
    }

    #[inline]
    fn touch(&mut self, record: &Record<'_>, file: RelationFile) -> Option<&mut Touched> {
        self.open(record)?;
        let key = (record.xid, file);
        if !self.touched.contains_key(&key) {
            if self.touched.len() >= MOST_TOUCHED {
                self.make_way(record.xid);
            }
            let files = &mut self.open.get_mut(&record.xid)?.files;
            if files.len() >= MOST_TOUCHED_BY_ONE || self.touched.len() >= MOST_TOUCHED {
                self.uncounted += 1;
                return None;
            }
            files.push(file);
        }
        Some(self.touched.entry(key).or_default())
    }

    fn does_other(&mut self, record: &Record<'_>) {
        if let Some(open) = self.open(record) {
            open.does_other = true;
        }
    }

    /// What a transaction does beside changing rows.
    fn beside(&mut self, record: &Record<'_>, parts: &Parts<'_>, content: &Content<'_>) {
        if record.rmgr == Rmgr::XLOG && record.info & 0xF0 == FULL_PAGES && record.xid != 0 {
            let first = parts.first_block.filter(|block| block.fork == 0);
            let pages = record.blocks().filter(|block| block.fork == 0).count();
            if let Some(touched) = first.and_then(|block| self.touch(record, block.relation)) {
                touched.pages += pages as u64;
            }
            return;
        }
        let (at, listed) = (record.lsn, self.listed);
        let Some(open) = self.open(record) else { return };
        match parts.first_block {
            Some(block) if record.rmgr == Rmgr::HEAP && record.info & 0x70 == LOCK => {
                let file = block.relation;
                open.does_other |= file.database == 0 || ![0, file.number].contains(&open.locks_rows);
                open.locks_rows = file.number;
            }
            _ => open.does_other |= !is_upkeep(record, content),
        }
        open.cuts |= matches!(content, Content::Storage(StorageChange::Cut { .. }));
        if matches!(content, Content::Other) {
            return;
        }
        if listed >= MOST_LISTED_BY_ALL {
            self.uncounted += 1;
            return;
        }
        let before = open.beside.as_ref().map_or(0, |beside| beside.listed());
        let open = open.beside.get_or_insert_default();
        match content {
            Content::Storage(StorageChange::Created { relation, fork: 0 }) => push(&mut open.created, *relation),
            Content::Truncate(truncated) => {
                truncated.relations.iter().for_each(|oid| push(&mut open.truncated, (truncated.database, oid)));
            }
            Content::RelationMap(map) => map.iter().for_each(|pair| push(&mut open.mapped, pair)),
            Content::Database(DatabaseChange::Dropped { database }) => push(&mut open.dropped_databases, *database),
            Content::Database(DatabaseChange::Created { database }) => push(&mut open.created_databases, *database),
            Content::Locks(locks) => {
                let own = locks.iter().filter(|lock| lock.xid == record.xid);
                own.for_each(|lock| {
                    push(&mut open.locks, HeldLock { database: lock.database, relation: lock.relation, at });
                });
            }
            _ => {}
        }
        let new = open.listed() - before;
        self.listed += new;
    }

    fn commit(&mut self, record: &Record<'_>, ended: &Ended<'_>, notice: &mut impl FnMut(Notice<'_>)) {
        let mut committed = Committed {
            xid: ended.xid,
            subtransactions: ended.subtransactions.iter().take(MOST_LISTED).collect(),
            time: ended.time,
            first: record.lsn,
            first_is_sure: self.first_known.is_some_and(|known| !precedes(ended.xid, known)),
            start: record.lsn,
            end: record.end,
            timeline: record.timeline,
            database: ended.database,
            was_prepared: ended.was_prepared,
            // Of what was not counted anything may have been.
            does_other: self.uncounted > 0,
            cuts: false,
            locks_rows: 0,
            touched: Vec::new(),
            created: Vec::new(),
            removed: ended.removed.iter().take(MOST_LISTED).collect(),
            truncated: Vec::new(),
            gone: None,
            mapped: Vec::new(),
            redefined: ended.invalidations.relations().filter(|(_, oid)| *oid != 0).take(MOST_LISTED).collect(),
            locks: Vec::new(),
            dropped_databases: Vec::new(),
            created_databases: Vec::new(),
        };
        committed.removed.reverse();
        committed.redefined.sort_unstable();
        committed.redefined.dedup();
        let mut places = Map::default();
        for xid in std::iter::once(ended.xid).chain(ended.subtransactions.iter()) {
            self.take(xid, &mut committed, &mut places);
        }
        if committed.database == 0 {
            committed.database =
                committed.touched.iter().map(|(file, _)| file.database).find(|oid| *oid != 0).unwrap_or(0);
        }
        committed.gone = Gone::of(ended, &committed.created, CatalogCaches::of(record.version));
        notice(Notice::Committed(&committed));
    }

    /// Moves what a transaction or subtransaction did to what is committed. `places` says where in it a file is: made when
    /// the first subtransaction has any, since most transactions have none.
    fn take(&mut self, xid: u32, committed: &mut Committed, places: &mut Map<RelationFile, usize>) {
        let Some(mut open) = self.open.remove(&xid) else { return };
        committed.first = committed.first.min(open.first);
        committed.does_other |= open.does_other;
        committed.cuts |= open.cuts;
        committed.locks_rows = committed.locks_rows.max(open.locks_rows);
        for file in open.files.drain(..) {
            let Some(touched) = self.touched.remove(&(xid, file)) else { continue };
            if xid == committed.xid {
                committed.touched.push((file, touched));
                continue;
            }
            if places.is_empty() {
                places.extend(committed.touched.iter().enumerate().map(|(place, (file, _))| (*file, place)));
            }
            let place = *places.entry(file).or_insert(committed.touched.len());
            match committed.touched.get_mut(place) {
                Some((_, before)) => before.add(&touched),
                None => committed.touched.push((file, touched)),
            }
        }
        if let Some(mut beside) = open.beside.take() {
            self.listed = self.listed.saturating_sub(beside.listed());
            committed.created.append(&mut beside.created);
            committed.locks.append(&mut beside.locks);
            committed.truncated.append(&mut beside.truncated);
            committed.mapped.append(&mut beside.mapped);
            committed.dropped_databases.append(&mut beside.dropped_databases);
            committed.created_databases.append(&mut beside.created_databases);
        }
        self.put_away(open);
    }

    fn abort(&mut self, ended: &Ended<'_>) {
        for xid in std::iter::once(ended.xid).chain(ended.subtransactions.iter()) {
            self.forget(xid);
        }
    }

    fn forget(&mut self, xid: u32) {
        let Some(open) = self.open.remove(&xid) else { return };
        for file in &open.files {
            self.touched.remove(&(xid, *file));
        }
        self.listed = self.listed.saturating_sub(open.beside.as_ref().map_or(0, |beside| beside.listed()));
        self.put_away(open);
    }

    /// Keeps the allocations for the next one.
    fn put_away(&mut self, mut open: Open) {
        if self.spare.len() < 64 {
            open.files.clear();
            (open.beside, open.locks_rows) = (None, 0);
            (open.does_other, open.cuts) = (false, false);
            self.spare.push(open);
        }
    }

    /// Transactions older than the oldest that runs have ended, in a crash without a record.
    fn running(&mut self, running: &RunningTransactions<'_>) {
        self.first_known.get_or_insert(running.next_xid);
        let gone: Vec<u32> = self.open.keys().copied().filter(|xid| precedes(*xid, running.oldest_running)).collect();
        gone.into_iter().for_each(|xid| self.forget(xid));
    }
}

fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() < MOST_LISTED {
        list.push(item);
    }
}

/// Whether a transaction id is older: they wrap around (`TransactionIdPrecedes`, `access/transam.c`).
pub(super) fn precedes(xid: u32, other: u32) -> bool {
    xid.wrapping_sub(other).cast_signed() < 0
}
