//! Which place in the archived WAL a time means: asked of a real archive, and compared with what the server itself
//! acknowledged and where PostgreSQL stops.

use crate::lab::{self, Lab};
use crate::wal_source::{pgbackrest, source};
use chrono::{DateTime, TimeDelta, Utc};
use lifeboat::domain::inventory::RepositoryKey;
use lifeboat::domain::lsn::Lsn;
use lifeboat::domain::wal::TimelineId;
use lifeboat::domain::wal_marks::Outcome;
use lifeboat::engine::look;
use lifeboat::engine::moments::{Moments, MomentsError};
use lifeboat::engine::postgres::PostgresPrograms;
use lifeboat::engine::wal_source::{Cluster, WalSource};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

const MICROSECOND: TimeDelta = TimeDelta::microseconds(1);

/// A transaction as the server acknowledged it.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    xid: u32,
    time: DateTime<Utc>,
}

fn programs(lab: &Lab) -> (PostgresPrograms, BTreeMap<String, String>) {
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    (PostgresPrograms::at(&lab.marker.bin_directory, &environment).unwrap(), environment)
}

fn open(lab: &Lab, timeline: u32, floor: Lsn, directories: &[PathBuf]) -> Result<Moments, MomentsError> {
    let (programs, environment) = programs(lab);
    Moments::open(&source(lab, directories), &programs, &environment, lab.home(), TimelineId(timeline), floor)
}

/// Where the newest set of the first repository ends, and its label.
fn newest_set(lab: &Lab) -> (Lsn, String) {
    let inventory = look::inventory(&pgbackrest(lab, &lab.layout.pgbackrest_config()), Some("main")).unwrap();
    let repository = inventory.stanza("main").unwrap().repository(RepositoryKey(1)).unwrap();
    let set = repository.sets.iter().max_by_key(|set| set.label()).unwrap();
    (set.lsn().unwrap().stop, set.label().to_string())
}

fn acknowledged(lab: &Lab, xid: &str) -> Acknowledged {
    let time =
        lab.sql(&format!("SELECT to_char(pg_xact_commit_timestamp('{xid}'), 'YYYY-MM-DD\"T\"HH24:MI:SS.USOF:00')"));
    Acknowledged { xid: xid.parse().unwrap(), time: time.parse().unwrap() }
}

fn sell(lab: &Lab) -> Acknowledged {
    let xid = lab.sql(
        "WITH sold AS (INSERT INTO orders (customer_id, total_cents) VALUES (1, 100) RETURNING 1) \
         SELECT pg_current_xact_id() FROM sold",
    );
    acknowledged(lab, &xid)
}

/// Segments in which no transaction ends.
fn quiet(lab: &Lab, segments: u32) {
    for _ in 0..segments {
        lab.sql("SELECT pg_logical_emit_message(false, 'quiet', repeat('x', 1000))");
        lab.wait_archived();
    }
}

/// Five sales over several segments with a quiet stretch, and a transaction that was given up before the last.
fn busy_day(lab: &Lab) -> Vec<Acknowledged> {
    let mut sold = vec![sell(lab), sell(lab)];
    lab.wait_archived();
    sold.push(sell(lab));
    lab.sql("SELECT pg_create_restore_point('before the quiet')");
    lab.wait_archived();
    quiet(lab, 4);
    sold.push(sell(lab));
    lab.sql("BEGIN; INSERT INTO orders (customer_id, total_cents) VALUES (1, 7); ROLLBACK");
    sold.push(sell(lab));
    lab.wait_archived();
    sold
}

