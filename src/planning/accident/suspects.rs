//! From candidates to the answer: ranks, exact targets, what is kept and what is discarded.

use crate::domain::wal_reader::{PgTime, RelationFile};
use crate::planning::accident::answer::{Answer, Discarded, ExactTarget, LastKept, Proposed, Suspect, SuspectRelation};
use crate::planning::accident::candidate::{Aftermath, Candidate};
use crate::planning::accident::counts::Counts;
use crate::planning::accident::names::{Names, RelationKind};
use crate::planning::accident::score::{self, ACCIDENT_SCORE, Around, LEAST_SCORE};
use crate::planning::accident::search::{Coverage, Search};
use crate::planning::target::show;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};

const MOST_SUSPECTS: usize = 50;
/// Tables of a suspect's discarded commits that are named.
const MOST_NAMED: usize = 500;
/// A restore point counts this long.
const RESTORE_POINT_SECONDS: i64 = 120;

impl Search {
    /// The answer. With `table`, only suspects that touch it count: a name with or without its schema, an oid or a file
    /// number.
    #[must_use]
    pub fn answer(&self, table: Option<&str>, coverage: Coverage) -> Answer {
        let mut notes = coverage.notes;
        let names = self.all_names();
        let mut suspects = self.suspects(&names);
        if let Some(table) = table {
            let all = suspects.len();
            suspects.retain(|suspect| suspect.relations.iter().any(|relation| is_table(relation, table)));
            if suspects.len() < all {
                notes.push(format!(
                    "{} more suspects do not touch {table}: leave the table out to see them",
                    all - suspects.len()
                ));
            }
        }
        rank(&mut suspects);
        self.limit(&mut suspects, &mut notes);
        notes.extend(unlisted(&self.all_later()));
        let proposed = suspects
            .iter()
            .find(|suspect| suspect.score >= ACCIDENT_SCORE)
            .map(|suspect| Proposed { xid: suspect.xid, target: suspect.target.clone() });
        self.add_notes(&suspects, &mut notes);
        Answer {
            schema: 1,
            from: self.window.from,
            to: self.window.to,
            segments_read: coverage.segments,
            bytes_read: coverage.bytes,
            proposed,
            suspects,
            histogram: self.histogram.clone(),
            notes,
        }
    }

    /// What was committed after the first candidate.
    fn all_later(&self) -> Aftermath {
        let mut later = Aftermath::default();
        self.candidates.iter().for_each(|candidate| later.add(&candidate.after));
        later
    }

    /// In commit order.
    fn suspects(&self, names: &Names) -> Vec<Suspect> {
        let mut later = Aftermath::default();
        let mut found: Vec<Suspect> = Vec::new();
        for candidate in self.candidates.iter().rev() {
            later.add(&candidate.after);
            let mut discarded = discarded(&later, names);
            discarded.commits += candidate.upkeep;
            discarded.maintenance += candidate.upkeep;
            let own = Aftermath {
                commits: 1,
                upkeep: 0,
                tables: candidate.damage.rows.iter().map(|(file, touched)| (*file, touched.counts)).collect(),
                others: Counts::default(),
            };
            later.add(&own);
            if let Some(mut suspect) = self.suspect(&candidate.settled(names), &later.tables, names) {
                suspect.discarded = discarded;
                found.push(suspect);
            }
        }
        found.reverse();
        found
    }

    fn suspect(&self, candidate: &Candidate, since: &BTreeMap<RelationFile, Counts>, names: &Names) -> Option<Suspect> {
        let committed = &candidate.committed;
        let around = Around {
            names,
            since,
            made_files: &self.made_files,
            made_databases: &self.made_databases,
            alike: self.alike(candidate),
            restore_point: self.restore_point(committed.time),
        };
        let judged = score::judge(&candidate.damage, &around);
        if judged.score < LEAST_SCORE {
            return None;
        }
        let last_kept =
            candidate.kept.and_then(|kept| Some(LastKept { xid: kept.xid, time: kept.time.utc()?, lsn: kept.end }));
        Some(Suspect {
            rank: 0,
            xid: committed.xid,
            first_record_lsn: committed.first,
            may_begin_earlier: !committed.first_is_sure,
            commit_time: committed.time.utc()?,
            commit_start_lsn: committed.start,
            commit_end_lsn: committed.end,
            database: names.database(committed.database),
            relations: relations(candidate, names, &around),
            score: judged.score,
            reasons: judged.reasons,
            target: ExactTarget::before(candidate.target, committed.timeline),
            locked_until_promotion: names.locked(candidate.locked.until_promotion.iter().copied()),
            locked_by_prepared: names.locked(candidate.locked.prepared.iter().copied()),
            last_kept,
            discarded: Discarded::default(),
            subtransactions: committed.subtransactions.clone(),
        })
    }

