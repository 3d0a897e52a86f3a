//! The settings file: what is accepted, and what a mistake in it is told.

#![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]

use lifeboat::settings::{DrillDepth, Settings, SettingsError};
use std::path::{Path, PathBuf};

fn parse(text: &str) -> Result<Settings, SettingsError> {
    Settings::parse(text, Path::new("/etc/lifeboat/lifeboat.toml"))
}

fn refusal(text: &str) -> String {
    parse(text).expect_err("the file has a mistake").to_string()
}

#[test]
fn everything_has_a_default() {
    let settings = parse("").unwrap();
    assert_eq!(settings.pgbackrest.binary, PathBuf::from("pgbackrest"));
    assert_eq!(settings.drill.database, "postgres");
    assert_eq!(settings.drill.depth, DrillDepth::Rows);
    assert_eq!(settings.state.directory, None);
    assert_eq!(settings.runbook_directory(), Some(PathBuf::from("/etc/lifeboat/runbooks")));
    assert_eq!(Settings { file: None, ..settings }, Settings::default());
}

#[test]
fn every_key_is_read() {
    let settings = parse(
        r#"
        [pgbackrest]
        binary = "/opt/bin/pgbackrest"
        config = "pgbackrest.conf"
        stanza = "main"
        [postgres]
        bin_directory = "/usr/lib/postgresql/15/bin"
        owner = "pg"
        [state]
        directory = "/srv/state"
        runtime_directory = "/run/lb"
        wal_cache = "512MB"
        [drill]
        directory = "../drill"
        probe_sql = """select count(*)
from orders"""
        database = "shop"
        depth = "checksums"
        [runbooks]
        directory = "books"
        [console]
        theme = "high-contrast"
        seconds = false
        ascii = true
        [operator]
        timezone = "Europe/Istanbul"
        "#,
    )
    .unwrap();
    assert_eq!(settings.pgbackrest.binary, PathBuf::from("/opt/bin/pgbackrest"));
    assert_eq!(settings.pgbackrest.config, Some(PathBuf::from("/etc/lifeboat/pgbackrest.conf")));
    assert_eq!(settings.pgbackrest.stanza.as_deref(), Some("main"));
    assert_eq!(settings.postgres.bin_directory, Some(PathBuf::from("/usr/lib/postgresql/15/bin")));
    assert_eq!(settings.postgres.owner.as_deref(), Some("pg"));
    assert_eq!(settings.state.directory, Some(PathBuf::from("/srv/state")));
    assert_eq!(settings.state.runtime_directory, Some(PathBuf::from("/run/lb")));
    assert_eq!((settings.state.wal_cache_bytes, parse("").unwrap().state.wal_cache_bytes), (512 << 20, 2 << 30));
    assert_eq!(parse("[state]\nwal_cache = '0'\n").unwrap().state.wal_cache_bytes, 0);
    assert_eq!(settings.drill.directory, Some(PathBuf::from("/etc/lifeboat/../drill")));
    assert_eq!(settings.drill.probe_sql.as_deref(), Some("select count(*)\nfrom orders"));
    assert_eq!(settings.drill.database, "shop");
    assert_eq!(settings.drill.depth, DrillDepth::Checksums);
    assert_eq!(settings.runbook_directory(), Some(PathBuf::from("/etc/lifeboat/books")));
    let console = (settings.console.theme, settings.console.seconds, settings.console.ascii);
    assert_eq!(console, ("high-contrast", false, true));
    assert_eq!(settings.operator.timezone, Some(chrono_tz::Europe::Istanbul));
}

#[test]
fn a_typo_names_file_line_column_and_the_nearest_key() {
    let said = refusal("[pgbackrest]\nstanza = \"main\"\n[state]\n  runtime_direcotry = \"/run/x\"\n");
    assert!(said.contains("/etc/lifeboat/lifeboat.toml:4:3: "), "{said}");
    assert!(said.contains("did you mean 'runtime_directory'?"), "{said}");
    let said = refusal("\n[pgbackerst]\n");
    assert!(said.contains(":2:2: ") && said.contains("did you mean [pgbackrest]?"), "{said}");
    let said = refusal("stanza = 'main'\n");
    assert!(said.contains(":1:1: ") && said.contains("belongs under [pgbackrest]"), "{said}");
    let said = refusal("[drill]\nstanza = 'main'\n");
    assert!(said.contains(":2:1: ") && said.contains("belongs under [pgbackrest]"), "{said}");
    let said = refusal("[operator]\ncolour = 'red'\n");
    assert!(said.contains("no key 'colour' (known: timezone)"), "{said}");
    let said = refusal("[operator]\n\"\\u001b[2J\" = 'red'\n");
    assert!(said.contains(":2:1: ") && !said.contains('\u{1b}'), "{said}");
}

