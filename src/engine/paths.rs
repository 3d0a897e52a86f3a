//! Where state and sockets live. Everybody on call shares one uid, so everybody finds the same folders.

use crate::domain::event::RunId;
use crate::engine::identity::{self, IdentityError};
use crate::settings::Settings;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The state directory of a host that was set up for Lifeboat.
const HOST_STATE: &str = "/var/lib/lifeboat";
/// The runtime directory of such a host.
const HOST_RUNTIME: &str = "/run/lifeboat";
/// The longest path of a unix socket, in bytes (`sun_path` without its last zero).
pub const LONGEST_SOCKET: usize = 107;

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// There is nobody whose home it could be in.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// It can't be made or looked at.
    #[error(
        "{role} {path}: {reason}; make it and give it to {owner} with mode 0700, or name another: [state] {key} in the settings file"
    )]
    Unusable {
        /// What it is for.
        role: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        reason: String,
        /// Who must own it.
        owner: String,
        /// The key in the settings.
        key: &'static str,
    },
    /// Something was to be made there.
    #[error(
        "--read-only: the {role} is looked at, nothing is stored in it, no run is begun and none is answered; leave the option out to do that"
    )]
    ReadOnly {
        /// What it is for.
        role: &'static str,
    },
    /// The path of a socket is too long for the kernel.
    #[error(
        "the socket's path has {length} bytes and may have {LONGEST_SOCKET}: {path}; set [state] runtime_directory in the settings file to a shorter one, such as {HOST_RUNTIME}"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
    },
}

/// What a folder is for, and how open it may be.
struct Use {
    role: &'static str,
    key: &'static str,
    forbidden: u32,
}

const STATE: Use = Use { role: "state directory", key: "directory", forbidden: 0o022 };
const RUNTIME: Use = Use { role: "runtime directory", key: "runtime_directory", forbidden: 0o022 };
/// Below `/tmp` everybody could have made it first.
const SHARED: Use = Use { role: "runtime directory", key: "runtime_directory", forbidden: 0o077 };

fn may_make(settings: &Settings, what: &Use) -> Result<(), PathError> {
    if settings.read_only { Err(PathError::ReadOnly { role: what.role }) } else { Ok(()) }
}

/// Where runs and their journals live: `[state] directory`; else `/var/lib/lifeboat` where that exists; else
/// `lifeboat` in the XDG state directory of the account. Nothing is made.
///
/// # Errors
/// [`PathError::Identity`] when the account has no home because it has no name.
pub fn state_directory(settings: &Settings) -> Result<PathBuf, PathError> {
    if let Some(directory) = &settings.state.directory {
        return Ok(directory.clone());
    }
    let host = PathBuf::from(HOST_STATE);
    if std::fs::symlink_metadata(&host).is_ok() {
        return Ok(host);
    }
    let named = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match named {
        Some(base) => base,
        None => identity::home_of(&identity::account_of_process()?).join(".local/state"),
    };
    Ok(base.join("lifeboat"))
}

/// The state directory, made with mode 0700 where it is missing, and checked.
///
/// # Errors
/// [`PathError::Unusable`] when it can't be made, is a link, belongs to somebody else or lets others write;
/// [`PathError::ReadOnly`] where nothing may be stored.
pub fn ensure_state_directory(settings: &Settings) -> Result<PathBuf, PathError> {
    may_make(settings, &STATE)?;
    let directory = state_directory(settings)?;
    private(&directory, &STATE)?;
    Ok(directory)
}

/// Where sockets live, made with mode 0700 where it is missing, and checked: `[state] runtime_directory`; else
/// `/run/lifeboat` where it exists and is ours; else `$XDG_RUNTIME_DIR/lifeboat` where that is ours; else
/// `/tmp/lifeboat-UID`.
///
/// # Errors
/// [`PathError::Unusable`] and [`PathError::ReadOnly`] as for the state directory; the one below `/tmp` must be closed to others altogether.
pub fn runtime_directory(settings: &Settings) -> Result<PathBuf, PathError> {
    may_make(settings, &RUNTIME)?;
    if let Some(directory) = &settings.state.runtime_directory {
        private(directory, &RUNTIME)?;
        return Ok(directory.clone());
    }
    let uid = rustix::process::geteuid().as_raw();
    let ours = |path: &Path| std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() && found.uid() == uid);
    let host = PathBuf::from(HOST_RUNTIME);
    if ours(&host) {
        private(&host, &RUNTIME)?;
        return Ok(host);
    }
    let session =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute() && ours(path));
    if let Some(directory) = session.map(|session| session.join("lifeboat")) {
        private(&directory, &RUNTIME)?;
        return Ok(directory);
    }
    let shared = PathBuf::from(format!("/tmp/lifeboat-{uid}"));
    private(&shared, &SHARED)?;
    Ok(shared)
}

