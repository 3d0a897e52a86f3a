//! What was really sent to the terminal: the console's own sequences and letters, and nothing else.

/// Sequences that the console sends, but for those with numbers in them: modes by their names.
const FIXED: [&str; 13] = [
    "[?2026h", "[?2026l", "[?1049h", "[?1049l", "[?2004h", "[?2004l", "[?25h", "[?25l", "[22;0t", "[23;0t", "[2J",
    "[K", "[J",
];

/// Looks through all of it; the letters without sequences come back.
///
/// Allowed are: placing the cursor, blanks, colours and modifiers, the modes of `FIXED`; a title, a notification, a bell, and a
/// text for the clipboard, each of plain letters; line ends where the screen is not the console's.
pub(crate) fn own_sequences_only(bytes: &[u8]) -> String {
    let text = std::str::from_utf8(bytes).expect("what is sent is UTF-8");
    let (mut rest, mut letters, mut is_ours) = (text, String::new(), false);
    while let Some(letter) = rest.chars().next() {
        let at = text.len() - rest.len();
        let near = || text[..at].chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect::<String>();
        match letter {
            '\u{1b}' => {
                let sequence = sequence(&rest[1..])
                    .unwrap_or_else(|| panic!("at {at}: {:?} after {:?}", &rest[..40.min(rest.len())], near()));
                match sequence {
                    "[?1049h" => is_ours = true,
                    "[?1049l" => is_ours = false,
                    _ => {}
                }
                rest = &rest[1 + sequence.len()..];
                continue;
            }
            '\u{7}' => {}
            '\r' | '\n' if !is_ours => letters.push(letter),
            hidden if is_hidden(hidden) => panic!("{hidden:?} was sent at {at}, after {:?}", near()),
            shown => letters.push(shown),
        }
        rest = &rest[letter.len_utf8()..];
    }
    letters
}

/// Letters that a terminal would obey, or that nobody sees.
pub(crate) fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || "\u{200b}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{2028}\u{2029}".contains(letter)
}

/// The sequence behind an escape that begins `rest`, where it is one of the console's own.
fn sequence(rest: &str) -> Option<&str> {
    if let Some(fixed) = FIXED.iter().find(|fixed| rest.starts_with(**fixed)) {
        return Some(&rest[..fixed.len()]);
    }
    if let Some(numbers) = rest.strip_prefix('[') {
        let end = numbers.find(|letter: char| !letter.is_ascii_digit() && letter != ';')?;
        return matches!(&numbers[end..=end], "H" | "C" | "X" | "m").then(|| &rest[..end + 2]);
    }
    let told = rest.strip_prefix(']')?;
    let (whole, _) = told.split_once('\u{7}')?;
    let is_plain = |text: &str| !text.chars().any(is_hidden);
    let is_known = match whole.split_once(';')? {
        ("2", title) => title.starts_with("lifeboat") && is_plain(title),
        ("9", notification) => notification.starts_with("run ") && is_plain(notification),
        ("52", copied) => {
            copied.strip_prefix("c;")?.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
        }
        _ => false,
    };
    is_known.then(|| &rest[..whole.len() + 2])
}

#[test]
fn it_finds_what_is_not_the_consoles() {
    let own = "\u{1b}[22;0t\u{1b}[?1049h\u{1b}[?2026h\u{1b}[3;7H\u{1b}[38;2;1;2;3mhé\u{1b}[0m\u{1b}[?2026l\u{1b}]2;lifeboat: run X\u{7}\u{1b}]52;c;YQ==\u{7}\u{1b}[?1049l\r\n";
    assert_eq!(own_sequences_only(own.as_bytes()), "hé\r\n");
    for foreign in [
        "\u{1b}[6n",
        "\u{1b}c",
        "\u{1b}]0;owned\u{7}",
        "\u{1b}]2;owned\u{7}",
        "\u{1b}]2;lifeboat \u{9b}31m\u{7}",
        "\u{9b}31m",
        "a\u{8}",
        "\u{1b}[?1049ha\r",
        "\u{202e}",
        "\u{1b}[5A",
        "\u{1b}P+q544e\u{1b}\\",
        "\u{1b}]52;c;?\u{7}",
        "a\tb",
        "\u{e}",
    ] {
        let found = std::panic::catch_unwind(|| own_sequences_only(foreign.as_bytes()));
        assert!(found.is_err(), "{foreign:?} was let pass");
    }
}
