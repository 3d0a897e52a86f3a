//! Makes JSON of what pgBackRest prints where it is none: raw control characters inside strings, bytes that are no
//! UTF-8. Both come from decrypting with a wrong passphrase (2.45 to 2.59) and from raw annotation values.

use std::fmt::Write as _;

/// A repaired text, and how its positions map back to the original's.
pub(crate) struct Repaired {
    pub(crate) text: String,
    /// (position in the text, position in the original) at each place where something was replaced.
    marks: Vec<(usize, usize)>,
}

impl Repaired {
    /// The position in the original of a position in the repaired text.
    pub(crate) fn original(&self, position: usize) -> usize {
        let next = self.marks.partition_point(|&(at, _)| at <= position);
        match next.checked_sub(1).and_then(|index| self.marks.get(index)) {
            Some(&(at, original)) => original + (position - at),
            None => position,
        }
    }
}

/// The repaired text, or `None` when there was nothing to repair.
pub(crate) fn repair(bytes: &[u8]) -> Option<Repaired> {
    let mut repaired = Repaired { text: String::with_capacity(bytes.len()), marks: Vec::new() };
    let (mut in_string, mut escaped) = (false, false);
    let mut position = 0;
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            position += character.len_utf8();
            match character {
                '\0'..='\x1f' if in_string => {
                    // A backslash before it would have been half an escape: it becomes a backslash to be seen.
                    if escaped {
                        repaired.text.push('\\');
                    }
                    // Writing to a String can't fail.
                    let _ = write!(repaired.text, "\\u{:04x}", u32::from(character));
                    repaired.marks.push((repaired.text.len(), position));
                }
                other => repaired.text.push(other),
            }
            match character {
                '"' if !escaped => in_string = !in_string,
                _ => {}
            }
            escaped = in_string && !escaped && character == '\\';
        }
        if !chunk.invalid().is_empty() {
            position += chunk.invalid().len();
            repaired.text.push(char::REPLACEMENT_CHARACTER);
            repaired.marks.push((repaired.text.len(), position));
            escaped = false;
        }
    }
    (!repaired.marks.is_empty()).then_some(repaired)
}
