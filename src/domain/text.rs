//! Text from outside, cleaned once on the way in.
//!
//! Labels, annotations, log lines, database names and paths are hostile until cleaned: a name may hold an escape
//! sequence that clears the screen, a carriage return that hides what stood before it, or a bidi override that
//! shows a path backwards. Nothing is dropped: every such character becomes a mark that can be seen, C0 controls
//! and DEL their Unicode control picture (`␛`), all others their code point (`<U+202E>`).

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` as a single line: controls, bidi controls and invisible characters become visible marks, line ends too.
#[must_use]
pub fn clean(text: &str) -> String {
    clean_cow(text).into_owned()
}

/// As [`clean`], but line ends stay: `\n` is kept, `\r\n` becomes `\n`, a lone `\r` becomes a mark.
#[must_use]
pub fn clean_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        if lines.peek().is_none() {
            out.push_str(&clean_cow(line));
        } else {
            out.push_str(&clean_cow(line.strip_suffix('\r').unwrap_or(line)));
            out.push('\n');
        }
    }
    out
}

/// Bytes as a single line of text: what is not UTF-8 becomes U+FFFD, the rest is treated as in [`clean`].
#[must_use]
pub fn clean_bytes(bytes: &[u8]) -> String {
    clean(&String::from_utf8_lossy(bytes))
}

fn clean_cow(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || !text.contains(must_show) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            '\0'..='\x1f' => out.extend(char::from_u32(0x2400 + u32::from(character))),
            '\x7f' => out.push('␡'),
            other if must_show(other) => {
                // Writing to a String can't fail.
                let _ = write!(out, "<U+{:04X}>", u32::from(other));
            }
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

/// Characters that a terminal obeys instead of showing, or that show nothing at all.
fn must_show(character: char) -> bool {
    match character {
        // C0, DEL, C1
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => true,
        _ if character < '\u{ad}' => false,
        // Bidi marks, embeddings, overrides, isolates
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        // Line and paragraph separators
        '\u{2028}' | '\u{2029}' => true,
        // Zero width: soft hyphen, grapheme joiner, spaces and joiners of no width, byte order mark
        '\u{ad}' | '\u{34f}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}' | '\u{feff}' => true,
        // Shown as nothing: Hangul fillers, deprecated format characters, annotation anchors, tags
        '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{206a}'..='\u{206f}' => true,
        '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => true,
        _ => false,
    }
}

/// A size in bytes for people, in at most seven columns, in powers of 1,000: `408 kB`, `22.1 MB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    // 999.5 would be shown as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 99.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_terminal_would_obey_becomes_visible() {
        assert_eq!(clean("a\x1b[2Jb"), "a␛[2Jb");
        assert_eq!(clean("safe\rrm -rf"), "safe␍rm -rf");
        assert_eq!(clean("one\ntwo\ttab\0"), "one␊two␉tab␀");
        assert_eq!(clean("\u{7f}\u{9b}31m"), "␡<U+009B>31m");
        assert_eq!(clean("/data/\u{202e}gnp.txt"), "/data/<U+202E>gnp.txt");
        assert_eq!(clean("ma\u{200b}in\u{feff}\u{2028}"), "ma<U+200B>in<U+FEFF><U+2028>");
        assert_eq!(clean_bytes(b"ok\xff\x1b"), "ok\u{fffd}␛");
    }

    #[test]
    fn ordinary_text_is_untouched() {
        for text in
            ["", "main", "склад заказов", "在庫データベース", "🚀 déjà vu ❤️", "naïve – “quoted” → 5 µs", "عربي"]
        {
            assert_eq!(clean(text), text);
            assert_eq!(clean_lines(text), text);
        }
    }

    #[test]
    fn lines_keep_their_ends() {
        assert_eq!(clean_lines("one\ntwo\r\nthree\rfour\n"), "one\ntwo\nthree␍four\n");
        assert_eq!(clean_lines("␍\nx"), "␍\nx");
        assert_eq!(clean_lines("a\r\r\nb"), "a␍\nb");
    }

    fn is_hidden(character: char) -> bool {
        character.is_control()
            || "\u{61c}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\
                \u{2060}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}"
                .contains(character)
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_twice_is_once(text in "(\\PC|[\\x00-\\xa0]|[\u{2000}-\u{2070}]|\u{feff}|\u{61c}){0,40}") {
            let once = clean(&text);
            prop_assert!(!once.contains(is_hidden), "{once:?}");
            prop_assert_eq!(clean(&once), once.clone());
            let lines = clean_lines(&text);
            prop_assert!(!lines.contains(|c| c != '\n' && is_hidden(c)), "{lines:?}");
            prop_assert_eq!(clean_lines(&lines), lines);
        }

        #[test]
        fn letters_and_digits_of_any_script_stay(text in "[\\p{Lu}\\p{Ll}\\p{Han}\\p{Cyrillic}\\p{Nd} ]{0,40}") {
            prop_assert_eq!(clean(&text), text);
        }

        #[test]
        fn any_bytes_become_clean_text(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            prop_assert!(!clean_bytes(&bytes).contains(is_hidden));
        }
    }

    #[test]
    fn sizes_never_take_more_than_seven_columns() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (99_949, "99.9 kB"),
            (99_950, "100 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (33_520_020, "33.5 MB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        for power in 0..64 {
            for bytes in [(1u64 << power) - 1, 1 << power, 10u64.saturating_pow(power), 10u64.saturating_pow(power) - 1]
            {
                assert!(size(bytes).len() <= 7, "{bytes}");
            }
        }
    }
}
