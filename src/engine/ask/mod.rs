//! Short questions to programs: bounded in time and size.
//!
//! A question gets nothing on stdin, an environment that is given in full, its own process group, and two pipes.
//! Whatever happens, nothing of that group is alive when [`ask`] returns. It must never be used for a step of a run:
//! what changes something belongs to a step process, which no reader can kill.

mod cancel;
mod error;
mod pipes;

pub use cancel::Cancel;
pub use error::AskError;

use crate::engine::ask::error::{not_found, start_error};
use crate::engine::ask::pipes::{Output, Overflow, Tail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most that is read from a program unless said otherwise: 1 GB.
pub const DEFAULT_OUTPUT_LIMIT_BYTES: u64 = 1_000_000_000;

/// How long a program may take unless said otherwise.
pub const DEFAULT_TIME_LIMIT: Duration = Duration::from_secs(60);

/// How often it is looked whether a person wants it to end, and how large a file has become.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How long a killed program may take to be gone, before it is taken to hang in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// A program, and what it is asked.
#[derive(Clone)]
pub struct Question {
    /// The program: an absolute path, or a name to be looked up in the question's own `PATH`.
    pub program: PathBuf,
    /// Its arguments, without the program.
    pub arguments: Vec<OsString>,
    /// The whole environment; nothing else is inherited.
    pub environment: BTreeMap<String, OsString>,
    /// After this the program is ended.
    pub time_limit: Duration,
    /// With more than this on stdout, in bytes, the program is ended.
    pub output_limit_bytes: u64,
    /// Once this is set the program is ended.
    pub cancel: Option<Cancel>,
    /// Where its stdout goes instead of into the answer; at most a little more than the limit.
    pub stdout_file: Option<Arc<File>>,
}

/// What a program answered; its exit status is the caller's to judge.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The exit status, or 128 and the signal's number where a signal ended it (as shells say it).
    pub code: i32,
    /// Everything on stdout, as it came.
    pub stdout: Vec<u8>,
    /// The end of stderr (at most 64 KiB), cleaned.
    pub stderr: String,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl std::fmt::Debug for Question {
    /// Names of the environment only: its values may be secret.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Question")
            .field("program", &self.program)
            .field("arguments", &self.arguments)
            .field("environment", &self.environment.keys())
            .field("time_limit", &self.time_limit)
            .field("output_limit_bytes", &self.output_limit_bytes)
            .finish()
    }
}

impl Question {
    /// A question with the default limits and an empty environment.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Question {
        Question {
            program: program.into(),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            time_limit: DEFAULT_TIME_LIMIT,
            output_limit_bytes: DEFAULT_OUTPUT_LIMIT_BYTES,
            cancel: None,
            stdout_file: None,
        }
    }

    /// The program and its arguments, as they are executed.
    #[must_use]
    pub fn argv(&self) -> Vec<OsString> {
        std::iter::once(self.program.clone().into_os_string()).chain(self.arguments.iter().cloned()).collect()
    }
}

/// Finds a program: a path with a slash is made absolute, a name is looked up in `search_path` (the value of `PATH`).
/// A directory entry that is a file counts, executable or not, so that a wrong mode can be told from a missing program.
#[must_use]
pub fn find_program(program: &Path, search_path: Option<&OsStr>) -> Option<PathBuf> {
    if program.as_os_str().as_encoded_bytes().contains(&b'/') {
        return std::path::absolute(program).ok().filter(|path| path.exists());
    }
    let candidates: Vec<PathBuf> = std::env::split_paths(search_path?)
        .filter(|directory| directory.is_absolute())
        .map(|directory| directory.join(program))
        .filter(|path| path.is_file())
        .collect();
    let executable = |path: &&PathBuf| rustix::fs::access(path.as_path(), rustix::fs::Access::EXEC_OK).is_ok();
    candidates.iter().find(executable).or(candidates.first()).cloned()
}

/// As [`find_program`], with the reason in words when it is not there.
///
/// # Errors
/// [`AskError::NotFound`].
pub fn locate_program(program: &Path, search_path: Option<&OsStr>) -> Result<PathBuf, AskError> {
    find_program(program, search_path).ok_or_else(|| not_found(program, search_path))
}

