//! A step's output files, read back for people.

use crate::domain::digest::Digest;
use crate::domain::event::OutputDigest;
use crate::engine::journal::JournalError;
use crate::engine::store::error::StoreError;
use crate::engine::store::folder::RunFolder;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::path::Path;

/// How much of the beginning of a long output is kept.
const HEAD_BYTES: usize = 16 * 1024;
/// How much of its end is kept: that is where a failure says why.
const TAIL_BYTES: usize = 48 * 1024;

/// An output file, in part when it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputFile {
    /// The beginning, or all of it. Not cleaned, not redacted.
    pub head: Vec<u8>,
    /// How many bytes stand between `head` and `tail`.
    pub left_out_bytes: u64,
    /// The end; empty when `head` is all of it.
    pub tail: Vec<u8>,
    /// The length of the file.
    pub length_bytes: u64,
    /// The file's SHA-256.
    pub sha256: Digest,
}

impl OutputFile {
    /// Whether it is the file that `recorded` speaks of.
    #[must_use]
    pub fn is(&self, recorded: &OutputDigest) -> bool {
        recorded.bytes == self.length_bytes && recorded.sha256 == self.sha256
    }
}

impl RunFolder {
    /// Reads an output file of a step (position from 0, attempt from 1) by its name in the step's folder. A long one is
    /// cut between lines, so that no secret is cut in two and passes the redaction. `None` when there is none.
    ///
    /// # Errors
    /// It can't be read, or is not a plain file.
    pub fn read_output(&self, position: usize, attempt: u32, name: &str) -> Result<Option<OutputFile>, StoreError> {
        let path = self.step_folder(position, attempt).join(name);
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = match rustix::fs::open(&path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(rustix::io::Errno::LOOP) => return Err(not_a_file(&path, "a symbolic link")),
            Err(errno) => return Err(StoreError::io("opening", &path, errno.into())),
        };
        match file.metadata() {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Err(not_a_file(&path, "something else")),
            Err(source) => return Err(StoreError::io("looking at", &path, source)),
        }
        read(file).map(Some).map_err(|source| StoreError::io("reading", &path, source))
    }
}

fn not_a_file(path: &Path, what: &'static str) -> StoreError {
    StoreError::Journal(JournalError::NotAFile { path: path.to_owned(), what })
}

fn read(mut file: impl std::io::Read) -> std::io::Result<OutputFile> {
    let mut hash = Sha256::new();
    let (mut head, mut tail) = (Vec::new(), Vec::new());
    let mut length_bytes = 0u64;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let piece = &buffer[..count];
        hash.update(piece);
        length_bytes += count as u64;
        let to_head = count.min(HEAD_BYTES - head.len());
        head.extend_from_slice(&piece[..to_head]);
        tail.extend_from_slice(&piece[to_head..]);
        if tail.len() > 2 * TAIL_BYTES {
            tail.drain(..tail.len() - TAIL_BYTES);
        }
    }
    let sha256 = Digest::from_bytes(hash.finalize().into());
    let kept = (head.len() + tail.len()) as u64;
    if kept == length_bytes && tail.len() <= TAIL_BYTES {
        head.append(&mut tail);
        return Ok(OutputFile { head, left_out_bytes: 0, tail, length_bytes, sha256 });
    }
    tail.drain(..tail.len() - TAIL_BYTES);
    let blank = |byte: &u8| byte.is_ascii_whitespace();
    let end = head.iter().rposition(|byte| *byte == b'\n').or_else(|| head.iter().rposition(blank));
    head.truncate(end.map_or(0, |end| end + 1));
    let begin = tail.iter().position(|byte| *byte == b'\n').or_else(|| tail.iter().position(blank));
    tail.drain(..begin.map_or(tail.len(), |begin| begin + 1));
    let left_out_bytes = length_bytes - (head.len() + tail.len()) as u64;
    Ok(OutputFile { head, left_out_bytes, tail, length_bytes, sha256 })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap is the test's failure")]

    use super::*;

    #[test]
    fn short_output_is_whole() {
        let text = "line\n".repeat(HEAD_BYTES / 5 + 100);
        let found = read(text.as_bytes()).unwrap();
        assert_eq!((found.head, found.left_out_bytes), (text.clone().into_bytes(), 0));
        assert_eq!(found.sha256, Digest::of(text.as_bytes()));
    }

    #[test]
    fn long_output_is_cut_between_lines() {
        let text: String = (0..60_000).map(|number| format!("line {number}\n")).collect();
        let found = read(text.as_bytes()).unwrap();
        let (head, tail) = (String::from_utf8(found.head).unwrap(), String::from_utf8(found.tail).unwrap());
        assert!(text.starts_with(&head) && head.ends_with('\n') && head.len() > HEAD_BYTES - 20);
        assert!(text.ends_with(&tail) && tail.starts_with("line ") && tail.len() > TAIL_BYTES - 20);
        assert_eq!(found.left_out_bytes as usize + head.len() + tail.len(), text.len());
        assert_eq!((found.length_bytes as usize, found.sha256), (text.len(), Digest::of(text.as_bytes())));
    }

    #[test]
    fn a_line_without_an_end_is_not_cut_inside_a_word() {
        let found = read("x".repeat(500_000).as_bytes()).unwrap();
        assert_eq!((found.head.len(), found.tail.len(), found.left_out_bytes), (0, 0, 500_000));
    }
}
