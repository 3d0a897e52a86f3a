//! What the tests share: fake programs, and one real repository.

use lifeboat::engine::pgbackrest::Pgbackrest;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const PASS: &str = "opensesame-and-more";

pub(crate) fn environment() -> BTreeMap<String, OsString> {
    [("PATH", "/usr/bin:/bin"), ("HOME", "/tmp"), ("LANG", "C.UTF-8")]
        .map(|(name, value)| (name.to_owned(), value.into()))
        .into()
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A directory that every user may enter.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    directory
}

/// An executable script. Written by another process: a file that this one holds open for writing can't be executed
/// while any thread forks.
pub(crate) fn script(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("pgbackrest");
    let mut install = Command::new("install");
    install.args(["-m", "755", "/dev/stdin"]).arg(&path).stdin(Stdio::piped());
    let mut install = install.spawn().unwrap();
    install.stdin.take().unwrap().write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
    assert!(install.wait().unwrap().success());
    path
}

pub(crate) fn fake(directory: &Path, text: &str) -> Pgbackrest {
    Pgbackrest::locate(Some(&script(directory, text)), None, environment()).unwrap()
}

pub(crate) fn config_file(directory: &Path, text: &str) -> PathBuf {
    let path = directory.join("pgbackrest.conf");
    std::fs::write(&path, text).unwrap();
    path
}

pub(crate) fn real(config: &Path) -> Pgbackrest {
    Pgbackrest::locate(None, Some(config), environment()).unwrap()
}

pub(crate) fn assert_says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "'{word}' is not in: {message}");
    }
}

/// A real, encrypted repository with the stanza `main` and one full set, made without a running server: an initialised
/// cluster is enough for `--no-online`.
pub(crate) struct Fixture {
    pub(crate) directory: PathBuf,
    /// Removes the directory when this process has ended, however it ended: statics are not dropped.
    _remover: Child,
}

impl Fixture {
    pub(crate) fn get() -> &'static Fixture {
        static FIXTURE: OnceLock<Fixture> = OnceLock::new();
        FIXTURE.get_or_init(Fixture::build)
    }

    fn build() -> Fixture {
        let path = directory().keep();
        let mut remover = Command::new("sh");
        remover.args(["-c", "cat; rm -rf -- \"$1\"", "remover"]).arg(&path).stdin(Stdio::piped());
        let fixture = Fixture { directory: path, _remover: remover.spawn().unwrap() };
        let path = &fixture.directory;
        for name in ["repo", "lock"] {
            std::fs::create_dir(path.join(name)).unwrap();
        }
        if is_root() {
            let owned = Command::new("chown").args(["-R", "postgres:postgres"]).arg(path).status().unwrap();
            assert!(owned.success());
        }
        let config = fixture.config(path, &format!("repo1-cipher-pass={PASS}\n"));
        run_as_owner(Command::new(newest_initdb()).args(["--no-sync", "-A", "trust", "-D"]).arg(path.join("pg")));
        let linked = path.join("pg/linked");
        run_as_owner(Command::new("mkdir").arg(path.join("elsewhere")));
        run_as_owner(Command::new("ln").arg("-s").arg(path.join("elsewhere")).arg(linked));
        for command in ["stanza-create", "backup"] {
            let config = format!("--config={}", config.display());
            run_as_owner(Command::new("pgbackrest").args([&config, "--stanza=main", "--no-online", command]));
        }
        fixture
    }

    /// A configuration for the repository in another directory, with more lines in `[global]`.
    pub(crate) fn config(&self, directory: &Path, more: &str) -> PathBuf {
        let path = self.directory.display();
        let text = format!(
            "[global]\nrepo1-path={path}/repo\nrepo1-cipher-type=aes-256-cbc\nrepo1-retention-full=9\nlock-path={path}/lock\n\
             log-level-file=off\nlog-level-console=off\n{more}[main]\npg1-path={path}/pg\n"
        );
        config_file(directory, &text)
    }

    /// A pgbackrest that can read the repository.
    pub(crate) fn readable(&self, directory: &Path) -> Pgbackrest {
        real(&self.config(directory, &format!("repo1-cipher-pass={PASS}\n")))
    }
}

pub(crate) fn newest_initdb() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .unwrap()
        .map(|entry| entry.unwrap().path().join("bin/initdb"))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap()
}

/// PostgreSQL refuses to run as root.
pub(crate) fn run_as_owner(command: &Command) {
    let mut words: Vec<OsString> = Vec::new();
    if is_root() {
        words.extend(["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"].map(OsString::from));
    }
    words.push(command.get_program().to_owned());
    words.extend(command.get_args().map(ToOwned::to_owned));
    let mut full = Command::new(&words[0]);
    full.args(&words[1..]).env_clear().envs(environment()).current_dir("/").stdin(Stdio::null());
    let output = full.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs this same test again in a process of its own, under `prefix`, with `LIFEBOAT_TEST_INSIDE` set. The test binary
/// is copied: another user may not be able to enter the directory it lies in.
pub(crate) fn inside(test: &str, prefix: &[&str], argument: &Path) {
    let place = directory();
    let binary = place.path().join("test");
    let copied = Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&binary).status().unwrap();
    assert!(copied.success());
    let output = Command::new(prefix[0])
        .args(&prefix[1..])
        .arg(&binary)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("LIFEBOAT_TEST_INSIDE", argument)
        .current_dir("/")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

pub(crate) fn argument_inside() -> Option<PathBuf> {
    std::env::var_os("LIFEBOAT_TEST_INSIDE").map(PathBuf::from)
}

/// Ended: no process, or one that waits to be reaped. The signal was sent before the answer came, so this ends.
pub(crate) fn assert_ends(pid: &str) {
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        match stat.rsplit(')').next().unwrap_or_default().trim().chars().next() {
            None | Some('Z' | 'X') => return,
            Some(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}