#[test]
fn a_time_is_the_place_before_the_first_transaction_it_discards() {
    let lab = lab::running();
    let sold = busy_day(&lab);
    let (floor, _) = newest_set(&lab);
    let mut moments = open(&lab, 1, floor, &[]).unwrap();
    let xid = |end: Option<lifeboat::domain::wal_marks::TransactionEnd>| end.map(|end| end.xid);
    for index in 0..sold.len() {
        let this = sold[index];
        let before = moments.resolve_time(this.time, false).unwrap();
        assert_eq!(xid(before.first_discarded), Some(this.xid));
        assert_eq!(before.first_discarded.unwrap().time, this.time);
        assert!(!before.clock_went_back);
        if let Some(previous) = index.checked_sub(1).map(|index| sold[index]) {
            assert_eq!(xid(before.last_kept), Some(previous.xid));
            // right behind the one before it means the same place, up to the given-up transaction
            let after_previous = moments.resolve_time(previous.time + MICROSECOND, false).unwrap();
            assert_eq!(after_previous, moments.resolve_time(previous.time, true).unwrap());
            assert_eq!(after_previous.first_discarded, before.first_discarded);
            assert_eq!(after_previous.last_kept, before.last_kept);
            assert_eq!(after_previous.lsn_exclusive < before.lsn_exclusive, index == 4, "stops before the abort");
        }
        // what the place keeps and discards, the other way round
        assert_eq!(moments.neighbours(before.lsn_exclusive).unwrap(), before);
        let inside = moments.neighbours(Lsn(before.lsn_exclusive.0 + 1)).unwrap();
        assert_eq!(xid(inside.last_kept), Some(this.xid));
        let end = moments.find_xid(this.xid, moments.range()).unwrap();
        assert_eq!((end.outcome, end.time, end.start), (Outcome::Commit, this.time, before.lsn_exclusive));
        assert_eq!(xid(moments.neighbours(end.end).unwrap().last_kept), Some(this.xid));
        let first = moments.first_record_of(this.xid, moments.range()).unwrap();
        assert!(first < end.start && moments.neighbours(first).unwrap().last_kept == before.last_kept);
    }
    // after all
    let last = sold.last().unwrap();
    let error = moments.resolve_time(last.time, true).unwrap_err();
    assert!(matches!(&error, MomentsError::AfterEnd { last: Some(end), .. } if end.xid == last.xid), "{error}");
    assert!(error.to_string().contains("recovery ended before configured recovery target was reached"), "{error}");
    // before all: with a floor behind the first sale of its segment, and with one where nothing is before it
    let long_ago: DateTime<Utc> = "2001-01-01T00:00:00Z".parse().unwrap();
    let first_end = moments.find_xid(sold[0].xid, moments.range()).unwrap().end;
    let said = open(&lab, 1, first_end, &[]).unwrap().resolve_time(long_ago, false).unwrap_err().to_string();
    assert!(said.contains("before the set did") && said.contains("Choose an older set"), "{said}");
    let third = moments.find_xid(sold[2].xid, moments.range()).unwrap().start;
    let boundary = Lsn(third.0 >> 24 << 24);
    let from_there = open(&lab, 1, boundary, &[]).unwrap().resolve_time(long_ago, false).unwrap();
    assert_eq!((xid(from_there.last_kept), xid(from_there.first_discarded)), (None, Some(sold[2].xid)));
    // names and numbers that are there, and that are not
    let point = moments.find_restore_point("before the quiet", moments.range()).unwrap();
    assert_eq!(xid(moments.neighbours(point.end).unwrap().last_kept), Some(sold[2].xid));
    for said in [
        moments.find_restore_point("before", moments.range()).unwrap_err().to_string(),
        moments.find_xid(4_000_000, moments.range()).unwrap_err().to_string(),
        moments.find_xid(sold[0].xid, third..Lsn(u64::MAX)).unwrap_err().to_string(),
    ] {
        assert!(said.starts_with("there is no ") && said.contains("in the WAL from"), "{said}");
    }
    let left = moments.range().end;
    assert!(matches!(moments.neighbours(Lsn(left.0 + 1)), Err(MomentsError::Outside { .. })));
    drop(moments);
    let folders = fs::read_dir(lab.home()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(folders.into_iter().all(|name| !name.to_str().unwrap().starts_with("wal-")), "nothing is left behind");
}

/// PostgreSQL itself: restored with the time, it stops before the very transaction that was named.
#[test]
fn postgresql_stops_where_it_was_said() {
    let lab = lab::running();
    let sold = busy_day(&lab);
    let (floor, set) = newest_set(&lab);
    let mut moments = open(&lab, 1, floor, &[]).unwrap();
    let rows = |place: &PathBuf| {
        let output = lab::as_owner(lab.marker.bin_directory.join("psql"))
            .args(["-X", "-qAt", "-h", place.to_str().unwrap(), "-p", "5999", "-U", "postgres", "-d", "shop"])
            .args(["-c", "SELECT count(*) FROM orders"])
            .output()
            .unwrap();
        lab::assert_done(&output, "psql");
        String::from_utf8(output.stdout).unwrap()
    };
    let mut counts = Vec::new();
    let words = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string();
    let by_lsn = moments.resolve_time(sold[4].time, false).unwrap();
    // all of that very time is kept: it stops before the transaction that was given up, which is no commit
    let kept = moments.resolve_time(sold[3].time, true).unwrap();
    assert!(kept.lsn_exclusive < by_lsn.lsn_exclusive);
    let given_up = sold[3].xid + 1;
    let aborted = moments.find_xid(given_up, moments.range()).unwrap();
    assert_eq!((aborted.outcome, aborted.start), (Outcome::Abort, kept.lsn_exclusive));
    let stops_before = |what: &str, xid: u32| format!("recovery stopping before {what} of transaction {xid}");
    let lsn = by_lsn.lsn_exclusive;
    let targets = [
        ("time", words(sold[4].time), true, stops_before("commit", sold[4].xid)),
        ("time", words(sold[3].time), false, stops_before("abort", given_up)),
        ("lsn", lsn.to_string(), true, format!("recovery stopping before WAL location (LSN) \"{lsn}\"")),
    ];
    for (number, (kind, target, exclusive, stopped)) in targets.into_iter().enumerate() {
        let place = lab.home().join(number.to_string());
        let named = [
            format!("--set={set}"),
            format!("--pg1-path={}", place.display()),
            format!("--type={kind}"),
            format!("--target={target}"),
        ];
        let mut arguments: Vec<&str> = named.iter().map(String::as_str).collect();
        // pgBackRest has no --no-target-exclusive
        arguments.extend(exclusive.then_some("--target-exclusive"));
        let rest = ["--repo=1", "--target-action=pause", "--target-timeline=current", "--archive-mode=off", "restore"];
        arguments.extend(rest);
        lab.pgbackrest(&arguments);
        let log = lab.home().join(format!("{number}.log"));
        let options = format!("-p 5999 -k {}", place.display());
        let start = lab::as_owner(lab.marker.bin_directory.join("pg_ctl"))
            .args(["start", "-s", "-w", "-D", place.to_str().unwrap(), "-l", log.to_str().unwrap(), "-o", &options])
            .output()
            .unwrap();
        lab::assert_done(&start, "pg_ctl start");
        let said = || fs::read_to_string(&log).unwrap();
        lab::wait_until("it pauses", || said().contains("pausing at the end of recovery"));
        assert!(said().contains(&stopped), "{}", said());
        counts.push(rows(&place));
        let stop = lab::as_owner(lab.marker.bin_directory.join("pg_ctl"))
            .args(["stop", "-s", "-w", "-m", "immediate", "-D", place.to_str().unwrap()])
            .output()
            .unwrap();
        lab::assert_done(&stop, "pg_ctl stop");
    }
    assert!(counts[0] == counts[1] && counts[1] == counts[2], "{counts:?}");
    assert_eq!(by_lsn.last_kept.unwrap().xid, sold[3].xid);
}

#[test]
fn the_last_record_is_found_in_the_archive_and_in_what_was_saved() {
    let lab = lab::running();
    let (floor, _) = newest_set(&lab);
    let first = sell(&lab);
    lab.wait_archived();
    let archived = open(&lab, 1, floor, &[]).unwrap().last_record().unwrap();
    assert_eq!(archived.last_commit.unwrap().xid, first.xid);
    let second = sell(&lab);
    lab.stop();
    // the shutdown checkpoint is the last record, and is never archived
    let (programs, environment) = programs(&lab);
    let control = programs.control_data(&lab.layout.production(), &environment).unwrap();
    let pg_wal = lab.layout.production().join("pg_wal");
    let mut with_saved = open(&lab, 1, floor, &[pg_wal]).unwrap();
    let last = with_saved.last_record().unwrap();
    assert_eq!((last.start, last.gap), (control.checkpoint, None));
    assert_eq!(last.last_commit.unwrap().xid, second.xid);
    assert!(archived.start < last.start && last.start < last.end);
    assert_eq!(with_saved.find_xid(second.xid, with_saved.range()).unwrap().time, second.time);
}

#[test]
fn a_way_over_a_promotion_is_one() {
    let lab = lab::running();
    let (floor, _) = newest_set(&lab);
    let before = sell(&lab);
    lab.wait_archived();
    lab.stop();
    // it recovers to the end of the archive and goes on, on timeline 2
    let production = lab.layout.production();
    let command = format!(
        "\nrestore_command = '{} --config={} --stanza=main archive-get %f \"%p\"'\n",
        lab.marker.pgbackrest.display(),
        lab.layout.pgbackrest_config().display()
    );
    let settings = production.join("postgresql.auto.conf");
    fs::write(&settings, fs::read_to_string(&settings).unwrap() + &command).unwrap();
    lab::assert_done(&lab::as_owner("touch").arg(production.join("recovery.signal")).output().unwrap(), "touch");
    lab.start();
    lab::wait_until("it is promoted", || lab.sql("SELECT pg_is_in_recovery()") == "f");
    let after = sell(&lab);
    lab.wait_archived();
    let last = sell(&lab);
    lab.wait_archived();
    let from = source(&lab, &[]);
    let history = from.history(TimelineId(2)).unwrap();
    assert_eq!(history.entries[0].parent, TimelineId(1));
    let mut moments = open(&lab, 2, floor, &[]).unwrap();
    for (this, kept) in [(after, before), (last, after)] {
        let moment = moments.resolve_time(this.time, false).unwrap();
        assert_eq!((moment.last_kept.unwrap().xid, moment.first_discarded.unwrap().xid), (kept.xid, this.xid));
        assert!(moment.lsn_exclusive > history.entries[0].switch);
    }
    assert_eq!(moments.last_record().unwrap().last_commit.unwrap().xid, last.xid);
    // along timeline 1 nothing of it is to be seen
    let error = open(&lab, 1, floor, &[]).unwrap().resolve_time(after.time, false).unwrap_err();
    assert!(matches!(error, MomentsError::AfterEnd { last: Some(end), .. } if end.xid == before.xid), "{error}");
}

/// Names in WAL are chosen by people: one with a line end can't pass for a commit.
#[test]
fn a_prepared_transaction_counts_where_it_ends_and_its_name_counts_for_nothing() {
    let lab = lab::copy();
    let settings = lab.layout.production().join("postgresql.auto.conf");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text + "\nmax_prepared_transactions = 5\n").unwrap();
    lab.start();
    let (floor, _) = newest_set(&lab);
    sell(&lab);
    let here: Lsn = lab.sql("SELECT pg_current_wal_insert_lsn()").parse().unwrap();
    let line = |xid: &str, lsn: Lsn| {
        format!(
            "rmgr: Transaction len (rec/tot): 34/34, tx: {xid}, lsn: {lsn}, prev 0/0, desc: COMMIT 2101-01-01 00:00:00.000000 UTC"
        )
    };
    let prepare = |name: &str| {
        let prepared = format!(
            "BEGIN; INSERT INTO orders (customer_id, total_cents) VALUES (1, 9); PREPARE TRANSACTION E'{name}';"
        );
        lab.sql(&prepared);
        lab.sql("SELECT transaction FROM pg_prepared_xacts")
    };
    // a place in the WAL where another record stands
    let name = format!("x\\n{}", line("900", here));
    let xid = prepare(&name);
    let between = sell(&lab);
    lab.sql(&format!("COMMIT PREPARED E'{name}'"));
    let ended = acknowledged(&lab, &xid);
    lab.wait_archived();
    let mut moments = open(&lab, 1, floor, &[]).unwrap();
    let found = moments.find_xid(ended.xid, moments.range()).unwrap();
    assert_eq!((found.outcome, found.time), (Outcome::Commit, ended.time));
    assert_eq!(moments.last_record().unwrap().last_commit, Some(found));
    assert_eq!(moments.neighbours(found.start).unwrap().last_kept.unwrap().xid, between.xid);
    assert!(moments.find_xid(900, moments.range()).is_err());
    let later: DateTime<Utc> = "2100-01-01T00:00:00Z".parse().unwrap();
    assert!(matches!(moments.resolve_time(later, false), Err(MomentsError::AfterEnd { .. })));
    // the name was really printed in a line of its own
    let (programs, _) = programs(&lab);
    let wal = lab.layout.production().join("pg_wal");
    let printed = std::process::Command::new(programs.program("pg_waldump"))
        .args(["-r", "Transaction", "-p", wal.to_str().unwrap(), "-s", &here.to_string()])
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&printed.stdout).into_owned();
    assert!(printed.lines().any(|printed| printed.starts_with(&line("900", here))), "{printed}");
}

