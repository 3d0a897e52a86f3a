//! What the console costs, measured from outside: the real program in a pseudo-terminal at 80x24 and 120x40, on a host
//! with 200,000 backup sets and a run that goes on, with less, htop and gitui beside it where they are installed.
//!
//! Checks, with exit status 1 where one does not hold: bytes to the terminal, wake-ups, memory, and times as ratios to a
//! peer's in the same run. Times by themselves depend on the machine: they are told beside their aim.

#![expect(clippy::unwrap_used, reason = "a bench that can't work has to stop")]
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[path = "../../tests/sample_plan/mod.rs"]
mod sample_plan;
#[path = "../../tests/sample_run/mod.rs"]
#[expect(dead_code, reason = "the tests need more of it")]
mod sample_run;

mod host;
mod screen;

use host::{Host, Running, SETS, STANZAS};
use screen::{QUIET, Screen};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Names the program to be measured, where it is not the one that was built with the bench.
const PROGRAM: &str = "LIFEBOAT_BENCH_PROGRAM";
/// A first screen is made so often; the fastest counts.
const STARTS: usize = 15;
const KEYS: usize = 200;
/// Between two keys, so that each is drawn for itself.
const HAND: Duration = Duration::from_millis(25);
/// What moves by itself is looked at for so long.
const WATCHED: Duration = Duration::from_secs(5);

/// Bounds of one size, in bytes.
struct Bounds {
    size: (u16, u16),
    page: usize,
    /// A cursor that moves where details change with it.
    details: usize,
    /// A cursor that moves in a list.
    row: usize,
}

const BOUNDS: [Bounds; 2] = [
    Bounds { size: (80, 24), page: 3 * 1024, details: 1024, row: 300 },
    Bounds { size: (120, 40), page: 8 * 1024, details: 1024, row: 300 },
];
const FIRST: usize = 6 * 1024;
const RESIDENT_KB: u64 = 32 * 1024;
/// To a peer that draws a whole screen of its own making; a pager that prints a line is told beside it.
const KEY_RATIO: f64 = 2.5;
/// To a peer that does the same. A pager opens a file and has no list of commands, no settings, no themes.
const FIRST_RATIO: f64 = 0.5;
const FIRST_RATIO_TO_PAGER: f64 = 8.0;

struct Verdicts {
    good: bool,
}

impl Verdicts {
    fn at_most(&mut self, what: &str, found: f64, most: f64, unit: &str) {
        let holds = found <= most;
        self.good &= holds;
        let word = if holds { "ok" } else { "TOO MUCH" };
        println!("  {what:<46} {found:>10.2} {unit:<8} at most {most} {word}");
    }
}

