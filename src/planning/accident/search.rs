//! Watches commits go by and keeps what may be an accident. Bounded: the candidates with the least damage make way.

use crate::domain::lsn::Lsn;
use crate::domain::text::clean_bytes;
use crate::domain::wal_reader::{PgTime, RelationFile};
use crate::planning::accident::candidate::{Aftermath, Candidate, Kept, MOST_TABLES};
use crate::planning::accident::committed::{Committed, Notice};
use crate::planning::accident::counts::Counts;
use crate::planning::accident::damage::{self, Damage};
use crate::planning::accident::held::Holders;
use crate::planning::accident::maintenance::is_maintenance;
use crate::planning::accident::moves::Move;
use crate::planning::accident::names::{Names, RelationKind};
use chrono::{DateTime, Utc};
use std::collections::{HashMap, HashSet, VecDeque};

/// Candidates that are kept at once.
const MOST_CANDIDATES: usize = 200;
/// The same between all candidates together.
const MOST_TABLES_OF_ALL: usize = 50_000;
/// Made files that are remembered.
const MOST_MADE: usize = 100_000;
const MOST_RESTORE_POINTS: usize = 100;
/// What `pgbackrest check` and every backup makes (2.45, `pg_create_restore_point`): nobody planned anything.
const ARCHIVE_CHECK: &[u8] = b"pgBackRest Archive Check";
/// Of a candidate's files.
const MOST_FILES: usize = 1_000;
/// Of all candidates' files: a few MB.
const MOST_FILES_OF_ALL: usize = 20_000;
/// Transactions that gave relations new files, and all of their files.
const MOST_MOVES: usize = 10_000;
const MOST_MOVED_FILES: usize = 100_000;
/// Commits of ANALYZE and VACUUM with no work between them; of more the first count as work.
const MOST_UPKEEP: usize = 1_000;
/// How finely the changes of the window are told over time.
const BUCKETS: i64 = 120;

/// The time that is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Commits before are kept and never suspected.
    pub from: DateTime<Utc>,
    /// Commits after are discarded and never suspected.
    pub to: DateTime<Utc>,
    /// The moment that the person named.
    pub around: DateTime<Utc>,
}

/// What was read for an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Segments.
    pub segments: u64,
    /// Bytes.
    pub bytes: u64,
    /// Segments that lie behind those, and were not read.
    pub segments_behind: u64,
    /// What could not be read or is not sure, in words.
    pub notes: Vec<String>,
}

/// Watches commits, in the order of the WAL.
#[derive(Debug)]
pub struct Search {
    pub(super) window: Window,
    pub(super) names: Names,
    pub(super) candidates: Vec<Candidate>,
    pub(super) restore_points: Vec<(PgTime, String)>,
    pub(super) made_files: HashMap<RelationFile, Used>,
    pub(super) made_databases: HashSet<u32>,
    pub(super) commits: u64,
    pub(super) commits_inside: u64,
    pub(super) clock_steps_back: u64,
    /// The earliest and the latest commit.
    pub(super) span: Option<(PgTime, PgTime)>,
    pub(super) made_way: u64,
    pub(super) moves: Vec<Move>,
    pub(super) histogram: Vec<Counts>,
    last: Option<Kept>,
    /// The last commit that is work, and those of ANALYZE and VACUUM since.
    last_work: Option<Kept>,
    upkeep: VecDeque<Kept>,
    holders: Holders,
    /// What the candidates hold together, so that it is not counted anew at each commit.
    files: usize,
    tables: usize,
    moved_files: usize,
}

/// What others wrote into a file since it was made in the window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) commits: u64,
    pub(super) rows: u64,
}

impl Search {
    /// Searches a window with the names that are known.
    #[must_use]
    pub fn new(window: Window, names: Names) -> Search {
        Search {
            window,
            names,
            candidates: Vec::new(),
            restore_points: Vec::new(),
            made_files: HashMap::new(),
            made_databases: HashSet::new(),
            commits: 0,
            commits_inside: 0,
            clock_steps_back: 0,
            span: None,
            made_way: 0,
            moves: Vec::new(),
            histogram: vec![Counts::default(); BUCKETS as usize],
            last: None,
            last_work: None,
            upkeep: VecDeque::new(),
            holders: Holders::default(),
            files: 0,
            tables: 0,
            moved_files: 0,
        }
    }

