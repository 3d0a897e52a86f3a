//! Colours by what they mean, read from `themes/`, brought down to what the terminal has.

use ratatui::style::{Color, Modifier, Style};
use serde::Deserialize;

/// The shipped themes.
const SHIPPED: [&str; 4] = [
    include_str!("../../themes/dark.toml"),
    include_str!("../../themes/light.toml"),
    include_str!("../../themes/high-contrast.toml"),
    include_str!("../../themes/mono.toml"),
];

/// What a piece of text is, as far as its looks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What is to be read.
    Text,
    /// What is there for whoever looks for it.
    Faint,
    /// A heading.
    Title,
    /// The one accent.
    Accent,
    /// The row under the cursor.
    Selected,
    /// As it should be; a word or mark beside it says so.
    Good,
    /// To be looked at.
    Warning,
    /// Not as it should be.
    Bad,
    /// Lines between panels.
    Border,
    /// A key to press.
    Key,
}

impl Role {
    /// All of them, in their order.
    pub const ALL: [Role; 10] = [
        Role::Text,
        Role::Faint,
        Role::Title,
        Role::Accent,
        Role::Selected,
        Role::Good,
        Role::Warning,
        Role::Bad,
        Role::Border,
        Role::Key,
    ];
}

/// How many colours the terminal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// None, or the person wants none.
    None,
    /// The sixteen.
    Sixteen,
    /// The palette of 256.
    Palette,
    /// Any.
    True,
}

