//! From two pictures to the bytes that make one into the other, as few as a plain terminal understands.
//!
//! Over a slow link every byte is seen: a look is changed by what differs, what is skipped is cheaper than what is written
//! again, and the empty rest of a row is erased. Only what every terminal of the last decades knows is used: CUP, CUF, EL,
//! ECH and SGR. Erasing is done in the terminal's own background alone, since some leave another one out.

use ratatui::buffer::{Buffer, Cell};
use ratatui::style::{Color, Modifier};
use std::io::Write as _;
use unicode_width::UnicodeWidthStr as _;

/// So many cells are rather written again than jumped over.
const WRITTEN_AGAIN: u16 = 4;
/// Fewer empty cells to the end of a row are written; so many more are erased, with the cursor brought on.
const ERASED: (usize, usize) = (4, 12);
/// What an empty cell shows of its looks.
const SEEN_ON_NOTHING: Modifier = Modifier::UNDERLINED.union(Modifier::REVERSED).union(Modifier::CROSSED_OUT);

/// With which code each goes on, and off.
const MODIFIERS: [(Modifier, u8, u8); 9] = [
    (Modifier::BOLD, 1, 22),
    (Modifier::DIM, 2, 22),
    (Modifier::ITALIC, 3, 23),
    (Modifier::UNDERLINED, 4, 24),
    (Modifier::SLOW_BLINK, 5, 25),
    (Modifier::RAPID_BLINK, 6, 25),
    (Modifier::REVERSED, 7, 27),
    (Modifier::HIDDEN, 8, 28),
    (Modifier::CROSSED_OUT, 9, 29),
];

/// The bytes that make `old` into `new`; none where they are the same. Before and after them the terminal writes plainly.
#[must_use]
pub fn difference(old: &Buffer, new: &Buffer) -> Vec<u8> {
    let updates = changes(old, new);
    let mut pen = Pen { bytes: Vec::new(), at: None, look: Look::PLAIN };
    let mut rest = updates.as_slice();
    while let Some(((x, y, cell), more)) = rest.split_first() {
        let blank = if is_blank(cell) { blanks(rest) } else { 0 };
        if blank >= ERASED.0 && (*x..new.area.right()).all(|column| is_blank(&new[(column, *y)])) {
            pen.go(*x, *y, new);
            pen.take(Look::PLAIN);
            pen.bytes.extend_from_slice(b"\x1b[K");
            rest = &rest[rest.iter().take_while(|(_, row, _)| row == y).count()..];
        } else if blank >= ERASED.1 {
            pen.go(*x, *y, new);
            pen.take(Look::PLAIN);
            let _ = write!(pen.bytes, "\x1b[{blank}X");
            rest = &rest[blank..];
        } else {
            pen.go(*x, *y, new);
            pen.put(cell);
            rest = more;
        }
    }
    pen.take(Look::PLAIN);
    pen.bytes
}

/// The cells to write. What a wide letter leaves behind of itself when something else is written into one of its columns
/// differs between terminals: all of them are written.
fn changes<'a>(old: &Buffer, new: &'a Buffer) -> Vec<(u16, u16, &'a Cell)> {
    let mut changes = Vec::new();
    for (row, y) in new.content.chunks(usize::from(new.area.width.max(1))).zip(new.area.top()..) {
        // Columns that a wide letter still covers, in the new picture and in the old one; and those where one was cut.
        let (mut covered, mut was_covered, mut left_over) = (0_u16, 0_u16, 0_u16);
        for (cell, x) in row.iter().zip(new.area.left()..) {
            let before = &old[(x, y)];
            let (is_covered, stood_there) = (covered > 0, was_covered == 0);
            let is_changed = is_covered || left_over > 0 || cell != before;
            if is_changed && !is_covered {
                changes.push((x, y, cell));
            }
            covered = if is_covered { covered - 1 } else { columns(cell) - 1 };
            was_covered = if stood_there { columns(before) - 1 } else { was_covered - 1 };
            left_over = left_over.saturating_sub(1).max(if is_changed && stood_there { was_covered } else { 0 });
        }
    }
    changes
}

/// How wide a cell's letter is.
fn columns(cell: &Cell) -> u16 {
    match cell.symbol().as_bytes() {
        [_] => 1,
        _ => u16::try_from(cell.symbol().width()).unwrap_or(1).max(1),
    }
}

/// How many updates from the first on are empty cells side by side.
fn blanks(updates: &[(u16, u16, &Cell)]) -> usize {
    let Some((first, y, _)) = updates.first() else { return 0 };
    let follows = |(index, (x, row, cell)): (usize, &(u16, u16, &Cell))| {
        row == y && usize::from(*x) == usize::from(*first) + index && is_blank(cell)
    };
    updates.iter().enumerate().take_while(|(index, update)| follows((*index, update))).count()
}

