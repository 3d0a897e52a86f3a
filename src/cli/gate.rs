//! Gates on a terminal: a typed answer, and nothing else, approves.
//!
//! Raw mode, so that every key is seen as one; bracketed paste, so that a paste is seen as one; the input queue is
//! emptied when the gate opens, so that keys typed for something else are gone. Esc leaves the gate waiting.

use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyCode, KeyEventKind};
use ratatui::crossterm::event::{KeyEvent, KeyModifiers};
use ratatui::crossterm::{cursor, execute, style, terminal};
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Text that arrives faster than this a character did not come from a hand: a paste in a terminal without
/// bracketed paste. It has to be typed again.
const FASTEST_CHARACTER: Duration = Duration::from_millis(15);
const LONGEST_ANSWER_CHARACTERS: usize = 200;
/// How often the run is looked at while the person thinks: somebody else may answer.
const LOOK_EVERY: Duration = Duration::from_millis(500);

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
    text: String,
    began: Option<Instant>,
    /// Said to the person after the last key.
    pub remark: Option<&'static str>,
}

impl Line {
    /// Takes in one event at `now`; `Some` when the person is done.
    pub fn take(&mut self, event: &Event, now: Instant) -> Option<Typed> {
        match event {
            Event::Paste(_) => {
                self.clear("pasted text does not count here: type the answer");
                None
            }
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key, now),
            _ => None,
        }
    }

    fn key(&mut self, key: KeyEvent, now: Instant) -> Option<Typed> {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        self.remark = None;
        match key.code {
            KeyCode::Esc => return Some(Typed::Left),
            KeyCode::Char('c' | 'd') if control => return Some(Typed::Left),
            KeyCode::Char('u') if control => self.clear("cleared"),
            KeyCode::Char(_) if control || key.modifiers.contains(KeyModifiers::ALT) => {}
            KeyCode::Char(character) if self.text.chars().count() < LONGEST_ANSWER_CHARACTERS => {
                self.began.get_or_insert(now);
                self.text.push(character);
            }
            KeyCode::Backspace => {
                self.text.pop();
                if self.text.is_empty() {
                    self.began = None;
                }
            }
            KeyCode::Enter => return self.enter(now),
            _ => {}
        }
        None
    }

    fn enter(&mut self, now: Instant) -> Option<Typed> {
        if self.text.is_empty() {
            self.remark = Some("Enter alone approves nothing: type the answer, or Esc to leave it waiting");
            return None;
        }
        let characters = u32::try_from(self.text.chars().count()).unwrap_or(u32::MAX);
        let took = self.began.map_or(Duration::ZERO, |began| now.duration_since(began));
        if took < FASTEST_CHARACTER.saturating_mul(characters) {
            self.clear("that came faster than a hand types: type the answer");
            return None;
        }
        let text = std::mem::take(&mut self.text);
        self.began = None;
        Some(Typed::Answer(text))
    }

    fn clear(&mut self, remark: &'static str) {
        self.text.clear();
        self.began = None;
        self.remark = Some(remark);
    }
}

/// Restores the terminal however the gate is left, a panic included.
struct Raw;

impl Raw {
    fn enter() -> io::Result<Raw> {
        terminal::enable_raw_mode()?;
        let raw = Raw;
        execute!(io::stdout(), EnableBracketedPaste)?;
        Ok(raw)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing more can be done for a terminal that is gone.
        let _ = execute!(io::stdout(), DisableBracketedPaste);
        let _ = terminal::disable_raw_mode();
    }
}

/// Asks for the answer. `still_waiting` is asked now and then whether there is still something to answer.
///
/// # Errors
/// When the terminal can't be read or written, or `still_waiting` fails.
pub fn ask(prompt: &str, mut still_waiting: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<Typed> {
    let _raw = Raw::enter()?;
    // Keys typed before the gate was on the screen were meant for something else.
    rustix::termios::tcflush(io::stdin(), rustix::termios::QueueSelector::IFlush)?;
    while event::poll(Duration::ZERO)? {
        event::read()?;
    }
    let mut line = Line::default();
    draw(prompt, &line)?;
    let typed = loop {
        if !event::poll(LOOK_EVERY)? {
            if still_waiting()? {
                continue;
            }
            break Typed::Gone;
        }
        let event = event::read()?;
        if let Some(typed) = line.take(&event, Instant::now()) {
            break typed;
        }
        draw(prompt, &line)?;
    };
    write!(io::stdout(), "\r\n")?;
    Ok(typed)
}

fn draw(prompt: &str, line: &Line) -> io::Result<()> {
    let mut out = io::stdout();
    let remark = line.remark.map(|remark| format!("   ({remark})")).unwrap_or_default();
    execute!(
        out,
        cursor::MoveToColumn(0),
        terminal::Clear(terminal::ClearType::CurrentLine),
        style::Print(format!("{prompt}{}", line.text)),
        cursor::SavePosition,
        style::Print(remark),
        cursor::RestorePosition
    )?;
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
        assert!(line.remark.is_some());
        assert_eq!(line.take(&key(KeyCode::Enter), Instant::now()), None, "it left nothing behind");
        let slowly = typed(&mut line, "main", Duration::from_millis(60));
        assert_eq!(slowly, Some(Typed::Answer("main".into())));
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
