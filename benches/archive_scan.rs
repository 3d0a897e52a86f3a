//! An archive searched for an accident, beside what one would do by hand: fetch each segment with `archive-get`, then
//! `pg_waldump --stats`. A local repository of one cluster, compressed as pgBackRest 2.45 can (zstd); whole processes in
//! the same run, in turn, nothing kept from one to the next. Printed: both rates, what an hour of WAL at one segment every
//! ten seconds takes, the peak of memory. Exit status 1 when the ratio or the memory does not hold.

#![expect(clippy::unwrap_used, reason = "a bench that can't go on has to stop")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../tests/wal/cluster.rs"]
#[expect(dead_code, reason = "the tests' cluster has more than a bench needs")]
mod cluster;
#[path = "support/processor.rs"]
mod processor;

use cluster::{Cluster, as_owner, done, program};
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const TURNS: usize = 5;
/// Segments of an hour at one every ten seconds.
const HOUR: f64 = 360.0;
/// What an hour may take, on two cores that nobody else uses: printed, not judged.
const MOST_SECONDS: f64 = 15.0;
/// Times the speed of fetching and `pg_waldump` by hand.
const LEAST: f64 = 1.5;
const MOST_MEMORY_KB: u64 = 64 * 1024;

fn main() -> ExitCode {
    // An hour of WAL, in the archive and fetched by hand, is more than memory should hold.
    let on_disk = tempfile::tempdir_in("/tmp").unwrap();
    let settings = "max_wal_size = '4GB'\nautovacuum = off\ncheckpoint_timeout = '1h'\narchive_mode = on";
    let mut server = Cluster::start_in(on_disk, 16, |_| settings.to_owned());
    let home = server.home().to_owned();
    let config = home.join("pgbackrest.conf");
    let own = home.display();
    fs::write(
        &config,
        format!(
            "[global]\nrepo1-path={own}/repo\ncompress-type=zst\nlog-path={own}\nlock-path={own}\nspool-path={own}\n\
             log-level-console=warn\nlog-level-file=off\narchive-timeout=600\n[main]\npg1-path={own}/data\npg1-socket-path={own}\npg1-user=postgres\n"
        ),
    )
    .unwrap();
    let settings = home.join("lifeboat.toml");
    fs::write(
        &settings,
        format!(
            "[pgbackrest]\nconfig = \"{}\"\nstanza = \"main\"\n[postgres]\nowner = \"postgres\"\n[state]\ndirectory = \"{own}/state\"\nwal_cache = \"4GB\"\n",
            config.display()
        ),
    )
    .unwrap();
    let pgbackrest = || {
        let mut command = as_owner("pgbackrest");
        command.arg(format!("--config={}", config.display())).arg("--stanza=main");
        command
    };
    done(pgbackrest().arg("stanza-create"));
    let push = format!("pgbackrest --config={} --stanza=main archive-push %p", config.display());
    server.sql_in("postgres", &format!("ALTER SYSTEM SET archive_command = '{push}'"));
    server.sql_in("postgres", "SELECT pg_reload_conf()");
    server.pgbench(&["-i", "-s", "12", "-q"]);
    server.pgbench(&["-n", "-c", "4", "-j", "2", "-t", "12000"]);
    server.sql("CHECKPOINT; UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid % 3 = 0;");
    server.sql("DELETE FROM pgbench_accounts WHERE aid % 5 = 0; VACUUM pgbench_accounts;");
    let last = server.sql("SELECT pg_walfile_name(pg_switch_wal())");
    let archived = format!("SELECT coalesce(last_archived_wal >= '{last}', false) FROM pg_stat_archiver");
    while server.sql(&archived) != "t" {
        std::thread::sleep(Duration::from_millis(200));
    }
    let around = server.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || '+00'");
    server.stop("fast");
    // `postgres` can't enter every folder that a checkout may be in.
    fs::copy(env!("CARGO_BIN_EXE_lifeboat"), home.join("lifeboat")).unwrap();

    let (mut ours, mut again, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let mut used = Duration::MAX;
    let (mut peak, mut segments, mut bytes) = (0, 0.0, 0.0);
    for _ in 0..TURNS {
        let _ = fs::remove_dir_all(home.join("state/wal"));
        for is_kept in [false, true] {
            let found = search(&home, &settings, &around);
            peak = peak.max(found.peak_kb);
            segments = found.answer["segments_read"].as_f64().unwrap();
            bytes = found.answer["bytes_read"].as_f64().unwrap();
            assert!(found.answer["proposed"]["xid"].is_number(), "{:#}", found.answer);
            if is_kept {
                again.push(found.time);
            } else {
                ours.push(found.time);
                used = used.min(found.processor);
            }
        }
        theirs.push(by_hand(&home, &config, &server.segments()));
    }
    let [ours, again, theirs] = [&ours, &again, &theirs].map(|times| times.iter().min().unwrap().as_secs_f64());
    println!("archive_scan: {segments} segments, {:.0} MB of WAL, zstd", bytes / 1e6);
    println!("  lifeboat accident {ours:.2} s ({:.0} MB/s), kept from before {again:.2} s", bytes / 1e6 / ours);
    println!("  archive-get and pg_waldump --stats {theirs:.2} s");
    let hour = ours / segments * HOUR;
    println!("  an hour at one segment every ten seconds: {hour:.1} s (aim {MOST_SECONDS} s)");
    let hour = used.as_secs_f64() / segments * HOUR;
    println!("  by processor time {hour:.1} s, {:.1} s on two processors of its own", hour / 2.0);
    let ratio = theirs / ours;
    println!("{ratio:.1}x by hand (fastest of {TURNS}), at least {LEAST}x {}", word(ratio >= LEAST));
    let is_lean = peak <= MOST_MEMORY_KB;
    println!("peak memory {:.1} MB, at most {} MB {}", peak as f64 / 1024.0, MOST_MEMORY_KB / 1024, word(is_lean));
    if ratio >= LEAST && is_lean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn word(holds: bool) -> &'static str {
    if holds { "ok" } else { "NOT HELD" }
}

/// A search as a whole process.
struct Found {
    time: Duration,
    /// Of its children too.
    processor: Duration,
    answer: serde_json::Value,
    /// Of resident memory, without its children's.
    peak_kb: u64,
}

fn search(home: &Path, settings: &Path, around: &str) -> Found {
    let begin = Instant::now();
    let mut child = as_owner(home.join("lifeboat"))
        .arg("--settings")
        .arg(settings)
        .args(["accident", "--window", "1h", "--json", "--around", around])
        .stdout(Stdio::from(fs::File::create(home.join("answer")).unwrap()))
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut peak = 0;
        // One that has ended has no memory to tell of.
        while let Ok(text) = fs::read_to_string(&status) {
            let Some(line) = text.lines().find_map(|line| line.strip_prefix("VmHWM:")) else { break };
            peak = peak.max(line.trim().trim_end_matches(" kB").parse().unwrap_or(0));
            std::thread::sleep(Duration::from_millis(10));
        }
        peak
    });
    let (status, processor) = processor::wait(&mut child);
    let time = begin.elapsed();
    assert!(status.success(), "{status}");
    let answer = serde_json::from_str(&fs::read_to_string(home.join("answer")).unwrap()).unwrap();
    Found { time, processor, answer, peak_kb: watch.join().unwrap() }
}

/// Each segment by `archive-get` into a directory, one after the other, then the statistics of all of them.
fn by_hand(home: &Path, config: &Path, segments: &[String]) -> Duration {
    let folder = home.join("fetched");
    let _ = fs::remove_dir_all(&folder);
    done(as_owner("mkdir").arg(&folder));
    let begin = Instant::now();
    let mut got = Vec::new();
    for segment in segments {
        let mut command = as_owner("pgbackrest");
        command.arg(format!("--config={}", config.display())).args(["--stanza=main", "archive-get", segment]);
        let status = silent(command.arg(folder.join(segment)));
        if status {
            got.push(segment);
        }
    }
    let mut command = program("pg_waldump");
    command.arg("-p").arg(&folder).arg("--stats=record").arg(got[0]).arg(got[got.len() - 1]);
    silent(&mut command);
    begin.elapsed()
}

fn silent(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}
