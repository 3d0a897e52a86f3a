//! How much a restore has written, where its log does not tell yet.

use crate::domain::plan::CommandLine;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Walking a large data directory costs reads that the restore wants: not more often than this.
const WALK_EVERY_SECONDS: f64 = 5.0;
/// After so many entries the walk is given up: it would take longer than its answer is worth.
const MOST_ENTRIES: u32 = 200_000;
const BLOCK_BYTES: u64 = 512;

/// The directories a restore writes to.
#[derive(Debug, Default)]
pub(super) struct Directories {
    paths: Vec<PathBuf>,
    last: Option<(f64, Option<u64>)>,
}

impl Directories {
    /// Those named on a command line of pgBackRest.
    pub(super) fn written_by(command: &CommandLine) -> Directories {
        let options = ["--pg1-path=", "--tablespace-map-all="];
        let words = command.argv.iter().filter_map(|word| word.resolved());
        let paths =
            words.filter_map(|word| options.iter().find_map(|option| word.strip_prefix(option).map(PathBuf::from)));
        Directories { paths: paths.collect(), last: None }
    }

    /// Bytes on disk at `seconds` since the start, or a little before. `None` while there is nothing.
    pub(super) fn bytes(&mut self, seconds: f64) -> Option<u64> {
        if let Some((at, bytes)) = self.last
            && seconds - at < WALK_EVERY_SECONDS
        {
            return bytes;
        }
        let mut left = MOST_ENTRIES;
        let total = self.paths.iter().map(|path| on_disk(path, &mut left)).sum();
        let bytes = (left > 0 && total > 0).then_some(total);
        self.last = Some((seconds, bytes));
        bytes
    }
}

/// What vanishes or can't be read meanwhile counts nothing. Links are not followed.
fn on_disk(path: &Path, left: &mut u32) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let mut bytes = 0;
    for entry in entries.filter_map(Result::ok) {
        *left = left.saturating_sub(1);
        if *left == 0 {
            break;
        }
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { on_disk(&entry.path(), left) } else { metadata.blocks() * BLOCK_BYTES };
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
    use super::*;
    use crate::domain::plan::Argument;

    #[test]
    fn counts_what_lies_in_all_directories_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (data, spaces) = (folder.path().join("data"), folder.path().join("spaces"));
        std::fs::create_dir_all(data.join("base/1")).unwrap();
        std::fs::create_dir_all(&spaces).unwrap();
        std::fs::write(data.join("base/1/1"), vec![1; 100_000]).unwrap();
        std::fs::write(spaces.join("2"), vec![1; 50_000]).unwrap();
        std::os::unix::fs::symlink("/usr", data.join("elsewhere")).unwrap();
        let argv = [
            format!("--pg1-path={}", data.display()),
            format!("--tablespace-map-all={}", spaces.display()),
            "restore".to_owned(),
        ];
        let command = CommandLine {
            argv: argv.map(Argument::text).to_vec(),
            env: Default::default(),
            directory: None,
            stdout_is_data: false,
            success: vec![0],
            release: false,
        };
        let mut directories = Directories::written_by(&command);
        let bytes = directories.bytes(0.0).unwrap();
        assert!((150_000..250_000).contains(&bytes), "{bytes}");
        // Not looked at again so soon.
        std::fs::remove_dir_all(&data).unwrap();
        assert_eq!(directories.bytes(1.0), Some(bytes));
        assert!(directories.bytes(6.0).unwrap() < bytes);
    }
}