fn told(what: &str, found: Duration, aim: &str) {
    println!("  {what:<46} {:>10.3} ms      aim {aim}", millis(found));
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// PostgreSQL's files have an owner that is not root, and so has the console: the bench goes on as that one, from a folder
/// that it can enter.
fn as_owner() -> ExitCode {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (bench, program) = (folder.path().join("bench"), folder.path().join("lifeboat"));
    std::fs::copy(std::env::current_exe().unwrap(), &bench).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_lifeboat"), &program).unwrap();
    let words = ["--reuid", "postgres", "--regid", "postgres", "--init-groups", "--"];
    let ended = Command::new("setpriv").args(words).arg(bench).env(PROGRAM, program).current_dir("/").status().unwrap();
    if ended.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn main() -> ExitCode {
    if rustix::process::geteuid().is_root() {
        return as_owner();
    }
    let host = Host::new();
    let mut verdicts = Verdicts { good: true };
    println!("console, {} backup sets of {STANZAS} stanzas, pgbackrest takes two seconds to answer", STANZAS * SETS);
    before_anything_is_kept(&host, &mut verdicts);
    for bounds in &BOUNDS {
        println!("{}x{}", bounds.size.0, bounds.size.1);
        first_frames(&host, bounds, &mut verdicts);
        keys(&host, bounds, &mut verdicts);
        idle(&host, bounds, &mut verdicts);
    }
    let running = host.run();
    for bounds in &BOUNDS {
        println!("{}x{}, a run goes on", bounds.size.0, bounds.size.1);
        live(&host, &running, bounds, &mut verdicts);
    }
    memory(&host, &running, &mut verdicts);
    if verdicts.good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn console(host: &Host, size: (u16, u16), settings: &str) -> Screen {
    let settings = host.settings(settings);
    let program = std::env::var(PROGRAM).unwrap_or_else(|_| env!("CARGO_BIN_EXE_lifeboat").to_owned());
    Screen::start(size, &[&program, "--settings", settings.to_str().unwrap()], &[])
}

/// The first time of all: a picture at once, the sets when they are told, and nobody held them all.
fn before_anything_is_kept(host: &Host, verdicts: &mut Verdicts) {
    let screen = console(host, (80, 24), "minutes");
    let first = screen.wait_for("Asking pgbackrest") - screen.started;
    told("nothing kept: the first picture", first, "10");
    let all = screen.wait_for("no drill") - screen.started;
    told("nothing kept: all sets known", all, "none; pgbackrest took 2000");
    verdicts.at_most("resident after the inventory came", screen.resident_kb().0 as f64, RESIDENT_KB as f64, "kB");
    screen.end("q");
}

fn first_frames(host: &Host, bounds: &Bounds, verdicts: &mut Verdicts) {
    let (text, folder) = (host.text(), host.repository());
    let mut ours = Vec::new();
    let mut most = 0;
    for _ in 0..STARTS {
        let screen = console(host, bounds.size, "minutes");
        ours.push(screen.wait_for("last known") - screen.started);
        screen.settle(QUIET / 2);
        most = most.max(screen.bytes().0);
        assert!(screen.text().contains("asking pgbackrest"), "{}", screen.text());
        screen.end("q");
    }
    let peer = |argv: &[&str], sign: &str, key: &str| {
        let times = (0..STARTS).map(|_| {
            let screen = Screen::start(bounds.size, argv, &[("LESS", "-R")]);
            let took = screen.wait_for(sign) - screen.started;
            screen.end(key);
            took
        });
        fastest(&times.collect::<Vec<_>>())
    };
    let found = fastest(&ours);
    told("first frame, from exec to its last byte", found, "10");
    let mut ratios = Vec::new();
    for (argv, sign, key) in peers(&text, &folder) {
        let took = peer(&argv, sign, key);
        println!("    {:<44} {:>10.3} ms", argv[0], millis(took));
        ratios.push((found.as_secs_f64() / took.as_secs_f64(), argv[0]));
    }
    for (ratio, name) in ratios {
        let most = if name == "less" { FIRST_RATIO_TO_PAGER } else { FIRST_RATIO };
        verdicts.at_most(&format!("first frame to {name}'s"), ratio, most, "times");
    }
    verdicts.at_most("first frame", most as f64, FIRST as f64, "bytes");
}

/// Programs of the kind, where they are installed: how they are called, what their first screen shows, what ends them.
fn peers<'t>(text: &'t str, folder: &'t str) -> Vec<(Vec<&'t str>, &'static str, &'static str)> {
    let all = [
        (vec!["less", text], "line 0000010", "q"),
        (vec!["htop", "-d", "100"], "Quit", "q"),
        (vec!["gitui", "-d", folder], "Status", "q"),
    ];
    let is_there = |name: &str| {
        let folders = ["/usr/local/bin", "/usr/bin", "/bin"];
        folders.iter().any(|folder| std::path::Path::new(folder).join(name).exists())
    };
    all.into_iter().filter(|(argv, ..)| is_there(argv[0])).collect()
}

fn fastest(times: &[Duration]) -> Duration {
    times.iter().copied().min().unwrap()
}

/// The time at this part of all, in order.
fn at(times: &mut [Duration], hundredths: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * hundredths / 100).min(times.len() - 1)]
}

