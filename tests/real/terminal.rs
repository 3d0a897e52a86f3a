//! The engineer at the terminal: what approves a gate and what does not, in a real terminal of 80 by 24.

use crate::console::approve;
use crate::kills_support as kills;
use crate::lab::{self, Lab};
use portable_pty::{Child, CommandBuilder, MasterPty, PtyPair, PtySize, native_pty_system};
use rustix::process::{Pid, Signal};
use rustix::termios::LocalModes;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Rows of the second screen, on which nothing scrolls away.
const ALL_ROWS: u16 = 800;
/// Nothing came for so long: it has said all.
const SETTLED: Duration = Duration::from_millis(250);
/// Between two keys of a hand.
const BETWEEN_KEYS: [u64; 3] = [80, 45, 60];

/// `lifeboat` in a terminal.
pub(crate) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Option<Box<dyn MasterPty + Send>>,
    writer: Box<dyn Write + Send>,
    seen: Arc<Mutex<Seen>>,
    /// Kept open: the terminal's modes can be read after the program has gone.
    device: File,
}

struct Seen {
    bytes: Vec<u8>,
    screen: vt100::Parser,
    all: vt100::Parser,
}

impl Terminal {
    /// Starts `lifeboat` as whoever runs the tests, with the practice cluster's settings.
    pub(crate) fn start(lab: &Lab, arguments: &[&str]) -> Terminal {
        Terminal::start_with(lab, arguments, &[("LANG", "C.UTF-8"), ("TERM", "xterm-256color")])
    }

    /// The same with these variables.
    pub(crate) fn start_with(lab: &Lab, arguments: &[&str], variables: &[(&str, &str)]) -> Terminal {
        Terminal::start_sized(lab, arguments, variables, 80)
    }

    /// The same in a terminal of so many columns.
    fn start_sized(lab: &Lab, arguments: &[&str], variables: &[(&str, &str)], columns: u16) -> Terminal {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        for (name, value) in variables {
            command.env(name, value);
        }
        command.arg("--settings");
        command.arg(lab.layout.settings());
        command.args(arguments);
        Terminal::of(command, columns)
    }

    /// `lifeboat` in a terminal within the terminal, which can be taken away from it: `script` (util-linux) plays the part
    /// of sshd. See [`Terminal::hang_up`].
    pub(crate) fn start_remote(lab: &Lab, arguments: &[&str]) -> Terminal {
        let settings = lab.layout.settings();
        let words = [&[env!("CARGO_BIN_EXE_lifeboat"), "--settings", settings.to_str().unwrap()], arguments].concat();
        assert!(words.iter().all(|word| !word.contains([' ', '\''])), "{words:?}");
        let mut command = CommandBuilder::new("script");
        command.env_clear();
        for (name, value) in [
            ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
            ("SHELL", "/bin/sh"),
            ("LANG", "C.UTF-8"),
            ("TERM", "xterm-256color"),
        ] {
            command.env(name, value);
        }
        command.args(["-q", "-f", "-c", &format!("exec {}", words.join(" ")), "/dev/null"]);
        Terminal::of(command, 80)
    }

