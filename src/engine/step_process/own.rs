//! The step process itself: one command, from before its start to its outcome.

use crate::domain::event::{Exit, Outcome, OutputDigest};
use crate::engine::clock;
use crate::engine::identity;
use crate::engine::processes::{self, GRACE, MARK_VARIABLE, ProcessId, Sign};
use crate::engine::step_process::capture::Capture;
use crate::engine::step_process::folder::{Folder, Slot};
use crate::engine::step_process::{
    ALIVE, CLAIM, COMMAND, Claimant, ERRORS, OUTCOME, OUTPUT, STARTED, StartedRecord, StepSpec, write_claim,
};
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::process::{Pid, WaitOptions, WaitStatus};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use tokio::signal::unix::{SignalKind, signal};

/// The ready byte: the session is our own, and the command is started or its failure written down.
const READY: &[u8] = b"R";

/// Why a step process could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// Somebody else has the claim: the command is theirs to start, or never to be started.
    #[error("the claim in this folder is taken: nothing was started by this step process")]
    Claimed,
    /// There is nothing to run.
    #[error("command.json is missing, unreadable or empty: nothing was started ({0})")]
    Command(String),
    /// The operating system said no.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> OwnError {
    move |source| OwnError::System { what, source: source.into() }
}

/// The whole life of a step process, for the hidden subcommand: 0 when the outcome is written down. Complaints go to
/// standard error, which is the step's log.
#[must_use]
pub fn step_process_main(folder: &Path) -> i32 {
    match own(folder) {
        Ok(()) => 0,
        Err(error) => {
            complain(&error);
            1
        }
    }
}

fn complain(error: &dyn std::error::Error) {
    // Nobody is left to be told when the log can't be written.
    drop(writeln!(io::stderr(), "{} {error}", clock::now().to_rfc3339()));
}

/// Runs the command of a step's folder: own session, sub-reaper, alive lock, claim, command, leftovers, outcome. The
/// calling process must be there for nothing else: it reaps every child, and its standard output is the pipe for the
/// ready byte.
///
/// # Errors
/// [`OwnError`]. Before the claim nothing was started; after it there is no outcome only when it can't be written.
pub fn own(folder: &Path) -> Result<(), OwnError> {
    let folder = Folder::open(folder).map_err(system("opening the step's folder"))?;
    let spec = read_spec(&folder)?;
    stand_alone(spec.release).map_err(system("leaving the caller's session"))?;
    // Dropped at the very end: HUP, INT and TERM must not end it before the outcome is written.
    let _signals = stay_through_signals().map_err(system("taking over signals"))?;
    let alive = hold_alive(&folder, spec.release).map_err(system("locking 'alive'"))?;
    if folder.read(CLAIM).map_err(system("reading 'claim'"))?.is_some() {
        return Err(OwnError::Claimed);
    }
    let prepared = Prepared::create(&folder, &spec).map_err(system("preparing the step's files"))?;
    if !write_claim(&folder, Claimant::StepProcess).map_err(system("writing 'claim'"))? {
        return Err(OwnError::Claimed);
    }
    let files = prepared.run(&folder, &spec)?;
    drop(alive);
    // The outcome is out; that its evidence also outlives a power cut keeps nobody waiting.
    files.iter().try_for_each(File::sync_data).map_err(system("syncing the output"))
}

fn read_spec(folder: &Folder) -> Result<StepSpec, OwnError> {
    let bytes = folder.read(COMMAND).map_err(|error| OwnError::Command(error.to_string()))?;
    let bytes = bytes.ok_or_else(|| OwnError::Command("there is none".to_owned()))?;
    let spec: StepSpec = serde_json::from_slice(&bytes).map_err(|error| OwnError::Command(error.to_string()))?;
    if spec.argv.is_empty() { Err(OwnError::Command("no program".to_owned())) } else { Ok(spec) }
}

/// An own session, and the parent of everything that loses its own.
fn stand_alone(release: bool) -> io::Result<()> {
    match rustix::process::setsid() {
        Ok(_) => {}
        // Already the leader of a session, then that is as good; the leader of a mere group is not.
        Err(Errno::PERM) if rustix::process::getsid(None)? == rustix::process::getpid() => {}
        Err(error) => return Err(error.into()),
    }
    // What is to outlive this process becomes a child of the host's first one, as any daemon does.
    let reaper = if release { None } else { Some(rustix::process::getpid()) };
    Ok(rustix::process::set_child_subreaper(reaper)?)
}

/// Handlers, not "ignore": what is ignored stays ignored in the command, handlers are reset when it is executed.
fn stay_through_signals() -> io::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    {
        let _entered = runtime.enter();
        for kind in [
            SignalKind::hangup(),
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::quit(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ] {
            // The handler outlives the stream; nobody needs to hear of the signal.
            drop(signal(kind)?);
        }
    }
    Ok(runtime)
}

/// Locks `alive` on a descriptor that stays open in everything that is started from here.
fn hold_alive(folder: &Folder, release: bool) -> io::Result<File> {
    let alive = folder.open_file(ALIVE, OFlags::RDWR | OFlags::CREATE)?;
    // Waits: whoever merely looks holds it for a moment.
    while let Err(error) = rustix::fs::flock(&alive, FlockOperation::LockExclusive) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    // A released server would hold it for good: there this process alone does.
    rustix::io::fcntl_setfd(&alive, if release { FdFlags::CLOEXEC } else { FdFlags::empty() })?;
    Ok(alive)
}

/// Everything that needs room on the disk, made before the claim: after it only the command itself can fail.
struct Prepared {
    output: Capture,
    errors: Option<Capture>,
    started: Slot,
    outcome: Slot,
}

