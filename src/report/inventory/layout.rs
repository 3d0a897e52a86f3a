//! How wide a layout may be, and in which characters.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How wide a layout may be, and in which characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Columns of the terminal.
    pub width: usize,
    /// Nothing but ASCII: lines are drawn with `|` and `-`, other letters become `<U+0416>`.
    pub ascii: bool,
}

/// The longest piece of a message that is shown, in columns.
const LONGEST: usize = 240;

impl Layout {
    /// `fancy`, or `plain` where only ASCII may be shown.
    pub(crate) fn pick(self, fancy: &'static str, plain: &'static str) -> &'static str {
        if self.ascii { plain } else { fancy }
    }

    /// A line no longer than is of use to a person.
    pub(crate) fn cut(self, line: &str) -> String {
        if line.width() <= LONGEST {
            return line.to_owned();
        }
        let mut used = 0;
        let kept: String = line
            .chars()
            .take_while(|character| {
                used += character.width().unwrap_or(0);
                used <= LONGEST
            })
            .collect();
        kept + " …"
    }

    /// `text` in lines that fit, behind `indent` columns; words that are too long are cut into pieces.
    pub(crate) fn wrap(self, indent: usize, text: &str) -> Vec<String> {
        let text = if self.ascii { plain(text) } else { text.to_owned() };
        let most = self.width.max(40) - indent;
        let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
        for word in text.split(' ').flat_map(|word| pieces(word, most)) {
            let width = word.width();
            if used > 0 && used + 1 + width > most {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += width;
        }
        lines.push(line);
        lines.iter().map(|line| format!("{:indent$}{line}", "")).collect()
    }
}

/// A word in pieces of at most `most` columns.
fn pieces(word: &str, most: usize) -> Vec<&str> {
    let (mut found, mut start, mut used) = (Vec::new(), 0, 0);
    for (index, character) in word.char_indices() {
        let width = character.width().unwrap_or(0);
        if used + width > most {
            found.push(&word[start..index]);
            (start, used) = (index, 0);
        }
        used += width;
    }
    found.push(&word[start..]);
    found
}

/// ASCII only: known signs by their like, all other letters by their code point.
fn plain(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, character| {
        match character {
            '·' => out.push('|'),
            '…' => out.push_str("..."),
            '→' => out.push_str("->"),
            other if other.is_ascii() => out.push(other),
            other => out.push_str(&format!("<U+{:04X}>", u32::from(other))),
        }
        out
    })
}
