//! The terminal: taken for the console, given back however the program ends or stops, and what is written to it.
//!
//! What is written is bytes made from two pictures of the screen, old and new: nothing is sent when nothing changed,
//! and what is sent goes in one write between the brackets of a synchronised update (mode 2026).

mod bytes;

pub use bytes::difference;

use crate::ui::event::Event;
use crate::ui::recorder;
use crate::ui::theme::Depth;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::terminal::{self, EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::crossterm::{cursor, queue};
use ratatui::layout::Rect;
use rustix::process::Signal;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::signal::unix::{SignalKind, signal};

/// Brackets of a synchronised update: the terminal shows all of it or nothing.
const SYNC: (&[u8], &[u8]) = (b"\x1b[?2026h", b"\x1b[?2026l");
/// Less than this arrives in one piece without them, in bytes.
const SMALL: usize = 64;
/// The window's title is put aside and brought back (XTWINOPS 22 and 23; terminals without them pass over it).
const TITLE: (&[u8], &[u8]) = (b"\x1b[22;0t", b"\x1b[23;0t");

/// What is to be undone, and whether the terminal is still ours. Held while bytes are written and while it is given
/// back: a signal's farewell never lands inside a frame, and nothing is written after it.
static TAKEN: Mutex<Option<bool>> = Mutex::new(None);

fn taken() -> MutexGuard<'static, Option<bool>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Terminals whose own title and notifications can't be had.
fn has_titles() -> bool {
    let term = std::env::var("TERM").unwrap_or_default();
    !matches!(term.as_str(), "" | "linux" | "dumb" | "vt100" | "vt102" | "vt220")
}

/// The terminal while it is the console's. Dropping it gives it back, on a panic too.
#[derive(Debug)]
pub struct Screen {
    shown: Buffer,
    is_known: bool,
}

impl Screen {
    /// Takes the terminal.
    ///
    /// # Errors
    /// When standard input or output is none, or it refuses.
    pub fn take() -> io::Result<Screen> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(io::Error::other(
                "the console needs a terminal for its keys and its screen; without one use the subcommands: lifeboat --help",
            ));
        }
        let (before, owner) = (std::panic::take_hook(), std::thread::current().id());
        std::panic::set_hook(Box::new(move |info| {
            // That of another thread is an answer that does not come (`worker`): the console goes on.
            if std::thread::current().id() == owner {
                give_back();
                before(info);
            }
        }));
        enter()?;
        Ok(Screen { shown: Buffer::empty(Rect::ZERO), is_known: false })
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// When the terminal does not tell.
    pub fn size() -> io::Result<(u16, u16)> {
        terminal::size()
    }

    /// The next picture is drawn whole.
    pub fn forget(&mut self) {
        self.is_known = false;
    }

    /// Shows a picture; what it needs goes out in one write. How many bytes that was.
    ///
    /// # Errors
    /// When the terminal can't be written.
    pub fn show(&mut self, picture: Buffer) -> io::Result<usize> {
        let bytes = if self.is_known && self.shown.area == picture.area {
            difference(&self.shown, &picture)
        } else {
            let mut bytes = b"\x1b[0m\x1b[2J".to_vec();
            bytes.extend(difference(&Buffer::empty(picture.area), &picture));
            bytes
        };
        recorder::resized((picture.area.width, picture.area.height));
        self.shown = picture;
        self.is_known = true;
        if bytes.is_empty() {
            return Ok(0);
        }
        let frame = if bytes.len() < SMALL { bytes } else { [SYNC.0, &bytes, SYNC.1].concat() };
        send(&frame)?;
        Ok(frame.len())
    }

    /// Gives the terminal back and stops this process until it is brought to the foreground again.
    ///
    /// # Errors
    /// When the terminal can't be taken again.
    pub fn suspend(&mut self) -> io::Result<()> {
        give_back();
        rustix::process::kill_process(rustix::process::getpid(), Signal::STOP)?;
        self.again()
    }

    /// Gives the terminal to somebody for as long as `work` takes.
    ///
    /// # Errors
    /// When the terminal can't be taken again.
    pub fn lend<T>(&mut self, work: impl FnOnce() -> T) -> io::Result<T> {
        give_back();
        let done = work();
        self.again()?;
        Ok(done)
    }

    fn again(&mut self) -> io::Result<()> {
        enter()?;
        self.forget();
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Writes bytes, unless the terminal was given back.
fn send(bytes: &[u8]) -> io::Result<()> {
    send_and_record(bytes, bytes)
}

/// The same, where a recording is to hold something else: whoever plays it back keeps their clipboard.
fn send_and_record(bytes: &[u8], recorded: &[u8]) -> io::Result<()> {
    let held = taken();
    if held.is_none() {
        return Ok(());
    }
    write(bytes)?;
    recorder::sent(recorded);
    Ok(())
}

fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn enter() -> io::Result<()> {
    let mut held = taken();
    terminal::enable_raw_mode()?;
    let has_titles = has_titles();
    *held = Some(has_titles);
    let mut bytes = if has_titles { TITLE.0.to_vec() } else { Vec::new() };
    queue!(bytes, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    write(&bytes)?;
    recorder::sent(&bytes);
    Ok(())
}

/// The terminal as it was; once.
pub fn give_back() {
    restore(&mut taken());
}

fn restore(held: &mut Option<bool>) {
    let Some(has_titles) = held.take() else { return };
    let mut bytes = SYNC.1.to_vec();
    // Into memory: that can't fail.
    let _ = queue!(bytes, DisableBracketedPaste, cursor::Show, LeaveAlternateScreen);
    if has_titles {
        bytes.extend(TITLE.1);
    }
    // Nothing more can be done for a terminal that is gone.
    let _ = write(&bytes);
    recorder::sent(&bytes);
    let _ = terminal::disable_raw_mode();
}

/// Rings, and notifies where the terminal can (OSC 9). The text is cleaned.
///
/// # Errors
/// When the terminal can't be written.
pub fn notify(text: &str) -> io::Result<()> {
    let text = crate::domain::text::clean(text);
    let told = if has_titles() { format!("\x1b]9;{text}\x07\x07") } else { "\x07".to_owned() };
    send_and_record(told.as_bytes(), b"\x07")
}

/// The window's title. The text is cleaned.
///
/// # Errors
/// When the terminal can't be written.
pub fn title(text: &str) -> io::Result<()> {
    let text = crate::domain::text::clean(text);
    if has_titles() { send(format!("\x1b]2;{text}\x07").as_bytes()) } else { Ok(()) }
}

/// Puts a text into the clipboard of the terminal (OSC 52): that of the person's own machine, through SSH too.
///
/// # Errors
/// When the terminal can't be written.
pub fn copy(text: &str) -> io::Result<()> {
    send_and_record(format!("\x1b]52;c;{}\x07", base64(text.as_bytes())).as_bytes(), b"")
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let whole = three.iter().fold(0u32, |whole, byte| whole << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let index = (whole >> (18 - 6 * place) & 63) as usize;
            out.push(if place <= three.len() { char::from(LETTERS[index]) } else { '=' });
        }
    }
    out
}

/// How many colours this terminal has.
#[must_use]
pub fn depth() -> Depth {
    Depth::detect(|name| std::env::var(name).ok())
}

/// Hears signals from now on: TERM, HUP, INT and QUIT give the terminal back and end the program (the exit status is the
/// shell's for that signal), a resize and a stop go to the inbox.
///
/// # Errors
/// When the operating system refuses to tell signals.
pub fn watch_signals(farewell: String, inbox: impl Fn(Event) + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut hup, mut int, mut term, mut quit, mut winch, mut stop) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::hangup())?,
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::quit())?,
            signal(SignalKind::window_change())?,
            signal(SignalKind::from_raw(Signal::TSTP.as_raw()))?,
        )
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let number = runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = hup.recv() => return Signal::HUP,
                    _ = int.recv() => return Signal::INT,
                    _ = term.recv() => return Signal::TERM,
                    _ = quit.recv() => return Signal::QUIT,
                    _ = winch.recv() => {
                        if let Ok((columns, rows)) = terminal::size() {
                            inbox(Event::Resize(columns, rows));
                        }
                    }
                    _ = stop.recv() => inbox(Event::Stop),
                }
            }
        });
        let mut held = taken();
        restore(&mut held);
        // Who closed the terminal does not hear it.
        let _ = writeln!(io::stderr(), "{farewell}");
        recorder::sent(format!("{}\r\n", farewell.replace('\n', "\r\n")).as_bytes());
        std::process::exit(128 + number.as_raw());
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::{Color, Style};

    #[test]
    fn base64_is_as_it_is_written_down() {
        for (text, coded) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy"), ("a\u{fc}?", "YcO8Pw==")]
        {
            assert_eq!(base64(text.as_bytes()), coded, "{text}");
        }
    }

    #[test]
    fn the_same_picture_costs_nothing_and_a_letter_little() {
        let mut one = Buffer::empty(Rect::new(0, 0, 80, 24));
        one.set_string(3, 3, "lifeboat", Style::new().fg(Color::Red));
        let mut other = one.clone();
        assert!(difference(&one, &other).is_empty());
        other.set_string(3, 3, "L", Style::new());
        assert!((1..60).contains(&difference(&one, &other).len()));
    }
}
