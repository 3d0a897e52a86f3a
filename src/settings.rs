//! The settings file: TOML to typed [`Settings`].
//!
//! Everything has a default, so a host needs no file at all. A key that is not known is an error, not a
//! silence: a misspelt `runtime_directory` must not send sockets to the wrong place. Every mistake in the
//! file is reported at once, each with its line and column.
//!
//! ```toml
//! [pgbackrest]
//! binary = "/usr/bin/pgbackrest"            # default: "pgbackrest", looked up in PATH
//! config = "/etc/pgbackrest/pgbackrest.conf" # default: what pgBackRest itself uses
//! stanza = "main"                           # default: the only stanza there is
//!
//! [postgres]
//! bin_directory = "/usr/lib/postgresql/15/bin" # default: found for the version of the backup set
//! owner = "postgres"                           # default: the owner of the data directory, else "postgres"
//!
//! [state]
//! directory = "/var/lib/lifeboat"      # default: /var/lib/lifeboat where it exists, else XDG state
//! runtime_directory = "/run/lifeboat"  # default: /run/lifeboat, else XDG runtime, else /tmp/lifeboat-UID
//!
//! [drill]
//! directory = "/srv/drill"                       # default: below the state directory
//! probe_sql = "select count(*) from orders"      # default: none
//! database = "shop"                              # default: "postgres"
//! depth = "quick"                                # default: "quick"; or "standard", "thorough"
//!
//! [runbooks]
//! directory = "/etc/lifeboat/runbooks"   # default: the folder `runbooks` beside the settings file
//!
//! [operator]
//! timezone = "Europe/Istanbul"           # default: the host's zone
//! ```
//!
//! A relative path counts from the folder of the settings file.

use chrono_tz::Tz;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The settings file of the host, read where no file is named.
pub const HOST_FILE: &str = "/etc/lifeboat/lifeboat.toml";

/// More than this is no settings file, in bytes.
const LARGEST: u64 = 1024 * 1024;

/// All settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The file they were read from; `None` when there is none and all are defaults.
    pub file: Option<PathBuf>,
    /// `[pgbackrest]`
    pub pgbackrest: PgbackrestSettings,
    /// `[postgres]`
    pub postgres: PostgresSettings,
    /// `[state]`
    pub state: StateSettings,
    /// `[drill]`
    pub drill: DrillSettings,
    /// `[runbooks]`
    pub runbooks: RunbookSettings,
    /// `[operator]`
    pub operator: OperatorSettings,
}

/// `[pgbackrest]`: which program, which configuration, which stanza.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PgbackrestSettings {
    /// `binary`: absolute, or a bare name to be looked up in PATH. Default: `pgbackrest`.
    pub binary: PathBuf,
    /// `config`: the configuration file. Default: none named, so that pgBackRest finds its own.
    pub config: Option<PathBuf>,
    /// `stanza`. Default: none named; the only one there is.
    pub stanza: Option<String>,
}

impl Default for PgbackrestSettings {
    fn default() -> PgbackrestSettings {
        PgbackrestSettings { binary: PathBuf::from("pgbackrest"), config: None, stanza: None }
    }
}

/// `[postgres]`: where the server programs are and who owns the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PostgresSettings {
    /// `bin_directory`: the folder of `postgres`, `pg_controldata` and the rest. Default: found by version.
    pub bin_directory: Option<PathBuf>,
    /// `owner`: the account, where there is no data directory to read it from. Default: `postgres`.
    pub owner: Option<String>,
}

/// `[state]`: where journals and sockets live.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateSettings {
    /// `directory`: runs and their journals. Default: see `engine::paths`.
    pub directory: Option<PathBuf>,
    /// `runtime_directory`: sockets; a short path. Default: see `engine::paths`.
    pub runtime_directory: Option<PathBuf>,
}

/// `[drill]`: defaults of the restore drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillSettings {
    /// `directory`: below it drills restore. Default: below the state directory.
    pub directory: Option<PathBuf>,
    /// `probe_sql`: one statement that a drill runs and whose result it reports. Default: none.
    pub probe_sql: Option<String>,
    /// `database`: where `probe_sql` runs. Default: `postgres`.
    pub database: String,
    /// `depth`: how much a drill reads. Default: quick.
    pub depth: DrillDepth,
}