/// One key so often, then the next one.
fn in_rows(keys: &'static [&'static str], each: usize) -> impl Iterator<Item = &'static str> {
    keys.iter().flat_map(move |key| std::iter::repeat_n(*key, each))
}

/// Presses keys: the times to their first bytes, and the median of the bytes.
fn press(screen: &mut Screen, keys: impl Iterator<Item = &'static str>) -> (Vec<Duration>, usize) {
    let mut times = Vec::new();
    let mut bytes = Vec::new();
    let mut count = 0;
    for key in keys {
        count += 1;
        if let Some((time, sent)) = screen.key(key, HAND) {
            times.push(time);
            bytes.push(sent);
        }
    }
    assert!(times.len() > count / 2, "keys do nothing:\n{}", screen.text());
    bytes.sort_unstable();
    (times, bytes[bytes.len() / 2])
}

fn keys(host: &Host, bounds: &Bounds, verdicts: &mut Verdicts) {
    let mut screen = console(host, bounds.size, "minutes");
    screen.wait_for("read just now");
    screen.settle(Duration::from_secs(1));
    let (mut times, details) = press(&mut screen, in_rows(&["k", "j", "k", "j"], KEYS / 4));
    let (_, page) = press(&mut screen, in_rows(&["\x1b[5~", "\x1b[6~"], 4));
    screen.send("s");
    screen.wait_for("cluster0001");
    screen.settle(QUIET);
    let (mut popup, row) = press(&mut screen, in_rows(&["\x1b[B", "\x1b[A"], KEYS / 2));
    screen.send("\x1b");
    screen.settle(QUIET);
    screen.end("q");
    let mut peer_times = Vec::new();
    let (text, folder) = (host.text(), host.repository());
    for (argv, sign, key) in peers(&text, &folder) {
        let mut peer = Screen::start(bounds.size, &argv, &[]);
        peer.wait_for(sign);
        peer.settle(QUIET);
        let (mut times, bytes) = press(&mut peer, in_rows(&["\x1b[B"], KEYS / 2));
        let (half, most) = (at(&mut times, 50), at(&mut times, 99));
        println!("    {:<30} key p50 {:.3} ms, p99 {:.3} ms, {bytes} bytes", argv[0], millis(half), millis(most));
        peer_times.push((half, argv[0].to_owned()));
        peer.end(key);
    }
    let half = at(&mut times, 50);
    told("key to bytes, p50", half, "0.3");
    told("key to bytes, p99", at(&mut times, 99), "2");
    told("key to bytes in a list, p50", at(&mut popup, 50), "0.3");
    told("key to bytes in a list, p99", at(&mut popup, 99), "2");
    for (peer, name) in peer_times.iter().filter(|(_, name)| name != "less") {
        verdicts.at_most(&format!("key p50 to {name}'s"), half.as_secs_f64() / peer.as_secs_f64(), KEY_RATIO, "times");
    }
    verdicts.at_most("a moved cursor row", row as f64, bounds.row as f64, "bytes");
    verdicts.at_most("a moved cursor, details and all", details as f64, bounds.details as f64, "bytes");
    verdicts.at_most("a page", page as f64, bounds.page as f64, "bytes");
}

/// Nothing happens.
fn idle(host: &Host, bounds: &Bounds, verdicts: &mut Verdicts) {
    let still = console(host, bounds.size, "minutes");
    let ticking = console(host, bounds.size, "seconds");
    for screen in [&still, &ticking] {
        screen.wait_for("read just now");
    }
    std::thread::sleep(Duration::from_secs(2));
    // The age of the data changes a few times in its first minutes: that is news, and none of this.
    for screen in [&still, &ticking] {
        screen.settle(Duration::from_millis(700));
    }
    // The minute changes once in a minute.
    let second = chrono::Utc::now().timestamp() % 60;
    if second + WATCHED.as_secs() as i64 + 2 > 60 {
        std::thread::sleep(Duration::from_secs(61 - second as u64));
        still.settle(QUIET);
    }
    let before = (still.bytes().0, still.sleeps(), ticking.bytes().0);
    std::thread::sleep(WATCHED);
    verdicts.at_most("idle, no seconds shown", (still.bytes().0 - before.0) as f64, 0.0, "bytes");
    verdicts.at_most("idle, no seconds shown", (still.sleeps() - before.1) as f64, 0.0, "wake-ups");
    let second = (ticking.bytes().0 - before.2) as f64 / WATCHED.as_secs_f64();
    verdicts.at_most("idle, with seconds", second, 40.0, "bytes/s");
    still.end("q");
    ticking.end("q");
}

