//! The step process with real processes: what it promises about a command, its output, its leftovers and its end.
//!
//! This test has a `main` of its own, because it executes itself again: `internal step-process --folder F` makes it a
//! step process. Arguments without a dash choose tests by a part of their name.

#![expect(clippy::unwrap_used, reason = "a test that can't go on may panic")]

use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{Exit, Outcome, OutputDigest};
use lifeboat::domain::plan::StepId;
use lifeboat::engine::clock;
use lifeboat::engine::processes::{self, GRACE, Mark, ProcessId, Sign, Survivor};
use lifeboat::engine::step_process::{self, Claim, Launcher, StartError, Started, StepSpec, own, step_process_main};
use rustix::process::{Pid, Signal};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), $name as fn())),*] };
}

const TESTS: &[(&str, fn())] = tests![
    output_is_one_ordered_file,
    stdout_that_is_data_is_apart,
    output_stays_raw,
    digest_follows_what_arrives_bit_by_bit,
    outcome_tells_the_exit_code,
    outcome_tells_the_signal,
    outcome_tells_what_could_not_be_started,
    environment_is_exact_and_not_on_the_disk,
    command_inherits_nothing_but_the_lock,
    folder_is_private,
    leftovers_are_ended_and_counted,
    stubborn_leftovers_are_killed,
    main_process_killed,
    step_process_killed,
    step_process_stays_through_signals,
    step_process_has_its_own_session,
    terminate_ends_the_command_and_keeps_the_outcome,
    terminate_before_the_start_prevents_it,
    second_start_is_refused,
    claim_taken_first_prevents_the_start,
    claim_is_decided_once,
    step_process_that_gives_up_says_why,
    step_process_lost_after_its_claim_is_not_called_never_begun,
    full_disk_is_told,
    no_room_means_no_start,
    waiting_costs_no_wake_ups,
    a_run_is_found_by_its_mark,
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [internal, step_process, folder_option, folder] = arguments.as_slice()
        && internal == "internal"
        && step_process == "step-process"
        && folder_option == "--folder"
    {
        return ExitCode::from(u8::try_from(step_process_main(Path::new(folder))).unwrap());
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut out = std::io::stdout().lock();
    let mut failed = 0;
    for (name, test) in TESTS {
        if wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())) {
            let good = std::panic::catch_unwind(test).is_ok();
            failed += u32::from(!good);
            writeln!(out, "test {name} ... {}", if good { "ok" } else { "FAILED" }).unwrap();
        }
    }
    writeln!(out, "{failed} failed").unwrap();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

// What the tests stand on.

/// A run of one step in a fresh directory. Nothing of it may be left when it goes.
struct Place {
    directory: tempfile::TempDir,
    spec: StepSpec,
    environment: BTreeMap<String, String>,
}

impl Place {
    fn new(argv: &[&str]) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let spec = StepSpec {
            run: clock::random_run_id().unwrap(),
            position: 3,
            step: StepId::new("restore").unwrap(),
            attempt: 1,
            is_lifeboat: false,
            argv: argv.iter().map(ToString::to_string).collect(),
            directory: directory.path().to_owned(),
            stdout_is_data: false,
            release: false,
        };
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        Place { directory, spec, environment }
    }

    fn shell(script: &str) -> Place {
        Place::new(&["sh", "-c", script])
    }

    fn folder(&self) -> PathBuf {
        self.directory.path().join("03")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn mark(&self) -> Mark {
        self.spec.mark()
    }

    fn start(&self) -> Started {
        self.try_start().unwrap()
    }

    fn try_start(&self) -> Result<Started, StartError> {
        step_process::start(&self.folder(), &self.spec, &self.environment, &launcher())
    }

    /// From start to outcome.
    fn run(&self) -> Outcome {
        let mut started = self.start();
        step_process::wait_until_dead(&self.folder()).unwrap();
        started.reap().unwrap();
        self.outcome().unwrap()
    }

    fn outcome(&self) -> Option<Outcome> {
        step_process::outcome(&self.folder()).unwrap()
    }

    fn output(&self) -> Vec<u8> {
        fs::read(self.folder().join(step_process::OUTPUT)).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.output()).unwrap()
    }

    fn main_process(&self) -> ProcessId {
        step_process::started(&self.folder()).unwrap().unwrap().process
    }

    fn alive(&self) -> bool {
        step_process::is_alive(&self.folder()).unwrap()
    }

    fn survivors(&self) -> Vec<Survivor> {
        step_process::survivors(&self.folder(), &self.mark()).unwrap()
    }

    /// Waits until the command has made a file.
    fn wait_for(&self, name: &str) -> String {
        let mut text = None;
        wait_until(&format!("{name} is written"), || {
            text = fs::read_to_string(self.file(name)).ok().filter(|text| text.ends_with('\n'));
            text.is_some()
        });
        text.unwrap().trim().to_owned()
    }

    fn wait_for_pid(&self, name: &str) -> ProcessId {
        ProcessId::of(self.wait_for(name).parse().unwrap()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let found = processes::survivors(&[Sign::Run(self.spec.run.clone())], &[]).unwrap();
        processes::end(&found, Duration::ZERO).unwrap();
        assert!(std::thread::panicking() || found.is_empty(), "the test left processes behind: {found:?}");
    }
}