/// Whether nothing at all is seen in a cell but the terminal's own background.
fn is_blank(cell: &Cell) -> bool {
    let look = Look::of(cell);
    cell.symbol() == " " && look.background == Color::Reset && !look.modifier.intersects(SEEN_ON_NOTHING)
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    colour: Color,
    background: Color,
    modifier: Modifier,
}

impl Look {
    const PLAIN: Look = Look { colour: Color::Reset, background: Color::Reset, modifier: Modifier::empty() };

    fn of(cell: &Cell) -> Look {
        Look { colour: cell.fg, background: cell.bg, modifier: cell.modifier }
    }

    /// Whether a cell looks the same when it is written with this.
    fn shows(self, cell: &Cell) -> bool {
        let wanted = Look::of(cell);
        let seen = |look: Look| (look.background, look.modifier & SEEN_ON_NOTHING);
        self == wanted || (cell.symbol() == " " && seen(self) == seen(wanted))
    }
}

struct Pen {
    bytes: Vec<u8>,
    /// Where the next letter goes; not known at the edge, where terminals differ.
    at: Option<(u16, u16)>,
    look: Look,
}

impl Pen {
    fn go(&mut self, x: u16, y: u16, picture: &Buffer) {
        match self.at {
            Some(at) if at == (x, y) => return,
            Some((from, row)) if row == y && from < x => {
                let between = (from..x).map(|column| &picture[(column, y)]);
                let is_plain = |cell: &Cell| matches!(cell.symbol().as_bytes(), [b' '..=b'~']) && self.look.shows(cell);
                if x - from <= WRITTEN_AGAIN && between.clone().all(is_plain) {
                    between.for_each(|cell| self.bytes.extend_from_slice(cell.symbol().as_bytes()));
                } else if x - from == 1 {
                    self.bytes.extend_from_slice(b"\x1b[C");
                } else {
                    let _ = write!(self.bytes, "\x1b[{}C", x - from);
                }
            }
            _ if x == 0 => _ = write!(self.bytes, "\x1b[{}H", y + 1),
            _ => _ = write!(self.bytes, "\x1b[{};{}H", y + 1, x + 1),
        }
        self.at = Some((x, y));
    }

    fn put(&mut self, cell: &Cell) {
        if !self.look.shows(cell) {
            self.take(Look::of(cell));
        }
        self.bytes.extend_from_slice(cell.symbol().as_bytes());
        self.at = self.at.map(|(x, y)| (x + columns(cell), y));
    }

    /// Changes the look by what differs, or from nothing where that is shorter.
    fn take(&mut self, look: Look) {
        if self.look == look {
            return;
        }
        let codes = if look == Look::PLAIN {
            String::new()
        } else {
            let (by_difference, anew) = (codes(self.look, look), format!("0;{}", codes(Look::PLAIN, look)));
            if by_difference.len() <= anew.len() { by_difference } else { anew }
        };
        let _ = write!(self.bytes, "\x1b[{codes}m");
        self.look = look;
    }
}

fn codes(from: Look, to: Look) -> String {
    let mut codes: Vec<String> = Vec::new();
    let mut on = from.modifier;
    for (modifier, _, off) in MODIFIERS {
        if on.contains(modifier) && !to.modifier.contains(modifier) {
            codes.push(off.to_string());
            // One code takes several off.
            on = MODIFIERS.iter().filter(|(_, _, other)| *other == off).fold(on, |on, (other, ..)| on - *other);
        }
    }
    let added = MODIFIERS.iter().filter(|(modifier, ..)| to.modifier.contains(*modifier) && !on.contains(*modifier));
    codes.extend(added.map(|(_, code, _)| code.to_string()));
    if from.colour != to.colour {
        codes.push(colour(to.colour, 30));
    }
    if from.background != to.background {
        codes.push(colour(to.background, 40));
    }
    codes.join(";")
}

