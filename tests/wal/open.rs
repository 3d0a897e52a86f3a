//! What is open at a target: upkeep that was committed meanwhile is not kept for its own sake, and what stays locked is told.

use crate::accidents::{Shop, commits, committed, live_names, search, search_directory};
use crate::archived::Archived;
use crate::cluster::Cluster;
use crate::session::Session;
use crate::waldump as postgres;
use lifeboat::domain::lsn::Lsn;
use lifeboat::engine::accident::{Limits, Request, thrown_away};
use lifeboat::planning::accident::{Answer, Boundary, Suspect, Window, discards};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);

fn suspect(answer: &Answer, xid: u32) -> &Suspect {
    let found = answer.suspects.iter().find(|suspect| suspect.xid == xid);
    found.unwrap_or_else(|| panic!("{xid} is no suspect: {answer:#?}"))
}

/// Drops a table, lets others commit, and commits; returns its id and the window.
fn drops_meanwhile(shop: &Shop<'_>, schema: &str, table: &str, meanwhile: impl FnOnce()) -> (u32, Window) {
    let from = shop.now();
    shop.sql("INSERT INTO payments (amount) VALUES (5)");
    let mut session = Session::new(shop.cluster, "shop", schema);
    let xid = session.begins();
    session.does(&format!("DROP TABLE {table}"));
    meanwhile();
    session.does("COMMIT");
    shop.sql("INSERT INTO payments (amount) VALUES (6)");
    let to = shop.now();
    (xid, Window { from, to, around: to })
}

/// What others commit meanwhile, and how many commits of theirs are upkeep alone.
const MEANWHILE: [(&str, u64); 11] = [
    ("ANALYZE payments", 1),
    ("ANALYZE orders; ANALYZE customers", 2),
    ("VACUUM ANALYZE documents", 1),
    // It gives empty blocks back.
    ("VACUUM cut", 1),
    ("BEGIN; ANALYZE payments; INSERT INTO t40 VALUES (1); COMMIT", 0),
    ("BEGIN; ANALYZE payments; SELECT nextval('orders_id_seq') \\g /dev/null\nCOMMIT", 0),
    ("BEGIN; ANALYZE payments; SELECT * FROM t41 FOR UPDATE \\g /dev/null\nCOMMIT", 0),
    ("BEGIN; ANALYZE payments; SELECT pg_logical_emit_message(true, 'a', 'b') \\g /dev/null\nCOMMIT", 0),
    ("BEGIN; ANALYZE payments; SAVEPOINT a; ALTER TABLE t42 ALTER n SET STATISTICS 7; COMMIT", 0),
    ("BEGIN; ANALYZE payments; SELECT lo_create(0) \\g /dev/null\nCOMMIT", 0),
    // Nothing at all is not proven to be nothing.
    ("BEGIN; SELECT pg_current_xact_id() \\g /dev/null\nCOMMIT", 0),
];

