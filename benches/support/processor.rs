//! What a whole process takes: time, and processor time with that of the children that it waited for. On a machine that
//! does other things as well the second tells more.

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::fs;
use std::process::{Child, ExitStatus};
use std::time::Duration;

/// Clock ticks of `/proc/PID/stat`: `sysconf(_SC_CLK_TCK)` is 100 on Linux for every architecture that PostgreSQL is
/// packaged for.
const TICK: Duration = Duration::from_millis(10);

/// Waits for a process, and returns the processor time of it and of its children.
pub(crate) fn wait(child: &mut Child) -> (ExitStatus, Duration) {
    waitid(WaitId::Pid(Pid::from_child(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
    // The name in parentheses may hold anything; utime, stime, cutime and cstime are the 14th to 17th value.
    let values = stat.rsplit_once(')').unwrap().1.split_whitespace();
    let ticks: u32 = values.skip(11).take(4).map(|value| value.parse::<u32>().unwrap()).sum();
    (child.wait().unwrap(), TICK * ticks)
}