impl Default for DrillSettings {
    fn default() -> DrillSettings {
        DrillSettings {
            directory: None,
            probe_sql: None,
            database: "postgres".to_owned(),
            depth: DrillDepth::default(),
        }
    }
}

/// How much of the restored cluster a drill reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrillDepth {
    /// `quick`: consistent, target reached, sanity queries.
    #[default]
    Quick,
    /// `standard`: and every page's checksum.
    Standard,
    /// `thorough`: and every index against its table.
    Thorough,
}

impl DrillDepth {
    /// All of them, from the least to the most.
    pub const ALL: [DrillDepth; 3] = [DrillDepth::Quick, DrillDepth::Standard, DrillDepth::Thorough];

    /// The word in the settings file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            DrillDepth::Quick => "quick",
            DrillDepth::Standard => "standard",
            DrillDepth::Thorough => "thorough",
        }
    }
}

/// `[runbooks]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunbookSettings {
    /// `directory`: a runbook here goes before the shipped one of the same name. Default: none; see [`Settings::runbook_directory`].
    pub directory: Option<PathBuf>,
}

/// `[operator]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OperatorSettings {
    /// `timezone`: IANA name; the zone shown beside UTC. Default: the host's.
    pub timezone: Option<Tz>,
}

/// Why settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file a person named can't be read.
    #[error("settings file {file}: {reason}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// What is in the file is wrong.
    #[error("{} in the settings file; nothing was started{}", count(.problems.len()), list(.problems))]
    Wrong {
        /// At least one, in the order of the file.
        problems: Vec<Problem>,
    },
}

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}: {}", self.file.display(), self.line, self.column, self.what)
    }
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 mistake".to_owned() } else { format!("{problems} mistakes") }
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// The sections and their keys: the one table behind reading, "did you mean" and the list in messages.
const KNOWN: [(&str, &[&str]); 6] = [
    ("pgbackrest", &["binary", "config", "stanza"]),
    ("postgres", &["bin_directory", "owner"]),
    ("state", &["directory", "runtime_directory"]),
    ("drill", &["directory", "probe_sql", "database", "depth"]),
    ("runbooks", &["directory"]),
    ("operator", &["timezone"]),
];

impl Settings {
    /// Reads the settings: the file that was named; else [`HOST_FILE`]; else `lifeboat/lifeboat.toml` in the
    /// user's configuration directory; else nothing, and all are defaults.
    ///
    /// # Errors
    /// [`SettingsError`] when the named file is not there, when a file that is there can't be read, or when
    /// anything in it is wrong.
    pub fn load(explicit: Option<&Path>) -> Result<Settings, SettingsError> {
        if let Some(file) = explicit {
            return Settings::read(file);
        }
        let of_user = directories::BaseDirs::new().map(|base| base.config_dir().join("lifeboat/lifeboat.toml"));
        for file in std::iter::once(PathBuf::from(HOST_FILE)).chain(of_user) {
            // A file that is there and can't be read is not the same as no file: read() says so.
            let absent = std::fs::symlink_metadata(&file).is_err_and(|error| is_absent(&error));
            if !absent {
                return Settings::read(&file);
            }
        }
        Ok(Settings::default())
    }

