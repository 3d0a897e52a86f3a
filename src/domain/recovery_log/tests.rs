#![expect(clippy::unwrap_used, reason = "a fixture that is not as expected has to fail the test")]

use super::*;
use proptest::prelude::*;

fn fold(log: &str) -> RecoveryLog {
    let mut fold = RecoveryLog::default();
    log.lines().for_each(|line| fold.feed(line));
    fold
}

macro_rules! log {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/recovery_log/", $name, ".txt"))
    };
}

fn lsn(text: &str) -> Option<Lsn> {
    Some(Lsn::parse(text).unwrap())
}

#[test]
fn a_time_target_is_met_then_promoted() {
    let fold = fold(log!("time"));
    assert_eq!(fold.starting_target.as_deref(), Some("2026-11-22 15:31:52.441726+00"));
    assert_eq!((fold.consistent_at, fold.redo_done), (lsn("0/2000100"), lsn("0/3000E88")));
    let stop = fold.stopped.clone().unwrap();
    assert_eq!(stop.side, Side::Before);
    assert!(matches!(stop.at, StopPoint::Transaction { xid: 727, time: Some(_) }));
    assert!(fold.paused_at_end && fold.reached(Milestone::TargetReached).unwrap().starts_with("recovery stopping"));
    assert_eq!(fold.reached(Milestone::Promoted), Some("archive recovery complete"));
    let captures = fold.captures(Milestone::Promoted);
    assert_eq!((captures["timeline"].as_str(), captures["lsn"].as_str()), ("2", "0/3000E88"));
    assert_eq!(captures["time"], "2026-11-22T15:31:53.676128+00:00");
    assert!(fold.shutting_down && fold.ended && fold.reason_of_end().is_none());
}

#[test]
fn milestones_come_one_after_the_other() {
    let mut fold = RecoveryLog::default();
    let mut order = Vec::new();
    for line in log!("name").lines() {
        fold.feed(line);
        for milestone in [Milestone::Consistent, Milestone::TargetReached, Milestone::Promoted] {
            if fold.reached(milestone).is_some() && !order.contains(&milestone) {
                order.push(milestone);
            }
        }
        let stopped = fold.reached(Milestone::TargetReached).is_some();
        assert!(stopped || fold.reached(Milestone::Promoted).is_none());
    }
    assert_eq!(order, [Milestone::Consistent, Milestone::TargetReached, Milestone::Promoted]);
    let at = fold.stopped.unwrap().at;
    assert!(matches!(at, StopPoint::Name { name, time: Some(_) } if name == "before-release"));
}

#[test]
fn every_kind_of_target_is_told_apart() {
    let xid = fold(log!("xid"));
    assert_eq!(xid.starting_target.as_deref(), Some("XID 728"));
    assert_eq!(xid.captures(Milestone::TargetReached)["xid"], "728");
    let position = fold(log!("lsn"));
    let stop = position.stopped.clone().unwrap();
    assert_eq!(stop.at, StopPoint::Position(Lsn::parse("0/3000F18").unwrap()));
    assert_eq!(position.captures(Milestone::TargetReached)["lsn"], "0/3000F18");
    let immediate = fold(log!("immediate"));
    assert_eq!(immediate.stopped.as_ref().unwrap().at, StopPoint::Consistency);
    assert_eq!(immediate.captures(Milestone::TargetReached)["lsn"], "0/2000100");
    assert_eq!(immediate.captures(Milestone::TargetReached)["timeline"], "1");
    for log in [xid, position, immediate] {
        assert!(log.paused_at_end && log.reached(Milestone::Promoted).is_none());
        assert_eq!(log.ready, Some(Ready::ReadOnly));
    }
}

