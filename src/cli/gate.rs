//! Gates on a terminal: a typed answer, and nothing else, approves.
//!
//! Raw mode, so that every key is seen as one; bracketed paste, so that a paste is seen as one; the input queue is
//! emptied when the gate opens, so that keys typed for something else are gone. Esc leaves the gate waiting.

use super::terminal::{self, Letters, Raw};
use crate::planning::typing::{QUIET, Remark, Typing};
use anyhow::Context as _;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind};
use ratatui::crossterm::event::{KeyEvent, KeyModifiers};
use ratatui::crossterm::terminal::{Clear, ClearType};
use ratatui::crossterm::{cursor, queue, style};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::{self, Write};
use std::time::{Duration, Instant};
use unicode_width::UnicodeWidthStr as _;

/// How often the run is looked at while the person thinks: somebody else may answer.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// A key that is stuck does not keep the gate from being asked for ever.
const QUIET_AT_MOST: Duration = Duration::from_secs(10);

/// What a person did at a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// Typed this and pressed Enter.
    Answer(String),
    /// Left it waiting.
    Left,
    /// It does not wait any more: somebody else answered, or the run ended.
    Gone,
}

/// What the keys so far make of the answer: pure, so that every way of not approving can be tested.
#[derive(Debug, Default)]
pub struct Line {
    typing: Typing,
    /// The beginning from which the keys' times count.
    began: Option<Instant>,
}

impl Line {
    /// Takes in one event at `now`; `Some` when the person is done. Events that were there at once have the same
    /// `now`, however long it takes to go through them.
    pub fn take(&mut self, event: &Event, now: Instant) -> Option<Typed> {
        match event {
            Event::Paste(_) => {
                self.typing.clear(Remark::Pasted);
                None
            }
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key, now),
            _ => None,
        }
    }

    /// What is said to the person about the last key.
    #[must_use]
    pub fn remark(&self) -> Option<Remark> {
        self.typing.remark
    }

    fn key(&mut self, key: KeyEvent, now: Instant) -> Option<Typed> {
        let at = now.duration_since(*self.began.get_or_insert(now));
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if key.code != KeyCode::Enter {
            self.typing.remark = None;
        }
        match key.code {
            KeyCode::Esc => return Some(Typed::Left),
            KeyCode::Char('c' | 'd') if control => return Some(Typed::Left),
            KeyCode::Char('u') if control => self.typing.clear(Remark::Cleared),
            KeyCode::Char(_) if control || key.modifiers.contains(KeyModifiers::ALT) => {}
            KeyCode::Char(character) => self.typing.push(character, at),
            KeyCode::Backspace => self.typing.pop(),
            KeyCode::Enter => return self.typing.enter(at).map(Typed::Answer),
            _ => {}
        }
        None
    }
}

/// Asks for the answer. `still_waiting` is asked now and then whether there is still something to answer.
///
/// # Errors
/// When the terminal can't be read or written, or `still_waiting` fails.
pub fn ask(
    prompt: &str,
    letters: Letters,
    mut still_waiting: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<Typed> {
    let _raw = Raw::enter()?;
    let mut line = Line::default();
    if drop_what_was_typed()? {
        line.typing.remark = Some(Remark::TypedBefore);
    }
    draw(prompt, &line, letters)?;
    let typed = loop {
        if !is_key_there(LOOK_EVERY)? {
            if still_waiting()? {
                continue;
            }
            break Typed::Gone;
        }
        let now = Instant::now();
        let mut done = None;
        while done.is_none() && event::poll(Duration::ZERO)? {
            done = line.take(&event::read()?, now);
        }
        if let Some(typed) = done {
            break typed;
        }
        draw(prompt, &line, letters)?;
    };
    let mut out = io::stdout().lock();
    queue!(out, Clear(ClearType::FromCursorDown), style::Print("\r\n"))?;
    out.flush()?;
    Ok(typed)
}

/// Empties the input until nobody types any more; whether something was there.
fn drop_what_was_typed() -> anyhow::Result<bool> {
    let mut any = rustix::io::ioctl_fionread(io::stdin())? > 0;
    rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush)?;
    let begun = Instant::now();
    while begun.elapsed() < QUIET_AT_MOST && is_key_there(QUIET)? {
        while event::poll(Duration::ZERO)? {
            any |= matches!(event::read()?, Event::Key(_) | Event::Paste(_));
        }
    }
    Ok(any)
}

