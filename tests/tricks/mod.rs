//! What texts from outside may try with a terminal.

/// Each as a database takes it too: without a NUL.
pub(crate) const TRICKS: [&str; 18] = [
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}]0;owned\u{7}",
    "\u{1b}]52;c;cm0gLXJm\u{7}",
    "\u{1b}]8;;http://x/\u{1b}\\link",
    "\u{1b}P+q544e\u{1b}\\",
    "\u{1b}[6n",
    "\u{1b}c",
    "\u{1b}[?1049l",
    "\u{1b}[?2026l",
    "\u{9b}31mred",
    "\u{9d}0;owned\u{9c}",
    "safe\rrm -rf /",
    "\u{8}\u{8}\u{8}gone",
    "\u{202e}gnp.exe",
    "zero\u{200b}width\u{feff}",
    "\u{7}\u{7}",
    "\u{e}\u{f}shift",
    "a\u{85}b\u{2028}c",
];
