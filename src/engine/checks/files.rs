//! Checks of the drill directory and its file system.

use crate::domain::wal::SegmentSize;
use crate::engine::checks::{CheckError, CheckReport, Input, archive, coverage, existing, set_of, shown_bytes};
use crate::engine::drill_directory::{mount_points_in, symlink_in};
use crate::engine::pgbackrest_config::BackrestConfig;
use crate::engine::postgres::live_tablespaces;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What has to stay free on top of data and WAL: logs, temporary files, the control file's copy.
const RESERVE_BYTES: u64 = 1_000_000_000;

/// Replayed WAL lies in `pg_wal` until a restart point removes it; with the default `max_wal_size` of 1 GB it is far below this.
const MOST_WAL_BYTES: u64 = 4_000_000_000;

fn looked(path: &Path) -> impl FnOnce(std::io::Error) -> CheckError {
    let path = path.to_owned();
    move |source| CheckError::Io { path, source }
}

/// The directory is nobody's: new or empty, ours, plain, outside of everything that holds data.
pub(super) fn drill_directory_free(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let directory = input.path("directory")?;
    let mut report = CheckReport::default();
    let shown = directory.display();
    if directory.components().any(|part| part == std::path::Component::ParentDir) || directory.parent().is_none() {
        report.bad(format!("{shown} holds '..' or is the root directory"), "Name the directory itself.");
        return Ok(report);
    }
    if let Some(link) = symlink_in(directory) {
        let what = format!("{} is a symbolic link", link.display());
        report.bad(what, "Name the directory it leads to: what is removed later has to be what was made.");
    }
    if mount_points_in(directory).map_err(looked(directory))?.iter().any(|mount| mount == directory) {
        report.bad(format!("{shown} is a mount point"), "Name a directory below it: a mount point can't be removed.");
    }
    content(directory, &mut report)?;
    parent(directory, &mut report)?;
    outside(input, directory, &mut report)?;
    if report.holds() {
        report.good(format!(
            "{shown} is free: new or empty, no link, no mount point, outside of data directories and repositories"
        ));
    }
    Ok(report)
}

fn content(directory: &Path, report: &mut CheckReport) -> Result<(), CheckError> {
    let found = match directory.symlink_metadata() {
        Ok(found) => found,
        // below a file: the look at what is above it tells
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(looked(directory)(error)),
    };
    let shown = directory.display();
    if found.file_type().is_symlink() {
        return Ok(());
    }
    if !found.is_dir() {
        report.bad(format!("{shown} is there and is no directory"), "Name another directory.");
        return Ok(());
    }
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own {
        let what = format!("{shown} belongs to uid {}, not to this user ({own})", found.uid());
        report.bad(what, "Name another directory.");
        return Ok(());
    }
    let mut entries = std::fs::read_dir(directory).map_err(looked(directory))?;
    if let Some(entry) = entries.next() {
        let name = entry.map_err(looked(directory))?.file_name();
        let what = format!("{shown} is not empty: it holds {}", crate::domain::text::clean(&name.to_string_lossy()));
        report.bad(what, "Name another directory, or look at it and empty it by hand; `lifeboat runs` lists drills that were not cleaned up.");
    }
    Ok(())
}

