//! Processes of a run: found by what they can hardly shake off, ended through pidfds.
//!
//! Every process of a step inherits an environment variable, the *mark* ([`Mark`]). It names survivors whose parent,
//! group and session say nothing any more: pgBackRest's asynchronous `archive-get` leaves all three (2.45).
//! A process can clear its environment, and PostgreSQL's server processes overwrite theirs with the title that `ps`
//! shows. Therefore a step is also known by its *alive lock*, a descriptor that everything it started inherits
//! ([`Sign::Holds`]), and, seen from its own step process, by descent ([`Sign::DescendantOf`]), which a sub-reaper
//! makes complete. What closes all its descriptors (`sudo`, `ssh`) and clears its environment is still a descendant.
//!
//! Signals go to single processes through pidfds, never to a group or a session. Needs Linux 5.3.

use crate::domain::event::RunId;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The environment variable that every process of a step inherits.
pub const MARK_VARIABLE: &str = "LIFEBOAT_STEP";

/// How long something that was sent TERM gets before KILL.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long the end of a killed process is waited for: one that hangs in the kernel may take for ever.
const AFTER_KILL: Duration = Duration::from_secs(5);

/// More parents than any process has: ends the walk up when process ids are reused under it.
const DEEPEST: usize = 10_000;

/// What the processes of one attempt at one step carry in [`MARK_VARIABLE`]: `RUN/POSITION/ATTEMPT`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The run.
    pub run: RunId,
    /// The step's place in the plan.
    pub position: usize,
    /// 1 for the first time.
    pub attempt: u32,
}

impl fmt::Display for Mark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}/{}", self.run, self.position, self.attempt)
    }
}

/// A file by device and inode, as a descriptor points at it whatever its name has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file at `path`; links are followed.
    ///
    /// # Errors
    /// When it can't be looked at.
    pub fn of(path: &Path) -> io::Result<FileId> {
        std::fs::metadata(path).map(|file| FileId { device: file.dev(), inode: file.ino() })
    }
}

/// By what a process is known to belong to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// It carries the mark of this attempt at a step.
    Step(Mark),
    /// It carries the mark of any step of this run.
    Run(RunId),
    /// It has this file open.
    Holds(FileId),
    /// This process is its parent, or its parent's parent, and so on.
    DescendantOf(u32),
}

/// A process by its id and its start, which together are unique within one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// The process id.
    pub pid: u32,
    /// Its start in clock ticks since the boot (field 22 of `/proc/PID/stat`).
    pub start_ticks: u64,
}

impl ProcessId {
    /// The process that has this id now; a zombie counts.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(pid: u32) -> io::Result<ProcessId> {
        Stat::read(pid).map(|stat| ProcessId { pid, start_ticks: stat.start_ticks })
    }

    /// The calling process.
    ///
    /// # Errors
    /// When `/proc` can't be read.
    pub fn own() -> io::Result<ProcessId> {
        ProcessId::of(std::process::id())
    }

    /// It runs: there is a process of this id and start, and it is not a zombie. Holds only within the boot it was
    /// read in.
    #[must_use]
    pub fn is_running(&self) -> bool {
        Stat::read(self.pid).is_ok_and(|stat| stat.start_ticks == self.start_ticks && !stat.is_dead())
    }

    /// A descriptor for this very process, not for a later one that was given its id; [`None`] when it is gone.
    ///
    /// # Errors
    /// When the kernel has no pidfds (before Linux 5.3) or no descriptor is free.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The descriptor is taken first: from here on the id can't be given to somebody else unseen.
            Ok(descriptor) => Ok(self.is_running().then_some(descriptor)),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A process that belongs to a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Which one.
    pub process: ProcessId,
    /// Its command line for a person to read: cleaned, at most 120 characters.
    pub command: String,
    /// By what it was found.
    pub sign: Sign,
}

/// What came of ending processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// How many were asked to end (TERM).
    pub asked: u32,
    /// How many of them had to be killed.
    pub killed: u32,
    /// Those that are still there: of another user, or stuck in the kernel.
    pub left: Vec<Survivor>,
}

