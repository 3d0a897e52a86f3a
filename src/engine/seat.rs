//! Who drives a run: the one console that answers for it. Others look on; who wants to answer as well takes the seat,
//! knowingly. Whether somebody sits there is told by a lock, so a console that died drives nothing.
//!
//! The seat decides nothing: what an answer is worth is the runner's to say.

use crate::domain::event::Operator;
use crate::engine::store::RunFolder;
use chrono::{DateTime, FixedOffset};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The file's name in the run's folder.
const SEAT: &str = "seat";

/// Who drives a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// The person.
    pub name: String,
    /// Their console's process.
    pub pid: u32,
    /// Since when.
    pub since: DateTime<FixedOffset>,
}

/// The seat, as long as nobody takes it over.
#[derive(Debug)]
pub struct Seat {
    path: PathBuf,
    file: File,
}

impl Seat {
    /// Takes the seat of a run, from whoever has it.
    ///
    /// # Errors
    /// When the run's folder can't be written.
    pub fn take(folder: &RunFolder, by: &Operator, at: DateTime<FixedOffset>) -> io::Result<Seat> {
        let path = folder.path.join(SEAT);
        let driver = Driver { name: by.name.clone(), pid: std::process::id(), since: at };
        let fresh = folder.path.join(format!("{SEAT}.{}", driver.pid));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        serde_json::to_writer(&mut file, &driver)?;
        file.flush()?;
        // Locked before it has its name: whoever finds it finds it taken.
        rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        std::fs::rename(&fresh, &path)?;
        Ok(Seat { path, file })
    }

    /// Whether it is still ours: nobody has put another one in its place.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        let (Ok(there), Ok(ours)) = (std::fs::symlink_metadata(&self.path), self.file.metadata()) else { return false };
        (there.dev(), there.ino()) == (ours.dev(), ours.ino())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A child that is being started has the file as well, until it becomes its program.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// Who drives a run, this process among them; `None` where nobody does, or nobody can tell.
#[must_use]
pub fn driver(folder: &RunFolder) -> Option<Driver> {
    read(&folder.path.join(SEAT))
}

fn read(path: &Path) -> Option<Driver> {
    let file = File::open(path).ok()?;
    // Who can lock it shared finds it empty.
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) {
        Err(rustix::io::Errno::WOULDBLOCK) => {}
        _ => return None,
    }
    let mut driver: Driver = serde_json::from_reader(file).ok()?;
    driver.name = crate::domain::text::clean(&driver.name);
    Some(driver)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::domain::event::RunId;

    #[test]
    fn one_drives_another_takes_over_and_an_empty_seat_is_free() {
        let home = tempfile::tempdir().unwrap();
        let folder = RunFolder { path: home.path().to_owned(), id: RunId::parse("7Q2K9XAB").unwrap() };
        assert_eq!(driver(&folder), None);
        let by = |name: &str| Operator { name: name.to_owned(), uid: 113 };
        let at = "2026-11-22T23:13:00+00:00".parse().unwrap();
        let anna = Seat::take(&folder, &by("anna"), at).unwrap();
        let seen = driver(&folder).unwrap();
        assert_eq!((seen.name.as_str(), seen.since, seen.pid), ("anna", at, std::process::id()));
        assert!(anna.is_ours());
        let boris = Seat::take(&folder, &by("boris"), at).unwrap();
        assert!(!anna.is_ours() && boris.is_ours());
        assert_eq!(driver(&folder).unwrap().name, "boris");
        // Who leaves later than they were relieved takes nothing with them.
        drop(anna);
        assert_eq!(driver(&folder).unwrap().name, "boris");
        let with_a_child = boris.file.try_clone().unwrap();
        drop(boris);
        assert_eq!(driver(&folder), None, "free, though a child that is being started still has the file");
        drop(with_a_child);
        std::fs::write(home.path().join(SEAT), "no driver").unwrap();
        assert_eq!(driver(&folder), None);
    }
}
