//! One drives a run: whoever answers from elsewhere is told who drives, and takes over knowingly or not at all.

use crate::console::{PAUSE, approve};
use crate::kills_support as kills;
use crate::lab;
use crate::terminal::{Terminal, answers, run_name};

/// To the gate that waits, with an answer that is none: from now on this console drives.
fn drive(terminal: &mut Terminal) {
    terminal.wait_for("A run is on");
    terminal.send("\r");
    terminal.wait_for("GATE: Begin the drill");
    terminal.send("g");
    terminal.wait_for("Type main and Enter to go on");
    std::thread::sleep(PAUSE);
    terminal.answer("mine");
    terminal.wait_for("not approved: the answer is not what");
}

#[test]
fn who_answers_from_elsewhere_asks_first_and_takes_over_by_saying_so() {
    let lab = lab::copy();
    let begun = lab.run_lifeboat(&["run", "restore-drill", "-p", "depth=start"]);
    assert_eq!(begun.status.code(), Some(3), "{}", kills::text(&begun));
    let name = run_name(&lab);
    let mut console = Terminal::start(&lab, &[]);
    drive(&mut console);

    // Without a terminal there is nobody to ask.
    for arguments in
        [vec!["approve", &name, "start", "main"], vec!["abort", &name], vec!["resolve", &name, "start", "again"]]
    {
        let refused = lab.run_lifeboat(&arguments);
        let said = kills::text(&refused);
        assert_eq!(refused.status.code(), Some(3), "{said}");
        for told in ["drives this run since", "(process ", "Ask them first", "--take-over"] {
            assert!(said.contains(told), "{told}: {said}");
        }
    }
    assert_eq!(answers(&lab), 0);
    // Taken over, it is the runner that is asked, and that has nothing to be resolved.
    let refused = lab.run_lifeboat(&["resolve", &name, "start", "again", "--take-over"]);
    let said = kills::text(&refused);
    assert!(said.contains("nothing was decided") && !said.contains("drives"), "{said}");
    // The console drives again from its next answer on.
    console.answer("mine");
    lab::wait_until("the console drives", || {
        kills::text(&lab.run_lifeboat(&["approve", &name, "start", "yours"])).contains("drives this run since")
    });

    // On a terminal it is asked, and Esc leaves it to whoever drives.
    let mut attached = Terminal::start(&lab, &["attach", &name]);
    attached.wait_for("you look on");
    attached.wait_for_prompt();
    attached.answer("main");
    attached.wait_for("Type take over and Enter to drive it from here");
    attached.wait_for_prompt();
    attached.answer("main");
    attached.wait_for("not taken over: type take over");
    attached.wait_for_prompt();
    attached.send("\x1b");
    assert_eq!(attached.wait_end(), 3, "{}", attached.all());
    attached.assert_restored();
    assert_eq!(answers(&lab), 0);

    let mut attached = Terminal::start(&lab, &["attach", &name]);
    attached.wait_for_prompt();
    attached.answer("main");
    attached.wait_for("Type take over and Enter to drive it from here");
    attached.wait_for_prompt();
    attached.answer("take over");
    lab::wait_until("the answer counts", || answers(&lab) == 1);

    // The console shows the same, and has to ask in its turn.
    console.wait_for("GATE: Remove the drill's directory");
    console.wait_for("drives it");
    approve(&mut console);
    console.wait_for("take over?");
    assert_eq!(answers(&lab), 1);
    std::thread::sleep(PAUSE);
    console.send("\r");
    console.wait_for("Type main and Enter to go on");
    console.send("\u{1b}");
    console.wait_for("GATE: Remove the drill's directory");
    assert_eq!(answers(&lab), 1, "it was left to who drives");
    let taken = lab.run_lifeboat(&["approve", &name, "remove-gate", "main", "--take-over"]);
    lab::assert_done(&taken, "approve --take-over");
    console.wait_for("DONE after");
    assert_eq!(attached.wait_end(), 0, "{}", attached.all());
    console.send("q");
    assert_eq!(console.wait_end(), 0);
    assert_eq!(answers(&lab), 2);
}