/// Segments of 1 MB, so that commits lie far apart, and of 128 MB, so that each is read in two pieces. The WAL lies in
/// `pg_wal` alone: this cluster archives nothing.
/// A session that is kept open: what is written to it is done at once.
struct Session(std::process::Child);

impl Session {
    fn open(lab: &Lab) -> Session {
        let mut psql = lab::as_owner(lab.marker.bin_directory.join("psql"));
        psql.args(["-X", "-q", "-h", lab.layout.sockets().to_str().unwrap(), "-p", &lab.marker.port.to_string()]);
        psql.args(["-U", "postgres", "-d", "shop"]).stdin(Stdio::piped()).stdout(Stdio::null());
        Session(psql.spawn().unwrap())
    }

    fn say(&mut self, text: &str) {
        let input = self.0.stdin.as_mut().unwrap();
        writeln!(input, "{text}").unwrap();
        input.flush().unwrap();
    }

    fn end(mut self) {
        drop(self.0.stdin.take());
        assert!(self.0.wait().unwrap().success());
    }
}

#[test]
fn what_an_accident_locks_is_left_out_with_it_where_nobody_commits_meanwhile() {
    let lab = lab::running();
    lab.sql("CREATE TABLE one (i int); CREATE TABLE two (i int); CREATE TABLE three (i int)");
    let xid = |text: &str| lab.sql(text).trim().parse::<u32>().unwrap();
    let first = sell(&lab);
    let plain = xid("BEGIN; DROP TABLE one; SELECT pg_current_xact_id(); COMMIT");
    // its first record is by a subtransaction
    let nested = xid("BEGIN; SAVEPOINT s; DROP TABLE two; RELEASE s; SELECT pg_current_xact_id(); COMMIT");
    let mut session = Session::open(&lab);
    session.say("BEGIN; DROP TABLE three; SELECT pg_advisory_xact_lock(9);");
    lab::wait_until("the table is dropped", || {
        lab.sql("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted") == "1"
    });
    let three =
        lab.sql("SELECT relation FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND locktype = 'relation' LIMIT 1");
    let between = sell(&lab);
    session.say("COMMIT;");
    session.end();
    let last = sell(&lab);
    lab.wait_archived();
    let (floor, _) = newest_set(&lab);
    let mut moments = open(&lab, 1, floor, &[]).unwrap();
    let range = moments.range();
    for (number, kept) in [(plain, first.xid), (nested, plain)] {
        let end = moments.find_xid(number, range.clone()).unwrap();
        let before = moments.before_transaction(&end).unwrap();
        assert!(!before.is_open && before.locked.is_empty(), "{before:?}");
        assert!(before.moment.lsn_exclusive < end.start);
        assert_eq!(before.moment.last_kept.unwrap().xid, kept);
        assert_eq!(before.moment.first_discarded.unwrap().xid, number);
        // no record of it, nor of its subtransaction, lies before: what it locks is written first
        let earlier = range.start..before.moment.lsn_exclusive;
        for number in [number, number + 1] {
            assert!(
                moments.first_record_of(number, earlier.clone()).is_err(),
                "{number} at {}",
                before.moment.lsn_exclusive
            );
        }
    }
    let behind = moments.find_xid(between.xid, range.clone()).unwrap().end;
    let dropped = moments.neighbours(behind).unwrap().first_discarded.unwrap();
    assert!(dropped.xid < between.xid && dropped.start < moments.find_xid(last.xid, range).unwrap().start);
    let open = moments.before_transaction(&dropped).unwrap();
    assert!(open.is_open && open.moment.lsn_exclusive == dropped.start, "{open:?}");
    assert!(
        open.locked.iter().any(|lock| lock.xid == dropped.xid && lock.relation.to_string() == three),
        "{open:?} {three}"
    );
}

