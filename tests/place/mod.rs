//! Where the clusters of tests lie.
//!
//! Each test makes thousands of files and removes them. For every new file ext4 looks at all that were removed in the
//! last minutes (`recently_deleted`), which took half of the tests' processor time: in memory they take half as long.

use rustix::fs::StatVfsMountFlags;
use std::path::Path;
use tempfile::TempDir;

const IN_MEMORY: &str = "/dev/shm";
/// So much has to be free there: a cluster with its repositories takes up to half a gigabyte, and several live at a time.
const ROOM_BYTES: u64 = 6 << 30;

/// A fresh directory, in memory where that has room. Not below `$TMPDIR`: the path of a socket has room for 107 bytes.
pub(crate) fn fresh(prefix: &str) -> TempDir {
    tempfile::Builder::new().prefix(prefix).tempdir_in(if has_room() { IN_MEMORY } else { "/tmp" }).unwrap()
}

/// Whether there is room for some clusters, with the programs that tests put beside them.
fn has_room() -> bool {
    let Ok(system) = rustix::fs::statvfs(Path::new(IN_MEMORY)) else { return false };
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    // What is free in it may be more than the machine has.
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
        .unwrap_or(0);
    !system.f_flag.contains(StatVfsMountFlags::NOEXEC) && free.min(available.saturating_mul(1024)) >= ROOM_BYTES
}
