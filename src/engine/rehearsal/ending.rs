//! Ends what belongs to a practice cluster: found in `/proc`, held by a pidfd, its identity read afterwards.
//!
//! A process belongs to a practice cluster when it runs one of the programs that a practice cluster uses, as the
//! user who asks, and names the directory in its arguments or works below it. A shell or an editor that
//! somebody has open there is none of them and is left alone.

use crate::engine::rehearsal::error::RehearsalError;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Programs of a practice cluster, beside this very program.
const PROGRAMS: [&str; 7] = ["postgres", "pgbackrest", "psql", "initdb", "pg_ctl", "pg_dump", "lifeboat"];
/// A fast shutdown writes a checkpoint and archives the last segment to both repositories.
const FAST: Duration = Duration::from_secs(60);
/// An immediate shutdown only ends processes.
const IMMEDIATE: Duration = Duration::from_secs(10);
/// Time for everything else after TERM.
const POLITE: Duration = Duration::from_secs(5);

/// A live process that belongs to a practice cluster.
#[derive(Debug)]
struct Member {
    pid: Pid,
    handle: OwnedFd,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// The first process of a server: ends its own children in order.
    Postmaster,
    /// A child of a server: never signalled while its postmaster lives.
    Backend,
    /// This program: the writer, a runner, a step process.
    Lifeboat,
    /// pgbackrest, psql and the like.
    Helper,
}

/// Ends every process that belongs to the practice cluster: the writer and Lifeboat's own first, then the servers
/// by a fast shutdown, then what is left.
pub(super) fn end_processes(directories: &[&Path]) -> Result<(), RehearsalError> {
    let ours = |role: &Role| *role == Role::Lifeboat;
    end(&members(directories, ours), &[(Signal::TERM, POLITE), (Signal::KILL, POLITE)]);
    let servers = |role: &Role| *role == Role::Postmaster;
    end(&members(directories, servers), &[(Signal::INT, FAST), (Signal::QUIT, IMMEDIATE), (Signal::KILL, POLITE)]);
    end(&members(directories, |_| true), &[(Signal::TERM, POLITE), (Signal::KILL, POLITE)]);
    let left: Vec<String> =
        members(directories, |_| true).iter().map(|member| member.pid.as_raw_nonzero().to_string()).collect();
    if left.is_empty() { Ok(()) } else { Err(RehearsalError::StillRunning(left.join(","))) }
}

/// Ends the servers that work in these directories as a dying host does: at once, nothing written, and with them the
/// archiver's pgbackrest and whoever else works there.
pub(super) fn end_abruptly(directories: &[&Path]) -> Result<(), RehearsalError> {
    let servers = |role: &Role| *role == Role::Postmaster;
    end(&members(directories, servers), &[(Signal::QUIT, IMMEDIATE), (Signal::KILL, POLITE)]);
    let rest = |role: &Role| matches!(role, Role::Backend | Role::Helper);
    end(&members(directories, rest), &[(Signal::TERM, POLITE), (Signal::KILL, POLITE)]);
    let left: Vec<String> = members(directories, |role| *role != Role::Lifeboat)
        .iter()
        .map(|member| member.pid.as_raw_nonzero().to_string())
        .collect();
    if left.is_empty() { Ok(()) } else { Err(RehearsalError::StillRunning(left.join(","))) }
}

/// Sends each signal to all that still live, and waits for them until its time is over.
fn end(members: &[Member], signals: &[(Signal, Duration)]) {
    for (signal, patience) in signals {
        let deadline = Instant::now() + *patience;
        for member in members.iter().filter(|member| !ended(&member.handle, Duration::ZERO)) {
            // The handle can't mean another process, whatever became of the number meanwhile.
            let _ = rustix::process::pidfd_send_signal(&member.handle, *signal);
        }
        let mut living = members.iter();
        if living.all(|member| ended(&member.handle, deadline.saturating_duration_since(Instant::now()))) {
            return;
        }
    }
}

fn ended(handle: &OwnedFd, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
        match rustix::event::poll(&mut [PollFd::new(handle, PollFlags::IN)], left.as_ref()) {
            Ok(count) => return count > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

fn members(directories: &[&Path], wanted: impl Fn(&Role) -> bool) -> Vec<Member> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(|pid| *pid != rustix::process::getpid())
        .filter_map(|pid| {
            // Opened before anything is read, so that what is read is of the process that is held.
            let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
            let role = role_of(pid, directories)?;
            let held = !ended(&handle, Duration::ZERO);
            held.then_some(Member { pid, handle, role })
        })
        .filter(|member| wanted(&member.role))
        .collect()
}

fn role_of(pid: Pid, directories: &[&Path]) -> Option<Role> {
    let process = PathBuf::from(format!("/proc/{}", pid.as_raw_nonzero()));
    if fs::metadata(&process).ok()?.uid() != rustix::process::geteuid().as_raw() {
        return None;
    }
    let program = fs::read_link(process.join("exe")).ok()?;
    let name = program.file_name()?.to_str()?.trim_end_matches(" (deleted)").to_owned();
    let own = fs::read_link("/proc/self/exe").is_ok_and(|own| own == program);
    if !own && !PROGRAMS.contains(&name.as_str()) {
        return None;
    }
    let arguments = fs::read(process.join("cmdline")).ok()?;
    let place = fs::read_link(process.join("cwd")).unwrap_or_default();
    if !directories.iter().any(|directory| place.starts_with(directory) || names(&arguments, directory)) {
        return None;
    }
    Some(match name.as_str() {
        "postgres" if leads(pid, &place) => Role::Postmaster,
        "postgres" => Role::Backend,
        _ if own || name == "lifeboat" => Role::Lifeboat,
        _ => Role::Helper,
    })
}

/// Whether a command line names the directory or something below it, and not only a longer name.
fn names(arguments: &[u8], directory: &Path) -> bool {
    let wanted = directory.as_os_str().as_bytes();
    arguments
        .windows(wanted.len())
        .enumerate()
        .any(|(at, window)| window == wanted && matches!(arguments.get(at + wanted.len()), None | Some(b'/' | b'\0')))
}

/// Whether this process is the one that the data directory it works in names as its postmaster.
fn leads(pid: Pid, place: &Path) -> bool {
    fs::read_to_string(place.join("postmaster.pid"))
        .is_ok_and(|text| text.lines().next().is_some_and(|first| first.trim() == pid.as_raw_nonzero().to_string()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_longer_name_is_another_directory() {
        let directory = Path::new("/tmp/practice-1");
        assert!(names(b"postgres\0-D\0/tmp/practice-1/production\0", directory));
        assert!(names(b"lifeboat\0--directory\0/tmp/practice-1\0", directory));
        assert!(names(b"pgbackrest\0--config=/tmp/practice-1/pgbackrest.conf\0", directory));
        assert!(!names(b"postgres\0-D\0/tmp/practice-12/production\0", directory));
        assert!(!names(b"postgres\0-D\0/srv/production\0", directory));
    }

    #[test]
    fn somebody_elses_program_in_the_directory_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let mut sleeper =
            std::process::Command::new("/bin/sleep").arg("100").current_dir(directory.path()).spawn().unwrap();
        end_processes(&[directory.path()]).unwrap();
        assert!(sleeper.try_wait().unwrap().is_none(), "sleep was ended");
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
