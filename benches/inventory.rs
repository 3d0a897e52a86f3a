//! 1,000 stanzas of 200 sets, decoded into an inventory, beside `jq` reading the same file.
//!
//! Whole processes are measured, this program executed again with an argument: wall time in alternating pairs, and the
//! peak of resident memory as the kernel counts it. The bounds are ratios, so they hold on a busy machine too.
//! Exit status 1 when one is exceeded.

use lifeboat::domain::info::decode;
use lifeboat::domain::inventory::Inventory;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const STANZAS: u32 = 1000;
const SETS: u32 = 200;
const PAIRS: usize = 5;
/// Of jq's time.
const MOST_TIME: f64 = 0.10;
/// Of the file's size.
const MOST_MEMORY: f64 = 1.4;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [word, file] if word == "decode" => child(Path::new(file)).map(|()| true),
        _ => bench(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "inventory bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads and decodes the file, then prints the number of sets and the peak of resident memory in kB.
fn child(file: &Path) -> Outcome<()> {
    let bytes = fs::read(file)?;
    let inventory = Inventory::from_info(decode(&bytes)?, chrono::Utc::now(), "2.45");
    let repositories = inventory.stanzas.iter().flat_map(|stanza| &stanza.repositories);
    let sets: usize = repositories.map(|repository| repository.sets.len()).sum();
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    writeln!(std::io::stdout(), "{sets} {}", peak.trim().trim_end_matches(" kB"))?;
    Ok(())
}

fn bench() -> Outcome<bool> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("info.json");
    fs::write(&file, document())?;
    let size = fs::metadata(&file)?.len();
    let mut out = std::io::stdout().lock();
    writeln!(out, "inventory: {STANZAS} stanzas x {SETS} sets, {:.1} MB", size as f64 / 1e6)?;

    let mut peak = 0;
    let mut ratios = Vec::new();
    let has_jq = Command::new("jq").arg("--version").stdout(Stdio::null()).status().is_ok();
    for _ in 0..PAIRS {
        let (ours, kilobytes) = decode_once(&file)?;
        peak = peak.max(kilobytes);
        if has_jq {
            let theirs = jq_once(&file)?;
            ratios.push(ours.as_secs_f64() / theirs.as_secs_f64());
            writeln!(out, "  lifeboat {:.3} s   jq {:.3} s", ours.as_secs_f64(), theirs.as_secs_f64())?;
        } else {
            writeln!(out, "  lifeboat {:.3} s", ours.as_secs_f64())?;
        }
    }
    let memory = (peak * 1024) as f64 / size as f64;
    let is_lean = memory <= MOST_MEMORY;
    writeln!(
        out,
        "peak memory {:.1} MB: {memory:.2}x the file, at most {MOST_MEMORY}x {}",
        peak as f64 / 976.6,
        word(is_lean)
    )?;
    ratios.sort_by(f64::total_cmp);
    let Some(&ratio) = ratios.get(ratios.len() / 2) else {
        writeln!(out, "time beside jq: not measured, jq is not installed")?;
        return Ok(false);
    };
    let is_fast = ratio <= MOST_TIME;
    writeln!(out, "time {ratio:.3}x jq (median of {PAIRS} pairs), at most {MOST_TIME}x {}", word(is_fast))?;
    Ok(is_lean && is_fast)
}

fn word(holds: bool) -> &'static str {
    if holds { "ok" } else { "EXCEEDED" }
}

fn decode_once(file: &Path) -> Outcome<(Duration, u64)> {
    let begin = Instant::now();
    let output = Command::new(std::env::current_exe()?).arg("decode").arg(file).stderr(Stdio::inherit()).output()?;
    let time = begin.elapsed();
    let text = String::from_utf8(output.stdout)?;
    let (sets, kilobytes) = text.trim().split_once(' ').ok_or("the child printed nothing")?;
    if sets.parse() != Ok(STANZAS * SETS) {
        return Err(format!("{sets} sets were decoded, not {}", STANZAS * SETS).into());
    }
    Ok((time, kilobytes.parse()?))
}

