//! The program itself: missing, broken, too old, mute, endless.

use crate::support::{
    Fixture, argument_inside, assert_ends, assert_says, config_file, directory, environment, fake, inside, real, script,
};
use lifeboat::engine::ask::AskError;
use lifeboat::engine::look::{self, LookError};
use lifeboat::engine::pgbackrest::{Pgbackrest, PgbackrestError, Query};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[test]
fn not_installed() {
    let empty = directory();
    let mut environment = environment();
    environment.insert("PATH".to_owned(), empty.path().into());
    let by_name = Pgbackrest::locate(None, None, environment.clone()).unwrap_err();
    let path = empty.path().display().to_string();
    assert_says(&by_name.to_string(), &["no program pgbackrest", &path, "apt-get install pgbackrest"]);
    let by_path = Pgbackrest::locate(Some(Path::new("/nowhere/pgbackrest")), None, environment).unwrap_err();
    assert!(matches!(by_path, PgbackrestError::Ask(AskError::NotFound { .. })));
    assert_says(&by_path.to_string(), &["/nowhere/pgbackrest", "--pgbackrest"]);
}

#[test]
fn not_executable() {
    let place = directory();
    let version = |path: &Path| Pgbackrest::locate(Some(path), None, environment()).unwrap().version().unwrap_err();
    let path = script(place.path(), "echo pgBackRest 2.45");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    let error = version(&path);
    assert!(matches!(error, PgbackrestError::Ask(AskError::NotExecutable { .. })), "{error:?}");
    assert_says(&error.to_string(), &[&path.display().to_string(), "look at its mode"]);
    let error = version(place.path());
    assert!(matches!(error, PgbackrestError::Ask(AskError::NotExecutable { .. })), "a directory: {error:?}");
    let path = script(place.path(), "");
    assert!(Command::new("sed").args(["-i", "1s:.*:#!/nowhere/sh:"]).arg(&path).status().unwrap().success());
    assert_says(&version(&path).to_string(), &["interpreter"]);
}

#[test]
fn too_old() {
    let place = directory();
    let error = fake(place.path(), "echo 'pgBackRest 2.29'").version().unwrap_err();
    assert!(matches!(error, PgbackrestError::TooOld { .. }), "{error:?}");
    assert_says(&error.to_string(), &["pgBackRest 2.29", "2.30 or newer", "install a newer"]);
    let error = look::inventory(&fake(place.path(), "echo 'pgBackRest 1.28'"), None).unwrap_err();
    assert_says(&error.to_string(), &["1.28"]);
    assert_eq!(fake(place.path(), "echo 'pgBackRest 2.30'").version().unwrap().to_string(), "2.30");
}

#[test]
fn the_real_one_is_new_enough_and_its_commands_can_be_shown() {
    let place = directory();
    let config = config_file(place.path(), "[global]\nrepo1-path=/nowhere\n");
    let pgbackrest = real(&config);
    pgbackrest.version().unwrap();
    let query = Query::Info { stanza: Some("main"), set: None, repository: Some(2) };
    let argv: Vec<String> = pgbackrest.argv(&query).iter().map(|word| word.to_string_lossy().into_owned()).collect();
    assert!(argv[0].starts_with('/') && argv[1] == format!("--config={}", config.display()), "{argv:?}");
    assert_eq!(argv[argv.len() - 4..], ["--stanza=main", "--repo=2", "--output=json", "info"]);
    assert_eq!(pgbackrest.argv(&Query::Version).len(), 2);
}

#[test]
fn exits_non_zero() {
    let place = directory();
    let config = config_file(place.path(), "[global]\nrepo1-path=/nowhere/x\nrepo1-type=tape\n");
    let error = real(&config).info(None, None, None).unwrap_err();
    let PgbackrestError::Refused { code, .. } = &error else { panic!("{error:?}") };
    assert_eq!(code.name(), "option-invalid-value");
    assert_says(
        &error.to_string(),
        &["--output=json info ended with 32", "'tape' is not allowed", "What to do: correct"],
    );
    let config = Fixture::get().config(place.path(), "");
    let error = real(&config).info(Some("main"), None, None).unwrap_err();
    assert_says(&error.to_string(), &["37 (option-required)", "repo1-cipher-pass", "What to do: set the option"]);
}

