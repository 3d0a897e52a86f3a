//! One table of keys: what handles them, what the footer offers and what the help lists are made from it.

use crate::ui::command::{Command, Place};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key(pub KeyCode, pub KeyModifiers);

/// What a key does somewhere.
#[derive(Debug)]
pub struct Binding {
    /// Where.
    pub place: Place,
    /// The keys, the one to show first.
    pub keys: &'static [Key],
    /// What they do.
    pub command: Command,
    /// A word or two for the footer; empty where it is not offered there.
    pub word: &'static str,
    /// A sentence for the help and the palette.
    pub help: &'static str,
}

const fn letter(letter: char) -> Key {
    Key(KeyCode::Char(letter), KeyModifiers::NONE)
}

const fn control(letter: char) -> Key {
    Key(KeyCode::Char(letter), KeyModifiers::CONTROL)
}

const fn plain(code: KeyCode) -> Key {
    Key(code, KeyModifiers::NONE)
}

const fn shifted(code: KeyCode) -> Key {
    Key(code, KeyModifiers::SHIFT)
}

const fn bind(place: Place, keys: &'static [Key], command: Command, word: &'static str, help: &'static str) -> Binding {
    Binding { place, keys, command, word, help }
}

const ENTER: Key = plain(KeyCode::Enter);
const ESC: Key = plain(KeyCode::Esc);
const UP: Key = plain(KeyCode::Up);
const DOWN: Key = plain(KeyCode::Down);

use Command as C;
use Place as P;

/// In the footer: the key stands with the one before it.
pub const JOINED: &str = "+";