/// The living processes that show one of `signs`, in the order of their ids, without those in `except` and without
/// the calling process. Zombies don't count. Except for [`Sign::DescendantOf`] only processes of our own user are
/// looked at: what others do can't be read.
///
/// # Errors
/// When `/proc` can't be read.
pub fn survivors(signs: &[Sign], except: &[ProcessId]) -> io::Result<Vec<Survivor>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = Stat::read(pid) else { continue };
        let process = ProcessId { pid, start_ticks: stat.start_ticks };
        if pid == std::process::id() || stat.is_dead() || except.contains(&process) {
            continue;
        }
        if let Some(sign) = signs.iter().find(|sign| shows(pid, sign)) {
            found.push(Survivor { process, command: command_of(pid), sign: sign.clone() });
        }
    }
    found.sort_by_key(|survivor| survivor.process.pid);
    Ok(found)
}

/// Ends processes: TERM, up to `grace`, then KILL. Each is looked at again once a pidfd holds it, so a process that
/// was given a dead one's id is never touched. Returns as soon as all are gone.
///
/// # Errors
/// When the kernel has no pidfds or no descriptor is free; then nothing was ended.
pub fn end(survivors: &[Survivor], grace: Duration) -> io::Result<Ended> {
    let mut held = Vec::new();
    for survivor in survivors {
        if let Some(descriptor) = survivor.process.open()?
            && shows(survivor.process.pid, &survivor.sign)
        {
            held.push((survivor, descriptor));
        }
    }
    let mut ended = Ended::default();
    held.retain(|(survivor, descriptor)| match pidfd_send_signal(descriptor, Signal::TERM) {
        Ok(()) => {
            ended.asked += 1;
            true
        }
        Err(Errno::SRCH) => false,
        Err(_) => {
            ended.left.push((*survivor).clone());
            false
        }
    });
    wait_for_end(&mut held, grace)?;
    for (_, descriptor) in &held {
        if pidfd_send_signal(descriptor, Signal::KILL).is_ok() {
            ended.killed += 1;
        }
    }
    wait_for_end(&mut held, AFTER_KILL)?;
    ended.left.extend(held.into_iter().map(|(survivor, _)| survivor.clone()));
    Ok(ended)
}

/// Asks a PostgreSQL server for a fast shutdown (INT to the postmaster; TERM would wait for every client) and waits for
/// its end: `true` when it is gone within `grace`.
///
/// # Errors
/// When the kernel has no pidfds or refuses the signal.
pub fn interrupt(process: &ProcessId, grace: Duration) -> io::Result<bool> {
    let Some(descriptor) = process.open()? else { return Ok(true) };
    match pidfd_send_signal(&descriptor, Signal::INT) {
        Ok(()) => {}
        Err(Errno::SRCH) => return Ok(true),
        Err(error) => return Err(error.into()),
    }
    let until = Instant::now() + grace;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        match rustix::event::poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&timespec(left))) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes those out of `held` that end within `time`.
fn wait_for_end(held: &mut Vec<(&Survivor, OwnedFd)>, time: Duration) -> io::Result<()> {
    let until = Instant::now() + time;
    while !held.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        let mut polled: Vec<_> = held.iter().map(|(_, descriptor)| PollFd::new(descriptor, PollFlags::IN)).collect();
        match rustix::event::poll(&mut polled, Some(&timespec(left))) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        // A pidfd is readable once its process has ended, reaped or not.
        let gone: Vec<bool> = polled.iter().map(|descriptor| !descriptor.revents().is_empty()).collect();
        let mut gone = gone.into_iter();
        held.retain(|_| gone.next() == Some(false));
    }
    Ok(())
}

/// A length of time as the kernel takes it.
pub(super) fn timespec(time: Duration) -> Timespec {
    Timespec::try_from(time).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 })
}

fn shows(pid: u32, sign: &Sign) -> bool {
    match sign {
        Sign::Step(mark) => is_ours(pid) && is_marked(pid, |value| value == mark.to_string().as_bytes()),
        Sign::Run(run) => is_ours(pid) && is_marked(pid, |value| value.starts_with(format!("{run}/").as_bytes())),
        Sign::Holds(file) => is_ours(pid) && holds(pid, *file),
        Sign::DescendantOf(ancestor) => descends(pid, *ancestor),
    }
}