/// Asks, and waits for the answer in the calling thread. The program runs in `/`: the directory Lifeboat was started in
/// may be closed to the user it has become.
///
/// # Errors
/// [`AskError`]; an exit status other than 0 is an answer, not an error.
pub fn ask(question: &Question) -> Result<Answer, AskError> {
    let started = Instant::now();
    let search_path = question.environment.get("PATH").map(OsString::as_os_str);
    let program = locate_program(&question.program, search_path)?;
    let (handle, stdout, stderr) = start(&program, question)?;
    let running = Running::watch(program, handle)?;
    let deadline = started.checked_add(question.time_limit);
    let read = running.read(stdout, stderr, question, deadline);
    // The group is ended before its leader is reaped: until then its number can't belong to anybody else.
    running.end_group();
    let code = running.reap(question.time_limit)?;
    let (stdout, stderr) = read?;
    Ok(Answer { code, stdout, stderr, seconds: started.elapsed().as_secs_f64() })
}

/// Starts the program in a process group of its own. The expression, and with it this side's copies of the pipes'
/// writing ends, is dropped here: else the pipes would never end.
fn start(program: &Path, question: &Question) -> Result<(duct::Handle, Option<OwnedFd>, OwnedFd), AskError> {
    let at_start = |error: io::Error| start_error(program, error);
    let (stdout_reader, stdout_writer) = match &question.stdout_file {
        Some(file) => (None, OwnedFd::from(file.try_clone().map_err(at_start)?)),
        None => io::pipe().map(|(reader, writer)| (Some(OwnedFd::from(reader)), writer.into())).map_err(at_start)?,
    };
    let (stderr_reader, stderr_writer) = io::pipe().map_err(at_start)?;
    for pipe in stdout_reader.iter().map(OwnedFd::as_fd).chain([stderr_reader.as_fd()]) {
        rustix::io::ioctl_fionbio(pipe, true).map_err(|errno| at_start(errno.into()))?;
    }
    let handle = duct::cmd(program, &question.arguments)
        .full_env(&question.environment)
        .dir("/")
        .stdin_null()
        .stdout_file(stdout_writer)
        .stderr_file(OwnedFd::from(stderr_writer))
        .unchecked()
        .before_spawn(|command| {
            command.process_group(0);
            Ok(())
        })
        .start()
        .map_err(at_start)?;
    Ok((handle, stdout_reader, stderr_reader.into()))
}

/// A started program that has not been reaped.
struct Running {
    program: PathBuf,
    handle: duct::Handle,
    group: Pid,
    /// Readable when the program has ended, whoever else still holds its pipes.
    ended: OwnedFd,
}

impl Running {
    fn watch(program: PathBuf, handle: duct::Handle) -> Result<Running, AskError> {
        let pid = handle.pids().first().and_then(|pid| i32::try_from(*pid).ok()).and_then(Pid::from_raw);
        let watched = pid.ok_or(Errno::SRCH).and_then(|pid| {
            let ended = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
            Ok((pid, ended))
        });
        match watched {
            Ok((group, ended)) => Ok(Running { program, handle, group, ended }),
            Err(errno) => {
                if let Some(pid) = pid {
                    let _ = rustix::process::kill_process_group(pid, Signal::KILL);
                }
                let _ = handle.wait();
                Err(AskError::Lost { program, what: "watching it (Linux 5.3 or newer is needed)", error: errno.into() })
            }
        }
    }

    fn lost(&self, what: &'static str, error: impl Into<io::Error>) -> AskError {
        AskError::Lost { program: self.program.clone(), what, error: error.into() }
    }

    /// Ends everything left in the group: after a limit the program itself, else children that outlived it.
    fn end_group(&self) {
        // The one failure possible is that nobody is left. The program itself once more: it may have changed its group.
        let _ = rustix::process::kill_process_group(self.group, Signal::KILL);
        let _ = rustix::process::pidfd_send_signal(&self.ended, Signal::KILL);
    }