fn jq_once(file: &Path) -> Outcome<Duration> {
    let begin = Instant::now();
    let output = Command::new("jq").arg("[.[].backup|length]|add").arg(file).output()?;
    let time = begin.elapsed();
    if output.stdout.trim_ascii() != (STANZAS * SETS).to_string().as_bytes() {
        return Err(format!("jq: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(time)
}

/// What pgBackRest would print, key by key in its order.
fn document() -> String {
    let mut text = String::with_capacity(170_000_000);
    for stanza in 0..STANZAS {
        text.push(if stanza == 0 { '[' } else { ',' });
        let last = segment(SETS + 9);
        let database = r#""database":{"id":1,"repo-key":1}"#;
        let _ = write!(
            text,
            r#"{{"archive":[{{{database},"id":"15-1","max":"{last}","min":"{}"}}],"backup":["#,
            segment(1)
        );
        let mut family = Vec::new();
        for set in 0..SETS {
            text.push_str(if set == 0 { "" } else { "," });
            add_set(&mut text, &mut family, stanza, set);
        }
        let system = 7_710_881_718_654_896_541u64 + u64::from(stanza);
        let _ = write!(
            text,
            r#"],"cipher":"none","db":[{{"id":1,"repo-key":1,"system-id":{system},"version":"15"}}],"name":"stanza-{stanza:04}","#
        );
        text.push_str(r#""repo":[{"cipher":"none","key":1,"status":{"code":0,"message":"ok"}}],"#);
        text.push_str(r#""status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}"#);
    }
    text.push(']');
    text
}

fn segment(number: u32) -> String {
    format!("00000001{:08X}{:08X}", number / 256, number % 256)
}

/// Families of 20: a full set, nine incremental ones, a differential one, nine more incremental ones upon that.
fn add_set(text: &mut String, family: &mut Vec<String>, stanza: u32, set: u32) {
    let place = set % 20;
    let time = chrono::DateTime::from_timestamp(1_762_000_000 + i64::from(set) * 30_240, 0).unwrap_or_default();
    let stamp = time.format("%Y%m%d-%H%M%S");
    let (kind, label) = match place {
        0 => ("full", format!("{stamp}F")),
        10 => ("diff", format!("{}_{stamp}D", family[0])),
        _ => ("incr", format!("{}_{stamp}I", family[0])),
    };
    match place {
        0 => family.clear(),
        10 => family.truncate(1),
        _ => {}
    }
    let quoted = |label: &String| format!("\"{label}\"");
    let prior = family.last().map_or("null".to_owned(), quoted);
    let references: Vec<String> = family.iter().map(quoted).collect();
    let references = if family.is_empty() { "null".to_owned() } else { format!("[{}]", references.join(",")) };
    let (wal, start, size) =
        (segment(set + 2), time.timestamp(), 384_000_000_000 + u64::from(stanza * SETS + set) * 7919);
    let (high, low) = ((set + 2) / 256, (set + 2) % 256);
    let _ = write!(
        text,
        r#"{{"annotation":{{"job":"nightly","reason":"schedule of rack {}, kept for the audit of this year"}},"archive":{{"start":"{wal}","stop":"{wal}"}},"backrest":{{"format":5,"version":"2.45"}},"database":{{"id":1,"repo-key":1}},"error":false,"info":{{"delta":{},"repository":{{"delta":{},"size":{}}},"size":{size}}},"label":"{label}","lsn":{{"start":"{high:X}/{low:X}000028","stop":"{high:X}/{low:X}15F090"}},"prior":{prior},"reference":{references},"timestamp":{{"start":{start},"stop":{}}},"type":"{kind}"}}"#,
        stanza % 40,
        size / 9,
        size / 40,
        size / 4,
        start + 1_800,
    );
    family.push(label);
}
