//! Drops are seen wherever the catalogs lie that say of them.

use crate::accidents::{Shop, live_names, search_directory};
use crate::cluster::Cluster;
use crate::scenarios::EVERYDAY;
use lifeboat::planning::accident::{ACCIDENT_SCORE, Names, Window};

#[test]
fn a_drop_is_seen_after_the_catalogs_themselves_moved() {
    let cluster = Cluster::start(1, "autovacuum = off");
    let shop = Shop::new(&cluster, "v".to_owned());
    shop.sql("CREATE TABLE nothing (id serial PRIMARY KEY, body text); CREATE TABLE less (n int)");
    // The catalogs lie where they always did and move later; then they lie elsewhere.
    for (table, later) in [("payments", "VACUUM FULL"), ("documents", "SELECT 1 \\g /dev/null\n")] {
        let from = shop.now();
        let drop = format!("BEGIN; SELECT pg_current_xact_id(); DROP TABLE {table}; COMMIT;");
        let xid = shop.strike(&drop, false);
        shop.sql(EVERYDAY.lines().next_back().unwrap_or_default());
        shop.sql(later);
        let to = shop.now();
        let answer = search_directory(&cluster, Window { from, to, around: to }, live_names(&cluster));
        // Nor is the rewrite of any other table, be it empty, an accident.
        let accidents = answer.suspects.iter().filter(|suspect| suspect.score >= ACCIDENT_SCORE);
        let accidents: Vec<u32> = accidents.map(|suspect| suspect.xid).collect();
        assert_eq!(accidents, [xid], "{table}: {answer:#?}");
        assert!(answer.suspects[0].reasons[0].starts_with("drops a table"), "{:#?}", answer.suspects);
    }
    // Dropped and made anew, which swaps nothing.
    let from = shop.now();
    let again = "BEGIN; SELECT pg_current_xact_id(); DROP TABLE t07; CREATE TABLE t07 (n int); COMMIT;";
    let xid = shop.strike(again, false);
    let to = shop.now();
    let answer = search_directory(&cluster, Window { from, to, around: to }, live_names(&cluster));
    assert_eq!(answer.proposed.as_ref().map(|proposed| proposed.xid), Some(xid), "{answer:#?}");
}

/// Changes to definitions that lose nothing, with the catalogs in other files than ever.
const REDEFINED: &str = "
ALTER TABLE orders ADD COLUMN note text; CREATE INDEX ON orders (total); DROP INDEX orders_total_idx;
CREATE INDEX other ON payments (amount);
DROP INDEX CONCURRENTLY other;
ALTER TABLE customers ADD CONSTRAINT once UNIQUE (mail); ALTER TABLE customers DROP CONSTRAINT once;
ALTER TABLE documents ALTER COLUMN id TYPE bigint; REINDEX TABLE CONCURRENTLY orders;
BEGIN; CREATE TABLE staging AS SELECT * FROM orders; DROP TABLE staging; COMMIT;
CREATE TEMP TABLE mine AS SELECT * FROM orders; DROP TABLE mine; CREATE TABLE hollow (body text); VACUUM FULL hollow;
CREATE VIEW seen AS SELECT * FROM orders; DROP VIEW seen; CREATE TYPE mood AS ENUM ('a', 'b'); DROP TYPE mood;
BEGIN; ALTER TABLE documents RENAME TO papers; CLUSTER papers USING documents_pkey; CREATE TABLE kept (id serial); COMMIT;
ANALYZE; CREATE SEQUENCE counted; DROP SEQUENCE counted;
";

