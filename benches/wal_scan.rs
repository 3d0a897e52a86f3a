//! Reading WAL record by record on two threads, beside `pg_waldump` on the same segments: its statistics by record, and
//! its text of one resource manager. Whole processes in the same run, in turn; the fastest of each counts, since two
//! threads lose more than one to whatever else the machine does. Exit status 1 when a ratio, or the peak of memory, does
//! not hold.

#![expect(clippy::unwrap_used, reason = "a bench that can't go on has to stop")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../tests/wal/cluster.rs"]
#[expect(dead_code, reason = "the tests' cluster has more than a bench needs")]
mod cluster;
#[path = "support/processor.rs"]
mod processor;

use cluster::Cluster;
use lifeboat::domain::wal::{SegmentSize, WalSegment};
use lifeboat::domain::wal_reader::{Content, Pages, Totals, WalStream};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const TURNS: usize = 15;
/// Times the speed of `pg_waldump --stats=record`.
const LEAST_OF_STATISTICS: f64 = 2.5;
/// Times the speed of `pg_waldump --rmgr=Heap`, which is what finding a DELETE takes.
const LEAST_OF_TEXT: f64 = 10.0;
const MOST_MEMORY_KB: u64 = 64 * 1024;
const THREADS: usize = 2;
/// Segments that a thread takes.
const AT_A_TIME: usize = 4;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [word, directory] if word == "scan" => scan(Path::new(directory)),
        _ => bench(),
    }
}

fn bench() -> ExitCode {
    let mut server = Cluster::start(16, "max_wal_size = '4GB'\nautovacuum = off\ncheckpoint_timeout = '1h'");
    server.pgbench(&["-i", "-s", "12", "-q"]);
    server.pgbench(&["-n", "-c", "4", "-j", "2", "-t", "12000"]);
    server.sql("CHECKPOINT; UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 3 = 0;");
    server.sql("DELETE FROM pgbench_accounts WHERE aid % 5 = 0; VACUUM pgbench_accounts; SELECT pg_switch_wal()");
    server.stop("fast");
    let names = server.segments();
    let bytes: u64 = names.len() as u64 * SegmentSize::DEFAULT.bytes();
    let (first, last) = (names[0].as_str(), names[names.len() - 1].as_str());
    println!("wal_scan: {} segments, {} MB, two threads", names.len(), bytes >> 20);

    let (mut ours, mut statistics, mut text, mut transactions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut own_processor = Duration::MAX;
    let (mut peak, mut records) = (0, 0);
    for _ in 0..TURNS {
        let (time, used, own_records, own_peak) = scan_once(&server.wal());
        ours.push(time);
        own_processor = own_processor.min(used);
        (peak, records) = (peak.max(own_peak), own_records);
        statistics.push(waldump(&server.wal(), &["--stats=record", first, last]));
        text.push(waldump(&server.wal(), &["--rmgr=Heap", first, last]));
        transactions.push(waldump(&server.wal(), &["--rmgr=Transaction", first, last]));
    }
    let rate = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    let (ours, own_time) = (fastest(&ours), fastest(&ours).as_secs_f64());
    println!("  lifeboat {:.0} MB/s, {records} records", rate(ours));
    for (what, theirs) in
        [("--stats=record", &statistics), ("--rmgr=Heap", &text), ("--rmgr=Transaction", &transactions)]
    {
        let times: Vec<Duration> = theirs.iter().map(|(time, _)| *time).collect();
        println!("  pg_waldump {what} {:.0} MB/s", rate(fastest(&times)));
    }
    let mut holds = true;
    for (what, theirs, least) in [
        ("pg_waldump --stats=record", statistics, LEAST_OF_STATISTICS),
        ("pg_waldump --rmgr=Heap", text, LEAST_OF_TEXT),
    ] {
        let (times, processor): (Vec<Duration>, Vec<Duration>) = theirs.into_iter().unzip();
        let ratio = fastest(&times).as_secs_f64() / own_time;
        holds &= ratio >= least;
        println!("{ratio:.1}x {what} (fastest of {TURNS}), at least {least}x {}", word(ratio >= least));
        let of_one = fastest(&processor).as_secs_f64() / own_processor.as_secs_f64();
        println!(
            "  by processor time {of_one:.2}x, {:.1}x on {THREADS} processors of its own",
            of_one * THREADS as f64
        );
    }
    let is_lean = peak <= MOST_MEMORY_KB;
    println!("peak memory {:.1} MB, at most {} MB {}", peak as f64 / 1024.0, MOST_MEMORY_KB / 1024, word(is_lean));
    if holds && is_lean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn word(holds: bool) -> &'static str {
    if holds { "ok" } else { "NOT HELD" }
}

fn fastest(times: &[Duration]) -> Duration {
    times.iter().copied().min().unwrap()
}

/// This program again, as a process of its own: time, processor time, records, peak of resident memory in kB.
fn scan_once(directory: &Path) -> (Duration, Duration, u64, u64) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("scan").arg(directory).stdout(Stdio::piped());
    let begin = Instant::now();
    let mut child = command.spawn().unwrap();
    // It prints two numbers: no pipe is filled.
    let (_, used) = processor::wait(&mut child);
    let time = begin.elapsed();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    let (records, peak) = text.trim().split_once(' ').unwrap_or_else(|| panic!("the child printed '{text}'"));
    (time, used, records.parse().unwrap(), peak.parse().unwrap())
}