    /// How many candidates, this one included, do the same kind of thing to the same relation, about as much.
    fn alike(&self, candidate: &Candidate) -> usize {
        let Some(own) = kind(candidate) else { return 1 };
        self.candidates.iter().filter(|other| kind(other).is_some_and(|other| own.is_like(&other))).count()
    }

    fn restore_point(&self, commit: PgTime) -> Option<(&str, i64)> {
        let before = self.restore_points.iter().filter(|(time, _)| *time <= commit);
        let (time, name) = before.max_by_key(|(time, _)| *time)?;
        let seconds = commit.0.saturating_sub(time.0) / 1_000_000;
        (seconds <= RESTORE_POINT_SECONDS).then_some((name.as_str(), seconds))
    }

    fn limit(&self, suspects: &mut Vec<Suspect>, notes: &mut Vec<String>) {
        if suspects.len() > MOST_SUSPECTS {
            notes.push(format!("{} suspects of lower rank are left out", suspects.len() - MOST_SUSPECTS));
            suspects.retain(|suspect| suspect.rank <= MOST_SUSPECTS);
        }
        if self.made_way > 0 {
            notes.push(format!(
                "{} transactions that changed fewer rows were not kept as candidates; they are counted as discarded",
                self.made_way
            ));
        }
    }

    fn add_notes(&self, suspects: &[Suspect], notes: &mut Vec<String>) {
        let around = self.window.around;
        let accidents: Vec<DateTime<Utc>> = suspects
            .iter()
            .filter(|suspect| suspect.score >= ACCIDENT_SCORE)
            .map(|suspect| suspect.commit_time)
            .collect();
        // Where no score says accident, the suspects are all there is.
        let (what, all) = if accidents.is_empty() {
            ("suspect", suspects.iter().map(|suspect| suspect.commit_time).collect())
        } else {
            ("accident", accidents.clone())
        };
        if let (Some(first), Some(last)) = (all.iter().min(), all.iter().max()) {
            let (given, first, last) = (show(around), show(*first), show(*last));
            if all.iter().all(|at| around < *at) {
                notes.push(format!("the time given, {given}, is before every {what}: the first is at {first}"));
            } else if all.iter().all(|at| around > *at) {
                notes.push(format!("the time given, {given}, is after every {what}: the last is at {last}"));
            }
        }
        if let [_, _, ..] = accidents.as_slice() {
            let loudest = suspects.iter().find(|suspect| suspect.rank == 1);
            if let Some(loudest) = loudest.filter(|loudest| Some(&loudest.commit_time) != accidents.first()) {
                notes.push(format!(
                    "the loudest is transaction {}, and it is not the first: the damage began before it",
                    loudest.xid
                ));
            }
        }
        if self.clock_steps_back > 0 {
            notes.push(format!(
                "commit times go back {} times: by little where sessions commit at once, by much where the server's clock was set",
                self.clock_steps_back
            ));
        }
        if self.commits_inside == 0 {
            let span = self.span.and_then(|(earliest, latest)| Some((earliest.utc()?, latest.utc()?)));
            let span = span.map_or(String::new(), |(earliest, latest)| {
                format!("; they are from {} to {}, by the server's clock", show(earliest), show(latest))
            });
            notes.push(format!("of {} commits read, none lies in the window{span}", self.commits));
        }
    }
}

/// What was committed later, by the tables' names.
pub(super) fn discarded(later: &Aftermath, names: &Names) -> Discarded {
    let mut by_table: BTreeMap<String, Counts> = BTreeMap::new();
    let is_table = |(file, _): &(&RelationFile, &Counts)| names.kind(**file) == RelationKind::Table;
    let tables: Vec<(&RelationFile, &Counts)> = later.tables.iter().filter(is_table).collect();
    let databases: BTreeSet<u32> = tables.iter().map(|(file, _)| file.database).collect();
    for (file, counts) in tables {
        let name = names.beside(names.show(*file), file.database, &databases);
        by_table.entry(name).or_default().add(*counts);
    }
    if by_table.len() > MOST_NAMED {
        let mut rows: Vec<u64> = by_table.values().map(|counts| counts.rows()).collect();
        rows.sort_unstable_by(|one, other| other.cmp(one));
        // Of equal ones at the border the first by name stay.
        let (least, mut left) = (rows[MOST_NAMED - 1], MOST_NAMED);
        left -= rows.iter().filter(|rows| **rows > least).count();
        by_table.retain(|_, counts| {
            let is_equal = counts.rows() == least;
            let stays = counts.rows() > least || is_equal && left > 0;
            left -= usize::from(stays && is_equal);
            stays
        });
    }
    Discarded { commits: later.commits, maintenance: later.upkeep, by_table }
}

