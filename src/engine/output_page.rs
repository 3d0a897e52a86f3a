//! Windows into a step's output, read by position: however long the file, only what is shown is in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// As much of the file is looked at for one window, in bytes.
const WINDOW_BYTES: u64 = 64 * 1024;
/// A search reads in pieces of this size.
const PIECE_BYTES: u64 = 1024 * 1024;
/// A text that is searched for is not longer, in bytes: pieces overlap by that much.
const LONGEST_NEEDLE_BYTES: u64 = 4096;

/// Some lines with their places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// The byte at which the first line begins.
    pub start: u64,
    /// The byte behind the last line's end.
    pub end: u64,
    /// The file's length in bytes.
    pub length: u64,
    /// Each line's first byte and its bytes, without the line's end. Not cleaned.
    pub lines: Vec<(u64, Vec<u8>)>,
}

/// The last `lines` lines, or those that end within the last 64 KiB.
///
/// # Errors
/// When the file can't be read.
pub fn last(path: &Path, lines: usize) -> io::Result<Window> {
    before(path, u64::MAX, lines)
}

/// The `lines` lines before the byte `end`.
///
/// # Errors
/// When the file can't be read.
pub fn before(path: &Path, end: u64, lines: usize) -> io::Result<Window> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let end = end.min(length);
    let start = end.saturating_sub(WINDOW_BYTES);
    let bytes = piece(&mut file, start, end)?;
    // What is cut at the window's beginning belongs to a line that is not shown, unless it is the only one.
    let skipped = if start == 0 { 0 } else { bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1) };
    let mut found = split(&bytes[skipped..], start + skipped as u64);
    found.drain(..found.len().saturating_sub(lines));
    let start = found.first().map_or(end, |(start, _)| *start);
    Ok(Window { start, end, length, lines: found })
}

/// The `lines` lines from the byte `start` on, which is the beginning of one.
///
/// # Errors
/// When the file can't be read.
pub fn from(path: &Path, start: u64, lines: usize) -> io::Result<Window> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = start.min(length);
    let mut bytes = piece(&mut file, start, (start + WINDOW_BYTES).min(length))?;
    // A line that goes on behind the window is left out, unless it is the only one.
    if start + (bytes.len() as u64) < length
        && let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n')
    {
        bytes.truncate(last + 1);
    }
    let mut found = split(&bytes, start);
    let rest = found.get(lines).map(|(next, _)| *next);
    found.truncate(lines);
    let end = rest.unwrap_or(start + bytes.len() as u64);
    Ok(Window { start, end, length, lines: found })
}

/// The beginning of the first line from the byte `from` on that holds `needle`, letters of either case; `None` when
/// none does.
///
/// # Errors
/// When the file can't be read.
pub fn search(path: &Path, needle: &str, from: u64) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let needle = needle.to_ascii_lowercase().into_bytes();
    let overlap = (needle.len() as u64).min(LONGEST_NEEDLE_BYTES);
    let mut start = from;
    while start < length && !needle.is_empty() {
        let bytes = piece(&mut file, start, (start + PIECE_BYTES).min(length))?;
        if let Some(place) = first_place(&bytes, &needle) {
            return line_start(&mut file, start + place as u64).map(Some);
        }
        let end = start + bytes.len() as u64;
        if end >= length || bytes.is_empty() {
            break;
        }
        start = end - overlap.min(bytes.len() as u64 - 1);
    }
    Ok(None)
}

/// The same backwards: the last line that begins before the byte `from`.
///
/// # Errors
/// When the file can't be read.
pub fn search_back(path: &Path, needle: &str, from: u64) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let needle = needle.to_ascii_lowercase().into_bytes();
    let mut end = from.min(file.metadata()?.len());
    while end > 0 && !needle.is_empty() {
        let start = end.saturating_sub(PIECE_BYTES);
        let bytes = piece(&mut file, start, end)?;
        if let Some(place) = last_place(&bytes, &needle) {
            return line_start(&mut file, start + place as u64).map(Some);
        }
        if start == 0 {
            break;
        }
        end = start + (needle.len() as u64 - 1).min(PIECE_BYTES / 2);
    }
    Ok(None)
}

fn piece(file: &mut File, start: u64, end: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(end.saturating_sub(start)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn split(bytes: &[u8], start: u64) -> Vec<(u64, Vec<u8>)> {
    let mut at = start;
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| {
            let begins = at;
            at += line.len() as u64;
            (begins, line.strip_suffix(b"\n").unwrap_or(line).to_vec())
        })
        .collect()
}

fn line_start(file: &mut File, place: u64) -> io::Result<u64> {
    let start = place.saturating_sub(WINDOW_BYTES);
    let bytes = piece(file, start, place)?;
    Ok(bytes.iter().rposition(|byte| *byte == b'\n').map_or(start, |end| start + end as u64 + 1))
}

fn is_at(window: &[u8], needle: &[u8]) -> bool {
    window.eq_ignore_ascii_case(needle)
}

fn first_place(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| is_at(window, needle))
}

fn last_place(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).rposition(|window| is_at(window, needle))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn texts(window: &Window) -> Vec<String> {
        window.lines.iter().map(|(_, line)| String::from_utf8_lossy(line).into_owned()).collect()
    }

    #[test]
    fn windows_meet_without_a_gap() {
        let text: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
        let (_folder, path) = file(&text);
        let end = last(&path, 3).unwrap();
        assert_eq!(texts(&end), ["line 19997", "line 19998", "line 19999"]);
        assert_eq!((end.end, end.length), (text.len() as u64, text.len() as u64));
        let above = before(&path, end.start, 2).unwrap();
        assert_eq!(texts(&above), ["line 19995", "line 19996"]);
        assert_eq!(above.end, end.start);
        let again = from(&path, above.start, 3).unwrap();
        assert_eq!(texts(&again), ["line 19995", "line 19996", "line 19997"]);
        assert_eq!(texts(&from(&path, 0, 1).unwrap()), ["line 0"]);
    }

    #[test]
    fn an_empty_file_and_a_line_without_end() {
        let (_folder, path) = file("");
        assert_eq!(last(&path, 5).unwrap(), Window::default());
        let (_folder, path) = file("one\ntwo");
        assert_eq!(texts(&last(&path, 5).unwrap()), ["one", "two"]);
        let (_folder, path) = file(&"x".repeat(300_000));
        assert_eq!(last(&path, 5).unwrap().lines.len(), 1);
        assert_eq!(from(&path, 0, 5).unwrap().lines.len(), 1);
    }

    #[test]
    fn a_search_finds_lines_across_pieces_both_ways() {
        let mut text: String = (0..200_000).map(|number| format!("line {number}\n")).collect();
        let place = text.find("line 150000").unwrap() as u64;
        let (_folder, path) = file(&text);
        assert_eq!(search(&path, "LINE 150000", 0).unwrap(), Some(place));
        assert_eq!(search(&path, "line 150000", place + 1).unwrap(), None);
        assert_eq!(search_back(&path, "line 150000", text.len() as u64).unwrap(), Some(place));
        assert_eq!(search_back(&path, "line 150000", place).unwrap(), None);
        assert_eq!(search(&path, "", 0).unwrap(), None);
        // On the border between two pieces.
        text = "x".repeat(PIECE_BYTES as usize - 3) + "needle\n";
        let (_folder, path) = file(&text);
        assert!(search(&path, "needle", 0).unwrap().is_some());
        assert!(search_back(&path, "needle", text.len() as u64).unwrap().is_some());
    }
}
