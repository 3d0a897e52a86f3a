//! The fixture of all real tests: a practice cluster with real backups, built once and copied for each test.
//!
//! The first test that asks builds it with `lifeboat rehearse` and puts it away, stopped, below `target/tmp`, under a
//! name made from the program's size and time: the next test process takes it from there until the program
//! changes. A file lock keeps two test processes from building at once. Each [`Lab`] is a copy in memory
//! (or `/tmp`) with its paths rewritten; dropping it ends every process that works in it and removes it.
//!
//! PostgreSQL refuses root: as root, everything here runs as `postgres`, through `setpriv`.

use lifeboat::engine::rehearsal::{DATABASE, Layout, MARKER, Marker, SUPERUSER};
use rustix::fs::FlockOperation;
use rustix::process::{Pid, Signal};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[path = "../place/mod.rs"]
mod place;

/// How long a test waits for something that has to happen: it costs nothing where it happens, and a busy disk can stand
/// still for a minute.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A copy of the practice cluster, the test's own.
pub(crate) struct Lab {
    /// Where everything of it lies.
    pub(crate) layout: Layout,
    /// What it is made of.
    pub(crate) marker: Marker,
    home: Home,
}

/// A fresh directory that belongs to the owner of everything. Dropping it ends what works in it.
pub(crate) struct Home(TempDir);

/// A copy of the practice cluster, its server stopped.
pub(crate) fn copy() -> Lab {
    let home = Home::new();
    let to = home.path().join("practice");
    let lock = File::create(storage().join("practice.lock")).unwrap();
    rustix::fs::flock(&lock, FlockOperation::LockExclusive).unwrap();
    copy_tree(&stored(), &to);
    drop(lock);
    let old = read_marker(&to);
    for file in
        [MARKER, "pgbackrest.conf", "lifeboat.toml", "production/postgresql.conf", "production/postgresql.auto.conf"]
    {
        // Written in place: the file keeps its owner and mode.
        let text = fs::read_to_string(to.join(file)).unwrap();
        fs::write(to.join(file), text.replace(text_of(&old.directory), text_of(&to))).unwrap();
    }
    let marker = read_marker(&to);
    let layout = Layout { directory: to, short_directory: marker.short_directory.clone() };
    Lab { layout, marker, home }
}

/// A copy of the practice cluster with its server running.
pub(crate) fn running() -> Lab {
    let lab = copy();
    lab.start();
    lab
}

impl Lab {
    /// The directory that holds the practice cluster and whatever else the test puts there.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Starts the production server.
    pub(crate) fn start(&self) {
        let (production, log) = (self.layout.production(), self.layout.server_log());
        let output = as_owner(self.marker.bin_directory.join("pg_ctl"))
            .args(["start", "-s", "-w", "-D", text_of(&production), "-l", text_of(&log)])
            .output()
            .unwrap();
        assert_done(&output, "pg_ctl start");
    }

    /// From here on nothing is archived and no transaction ends but by the test: on a busy machine production's own
    /// `archive_timeout` passes between two steps of it, and a read that left a hint bit in WAL is enough for a segment more.
    pub(crate) fn quiet(&self) {
        self.sql("ALTER SYSTEM SET archive_timeout = 0");
        self.sql("ALTER SYSTEM SET autovacuum = off");
        self.sql("SELECT pg_reload_conf()");
        wait_until("it is quiet", || self.sql("SHOW archive_timeout") == "0" && self.sql("SHOW autovacuum") == "off");
    }

    /// Stops the production server in order.
    pub(crate) fn stop(&self) {
        let output = as_owner(self.marker.bin_directory.join("pg_ctl"))
            .args(["stop", "-s", "-w", "-m", "fast", "-D", text_of(&self.layout.production())])
            .output()
            .unwrap();
        assert_done(&output, "pg_ctl stop");
    }

    /// Runs SQL in the shop as the superuser and returns what it printed, without the last line break.
    pub(crate) fn sql(&self, text: &str) -> String {
        sql(&self.layout, &self.marker, text)
    }

    /// Runs `lifeboat` with the practice cluster's settings, as the owner, to its end.
    pub(crate) fn run_lifeboat(&self, arguments: &[&str]) -> Output {
        lifeboat().arg("--settings").arg(self.layout.settings()).args(arguments).output().unwrap()
    }