/// All keys.
pub const BINDINGS: &[Binding] = &[
    bind(
        P::Inventory,
        &[letter('d'), ENTER],
        C::Drill,
        "drill this set",
        "plan a restore drill of the set under the cursor",
    ),
    bind(
        P::Inventory,
        &[letter('t'), plain(KeyCode::Right), letter('l')],
        C::GoTimeline,
        "timeline",
        "to the timeline",
    ),
    bind(P::Inventory, &[letter('i')], C::Open, "databases", "ask for the databases and tablespaces in the set"),
    bind(P::Inventory, &[letter('a')], C::GoAccident, "accident", "what happened? find the accident in the WAL"),
    bind(P::Inventory, &[letter('y')], C::Copy, "copy label", "copy the set's label"),
    bind(P::Timeline, &[ENTER], C::Open, "plan to here", "plan a restore drill to the cursor"),
    bind(P::Timeline, &[plain(KeyCode::Left), letter('h')], C::MinuteEarlier, "minute", "the cursor a minute earlier"),
    bind(P::Timeline, &[plain(KeyCode::Right), letter('l')], C::MinuteLater, JOINED, "the cursor a minute later"),
    bind(P::Timeline, &[letter('H'), shifted(KeyCode::Left)], C::HourEarlier, "hour", "the cursor an hour earlier"),
    bind(P::Timeline, &[letter('L'), shifted(KeyCode::Right)], C::HourLater, JOINED, "the cursor an hour later"),
    bind(
        P::Timeline,
        &[letter('t')],
        C::TypeTarget,
        "type it",
        "type the target: 02:13, yesterday 02:13 +03, 10 minutes ago, an LSN, a transaction id, name:POINT",
    ),
    bind(P::Timeline, &[letter('y')], C::Copy, "", "copy the target, as pgBackRest takes it"),
    bind(
        P::Timeline,
        &[letter('a')],
        C::GoAccident,
        "accident",
        "what happened? find the accident in the WAL around the cursor",
    ),
    bind(P::Accident, &[ENTER], C::Open, "use as target", "plan a recovery that stops right before this transaction"),
    bind(P::Accident, &[letter('w')], C::AskWhen, "when", "ask again: about when, how wide a window, which table"),
    bind(P::Accident, &[letter('P')], C::GoProposed, "proposed", "to the transaction that is proposed"),
    bind(
        P::Accident,
        &[plain(KeyCode::Tab)],
        C::OtherPanel,
        "details",
        "between the suspects and what is known of one",
    ),
    bind(P::Accident, &[letter('y')], C::Copy, "copy target", "copy the exact target, as a runbook takes it"),
    bind(P::Accident, &[letter('Y')], C::CopyCommand, "", "copy the pg_waldump command that shows its records"),
    bind(P::Runbooks, &[ENTER], C::Open, "plan it", "make the plan of this runbook"),
    bind(P::Plan, &[letter('b')], C::Begin, "begin the run", "begin a run of this plan"),
    bind(P::Plan, &[ENTER], C::Open, "change", "change the parameter under the cursor"),
    bind(
        P::Plan,
        &[letter('x'), plain(KeyCode::Delete)],
        C::AsFound,
        "as found",
        "take the value the machine gives for the parameter",
    ),
    bind(P::Plan, &[plain(KeyCode::Tab)], C::OtherPanel, "other panel", "between the parameters and the plan"),
    bind(P::Plan, &[letter('y')], C::Copy, "copy seal", "copy the plan's seal"),
    bind(P::Run, &[letter('g')], C::GoGate, "gate", "to the gate, or to what else waits for a person"),
    bind(P::Run, &[letter('f')], C::Follow, "follow", "to the step that goes on and the end of its output"),
    bind(P::Run, &[letter('e')], C::Note, "note", "write a note into the journal"),
    bind(P::Run, &[letter('y')], C::Copy, "copy status", "copy a line for the incident channel"),
    bind(P::Run, &[letter('Y')], C::CopyCommand, "", "copy the step's command"),
    bind(P::Run, &[letter('w')], C::Wrap, "", "break the output's long lines, or cut them"),
    bind(P::Run, &[letter('o')], C::Pager, "pager", "open the step's output in $PAGER"),
    bind(P::Run, &[letter('t')], C::Transcript, "transcript", "the evidence of this run"),
    bind(P::Run, &[letter('A')], C::Abort, "", "end the run and what it started"),
    bind(P::Runs, &[ENTER], C::Open, "attach", "open the run"),
    bind(P::Runs, &[letter('t')], C::Transcript, "transcript", "the evidence of the run"),
    bind(P::Runs, &[letter('y')], C::Copy, "copy name", "copy the run's name"),
    bind(P::Transcript, &[letter('o')], C::Pager, "pager", "open the transcript in $PAGER"),
    bind(P::Rehearsal, &[ENTER, letter('t')], C::Open, "give the moment", "type the moment to recover to"),
    bind(P::Rehearsal, &[letter('y')], C::Copy, "copy the page", "copy the page"),
    bind(P::Everywhere, &[UP, letter('k')], C::Up, "", "one up; where there is a timeline, the set before"),
    bind(P::Everywhere, &[DOWN, letter('j')], C::Down, "", "one down; where there is a timeline, the next set"),
    bind(
        P::Everywhere,
        &[plain(KeyCode::PageUp), control('b')],
        C::PageUp,
        "",
        "a page up; in a run of its output, of a runbook its steps",
    ),
    bind(P::Everywhere, &[plain(KeyCode::PageDown), control('f')], C::PageDown, "", "a page down"),
    bind(P::Everywhere, &[plain(KeyCode::Home), letter('<')], C::First, "", "to the beginning"),
    bind(P::Everywhere, &[plain(KeyCode::End), letter('>'), letter('G')], C::Last, "", "to the end"),
    bind(P::Everywhere, &[letter('/')], C::Search, "", "narrow a list, or search a text"),
    bind(P::Everywhere, &[letter('n')], C::NextMatch, "", "the next place that was searched for"),
    bind(P::Everywhere, &[letter('N')], C::PreviousMatch, "", "the place before"),
    bind(P::Everywhere, &[letter('1')], C::GoInventory, "", "the inventory: which backup sets there are"),
    bind(P::Everywhere, &[letter('2')], C::GoTimeline, "", "the timeline: which moments can be recovered"),
    bind(P::Everywhere, &[letter('3')], C::GoRunbooks, "", "the runbooks: what can be done"),
    bind(P::Everywhere, &[letter('4')], C::GoRuns, "", "the runs on this host, now and before"),
    bind(P::Everywhere, &[letter('5')], C::GoAccident, "", "the accident: which transaction did it, where to stop"),
    bind(
        P::Everywhere,
        &[letter('p')],
        C::GoRehearsal,
        "",
        "on a practice cluster: the page you got, the clock, the score",
    ),
    bind(P::Everywhere, &[letter('s')], C::Switch, "", "another stanza or repository"),
    bind(P::Everywhere, &[letter('r')], C::Refresh, "", "look again"),
    bind(P::Everywhere, &[letter('T')], C::Theme, "", "the next theme: dark, light, high-contrast, mono"),
    bind(P::Everywhere, &[ESC], C::Back, "", "back to where you came from; breaks off what is being read"),
    bind(P::Everywhere, &[control('l')], C::Redraw, "", "draw the screen anew"),
    bind(P::Everywhere, &[control('z')], C::Suspend, "", "stop the console; fg brings it back"),
    bind(P::Everywhere, &[letter(':')], C::Palette, "actions", "every action by its name"),
    bind(P::Everywhere, &[letter('?')], C::Help, "help", "this list of keys"),
    bind(P::Everywhere, &[letter('q'), control('c')], C::Quit, "quit", "leave the console; a run goes on without it"),
    bind(P::Gate, &[ENTER], C::Accept, "send the answer", "send what was typed; it is compared to the letter"),
    bind(P::Gate, &[ESC, control('c')], C::Leave, "leave it waiting", "back to the run; the gate waits on"),
    bind(P::Gate, &[control('u')], C::AsFound, "clear", "clear what was typed"),
    bind(P::Gate, &[UP], C::Up, "", "a line up"),
    bind(P::Gate, &[DOWN], C::Down, "", "a line down"),
    bind(P::Gate, &[plain(KeyCode::PageUp)], C::PageUp, "scroll", "a page up"),
    bind(P::Gate, &[plain(KeyCode::PageDown)], C::PageDown, JOINED, "a page down"),
    bind(P::Input, &[ENTER], C::Accept, "take it", "take the line"),
    bind(P::Input, &[ESC, control('c')], C::Leave, "leave", "leave it as it was"),
    bind(P::Input, &[control('u')], C::AsFound, "clear", "clear the line"),
    bind(P::Picker, &[ENTER], C::Accept, "choose", "choose what the cursor is on"),
    bind(P::Picker, &[ESC, control('c')], C::Leave, "leave", "choose nothing"),
    bind(P::Picker, &[UP, control('p')], C::Up, "move", "one up"),
    bind(P::Picker, &[DOWN, control('n')], C::Down, JOINED, "one down"),
    bind(P::Picker, &[control('u')], C::AsFound, "", "clear what was typed"),
    bind(P::Note, &[control('s'), control('d')], C::Accept, "write it", "write the note into the journal"),
    bind(P::Note, &[ESC, control('c')], C::Leave, "leave", "leave without a note"),
];

