//! Several people at once: one answer counts, an outdated one does not, and two runs never share a directory.

use crate::kills_support::{self as kills, Drill};
use crate::lab;
use lifeboat::domain::digest::Digest;
use lifeboat::domain::event::{Operator, RunEvent, Via};
use lifeboat::engine::client::{self, ClientError};
use lifeboat::planning::machine::Request;
use rustix::event::{PollFd, PollFlags, Timespec};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

#[test]
fn one_of_two_approvals_is_granted_and_outdated_ones_are_refused() {
    let lab = lab::copy();
    let run = kills::spawn_run(&lab, &[]);
    let mut drill = Drill::begun(&lab, &[]);
    let opened = drill.until("the first gate", |event| kills::is_gate(event, "start"));
    assert_eq!(kills::exit_of(run), Some(3));
    let (sequence, seal) = (drill.entries[opened].sequence, drill.run().plan.seal);
    let id = drill.folder.id.to_string();
    let approve = |sequence: u64, seal: Digest, answer: &str| {
        let by = Operator { name: "anna".to_owned(), uid: 0 };
        let step = "start".to_owned().try_into().unwrap();
        let request = Request::Approve { step, sequence, seal, answer: answer.to_owned(), by, via: Via::Request };
        client::request(&drill.folder, &request)
    };
    let refused = |found: Result<u64, ClientError>, words: &str| match found {
        Err(ClientError::Refused(why)) => assert!(why.contains(words), "{why}"),
        other => panic!("{words}: {other:?}"),
    };
    refused(approve(sequence - 1, seal, "main"), "the gate has opened again since you looked");
    refused(approve(sequence, Digest::of(b"another plan"), "main"), "the plan has changed since you looked");
    refused(approve(sequence, seal, "Main"), "not what the gate asks for");
    refused(approve(sequence, seal, "main\n"), "not what the gate asks for");

    let clients: Vec<_> = (0..4)
        .map(|number| kills::spawn(&lab, &format!("approve-{number}.txt"), &["approve", &id, "start", "main"]))
        .collect();
    let ended: Vec<_> = clients.into_iter().map(kills::exit_of).collect();
    let granted = ended.iter().filter(|status| **status == Some(0)).count();
    let said: Vec<String> = (0..4).map(|number| kills::said(&lab, &format!("approve-{number}.txt"))).collect();
    assert_eq!(granted, 1, "{said:?}");
    for (status, said) in ended.iter().zip(&said).filter(|(status, _)| **status != Some(0)) {
        assert!(matches!(status, Some(2 | 3)), "{status:?}: {said}");
        assert!(said.contains("is not a gate that waits") || said.contains("has no gate 'start' that waits"), "{said}");
    }
    refused(approve(sequence, seal, "main"), "'start' is not a gate that waits: it is done");
    drill.until("the last gate", |event| kills::is_gate(event, "remove-gate"));
    let answers = drill.entries.iter().filter(|entry| matches!(entry.event, RunEvent::GateAnswered { .. })).count();
    assert_eq!(answers, 1);

    // Two who attach at once both see the gate; whoever is second finds it answered.
    let first = kills::spawn(&lab, "first.txt", &["attach", &id]);
    let second = kills::spawn(&lab, "second.txt", &["attach", &id]);
    assert_eq!((kills::exit_of(first), kills::exit_of(second)), (Some(3), Some(3)));
    let lines = |name: &str| kills::said(&lab, name);
    assert_eq!(lines("first.txt"), lines("second.txt"), "both are shown the same");
    lab::assert_done(&lab.run_lifeboat(&["approve", &id, "remove-gate", "main"]), "lifeboat approve");
    drill.until("the end", kills::is_end);
    assert_eq!(drill.run().outcome_word(), "done");
}

