//! Accidents and honest days in a shop's schema of its own.

/// What happens in a window.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What was there before the window.
    pub(crate) ahead: &'static str,
    /// What happens in the window before.
    pub(crate) before: &'static str,
    /// The accident: each text is a script of its own that prints the id of its transaction first. The earliest counts.
    pub(crate) accidents: &'static [&'static str],
    /// While the accident's transaction is open others commit.
    pub(crate) is_slow: bool,
    /// Sessions write all the time.
    pub(crate) has_writer: bool,
}

const fn scenario(name: &'static str, accidents: &'static [&'static str]) -> Scenario {
    Scenario { name, ahead: "", before: "", accidents, is_slow: false, has_writer: false }
}

const fn slow(name: &'static str, accidents: &'static [&'static str]) -> Scenario {
    Scenario { is_slow: true, ..scenario(name, accidents) }
}

const fn under_load(name: &'static str, accidents: &'static [&'static str]) -> Scenario {
    Scenario { has_writer: true, ..scenario(name, accidents) }
}

/// `pg_current_xact_id()` gives the id that the accident's records carry. Drawn anew for each: `:few` is 2 to 4, `:table` and
/// `:other` are two of the fifty, `:ledger` is a database.
pub(crate) const ACCIDENTS: [Scenario; 26] = [
    scenario("delete without WHERE", &["BEGIN; SELECT pg_current_xact_id(); DELETE FROM payments; COMMIT;"]),
    scenario(
        "delete with the wrong WHERE",
        &["BEGIN; SELECT pg_current_xact_id(); DELETE FROM orders WHERE id % :few <> 0; COMMIT;"],
    ),
    scenario(
        "delete of a fourth",
        &["BEGIN; SELECT pg_current_xact_id(); DELETE FROM payments WHERE id % 4 = 1; COMMIT;"],
    ),
    scenario("delete of large values", &["BEGIN; SELECT pg_current_xact_id(); DELETE FROM documents; COMMIT;"]),
    scenario("update without WHERE", &["BEGIN; SELECT pg_current_xact_id(); UPDATE customers SET mail = ''; COMMIT;"]),
    scenario(
        "update by the wrong join",
        &[
            "BEGIN; SELECT pg_current_xact_id(); UPDATE orders SET total = 0 FROM customers c WHERE c.id % (1 + :few) <> 0 AND c.id = customer; COMMIT;",
        ],
    ),
    scenario("truncate", &["BEGIN; SELECT pg_current_xact_id(); TRUNCATE payments; COMMIT;"]),
    scenario("truncate of large values", &["BEGIN; SELECT pg_current_xact_id(); TRUNCATE documents; COMMIT;"]),
    scenario(
        "truncate that cascades",
        &["BEGIN; SELECT pg_current_xact_id(); TRUNCATE customers RESTART IDENTITY CASCADE; COMMIT;"],
    ),
    scenario("drop table", &["BEGIN; SELECT pg_current_xact_id(); DROP TABLE payments; COMMIT;"]),
    scenario(
        "drop table that cascades",
        &["BEGIN; SELECT pg_current_xact_id(); DROP TABLE customers CASCADE; COMMIT;"],
    ),
    scenario("drop schema", &["BEGIN; SELECT pg_current_xact_id(); DROP SCHEMA :schema CASCADE; COMMIT;"]),
    Scenario {
        ahead: "CREATE DATABASE :ledger TEMPLATE template0;",
        ..scenario("drop database", &["DROP DATABASE :ledger;"])
    },
    Scenario {
        // Used by sessions since it was made, a moment ago.
        before: "CREATE TABLE fresh (n int);\n\
                 SELECT format('INSERT INTO fresh VALUES (%s)', n) FROM generate_series(1, 12) n \\gexec\n",
        ..scenario("drop of a new table", &["BEGIN; SELECT pg_current_xact_id(); DROP TABLE fresh; COMMIT;"])
    },
    scenario(
        "bad migration",
        &[
            "BEGIN; SELECT pg_current_xact_id(); ALTER TABLE orders ADD COLUMN state int DEFAULT 1; UPDATE orders SET state = 2; \
           DROP TABLE documents; CREATE TABLE later (x int); DELETE FROM payments WHERE id > 100; COMMIT;",
        ],
    ),
    scenario(
        "the second is the loudest",
        &[
            "BEGIN; SELECT pg_current_xact_id(); DELETE FROM payments WHERE id % 2 = 0; COMMIT;",
            "BEGIN; SELECT pg_current_xact_id(); DROP TABLE customers CASCADE; COMMIT;",
        ],
    ),
    scenario(
        "an update, then a truncate",
        &[
            "BEGIN; SELECT pg_current_xact_id(); UPDATE payments SET amount = 0; COMMIT;",
            "BEGIN; SELECT pg_current_xact_id(); TRUNCATE orders CASCADE; COMMIT;",
        ],
    ),
    slow(
        "a long transaction",
        &[
            "BEGIN; SELECT pg_current_xact_id(); INSERT INTO payments (amount) VALUES (1); DELETE FROM payments; SELECT pg_sleep(0.6) \\g /dev/null\nCOMMIT;",
        ],
    ),
    slow(
        "a long transaction that drops",
        &["BEGIN; SELECT pg_current_xact_id(); DROP TABLE documents; SELECT pg_sleep(0.6) \\g /dev/null\nCOMMIT;"],
    ),
    scenario(
        "in a subtransaction",
        &[
            "BEGIN; SELECT pg_current_xact_id(); INSERT INTO payments (amount) VALUES (1); SAVEPOINT a; DELETE FROM orders; RELEASE a; COMMIT;",
        ],
    ),
    scenario(
        "in a block with an exception",
        &[
            "BEGIN; SELECT pg_current_xact_id(); DO $$ BEGIN BEGIN DELETE FROM payments; RAISE 'no'; EXCEPTION WHEN others THEN \
           UPDATE payments SET amount = -1; END; END $$; COMMIT;",
        ],
    ),
    slow(
        "prepared",
        &["BEGIN; SELECT pg_current_xact_id(); DELETE FROM orders WHERE id > 500; PREPARE TRANSACTION 'accident'; \
           SELECT pg_sleep(0.6) \\g /dev/null\nCOMMIT PREPARED 'accident';"],
    ),
    scenario("one of many tables", &["BEGIN; SELECT pg_current_xact_id(); DELETE FROM :table; COMMIT;"]),
    under_load(
        "a delete under load",
        &["BEGIN; SELECT pg_current_xact_id(); DELETE FROM orders WHERE id % :few = 0; COMMIT;"],
    ),
    under_load(
        "an update under load",
        &["BEGIN; SELECT pg_current_xact_id(); UPDATE payments SET amount = 1; COMMIT;"],
    ),
    under_load("a truncate under load", &["BEGIN; SELECT pg_current_xact_id(); TRUNCATE :table, :other; COMMIT;"]),
];

/// Days on which nothing goes wrong.
pub(crate) const HONEST: [&str; 11] = [
    "INSERT INTO payments (amount) SELECT n FROM generate_series(1, 1500) n; ANALYZE payments;",
    "CREATE TABLE staging AS SELECT * FROM orders LIMIT 500; UPDATE staging SET total = 1; CREATE TABLE chunks (n int); \
     SELECT format('INSERT INTO chunks SELECT generate_series(1, 40 + %s)', n) FROM generate_series(1, 12) n \\gexec\nDROP TABLE chunks; INSERT INTO orders (customer, total) \
     SELECT customer, total FROM staging; DROP TABLE staging;",
    "VACUUM FULL orders; CLUSTER customers USING customers_pkey; REINDEX TABLE payments; VACUUM ANALYZE payments;",
    "CREATE MATERIALIZED VIEW report AS SELECT customer, sum(total) FROM orders GROUP BY 1; REFRESH MATERIALIZED VIEW report; \
     REFRESH MATERIALIZED VIEW report;",
    "DELETE FROM orders WHERE id % 60 = 0; UPDATE customers SET mail = mail || '.' WHERE id % 20 = 0;",
    "CREATE TABLE load (x int); TRUNCATE load; INSERT INTO load SELECT generate_series(1, 400); TRUNCATE load; \
     INSERT INTO load SELECT generate_series(1, 400); TRUNCATE load; DROP TABLE load;",
    "ALTER TABLE customers ADD COLUMN note text; CREATE INDEX ON orders (total); ALTER TABLE payments ALTER COLUMN amount TYPE \
     bigint; DROP INDEX orders_total_idx; ALTER TABLE customers DROP COLUMN note;",
    "BEGIN; UPDATE payments SET amount = 0; DELETE FROM orders; ROLLBACK; BEGIN; SAVEPOINT a; DELETE FROM payments; \
     ROLLBACK TO a; INSERT INTO payments (amount) VALUES (1); COMMIT;",
    "CREATE TEMP TABLE mine AS SELECT * FROM orders; DELETE FROM mine; DROP TABLE mine; INSERT INTO t05 SELECT n FROM \
     generate_series(1, 15) n; DELETE FROM queue; INSERT INTO queue SELECT generate_series(1, 12); DELETE FROM queue;",
    "INSERT INTO counters SELECT n, 0 FROM generate_series(1, 8) n ON CONFLICT (k) DO UPDATE SET n = counters.n + 1; \
     UPDATE counters SET n = n + 1; UPDATE counters SET n = n + 1; SELECT pg_create_restore_point('noon') \\g /dev/null\n",
    // Nothing but the catalogs, by the thousand.
    "SELECT format('CREATE TEMP TABLE x%s (a int, b text, c text, d text, PRIMARY KEY (a)) ON COMMIT DROP', n) FROM \
     generate_series(1, 150) n \\gexec\nANALYZE; VACUUM ANALYZE; SELECT format('CREATE TYPE y%s AS ENUM (''a'', ''b'')', n) FROM \
     generate_series(1, 100) n \\gexec\nSELECT format('DROP TYPE y%s', n) FROM generate_series(1, 100) n \\gexec\nANALYZE;",
];

/// The tables, filled, the large ones with `:factor` times as many rows. `:schema` is made and comes first in the search
/// path.
pub(crate) const TABLES: &str = "
CREATE SCHEMA :schema; SET search_path = :schema;
CREATE TABLE customers (id serial PRIMARY KEY, mail text);
CREATE TABLE orders (id serial PRIMARY KEY, customer int REFERENCES customers, total int);
CREATE TABLE payments (id serial PRIMARY KEY, amount int);
CREATE TABLE documents (id serial PRIMARY KEY, body text);
ALTER TABLE documents ALTER COLUMN body SET STORAGE external;
CREATE TABLE queue (n int);
CREATE TABLE counters (k int PRIMARY KEY, n int);
INSERT INTO customers (mail) SELECT 'customer' || n FROM generate_series(1, 1000 * :factor) n;
INSERT INTO orders (customer, total) SELECT 1 + n % 1000, n FROM generate_series(1, 3000 * :factor) n;
INSERT INTO payments (amount) SELECT n FROM generate_series(1, 3000 * :factor) n;
INSERT INTO documents (body) SELECT repeat(n::text, 3000) FROM generate_series(1, 50) n;
INSERT INTO queue SELECT generate_series(1, 10);
SELECT format('CREATE TABLE t%s AS SELECT n FROM generate_series(1, 300) n', to_char(n, 'FM00'))
  FROM generate_series(0, 49) n \\gexec
";

/// What the shop does all day, a transaction a line.
pub(crate) const EVERYDAY: &str = "
INSERT INTO payments (amount) VALUES (7);
UPDATE customers SET mail = 'new' WHERE id = 5;
INSERT INTO orders (customer, total) SELECT 3, 9 FROM generate_series(1, 4);
BEGIN; UPDATE orders SET total = total + 1 WHERE id BETWEEN 10 AND 14; INSERT INTO payments (amount) VALUES (3); COMMIT;
DELETE FROM payments WHERE id = 77;
UPDATE t03 SET n = 0 WHERE n = 1;
";
