//! Seeded accidents are found and proposed; honest days propose nothing.

use crate::archived::{Archived, Recovered};
use crate::cluster::{Cluster, PROGRAMS, as_owner};
use crate::scenarios::{ACCIDENTS, EVERYDAY, HONEST, Scenario, TABLES};
use crate::waldump as postgres;
use chrono::{DateTime, Utc};
use lifeboat::domain::lsn::Lsn;
use lifeboat::engine::accident::{
    Cancel, DirectorySource, Found, Limits, LiveCatalog, Request, find, investigate, list_commits, thrown_away,
};
use lifeboat::planning::accident::{
    ACCIDENT_SCORE, Answer, Boundary, Committed, ExactTarget, Names, Reach, Suspect, Window,
};
use lifeboat::report::accident::waldump;
use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// A shop in a schema of its own, so that one server serves for all of them.
pub(crate) struct Shop<'a> {
    pub(crate) cluster: &'a Cluster,
    schema: String,
    /// What is drawn for it.
    seed: usize,
}

impl<'a> Shop<'a> {
    pub(crate) fn new(cluster: &'a Cluster, schema: String) -> Shop<'a> {
        Shop::of_size(cluster, schema, 0, 1)
    }

    fn of_size(cluster: &'a Cluster, schema: String, seed: usize, factor: usize) -> Shop<'a> {
        let shop = Shop { cluster, schema, seed };
        cluster.sql(&TABLES.replace(":schema", &shop.schema).replace(":factor", &factor.to_string()));
        // In a session of its own: what one session inserts is counted twice where it analyses at once.
        shop.sql("ANALYZE customers, orders, payments, documents");
        shop
    }

    /// Makes room for the next one.
    pub(crate) fn close(self) {
        let quiet = "SET client_min_messages = warning";
        self.cluster.sql(&format!("{quiet}; DROP SCHEMA IF EXISTS {} CASCADE", self.schema));
    }

    fn script(&self, text: &str) -> String {
        let drawn = |step: usize, of: usize| self.seed.wrapping_mul(step) % of;
        let text = text
            .replace(":schema", &self.schema)
            .replace(":ledger", &format!("ledger_{}", self.schema))
            .replace(":few", &(2 + drawn(5, 3)).to_string())
            .replace(":table", &format!("t{:02}", drawn(7, 25)))
            .replace(":other", &format!("t{:02}", 25 + drawn(11, 25)));
        format!("SET search_path = {};\n{text}", self.schema)
    }

    pub(crate) fn sql(&self, text: &str) -> String {
        self.cluster.sql(&self.script(text))
    }

    pub(crate) fn tables(&self, server: &Cluster) -> String {
        tables_of(server, &self.schema)
    }

    /// Starts a script and does not wait for it.
    fn start(&self, text: &str) -> Child {
        let mut command = self.cluster.psql("shop");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.script(text).as_bytes()).unwrap();
        child
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        let text = self
            .cluster
            .sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
        text.parse().unwrap()
    }

    /// Begins an accident's script and returns it with the id of its transaction.
    pub(crate) fn strike(&self, script: &str, is_slow: bool) -> u32 {
        let begin = self.cluster.sql("SELECT pg_current_wal_insert_lsn()");
        let child = self.start(script);
        if is_slow {
            std::thread::sleep(Duration::from_millis(250));
            let one = noted(EVERYDAY.lines().next_back().unwrap_or_default());
            (0..3).for_each(|_| _ = self.sql(&one));
            self.sql(&noted("INSERT INTO t40 VALUES (1);"));
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8(output.stdout).unwrap();
        said.lines().next().map_or_else(|| postgres::drops_database(self.cluster, &begin), |xid| xid.parse().unwrap())
    }
}

pub(crate) fn live_names(cluster: &Cluster) -> Names {
    let catalog = LiveCatalog {
        psql: Path::new(PROGRAMS).join("psql"),
        socket_directory: cluster.home().to_owned(),
        port: 5432,
        user: Some("postgres".to_owned()),
        environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        cancel: Cancel::new(),
    };
    let found = catalog.read().unwrap();
    assert_eq!(found.notes, Vec::<String>::new());
    found.names
}

/// Searches the server's own `pg_wal`.
pub(crate) fn search_directory(cluster: &Cluster, window: Window, names: Names) -> Answer {
    let mut source = DirectorySource::open(&cluster.wal()).unwrap();
    find(&mut source, window, names, None, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// A window with an accident in it.
struct Day {
    window: Window,
    /// The transaction that has to be proposed.
    xid: u32,
    /// All of the shop right before, where nobody else was at work.
    tables: Option<String>,
}

/// Lets a scenario happen.
fn happen(shop: &Shop<'_>, scenario: &Scenario) -> Day {
    shop.sql(scenario.ahead);
    let from = shop.now();
    let writer = scenario.has_writer.then(|| {
        let one = noted("INSERT INTO payments (amount) VALUES (1); UPDATE customers SET mail = 'w' WHERE id = 9;");
        shop.start(&one.repeat(400))
    });
    shop.sql(&everyday());
    shop.sql(scenario.before);
    let tables = (!scenario.is_slow && !scenario.has_writer).then(|| shop.tables(shop.cluster));
    let mut first = None;
    for accident in scenario.accidents {
        let xid = shop.strike(accident, scenario.is_slow);
        first.get_or_insert(xid);
        // Nothing of it may be left to work on.
        shop.cluster
            .sql("BEGIN; CREATE TABLE IF NOT EXISTS elsewhere (n int); INSERT INTO elsewhere VALUES (1); COMMIT");
    }
    if let Some(writer) = writer {
        assert!(writer.wait_with_output().unwrap().status.success());
    }
    let to = shop.now();
    Day { window: Window { from, to, around: to }, xid: first.unwrap(), tables }
}

/// A transaction that notes its id among the sales.
fn noted(statements: &str) -> String {
    let inside = statements.trim().trim_start_matches("BEGIN;").trim_end_matches("COMMIT;");
    format!("BEGIN; {inside} INSERT INTO public.sold VALUES (pg_current_xact_id()::text::bigint); COMMIT;\n")
}

fn everyday() -> String {
    EVERYDAY.lines().filter(|line| !line.is_empty()).map(noted).collect()
}

/// Scenarios that are looked at from all sides in `make test`: without names, by `pg_waldump`, by what is locked.
const CLOSELY: [&str; 6] = [
    "delete without WHERE",
    "drop table that cascades",
    "a long transaction that drops",
    "in a subtransaction",
    "bad migration",
    "a delete under load",
];

/// What a target has to lead to.
struct Expected {
    name: String,
    target: ExactTarget,
    /// Commits before it and behind it.
    before: Vec<u32>,
    after: Vec<u32>,
    /// Those of them that noted themselves.
    sold: Vec<u32>,
    schema: String,
    tables: Option<String>,
}

/// Servers that share the scenarios: each waits more than it works.
const SERVERS: usize = 3;

#[test]
fn seeded_accidents_are_proposed_and_honest_days_are_not_1() {
    seeded(0);
}

#[test]
fn seeded_accidents_are_proposed_and_honest_days_are_not_2() {
    seeded(1);
}

#[test]
fn seeded_accidents_are_proposed_and_honest_days_are_not_3() {
    seeded(2);
}

/// Every third scenario, and every third honest day.
fn seeded(share: usize) {
    // Small segments: a window is short, and the tests read little beside it.
    let archived = Archived::start(4, "autovacuum_naptime = '1s'\nwal_level = replica");
    archived.cluster.sql("CREATE TABLE public.sold (xid bigint)");
    let (mut missed, mut recovered) = (Vec::new(), 0);
    // `make prove`, all three together: 234 accidents in shops of four sizes, each recovered from, and 55 honest days.
    let rounds = if proves() { 9 } else { 1 };
    for round in 0..rounds {
        archived.back_up();
        let mut expected = Vec::new();
        for (number, scenario) in ACCIDENTS.iter().enumerate().skip(share).step_by(SERVERS) {
            let seed = round * ACCIDENTS.len() + number;
            let shop = Shop::of_size(&archived.cluster, format!("s{round}_{number}"), seed, 1 + round % 4);
            let day = happen(&shop, scenario);
            // 21 of 26 are recovered from in `make test`.
            let recovers = proves() || number % 4 != 3 || CLOSELY.contains(&scenario.name);
            let (found, is_proposed) = look_into(&archived, &shop, scenario, day);
            missed.extend(is_proposed.err());
            expected.extend(recovers.then_some(found));
            shop.close();
        }
        recovers(&archived, &expected);
        recovered += expected.len();
    }
    let count = rounds * ACCIDENTS.iter().skip(share).step_by(SERVERS).count();
    let found = count - missed.len();
    eprintln!(
        "{found} of {count} accidents are proposed, {recovered} recovered from; the others: {}",
        missed.join("\n")
    );
    assert!(missed.len() * 20 <= count, "{} of {count} are not proposed: {}", missed.len(), missed.join("\n"));

    let rounds = if proves() { 5 } else { 1 };
    for round in 0..rounds {
        for (number, honest) in HONEST.iter().enumerate().skip(share).step_by(SERVERS) {
            let shop = Shop::of_size(&archived.cluster, format!("h{round}_{number}"), number, 1 + round % 4);
            let from = shop.now();
            shop.sql(&everyday());
            shop.sql(honest);
            shop.sql(&everyday());
            let to = shop.now();
            archived.archive_all();
            let answer = search(&archived, Window { from, to, around: to }, true).answer;
            assert_eq!(answer.proposed, None, "{honest}: {answer:#?}");
            shop.close();
        }
    }
    eprintln!("{} honest days propose nothing", rounds * HONEST.iter().skip(share).step_by(SERVERS).count());
}

fn proves() -> bool {
    std::env::var_os("LIFEBOAT_PROVE").is_some()
}

/// Searches the stanza's archive.
pub(crate) fn search(archived: &Archived, window: Window, asks_server: bool) -> Found {
    let request = Request { asks_server, user: Some("postgres".to_owned()), ..Request::around(window) };
    let found = investigate(&archived.place(), &request, &Cancel::new(), &mut |_| {}).unwrap();
    assert!(found.place.contains("the archive of stanza 'main' (repo1)"), "{}", found.place);
    let is_covered = |note: &String| !note.contains("missing") && !note.contains("could not be read");
    assert!(found.answer.notes.iter().all(is_covered), "{:#?}", found.answer.notes);
    found
}

/// The command that is shown for a suspect shows the same: rows deleted and updated, by file.
fn shows_the_same(archived: &Archived, suspect: &Suspect, reach: &Reach) {
    let fetched = archived.cluster.home().join("fetched");
    let shown =
        waldump(suspect, reach).replace(&format!("/tmp/lifeboat-wal-{}", suspect.xid), fetched.to_str().unwrap());
    let output = as_owner("sh").args(["-c", &format!("PATH=$PATH:{PROGRAMS}; {shown}")]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for relation in suspect.relations.iter().filter(|relation| !relation.truncated) {
        let file = format!("/{} ", relation.filenode);
        let count = |name: &str| text.lines().filter(|line| line.contains(name) && line.contains(&file)).count() as u64;
        let found = (count("desc: DELETE "), count("desc: UPDATE") + count("desc: HOT_UPDATE"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(found, (relation.deleted, relation.updated), "{shown}: {said}: {suspect:#?}");
    }
    let _ = std::fs::remove_dir_all(fetched);
}

/// Every commit of a window: its id, where its record begins, and where it ends.
pub(crate) fn commits(archived: &Archived, window: Window) -> Vec<(u32, Lsn, Lsn)> {
    let request = Request { asks_server: false, ..Request::around(window) };
    let mut all = Vec::new();
    let mut each = |one: &Committed, _: &Names| all.push((one.xid, one.start, one.end));
    list_commits(&archived.place(), &request, &Cancel::new(), &mut each, &mut |_| {}).unwrap();
    all
}

/// Searches a scenario's window; returns what its target has to lead to, and what was answered where another transaction than
/// the accident is proposed.
fn look_into(archived: &Archived, shop: &Shop<'_>, scenario: &Scenario, day: Day) -> (Expected, Result<(), String>) {
    let last = archived.archive_all();
    let left = archived.cluster.segments();
    assert!(!left.contains(&last), "{last} is read from pg_wal: {left:?}");
    let Day { window, xid, tables } = day;
    let Found { answer, reach, .. } = search(archived, window, true);
    let name = scenario.name;
    let suspect = answer.suspects.iter().find(|suspect| suspect.xid == xid);
    let suspect = suspect.unwrap_or_else(|| panic!("{name}: {xid} is no suspect: {answer:#?}"));
    let is_proposed = answer.proposed.as_ref().map(|proposed| proposed.xid) == Some(xid);
    let Divided { before, after, put_off } = check_target(commits(archived, window), suspect, scenario);
    let sold = archived.cluster.sql("SELECT xid FROM public.sold ORDER BY xid");
    let known: HashSet<u32> = before.iter().chain(&after).copied().collect();
    let sold: Vec<u32> = sold.lines().map(|xid| xid.parse().unwrap()).filter(|xid| known.contains(xid)).collect();
    assert!(sold.len() >= 6, "{name}: {sold:?}");
    assert!(!put_off.iter().any(|xid| sold.contains(xid)), "{name}: {put_off:?} {sold:?}");
    if proves() || CLOSELY.contains(&name) {
        shows_the_same(archived, suspect, &reach);
        if !suspect.locked_until_promotion.is_empty() {
            leaves_locked(archived, window, suspect);
        }
        // Without names it is among the suspects all the same.
        let nameless = search(archived, window, false).answer;
        assert!(nameless.suspects.iter().any(|suspect| suspect.xid == xid), "{name}, without names: {nameless:#?}");
    }
    // Where others committed meanwhile, autovacuum among them, what it locked stays locked: a query would wait.
    let tables = tables.filter(|_| suspect.locked_until_promotion.is_empty());
    let (schema, target) = (shop.schema.clone(), suspect.target.clone());
    let expected = Expected { name: format!("{schema}, {name}"), target, before, after, sold, schema, tables };
    (expected, if is_proposed { Ok(()) } else { Err(format!("{name}: {answer:#?}")) })
}

/// What a plan to that target says of it.
fn leaves_locked(archived: &Archived, window: Window, suspect: &Suspect) {
    let request = Request { user: Some("postgres".to_owned()), ..Request::around(window) };
    let limits = Limits { segments: 100, time: Duration::from_secs(180) };
    let weighed = thrown_away(&archived.place(), &request, Boundary::Before(suspect.target.value), limits).unwrap();
    assert_eq!(weighed.thrown.locked, suspect.locked_until_promotion);
    assert!(weighed.thrown.discarded.commits > suspect.discarded.commits, "{weighed:#?} {suspect:#?}");
}

/// Restores to the first target with pgBackRest, and goes on from each to the next: everything that was committed before is
/// there, and nothing after.
fn recovers(archived: &Archived, all: &[Expected]) {
    let mut server: Option<Recovered> = None;
    for one in all {
        let name = &one.name;
        match &mut server {
            Some(server) => server.forward(&one.target),
            None => server = Some(archived.recover(&one.target)),
        }
        let Some(recovered) = &server else { continue };
        let there = |xids: &[u32]| committed(&recovered.cluster, xids);
        assert_eq!(there(&one.before), one.before, "{name}: commits before are lost");
        assert_eq!(there(&one.after), Vec::<u32>::new(), "{name}: commits after are there");
        // The rows themselves.
        let rows = recovered.cluster.sql("SELECT xid FROM public.sold");
        let rows: HashSet<u32> = rows.lines().map(|xid| xid.parse().unwrap()).collect();
        let expected: Vec<u32> = one.sold.iter().copied().filter(|xid| one.before.contains(xid)).collect();
        let found: Vec<u32> = one.sold.iter().copied().filter(|xid| rows.contains(xid)).collect();
        assert_eq!(found, expected, "{name}: other rows than those committed before");
        // Nobody waits for ever where that was not said.
        if let Some(tables) = &one.tables {
            assert_eq!(&tables_of(&recovered.cluster, &one.schema), tables, "{name}: the tables are not as they were");
        }
        if name.ends_with("drop database") {
            let databases = format!("SELECT count(*) FROM pg_database WHERE datname = 'ledger_{}'", one.schema);
            assert_eq!(recovered.cluster.sql(&databases), "1", "{name}");
        }
    }
}

/// Every table of a schema with the number and the sum of its rows.
pub(crate) fn tables_of(server: &Cluster, schema: &str) -> String {
    server.sql(&format!(
        "SET lock_timeout = '20s'; SELECT string_agg(c.relname || query_to_xml(format('SELECT count(*), sum(hashtextextended(t::text, 0)) FROM %s t', \
         c.oid::regclass), true, true, '')::text, ' ' ORDER BY c.relname) FROM pg_class c \
         WHERE c.relnamespace = '{schema}'::regnamespace AND c.relkind = 'r'"
    ))
}

#[test]
fn a_table_is_known_by_its_name_in_its_former_files() {
    let cluster = Cluster::start(1, "");
    for (number, move_on) in [
        "VACUUM FULL orders",
        "TRUNCATE orders",
        "REINDEX TABLE orders; REINDEX TABLE CONCURRENTLY documents; CLUSTER orders USING orders_pkey",
        "CLUSTER documents USING documents_pkey; TRUNCATE orders; VACUUM FULL orders",
        "ALTER TABLE orders ALTER COLUMN total TYPE bigint",
    ]
    .iter()
    .enumerate()
    {
        let shop = Shop::new(&cluster, format!("m{number}"));
        let from = shop.now();
        let xid =
            shop.strike("BEGIN; SELECT pg_current_xact_id(); DELETE FROM orders WHERE id % 2 = 0; COMMIT;", false);
        shop.sql("DELETE FROM documents WHERE id > 20");
        shop.sql(move_on);
        let to = shop.now();
        let answer = search_directory(&cluster, Window { from, to, around: to }, live_names(&cluster));
        assert_eq!(answer.proposed.as_ref().map(|proposed| proposed.xid), Some(xid), "{answer:#?}");
        let names: Vec<&str> =
            answer.suspects.iter().take(2).map(|suspect| suspect.relations[0].name.as_str()).collect();
        assert_eq!(names, [format!("m{number}.orders"), format!("m{number}.documents")], "{move_on}: {answer:#?}");
    }
}

#[test]
fn a_dropped_database_is_proposed() {
    let cluster = Cluster::start(1, "");
    cluster.sql_in("postgres", "CREATE DATABASE ledger");
    cluster.sql_in("ledger", "CREATE TABLE entries AS SELECT n FROM generate_series(1, 100) n");
    let shop = Shop::new(&cluster, "other".to_owned());
    let from = shop.now();
    shop.sql(EVERYDAY);
    let oid = cluster.sql("SELECT oid FROM pg_database WHERE datname = 'ledger'");
    cluster.sql_in("postgres", "DROP DATABASE ledger");
    shop.sql(EVERYDAY);
    let to = shop.now();
    let answer = search_directory(&cluster, Window { from, to, around: from }, live_names(&cluster));
    let proposed = answer.proposed.clone().unwrap();
    let suspect = answer.suspects.iter().find(|suspect| suspect.xid == proposed.xid).unwrap();
    assert!(suspect.reasons[0].contains(&oid), "{suspect:#?}");
    assert!(suspect.discarded.commits >= 4 && suspect.last_kept.is_some(), "{suspect:#?}");
    assert!(answer.notes.iter().any(|note| note.contains("is before every accident")), "{answer:#?}");
}

/// What a target keeps and what it does not.
struct Divided {
    before: Vec<u32>,
    after: Vec<u32>,
    /// Of those after, those that were committed before the accident was: ANALYZE's and VACUUM's.
    put_off: Vec<u32>,
}

/// Every commit before the accident's is kept by the target, but for upkeep, and none after it.
fn check_target(all: Vec<(u32, Lsn, Lsn)>, suspect: &Suspect, scenario: &Scenario) -> Divided {
    let place = all.iter().position(|(xid, ..)| *xid == suspect.xid).unwrap();
    let target = suspect.target.value;
    let (before, after) = all.split_at(all.partition_point(|(_, _, end)| *end <= target));
    assert!(after.iter().all(|(_, start, _)| *start >= target), "{}: {suspect:#?}", scenario.name);
    let kept = suspect.last_kept.as_ref().unwrap();
    assert_eq!(before.last().map(|(xid, _, end)| (*xid, *end)), Some((kept.xid, kept.lsn)));
    // Autovacuum goes on behind the window.
    assert!(suspect.discarded.commits >= after.len() as u64 - 1);
    let between = before.iter().any(|(_, start, _)| *start > suspect.first_record_lsn);
    let expected = if between { kept.lsn } else { suspect.first_record_lsn };
    assert_eq!(target, expected, "{}", scenario.name);
    let put_off = &after[..place - before.len()];
    assert!(put_off.len() as u64 <= suspect.discarded.maintenance, "{}: {suspect:#?}", scenario.name);
    assert!(put_off.is_empty() || !between, "{}: {suspect:#?}", scenario.name);
    if scenario.is_slow {
        assert!(between, "{}: others commit while it is open: {suspect:#?}", scenario.name);
        assert_eq!(scenario.name.contains("drops"), !suspect.locked_until_promotion.is_empty(), "{suspect:#?}");
    }
    assert!(suspect.score >= ACCIDENT_SCORE || !suspect.reasons.is_empty());
    let xids = |commits: &[(u32, Lsn, Lsn)]| commits.iter().map(|(xid, ..)| *xid).collect();
    Divided { before: xids(before), after: xids(after), put_off: xids(put_off) }
}

/// Those of these transactions that are committed on a server: its own records of that, whatever the rows say.
pub(crate) fn committed(server: &Cluster, xids: &[u32]) -> Vec<u32> {
    let list: Vec<String> = xids.iter().map(u32::to_string).collect();
    let found = server.sql_in(
        "postgres",
        &format!(
            "WITH known AS MATERIALIZED (SELECT x FROM unnest('{{{}}}'::text[]) WITH ORDINALITY u(x, n) \
             WHERE x::xid8 < pg_snapshot_xmax(pg_current_snapshot()) ORDER BY n) \
             SELECT x FROM known WHERE pg_xact_status(x::xid8) = 'committed'",
            list.join(",")
        ),
    );
    found.lines().map(|xid| xid.parse().unwrap()).collect()
}
