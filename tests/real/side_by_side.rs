//! Side by side: production is left alone under load, what stays holds exactly the target's rows, and cleanup removes it.

use crate::driven::Driven;
use crate::lab::{self, Lab};
use crate::production::{archive_only_grew, archived, picture, unchanged, under_load};
use crate::told::{self, tree};
use lifeboat::domain::event::RunId;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

/// SQL on the side instance.
fn ask(lab: &Lab, socket: &Path, text: &str) -> String {
    let output = lab::as_owner(lab.marker.bin_directory.join("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", socket.to_str().unwrap(), "-p", "5432"])
        .args(["-U", "postgres", "-d", "shop", "-c", text])
        .output()
        .unwrap();
    lab::assert_done(&output, text);
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Three commits, and the positions between them.
fn marks(lab: &Lab) -> [String; 2] {
    lab.sql("CREATE TABLE marks (n integer)");
    let after = |n: u32| {
        lab.sql(&format!("INSERT INTO marks VALUES ({n})"));
        lab.sql("SELECT pg_current_wal_insert_lsn()")
    };
    let positions = [after(1), after(2)];
    after(3);
    positions
}

const ROWS: &str = "SELECT string_agg(n::text, ',' ORDER BY n) FROM marks";

#[test]
fn under_load_it_moves_keeps_outlives_its_run_and_is_cleaned_up() {
    let lab = lab::running();
    let [first, second] = marks(&lab);
    let (before, archive) = (picture(&lab), archived(&lab));
    let (locks, spool) = (tree(&lab.layout.lock()), tree(&lab.layout.spool()));
    let (run, sold) = under_load(&lab, || {
        let target = format!("target=lsn:{second}");
        let mut run = Driven::begin(&lab, &["pitr-side-by-side", "-p", &target]);
        run.through_gates();
        assert_eq!(ask(&lab, &run.socket(), ROWS), "1,2", "{}", run.why());
        // Back needs another restore, forward none.
        run.decide(&["back", &format!("target=lsn:{first}")]);
        assert_eq!(ask(&lab, &run.socket(), ROWS), "1", "{}", run.why());
        run.decide(&["forward", &format!("target=lsn:{second}")]);
        assert_eq!(ask(&lab, &run.socket(), ROWS), "1,2", "{}", run.why());
        run.decide(&["keep"]);
        run.ended("done");
        run
    });
    unchanged(&before, &picture(&lab));
    archive_only_grew(&archive, &archived(&lab));
    assert_eq!((locks, spool), (tree(&lab.layout.lock()), tree(&lab.layout.spool())));
    assert_eq!(lab.sql("SELECT count(*) FROM orders WHERE total_cents = 4711"), sold.to_string());
    assert_eq!(lab.sql(ROWS), "1,2,3");

    // It has outlived its run: read-write, alone, and pg_dump works.
    let socket = run.socket();
    assert_eq!(ask(&lab, &socket, ROWS), "1,2");
    assert_eq!(
        ask(
            &lab,
            &socket,
            "SELECT pg_is_in_recovery(), current_setting('archive_mode'), current_setting('listen_addresses')"
        ),
        "f|off|"
    );
    assert_eq!(
        (run.run.result["kept.state"].as_str(), run.run.result["kept.archive_mode"].as_str()),
        ("promoted", "off")
    );
    let dump = lab::as_owner(lab.marker.bin_directory.join("pg_dump"))
        .args(["-h", socket.to_str().unwrap(), "-p", "5432", "-U", "postgres", "-d", "shop", "-t", "marks"])
        .output()
        .unwrap();
    lab::assert_done(&dump, "pg_dump");
    assert!(String::from_utf8_lossy(&dump.stdout).contains("COPY public.marks"));
    ask(&lab, &socket, "SELECT pg_switch_wal()");
    assert!(run.told.said.contains(&format!("lifeboat cleanup {}", run.id())), "{}", run.told.said);

    let listed = told::lifeboat(&lab, &["runs"]).said;
    assert!(listed.contains("and a server runs in it"), "{listed}");
    let id = run.id();
    let shown = told::lifeboat(&lab, &["cleanup", &id]);
    assert!(shown.exit == 3 && shown.said.contains("stops     the server in it: process"), "{shown:?}");
    assert_eq!(ask(&lab, &socket, "SELECT 1"), "1", "nothing was removed yet");
    let done = told::lifeboat(&lab, &["cleanup", &id, "--yes", &id]);
    assert_eq!(done.exit, 0, "{done:?}");
    assert!(!run.directory().exists());
    let living = lab::processes_naming(&run.directory());
    assert!(living.is_empty(), "{living:?}");
    assert_eq!(lab.sql(ROWS), "1,2,3", "production's server is another one");
    // No repository has heard of its timeline.
    archive_only_grew(&archive, &archived(&lab));
}

#[test]
fn what_is_left_pauses_again_by_itself_and_the_newest_commit_needs_no_archive() {
    let lab = lab::running();
    // Nothing but a wish of the run may make production archive from here on.
    lab.quiet();
    lab.sql("CREATE TABLE marks (n integer)");
    lab.wait_archived();
    lab.sql("INSERT INTO marks VALUES (1)");
    let position = lab.sql("SELECT pg_current_wal_insert_lsn()");
    lab.sql("INSERT INTO marks VALUES (2)");
    let archive = archived(&lab);
    let mut run = Driven::begin(&lab, &["pitr-side-by-side", "-p", &format!("target=lsn:{position}")]);
    run.through_gates();
    run.decide(&["leave"]);
    run.ended("done");
    assert_eq!(run.run.result["kept.state"], "paused");
    let socket = run.socket();
    assert_eq!(ask(&lab, &socket, ROWS), "1");
    assert_eq!(ask(&lab, &socket, "SELECT pg_is_in_recovery()"), "t");
    // Production was not made to archive for it.
    assert_eq!(archive, archived(&lab));
    // Started once more by its own settings, it stops at the same place.
    let restarted = lab::as_owner(lab.marker.bin_directory.join("pg_ctl"))
        .args(["restart", "-s", "-w", "-D", run.directory().join("conf").to_str().unwrap()])
        .args(["-l", run.directory().join("log/server.log").to_str().unwrap()])
        .output()
        .unwrap();
    lab::assert_done(&restarted, "pg_ctl restart");
    lab::wait_until("it pauses", || ask(&lab, &socket, "SELECT pg_get_wal_replay_pause_state()") == "paused");
    assert_eq!(ask(&lab, &socket, ROWS), "1");
    let id = run.id();
    // Another run's mark protects it from this run's cleanup.
    let mark = run.directory().join(".lifeboat-run");
    let own = fs::read_to_string(&mark).unwrap();
    fs::write(&mark, format!("{}\n", RunId::from_random(7))).unwrap();
    let refused = told::lifeboat(&lab, &["cleanup", &id, "--yes", &id]);
    refused.refused(2, &["names the run"]);
    assert_eq!(ask(&lab, &socket, "SELECT 1"), "1");
    fs::write(&mark, own).unwrap();
    assert_eq!(told::lifeboat(&lab, &["cleanup", &id, "--yes", &id]).exit, 0);
    assert!(!run.directory().exists());
}

#[test]
fn given_up_it_leaves_nothing() {
    let lab = lab::running();
    let [first, _] = marks(&lab);
    let mut run = Driven::begin(&lab, &["pitr-side-by-side", "-p", &format!("target=lsn:{first}")]);
    run.through_gates();
    run.decide(&["give-up"]);
    run.ended("aborted");
    assert!(!run.directory().exists());
    assert!(lab::processes_naming(&run.directory()).is_empty());
    assert_eq!(lab.sql(ROWS), "1,2,3");
    assert!(told::lifeboat(&lab, &["cleanup", &run.id()]).said.contains("left nothing behind"));
}

/// A session drops a table and commits later; meanwhile another one sells. The exact target keeps the sale, so that the drop is
/// open there: the plan says what stays locked, and a probe of it ends by itself and says why.
#[test]
fn a_probe_of_what_the_accident_locked_ends_by_itself_and_says_why() {
    let lab = lab::running();
    lab.sql("CREATE TABLE ledger (n int)");
    // It is in use.
    (0..12).for_each(|n| _ = lab.sql(&format!("INSERT INTO ledger VALUES ({n})")));
    let mut session = lab::as_owner(lab.marker.bin_directory.join("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", lab.layout.sockets().to_str().unwrap()])
        .args(["-p", &lab.marker.port.to_string(), "-U", "postgres", "-d", "shop"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = session.stdin.take().unwrap();
    input.write_all(b"BEGIN; DROP TABLE ledger;\n").unwrap();
    let open = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND backend_xid IS NOT NULL";
    lab::wait_until("the table is dropped", || lab.sql(open) == "1");
    lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 987654321)");
    input.write_all(b"COMMIT;\n").unwrap();
    drop(input);
    assert!(session.wait().unwrap().success());
    lab.sql("INSERT INTO orders (customer_id, total_cents) VALUES (1, 987654322)");
    lab.wait_archived();

    let probe = "probe=SELECT count(*) FROM ledger";
    let asked = ["pitr-side-by-side", "-p", "accident=around:1 minute ago window 10m", "-p", probe];
    let plan = lab.run_lifeboat(&[&["plan"], &asked[..]].concat());
    lab::assert_done(&plan, "lifeboat plan");
    let plan = String::from_utf8(plan.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plan.contains("locked until promotion, even for reading"), "{plan}");

    let mut run = Driven::begin(&lab, &asked);
    run.through_gates();
    let said = format!("{}\n{}", run.why(), told::lifeboat(&lab, &["transcript", &run.id()]).said);
    assert!(run.run.held().next().is_some_and(|(step, _)| step.id.to_string() == "probe"), "{said}");
    assert!(said.contains("canceling statement due to lock timeout"), "{said}");
    let id = run.id();
    lab::assert_done(&lab.run_lifeboat(&["resolve", &id, "probe", "done"]), "resolve");
    run.attach();
    run.through_gates();
    let socket = run.socket();
    let sold = "SELECT string_agg(total_cents::text, ',') FROM orders WHERE total_cents >= 987654321";
    assert_eq!(ask(&lab, &socket, sold), "987654321", "{}", run.why());
    run.decide(&["keep"]);
    run.ended("done");
    // Promoted: the lock is gone, and the table is there.
    assert_eq!(ask(&lab, &socket, "SELECT count(*) FROM ledger"), "12");
}