#[test]
fn without_a_target_the_end_of_redo_is_the_target() {
    let fold = fold(log!("latest"));
    assert_eq!(fold.starting_target, None);
    assert!(fold.reached(Milestone::TargetReached).unwrap().starts_with("redo done at 0/4000090"));
    let captures = fold.captures(Milestone::TargetReached);
    assert_eq!(
        (captures["lsn"].as_str(), captures["last-segment"].as_str()),
        ("0/4000090", "000000010000000000000004")
    );
    assert_eq!(captures["time"], "2026-11-22T15:31:53.820644+00:00");
    assert_eq!(fold.not_found.as_deref(), Some("000000010000000000000005"));
    assert_eq!((fold.new_timeline, fold.ready), (Some(2), Some(Ready::ReadWrite)));
}

#[test]
fn an_unreached_target_is_no_success() {
    let fold = fold(log!("never"));
    assert!(fold.reached(Milestone::Consistent).is_some());
    assert_eq!(fold.reached(Milestone::TargetReached), None);
    let reason = fold.reason_of_end().unwrap();
    assert!(reason.said.starts_with("recovery ended before configured recovery target"));
    assert!(reason.said.contains("last completed transaction: 2026-11-22T15:31:53.820644+00:00"));
    assert!(reason.means.contains("WAL ended before the target"));
}

#[test]
fn low_settings_end_the_start_or_stall_the_replay() {
    let ended = fold(log!("parameters"));
    let reason = ended.reason_of_end().unwrap().to_string();
    assert!(reason.contains("DETAIL: max_connections = 20 is a lower setting"), "{reason}");
    assert!(reason.contains("pg_controldata"));
    let stalled = fold(log!("parameters-raised"));
    assert!(!stalled.paused_at_end && stalled.reached(Milestone::TargetReached).is_none());
    let blocked = stalled.blocked(Milestone::TargetReached).unwrap();
    assert!(blocked.said.contains("max_connections = 120"), "{blocked}");
    assert_eq!(stalled.blocked(Milestone::Consistent), None);
}

#[test]
fn a_shutdown_at_the_target_is_told_from_a_failure() {
    for log in [log!("shutdown"), log!("parameters-cold")] {
        let fold = fold(log);
        assert!(fold.reached(Milestone::TargetReached).is_some() && fold.fatal.is_empty());
        assert!(fold.reason_of_end().unwrap().means.contains("ended at its target"));
    }
}

#[test]
fn other_ends_are_explained() {
    let early = fold(log!("too-early"));
    // it did stop, but before it was consistent
    assert!(early.stopped.is_some());
    assert!(early.reached(Milestone::Consistent).is_none() && early.reached(Milestone::TargetReached).is_none());
    assert!(early.reason_of_end().unwrap().means.contains("newer than the target"));
    let stray = fold(log!("stray-timeline")).reason_of_end().unwrap();
    assert!(stray.said.contains("DETAIL: Latest checkpoint is at 0/8000060"));
    assert!(stray.remedy.contains("--target-timeline=current"));
    let broken = fold(log!("archive-get-error"));
    assert_eq!(broken.errors, ["ERROR: [031]: option 'spool-path' not valid without option 'archive-async'"]);
    let reason = broken.reason_of_end().unwrap();
    assert!(reason.said.contains("Be careful: removing") && reason.said.contains("[031]"), "{reason}");
    assert!(reason.remedy.contains("Do NOT remove backup_label"));
}

#[test]
fn what_sessions_say_counts_for_nothing() {
    let log = log!("clients");
    let real = fold(log);
    assert!(real.fatal.is_empty() && real.reason_of_end().is_none());
    let spoof = "2026-11-22 15:34:16.600 UTC [13299] ";
    let mut fold = RecoveryLog::default();
    for line in log.lines().take(7) {
        fold.feed(line);
    }
    for text in [
        "database system was interrupted; last known up at 2026-11-22 15:31:48 UTC",
        "consistent recovery state reached at 0/2000100",
        "recovery stopping after reaching consistency",
        "archive recovery complete",
        "database system is ready to accept connections",
        "database system is shut down",
    ] {
        fold.feed(&format!("{spoof}LOG:  {text}"));
    }
    for milestone in [Milestone::Consistent, Milestone::TargetReached, Milestone::Promoted] {
        assert_eq!(fold.reached(milestone), None);
    }
    assert!(!fold.ended && fold.ready.is_none());
}