impl Depth {
    /// By `NO_COLOR` (<https://no-color.org>), `COLORTERM` and `TERM`.
    #[must_use]
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Depth {
        let term = variable("TERM").unwrap_or_default();
        let many = variable("COLORTERM").is_some_and(|value| matches!(value.as_str(), "truecolor" | "24bit"));
        match term.as_str() {
            _ if variable("NO_COLOR").is_some_and(|value| !value.is_empty()) => Depth::None,
            "dumb" | "vt100" | "vt102" | "vt220" => Depth::None,
            _ if many || term.ends_with("-direct") => Depth::True,
            _ if term.contains("256color") || matches!(term.as_str(), "alacritty" | "foot" | "xterm-kitty") => {
                Depth::Palette
            }
            _ => Depth::Sixteen,
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Paint {
    colour: Option<Hue>,
    basic: Option<Hue>,
    background: Option<Hue>,
    basic_background: Option<Hue>,
    bold: bool,
    underlined: bool,
    reversed: bool,
}

/// `#rrggbb`, or the name of one of the sixteen.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Hue(Color);

impl TryFrom<String> for Hue {
    type Error = String;
    fn try_from(text: String) -> Result<Hue, String> {
        text.parse().map(Hue).map_err(|_| format!("'{text}' is no colour: write #rrggbb or a name such as lightblue"))
    }
}

/// A theme as it stands in its file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    text: Paint,
    faint: Paint,
    title: Paint,
    accent: Paint,
    selected: Paint,
    good: Paint,
    warning: Paint,
    bad: Paint,
    border: Paint,
    key: Paint,
}

/// A theme for a terminal, its looks worked out: they are asked for with every piece of text that is drawn.
#[derive(Debug, Clone)]
pub struct Theme {
    name: String,
    depth: Depth,
    /// In the order of [`Role::ALL`].
    styles: [Style; Role::ALL.len()],
}

impl Theme {
    /// The names of the themes, in the order in which they are gone through.
    #[must_use]
    pub fn names() -> Vec<String> {
        SHIPPED.iter().filter_map(|text| parse(text).ok()).map(|file| file.name).collect()
    }

    /// The theme of this name, or the first; without colours always *mono*.
    #[must_use]
    pub fn named(name: &str, depth: Depth) -> Theme {
        let name = if depth == Depth::None { "mono" } else { name };
        let mut files = SHIPPED.iter().filter_map(|text| parse(text).ok());
        let first = files.next();
        let file = first.iter().cloned().chain(files).find(|file| file.name == name).or(first);
        let file = file.unwrap_or_else(File::plain);
        Theme { styles: Role::ALL.map(|role| file.paint(role).style(depth)), name: file.name, depth }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same name with other colours to use.
    #[must_use]
    pub fn depth(&self) -> Depth {
        self.depth
    }

    /// How a piece of text looks.
    #[must_use]
    pub fn style(&self, role: Role) -> Style {
        self.styles[role as usize]
    }
}

impl Paint {
    fn style(&self, depth: Depth) -> Style {
        let mut style = Style::new();
        if let Some(colour) = fitting(self.colour, self.basic, depth) {
            style = style.fg(colour);
        }
        if let Some(colour) = fitting(self.background, self.basic_background, depth) {
            style = style.bg(colour);
        }
        for (on, modifier) in
            [(self.bold, Modifier::BOLD), (self.underlined, Modifier::UNDERLINED), (self.reversed, Modifier::REVERSED)]
        {
            if on {
                style = style.add_modifier(modifier);
            }
        }
        style
    }
}

fn fitting(full: Option<Hue>, basic: Option<Hue>, depth: Depth) -> Option<Color> {
    let (full, basic) = (full.map(|hue| hue.0), basic.map(|hue| hue.0));
    match depth {
        Depth::None => None,
        Depth::Sixteen => basic,
        Depth::Palette => full.map(nearest),
        Depth::True => full,
    }
}

impl File {
    fn paint(&self, role: Role) -> &Paint {
        match role {
            Role::Text => &self.text,
            Role::Faint => &self.faint,
            Role::Title => &self.title,
            Role::Accent => &self.accent,
            Role::Selected => &self.selected,
            Role::Good => &self.good,
            Role::Warning => &self.warning,
            Role::Bad => &self.bad,
            Role::Border => &self.border,
            Role::Key => &self.key,
        }
    }

    /// Nothing but the terminal's own.
    fn plain() -> File {
        let none = Paint::default;
        File {
            name: "plain".to_owned(),
            text: none(),
            faint: none(),
            title: none(),
            accent: none(),
            selected: Paint { reversed: true, ..none() },
            good: none(),
            warning: none(),
            bad: none(),
            border: none(),
            key: none(),
        }
    }
}

fn parse(text: &str) -> Result<File, toml::de::Error> {
    toml::from_str(text)
}

/// The nearest colour of the palette's cube of 6 by 6 by 6 or of its 24 greys (xterm's values).
fn nearest(colour: Color) -> Color {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let Color::Rgb(red, green, blue) = colour else { return colour };
    let distance = |(r, g, b): (u8, u8, u8)| {
        [(r, red), (g, green), (b, blue)].iter().map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum::<u32>()
    };
    let cube = (0..216u8).map(|index| {
        let step = |place: u8| STEPS[usize::from(index / place % 6)];
        (16 + index, distance((step(36), step(6), step(1))))
    });
    let greys = (0..24u8).map(|index| (232 + index, distance((8 + index * 10, 8 + index * 10, 8 + index * 10))));
    cube.chain(greys).min_by_key(|(_, distance)| *distance).map_or(colour, |(index, _)| Color::Indexed(index))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_shipped_theme_is_read_and_named() {
        for text in SHIPPED {
            parse(text).unwrap();
        }
        assert_eq!(Theme::names(), crate::settings::THEMES);
        assert!(Role::ALL.iter().enumerate().all(|(place, role)| *role as usize == place));
        assert_eq!(Theme::named("light", Depth::True).name(), "light");
        assert_eq!(Theme::named("no such", Depth::True).name(), "dark");
        assert_eq!(Theme::named("light", Depth::None).name(), "mono");
    }

    #[test]
    fn an_unknown_word_in_a_theme_is_a_mistake() {
        let wrong = SHIPPED[0].replace("bold = true", "bolt = true");
        assert!(parse(&wrong).unwrap_err().to_string().contains("bolt"));
        assert!(parse(&format!("{}\nhue = {{}}", SHIPPED[0])).is_err());
    }

    #[test]
    fn colours_come_down_to_what_there_is() {
        let of = |depth| Theme::named("dark", depth).style(Role::Accent).fg;
        assert_eq!(of(Depth::True), Some(Color::Rgb(0x6c, 0xb6, 0xff)));
        assert_eq!(of(Depth::Palette), Some(Color::Indexed(75)));
        assert_eq!(of(Depth::Sixteen), Some(Color::LightCyan));
        assert_eq!(of(Depth::None), None);
        assert_eq!(nearest(Color::Rgb(255, 255, 255)), Color::Indexed(231));
        assert_eq!(nearest(Color::Rgb(8, 8, 8)), Color::Indexed(232));
    }

    #[test]
    fn without_colour_nothing_has_one_and_the_cursor_is_still_seen() {
        let theme = Theme::named("dark", Depth::None);
        for role in [Role::Text, Role::Accent, Role::Selected, Role::Good, Role::Warning, Role::Bad, Role::Key] {
            let style = theme.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
        assert!(theme.style(Role::Selected).add_modifier.contains(Modifier::REVERSED));
    }

    #[test]
    fn the_terminal_tells_its_colours() {
        let of = |pairs: &[(&str, &str)]| {
            Depth::detect(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
        };
        assert_eq!(of(&[("TERM", "xterm-256color")]), Depth::Palette);
        assert_eq!(of(&[("TERM", "xterm"), ("COLORTERM", "truecolor")]), Depth::True);
        assert_eq!(of(&[("TERM", "linux")]), Depth::Sixteen);
        assert_eq!(of(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]), Depth::None);
        assert_eq!(of(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]), Depth::Palette);
        assert_eq!(of(&[("TERM", "vt100")]), Depth::None);
    }
}
