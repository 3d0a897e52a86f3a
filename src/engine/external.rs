//! What is started for a person: the pager. An argument list, no shell.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// The pager of a person who named none.
const USUAL: [&str; 2] = ["less", "more"];

/// The program and its arguments, of `$PAGER`: words separated by blanks. A value that needs a shell is not taken.
#[must_use]
pub fn pager(named: Option<OsString>) -> Vec<String> {
    let named = named.and_then(|named| named.into_string().ok()).unwrap_or_default();
    let needs_shell = named.contains(['|', '&', ';', '<', '>', '$', '`', '"', '\'', '\\', '(', ')']);
    let words: Vec<String> = named.split_whitespace().map(str::to_owned).collect();
    if words.is_empty() || needs_shell { vec![USUAL[0].to_owned()] } else { words }
}

/// Shows lines in the pager, through its standard input, and waits for its end.
///
/// # Errors
/// When neither the pager nor `more` can be started.
pub fn page(lines: impl Iterator<Item = String>) -> io::Result<()> {
    let words = pager(std::env::var_os("PAGER"));
    let mut child = match start(&words) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => start(&[USUAL[1].to_owned()])?,
        other => other?,
    };
    if let Some(mut input) = child.stdin.take() {
        for line in lines {
            // Who has seen enough closes it.
            if writeln!(input, "{line}").is_err() {
                break;
            }
        }
    }
    child.wait().map(|_| ())
}

fn start(words: &[String]) -> io::Result<std::process::Child> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::NotFound)?;
    Command::new(program)
        .args(arguments)
        // What reaches it is cleaned, but nothing may be started from it for somebody who has become another user.
        .env("LESSSECURE", "1")
        .stdin(Stdio::piped())
        .spawn()
}

/// The lines of an output file, one after the other, cleaned; `redact` takes secrets out first.
///
/// # Errors
/// When it can't be opened.
pub fn lines_of<R: Fn(&str) -> String>(path: &Path, redact: R) -> io::Result<impl Iterator<Item = String> + use<R>> {
    use std::io::BufRead as _;
    let mut reader = io::BufReader::new(std::fs::File::open(path)?);
    Ok(std::iter::from_fn(move || {
        let mut bytes = Vec::new();
        match reader.read_until(b'\n', &mut bytes) {
            Ok(1..) => {}
            _ => return None,
        }
        let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        Some(crate::domain::text::clean(&redact(&String::from_utf8_lossy(line))))
    }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
    use super::*;

    #[test]
    fn a_pager_is_words_and_nothing_a_shell_would_read() {
        assert_eq!(pager(Some("less -R".into())), ["less", "-R"]);
        for named in [None, Some("".into()), Some("less; rm -rf /".into()), Some("$(id)".into())] {
            assert_eq!(pager(named), ["less"]);
        }
    }

    #[test]
    fn an_outputs_lines_come_without_secrets_and_without_controls() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output");
        std::fs::write(&path, "one\n\x1b[2Jsecret\nlast").unwrap();
        let lines: Vec<String> = lines_of(&path, |text| text.replace("secret", "<set>")).unwrap().collect();
        assert_eq!(lines, ["one", "␛[2J<set>", "last"]);
    }
}
