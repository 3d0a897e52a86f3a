//! A command as it is about to run: the exact argument list, over as many lines as it takes, to be read and to be
//! copied into a shell.

use crate::domain::plan::{Argument, CommandLine};
use crate::domain::text::{clean, clean_lines};
use crate::report::shell::quote;
use crate::report::width::Width;
use unicode_width::UnicodeWidthStr as _;

/// The lines of a command, each but the last ended by a backslash. What is added to the environment stands in front. A
/// line end inside an argument (a query) stays what it is, so that the argument does.
#[must_use]
pub fn lines(command: &CommandLine, columns: Width) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(directory) = &command.directory {
        lines.push(format!("     in {}", clean(&directory.to_string_lossy())));
    }
    let mut line = "   $".to_owned();
    let mut begun = false;
    for item in items(command) {
        let first = item.split('\n').next().unwrap_or_default();
        if begun && line.width() + 1 + first.width() + 2 > columns.columns() {
            lines.push(format!("{line} \\"));
            line = "    ".to_owned();
        }
        line.push(' ');
        line.push_str(first);
        for rest in item.split('\n').skip(1) {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
        }
        begun = true;
    }
    lines.push(line);
    lines
}

/// What is kept on one line: a word, or an option and its value (`-c`, `port=5432`).
fn items(command: &CommandLine) -> Vec<String> {
    let mut items: Vec<String> =
        command.env.iter().map(|(name, value)| format!("{}={}", clean(name), word(value))).collect();
    let mut after_option = false;
    for argument in &command.argv {
        let word = word(argument);
        let is_option = word.starts_with('-') && !word.starts_with("--") && !word.contains([' ', '=']);
        match items.last_mut() {
            Some(option) if after_option && !word.starts_with('-') => *option = format!("{option} {word}"),
            _ => items.push(word),
        }
        after_option = is_option;
    }
    items
}

/// An argument as a shell takes it when it is copied; a value still to be captured stays visible as `${step.name}`.
/// Line ends of a query stay.
#[must_use]
pub fn word(argument: &Argument) -> String {
    shell_word(&argument.to_string())
}

/// A text as one word of a shell, in quotes where it needs them.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let safe = |letter: char| letter.is_ascii_alphanumeric() || "/._-=:,+@%".contains(letter);
    if !text.is_empty() && text.chars().all(safe) {
        text.to_owned()
    } else if text.contains('\'') && !text.contains(['"', '$', '`', '\\', '!']) {
        // Most queries: easier to read than every quote escaped.
        clean_lines(&format!("\"{text}\""))
    } else {
        clean_lines(&quote(text))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use std::collections::BTreeMap;

    fn command(argv: &[&str]) -> CommandLine {
        CommandLine {
            argv: argv.iter().map(|argument| Argument::text(*argument)).collect(),
            env: BTreeMap::from([("SPOOL".to_owned(), Argument::text("/a b"))]),
            directory: None,
            stdout_is_data: false,
            success: vec![0],
            release: false,
        }
    }

    #[test]
    fn a_shell_reads_back_the_same_arguments() {
        let (query, other) = ("SELECT 'a'\n  FROM \"b\"", "it's a\nquery");
        let long = "x".repeat(90);
        let argv =
            ["printf", "%s\\n", "-c", "port=5432", "-c", "log=%m [%p] ", &long, query, other, "", "-c", "a=b", "last"];
        let lines = lines(&command(&argv), Width::USUAL);
        assert!(lines.len() > 3, "{lines:?}");
        let script = lines.join("\n").trim_start().trim_start_matches("$ ").to_owned();
        let output = std::process::Command::new("sh").arg("-c").arg(&script).output().unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert_eq!(printed, argv[2..].iter().map(|argument| format!("{argument}\n")).collect::<String>(), "{script}");
    }

    #[test]
    fn lines_fit_and_an_option_keeps_its_value() {
        let argv: Vec<String> = (0..30).flat_map(|n| ["-c".to_owned(), format!("name_{n}=value_{n}")]).collect();
        let argv: Vec<&str> = std::iter::once("/bin/postgres").chain(argv.iter().map(String::as_str)).collect();
        for line in lines(&command(&argv), Width::USUAL) {
            assert!(line.width() <= 79, "{line}");
            assert!(!line.trim_end_matches(" \\").ends_with("-c"), "{line}");
        }
    }

    #[test]
    fn nothing_of_an_argument_reaches_the_terminal_raw() {
        let lines = lines(&command(&["echo", "a\u{1b}[2J\rb\u{202e}"]), Width::USUAL);
        assert_eq!(lines, ["   $ SPOOL='/a b' echo 'a␛[2J␍b<U+202E>'"]);
    }
}
