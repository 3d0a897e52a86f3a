//! The names of files in pgBackRest's archive (the same from 2.0 to 2.59).

use crate::domain::wal::{TimelineId, WalSegment};
use sha1::{Digest as _, Sha1};
use std::fmt;

/// The SHA-1 of a segment's plain content, as pgBackRest writes it into the file's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha1Sum([u8; 20]);

/// How a file of the archive is compressed: `compress-type` of the time when it was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// As it is.
    None,
    /// `.gz`.
    Gzip,
    /// `.lz4`.
    Lz4,
    /// `.zst`.
    Zstd,
    /// `.bz2`.
    Bzip2,
}

/// What a file of the archive is, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArchiveName {
    /// A whole segment.
    Segment(WalSegment, Sha1Sum, Compression),
    /// `.partial`: the last piece of a timeline that was left. PostgreSQL never asks for it.
    Partial(WalSegment, Sha1Sum, Compression),
    /// `00000002.history`.
    History(TimelineId),
    /// `….00000028.backup`: where an online backup began and ended.
    Backup(WalSegment, u32),
}

impl Sha1Sum {
    /// The sum of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Sha1Sum {
        Sha1Sum(Sha1::digest(bytes).into())
    }

    /// A sum that was worked out piece by piece.
    pub(super) fn of_digest(sum: [u8; 20]) -> Sha1Sum {
        Sha1Sum(sum)
    }

    /// Reads 40 lower-case hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Sha1Sum> {
        let bytes = text.as_bytes();
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        if bytes.len() != 40 {
            return None;
        }
        let mut sum = [0; 20];
        for (index, value) in sum.iter_mut().enumerate() {
            *value = digit(bytes[2 * index])? << 4 | digit(bytes[2 * index + 1])?;
        }
        Some(Sha1Sum(sum))
    }
}

impl fmt::Display for Sha1Sum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha1Sum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Sha1Sum({self})")
    }
}

impl Compression {
    /// By the extension without its dot.
    fn of_extension(extension: &str) -> Option<Compression> {
        match extension {
            "gz" => Some(Compression::Gzip),
            "lz4" => Some(Compression::Lz4),
            "zst" => Some(Compression::Zstd),
            "bz2" => Some(Compression::Bzip2),
            _ => None,
        }
    }

    /// The extension with its dot; empty where there is none.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Lz4 => ".lz4",
            Compression::Zstd => ".zst",
            Compression::Bzip2 => ".bz2",
        }
    }
}

impl ArchiveName {
    /// Reads a name without its directories; `None` for what is not one of the archive's files.
    pub(super) fn parse(name: &str) -> Option<ArchiveName> {
        if let Some(timeline) = name.strip_suffix(".history") {
            return hex(timeline).map(|number| ArchiveName::History(TimelineId(number)));
        }
        if let Some(stem) = name.strip_suffix(".backup") {
            let (segment, offset) = stem.split_once('.')?;
            return Some(ArchiveName::Backup(WalSegment::parse(segment).ok()?, hex(offset)?));
        }
        let (stem, rest) = name.split_once('-')?;
        let (sum, compression) = match rest.split_once('.') {
            Some((sum, extension)) => (sum, Compression::of_extension(extension)?),
            None => (rest, Compression::None),
        };
        let sum = Sha1Sum::parse(sum)?;
        Some(match stem.strip_suffix(".partial") {
            Some(segment) => ArchiveName::Partial(WalSegment::parse(segment).ok()?, sum, compression),
            None => ArchiveName::Segment(WalSegment::parse(stem).ok()?, sum, compression),
        })
    }
}

/// Eight upper-case hexadecimal digits.
pub(super) fn hex(text: &str) -> Option<u32> {
    let digits = text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'));
    digits.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    const SUM: &str = "520584d4ac0a8b1b1c4d1c2f7ae1b4ea41c7d7b0";

    #[test]
    fn segments_partials_histories_and_backups_are_told_apart() {
        let segment = WalSegment::parse("000000010000000000000003").unwrap();
        let sum = Sha1Sum::parse(SUM).unwrap();
        for (extension, compression) in [
            ("", Compression::None),
            (".gz", Compression::Gzip),
            (".lz4", Compression::Lz4),
            (".zst", Compression::Zstd),
            (".bz2", Compression::Bzip2),
        ] {
            let read = |text: String| ArchiveName::parse(&text).unwrap();
            assert_eq!(read(format!("{segment}-{SUM}{extension}")), ArchiveName::Segment(segment, sum, compression));
            let partial = read(format!("{segment}.partial-{SUM}{extension}"));
            assert_eq!(partial, ArchiveName::Partial(segment, sum, compression));
            assert_eq!(compression.extension(), extension);
        }
        assert_eq!(ArchiveName::parse("0000000A.history"), Some(ArchiveName::History(TimelineId(10))));
        assert_eq!(
            ArchiveName::parse("000000010000000000000003.00000028.backup"),
            Some(ArchiveName::Backup(segment, 0x28))
        );
        assert_eq!(sum.to_string(), SUM);
    }

    #[test]
    fn anything_else_is_no_file_of_an_archive() {
        for name in [
            "",
            "archive.info",
            "x.history",
            "000000002.history",
            "+0000002.history",
            "000000010000000000000003",
            "000000010000000000000003-",
            "000000010000000000000003-520584D4AC0A8B1B1C4D1C2F7AE1B4EA41C7D7B0.gz",
            "000000010000000000000003-520584d4ac0a8b1b1c4d1c2f7ae1b4ea41c7d7b0.xz",
            "000000010000000000000003-520584d4ac0a8b1b1c4d1c2f7ae1b4ea41c7d7b0.gz.pgbackrest.tmp",
            "00000001000000000000000-520584d4ac0a8b1b1c4d1c2f7ae1b4ea41c7d7b0",
            "000000010000000000000003.backup",
            "000000010000000000000003-52058é84d4ac0a8b1b1c4d1c2f7ae1b4ea41c7d7b0",
        ] {
            assert_eq!(ArchiveName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn the_sum_is_that_of_sha1sum() {
        assert_eq!(Sha1Sum::of(b"").to_string(), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    }
}
