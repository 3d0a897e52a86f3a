//! Several databases in one window: the same oids and file numbers in each, and other names.

use crate::accidents::search;
use crate::archived::Archived;
use crate::session::Session;
use lifeboat::domain::catalog_memory::{FileKey, Relation};
use lifeboat::engine::catalog_memory::remember;
use lifeboat::planning::accident::{Answer, Counts, Suspect, Window};
use std::time::{Duration, Instant};

/// Two databases, one made of the other: what is `orders` and `payments` in the one has other names in the other.
const DATABASES: [(&str, [&str; 2]); 2] = [("shop", ["orders", "payments"]), ("branch", ["invoices", "refunds"])];

/// Notes what the catalogs say, as `lifeboat remember` does.
fn note(archived: &Archived) {
    let cluster = &archived.cluster;
    let mut relations = Vec::new();
    for (database, tables) in DATABASES {
        for table in tables {
            let row = cluster.sql_in(
                database,
                &format!(
                    "SELECT d.oid, d.dattablespace, pg_relation_filenode(c.oid), c.oid, c.reltuples::bigint FROM pg_class c, \
                     pg_database d WHERE c.relname = '{table}' AND d.datname = current_database()"
                ),
            );
            let numbers: Vec<u32> = row.split('|').map(|number| number.parse().unwrap()).collect();
            let [database_oid, tablespace, file, oid, rows] = numbers[..] else { panic!("{row}") };
            let key = FileKey { database: database_oid, tablespace, file };
            let (schema, name, database_name) = ("public".to_owned(), table.to_owned(), database.to_owned());
            let rows = Some(rows.into());
            relations
                .push((key, Relation { oid, database_name, schema, name, kind: 'r', owner: None, rows, bytes: 8192 }));
        }
    }
    let system = cluster.sql("SELECT system_identifier FROM pg_control_system()").parse().unwrap();
    let now = cluster.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')");
    remember(&archived.cluster.home().join("state"), "main", system, relations, now.parse().unwrap()).unwrap();
}

fn suspect(answer: &Answer, xid: u32) -> &Suspect {
    let found = answer.suspects.iter().find(|suspect| suspect.xid == xid);
    found.unwrap_or_else(|| panic!("{xid} is no suspect: {answer:#?}"))
}

#[test]
fn accidents_in_two_databases_are_named_each_by_its_own() {
    let archived = Archived::start(1, "autovacuum = off");
    let cluster = &archived.cluster;
    cluster.sql(
        "CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 1000) n; CREATE TABLE payments AS SELECT n AS id FROM \
         generate_series(1, 500) n; CREATE TABLE ledger (n int)",
    );
    cluster.sql_in("postgres", "CREATE DATABASE branch TEMPLATE shop");
    cluster.sql_in("branch", "DELETE FROM orders WHERE id > 200; ALTER TABLE orders RENAME TO invoices");
    cluster.sql_in("branch", "ALTER TABLE payments RENAME TO refunds; ANALYZE");
    cluster.sql("ANALYZE");
    let file = |database: &str, table: &str| {
        cluster.sql_in(database, &format!("SELECT '{table}'::regclass::oid, pg_relation_filenode('{table}')"))
    };
    for place in [0, 1] {
        assert_eq!(file("shop", DATABASES[0].1[place]), file("branch", DATABASES[1].1[place]));
    }
    note(&archived);
    let now = || {
        let now = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
        cluster.sql(now).parse().unwrap()
    };
    let from = now();
    let mut sessions = DATABASES.map(|(database, _)| Session::new(cluster, database, "public"));
    // Open at once, and one after the other committed: rows of the one are no rows of the other.
    let deletes = [0, 1].map(|place| {
        let xid = sessions[place].begins();
        sessions[place].does(&format!("DELETE FROM {} WHERE id % 4 <> 0", DATABASES[place].1[0]));
        xid
    });
    sessions.iter_mut().for_each(|session| _ = session.does("COMMIT; INSERT INTO ledger VALUES (1)"));
    let drops = [1, 0].map(|place| {
        let xid = sessions[place].begins();
        sessions[place].does(&format!("DROP TABLE {}; COMMIT", DATABASES[place].1[1]));
        (place, xid)
    });
    let to = now();
    // What a session counted is told at its end, or a second later.
    drop(sessions);
    for ((database, [table, _]), left) in DATABASES.iter().zip(["250", "50"]) {
        let begin = Instant::now();
        while cluster.sql_in(database, &format!("SELECT pg_stat_get_live_tuples('{table}'::regclass)")) != left {
            assert!(begin.elapsed() < Duration::from_secs(60), "{database} does not count what was deleted");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    archived.archive_all();
    for asks_server in [true, false] {
        let answer = search(&archived, Window { from, to, around: to }, asks_server).answer;
        assert_eq!(answer.proposed.as_ref().map(|proposed| proposed.xid), Some(deletes[0]), "{answer:#?}");
        for (place, rows, deleted) in [(0, 1000, 750), (1, 200, 150)] {
            let (database, [table, _]) = DATABASES[place];
            let found = suspect(&answer, deletes[place]);
            let [relation] = found.relations.as_slice() else { panic!("{found:#?}") };
            assert_eq!((found.database.as_str(), relation.name.as_str(), relation.deleted), (database, table, deleted));
            assert_eq!(relation.share, Some(0.75), "{rows}: {found:#?}");
            let expected = format!("deletes {deleted} of about {rows} rows of {table} (75 %)");
            assert!(found.reasons[0].starts_with(&expected), "{found:#?}");
        }
        for (place, xid) in drops {
            let (database, [_, table]) = DATABASES[place];
            let found = suspect(&answer, xid);
            let [relation] = found.relations.as_slice() else { panic!("{found:#?}") };
            assert_eq!((found.database.as_str(), relation.name.as_str(), relation.dropped), (database, table, true));
            assert!(found.reasons[0].starts_with(&format!("drops {table} with about 500 rows")), "{found:#?}");
        }
        // A table of the same name in each is counted apart.
        if asks_server {
            let inserted = |inserted| Counts { inserted, ..Counts::default() };
            let lost = &suspect(&answer, deletes[0]).discarded.by_table;
            assert_eq!((lost["ledger in shop"], lost["ledger in branch"]), (inserted(1), inserted(1)), "{lost:?}");
            assert_eq!(lost["invoices in branch"].deleted, 150);
        }
    }
}