fn is_ours(pid: u32) -> bool {
    std::fs::metadata(path(pid, "")).is_ok_and(|folder| folder.uid() == rustix::process::geteuid().as_raw())
}

fn is_marked(pid: u32, fits: impl Fn(&[u8]) -> bool) -> bool {
    let Ok(environment) = std::fs::read(path(pid, "environ")) else { return false };
    let variable = |entry: &[u8]| {
        entry.strip_prefix(MARK_VARIABLE.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")).is_some_and(&fits)
    };
    environment.split(|byte| *byte == 0).any(variable)
}

fn holds(pid: u32, file: FileId) -> bool {
    let Ok(descriptors) = std::fs::read_dir(path(pid, "fd")) else { return false };
    descriptors.flatten().any(|descriptor| FileId::of(&descriptor.path()).is_ok_and(|found| found == file))
}

fn descends(pid: u32, ancestor: u32) -> bool {
    let mut parent = Stat::read(pid).map(|stat| stat.parent);
    for _ in 0..DEEPEST {
        match parent {
            Ok(parent) if parent == ancestor => return true,
            Ok(0 | 1) | Err(_) => return false,
            Ok(next) => parent = Stat::read(next).map(|stat| stat.parent),
        }
    }
    false
}

fn path(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

/// The command line as a person may safely see it: nothing in it can move the cursor or turn the text around.
fn command_of(pid: u32) -> String {
    const LONGEST: usize = 120;
    let mut line = std::fs::read(path(pid, "cmdline")).unwrap_or_default();
    while line.last() == Some(&0) {
        line.pop();
    }
    if line.is_empty() {
        // It has given up its memory or overwritten its arguments; the kernel still knows the program.
        line = std::fs::read_link(path(pid, "exe")).map(|exe| exe.as_os_str().as_bytes().to_vec()).unwrap_or_default();
    }
    let text: String = String::from_utf8_lossy(&line).replace('\0', " ");
    let mut shown = visible(&text);
    if let Some((cut, _)) = shown.char_indices().nth(LONGEST) {
        shown.truncate(cut);
        shown.push('…');
    }
    shown
}

/// `text` with everything unprintable as an escape.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\'' | '"' | '\\' => shown.push(character),
            _ => shown.extend(character.escape_debug()),
        }
    }
    shown
}

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    state: u8,
    parent: u32,
    start_ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Stat> {
        let bytes = std::fs::read(path(pid, "stat"))?;
        Stat::parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat")))
    }

    fn parse(bytes: &[u8]) -> Option<Stat> {
        // The program's name stands in brackets and may hold spaces and brackets of its own.
        let end = bytes.iter().rposition(|byte| *byte == b')')?;
        let rest = str::from_utf8(&bytes[end + 1..]).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        Some(Stat {
            state: *fields.first()?.as_bytes().first()?,
            parent: fields.get(1)?.parse().ok()?,
            start_ticks: fields.get(19)?.parse().ok()?,
        })
    }

    /// It has ended; its parent has not asked yet.
    fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

    use super::*;

    #[test]
    fn reads_stat_whatever_the_program_is_called() {
        let line = b"42 (a) R 1 (b) Z) S 7 42 42 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1 1\n";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.start_ticks), (b'S', 7, 98765));
        assert!(Stat::parse(b"42 (short) S 7").is_none());
        assert!(Stat::parse(b"").is_none());
    }

    #[test]
    fn shows_hostile_command_lines_as_escapes() {
        assert_eq!(visible("it's \x1b[31m\u{202e}\r\u{9b}"), "it's \\u{1b}[31m\\u{202e}\\r\\u{9b}");
    }

    #[test]
    fn the_calling_process_is_itself_and_runs() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_running());
        assert!(own.open().unwrap().is_some());
        let other = ProcessId { start_ticks: own.start_ticks + 1, ..own };
        assert!(!other.is_running());
        assert!(other.open().unwrap().is_none(), "the id is ours, the start is not");
    }

    #[test]
    fn a_mark_is_run_position_attempt() {
        let mark = Mark { run: RunId::parse("7Q2K").unwrap(), position: 3, attempt: 2 };
        assert_eq!(mark.to_string(), "7Q2K/3/2");
    }
}
