//! Settings that were raised in production after the backup: WAL holds the raise, and replay needs it.

use crate::lab;
use crate::told;

#[test]
fn a_raise_that_is_younger_than_the_backup_does_not_stop_the_replay() {
    let lab = lab::running();
    let before: u32 = lab.sql("SHOW max_connections").parse().unwrap();
    for (name, value) in [
        ("max_connections", before + 60),
        ("max_worker_processes", 21),
        ("max_wal_senders", 17),
        ("max_prepared_transactions", 5),
        ("max_locks_per_transaction", 90),
    ] {
        lab.sql(&format!("ALTER SYSTEM SET {name} = {value}"));
    }
    lab.stop();
    lab.start();
    lab.sql("CREATE TABLE after_the_raise AS SELECT generate_series(1, 777) AS n");
    lab.wait_archived();
    let drill = told::drill(&lab, &["-p", "probe=SELECT 'rows: ' || count(*) FROM after_the_raise"]);
    drill.done();
    let captures = &drill.state("probe").result.as_ref().unwrap().captures;
    assert!(captures["answer"].contains("rows: 777"), "replay went on behind the raise: {captures:?}");
    let limits = &drill.state("limits").result.as_ref().unwrap().captures;
    assert_eq!(limits["max_connections"], (before + 60).to_string());
    assert_eq!((&*limits["max_prepared_transactions"], &*limits["max_locks_per_transaction"]), ("5", "90"));
}
