//! Threads that wait for the kernel to say something about a step, and pass it on. None of them polls.

use super::{Input, take_over};
use crate::domain::recovery_log::RecoveryLog;
use crate::domain::text;
use crate::engine::step_process::Started;
use crate::engine::tail::Tail;
use crate::engine::watch::Watch;
use crate::engine::{clock, step_process};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// Offsets of the output are noted at most this often.
const NOTED_EVERY: Duration = Duration::from_millis(100);

/// Tells when none of a step's processes is alive any more, and what its step process wrote down.
pub(super) fn until_over(
    folder: PathBuf,
    position: usize,
    attempt: u32,
    started: Option<Started>,
    inbox: UnboundedSender<Input>,
) {
    std::thread::spawn(move || {
        let waited = step_process::wait_until_dead(&folder);
        if let Some(mut started) = started
            && let Err(error) = started.reap()
        {
            tracing::warn!(%error, "the step process can't be reaped");
        }
        let outcome = take_over::Ended::read(&folder, waited.err().map(|error| error.to_string()));
        // The runner may have ended meanwhile; the next one looks for itself.
        let _ = inbox.send(Input::Over { position, attempt, outcome });
    });
}

/// Notes when the output grew (`output.times`, disposable) and, for a server, folds its log.
pub(super) fn output(folder: PathBuf, position: usize, attempt: u32, inbox: Option<UnboundedSender<Input>>) {
    std::thread::spawn(move || {
        if let Err(error) = follow(&folder, position, attempt, inbox.as_ref()) {
            tracing::warn!(%error, folder = %folder.display(), "the output can't be followed");
        }
    });
}

fn follow(folder: &Path, position: usize, attempt: u32, inbox: Option<&UnboundedSender<Input>>) -> std::io::Result<()> {
    let path = folder.join("output");
    let watch = Watch::on(&[&path, folder])?;
    let mut tail = Tail::open(&path)?;
    let mut times = File::options().create(true).append(true).open(folder.join("output.times"))?;
    let mut log = RecoveryLog::default();
    let mut noted = u64::MAX;
    loop {
        let over = folder.join("outcome.json").exists();
        let length = std::fs::metadata(&path)?.len();
        if length != noted {
            writeln!(times, "{length} {}", clock::monotonic_ns() / 1_000_000)?;
            noted = length;
            if let Some(inbox) = inbox {
                tail.lines(|line| log.feed(&text::clean_bytes(line)))?;
                if inbox.send(Input::Log { position, attempt, log: Box::new(log.clone()) }).is_err() {
                    return Ok(());
                }
            }
        }
        if over {
            return Ok(());
        }
        watch.wait(None)?;
        std::thread::sleep(NOTED_EVERY);
    }
}

/// The whole log of a server as it stands in its output file.
pub(super) fn read_log(folder: &Path) -> std::io::Result<RecoveryLog> {
    let mut log = RecoveryLog::default();
    let mut tail = Tail::open(&folder.join("output"))?;
    tail.lines(|line| log.feed(&text::clean_bytes(line)))?;
    log.feed(&text::clean_bytes(tail.unfinished()));
    Ok(log)
}
