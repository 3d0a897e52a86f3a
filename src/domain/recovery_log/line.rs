//! One line of a PostgreSQL log, taken apart.

use crate::domain::text;

/// A line written with `log_line_prefix='%m [%p] '`, `lc_messages=C`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    /// The process that wrote it.
    pub(super) pid: u32,
    /// `LOG`, `FATAL`, `DETAIL`, …
    pub(super) level: String,
    /// What it says, cleaned.
    pub(super) text: String,
}

/// What a line is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A message of the server.
    Message(Message),
    /// A further line of the message before: PostgreSQL begins it with a tab.
    Continuation(String),
    /// Something a program that the server started wrote (pgBackRest's `archive-get`), cleaned.
    Foreign(String),
}

/// Takes one line apart. A text that only looks like a server's line but has no process id is [`Line::Foreign`].
pub(super) fn read(line: &str) -> Line {
    let line = line.trim_end_matches(['\n', '\r']);
    if let Some(rest) = line.strip_prefix('\t') {
        return Line::Continuation(text::clean(rest));
    }
    match message(line) {
        Some(message) => Line::Message(message),
        None => Line::Foreign(text::clean(line)),
    }
}

fn message(line: &str) -> Option<Message> {
    let digits = line.bytes().take(4).filter(u8::is_ascii_digit).count();
    let (stamp, rest) = line.split_once(" [")?;
    if digits != 4 || stamp.len() > 40 {
        return None;
    }
    let (pid, rest) = rest.split_once("] ")?;
    let (level, text) = rest.split_once(":  ")?;
    let known = !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let pid = pid.parse().ok()?;
    known.then(|| Message { pid, level: level.to_owned(), text: text::clean(text) })
}

/// The error line of a pgBackRest command that the server started: `ERROR: [031]: …`, with or without time and process.
pub(super) fn pgbackrest_error(line: &str) -> Option<&str> {
    let found = line.find("ERROR: [")?;
    let before = &line[..found];
    let own = before.is_empty() || before.trim_end().ends_with(|last: char| last.is_ascii_digit());
    own.then_some(&line[found..])
}

/// The WAL segment that `archive-get` did not find (its INFO line).
pub(super) fn not_found(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("unable to find ")?;
    let (name, _) = rest.split_once(" in the archive")?;
    (name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_line_has_a_process_and_a_level() {
        let line = "2026-11-22 15:34:16.405 UTC [13259] FATAL:  the database system is starting up\n";
        let Line::Message(message) = read(line) else { panic!("not a message") };
        assert_eq!((message.pid, message.level.as_str()), (13259, "FATAL"));
        assert_eq!(message.text, "the database system is starting up");
    }

    #[test]
    fn other_lines_are_not_taken_for_the_servers() {
        for line in [
            "",
            "x",
            "2026",
            "2026-11-22 15:34:16.4 [abc] LOG:  x",
            "2026-11-22 [1] log:  x",
            "P00 [1] LOG:  archive recovery complete",
        ] {
            assert!(matches!(read(line), Line::Foreign(_)), "{line}");
        }
        assert_eq!(read("\tmore"), Line::Continuation("more".into()));
    }

    #[test]
    fn pgbackrest_errors_are_found_in_both_forms() {
        let short = "ERROR: [031]: option 'spool-path' not valid without option 'archive-async'";
        assert_eq!(pgbackrest_error(short), Some(short));
        let long = "2026-11-22 06:50:28.403 P00  ERROR: [103]: unable to find a valid repository";
        assert_eq!(pgbackrest_error(long), Some("ERROR: [103]: unable to find a valid repository"));
        assert_eq!(pgbackrest_error("the text ERROR: [1] in a sentence"), None);
        assert_eq!(not_found("P00   INFO: unable to find 00000002.history in the archive"), None);
    }
}
