//! The terminal in front of which a person sits: raw mode that is left however the program ends, signals included, and
//! what it can show.

use super::Context;
use crate::engine::identity;
use crate::report::ascii;
use crate::report::width::Width;
use anyhow::Context as _;
use ratatui::crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use ratatui::crossterm::{execute, terminal};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The width where standard output is no terminal, or does not tell.
const USUAL_COLUMNS: usize = 80;

/// Whether the terminal is raw because of this program. Held while that changes, and by a signal's farewell for good:
/// nothing makes the terminal raw again after it.
static RAW: Mutex<bool> = Mutex::new(false);

fn raw() -> MutexGuard<'static, bool> {
    RAW.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A raw terminal with bracketed paste, until it is dropped: on a panic, too.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Makes the terminal raw.
    ///
    /// # Errors
    /// When it refuses.
    pub fn enter() -> io::Result<Raw> {
        let mut held = raw();
        terminal::enable_raw_mode()?;
        *held = true;
        drop(held);
        let raw = Raw(());
        execute!(io::stdout(), EnableBracketedPaste)?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore(&mut raw());
    }
}

fn restore(raw: &mut bool) {
    if std::mem::take(raw) {
        // Nothing more can be done for a terminal that is gone.
        let _ = execute!(io::stdout(), DisableBracketedPaste);
        let _ = terminal::disable_raw_mode();
    }
}

/// Whether signals are waited for.
static WATCHED: Once = Once::new();

/// Whether [`watch_signals`] was called: it ends the program then.
pub(super) fn is_watched() -> bool {
    WATCHED.is_completed()
}

/// From now on a signal that ends the program restores the terminal first and says `farewell`. The exit status is the
/// shell's for that signal: 128 and its number.
///
/// # Errors
/// When the operating system refuses to tell signals.
pub fn watch_signals(farewell: String) -> anyhow::Result<()> {
    let mut result = Ok(());
    WATCHED.call_once(|| result = watch(farewell));
    result
}

fn watch(farewell: String) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().context("waiting for signals")?;
    let ignored = ignored_signals();
    let wanted = |kind: SignalKind| -> io::Result<Option<Signal>> {
        // Started under nohup, or in the background: that stays so.
        let number = kind.as_raw_value();
        if ignored >> (number - 1) & 1 == 1 { Ok(None) } else { signal(kind).map(Some) }
    };
    let kinds = [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::terminate(), SignalKind::quit()];
    let [mut hup, mut int, mut term, mut quit] = {
        let _inside = runtime.enter();
        [wanted(kinds[0])?, wanted(kinds[1])?, wanted(kinds[2])?, wanted(kinds[3])?]
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let number = runtime.block_on(async {
            tokio::select! {
                () = heard(hup.as_mut()) => kinds[0].as_raw_value(),
                () = heard(int.as_mut()) => kinds[1].as_raw_value(),
                () = heard(term.as_mut()) => kinds[2].as_raw_value(),
                () = heard(quit.as_mut()) => kinds[3].as_raw_value(),
            }
        });
        let mut held = raw();
        restore(&mut held);
        // Who closed the terminal does not hear it.
        let _ = writeln!(io::stderr(), "\n{farewell}");
        std::process::exit(128 + number);
    })?;
    Ok(())
}

async fn heard(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => {
            signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

/// The mask of ignored signals, as the kernel tells it; none where it does not.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// The columns of the terminal on standard output.
#[must_use]
pub fn columns() -> usize {
    let out = io::stdout();
    let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(USUAL_COLUMNS)
}

/// How wide lines may be. Asked anew for each text: the terminal may have been resized.
#[must_use]
pub fn width() -> Width {
    Width::of_terminal(columns())
}

/// What the terminal or the log can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letters {
    /// All of Unicode.
    Unicode,
    /// ASCII only.
    Ascii,
}

impl Letters {
    /// By `--ascii`, the locale and the kind of terminal.
    #[must_use]
    pub fn of(context: &Context) -> Letters {
        Letters::by(context.globals.ascii)
    }

    /// The same where there is no context yet.
    #[must_use]
    pub fn by(ascii: bool) -> Letters {
        let term = std::env::var("TERM").unwrap_or_default();
        if ascii || !shows_unicode(&identity::terminal_locale(), &term) { Letters::Ascii } else { Letters::Unicode }
    }

    /// Writes a text to standard output as it can be shown.
    ///
    /// # Errors
    /// When standard output can't be written.
    pub fn print(self, text: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        match self {
            Letters::Unicode => out.write_all(text)?,
            Letters::Ascii => out.write_all(ascii::fold(&String::from_utf8_lossy(text)).as_bytes())?,
        }
        out.flush()
    }

    /// Nothing but ASCII can be shown.
    #[must_use]
    pub fn is_ascii(self) -> bool {
        self == Letters::Ascii
    }

    /// The text as it can be shown.
    #[must_use]
    pub fn show(self, text: &str) -> String {
        match self {
            Letters::Unicode => text.to_owned(),
            Letters::Ascii => ascii::fold(text),
        }
    }
}

/// A locale that names UTF-8, on anything but the kernel's own console, whose font has few symbols.
fn shows_unicode(locale: &str, term: &str) -> bool {
    let locale = locale.to_ascii_lowercase();
    (locale.ends_with("utf-8") || locale.ends_with("utf8")) && !matches!(term, "linux" | "dumb" | "vt100" | "vt220")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unicode_needs_a_locale_and_a_terminal_that_have_it() {
        assert!(shows_unicode("de_DE.UTF-8", "xterm-256color") && shows_unicode("C.utf8", ""));
        for (locale, term) in [("", "xterm"), ("C", "xterm"), ("de_DE.ISO-8859-1", "xterm"), ("C.UTF-8", "linux")] {
            assert!(!shows_unicode(locale, term), "{locale} {term}");
        }
    }
}
