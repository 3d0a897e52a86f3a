//! Labels of backup sets.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

/// The kind of a backup set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupKind {
    /// Everything.
    Full,
    /// What changed since the full set.
    #[serde(rename = "diff")]
    Differential,
    /// What changed since the set before, of any kind.
    #[serde(rename = "incr")]
    Incremental,
}

impl BackupKind {
    /// pgBackRest's word: `full`, `diff`, `incr`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            BackupKind::Full => "full",
            BackupKind::Differential => "diff",
            BackupKind::Incremental => "incr",
        }
    }
}

/// The label of a backup set: `20261122-064008F`, or `20261122-064008F_20261122-064026I`.
///
/// It is ordered as its text is, which is how pgBackRest sorts. The time in it is the local time of whoever made the
/// backup: never derive an instant from it. Two repositories may hold the same label for different sets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupLabel {
    /// The 14 digits of the full set.
    full: u64,
    member: Member,
}

/// Which set of its full set's family a label names, in eight bytes: the 14 digits of its own time, then the kind.
/// An inventory of 200,000 sets keeps over a million of these, so their size counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member(NonZeroU64);

/// The text is not the label of a backup set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the label of a backup set: 20261122-064008F or 20261122-064008F_20261122-064026I is expected")]
pub struct LabelError(String);

impl Member {
    /// The full set itself.
    const FULL: Member = Member(NonZeroU64::MIN);

    fn new(digits: u64, kind: BackupKind) -> Option<Member> {
        let kind = match kind {
            BackupKind::Full => return Some(Member::FULL),
            BackupKind::Differential => 2,
            BackupKind::Incremental => 3,
        };
        NonZeroU64::new(digits << 2 | kind).map(Member)
    }

    /// The label of this member in the family of the full set of `relative`.
    #[must_use]
    pub fn within(self, relative: BackupLabel) -> BackupLabel {
        BackupLabel { full: relative.full, member: self }
    }
}

impl BackupLabel {
    /// Reads a label exactly as pgBackRest writes it.
    ///
    /// # Errors
    /// [`LabelError`] when the text is anything else.
    pub fn parse(text: &str) -> Result<BackupLabel, LabelError> {
        parse_bytes(text.as_bytes())
            .ok_or_else(|| LabelError(crate::domain::text::clean(&text.chars().take(60).collect::<String>())))
    }

    /// Full, differential or incremental.
    #[must_use]
    pub fn kind(self) -> BackupKind {
        match self.member.0.get() & 3 {
            2 => BackupKind::Differential,
            3 => BackupKind::Incremental,
            _ => BackupKind::Full,
        }
    }

    /// The label of the full set that this set builds upon; of a full set its own.
    #[must_use]
    pub fn full(self) -> BackupLabel {
        BackupLabel { full: self.full, member: Member::FULL }
    }

    /// Which member of its full set's family it is.
    #[must_use]
    pub fn member(self) -> Member {
        self.member
    }
}

fn parse_bytes(bytes: &[u8]) -> Option<BackupLabel> {
    let (full, rest) = bytes.split_at_checked(15)?;
    let full = parse_time(full)?;
    let member = match rest {
        b"F" => Member::FULL,
        [b'F', b'_', own @ .., b'D'] => Member::new(parse_time(own)?, BackupKind::Differential)?,
        [b'F', b'_', own @ .., b'I'] => Member::new(parse_time(own)?, BackupKind::Incremental)?,
        _ => return None,
    };
    Some(BackupLabel { full, member })
}

/// `YYYYMMDD-HHMMSS` to its 14 digits.
fn parse_time(bytes: &[u8]) -> Option<u64> {
    let bytes: &[u8; 15] = bytes.try_into().ok()?;
    let mut digits = 0u64;
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' if index != 8 => digits = digits * 10 + u64::from(byte - b'0'),
            b'-' if index == 8 => {}
            _ => return None,
        }
    }
    Some(digits)
}

impl fmt::Display for BackupLabel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |out: &mut fmt::Formatter<'_>, digits: u64| {
            write!(out, "{:08}-{:06}", digits / 1_000_000, digits % 1_000_000)
        };
        time(out, self.full)?;
        out.write_str("F")?;
        let letter = match self.kind() {
            BackupKind::Full => return Ok(()),
            BackupKind::Differential => "D",
            BackupKind::Incremental => "I",
        };
        out.write_str("_")?;
        time(out, self.member.0.get() >> 2)?;
        out.write_str(letter)
    }
}

impl fmt::Debug for BackupLabel {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "BackupLabel({self})")
    }
}

impl FromStr for BackupLabel {
    type Err = LabelError;
    fn from_str(text: &str) -> Result<BackupLabel, LabelError> {
        BackupLabel::parse(text)
    }
}

impl TryFrom<String> for BackupLabel {
    type Error = LabelError;
    fn try_from(text: String) -> Result<BackupLabel, LabelError> {
        BackupLabel::parse(&text)
    }
}

impl From<BackupLabel> for String {
    fn from(label: BackupLabel) -> String {
        label.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn knows_its_kind_and_its_full_set() {
        let label: BackupLabel = "20261122-064008F_20261122-064026I".parse().expect("a label");
        assert_eq!(label.kind(), BackupKind::Incremental);
        assert_eq!(label.full().to_string(), "20261122-064008F");
        assert_eq!(label.full().kind(), BackupKind::Full);
        assert_eq!(label.member().within(label.full()), label);
        let diff: BackupLabel = "20261122-064008F_20261122-064020D".parse().expect("a label");
        assert_eq!(diff.kind(), BackupKind::Differential);
        assert_eq!(size_of::<Option<Member>>(), 8);
    }

    #[test]
    fn refuses_other_text() {
        for text in [
            "",
            "latest",
            "20261122-064008",
            "20261122-064008D",
            "20261122-064008F_",
            "20261122-064008F_20261122-064026F",
            "20261122-064008F_20261122-064026",
            "20261122_064008F",
            "20261122-064008F ",
            "20261122-06400éF",
            "20261122-064008F/../../x",
            "٢٠٢٦١١٢٢-064008F",
        ] {
            assert!(BackupLabel::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(text in "[0-9]{8}-[0-9]{6}F(_[0-9]{8}-[0-9]{6}[DI])?") {
            prop_assert_eq!(BackupLabel::parse(&text).expect("a label").to_string(), text);
        }

        #[test]
        fn is_ordered_as_its_text(
            one in "[01]{8}-[01]{6}F(_[01]{8}-[01]{6}[DI])?",
            other in "[01]{8}-[01]{6}F(_[01]{8}-[01]{6}[DI])?",
            kind in "[DI]",
        ) {
            let sibling = format!("{}F_{}{kind}", &one[..15], &other[..15]);
            for other in [&other, &sibling] {
                let (a, b) = (BackupLabel::parse(&one).expect("a label"), BackupLabel::parse(other).expect("a label"));
                prop_assert_eq!(a.cmp(&b), one.as_str().cmp(other.as_str()));
            }
        }

        #[test]
        fn never_panics(text in ".{0,40}") {
            let _ = BackupLabel::parse(&text);
        }
    }
}
