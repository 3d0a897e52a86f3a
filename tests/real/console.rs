//! The console in a real terminal, on a real practice cluster: a drill by keys, from the first screen to the evidence.

use crate::lab::{self, Lab};
use crate::terminal::{Terminal, answers, journal, run_name};
use rustix::process::Signal;

/// Longer than keys that were typed ahead are dropped for.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(450);

/// A console whose first screen is complete.
fn open(lab: &Lab) -> Terminal {
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
    let mut terminal = Terminal::start(&lab, &[]);
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
fn assert_left(terminal: &Terminal) {
    let bytes = terminal.bytes();
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