fn parent(directory: &Path, report: &mut CheckReport) -> Result<(), CheckError> {
    let above = existing(directory.parent().unwrap_or(Path::new("/")));
    let found = above.metadata().map_err(looked(above))?;
    if !found.is_dir() {
        report.bad(format!("{} is no directory", above.display()), "Name another directory.");
        return Ok(());
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    if !directory.exists() && rustix::fs::access(above, access).is_err() {
        let user = rustix::process::geteuid().as_raw();
        let what = format!(
            "{} can't be made: this user (uid {user}) may not write to {}",
            directory.display(),
            above.display()
        );
        report.bad(what, "Make a directory for drills that belongs to this user, and name one below it.");
    }
    Ok(())
}

/// Not in a data directory, a tablespace, a repository, or pgBackRest's own directories.
fn outside(input: &Input<'_>, directory: &Path, report: &mut CheckReport) -> Result<(), CheckError> {
    for above in directory.ancestors() {
        if above.join("PG_VERSION").symlink_metadata().is_ok() {
            let what = format!("{} lies in the data directory {}", directory.display(), above.display());
            report.bad(
                what,
                "Name a directory outside: the server there would find foreign files, and a backup would copy them.",
            );
        }
    }
    for (place, what) in places(&input.config()?) {
        let real = std::fs::canonicalize(&place).unwrap_or_else(|_| place.clone());
        if directory.starts_with(&place) || directory.starts_with(&real) {
            report.bad(
                format!("{} lies in {what} {}", directory.display(), place.display()),
                "Name a directory outside of it.",
            );
        }
    }
    Ok(())
}

fn places(config: &BackrestConfig) -> Vec<(PathBuf, &'static str)> {
    let mut places = Vec::new();
    for stanza in config.stanzas() {
        if let Some(data) = config.pg1_path(&stanza) {
            // without a cluster there are no tablespaces to hit
            let tablespaces = live_tablespaces(&data).unwrap_or_default();
            places.extend(tablespaces.into_iter().map(|tablespace| (tablespace.location, "the tablespace")));
            places.push((data, "the data directory"));
        }
        let repositories = config.repositories(&stanza);
        let local = repositories.iter().filter_map(|repository| repository.local_path());
        places.extend(local.map(|path| (path.to_owned(), "the repository")));
        places.push((config.spool_path(&stanza), "pgBackRest's spool path"));
        places.push((config.lock_path(&stanza), "pgBackRest's lock path"));
    }
    places
}

/// This process has the identity that production's data has.
pub(super) fn ownership(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (directory, production) = (input.path("directory")?, input.path("production")?);
    let own = rustix::process::geteuid().as_raw();
    let mut report = CheckReport::default();
    match production.metadata() {
        Ok(found) if found.uid() == own => {
            report.good(format!("uid {own} owns {} and runs this", production.display()));
        }
        Ok(found) => report.bad(
            format!("{} belongs to uid {}, this runs as uid {own}", production.display(), found.uid()),
            "Start Lifeboat as root or as the owner of the data directory: restored files have to belong to the user that starts the server.",
        ),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            report.good(format!("{} does not exist: there is no owner to compare with uid {own}", production.display()));
        }
        Err(error) => return Err(looked(production)(error)),
    }
    if own == 0 {
        report.bad(
            "this runs as root",
            "PostgreSQL refuses to run as root; start Lifeboat with an owner in its settings.",
        );
    }
    let above = existing(directory);
    let found = above.metadata().map_err(looked(above))?;
    // others may replace what is made in a directory that they may write to, unless it is sticky
    if found.mode() & 0o002 != 0 && found.mode() & 0o1000 == 0 {
        let what = format!("everybody may write to {}", above.display());
        report.bad(what, "Name a directory below one that only its owner may write to.");
    }
    Ok(report)
}

/// The file system holds the data, the WAL to replay and a reserve.
pub(super) fn free_space(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let directory = input.path("directory")?;
    let stanza = input.stanza(None, None)?;
    let (repository, set) = set_of(&stanza, input.repository_key()?, input.label()?)?;
    let size = archive::segment_size(repository, set).unwrap_or(SegmentSize::DEFAULT);
    // segments are decompressed before they are replayed: their size counts, not that of the archived files
    let all_wal = coverage::segments_after(input, &stanza, repository, set)?.saturating_mul(size.bytes());
    let wal = all_wal.min(MOST_WAL_BYTES);
    let data = set.database_bytes().0;
    let needed = data.saturating_add(wal).saturating_add(RESERVE_BYTES);
    let at = existing(directory);
    let free = free_bytes(at)?;
    let mut report = CheckReport::default();
    report.put("needed-bytes", needed);
    report.put("free-bytes", free);
    let figures = format!(
        "{} free on the file system of {}, {} needed: data {}, WAL {}{}, reserve {}",
        shown_bytes(free),
        at.display(),
        shown_bytes(needed),
        shown_bytes(data),
        shown_bytes(wal),
        if wal < all_wal {
            format!(" (of {} to replay; restart points remove the rest)", shown_bytes(all_wal))
        } else {
            String::new()
        },
        shown_bytes(RESERVE_BYTES),
    );
    if free >= needed {
        report.good(figures);
    } else {
        let missing = shown_bytes(needed - free);
        report.bad(figures, format!("Make {missing} of room there, or name a directory on another file system."));
    }
    Ok(report)
}

fn free_bytes(path: &Path) -> Result<u64, CheckError> {
    let found = rustix::fs::statvfs(path).map_err(|errno| looked(path)(errno.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