/// What of it is counted and not listed, in words.
pub(super) fn unlisted(later: &Aftermath) -> Vec<String> {
    let (further, others) = (later.tables.len().saturating_sub(MOST_NAMED), later.others.rows());
    let mut notes = Vec::new();
    if further > 0 {
        notes.push(format!(
            "of what is discarded the {MOST_NAMED} tables with the most changed rows are listed; {further} more are not"
        ));
    }
    if others > 0 {
        notes.push(format!(
            "{others} discarded rows lie in tables that were too many to be told apart: their commits are counted, the \
             tables are not listed"
        ));
    }
    notes
}

/// By score; of equal ones the earlier commit goes first.
fn rank(suspects: &mut [Suspect]) {
    let mut order: Vec<usize> = (0..suspects.len()).collect();
    order.sort_by_key(|place| std::cmp::Reverse(suspects[*place].score));
    for (rank, place) in order.into_iter().enumerate() {
        suspects[place].rank = rank + 1;
    }
}

/// The main thing that a candidate does.
struct Kind {
    what: &'static str,
    relation: RelationFile,
    rows: u64,
}

impl Kind {
    fn is_like(&self, other: &Kind) -> bool {
        let (less, more) = (self.rows.min(other.rows), self.rows.max(other.rows));
        self.what == other.what && self.relation == other.relation && less * 2 >= more
    }
}

fn kind(candidate: &Candidate) -> Option<Kind> {
    if !candidate.damage.dropped_databases.is_empty() || candidate.damage.dropped_tables > 0 {
        return None;
    }
    let rows = candidate.damage.rows.iter();
    let (relation, touched) = rows.max_by_key(|(_, touched)| touched.counts.deleted.max(touched.counts.updated))?;
    let Counts { updated, deleted, .. } = touched.counts;
    let what = if deleted >= updated { "deletes" } else { "updates" };
    Some(Kind { what, relation: *relation, rows: deleted.max(updated) })
}

fn relations(candidate: &Candidate, names: &Names, around: &Around<'_>) -> Vec<SuspectRelation> {
    let mut found: Vec<SuspectRelation> = Vec::new();
    let of_file = |file: RelationFile, counts: Counts| SuspectRelation {
        name: names.show(file),
        oid: names.file(file).map(|relation| relation.oid),
        filenode: file.number,
        inserted: counts.inserted,
        updated: counts.updated,
        deleted: counts.deleted,
        truncated: false,
        dropped: false,
        bytes: None,
        share: score::share(counts.deleted.max(counts.updated), score::rows_before(file, around)),
        remembered: names.file(file).and_then(|relation| relation.remembered),
    };
    for (file, touched) in &candidate.damage.rows {
        found.push(of_file(*file, touched.counts));
    }
    for emptied in &candidate.damage.truncated {
        let place = found.iter().position(|one| emptied.new.is_some_and(|new| new.number == one.filenode));
        let mut relation = match (place, emptied.oid, emptied.new.or(emptied.old)) {
            (Some(place), ..) => found.remove(place),
            (None, Some((database, oid)), _) => SuspectRelation {
                name: names.show_oid(database, oid),
                oid: Some(oid),
                remembered: names.oid(database, oid).and_then(|relation| relation.remembered),
                ..of_file(RelationFile { tablespace: 0, database, number: 0 }, Counts::default())
            },
            (None, None, Some(file)) => of_file(file, Counts::default()),
            (None, None, None) => continue,
        };
        relation.truncated = true;
        relation.filenode = emptied.old.map_or(relation.filenode, |old| old.number);
        found.push(relation);
    }
    let oids: BTreeSet<u32> = candidate.committed.redefined.iter().map(|(_, oid)| *oid).collect();
    for file in &candidate.damage.dropped_files {
        let known = names.file(*file).map(|relation| relation.kind);
        // A table's first file has its oid as its number.
        let is_shown = match known {
            Some(kind) => kind == RelationKind::Table,
            None => found.len() < 100,
        };
        if is_shown {
            let place = found.iter().position(|one| one.filenode == file.number);
            let mut relation = place.map_or_else(|| of_file(*file, Counts::default()), |place| found.remove(place));
            relation.oid = relation.oid.or_else(|| oids.contains(&file.number).then_some(file.number));
            relation.dropped = true;
            relation.bytes = names.bytes(*file);
            found.push(relation);
        }
    }
    found
}

fn is_table(relation: &SuspectRelation, table: &str) -> bool {
    let name = relation.name.as_str();
    let plain = table.strip_prefix("public.").unwrap_or(table);
    name == plain
        || name.rsplit_once('.').is_some_and(|(_, last)| last == table)
        || relation.oid.is_some_and(|oid| oid.to_string() == table)
        || relation.filenode.to_string() == table
}
