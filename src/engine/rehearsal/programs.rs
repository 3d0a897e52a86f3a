//! The real programs of a practice cluster: where they are, and how they are asked.

use crate::engine::rehearsal::error::RehearsalError;
use duct::Handle;
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// No single program of a build takes longer than this on a machine that works.
const LIMIT: Duration = Duration::from_secs(180);
/// How often a waiting build looks whether it was interrupted.
const LOOK: Duration = Duration::from_millis(100);
/// How many of a failed program's last lines are shown.
const LAST_LINES: usize = 12;
/// The search path of every program, since the caller's may be anything.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Where the programs of a practice cluster are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// The directory with `initdb`, `postgres`, `pg_ctl` and `psql`.
    pub bin_directory: PathBuf,
    /// The pgbackrest program.
    pub pgbackrest: PathBuf,
}

impl Programs {
    /// Finds the newest installed PostgreSQL and pgbackrest.
    ///
    /// # Errors
    /// [`RehearsalError::ProgramMissing`] with where it was looked for.
    pub fn find(bin_directory: Option<&Path>, pgbackrest: Option<&Path>) -> Result<Self, RehearsalError> {
        let bin_directory = match bin_directory {
            Some(given) => {
                complete(given).then(|| given.to_path_buf()).ok_or_else(|| RehearsalError::ProgramMissing {
                    program: "initdb, postgres, pg_ctl or psql",
                    looked: given.display().to_string(),
                    package: "the package `postgresql`",
                })?
            }
            None => newest_server()?,
        };
        let pgbackrest = match pgbackrest {
            Some(given) if executable(given) => given.to_path_buf(),
            Some(given) => return Err(pgbackrest_missing(given.display().to_string())),
            None => in_search_path("pgbackrest").ok_or_else(|| pgbackrest_missing("PATH".to_owned()))?,
        };
        let pgbackrest = pgbackrest.canonicalize().map_err(RehearsalError::io("cannot resolve", &pgbackrest))?;
        Ok(Self { bin_directory, pgbackrest })
    }

    /// The full path of one of PostgreSQL's programs.
    #[must_use]
    pub fn postgres(&self, program: &str) -> PathBuf {
        self.bin_directory.join(program)
    }
}

fn pgbackrest_missing(looked: String) -> RehearsalError {
    RehearsalError::ProgramMissing { program: "pgbackrest", looked, package: "the package `pgbackrest`" }
}

fn newest_server() -> Result<PathBuf, RehearsalError> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .filter_map(Result::ok)
                .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
                .filter(|(_, directory)| complete(directory))
                .collect()
        })
        .unwrap_or_default();
    found.sort();
    if let Some((_, newest)) = found.pop() {
        return Ok(newest);
    }
    in_search_path("initdb")
        .and_then(|initdb| initdb.canonicalize().ok())
        .and_then(|initdb| initdb.parent().map(Path::to_path_buf))
        .filter(|directory| complete(directory))
        .ok_or_else(|| RehearsalError::ProgramMissing {
            program: "a PostgreSQL server (initdb, postgres, pg_ctl, psql)",
            looked: "/usr/lib/postgresql/*/bin and PATH".to_owned(),
            package: "the package `postgresql`",
        })
}

fn complete(directory: &Path) -> bool {
    ["initdb", "postgres", "pg_ctl", "psql"].iter().all(|program| executable(&directory.join(program)))
}

fn executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn in_search_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from(SEARCH_PATH));
    std::env::split_paths(&path).map(|directory| directory.join(program)).find(|path| executable(path))
}

/// The environment of every program of a practice cluster: nothing of the caller's own, so no `PG…` and no
/// `PGBACKREST_…` variable can lead one of them to another cluster.
#[must_use]
pub(super) fn environment(directory: &Path, owner: &str) -> BTreeMap<String, OsString> {
    BTreeMap::from([
        ("HOME".to_owned(), directory.into()),
        ("USER".to_owned(), owner.into()),
        ("LOGNAME".to_owned(), owner.into()),
        ("PATH".to_owned(), SEARCH_PATH.into()),
        ("LANG".to_owned(), "C.UTF-8".into()),
        ("TZ".to_owned(), "UTC".into()),
    ])
}

/// Asks programs one after another and gives up at once when interrupted.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    /// Where they run: the practice cluster's directory.
    pub(super) directory: PathBuf,
    /// Their whole environment.
    pub(super) environment: BTreeMap<String, OsString>,
    /// Set by a signal.
    pub(super) interrupted: Arc<AtomicBool>,
}

impl Asker {
    /// Runs a program to its end and returns what it printed on both streams.
    pub(super) fn ask(&self, what: &str, program: &Path, arguments: &[OsString]) -> Result<String, RehearsalError> {
        self.ask_with_input(what, program, arguments, "")
    }

