//! Whether a server runs on a data directory, and where its tablespaces are.

use crate::domain::text::{clean, clean_bytes};
use crate::engine::postgres::PostgresError;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What `postmaster.pid` and the process it names say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LiveState {
    /// There is no `postmaster.pid`.
    Stopped,
    /// The file is left over: no such process, or it is another program's by now.
    Stale {
        /// The process id in it.
        pid: u32,
        /// Why it is not a server on this directory.
        why: String,
    },
    /// A server runs (or a process that can't be told from one: in doubt it runs).
    Running {
        /// The postmaster.
        pid: u32,
        /// Its port, as written.
        port: Option<u16>,
        /// Its first socket directory, as written, cleaned.
        socket_directory: Option<String>,
        /// `ready`, `standby`, `starting`, `stopping`.
        status: Option<String>,
    },
}

/// Whether a server runs on `data_directory`.
///
/// # Errors
/// When `postmaster.pid` is there and can't be read.
pub fn server_is_live(data_directory: &Path) -> Result<LiveState, PostgresError> {
    let path = data_directory.join("postmaster.pid");
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(LiveState::Stopped);
        }
        Err(error) => return Err(PostgresError::unreadable(path)(error)),
    };
    let lines: Vec<String> = bytes.split(|byte| *byte == b'\n').map(|line| clean(clean_bytes(line).trim())).collect();
    // a single-user backend writes its process id negative
    let Some(pid) = lines.first().and_then(|line| line.parse::<i32>().ok()).map(i32::unsigned_abs) else {
        let why = "postmaster.pid names no process".to_owned();
        return Ok(LiveState::Stale { pid: 0, why });
    };
    if let Some(why) = why_not(pid, data_directory) {
        return Ok(LiveState::Stale { pid, why });
    }
    let line = |index: usize| lines.get(index).filter(|line| !line.is_empty()).cloned();
    Ok(LiveState::Running {
        pid,
        port: line(3).and_then(|port| port.parse().ok()),
        socket_directory: line(4),
        status: line(7),
    })
}

/// PostgreSQL's processes that work in `data_directory`, or did until it was removed under them: with `postmaster.pid` gone
/// nothing else tells of them. Those of other users can't be seen.
///
/// # Errors
/// When `/proc` can't be read.
pub fn processes_in(data_directory: &Path) -> Result<Vec<u32>, PostgresError> {
    let mut removed = data_directory.as_os_str().to_owned();
    removed.push(" (deleted)");
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").map_err(PostgresError::unreadable("/proc"))?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // a process that has ended meanwhile is none
        let Ok(place) = std::fs::read_link(entry.path().join("cwd")) else { continue };
        let program = std::fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if program.trim() == "postgres" && (place == data_directory || place.as_os_str() == removed) {
            found.push(pid);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Moves a `postmaster.pid` away that no server belongs to: pgBackRest refuses every restore while there is one (error 38).
/// `None` when there was nothing to move.
///
/// # Errors
/// When the file can't be read or moved; [`PostgresError::Live`] for one of a running server, which is never moved.
pub fn clear_stale_pid(data_directory: &Path) -> Result<Option<PathBuf>, PostgresError> {
    let (from, to) = (data_directory.join("postmaster.pid"), data_directory.join("postmaster.pid.stale"));
    match server_is_live(data_directory)? {
        LiveState::Stopped => Ok(None),
        LiveState::Stale { .. } => {
            std::fs::rename(&from, &to).map_err(PostgresError::unreadable(&from))?;
            Ok(Some(to))
        }
        LiveState::Running { pid, .. } => Err(PostgresError::Live { path: data_directory.to_owned(), pid }),
    }
}

/// Why process `pid` is no server on `data_directory`; `None` when it is one, or when it can't be told.
fn why_not(pid: u32, data_directory: &Path) -> Option<String> {
    let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Some("postmaster.pid names no process".to_owned());
    };
    // EPERM: it exists and belongs to somebody else
    if test_kill_process(id) == Err(Errno::SRCH) {
        return Some(format!("process {pid} does not exist"));
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // a zombie has ended and only waits to be reaped
    if stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])) {
        return Some(format!("process {pid} has ended"));
    }
    // a server's working directory is its data directory
    let here = std::fs::metadata(data_directory).ok()?;
    let there = std::fs::metadata(format!("/proc/{pid}/cwd")).ok()?;
    if (here.dev(), here.ino()) == (there.dev(), there.ino()) {
        return None;
    }
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("process {pid} is {} and works elsewhere", clean(name.trim())))
}

/// A tablespace as the data directory links to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveTablespace {
    /// Its OID.
    pub oid: u32,
    /// Where it lies.
    pub location: PathBuf,
}