#[test]
fn other_segment_sizes_are_read_as_well() {
    let lab = lab::running();
    let (programs, environment) = programs(&lab);
    for megabytes in [1_u64, 128] {
        let place = lab.home().join(format!("of-{megabytes}"));
        let (data, log) = (place.to_str().unwrap(), lab.home().join("log"));
        let run = |program: &str, arguments: &[&str]| {
            let output = lab::as_owner(lab.marker.bin_directory.join(program)).args(arguments).output().unwrap();
            lab::assert_done(&output, program);
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
        };
        run(
            "initdb",
            &["--no-sync", "-A", "trust", "-U", "postgres", &format!("--wal-segsize={megabytes}"), "-D", data],
        );
        let options = format!(
            "-p 5998 -k {data} -c listen_addresses='' -c fsync=off -c track_commit_timestamp=on \
             -c wal_keep_size=2GB -c max_wal_size=4GB"
        );
        run("pg_ctl", &["start", "-s", "-w", "-D", data, "-l", log.to_str().unwrap(), "-o", &options]);
        let sql = |text: &str| run("psql", &["-X", "-qAt", "-h", data, "-p", "5998", "-U", "postgres", "-c", text]);
        let floor: Lsn = sql("SELECT pg_current_wal_insert_lsn()").parse().unwrap();
        sql("CREATE TABLE t (n int)");
        let commits: Vec<Acknowledged> = (0..4)
            .map(|_| {
                sql("DO $$ BEGIN FOR i IN 1..45 LOOP PERFORM pg_logical_emit_message(false, 'x', repeat('y', 1000000)); \
                     END LOOP; END $$");
                let xid = sql("WITH it AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT pg_current_xact_id() FROM it");
                let time = "'YYYY-MM-DD\"T\"HH24:MI:SS.USOF:00'";
                let time = sql(&format!("SET TimeZone = 'UTC'; SELECT to_char(pg_xact_commit_timestamp('{xid}'), {time})"));
                Acknowledged { xid: xid.parse().unwrap(), time: time.parse().unwrap() }
            })
            .collect();
        run("pg_ctl", &["stop", "-s", "-w", "-m", "fast", "-D", data]);
        let control = programs.control_data(&place, &environment).unwrap();
        let pgbackrest = pgbackrest(&lab, &lab.layout.pgbackrest_config());
        let inventory = look::inventory(&pgbackrest, Some("main")).unwrap();
        let cluster = Cluster {
            version: programs.major().to_owned(),
            system_identifier: control.system_identifier,
            segment_size: None,
        };
        let stanza = inventory.stanza("main").unwrap();
        let from = WalSource::open(&pgbackrest, stanza, cluster, &[place.join("pg_wal")]).unwrap();
        assert_eq!(from.catalog().segments.len(), 0, "the archive is another cluster's");
        let mut moments = Moments::open(&from, &programs, &environment, lab.home(), TimelineId(1), floor).unwrap();
        assert_eq!(from.segment_size().unwrap().bytes(), megabytes << 20);
        for pair in commits.windows(2) {
            let moment = moments.resolve_time(pair[1].time, false).unwrap();
            let xids = (moment.last_kept.unwrap().xid, moment.first_discarded.unwrap().xid);
            assert_eq!(xids, (pair[0].xid, pair[1].xid));
            assert_eq!(moments.find_xid(pair[0].xid, moments.range()).unwrap().time, pair[0].time);
        }
        assert_eq!(moments.last_record().unwrap().start, control.checkpoint);
        fs::remove_dir_all(place).unwrap();
    }
}