fn launcher() -> Launcher {
    Launcher {
        program: std::env::current_exe().unwrap(),
        leading_arguments: vec!["internal".into(), "step-process".into()],
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("30 s passed and not yet: {what}");
}

fn signal(pid: u32, signal: Signal) {
    rustix::process::kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

fn digest_of(bytes: &[u8]) -> OutputDigest {
    OutputDigest { bytes: bytes.len() as u64, sha256: Digest::of(bytes) }
}

// Output.

fn output_is_one_ordered_file() {
    let place = Place::shell("echo one; echo two >&2; echo three; echo four >&2");
    let outcome = place.run();
    assert_eq!(place.text(), "one\ntwo\nthree\nfour\n");
    assert_eq!(outcome.exit, Exit::Code(0));
    assert_eq!(outcome.output, digest_of(b"one\ntwo\nthree\nfour\n"));
    assert_eq!((outcome.errors, outcome.leftovers), (None, 0));
    assert_eq!(outcome.boot_id, clock::boot_id());
    assert!(!place.folder().join(step_process::ERRORS).exists());
}

fn stdout_that_is_data_is_apart() {
    let mut place = Place::shell("echo data; echo trouble >&2");
    place.spec.stdout_is_data = true;
    let outcome = place.run();
    assert_eq!(place.text(), "data\n");
    assert_eq!(fs::read(place.folder().join(step_process::ERRORS)).unwrap(), b"trouble\n");
    assert_eq!((outcome.output, outcome.errors), (digest_of(b"data\n"), Some(digest_of(b"trouble\n"))));
}

fn output_stays_raw() {
    let place = Place::shell(r"printf '\033[2J\000\377\302\233\r\342\200\256 no newline'");
    let outcome = place.run();
    let raw = b"\x1b[2J\x00\xff\xc2\x9b\r\xe2\x80\xae no newline";
    assert_eq!(place.output(), raw);
    assert_eq!(outcome.output, digest_of(raw));
}

fn digest_follows_what_arrives_bit_by_bit() {
    let place = Place::shell("for i in 1 2 3 4 5 6; do head -c 300000 /dev/urandom; sleep 0.05; done");
    let outcome = place.run();
    assert_eq!(outcome.output, digest_of(&place.output()));
    assert_eq!(outcome.output.bytes, 1_800_000);
}

// The end.

fn outcome_tells_the_exit_code() {
    let place = Place::shell("exit 82");
    assert_eq!(place.run().exit, Exit::Code(82));
    assert!(!place.alive());
    assert!(place.survivors().is_empty());
}

fn outcome_tells_the_signal() {
    assert_eq!(Place::shell("kill -TERM $$").run().exit, Exit::Signal(15));
}

fn outcome_tells_what_could_not_be_started() {
    let missing = Place::new(&["no-such-program-at-all"]);
    let outcome = missing.run();
    assert_eq!(outcome.exit, Exit::NotStarted(2));
    assert_eq!(outcome.output, digest_of(b""));
    assert_eq!(step_process::started(&missing.folder()).unwrap(), None);
    let log = fs::read_to_string(missing.folder().join("step-process.log")).unwrap();
    assert!(log.contains("no-such-program-at-all"), "{log}");

    assert_eq!(Place::new(&["/etc/passwd"]).run().exit, Exit::NotStarted(13));

    let mut homeless = Place::new(&["true"]);
    homeless.spec.directory = homeless.file("not there");
    assert_eq!(homeless.run().exit, Exit::NotStarted(2));

    let nothing = Place::new(&[]);
    assert!(nothing.try_start().unwrap_err().never_began());
}

// What the command is given.

fn environment_is_exact_and_not_on_the_disk() {
    let mut place = Place::new(&["env"]);
    place.environment.insert("PGBACKREST_REPO1_CIPHER_PASS".to_owned(), "hush-hush-4711".to_owned());
    place.environment.insert("EMPTY".to_owned(), String::new());
    place.spec.argv = vec!["sh".to_owned(), "-c".to_owned(), "tr '\\0' '\\n' < /proc/self/environ > seen".to_owned()];
    place.run();
    let seen = fs::read_to_string(place.file("seen")).unwrap();
    fs::remove_file(place.file("seen")).unwrap();
    let mut seen: Vec<&str> = seen.lines().filter(|line| !line.starts_with("PWD=")).collect();
    seen.sort_unstable();
    let mark = format!("LIFEBOAT_STEP={}/3/1", place.spec.run);
    let pass = "PGBACKREST_REPO1_CIPHER_PASS=hush-hush-4711";
    assert_eq!(seen, ["EMPTY=", mark.as_str(), "PATH=/usr/bin:/bin", pass]);
    for file in fs::read_dir(place.folder()).unwrap() {
        let path = file.unwrap().path();
        assert!(!String::from_utf8_lossy(&fs::read(&path).unwrap()).contains("hush-hush"), "{}", path.display());
    }
}

fn command_inherits_nothing_but_the_lock() {
    let script = "for f in /proc/$$/fd/*; do readlink $f; done; grep SigIgn /proc/$$/status; pwd";
    let place = Place::shell(script);
    place.run();
    let folder = fs::canonicalize(place.folder()).unwrap();
    let text = place.text();
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.pop(), Some(fs::canonicalize(place.directory.path()).unwrap().to_str().unwrap()));
    // 32 and 33 belong to the C library's threads; its posix_spawn ignores them.
    let ignored = u64::from_str_radix(lines.pop().unwrap().strip_prefix("SigIgn:\t").unwrap(), 16).unwrap();
    assert_eq!(ignored & 0x7fff_ffff, 0, "signals do by default what they do");
    let expected =
        ["/dev/null".to_owned(), format!("{}/alive", folder.display()), format!("{}/output", folder.display())];
    lines.sort_unstable();
    lines.dedup();
    // What whoever started this test passed down open (cargo does) can't be closed without unsafe code.
    let passed_down = inherited();
    lines.retain(|line| {
        expected.iter().any(|ours| ours == line) || !passed_down.iter().any(|link| link == Path::new(line))
    });
    assert_eq!(lines, expected);
}

/// What the descriptors of this process point at that are not closed on exec, apart from the standard ones.
fn inherited() -> Vec<PathBuf> {
    let mut links = Vec::new();
    for entry in fs::read_dir("/proc/self/fd").unwrap() {
        let path = entry.unwrap().path();
        let number: u32 = path.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let Ok(info) = fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else { continue };
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let closed_on_exec = u32::from_str_radix(flags.trim(), 8).unwrap() & rustix::fs::OFlags::CLOEXEC.bits() != 0;
        if number > 2 && !closed_on_exec {
            links.push(fs::read_link(path).unwrap());
        }
    }
    links
}

fn folder_is_private() {
    let place = Place::shell("true");
    place.run();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.folder()), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(place.folder()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    names.sort();
    let expected = ["alive", "claim", "command.json", "outcome.json", "output", "started.json", "step-process.log"];
    assert_eq!(names, expected);
}

// Leftovers and killing.

fn leftovers_are_ended_and_counted() {
    for script in [
        "sleep 1000 & echo $! > child; exit 3",
        "setsid sleep 1000 & echo $! > child; exit 3",
        // Neither mark nor lock: found by descent.
        "env -i /usr/bin/setsid /usr/bin/sleep 1000 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- & echo $! > child; exit 3",
    ] {
        let place = Place::shell(script);
        let outcome = place.run();
        assert_eq!((outcome.exit, outcome.leftovers), (Exit::Code(3), 1), "{script}");
        assert!(!place.alive());
        let child = fs::read_to_string(place.file("child")).unwrap().trim().parse().unwrap();
        assert!(ProcessId::of(child).is_err(), "ended and reaped: {script}");
    }
}

fn stubborn_leftovers_are_killed() {
    let place = Place::shell(
        "(trap '' TERM; echo deaf > deaf; while :; do sleep 0.1; done) & while [ ! -s deaf ]; do sleep 0.01; done; exit 0",
    );
    let outcome = place.run();
    assert_eq!(outcome.exit, Exit::Code(0));
    assert!(outcome.leftovers >= 1);
    assert!(!place.alive());
}

fn main_process_killed() {
    let place = Place::shell("sleep 1000 & echo $! > child; wait");
    let mut started = place.start();
    let child = place.wait_for_pid("child");
    signal(place.main_process().pid, Signal::KILL);
    step_process::wait_until_dead(&place.folder()).unwrap();
    started.reap().unwrap();
    let outcome = place.outcome().unwrap();
    assert_eq!((outcome.exit, outcome.leftovers), (Exit::Signal(9), 1));
    assert!(!child.is_running());
}

fn step_process_killed() {
    // The second sleep has cleared its environment, as PostgreSQL's processes do: only the lock gives it away.
    let script =
        "echo begun; sleep 1000 & echo $! > child; env -i sleep 1000 & echo $! > bare; read x < stop; echo ended";
    let place = Place::shell(script);
    rustix::fs::mknodat(rustix::fs::CWD, place.file("stop"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut started = place.start();
    let (child, bare) = (place.wait_for_pid("child"), place.wait_for_pid("bare"));
    wait_until("the environment is cleared", || {
        fs::read(format!("/proc/{}/environ", bare.pid)).unwrap().is_empty() && bare.is_running()
    });
    signal(started.step_process_pid(), Signal::KILL);
    started.reap().unwrap();

    assert!(place.alive(), "the command holds the lock");
    assert_eq!(step_process::take_claim(&place.folder()).unwrap(), Claim::Began);
    assert!(place.main_process().is_running(), "killing the step process does not touch the command");
    let found: Vec<ProcessId> = place.survivors().iter().map(|survivor| survivor.process).collect();
    let mut expected = [place.main_process(), child, bare];
    expected.sort_by_key(|process| process.pid);
    assert_eq!(found, expected);

    fs::write(place.file("stop"), "\n").unwrap();
    wait_until("the main process ended", || !place.main_process().is_running());
    assert_eq!(place.text(), "begun\nended\n");
    assert!(place.alive(), "its children still hold the lock");
    let ended = step_process::terminate(&place.folder(), &place.mark(), GRACE).unwrap();
    assert_eq!((ended.asked, ended.killed), (2, 0));
    step_process::wait_until_dead(&place.folder()).unwrap();
    assert_eq!(place.outcome(), None, "nobody saw the end");
}

fn step_process_stays_through_signals() {
    let place = Place::shell("echo begun > begun; read x < stop; exit 7");
    rustix::fs::mknodat(rustix::fs::CWD, place.file("stop"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut started = place.start();
    place.wait_for("begun");
    for number in [Signal::TERM, Signal::HUP, Signal::INT, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::PIPE] {
        signal(started.step_process_pid(), number);
    }
    fs::write(place.file("stop"), "\n").unwrap();
    step_process::wait_until_dead(&place.folder()).unwrap();
    started.reap().unwrap();
    assert_eq!(place.outcome().unwrap().exit, Exit::Code(7));
}

fn step_process_has_its_own_session() {
    let place = Place::shell("echo begun > begun; sleep 1000");
    let mut started = place.start();
    place.wait_for("begun");
    let pid = Pid::from_raw(i32::try_from(started.step_process_pid()).unwrap());
    assert_eq!(rustix::process::getsid(pid).ok(), pid);
    step_process::terminate(&place.folder(), &place.mark(), GRACE).unwrap();
    started.reap().unwrap();
}

fn terminate_ends_the_command_and_keeps_the_outcome() {
    let place = Place::shell("setsid sleep 1000 & echo begun > begun; sleep 1000");
    let mut started = place.start();
    place.wait_for("begun");
    let ended = step_process::terminate(&place.folder(), &place.mark(), GRACE).unwrap();
    assert!(ended.asked >= 2, "{ended:?}");
    assert_eq!((ended.killed, ended.left), (0, vec![]));
    step_process::wait_until_dead(&place.folder()).unwrap();
    started.reap().unwrap();
    assert_eq!(place.outcome().unwrap().exit, Exit::Signal(15));
}

fn terminate_before_the_start_prevents_it() {
    let place = Place::shell("echo ran > ran");
    step_process::terminate(&place.folder(), &place.mark(), GRACE).unwrap();
    assert!(place.try_start().unwrap_err().never_began());
    assert!(!place.file("ran").exists());
}

// Who may start.

fn second_start_is_refused() {
    let place = Place::shell("echo ran >> ran");
    place.run();
    let error = place.try_start().unwrap_err();
    assert!(matches!(&error, StartError::Folder(_)) && error.never_began(), "{error}");
    // Nor does a step process that is executed by hand.
    assert!(!by_hand(&place).success());
    assert_eq!(fs::read_to_string(place.file("ran")).unwrap(), "ran\n");
    assert_eq!(place.outcome().unwrap().exit, Exit::Code(0));
}

fn claim_taken_first_prevents_the_start() {
    let place = Place::shell("echo ran > ran");
    fs::create_dir(place.folder()).unwrap();
    fs::write(place.folder().join("command.json"), serde_json::to_vec(&place.spec).unwrap()).unwrap();
    for _ in 0..2 {
        assert_eq!(step_process::take_claim(&place.folder()).unwrap(), Claim::NeverBegan);
    }
    assert!(!by_hand(&place).success());
    assert!(!place.file("ran").exists() && !place.folder().join("output").exists());
    assert_eq!((place.outcome(), place.alive()), (None, false));

    // Without a folder too: a runner may have died before it made one.
    let early = Place::shell("echo ran > ran");
    assert_eq!(step_process::take_claim(&early.folder()).unwrap(), Claim::NeverBegan);
    assert!(early.try_start().unwrap_err().never_began());
    assert!(!early.file("ran").exists());
}

/// Executes the step process without [`step_process::start`].
fn by_hand(place: &Place) -> std::process::ExitStatus {
    let launcher = launcher();
    let mut command = Command::new(launcher.program);
    command.args(launcher.leading_arguments).arg("--folder").arg(place.folder());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

/// A starting step process and a runner that takes over at any moment: the command runs, or it is proven not to.
fn claim_is_decided_once() {
    let (mut began, mut never) = (0, 0);
    for round in 0..60u64 {
        let place = Place::shell("echo ran > ran");
        let asked = AtomicBool::new(false);
        let (start, claim) = std::thread::scope(|scope| {
            let start = scope.spawn(|| {
                let start = place.try_start();
                asked.store(true, Ordering::SeqCst);
                start
            });
            while !place.folder().join("command.json").exists() && !asked.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_micros(round * 250));
            let claim = step_process::take_claim(&place.folder()).unwrap();
            (start.join().unwrap(), claim)
        });
        step_process::wait_until_dead(&place.folder()).unwrap();
        assert_eq!(place.file("ran").exists(), claim == Claim::Began);
        assert_eq!(place.outcome().is_some(), claim == Claim::Began);
        match start {
            Ok(mut started) => {
                started.reap().unwrap();
                assert_eq!(claim, Claim::Began);
                began += 1;
            }
            Err(error) => {
                assert!(error.never_began() && claim == Claim::NeverBegan, "{error}");
                never += 1;
            }
        }
    }
    assert!(never > 0, "{began} began, {never} did not: the rounds never met the interesting moment");
}

fn step_process_that_gives_up_says_why() {
    let place = Place::shell("echo ran > ran");
    let deaf =
        Launcher { program: "/bin/sh".into(), leading_arguments: vec!["-c".into(), "echo gave up: \x1b >&2".into()] };
    let error = step_process::start(&place.folder(), &place.spec, &place.environment, &deaf).unwrap_err();
    assert!(matches!(&error, StartError::NeverBegan { log, .. } if log == "gave up: \\u{1b}"), "{error}");
    assert!(error.never_began());
    assert_eq!(step_process::take_claim(&place.folder()).unwrap(), Claim::NeverBegan);

    let nowhere = Place::shell("true");
    let absent = Launcher { program: "/nonexistent/lifeboat".into(), leading_arguments: vec![] };
    let error = step_process::start(&nowhere.folder(), &nowhere.spec, &nowhere.environment, &absent).unwrap_err();
    assert!(matches!(&error, StartError::Execute { .. }), "{error}");

    // By hand, without a command.
    assert!(own(&nowhere.file("missing")).is_err());
}

fn step_process_lost_after_its_claim_is_not_called_never_begun() {
    let place = Place::shell("true");
    // Claims as a step process does, and dies before it has done or said anything.
    let claim = format!(
        r#"{{"by":"step_process","pid":1,"start_ticks":0,"boot_id":"{}","at":"2024-05-01T10:00:00+00:00"}}"#,
        clock::boot_id()
    );
    let script = format!("echo '{claim}' > \"$2/claim\"; echo lost >&2");
    let lost = Launcher { program: "/bin/sh".into(), leading_arguments: vec!["-c".into(), script.into(), "sh".into()] };
    let error = step_process::start(&place.folder(), &place.spec, &place.environment, &lost).unwrap_err();
    assert!(matches!(&error, StartError::Lost { .. }) && !error.never_began(), "{error}");
    assert_eq!(step_process::take_claim(&place.folder()).unwrap(), Claim::Began);
}

// A full disk.

/// A small file system of its own. Needs root, itself or through `sudo -n`: without it the test fails, it does not
/// skip.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn new(place: &Place, size: &str) -> SmallDisk {
        let path = place.file("disk");
        fs::create_dir(&path).unwrap();
        let owner = format!("size={size},mode=0700,uid={}", rustix::process::geteuid().as_raw());
        as_root(&["mount", "-t", "tmpfs", "-o", &owner, "tmpfs", path.to_str().unwrap()]);
        SmallDisk(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        as_root(&["umount", self.0.to_str().unwrap()]);
    }
}

fn as_root(argv: &[&str]) {
    let sudo: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["sudo", "-n"] };
    let argv = [sudo, argv].concat();
    assert!(Command::new(argv[0]).args(&argv[1..]).status().unwrap().success(), "{argv:?}: this test needs root");
}

fn full_disk_is_told() {
    let place = Place::shell("head -c 20000000 /dev/zero; echo status $? > status");
    let disk = SmallDisk::new(&place, "4m");
    let folder = disk.0.join("03");
    let mut started = step_process::start(&folder, &place.spec, &place.environment, &launcher()).unwrap();
    step_process::wait_until_dead(&folder).unwrap();
    started.reap().unwrap();
    assert_eq!(fs::read_to_string(place.file("status")).unwrap(), "status 1\n", "the command could not write on");
    let outcome = step_process::outcome(&folder).unwrap().expect("the outcome has its room");
    let output = fs::read(folder.join(step_process::OUTPUT)).unwrap();
    assert!(output.len() > 1_000_000 && output.len() < 4_200_000, "{}", output.len());
    assert_eq!(outcome.output, digest_of(&output));
}

fn no_room_means_no_start() {
    let place = Place::shell("echo ran > ran");
    let disk = SmallDisk::new(&place, "256k");
    let folder = disk.0.join("03");
    let error = step_process::start(&folder, &place.spec, &place.environment, &launcher()).unwrap_err();
    assert!(error.never_began() && error.to_string().contains("No space left"), "{error}");
    assert!(!place.file("ran").exists());
}

// What it costs, and finding.

fn waiting_costs_no_wake_ups() {
    let place = Place::shell("echo begun > begun; exec sleep 1000");
    let mut started = place.start();
    place.wait_for("begun");
    let switches = || -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", started.step_process_pid())).unwrap();
        let of_task = |task: fs::DirEntry| -> u64 {
            let status = fs::read_to_string(task.path().join("status")).unwrap();
            status.lines().filter(|line| line.contains("ctxt_switches")).map(number_in).sum()
        };
        tasks.map(|task| of_task(task.unwrap())).sum()
    };
    // Let it come to rest; from then on nothing may happen in it, however long that takes.
    std::thread::sleep(Duration::from_millis(300));
    let before = switches();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(switches(), before);
    step_process::terminate(&place.folder(), &place.mark(), GRACE).unwrap();
    started.reap().unwrap();
}

fn number_in(line: &str) -> u64 {
    line.split_whitespace().last().unwrap().parse().unwrap()
}

fn a_run_is_found_by_its_mark() {
    let place = Place::shell("echo begun > begun; exec sleep 1000");
    let mut started = place.start();
    place.wait_for("begun");
    let step_process = ProcessId::of(started.step_process_pid()).unwrap();
    let run = [Sign::Run(place.spec.run.clone())];
    wait_until("the command is executed", || {
        processes::survivors(&run, &[step_process])
            .unwrap()
            .iter()
            .map(|found| found.command.as_str())
            .eq(["sleep 1000"])
    });
    assert_eq!(processes::survivors(&run, &[]).unwrap().len(), 2, "the step process carries it too");
    let other = Mark { attempt: 11, ..place.mark() };
    assert!(processes::survivors(&[Sign::Step(other)], &[]).unwrap().is_empty(), "1 is not 11");
    let other = lifeboat::domain::event::RunId::parse(&place.spec.run.as_str()[..7]).unwrap();
    assert!(processes::survivors(&[Sign::Run(other)], &[]).unwrap().is_empty(), "a shorter name is another run");
    step_process::terminate(&place.folder(), &place.mark(), GRACE).unwrap();
    started.reap().unwrap();
}
