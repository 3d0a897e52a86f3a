//! The failures that are made on purpose, and what each is told as: a list that is looked up in the tests that make them.
//! None of them may end as done, and each is named for what it is.

/// A failure, the test that makes it, and the step or words that it is told with there.
struct Seeded {
    what: &'static str,
    source: &'static str,
    test: &'static str,
    told: &'static [&'static str],
}

const FALSE: &str = include_str!("in_place_false.rs");
const BAD: &str = include_str!("in_place_bad.rs");
const TARGETS: &str = include_str!("in_place_targets.rs");
const PAUSE: &str = include_str!("in_place_pause.rs");
const AFTER: &str = include_str!("in_place_after.rs");
const KEEPING: &str = include_str!("in_place_keeping.rs");
const DRILL: &str = include_str!("false_success.rs");

const RESTORE: &str = "a_restore_that_only_says_it_was_done_is_found_out";
const REACHED: &str = "a_target_that_is_not_reached_is_not_promoted";
const AIM: &str = "an_aim_that_cannot_be_reached_stops_nothing";
const MIDDLE: &str = "what_starts_the_server_in_the_middle_is_told_and_nothing_is_overwritten_under_it";

#[rustfmt::skip]
const SEEDED: &[Seeded] = &[
    Seeded { what: "a restore that ends with 0 and restored nothing", source: FALSE, test: RESTORE, told: &["liar.says(\"nothing\")", "\"control\""] },
    Seeded { what: "a half restore: all but the control file", source: FALSE, test: RESTORE, told: &["liar.says(\"half\")", "pg_control"] },
    Seeded { what: "the restore of another cluster", source: FALSE, test: RESTORE, told: &["liar.says(\"other\")", "system_identifier"] },
    Seeded { what: "a half restore: a table's file is missing, another is cut", source: FALSE, test: RESTORE, told: &["liar.says(\"gap\")", "files of the set are not there"] },
    Seeded { what: "a restore that ends with 0, and PostgreSQL with FATAL", source: FALSE, test: RESTORE, told: &["liar.says(\"open\")", "has invalid permissions"] },
    Seeded { what: "archiving is off after the promotion", source: FALSE, test: RESTORE, told: &["archive_command = '/bin/false", "was not archived"] },
    Seeded { what: "a check that ends with 0 while nothing is archived", source: FALSE, test: RESTORE, told: &["liar.says(\"well\")", "repo1 has no 0000000"] },
    Seeded { what: "production does not start with its own settings", source: FALSE, test: RESTORE, told: &["could not start server"] },
    Seeded { what: "every commit hangs after the hand-back, and archive_mode is off", source: FALSE, test: RESTORE, told: &["every commit waits for a standby", "archive_mode is off"] },
    Seeded { what: "a gap that comes after the WAL was looked for", source: FALSE, test: REACHED, told: &["recovery ended before configured recovery target was reached"] },
    Seeded { what: "the server dies at the gate before the promotion", source: FALSE, test: REACHED, told: &["signal 9", "!drill.run.result.contains_key(\"promoted.timeline\")"] },
    Seeded { what: "wrong zone: a time without an offset", source: FALSE, test: AIM, told: &["2026-11-22 02:13:00", "offset"] },
    Seeded { what: "a time in the future", source: FALSE, test: AIM, told: &["2099-01-01", "future"] },
    Seeded { what: "an empty target", source: FALSE, test: AIM, told: &["\"target=\"]"] },
    Seeded { what: "a set that is not there", source: FALSE, test: AIM, told: &["set=20200101-000000F"] },
    Seeded { what: "a timeline that is not there", source: FALSE, test: AIM, told: &["timeline 7"] },
    Seeded { what: "a repository that is not there", source: FALSE, test: AIM, told: &["repository=9"] },
    Seeded { what: "a position behind the end", source: FALSE, test: AIM, told: &["lies behind the last record there is"] },
    Seeded { what: "a transaction and a restore point that are not there", source: FALSE, test: AIM, told: &["xid:99999", "name:nosuch"] },
    Seeded { what: "the set expires while a gate waits", source: FALSE, test: AIM, told: &["\"expire\"", "failed_at(\"aim\""] },
    Seeded { what: "wrong set: it ended behind the target", source: TARGETS, test: "a_target_that_cannot_be_reached_is_refused_while_production_runs", told: &["0/5000028", "the nearest that works"] },
    Seeded { what: "a time at or behind the last archived commit", source: TARGETS, test: "a_target_that_cannot_be_reached_is_refused_while_production_runs", told: &["no transaction ended at or after"] },
    Seeded { what: "a gap in every repository", source: TARGETS, test: "a_target_that_cannot_be_reached_is_refused_while_production_runs", told: &["remove_everywhere", "missing"] },
    Seeded { what: "wrong timeline: a position, a time and a restore point on one that was left", source: PAUSE, test: "another_timeline", told: &["where production's timeline 2 left it", "the commit of xid ", "where production left timeline 1"] },
    Seeded { what: "a pause that is not the target: limits are too low", source: BAD, test: "a_lost_cluster_is_restored_through_a_full_disk_and_limits_that_are_too_low", told: &["\"paused\"", "max_connections = 40 is a lower setting"] },
    Seeded { what: "a full disk in the middle of the restore", source: BAD, test: "a_lost_cluster_is_restored_through_a_full_disk_and_limits_that_are_too_low", told: &["No space left on device"] },
    Seeded { what: "a look that would promote: an overflowed snapshot", source: BAD, test: "a_transaction_with_a_hundred_subtransactions_at_the_start_of_replay_refuses_the_look", told: &["inside an overflowed snapshot", "would promote"] },
    Seeded { what: "somebody starts the server in the middle and writes", source: BAD, test: MIDDLE, told: &["accepted writes", "runs on it"] },
    Seeded { what: "a wrong passphrase", source: BAD, test: "a_passphrase_that_is_wrong_holds_until_it_is_right", told: &["can't be read"] },
    Seeded { what: "a stray timeline in one repository", source: BAD, test: "a_passphrase_that_is_wrong_holds_until_it_is_right", told: &["00000002.history is in repo1 and not in the other repositories"] },
    Seeded { what: "another cluster in the data directory", source: BAD, test: "a_directory_that_is_not_the_stanzas_is_refused_before_anything_is_stopped", told: &["another cluster"] },
    Seeded { what: "writes into what is given up", source: AFTER, test: "what_somebody_wrote_after_the_cluster_was_kept_is_told_before_it_is_overwritten_or_given_up", told: &["since-kept"] },
    Seeded { what: "the promoted server ends before it is handed back", source: AFTER, test: "subscriptions_stay_off_until_the_gate_and_go_on_exactly_as_they_were", told: &["Held(\"look\"", "give-up"] },
    Seeded { what: "a standby that lacks what production wrote last", source: KEEPING, test: "a_standby_is_the_copy_only_where_it_has_everything", told: &["has not everything"] },
    Seeded { what: "a drill: a segment goes missing after the check, and PostgreSQL promotes at the gap", source: DRILL, test: "a_segment_that_goes_missing_after_the_check_is_no_success", told: &["failed_at"] },
    Seeded { what: "a drill: a set is replaced under its label", source: DRILL, test: "a_set_that_was_replaced_is_not_restored", told: &["backup-set"] },
];

/// The text of a function, up to the next one at the margin.
fn body<'s>(source: &'s str, name: &str) -> Option<&'s str> {
    let begin = source.find(&format!("\nfn {name}("))?;
    let rest = &source[begin + 1..];
    Some(&rest[..rest.find("\n}\n").map_or(rest.len(), |end| end + 3)])
}

#[test]
fn each_failure_of_the_list_is_made_by_its_test_and_told_as_what_it_is() {
    assert!(SEEDED.len() >= 20);
    for Seeded { what, source, test, told } in SEEDED {
        let body = body(source, test).unwrap_or_else(|| panic!("{what}: there is no test {test}"));
        for words in *told {
            assert!(body.contains(words), "{what}: '{words}' is not in {test}");
        }
    }
}
