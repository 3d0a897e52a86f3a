//! Clients that are killed, hung up, or lose their terminal: the work goes on, and attaching shows the same state.

use crate::kills_support::{self as kills, BOTH, Drill, Frozen, Session};
use crate::lab::{self, Lab};
use lifeboat::domain::event::RunEvent;
use rustix::process::Signal;

/// How a client is lost.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Signal(Signal),
    Terminal,
}

/// A client that follows a run, and the way in which it is lost.
enum Client {
    Plain(std::process::Child, Signal),
    OnTerminal(Session),
}

impl Client {
    fn start(lab: &Lab, name: &str, arguments: &[&str], loss: Loss) -> Client {
        match loss {
            Loss::Signal(signal) => Client::Plain(kills::spawn(lab, name, arguments), signal),
            Loss::Terminal => Client::OnTerminal(Session::start(lab, name, arguments)),
        }
    }

    fn lose(self) {
        match self {
            Client::Plain(child, signal) => {
                kills::kill(child.id(), signal);
                // By the signal itself, or with its number after a word for the person.
                let status = kills::exit_of(child);
                assert!(matches!(status, None | Some(129)), "{status:?}");
            }
            Client::OnTerminal(session) => session.hang_up(),
        }
    }
}

/// Loses `run` and then an `attach` in the restore, in replay and at the last gate; attaches to the end.
fn lose_every_client(loss: Loss) {
    let lab = lab::copy();
    let before = kills::production(&lab);
    let client = Client::start(&lab, "run.txt", &["run", "restore-drill", "--approve", "start=main"], loss);
    let mut drill = Drill::begun(&lab, &[]);
    let id = drill.folder.id.to_string();

    let restore = drill.started("restore", 1);
    let frozen = Frozen::tree(restore.process.pid);
    client.lose();
    let second = Client::start(&lab, "attach-restore.txt", &["attach", &id], loss);
    lab::wait_until("attaching shows the restore", || {
        kills::said(&lab, "attach-restore.txt").contains("Restore the backup set")
    });
    second.lose();
    let runner = drill.runner().expect("the runner goes on");
    assert!(restore.process.is_running(), "the restore goes on");
    frozen.thaw();

    let server = drill.started("server", 1);
    let frozen = Frozen::tree(server.process.pid);
    let third = Client::start(&lab, "attach-replay.txt", &["attach", &id], loss);
    lab::wait_until("attaching shows the server", || {
        kills::said(&lab, "attach-replay.txt").contains("Start PostgreSQL in isolation")
    });
    third.lose();
    assert!(runner.is_running() && server.process.is_running());
    frozen.thaw();

    drill.until("the last gate", |event| kills::is_gate(event, "remove-gate"));
    let fourth = Client::start(&lab, "attach-gate.txt", &["attach", &id], loss);
    match loss {
        Loss::Terminal => {
            lab::wait_until("attaching shows the gate", || kills::said(&lab, "attach-gate.txt").contains("Type main"));
            fourth.lose();
        }
        // Without a terminal it says what to type and ends.
        Loss::Signal(_) => {
            let Client::Plain(child, _) = fourth else { unreachable!("it has no terminal") };
            assert_eq!(kills::exit_of(child), Some(3), "{}", kills::said(&lab, "attach-gate.txt"));
        }
    }
    assert!(runner.is_running(), "the runner waits at the gate");

    let output = lab.run_lifeboat(&["approve", &id, "remove-gate", "main"]);
    lab::assert_done(&output, "lifeboat approve");
    let output = kills::attach(&lab, &drill);
    assert_eq!(output.status.code(), Some(0), "{}", kills::text(&output));
    drill.until("the end", kills::is_end);
    let runners = drill.entries.iter().filter(|entry| matches!(entry.event, RunEvent::RunnerStarted { .. })).count();
    assert_eq!((drill.run().outcome_word(), runners), ("done", 1));
    drill.assert_nothing_ran_twice();
    assert_eq!(drill.marked(), []);
    assert!(kills::production(&lab) == before, "production is as it was");
}

#[test]
fn clients_that_are_killed_cost_nothing() {
    lose_every_client(Loss::Signal(Signal::KILL));
}

#[test]
fn clients_that_are_hung_up_cost_nothing() {
    lose_every_client(Loss::Signal(Signal::HUP));
}

#[test]
fn clients_whose_terminal_is_closed_cost_nothing() {
    lose_every_client(Loss::Terminal);
}

#[test]
fn a_drill_that_nobody_disturbs_is_done() {
    let lab = lab::copy();
    let before = kills::production(&lab);
    let run = kills::spawn_run(&lab, &BOTH);
    let mut drill = Drill::begun(&lab, &[]);
    drill.until("the end", kills::is_end);
    assert_eq!(kills::exit_of(run), Some(0), "{}", kills::said(&lab, "run.txt"));
    assert_eq!(std::fs::read_dir(lab.layout.drills()).unwrap().count(), 0);
    drill.assert_nothing_ran_twice();
    assert!(kills::production(&lab) == before, "production is as it was");
}
