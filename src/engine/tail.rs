//! Reading a growing output file line by line, with bounded memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Longer lines are cut here; the raw bytes stay in the file.
const LONGEST_LINE_BYTES: usize = 64 * 1024;
const CHUNK_BYTES: usize = 256 * 1024;

/// A reader that remembers where it is.
#[derive(Debug)]
pub struct Tail {
    file: File,
    offset: u64,
    rest: Vec<u8>,
}

impl Tail {
    /// Opens the file at its beginning.
    ///
    /// # Errors
    /// When it can't be opened.
    pub fn open(path: &Path) -> io::Result<Tail> {
        Ok(Tail { file: File::open(path)?, offset: 0, rest: Vec::new() })
    }

    /// How many bytes were read.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Gives every complete line that came since the last call to `line`, without its end.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn lines(&mut self, mut line: impl FnMut(&[u8])) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK_BYTES];
        self.file.seek(SeekFrom::Start(self.offset))?;
        loop {
            let read = self.file.read(&mut chunk)?;
            if read == 0 {
                return Ok(());
            }
            self.offset += read as u64;
            let mut new = &chunk[..read];
            while let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                self.keep(&new[..end]);
                line(&self.rest);
                self.rest.clear();
                new = &new[end + 1..];
            }
            self.keep(new);
        }
    }

    /// The last line, where the file does not end with a line's end.
    #[must_use]
    pub fn unfinished(&self) -> &[u8] {
        &self.rest
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE_BYTES.saturating_sub(self.rest.len());
        self.rest.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
    use super::*;
    use std::io::Write;

    #[test]
    fn gives_each_line_once_however_it_arrives() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        let mut file = File::create(&path).unwrap();
        let mut tail = Tail::open(&path).unwrap();
        let mut seen = Vec::new();
        for piece in ["one\ntw", "o\n", "", "\nfour"] {
            file.write_all(piece.as_bytes()).unwrap();
            tail.lines(|line| seen.push(String::from_utf8_lossy(line).into_owned())).unwrap();
        }
        assert_eq!(seen, ["one", "two", ""]);
        assert_eq!((tail.unfinished(), tail.offset()), (b"four".as_slice(), 13));
    }

    #[test]
    fn cuts_a_line_without_end_and_goes_on_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        std::fs::write(&path, [vec![b'x'; 1_000_000], b"\nafter\n".to_vec()].concat()).unwrap();
        let mut lengths = Vec::new();
        Tail::open(&path).unwrap().lines(|line| lengths.push(line.len())).unwrap();
        assert_eq!(lengths, [LONGEST_LINE_BYTES, 5]);
    }
}
