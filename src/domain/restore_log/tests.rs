#![expect(clippy::unwrap_used, reason = "a fixture that is not as expected has to fail the test")]

use super::*;
use proptest::prelude::*;

macro_rules! log {
    ($name:literal) => {
        include_str!(concat!("../../../tests/fixtures/restore_log/", $name, ".txt"))
    };
}

fn fold(log: &str) -> RestoreLog {
    fold_with(log, RestoreLog::default())
}

fn fold_with(log: &str, mut fold: RestoreLog) -> RestoreLog {
    log.lines().for_each(|line| fold.feed(line));
    fold
}

#[test]
fn a_restore_by_2_45_is_read() {
    let fold = fold(log!("detail-2.45"));
    assert_eq!((fold.set.unwrap().to_string(), fold.repository), ("20261122-064237F".to_owned(), Some(1)));
    assert_eq!(fold.remaps.len(), 2);
    assert!(fold.remaps[1].starts_with("map tablespace 'pg_tblspc/16384' to "));
    assert_eq!(fold.file_total, Some(1272));
    assert!(fold.is_complete() && fold.warnings.is_empty() && fold.kept == 0);
    let progress = fold.progress().unwrap();
    assert_eq!((progress.hundredths, progress.total), (10_000, Some(Bytes(34_078_720))));
    assert_eq!(progress.done, progress.total);
}

#[test]
fn percent_never_falls_and_the_total_is_derived_or_known() {
    let mut guessed = RestoreLog::default();
    let mut known = RestoreLog::expecting(Bytes(34_050_000));
    let mut before = 0;
    for line in log!("detail-2.45").lines().filter(|line| !line.contains("restore size")) {
        guessed.feed(line);
        known.feed(line);
        let Some(progress) = guessed.progress() else { continue };
        assert!(progress.hundredths >= before);
        before = progress.hundredths;
        if (500..10_000).contains(&progress.hundredths) {
            let total = progress.total.unwrap().0;
            assert!(total.abs_diff(34_078_720) < 2_000_000, "{total} at {}", progress.hundredths);
        }
        assert_eq!(known.progress().unwrap().total, Some(Bytes(34_050_000)));
    }
    assert_eq!(known.progress().unwrap().done, Some(Bytes(34_050_000)));
}

#[test]
fn a_delta_restore_tells_what_was_right_and_what_went() {
    let fold = fold(log!("delta-2.59.1"));
    assert_eq!((fold.removed, fold.kept, fold.files), (3, fold.files, fold.files));
    assert!(fold.is_complete());
    assert_eq!(fold.repository, Some(2));
}

#[test]
fn bundles_and_block_incrementals_are_read() {
    for log in [log!("bundle-2.59.1"), log!("detail-2.59.1")] {
        let fold = fold(log);
        let files = log.lines().filter(|line| line.contains("restore file")).count();
        assert_eq!(fold.files, u64::try_from(files).unwrap());
        assert_eq!(fold.progress().unwrap().hundredths, 10_000);
        assert!(fold.current.clone().unwrap().starts_with("/srv/lab/"));
        assert!(fold.is_complete());
    }
}

#[test]
fn errors_keep_their_code_and_hints() {
    let fold = fold(log!("refused-2.45"));
    assert_eq!(fold.errors.len(), 1);
    assert_eq!(fold.errors[0].code, Some(38));
    assert!(fold.errors[0].text.contains("HINT: presence of 'postmaster.pid'"), "{}", fold.errors[0].text);
    assert_eq!(fold.end, Some(RestoreEnd::Failed("aborted with exception [038]".to_owned())));
    assert!(!fold.is_complete() && fold.progress().is_none());
}

#[test]
fn a_terminated_restore_is_not_complete() {
    let fold = fold(log!("terminated-2.45"));
    assert!(fold.files > 0 && !fold.is_complete());
    assert!(matches!(&fold.end, Some(RestoreEnd::Failed(end)) if end.starts_with("terminated on signal [SIGTERM]")));
}

#[test]
fn hostile_names_are_made_visible_and_warnings_kept() {
    let mut fold = RestoreLog::default();
    fold.feed("P01 DETAIL: restore file /d/\u{1b}[2Jx (8KB, 1.00%) checksum aa");
    fold.feed("P00   WARN: unknown user 'x'\u{7}");
    fold.feed("            HINT: more");
    assert!(!fold.current.clone().unwrap().contains('\u{1b}'));
    assert_eq!(fold.warnings.len(), 1);
    assert!(fold.warnings[0].ends_with("HINT: more") && !fold.warnings[0].contains('\u{7}'));
}

proptest! {
    #[test]
    fn no_text_breaks_the_fold(lines in proptest::collection::vec("(P0[0-9] {1,3}(INFO|DETAIL|WARN|ERROR): )?(restore (zeroed )?file )?\\PC{0,40}( \\((bi )?[0-9.]{1,6}[KMG]?B, [0-9.]{1,6}%\\))?", 0..40)) {
        let mut fold = RestoreLog::default();
        lines.iter().for_each(|line| fold.feed(line));
        if let Some(progress) = fold.progress() {
            prop_assert!(progress.hundredths <= 10_000);
            prop_assert!(progress.done <= progress.total || progress.total.is_none());
        }
    }
}
