//! Text in columns of a terminal: cut, filled and broken by grapheme, so that no letter is torn.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// As much of a text as fits, with `…` where something is left out.
#[must_use]
pub fn fit(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let width = grapheme.width();
        if used + width + 1 > columns {
            break;
        }
        used += width;
        out.push_str(grapheme);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// The end of a text, as much as fits.
#[must_use]
pub fn fit_end(text: &str, columns: usize) -> String {
    let mut used = 0;
    let mut kept: Vec<&str> = Vec::new();
    for grapheme in text.graphemes(true).rev() {
        used += grapheme.width();
        if used > columns {
            break;
        }
        kept.push(grapheme);
    }
    kept.into_iter().rev().collect()
}

/// A text in exactly so many columns, at the left.
#[must_use]
pub fn pad(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    let rest = columns.saturating_sub(text.width());
    text + &" ".repeat(rest)
}

/// A text in exactly so many columns, at the right: for numbers.
#[must_use]
pub fn pad_left(text: &str, columns: usize) -> String {
    let text = fit(text, columns);
    " ".repeat(columns.saturating_sub(text.width())) + &text
}

/// Lines of at most so many columns, broken at blanks, and inside a word only where it fits nowhere.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let width = word.width();
        if used > 0 && used + 1 + width <= columns {
            push(&mut lines, " ");
            used += 1;
        } else if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        if width <= columns {
            push(&mut lines, word);
            used += width;
            continue;
        }
        for piece in hard(word, columns) {
            if used > 0 {
                lines.push(String::new());
            }
            used = piece.width();
            push(&mut lines, &piece);
        }
    }
    lines
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

/// Pieces of at most so many columns, wherever that breaks; at least one.
#[must_use]
pub fn hard(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        // A letter with spacing marks can be wider than any room there is.
        let grapheme = if grapheme.width() > columns { "…" } else { grapheme };
        let width = grapheme.width();
        if used + width > columns && used > 0 {
            pieces.push(String::new());
            used = 0;
        }
        used += width;
        push(&mut pieces, grapheme);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn letters_are_not_torn() {
        assert_eq!(fit("在庫データ", 7), "在庫デ…");
        assert_eq!(fit("e\u{301}te\u{301}", 2), "e\u{301}…");
        assert_eq!(fit_end("abcdef", 3), "def");
        assert_eq!(pad("在", 4), "在  ");
        assert_eq!(pad_left("12 MB", 7), "  12 MB");
        assert_eq!(hard("在庫データ", 4), ["在庫", "デー", "タ"]);
        assert_eq!(wrap("\u{18800}\u{1612a}", 2), ["…"], "one letter of three columns");
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a bcdefghij k", 4), ["a", "bcde", "fghi", "j k"]);
        assert_eq!(wrap("", 4), [""]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in "\\PC{0,60}", columns in 2usize..40) {
            prop_assert!(fit(&text, columns).width() <= columns);
            prop_assert!(fit_end(&text, columns).width() <= columns);
            prop_assert!(wrap(&text, columns).iter().all(|line| line.width() <= columns));
            prop_assert_eq!(pad(&text, columns).width(), columns);
        }
    }
}
