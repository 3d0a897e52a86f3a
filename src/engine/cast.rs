//! A recording of what a terminal was sent: an asciicast of version 2, a line of JSON for every write.
//!
//! It holds what was on the screen, cleaned as that is, and nothing that was typed. Each line is written at once: a
//! program that is killed leaves a recording that ends there.

use chrono::{DateTime, FixedOffset};
use serde_json::json;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Instant;

/// For whoever recorded it only: it shows names, paths and commands.
const MODE: u32 = 0o600;

/// A recording that is being written.
#[derive(Debug)]
pub struct Cast {
    file: File,
    begun: Instant,
    size: (u16, u16),
}

impl Cast {
    /// Makes the file and writes the header. `size` are columns and rows.
    ///
    /// # Errors
    /// When something has that name already, a link too: nothing is written over and no link is followed. Or when the
    /// file can't be written.
    pub fn create(path: &Path, size: (u16, u16), at: DateTime<FixedOffset>, title: &str) -> io::Result<Cast> {
        // An exclusive create never goes through a link.
        let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path);
        let mut cast = Cast { file: file.map_err(|error| refused(path, &error))?, begun: Instant::now(), size };
        let term = std::env::var("TERM").unwrap_or_default();
        let header = json!({
            "version": 2,
            "width": size.0,
            "height": size.1,
            "timestamp": at.timestamp(),
            "title": title,
            "env": { "TERM": term },
        });
        cast.line(&header.to_string())?;
        Ok(cast)
    }

    /// These bytes were sent. They are whole letters; what is none is written as U+FFFD.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn sent(&mut self, bytes: &[u8]) -> io::Result<()> {
        let text = String::from_utf8_lossy(bytes);
        if text.is_empty() { Ok(()) } else { self.event("o", &text) }
    }

    /// The terminal has this many columns and rows from now on; nothing is written where it had them before.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn resized(&mut self, size: (u16, u16)) -> io::Result<()> {
        if self.size == size {
            return Ok(());
        }
        self.size = size;
        self.event("r", &format!("{}x{}", size.0, size.1))
    }

    fn event(&mut self, kind: &str, data: &str) -> io::Result<()> {
        // A millionth of a second is what players read.
        let seconds = (self.begun.elapsed().as_secs_f64() * 1e6).round() / 1e6;
        self.line(&json!([seconds, kind, data]).to_string())
    }

    fn line(&mut self, line: &str) -> io::Result<()> {
        // One write: a line is there or not.
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

fn refused(path: &Path, error: &io::Error) -> io::Error {
    let path = path.display();
    let words = match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{path} is there already, and a recording writes over nothing: name another file, or remove it")
        }
        _ => format!("{path} can't be written: {error}"),
    };
    io::Error::new(error.kind(), words)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn at() -> DateTime<FixedOffset> {
        "2026-11-22T23:13:00+00:00".parse().unwrap()
    }

    #[test]
    fn a_header_and_a_line_for_every_write_and_size() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a.cast");
        let mut cast = Cast::create(&path, (80, 24), at(), "lifeboat").unwrap();
        cast.sent("\x1b[2J\"é\"\r\n".as_bytes()).unwrap();
        cast.resized((80, 24)).unwrap();
        cast.resized((120, 40)).unwrap();
        cast.sent(b"\xff").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&lines[0]["version"], &lines[0]["width"], &lines[0]["height"]),
            (&json!(2), &json!(80), &json!(24))
        );
        assert_eq!(lines[0]["timestamp"], json!(1_795_389_180));
        let told: Vec<(&str, &str)> =
            lines[1..].iter().map(|line| (line[1].as_str().unwrap(), line[2].as_str().unwrap())).collect();
        assert_eq!(told, [("o", "\x1b[2J\"é\"\r\n"), ("r", "120x40"), ("o", "\u{fffd}")]);
        let times: Vec<f64> = lines[1..].iter().map(|line| line[0].as_f64().unwrap()).collect();
        assert!(times.is_sorted() && times[0] >= 0.0, "{times:?}");
    }

    #[test]
    fn nothing_is_written_over_and_no_link_followed() {
        let home = tempfile::tempdir().unwrap();
        let (file, link, open) = (home.path().join("file"), home.path().join("link"), home.path().join("open"));
        std::fs::write(&file, "kept").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::os::unix::fs::symlink(home.path().join("nowhere"), &open).unwrap();
        for path in [&file, &link, &open] {
            let error = Cast::create(path, (80, 24), at(), "lifeboat").unwrap_err().to_string();
            assert!(error.contains("is there already") && error.contains("name another file"), "{error}");
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
        assert!(!home.path().join("nowhere").exists());
        let error = Cast::create(&home.path().join("no/such"), (80, 24), at(), "lifeboat").unwrap_err().to_string();
        assert!(error.contains("can't be written"), "{error}");
    }
}
