//! Looking at a cluster before it is kept: its parts, their sizes and file systems. Changes nothing.

use crate::domain::event::RunId;
use crate::engine::drill_directory::mount_points_in;
use crate::engine::drill_directory::walk::{self, Missing};
use crate::engine::kept::{CONTENT, KeptError, LinkOut, Record, moves};
use crate::engine::postgres::live_tablespaces;
use crate::planning::keeping::{KeepFacts, PartFacts, PartKind, Space};
use rustix::fd::OwnedFd;
use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What of the set to be restored matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SetToRestore {
    /// What it restores.
    pub bytes: u64,
    /// The OIDs of its tablespaces.
    pub tablespaces: BTreeSet<u32>,
}

/// The chest of a data directory: its neighbour, and the home of the record.
#[must_use]
pub fn home_of(run: &RunId, data_directory: &Path) -> PathBuf {
    beside(data_directory, &format!("kept-{run}"))
}

/// A neighbour's name: `main.kept-7Q2K`.
pub(super) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{what}"));
    path.with_file_name(name)
}

/// Where the present cluster goes when the kept one comes back.
pub(super) fn aside_of(run: &RunId, kind: PartKind, from: &Path) -> PathBuf {
    match kind {
        PartKind::Data | PartKind::Wal => beside(from, &format!("aside-{run}")),
        PartKind::Tablespace(_) => from.with_file_name(format!("lifeboat-aside-{run}")),
    }
}

/// The same for a part that was copied back into a mount point, which can't be renamed: beside what was kept.
pub(super) fn copied_aside(chest: &Path) -> PathBuf {
    chest.join("aside")
}

/// Looks at the cluster in `data_directory`. `elsewhere`: a directory for copies on another file system (made later; its parent has to exist).
///
/// # Errors
/// [`KeptError`]: a symbolic link in the path, no cluster, what can't be read.
pub fn survey(
    run: &RunId,
    data_directory: &Path,
    set: &SetToRestore,
    elsewhere: Option<&Path>,
) -> Result<KeepFacts, KeptError> {
    drop(walk::open(data_directory, Missing::Fail)?);
    version(data_directory)?;
    let mut parts = vec![part(PartKind::Data, data_directory, home_of(run, data_directory))?];
    if let Some(wal) = wal_link(data_directory)? {
        let chest = beside(&wal, &format!("kept-{run}"));
        parts.push(part(PartKind::Wal, &wal, chest)?);
    }
    for tablespace in tablespaces(data_directory)? {
        let chest = tablespace.directory.with_file_name(format!("lifeboat-kept-{run}"));
        let mut found = part(PartKind::Tablespace(tablespace.oid), &tablespace.directory, chest)?;
        found.in_set = set.tablespaces.contains(&tablespace.oid);
        parts.push(found);
    }
    let elsewhere = elsewhere.map(|directory| {
        let parent = directory.ancestors().skip(1).find(|parent| parent.exists()).unwrap_or(Path::new("/"));
        Ok::<_, KeptError>((directory.to_owned(), space(parent)?))
    });
    Ok(KeepFacts { parts, restored_bytes: set.bytes, elsewhere: elsewhere.transpose()? })
}

/// The directory of this version in a tablespace's location, without links in its path.
pub(super) struct TablespaceDirectory {
    pub(super) oid: u32,
    pub(super) directory: PathBuf,
}

/// The tablespaces of a cluster that lie outside of it, and have a directory of its version.
pub(super) fn tablespaces(data_directory: &Path) -> Result<Vec<TablespaceDirectory>, KeptError> {
    let wanted = format!("PG_{}_", version(data_directory)?);
    let links = data_directory.join("pg_tblspc");
    let mut found = Vec::new();
    for tablespace in live_tablespaces(data_directory)? {
        if tablespace.location.starts_with(&links) {
            continue;
        }
        let location = match std::fs::canonicalize(&tablespace.location) {
            Ok(location) => location,
            // its disk was lost: nothing to keep
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(KeptError::io(tablespace.location, "finding it")(error)),
        };
        let directory = walk::open(&location, Missing::Fail)?;
        let of_version = |name: &std::ffi::CString| name.to_bytes().starts_with(wanted.as_bytes());
        let names = walk::names(&directory, &location)?;
        let mut names = names.iter().filter(|name| of_version(name));
        let Some(name) = names.next() else { continue };
        if let Some(other) = names.next() {
            let why = format!("it holds {} and {} of the same version: two clusters share it", show(name), show(other));
            return Err(KeptError::unexpected(location, why));
        }
        found.push(TablespaceDirectory { oid: tablespace.oid, directory: walk::below(&location, name) });
    }
    Ok(found)
}

fn show(name: &std::ffi::CString) -> String {
    crate::domain::text::clean_bytes(name.to_bytes())
}

/// What `PG_VERSION` says.
pub(super) fn version(data_directory: &Path) -> Result<String, KeptError> {
    let no_cluster = |why: String| KeptError::NoCluster { path: data_directory.to_owned(), why };
    let text = std::fs::read_to_string(data_directory.join("PG_VERSION"))
        .map_err(|error| no_cluster(format!("its PG_VERSION can't be read ({error})")))?;
    let version = text.trim();
    let plausible = !version.is_empty() && version.chars().all(|letter| letter.is_ascii_digit() || letter == '.');
    if plausible { Ok(version.to_owned()) } else { Err(no_cluster("its PG_VERSION holds no version".to_owned())) }
}

