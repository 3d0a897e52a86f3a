//! However the console ends, the terminal is as it was.

use crate::console::{assert_left, open};
use crate::lab;
use crate::terminal::Terminal;
use lifeboat::ui::terminal::Screen;
use portable_pty::CommandBuilder;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use rustix::process::Signal;

/// Set for this very program where it is what runs in the terminal.
const INSIDE: &str = "LIFEBOAT_TEST_INSIDE";

fn picture(text: &str) -> Buffer {
    let mut picture = Buffer::empty(Rect::new(0, 0, 80, 24));
    picture.set_string(3, 3, text, Style::new());
    picture
}

/// Takes the terminal, goes on after a thread of its own has panicked, and panics.
fn panic_in_the_terminal() -> ! {
    let mut screen = Screen::take().unwrap();
    screen.show(picture("the console is open")).unwrap();
    let thrown = std::thread::spawn(|| panic!("thrown aside")).join();
    assert!(thrown.is_err());
    screen.show(picture("the console goes on")).unwrap();
    panic!("thrown here");
}

#[test]
fn a_panic_gives_the_terminal_back_and_that_of_another_thread_leaves_it() {
    if std::env::var_os(INSIDE).is_some() {
        panic_in_the_terminal();
    }
    let mut command = CommandBuilder::new(std::env::current_exe().unwrap());
    let name = "console_ends::a_panic_gives_the_terminal_back_and_that_of_another_thread_leaves_it";
    command.args(["--exact", name, "--nocapture"]);
    command.env("TERM", "xterm-256color");
    command.env(INSIDE, "1");
    let mut terminal = Terminal::of(command, 80);
    assert_ne!(terminal.wait_end(), 0);
    terminal.assert_restored();
    let bytes = terminal.bytes();
    let text = String::from_utf8_lossy(&bytes);
    let at = |wanted: &str| text.find(wanted).unwrap_or_else(|| panic!("{wanted:?} was not sent: {text:?}"));
    assert_eq!(text.matches("\u{1b}[?1049h").count(), 1);
    let order =
        ["\u{1b}[?1049h", "console is open", "goes o", "\u{1b}[?2026l\u{1b}[?2004l", "\u{1b}[?1049l", "thrown here"];
    let places: Vec<usize> = order.iter().map(|wanted| at(wanted)).collect();
    assert!(places.is_sorted(), "{places:?}: {text:?}");
    assert!(text.rfind("\u{1b}[?25h") > text.rfind("\u{1b}[?25l") && !text.contains("thrown aside"), "{text:?}");
}

#[test]
fn it_is_stopped_by_the_signal_as_by_its_key() {
    let lab = lab::copy();
    let mut terminal = open(&lab);
    terminal.signal(Signal::TSTP);
    lab::wait_until("the terminal is given back", || {
        String::from_utf8_lossy(&terminal.bytes()).matches("\u{1b}[?1049l").count() == 1
    });
    terminal.assert_restored();
    assert_left(&terminal);
    terminal.signal(Signal::CONT);
    lab::wait_until("the terminal is taken again", || {
        String::from_utf8_lossy(&terminal.bytes()).matches("\u{1b}[?1049h").count() == 2
    });
    // What ends it then gives the terminal back as well.
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.wait_end(), 143);
    terminal.assert_restored();
    assert_left(&terminal);
}
