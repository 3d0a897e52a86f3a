//! Text on its way to the screen: cleaned once more, in ASCII where that is wanted, in the looks of what it is.

use crate::domain::text::clean;
use crate::report::ascii;
use crate::ui::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// The brush.
#[derive(Debug, Clone, Copy)]
pub struct Paint<'a> {
    theme: &'a Theme,
    /// ASCII only.
    pub ascii: bool,
}

impl<'a> Paint<'a> {
    /// A brush of a theme.
    #[must_use]
    pub fn new(theme: &'a Theme, ascii: bool) -> Paint<'a> {
        Paint { theme, ascii }
    }

    /// How text of this kind looks.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.theme.style(role)
    }

    /// The letters that are shown for a text. Layouts count with these.
    #[must_use]
    pub fn letters(&self, text: &str) -> String {
        let text = clean(text);
        if self.ascii { ascii::fold(&text) } else { text }
    }

    /// A piece of a line.
    #[must_use]
    pub fn span(&self, role: Role, text: &str) -> Span<'static> {
        Span::styled(self.letters(text), self.style(role))
    }

    /// A line of one piece.
    #[must_use]
    pub fn line(&self, role: Role, text: &str) -> Line<'static> {
        Line::from(self.span(role, text))
    }

    /// A line of several pieces.
    #[must_use]
    pub fn pieces(&self, pieces: &[(Role, &str)]) -> Line<'static> {
        Line::from(pieces.iter().map(|(role, text)| self.span(*role, text)).collect::<Vec<_>>())
    }

    /// The last look at the screen before it is sent: no control character ever, and ASCII where that is wanted.
    pub fn finish(&self, buffer: &mut Buffer) {
        for cell in &mut buffer.content {
            let symbol = cell.symbol();
            let is_plain = symbol.bytes().all(|byte| (b' '..=b'~').contains(&byte));
            if is_plain {
                continue;
            }
            let shown = self.letters(symbol);
            if shown != symbol {
                // One cell has room for one letter.
                let letter = if shown.chars().count() == 1 { shown.as_str() } else { "?" };
                let letter = letter.to_owned();
                cell.set_symbol(&letter);
            }
        }
    }
}
