//! Seeded accidents are found and proposed; honest days propose nothing.

use crate::cluster::{Cluster, PROGRAMS};
use crate::scenarios::{ACCIDENTS, EVERYDAY, HONEST, Scenario, TABLES};
use chrono::{DateTime, Utc};
use lifeboat::domain::lsn::Lsn;
use lifeboat::engine::accident::{DirectorySource, LiveCatalog, SegmentSource as _, commits, find};
use lifeboat::planning::accident::{ACCIDENT_SCORE, Answer, Names, Suspect, Window};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, Stdio};

/// A shop in a schema of its own, so that one server serves for all of them.
struct Shop<'a> {
    cluster: &'a Cluster,
    schema: String,
}

impl<'a> Shop<'a> {
    fn new(cluster: &'a Cluster, schema: String) -> Shop<'a> {
        let shop = Shop { cluster, schema };
        cluster.sql(&TABLES.replace(":schema", &shop.schema));
        // In a session of its own: what one session inserts is counted twice where it analyses at once.
        shop.sql("ANALYZE customers, orders, payments, documents");
        shop
    }

    fn script(&self, text: &str) -> String {
        format!("SET search_path = {};\n{}", self.schema, text.replace(":schema", &self.schema))
    }

    fn sql(&self, text: &str) -> String {
        self.cluster.sql(&self.script(text))
    }

    /// Starts a script and does not wait for it.
    fn start(&self, text: &str) -> Child {
        let mut command = self.cluster.psql("shop");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(self.script(text).as_bytes()).unwrap();
        child
    }

    fn now(&self) -> DateTime<Utc> {
        let text = self
            .cluster
            .sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
        text.parse().unwrap()
    }

    /// Begins an accident's script and returns it with the id of its transaction.
    fn strike(&self, script: &str, is_slow: bool) -> u32 {
        let child = self.start(script);
        if is_slow {
            std::thread::sleep(std::time::Duration::from_millis(250));
            (0..3).for_each(|_| _ = self.sql(EVERYDAY.lines().next_back().unwrap_or_default()));
            self.sql("INSERT INTO t40 VALUES (1)");
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().next().unwrap().parse().unwrap()
    }
}

fn live_names(cluster: &Cluster) -> Names {
    let catalog = LiveCatalog {
        psql: Path::new(PROGRAMS).join("psql"),
        socket_directory: cluster.home().to_owned(),
        port: 5432,
        user: Some("postgres".to_owned()),
        environment: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
    };
    let (names, notes) = catalog.names().unwrap();
    assert_eq!(notes, Vec::<String>::new());
    names
}

fn search(cluster: &Cluster, window: Window, names: Names) -> Answer {
    let mut source = DirectorySource::open(&cluster.wal()).unwrap();
    find(&mut source, window, names, None, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// Lets a scenario happen and returns its window and the transaction that has to be proposed.
fn happen(shop: &Shop<'_>, scenario: &Scenario) -> (Window, u32) {
    let from = shop.now();
    let writer = scenario.has_writer.then(|| {
        let one = "INSERT INTO payments (amount) VALUES (1); UPDATE customers SET mail = 'w' WHERE id = 9;\n";
        shop.start(&one.repeat(400))
    });
    shop.sql(EVERYDAY);
    let mut first = None;
    for accident in scenario.accidents {
        let xid = shop.strike(accident, scenario.is_slow);
        first.get_or_insert(xid);
        // Nothing of it may be left to work on.
        shop.cluster.sql("CREATE TABLE IF NOT EXISTS elsewhere (n int); INSERT INTO elsewhere VALUES (1)");
    }
    if let Some(writer) = writer {
        assert!(writer.wait_with_output().unwrap().status.success());
    }
    let to = shop.now();
    (Window { from, to, around: to }, first.unwrap())
}

/// Scenarios whose targets are recovered to in `make test`.
const RECOVERED: [&str; 5] =
    ["delete without WHERE", "drop table", "a long transaction that drops", "prepared", "a delete under load"];

#[test]
fn seeded_accidents_are_proposed_and_honest_days_are_not() {
    let mut cluster = Cluster::start(16, "autovacuum_naptime = '1s'\nwal_level = replica");
    cluster.keep_base();
    let mut missed = Vec::new();
    // Recovering replays everything before: a few here, all of them in `make prove`.
    let all = std::env::var_os("LIFEBOAT_PROVE").is_some();
    for (number, scenario) in ACCIDENTS.iter().enumerate() {
        let shop = Shop::new(&cluster, format!("s{number}"));
        let (window, xid) = happen(&shop, scenario);
        let answer = search(&cluster, window, live_names(&cluster));
        let name = scenario.name;
        let suspect = answer.suspects.iter().find(|suspect| suspect.xid == xid);
        let suspect = suspect.unwrap_or_else(|| panic!("{name}: {xid} is no suspect: {answer:#?}"));
        let (before, after) = check_target(&cluster, window, suspect, scenario);
        if all || RECOVERED.contains(&scenario.name) {
            let recovered = cluster.recover(&suspect.target.value.to_string());
            assert_eq!(committed(&recovered, &before), before, "{name}: commits before are lost");
            assert_eq!(committed(&recovered, &after), Vec::<u32>::new(), "{name}: commits after are there");
        }
        if answer.proposed.as_ref().map(|proposed| proposed.xid) != Some(xid) {
            missed.push(format!("{name}: {answer:#?}"));
        }
        // Without names it is among the suspects all the same.
        let nameless = search(&cluster, window, Names::default());
        assert!(nameless.suspects.iter().any(|suspect| suspect.xid == xid), "{name}, without names: {nameless:#?}");
    }
    assert!(missed.len() * 20 <= ACCIDENTS.len(), "{} are not proposed: {}", missed.len(), missed.join("\n"));

    for (number, honest) in HONEST.iter().enumerate() {
        let shop = Shop::new(&cluster, format!("h{number}"));
        let from = shop.now();
        shop.sql(EVERYDAY);
        shop.sql(honest);
        shop.sql(EVERYDAY);
        let to = shop.now();
        let answer = search(&cluster, Window { from, to, around: to }, live_names(&cluster));
        assert_eq!(answer.proposed, None, "{honest}: {answer:#?}");
    }
}

#[test]
fn a_table_is_known_by_its_name_in_its_former_files() {
    let cluster = Cluster::start(1, "");
    for (number, move_on) in [
        "VACUUM FULL orders",
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
        let answer = search(&cluster, Window { from, to, around: to }, live_names(&cluster));
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
    let answer = search(&cluster, Window { from, to, around: from }, live_names(&cluster));
    let proposed = answer.proposed.clone().unwrap();
    let suspect = answer.suspects.iter().find(|suspect| suspect.xid == proposed.xid).unwrap();
    assert!(suspect.reasons[0].contains(&oid), "{suspect:#?}");
    assert!(suspect.discarded.commits >= 4 && suspect.last_kept.is_some(), "{suspect:#?}");
    assert!(answer.notes.iter().any(|note| note.contains("is before every accident")), "{answer:#?}");
}

/// Every commit before the accident's is kept by the target, and none after it.
/// Returns their ids.
fn check_target(cluster: &Cluster, window: Window, suspect: &Suspect, scenario: &Scenario) -> (Vec<u32>, Vec<u32>) {
    let mut all = Vec::new();
    let mut source = DirectorySource::open(&cluster.wal()).unwrap();
    let coverage =
        commits(&mut source, window, &mut |commit| all.push((commit.xid, commit.start, commit.end)), &mut |_| {
            ControlFlow::Continue(())
        });
    assert_eq!(coverage.unwrap().notes, Vec::<String>::new());
    assert!(source.segments().unwrap().len() < 2000);
    let place = all.iter().position(|(xid, ..)| *xid == suspect.xid).unwrap();
    let (before, after) = (&all[..place], &all[place..]);
    let target = suspect.target.value;
    assert!(before.iter().all(|(_, _, end)| *end <= target), "{}: {suspect:#?}", scenario.name);
    assert!(after.iter().all(|(_, start, _)| *start >= target), "{}: {suspect:#?}", scenario.name);
    let kept = suspect.last_kept.as_ref().unwrap();
    assert_eq!(before.last().map(|(xid, _, end)| (*xid, *end)), Some((kept.xid, kept.lsn)));
    // Autovacuum goes on behind the window.
    assert!(suspect.discarded.commits >= after.len() as u64 - 1);
    let between = before.iter().any(|(_, start, _)| *start > suspect.first_record_lsn);
    let expected = if between { kept.lsn } else { suspect.first_record_lsn };
    assert_eq!(target, expected, "{}", scenario.name);
    if scenario.is_slow {
        assert!(between, "{}: others commit while it is open: {suspect:#?}", scenario.name);
        assert_eq!(scenario.name.contains("drops"), !suspect.locked_until_promotion.is_empty(), "{suspect:#?}");
    }
    assert!(suspect.score >= ACCIDENT_SCORE || !suspect.reasons.is_empty());
    let xids = |commits: &[(u32, Lsn, Lsn)]| commits.iter().map(|(xid, ..)| *xid).collect();
    (xids(before), xids(after))
}

/// Those of these transactions that are committed on a server: its own records of that, whatever the rows say.
fn committed(server: &Cluster, xids: &[u32]) -> Vec<u32> {
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
