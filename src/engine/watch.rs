//! Waiting for files to change, without polling: inotify, so that an idle process is never woken.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

/// A watch on files and folders.
#[derive(Debug)]
pub struct Watch {
    descriptor: OwnedFd,
}

impl Watch {
    /// Watches `paths`: contents of files that are written to; names and contents in folders.
    ///
    /// # Errors
    /// When the kernel's limit of watches is reached or a path does not exist.
    pub fn on(paths: &[&Path]) -> io::Result<Watch> {
        let descriptor = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let what = inotify::WatchFlags::MODIFY
            | inotify::WatchFlags::CREATE
            | inotify::WatchFlags::MOVED_TO
            | inotify::WatchFlags::DELETE_SELF;
        for path in paths {
            inotify::add_watch(&descriptor, *path, what)?;
        }
        Ok(Watch { descriptor })
    }

    /// Blocks until something changed since the last call, or the limit has passed: `true` when something changed.
    ///
    /// # Errors
    /// When the kernel refuses to wait.
    pub fn wait(&self, limit: Option<Duration>) -> io::Result<bool> {
        let end = limit.map(|limit| Instant::now() + limit);
        loop {
            if self.drain()? {
                return Ok(true);
            }
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            let left = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(left.subsec_nanos()),
            });
            match poll(&mut [PollFd::new(&self.descriptor, PollFlags::IN)], left.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn drain(&self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.descriptor, &mut buffer);
        let mut any = false;
        loop {
            match reader.next() {
                Ok(_) => any = true,
                Err(rustix::io::Errno::AGAIN) => return Ok(any),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
    use super::*;

    #[test]
    fn sees_a_write_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("output");
        std::fs::write(&file, "a").unwrap();
        let watch = Watch::on(&[&file]).unwrap();
        assert!(!watch.wait(Some(Duration::ZERO)).unwrap());
        std::fs::write(&file, "ab").unwrap();
        assert!(watch.wait(None).unwrap());
        assert!(!watch.wait(Some(Duration::from_millis(1))).unwrap());
    }
}