    /// Reads one file.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub fn read(file: &Path) -> Result<Settings, SettingsError> {
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
        let bytes = read_bytes(&file).map_err(|reason| SettingsError::Unreadable { file: file.clone(), reason })?;
        match String::from_utf8(bytes) {
            Ok(text) => Settings::parse(&text, &file),
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
                Err(SettingsError::Wrong {
                    problems: vec![problem(&file, &text, good, "this is not UTF-8 text; save the file as UTF-8")],
                })
            }
        }
    }

    /// Reads settings from `text`; `file` is for messages and for relative paths.
    ///
    /// # Errors
    /// [`SettingsError::Wrong`] with every mistake.
    pub fn parse(text: &str, file: &Path) -> Result<Settings, SettingsError> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let at = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
            let problems = errors.iter().map(|error| problem(file, text, at(error), error.message())).collect();
            return Err(SettingsError::Wrong { problems });
        }
        let folder = file.parent().unwrap_or(Path::new("/"));
        let mut reader = Reader { file, folder, text, problems: Vec::new() };
        let mut settings = Settings { file: Some(file.to_path_buf()), ..Settings::default() };
        reader.sections(table.get_ref(), &mut settings);
        if reader.problems.is_empty() {
            return Ok(settings);
        }
        reader.problems.sort_by_key(|problem| (problem.line, problem.column));
        Err(SettingsError::Wrong { problems: reader.problems })
    }

    /// Where a person's own runbooks are: the setting, else `runbooks` beside the settings file.
    #[must_use]
    pub fn runbook_directory(&self) -> Option<PathBuf> {
        let beside = || self.file.as_deref().and_then(Path::parent).map(|folder| folder.join("runbooks"));
        self.runbooks.directory.clone().or_else(beside)
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn read_bytes(file: &Path) -> Result<Vec<u8>, String> {
    let words = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => {
            format!("uid {} may not read it; check its mode and owner", rustix::process::geteuid().as_raw())
        }
        _ => error.to_string(),
    };
    let metadata = std::fs::metadata(file).map_err(words)?;
    if metadata.is_dir() {
        return Err(format!("this is a directory; name the file in it, such as {}/lifeboat.toml", file.display()));
    }
    if !metadata.is_file() {
        return Err("this is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(words)?;
    opened.take(LARGEST + 1).read_to_end(&mut bytes).map_err(words)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("larger than {LARGEST} bytes: this is no settings file"));
    }
    Ok(bytes)
}

/// Line and column of a byte offset, both from 1.
fn problem(file: &Path, text: &str, offset: usize, what: impl Into<String>) -> Problem {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|letter| *letter != '\n').count() + 1;
    Problem { file: file.to_path_buf(), line, column, what: what.into() }
}

/// Walks the parsed file and notes every mistake on the way.
struct Reader<'t> {
    file: &'t Path,
    folder: &'t Path,
    text: &'t str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn note(&mut self, offset: usize, what: impl Into<String>) {
        self.problems.push(problem(self.file, self.text, offset, what));
    }

    fn sections(&mut self, table: &DeTable<'_>, settings: &mut Settings) {
        for (name, value) in table {
            let section = name.get_ref().as_ref();
            let Some((_, keys)) = KNOWN.iter().find(|(known, _)| *known == section) else {
                let what = unknown_section(section, value.get_ref());
                self.note(name.span().start, what);
                continue;
            };
            let DeValue::Table(entries) = value.get_ref() else {
                let kind = value.get_ref().type_str();
                self.note(value.span().start, format!("'{section}' is a section: write [{section}], not a {kind}"));
                continue;
            };
            for (key, value) in entries {
                if keys.contains(&key.get_ref().as_ref()) {
                    self.value(section, key.get_ref(), value, settings);
                } else {
                    self.note(key.span().start, unknown_key(section, keys, key.get_ref()));
                }
            }
        }
    }

    fn value(&mut self, section: &str, key: &str, value: &Spanned<DeValue<'_>>, settings: &mut Settings) {
        let Some(text) = value.get_ref().as_str() else {
            let kind = value.get_ref().type_str();
            self.note(value.span().start, format!("[{section}] {key} takes text in quotes, not {}", article(kind)));
            return;
        };
        if let Err(what) = self.assign(section, key, text, settings) {
            self.note(value.span().start, format!("[{section}] {key}: {what}"));
        }
    }

    fn assign(&self, section: &str, key: &str, text: &str, settings: &mut Settings) -> Result<(), String> {
        if text.trim().is_empty() {
            return Err("the value is empty; leave the line out to get the default".to_owned());
        }
        if text.chars().any(|letter| letter.is_control() && !(key == "probe_sql" && letter.is_whitespace())) {
            return Err("the value holds a control character".to_owned());
        }
        let path = || self.folder.join(text);
        match (section, key) {
            ("pgbackrest", "binary") if !text.contains('/') => settings.pgbackrest.binary = PathBuf::from(text),
            ("pgbackrest", "binary") => settings.pgbackrest.binary = path(),
            ("pgbackrest", "config") => settings.pgbackrest.config = Some(path()),
            ("pgbackrest", "stanza") => settings.pgbackrest.stanza = Some(text.to_owned()),
            ("postgres", "bin_directory") => settings.postgres.bin_directory = Some(path()),
            ("postgres", "owner") => settings.postgres.owner = Some(text.to_owned()),
            ("state", "directory") => settings.state.directory = Some(path()),
            ("state", "runtime_directory") => settings.state.runtime_directory = Some(path()),
            ("drill", "directory") => settings.drill.directory = Some(path()),
            ("drill", "probe_sql") => settings.drill.probe_sql = Some(text.to_owned()),
            ("drill", "database") => settings.drill.database = text.to_owned(),
            ("drill", "depth") => settings.drill.depth = depth(text)?,
            ("runbooks", "directory") => settings.runbooks.directory = Some(path()),
            ("operator", "timezone") => settings.operator.timezone = Some(timezone(text)?),
            _ => return Err("this version can't read it".to_owned()),
        }
        Ok(())
    }
}