#[test]
fn many_who_attach_to_a_run_without_a_runner_get_one_runner() {
    let lab = lab::copy();
    let run = kills::spawn_run(&lab, &[]);
    let mut drill = Drill::begun(&lab, &[]);
    drill.until("the first gate", |event| kills::is_gate(event, "start"));
    assert_eq!(kills::exit_of(run), Some(3));
    assert!(drill.kill_runner());
    let id = drill.folder.id.to_string();
    let clients: Vec<_> =
        (0..4).map(|number| kills::spawn(&lab, &format!("attach-{number}.txt"), &["attach", &id])).collect();
    for (number, client) in clients.into_iter().enumerate() {
        assert_eq!(kills::exit_of(client), Some(3), "{}", kills::said(&lab, &format!("attach-{number}.txt")));
    }
    drill.read_on(std::time::Duration::ZERO);
    let runners = drill.entries.iter().filter(|entry| matches!(entry.event, RunEvent::RunnerStarted { .. })).count();
    assert_eq!(runners, 2);

    // A runner that is being killed holds the lock and the socket for a moment more, and hears nobody.
    assert!(drill.kill_runner());
    let dying = (drill.folder.lock_runner().unwrap().unwrap(), heard_by_nobody(&drill));
    let abort = kills::spawn(&lab, "abort.txt", &["abort", &id]);
    let mut called = [PollFd::new(&dying.1, PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut called, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })), Ok(1), "nobody called");
    // Which of the two it lets go first is the kernel's choice. Here the socket: the next call is refused while the lock is
    // held, and when that goes as well, nobody was asked anything.
    let (lock, socket) = dying;
    drop(socket);
    std::thread::sleep(std::time::Duration::from_secs(1));
    drop(lock);
    assert_eq!(kills::exit_of(abort), Some(0), "{}", kills::said(&lab, "abort.txt"));
    drill.until("the end", kills::is_end);
    let asked = drill.entries.iter().filter(|entry| matches!(entry.event, RunEvent::AbortRequested { .. })).count();
    assert_eq!((drill.run().outcome_word(), asked), ("aborted", 1));
}

/// A socket in the place of the run's that never takes a call.
fn heard_by_nobody(drill: &Drill) -> UnixListener {
    let path = std::fs::read_to_string(drill.folder.path.join("socket")).unwrap();
    std::fs::remove_file(&path).unwrap();
    let listener = UnixListener::bind(&path).unwrap();
    // Whoever runs this, the run's owner may call.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).unwrap();
    listener
}

#[test]
fn a_second_run_in_the_same_directory_is_refused_before_it_begins() {
    let lab = lab::copy();
    let directory = lab.layout.drills().join("ours");
    let parameter = format!("directory={}", directory.display());
    let run = kills::spawn_run(&lab, &["-p", &parameter]);
    let mut drill = Drill::begun(&lab, &[]);
    drill.until("the first gate", |event| kills::is_gate(event, "start"));
    assert_eq!(kills::exit_of(run), Some(3));
    // The first has not made the directory yet, so that only the lock can tell.
    assert!(!directory.exists());
    let second = lab.run_lifeboat(&["run", "restore-drill", "-p", &parameter, "--approve", "start=main"]);
    assert_eq!(second.status.code(), Some(2), "{}", kills::text(&second));
    let said = kills::text(&second);
    assert!(
        said.contains(&format!("run {} works in", drill.folder.id)) && said.contains(directory.to_str().unwrap()),
        "{said}"
    );
    assert_eq!(std::fs::read_dir(lab.layout.state().join("runs")).unwrap().count(), 1, "the second was never begun");

    // While its runner is dead the directory is free, and the first waits for the second.
    assert!(drill.kill_runner());
    let second = kills::spawn(&lab, "second.txt", &["run", "restore-drill", "-p", &parameter]);
    let mut other = Drill::begun(&lab, std::slice::from_ref(&drill.folder.id));
    other.until("its gate", |event| kills::is_gate(event, "start"));
    assert_eq!(kills::exit_of(second), Some(3));
    let first = kills::attach(&lab, &drill);
    assert_eq!(first.status.code(), Some(2), "{}", kills::text(&first));
    assert!(kills::text(&first).contains(&format!("run {} works in", other.folder.id)), "{}", kills::text(&first));
    lab::assert_done(&lab.run_lifeboat(&["abort", other.folder.id.as_str()]), "lifeboat abort");
    assert_eq!(kills::attach(&lab, &drill).status.code(), Some(3), "it is the first's turn again");
    lab::assert_done(&lab.run_lifeboat(&["abort", drill.folder.id.as_str()]), "lifeboat abort");
}
