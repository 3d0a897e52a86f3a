//! The console in a real terminal, on a real practice cluster: a drill by keys, from the first screen to the evidence.

use crate::lab::{self, Lab};
use crate::sent;
use crate::terminal::{Terminal, answers, journal, run_name};
use lifeboat::engine::rehearsal::{Acknowledged, Layout, Truth};
use rustix::process::Signal;
use std::path::{Path, PathBuf};

/// Longer than keys that were typed ahead are dropped for.
pub(crate) const PAUSE: std::time::Duration = std::time::Duration::from_millis(450);

/// A console whose first screen is complete.
pub(crate) fn open(lab: &Lab) -> Terminal {
    let terminal = Terminal::start(lab, &[]);
    terminal.wait_for("Backup sets");
    terminal.wait_for("no drill");
    terminal
}

/// Goes to the gate that waits and types its answer.
pub(crate) fn approve(terminal: &mut Terminal) {
    terminal.send("g");
    terminal.wait_for("Type main and Enter to go on");
    std::thread::sleep(PAUSE);
    terminal.answer("main");
}

#[test]
fn a_drill_by_keys_outlives_its_console_and_is_completed_from_another_one() {
    let lab = lab::running();
    let mut terminal = open(&lab);
    terminal.send("d");
    terminal.wait_for("b begins the run");
    terminal.send("b");
    terminal.wait_for("GATE: Begin the drill");
    // Typed for something else, and the g among it: all of it at once.
    terminal.send("main\rgmain\r");
    terminal.wait_for("Type main and Enter to go on");
    std::thread::sleep(PAUSE);
    assert_eq!(answers(&lab), 0, "typed ahead:\n{}", terminal.screen());
    terminal.send("\u{1b}[200~main\u{1b}[201~\r");
    terminal.wait_for("pasted text does not count here");
    terminal.type_keys("ma");
    assert_eq!(answers(&lab), 0);
    terminal.signal(Signal::KILL);
    terminal.wait_end();

    let name = run_name(&lab);
    let variables = [("LANG", "C.UTF-8"), ("TERM", "xterm-256color"), ("PAGER", "cat")];
    let mut terminal = Terminal::start_with(&lab, &[], &variables);
    terminal.wait_for("A run is on");
    terminal.wait_for(&name);
    terminal.send("\r");
    terminal.wait_for("GATE: Begin the drill");
    approve(&mut terminal);
    lab::wait_until("the answer counts", || answers(&lab) == 1);
    terminal.wait_for("GATE: Remove the drill's directory");
    // A note, while it waits.
    terminal.send("e");
    terminal.wait_for("A note for the journal");
    terminal.type_keys("rows agree");
    terminal.send("\u{13}");
    lab::wait_until("the note is written", || journal(&lab).contains("rows agree"));
    approve(&mut terminal);
    terminal.wait_for("DONE after");
    terminal.send("t");
    terminal.wait_for(&format!("Transcript of run {name}"));
    terminal.wait_for("restore-drill");
    // In the pager all of it is there, on a terminal that is given to it and taken again.
    terminal.send("o");
    let taken = |terminal: &Terminal| String::from_utf8_lossy(&terminal.bytes()).matches("\u{1b}[?1049h").count();
    lab::wait_until("the pager was shown and left", || taken(&terminal) == 2);
    let sent = String::from_utf8_lossy(&terminal.bytes()).into_owned();
    let paged = sent.rsplit_once("\u{1b}[?1049h").unwrap().0.rsplit_once("\u{1b}[?1049l").unwrap().1;
    assert!(paged.lines().count() > 100 && paged.contains("restore-drill"), "{paged}");
    terminal.wait_for(&format!("Transcript of run {name}"));
    terminal.send("1r");
    terminal.wait_for("drilled");
    terminal.send("q");
    assert_eq!(terminal.wait_end(), 0);
    terminal.assert_restored();
    assert_left(&terminal);
    assert_eq!(answers(&lab), 2);
    assert!(journal(&lab).contains(r#""outcome":"done""#));
}

/// The screen of before is back, and the cursor with it.
pub(crate) fn assert_left(terminal: &Terminal) {
    let bytes = terminal.bytes();
    sent::own_sequences_only(&bytes);
    let last = |sequence: &[u8]| bytes.windows(sequence.len()).rposition(|window| window == sequence);
    for (on, off) in [("\x1b[?1049h", "\x1b[?1049l"), ("\x1b[?25l", "\x1b[?25h"), ("\x1b[?2026h", "\x1b[?2026l")] {
        assert!(last(off.as_bytes()) > last(on.as_bytes()), "{on:?} is not taken back");
    }
}

#[test]
fn every_end_gives_the_terminal_back() {
    let lab = lab::copy();
    for (signal, status) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::QUIT, 131)] {
        let mut terminal = open(&lab);
        terminal.signal(signal);
        assert_eq!(terminal.wait_end(), status, "{signal:?}");
        terminal.assert_restored();
        assert_left(&terminal);
    }
    let mut terminal = open(&lab);
    terminal.send("q");
    assert_eq!(terminal.wait_end(), 0);
    terminal.assert_restored();
    assert_left(&terminal);
}

