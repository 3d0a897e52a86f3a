//! Work that writes as many kinds of records as a server of its own can be made to write.

use crate::cluster::Cluster;

/// Tables with every kind of index, sequences, large values; changed in every way, with each compression of images.
const SCRIPT: &str = r"
CREATE TABLE item (id serial PRIMARY KEY, name text NOT NULL, price numeric, tags text[], at timestamptz DEFAULT now(),
  place point, doc tsvector, body text);
CREATE INDEX ON item USING hash (name);
CREATE INDEX ON item USING gin (tags);
CREATE INDEX ON item USING gin (doc);
CREATE INDEX ON item USING gist (place);
CREATE INDEX ON item USING spgist (place);
CREATE INDEX ON item USING brin (at) WITH (pages_per_range = 2, autosummarize = on);
CREATE SEQUENCE ticket CACHE 5;
INSERT INTO item (name, price, tags, place, doc)
  SELECT 'item ' || n, n * 1.5, ARRAY['a' || n % 7, 'b' || n % 13], point(n % 97, n % 89), to_tsvector('simple', 'word' || n)
  FROM generate_series(1, 3000) n;
SELECT nextval('ticket') FROM generate_series(1, 100) \g /dev/null
-- large values, out of line
INSERT INTO item (name, body) SELECT 'large ' || n, (SELECT string_agg(md5(n::text || m), '') FROM generate_series(1, 300) m)
  FROM generate_series(1, 60) n;