fn depth(text: &str) -> Result<DrillDepth, String> {
    let words: Vec<&str> = DrillDepth::ALL.iter().map(|depth| depth.word()).collect();
    let found = DrillDepth::ALL.into_iter().find(|depth| depth.word() == text);
    found.ok_or_else(|| format!("'{text}' is not a depth; it is one of {}", words.join(", ")))
}

fn timezone(text: &str) -> Result<Tz, String> {
    text.parse().map_err(|_| {
        let near = nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        let hint = near.map_or_else(|| "such as Europe/Berlin or UTC".to_owned(), |near| format!("perhaps {near}"));
        format!("'{text}' is not an IANA time zone name; {hint}")
    })
}

fn unknown_section(name: &str, value: &DeValue<'_>) -> String {
    let sections = KNOWN.map(|(section, _)| section);
    if !value.is_table()
        && let Some((section, _)) = KNOWN.iter().find(|(_, keys)| keys.contains(&name))
    {
        return format!("'{name}' stands outside a section; it belongs under [{section}]");
    }
    let near = nearest(name, sections.into_iter());
    let hint = near.map_or_else(String::new, |near| format!("; did you mean [{near}]?"));
    format!("there is no section [{name}]{hint} (known: {})", sections.join(", "))
}

fn unknown_key(section: &str, keys: &[&str], key: &str) -> String {
    let known = keys.join(", ");
    if let Some(near) = nearest(key, keys.iter().copied()) {
        return format!("[{section}] has no key '{key}'; did you mean '{near}'? (known: {known})");
    }
    if let Some((other, _)) = KNOWN.iter().find(|(_, keys)| keys.contains(&key)) {
        return format!("[{section}] has no key '{key}'; it belongs under [{other}] (known here: {known})");
    }
    format!("[{section}] has no key '{key}' (known: {known})")
}

fn article(kind: &str) -> String {
    let vowel = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if vowel { "an" } else { "a" })
}

/// The known word that is fewest changes away, if it is near enough to be meant.
fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let (changes, near) =
        known.map(|known| (distance(&word, &known.to_lowercase()), known)).min_by_key(|(changes, _)| *changes)?;
    (changes <= (word.chars().count() / 3).max(2)).then_some(near)
}

/// Levenshtein's distance, where swapping two neighbours counts as one change.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let (mut before, mut row): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=right.len()).collect());
    let mut last = None;
    for (line, letter) in left.chars().enumerate() {
        let mut next = vec![line + 1];
        for (column, other) in right.iter().enumerate() {
            let change = row[column] + usize::from(letter != *other);
            let mut least = change.min(row[column + 1] + 1).min(next[column] + 1);
            if column > 0 && last == Some(*other) && letter == right[column - 1] {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
        last = Some(letter);
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (left, right, changes) in [("", "", 0), ("", "abc", 3), ("stanza", "stnaza", 1), ("kitten", "sitting", 3)] {
            assert_eq!(distance(left, right), changes, "{left} {right}");
        }
    }
}