impl Prepared {
    fn create(folder: &Folder, spec: &StepSpec) -> io::Result<Prepared> {
        Ok(Prepared {
            outcome: Slot::create(folder, OUTCOME)?,
            started: Slot::create(folder, STARTED)?,
            output: Capture::create(folder, OUTPUT)?,
            errors: spec.stdout_is_data.then(|| Capture::create(folder, ERRORS)).transpose()?,
        })
    }

    /// Starts the command, waits for all of it, and writes the outcome. Gives the files it wrote to.
    fn run(self, folder: &Folder, spec: &StepSpec) -> Result<Vec<File>, OwnError> {
        let begun = clock::monotonic_ns();
        let spawned = spawn(spec, &self.output, self.errors.as_ref());
        let (exit, ended, leftovers) = match spawned {
            Ok(main) => {
                if let Err(error) = note_started(self.started, folder, main) {
                    // The command runs: it is watched to its end all the same.
                    complain(&error);
                }
                tell_ready();
                let exit = wait_for(main).map_err(system("waiting for the command"))?;
                let ended = clock::monotonic_ns();
                let leftovers = if spec.release { Ok(0) } else { end_leftovers() };
                (exit, ended, leftovers.map_err(system("ending leftover processes"))?)
            }
            Err(error) => {
                complain(&io::Error::new(error.kind(), format!("{}: {error}", spec.argv[0])));
                (Exit::NotStarted(error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error())), begun, 0)
            }
        };
        let (output, file) = self.output.finish().map_err(system("reading the output back"))?;
        let (errors, errors_file): (Option<OutputDigest>, _) =
            self.errors.map(Capture::finish).transpose().map_err(system("reading the errors back"))?.unzip();
        let milliseconds = (ended - begun) / 1_000_000;
        let outcome = Outcome { exit, milliseconds, output, errors, leftovers, boot_id: clock::boot_id() };
        let bytes =
            serde_json::to_vec(&outcome).map_err(|error| system("writing the outcome")(io::Error::from(error)))?;
        self.outcome.publish(folder, &bytes).map_err(system("writing the outcome"))?;
        if matches!(exit, Exit::NotStarted(_)) {
            tell_ready();
        }
        Ok([Some(file), errors_file].into_iter().flatten().collect())
    }
}

/// Starts the command with our own environment. It inherits the lock on `alive`, and what the runner was itself given
/// open by whoever started it: closing that takes unsafe code.
fn spawn(spec: &StepSpec, output: &Capture, errors: Option<&Capture>) -> io::Result<Pid> {
    let program = if spec.is_lifeboat { identity::program_to_execute() } else { Path::new(&spec.argv[0]) };
    let mut command = Command::new(program);
    if spec.release {
        // Our own environment has it: what is handed over would be taken for this step's for as long as it lives.
        command.env_remove(MARK_VARIABLE);
    } else {
        command.env(MARK_VARIABLE, spec.mark().to_string());
    }
    let child = command
        .arg0(&spec.argv[0])
        .args(&spec.argv[1..])
        .current_dir(&spec.directory)
        .stdin(Stdio::null())
        .stdout(output.stdio()?)
        .stderr(errors.unwrap_or(output).stdio()?)
        .spawn()?;
    // Reaped in `wait_for` with all the others, never through this handle.
    Ok(Pid::from_child(&child))
}

fn note_started(slot: Slot, folder: &Folder, main: Pid) -> io::Result<()> {
    // Ended or not, it is not reaped yet: the id is still its own.
    let process = ProcessId::of(main.as_raw_nonzero().get().unsigned_abs())?;
    let record = StartedRecord { process, boot_id: clock::boot_id(), at: clock::now() };
    slot.publish(folder, &serde_json::to_vec(&record)?)
}

/// Sends the ready byte and lets go of the pipe. A runner that is gone by now is no reason to stop.
fn tell_ready() {
    let _gone = rustix::io::write(rustix::stdio::stdout(), READY);
    if let Ok(null) = File::options().write(true).open("/dev/null") {
        let _kept = rustix::stdio::dup2_stdout(&null);
    }
}

/// Sleeps until the main process has ended; reaps what else ends meanwhile.
fn wait_for(main: Pid) -> io::Result<Exit> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == main => return Ok(exit_of(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn exit_of(status: WaitStatus) -> Exit {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(number)) => Exit::Signal(number),
        (None, None) => Exit::Code(status.as_raw()),
    }
}

/// Ends what outlived the main process and reaps all of it; gives their number. All of them are our descendants: who
/// loses its parent becomes our child.
fn end_leftovers() -> io::Result<u32> {
    let until = Instant::now() + GRACE;
    let everything = [Sign::DescendantOf(std::process::id())];
    let mut seen = HashSet::new();
    let mut hopeless = HashSet::new();
    loop {
        if !reap(WaitOptions::NOHANG)? {
            return Ok(u32::try_from(seen.len()).unwrap_or(u32::MAX));
        }
        let mut living = processes::survivors(&everything, &[])?;
        seen.extend(living.iter().map(|leftover| leftover.process));
        living.retain(|leftover| !hopeless.contains(&leftover.process));
        if living.is_empty() {
            // Ended meanwhile, or of another user and not ours to end: then their own end is waited for.
            reap(WaitOptions::empty())?;
            continue;
        }
        let ended = processes::end(&living, until.saturating_duration_since(Instant::now()))?;
        hopeless.extend(ended.left.iter().map(|left| left.process));
    }
}

/// Reaps children: all that have ended ([`WaitOptions::NOHANG`]), or one that is waited for. `false` when there are no
/// children left.
fn reap(how: WaitOptions) -> io::Result<bool> {
    loop {
        match rustix::process::wait(how) {
            Ok(Some(_)) if how.contains(WaitOptions::NOHANG) => {}
            Ok(_) => return Ok(true),
            Err(Errno::CHILD) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