/// What a key does at a place: the place's own binding before that of every page.
#[must_use]
pub fn command(place: Place, key: KeyEvent) -> Option<Command> {
    let found = |wanted: Place| {
        BINDINGS.iter().find(|binding| binding.place == wanted && binding.keys.iter().any(|bound| bound.is(key)))
    };
    let general = || if place.takes_text() { None } else { found(Place::Everywhere) };
    found(place).or_else(general).map(|binding| binding.command)
}

/// What the footer offers at a place: keys and the word for them. Read-only, what would change something is not offered.
#[must_use]
pub fn offered(place: Place, ascii: bool, read_only: bool) -> Vec<(String, &'static str)> {
    let mut found: Vec<(String, &'static str)> = Vec::new();
    let is_offered = |binding: &&Binding| {
        binding.place == place && !binding.word.is_empty() && !(read_only && binding.command.changes())
    };
    for binding in BINDINGS.iter().filter(is_offered) {
        let key = binding.keys.first().map(|key| key.name(ascii)).unwrap_or_default();
        match found.last_mut() {
            Some((keys, _)) if binding.word == JOINED => {
                let between = if key.chars().count() > 1 { " " } else { "" };
                *keys = format!("{keys}{between}{key}");
            }
            _ => found.push((key, binding.word)),
        }
    }
    found
}

/// The binding of a command at a place, or on every page.
#[must_use]
pub fn binding(place: Place, command: Command) -> Option<&'static Binding> {
    let of = |wanted| BINDINGS.iter().find(|binding| binding.place == wanted && binding.command == command);
    of(place).or_else(|| of(Place::Everywhere))
}