#[test]
fn upkeep_is_not_kept_for_its_own_sake_and_work_is() {
    let archived = Archived::start(1, "autovacuum = off");
    let cluster = &archived.cluster;
    let shop = Shop::new(cluster, "u".to_owned());
    shop.sql("CREATE TABLE cut AS SELECT n FROM generate_series(1, 30000) n; ANALYZE cut; DELETE FROM cut WHERE n > 5");
    archived.back_up();
    let mut payments = String::new();
    let mut first = None;
    for (number, (meanwhile, upkeep)) in MEANWHILE.iter().enumerate() {
        let table = format!("t{:02}", 10 + number);
        let (xid, window) = drops_meanwhile(&shop, "u", &table, || {
            if first.is_none() {
                payments = shop.sql("SELECT count(*) FROM payments");
            }
            shop.sql(meanwhile);
        });
        let answer = search_directory(cluster, window, live_names(cluster));
        let found = suspect(&answer, xid);
        assert_eq!(answer.proposed.as_ref().map(|proposed| proposed.xid), Some(xid), "{meanwhile}: {answer:#?}");
        let is_first = found.target.value == found.first_record_lsn;
        let expected = (*upkeep, upkeep + 1, *upkeep > 0, *upkeep == 0);
        let told =
            (found.discarded.maintenance, found.discarded.commits, is_first, !found.locked_until_promotion.is_empty());
        assert_eq!(told, expected, "{meanwhile}: {found:#?}");
        first.get_or_insert((found.clone(), window));
    }
    let (found, window) = first.unwrap();
    let said = discards(&found.discarded, "later commit");
    assert_eq!(said, "2 later commits (1 of them by ANALYZE or VACUUM alone): 1 inserts into u.payments");
    // That one wrote into no table of anybody's, as PostgreSQL's own reader has it.
    let put_off: Vec<u32> = commits(&archived, window)
        .into_iter()
        .filter(|(xid, start, _)| *start >= found.target.value && *start < found.commit_start_lsn && *xid != found.xid)
        .map(|(xid, ..)| xid)
        .collect();
    assert_eq!(put_off.len(), 1);
    let statistics =
        shop.sql("SELECT pg_relation_filenode('pg_statistic'), pg_relation_filenode('pg_toast.pg_toast_2619')");
    let statistics: Vec<String> = statistics.split('|').map(|number| format!("/{number} ")).collect();
    let segments = cluster.segments();
    let mut rows = 0;
    postgres::lines(cluster, &segments[0], &segments[segments.len() - 1], |line| {
        let is_row = ["INSERT", "UPDATE", "HOT_UPDATE", "DELETE", "MULTI_INSERT"].contains(&line.name.as_str());
        if line.xid == put_off[0] && line.rmgr.starts_with("Heap") && is_row {
            assert!(statistics.iter().any(|file| format!("{} ", line.rest).contains(file.as_str())), "{line:?}");
            rows += 1;
        }
    });
    assert!(rows > 0);
    // There, it never was; and nobody waits for the table.
    archived.archive_all();
    let recovered = archived.recover(&found.target);
    assert_eq!(committed(&recovered.cluster, &[found.last_kept.clone().unwrap().xid, put_off[0]]).len(), 1);
    let counted = "SET lock_timeout = '20s'; SELECT (SELECT count(*) FROM u.t10), (SELECT count(*) FROM u.payments)";
    assert_eq!(recovered.cluster.sql(counted), format!("300|{payments}"));
}

