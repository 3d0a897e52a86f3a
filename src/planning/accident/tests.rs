#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::domain::catalog_memory::{CatalogMemory, FileKey, Relation};
use crate::domain::lsn::Lsn;
use crate::domain::wal::TimelineId;
use crate::domain::wal_reader::{Change, ChangeKind, PgTime, RelationFile, RestorePoint};
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;

const ORDERS: RelationFile = file(16500);
const CUSTOMERS: RelationFile = file(16600);
const PG_CLASS: RelationFile = file(1259);
const PG_TYPE: RelationFile = file(1247);

const fn file(number: u32) -> RelationFile {
    RelationFile { tablespace: 1663, database: 16384, number }
}

fn noon() -> DateTime<Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn window() -> Window {
    Window { from: noon() - TimeDelta::minutes(15), to: noon() + TimeDelta::minutes(15), around: noon() }
}

/// A commit so many seconds after noon; one every 0x100 bytes, each record before its commit 0x80 before.
fn commit(xid: u32, seconds: i64) -> Committed {
    let start = Lsn(0x1000_0000 + u64::from(xid) * 0x100);
    Committed {
        xid,
        subtransactions: Vec::new(),
        time: PgTime::of(noon() + TimeDelta::seconds(seconds)),
        first: Lsn(start.0 - 0x80),
        first_is_sure: true,
        start,
        end: Lsn(start.0 + 0x30),
        timeline: TimelineId(3),
        database: 16384,
        was_prepared: false,
        does_other: false,
        cuts: false,
        locks_rows: 0,
        touched: Vec::new(),
        created: Vec::new(),
        removed: Vec::new(),
        truncated: Vec::new(),
        gone: None,
        mapped: Vec::new(),
        redefined: Vec::new(),
        locks: Vec::new(),
        dropped_databases: Vec::new(),
        created_databases: Vec::new(),
    }
}

impl Committed {
    fn rows(mut self, relation: RelationFile, kind: ChangeKind, rows: u32) -> Committed {
        let mut touched = Touched::default();
        (0..rows).for_each(|row| touched.change(&Change { relation, kind, rows: 1, block: row / 50 }));
        match self.touched.iter_mut().find(|(other, _)| *other == relation) {
            Some((_, before)) => before.add(&touched),
            None => self.touched.push((relation, touched)),
        }
        self
    }

    fn pages(mut self, relation: RelationFile, pages: u64) -> Committed {
        let mut touched = Touched::default();
        touched.pages = pages;
        self.touched.push((relation, touched));
        self
    }

    fn files(mut self, created: &[u32], removed: &[u32]) -> Committed {
        self.created = created.iter().copied().map(file).collect();
        self.removed = removed.iter().copied().map(file).collect();
        self
    }
}

fn deletes(xid: u32, seconds: i64, rows: u32) -> Committed {
    commit(xid, seconds).rows(ORDERS, ChangeKind::Delete, rows)
}

fn inserts(xid: u32, seconds: i64) -> Committed {
    commit(xid, seconds).rows(CUSTOMERS, ChangeKind::Insert, 2)
}

/// `orders` with so many rows left, `customers` with 1,000.
fn names(orders: u64) -> Names {
    let mut names = Names::default();
    names.add_database(16384, "shop".to_owned());
    for (file, name, rows) in [(ORDERS, "orders", orders), (CUSTOMERS, "customers", 1000)] {
        let (schema, name, kind) = ("public".to_owned(), name.to_owned(), RelationKind::Table);
        let (rows, counted) = (Some(rows), Counted::After);
        let (oid, estimated, bytes, remembered) = (file.number - 100, None, None, None);
        let relation = RelationName { oid, schema, name, kind, rows, counted, estimated, bytes, remembered };
        names.add(16384, file.number, relation);
    }
    names
}

fn answer_with(names: Names, history: &[Committed]) -> Answer {
    let mut search = Search::new(window(), names);
    history.iter().for_each(|committed| search.notice(&Notice::Committed(committed)));
    search.answer(None, Coverage::default())
}

fn answer(history: &[Committed]) -> Answer {
    answer_with(names(400), history)
}

fn proposed(answer: &Answer) -> Option<u32> {
    answer.proposed.as_ref().map(|proposed| proposed.xid)
}

