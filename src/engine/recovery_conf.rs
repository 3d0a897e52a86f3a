//! `postgresql.auto.conf` of a restored cluster, rewritten durably.

use crate::domain::auto_conf::{self, AutoConfError, RecoveryTarget, Setting};
use crate::engine::drill_directory::DrillDirectoryError;
use crate::engine::drill_directory::walk::{self, Missing};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// The file's name.
pub const AUTO_CONF: &str = "postgresql.auto.conf";

/// Why it was not rewritten. The file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryConfError {
    /// The data directory can't be used.
    #[error(transparent)]
    Directory(#[from] DrillDirectoryError),
    /// What is in it.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: AutoConfError,
    },
    /// The system refused.
    #[error("{}: {what} failed: {source}; the file is as it was", path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// The recovery settings of a data directory; none where the file does not exist.
///
/// # Errors
/// [`RecoveryConfError`].
pub fn recovery_settings(data_directory: &Path) -> Result<Vec<Setting>, RecoveryConfError> {
    let (_, file, path) = read(data_directory)?;
    let file = file.map(|(_, bytes)| bytes).unwrap_or_default();
    auto_conf::recovery_settings(&file).map_err(|source| RecoveryConfError::Content { path, source })
}

/// Replaces the recovery target: every old `recovery_target*` goes, one new set is written, the rest stays byte for byte.
/// Temporary file, sync, rename, sync of the folder; owner and mode stay. Done again it writes the same.
///
/// # Errors
/// [`RecoveryConfError`]; the file is as it was then.
pub fn set_recovery_target(data_directory: &Path, target: &RecoveryTarget) -> Result<(), RecoveryConfError> {
    let (directory, file, path) = read(data_directory)?;
    let old = file.as_ref().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
    let new = auto_conf::with_target(old, target)
        .map_err(|source| RecoveryConfError::Content { path: path.clone(), source })?;
    let fail = |what: &'static str| {
        let path = path.clone();
        move |source: io::Error| RecoveryConfError::System { path, what, source }
    };
    // the name PostgreSQL itself uses for this: pgBackRest leaves it out of backups
    let beside = format!("{AUTO_CONF}.tmp");
    match rustix::fs::unlinkat(&directory, &beside, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(fail("replacing the temporary file")(errno.into())),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let written = rustix::fs::openat(&directory, &beside, flags, Mode::RUSR | Mode::WUSR)
        .map_err(io::Error::from)
        .and_then(|target| {
            let mut target = File::from(target);
            target.write_all(&new)?;
            if let Some((stat, _)) = &file {
                let own = rustix::fs::fstat(&target)?;
                if (own.st_uid, own.st_gid) != (stat.st_uid, stat.st_gid) {
                    let (owner, group) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
                    rustix::fs::fchown(&target, Some(owner), Some(group))?;
                }
                rustix::fs::fchmod(&target, Mode::from_raw_mode(stat.st_mode))?;
            }
            target.sync_all()
        });
    written.map_err(fail("writing the temporary file"))?;
    rustix::fs::renameat(&directory, &beside, &directory, AUTO_CONF)
        .map_err(|errno| fail("putting it in place")(errno.into()))?;
    rustix::fs::fsync(&directory).map_err(|errno| fail("syncing the directory")(errno.into()))
}

/// Makes an empty file in a data directory, durably; one that is there stays.
///
/// # Errors
/// [`RecoveryConfError`].
pub fn make_empty(data_directory: &Path, name: &str) -> Result<(), RecoveryConfError> {
    let path = data_directory.join(name);
    let fail = |what: &'static str| {
        let path = path.clone();
        move |errno: Errno| RecoveryConfError::System { path, what, source: errno.into() }
    };
    let directory = walk::open(data_directory, Missing::Fail)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, name, flags, Mode::RUSR | Mode::WUSR).map_err(fail("making it"))?;
    rustix::fs::fsync(&file).and_then(|()| rustix::fs::fsync(&directory)).map_err(fail("syncing it"))
}

type Found = Option<(rustix::fs::Stat, Vec<u8>)>;

fn read(data_directory: &Path) -> Result<(OwnedFd, Found, PathBuf), RecoveryConfError> {
    let path = data_directory.join(AUTO_CONF);
    let directory = walk::open(data_directory, Missing::Fail)?;
    let fail = |source: io::Error| RecoveryConfError::System { path: path.clone(), what: "reading it", source };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(&directory, AUTO_CONF, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Ok((directory, None, path)),
        Err(errno) => return Err(fail(errno.into())),
    };
    let stat = rustix::fs::fstat(&file).map_err(|errno| fail(errno.into()))?;
    let mut bytes = Vec::new();
    file.take(16 << 20).read_to_end(&mut bytes).map_err(fail)?;
    Ok((directory, Some((stat, bytes)), path))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::domain::auto_conf::{FollowTimeline, StopAt};
    use crate::domain::lsn::Lsn;
    use std::os::unix::fs::PermissionsExt as _;

    fn target(lsn: u64) -> RecoveryTarget {
        RecoveryTarget { stop: StopAt::Lsn(Lsn(lsn)), inclusive: false, timeline: FollowTimeline::Current }
    }

    #[test]
    fn a_target_is_moved_and_mode_and_other_lines_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let file = path.join(AUTO_CONF);
        std::fs::write(&file, "work_mem = '8MB'\nrecovery_target = 'immediate'\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        // left by an attempt that was killed
        std::fs::write(path.join("postgresql.auto.conf.tmp"), "torn").unwrap();
        for lsn in [0x5000, 0x6000] {
            set_recovery_target(&path, &target(lsn)).unwrap();
        }
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("work_mem = '8MB'\nrecovery_target_lsn = '0/6000'\n"), "{text}");
        assert_eq!(text.matches("recovery_target_lsn").count(), 1);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(recovery_settings(&path).unwrap().len(), 4);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn a_link_and_a_broken_file_are_refused_and_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().canonicalize().unwrap();
        std::fs::write(path.join("elsewhere"), "port = 1\n").unwrap();
        std::os::unix::fs::symlink("elsewhere", path.join(AUTO_CONF)).unwrap();
        assert!(matches!(set_recovery_target(&path, &target(1)), Err(RecoveryConfError::System { .. })));
        std::fs::remove_file(path.join(AUTO_CONF)).unwrap();
        std::fs::write(path.join(AUTO_CONF), "port = 'x\n").unwrap();
        let said = set_recovery_target(&path, &target(1)).unwrap_err().to_string();
        assert!(said.contains("line 1"), "{said}");
        assert_eq!(std::fs::read_to_string(path.join(AUTO_CONF)).unwrap(), "port = 'x\n");
    }
}