/// The key of a command that is bound on every page, as a screen names it.
///
/// Empty for a command that is bound on some pages only.
#[must_use]
pub fn name(command: Command, ascii: bool) -> String {
    binding(Place::Everywhere, command)
        .and_then(|binding| binding.keys.first())
        .map(|key| key.name(ascii))
        .unwrap_or_default()
}

impl Key {
    fn is(self, key: KeyEvent) -> bool {
        let relevant = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT;
        let mut modifiers = key.modifiers & relevant;
        // A capital letter says so itself; terminals differ in whether they tell of Shift.
        if matches!(key.code, KeyCode::Char(_)) {
            modifiers -= KeyModifiers::SHIFT;
        }
        self.0 == key.code && self.1 == modifiers
    }

    /// Its name on a screen; `ascii` where arrows can't be shown.
    #[must_use]
    pub fn name(self, ascii: bool) -> String {
        let name = match self.0 {
            KeyCode::Char(letter) if self.1.contains(KeyModifiers::CONTROL) => {
                return format!("^{}", letter.to_ascii_uppercase());
            }
            KeyCode::Char(letter) => letter.to_string(),
            KeyCode::Enter => "Enter".to_owned(),
            KeyCode::Esc => "Esc".to_owned(),
            KeyCode::Tab => "Tab".to_owned(),
            KeyCode::Delete => "Del".to_owned(),
            KeyCode::Home => "Home".to_owned(),
            KeyCode::End => "End".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::Up if ascii => "Up".to_owned(),
            KeyCode::Down if ascii => "Down".to_owned(),
            KeyCode::Left if ascii => "Left".to_owned(),
            KeyCode::Right if ascii => "Right".to_owned(),
            KeyCode::Up => "↑".to_owned(),
            KeyCode::Down => "↓".to_owned(),
            KeyCode::Left => "←".to_owned(),
            KeyCode::Right => "→".to_owned(),
            other => format!("{other:?}"),
        };
        if self.1.contains(KeyModifiers::SHIFT) { format!("Shift-{name}") } else { name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_does_one_thing_at_a_place() {
        for (index, one) in BINDINGS.iter().enumerate() {
            for other in &BINDINGS[index + 1..] {
                let shared = one.keys.iter().find(|key| other.keys.contains(key));
                let same = one.place == other.place;
                assert!(!(same && shared.is_some()), "{:?}: {:?} and {:?}", one.place, one.command, other.command);
                let twice = same && one.command == other.command;
                assert!(!twice, "{:?} stands twice at {:?}", one.command, one.place);
            }
        }
    }

    #[test]
    fn every_key_of_the_table_is_heard_and_told() {
        for binding in BINDINGS {
            assert!(!binding.help.is_empty() && !binding.keys.is_empty(), "{:?}", binding.command);
            for key in binding.keys {
                let event = KeyEvent::new(key.0, key.1);
                assert_eq!(command(binding.place, event), Some(binding.command), "{key:?}");
                assert!(!key.name(true).is_empty() && key.name(true).is_ascii());
            }
        }
    }

    #[test]
    fn letters_are_text_where_text_is_asked_for() {
        for place in [Place::Gate, Place::Input, Place::Picker, Place::Note] {
            for letter in 'a'..='z' {
                assert_eq!(command(place, KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE)), None, "{place:?}");
            }
        }
    }

    #[test]
    fn shift_with_a_capital_letter_is_the_capital_letter() {
        for modifiers in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
            assert_eq!(command(Place::Run, KeyEvent::new(KeyCode::Char('Y'), modifiers)), Some(Command::CopyCommand));
        }
    }
}
