//! A line for the system's log: the journal's head leaves the run's folder, so that a cut at its end is found.
//!
//! The form is that of glibc's `syslog(3)`: `<PRIORITY>Nov 22 16:40:41 TAG[PID]: TEXT`, one datagram to `/dev/log`.
//! Best effort: a host without a log, or whose log is full, must not stop a restore.

use crate::domain::digest::Digest;
use crate::domain::event::RunId;
use crate::engine::clock;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// Where the system's log hears.
pub const SOCKET: &str = "/dev/log";

/// Facility *user* (1), severity *notice* (5).
const PRIORITY: u8 = (1 << 3) | 5;

/// Tells the log at `socket` which head the journal of `run` has after entry `sequence`.
///
/// # Errors
/// When nobody hears there, or the log does not take it at once: it is never waited for.
pub fn tell_head(socket: &Path, run: &RunId, sequence: u64, head: &Digest) -> io::Result<()> {
    let time = clock::now().format("%b %e %H:%M:%S");
    let process = std::process::id();
    let line = format!("<{PRIORITY}>{time} lifeboat[{process}]: run {run} entry {sequence} head {head}");
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to(line.as_bytes(), socket).map(|_| ())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
    use super::*;

    #[test]
    fn one_datagram_has_run_entry_and_head() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("log");
        let log = UnixDatagram::bind(&socket).unwrap();
        let (run, head) = (RunId::parse("7Q2K").unwrap(), Digest::of(b"entry"));
        tell_head(&socket, &run, 12, &head).unwrap();
        let mut bytes = [0; 1024];
        let length = log.recv(&mut bytes).unwrap();
        let line = str::from_utf8(&bytes[..length]).unwrap();
        let (before, text) = line.split_once(": ").unwrap();
        assert_eq!(text, format!("run 7Q2K entry 12 head {head}"));
        assert!(
            before.starts_with("<13>") && before.ends_with(&format!(" lifeboat[{}]", std::process::id())),
            "{line}"
        );
    }

    #[test]
    fn a_log_that_is_not_there_or_does_not_read_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("log");
        let (run, head) = (RunId::parse("7Q2K").unwrap(), Digest::of(b"entry"));
        assert!(tell_head(&socket, &run, 1, &head).is_err());
        let _deaf = UnixDatagram::bind(&socket).unwrap();
        let refused = (0..100_000).find_map(|_| tell_head(&socket, &run, 1, &head).err());
        assert_eq!(refused.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    }
}
