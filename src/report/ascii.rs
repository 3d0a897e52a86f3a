//! Text for a terminal or a log that can't show more than ASCII: a small table of the symbols Lifeboat itself uses,
//! and code points for everything else, so that nothing is shown as something it is not.

use std::fmt::Write as _;

/// What stands for Lifeboat's own symbols. One column each, so that a layout stays what it is.
const SYMBOLS: [(char, char); 32] = [
    ('▸', '>'),
    ('✔', '+'),
    ('✗', 'x'),
    ('■', '#'),
    ('●', '*'),
    ('↻', '~'),
    ('✎', '"'),
    ('→', '>'),
    ('·', '-'),
    ('–', '-'),
    ('─', '-'),
    ('═', '='),
    ('│', '|'),
    ('…', '~'),
    ('▾', 'v'),
    ('▌', '>'),
    ('▏', '_'),
    ('█', '#'),
    ('░', '.'),
    ('▲', '^'),
    ('├', '|'),
    ('└', '`'),
    ('┌', '+'),
    ('┐', '+'),
    ('┘', '+'),
    ('╭', '+'),
    ('╮', '+'),
    ('╯', '+'),
    ('╰', '+'),
    ('↑', '^'),
    ('↓', 'v'),
    ('←', '<'),
];

/// `text` in ASCII. A control picture becomes what it stands for in caret notation (`^[`), any other character its
/// code point (`<U+5728>`); line ends stay.
#[must_use]
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | ' '..='~' => out.push(character),
            '\u{2400}'..='\u{241f}' => {
                out.push('^');
                out.extend(char::from_u32(u32::from(character) - 0x2400 + 0x40));
            }
            '␡' => out.push_str("^?"),
            other => match SYMBOLS.iter().find(|(symbol, _)| *symbol == other) {
                Some((_, plain)) => out.push(*plain),
                None => {
                    // Writing to a String can't fail.
                    let _ = write!(out, "<U+{:04X}>", u32::from(other));
                }
            },
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn symbols_keep_their_column_and_the_rest_its_meaning() {
        assert_eq!(fold("16:35Z ✔ 1/2 a · b → c…"), "16:35Z + 1/2 a - b > c~");
        assert_eq!(fold("a␛[2Jb␡\n在"), "a^[[2Jb^?\n<U+5728>");
    }

    proptest! {
        #[test]
        fn nothing_but_ascii_and_no_control_leaves(text in ".*") {
            let folded = fold(&text);
            prop_assert!(folded.chars().all(|letter| letter == '\n' || (' '..='~').contains(&letter)), "{folded:?}");
        }
    }
}
