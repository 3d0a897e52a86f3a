//! A data directory that a restore with `--delta` accepts from its first moment on.

use crate::engine::drill_directory::RESTORE_MARK;
use crate::engine::kept::KeptError;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes `data_directory`, 0700, with an empty `backup.manifest`, where there is none or an empty one: a restore that is cut
/// short before its own manifest is written could not be completed otherwise (error 040, pgBackRest 2.45). What is a cluster,
/// or an unfinished restore, is left as it is. Returns what was found, in words.
///
/// # Errors
/// [`KeptError::NoCluster`] when it holds something else; what the system said.
pub fn make_ready(data_directory: &Path) -> Result<&'static str, KeptError> {
    let failed = |source: io::Error| KeptError::NoCluster {
        path: data_directory.to_owned(),
        why: format!("it can't be made ready: {source}"),
    };
    match fs::DirBuilder::new().mode(0o700).create(data_directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    let names = fs::read_dir(data_directory).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let holds = |name: &str| names.iter().any(|entry| entry.file_name() == name);
    if holds(RESTORE_MARK) {
        return Ok("an unfinished restore, to be completed");
    }
    if holds("PG_VERSION") {
        return Ok("a cluster, to be restored over with --delta");
    }
    if !names.is_empty() {
        let why = "it holds files and is neither a cluster nor an unfinished restore".to_owned();
        return Err(KeptError::NoCluster { path: data_directory.to_owned(), why });
    }
    let file = fs::File::create_new(data_directory.join(RESTORE_MARK)).map_err(failed)?;
    file.sync_all().and_then(|()| fs::File::open(data_directory)?.sync_all()).map_err(failed)?;
    Ok("empty, made ready")
}

/// A restore that was cut short: pgBackRest's own list is there, and no control file, which it writes last. It can't be
/// started, and nothing of an older cluster is left in it that could be kept.
#[must_use]
pub fn is_unfinished_restore(data_directory: &Path) -> bool {
    let there = |name: &str| data_directory.join(name).symlink_metadata().is_ok();
    there(RESTORE_MARK) && !there("global/pg_control")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_empty_place_is_made_ready_and_a_strange_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("main");
        assert_eq!(make_ready(&data).unwrap(), "empty, made ready");
        assert_eq!(fs::read(data.join(RESTORE_MARK)).unwrap(), b"");
        assert_eq!(make_ready(&data).unwrap(), "an unfinished restore, to be completed");
        assert!(is_unfinished_restore(&data));
        fs::create_dir(data.join("global")).unwrap();
        fs::write(data.join("global/pg_control"), "").unwrap();
        assert!(!is_unfinished_restore(&data), "a cluster with a file of that name");
        fs::remove_dir_all(data.join("global")).unwrap();
        fs::remove_file(data.join(RESTORE_MARK)).unwrap();
        fs::write(data.join("holiday.jpg"), "x").unwrap();
        assert!(make_ready(&data).unwrap_err().to_string().contains("neither a cluster"));
        fs::write(data.join("PG_VERSION"), "15").unwrap();
        assert!(make_ready(&data).unwrap().starts_with("a cluster"));
        assert!(make_ready(&folder.path().join("no/parent")).is_err());
    }
}