/// Time, and processor time.
fn waldump(directory: &Path, arguments: &[&str]) -> (Duration, Duration) {
    let mut command = cluster::program("pg_waldump");
    command.arg("-p").arg(directory).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let (_, used) = processor::wait(&mut command.spawn().unwrap());
    (begin.elapsed(), used)
}

/// Reads all segments of a directory, each thread its share, and counts what the records say.
fn scan(directory: &Path) -> ExitCode {
    let mut files: Vec<(WalSegment, PathBuf)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some((WalSegment::parse(path.file_name()?.to_str()?).ok()?, path)))
        .collect();
    files.sort();
    // Segments take unlike times: whoever is done takes the next few.
    let next = AtomicUsize::new(0);
    let totals = std::thread::scope(|scope| {
        let share = || {
            let mut totals = Totals::default();
            loop {
                let from = next.fetch_add(AT_A_TIME, Ordering::Relaxed);
                let Some(files) = files.get(from..).filter(|files| !files.is_empty()) else { return totals };
                part(files, AT_A_TIME, &mut totals);
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(share)).collect();
        let mut sum = Totals::default();
        threads.into_iter().for_each(|thread| sum.add(&thread.join().unwrap()));
        sum
    });
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    println!("{} {}", totals.sum().records, peak.trim().trim_end_matches(" kB"));
    ExitCode::SUCCESS
}

/// Counts the records that start in the first `count` of these segments.
fn part(files: &[(WalSegment, PathBuf)], count: usize, totals: &mut Totals) {
    let mut stream = WalStream::new(SegmentSize::DEFAULT, None);
    let mut unknown = 0u64;
    let mut buffer = Pages::new(256 << 10);
    for (index, (segment, path)) in files.iter().enumerate() {
        if index >= count && !stream.is_inside_record() {
            break;
        }
        stream.begin_segment(*segment);
        let mut file = File::open(path).unwrap();
        loop {
            let length = file.read(&mut buffer).unwrap();
            if length == 0 || stream.is_at_rest() {
                break;
            }
            // The last record is finished in the next share's first page.
            let mut is_done = false;
            stream.push(&buffer[..length], &mut |record| {
                if index >= count && segment.start(SegmentSize::DEFAULT).is_some_and(|start| record.lsn >= start) {
                    is_done = true;
                } else if let Ok(parts) = record.parts() {
                    totals.count(record, parts.image_bytes);
                    unknown += u64::from(Content::read(record, &parts) == Content::Unknown);
                }
            });
            if is_done || (index >= count && !stream.is_inside_record()) {
                break;
            }
        }
    }
    assert_eq!(unknown, 0);
}
