//! An answer being typed: what counts as typed by a hand, and what does not. Time is an argument.
//!
//! A gate is approved by an answer that was typed for it: not by a paste, not by keys that were pressed for something
//! else before it was looked at, and not by text that comes faster than a hand types.

use std::time::Duration;

/// Text that arrives faster than this a character did not come from a hand: a paste in a terminal without
/// bracketed paste. It has to be typed again.
pub const FASTEST_CHARACTER: Duration = Duration::from_millis(15);
/// Keys are dropped until none came for this long: who is still typing for something else has not seen the gate.
pub const QUIET: Duration = Duration::from_millis(300);
/// A longer answer is asked for nowhere.
const LONGEST_ANSWER_CHARACTERS: usize = 200;

/// What is said to the person about the last key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remark {
    /// Keys came before the gate was looked at.
    TypedBefore,
    /// Something was pasted.
    Pasted,
    /// Enter, and nothing was typed.
    EnterAlone,
    /// Faster than a hand.
    TooFast,
    /// Cleared on request.
    Cleared,
}

impl Remark {
    /// The words for it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Remark::TypedBefore => "keys pressed before the gate was open were dropped",
            Remark::Pasted => "pasted text does not count here: type the answer",
            Remark::EnterAlone => "Enter alone approves nothing: type the answer",
            Remark::TooFast => "that came faster than a hand types: type the answer",
            Remark::Cleared => "cleared",
        }
    }
}

/// The answer so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typing {
    text: String,
    /// When its first and its last character came.
    typed: Option<(Duration, Duration)>,
    /// Said after the last key.
    pub remark: Option<Remark>,
}

impl Typing {
    /// What was typed, as it is.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A character at `now`: the time from any fixed beginning, the same for keys that were there at once.
    pub fn push(&mut self, character: char, now: Duration) {
        self.remark = None;
        if self.text.chars().count() < LONGEST_ANSWER_CHARACTERS {
            self.typed = Some((self.typed.map_or(now, |(first, _)| first), now));
            self.text.push(character);
        }
    }

    /// The last character goes.
    pub fn pop(&mut self) {
        self.remark = None;
        self.text.pop();
        if self.text.is_empty() {
            self.typed = None;
        }
    }

    /// All of it goes, and why.
    pub fn clear(&mut self, remark: Remark) {
        self.text.clear();
        self.typed = None;
        self.remark = Some(remark);
    }

    /// Enter at `now`: the answer, when it was typed by a hand.
    pub fn enter(&mut self, now: Duration) -> Option<String> {
        let Some((first, last)) = self.typed else {
            // What was just said of a paste stays: Enter after it is as much as to say "take that".
            let said = self.remark.filter(|said| matches!(said, Remark::Pasted | Remark::TooFast));
            self.remark = said.or(Some(Remark::EnterAlone));
            return None;
        };
        let between = u32::try_from(self.text.chars().count()).unwrap_or(u32::MAX).saturating_sub(1);
        let is_typed = last.saturating_sub(first) >= FASTEST_CHARACTER.saturating_mul(between);
        if !is_typed || now.saturating_sub(last) < FASTEST_CHARACTER {
            self.clear(Remark::TooFast);
            return None;
        }
        self.typed = None;
        self.remark = None;
        Some(std::mem::take(&mut self.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Types `text` with `pause` between keys, then Enter.
    fn typed(typing: &mut Typing, text: &str, pause: Duration) -> Option<String> {
        let mut now = Duration::ZERO;
        for character in text.chars() {
            typing.push(character, now);
            now += pause;
        }
        typing.enter(now)
    }

    #[test]
    fn a_typed_answer_is_taken_to_the_letter() {
        let mut typing = Typing::default();
        assert_eq!(typed(&mut typing, "main ", Duration::from_millis(80)), Some("main ".into()));
        assert_eq!(typing, Typing::default());
    }

    #[test]
    fn enter_alone_a_paste_and_what_comes_at_once_are_no_answer() {
        let mut typing = Typing::default();
        assert_eq!(typing.enter(Duration::ZERO), None);
        assert_eq!(typing.remark, Some(Remark::EnterAlone));
        typing.clear(Remark::Pasted);
        assert_eq!(typing.enter(Duration::ZERO), None);
        assert_eq!(typing.remark, Some(Remark::Pasted));
        assert_eq!(typed(&mut typing, "main", Duration::from_millis(2)), None);
        assert_eq!((typing.remark, typing.text()), (Some(Remark::TooFast), ""));
        // All of it in one read, and Enter later.
        for character in "main".chars() {
            typing.push(character, Duration::from_secs(1));
        }
        assert_eq!(typing.enter(Duration::from_secs(2)), None);
    }

    #[test]
    fn the_last_character_can_be_taken_back() {
        let mut typing = Typing::default();
        for (index, character) in "maxin".chars().enumerate() {
            typing.push(character, Duration::from_millis(100 * index as u64));
        }
        (0..3).for_each(|_| typing.pop());
        for (index, character) in "in".chars().enumerate() {
            typing.push(character, Duration::from_millis(600 + 100 * index as u64));
        }
        assert_eq!(typing.enter(Duration::from_millis(900)), Some("main".into()));
        typing.push('m', Duration::ZERO);
        typing.pop();
        assert_eq!(typing.enter(Duration::from_secs(1)), None);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_in_one_go_is_an_answer(text in ".{0,300}", at in 0u64..1_000_000) {
            let mut typing = Typing::default();
            let at = Duration::from_millis(at);
            text.chars().for_each(|character| typing.push(character, at));
            prop_assert_eq!(typing.enter(at), None);
        }
    }
}