/// A restore that goes on.
fn live(host: &Host, running: &Running, bounds: &Bounds, verdicts: &mut Verdicts) {
    running.print(0, 100);
    let mut screen = console(host, bounds.size, "seconds");
    screen.wait_for("A run is on");
    screen.send("\r");
    screen.wait_for("restore file");
    // Long lines whole: what differs between them stands at their ends.
    screen.send("w");
    std::thread::sleep(Duration::from_secs(3));
    let (bytes, frames) = printing(running, &screen, 2_000);
    verdicts.at_most("a restore with its output", bytes, 8.0 * 1024.0, "bytes/s");
    verdicts.at_most("a restore with its output", frames, 4.2, "writes/s");
    // Back to the beginning of the output, which stands still; the progress goes on.
    screen.send("\x1b[H");
    std::thread::sleep(Duration::from_secs(2));
    let (bytes, _) = printing(running, &screen, 2_000);
    verdicts.at_most("a restore, only its progress", bytes, 400.0, "bytes/s");
    // Followed again, while a step prints a million lines.
    screen.send("\x1b[F");
    screen.settle(HAND);
    let ended = std::sync::atomic::AtomicBool::new(false);
    let (mut times, _) = std::thread::scope(|scope| {
        scope.spawn(|| {
            running.print(10_000_000, 1_000_000);
            ended.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        press(&mut screen, ["k", "j"].into_iter().cycle().take(KEYS / 2))
    });
    told("key while a million lines come, p50", at(&mut times, 50), "0.3");
    told("key while a million lines come, p99", at(&mut times, 99), "2");
    screen.end("q");
}

/// So many lines a second, for a while: bytes and writes to the terminal a second.
fn printing(running: &Running, screen: &Screen, lines_a_second: u64) -> (f64, f64) {
    let before = screen.bytes();
    let begun = Instant::now();
    let mut line = 0;
    while begun.elapsed() < WATCHED {
        running.print(line, lines_a_second / 20);
        line += lines_a_second / 20;
        std::thread::sleep(Duration::from_millis(50));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = screen.bytes();
    ((after.0 - before.0) as f64 / seconds, (after.1 - before.1) as f64 / seconds)
}

/// 200,000 sets and an output of ten million lines.
fn memory(host: &Host, running: &Running, verdicts: &mut Verdicts) {
    println!("an output of ten million lines open, 120x40");
    std::fs::remove_file(&running.output).unwrap();
    host::short_lines(&running.output, 10_000_000);
    let mut screen = console(host, (120, 40), "minutes");
    screen.wait_for("A run is on");
    screen.wait_for("read just now");
    screen.send("\r");
    screen.wait_for("line 9999999");
    screen.send("\x1b[H");
    screen.wait_for("line 0000001");
    screen.send("/");
    screen.wait_for("Search the output for");
    screen.send("line 9990000\r");
    screen.wait_for("line 9990001");
    screen.send("\x1b[5~");
    screen.settle(QUIET);
    screen.send("1");
    screen.wait_for("Backup sets");
    for _ in 0..20 {
        screen.key("k", HAND);
    }
    let (all, anonymous) = screen.resident_kb();
    println!("    of it without a file behind it {anonymous} kB");
    verdicts.at_most("resident", all as f64, RESIDENT_KB as f64, "kB");
    screen.end("q");
}