    /// Runs a program to its end with this text on its standard input.
    pub(super) fn ask_with_input(
        &self,
        what: &str,
        program: &Path,
        arguments: &[OsString],
        input: &str,
    ) -> Result<String, RehearsalError> {
        self.not_interrupted()?;
        let handle = duct::cmd(program, arguments)
            .full_env(&self.environment)
            .dir(&self.directory)
            .stdin_bytes(input)
            .stderr_to_stdout()
            .stdout_capture()
            .unchecked()
            .start()
            .map_err(RehearsalError::io("cannot start", program))?;
        let output = self.wait(what, program, arguments, &handle)?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        self.not_interrupted()?;
        Err(RehearsalError::Command {
            what: what.to_owned(),
            command: in_words(program, arguments),
            status: output.status.to_string(),
            output: last_lines(&printed),
        })
    }

    fn wait<'a>(
        &self,
        what: &str,
        program: &Path,
        arguments: &[OsString],
        handle: &'a Handle,
    ) -> Result<&'a std::process::Output, RehearsalError> {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(output) = handle.wait_timeout(LOOK).map_err(RehearsalError::io("cannot wait for", program))? {
                return Ok(output);
            }
            let late = Instant::now() >= deadline;
            if !late && !self.interrupted.load(Ordering::SeqCst) {
                continue;
            }
            end(handle);
            self.not_interrupted()?;
            return Err(RehearsalError::TooSlow {
                what: what.to_owned(),
                command: in_words(program, arguments),
                seconds: LIMIT.as_secs(),
            });
        }
    }

    /// Fails when a signal asked for the end.
    pub(super) fn not_interrupted(&self) -> Result<(), RehearsalError> {
        if self.interrupted.load(Ordering::SeqCst) { Err(RehearsalError::Interrupted) } else { Ok(()) }
    }
}

/// Asks a child to end, then makes it. Its own children are found afterwards by the practice cluster's sweep.
fn end(handle: &Handle) {
    for pid in handle.pids().into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
        // A child that is not waited for keeps its pid, so this can't reach a stranger.
        let _ = rustix::process::kill_process(pid, Signal::TERM);
    }
    if !matches!(handle.wait_timeout(Duration::from_secs(5)), Ok(Some(_))) {
        let _ = handle.kill();
    }
}

fn in_words(program: &Path, arguments: &[OsString]) -> String {
    std::iter::once(program.display().to_string())
        .chain(arguments.iter().map(|argument| argument.to_string_lossy().into_owned()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn last_lines(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().filter(|line| !line.trim().is_empty()).collect();
    let shown = &lines[lines.len().saturating_sub(LAST_LINES)..];
    shown.iter().map(|line| format!("\n  {}", crate::domain::text::clean(line))).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn asker(interrupted: bool) -> Asker {
        Asker {
            directory: PathBuf::from("/"),
            environment: environment(Path::new("/nowhere"), "nobody"),
            interrupted: Arc::new(AtomicBool::new(interrupted)),
        }
    }

    #[test]
    fn a_program_gets_only_the_environment_made_for_it() {
        let printed = asker(false).ask("listing", Path::new("/usr/bin/env"), &[]).unwrap();
        let mut names: Vec<&str> = printed.lines().filter_map(|line| line.split('=').next()).collect();
        names.sort_unstable();
        assert_eq!(names, ["HOME", "LANG", "LOGNAME", "PATH", "TZ", "USER"]);
    }

    #[test]
    fn a_failure_names_the_command_and_shows_its_last_lines() {
        let error = asker(false).ask("listing", Path::new("/bin/ls"), &["/does/not/exist".into()]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("listing failed: `/bin/ls /does/not/exist`"), "{text}");
        assert!(text.contains("No such file or directory"), "{text}");
    }

    #[test]
    fn an_interrupted_build_starts_nothing_more() {
        let error = asker(true).ask("listing", Path::new("/bin/ls"), &[]).unwrap_err();
        assert!(matches!(error, RehearsalError::Interrupted));
    }

    #[test]
    fn a_signal_ends_the_program_that_is_waited_for() {
        let asker = asker(false);
        let flag = Arc::clone(&asker.interrupted);
        let thread = std::thread::spawn(move || asker.ask("sleeping", Path::new("/bin/sleep"), &["100".into()]));
        flag.store(true, Ordering::SeqCst);
        assert!(matches!(thread.join().unwrap().unwrap_err(), RehearsalError::Interrupted));
    }

    #[test]
    fn a_directory_without_postgresql_is_named() {
        let error = Programs::find(Some(Path::new("/var/empty")), None).unwrap_err();
        assert!(error.to_string().contains("/var/empty"), "{error}");
    }
}