    fn reap(&self, time_limit: Duration) -> Result<i32, AskError> {
        use std::os::unix::process::ExitStatusExt;
        let patience = rustix::event::Timespec::try_from(KILL_PATIENCE).ok();
        let mut watched = [PollFd::new(&self.ended, PollFlags::IN)];
        let mut news = poll(&mut watched, patience.as_ref());
        while news == Err(Errno::INTR) {
            news = poll(&mut watched, patience.as_ref());
        }
        if news == Ok(0) {
            return Err(AskError::Stuck { program: self.program.clone(), seconds: time_limit.as_secs() });
        }
        let output = self.handle.wait().map_err(|error| self.lost("waiting for it", error))?;
        let status = output.status;
        Ok(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1))
    }

    /// Reads both pipes until the program has ended and they hold nothing more. A child that keeps a pipe open after
    /// its parent ended is not waited for: `ssh` with a persistent control connection does so for hours.
    fn read(
        &self,
        stdout: Option<OwnedFd>,
        stderr: OwnedFd,
        question: &Question,
        deadline: Option<Instant>,
    ) -> Result<(Vec<u8>, String), AskError> {
        let mut output = Output { bytes: Vec::new(), limit_bytes: question.output_limit_bytes };
        let mut errors = Tail::default();
        let (mut stdout_open, mut stderr_open) = (stdout.is_some(), true);
        loop {
            // Asked before the pipes are read: what it wrote before it ended is then surely seen.
            let ended = self.wait_for_news(
                stdout.as_ref().filter(|_| stdout_open),
                stderr_open.then_some(&stderr),
                deadline,
                question,
                &errors,
            )?;
            if let Some(stdout) = stdout.as_ref().filter(|_| stdout_open) {
                stdout_open = match output.read(stdout) {
                    Ok(open) => open,
                    Err(Overflow::Limit) => {
                        return Err(AskError::TooLarge {
                            program: self.program.clone(),
                            limit_bytes: question.output_limit_bytes,
                        });
                    }
                    Err(Overflow::Failed(errno)) => return Err(self.lost("reading its output", errno)),
                };
            }
            if stderr_open {
                stderr_open = errors.read(&stderr).map_err(|errno| self.lost("reading its errors", errno))?;
            }
            if ended {
                // A cut leaves what is still in the pipe to the next reading; there is at most one more.
                errors.read(&stderr).map_err(|errno| self.lost("reading its errors", errno))?;
                return Ok((output.bytes, errors.text()));
            }
        }
    }

    /// Waits until a pipe has something or the program has ended, and says whether it has ended.
    fn wait_for_news(
        &self,
        stdout: Option<&OwnedFd>,
        stderr: Option<&OwnedFd>,
        deadline: Option<Instant>,
        question: &Question,
        errors: &Tail,
    ) -> Result<bool, AskError> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Err(AskError::TimedOut {
                    program: self.program.clone(),
                    seconds: question.time_limit.as_secs(),
                    stderr: errors.text(),
                });
            }
            if question.cancel.as_ref().is_some_and(Cancel::is_set) {
                return Err(AskError::Cancelled { program: self.program.clone() });
            }
            let size = |file: &Arc<File>| file.metadata().map_or(0, |file| file.len());
            if question.stdout_file.as_ref().map_or(0, size) > question.output_limit_bytes {
                let limit_bytes = question.output_limit_bytes;
                return Err(AskError::TooLarge { program: self.program.clone(), limit_bytes });
            }
            let left = match (&question.cancel, &question.stdout_file) {
                (None, None) => left,
                _ => Some(left.map_or(LOOK_EVERY, |left| left.min(LOOK_EVERY))),
            };
            let timeout = left.and_then(|left| rustix::event::Timespec::try_from(left).ok());
            let mut watched: Vec<PollFd<'_>> = vec![PollFd::new(&self.ended, PollFlags::IN)];
            watched.extend([stdout, stderr].into_iter().flatten().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
            match poll(&mut watched, timeout.as_ref()) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(!watched[0].revents().is_empty()),
                Err(errno) => return Err(self.lost("waiting for its output", errno)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::engine::ask::pipes::STDERR_KEPT_BYTES;

    fn shell(script: &str) -> Question {
        let mut question = Question::new("/bin/sh");
        question.arguments = vec!["-c".into(), script.into()];
        question.environment.insert("PATH".into(), "/usr/bin:/bin".into());
        question
    }

    #[test]
    fn stdout_stderr_status_and_environment_come_back_apart() {
        let mut question = shell("cat; echo \"$LIFE:$HOME\"; printf 'a\\033[2Jb' >&2; exit 7");
        question.environment.insert("LIFE".into(), "boat".into());
        let answer = ask(&question).unwrap();
        assert_eq!((answer.code, answer.stdout.as_slice()), (7, b"boat:\n".as_slice()));
        assert!(!answer.stderr.contains('\u{1b}') && answer.stderr.starts_with('a'), "{:?}", answer.stderr);
    }

    #[test]
    fn a_signal_is_told_as_shells_tell_it() {
        assert_eq!(ask(&shell("kill -TERM $$")).unwrap().code, 143);
    }

    #[test]
    fn the_limit_is_exact() {
        let mut question = shell("printf 12345");
        question.output_limit_bytes = 5;
        assert_eq!(ask(&question).unwrap().stdout, b"12345");
        question.output_limit_bytes = 4;
        assert!(matches!(ask(&question), Err(AskError::TooLarge { limit_bytes: 4, .. })));
    }

    #[test]
    fn the_end_of_a_long_stderr_is_kept() {
        let answer = ask(&shell("head -c 300000 /dev/zero | tr '\\0' x >&2; echo the reason >&2; exit 1")).unwrap();
        assert!(answer.stderr.contains("bytes cut here") && answer.stderr.trim_end().ends_with("the reason"));
        assert!(answer.stderr.len() < STDERR_KEPT_BYTES + 100);
    }

    #[test]
    fn a_child_that_keeps_the_pipe_is_ended_and_not_waited_for() {
        let answer = ask(&shell("sleep 300 & echo $!; exit 0")).unwrap();
        let child = String::from_utf8(answer.stdout).unwrap();
        assert!(gone(child.trim()), "{child}");
    }

    #[test]
    fn endless_errors_meet_the_time_limit() {
        let mut question = shell("while :; do echo no >&2; done");
        question.time_limit = Duration::from_millis(300);
        assert!(matches!(ask(&question), Err(AskError::TimedOut { stderr, .. }) if stderr.contains("no")));
    }

    #[test]
    fn stdout_goes_into_a_file_within_the_limit() {
        use std::io::{Read as _, Seek as _};
        let mut question = shell("printf 12345; echo no >&2; exit 3");
        let file = Arc::new(tempfile::tempfile().unwrap());
        question.stdout_file = Some(Arc::clone(&file));
        let answer = ask(&question).unwrap();
        let mut text = String::new();
        (&*file).rewind().unwrap();
        (&*file).read_to_string(&mut text).unwrap();
        assert_eq!(
            (answer.code, answer.stdout.as_slice(), answer.stderr.as_str(), &*text),
            (3, &b""[..], "no\n", "12345")
        );
        let mut question = shell("cat /dev/zero");
        (question.stdout_file, question.output_limit_bytes) = (Some(Arc::new(tempfile::tempfile().unwrap())), 1000);
        assert!(matches!(ask(&question), Err(AskError::TooLarge { limit_bytes: 1000, .. })));
    }

    #[test]
    fn a_persons_wish_ends_it_and_its_children() {
        let cancel = Cancel::new();
        let mut question = shell("sleep 300 & echo $!; wait");
        question.cancel = Some(cancel.clone());
        let wish = std::thread::spawn(move || cancel.set());
        assert!(matches!(ask(&question), Err(AskError::Cancelled { .. })));
        wish.join().unwrap();
    }

    #[test]
    fn debug_shows_no_value_of_the_environment() {
        let mut question = shell("true");
        question.environment.insert("PGBACKREST_REPO1_CIPHER_PASS".into(), "hush-hush".into());
        assert!(!format!("{question:?}").contains("hush-hush"));
    }

    /// Killed and at most waiting to be reaped: the kill was sent before `ask` returned.
    fn gone(pid: &str) -> bool {
        let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (0..500).any(|_| {
            let stat = state();
            let over =
                stat.is_empty() || stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with(['Z', 'X']));
            if !over {
                std::thread::sleep(Duration::from_millis(10));
            }
            over
        })
    }
}
