//! What goes along into the program that Lifeboat becomes: arguments and environment.

use crate::domain::secrets::is_secret_variable;
use crate::engine::identity::{Account, ENTERED, EXECUTABLE, OPERATOR, WORKING_DIRECTORY};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

/// The search path where the process has none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Options of the command line whose value is a path, and so must survive the change of the folder.
pub const PATH_OPTIONS: [&str; 11] = [
    "--settings",
    "--pgbackrest",
    "--pgbackrest-config",
    "--directory",
    "--stop",
    "--break",
    "--score",
    "--report",
    "--metrics",
    "--wal-directory",
    "--record",
];

/// Variables whose value is a path.
const PATH_VARIABLES: [&str; 1] = ["LIFEBOAT_SETTINGS"];

/// Makes relative values of the `options` absolute, both `--opt X` and `--opt=X`. A program's bare name
/// (`--pgbackrest pgbackrest`) stays, since it is looked up in PATH. What follows `--` stays.
#[must_use]
pub fn absolute_arguments(arguments: &[OsString], directory: &Path, options: &[&str]) -> Vec<OsString> {
    let mut result = Vec::with_capacity(arguments.len());
    let mut before: Option<&str> = None;
    let mut ended = false;
    for argument in arguments {
        if ended {
            result.push(argument.clone());
            continue;
        }
        if let Some(option) = before.take() {
            result.push(absolute(option, argument, directory));
            continue;
        }
        ended = argument == "--";
        before = options.iter().copied().find(|option| argument == option);
        let joined = options.iter().find_map(|option| {
            let value = argument.as_bytes().strip_prefix(option.as_bytes())?.strip_prefix(b"=")?;
            let mut text = OsString::from(format!("{option}="));
            text.push(absolute(option, OsStr::from_bytes(value), directory));
            Some(text)
        });
        result.push(joined.unwrap_or_else(|| argument.clone()));
    }
    result
}

fn absolute(option: &str, value: &OsStr, directory: &Path) -> OsString {
    let bare = option == "--pgbackrest" && !value.as_bytes().contains(&b'/');
    if bare || value.is_empty() { value.to_os_string() } else { directory.join(value).into_os_string() }
}

/// The environment that goes along.
pub(crate) fn environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    account: &Account,
    operator: &str,
    executable: &Path,
    directory: Option<&Path>,
    settings_file: Option<&Path>,
) -> BTreeMap<OsString, OsString> {
    let mut carried = BTreeMap::from([(OsString::from("PATH"), OsString::from(DEFAULT_PATH))]);
    for (name, value) in variables {
        let plain =
            ["PATH", "TZ", "TERM", "COLORTERM", "NO_COLOR", "PAGER", "SSH_AUTH_SOCK"].iter().any(|it| name == *it);
        let family = |prefix: &str| name.as_bytes().starts_with(prefix.as_bytes());
        let value = match directory {
            Some(directory) if PATH_VARIABLES.iter().any(|it| name == *it) && !value.is_empty() => {
                directory.join(value).into_os_string()
            }
            _ => value,
        };
        if plain || family("PGBACKREST_") || family("LIFEBOAT_") {
            carried.insert(name, value);
        }
    }
    let mut set = |name: &str, value: &OsStr| carried.insert(OsString::from(name), value.to_os_string());
    set("HOME", account.home.as_os_str());
    set("USER", OsStr::new(&account.name));
    set("LOGNAME", OsStr::new(&account.name));
    set("LANG", OsStr::new("C.UTF-8"));
    set(ENTERED, OsStr::new("1"));
    set(OPERATOR, OsStr::new(operator));
    set(EXECUTABLE, executable.as_os_str());
    if let Some(directory) = directory {
        set(WORKING_DIRECTORY, directory.as_os_str());
    }
    // The next program has another home: it must not find other settings than these.
    if let Some(file) = settings_file {
        set("LIFEBOAT_SETTINGS", file.as_os_str());
    }
    carried
}

/// `NAME=VALUE` for `env`, without the secret ones; and the names of the secret ones.
pub(crate) fn assignments(carried: &BTreeMap<OsString, OsString>) -> (Vec<OsString>, Vec<String>) {
    let (mut plain, mut secret) = (Vec::new(), Vec::new());
    for (name, value) in carried {
        let shown = name.to_string_lossy();
        if is_secret_variable(&shown) {
            secret.push(shown.into_owned());
        } else {
            let bytes = [name.as_bytes(), b"=", value.as_bytes()].concat();
            plain.push(OsString::from_vec(bytes));
        }
    }
    (plain, secret)
}

/// One argument as a person can paste it into a shell.
pub(crate) fn quoted(argument: &OsStr) -> String {
    let text = argument.to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,+@%".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    let visible: String = text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect();
    format!("'{}'", visible.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn relative_paths_become_absolute() {
        for (before, after) in [
            ("run x --settings a.toml", "run x --settings /home/al/a.toml"),
            ("--settings=a.toml run", "--settings=/home/al/a.toml run"),
            (
                "--settings /a.toml --pgbackrest-config=../p.conf",
                "--settings /a.toml --pgbackrest-config=/home/al/../p.conf",
            ),
            ("--pgbackrest pgbackrest --pgbackrest=bin/pb", "--pgbackrest pgbackrest --pgbackrest=/home/al/bin/pb"),
            ("run -- --settings a.toml", "run -- --settings a.toml"),
            ("--settings --settings x", "--settings /home/al/--settings x"),
            ("--settings", "--settings"),
            ("--settings=", "--settings="),
            ("rehearse --directory d --stanza main", "rehearse --directory /home/al/d --stanza main"),
        ] {
            assert_eq!(
                absolute_arguments(&words(before), Path::new("/home/al"), &PATH_OPTIONS),
                words(after),
                "{before}"
            );
        }
    }

    #[test]
    fn secrets_never_become_arguments() {
        let account = Account { name: "pg".into(), uid: 9, gid: 9, home: PathBuf::from("/pg") };
        let variables = [
            ("PGBACKREST_REPO1_CIPHER_PASS", "geheim"),
            ("PGBACKREST_STANZA", "main"),
            ("LIFEBOAT_SETTINGS", "a.toml"),
            ("LIFEBOAT_OPERATOR", "somebody else"),
            ("LD_PRELOAD", "x.so"),
            ("HOME", "/home/al"),
        ];
        let variables = variables.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let carried =
            environment(variables, &account, "al", Path::new("/opt/lifeboat"), Some(Path::new("/home/al")), None);
        let (plain, secret) = assignments(&carried);
        assert_eq!(secret, ["PGBACKREST_REPO1_CIPHER_PASS"]);
        let plain: Vec<String> = plain.iter().map(|it| it.to_string_lossy().into_owned()).collect();
        assert!(plain.iter().all(|it| !it.contains("geheim") && !it.contains("LD_PRELOAD")), "{plain:?}");
        for expected in [
            "HOME=/pg",
            "USER=pg",
            "LIFEBOAT_OPERATOR=al",
            "LIFEBOAT_SETTINGS=/home/al/a.toml",
            "PGBACKREST_STANZA=main",
        ] {
            assert!(plain.iter().any(|it| it == expected), "{expected}: {plain:?}");
        }
    }

    #[test]
    fn quoting() {
        for (argument, shown) in
            [("plain-1", "plain-1"), ("a b", "'a b'"), ("it's", r"'it'\''s'"), ("", "''"), ("a\x1b", "'a?'")]
        {
            assert_eq!(quoted(OsStr::new(argument)), shown);
        }
    }
}
