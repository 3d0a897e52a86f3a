//! What relations were called, by the numbers that WAL knows them by.
//!
//! WAL names a relation by tablespace, database and file number; the name is in the catalog alone, and after an accident
//! the catalog may be what is lost. So names are remembered beforehand. TRUNCATE, VACUUM FULL, CLUSTER and REINDEX give a
//! relation a new file number, ALTER … RENAME a new name: what was seen before stays, with the time when it was last seen.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of a line; newer ones are passed over and counted.
pub const VERSION: u32 = 1;

/// A file as WAL names it. The numbers of a database's files say nothing in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileKey {
    /// The database's OID; 0 for what all databases share.
    pub database: u32,
    /// The tablespace's OID: 1663 for `pg_default`.
    pub tablespace: u32,
    /// The file number (`relfilenode`).
    pub file: u32,
}

/// A relation as the catalog had it at a time. Names are cleaned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relation {
    /// Its OID, which stays while file numbers come and go.
    pub oid: u32,
    /// The database's name; empty for what all share.
    pub database_name: String,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// PostgreSQL's letter: `r` table, `i` index, `t` TOAST table, `S` sequence, `m` materialized view.
    pub kind: char,
    /// The table that an index or a TOAST table belongs to, by its OID.
    pub owner: Option<u32>,
    /// The planner's estimate of its rows; `None` where it was never analysed.
    pub rows: Option<u64>,
    /// Its size by the catalog's count of pages, as of the last vacuum or analyse.
    pub bytes: u64,
}

/// A relation under a file number, over the time it was seen so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The first time.
    pub first: DateTime<Utc>,
    /// The last time.
    pub last: DateTime<Utc>,
    /// As it was the last time.
    pub relation: Relation,
}

/// All that is remembered of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogMemory {
    /// The cluster's system identifier.
    pub system_identifier: u64,
    /// Of every file what it was, oldest first.
    seen: BTreeMap<FileKey, Vec<Seen>>,
}

/// What a look at the catalog brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    /// Files that were not known, or were another relation's or another name's.
    pub new: u64,
    /// Files known as they are.
    pub known: u64,
}

/// What was read of a file of lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unread {
    /// Lines that can't be read.
    pub damaged: u64,
    /// Lines of another cluster, or of a newer version.
    pub foreign: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    version: u32,
    system: u64,
    #[serde(flatten)]
    key: FileKey,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
    #[serde(flatten)]
    relation: Relation,
}

impl CatalogMemory {
    /// Nothing is remembered yet.
    #[must_use]
    pub fn new(system_identifier: u64) -> CatalogMemory {
        CatalogMemory { system_identifier, seen: BTreeMap::new() }
    }