    /// Takes what a stream of records gives.
    pub fn notice(&mut self, notice: &Notice<'_>) {
        self.holders.notice(notice);
        match notice {
            Notice::Committed(committed) => self.committed(committed),
            Notice::Locks { .. } | Notice::Prepared { .. } | Notice::Aborted { .. } | Notice::Running { .. } => {}
            Notice::RestorePoint { point, .. } => {
                if point.name.starts_with(ARCHIVE_CHECK) {
                    return;
                }
                if self.restore_points.len() < MOST_RESTORE_POINTS {
                    self.restore_points.push((point.time, clean_bytes(point.name)));
                }
            }
        }
    }

    /// How many transactions are kept that may be an accident.
    #[must_use]
    pub fn candidates(&self) -> usize {
        self.candidates.len()
    }

    fn committed(&mut self, committed: &Committed) {
        self.commits += 1;
        let is_inside = committed.time.utc().is_some_and(|time| (self.window.from..=self.window.to).contains(&time));
        self.commits_inside += u64::from(is_inside);
        let (earliest, latest) = self.span.unwrap_or((committed.time, committed.time));
        self.span = Some((earliest.min(committed.time), latest.max(committed.time)));
        self.clock_steps_back += u64::from(self.last.is_some_and(|last| last.time > committed.time));
        self.add_to_histogram(committed);
        let has_moved = !committed.created.is_empty() && !committed.removed.is_empty();
        let damage = if is_inside || has_moved { damage::of(committed, &self.names) } else { Damage::default() };
        let is_moved = has_moved && self.add_move(committed, &damage);
        self.names.note_catalogs(committed, has_moved && damage.rewritten);
        if is_inside && damage.is_any() && weight(&damage) >= LEAST_WEIGHT {
            self.add_candidate(committed, damage);
        } else if let Some(candidate) = self.candidates.last_mut() {
            let room = MOST_TABLES_OF_ALL.saturating_sub(self.tables);
            self.tables += candidate.after.add_commit(committed, &self.names, room);
        }
        self.add_used(committed);
        // What was there when the window began was made by nobody in it, whatever file it lies in since.
        let is_old = is_moved && !committed.removed.iter().all(|file| self.made_files.contains_key(file));
        if is_inside && !is_old && self.made_files.len() < MOST_MADE {
            self.made_files.extend(committed.created.iter().map(|file| (*file, Used::default())));
            self.made_databases.extend(&committed.created_databases);
        }
        self.add_kept(committed);
    }

    fn add_kept(&mut self, committed: &Committed) {
        let (xid, time, start, end) = (committed.xid, committed.time, committed.start, committed.end);
        let kept = Kept { xid, time, start, end };
        self.last = Some(kept);
        if is_maintenance(committed, &self.names) {
            self.upkeep.push_back(kept);
            if self.upkeep.len() > MOST_UPKEEP {
                self.last_work = self.upkeep.pop_front();
            }
        } else {
            self.last_work = Some(kept);
            self.upkeep.clear();
        }
    }

    /// Where recovery stops right before a transaction that is committed now, the last commit before that, and how many
    /// commits of ANALYZE and VACUUM lie behind it.
    fn stop(&self, committed: &Committed) -> (Lsn, Option<Kept>, u64) {
        // Work that was committed between its first record and its own has to be kept; upkeep is done again.
        if self.last_work.is_some_and(|work| work.start > committed.first) {
            return (self.last.map_or(committed.first, |last| last.end), self.last, 0);
        }
        let before = self.upkeep.partition_point(|kept| kept.start < committed.first);
        let kept = before.checked_sub(1).and_then(|place| self.upkeep.get(place)).copied().or(self.last_work);
        (committed.first, kept, (self.upkeep.len() - before) as u64)
    }

    /// Who writes into a table that was made a moment ago has begun to use it.
    fn add_used(&mut self, committed: &Committed) {
        if self.made_files.is_empty() {
            return;
        }
        for (file, touched) in &committed.touched {
            if touched.counts.rows() > 0
                && let Some(used) = self.made_files.get_mut(file)
            {
                used.commits += 1;
                used.rows += touched.counts.rows();
            }
        }
    }