#[test]
fn the_first_is_proposed_though_the_second_is_louder() {
    let mut history = vec![inserts(700, -5), deletes(701, 0, 600), inserts(702, 1)];
    history.push(commit(703, 2).rows(PG_CLASS, ChangeKind::Delete, 4).rows(PG_TYPE, ChangeKind::Delete, 2));
    history[3].removed = vec![CUSTOMERS, file(16601)];
    history.extend([inserts(704, 3), deletes(705, 4, 1)]);
    let answer = answer(&history);
    assert_eq!(proposed(&answer), Some(701), "{answer:#?}");
    let [first, second] = answer.suspects.as_slice() else { panic!("{answer:#?}") };
    assert!(first.score >= ACCIDENT_SCORE && second.reasons[0].starts_with("drops customers"), "{second:#?}");
    assert!(first.reasons[0].contains("600 of about 1001 rows of orders (60 %)"), "{first:#?}");
    // What is discarded with the first, the second's damage among it.
    let lost: Vec<_> = first.discarded.by_table.iter().map(|(table, counts)| (table.as_str(), *counts)).collect();
    let rows = |inserted, deleted| Counts { inserted, updated: 0, deleted };
    assert_eq!(lost, [("customers", rows(4, 0)), ("orders", rows(0, 1))]);
    assert_eq!((first.discarded.commits, second.discarded.commits), (4, 2));
    let kept = first.last_kept.as_ref().unwrap();
    assert_eq!((kept.xid, kept.lsn, kept.time), (700, history[0].end, noon() - TimeDelta::seconds(5)));
    assert!(second.relations.iter().any(|relation| relation.name == "customers" && relation.dropped));
}

#[test]
fn the_target_is_the_first_record_unless_others_committed_since() {
    let target = |history: &[Committed]| answer(history).proposed.unwrap().target;
    let alone = target(&[inserts(700, -5), deletes(701, 0, 600)]);
    assert_eq!(alone, ExactTarget::before(deletes(701, 0, 600).first, TimelineId(3)));
    assert_eq!(alone.recovery_target().to_string(), format!("lsn {}, exclusive", alone.value));
    let mut long = deletes(701, 0, 600);
    let other = inserts(700, -5);
    long.first = Lsn(other.start.0 - 0x10);
    let lock = |at| HeldLock { database: 16384, relation: ORDERS.number - 100, at };
    long.locks = vec![lock(long.first)];
    let answer = answer(&[other.clone(), long.clone()]);
    assert_eq!(answer.suspects[0].target.value, other.end);
    assert_eq!(answer.suspects[0].locked_until_promotion, ["orders"]);
    // A lock that is taken behind the target is not held there.
    long.locks = vec![lock(Lsn(other.end.0 + 8))];
    assert!(answer_with(names(400), &[other, long]).suspects[0].locked_until_promotion.is_empty());
}

#[test]
fn shares_count_what_was_there_before() {
    // 100 rows are left of 1000: two deletes of 450, the second of 550.
    let answer = answer_with(names(100), &[deletes(701, 0, 450), deletes(702, 1, 450)]);
    let shares: Vec<f64> = answer.suspects.iter().map(|suspect| suspect.relations[0].share.unwrap()).collect();
    assert!((shares[0] - 0.45).abs() < 1e-9 && (shares[1] - 450.0 / 550.0).abs() < 1e-9, "{shares:?}");
}

#[test]
fn rewrites_are_no_accidents_and_truncates_are() {
    let vacuum_full = commit(701, 0)
        .rows(PG_CLASS, ChangeKind::Insert, 1)
        .rows(PG_CLASS, ChangeKind::Delete, 1)
        .rows(PG_TYPE, ChangeKind::Insert, 2)
        .rows(PG_TYPE, ChangeKind::Delete, 2)
        .files(&[17000, 17001], &[16500, 16501])
        .pages(file(17000), 40)
        .pages(file(17001), 3);
    let reindex = commit(702, 0).files(&[17002], &[16700]).pages(file(17002), 1);
    let reload = commit(703, 0).files(&[17003], &[16701]).rows(file(17003), ChangeKind::Insert, 500);
    let honest = answer_with(Names::default(), &[vacuum_full, reindex, reload]);
    assert_eq!(proposed(&honest), None, "{honest:#?}");

    let truncate = commit(704, 0).files(&[17004, 17005], &[16500, 16501]).pages(file(17005), 1);
    let answer = answer_with(names(10), &[truncate]);
    assert_eq!(proposed(&answer), Some(704));
    assert!(answer.suspects[0].reasons[0].contains("truncates orders"), "{answer:#?}");
    assert!(answer.suspects[0].relations[0].truncated);
}

