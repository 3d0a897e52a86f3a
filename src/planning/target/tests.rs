#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
use super::*;
use chrono_tz::Europe::{Berlin, Istanbul};
use proptest::prelude::*;

fn now() -> DateTime<Utc> {
    "2026-11-22T23:38:57Z".parse().unwrap()
}

fn parse(text: &str) -> Result<RecoveryTarget, TargetError> {
    RecoveryTarget::parse(text, false, now(), &Istanbul)
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn options_for_each_kind() {
    let cases: [(&str, bool, &[&str]); 8] = [
        ("latest", false, &["--type=default", "--target-timeline=3"]),
        ("immediate", false, &["--type=immediate", "--target-action=shutdown"]),
        (
            "2026-11-22 02:13:00+03",
            false,
            &[
                "--type=time",
                "--target=2026-11-21 23:13:00.000000+00",
                "--target-timeline=3",
                "--target-action=shutdown",
            ],
        ),
        (
            "time:2026-11-22T02:13:00.12Z",
            true,
            &[
                "--type=time",
                "--target=2026-11-22 02:13:00.120000+00",
                "--target-exclusive",
                "--target-timeline=3",
                "--target-action=shutdown",
            ],
        ),
        (
            "0/3000028",
            true,
            &[
                "--type=lsn",
                "--target=0/3000028",
                "--target-exclusive",
                "--target-timeline=3",
                "--target-action=shutdown",
            ],
        ),
        ("lsn:1a/0003000028", true, &[]),
        ("xid:4294968039", false, &["--type=xid", "--target=743", "--target-timeline=3", "--target-action=shutdown"]),
        (
            "name:before release",
            false,
            &["--type=name", "--target=before release", "--target-timeline=3", "--target-action=shutdown"],
        ),
    ];
    for (text, exclusive, expected) in cases {
        let options = RecoveryTarget::parse(text, exclusive, now(), &Istanbul)
            .map(|target| target.options(TimelineId(3), TargetAction::Shutdown))
            .unwrap_or_default();
        assert_eq!(options, expected, "{text}");
    }
    let promoted = RecoveryTarget::Immediate.options(TimelineId(1), TargetAction::Promote);
    assert_eq!(promoted, ["--type=immediate", "--target-action=promote"]);
}

#[test]
fn offsets() {
    for (offset, expected) in [
        ("Z", "02:13:00"),
        ("+00", "02:13:00"),
        (" +03", "23:13:00"),
        ("+0530", "20:43:00"),
        ("-05:00", "07:13:00"),
        (" UTC", "02:13:00"),
    ] {
        let target = parse(&format!("2026-11-22 02:13{offset}")).unwrap();
        assert!(target.value().unwrap().contains(expected), "{offset}: {target}");
    }
    for offset in ["+3", "+16", "+03:60", "CST", "Europe/Istanbul", "+03 x", "+", "−", "+0a"] {
        assert!(refusal(&format!("2026-11-22 02:13:00 {offset}")).contains("is not an offset"), "{offset}");
    }
}

#[test]
fn a_time_without_an_offset_is_refused_with_both_readings() {
    let said = refusal("2026-11-22 02:13:00");
    assert!(said.contains("2026-11-22 02:13:00+00 (UTC)"), "{said}");
    assert!(said.contains("2026-11-22 02:13:00+03:00 (your zone; 2026-11-21 23:13:00+00)"), "{said}");
    let offered = "2026-11-22 02:13:00+03:00";
    assert_eq!(parse(offered).unwrap().value().unwrap(), "2026-11-21 23:13:00.000000+00");

    let berlin = |text| RecoveryTarget::parse(text, false, now(), &Berlin).unwrap_err().to_string();
    let twice = berlin("2026-10-25 02:30:00");
    assert!(twice.contains("02:30:00+02:00") && twice.contains("02:30:00+01:00"), "{twice}");
    let skipped = berlin("2026-03-29 02:30:00");
    assert!(skipped.contains("clocks skipped"), "{skipped}");
    // Where the operator's zone is UTC there is one reading.
    let utc = RecoveryTarget::parse("2026-11-22 02:13", false, now(), &Utc).unwrap_err();
    assert!(matches!(utc, TargetError::NoOffset { readings, .. } if readings.len() == 1));
}

#[test]
fn the_future_is_refused() {
    assert!(parse("2026-11-22 23:38:57Z").is_ok());
    let said = refusal("2026-11-23 02:13:00Z");
    assert!(said.contains("in the future") && said.contains("2 h later"), "{said}");
    assert!(refusal("2026-11-22 23:38:57.000001Z").contains("in the future"));
}

#[test]
fn other_refusals_say_why() {
    for (text, words) in [
        ("", "is not a recovery target"),
        ("yesterday", "is not a recovery target"),
        ("Latest", "is not a recovery target"),
        ("2026-11-22", "time of the day is missing"),
        ("2026-02-30 00:00Z", "no such day"),
        ("2026-11-22 24:00Z", "no such time"),
        ("2026-11-22 23:59:60Z", "no such time"),
        ("2026-11-22 02:13:00.1234567Z", "microseconds"),
        ("2026-11-22 2:13Z", "YYYY-MM-DD HH:MM:SS"),
        ("time:02:13Z", "YYYY-MM-DD HH:MM:SS"),
        ("lsn:0/0", "is not an LSN"),
        ("lsn:3000028", "is not an LSN"),
        ("xid:2", "is not a transaction id"),
        ("xid:-5", "is not a transaction id"),
        ("xid:99999999999999999999999", "is not a transaction id"),
        ("name:", "empty"),
        ("name:it's", "quote"),
        ("name:a\\b", "backslash"),
        ("name:a\u{1b}[2J", "control character"),
    ] {
        let said = refusal(text);
        assert!(said.contains(words) && !said.contains('\u{1b}'), "{text}: {said}");
    }
    assert!(refusal(&format!("name:{}", "n".repeat(64))).contains("63 bytes"));
    for text in ["latest", "immediate", "name:x"] {
        assert!(matches!(RecoveryTarget::parse(text, true, now(), &Utc), Err(TargetError::Exclusive(_))), "{text}");
    }
}

proptest! {
    #[test]
    fn never_panics(text in "([0-9:TZ+/ .-]|time:|xid:|name:|lsn:|.){0,40}") {
        let _ = parse(&text);
    }

    #[test]
    fn the_written_time_reads_back(micros in 0i64..1_795_000_000_000_000) {
        let target = RecoveryTarget::Time { at: DateTime::from_timestamp_micros(micros).unwrap(), exclusive: false };
        prop_assert_eq!(parse(&target.value().unwrap()), Ok(target));
    }
}
