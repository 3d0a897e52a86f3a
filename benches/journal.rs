//! The journal's two figures: appending beside a plain append and fdatasync of the same bytes (at most 1.2 times as
//! long), and reading 10,000 entries (goal: 100 ms). Ends with a failure when the ratio does not hold.

#![expect(clippy::unwrap_used, reason = "a bench that can't work has to stop")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../tests/sample_plan/mod.rs"]
mod sample_plan;
#[path = "../tests/sample_run/mod.rs"]
mod sample_run;

use lifeboat::domain::event::{Entry, RunEvent};
use lifeboat::domain::run::Run;
use lifeboat::engine::journal::{self, Journal};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

const PAIRS: usize = 400;
const MOST: f64 = 1.2;

/// Entries of the sizes that a run has.
fn event(index: usize) -> RunEvent {
    let length = [40, 200, 900][index % 3];
    RunEvent::NoteWritten { by: sample_plan::anna(), text: "restored file ".repeat(length / 14) }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Appends the same bytes in turn: the journal first, then a plain file beside it.
fn append(directory: &Path) -> f64 {
    let path = directory.join("journal.jsonl");
    let (mut journal, _) = Journal::create(&path, event_of_creation()).unwrap();
    let mut plain = std::fs::File::options().create(true).append(true).open(directory.join("plain")).unwrap();
    let mut reader = std::fs::File::open(&path).unwrap();
    std::io::copy(&mut reader, &mut plain).unwrap();
    plain.sync_all().unwrap();
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    let mut ratios = Vec::new();
    for index in 0..PAIRS {
        let event = event(index);
        let begin = Instant::now();
        journal.append(event).unwrap();
        let own = begin.elapsed();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut reader, &mut bytes).unwrap();
        let begin = Instant::now();
        plain.write_all(&bytes).unwrap();
        plain.sync_data().unwrap();
        let peer = begin.elapsed();
        ours.push(own);
        peers.push(peer);
        ratios.push(own.as_secs_f64() / peer.as_secs_f64());
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[PAIRS / 2];
    println!(
        "append: journal {:?}, plain append and fdatasync {:?} (medians of {PAIRS}); median ratio {ratio:.2}, at most {MOST}",
        median(ours),
        median(peers)
    );
    ratio
}

fn event_of_creation() -> RunEvent {
    sample_run::events().swap_remove(0)
}

/// Reading and folding a journal of 10,000 entries, as `attach` does.
fn attach(directory: &Path) {
    let notes = (1..10_000).map(|index| {
        let text = format!("note {index}: {}", "copied 123 of 1268 files, 45.6 MB/s, 12 s left. ".repeat(4));
        RunEvent::NoteWritten { by: sample_plan::anna(), text }
    });
    let (lines, _) = sample_run::write([event_of_creation()].into_iter().chain(notes));
    let path = directory.join("long.jsonl");
    std::fs::write(&path, lines.concat()).unwrap();
    let bytes = std::fs::metadata(&path).unwrap().len();
    let times = (0..15)
        .map(|_| {
            let begin = Instant::now();
            let entries: Vec<Entry> = journal::read(&path).unwrap().entries;
            let run = Run::fold(&entries).unwrap();
            assert_eq!(run.sequence, 10_000);
            begin.elapsed()
        })
        .collect();
    println!("attach to 10,000 entries ({bytes} bytes): {:?} (median of 15); goal 100 ms", median(times));
}

fn main() -> ExitCode {
    // Beside the target directory: a temporary directory may lie in memory, where a sync costs nothing.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    attach(directory.path());
    if append(directory.path()) <= MOST { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