#[test]
fn a_wrong_type_or_value_is_told_where_it_is() {
    for (text, place, words) in [
        ("[drill]\ndepth = 3\n", ":2:9: ", "takes text in quotes, not an integer"),
        ("[drill]\ndepth = 'deep'\n", ":2:9: ", "start, catalog, rows"),
        ("[drill]\ndirectory = ''\n", ":2:13: ", "leave the line out"),
        ("[pgbackrest]\nstanza = ['a', 'b']\n", ":2:10: ", "not an array"),
        ("[pgbackrest]\nstanza = \"a\\u0007\"\n", ":2:10: ", "control character"),
        ("drill = 'x'\n", ":1:9: ", "write [drill]"),
        ("[state]\nwal_cache = '2 gigs'\n", ":2:13: ", "no size; write a whole number with kB, MB, GB or TB"),
        ("[state]\nwal_cache = '99999999999TB'\n", ":2:13: ", "no size"),
        ("[console]\nseconds = 'no'\n", ":2:11: ", "takes true or false, without quotes, not a string"),
        ("[console]\nascii = 0\n", ":2:9: ", "takes true or false, without quotes, not an integer"),
        ("[console]\ntheme = true\n", ":2:9: ", "takes text in quotes, not a boolean"),
        ("[console]\ntheme = 'drak'\n", ":2:9: ", "it is one of dark, light, high-contrast, mono"),
        ("[console]\ntimezone = 'UTC'\n", ":2:1: ", "it belongs under [operator]"),
        ("[console]\nsecond = true\n", ":2:1: ", "did you mean 'seconds'?"),
        ("[operator]\ntimezone = 'Europe/Istambul'\n", ":2:12: ", "perhaps Europe/Istanbul"),
        ("[operator]\n# é\ntimezone = 'Mars'\n", ":3:12: ", "not an IANA time zone"),
    ] {
        let said = refusal(text);
        assert!(said.contains(place) && said.contains(words), "{text}: {said}");
    }
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let said = refusal("[state]\ndirectroy = 'a'\n[drill]\ndepth = 1\n[oprator]\n");
    assert!(said.starts_with("3 mistakes"), "{said}");
    let places: Vec<usize> =
        [":2:1: ", ":4:9: ", ":5:2: "].iter().map(|place| said.find(place).expect(place)).collect();
    assert!(places.is_sorted(), "{said}");
}

#[test]
fn not_toml_is_told_where() {
    let said = refusal("[pgbackrest]\nstanza main\n");
    assert!(said.contains("lifeboat.toml:2:"), "{said}");
    let said = refusal("[drill]\n[drill]\n");
    assert!(said.contains("lifeboat.toml:2:"), "{said}");
}

#[test]
fn files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let directory = Settings::load(Some(folder.path())).expect_err("a directory").to_string();
    assert!(directory.contains("is a directory; name the file in it"), "{directory}");
    let missing = folder.path().join("absent.toml");
    let said = Settings::load(Some(&missing)).expect_err("absent").to_string();
    assert!(said.contains("absent.toml") && said.contains("no such file"), "{said}");
    let latin = folder.path().join("latin.toml");
    std::fs::write(&latin, b"[drill]\n# caf\xe9\n").unwrap();
    let said = Settings::load(Some(&latin)).expect_err("not UTF-8").to_string();
    assert!(said.contains("latin.toml:2:6: ") && said.contains("UTF-8"), "{said}");
    let large = folder.path().join("large.toml");
    std::fs::write(&large, "#".repeat(1024 * 1024 + 1)).unwrap();
    let said = Settings::load(Some(&large)).expect_err("too large").to_string();
    assert!(said.contains("larger than 1048576 bytes"), "{said}");
    let good = folder.path().join("good.toml");
    std::fs::write(&good, "[pgbackrest]\nstanza = 'main'\n").unwrap();
    let settings = Settings::load(Some(&good)).unwrap();
    assert_eq!((settings.file, settings.pgbackrest.stanza.as_deref()), (Some(good), Some("main")));
}

/// Root reads everything, so the reading is done as `nobody` in a process of its own.
#[test]
fn an_unreadable_file_is_told_with_the_uid() {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(file) = std::env::var_os("LIFEBOAT_TEST_UNREADABLE") {
        let said = Settings::load(Some(Path::new(&file))).expect_err("unreadable").to_string();
        assert!(said.contains("uid 65534 may not read it"), "{said}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = folder.path().join("secret.toml");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let program = folder.path().join("this-test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = if rustix::process::geteuid().is_root() {
        std::process::Command::new("setpriv")
    } else {
        let mut sudo = std::process::Command::new("sudo");
        sudo.args(["-n", "--preserve-env=LIFEBOAT_TEST_UNREADABLE", "setpriv"]);
        sudo
    };
    let output = command
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
        .arg(&program)
        .args(["--exact", "an_unreadable_file_is_told_with_the_uid"])
        .env("LIFEBOAT_TEST_UNREADABLE", &file)
        .current_dir("/")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}