/// The tablespaces of a data directory, read from the links in `pg_tblspc`, without SQL. Ordered by OID.
///
/// # Errors
/// When the directory or a link can't be read.
pub fn live_tablespaces(data_directory: &Path) -> Result<Vec<LiveTablespace>, PostgresError> {
    let directory = data_directory.join("pg_tblspc");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(PostgresError::unreadable(&directory))? {
        let entry = entry.map_err(PostgresError::unreadable(&directory))?;
        let Some(oid) = std::str::from_utf8(entry.file_name().as_bytes()).ok().and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let path = entry.path();
        let kind = entry.file_type().map_err(PostgresError::unreadable(&path))?;
        let location = if kind.is_symlink() {
            std::fs::read_link(&path).map_err(PostgresError::unreadable(&path))?
        } else {
            // allow_in_place_tablespaces, from 15
            path
        };
        found.push(LiveTablespace { oid, location });
    }
    found.sort_by_key(|tablespace| tablespace.oid);
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn with_pid_file(text: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("postmaster.pid"), text).unwrap();
        directory
    }

    #[test]
    fn no_file_is_stopped_and_a_missing_directory_too() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(server_is_live(directory.path()).unwrap(), LiveState::Stopped);
        assert_eq!(server_is_live(&directory.path().join("none")).unwrap(), LiveState::Stopped);
    }

    #[test]
    fn a_process_that_works_elsewhere_is_not_the_server() {
        let own = std::process::id();
        let directory = with_pid_file(&format!("{own}\n/data\n1\n5432\n/run\n\n"));
        let state = server_is_live(directory.path()).unwrap();
        assert!(
            matches!(state, LiveState::Stale { pid, ref why } if pid == own && why.contains("elsewhere")),
            "{state:?}"
        );
    }

    #[test]
    fn a_process_that_works_there_is_the_server() {
        let directory = with_pid_file("");
        let mut child = std::process::Command::new("sleep").arg("60").current_dir(directory.path()).spawn().unwrap();
        let pid = child.id();
        let file = directory.path().join("postmaster.pid");
        std::fs::write(&file, format!("{pid}\n/data\n1\n5432\n/run/postgresql\n\n  1 2\nready   \n")).unwrap();
        let running = server_is_live(directory.path()).unwrap();
        child.kill().unwrap();
        // ended, and not yet reaped
        let ended = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            matches!(server_is_live(directory.path()), Ok(LiveState::Stale { .. }))
        });
        child.wait().unwrap();
        let (socket_directory, status) = (Some("/run/postgresql".to_owned()), Some("ready".to_owned()));
        assert_eq!(running, LiveState::Running { pid, port: Some(5432), socket_directory, status });
        assert!(ended);
        assert!(matches!(server_is_live(directory.path()), Ok(LiveState::Stale { .. })));
    }

    #[test]
    fn only_a_stale_file_is_moved_away() {
        let directory = with_pid_file("99999999\n");
        let moved = clear_stale_pid(directory.path()).unwrap().unwrap();
        assert!(moved.exists() && !directory.path().join("postmaster.pid").exists());
        assert_eq!(clear_stale_pid(directory.path()).unwrap(), None);
        let mut child = std::process::Command::new("sleep").arg("60").current_dir(directory.path()).spawn().unwrap();
        std::fs::write(directory.path().join("postmaster.pid"), format!("{}\n", child.id())).unwrap();
        let refused = clear_stale_pid(directory.path());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(refused.unwrap_err().to_string().contains("stop it first"));
        assert!(directory.path().join("postmaster.pid").exists());
    }

    #[test]
    fn garbage_in_the_file_is_stale() {
        for text in ["", "x", "0\n", "99999999999\n", "-\n"] {
            let directory = with_pid_file(text);
            assert!(matches!(server_is_live(directory.path()), Ok(LiveState::Stale { .. })), "{text}");
        }
    }

    #[test]
    fn tablespaces_are_read_from_the_links() {
        let directory = tempfile::tempdir().unwrap();
        let links = directory.path().join("pg_tblspc");
        std::fs::create_dir(&links).unwrap();
        std::os::unix::fs::symlink("/srv/fast", links.join("16400")).unwrap();
        std::os::unix::fs::symlink("/srv/slow", links.join("16384")).unwrap();
        std::fs::create_dir(links.join("16500")).unwrap();
        std::fs::write(links.join("note"), "").unwrap();
        let found = live_tablespaces(directory.path()).unwrap();
        let oids: Vec<u32> = found.iter().map(|tablespace| tablespace.oid).collect();
        assert_eq!(oids, [16384, 16400, 16500]);
        assert_eq!(found[0].location, PathBuf::from("/srv/slow"));
        assert_eq!(found[2].location, links.join("16500"));
        assert!(live_tablespaces(&links).is_err());
    }
}
