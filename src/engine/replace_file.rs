//! Files for others to read: replaced as a whole, so that a reader sees the one before or the new one.

use rustix::fs::{Mode, OFlags};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// It is no file.
    #[error("{} is not a file, and is not replaced by one", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Its folder can't be written to by the account Lifeboat runs as.
    #[error("{} can't be written as the user {user}: {source}; name a place where {user} may write", path.display())]
    Refused {
        /// The path.
        path: PathBuf,
        /// The account.
        user: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Whether `path` could be replaced now: tried by making the new file and removing it again.
///
/// # Errors
/// [`ReplaceError`], with what to do.
pub fn try_it(path: &Path) -> Result<(), ReplaceError> {
    let (temporary, _) = begin(path, 0o600)?;
    std::fs::remove_file(&temporary).map_err(|source| refused(path, source))
}

/// Replaces `path` by `content`, durably, with `mode` (less the umask).
///
/// # Errors
/// [`ReplaceError`]; what was there before is still there.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), ReplaceError> {
    let (temporary, mut file) = begin(path, mode)?;
    let written = file
        .write_all(content)
        .and_then(|()| file.sync_all())
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| File::open(folder_of(path))?.sync_all());
    written.map_err(|source| {
        // It is of no use to anybody; after the rename it is not there any more.
        let _ = std::fs::remove_file(&temporary);
        refused(path, source)
    })
}

/// Makes the new file beside the old one. Its name does not end as the old one's does: collectors pass it over.
fn begin(path: &Path, mode: u32) -> Result<(PathBuf, File), ReplaceError> {
    let is_other = std::fs::symlink_metadata(path).is_ok_and(|found| !found.is_file());
    let Some(name) = path.file_name().filter(|_| !is_other) else {
        return Err(ReplaceError::NotAFile { path: path.to_owned() });
    };
    let mut own_name = OsString::from(".");
    own_name.push(name);
    own_name.push(format!(".{}.new", std::process::id()));
    let temporary = folder_of(path).join(own_name);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        rustix::fs::open(&temporary, flags, Mode::from_raw_mode(mode)).map_err(|errno| refused(path, errno.into()))?;
    Ok((temporary, File::from(file)))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn refused(path: &Path, source: std::io::Error) -> ReplaceError {
    let user = crate::engine::identity::account_of_process()
        .map_or_else(|_| "this process runs as".to_owned(), |account| account.name);
    ReplaceError::Refused { path: path.to_owned(), user, source }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drill.prom");
        try_it(&path).unwrap();
        assert!(!path.exists());
        for content in ["one\n", "two\n"] {
            replace(&path, content.as_bytes(), 0o644).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn neither_a_link_nor_a_folder_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/nonexistent", &link).unwrap();
        for path in [folder.path(), &link, Path::new("/dev/null")] {
            assert!(matches!(replace(path, b"x", 0o644), Err(ReplaceError::NotAFile { .. })), "{}", path.display());
        }
        let said = try_it(Path::new("/nonexistent/report.md")).unwrap_err().to_string();
        assert!(said.contains("/nonexistent/report.md") && said.contains("may write"), "{said}");
    }
}
