//! Names for file numbers, remembered from a running server.

use crate::lab::{self, Lab};
use lifeboat::domain::catalog_memory::{CatalogMemory, FileKey, Unread};
use lifeboat::engine::catalog_memory::{file_of, recall};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

fn remember(lab: &Lab) -> Value {
    let output = lab.run_lifeboat(&["remember", "--json"]);
    lab::assert_done(&output, "lifeboat remember");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn memory(lab: &Lab) -> (CatalogMemory, Unread) {
    let system = lab.sql("SELECT system_identifier FROM pg_control_system()").parse().unwrap();
    recall(&lab.layout.state(), "main", system).unwrap()
}

/// The file as WAL names it: `rel TABLESPACE/DATABASE/FILE`.
fn file(lab: &Lab, table: &str) -> FileKey {
    let number = |sql: &str| lab.sql(sql).parse().unwrap();
    FileKey {
        database: number("SELECT oid FROM pg_database WHERE datname = current_database()"),
        tablespace: number("SELECT dattablespace FROM pg_database WHERE datname = current_database()"),
        file: number(&format!("SELECT pg_relation_filenode('{table}')")),
    }
}

fn names(memory: &CatalogMemory, key: FileKey) -> Vec<String> {
    let name = |seen: &lifeboat::domain::catalog_memory::Seen| {
        let relation = &seen.relation;
        format!("{}.{}.{}", relation.database_name, relation.schema, relation.name)
    };
    memory.of_file(key).iter().map(name).collect()
}

#[test]
fn names_outlive_what_they_named() {
    let lab = lab::running();
    lab.sql("CREATE TABLE moved AS SELECT generate_series(1, 1000) AS n");
    lab.sql("CREATE TABLE renamed ()");
    lab.sql("CREATE TABLE \"odd\n\x1b[2J\" ()");
    lab.sql("ANALYZE moved");
    lab.sql("CREATE DATABASE \"host=elsewhere\"");
    let [orders, before, renamed] = ["orders", "moved", "renamed"].map(|table| file(&lab, table));
    let odd = file(&lab, "\"odd\n\x1b[2J\"");
    // someone holds the table: reading the catalog does not wait for that
    let mut holder = lab::as_owner(lab.marker.bin_directory.join("psql"))
        .args(["-X", "-q", "-h", lab.layout.sockets().to_str().unwrap(), "-p", &lab.marker.port.to_string()])
        .args(["-U", "postgres", "-d", "shop", "-c", "BEGIN; LOCK TABLE orders; SELECT pg_sleep(300)"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    lab::wait_until("the table is locked", || {
        lab.sql("SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'orders'::regclass")
            == "1"
    });
    let first = remember(&lab);
    lab.sql("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = 'orders'::regclass");
    holder.wait().unwrap();
    let databases: Vec<&str> = first["databases"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(databases, ["host=elsewhere", "postgres", "shop", "template1"]);
    assert_eq!((first["left_out"].as_array().unwrap().len(), first["known"].as_u64()), (0, Some(0)));
    let (known, unread) = memory(&lab);
    assert_eq!((known.len() as u64, unread), (first["total"].as_u64().unwrap(), Unread::default()));
    assert_eq!(names(&known, orders), ["shop.public.orders"]);
    assert_eq!(names(&known, odd), ["shop.public.odd␊␛[2J"]);
    let moved = &known.of_file(before)[0].relation;
    assert_eq!((moved.rows, moved.kind, moved.bytes % 8192, moved.bytes > 0), (Some(1000), 'r', 0, true));
    let index = file(&lab, "orders_pkey");
    let table = known.of_file(orders)[0].relation.oid;
    assert_eq!(known.of_file(index)[0].relation.owner, Some(table));
    // a mapped relation, and one that all databases share
    assert_eq!(names(&known, file(&lab, "pg_class")), ["shop.pg_catalog.pg_class"]);
    let shared = lab.sql("SELECT pg_relation_filenode('pg_database')").parse().unwrap();
    assert_eq!(names(&known, FileKey { database: 0, tablespace: 1664, file: shared }), [".pg_catalog.pg_database"]);

    lab.sql("TRUNCATE moved");
    lab.sql("ALTER TABLE renamed RENAME TO called_otherwise");
    lab.sql("DROP TABLE payments CASCADE");
    let after = file(&lab, "moved");
    assert_ne!(before, after);
    let second = remember(&lab);
    assert!(second["known"].as_u64().unwrap() > 900, "{second}");
    let (known, _) = memory(&lab);
    assert_eq!(
        (names(&known, before), names(&known, after)),
        (vec!["shop.public.moved".to_owned()], vec!["shop.public.moved".to_owned()])
    );
    let oid = known.of_file(after)[0].relation.oid;
    assert_eq!(known.of_relation(after.database, oid).count(), 2);
    assert_eq!(names(&known, renamed), ["shop.public.renamed", "shop.public.called_otherwise"]);
    let path = file_of(&lab.layout.state(), "main");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains("\"name\":\"payments\""), "what was dropped stays known");
}

#[test]
fn what_cant_be_read_is_said_and_what_was_remembered_stays() {
    let lab = lab::running();
    remember(&lab);
    let path = file_of(&lab.layout.state(), "main");
    let before = fs::read(&path).unwrap();
    // a database that lets nobody in
    lab.sql("CREATE DATABASE closed");
    lab.sql("ALTER DATABASE closed CONNECTION LIMIT 0");
    let hba = lab.layout.production().join("pg_hba.conf");
    let text = fs::read_to_string(&hba).unwrap();
    fs::write(&hba, format!("local closed all reject\n{text}")).unwrap();
    lab.sql("SELECT pg_reload_conf()");
    lab::wait_until("it is closed", || !lab.run_lifeboat(&["remember"]).status.success());
    let output = lab.run_lifeboat(&["remember"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("not read: closed:") && said.contains("pg_hba.conf") && said.contains(" known\n"), "{said}");
    fs::write(&hba, text).unwrap();
    // a torn line
    let mut torn = fs::read(&path).unwrap();
    torn.truncate(torn.len() - 20);
    fs::write(&path, torn).unwrap();
    lab.sql("SELECT pg_reload_conf()");
    lab::wait_until("it is open", || lab.run_lifeboat(&["remember"]).status.success());
    assert!(fs::read(&path).unwrap().len() > before.len());
    lab.stop();
    let kept = fs::read(&path).unwrap();
    let output = lab.run_lifeboat(&["remember"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("no server runs on") && said.contains("what was remembered before still is"), "{said}");
    assert!(fs::read(&path).unwrap() == kept);
}

/// A plan asks no server, and the server may be gone by then: what a search was told is there all the same.
#[test]
fn what_a_search_was_told_is_remembered() {
    let lab = lab::running();
    lab.sql("DELETE FROM payments WHERE payment_id % 2 = 0");
    let around = lab.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS+00')");
    lab.wait_archived();
    let payments = file(&lab, "payments");
    let search = || {
        let output = lab.run_lifeboat(&["accident", "--around", &around, "--window", "10m", "--json"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        let suspects = found["suspects"].as_array().unwrap();
        let of = |suspect: &Value| suspect["relations"].as_array().unwrap().clone();
        let names = suspects.iter().flat_map(of).map(|relation| relation["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    let is_named = |names: &[String]| {
        names.iter().any(|name| name == "payments") && names.iter().all(|name| !name.contains("relation file"))
    };
    let found = search();
    assert!(is_named(&found), "{found:?}");
    // As `remember` has it, letter for letter.
    let (searched, _) = memory(&lab);
    remember(&lab);
    let (remembered, _) = memory(&lab);
    for key in [payments, file(&lab, "payments_pkey"), file(&lab, "pg_class")] {
        let [one, other] = [&searched, &remembered].map(|memory| memory.of_file(key)[0].relation.clone());
        assert_eq!(one, other);
    }
    let shared = lab.sql("SELECT pg_relation_filenode('pg_database')").parse().unwrap();
    assert_eq!(names(&searched, FileKey { database: 0, tablespace: 1664, file: shared }), [".pg_catalog.pg_database"]);
    lab.sql("DROP TABLE payments");
    lab.stop();
    let found = search();
    assert!(is_named(&found), "{found:?}");
    let plan = lab.run_lifeboat(&["plan", "pitr-in-place", "-p", &format!("accident=around:{around}")]);
    let said = String::from_utf8_lossy(&plan.stdout).into_owned() + &String::from_utf8_lossy(&plan.stderr);
    assert!(said.contains("payments") && !said.contains("relation file"), "{said}");
}
