//! Whether a restore has brought every file of the set.

use crate::domain::inventory::RepositoryKey;
use crate::domain::label::BackupLabel;
use crate::domain::manifest::{self, ManifestFile};
use crate::domain::text::clean;
use crate::engine::checks::{CheckError, CheckReport, Input, shown_bytes};
use std::path::{Component, Path};
use std::time::Duration;

/// The manifest of a cluster with millions of files takes its time.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// What a manifest may take: some 200 bytes a file.
const MOST_BYTES: u64 = 4 << 30;

/// What a restore writes itself or leaves out: the recovery settings are appended to the one, and PostgreSQL would make the
/// links of tablespaces anew by the other.
const REWRITTEN: [&str; 2] = ["postgresql.auto.conf", "tablespace_map"];

/// So many files are named.
const NAMED: usize = 8;

/// Every file that the set's manifest lists is in the data directory and its tablespaces, as long as it has to be. Before
/// the server was started: it makes files longer, shorter and new.
pub(super) fn restored_files(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let directory = input.path("data-directory")?;
    let (stanza, key, label) = (input.text("stanza")?, input.repository_key()?, input.label()?);
    let bytes = read(input, stanza, key, label)?;
    let text = String::from_utf8_lossy(&bytes);
    let files =
        manifest::files(&text).map_err(|error| CheckError::NotThere(format!("{label} in {}: {error}", key.name())))?;
    let mut report = CheckReport::default();
    compare(directory, &files, &mut report)?;
    Ok(report)
}

/// The manifest, or its copy where that is damaged or gone.
fn read(input: &Input<'_>, stanza: &str, key: RepositoryKey, label: BackupLabel) -> Result<Vec<u8>, CheckError> {
    let pgbackrest = input.around.pgbackrest.clone().for_stanza(stanza).with_limits(TIME_LIMIT, MOST_BYTES);
    for name in ["backup.manifest", "backup.manifest.copy"] {
        if let Some(bytes) = pgbackrest.get(key.0, &format!("backup/{stanza}/{label}/{name}"))? {
            return Ok(bytes);
        }
    }
    Err(CheckError::NotThere(format!("{} has no backup.manifest of the set {label} any more", key.name())))
}

fn compare(directory: &Path, files: &[ManifestFile<'_>], report: &mut CheckReport) -> Result<(), CheckError> {
    let (mut missing, mut other): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for file in files.iter().filter(|file| !REWRITTEN.contains(&file.name)) {
        let relative = Path::new(file.name);
        if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(CheckError::NotThere(format!(
                "the manifest names '{}', which is no file of a cluster",
                clean(file.name)
            )));
        }
        let path = directory.join(relative);
        match path.metadata() {
            Ok(found) if found.is_file() && found.len() == file.size => bytes += file.size,
            Ok(found) => other.push(format!("{} ({} bytes, not {})", clean(file.name), found.len(), file.size)),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                missing.push(clean(file.name));
            }
            Err(source) => return Err(CheckError::Io { path, source }),
        }
    }
    let again = "The restore is not whole, whatever it said. Choose 'back' with the same target: --delta copies what is missing; look at the set with `pgbackrest verify` where it happens again.";
    for (found, what) in [(&missing, "not there"), (&other, "of another size")] {
        if !found.is_empty() {
            report.bad(format!("{} files of the set are {what}: {}", found.len(), named(found)), again);
        }
    }
    report.put("files", files.len());
    if report.holds() {
        report.good(format!(
            "the {} files of the set are there, each as long as it has to be: {}",
            files.len(),
            shown_bytes(bytes)
        ));
    }
    Ok(())
}

fn named(files: &[String]) -> String {
    let mut text = files.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = files.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_missing_or_cut_is_named() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(home.path().join("base/1")).unwrap();
        std::fs::write(home.path().join("base/1/112"), vec![0; 8192]).unwrap();
        std::fs::write(home.path().join("PG_VERSION"), "15\n").unwrap();
        let ask = |files: &[(&'static str, u64)]| {
            let files: Vec<_> = files.iter().map(|(name, size)| ManifestFile { name, size: *size }).collect();
            let mut report = CheckReport::default();
            compare(home.path(), &files, &mut report).map(|()| report)
        };
        let whole =
            ask(&[("PG_VERSION", 3), ("base/1/112", 8192), ("postgresql.auto.conf", 88), ("tablespace_map", 4)])
                .unwrap();
        assert!(whole.holds() && whole.captures["files"] == "4", "{whole:?}");
        let report = ask(&[("PG_VERSION", 3), ("base/1/112", 16384), ("base/1/113", 0), ("PG_VERSION/x", 1)]).unwrap();
        let said: Vec<_> = report.findings.iter().map(|finding| finding.what.as_str()).collect();
        let wanted = [
            "2 files of the set are not there: base/1/113, PG_VERSION/x",
            "1 files of the set are of another size: base/1/112 (8192 bytes, not 16384)",
        ];
        assert_eq!(said, wanted);
        for name in ["../x", "/etc/passwd", ""] {
            assert!(ask(&[(name, 1)]).is_err() || name.is_empty(), "{name}");
        }
        assert!(!ask(&[("base", 0)]).unwrap().holds(), "a directory is no file");
    }
}