#[test]
fn exits_as_pgbackrest_never_or_only_elsewhere_does() {
    let place = directory();
    let error = fake(place.path(), "exit 7").version().unwrap_err();
    assert_says(&error.to_string(), &["ended with 7", "It said nothing", "wrapper script"]);
    let error = fake(place.path(), "kill -9 $$").version().unwrap_err();
    assert_says(&error.to_string(), &["137 (signal)", "signal 9"]);
    // Newer versions write errors to stdout.
    let error = fake(place.path(), "printf 'ERROR: [101]: no\\033[2J bucket'; exit 101").version().unwrap_err();
    assert_says(&error.to_string(), &["101 (service)", "[101]: no␛[2J bucket", "check its endpoint"]);
}

#[test]
fn prints_garbage() {
    let place = directory();
    let error = fake(place.path(), "printf 'Usage: \\033[31mother'").version().unwrap_err();
    assert!(matches!(error, PgbackrestError::Garbage { .. }), "{error:?}");
    assert_says(&error.to_string(), &["Usage: ␛[31mother", "version printed", "--pgbackrest"]);
    for garbage in ["printf '\\377\\000\\033[2J\\033]0;x'", "printf '[{\"name\":'", "echo '{}'", ":"] {
        let text = format!("case \"$*\" in version) echo 'pgBackRest 2.45';; *) {garbage};; esac");
        let error = look::inventory(&fake(place.path(), &text), None).unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, LookError::NotUnderstood(_)), "{garbage}: {said}");
        assert!(said.contains("pgbackrest info") && !said.contains('\u{1b}'), "{garbage}: {said}");
    }
    let error = fake(place.path(), "echo nothing").list(1, "archive/main", true).unwrap_err();
    assert_says(&error.to_string(), &["repo-ls archive/main printed", "begins with: nothing"]);
}

#[test]
fn more_than_the_limit() {
    let place = directory();
    let pgbackrest = fake(place.path(), "yes '[{}]'").with_limits(Duration::from_secs(60), 100_000);
    let error = pgbackrest.info(None, None, None).unwrap_err();
    assert!(matches!(error, PgbackrestError::Ask(AskError::TooLarge { limit_bytes: 100_000, .. })), "{error:?}");
    assert_says(&error.to_string(), &["more than 100000 bytes", "ended", &place.path().display().to_string()]);
}

/// The default limit, for real: without the bound the address space given here would not be enough, and the process
/// would abort.
#[test]
fn more_than_a_gigabyte_is_refused_in_bounded_memory() {
    let Some(place) = argument_inside() else {
        let place = directory();
        let limit = ["prlimit", "--as=1600000000"];
        return inside("program::more_than_a_gigabyte_is_refused_in_bounded_memory", &limit, place.path());
    };
    let pgbackrest = fake(&place, &format!("echo $$ > {}/pid; exec cat /dev/zero", place.display()));
    let error = pgbackrest.info(None, None, None).unwrap_err();
    assert_says(&error.to_string(), &["more than 1000000000 bytes"]);
    assert_ends(std::fs::read_to_string(place.join("pid")).unwrap().trim());
}

#[test]
fn no_answer_in_time() {
    let place = directory();
    let pids = place.path().join("pids");
    let text = format!("sleep 1000 & echo $! $$ > {}; echo 'WARN: waiting' >&2; wait", pids.display());
    let binary = script(place.path(), &text);
    // A loaded machine may need longer to start the script than the first limit gives it.
    for seconds in [1, 4, 16, 64] {
        let pgbackrest = Pgbackrest::locate(Some(&binary), None, environment()).unwrap();
        let error = pgbackrest.with_limits(Duration::from_secs(seconds), 1000).info(None, None, None).unwrap_err();
        let PgbackrestError::Ask(AskError::TimedOut { stderr, .. }) = &error else { panic!("{error:?}") };
        let limit = format!("no answer within {seconds} s");
        assert_says(&error.to_string(), &[&limit, "ended with its children", "run it by hand"]);
        let Ok(found) = std::fs::read_to_string(&pids) else { continue };
        if stderr.contains("waiting") {
            assert_says(&error.to_string(), &["its last words: WARN: waiting"]);
            assert_eq!(found.split_whitespace().count(), 2);
            found.split_whitespace().for_each(assert_ends);
            return;
        }
    }
    panic!("the script did not start within 64 s");
}