    fn add_to_histogram(&mut self, committed: &Committed) {
        let Some(time) = committed.time.utc() else { return };
        let whole = (self.window.to - self.window.from).num_microseconds().filter(|whole| *whole > 0);
        let since = (time - self.window.from).num_microseconds().filter(|since| *since >= 0);
        let (Some(whole), Some(since)) = (whole, since) else { return };
        let place = i128::from(since) * i128::from(BUCKETS) / i128::from(whole);
        let Some(bucket) = usize::try_from(place).ok().and_then(|place| self.histogram.get_mut(place)) else { return };
        for (file, touched) in &committed.touched {
            if self.names.kind(*file) == RelationKind::Table {
                bucket.add(touched.counts);
            }
        }
    }

    /// Notes which relations were given new files; returns whether none of them was dropped.
    fn add_move(&mut self, committed: &Committed, damage: &Damage) -> bool {
        let files = committed.created.len() + committed.removed.len();
        let has_room = self.moves.len() < MOST_MOVES && self.moved_files + files <= MOST_MOVED_FILES;
        if committed.removed.len() <= MOST_FILES && has_room {
            self.moved_files += files;
            let (is_truncate, is_rewrite) = (!damage.truncated.is_empty(), damage.rewritten);
            let (created, removed) = (committed.created.clone(), committed.removed.clone());
            self.moves.push(Move { created, removed, is_truncate, is_rewrite });
        }
        damage.dropped_tables == 0
    }

    /// The names that are known, and those of files that were left since, or taken since they were remembered: a relation
    /// keeps its name when TRUNCATE, VACUUM FULL, CLUSTER or an ALTER TABLE gives it another file.
    pub(super) fn all_names(&self) -> Names {
        let mut names = self.names.clone();
        for one in self.moves.iter().rev() {
            one.pairs(&names, true).into_iter().for_each(|(old, new)| names.follow(new, old));
        }
        for one in &self.moves {
            one.pairs(&names, false).into_iter().for_each(|(old, new)| names.follow(old, new));
        }
        names
    }

    fn add_candidate(&mut self, committed: &Committed, mut damage: Damage) {
        let weight = weight(&damage);
        let is_table = |(file, _): &&(RelationFile, _)| self.names.kind(*file) == RelationKind::Table;
        let committed = Committed {
            subtransactions: committed.subtransactions.iter().take(100).copied().collect(),
            touched: committed.touched.iter().filter(is_table).take(MOST_FILES).copied().collect(),
            cuts: false,
            // What matters of these is in the damage.
            created: Vec::new(),
            removed: Vec::new(),
            truncated: Vec::new(),
            gone: None,
            mapped: Vec::new(),
            redefined: committed.redefined.iter().take(MOST_FILES).copied().collect(),
            locks: committed.locks.iter().take(MOST_FILES).copied().collect(),
            dropped_databases: Vec::new(),
            created_databases: Vec::new(),
            ..*committed
        };
        damage.shorten(MOST_FILES);
        let (target, kept, upkeep) = self.stop(&committed);
        let mut locked = self.holders.at(target);
        locked.add(&committed.locks, target, MOST_FILES);
        locked.shorten(MOST_FILES);
        let after = Aftermath::default();
        let candidate = Candidate { committed, damage, target, kept, upkeep, locked, after, weight };
        self.files += candidate.files();
        self.candidates.push(candidate);
        while self.candidates.len() > MOST_CANDIDATES || self.files > MOST_FILES_OF_ALL && self.candidates.len() > 1 {
            self.make_way();
        }
    }

    /// The candidate with the least damage goes; what it and those after it did stays counted for the one before.
    fn make_way(&mut self) {
        let least = self.candidates.iter().enumerate().min_by_key(|(_, candidate)| candidate.weight);
        let Some((place, _)) = least else { return };
        let gone = self.candidates.remove(place);
        self.made_way += 1;
        if let Some(before) = place.checked_sub(1).and_then(|place| self.candidates.get_mut(place)) {
            before.after.add_commit(&gone.committed, &self.names, MOST_TABLES);
            before.after.add(&gone.after);
        }
        self.files -= gone.files();
        self.tables = self.candidates.iter().map(|candidate| candidate.after.tables.len()).sum();
    }
}

/// Transactions with less damage than a handful of rows are no candidates.
const LEAST_WEIGHT: u64 = 15;

/// How much a transaction destroyed, only to be compared with others.
fn weight(damage: &Damage) -> u64 {
    let rows: u64 = damage.rows.iter().map(|(_, touched)| touched.counts.deleted + touched.counts.updated).sum();
    let truncated = damage.truncated.len() as u64;
    rows + 1_000_000 * (truncated + damage.dropped_tables) + 1_000_000_000 * damage.dropped_databases.len() as u64
}
