//! The server that a run has left in its directory: told by the directory's mark, ended by its process id.

use crate::domain::event::RunId;
use crate::engine::drill_directory::remove::is_ours;
use crate::engine::drill_directory::walk::{self, Missing};
use crate::engine::drill_directory::{DrillDirectory, DrillDirectoryError, marker};
use crate::engine::postgres::{LiveState, server_is_live};
use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;
use std::time::{Duration, Instant};

/// A fast shutdown writes what is dirty of 128 MB and is done long before that.
const PATIENCE: Duration = Duration::from_secs(300);
const INTERVAL: Duration = Duration::from_millis(100);

/// The directory carries this run's mark. One that can't be looked at does not.
#[must_use]
pub fn is_marked(run: &RunId, directory: &Path) -> bool {
    let found = walk::open(directory, Missing::Fail).and_then(|root| marker(&root, directory));
    found.is_ok_and(|found| found.as_deref() == Some(run.as_str()))
}

/// Ends the server in the directory of `run` (fast shutdown), and waits until it has ended; its process id, or `None` when
/// none runs there.
///
/// # Errors
/// [`DrillDirectoryError`]: no mark or another run's, a process that can't be told to be that server, one that does not end
/// within five minutes. No signal was sent in the first two cases.
pub fn stop_server(run: &RunId, directory: &Path) -> Result<Option<u32>, DrillDirectoryError> {
    let root = walk::open(directory, Missing::Fail)?;
    is_ours(run, directory, &root)?;
    let data = DrillDirectory::at(directory).data();
    let live = |pid| DrillDirectoryError::Live { path: directory.to_owned(), data_directory: data.clone(), pid };
    // one that can't be read is a server for all we know
    let LiveState::Running { pid, .. } = server_is_live(&data).map_err(|_| live(0))? else { return Ok(None) };
    // "in doubt it runs" is not enough to end a process: it has to work in exactly this directory
    let here = std::fs::canonicalize(&data).ok();
    if here.is_none() || std::fs::read_link(format!("/proc/{pid}/cwd")).ok() != here {
        return Err(live(pid));
    }
    let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Err(live(pid)) };
    match kill_process(process, Signal::INT) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(errno) => return Err(DrillDirectoryError::system(&data, "asking its server to end")(errno)),
    }
    let deadline = Instant::now() + PATIENCE;
    while matches!(server_is_live(&data), Ok(LiveState::Running { .. })) {
        if Instant::now() >= deadline {
            return Err(live(pid));
        }
        std::thread::sleep(INTERVAL);
    }
    Ok(Some(pid))
}