    /// Some program in a terminal of so many columns.
    pub(crate) fn of(mut command: CommandBuilder, columns: u16) -> Terminal {
        let size = PtySize { rows: 24, cols: columns, pixel_width: 0, pixel_height: 0 };
        let PtyPair { master, slave } = native_pty_system().openpty(size).unwrap();
        command.cwd("/");
        let device = File::options().read(true).write(true).open(master.tty_name().unwrap()).unwrap();
        let child = slave.spawn_command(command).unwrap();
        drop(slave);
        let parser = |rows| vt100::Parser::new(NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap(), 0);
        let seen = Arc::new(Mutex::new(Seen { bytes: Vec::new(), screen: parser(24), all: parser(ALL_ROWS) }));
        let (mut reader, into) = (master.try_clone_reader().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let mut seen = into.lock().unwrap();
                seen.bytes.extend_from_slice(&buffer[..count]);
                seen.screen.process(&buffer[..count]);
                seen.all.process(&buffer[..count]);
            }
        });
        let writer = master.take_writer().unwrap();
        Terminal { child, master: Some(master), writer, seen, device }
    }

    /// What is on the screen.
    pub(crate) fn screen(&self) -> String {
        self.seen.lock().unwrap().screen.screen().contents()
    }

    /// All that was ever on it.
    pub(crate) fn all(&self) -> String {
        self.seen.lock().unwrap().all.screen().contents()
    }

    /// The cursor's line as far as it is written, and its column.
    fn cursor(&self) -> (String, u16) {
        let seen = self.seen.lock().unwrap();
        let screen = seen.screen.screen();
        let (row, column) = screen.cursor_position();
        (screen.rows(0, screen.size().1.into()).nth(usize::from(row)).unwrap_or_default(), column)
    }

    /// Waits until the screen shows this.
    pub(crate) fn wait_for(&self, text: &str) {
        let until = Instant::now() + lab::PATIENCE;
        while !self.screen().contains(text) {
            assert!(Instant::now() < until, "waited in vain: {text}\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the gate is open and asks.
    pub(crate) fn wait_for_prompt(&self) {
        lab::wait_until(&format!("a prompt:\n{}", self.screen()), || {
            let (line, column) = self.cursor();
            line.trim_end() == "   >" && column == 5 && self.is_raw()
        });
    }

    /// Sends all of it at once.
    pub(crate) fn send(&mut self, text: &str) {
        self.writer.write_all(text.as_bytes()).unwrap();
        self.writer.flush().unwrap();
    }

    /// Types as a hand does.
    pub(crate) fn type_keys(&mut self, text: &str) {
        for (index, key) in text.chars().enumerate() {
            self.send(&key.to_string());
            std::thread::sleep(Duration::from_millis(BETWEEN_KEYS[index % BETWEEN_KEYS.len()]));
        }
    }

    /// Types an answer and Enter, again where a busy machine had the keys arrive in one go.
    pub(crate) fn answer(&mut self, text: &str) {
        loop {
            self.type_keys(text);
            self.type_keys("\r");
            let before = self.screen();
            std::thread::sleep(Duration::from_millis(200));
            if !(before.contains("faster than a hand") || self.screen().contains("faster than a hand")) {
                return;
            }
        }
    }

    /// Whether keys arrive one by one.
    fn is_raw(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.device).unwrap().local_modes;
        !modes.contains(LocalModes::ICANON)
    }

    /// Waits for the program's end; its exit status.
    pub(crate) fn wait_end(&mut self) -> u32 {
        let mut status = None;
        lab::wait_until("lifeboat ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        // What it said last may still be on its way to the screen, on a busy machine all of it.
        let (mut read, mut since) = (self.bytes().len(), Instant::now());
        lab::wait_until("all that it said is read", || {
            if std::mem::replace(&mut read, self.bytes().len()) != read {
                since = Instant::now();
            }
            read > 0 && since.elapsed() > SETTLED
        });
        status.unwrap().exit_code()
    }

    /// The terminal is as a shell wants it: lines, echo, signals, and no brackets around pastes.
    pub(crate) fn assert_restored(&self) {
        let modes = rustix::termios::tcgetattr(&self.device).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{modes:?}");
        let last = |sequence: &[u8]| {
            let seen = self.seen.lock().unwrap();
            seen.bytes.windows(sequence.len()).rposition(|window| window == sequence)
        };
        lab::wait_until("bracketed paste is off", || last(b"\x1b[?2004l") > last(b"\x1b[?2004h"));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.process_id().unwrap()).unwrap();
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Takes the terminal away, as a lost connection does, and waits until whoever ran in it has ended.
    pub(crate) fn hang_up(mut self) {
        let mut below = kills::children_of(&[self.child.process_id().unwrap()]);
        assert!(!below.is_empty(), "{}", self.screen());
        // As the owner the program is another process than the one that was started.
        below.extend(kills::children_of(&below));
        self.signal(Signal::KILL);
        self.wait_end();
        lab::wait_until("who ran in the terminal has ended", || !below.iter().any(|pid| kills::is_alive(*pid)));
    }

    /// Gives the window another size.
    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let number = |size| NonZeroU16::new(size).unwrap();
        self.seen.lock().unwrap().screen.screen_mut().set_size(number(rows), number(columns));
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    /// Everything that was sent to the terminal.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().bytes.clone()
    }

    /// Closes the terminal's window.
    fn close(&mut self) {
        self.writer = Box::new(std::io::sink());
        self.master = None;
    }
}

/// The runs' folders, the newest last.
fn runs(lab: &Lab) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(lab.layout.directory.join("state/runs")) else { return Vec::new() };
    let mut runs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    runs.sort_by_key(|run| fs::metadata(run.join("journal.jsonl")).and_then(|found| found.created()).ok());
    runs
}

