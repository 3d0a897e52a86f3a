//! Positions in the WAL.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A log sequence number: a byte position in the WAL, written `X/Y` in hexadecimal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lsn(pub u64);

/// The text is not an LSN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an LSN: two hexadecimal numbers joined by a slash are expected, as in 0/3000028")]
pub struct LsnError(String);

impl Lsn {
    /// Reads `X/Y`, each of one to eight hexadecimal digits, padded (PostgreSQL 19) or not (before).
    ///
    /// # Errors
    /// [`LsnError`] when the text is anything else.
    pub fn parse(text: &str) -> Result<Lsn, LsnError> {
        read(text.as_bytes())
            .ok_or_else(|| LsnError(crate::domain::text::clean(&text.chars().take(40).collect::<String>())))
    }
}

/// Both halves in one go: an inventory holds hundreds of thousands.
fn read(bytes: &[u8]) -> Option<Lsn> {
    let (mut high, mut value, mut digits) = (None, 0u64, 0);
    for byte in bytes {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'F' => byte - b'A' + 10,
            b'a'..=b'f' => byte - b'a' + 10,
            b'/' if high.is_none() && digits > 0 => {
                (high, value, digits) = (Some(value), 0, 0);
                continue;
            }
            _ => return None,
        };
        digits += 1;
        if digits > 8 {
            return None;
        }
        value = (value << 4) | u64::from(digit);
    }
    if digits == 0 { None } else { Some(Lsn((high? << 32) | value)) }
}

impl fmt::Display for Lsn {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl FromStr for Lsn {
    type Err = LsnError;
    fn from_str(text: &str) -> Result<Lsn, LsnError> {
        Lsn::parse(text)
    }
}

impl TryFrom<String> for Lsn {
    type Error = LsnError;
    fn try_from(text: String) -> Result<Lsn, LsnError> {
        Lsn::parse(&text)
    }
}

impl From<Lsn> for String {
    fn from(lsn: Lsn) -> String {
        lsn.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_postgresql_writes() {
        assert_eq!(Lsn::parse("0/3000028"), Ok(Lsn(0x300_0028)));
        assert_eq!(Lsn::parse("16/B374D848"), Ok(Lsn(0x16_B374_D848)));
        assert_eq!(Lsn::parse("00000016/0374d848"), Ok(Lsn(0x16_0374_D848)));
        assert!(Lsn::parse("0/9FFFFFF").expect("an LSN") < Lsn::parse("0/10000000").expect("an LSN"));
    }

    #[test]
    fn refuses_other_text() {
        for text in ["", "/", "0/", "/0", "0", "0/0/0", "+1/0", "0/123456789", " 0/0", "0x1/0", "g/0", "\u{202e}/0"] {
            let error = Lsn::parse(text).expect_err(text);
            assert!(!error.to_string().contains('\u{202e}'));
        }
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(position: u64) {
            prop_assert_eq!(Lsn::parse(&Lsn(position).to_string()), Ok(Lsn(position)));
        }
    }
}