/// The socket of a run's runner.
///
/// # Errors
/// [`PathError::TooLong`], or what [`runtime_directory`] says.
pub fn socket_path(settings: &Settings, run: &RunId) -> Result<PathBuf, PathError> {
    socket_in(&runtime_directory(settings)?, run)
}

/// The socket of a run's runner in a given runtime directory.
///
/// # Errors
/// [`PathError::TooLong`].
pub fn socket_in(runtime: &Path, run: &RunId) -> Result<PathBuf, PathError> {
    let path = runtime.join(format!("{run}.sock"));
    let length = path.as_os_str().len();
    if length > LONGEST_SOCKET { Err(PathError::TooLong { path, length }) } else { Ok(path) }
}

/// Makes the folder where it is missing and refuses one that isn't ours alone.
fn private(directory: &Path, usage: &Use) -> Result<(), PathError> {
    let uid = rustix::process::geteuid().as_raw();
    let unusable = |reason: String| PathError::Unusable {
        role: usage.role,
        path: directory.to_path_buf(),
        reason,
        owner: identity::account_by_uid(uid).map_or_else(|| format!("uid {uid}"), |account| account.name),
        key: usage.key,
    };
    if std::fs::symlink_metadata(directory).is_err() {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error| unusable(format!("it can't be made: {error}")))?;
    }
    let found = std::fs::symlink_metadata(directory).map_err(|error| unusable(error.to_string()))?;
    if found.is_symlink() {
        return Err(unusable("it is a symbolic link, which is not followed".to_owned()));
    }
    if !found.is_dir() {
        return Err(unusable("it is not a directory".to_owned()));
    }
    if found.uid() != uid {
        let owner = identity::account_by_uid(found.uid()).map_or_else(|| format!("uid {}", found.uid()), |it| it.name);
        return Err(unusable(format!("it belongs to {owner}")));
    }
    let mode = found.permissions().mode() & 0o777;
    if mode & usage.forbidden != 0 {
        return Err(unusable(format!("its mode is {mode:04o}, which is open to others")));
    }
    if rustix::fs::access(directory, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err() {
        return Err(unusable("it is not writable".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
    use super::*;

    fn settings(state: &Path, runtime: &Path) -> Settings {
        let mut settings = Settings::default();
        settings.state.directory = Some(state.to_path_buf());
        settings.state.runtime_directory = Some(runtime.to_path_buf());
        settings
    }

    fn mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn folders_are_made_private() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&folder.path().join("a/state"), &folder.path().join("run"));
        for made in [ensure_state_directory(&settings).unwrap(), runtime_directory(&settings).unwrap()] {
            assert_eq!(std::fs::metadata(&made).unwrap().mode() & 0o777, 0o700, "{}", made.display());
        }
        let run = RunId::parse("7Q2K").unwrap();
        assert_eq!(socket_path(&settings, &run).unwrap(), folder.path().join("run/7Q2K.sock"));
    }

    #[test]
    fn folders_that_are_not_ours_alone_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [link, file, open] = ["link", "file", "open"].map(|name| folder.path().join(name));
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        std::fs::write(&file, "").unwrap();
        std::fs::create_dir(&open).unwrap();
        mode(&open, 0o770);
        for (path, words) in [(&link, "symbolic link"), (&file, "not a directory"), (&open, "0770")] {
            let said = ensure_state_directory(&settings(path, path)).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("[state] directory"), "{said}");
            let said = runtime_directory(&settings(path, path)).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("[state] runtime_directory"), "{said}");
        }
        // Readable by others is enough to refuse the one that anybody could have made.
        mode(&open, 0o755);
        assert!(private(&open, &RUNTIME).is_ok());
        assert!(private(&open, &SHARED).unwrap_err().to_string().contains("0755"));
        let below_file = ensure_state_directory(&settings(&file.join("x"), &link)).unwrap_err().to_string();
        assert!(below_file.contains("can't be made"), "{below_file}");
    }

    #[test]
    fn a_socket_path_has_at_most_107_bytes() {
        let run = RunId::parse("7Q2K").unwrap();
        let fits = PathBuf::from(format!("/{}", "r".repeat(LONGEST_SOCKET - 1 - "/7Q2K.sock".len())));
        assert_eq!(socket_in(&fits, &run).unwrap().as_os_str().len(), LONGEST_SOCKET);
        std::os::unix::net::SocketAddr::from_pathname(socket_in(&fits, &run).unwrap()).unwrap();
        let said = socket_in(&PathBuf::from(format!("{}r", fits.display())), &run).unwrap_err().to_string();
        assert!(said.contains("108 bytes and may have 107") && said.contains("runtime_directory"), "{said}");
    }
}