/// Where `pg_wal` leads, if it is a link to a directory that is there.
fn wal_link(data_directory: &Path) -> Result<Option<PathBuf>, KeptError> {
    let path = data_directory.join("pg_wal");
    let is_link = path.symlink_metadata().is_ok_and(|found| found.file_type().is_symlink());
    if !is_link {
        return Ok(None);
    }
    match std::fs::canonicalize(&path) {
        Ok(directory) => Ok(Some(directory)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(KeptError::io(path, "finding where it leads")(error)),
    }
}

/// Links in the data directory itself that lead out of it, `pg_wal` left out: what they lead to stays where it is.
pub(super) fn links_out(data_directory: &Path) -> Result<Vec<LinkOut>, KeptError> {
    let directory = walk::open(data_directory, Missing::Fail)?;
    let mut links = Vec::new();
    for name in walk::names(&directory, data_directory)? {
        let path = walk::below(data_directory, &name);
        if name.to_bytes() != b"pg_wal"
            && let Ok(destination) = std::fs::read_link(&path)
        {
            links.push(LinkOut { name: show(&name), destination });
        }
    }
    links.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(links)
}

fn part(kind: PartKind, from: &Path, chest: PathBuf) -> Result<PartFacts, KeptError> {
    let directory = walk::open(from, Missing::Fail)?;
    let device = moves::device(from)?;
    let (mut bytes, mut entries) = (0, 0);
    measure(&directory, from, device, &mut bytes, &mut entries, 0)?;
    Ok(PartFacts {
        kind,
        from: from.to_owned(),
        bytes,
        entries,
        space: space(from)?,
        reflink: can_reflink(&directory),
        obstacle: obstacle(from, &chest)?,
        mounted: moves::is_mounted_alone(from)?,
        in_set: true,
        chest,
    })
}

fn obstacle(from: &Path, chest: &Path) -> Result<Option<String>, KeptError> {
    let mounts = mount_points_in(from).map_err(KeptError::io("/proc/self/mountinfo", "reading it"))?;
    if let Some(mount) = mounts.first() {
        return Ok(Some(format!("{} is a mount point: what is mounted can't be renamed", mount.display())));
    }
    for parent in [from.parent(), chest.parent()].into_iter().flatten() {
        if rustix::fs::access(parent, Access::WRITE_OK | Access::EXEC_OK).is_err() {
            return Ok(Some(format!("this user can't write into {}", parent.display())));
        }
        if moves::device(parent)? != moves::device(from)? {
            return Ok(Some(format!("{} is a mount point: what is mounted can't be renamed", from.display())));
        }
    }
    Ok(None)
}

fn measure(
    directory: &OwnedFd,
    path: &Path,
    device: u64,
    bytes: &mut u64,
    entries: &mut u64,
    depth: usize,
) -> Result<(), KeptError> {
    if depth > 64 {
        return Err(KeptError::unexpected(path, "it is more than 64 directories deep, which no cluster is"));
    }
    for name in walk::names(directory, path)? {
        let below = walk::below(path, &name);
        let stat = match rustix::fs::statat(directory, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // a server may run: this only looks
            Err(rustix::io::Errno::NOENT) => continue,
            Err(errno) => return Err(KeptError::system(below, "looking at it")(errno)),
        };
        *entries += 1;
        *bytes += u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
        if FileType::from_raw_mode(stat.st_mode).is_dir() && stat.st_dev == device {
            match walk::open_child(directory, name.as_c_str(), &below) {
                Ok(child) => measure(&child, &below, device, bytes, entries, depth + 1)?,
                Err(error) if moves::is_missing(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// What the kept parts take on disk, in bytes.
///
/// # Errors
/// [`KeptError`] when one can't be looked at.
pub fn kept_bytes(record: &Record) -> Result<u64, KeptError> {
    let mut bytes = 0;
    for part in &record.parts {
        let content = part.planned.chest.join(CONTENT);
        let directory = walk::open(&content, Missing::Fail)?;
        measure(&directory, &content, moves::device(&content)?, &mut bytes, &mut 0, 0)?;
    }
    Ok(bytes)
}

pub(super) fn space(path: &Path) -> Result<Space, KeptError> {
    let found = rustix::fs::statvfs(path).map_err(KeptError::system(path, "asking for its free space"))?;
    Ok(Space { file_system: moves::device(path)?, free_bytes: found.f_bavail.saturating_mul(found.f_frsize) })
}

/// Tries it with two files that have no name.
fn can_reflink(directory: &OwnedFd) -> bool {
    let unnamed = || {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::openat(directory, ".", flags, Mode::RUSR | Mode::WUSR)
    };
    let (Ok(source), Ok(target)) = (unnamed(), unnamed()) else { return false };
    let written = rustix::io::write(&source, &[1; 4096]);
    written.is_ok() && rustix::fs::ioctl_ficlone(&target, &source).is_ok()
}
