//! Finding and reading the files.

use crate::domain::text::clean;
use crate::engine::pgbackrest_config::names::{current_name, option_of_variable};
use crate::engine::pgbackrest_config::{BackrestConfig, Entry};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const DEFAULT_DIRECTORY: &str = "/etc/pgbackrest";
const OLD_DEFAULT_FILE: &str = "/etc/pgbackrest.conf";

/// Why pgBackRest's configuration can't be read. No message shows a line's text: it may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file that was named does not exist.
    #[error(
        "pgBackRest's configuration {} does not exist: correct the path ({named_by}), or leave it out to use the default files",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What named it.
        named_by: &'static str,
    },
    /// There is no default file, and nothing is set in the environment.
    #[error(
        "pgBackRest is not configured on this host: neither {} exists, and no PGBACKREST_* variable is set; name the file with --pgbackrest-config",
        looked_at.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" nor ")
    )]
    NotConfigured {
        /// The files that were looked for.
        looked_at: Vec<PathBuf>,
    },
    /// A file or directory is there and can't be read.
    #[error(
        "pgBackRest's configuration {} can't be read as {user}: {error}; run Lifeboat as the user who runs pgbackrest (mostly postgres), or give that user the right to read it",
        path.display()
    )]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Who tried: the name or number of the effective user.
        user: String,
        /// What the kernel said.
        error: std::io::Error,
    },
    /// A line that pgBackRest would refuse too.
    #[error("{}, line {line}: {what}; pgbackrest refuses this file, correct the line", path.display())]
    BadLine {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it, and what it should be.
        what: String,
    },
}

impl BackrestConfig {
    /// Reads the file `explicit`, else the one that `environment` names, else the default files. `environment` is the
    /// whole environment that `pgbackrest` gets; what does not begin with `PGBACKREST_` is not looked at.
    ///
    /// # Errors
    /// [`ConfigError`]: a named file is missing, nothing is configured at all, a file can't be read, a bad line.
    pub fn load(
        explicit: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<BackrestConfig, ConfigError> {
        BackrestConfig::load_with_defaults(
            explicit,
            environment,
            Path::new(DEFAULT_DIRECTORY),
            Path::new(OLD_DEFAULT_FILE),
        )
    }

    /// What the environment alone sets: for hiding secrets when the files can't be read.
    #[must_use]
    pub fn of_environment(environment: &BTreeMap<String, String>) -> BackrestConfig {
        let mut config = BackrestConfig { path: None, included: Vec::new(), entries: Vec::new() };
        for (name, value) in environment {
            if let Some(option) = option_of_variable(name).filter(|_| !value.is_empty()) {
                config.entries.push(Entry { section: None, option, value: value.clone() });
            }
        }
        config
    }

    pub(super) fn load_with_defaults(
        explicit: Option<&Path>,
        environment: &BTreeMap<String, String>,
        default_directory: &Path,
        old_default: &Path,
    ) -> Result<BackrestConfig, ConfigError> {
        let mut config = BackrestConfig::of_environment(environment);
        let variable = |option: &str| config.variable(option).map(PathBuf::from);
        let named = match explicit {
            Some(path) => Some((path.to_owned(), "--pgbackrest-config or the settings")),
            None => variable("config").map(|path| (path, "the variable PGBACKREST_CONFIG")),
        };
        let include_directory = variable("config-include-path");
        let directory = variable("config-path");
        if let Some((path, named_by)) = named {
            let path = absolute(&path);
            if !config.read_file(&path)? {
                return Err(ConfigError::Missing { path, named_by });
            }
            config.path = Some(path);
            return config.include(include_directory.as_deref());
        }
        let mut looked_at = vec![directory.as_deref().unwrap_or(default_directory).join("pgbackrest.conf")];
        if directory.is_none() {
            looked_at.push(old_default.to_owned());
        }
        for path in &looked_at {
            if config.read_file(path)? {
                config.path = Some(path.clone());
                break;
            }
        }
        let default_include = directory.as_deref().unwrap_or(default_directory).join("conf.d");
        let config = config.include(Some(include_directory.as_deref().unwrap_or(&default_include)))?;
        if config.entries.is_empty() && config.path.is_none() && config.included.is_empty() {
            return Err(ConfigError::NotConfigured { looked_at });
        }
        Ok(config)
    }

    /// Reads the `*.conf` files of the include directory in the order of their names; a missing directory is none.
    fn include(mut self, directory: Option<&Path>) -> Result<BackrestConfig, ConfigError> {
        let Some(directory) = directory else { return Ok(self) };
        let unreadable = |source| unreadable(directory, source);
        let listed = match std::fs::read_dir(directory) {
            Ok(listed) => listed,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self),
            Err(error) => return Err(unreadable(error)),
        };
        let mut files = Vec::new();
        for entry in listed {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "conf") {
                files.push(path);
            }
        }
        files.sort();
        for path in files {
            if self.read_file(&path)? {
                self.included.push(path);
            }
        }
        Ok(self)
    }

    /// Adds a file's options; `false` when there is no such file.
    fn read_file(&mut self, path: &Path) -> Result<bool, ConfigError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(unreadable(path, error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let bad = |line: usize, what: String| ConfigError::BadLine { path: path.to_owned(), line, what };
        let mut section = None;
        for (number, line) in text.split('\n').enumerate().map(|(number, line)| (number + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(rest) = line.strip_prefix('[') {
                let name = rest.strip_suffix(']').ok_or_else(|| {
                    bad(number, "a section must end with ] and nothing may follow it, not even a comment".to_owned())
                })?;
                section = Some(name.to_owned());
                continue;
            }
            let (option, value) = line
                .split_once('=')
                .map(|(option, value)| (option.trim(), value.trim()))
                .filter(|(option, _)| !option.is_empty())
                .ok_or_else(|| bad(number, "neither a [section], nor option=value, nor a # comment".to_owned()))?;
            if value.is_empty() {
                return Err(bad(number, format!("option '{}' has no value", clean(option))));
            }
            let section = section.clone().ok_or_else(|| {
                bad(number, "an option before the first section, such as [global] (or a byte order mark)".to_owned())
            })?;
            let entry = Entry { section: Some(section), option: current_name(option), value: value.to_owned() };
            self.entries.push(entry);
        }
        Ok(true)
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn unreadable(path: &Path, error: std::io::Error) -> ConfigError {
    let uid = rustix::process::geteuid().as_raw();
    let user = match user_name(uid) {
        Some(name) => format!("{} (uid {uid})", clean(&name)),
        None => format!("uid {uid}"),
    };
    ConfigError::Unreadable { path: path.to_owned(), user, error }
}

/// The name of a local user; users of a directory service stay numbers in messages.
fn user_name(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines
        .find(|fields| fields.get(2).and_then(|field| field.parse().ok()) == Some(uid))
        .map(|fields| fields[0].to_owned())
}