#[test]
fn catalogs_that_moved_are_known_by_their_names() {
    // Somebody ran VACUUM FULL on the whole database.
    let mut names = names(10);
    for (number, oid) in [(18_000, 1259), (18_010, 1247)] {
        let (schema, name, kind) = ("pg_catalog".to_owned(), "moved".to_owned(), RelationKind::Catalog);
        let (rows, counted, estimated, bytes, remembered) = (None, Counted::After, None, None, None);
        names.add(16384, number, RelationName { oid, schema, name, kind, rows, counted, estimated, bytes, remembered });
    }
    let dropped = commit(701, 0)
        .rows(file(18_000), ChangeKind::Delete, 2)
        .rows(file(18_010), ChangeKind::Delete, 2)
        .files(&[], &[ORDERS.number]);
    let answer = answer_with(names, &[dropped]);
    assert_eq!(proposed(&answer), Some(701), "{answer:#?}");
    assert!(answer.suspects[0].reasons[0].starts_with("drops orders"), "{answer:#?}");
}

#[test]
fn names_follow_a_table_into_its_new_files_and_back() {
    // Emptied, then rewritten: its file was 16400, then 16450, now 16500.
    let truncate = commit(702, 1).files(&[16450, 16451], &[16400, 16401]).pages(file(16451), 1);
    let rewrite = commit(703, 2)
        .rows(PG_CLASS, ChangeKind::Insert, 1)
        .rows(PG_CLASS, ChangeKind::Delete, 1)
        .rows(PG_TYPE, ChangeKind::Insert, 2)
        .rows(PG_TYPE, ChangeKind::Delete, 2)
        .files(&[16500, 16501], &[16451, 16450])
        .rows(file(16500), ChangeKind::Insert, 10);
    let deletes = commit(701, 0).rows(file(16400), ChangeKind::Delete, 300);
    let answer = answer_with(names(10), &[deletes, truncate, rewrite]);
    let named: Vec<_> =
        answer.suspects.iter().map(|suspect| (suspect.xid, suspect.relations[0].name.as_str())).collect();
    assert_eq!(named, [(701, "orders"), (702, "orders")], "{answer:#?}");
}

/// What was remembered before the window: `orders` under 16400, `customers` under 16600 and nothing newer.
fn remembered() -> CatalogMemory {
    let relation = |oid, name: &str, rows| Relation {
        oid,
        database_name: "shop".to_owned(),
        schema: "public".to_owned(),
        name: name.to_owned(),
        kind: 'r',
        owner: None,
        rows: Some(rows),
        bytes: 8192,
    };
    let key = |file| FileKey { database: 16384, tablespace: 1663, file };
    let mut memory = CatalogMemory::new(9);
    memory.merge([(key(16400), relation(16400, "orders", 400))], noon() - TimeDelta::days(2));
    memory.merge([(key(16600), relation(16500, "customers", 1000))], noon() - TimeDelta::days(1));
    memory
}

#[test]
fn catalogs_that_moved_are_known_by_their_map() {
    let mut moved = commit(700, -60)
        .files(&[18_010, 18_011], &[PG_TYPE.number, 2703])
        .pages(file(18_010), 9)
        .pages(file(18_011), 2);
    moved.mapped = vec![(1259, file(18_000)), (1247, file(18_010))];
    let dropped = commit(701, 0)
        .rows(file(18_000), ChangeKind::Delete, 2)
        .rows(file(18_010), ChangeKind::Delete, 2)
        .files(&[], &[17_500]);
    let answer = answer_with(Names::default(), &[moved, dropped.clone()]);
    assert_eq!(proposed(&answer), Some(701), "{answer:#?}");
    let [relation] = answer.suspects[0].relations.as_slice() else { panic!("catalogs are among them: {answer:#?}") };
    assert!(relation.dropped && relation.filenode == 17_500, "{answer:#?}");
    // Where the commit says itself what it dropped, rows are not looked at.
    let said = |relations: Vec<(u32, u32)>, tables| {
        let gone = Some(Gone { relations, tables, ..Gone::default() });
        proposed(&answer_with(Names::default(), &[Committed { gone, ..dropped.clone() }]))
    };
    assert_eq!((said(vec![(16384, 17_500)], 1), said(vec![(16384, 17_500)], 0)), (Some(701), None));
}