pub(crate) fn journal(lab: &Lab) -> String {
    fs::read_to_string(runs(lab).last().unwrap().join("journal.jsonl")).unwrap()
}

pub(crate) fn run_name(lab: &Lab) -> String {
    runs(lab).last().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

pub(crate) fn answers(lab: &Lab) -> usize {
    journal(lab).matches(r#""type":"gate_answered""#).count()
}

#[test]
fn only_a_typed_answer_approves_and_leaving_restores_the_terminal() {
    let lab = lab::running();
    let mut terminal = Terminal::start(&lab, &["run", "restore-drill"]);
    terminal.send("main\rmain\r");
    terminal.wait_for("(keys pressed before the gate was open were dropped)");
    terminal.wait_for_prompt();
    let screen = terminal.screen();
    for told in ["GATE", "restores", "into", "production", "plan", "journal", "Type main and Enter", "Esc leaves it"] {
        assert!(screen.contains(told), "{told} is not on one screen with the prompt:\n{screen}");
    }
    terminal.send("\r");
    terminal.wait_for("(Enter alone approves nothing: type the answer)");
    terminal.send("\x1b[200~main\r\x1b[201~");
    terminal.wait_for("(pasted text does not count here: type the answer)");
    terminal.send("\r");
    terminal.send("main\r");
    terminal.wait_for("(that came faster than a hand types: type the answer)");
    terminal.send("x");
    terminal.wait_for("   > x");
    terminal.send("\x7f");
    terminal.wait_for_prompt();
    terminal.send("main");
    terminal.wait_for("   > main");
    std::thread::sleep(Duration::from_millis(300));
    terminal.send("\r");
    terminal.wait_for("(that came faster than a hand types: type the answer)");
    for wrong in [" ", "main ", "mian", "MAIN"] {
        terminal.wait_for_prompt();
        terminal.answer(wrong);
        terminal.wait_for(&format!("not approved: '{wrong}' was typed"));
    }
    assert_eq!(answers(&lab), 0);
    terminal.wait_for_prompt();
    terminal.send("\x1b");
    assert_eq!(terminal.wait_end(), 3);
    terminal.assert_restored();
    let name = run_name(&lab);
    terminal.wait_for(&format!("approve {name} start main"));

    for (leave, status) in [(None, 3), (Some(Signal::TERM), 143), (Some(Signal::HUP), 129), (Some(Signal::INT), 130)] {
        let mut terminal = Terminal::start(&lab, &["attach", &name]);
        terminal.wait_for_prompt();
        match leave {
            None => terminal.send("ma\x03"),
            Some(signal) => terminal.signal(signal),
        }
        assert_eq!(terminal.wait_end(), status, "{leave:?}: {}", terminal.screen());
        terminal.assert_restored();
        terminal.wait_for(&format!("attach {name}"));
    }
    let mut terminal = Terminal::start(&lab, &["attach", &name]);
    terminal.wait_for_prompt();
    terminal.close();
    assert_ne!(terminal.wait_end(), 0, "its window was closed");
    assert_eq!(answers(&lab), 0);

    let mut terminal = Terminal::start(&lab, &["attach", &name]);
    terminal.wait_for_prompt();
    terminal.answer("main");
    // The screen may have moved on by the time it is looked at.
    lab::wait_until("typed at the gate", || terminal.all().contains("typed at the gate"));
    lab::wait_until("the second gate", || terminal.screen().contains("Remove the drill's directory ─"));
    terminal.wait_for_prompt();
    assert_eq!(answers(&lab), 1);
    terminal.answer("main");
    assert_eq!(terminal.wait_end(), 0, "{}", terminal.all());
    assert_eq!(answers(&lab), 2);
    let all = terminal.all();
    for command in ["/bin/pgbackrest \\", "--recovery-option=restore_command=", "/bin/postgres \\", "remove-marked"] {
        assert!(all.contains(command), "{command} was not shown: {all}");
    }
    assert!(all.contains("the checks held: steps 1-10") && all.contains("replayed_lsn"), "{all}");
    for told in [&format!("run {name} DONE"), &format!("transcript {name}")] {
        assert!(terminal.screen().contains(told), "{told} is missing at the end: {}", terminal.screen());
    }
}

#[test]
fn another_person_s_answer_is_seen_and_changed_facts_open_the_gate_again() {
    let lab = lab::running();
    let mut terminal = Terminal::start(&lab, &["run", "restore-drill"]);
    terminal.wait_for_prompt();
    let name = run_name(&lab);
    lab::assert_done(&lab.run_lifeboat(&["approve", &name, "start", "main"]), "approve");
    lab::wait_until("the answer is seen", || terminal.all().contains("with lifeboat approve"));
    lab::wait_until("the second gate", || terminal.screen().contains("Remove the drill's directory ─"));
    terminal.wait_for_prompt();

    let set = parameter(&lab, "set");
    lab.pgbackrest(&["expire", "--repo=1", &format!("--set={set}")]);
    terminal.answer("main");
    lab::wait_until("it opens again", || terminal.all().contains("GATE OPENED AGAIN"));
    terminal.wait_for_prompt();
    let screen = terminal.screen();
    assert_eq!(screen.matches("   ! ").count(), 1, "only the set is gone, the cluster is the same:\n{screen}");
    for told in ["CHANGED since it was approved", "! backup-set", "was  0/", "now  not there, or it can't be read"] {
        assert!(screen.contains(told), "{told} is missing:\n{screen}");
    }
    assert!(!journal(&lab).contains(r#""type":"step_started","step":"remove""#), "it began before it was approved");
    terminal.answer("main");
    assert_eq!(terminal.wait_end(), 0, "{}", terminal.all());
}

#[test]
fn an_answer_given_beforehand_does_not_count_for_changed_facts() {
    let lab = lab::running();
    let mut run = lab::lifeboat()
        .arg("--settings")
        .arg(lab.layout.settings())
        .args(["run", "restore-drill", "--approve", "start=main", "--approve", "remove-gate=main"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The runner is held while the set goes away, so that it can't be quicker.
    let restored = r#""type":"step_started","step":"server""#;
    lab::wait_until("the restore is over", || !runs(&lab).is_empty() && journal(&lab).contains(restored));
    let runner = runner(&lab);
    rustix::process::kill_process(runner, Signal::STOP).unwrap();
    lab.pgbackrest(&["expire", "--repo=1", &format!("--set={}", parameter(&lab, "set"))]);
    rustix::process::kill_process(runner, Signal::CONT).unwrap();
    let mut said = String::new();
    run.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(3), "{said}");
    let name = run_name(&lab);
    for told in ["CHANGED since the plan was made", "! backup-set", "--approve does not count here"] {
        assert!(said.contains(told), "{told} is missing: {said}");
    }
    assert!(said.contains(&format!("approve {name} remove-gate main")), "{said}");
    assert_eq!(answers(&lab), 1);
    let mut terminal = Terminal::start(&lab, &["attach", &name]);
    terminal.wait_for_prompt();
    terminal.answer("main");
    assert_eq!(terminal.wait_end(), 0, "{}", terminal.all());
}

#[test]
fn without_a_terminal_a_gate_waits_and_says_what_to_type() {
    let lab = lab::running();
    let said = |output: &std::process::Output| {
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    };
    for wrong in ["nosuch=main", "restore=main", "start", "start=main --approve start=main"] {
        let words: Vec<&str> = ["run", "restore-drill", "--approve"].into_iter().chain(wrong.split(' ')).collect();
        let output = lab.run_lifeboat(&words);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {}", said(&output));
        assert!(said(&output).contains("--approve"), "{wrong}: {}", said(&output));
    }
    assert!(runs(&lab).is_empty(), "nothing has begun");

    let output = lab.run_lifeboat(&["run", "restore-drill", "--approve", "start=wrong"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    let name = run_name(&lab);
    let settings = lab.layout.settings();
    let typed = format!("--settings {} approve {name} start main", settings.display());
    for told in ["GATE", "--approve does not count here", &typed, &format!("attach {name}"), &format!("abort {name}")] {
        assert!(said(&output).contains(told), "{told} is missing: {}", said(&output));
    }

    let output = lab.run_lifeboat(&["approve", &name, "start"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("GATE") && said(&output).contains(&typed), "{}", said(&output));
    let output = lab.run_lifeboat(&["approve", &name, "start", "main "]);
    assert_eq!(output.status.code(), Some(3));
    assert!(said(&output).contains("not approved"), "{}", said(&output));
    assert_eq!(answers(&lab), 0);
    lab::assert_done(&lab.run_lifeboat(&["abort", &name]), "abort");
}

#[test]
fn a_wide_terminal_is_used() {
    let lab = lab::running();
    for (columns, widest) in [(100, 99), (160, 110)] {
        let variables = [("LANG", "C.UTF-8"), ("TERM", "xterm-256color")];
        let mut terminal = Terminal::start_sized(&lab, &["run", "restore-drill"], &variables, columns);
        terminal.wait_for_prompt();
        terminal.send("\x1b");
        assert_eq!(terminal.wait_end(), 3);
        let all = terminal.all();
        let rules: Vec<usize> =
            all.lines().filter(|line| line.starts_with("── ")).map(|line| line.chars().count()).collect();
        assert!(rules.len() >= 2 && rules.iter().all(|rule| *rule == widest), "{rules:?}: {all}");
        lab::assert_done(&lab.run_lifeboat(&["abort", &run_name(&lab)]), "abort");
    }
}

#[test]
fn a_terminal_without_unicode_gets_ascii() {
    let lab = lab::running();
    for variables in [[("LANG", "C"), ("TERM", "xterm")], [("LANG", "C.UTF-8"), ("TERM", "linux")]] {
        let mut terminal = Terminal::start_with(&lab, &["run", "restore-drill"], &variables);
        terminal.wait_for_prompt();
        terminal.type_keys("é\x1b");
        terminal.wait_end();
        assert!(terminal.all().is_ascii(), "{}", terminal.all());
        assert!(terminal.all().contains("-- GATE - step"), "{}", terminal.all());
    }
}

#[test]
fn a_rehearsal_leads_through_the_drill_and_keeps_its_transcript() {
    let lab = lab::copy();
    let practice = lab.home().join("rehearsal");
    let mut terminal = Terminal::start(&lab, &["rehearse", "--drill", "--directory", practice.to_str().unwrap()]);
    begin(&mut terminal);
    approve(&mut terminal);
    terminal.wait_for("GATE: Remove the drill's directory");
    approve(&mut terminal);
    terminal.wait_for("DONE after");
    terminal.send("q");
    assert_eq!(terminal.wait_end(), 0, "{}", terminal.all());
    let all = terminal.all();
    assert!(all.contains("The drill is done") && all.contains("practice cluster ended and removed"), "{all}");
    assert!(!practice.exists());
    let left = lab::processes_naming(&practice);
    assert!(left.is_empty(), "{left:?}");
    let kept = fs::read_dir(lab.home()).unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let kept: Vec<PathBuf> = kept.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let transcript = fs::read_to_string(&kept[0]).unwrap();
    assert!(transcript.contains("## What was proven") && transcript.contains("public.orders"), "{transcript}");
    // The path may be broken over two lines of the terminal.
    let name = kept[0].file_name().unwrap().to_str().unwrap();
    assert!(all.replace('\n', "").contains(name), "{all}");
}

/// In the console that a rehearsal ends in: begins the drill it offers, up to its first gate.
fn begin(terminal: &mut Terminal) {
    terminal.wait_for("A practice cluster to rehearse on");
    terminal.send("\r");
    terminal.wait_for("· b begins the run");
    terminal.send("b");
    terminal.wait_for("GATE: Begin the drill");
}

/// Leaves a rehearsal's drill and gives what was said: the practice cluster is still there, and so is the run.
fn left_alone(lab: &Lab, name: &str, leave: impl FnOnce(&mut Terminal)) -> String {
    let practice = lab.home().join(name);
    let mut terminal = Terminal::start(lab, &["rehearse", "--drill", "--directory", practice.to_str().unwrap()]);
    begin(&mut terminal);
    leave(&mut terminal);
    assert_eq!(terminal.wait_end(), 3, "{}", terminal.all());
    // Long lines are broken by the terminal.
    let said = terminal.all().replace('\n', "");
    assert!(said.contains("The practice cluster is left as it is"), "{said}");
    assert!(said.contains(&format!("rehearse --stop {}", practice.display())), "{said}");
    let marker = lab::read_marker(&practice);
    let layout = lifeboat::engine::rehearsal::Layout {
        directory: practice.clone(),
        short_directory: marker.short_directory.clone(),
    };
    assert_eq!(lab::sql(&layout, &marker, "SELECT 1"), "1", "its server runs");
    said
}

#[test]
fn a_rehearsal_that_is_left_stays_and_can_be_gone_on_with_and_ended() {
    let lab = lab::copy();
    let said = left_alone(&lab, "esc", |terminal| terminal.send("q"));
    let practice = lab.home().join("esc");
    let settings = practice.join("lifeboat.toml");
    let run = fs::read_dir(practice.join("state/runs")).unwrap().next().unwrap().unwrap().file_name();
    let run = run.to_str().unwrap().to_owned();
    assert!(said.contains(&format!("--settings {} attach {run}", settings.display())), "{said}");
    // As it says: the drill goes on, and then the practice cluster is ended.
    for gate in ["start", "remove-gate"] {
        let call = |words: &[&str]| lab::lifeboat().arg("--settings").arg(&settings).args(words).output().unwrap();
        lab::assert_done(&call(&["approve", &run, gate, "main"]), "approve");
        let status = call(&["attach", &run]).status.code();
        assert_eq!(status, Some(if gate == "start" { 3 } else { 0 }));
    }
    let stop = lab::lifeboat().args(["rehearse", "--stop"]).arg(&practice).output().unwrap();
    lab::assert_done(&stop, "rehearse --stop");
    assert!(!practice.exists());

    // Ctrl-C while something runs: the run needs no terminal.
    let said = left_alone(&lab, "interrupted", |terminal| {
        approve(terminal);
        terminal.wait_for("command · running");
        terminal.send("\x03");
    });
    assert!(said.contains(" attach "), "{said}");
    let practice = lab.home().join("interrupted");
    let stop = lab::lifeboat().args(["rehearse", "--stop"]).arg(&practice).output().unwrap();
    lab::assert_done(&stop, "rehearse --stop");
    let left = lab::processes_naming(&practice);
    assert!(left.is_empty() && !practice.exists(), "{left:?}");
}

/// A rehearsal of this accident without a console, at the question for the moment.
fn at_the_page(lab: &Lab, practice: &std::path::Path, scenario: &str) -> Terminal {
    let directory = practice.to_str().unwrap();
    let arguments = ["rehearse", "--plain", "--directory", directory, "--seed", "3", "--scenario", scenario];
    let terminal = Terminal::start(lab, &arguments);
    terminal.wait_for("] ready");
    terminal.wait_for("To which moment?");
    assert!(terminal.all().contains("PAGE  shop, production"), "{}", terminal.all());
    terminal.wait_for_prompt();
    terminal
}

/// Leads it from the moment to the end, which is perfect.
fn led_to_the_score(terminal: &mut Terminal, practice: &std::path::Path, moment: &str) {
    let asked = [
        (moment, "Take production away from its users"),
        ("main", "Overwrite production's data directory"),
        ("main", "Type a way on"),
        ("promote", "Make it final"),
        ("main", "Give production back to its users"),
    ];
    for (answer, next) in asked {
        terminal.answer(answer);
        terminal.wait_for(next);
        terminal.wait_for_prompt();
    }
    terminal.answer("main");
    assert_eq!(terminal.wait_end(), 0, "{}", terminal.all());
    let all = terminal.all();
    assert!(all.contains("Rows lost         0 of ") && all.contains("Rows left         0 committed"), "{all}");
    assert!(all.contains("practice cluster ended and removed"), "{all}");
    assert!(!practice.exists());
    let left = lab::processes_naming(practice);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_rehearsed_loss_of_the_data_directory_is_led_to_all_that_is_archived() {
    let lab = lab::copy();
    let practice = lab.home().join("incident");
    let mut terminal = at_the_page(&lab, &practice, "lost-data-directory");
    assert!(terminal.all().contains("latest: all that is in the repositories"), "{}", terminal.all());
    // What is no moment is asked again, and stops nothing.
    terminal.answer("neverday");
    terminal.wait_for("   ! ");
    terminal.wait_for_prompt();
    led_to_the_score(&mut terminal, &practice, "latest");
    let kept = fs::read_dir(lab.home()).unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let kept: Vec<PathBuf> = kept.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(fs::read_to_string(&kept[0]).unwrap().contains("Recover production to a moment, in place"));
}

#[test]
fn a_rehearsed_incident_without_a_console_that_is_left_at_the_page_stays_and_says_how_to_go_on() {
    let lab = lab::copy();
    let practice = lab.home().join("left");
    let mut terminal = at_the_page(&lab, &practice, "deleted-rows");
    terminal.answer("yesterday");
    terminal.wait_for("   ! ");
    terminal.wait_for_prompt();
    terminal.send("\x1b");
    assert_eq!(terminal.wait_end(), 3, "{}", terminal.all());
    let said = terminal.all().replace('\n', "");
    for words in ["left as it is", "run pitr-in-place -p target=", "rehearse --score", "rehearse --stop"] {
        assert!(said.contains(words), "'{words}' is not in: {said}");
    }
    let stop = lab::lifeboat().args(["rehearse", "--stop"]).arg(&practice).output().unwrap();
    lab::assert_done(&stop, "rehearse --stop");
    assert!(!practice.exists());
}

fn parameter(lab: &Lab, name: &str) -> String {
    let journal = journal(lab);
    let first: serde_json::Value = serde_json::from_str(journal.lines().next().unwrap()).unwrap();
    first["event"]["plan"]["parameters"][name].as_str().unwrap().to_owned()
}

fn runner(lab: &Lab) -> Pid {
    let journal = journal(lab);
    let started = journal.lines().rfind(|line| line.contains(r#""type":"runner_started""#)).unwrap();
    let entry: serde_json::Value = serde_json::from_str(started).unwrap();
    Pid::from_raw(i32::try_from(entry["event"]["pid"].as_i64().unwrap()).unwrap()).unwrap()
}
