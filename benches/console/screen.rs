//! A program in a pseudo-terminal: when its bytes come, how many, what they show, and what the process costs.

use portable_pty::{Child, CommandBuilder, MasterPty, PtyPair, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(120);
/// After so long without bytes a screen is complete.
pub(crate) const QUIET: Duration = Duration::from_millis(150);

pub(crate) struct Screen {
    child: Box<dyn Child + Send + Sync>,
    writer: Box<dyn Write + Send>,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    pub(crate) started: Instant,
    _master: Box<dyn MasterPty + Send>,
}

struct Seen {
    bytes: usize,
    /// Writes to the terminal, as they were read: a frame is one write.
    pieces: usize,
    last: Option<Instant>,
    parser: vt100::Parser,
}

impl Screen {
    /// Starts it in a terminal of `size` (columns, rows), with these variables and no others.
    pub(crate) fn start(size: (u16, u16), argv: &[&str], variables: &[(&str, &str)]) -> Screen {
        let pty = PtySize { rows: size.1, cols: size.0, pixel_width: 0, pixel_height: 0 };
        let PtyPair { master, slave } = native_pty_system().openpty(pty).unwrap();
        let mut command = CommandBuilder::new(argv[0]);
        command.args(&argv[1..]);
        command.env_clear();
        let general = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("LANG", "C.UTF-8"), ("TERM", "xterm-256color")];
        for (name, value) in general.iter().chain(variables) {
            command.env(name, value);
        }
        command.cwd("/");
        let one = |number| NonZeroU16::new(number).unwrap();
        let parser = vt100::Parser::new(one(size.1), one(size.0), 0);
        let seen = Arc::new((Mutex::new(Seen { bytes: 0, pieces: 0, last: None, parser }), Condvar::new()));
        let mut reader = master.try_clone_reader().unwrap();
        let into = Arc::clone(&seen);
        let writer = master.take_writer().unwrap();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let at = Instant::now();
                let mut seen = into.0.lock().unwrap();
                seen.bytes += count;
                seen.pieces += 1;
                seen.last = Some(at);
                seen.parser.process(&buffer[..count]);
                drop(seen);
                into.1.notify_all();
            }
        });
        let started = Instant::now();
        let child = slave.spawn_command(command).unwrap();
        Screen { child, writer, seen, started, _master: master }
    }

    pub(crate) fn text(&self) -> String {
        self.seen.0.lock().unwrap().parser.screen().contents()
    }

    /// How many bytes have come, and in how many pieces.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        let seen = self.seen.0.lock().unwrap();
        (seen.bytes, seen.pieces)
    }

    /// Until the screen shows this: when the bytes came that did it.
    pub(crate) fn wait_for(&self, text: &str) -> Instant {
        let mut seen = self.seen.0.lock().unwrap();
        let until = Instant::now() + PATIENCE;
        loop {
            if seen.parser.screen().contents().contains(text) {
                return seen.last.unwrap();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "'{text}' does not come:\n{}", seen.parser.screen().contents());
            seen = self.seen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Until nothing has come for so long.
    pub(crate) fn settle(&self, quiet: Duration) {
        let until = Instant::now() + PATIENCE;
        loop {
            let last = self.seen.0.lock().unwrap().last;
            let rest = last.map_or(quiet, |last| quiet.saturating_sub(last.elapsed()));
            if rest.is_zero() || Instant::now() > until {
                return;
            }
            std::thread::sleep(rest);
        }
    }

    /// Sends a key: how long until its first bytes came, and how many bytes in all.
    pub(crate) fn key(&mut self, key: &str, quiet: Duration) -> Option<(Duration, usize)> {
        let before = self.bytes().0;
        let at = Instant::now();
        self.send(key);
        let mut seen = self.seen.0.lock().unwrap();
        while seen.bytes == before {
            let (next, waited) = self.seen.1.wait_timeout(seen, Duration::from_secs(2)).unwrap();
            seen = next;
            if waited.timed_out() {
                return None;
            }
        }
        let took = seen.last?.saturating_duration_since(at);
        drop(seen);
        self.settle(quiet);
        Some((took, self.bytes().0 - before))
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// What is resident, in kB: all of it, and what no file is behind.
    pub(crate) fn resident_kb(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        (line(&status, "VmRSS:"), line(&status, "RssAnon:"))
    }

    /// How often any of its threads went to sleep: each wake-up ends in one more.
    pub(crate) fn sleeps(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let told = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok());
        told.map(|status| line(&status, "voluntary_ctxt_switches:")).sum()
    }

    /// Ends it by a key.
    pub(crate) fn end(mut self, key: &str) {
        self.send(key);
        for _ in 0..200 {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