#[test]
fn what_is_remembered_names_what_is_gone_and_says_since_when() {
    let mut names = Names::default();
    assert_eq!(names.add_remembered(&remembered(), noon()), 2);
    // Emptied, then rewritten, then dropped: no catalog knows it any more.
    let truncate = commit(702, 1).files(&[16450, 16451], &[16400, 16401]).pages(file(16451), 1);
    let rewrite = commit(703, 2)
        .rows(PG_CLASS, ChangeKind::Insert, 1)
        .rows(PG_CLASS, ChangeKind::Delete, 1)
        .rows(PG_TYPE, ChangeKind::Insert, 2)
        .rows(PG_TYPE, ChangeKind::Delete, 2)
        .files(&[16700, 16701], &[16451, 16450])
        .rows(file(16700), ChangeKind::Insert, 10);
    let dropped =
        commit(704, 3).rows(PG_CLASS, ChangeKind::Delete, 1).rows(PG_TYPE, ChangeKind::Delete, 2).files(&[], &[16700]);
    let deletes = commit(701, 0).rows(file(16400), ChangeKind::Delete, 300);
    let answer = answer_with(names, &[deletes, truncate, rewrite, dropped]);
    let named: Vec<_> = answer
        .suspects
        .iter()
        .map(|suspect| (suspect.xid, suspect.relations[0].name.as_str(), suspect.database.as_str()))
        .collect();
    assert_eq!(named, [(701, "orders", "shop"), (702, "orders", "shop"), (704, "orders", "shop")], "{answer:#?}");
    let dropped = &answer.suspects[2];
    assert_eq!((dropped.relations[0].oid, dropped.relations[0].bytes), (Some(16400), Some(8192)));
    assert_eq!(dropped.reasons[0], "drops orders with about 400 rows (1 relation file removed, about 8.2 kB)");
    let first = &answer.suspects[0].relations[0];
    assert_eq!((first.oid, first.share), (Some(16400), Some(0.75)));
    assert_eq!(first.remembered, Some(noon() - TimeDelta::days(2)));
}

#[test]
fn the_live_catalog_goes_before_what_is_remembered() {
    let mut live = names(400);
    // CUSTOMERS is live under the file that is remembered, ORDERS lies in another one now.
    assert_eq!(live.add_remembered(&remembered(), noon()), 1);
    assert_eq!((live.file(CUSTOMERS).unwrap().remembered, live.show(file(16400))), (None, "orders".to_owned()));
    assert_eq!(live.oid(16384, ORDERS.number - 100).unwrap().remembered, None);
}

#[test]
fn changes_are_told_over_time() {
    let edge = Committed { time: PgTime::of(window().to), ..deletes(703, 0, 9) };
    let answer = answer(&[inserts(700, -900), deletes(701, 0, 30), inserts(702, 899), edge]);
    let told: Vec<(usize, u64)> = answer
        .histogram
        .iter()
        .enumerate()
        .filter(|(_, one)| one.rows() > 0)
        .map(|(at, one)| (at, one.rows()))
        .collect();
    assert_eq!((told, answer.histogram.len()), (vec![(0, 2), (60, 30), (119, 2)], 120));
}