UPDATE item SET body = reverse(body) WHERE name LIKE 'large 1%';
-- updates within the page and beyond
ALTER TABLE item SET (fillfactor = 50);
VACUUM FULL item;
UPDATE item SET price = price + 1 WHERE id % 3 = 0;
UPDATE item SET name = name || 'x' WHERE id % 11 = 0;
DELETE FROM item WHERE id % 17 = 0;
VACUUM (FREEZE, ANALYZE) item;
SELECT count(*) FROM item \g /dev/null
-- bulk loads
CREATE TABLE bulk (n int, t text);
COPY bulk FROM PROGRAM 'seq 1 5000 | sed s/$/,loaded/' WITH (FORMAT csv);
CREATE TABLE copy_of_bulk AS SELECT * FROM bulk;
-- a row that gives way, a row that moves to another partition
CREATE TABLE once (k int PRIMARY KEY, n int);
INSERT INTO once SELECT n % 10, n FROM generate_series(1, 10) n ON CONFLICT (k) DO UPDATE SET n = excluded.n;
INSERT INTO once SELECT n % 10, n FROM generate_series(1, 10) n ON CONFLICT (k) DO UPDATE SET n = excluded.n;
CREATE TABLE part (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE part_low PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part_high PARTITION OF part FOR VALUES FROM (100) TO (200);
INSERT INTO part SELECT n, 'v' FROM generate_series(0, 199) n;
UPDATE part SET k = k + 50 WHERE k BETWEEN 60 AND 99;
-- subtransactions, kept and rolled back; more than 64 of them
BEGIN;
INSERT INTO bulk VALUES (1, 'outer');
SAVEPOINT a; DELETE FROM bulk WHERE n < 10; SAVEPOINT b; INSERT INTO bulk VALUES (2, 'b'); ROLLBACK TO b;
INSERT INTO bulk VALUES (3, 'a'); RELEASE a;
COMMIT;
DO $$ BEGIN FOR n IN 1..150 LOOP BEGIN INSERT INTO bulk VALUES (n, 'sub'); EXCEPTION WHEN others THEN NULL; END; END LOOP; END $$;
BEGIN; UPDATE bulk SET t = 'never' WHERE n < 100; ROLLBACK;
-- in two phases
BEGIN; SAVEPOINT s; DELETE FROM bulk WHERE n = 77; RELEASE s; CREATE TABLE two_phases (x int); DROP TABLE once;
PREPARE TRANSACTION 'first';
BEGIN; INSERT INTO bulk VALUES (9, 'second'); PREPARE TRANSACTION 'second';
COMMIT PREPARED 'first';
ROLLBACK PREPARED 'second';
-- locks and multixacts
BEGIN; SELECT * FROM item WHERE id < 50 FOR SHARE \g /dev/null
SAVEPOINT s; SELECT * FROM item WHERE id < 20 FOR UPDATE \g /dev/null
COMMIT;
-- definitions
CREATE SCHEMA extra; CREATE TABLE extra.one AS SELECT 1 AS x; CREATE TABLE extra.two (x int); CREATE VIEW extra.v AS SELECT 1;
CREATE MATERIALIZED VIEW extra.m AS SELECT count(*) FROM bulk; REFRESH MATERIALIZED VIEW extra.m;
ALTER TABLE bulk ADD COLUMN u int DEFAULT 7; ALTER TABLE bulk ALTER COLUMN n TYPE bigint;
TRUNCATE copy_of_bulk; DROP SCHEMA extra CASCADE; DROP TABLE two_phases;
CLUSTER item USING item_pkey; REINDEX TABLE item; CREATE INDEX CONCURRENTLY ON bulk (n); DROP INDEX CONCURRENTLY bulk_n_idx;
CREATE UNLOGGED TABLE light (x int); INSERT INTO light VALUES (1);
CREATE TEMP TABLE passing AS SELECT 1 AS x;
SELECT pg_create_restore_point('before the release') \g /dev/null
SELECT lo_create(0) \g /dev/null
SELECT pg_logical_emit_message(true, 'test', repeat('x', 40000)) \g /dev/null
CHECKPOINT;
SET wal_compression = 'pglz'; UPDATE item SET price = 0 WHERE id < 900;
CHECKPOINT;
SET wal_compression = 'lz4'; UPDATE item SET price = 1 WHERE id < 900;
CHECKPOINT;
SET wal_compression = 'zstd'; UPDATE item SET price = 2 WHERE id < 900;
RESET wal_compression;
DELETE FROM bulk WHERE n > 4000; VACUUM bulk; VACUUM item;
-- catalogs in new files, another tablespace, a change that came from elsewhere, pages of an extension's index
VACUUM FULL pg_class;
SET allow_in_place_tablespaces = on; CREATE TABLESPACE aside LOCATION ''; CREATE TABLE lies_aside (x int) TABLESPACE aside;
INSERT INTO lies_aside SELECT n FROM generate_series(1, 300) n; DELETE FROM lies_aside WHERE x < 20; DROP TABLE lies_aside;
DROP TABLESPACE aside;
SELECT pg_replication_origin_create('elsewhere') \g /dev/null
SELECT pg_replication_origin_session_setup('elsewhere') \g /dev/null
BEGIN; SELECT pg_replication_origin_xact_setup('7/1234', '2026-11-22 02:13:00.5+00') \g /dev/null
INSERT INTO bulk VALUES (8, 'from elsewhere'); COMMIT;
BEGIN; SELECT pg_replication_origin_xact_setup('7/5678', '2026-11-22 02:14:00+00') \g /dev/null
INSERT INTO bulk VALUES (8, 'in two phases from elsewhere'); PREPARE TRANSACTION 'third'; COMMIT PREPARED 'third';
SELECT pg_replication_origin_session_reset() \g /dev/null
CREATE EXTENSION bloom; CREATE INDEX ON item USING bloom (id); INSERT INTO item (name) SELECT 'bloom ' || n FROM generate_series(1, 50) n;
-- a transaction whose tables' statistics go with it, committed, rolled back, and prepared
CREATE TABLE counted_a (x int); CREATE TABLE counted_b (x int); INSERT INTO counted_a VALUES (1); DROP TABLE counted_a, counted_b;
BEGIN; CREATE TABLE counted_c (x int); INSERT INTO counted_c VALUES (1); ROLLBACK;
BEGIN; CREATE TABLE counted_d (x int); DROP TABLE part_high; PREPARE TRANSACTION 'fourth'; ROLLBACK PREPARED 'fourth';
CREATE DATABASE passing; DROP DATABASE passing;
CREATE DATABASE copied STRATEGY file_copy; DROP DATABASE copied;
";

/// Does all of it, with `pgbench` from several sessions in between.
pub(crate) fn run(cluster: &Cluster) {
    cluster.pgbench(&["-i", "-s", "1", "-q"]);
    cluster.sql(SCRIPT);
    // From two sessions at once: more than one transaction is open.
    cluster.sql(
        "BEGIN; DELETE FROM bulk WHERE n % 97 = 0; PREPARE TRANSACTION 'open'; CHECKPOINT; COMMIT PREPARED 'open'",
    );
    cluster.pgbench(&["-n", "-c", "4", "-j", "2", "-t", "150"]);
    cluster.sql("CHECKPOINT; VACUUM; SELECT pg_switch_wal()");
}