    /// Reads lines of JSON. What can't be read is passed over: a torn line must not take the others with it.
    #[must_use]
    pub fn read(system_identifier: u64, text: &str) -> (CatalogMemory, Unread) {
        let mut memory = CatalogMemory::new(system_identifier);
        let mut unread = Unread::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match serde_json::from_str::<Line>(line) {
                Ok(line) if line.version == VERSION && line.system == system_identifier && line.first <= line.last => {
                    let seen = Seen { first: line.first, last: line.last, relation: line.relation };
                    memory.seen.entry(line.key).or_default().push(seen);
                }
                Ok(_) => unread.foreign += 1,
                Err(_) => unread.damaged += 1,
            }
        }
        for all in memory.seen.values_mut() {
            all.sort_by_key(|seen| seen.last);
        }
        (memory, unread)
    }

    /// The lines, one for each file and what it was.
    ///
    /// # Errors
    /// None that these types can bring about; serde's signature has one.
    pub fn write(&self) -> Result<String, serde_json::Error> {
        let mut text = String::new();
        for (key, seen) in &self.seen {
            for Seen { first, last, relation } in seen {
                let (system, relation) = (self.system_identifier, relation.clone());
                let line = Line { version: VERSION, system, key: *key, first: *first, last: *last, relation };
                text.push_str(&serde_json::to_string(&line)?);
                text.push('\n');
            }
        }
        Ok(text)
    }

    /// Takes in what the catalog says now. What it no longer says stays.
    pub fn merge(&mut self, relations: impl IntoIterator<Item = (FileKey, Relation)>, now: DateTime<Utc>) -> Merged {
        let mut merged = Merged::default();
        for (key, relation) in relations {
            let all = self.seen.entry(key).or_default();
            let same = |seen: &&mut Seen| {
                let known = &seen.relation;
                let names = (&known.database_name, &known.schema, &known.name);
                known.oid == relation.oid && names == (&relation.database_name, &relation.schema, &relation.name)
            };
            match all.last_mut().filter(same) {
                Some(seen) => {
                    // a clock that was set back does not make it younger
                    seen.last = seen.last.max(now);
                    seen.relation = relation;
                    merged.known += 1;
                }
                None => {
                    all.push(Seen { first: now, last: now, relation });
                    merged.new += 1;
                }
            }
        }
        merged
    }

    /// Forgets what was last seen more than `age` ago, then of what is left the longest unseen until at most `most` files
    /// are remembered. Says how many went.
    pub fn forget(&mut self, now: DateTime<Utc>, age: TimeDelta, most: usize) -> u64 {
        let before = self.len();
        let mut times: Vec<DateTime<Utc>> = self.seen.values().flatten().map(|seen| seen.last).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        let limit = times.get(most).copied();
        // of those last seen at the limit itself, as many stay as there is room for
        let mut room = limit.map_or(0, |limit| times[..most].iter().filter(|time| **time == limit).count());
        let mut fits = |last: DateTime<Utc>| match limit {
            Some(limit) if last == limit => room.checked_sub(1).inspect(|left| room = *left).is_some(),
            Some(limit) => last > limit,
            None => true,
        };
        for all in self.seen.values_mut() {
            all.retain(|seen| seen.last + age >= now && fits(seen.last));
        }
        self.seen.retain(|_, all| !all.is_empty());
        (before - self.len()) as u64
    }

    /// How many files are remembered, each name of each counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.values().map(Vec::len).sum()
    }

    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Every file, with what it was at a time.
    pub fn all_at(&self, time: DateTime<Utc>) -> impl Iterator<Item = (FileKey, &Seen)> {
        self.seen.keys().filter_map(move |key| Some((*key, self.at(*key, time)?)))
    }

    /// All that a file was, oldest first.
    #[must_use]
    pub fn of_file(&self, key: FileKey) -> &[Seen] {
        self.seen.get(&key).map_or(&[], Vec::as_slice)
    }

    /// What a file was at a time: what was seen around it, else what was seen last before, else first after.
    #[must_use]
    pub fn at(&self, key: FileKey, time: DateTime<Utc>) -> Option<&Seen> {
        let all = self.of_file(key);
        let before = all.iter().rev().find(|seen| seen.first <= time);
        before.or(all.first())
    }

    /// Every file that a relation of a database has had, with its times.
    pub fn of_relation(&self, database: u32, oid: u32) -> impl Iterator<Item = (FileKey, &Seen)> {
        let own = move |(key, _): &(&FileKey, &Vec<Seen>)| key.database == database;
        let files = self.seen.iter().filter(own).flat_map(|(key, all)| all.iter().map(|seen| (*key, seen)));
        files.filter(move |(_, seen)| seen.relation.oid == oid)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_000_000 + day * 86_400, 0).unwrap()
    }

    fn key(file: u32) -> FileKey {
        FileKey { database: 5, tablespace: 1663, file }
    }

    fn relation(oid: u32, name: &str) -> Relation {
        Relation {
            oid,
            database_name: "shop".to_owned(),
            schema: "public".to_owned(),
            name: name.to_owned(),
            kind: 'r',
            owner: None,
            rows: Some(7),
            bytes: 8192,
        }
    }

    #[test]
    fn a_moved_file_number_and_an_old_name_stay_known() {
        let mut memory = CatalogMemory::new(9);
        let first = memory.merge([(key(100), relation(16, "orders")), (key(101), relation(17, "payments"))], at(0));
        assert_eq!(first, Merged { new: 2, known: 0 });
        // truncated: another file; the other was renamed
        let second = memory.merge([(key(200), relation(16, "orders")), (key(101), relation(17, "paid"))], at(2));
        assert_eq!(second, Merged { new: 2, known: 0 });
        let name = |file, day| memory.at(key(file), at(day)).map(|seen| seen.relation.name.as_str());
        assert_eq!((name(100, 5), name(200, 5), name(300, 5)), (Some("orders"), Some("orders"), None));
        assert_eq!((name(101, -1), name(101, 1), name(101, 2)), (Some("payments"), Some("payments"), Some("paid")));
        let files: Vec<u32> = memory.of_relation(5, 16).map(|(key, _)| key.file).collect();
        assert_eq!(files, [100, 200]);
        assert_eq!(memory.of_relation(6, 16).count(), 0);
        assert_eq!(memory.at(FileKey { database: 6, ..key(100) }, at(0)), None);
    }

    #[test]
    fn what_is_seen_again_is_one_entry_with_its_newest_figures() {
        let mut memory = CatalogMemory::new(9);
        memory.merge([(key(100), relation(16, "orders"))], at(0));
        let grown = Relation { rows: Some(1000), bytes: 81_920, ..relation(16, "orders") };
        assert_eq!(memory.merge([(key(100), grown)], at(3)), Merged { new: 0, known: 1 });
        let seen = &memory.of_file(key(100))[0];
        assert_eq!((seen.first, seen.last, seen.relation.rows, memory.len()), (at(0), at(3), Some(1000), 1));
        memory.merge([(key(100), relation(16, "orders"))], at(1));
        assert_eq!(memory.of_file(key(100))[0].last, at(3), "the clock was set back");
    }

    #[test]
    fn the_old_goes_first_and_no_more_than_allowed_stays() {
        let mut memory = CatalogMemory::new(9);
        for day in 0..10 {
            memory.merge([(key(100 + day), relation(day, "x"))], at(i64::from(day)));
        }
        assert_eq!(memory.forget(at(10), TimeDelta::days(7), 100), 3);
        assert_eq!(memory.forget(at(10), TimeDelta::days(7), 4), 3);
        let left: Vec<u32> = (0..10).filter(|day| !memory.of_file(key(100 + day)).is_empty()).collect();
        assert_eq!(left, [6, 7, 8, 9]);
        assert_eq!(memory.forget(at(10), TimeDelta::days(7), 4), 0);
        // all seen at one time
        let mut one = CatalogMemory::new(9);
        one.merge((0..10).map(|file| (key(file), relation(file, "x"))), at(0));
        assert_eq!((one.forget(at(0), TimeDelta::days(7), 6), one.len()), (4, 6));
    }

    #[test]
    fn damaged_and_foreign_lines_are_passed_over_and_counted() {
        let mut memory = CatalogMemory::new(9);
        memory.merge([(key(100), relation(16, "orders"))], at(0));
        let line = memory.write().unwrap();
        let text = format!("{line}{}", &line[..40])
            + "\n[]\n\n"
            + &line.replace("\"system\":9", "\"system\":8")
            + &line.replace("\"version\":1", "\"version\":2");
        let (read, unread) = CatalogMemory::read(9, &text);
        assert_eq!((read, unread), (memory, Unread { damaged: 2, foreign: 2 }));
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(entries in proptest::collection::vec((1u32..6, 1u32..4, "\\PC{0,8}", 0i64..50), 0..30)) {
            let mut memory = CatalogMemory::new(u64::MAX);
            let mut days: Vec<_> = entries;
            days.sort_by_key(|entry| entry.3);
            for (file, oid, name, day) in days {
                memory.merge([(key(file), relation(oid, &name))], at(day));
            }
            prop_assert_eq!(CatalogMemory::read(u64::MAX, &memory.write().unwrap()), (memory, Unread::default()));
        }

        #[test]
        fn no_text_breaks_it(text in "(\\PC|\n|\\{|\"version\":1,){0,60}") {
            let _ = CatalogMemory::read(1, &text);
        }
    }
}