#[test]
fn what_was_made_in_the_window_may_go_and_databases_may_not() {
    let drop = |xid, seconds| {
        commit(xid, seconds)
            .rows(PG_TYPE, ChangeKind::Delete, 2)
            .rows(PG_CLASS, ChangeKind::Delete, 1)
            .files(&[], &[17000])
    };
    let made = commit(700, -9).files(&[17000], &[]);
    // It is shown all the same, and what it lost is told.
    let young = |commits: u32, rows| {
        let mut history = vec![made.clone()];
        history.extend((0..commits).map(|n| commit(800 + n, -8).rows(file(17000), ChangeKind::Insert, rows)));
        history.push(drop(900, 0));
        let found = answer(&history);
        let own = found.suspects.iter().find(|suspect| suspect.xid == 900).unwrap_or_else(|| panic!("{found:#?}"));
        (proposed(&found), own.reasons[0].clone())
    };
    assert_eq!(young(0, 0), (None, "drops a table, made shortly before".to_owned()));
    // Filled by loads, and used by sessions.
    assert_eq!(young(12, 50).0, None);
    assert_eq!(young(3, 2).0, None);
    let used = young(12, 2);
    assert_eq!(used.0, Some(900));
    assert!(used.1.ends_with("12 commits wrote 24 rows into it since"), "{used:?}");
    assert_eq!(proposed(&answer(&[drop(701, 0)])), Some(701));
    // Made before the window is made by nobody in it.
    let long_ago = Committed { time: PgTime::of(noon() - TimeDelta::hours(2)), ..made };
    assert_eq!(proposed(&answer(&[long_ago, drop(701, 0)])), Some(701));
    let database = Committed { dropped_databases: vec![16384], ..commit(705, 0) };
    let found = answer(&[database]);
    assert_eq!((proposed(&found), found.suspects[0].reasons[0].as_str()), (Some(705), "drops shop"));
}

#[test]
fn routine_weighs_less_and_restore_points_more() {
    let routine: Vec<Committed> = (0..4).map(|number| deletes(701 + number, i64::from(number), 300)).collect();
    let found = answer_with(names(100), &routine);
    assert_eq!(proposed(&found), None, "{found:#?}");
    assert!(found.suspects[0].reasons.iter().any(|reason| reason.contains("routine")));

    let named = |point: Option<(i64, &str)>| {
        let mut search = Search::new(window(), names(1000));
        if let Some((seconds, name)) = point {
            let time = PgTime::of(noon() - TimeDelta::seconds(seconds));
            let point = RestorePoint { time, name: name.as_bytes() };
            search.notice(&Notice::RestorePoint { at: Lsn(1), point });
        }
        search.notice(&Notice::Committed(&deletes(701, 0, 150)));
        search.answer(None, Coverage::default()).suspects[0].clone()
    };
    let score = |seconds: Option<i64>| named(seconds.map(|seconds| (seconds, "release \x1b[2J")));
    let (without, with) = (score(None), score(Some(30)));
    assert_eq!(with.score, without.score + 5);
    assert!(!with.reasons.join("").contains('\u{1b}'));
    assert_eq!(score(Some(3000)).score, without.score);
    assert_eq!(named(Some((30, "pgBackRest Archive Check"))), without, "every backup makes one");
}

#[test]
fn a_table_limits_the_suspects_and_the_time_is_judged() {
    let history = [deletes(701, -300, 600), commit(702, -200).rows(CUSTOMERS, ChangeKind::Update, 900)];
    let mut search = Search::new(window(), names(400));
    history.iter().for_each(|committed| search.notice(&Notice::Committed(committed)));
    for table in ["customers", "public.customers", "16600", "16500"] {
        let answer = search.answer(Some(table), Coverage::default());
        let expected = if table == "16500" { 2 } else { 1 };
        assert_eq!(answer.suspects.len(), expected, "{table}");
    }
    let customers = search.answer(Some("customers"), Coverage::default());
    assert_eq!(proposed(&customers), Some(702));
    assert!(customers.notes.iter().any(|note| note.contains("1 more suspects do not touch customers")));
    assert!(customers.notes.iter().any(|note| note.contains("is after every accident")), "{customers:#?}");
    assert_eq!(search.answer(Some("payments"), Coverage::default()).proposed, None);
    // Where no score says accident it is told of the suspects.
    let weak = |seconds| {
        let found = answer_with(names(1000), &[deletes(701, seconds, 150)]);
        assert!(found.proposed.is_none() && found.suspects.len() == 1, "{found:#?}");
        found.notes.join("\n")
    };
    assert!(weak(-300).contains("is after every suspect"), "{}", weak(-300));
    assert!(weak(300).contains("is before every suspect"), "{}", weak(300));
    assert_eq!(weak(0), "");
}