#[test]
fn a_drop_is_seen_wherever_the_catalogs_lie_and_whoever_knows_it() {
    let cluster = Cluster::start(1, "autovacuum = off");
    let shop = Shop::new(&cluster, "w".to_owned());
    let accidents = |window, names| -> Vec<u32> {
        let answer = search_directory(&cluster, window, names);
        let accidents = answer.suspects.iter().filter(|suspect| suspect.score >= ACCIDENT_SCORE);
        accidents.map(|suspect| suspect.xid).collect()
    };
    let drop =
        |table: &str| shop.strike(&format!("BEGIN; SELECT pg_current_xact_id(); DROP TABLE {table}; COMMIT;"), false);
    // Once the rewrite before lies in the window, and once nothing of it does.
    for (tables, is_inside) in [(["t01", "t02"], true), (["t04", "customers CASCADE"], false)] {
        let mut from = shop.now();
        shop.sql("VACUUM FULL");
        if !is_inside {
            // Far enough that nothing of it is read: a window begins a segment earlier.
            for _ in 0..4 {
                shop.sql("INSERT INTO payments (amount) VALUES (2); SELECT pg_switch_wal() \\g /dev/null\n");
            }
            from = shop.now();
        }
        let mut xids = Vec::new();
        for table in tables {
            xids.push(drop(table));
            shop.sql(EVERYDAY.lines().next_back().unwrap_or_default());
            let to = shop.now();
            // Nobody knows the catalogs' files, or the server does; behind the next rewrite it does not any more.
            for names in [live_names(&cluster), Names::default()] {
                assert_eq!(accidents(Window { from, to, around: to }, names), xids, "{table} {is_inside}");
            }
            shop.sql("VACUUM FULL");
        }
        let to = shop.now();
        for names in [live_names(&cluster), Names::default()] {
            assert_eq!(accidents(Window { from, to, around: to }, names), xids, "{is_inside}");
        }
    }
    // The rewrites themselves, and what else changes definitions.
    let from = shop.now();
    shop.sql("CREATE TABLE customers (id serial PRIMARY KEY, mail text); VACUUM FULL");
    shop.sql(REDEFINED);
    shop.sql("VACUUM FULL");
    let to = shop.now();
    for names in [live_names(&cluster), Names::default()] {
        assert_eq!(accidents(Window { from, to, around: to }, names), [0; 0]);
    }
}

/// Temporary tables leave no file in the WAL, but rows in the catalogs and names in the commit all the same; an index that is
/// dropped leaves both. They may neither hide what else a transaction did nor make it look like something else.
#[test]
fn a_truncate_is_seen_beside_what_else_is_dropped() {
    let cluster = Cluster::start(1, "autovacuum = off");
    let shop = Shop::new(&cluster, "u".to_owned());
    shop.sql("CREATE INDEX by_total ON orders (total)");
    let begin = "BEGIN; SELECT pg_current_xact_id();";
    let accidents = [
        (
            "payments",
            format!(
                "{begin} CREATE TEMP TABLE passing ON COMMIT DROP AS SELECT * FROM orders; CREATE INDEX ON passing (id); \
                 TRUNCATE payments; COMMIT;"
            ),
        ),
        (
            "documents",
            format!(
                "CREATE TEMP TABLE mine (id serial PRIMARY KEY, body text); {begin} DROP TABLE mine; TRUNCATE documents; COMMIT;"
            ),
        ),
        ("orders", format!("{begin} DROP INDEX by_total; TRUNCATE orders; COMMIT;")),
    ];
    for (table, text) in accidents {
        let from = shop.now();
        let xid = shop.strike(&text, false);
        let to = shop.now();
        for names in [live_names(&cluster), Names::default()] {
            let answer = search_directory(&cluster, Window { from, to, around: to }, names);
            let accidents = answer.suspects.iter().filter(|suspect| suspect.score >= ACCIDENT_SCORE);
            assert_eq!(accidents.map(|suspect| suspect.xid).collect::<Vec<_>>(), [xid], "{table}: {answer:#?}");
            let reasons = &answer.suspects[0].reasons;
            assert!(reasons[0].starts_with("truncates"), "{table}: {reasons:?}");
        }
        let answer = search_directory(&cluster, Window { from, to, around: to }, live_names(&cluster));
        let reasons = &answer.suspects[0].reasons;
        assert!(
            reasons.iter().any(|reason| reason.starts_with(&format!("truncates u.{table}"))),
            "{table}: {reasons:?}"
        );
    }
}
