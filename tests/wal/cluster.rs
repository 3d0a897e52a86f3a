//! A PostgreSQL cluster of a test's own: made in `/tmp`, reached by its socket, stopped and removed with its test.
//!
//! PostgreSQL refuses root: as root, everything here runs as `postgres`, through `setpriv`.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[path = "../place/mod.rs"]
mod place;

/// Where PostgreSQL 15 is.
pub(crate) const PROGRAMS: &str = "/usr/lib/postgresql/15/bin";
const OWNER: &str = "postgres";

/// A running server with a database `shop`.
pub(crate) struct Cluster {
    home: TempDir,
    is_running: bool,
}

impl Cluster {
    /// A directory that belongs to who a cluster would belong to.
    pub(crate) fn folder() -> TempDir {
        fresh_home()
    }

    /// A place for one that is to be restored.
    pub(crate) fn nowhere() -> Cluster {
        Cluster { home: fresh_home(), is_running: false }
    }

    /// Waits until it has ended recovery.
    pub(crate) fn wait_promoted(&self) {
        let patience = Instant::now() + Duration::from_secs(120);
        while self.sql_in("postgres", "SELECT pg_is_in_recovery()") == "t" {
            assert!(Instant::now() < patience, "recovery doesn't end");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Makes one with WAL segments of this size, in MB, and these further settings, and starts it.
    pub(crate) fn start(segment_megabytes: u32, settings: &str) -> Cluster {
        Cluster::start_with(segment_megabytes, |_| settings.to_owned())
    }

    /// The same, with settings that name its directory.
    pub(crate) fn start_with(segment_megabytes: u32, settings: impl FnOnce(&Path) -> String) -> Cluster {
        Cluster::start_in(fresh_home(), segment_megabytes, settings)
    }

    /// The same, in this directory, which then belongs to its owner.
    pub(crate) fn start_in(home: TempDir, segment_megabytes: u32, settings: impl FnOnce(&Path) -> String) -> Cluster {
        let mut cluster = Cluster { home: owned(home), is_running: false };
        let settings = settings(cluster.home());
        let size = format!("--wal-segsize={segment_megabytes}");
        let data = cluster.data();
        done(
            program("initdb")
                .args(["-A", "trust", "-U", OWNER, "--no-sync", "--data-checksums", "-E", "UTF8", "--locale=C", &size])
                .arg("-D")
                .arg(&data),
        );
        let conf = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nfsync = off\nmax_prepared_transactions = 10\n\
             wal_keep_size = '4GB'\nmax_wal_size = '8GB'\nshared_buffers = '64MB'\nlog_timezone = 'UTC'\n{settings}\n",
            cluster.home.path().display()
        );
        fs::write(data.join("postgresql.auto.conf"), conf).unwrap();
        cluster.up();
        cluster.sql_in("postgres", "CREATE DATABASE shop");
        cluster
    }

    /// Starts the server.
    pub(crate) fn up(&mut self) {
        let log = self.home.path().join("log");
        done(program("pg_ctl").args(["start", "-s", "-w", "-D"]).arg(self.data()).arg("-l").arg(log));
        self.is_running = true;
    }

    /// Stops the server: `fast` in order, `immediate` as a crash does.
    pub(crate) fn stop(&mut self, mode: &str) {
        done(program("pg_ctl").args(["stop", "-s", "-w", "-m", mode, "-D"]).arg(self.data()));
        self.is_running = false;
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Its WAL.
    pub(crate) fn wal(&self) -> PathBuf {
        self.data().join("pg_wal")
    }

    /// Where it lies, its socket too.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// `psql` on a database, which reads statements from its input.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut command = program("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h"]).arg(self.home.path());
        command.args(["-U", OWNER, "-d", database]);
        command
    }

    /// Runs statements in `shop` and returns what they print, without the last line break.
    pub(crate) fn sql(&self, text: &str) -> String {
        self.sql_in("shop", text)
    }

    /// Runs statements in a database.
    pub(crate) fn sql_in(&self, database: &str, text: &str) -> String {
        let mut child =
            self.psql(database).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Runs `pgbench` on `shop`.
    pub(crate) fn pgbench(&self, arguments: &[&str]) {
        done(program("pgbench").arg("-h").arg(self.home.path()).args(["-U", OWNER]).args(arguments).arg("shop"));
    }

    /// The names of all WAL segments that hold something, in order: those up to the one that is written now.
    pub(crate) fn segments(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.wal())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.is_running {
            let _ = program("pg_ctl").args(["stop", "-s", "-w", "-m", "immediate", "-D"]).arg(self.data()).status();
        }
    }
}

/// A fresh directory that belongs to the owner of everything.
fn fresh_home() -> TempDir {
    owned(place::fresh("lifeboat-wal-"))
}

fn owned(home: TempDir) -> TempDir {
    if let Some((uid, gid)) = owner() {
        std::os::unix::fs::chown(home.path(), Some(uid), Some(gid)).unwrap();
    }
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
    home
}

/// One of PostgreSQL's programs, as the owner of everything, with nothing of the test's own environment.
pub(crate) fn program(name: &str) -> Command {
    as_owner(Path::new(PROGRAMS).join(name))
}

/// Any program as the owner of everything.
pub(crate) fn as_owner(program: impl AsRef<OsStr>) -> Command {
    let mut command = if owner().is_some() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", OWNER, "--regid", OWNER, "--init-groups", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .env("TZ", "UTC")
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// Fails with everything a program said, unless it ended with 0.
pub(crate) fn done(command: &mut Command) -> Output {
    let log = tempfile::tempfile().unwrap();
    // A server inherits what it is started with: a pipe would never be closed.
    let status = command.stdout(log.try_clone().unwrap()).stderr(log.try_clone().unwrap()).status().unwrap();
    let said = read_back(log);
    assert!(status.success(), "{command:?}: {status}\n{said}");
    Output { status, stdout: said.into_bytes(), stderr: Vec::new() }
}

fn read_back(mut file: fs::File) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0)).unwrap();
    file.read_to_end(&mut text).unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// User and group of `postgres`, when the tests run as root.
fn owner() -> Option<(u32, u32)> {
    rustix::process::geteuid().is_root().then(|| {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("there is no user postgres");
        let mut numbers = line.split(':').skip(2).map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    })
}