#[test]
fn nothing_outside_the_window_is_suspected() {
    let early = Committed { time: PgTime::of(noon() - TimeDelta::hours(1)), ..deletes(701, 0, 900) };
    let late = Committed { time: PgTime::of(noon() + TimeDelta::hours(1)), ..deletes(702, 0, 900) };
    let answer = answer(&[early, late]);
    assert!(answer.suspects.is_empty() && answer.notes[0].contains("none lies in the window"), "{answer:#?}");
    assert!(answer.notes[0].ends_with("from 2026-11-22 11:00:00+00 to 2026-11-22 13:00:00+00, by the server's clock"));
}

#[test]
fn the_answer_is_json_of_the_documented_shape() {
    let mut answer = answer(&[inserts(700, -5), deletes(701, 0, 600)]);
    answer.histogram.clear();
    let json = serde_json::to_value(&answer).unwrap();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["proposed"]["xid"], 701);
    let suspect = &json["suspects"][0];
    let target = serde_json::json!({"type": "lsn", "value": answer.suspects[0].target.value.to_string(), "exclusive": true, "timeline": 3});
    assert_eq!(suspect["target"], target);
    for key in ["rank", "first_record_lsn", "commit_time", "commit_start_lsn", "commit_end_lsn", "database", "score"] {
        assert!(!suspect[key].is_null(), "{key}");
    }
    for key in ["name", "oid", "filenode", "inserted", "updated", "deleted", "truncated", "dropped", "share"] {
        assert!(!suspect["relations"][0][key].is_null(), "{key}");
    }
    assert_eq!(suspect["discarded"], serde_json::json!({"commits": 0, "by_table": {}}));
    assert_eq!(serde_json::from_value::<Answer>(json).unwrap(), answer);
}

proptest! {
    /// However many candidates make way: commits and rows are all counted, once, and the greatest damage stays.
    #[test]
    fn nothing_is_lost_when_candidates_make_way(
        sizes in proptest::collection::vec((prop_oneof![Just(0u32), 1u32..60], 0u32..5), 1..500),
        great in 0usize..500,
    ) {
        let great = great % sizes.len();
        let history: Vec<Committed> = sizes.iter().enumerate().map(|(place, (deleted, inserted))| {
            let deleted = if place == great { 5_000 } else { *deleted };
            commit(700 + place as u32, place as i64 - 250)
                .rows(ORDERS, ChangeKind::Delete, deleted)
                .rows(CUSTOMERS, ChangeKind::Insert, *inserted)
        }).collect();
        let answer = answer_with(names(10), &history);
        let suspect = answer.suspects.iter().find(|suspect| suspect.xid == history[great].xid).unwrap();
        prop_assert_eq!(suspect.rank, 1);
        prop_assert_eq!(proposed(&answer).is_some(), true);
        let after = &history[great + 1..];
        prop_assert_eq!(suspect.discarded.commits, after.len() as u64);
        let sum = |of: &dyn Fn(&Counts) -> u64| -> u64 {
            after.iter().flat_map(|one| &one.touched).map(|(_, touched)| of(&touched.counts)).sum()
        };
        let counted = |of: &dyn Fn(&Counts) -> u64| -> u64 { suspect.discarded.by_table.values().map(of).sum() };
        prop_assert_eq!(counted(&|counts| counts.deleted), sum(&|counts| counts.deleted));
        prop_assert_eq!(counted(&|counts| counts.inserted), sum(&|counts| counts.inserted));
        let order: Vec<u32> = answer.suspects.iter().map(|suspect| suspect.xid).collect();
        prop_assert!(order.is_sorted());
        let kept = suspect.last_kept.as_ref().map(|kept| kept.xid);
        prop_assert_eq!(kept, great.checked_sub(1).map(|place| history[place].xid));
    }
}

fn divided(boundary: Boundary, history: &[Committed]) -> ThrownAway {
    let mut divide = Divide::new(boundary, names(400));
    history.iter().for_each(|committed| divide.notice(&Notice::Committed(committed)));
    divide.finish(Coverage::default())
}