#[test]
fn a_promotion_without_the_target_is_named() {
    let promoted: String = log!("latest")
        .replace("starting archive recovery", "starting point-in-time recovery to 2030-01-01 00:00:00+00");
    let fold = fold(&promoted);
    assert_eq!(fold.reached(Milestone::TargetReached), None);
    assert!(fold.blocked(Milestone::TargetReached).unwrap().means.contains("without having met its target"));
}

#[test]
fn offsets_with_minutes_and_names_with_quotes_are_read() {
    assert!(instant("2026-11-22 21:01:53.5+05:30").is_some());
    assert_eq!(instant("2026-11-22 12:31:53-03"), instant("2026-11-22 15:31:53+00"));
    let stop = stop("recovery stopping at restore point \"a\", time b\", time 2026-11-22 15:31:53+00".into()).unwrap();
    assert!(matches!(stop.at, StopPoint::Name { name, time: Some(_) } if name == "a\", time b"));
}

proptest! {
    #[test]
    fn no_text_breaks_the_fold(lines in proptest::collection::vec("(2026-11-22 1 \\[[0-9]{1,3}\\] )?[A-Z]{0,7}(:  )?\\PC{0,60}", 0..40)) {
        let mut fold = RecoveryLog::default();
        lines.iter().for_each(|line| fold.feed(line));
        prop_assert!(fold.fatal.len() <= KEPT);
    }
}

#[test]
fn a_restart_point_tells_where_replay_is_and_is_no_proof() {
    // Of a real recovery by PostgreSQL 15 with log_checkpoints=on.
    let log = fold(
        "2026-11-22 19:18:24.000 UTC [6325] LOG:  starting PostgreSQL 15.14 (Debian 15.14-0+deb12u1)\n\
         2026-11-22 19:18:24.246 UTC [6328] LOG:  database system was interrupted; last known up at 2026-11-22 18:46:46 UTC\n\
         2026-11-22 19:18:24.316 UTC [6328] LOG:  redo starts at 0/9000028\n\
         2026-11-22 19:18:28.888 UTC [6326] LOG:  restartpoint starting: immediate wait\n\
         2026-11-22 19:18:29.058 UTC [6326] LOG:  recovery restart point at 0/1000C5C8\n\
         2026-11-22 19:18:29.058 UTC [6326] DETAIL:  Last completed transaction was at log time 2026-11-22 19:18:17.729586+00.\n",
    );
    let (lsn, commit) = log.restart_point.unwrap();
    assert_eq!(lsn.to_string(), "0/1000C5C8");
    assert_eq!(commit.unwrap().to_rfc3339(), "2026-11-22T19:18:17.729586+00:00");
    assert_eq!((log.last_commit_time, log.redo_done, log.consistent_at), (None, None, None));
}

#[test]
fn a_server_that_was_promoted_in_an_earlier_start_is_not_waited_for() {
    let head = "2026-11-22 22:00:00.000 UTC [7] LOG:  starting PostgreSQL 15.18 on x86_64-pc-linux-gnu\n\
                2026-11-22 22:00:00.010 UTC [9] LOG:  database system was interrupted; last known up at 2026-11-22\n";
    let ready = "2026-11-22 22:00:00.020 UTC [7] LOG:  database system is ready to accept connections\n";
    let log = fold(&format!("{head}{ready}"));
    assert_eq!((log.ready, log.reached(Milestone::Promoted)), (Some(Ready::ReadWrite), None));
    let blocked = log.blocked(Milestone::Promoted).unwrap();
    assert!(blocked.said.contains("ready to accept connections") && blocked.remedy.contains("resolve … done"));
    // Before it says so nobody knows, and in a recovery it is the promotion that is waited for.
    assert_eq!(fold(head).blocked(Milestone::Promoted), None);
    let recovering = "2026-11-22 22:00:00.015 UTC [9] LOG:  starting archive recovery\n";
    assert_eq!(fold(&format!("{head}{recovering}{ready}")).blocked(Milestone::Promoted), None);
}
