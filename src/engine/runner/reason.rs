//! Why a program failed, in its own words: the last error in its output.

use crate::domain::text;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// As much of the end of an output as is looked through.
const LOOKED_AT_BYTES: u64 = 64 * 1024;
const LONGEST_REASON_CHARACTERS: usize = 600;

/// The last error that the step in `folder` printed, cleaned; else its last line.
pub(super) fn of(folder: &Path) -> Option<String> {
    let reason = last_words(folder);
    if !is_full(folder) {
        return reason;
    }
    let full = "the file system of the state directory is full, and its output was cut: make room there";
    Some(reason.map_or_else(|| full.to_owned(), |reason| format!("{full}; the last of it: {reason}")))
}

/// Nothing more can be written beside the step's output: its last words may not be the last ones it had.
fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|space| space.f_blocks > 0 && space.f_bavail < 16)
}

fn last_words(folder: &Path) -> Option<String> {
    let errors = end_of(&folder.join("errors"));
    let output = end_of(&folder.join("output"));
    let (errors, output) = (String::from_utf8_lossy(&errors), String::from_utf8_lossy(&output));
    last_error(&errors)
        .or_else(|| last_error(&output))
        .or_else(|| last_line(&errors))
        .or_else(|| last_line(&output))
        .map(|line| line.chars().take(LONGEST_REASON_CHARACTERS).collect())
}

/// pgBackRest: `… P00  ERROR: [050]: text` with continuation lines indented; PostgreSQL's programs: `error: text`.
fn last_error(output: &str) -> Option<String> {
    let lines: Vec<&str> = output.lines().collect();
    let at = lines
        .iter()
        .rposition(|line| ["ERROR: ", "FATAL: ", "PANIC: ", "error: "].iter().any(|word| line.contains(word)))?;
    let mut reason = text::clean(lines[at]);
    for line in lines[at + 1..].iter().take_while(|line| line.starts_with("    ")).take(4) {
        reason.push_str("; ");
        reason.push_str(text::clean(line).trim());
    }
    Some(reason)
}

fn last_line(output: &str) -> Option<String> {
    output.lines().rev().find(|line| !line.trim().is_empty()).map(text::clean)
}

fn end_of(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOOKED_AT_BYTES)))?;
        file.take(LOOKED_AT_BYTES).read_to_end(&mut bytes)
    });
    match read {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "the output can't be read");
        }
        _ => {}
    }
    bytes
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
    use super::*;

    #[test]
    fn finds_the_error_and_what_belongs_to_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(of(folder.path()), None);
        let log = "2026-11-22 06:50:28.403 P00   INFO: restore command begin 2.45\n\
                   2026-11-22 06:50:28.404 P00  ERROR: [040]: unable to restore to path '/x' because it contains files\n\
                   \u{20}                                   HINT: try using --delta\n\
                   2026-11-22 06:50:28.405 P00   INFO: restore command end: aborted with exception [040]\n";
        std::fs::write(folder.path().join("output"), log).unwrap();
        let reason = of(folder.path()).unwrap();
        assert!(reason.contains("[040]") && reason.ends_with("HINT: try using --delta"), "{reason}");
        std::fs::write(folder.path().join("errors"), "psql: error: no server\x1b[2J\n\n").unwrap();
        let reason = of(folder.path()).unwrap();
        assert!(reason.contains("no server") && !reason.contains('\x1b'), "{reason}");
    }

    #[test]
    fn falls_back_to_the_last_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("output"), "one\ntwo\n\n").unwrap();
        assert_eq!(of(folder.path()).as_deref(), Some("two"));
    }
}