#[test]
fn a_target_divides_what_is_kept_from_what_is_thrown_away() {
    let accident = deletes(701, 0, 600);
    let mut history = vec![inserts(700, -5), accident.clone(), inserts(702, 1), inserts(703, 2)];
    history[3].first_is_sure = false;
    let (before, behind) = (Boundary::Before(accident.start), Boundary::Behind(accident.start));
    let at = noon();
    let ids = |found: &ThrownAway| {
        let id = |one: &Option<LastKept>| one.as_ref().map(|one| one.xid);
        (id(&found.last_kept), id(&found.first), id(&found.last), found.discarded.commits)
    };
    for boundary in [
        before,
        Boundary::Before(accident.first),
        Boundary::Time { at, inclusive: false },
        Boundary::Transaction { xid: 701, inclusive: false },
    ] {
        let found = divided(boundary, &history);
        assert_eq!(ids(&found), (Some(700), Some(701), Some(703), 3), "{boundary:?}");
        assert_eq!(found.discarded.by_table["orders"].deleted, 600);
        assert_eq!(found.discarded.by_table["customers"].inserted, 4);
        assert_eq!(found.in_part, 1);
    }
    for boundary in
        [behind, Boundary::Time { at, inclusive: true }, Boundary::Transaction { xid: 701, inclusive: true }]
    {
        let found = divided(boundary, &history);
        assert_eq!(ids(&found), (Some(701), Some(702), Some(703), 2), "{boundary:?}");
        assert!(!found.discarded.by_table.contains_key("orders"));
    }
    assert_eq!(ids(&divided(before, &[])), (None, None, None, 0));
    let never = divided(Boundary::Transaction { xid: 9, inclusive: false }, &history);
    assert_eq!(ids(&never), (Some(703), None, None, 0));
    assert!(never.notes[0].contains("not in the WAL"), "{:?}", never.notes);
}

#[test]
fn a_clock_that_was_set_back_is_told_and_the_order_of_the_wal_counts() {
    let found = answer(&[inserts(700, 60), deletes(701, -60, 600), inserts(702, -59)]);
    assert!(found.notes.iter().any(|note| note.contains("commit times go back 1 times")), "{:?}", found.notes);
    let kept = found.suspects[0].last_kept.as_ref().map(|kept| kept.xid);
    assert_eq!((proposed(&found), kept, found.suspects[0].discarded.commits), (Some(701), Some(700), 1));
}

#[test]
fn what_a_target_leaves_locked_is_told() {
    // It dropped a table and others committed before it did: it is open at the target.
    let other = inserts(702, 0);
    let mut drop = commit(703, 1).files(&[], &[ORDERS.number]);
    drop.first = inserts(701, -1).first;
    let lock = |relation, at| HeldLock { database: 16384, relation, at };
    drop.locks = vec![lock(ORDERS.number - 100, drop.first), lock(99_999, Lsn(drop.start.0 - 8))];
    let at = noon() + TimeDelta::seconds(1);
    let history = [inserts(701, -1), other.clone(), drop.clone()];
    let locked = |boundary| divided(boundary, &history).locked;
    assert_eq!(locked(Boundary::Before(other.end)), ["orders"]);
    assert_eq!(locked(Boundary::Before(drop.start)), ["orders", "relation with oid 99999"]);
    assert_eq!(locked(Boundary::Time { at, inclusive: false }), ["orders", "relation with oid 99999"]);
    assert_eq!(locked(Boundary::Before(drop.first)), [""; 0]);
    assert_eq!(locked(Boundary::Behind(drop.start)), [""; 0], "it is kept");
    let alone = Boundary::Time { at, inclusive: false };
    drop.first = other.end;
    drop.locks = vec![lock(ORDERS.number - 100, Lsn(other.end.0 + 8))];
    assert_eq!(divided(alone, &[other, drop]).locked, [""; 0], "recovery stops before its first record");
    let thrown = ThrownAway { locked: vec!["orders".into(), "carts".into()], ..ThrownAway::default() };
    assert!(leaves_locked(&thrown).unwrap().ends_with("open there): orders, carts"));
    assert_eq!(leaves_locked(&ThrownAway::default()), None);
}

#[test]
fn behind_the_boundary_a_clock_that_was_set_back_brings_nothing_back() {
    let history = [inserts(700, -5), deletes(701, 0, 600), inserts(702, -3), inserts(703, 1)];
    let found = divided(Boundary::Time { at: noon(), inclusive: false }, &history);
    assert_eq!(found.last_kept.map(|one| one.xid), Some(700));
    assert_eq!(found.discarded.commits, 3);
}
