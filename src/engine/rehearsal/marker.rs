//! The marker file: what a practice cluster is made of, and the proof that a directory is one.

use crate::engine::rehearsal::error::RehearsalError;
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Name of the marker file in a practice cluster's directory and in its directory for sockets.
pub const MARKER: &str = "lifeboat-rehearsal.json";

/// What a practice cluster is made of. Written before anything else, so that a half-built one can be removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Marker {
    /// Version of this file's format: 1.
    pub schema: u32,
    /// The directory that holds everything.
    pub directory: PathBuf,
    /// Whether the directory was made by the build, so that it is removed with its content.
    pub made_directory: bool,
    /// The directory with the server's and the runs' sockets: below `directory`, or a short one of its own.
    pub short_directory: PathBuf,
    /// Where the PostgreSQL programs are.
    pub bin_directory: PathBuf,
    /// The pgbackrest program.
    pub pgbackrest: PathBuf,
    /// The server's port number; it has no TCP port, but the socket's name carries the number.
    pub port: u16,
    /// The operating-system user that owns everything.
    pub owner: String,
    /// What the data is: `shop`.
    pub scenario: String,
    /// Seconds from the start of the build to "ready"; absent in a half-built cluster.
    pub ready_seconds: Option<f64>,
}

impl Marker {
    /// Writes the marker into a directory, in place of an older one.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn write_to(&self, directory: &Path) -> Result<(), RehearsalError> {
        let path = directory.join(MARKER);
        let fresh = directory.join(format!("{MARKER}.new"));
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|error| RehearsalError::io("cannot encode", &path)(error.into()))?;
        text.push('\n');
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(RehearsalError::io("cannot write", &path))
    }

    /// Reads the marker of a directory and makes sure that it speaks of this very directory and is ours.
    ///
    /// # Errors
    /// [`RehearsalError::NotARehearsal`] with what was missing or different.
    pub fn read_from(directory: &Path) -> Result<Self, RehearsalError> {
        let refuse = |reason: String| RehearsalError::NotARehearsal { directory: directory.to_path_buf(), reason };
        let path = directory.join(MARKER);
        let metadata = fs::symlink_metadata(&path).map_err(|error| refuse(format!("{MARKER}: {error}")))?;
        if !metadata.is_file() || metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(refuse(format!("{MARKER} is not a file of the user who asks")));
        }
        let text = fs::read_to_string(&path).map_err(|error| refuse(format!("{MARKER}: {error}")))?;
        let marker: Self = serde_json::from_str(&text).map_err(|error| refuse(format!("{MARKER}: {error}")))?;
        if marker.schema != 1 {
            return Err(refuse(format!("{MARKER} has format {}, this program knows 1", marker.schema)));
        }
        let here = directory.canonicalize().map_err(|error| refuse(error.to_string()))?;
        if marker.directory != here {
            return Err(refuse(format!("{MARKER} was written for {}", marker.directory.display())));
        }
        Ok(marker)
    }
}
