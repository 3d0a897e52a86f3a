//! The host is booted in the middle of a recovery in place: nothing of the run lives, and the boot id is another one. What
//! ran then is *unknown*, a person resolves it, and the recovery completes; nothing is promoted or overwritten unasked.
//!
//! In the restore, in the replay, at the gate before the promotion, behind it and after the hand-back in `make test`; at
//! every step in `make prove`. The boot id is changed for real, for everything that is started from then on: in a mount
//! namespace of its own, with another file at its place below `/proc`.
#![expect(clippy::print_stdout, reason = "what a failed sample was is found in the test's own output")]

use crate::in_place_kills::points;
use crate::in_place_support::{self as in_place, Recovery, Way, assert_handed_back, before};
use crate::kills_runner::point;
use crate::kills_support as kills;
use crate::lab::{self, Lab};
use lifeboat::domain::event::RunEvent;
use lifeboat::domain::status::StepStatus;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where it is booted in `make test`.
const SAMPLED: [&str; 5] =
    ["started restore", "ready look", "opened promote-gate", "ended promoted", "ended start-server"];

#[test]
fn a_host_that_is_booted_in_the_middle_leaves_a_recovery_that_completes() {
    let prove = std::env::var("LIFEBOAT_PROVE").is_ok_and(|value| value == "1");
    let lab = in_place::practice();
    let target = in_place::marks(&lab);
    let (mut recovery, client) = Recovery::spawn(&lab, &["-p", &before(target)]);
    let all = points(&recovery.drill.run().plan);
    // Where it ended makes a difference only for what a boot takes along.
    let every = all.into_iter().filter(|point| !point.starts_with("ended ") && point != "runner ");
    let sampled = || SAMPLED.map(str::to_owned).into_iter();
    let mut open: BTreeSet<String> = if prove { every.chain(sampled()).collect() } else { sampled().collect() };

    recovery.drill.until("the first runner", |event| matches!(event, RunEvent::RunnerStarted { .. }));
    kills::kill(client.id(), Signal::KILL);
    kills::exit_of(client);
    let mut freezer = Some(Freezer::of(&lab));
    let (mut seen, mut boots, mut clients) = (0, 0, Vec::<Child>::new());
    let mut decided = Vec::new();
    loop {
        while seen < recovery.drill.entries.len() {
            let here = point(&recovery.drill.entries[seen].event);
            seen += 1;
            if open.remove(&here) {
                boots += 1;
                println!("boot {boots} after: {here}");
                // It would carry the run on itself, on the host as it was.
                end(&mut clients);
                boot(&mut recovery, &here);
                freezer.take_if(|_| here == "started restore").into_iter().for_each(Freezer::end);
                clients.push(attach_after(&mut recovery, boots));
            }
        }
        match recovery.asks() {
            Some(Way::Ended(_)) => break,
            Some(Way::Left) => clients.push(attach_after(&mut recovery, boots)),
            Some(Way::Held(step) | Way::Unknown(step)) => {
                let answer = look_at(&recovery, &step);
                let output = recovery.command(&["resolve", recovery.id(), &step, answer]);
                println!("resolve {step} {answer}: {}", kills::text(&output));
                decided.push(step);
                assert!(decided.len() < 30 * boots + 30, "it does not get on: {decided:?}: {}", recovery.reasons());
            }
            Some(Way::Decision) => {
                recovery.command(&["decide", recovery.id(), "inspect", "promote"]);
            }
            None => {
                if let Some(gate) = recovery.drill.run().open_gate().map(|(gate, _)| gate.id.to_string()) {
                    recovery.command(&["approve", recovery.id(), &gate, "main"]);
                }
            }
        }
        recovery.drill.read_on(Duration::from_millis(100));
    }
    end(&mut clients);
    println!("{boots} boots, decided {decided:?}, {} entries", recovery.drill.entries.len());
    assert_eq!(recovery.drill.run().outcome_word(), "done", "{}{}", recovery.reasons(), recovery.transcript(&[]));
    assert!(open.is_empty(), "never came by: {open:?}");

    // What ran when the host went down was never taken for failed or done.
    let unknown = |wanted: &str| {
        recovery.drill.entries.iter().any(|entry| {
            matches!(&entry.event, RunEvent::StepUnknown { step, evidence, .. }
                if step.as_str() == wanted && evidence.iter().any(|said| said == "the host was booted since"))
        })
    };
    for step in ["restore", "look"] {
        assert!(unknown(step), "{step} was never unknown: {decided:?}");
    }
    let journals: BTreeSet<&str> = recovery.drill.entries.iter().map(|entry| entry.boot_id.as_str()).collect();
    assert!(journals.len() > boots / 2, "{boots} boots, and the journal knows {journals:?}");
    assert!(
        recovery.drill.run().each().all(|(_, state)| matches!(state.status, StepStatus::Done | StepStatus::Skipped))
    );
    recovery.assert_nothing_destroyed_twice();
    assert_handed_back(&recovery, 2);
    assert_eq!(lab.sql("SELECT string_agg(mark, ' ') FROM marks"), "before");
    recovery.assert_transcript();
}

fn end(clients: &mut Vec<Child>) {
    for client in clients.drain(..) {
        kills::kill(client.id(), Signal::KILL);
        kills::exit_of(client);
    }
}

