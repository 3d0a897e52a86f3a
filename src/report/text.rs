//! A transcript as plain text for an 80-column terminal.

use crate::domain::event::Entry;
use crate::domain::run::Run;
use crate::report::transcript::{self, Block, Outputs, Redact};
use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

const WIDTH: usize = 80;

/// The transcript of a run as text. No line is wider than 80 columns, but for a single argument of a command that is
/// longer than that: it stays whole, so that it can be copied.
#[must_use]
pub fn transcript(run: &Run, entries: &[Entry], outputs: &Outputs<'_>, redact: &Redact<'_>) -> String {
    let document = transcript::document(run, entries, outputs, redact);
    let mut out = Text::default();
    out.heading(&document.title, '=');
    for section in &document.sections {
        out.line("");
        out.heading(&section.heading, if section.is_step { '.' } else { '-' });
        for block in &section.blocks {
            out.block(block);
        }
    }
    out.0
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, text: &str) {
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }

    fn wrapped(&mut self, text: &str, first: &str, rest: &str) {
        for line in wrap(text, WIDTH, first, rest) {
            self.line(&line);
        }
    }

    fn heading(&mut self, text: &str, underline: char) {
        let lines = wrap(text, WIDTH, "", "");
        let width = lines.iter().map(|line| line.width()).max().unwrap_or(0);
        lines.iter().for_each(|line| self.line(line));
        self.line(&underline.to_string().repeat(width));
    }

    fn block(&mut self, block: &Block) {
        match block {
            Block::Paragraph(text) => self.wrapped(text, "", ""),
            Block::Pairs(pairs) => self.pairs(pairs),
            Block::List(items) => items.iter().for_each(|item| self.wrapped(item, "  - ", "    ")),
            Block::Command(arguments) => self.command(arguments),
            Block::Output(lines) => lines.iter().for_each(|line| self.output(line)),
            Block::Course(rows) => {
                for row in rows {
                    let first = format!("{:>5}  {}  {}  ", row.sequence, row.time, row.hash);
                    self.wrapped(&row.what, &first, "         ");
                }
            }
        }
    }

    fn pairs(&mut self, pairs: &[(String, String)]) {
        let widest = pairs.iter().map(|(label, _)| label.width()).max().unwrap_or(0).min(28);
        let rest = " ".repeat(widest + 4);
        for (label, value) in pairs {
            // A hash stays in one piece, so that it can be copied: below its label where it does not fit beside it.
            let longest = value.split(' ').map(|word| word.width()).max().unwrap_or(0);
            let below = longest + rest.width() > WIDTH && longest + 6 <= WIDTH;
            if label.width() > widest || below {
                self.wrapped(label, "  ", "  ");
                let rest = if below { "      " } else { &rest };
                self.wrapped(value, rest, rest);
            } else {
                let first = format!("  {label}{}  ", " ".repeat(widest - label.width()));
                self.wrapped(value, &first, &rest);
            }
        }
    }

    fn command(&mut self, arguments: &[String]) {
        let mut line = "  $".to_owned();
        for argument in arguments {
            if line.width() + 1 + argument.width() > WIDTH - 2 && line.width() > 4 {
                self.line(&format!("{line} \\"));
                line = "   ".to_owned();
            }
            line.push(' ');
            line.push_str(argument);
        }
        self.line(&line);
    }

    fn output(&mut self, line: &str) {
        let pieces = split_hard(line, WIDTH - 4);
        for (index, piece) in pieces.iter().enumerate() {
            // A plus marks the rest of a line that was too long.
            self.line(&format!("  {} {piece}", if index == 0 { '|' } else { '+' }));
        }
    }
}

/// Breaks at blanks, and inside a word only when it does not fit into a line by itself.
fn wrap(text: &str, width: usize, first: &str, rest: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !empty && line.width() + 1 + word.width() > width {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            empty = true;
        }
        let room = width.saturating_sub(line.width() + usize::from(!empty));
        if !empty {
            line.push(' ');
        }
        if word.width() <= room {
            line.push_str(word);
        } else {
            let mut pieces =
                split_hard(word, width.saturating_sub(rest.width().max(line.width())).max(8)).into_iter().peekable();
            while let Some(piece) = pieces.next() {
                line.push_str(&piece);
                if pieces.peek().is_some() {
                    lines.push(std::mem::replace(&mut line, rest.to_owned()));
                }
            }
        }
        empty = false;
    }
    lines.push(line);
    lines
}

/// As much of a line as fits into `width` columns.
#[must_use]
pub fn fitting(line: &str, width: usize) -> String {
    split_hard(line, width).into_iter().next().unwrap_or_default()
}

/// Pieces of at most `width` columns; at least one.
fn split_hard(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for character in text.chars() {
        let columns = character.width().unwrap_or(0);
        if used + columns > width && used > 0 {
            pieces.push(String::new());
            used = 0;
        }
        used += columns;
        if let Some(last) = pieces.last_mut() {
            last.push(character);
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_words_only_when_they_must() {
        assert_eq!(wrap("one two three", 9, "- ", "  "), ["- one two", "  three"]);
        assert_eq!(wrap("abcdefghijklmnopqrst", 12, "  ", "  "), ["  abcdefghij", "  klmnopqrst"]);
        assert_eq!(wrap("", 9, "- ", "  "), ["- "]);
        assert_eq!(split_hard("在庫データ", 4), ["在庫", "デー", "タ"]);
        assert_eq!(split_hard("", 4), [""]);
    }

    #[test]
    fn an_overlong_argument_stays_whole() {
        let mut text = Text::default();
        let long = "x".repeat(100);
        text.command(&["/bin/true".to_owned(), long.clone(), "end".to_owned()]);
        assert_eq!(text.0, format!("  $ /bin/true \\\n    {long} \\\n    end\n"));
    }
}