/// A commit whose record begins in one segment and ends in the next is read whole.
#[test]
fn a_commit_over_the_end_of_a_segment_is_found() {
    let lab = lab::running();
    let (floor, _) = newest_set(&lab);
    let before = sell(&lab);
    // its messages to other sessions make its commit long; it is begun near the segment's end
    lab.sql(
        "CREATE TABLE the_xid (xid xid8); \
         DO $$ DECLARE room int; BEGIN \
         INSERT INTO the_xid SELECT pg_current_xact_id(); \
         FOR i IN 1..200 LOOP EXECUTE format('CREATE TABLE crossing_%s (a int)', i); END LOOP; \
         LOOP room := 16777216 - (pg_current_wal_insert_lsn() - '0/0')::bigint % 16777216; EXIT WHEN room < 3000; \
         PERFORM pg_logical_emit_message(false, 'f', repeat('x', greatest(100, least(8000, room - 2500)))); END LOOP; \
         END $$",
    );
    let crossing = acknowledged(&lab, &lab.sql("SELECT xid FROM the_xid"));
    lab.wait_archived();
    let after = sell(&lab);
    lab.wait_archived();
    let mut moments = open(&lab, 1, floor, &[]).unwrap();
    let found = moments.find_xid(crossing.xid, moments.range()).unwrap();
    assert_eq!((found.time, found.start.0 >> 24), (crossing.time, (found.end.0 >> 24) - 1), "{found:?}");
    let moment = moments.resolve_time(crossing.time, false).unwrap();
    assert_eq!((moment.lsn_exclusive, moment.first_discarded), (found.start, Some(found)));
    assert_eq!(moment.last_kept.unwrap().xid, before.xid);
    let next = moments.neighbours(found.end).unwrap();
    assert_eq!((next.last_kept, next.first_discarded.unwrap().xid), (Some(found), after.xid));
    assert!(moments.first_record_of(after.xid, moments.range()).unwrap() >= found.end);
}