    /// Runs `pgbackrest` on the practice cluster to its end and returns its standard output.
    pub(crate) fn pgbackrest(&self, arguments: &[&str]) -> String {
        let output = as_owner(&self.marker.pgbackrest)
            .arg(format!("--config={}", text_of(&self.layout.pgbackrest_config())))
            .arg("--stanza=main")
            .args(arguments)
            .output()
            .unwrap();
        assert_done(&output, "pgbackrest");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends the current WAL segment and waits until the archive has it.
    pub(crate) fn wait_archived(&self) {
        let segment = self.sql("SELECT pg_walfile_name(pg_switch_wal())");
        let question = format!("SELECT coalesce(last_archived_wal >= '{segment}', false) FROM pg_stat_archiver");
        wait_until(&format!("segment {segment} is archived"), || self.sql(&question) == "t");
    }
}

impl Home {
    /// Makes it.
    pub(crate) fn new() -> Self {
        let directory = place::fresh("lifeboat-lab-");
        if let Some((uid, gid)) = other_owner() {
            std::os::unix::fs::chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
        Self(directory)
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut first = true;
        loop {
            let found = processes_naming(self.path());
            if found.is_empty() || Instant::now() > deadline + Duration::from_secs(5) {
                break;
            }
            let late = Instant::now() > deadline;
            for process in found {
                // A server is asked to go at once and takes its children along; all else is killed.
                let signal = match process.kind() {
                    Kind::Postmaster if first => Some(Signal::QUIT),
                    Kind::Other => Some(Signal::KILL),
                    Kind::Postmaster | Kind::Backend => late.then_some(Signal::KILL),
                };
                if let Some(signal) = signal {
                    let _ = rustix::process::kill_process(process.pid, signal);
                }
            }
            first = false;
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A live process that names a directory in its command line or works below it.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) command: String,
}

enum Kind {
    Postmaster,
    Backend,
    Other,
}

impl Process {
    fn kind(&self) -> Kind {
        match self.command.split_whitespace().next() {
            Some("postgres:") => Kind::Backend,
            Some(program) if program.ends_with("/postgres") => Kind::Postmaster,
            _ => Kind::Other,
        }
    }
}

/// All live processes that name this directory in their command line or work below it, apart from the test itself.
pub(crate) fn processes_naming(directory: &Path) -> Vec<Process> {
    let wanted = directory.as_os_str().as_bytes();
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(Result::ok)
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(|pid| *pid != rustix::process::getpid())
        .filter_map(|pid| {
            let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
            let command = fs::read(process.join("cmdline")).ok().filter(|command| !command.is_empty())?;
            let named = command.windows(wanted.len()).any(|window| window == wanted);
            let inside = fs::read_link(process.join("cwd")).is_ok_and(|place| place.starts_with(directory));
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            (named || inside).then_some(Process { pid, command })
        })
        .collect()
}

/// Runs SQL in the shop of any practice cluster as the superuser.
pub(crate) fn sql(layout: &Layout, marker: &Marker, text: &str) -> String {
    let output = as_owner(marker.bin_directory.join("psql"))
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", text_of(&layout.sockets())])
        .args(["-p", &marker.port.to_string(), "-U", SUPERUSER, "-d", DATABASE, "-c", text])
        .output()
        .unwrap();
    assert_done(&output, text);
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The program under test, as the owner of everything, with nothing in its environment that could lead it to a host's
/// own files.
pub(crate) fn lifeboat() -> Command {
    as_owner(program())
}

/// A program as the owner of everything: `postgres` when the tests run as root, else whoever runs them.
pub(crate) fn as_owner(program: impl AsRef<OsStr>) -> Command {
    let mut command = if other_owner().is_some() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", OWNER, "--regid", OWNER, "--init-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/nonexistent")
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// Reads the marker of a practice cluster, whoever owns it.
pub(crate) fn read_marker(directory: &Path) -> Marker {
    serde_json::from_str(&fs::read_to_string(directory.join(MARKER)).unwrap()).unwrap()
}

/// Waits for something that has to happen.
pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Fails with everything a program said, unless it ended with 0.
pub(crate) fn assert_done(output: &Output, what: &str) {
    assert!(
        output.status.success(),
        "{what}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

const OWNER: &str = "postgres";

/// User and group of `postgres`, when the tests run as root.
fn other_owner() -> Option<(u32, u32)> {
    static FOUND: OnceLock<Option<(u32, u32)>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        rustix::process::geteuid().is_root().then(|| {
            let passwd = fs::read_to_string("/etc/passwd").unwrap();
            let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("there is no user postgres");
            let mut fields = line.split(':').skip(2);
            let mut number = || fields.next().unwrap().parse().unwrap();
            (number(), number())
        })
    })
}

/// The program under test by an inherited descriptor: `postgres` can't enter every folder that a checkout may be in.
fn program() -> PathBuf {
    static OPENED: OnceLock<File> = OnceLock::new();
    let file = OPENED.get_or_init(|| {
        let file = File::open(env!("CARGO_BIN_EXE_lifeboat")).unwrap();
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
        file
    });
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn storage() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// The practice cluster that was put away; built where it is missing. The lock is held by the caller.
fn stored() -> PathBuf {
    let program = fs::metadata(env!("CARGO_BIN_EXE_lifeboat")).unwrap();
    let kept = storage().join(format!("practice-{}-{}-{}", program.len(), program.mtime(), program.mtime_nsec()));
    if kept.exists() {
        return kept;
    }
    for entry in fs::read_dir(storage()).unwrap().filter_map(Result::ok).filter(|entry| entry.path().is_dir()) {
        if entry.file_name().to_string_lossy().starts_with("practice-") {
            fs::remove_dir_all(entry.path()).unwrap();
        }
    }
    let home = Home::new();
    let directory = home.path().join("practice");
    let build = ["rehearse", "--no-console", "--no-writer", "--json", "--directory", text_of(&directory)];
    assert_done(&lifeboat().args(build).output().unwrap(), "lifeboat rehearse");
    let stop = ["rehearse", "--keep", "--stop", text_of(&directory)];
    assert_done(&lifeboat().args(stop).output().unwrap(), "lifeboat rehearse --stop");
    let partial = storage().join("practice-partial");
    copy_tree(&directory, &partial);
    fs::rename(&partial, &kept).unwrap();
    kept
}

/// Copies with owners, modes and times.
fn copy_tree(from: &Path, to: &Path) {
    let output = Command::new("cp").args(["-a", "--", text_of(from), text_of(to)]).output().unwrap();
    assert_done(&output, "cp -a");
}

fn text_of(path: &Path) -> &str {
    path.to_str().unwrap()
}