#[test]
fn autovacuum_s_own_commits_are_upkeep() {
    let cluster = Cluster::start(1, "autovacuum = off\nautovacuum_naptime = '1s'");
    let shop = Shop::new(&cluster, "a".to_owned());
    shop.sql("CREATE TABLE busy (n int); INSERT INTO busy SELECT generate_series(1, 500); CHECKPOINT");
    let (xid, window) = drops_meanwhile(&shop, "a", "t10", || {
        cluster.sql("ALTER SYSTEM SET autovacuum = on");
        cluster.sql("SELECT pg_reload_conf()");
        let begin = Instant::now();
        let analysed = "SELECT autoanalyze_count FROM pg_stat_user_tables WHERE relid = 'a.busy'::regclass";
        while cluster.sql(analysed) == "0" {
            assert!(begin.elapsed() < PATIENCE, "autovacuum does not come");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let answer = search_directory(&cluster, window, live_names(&cluster));
    let found = suspect(&answer, xid);
    assert_eq!((found.target.value, found.locked_until_promotion.len()), (found.first_record_lsn, 0), "{found:#?}");
    assert!(found.discarded.maintenance >= 1, "{found:#?}");
}

#[test]
fn what_others_keep_locked_at_a_target_is_told() {
    let archived = Archived::start(1, "autovacuum = off");
    let cluster = &archived.cluster;
    let shop = Shop::new(cluster, "l".to_owned());
    let session = || Session::new(cluster, "shop", "l");
    let [mut early, mut open, mut prepared, mut back, mut gone, mut late, mut ended] =
        std::array::from_fn(|_| session());
    // Long before anything that is read: the lists of running transactions name it again.
    early.begins();
    early.does("LOCK TABLE t22");
    archived.back_up();
    for _ in 0..5 {
        shop.sql("INSERT INTO payments (amount) VALUES (2); SELECT pg_switch_wal() \\g /dev/null\n");
    }
    cluster.sql("CHECKPOINT");
    open.begins();
    open.does("TRUNCATE t24; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE");
    prepared.begins();
    prepared.does("DROP TABLE t20; PREPARE TRANSACTION 'held'");
    back.begins();
    back.does("LOCK TABLE t25; SAVEPOINT a; LOCK TABLE t21; ROLLBACK TO a");
    gone.begins();
    gone.does("LOCK TABLE customers; ROLLBACK");
    ended.begins();
    ended.does("DROP TABLE t23");
    shop.sql("INSERT INTO t30 VALUES (1)");
    let from = shop.now();
    let xid = shop.strike("BEGIN; SELECT pg_current_xact_id(); DELETE FROM payments; COMMIT;", false);
    // Behind the target some go on, one begins, and one never ends.
    late.begins();
    late.does("LOCK TABLE t26");
    back.does("ROLLBACK");
    ended.does("COMMIT");
    cluster.sql("COMMIT PREPARED 'held'");
    open.does("ROLLBACK");
    let to = shop.now();
    archived.archive_all();
    let window = Window { from, to, around: to };
    let answer = search(&archived, window, true).answer;
    let found = suspect(&answer, xid);
    // PostgreSQL's own view, where it stands at that target.
    let recovered = archived.recover(&found.target);
    let own = recovered.cluster.sql(
        "SELECT c.oid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE l.mode = 'AccessExclusiveLock' \
         AND c.relkind = 'r' ORDER BY c.oid",
    );
    let own: Vec<u32> = own.lines().map(|oid| oid.parse().unwrap()).collect();
    let oid =
        |table: &str| recovered.cluster.sql(&format!("SELECT 'l.{table}'::regclass::oid")).parse::<u32>().unwrap();
    let (until, beyond) = (["t22", "t23", "t24", "t25", "orders"].map(oid), oid("t20"));
    let mut all = [&until[..], &[beyond]].concat();
    all.sort_unstable();
    assert_eq!(own, all);
    // What is dropped by now has no name any more.
    let shown = |tables: &[&str]| -> Vec<String> {
        let show = |table: &&str| match *table {
            "t20" | "t23" => format!("relation with oid {}", oid(table)),
            other => format!("l.{other}"),
        };
        let mut shown: Vec<String> = tables.iter().map(show).collect();
        shown.sort();
        shown
    };
    let (until, beyond) = (shown(&["t22", "t23", "t24", "t25", "orders"]), shown(&["t20"]));
    assert_eq!((&found.locked_until_promotion, &found.locked_by_prepared), (&until, &beyond));
    // A plan to that target, or to the same by its time, says it too.
    let request = Request { user: Some("postgres".to_owned()), ..Request::around(window) };
    let limits = Limits { segments: 100, time: Duration::from_secs(180) };
    let at = found.commit_time;
    for boundary in [Boundary::Before(found.target.value), Boundary::Time { at, inclusive: false }] {
        let weighed = thrown_away(&archived.place(), &request, boundary, limits).unwrap();
        assert_eq!((&weighed.thrown.locked, &weighed.thrown.locked_by_prepared), (&until, &beyond), "{boundary:?}");
        assert!(!weighed.thrown.notes.iter().any(|note| note.contains("locked")), "{:?}", weighed.thrown.notes);
    }
    // With nothing committed behind it, too: `late` is open there.
    let end: Lsn = cluster.sql("SELECT pg_current_wal_insert_lsn()").parse().unwrap();
    let weighed = thrown_away(&archived.place(), &request, Boundary::Before(end), limits).unwrap();
    assert_eq!(weighed.thrown.locked, shown(&["t22", "t26"]));
    assert_eq!(weighed.thrown.locked_by_prepared, [""; 0]);
}