/// The code of a colour; `base` is 30 for letters and 40 for what is behind them.
fn colour(colour: Color, base: u8) -> String {
    let basic = |number: u8| (base + number).to_string();
    let bright = |number: u8| (base + 60 + number).to_string();
    match colour {
        Color::Reset => basic(9),
        Color::Black => basic(0),
        Color::Red => basic(1),
        Color::Green => basic(2),
        Color::Yellow => basic(3),
        Color::Blue => basic(4),
        Color::Magenta => basic(5),
        Color::Cyan => basic(6),
        Color::Gray => basic(7),
        Color::DarkGray => bright(0),
        Color::LightRed => bright(1),
        Color::LightGreen => bright(2),
        Color::LightYellow => bright(3),
        Color::LightBlue => bright(4),
        Color::LightMagenta => bright(5),
        Color::LightCyan => bright(6),
        Color::White => bright(7),
        Color::Indexed(index) => format!("{};5;{index}", base + 8),
        Color::Rgb(red, green, blue) => format!("{};2;{red};{green};{blue}", base + 8),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
    use super::*;
    use proptest::prelude::*;
    use ratatui::layout::Rect;
    use ratatui::style::Style;
    use std::num::NonZeroU16;

    const SIZE: (u16, u16) = (24, 5);

    fn style() -> impl Strategy<Value = Style> {
        let colour = || {
            prop_oneof![
                4 => Just(Color::Reset),
                1 => Just(Color::LightCyan),
                1 => Just(Color::Red),
                1 => any::<u8>().prop_map(Color::Indexed),
                1 => any::<(u8, u8, u8)>().prop_map(|(red, green, blue)| Color::Rgb(red, green, blue)),
            ]
        };
        let modifier = prop::sample::subsequence(
            vec![Modifier::BOLD, Modifier::ITALIC, Modifier::UNDERLINED, Modifier::REVERSED],
            0..3,
        );
        (colour(), colour(), modifier).prop_map(|(colour, background, modifiers)| {
            let all = modifiers.into_iter().fold(Modifier::empty(), Modifier::union);
            Style::new().fg(colour).bg(background).add_modifier(all)
        })
    }

    /// Texts with wide letters and empty places in it, one over the other.
    fn picture() -> impl Strategy<Value = Buffer> {
        let text = prop::collection::vec((0..SIZE.0, 0..SIZE.1, "[a-c 日é─]{0,30}| {6,24}", style()), 0..9);
        text.prop_map(|texts| {
            let mut buffer = Buffer::empty(Rect::new(0, 0, SIZE.0, SIZE.1));
            for (x, y, text, style) in texts {
                buffer.set_stringn(x, y, text, usize::from(SIZE.0 - x), style);
            }
            buffer
        })
    }

    fn seen(colour: Color, base: u8) -> vt100::Color {
        match colour {
            Color::Reset => vt100::Color::Default,
            Color::Indexed(index) => vt100::Color::Idx(index),
            Color::Rgb(red, green, blue) => vt100::Color::Rgb(red, green, blue),
            other => {
                let code: u8 = super::colour(other, base).parse().unwrap();
                vt100::Color::Idx(if code >= base + 60 { code - base - 60 + 8 } else { code - base })
            }
        }
    }

    fn check(screen: &vt100::Screen, picture: &Buffer) {
        let mut covered = 0;
        for (index, cell) in picture.content.iter().enumerate() {
            let (x, y) = picture.pos_of(index);
            if x > 0 && covered > x {
                continue;
            }
            covered = x + u16::try_from(cell.symbol().width()).unwrap();
            let shown = screen.cell(y, x).unwrap();
            let (symbol, modifier) = (cell.symbol(), cell.modifier);
            let blank = symbol == " ";
            assert_eq!(if blank && shown.contents().is_empty() { " " } else { shown.contents() }, symbol, "{x} {y}");
            assert_eq!(shown.bgcolor(), seen(cell.bg, 40), "{x} {y}");
            assert_eq!(shown.underline(), modifier.contains(Modifier::UNDERLINED), "{x} {y}");
            assert_eq!(shown.inverse(), modifier.contains(Modifier::REVERSED), "{x} {y}");
            if !blank {
                assert_eq!(shown.fgcolor(), seen(cell.fg, 30), "{x} {y}");
                assert_eq!(shown.bold(), modifier.contains(Modifier::BOLD), "{x} {y}");
                assert_eq!(shown.italic(), modifier.contains(Modifier::ITALIC), "{x} {y}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_terminal_shows_the_picture(pictures in prop::collection::vec(picture(), 1..4)) {
            let one = |number| NonZeroU16::new(number).unwrap();
            let mut terminal = vt100::Parser::new(one(SIZE.1), one(SIZE.0), 0);
            let mut before = Buffer::empty(pictures[0].area);
            for picture in pictures {
                terminal.process(&difference(&before, &picture));
                check(terminal.screen(), &picture);
                prop_assert!(difference(&picture, &picture).is_empty());
                before = picture;
            }
        }
    }

    #[test]
    fn a_change_costs_what_changed() {
        let mut one = Buffer::empty(Rect::new(0, 0, 80, 24));
        one.set_string(3, 3, "09:40:07Z  12:40:07", Style::new());
        let mut other = one.clone();
        other.set_string(3, 3, "09:40:08Z  12:40:08", Style::new());
        assert_eq!(String::from_utf8(difference(&one, &other)).unwrap(), "\x1b[4;11H8\x1b[10C8");
        let mut none = one.clone();
        none.set_string(3, 3, " ".repeat(19), Style::new());
        assert_eq!(String::from_utf8(difference(&one, &none)).unwrap(), "\x1b[4;4H\x1b[K");
        let bold = Style::new().fg(Color::Indexed(75)).add_modifier(Modifier::BOLD);
        other.set_string(3, 3, "09", bold);
        other.set_string(5, 3, ":40", Style::new().fg(Color::Indexed(75)));
        other.set_string(8, 3, ":07Z  12:40:07", Style::new());
        assert_eq!(String::from_utf8(difference(&one, &other)).unwrap(), "\x1b[4;4H\x1b[1;38;5;75m09\x1b[22m:40\x1b[m");
    }
}
