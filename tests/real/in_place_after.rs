//! From the decision on: another way while nothing is promoted, a server that ends when it is, jobs and subscriptions off until
//! they are let go, and rows that somebody wrote where nobody should have.

use crate::in_place_support::{self as in_place, Recovery, Way, assert_handed_back, before};
use crate::kills_support::{self as kills, PATIENCE};
use crate::lab::{self, Lab};
use lifeboat::domain::event::RunEvent;
use lifeboat::domain::plan::StepKind;
use lifeboat::domain::status::StepStatus;
use rustix::process::Signal;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[test]
fn subscriptions_stay_off_until_the_gate_and_go_on_exactly_as_they_were() {
    let lab = lab::running();
    // In the files of the backup: a library that production preloads, and that nothing preloads before the gate.
    lab.sql("ALTER SYSTEM SET shared_preload_libraries = 'auto_explain'");
    lab.stop();
    lab.start();
    in_place::backup(&lab);
    let publisher = Publisher::start(&lab);
    publisher.sql("CREATE TABLE fed (n integer PRIMARY KEY)");
    publisher.sql("CREATE PUBLICATION feed FOR TABLE fed");
    publisher.sql("INSERT INTO fed VALUES (1)");
    lab.sql("CREATE TABLE fed (n integer PRIMARY KEY)");
    let connection = format!("CONNECTION '{}' PUBLICATION feed", publisher.connection());
    lab.sql(&format!("CREATE SUBSCRIPTION feed {connection}"));
    lab.sql(&format!("CREATE SUBSCRIPTION idle {connection} WITH (connect = false)"));
    lab::wait_until("the table is copied", || lab.sql("SELECT srsubstate FROM pg_subscription_rel") == "r");
    assert_eq!(rows(&lab.sql(FED)), "1");

    let early = in_place::marks(&lab);
    let target = lab.sql("SELECT pg_current_wal_insert_lsn()");
    // Applied behind the target, and confirmed: the publisher will not send it again.
    publisher.sql("INSERT INTO fed VALUES (2)");
    lab::wait_until("it is applied", || rows(&lab.sql(FED)) == "1 2");
    let confirmed = "SELECT confirmed_flush_lsn >= pg_current_wal_lsn() FROM pg_replication_slots";
    lab::wait_until("it is confirmed", || publisher.sql(confirmed) == "t");

    let mut recovery = Recovery::begin(&lab, &[], &["-p", &before(early)]);
    recovery.comes_to(&Way::Decision);
    assert_eq!(recovery.value("seen.libraries"), "auto_explain");
    publisher.sql("INSERT INTO fed VALUES (3)");
    assert!(publisher.nobody_is_connected(), "at the pause");

    // Promotion was chosen, and nothing is promoted: every other way is open.
    let stray = lab.layout.first_repository().join("archive/main/15-1/00000002.history");
    fs::write(&stray, "1\t0/3000000\tno recovery target specified\n").unwrap();
    recovery.decide(&["promote"]);
    recovery.comes_to(&Way::Held("history-free".to_owned()));
    let told = told_of_hold(&recovery);
    for words in ["Nothing is promoted yet", " inspect forward target=", " inspect back target=", " inspect give-up"] {
        assert!(told.contains(words), "'{words}' is not in: {told}");
    }
    assert!(!told.contains(" inspect promote"), "{told}");
    fs::remove_file(&stray).unwrap();
    recovery.decide(&["forward", &format!("target={target}")]);
    recovery.comes_to(&Way::Decision);
    assert_eq!(in_place::ask(&lab, "SELECT string_agg(mark, ' ') FROM marks"), "before after");
    assert_eq!(recovery.drill.steps_started("restore"), 1, "no new copy");
    recovery.decide(&["promote"]);

    let gate = lead_to(&mut recovery, "let-back");
    for words in ["shop.feed, shop.idle (disabled)", "is not sent again"] {
        assert!(gate.contains(words), "'{words}' is not in: {gate}");
    }
    still_off(&lab, &publisher);
    // The promoted server ends: no way leads back in this run, and it is started fenced again.
    let seen = recovery.drill.entries.len();
    kills::kill(in_place::postmaster(&lab), Signal::QUIT);
    let ended = |event: &RunEvent| matches!(event, RunEvent::StepEnded { step, .. } if step.as_str() == "look");
    recovery.drill.until_after(seen, "the end of the server is seen", ended);
    recovery.comes_to(&Way::Held("look".to_owned()));
    let told = told_of_hold(&recovery);
    assert!(!told.contains(" decide "), "{told}");
    let refused = recovery.command(&["decide", recovery.id(), "inspect", "give-up"]);
    assert!(!refused.status.success(), "{}", kills::text(&refused));
    let seen = recovery.drill.entries.len();
    recovery.resolve("look", "again");
    let ready = |event: &RunEvent| matches!(event, RunEvent::StepReady { step, .. } if step.as_str() == "look");
    recovery.drill.until_after(seen, "the server is ready again", ready);
    lead_to(&mut recovery, "let-back");
    still_off(&lab, &publisher);

    recovery.comes_to(&Way::Ended("done"));
    assert_handed_back(&recovery, 2);
    lab::wait_until("what was published since is applied", || rows(&lab.sql(FED)).ends_with('3'));
    assert_eq!(rows(&lab.sql(FED)), "1 3", "what was confirmed behind the target is not sent again");
    let enabled = "SELECT string_agg(concat(subname, ' ', subenabled), ', ' ORDER BY subname) FROM pg_subscription";
    assert_eq!(lab.sql(enabled), "feed t, idle f");
    assert_eq!(lab.sql("SHOW shared_preload_libraries"), "auto_explain");
    recovery.assert_nothing_destroyed_twice();
    recovery.assert_transcript();
}