#[test]
fn it_is_stopped_and_goes_on_and_takes_any_size() {
    let lab = lab::copy();
    let mut terminal = open(&lab);
    terminal.send("\u{1a}");
    lab::wait_until("the terminal is given back", || {
        let bytes = terminal.bytes();
        bytes.windows(8).filter(|window| window == b"\x1b[?1049l").count() == 1
    });
    terminal.assert_restored();
    assert_left(&terminal);
    terminal.signal(Signal::CONT);
    lab::wait_until("the terminal is taken again", || {
        let bytes = terminal.bytes();
        bytes.windows(8).filter(|window| window == b"\x1b[?1049h").count() == 2
    });
    terminal.wait_for("Backup sets");
    terminal.resize(50, 10);
    terminal.wait_for("Lifeboat needs 60 columns");
    terminal.resize(140, 40);
    terminal.wait_for("builds on");
    terminal.send("?");
    terminal.wait_for("plan a restore drill of the set under the cursor");
    terminal.send("q");
    assert_eq!(terminal.wait_end(), 0);
}

#[test]
fn a_target_is_told_in_the_servers_own_time_though_the_server_is_down() {
    let lab = lab::copy();
    let settings = lab.layout.production().join("postgresql.auto.conf");
    let text = std::fs::read_to_string(&settings).unwrap();
    std::fs::write(&settings, text + "timezone = 'Asia/Kolkata'\n").unwrap();
    let mut terminal = open(&lab);
    terminal.send("2");
    terminal.wait_for("Recoverable");
    terminal.send("t");
    terminal.wait_for("Recover to:");
    terminal.type_keys("2026-11-22 11:13:00+03");
    terminal.wait_for("server   2026-11-22 13:43:00 +05:30  Asia/Kolkata");
    // In one go, as a slow link delivers them: both are heard.
    terminal.send("\u{1b}q");
    assert_eq!(terminal.wait_end(), 0);
}

#[test]
fn nothing_found_says_where_it_was_looked_and_how_to_go_on() {
    let lab = lab::copy();
    std::fs::rename(lab.layout.directory.join("repository1"), lab.layout.directory.join("away1")).unwrap();
    std::fs::rename(lab.layout.directory.join("repository2"), lab.layout.directory.join("away2")).unwrap();
    let mut terminal = Terminal::start(&lab, &[]);
    terminal.wait_for("No backup set was found");
    terminal.wait_for("rehearse");
    terminal.send("q");
    assert_eq!(terminal.wait_end(), 0);
}

#[test]
fn without_a_terminal_it_says_so() {
    let lab = lab::copy();
    let output = lab.run_lifeboat(&[]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("the console needs a terminal"), "{said}");
}

/// The truth of a practice cluster stands in for the search of an engineer: a moment some commits too early, as it is typed,
/// and the position right before the accident.
fn moments(practice: &Path) -> (String, String) {
    let marker = lab::read_marker(practice);
    let layout = Layout { directory: practice.to_owned(), short_directory: marker.short_directory.clone() };
    let truth = Truth::read_from(&layout).unwrap();
    let good: Vec<Acknowledged> = Acknowledged::read_all(&layout)
        .unwrap()
        .into_iter()
        .filter(|commit| truth.good.contains(&commit.xid) && commit.lsn <= truth.boundary)
        .collect();
    let early = &good[good.len() - 4].committed_at;
    (early.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string(), truth.target.unwrap().to_string())
}

/// Keys, counted.
pub(crate) fn press(terminal: &mut Terminal, count: &mut usize, keys: &[&str]) {
    for key in keys {
        terminal.send(key);
        *count += 1;
    }
}

/// Types a target into the line that asks for it and takes it.
pub(crate) fn give(terminal: &mut Terminal, count: &mut usize, target: &str, understood: &str) {
    terminal.type_keys(target);
    terminal.wait_for(understood);
    press(terminal, count, &["\r"]);
}

