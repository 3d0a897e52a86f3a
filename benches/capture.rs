//! What it costs to have a command's output captured by a step process: a million lines against a plain redirect to a
//! file, eleven alternating pairs, and the fixed cost of a step. Fails when the median ratio is above 1.1.
//!
//! It executes itself again as the step process and as the producer, so that both sides run the same program.

#![expect(clippy::unwrap_used, reason = "a bench that can't go on may panic")]

use lifeboat::domain::event::Exit;
use lifeboat::domain::plan::StepId;
use lifeboat::engine::clock;
use lifeboat::engine::step_process::{self, Launcher, StepSpec, step_process_main};
use std::collections::BTreeMap;
use std::io::{BufWriter, LineWriter, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const LINES: u32 = 1_000_000;
const PAIRS: usize = 11;
const HIGHEST_RATIO: f64 = 1.1;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["produce", how] => produce(how),
        ["internal", "step-process", "--folder", folder] => {
            ExitCode::from(u8::try_from(step_process_main(Path::new(folder))).unwrap())
        }
        _ => measure(),
    }
}

/// A million lines like those of a restore's log, about 160 bytes each; in `blocks` of 64 KiB or one by one.
fn produce(how: &str) -> ExitCode {
    let file = std::fs::File::from(rustix::io::dup(rustix::stdio::stdout()).unwrap());
    let mut out: Box<dyn Write> = match how {
        "blocks" => Box::new(BufWriter::with_capacity(64 * 1024, file)),
        _ => Box::new(LineWriter::new(file)),
    };
    for number in 0..LINES {
        let (second, percent) = (number / 1000, f64::from(number) * 100.0 / f64::from(LINES));
        let checksum = u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        writeln!(
            out,
            "2024-05-01 {:02}:{:02}:{:02}.{:03} P{:02} DETAIL: restore file /var/lib/postgresql/15/main/base/16384/{number:08} \
             (8MB, {percent:.2}%) checksum {checksum:016x}{checksum:016x}{second:08x}",
            second / 3600 % 24,
            second / 60 % 60,
            second % 60,
            number % 1000,
            number % 4,
        )
        .unwrap();
    }
    out.flush().unwrap();
    ExitCode::SUCCESS
}

fn measure() -> ExitCode {
    let directory = tempfile::tempdir().unwrap();
    let me = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let mut out = std::io::stdout().lock();

    let blocks = pairs(directory.path(), &me, "blocks");
    writeln!(out, "a million lines in blocks of 64 KiB, median of {PAIRS} pairs:").unwrap();
    writeln!(out, "  redirect {:.3} s, step process {:.3} s, ratio {:.3}", blocks.plain, blocks.step, blocks.ratio)
        .unwrap();
    let lines = pairs(directory.path(), &me, "lines");
    writeln!(out, "a million lines, each written alone:").unwrap();
    writeln!(out, "  redirect {:.3} s, step process {:.3} s, ratio {:.3}", lines.plain, lines.step, lines.ratio)
        .unwrap();
    for (name, script) in [
        ("tee", r#""$0" produce blocks | tee "$1" > /dev/null"#),
        ("script", r#"script -q -c "'$0' produce blocks" "$1" > /dev/null"#),
    ] {
        if installed(name) {
            let time = median((0..5).map(|_| shell(script, directory.path(), &me)).collect());
            writeln!(out, "  beside it, in blocks: {name} {time:.3} s").unwrap();
        }
    }
    let fixed = median((0..41).map(|_| step(directory.path(), &["true".to_owned()])).collect());
    writeln!(out, "a step that does nothing, start to outcome: {:.1} ms (aim: 20 ms)", fixed * 1000.0).unwrap();

    if blocks.ratio <= HIGHEST_RATIO {
        ExitCode::SUCCESS
    } else {
        writeln!(out, "FAILED: the ratio {:.3} is above {HIGHEST_RATIO}", blocks.ratio).unwrap();
        ExitCode::FAILURE
    }
}

struct Figures {
    plain: f64,
    step: f64,
    ratio: f64,
}

fn pairs(directory: &Path, me: &str, how: &str) -> Figures {
    let plain_script = format!(r#"exec "$0" produce {how} > "$1""#);
    let argv = [me.to_owned(), "produce".to_owned(), how.to_owned()];
    let (mut plain, mut steps, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..=PAIRS {
        // Neither side is always the first.
        let (redirect, captured) = if pair % 2 == 0 {
            let redirect = shell(&plain_script, directory, me);
            (redirect, step(directory, &argv))
        } else {
            let captured = step(directory, &argv);
            (shell(&plain_script, directory, me), captured)
        };
        // The first pair warms up.
        if pair > 0 {
            plain.push(redirect);
            steps.push(captured);
            ratios.push(captured / redirect);
        }
    }
    Figures { plain: median(plain), step: median(steps), ratio: median(ratios) }
}

/// Seconds of a script that gets this program as `$0` and a file to write to as `$1`.
fn shell(script: &str, directory: &Path, me: &str) -> f64 {
    let file = directory.join("redirected");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script, me]).arg(&file).stdin(Stdio::null());
    let begun = Instant::now();
    assert!(command.status().unwrap().success(), "{script}");
    let time = begun.elapsed();
    assert!(std::fs::metadata(&file).unwrap().len() > u64::from(LINES) * 150);
    std::fs::remove_file(file).unwrap();
    settle();
    time.as_secs_f64()
}

/// Seconds from start to the outcome of a step.
fn step(directory: &Path, argv: &[String]) -> f64 {
    let folder = directory.join("01");
    let spec = StepSpec {
        run: clock::random_run_id().unwrap(),
        position: 1,
        step: StepId::new("restore").unwrap(),
        attempt: 1,
        is_lifeboat: false,
        argv: argv.to_vec(),
        directory: directory.to_owned(),
        stdout_is_data: false,
        release: false,
    };
    let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    let launcher = Launcher {
        program: std::env::current_exe().unwrap(),
        leading_arguments: vec!["internal".into(), "step-process".into()],
    };
    let begun = Instant::now();
    let mut started = step_process::start(&folder, &spec, &environment, &launcher).unwrap();
    step_process::wait_until_dead(&folder).unwrap();
    let outcome = step_process::outcome(&folder).unwrap().unwrap();
    let time = begun.elapsed();
    assert_eq!(outcome.exit, Exit::Code(0));
    started.reap().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    settle();
    time.as_secs_f64()
}

/// What one side has left to the disk must not be paid for by the other.
fn settle() {
    rustix::fs::sync();
    std::thread::sleep(Duration::from_millis(20));
}

fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).status().is_ok()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
