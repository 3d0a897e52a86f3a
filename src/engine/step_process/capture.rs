//! The output of a command: written by the command itself into a file, digested beside it while it grows.

use crate::domain::digest::Digest;
use crate::domain::event::OutputDigest;
use crate::engine::processes::timespec;
use crate::engine::step_process::folder::{Folder, reserve};
use rustix::event::{EventfdFlags, PollFd, PollFlags};
use rustix::fs::OFlags;
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Stdio;
use std::thread::JoinHandle;
use std::time::Duration;

/// Room that is set aside for output: the last words of a command that fills the disk.
const OUTPUT_ROOM: u64 = 1024 * 1024;

/// How much is read at once.
const CHUNK: usize = 256 * 1024;

/// While output arrives it is read this often, not at every line: a chatty command keeps its processor to itself.
const BETWEEN_READS: Duration = Duration::from_millis(20);

/// One output file while its command runs.
#[derive(Debug)]
pub(super) struct Capture {
    file: File,
    /// Written to when nothing more will come.
    complete: OwnedFd,
    digesting: JoinHandle<io::Result<OutputDigest>>,
}

impl Capture {
    /// Makes the file and begins to follow it. The follower sleeps until something was written.
    pub(super) fn create(folder: &Folder, name: &str) -> io::Result<Capture> {
        let file = folder.create_file(name, OFlags::APPEND)?;
        reserve(&file, OUTPUT_ROOM)?;
        let reader = folder.open_file(name, OFlags::RDONLY)?;
        let complete = rustix::event::eventfd(0, EventfdFlags::CLOEXEC)?;
        let told = complete.try_clone()?;
        // Where no watch can be had (the user's limit is used up), all of it is read at the end instead.
        let watch = rustix::fs::inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        let digesting =
            std::thread::Builder::new().name("digest".to_owned()).spawn(move || digest(reader, watch, told))?;
        Ok(Capture { file, complete, digesting })
    }

    /// The file as a command's output. All of them share one position, so the order is that of the writes.
    pub(super) fn stdio(&self) -> io::Result<Stdio> {
        self.file.try_clone().map(Stdio::from)
    }

    /// What stands in the file, once nobody writes any more; and the file.
    pub(super) fn finish(self) -> io::Result<(OutputDigest, File)> {
        rustix::io::write(&self.complete, &1u64.to_ne_bytes())?;
        let digest = self.digesting.join().map_err(|_| io::Error::other("the digest of the output panicked"))??;
        Ok((digest, self.file))
    }
}

/// Follows `file` until `complete` is written to, then reads the rest.
fn digest(mut file: File, watch: Option<OwnedFd>, complete: OwnedFd) -> io::Result<OutputDigest> {
    let mut buffer = vec![0u8; CHUNK];
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut done = false;
    while !done {
        let armed = watch.as_ref().filter(|watch| arm(watch, &file).is_ok());
        // After arming: what is written from here on is told.
        bytes += read_on(&mut file, &mut hasher, &mut buffer)?;
        done = match armed {
            Some(watch) => !wait_for_output(watch, &complete)? || wait_for(&complete, Some(BETWEEN_READS))?,
            None => wait_for(&complete, None)?,
        };
    }
    bytes += read_on(&mut file, &mut hasher, &mut buffer)?;
    if bytes != file.metadata()?.len() {
        // Somebody cut the file short under its writer: what counts is what stands there now.
        file.rewind()?;
        hasher = Sha256::new();
        bytes = read_on(&mut file, &mut hasher, &mut buffer)?;
    }
    Ok(OutputDigest { bytes, sha256: Digest::from_bytes(hasher.finalize().into()) })
}

/// Asks to be told of the next write, and of no other: a watch that stays would cost the command a little at each.
fn arm(watch: &OwnedFd, file: &File) -> io::Result<()> {
    let mut events = [0u8; 4096];
    while rustix::io::read(watch, &mut events).is_ok() {}
    // By descriptor, so it is this very file.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    rustix::fs::inotify::add_watch(watch, path, WatchFlags::MODIFY | WatchFlags::ONESHOT)?;
    Ok(())
}

/// Sleeps until something was written (`true`) or nothing more will come (`false`).
fn wait_for_output(watch: &OwnedFd, complete: &OwnedFd) -> io::Result<bool> {
    let mut polled = [PollFd::new(watch, PollFlags::IN), PollFd::new(complete, PollFlags::IN)];
    wait(&mut polled, None)?;
    Ok(polled[1].revents().is_empty())
}

/// Sleeps until nothing more will come (`true`) or the time is up.
fn wait_for(complete: &OwnedFd, time: Option<Duration>) -> io::Result<bool> {
    wait(&mut [PollFd::new(complete, PollFlags::IN)], time)
}

/// Sleeps until one of `polled` can be read; `false` when the time was up first.
fn wait(polled: &mut [PollFd<'_>], time: Option<Duration>) -> io::Result<bool> {
    let time = time.map(timespec);
    loop {
        match rustix::event::poll(polled, time.as_ref()) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn read_on(file: &mut File, hasher: &mut Sha256, buffer: &mut [u8]) -> io::Result<u64> {
    let mut bytes = 0;
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(bytes),
            Ok(length) => {
                hasher.update(&buffer[..length]);
                bytes += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