/// Waits for input. crossterm would go round for ever on a terminal that has gone, so it is looked at before.
fn is_key_there(limit: Duration) -> anyhow::Result<bool> {
    if event::poll(Duration::ZERO)? {
        return Ok(true);
    }
    let stdin = io::stdin();
    let mut wanted = [PollFd::new(&stdin, PollFlags::IN)];
    let limit = Timespec::try_from(limit).context("waiting for a key")?;
    match rustix::event::poll(&mut wanted, Some(&limit)) {
        // The terminal was resized, or the program was stopped and goes on.
        Err(rustix::io::Errno::INTR) | Ok(0) => Ok(false),
        Err(error) => Err(error).context("waiting for a key"),
        Ok(_) => {
            let gone = wanted[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
            anyhow::ensure!(!gone, "the terminal has gone; the gate waits on");
            Ok(true)
        }
    }
}

/// The prompt, and below it what there is to say about the last key.
fn draw(prompt: &str, line: &Line, letters: Letters) -> io::Result<()> {
    let room = terminal::columns().saturating_sub(prompt.width() + 2);
    let shown = letters.show(&crate::domain::text::clean(line.typing.text()));
    let skipped = shown.chars().count().saturating_sub(room);
    let shown: String = shown.chars().skip(skipped).collect();
    let text = format!("{prompt}{shown}");
    let column = u16::try_from(text.width()).unwrap_or(u16::MAX);
    let mut out = io::stdout().lock();
    queue!(out, cursor::MoveToColumn(0), Clear(ClearType::FromCursorDown), style::Print(&text))?;
    if let Some(remark) = line.remark() {
        let remark: String = format!("   ({})", remark.words()).chars().take(terminal::columns() - 1).collect();
        queue!(out, style::Print(format!("\r\n{remark}")), cursor::MoveUp(1), cursor::MoveToColumn(column))?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode) -> Event {
        Event::Key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    /// Types `text` with `pause` between keys, then Enter.
    fn typed(line: &mut Line, text: &str, pause: Duration) -> Option<Typed> {
        let mut now = Instant::now();
        for character in text.chars() {
            assert_eq!(line.take(&key(KeyCode::Char(character)), now), None);
            now += pause;
        }
        line.take(&key(KeyCode::Enter), now)
    }

    #[test]
    fn a_typed_answer_is_taken_to_the_letter() {
        let mut line = Line::default();
        assert_eq!(typed(&mut line, "main ", Duration::from_millis(80)), Some(Typed::Answer("main ".into())));
    }

    #[test]
    fn enter_alone_and_a_paste_are_no_answer() {
        let mut line = Line::default();
        assert_eq!(line.take(&key(KeyCode::Enter), Instant::now()), None);
        assert_eq!(line.take(&Event::Paste("main\n".into()), Instant::now()), None);
        assert_eq!(line.take(&key(KeyCode::Enter), Instant::now()), None, "the paste left nothing behind");
    }

    #[test]
    fn a_paste_without_brackets_is_too_fast_to_be_a_hand() {
        let mut line = Line::default();
        assert_eq!(typed(&mut line, "main", Duration::from_millis(1)), None);
        assert!(line.remark().is_some());
        assert_eq!(line.take(&key(KeyCode::Enter), Instant::now()), None, "it left nothing behind");
        assert_eq!(line.remark(), Some(Remark::TooFast), "its line end does not hide why");
        let slowly = typed(&mut line, "main", Duration::from_millis(60));
        assert_eq!(slowly, Some(Typed::Answer("main".into())));
    }

    #[test]
    fn a_paste_without_brackets_does_not_count_however_late_enter_comes() {
        let mut line = Line::default();
        let now = Instant::now();
        for character in "main".chars() {
            line.take(&key(KeyCode::Char(character)), now);
        }
        assert_eq!(line.take(&key(KeyCode::Enter), now + Duration::from_secs(5)), None);
        assert_eq!(line.remark(), Some(Remark::TooFast));
    }

    #[test]
    fn escape_and_interrupt_leave_it_waiting() {
        let control = Event::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL));
        for event in [key(KeyCode::Esc), control] {
            let mut line = Line::default();
            line.take(&key(KeyCode::Char('m')), Instant::now());
            assert_eq!(line.take(&event, Instant::now()), Some(Typed::Left));
        }
    }
}