/// Stops the restore as soon as it is there: a small one is done before anybody has read that it began.
struct Freezer {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Freezer {
    fn of(lab: &Lab) -> Freezer {
        let (production, program) = (lab.layout.production(), lab.marker.pgbackrest.display().to_string());
        let is_over = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            let is_it =
                |process: &lab::Process| process.command.starts_with(&program) && process.command.contains(" restore");
            while !over.load(Ordering::SeqCst) {
                if let Some(found) = lab::processes_naming(&production).into_iter().find(is_it) {
                    kills::kill(found.pid.as_raw_nonzero().get().unsigned_abs(), Signal::STOP);
                    return;
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Freezer { is_over, thread }
    }

    /// From here on none is stopped: nobody would let the next one go on.
    fn end(self) {
        self.is_over.store(true, Ordering::SeqCst);
        self.thread.join().unwrap();
    }
}

/// What a person answers who has looked: what has happened is not asked for again.
fn look_at(recovery: &Recovery<'_>, step: &str) -> &'static str {
    let recovers = || {
        let answer = in_place::asked(recovery.lab, "SELECT pg_is_in_recovery()");
        String::from_utf8_lossy(&answer.stdout).trim().to_owned()
    };
    let runs = || server(&recovery.lab.layout.production()).is_some();
    let happened = match step {
        "promote" | "promoted" => runs() && recovers() == "f",
        "stop-server" => !runs(),
        "start-server" => runs(),
        _ => false,
    };
    if happened { "done" } else { "again" }
}

/// Ends every process of the run and the server at once. What starts production when it boots does so, where the run has
/// not taken it or has given it back.
fn boot(recovery: &mut Recovery<'_>, here: &str) {
    if let Some(step) = here.strip_prefix("started ").filter(|step| ["restore", "look"].contains(step)) {
        // In the middle of it, not before.
        let attempt = recovery.drill.run().steps[recovery.drill.position(step)].attempt;
        recovery.drill.started(step, attempt);
    }
    let production = recovery.lab.layout.production();
    recovery.drill.kill_runner();
    // Production that was not taken yet is started again at once: tried at two places.
    let taken = recovery.status("stop-server") != StepStatus::Pending;
    let goes_down = taken || ["opened fence", "started archived"].contains(&here);
    let server = server(&production).filter(|_| goes_down);
    lab::wait_until("nothing lives", || {
        let living = recovery.drill.marked();
        living.iter().map(|(pid, _)| *pid).chain(server).for_each(|pid| kills::kill(pid, Signal::KILL));
        let is_postgres = |left: &lab::Process| left.command.contains("postgres");
        living.is_empty() && !(goes_down && lab::processes_naming(&production).iter().any(is_postgres))
    });
    if let Some(pid) = server {
        // To PostgreSQL a dead process that nobody has asked after yet is another server.
        let number = PathBuf::from(format!("/proc/{pid}"));
        lab::wait_until("the server's number is free", || !number.exists());
    }
    recovery.drill.read_on(Duration::ZERO);
    let is = |step: &str, wanted: StepStatus| recovery.status(step) == wanted;
    if goes_down && (is("stop-server", StepStatus::Pending) || is("start-server", StepStatus::Done)) {
        recovery.lab.start();
    }
}

/// The process of the server on production's data directory.
fn server(production: &Path) -> Option<u32> {
    let pid = postmaster(production)?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    String::from_utf8_lossy(&command).contains("postgres").then_some(pid)
}

fn postmaster(production: &Path) -> Option<u32> {
    fs::read_to_string(production.join("postmaster.pid")).ok()?.lines().next()?.parse().ok()
}

/// `lifeboat attach` on the host as it is after so many boots; the runner that it starts lives there as well.
fn attach_after(recovery: &mut Recovery<'_>, boots: usize) -> Child {
    let (lab, run) = (recovery.lab, recovery.id().to_owned());
    let id = lab.home().join(format!("boot-{boots}"));
    fs::write(&id, format!("00000000-0000-4000-8000-{boots:012}\n")).unwrap();
    let place = "/proc/sys/kernel/random/boot_id";
    let script = format!("mount --bind '{}' {place} && exec \"$@\"", id.display());
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &script, "sh"]);
        command
    } else {
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let mut command = Command::new("sudo");
        command.args(["-n", "unshare", "--mount", "sh", "-c", &script, "sh", "setpriv", "--init-groups"]);
        command.args([format!("--reuid={user}"), format!("--regid={group}")]);
        command
    };
    let plain = lab::lifeboat();
    command.args(["env", "-i"]);
    for (name, value) in plain.get_envs() {
        command.arg(format!("{}={}", name.to_str().unwrap(), value.unwrap().to_str().unwrap()));
    }
    command.arg(plain.get_program()).args(plain.get_args());
    command.arg("--settings").arg(lab.layout.settings()).args(["attach", &run]);
    let said = fs::File::create(lab.home().join(format!("attach-{boots}.txt"))).unwrap();
    let (said, before) = (Stdio::from(said), recovery.drill.entries.len());
    let client = command.current_dir("/").stdin(Stdio::null()).stdout(said).stderr(Stdio::null()).spawn().unwrap();
    // It may have ended again by the time that anybody looks.
    lab::wait_until("somebody carries the run on", || {
        recovery.drill.read_on(Duration::from_millis(20));
        recovery.drill.entries.len() > before || recovery.drill.run().ended.is_some()
    });
    client
}