#[test]
fn what_somebody_wrote_after_the_cluster_was_kept_is_told_before_it_is_overwritten_or_given_up() {
    let lab = in_place::practice();
    let target = in_place::marks(&lab);
    let mut recovery = Recovery::begin(&lab, &[], &["-p", &before(target), "-p", "how=copy"]);
    lead_to(&mut recovery, "overwrite");
    // The copy is made, and the cluster itself still lies there: somebody starts it, as a manager would.
    lab.start();
    lab.sql("INSERT INTO marks VALUES ('meanwhile')");
    let segment = lab.sql("SELECT pg_walfile_name(pg_current_wal_lsn())");
    lab.wait_archived();
    lab.stop();
    recovery.comes_to(&Way::Held("left-alone".to_owned()));
    let reasons = recovery.reasons();
    for words in ["accepted writes", "'shut down', timeline 1", &format!("gave the segments {segment} to")] {
        assert!(reasons.contains(words), "'{words}' is not in: {reasons}");
    }
    assert!(told_of_hold(&recovery).contains("'abort' leaves everything as it is"));

    recovery.decide(&["give-up"]);
    recovery.comes_to(&Way::Held("since-kept".to_owned()));
    let told = told_of_hold(&recovery);
    assert!(told.contains("they lie aside") && told.contains("Another way at 'inspect'"), "{told}");
    assert!(told.contains("inspect back target="), "{told}");
    let shown = kills::text(&recovery.command(&["status", recovery.id()]));
    assert!(shown.contains("since-kept"), "{shown}");
    recovery.resolve("since-kept", "abort");
    recovery.comes_to(&Way::Ended("aborted"));
    assert_eq!((recovery.status("restore"), recovery.status("put-back")), (StepStatus::Skipped, StepStatus::Pending));
    // Nothing was touched: it goes on with those rows, and what was kept lies beside it, disarmed.
    let kept = PathBuf::from(recovery.value("keep.kept-at")).join("content");
    assert!(kept.join("PG_VERSION").exists() && !kept.join("global/pg_control").exists());
    lab.start();
    assert_eq!(lab.sql("SELECT string_agg(mark, ' ') FROM marks"), "before after meanwhile");
    lab.wait_archived();
}

const FED: &str = "SELECT n FROM fed ORDER BY n";

fn rows(lines: &str) -> String {
    lines.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Neither a subscription nor a job of any extension runs on the promoted server.
fn still_off(lab: &Lab, publisher: &Publisher) {
    assert_eq!(in_place::ask(lab, "SELECT pg_is_in_recovery()"), "f");
    let workers = "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'logical replication%'";
    assert_eq!(in_place::ask(lab, workers), "0");
    assert_eq!(in_place::ask(lab, "SHOW shared_preload_libraries"), "");
    assert!(publisher.nobody_is_connected());
    assert_eq!(rows(&in_place::ask(lab, FED)), "1");
}

/// What a person reads who asks for the choices while a step is held.
fn told_of_hold(recovery: &Recovery<'_>) -> String {
    let output = recovery.command(&["decide", recovery.id(), "inspect"]);
    kills::text(&output).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Answers gates until this one waits; gives what it shows.
fn lead_to(recovery: &mut Recovery<'_>, wanted: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        recovery.drill.read_on(Duration::from_millis(200));
        if let Some(way) = recovery.asks() {
            panic!("{way:?} before {wanted}: {}", recovery.reasons());
        }
        let gate = recovery.drill.run().open_gate().map(|(gate, _)| gate.clone());
        if let Some(gate) = gate {
            if gate.id.as_str() == wanted {
                let StepKind::Gate { shows, .. } = &gate.kind else { panic!("{wanted} is no gate") };
                return shows.iter().map(|shown| format!("{}: {}\n", shown.label, shown.value)).collect();
            }
            lab::assert_done(&recovery.command(&["approve", recovery.id(), gate.id.as_str(), "main"]), wanted);
        }
        assert!(Instant::now() < deadline, "it hangs before {wanted}: {:?}", recovery.drill.last(3));
    }
}

/// A cluster of its own whose changes production subscribes to. It ends with the test's directory.
struct Publisher {
    home: PathBuf,
    programs: PathBuf,
}

impl Publisher {
    fn start(lab: &Lab) -> Publisher {
        let publisher = Publisher { home: lab.home().to_owned(), programs: lab.marker.bin_directory.clone() };
        let data = publisher.data();
        let run = |program: &str, arguments: &[&str]| {
            let output = lab::as_owner(publisher.programs.join(program)).arg("-D").arg(&data).args(arguments).output();
            lab::assert_done(&output.unwrap(), program);
        };
        run("initdb", &["-A", "trust", "-U", "postgres", "-N"]);
        let settings = format!(
            "wal_level = logical\nlisten_addresses = ''\nport = 5499\nfsync = off\nunix_socket_directories = '{}'\n",
            publisher.home.display()
        );
        let own = data.join("postgresql.conf");
        fs::write(&own, fs::read_to_string(&own).unwrap() + &settings).unwrap();
        let log = publisher.home.join("publisher.log");
        run("pg_ctl", &["start", "-s", "-w", "-l", log.to_str().unwrap()]);
        publisher
    }

    fn data(&self) -> PathBuf {
        self.home.join("publisher")
    }

    fn connection(&self) -> String {
        format!("host={} port=5499 dbname=postgres user=postgres", Path::display(&self.home))
    }

    fn sql(&self, text: &str) -> String {
        let output = lab::as_owner(self.programs.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &self.connection(), "-c", text])
            .output()
            .unwrap();
        lab::assert_done(&output, text);
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn nobody_is_connected(&self) -> bool {
        self.sql("SELECT count(*) FROM pg_stat_replication") == "0"
    }
}
