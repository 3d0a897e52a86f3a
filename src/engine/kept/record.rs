//! `kept.json`: what was kept, and where it came from. Written before anything is touched.

use crate::domain::event::RunId;
use crate::domain::text::clean;
use crate::engine::drill_directory::walk::{self, Missing};
use crate::engine::drill_directory::{self, MARKER};
use crate::engine::kept::KeptError;
use crate::planning::keeping::PlannedPart;
use chrono::{DateTime, Utc};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The record's name, in the chest of the data directory.
pub const RECORD: &str = "kept.json";

const FORMAT: u32 = 1;

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeptState {
    /// Being kept; what is in the data directory is still the old cluster, in part or whole.
    Keeping,
    /// Kept; the data directory belongs to the restore.
    Kept,
    /// Being brought back.
    PuttingBack {
        /// It was not wholly kept: only what was moved is brought back.
        unfinished: bool,
    },
    /// The old cluster is in place again.
    PutBack,
}

/// One part, with what was found of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedPart {
    /// Which, from where, to where, how.
    #[serde(flatten)]
    pub planned: PlannedPart,
    /// The mode of the directory.
    pub mode: u32,
}

/// A link that leads out of the data directory and is not part of what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkOut {
    /// Its name in the data directory.
    pub name: String,
    /// Where it leads.
    pub destination: PathBuf,
}

/// The record of a kept cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Of this file.
    pub format: u32,
    /// The run that kept it.
    pub run: RunId,
    /// How far it is.
    pub state: KeptState,
    /// When keeping began.
    pub began: DateTime<Utc>,
    /// The cluster's; `None` where it had no control file any more.
    pub system_identifier: Option<u64>,
    /// What `PG_VERSION` says.
    pub version: String,
    /// Where it was.
    pub data_directory: PathBuf,
    /// Its parts, the data directory first.
    pub parts: Vec<RecordedPart>,
    /// What was left where it is.
    pub links: Vec<LinkOut>,
}

impl Record {
    pub(super) fn new(run: &RunId, began: DateTime<Utc>, data_directory: &Path) -> Record {
        Record {
            format: FORMAT,
            run: run.clone(),
            state: KeptState::Keeping,
            began,
            system_identifier: None,
            version: String::new(),
            data_directory: data_directory.to_owned(),
            parts: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Writes it durably: beside, synced, renamed, the folder synced.
    pub(super) fn write(&self, home: &Path) -> Result<(), KeptError> {
        let path = home.join(RECORD);
        let damaged = |why: String| KeptError::Record { path: path.clone(), why };
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| damaged(error.to_string()))?;
        text.push(b'\n');
        let directory = walk::open(home, Missing::Fail)?;
        let beside = format!("{RECORD}.new");
        match rustix::fs::unlinkat(&directory, &beside, rustix::fs::AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(errno) => return Err(KeptError::system(home.join(&beside), "replacing it")(errno)),
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&directory, &beside, flags, Mode::RUSR | Mode::WUSR)
            .map_err(KeptError::system(&path, "making it"))?;
        let mut file = std::fs::File::from(file);
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(KeptError::io(&path, "writing it"))?;
        rustix::fs::renameat(&directory, &beside, &directory, RECORD)
            .map_err(KeptError::system(&path, "putting it in place"))?;
        rustix::fs::fsync(&directory).map_err(KeptError::system(home, "syncing the directory"))
    }
}

/// The run that a record says it is of, for callers that were given the record alone. [`read_record`] proves it.
///
/// # Errors
/// When the file can't be read, or names no run.
pub fn run_of(record: &Path) -> Result<RunId, KeptError> {
    let refuse = |why: String| KeptError::Record { path: record.to_owned(), why };
    let text = std::fs::read_to_string(record).map_err(KeptError::io(record, "reading it"))?;
    let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| refuse(clean(&error.to_string())))?;
    let run =
        value.get("run").and_then(serde_json::Value::as_str).ok_or_else(|| refuse("it names no run".to_owned()))?;
    RunId::parse(run).map_err(|error| refuse(error.to_string()))
}

/// The newest record of a cluster that was kept beside `data_directory` and is not back in its place; `None` where there is
/// none. One that can't be read is passed over: it names no way back.
#[must_use]
pub fn newest_record(data_directory: &Path) -> Option<PathBuf> {
    let prefix = format!("{}.kept-", data_directory.file_name()?.to_str()?);
    let beside = std::fs::read_dir(data_directory.parent()?).ok()?.flatten();
    let found = beside.filter_map(|entry| {
        let run = RunId::parse(entry.file_name().to_str()?.strip_prefix(&prefix)?).ok()?;
        let record = read_record(&run, &entry.path()).ok()??;
        let is_of_it = record.data_directory == data_directory && record.state != KeptState::PutBack;
        is_of_it.then(|| (record.began, entry.path().join(RECORD)))
    });
    found.max_by_key(|(began, _)| *began).map(|(_, path)| path)
}

/// Reads the record in `home`; `None` where there is none (yet). The directory has to carry the run's mark.
///
/// # Errors
/// No mark or another run's, a damaged or newer record.
pub fn read_record(run: &RunId, home: &Path) -> Result<Option<Record>, KeptError> {
    let path = home.join(RECORD);
    let refuse = |why: String| KeptError::Record { path: path.clone(), why };
    let directory = walk::open(home, Missing::Fail)?;
    match drill_directory::marker(&directory, home)? {
        Some(found) if found == run.as_str() => {}
        // killed between making and writing the mark: nothing else was done yet
        Some(found) if found.is_empty() && path.symlink_metadata().is_err() => return Ok(None),
        Some(found) => return Err(refuse(format!("its directory belongs to the run {found}, not {run}"))),
        // killed between making the directory and its mark
        None if walk::names(&directory, home)?.is_empty() => return Ok(None),
        None => return Err(refuse(format!("its directory has no {MARKER} of this user"))),
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&directory, RECORD, flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(KeptError::system(&path, "reading it")(errno)),
    };
    let mut text = String::new();
    file.take(1 << 20).read_to_string(&mut text).map_err(KeptError::io(&path, "reading it"))?;
    let format: serde_json::Value = serde_json::from_str(&text).map_err(|error| refuse(clean(&error.to_string())))?;
    match format.get("format").and_then(serde_json::Value::as_u64) {
        Some(found) if found == u64::from(FORMAT) => {}
        Some(found) => {
            return Err(refuse(format!("it has format {found}, this Lifeboat reads {FORMAT}: use the newer one")));
        }
        None => return Err(refuse("it has no format".to_owned())),
    }
    let record: Record = serde_json::from_str(&text).map_err(|error| refuse(clean(&error.to_string())))?;
    if record.run != *run {
        return Err(refuse(format!("it is of the run {}, not {run}", record.run)));
    }
    Ok(Some(record))
}
