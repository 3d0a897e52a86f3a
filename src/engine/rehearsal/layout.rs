//! Where everything of a practice cluster lies, and whether a directory can hold one.

use crate::engine::rehearsal::error::RehearsalError;
use crate::engine::rehearsal::marker::MARKER;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Free bytes without which no build is started: a cluster of 70 MB, two repositories, WAL, one drill beside it.
const NEEDED_BYTES: u64 = 512 * 1024 * 1024;
/// A Unix socket's path has room for 107 bytes; the longest name below a sockets directory takes about 40.
const LONGEST_WITH_SOCKETS: usize = 60;

/// The paths of a practice cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The directory that holds everything.
    pub directory: PathBuf,
    /// The directory with the sockets: short enough for the 107 bytes of a socket's path.
    pub short_directory: PathBuf,
}

impl Layout {
    /// The data directory of the practice production server.
    #[must_use]
    pub fn production(&self) -> PathBuf {
        self.directory.join("production")
    }
    /// The first repository, not encrypted.
    #[must_use]
    pub fn first_repository(&self) -> PathBuf {
        self.directory.join("repository1")
    }
    /// The second repository, encrypted.
    #[must_use]
    pub fn second_repository(&self) -> PathBuf {
        self.directory.join("repository2")
    }
    /// pgBackRest's configuration.
    #[must_use]
    pub fn pgbackrest_config(&self) -> PathBuf {
        self.directory.join("pgbackrest.conf")
    }
    /// Lifeboat's settings.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.directory.join("lifeboat.toml")
    }
    /// The server's log.
    #[must_use]
    pub fn server_log(&self) -> PathBuf {
        self.directory.join("server.log")
    }
    /// pgBackRest's logs.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
    /// pgBackRest's lock files.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.directory.join("lock")
    }
    /// pgBackRest's spool.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.directory.join("spool")
    }
    /// Lifeboat's state: runs and their journals.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.directory.join("state")
    }
    /// Where drills restore to.
    #[must_use]
    pub fn drills(&self) -> PathBuf {
        self.directory.join("drills")
    }
    /// The writer's folder.
    #[must_use]
    pub fn writer(&self) -> PathBuf {
        self.directory.join("writer")
    }
    /// What the writer was promised: one JSON object a line.
    #[must_use]
    pub fn acknowledged(&self) -> PathBuf {
        self.writer().join("acknowledged.jsonl")
    }
    /// What the writer could not do, and why: one JSON object a line.
    #[must_use]
    pub fn failures(&self) -> PathBuf {
        self.writer().join("failures.jsonl")
    }
    /// The accident's folder: the page, and the truth that is opened for the score.
    #[must_use]
    pub fn accident(&self) -> PathBuf {
        self.directory.join("accident")
    }
    /// The text that the engineer on call gets.
    #[must_use]
    pub fn page(&self) -> PathBuf {
        self.accident().join("page.txt")
    }
    /// What really happened.
    #[must_use]
    pub fn truth(&self) -> PathBuf {
        self.accident().join("truth.json")
    }
    /// The server's socket directory.
    #[must_use]
    pub fn sockets(&self) -> PathBuf {
        self.short_directory.join("sockets")
    }
    /// Lifeboat's runtime directory: the sockets of its runs.
    #[must_use]
    pub fn runtime(&self) -> PathBuf {
        self.short_directory.join("runtime")
    }

    /// Every folder that the build makes, apart from the two directories themselves.
    pub(super) fn folders(&self) -> [PathBuf; 10] {
        [
            self.first_repository(),
            self.second_repository(),
            self.log(),
            self.lock(),
            self.spool(),
            self.state(),
            self.drills(),
            self.writer(),
            self.sockets(),
            self.runtime(),
        ]
    }
}

/// A directory made or accepted for a practice cluster.
#[derive(Debug)]
pub(super) struct Claimed {
    /// Absolute, without links.
    pub(super) directory: PathBuf,
    /// Whether it was made just now.
    pub(super) made: bool,
}

/// Makes a directory for a practice cluster, or takes an empty one that is ours.
pub(super) fn claim(wanted: Option<&Path>) -> Result<Claimed, RehearsalError> {
    let claimed = match wanted {
        None => fresh(&std::env::temp_dir(), "lifeboat-rehearsal")?,
        Some(wanted) => named(wanted)?,
    };
    let refuse = |reason: String| {
        if claimed.made {
            // Made empty a moment ago: nothing can be lost.
            let _ = fs::remove_dir(&claimed.directory);
        }
        RehearsalError::Directory { directory: claimed.directory.clone(), reason }
    };
    if let Some(odd) = claimed.directory.to_string_lossy().chars().find(|character| !is_plain(*character)) {
        return Err(refuse(format!(
            "its path holds {odd:?}; PostgreSQL gives the path to a shell in archive_command, so only letters, digits and / . _ - + , @ are accepted"
        )));
    }
    let system = rustix::fs::statvfs(&claimed.directory)
        .map_err(|error| RehearsalError::io("cannot ask for free space of", &claimed.directory)(error.into()))?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    if free < NEEDED_BYTES {
        return Err(refuse(format!(
            "{} MB are free there and {} MB are needed; name another place with --directory",
            free / 1_048_576,
            NEEDED_BYTES / 1_048_576
        )));
    }
    Ok(claimed)
}

fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || "/._-+,@".contains(character)
}

fn named(wanted: &Path) -> Result<Claimed, RehearsalError> {
    let wanted = std::path::absolute(wanted).map_err(RehearsalError::io("cannot resolve", wanted))?;
    let refuse = |reason: &str| RehearsalError::Directory { directory: wanted.clone(), reason: reason.to_owned() };
    let made = match fs::symlink_metadata(&wanted) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            private(&wanted)?;
            true
        }
        Err(error) => return Err(RehearsalError::io("cannot look at", &wanted)(error)),
        Ok(metadata) if metadata.is_symlink() => return Err(refuse("it is a symbolic link; name the real directory")),
        Ok(metadata) if !metadata.is_dir() => return Err(refuse("it is not a directory")),
        Ok(metadata) if metadata.uid() != rustix::process::geteuid().as_raw() => {
            return Err(refuse("it belongs to another user; name one that does not exist yet"));
        }
        Ok(_) if wanted.join(MARKER).exists() => {
            return Err(refuse(
                "there is a practice cluster in it already; end that one first with `lifeboat rehearse --stop DIRECTORY`",
            ));
        }
        Ok(_) => false,
    };
    let mut entries = fs::read_dir(&wanted).map_err(RehearsalError::io("cannot read", &wanted))?;
    if entries.next().is_some() {
        return Err(refuse("it is not empty; name an empty one, or one that does not exist yet"));
    }
    let directory = wanted.canonicalize().map_err(RehearsalError::io("cannot resolve", &wanted))?;
    Ok(Claimed { directory, made })
}

/// The directory for sockets: the practice cluster's own where its path is short enough, else a fresh one in `/tmp`.
pub(super) fn short_directory(directory: &Path) -> Result<PathBuf, RehearsalError> {
    if directory.as_os_str().len() <= LONGEST_WITH_SOCKETS {
        return Ok(directory.to_path_buf());
    }
    Ok(fresh(Path::new("/tmp"), "lb")?.directory)
}

fn fresh(parent: &Path, prefix: &str) -> Result<Claimed, RehearsalError> {
    let parent = parent.canonicalize().map_err(RehearsalError::io("cannot resolve", parent))?;
    loop {
        let path = parent.join(format!("{prefix}-{}", random_hex::<4>()?));
        match private(&path) {
            Ok(()) => return Ok(Claimed { directory: path, made: true }),
            Err(RehearsalError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes a directory that only its owner can enter.
pub(super) fn private(path: &Path) -> Result<(), RehearsalError> {
    DirBuilder::new().mode(0o700).create(path).map_err(RehearsalError::io("cannot make the directory", path))
}

/// As many random bytes, in hexadecimal digits.
pub(super) fn random_hex<const BYTES: usize>() -> Result<String, RehearsalError> {
    let mut bytes = [0u8; BYTES];
    let refuse = RehearsalError::io("cannot read random bytes from", "the kernel");
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(read) if read == BYTES => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        Ok(_) => Err(refuse(std::io::Error::other("too few"))),
        Err(error) => Err(refuse(error.into())),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn reason(wanted: &Path) -> String {
        claim(Some(wanted)).unwrap_err().to_string()
    }

    #[test]
    fn only_an_empty_real_directory_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let full = home.path().join("full");
        fs::create_dir(&full).unwrap();
        fs::write(full.join("thesis.txt"), "x").unwrap();
        assert!(reason(&full).contains("not empty"));

        let link = home.path().join("link");
        std::os::unix::fs::symlink(&full, &link).unwrap();
        assert!(reason(&link).contains("symbolic link"));
        assert!(reason(&full.join("thesis.txt")).contains("not a directory"));

        let empty = home.path().join("empty");
        fs::create_dir(&empty).unwrap();
        assert!(!claim(Some(&empty)).unwrap().made);
        assert!(claim(Some(&home.path().join("absent"))).unwrap().made);
    }

    #[test]
    fn a_path_that_a_shell_could_read_otherwise_is_refused_and_nothing_is_left() {
        let home = tempfile::tempdir().unwrap();
        for name in ["a b", "a'b", "a$b", "a%p", "ü"] {
            let wanted = home.path().join(name);
            assert!(reason(&wanted).contains("archive_command"), "{name}");
            assert!(!wanted.exists(), "{name}");
        }
    }

    #[test]
    fn an_existing_practice_cluster_is_not_built_over() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join(MARKER), "{}").unwrap();
        assert!(reason(home.path()).contains("--stop"));
    }

    #[test]
    fn sockets_of_a_long_path_go_to_a_short_one() {
        let long = PathBuf::from(format!("/srv/{}", "x".repeat(100)));
        let short = short_directory(&long).unwrap();
        assert!(short.as_os_str().len() < 30);
        fs::remove_dir(&short).unwrap();
        assert_eq!(short_directory(Path::new("/srv/x")).unwrap(), Path::new("/srv/x"));
    }
}