#[test]
fn a_rehearsed_incident_is_recovered_in_the_console_from_the_page_to_a_perfect_score() {
    let lab = lab::copy();
    let practice = lab.home().join("incident");
    let mut terminal = Terminal::start(&lab, &["rehearse", "--directory", practice.to_str().unwrap(), "--seed", "3"]);
    // The console opens with the page, and the clock runs.
    terminal.wait_for("since then");
    terminal.wait_for("PAGE shop, production");
    let (early, best) = moments(&practice);
    let mut count = 0;
    press(&mut terminal, &mut count, &["\r"]);
    terminal.wait_for("Recover to:");
    give(&mut terminal, &mut count, &early, "yours");
    terminal.wait_for("Target: time");
    press(&mut terminal, &mut count, &["\r"]);
    terminal.wait_for("What is to be done with this moment?");
    press(&mut terminal, &mut count, &["\u{1b}[B"]);
    std::thread::sleep(PAUSE);
    press(&mut terminal, &mut count, &["\r"]);
    terminal.wait_for("Plan pitr-in-place");
    terminal.wait_for("b begins the run");
    press(&mut terminal, &mut count, &["b"]);
    terminal.wait_for("GATE: Take production away from its users");
    approve(&mut terminal);
    terminal.wait_for("GATE: Overwrite production's data directory");
    approve(&mut terminal);
    terminal.wait_for("DECISION: Look, and choose the way on");
    // Paused at the moment that was given: gates and the target's own letters aside.
    assert!(count <= 12, "{count} keys");
    decide(&mut terminal, &["\u{1b}[B"]);
    terminal.wait_for("forward: to which target?");
    give(&mut terminal, &mut count, &best, "understood as lsn");
    terminal.wait_for("GATE: Move the target forward");
    approve(&mut terminal);
    terminal.wait_for("DECISION: Look, and choose the way on");
    choose_from_elsewhere(&practice);
    decide(&mut terminal, &[]);
    terminal.wait_for("GATE: Make it final");
    approve(&mut terminal);
    terminal.wait_for("GATE: Give production back to its users");
    approve(&mut terminal);
    terminal.wait_for("DONE after");
    terminal.send("p");
    terminal.wait_for("from the page to the first order");
    terminal.wait_for("rows lost  0 of");
    terminal.send("q");
    assert_eq!(terminal.wait_end(), 0, "{}", terminal.all());
    // The score is asked of the server by SQL; it stands on the terminal that is left as well.
    let all = terminal.all();
    assert!(all.contains("Rows lost         0 of ") && all.contains("Rows left         0 committed"), "{all}");
    assert!(all.contains("practice cluster ended and removed"), "{all}");
    let left = lab::processes_naming(&practice);
    assert!(left.is_empty() && !practice.exists(), "{left:?}");
    let kept = std::fs::read_dir(lab.home()).unwrap().filter_map(Result::ok).map(|entry| entry.path());
    let kept: Vec<PathBuf> = kept.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let evidence = std::fs::read_to_string(&kept[0]).unwrap();
    assert!(evidence.contains("Recover production to a moment, in place") && evidence.contains("'forward'"));
}

/// Another hand chooses while a console drives: it is told who drives, and heard where it takes over, if only to be refused.
fn choose_from_elsewhere(practice: &Path) {
    let run = std::fs::read_dir(practice.join("state/runs")).unwrap().next().unwrap().unwrap().file_name();
    let choose = |choice: &[&str]| {
        let mut lifeboat = lab::lifeboat();
        lifeboat.arg("--settings").arg(practice.join("lifeboat.toml")).arg("decide").arg(&run).arg("inspect");
        let output = lifeboat.args(choice).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = choose(&["promote"]);
    assert!(
        code == Some(3) && said.contains("nothing was decided") && said.contains("drives this run since"),
        "{said}"
    );
    let (_, said) = choose(&["upwards", "--take-over"]);
    assert!(said.contains("nothing was decided") && !said.contains("drives"), "{said}");
    assert!(said.contains("upwards"), "the choice is what is refused: {said}");
}

/// Goes to the decision, moves to a way on and takes it.
pub(crate) fn decide(terminal: &mut Terminal, moves: &[&str]) {
    terminal.send("g");
    terminal.wait_for("Choose the way on");
    std::thread::sleep(PAUSE);
    moves.iter().for_each(|key| terminal.send(key));
    std::thread::sleep(PAUSE);
    terminal.send("\r");
}
