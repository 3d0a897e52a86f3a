//! The practice cluster: a real PostgreSQL with real pgBackRest backups, built below one directory with
//! everything its own, and removed again.
//!
//! It touches nothing of the host: no TCP port, sockets, logs, locks, spool and configuration of its own, an
//! environment of its own for every program. What it makes carries a marker file, and only what carries one
//! is ever ended or removed.

mod accident;
mod build;
mod configuration;
mod ending;
mod error;
mod incident;
mod layout;
mod marker;
mod page;
mod programs;
mod scenario;
mod score;
mod shop;
mod truth;
mod wal_records;
pub mod writer;

pub use accident::{AccidentOptions, cause};
pub use build::{BuildOptions, build};
pub use configuration::{DATABASE, STANZA, SUPERUSER, TIMEZONE};
pub use error::RehearsalError;
pub use incident::{Incident, incident};
pub use layout::Layout;
pub use marker::{MARKER, Marker};
pub use programs::Programs;
pub use scenario::Scenario;
pub use score::{Score, score};
pub use shop::{CUSTOMERS, ORDERS};
pub use truth::{Acknowledged, Baseline, Blow, Commit, Truth};

use std::ffi::OsString;
use std::fs;
use std::path::Path;

/// A practice cluster that was built, or is being built.
#[derive(Debug, Clone, PartialEq)]
pub struct Rehearsal {
    /// Where everything of it lies.
    pub layout: Layout,
    /// What it is made of.
    pub marker: Marker,
}

impl Rehearsal {
    pub(super) fn of(marker: Marker) -> Self {
        let layout = Layout { directory: marker.directory.clone(), short_directory: marker.short_directory.clone() };
        Self { layout, marker }
    }

    /// Opens a practice cluster by its directory, half-built ones included.
    ///
    /// # Errors
    /// [`RehearsalError::NotARehearsal`] when the directory carries no marker of ours.
    pub fn open(directory: &Path) -> Result<Self, RehearsalError> {
        Marker::read_from(directory).map(Self::of)
    }

    /// The practice cluster that a settings file belongs to, if it does.
    #[must_use]
    pub fn of_settings(file: Option<&Path>) -> Option<Self> {
        let file = file?;
        let rehearsal = Self::open(&file.parent()?.canonicalize().ok()?).ok()?;
        (rehearsal.layout.settings().file_name() == file.file_name()).then_some(rehearsal)
    }

    /// Arguments for `psql` to talk to the practice server: no start-up file, stop at the first error, bare rows.
    #[must_use]
    pub fn psql_arguments(&self, user: &str, database: &str) -> Vec<OsString> {
        let mut arguments: Vec<OsString> =
            ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h"].map(Into::into).into();
        arguments.push(self.layout.sockets().into());
        arguments.extend(["-p", &self.marker.port.to_string(), "-U", user, "-d", database].map(OsString::from));
        arguments
    }

    /// Ends the writer, the server, and whatever else works on this practice cluster: runs, drills, backups.
    /// The files stay.
    ///
    /// # Errors
    /// [`RehearsalError::StillRunning`] when something outlived KILL.
    pub fn stop(&self) -> Result<(), RehearsalError> {
        ending::end_processes(&[&self.layout.directory, &self.layout.short_directory])
    }

    /// Removes the files. The marker goes last, so that a removal that was cut off can be done again.
    ///
    /// # Errors
    /// When the directory no longer carries this practice cluster's marker, or something can't be removed.
    pub fn remove(self) -> Result<(), RehearsalError> {
        let Layout { directory, short_directory } = &self.layout;
        if Marker::read_from(directory)?.port != self.marker.port {
            return Err(RehearsalError::NotARehearsal {
                directory: directory.clone(),
                reason: "another practice cluster has taken its place".to_owned(),
            });
        }
        if short_directory != directory && carries(short_directory, &self.marker) {
            empty(short_directory)?;
            fs::remove_file(short_directory.join(MARKER))
                .and_then(|()| fs::remove_dir(short_directory))
                .map_err(RehearsalError::io("cannot remove", short_directory))?;
        }
        empty(directory)?;
        let marker = directory.join(MARKER);
        fs::remove_file(&marker).map_err(RehearsalError::io("cannot remove", &marker))?;
        if self.marker.made_directory {
            fs::remove_dir(directory).map_err(RehearsalError::io("cannot remove", directory))?;
        }
        Ok(())
    }
}

/// Whether the directory for sockets is the one of this practice cluster.
fn carries(short_directory: &Path, marker: &Marker) -> bool {
    fs::read_to_string(short_directory.join(MARKER))
        .ok()
        .and_then(|text| serde_json::from_str::<Marker>(&text).ok())
        .is_some_and(|found| found.directory == marker.directory)
}

/// Removes everything in a directory but the marker. Links are removed, never followed.
fn empty(directory: &Path) -> Result<(), RehearsalError> {
    let entries = fs::read_dir(directory).map_err(RehearsalError::io("cannot read", directory))?;
    for entry in entries {
        let entry = entry.map_err(RehearsalError::io("cannot read", directory))?;
        if entry.file_name() == MARKER {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type().map_err(RehearsalError::io("cannot look at", &path))?;
        let removed = if kind.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(RehearsalError::io("cannot remove", &path))?;
    }
    Ok(())
}
