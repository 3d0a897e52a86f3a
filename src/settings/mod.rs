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
//! user = "postgres"                            # default: "postgres", the superuser role of the restored cluster
//!
//! [state]
//! directory = "/var/lib/lifeboat"      # default: /var/lib/lifeboat where it exists, else XDG state
//! runtime_directory = "/run/lifeboat"  # default: /run/lifeboat, else XDG runtime, else /tmp/lifeboat-UID
//! wal_cache = "2GB"                    # default: 2GB; how much fetched WAL is kept for the next question, "0" for none
//!
//! [drill]
//! directory = "/srv/drill"                       # default: below the state directory
//! probe_sql = "select count(*) from orders"      # default: none
//! database = "shop"                              # default: "postgres"
//! depth = "rows"                                 # default: "rows"; or "start", "catalog", "amcheck", "checksums"
//!
//! [runbooks]
//! directory = "/etc/lifeboat/runbooks"   # default: the folder `runbooks` beside the settings file
//!
//! [console]
//! theme = "light"                        # default: "dark"; or "high-contrast", "mono". LIFEBOAT_THEME goes before it
//! seconds = false                        # default: true; without them nothing moves on the screen while nothing happens
//! ascii = true                           # default: false, but where the terminal has no more than ASCII
//!
//! [operator]
//! timezone = "Europe/Istanbul"           # default: the host's zone
//! ```
//!
//! A relative path counts from the folder of the settings file.

mod reader;

use crate::settings::reader::{Reader, problem};
use chrono_tz::Tz;
use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

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
    /// `[console]`
    pub console: ConsoleSettings,
    /// `[operator]`
    pub operator: OperatorSettings,
    /// `--read-only`, in no file: no SQL, nothing stored, no run begun or answered.
    pub read_only: bool,
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
    /// `user`: the superuser role a drill asks as, in the restored cluster. Default: `postgres`.
    pub user: Option<String>,
}

/// `[state]`: where journals and sockets live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateSettings {
    /// `directory`: runs and their journals. Default: see `engine::paths`.
    pub directory: Option<PathBuf>,
    /// `runtime_directory`: sockets; a short path. Default: see `engine::paths`.
    pub runtime_directory: Option<PathBuf>,
    /// `wal_cache`: how many bytes of WAL that was fetched from repositories are kept. Default: 2 GB.
    pub wal_cache_bytes: u64,
}

impl Default for StateSettings {
    fn default() -> StateSettings {
        StateSettings { directory: None, runtime_directory: None, wal_cache_bytes: 2 << 30 }
    }
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
    /// `depth`: how much a drill reads. Default: rows.
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

/// How much of the restored cluster a drill reads; each includes those before it. The same words as the drill's `depth`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DrillDepth {
    /// `start`: consistent, target reached, the result read back.
    Start,
    /// `catalog`: and every definition of every database.
    Catalog,
    /// `rows`: and every row of one database's tables, counted.
    #[default]
    Rows,
    /// `amcheck`: and every table against its indexes.
    Amcheck,
    /// `checksums`: and every page's checksum.
    Checksums,
}

impl DrillDepth {
    /// All of them, from the least to the most.
    pub const ALL: [DrillDepth; 5] =
        [DrillDepth::Start, DrillDepth::Catalog, DrillDepth::Rows, DrillDepth::Amcheck, DrillDepth::Checksums];

    /// The word in the settings file.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            DrillDepth::Start => "start",
            DrillDepth::Catalog => "catalog",
            DrillDepth::Rows => "rows",
            DrillDepth::Amcheck => "amcheck",
            DrillDepth::Checksums => "checksums",
        }
    }
}

/// `[runbooks]`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunbookSettings {
    /// `directory`: a runbook here goes before the shipped one of the same name. Default: none; see [`Settings::runbook_directory`].
    pub directory: Option<PathBuf>,
}

/// The themes that a console can have. Each is a file in `themes/`.
pub const THEMES: [&str; 4] = ["dark", "light", "high-contrast", "mono"];

/// `[console]`: how the console looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// `theme`: one of [`THEMES`]. Default: the first.
    pub theme: &'static str,
    /// `seconds`: the clock on the screen has seconds. Without them an idle console sends nothing and sleeps.
    pub seconds: bool,
    /// `ascii`: no letter beyond ASCII on the screen, whatever the terminal can show.
    pub ascii: bool,
}

impl Default for ConsoleSettings {
    fn default() -> ConsoleSettings {
        ConsoleSettings { theme: THEMES[0], seconds: true, ascii: false }
    }
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
