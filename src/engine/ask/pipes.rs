//! The two pipes of a question: stdout in full up to the limit, of stderr the end.

use crate::domain::text::clean_lines;
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// How much of stderr is kept, in bytes: its end, since the error that ended a program stands last.
pub(super) const STDERR_KEPT_BYTES: usize = 64 * 1024;

/// What is kept of stdout.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    pub(super) limit_bytes: u64,
}

/// Why stdout is read no further.
pub(super) enum Overflow {
    Limit,
    Failed(Errno),
}

impl Output {
    /// Reads what is there; `false` when the pipe has ended.
    pub(super) fn read(&mut self, pipe: &OwnedFd) -> Result<bool, Overflow> {
        loop {
            // One byte above the limit is enough to know that it is exceeded.
            let room = self.limit_bytes.saturating_add(1).saturating_sub(self.bytes.len() as u64);
            if room == 0 {
                return Err(Overflow::Limit);
            }
            if self.bytes.capacity() == self.bytes.len() {
                // By a quarter, not by doubling: a large answer is held once, with little beside it.
                let step = (self.bytes.len() / 4).max(64 * 1024);
                let step = step.min(usize::try_from(room).unwrap_or(step));
                self.bytes.try_reserve_exact(step).map_err(|_| Overflow::Failed(Errno::NOMEM))?;
            }
            match rustix::io::read(pipe, rustix::buffer::spare_capacity(&mut self.bytes)) {
                Ok(0) => return Ok(false),
                Ok(_) if self.bytes.len() as u64 > self.limit_bytes => return Err(Overflow::Limit),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(true),
                Err(errno) => return Err(Overflow::Failed(errno)),
            }
        }
    }
}

/// The end of stderr.
#[derive(Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut_bytes: u64,
}

impl Tail {
    /// Reads what is there; `false` when the pipe has ended.
    pub(super) fn read(&mut self, pipe: &OwnedFd) -> Result<bool, Errno> {
        loop {
            self.bytes.reserve(8 * 1024);
            match rustix::io::read(pipe, rustix::buffer::spare_capacity(&mut self.bytes)) {
                Ok(0) => return Ok(false),
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(true),
                Err(errno) => return Err(errno),
            }
            if self.bytes.len() > 2 * STDERR_KEPT_BYTES {
                self.cut();
                // Back to the clocks: a program that never stops writing errors must still meet its time limit.
                return Ok(true);
            }
        }
    }

    fn cut(&mut self) {
        let cut = self.bytes.len().saturating_sub(STDERR_KEPT_BYTES);
        self.bytes.drain(..cut);
        self.cut_bytes += cut as u64;
    }

    pub(super) fn text(&self) -> String {
        let start = self.bytes.len().saturating_sub(STDERR_KEPT_BYTES);
        let text = clean_lines(&String::from_utf8_lossy(&self.bytes[start..]));
        match self.cut_bytes + start as u64 {
            0 => text,
            cut => format!("({cut} bytes cut here)\n{text}"),
        }
    }
}
