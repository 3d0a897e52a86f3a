//! The console lost in the middle of a recovery in place, in each way it can be: the run goes on, and is completed from
//! other consoles.

use crate::console::{PAUSE, approve, decide, give};
use crate::in_place_support::{self as in_place, assert_handed_back};
use crate::kills_support::{Drill, Frozen};
use crate::lab::Lab;
use crate::terminal::{Terminal, answers, run_name};
use lifeboat::domain::lsn::Lsn;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// From the first screen to the page of a run that is on: the console tells of it by itself.
fn back(lab: &Lab, remote: bool) -> Terminal {
    let mut terminal = if remote { Terminal::start_remote(lab, &[]) } else { Terminal::start(lab, &[]) };
    terminal.wait_for("A run is on");
    terminal.wait_for(&run_name(lab));
    terminal.send("\r");
    terminal.wait_for("Steps");
    terminal
}

/// Begins a recovery to `target` and types on, faster than a hand, until its first gate is open and longer.
fn begin(lab: &Lab, target: Lsn) -> Terminal {
    let mut terminal = Terminal::start(lab, &[]);
    terminal.wait_for("Backup sets");
    terminal.wait_for("no drill");
    terminal.send("2");
    terminal.wait_for("Recoverable");
    terminal.send("t");
    terminal.wait_for("Recover to:");
    give(&mut terminal, &mut 0, &target.to_string(), "understood as lsn");
    terminal.wait_for("Target: lsn");
    terminal.send("\r");
    terminal.wait_for("What is to be done with this moment?");
    terminal.send("pitr-in-place");
    std::thread::sleep(PAUSE);
    terminal.send("\r");
    terminal.wait_for("Plan pitr-in-place");
    terminal.wait_for("b begins the run");
    terminal.send("b");
    let mut open = None;
    while open.is_none_or(|open: Instant| open.elapsed() < Duration::from_secs(1)) {
        terminal.send("gmain\r");
        std::thread::sleep(Duration::from_millis(25));
        if open.is_none() && terminal.screen().contains("Take production away from its users") && waits(lab) {
            open = Some(Instant::now());
        }
    }
    terminal
}

/// A gate is open.
fn waits(lab: &Lab) -> bool {
    crate::terminal::journal(lab).contains(r#""type":"gate_opened""#)
}

#[test]
fn a_recovery_in_place_is_completed_though_every_console_is_lost() {
    let lab = in_place::practice();
    let target = in_place::marks(&lab);
    let mut terminal = begin(&lab, target);
    assert_eq!(answers(&lab), 0, "typed ahead into an opening gate:\n{}", terminal.screen());
    let mut drill = Drill::begun(&lab, &[]);
    terminal.send("\u{1b}");
    terminal.wait_for("GATE: Take production away from its users");
    std::thread::sleep(PAUSE);
    approve(&mut terminal);
    terminal.wait_for("GATE: Overwrite production's data directory");
    approve(&mut terminal);

    // In the restore, killed.
    let frozen = Frozen::tree(drill.started("restore", 1).process.pid);
    terminal.signal(Signal::KILL);
    terminal.wait_end();
    let terminal = back(&lab, false);
    terminal.wait_for("Restore");
    frozen.thaw();

    // In replay, hung up.
    let frozen = Frozen::tree(drill.started("look", 1).process.pid);
    terminal.signal(Signal::HUP);
    let mut terminal = terminal;
    assert_eq!(terminal.wait_end(), 129);
    terminal.assert_restored();
    let mut terminal = back(&lab, true);
    frozen.thaw();

    // At the decision, with the question on the screen, its window closed.
    terminal.wait_for("DECISION: Look, and choose the way on");
    terminal.send("g");
    terminal.wait_for("Choose the way on");
    terminal.hang_up();
    let mut terminal = back(&lab, true);
    terminal.wait_for("DECISION: Look, and choose the way on");
    decide(&mut terminal, &[]);

    // At a gate, with half an answer typed, its window closed.
    terminal.wait_for("GATE: Make it final");
    let before = answers(&lab);
    terminal.send("g");
    terminal.wait_for("Type main and Enter to go on");
    std::thread::sleep(PAUSE);
    terminal.type_keys("mai");
    terminal.hang_up();
    assert_eq!(answers(&lab), before);
    let mut terminal = back(&lab, false);
    terminal.wait_for("GATE: Make it final");
    approve(&mut terminal);
    terminal.wait_for("GATE: Give production back to its users");
    approve(&mut terminal);
    terminal.wait_for("DONE after");
    terminal.send("q");
    assert_eq!(terminal.wait_end(), 0);

    drill.until("the end", crate::kills_support::is_end);
    assert_eq!(drill.run().outcome_word(), "done");
    let recovery = in_place::Recovery { lab: &lab, drill };
    recovery.assert_nothing_destroyed_twice();
    assert_handed_back(&recovery, 2);
    assert_eq!(lab.sql("SELECT string_agg(mark, ' ') FROM marks"), "before");
}
