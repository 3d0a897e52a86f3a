//! Checks of the places and doors of a drill's server.

use crate::engine::checks::{CheckError, CheckReport, Input};
use crate::engine::drill_directory::DrillDirectory;
use crate::engine::postgres::tcp_listeners;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The longest path of a socket on Linux, in bytes, without the end mark.
const LONGEST_SOCKET_PATH: usize = 107;

/// A server can make its socket: the path is short enough and nobody has it.
pub(super) fn port_free(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (directory, port) = (input.path("socket-directory")?, input.parsed::<u16>("port")?);
    let socket = directory.join(format!(".s.PGSQL.{port}"));
    let mut report = CheckReport::default();
    let length = socket.as_os_str().as_bytes().len();
    if length > LONGEST_SOCKET_PATH {
        report.bad(
            format!(
                "the socket's path {} has {length} bytes, at most {LONGEST_SOCKET_PATH} are possible",
                socket.display()
            ),
            "Set a shorter runtime_directory in [state] of the settings.",
        );
    }
    for path in [socket.clone(), directory.join(format!(".s.PGSQL.{port}.lock"))] {
        if path.symlink_metadata().is_ok() {
            let what =
                format!("{} is there: a server uses port {port} here, or was killed while it did", path.display());
            report.bad(what, "Choose another port or socket directory; remove the file by hand if no server runs.");
        }
    }
    closed(directory, &mut report);
    if report.holds() {
        report.good(format!("port {port} is free in {}", directory.display()));
    }
    Ok(report)
}

/// The drill's server trusts whoever reaches its socket: nobody else may.
fn closed(directory: &Path, report: &mut CheckReport) {
    let Ok(found) = directory.symlink_metadata() else { return };
    let own = rustix::process::geteuid().as_raw();
    if !found.is_dir() || found.uid() != own || found.mode() & 0o077 != 0 {
        let what = format!(
            "{} is open to others (owner uid {}, mode {:04o})",
            directory.display(),
            found.uid(),
            found.mode() & 0o7777
        );
        report.bad(
            what,
            "Use a socket directory of this user's own with mode 0700: the drill's server asks for no password.",
        );
    }
}

/// The drill's spool and lock paths are not production's.
pub(super) fn spool_and_locks(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (stanza, drill) = (input.text("stanza")?, DrillDirectory::at(input.path("directory")?));
    let config = input.config()?;
    let mut report = CheckReport::default();
    for (what, own, production) in [
        ("spool path", drill.spool(), config.spool_path(stanza)),
        ("lock path", drill.lock(), config.lock_path(stanza)),
    ] {
        let (real_own, real_production) = (real(&own), real(&production));
        if real_own.starts_with(&real_production) || real_production.starts_with(&real_own) {
            report.bad(
                format!("the drill's {what} {} is the configured one, {}, or one lies in the other", own.display(), production.display()),
                "Name another drill directory: a restore empties its spool path, and its lock can keep a real restore waiting.",
            );
        } else {
            report.good(format!("the drill's {what} is {}, production's is {}", own.display(), production.display()));
        }
    }
    Ok(report)
}

/// A path with the links in that part of it that exists resolved.
fn real(path: &Path) -> PathBuf {
    let above = path.ancestors().find_map(|part| Some((part, part.canonicalize().ok()?)));
    match above {
        Some((part, real)) => path.strip_prefix(part).map_or_else(|_| real.clone(), |rest| real.join(rest)),
        None => path.to_owned(),
    }
}

/// The server has no TCP port open.
pub(super) fn no_tcp_listener(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let server = input.text("server")?;
    let Some(pid) = input.around.servers.get(server) else {
        let why =
            format!("the server of step '{server}' does not run: this check belongs between its start and its stop");
        return Err(CheckError::NotThere(why));
    };
    let listeners = tcp_listeners(*pid)?;
    let mut report = CheckReport::default();
    if listeners.is_empty() {
        report.good(format!("process {pid} and its children listen on no TCP port"));
    }
    for listener in listeners {
        report.bad(
            format!("the drill's server listens on {listener}"),
            "Stop it: clients could take it for production. A setting in postgresql.auto.conf or an extension opened the port.",
        );
    }
    Ok(report)
}