#[test]
fn a_gap_and_another_version_are_told() {
    let lab = lab::running();
    let (floor, _) = newest_set(&lab);
    let sold = busy_day(&lab);
    let third = open(&lab, 1, floor, &[]).unwrap();
    let gone = {
        let mut moments = third;
        moments.find_xid(sold[2].xid, moments.range()).unwrap().start
    };
    let name = format!("0000000100000000{:08X}", gone.0 >> 24);
    for repository in [lab.layout.first_repository(), lab.layout.second_repository()] {
        let folder = repository.join("archive/main/15-1/0000000100000000");
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.file_name().unwrap().to_str().unwrap().starts_with(&name) {
                fs::remove_file(entry).unwrap();
            }
        }
    }
    let mut holed = open(&lab, 1, floor, &[]).unwrap();
    assert_eq!(holed.resolve_time(sold[1].time, false).unwrap().first_discarded.unwrap().xid, sold[1].xid);
    let said = holed.resolve_time(sold[4].time, false).unwrap_err().to_string();
    assert!(said.contains("WAL is missing between") && said.contains(&name), "{said}");
    assert_eq!(holed.last_record().unwrap().gap.unwrap().missing.to_string(), name);
    let said = open(&lab, 1, gone, &[]).unwrap_err().to_string();
    assert!(said.contains("there is no WAL at") && said.contains(&name), "{said}");
    let (mut programs, environment) = programs(&lab);
    programs.version = "14.9".to_owned();
    let from = source(&lab, &[]);
    let said = Moments::open(&from, &programs, &environment, lab.home(), TimelineId(1), floor).unwrap_err().to_string();
    assert!(said.contains("the WAL is of PostgreSQL 15") && said.contains("14.9"), "{said}");
}
