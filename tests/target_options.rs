//! The options of every recovery target, given to the real pgbackrest: it understands them all, and then ends
//! because the repository is empty. Nothing is restored.

#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use chrono::{DateTime, Utc};
use lifeboat::domain::wal::TimelineId;
use lifeboat::planning::target::{RecoveryTarget, TargetAction};
use std::path::Path;
use std::process::Command;

/// Exit status and everything said.
fn restore(folder: &Path, options: &[String]) -> (i32, String) {
    let option = |name: &str| format!("--{name}={}", folder.join(name).display());
    let output = Command::new("pgbackrest")
        .args(["--no-config", "--stanza=main", "--log-level-console=info", "--log-level-file=off"])
        .args([option("pg1-path"), option("repo1-path"), option("lock-path"), option("spool-path")])
        .args(options)
        .arg("restore")
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("pgbackrest is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said)
}

#[test]
fn pgbackrest_understands_the_options_of_every_target() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["pg1-path", "repo1-path", "lock-path", "spool-path"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let now: DateTime<Utc> = "2026-11-22T12:00:00Z".parse().unwrap();
    let parse = |text: &str, exclusive| RecoveryTarget::parse(text, exclusive, now, &Utc).unwrap();
    let targets = [
        parse("latest", false),
        parse("immediate", false),
        parse("2026-11-22 02:13:00.5+03", false),
        parse("2026-11-22 02:13:00+03", true),
        parse("0/3000028", true),
        parse("xid:743", true),
        parse("name:before release", false),
    ];
    for target in targets {
        for action in [TargetAction::Promote, TargetAction::Shutdown] {
            let (status, said) = restore(folder.path(), &target.options(TimelineId(2), action));
            assert_eq!(status, 75, "{target}: no set can be found, and that is all: {said}");
        }
    }
    // The same call is refused where an option does not belong: 75 above means what it says.
    let mut wrong = parse("immediate", false).options(TimelineId(2), TargetAction::Promote);
    wrong.push("--target-timeline=2".to_owned());
    assert_eq!(restore(folder.path(), &wrong).0, 31);
    let local = ["--type=time".to_owned(), "--target=2026-11-22T02:13:00Z".to_owned()];
    assert_eq!(restore(folder.path(), &local).0, 29);
}
