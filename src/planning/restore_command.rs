//! The `restore_command` of a restored cluster: the one command line of Lifeboat that a shell reads, because
//! PostgreSQL gives it to one. So every word of it is checked and quoted here.
//!
//! It is given explicitly through `--recovery-option`: what pgBackRest writes by itself copies the options of the
//! restore, `--repo` and `--spool-path` among them, and then pins every segment to one repository or fails with
//! error 031 (tried with 2.45 and 2.59.1).

/// A word that can't stand in a `restore_command`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{word}' can't stand in PostgreSQL's restore_command, which a shell reads and pgBackRest does not quote: \
     it has {found:?}; use a path or name of letters, digits, spaces and /._-+=:,@"
)]
pub struct WordError {
    /// The word.
    pub word: String,
    /// The character that is refused.
    pub found: char,
}

/// `WORD… archive-get %f "%p"`, where each word stands for itself.
///
/// # Errors
/// [`WordError`] for a word with a quote, a `$`, a control character and the like.
pub fn restore_command(words: &[&str]) -> Result<String, WordError> {
    let mut command = String::new();
    for word in words {
        let refused = |letter: &char| !(letter.is_alphanumeric() || " /._-+=:,@%".contains(*letter));
        if let Some(found) = word.chars().find(refused) {
            return Err(WordError { word: (*word).to_owned(), found });
        }
        // PostgreSQL reads %% as one %.
        let word = word.replace('%', "%%");
        if word.is_empty() || word.contains(' ') {
            command.push_str(&format!("\"{word}\" "));
        } else {
            command.push_str(&format!("{word} "));
        }
    }
    command.push_str("archive-get %f \"%p\"");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_a_shell_would_split() {
        let command = restore_command(&["/usr/bin/pgbackrest", "--pg1-path=/srv/my drill/data", "--stanza=50%"]);
        let expected = r#"/usr/bin/pgbackrest "--pg1-path=/srv/my drill/data" --stanza=50%% archive-get %f "%p""#;
        assert_eq!(command.as_deref(), Ok(expected));
    }

    #[test]
    fn refuses_what_a_shell_or_the_settings_file_would_read() {
        for word in ["it's", "a\"b", "$HOME", "`id`", "a;b", "a\nb", "a\\b", "a|b", "a&b", "(x)", "*"] {
            assert!(restore_command(&["/bin/x", word]).is_err(), "{word}");
        }
    }
}
