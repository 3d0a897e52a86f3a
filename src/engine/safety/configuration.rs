//! Configuration, certificates and logs: an in-place restore brings back that day's, or none where they lie elsewhere.

use crate::domain::digest::Digest;
use crate::domain::text::clean;
use crate::engine::ask::{self, Question};
use crate::engine::postgres::PostgresPrograms;
use crate::engine::safety::{SafetyError, make_directory, open_plain, write_durably};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// No configuration file is larger.
const LARGEST: u64 = 4 << 20;

/// The settings that name files. A server tells them with SQL, too; here it may be stopped.
const SETTINGS: [&str; 8] = [
    "config_file",
    "hba_file",
    "ident_file",
    "ssl_cert_file",
    "ssl_key_file",
    "ssl_ca_file",
    "ssl_crl_file",
    "log_directory",
];

/// Where a cluster's files are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// Absolute paths by the setting's name.
    pub files: BTreeMap<String, PathBuf>,
    /// What could not be found out, in words.
    pub unknown: Vec<String>,
}

/// What was saved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SavedFiles {
    /// The files, by where they were.
    pub saved: BTreeSet<PathBuf>,
    /// What was not, and why.
    pub left_out: BTreeMap<PathBuf, String>,
    /// What was saved, in bytes.
    pub bytes: u64,
}

/// Asks `postgres -C` with the arguments the server was last started with (`postmaster.opts`): on Debian the
/// configuration lies in `/etc/postgresql`. Reads files only; the server may run or not. A `config_file` that is known
/// from elsewhere goes before the one of the last start.
///
/// # Errors
/// `postgres` could not be started. What it does not tell is listed in [`Places::unknown`].
pub fn places(
    programs: &PostgresPrograms,
    environment: &BTreeMap<String, String>,
    data_directory: &Path,
    config_file: Option<&Path>,
) -> Result<Places, SafetyError> {
    let mut found = Places::default();
    let started_with = read(&data_directory.join("postmaster.opts"))?.unwrap_or_default();
    let started_with = String::from_utf8_lossy(&started_with);
    let arguments = options(&started_with);
    let directory = started_in(&started_with).unwrap_or_else(|| data_directory.to_owned());
    for setting in SETTINGS {
        let mut question = Question::new(programs.program("postgres"));
        question.environment = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        question.environment.insert("LC_ALL".into(), "C".into());
        question.environment.remove("PGDATA");
        // "-C" first: only then root is no reason to refuse
        question.arguments = vec!["-C".into(), setting.into(), "-D".into(), (&directory).into()];
        question.arguments.extend(arguments.iter().map(Into::into));
        // the last of a name counts
        question.arguments.extend(config_file.map(|path| format!("--config_file={}", path.display()).into()));
        question.output_limit_bytes = 1 << 16;
        let answer = ask::ask(&question)?;
        let value = String::from_utf8_lossy(&answer.stdout).trim_end_matches('\n').to_owned();
        if answer.code != 0 {
            found.unknown.push(format!("{setting}: {}", answer.stderr.trim()));
        } else if !value.is_empty() {
            found.files.insert(setting.to_owned(), data_directory.join(value));
        }
    }
    if let Some(path) = config_file {
        // known even where the data directory is lost and postgres says nothing
        found.files.insert("config_file".to_owned(), path.to_owned());
    }
    Ok(found)
}

/// The directory after `-D` in a line of `postmaster.opts`, where it holds the configuration: the data directory, or the
/// one whose `postgresql.conf` names it.
fn started_in(text: &str) -> Option<PathBuf> {
    let mut words = text.trim_end().split(" \"").skip(1).map(|word| word.strip_suffix('"').unwrap_or(word));
    words.find(|word| *word == "-D")?;
    let path = PathBuf::from(words.next()?);
    (path.is_absolute() && path.join("postgresql.conf").is_file()).then_some(path)
}

/// The settings (`-c name=value`, `--name=value`) of a line of `postmaster.opts`: program, then each argument in double
/// quotes. The data directory is given apart.
fn options(text: &str) -> Vec<String> {
    let mut words = text.trim_end().split(" \"").skip(1).map(|word| word.strip_suffix('"').unwrap_or(word));
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        if word == "-c" {
            found.extend(words.next().map(|value| format!("--{value}")));
        } else if word.starts_with("--") && word.contains('=') {
            found.push(word.to_owned());
        }
    }
    found
}

/// Copies `global/pg_control` to the same place below `safety`: the limits that replay needs stand in it, and the one in
/// place is set aside and overwritten. Nothing where there is none.
///
/// # Errors
/// The copy could not be made.
pub fn save_control(data_directory: &Path, safety: &Path) -> Result<(), SafetyError> {
    let control = Path::new("global").join("pg_control");
    let from = data_directory.join(&control);
    if !from.exists() {
        return Ok(());
    }
    make_directory(&safety.join("global"))?;
    let bytes = std::fs::read(&from).map_err(SafetyError::io(&from, "reading the control file"))?;
    write_durably(&safety.join(&control), &bytes, true)
}

/// Saves `*.conf` and `postmaster.opts` of the data directory, the configuration wherever it lies with what it includes
/// and its neighbours, `pg_hba.conf`, `pg_ident.conf` and the certificates, each below `safety/configuration` under its
/// own path, 0600 (a private key is among them). A file that changed since an earlier pass is saved beside the first.
///
/// # Errors
/// [`SafetyError`] where nothing can be written; what can't be read is told in [`SavedFiles::left_out`].
pub fn save_configuration(data_directory: &Path, places: &Places, safety: &Path) -> Result<SavedFiles, SafetyError> {
    let mut wanted: BTreeSet<PathBuf> = BTreeSet::new();
    wanted.insert(data_directory.join("postmaster.opts"));
    let is_conf = |path: &Path| path.extension().is_some_and(|extension| extension == "conf");
    wanted.extend(neighbours(data_directory).into_iter().filter(|path| is_conf(path)));
    for (setting, path) in places.files.iter().filter(|(setting, _)| *setting != "log_directory") {
        wanted.insert(path.clone());
        let folder = path.parent().unwrap_or(Path::new("/"));
        if setting == "config_file" && folder != data_directory {
            wanted.extend(neighbours(folder));
        }
    }
    if let Some(main) = places.files.get("config_file") {
        includes(main, &mut wanted, 0);
    }
    let mut saved = SavedFiles::default();
    for path in wanted {
        match read(&path) {
            Ok(Some(bytes)) => {
                save(&path, &bytes, &safety.join("configuration"))?;
                saved.bytes += bytes.len() as u64;
                saved.saved.insert(path);
            }
            Ok(None) => {}
            Err(error) => {
                saved.left_out.insert(path, clean(&error.to_string()));
            }
        }
    }
    Ok(saved)
}

/// Saves the newest files of `log_directory`, at most `limit_bytes`; of the one that does not fit its end.
///
/// # Errors
/// [`SafetyError`] where nothing can be written. A folder that is not there has no logs.
pub fn save_logs(log_directory: &Path, safety: &Path, limit_bytes: u64) -> Result<SavedFiles, SafetyError> {
    let mut logs: Vec<(std::time::SystemTime, PathBuf, u64)> = Vec::new();
    for path in neighbours(log_directory) {
        let Ok(found) = path.symlink_metadata() else { continue };
        if found.is_file() {
            logs.push((found.modified().unwrap_or(std::time::UNIX_EPOCH), path, found.len()));
        }
    }
    logs.sort();
    let mut saved = SavedFiles::default();
    for (_, path, size) in logs.into_iter().rev() {
        let room = limit_bytes - saved.bytes;
        if room == 0 {
            saved.left_out.insert(path, format!("older than the newest {limit_bytes} bytes"));
            continue;
        }
        let Some(mut file) = open_plain(&path)? else { continue };
        let skipped = size.saturating_sub(room);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(skipped))
            .and_then(|_| file.take(room).read_to_end(&mut bytes))
            .map_err(SafetyError::io(&path, "reading it"))?;
        save(&path, &bytes, &safety.join("log"))?;
        saved.bytes += bytes.len() as u64;
        if skipped > 0 {
            saved.left_out.insert(path.clone(), format!("its first {skipped} bytes"));
        }
        saved.saved.insert(path);
    }
    Ok(saved)
}

/// Writes a file below `folder` under its own path. Another content under that name stays; this one goes beside it.
fn save(path: &Path, bytes: &[u8], folder: &Path) -> Result<(), SafetyError> {
    let below: PathBuf = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    let mut to = folder.join(below);
    make_directory(to.parent().unwrap_or(folder))?;
    if let Some(there) = read(&to)? {
        if there == bytes {
            return Ok(());
        }
        let mut name = to.into_os_string();
        name.push(format!(".{}", &Digest::of(bytes).to_string()[..8]));
        to = PathBuf::from(name);
        if read(&to)?.is_some() {
            return Ok(());
        }
    }
    write_durably(&to, bytes, false)
}

/// The files that a configuration includes, as far as they can be read.
fn includes(file: &Path, wanted: &mut BTreeSet<PathBuf>, depth: usize) {
    // PostgreSQL's own limit
    if depth > 10 {
        return;
    }
    let Ok(Some(bytes)) = read(file) else { return };
    let folder = file.parent().unwrap_or(Path::new("/"));
    for line in String::from_utf8_lossy(&bytes).lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let Some((word, rest)) = line.split_once([' ', '\t', '=']) else { continue };
        let value = rest.trim_matches([' ', '\t', '=', '\'']);
        let path = folder.join(value);
        match word.to_ascii_lowercase().as_str() {
            "include" | "include_if_exists" if wanted.insert(path.clone()) => includes(&path, wanted, depth + 1),
            "include_dir" => {
                let conf = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "conf");
                for path in neighbours(&path).into_iter().filter(conf) {
                    if wanted.insert(path.clone()) {
                        includes(&path, wanted, depth + 1);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The entries of a folder that are files or links to some, in order; none where it can't be read.
fn neighbours(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    found.sort();
    found
}

/// A configuration file's content. A link is followed: Debian's certificates are links.
fn read(path: &Path) -> Result<Option<Vec<u8>>, SafetyError> {
    let resolved = match std::fs::canonicalize(path) {
        Ok(resolved) => resolved,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(SafetyError::io(path, "finding it")(error)),
    };
    let Some(file) = open_plain(&resolved)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(SafetyError::io(path, "reading it"))?;
    if bytes.len() as u64 > LARGEST {
        let why = format!("it is larger than {LARGEST} bytes: no configuration");
        return Err(SafetyError::Unexpected { path: path.to_owned(), why });
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_directory_of_the_last_start_counts_where_its_configuration_is_there() {
        let home = tempfile::tempdir().unwrap();
        let started =
            |path: &Path| started_in(&format!("/usr/bin/postgres \"-D\" \"{}\" \"-c\" \"port=1\"\n", path.display()));
        assert_eq!(started(home.path()), None);
        std::fs::write(home.path().join("postgresql.conf"), "").unwrap();
        assert_eq!(started(home.path()).as_deref(), Some(home.path()));
        assert_eq!(started(Path::new("etc")), None);
        assert_eq!(started_in("/usr/bin/postgres \"-D\""), None);
        assert_eq!(started_in(""), None);
    }

    #[test]
    fn the_settings_of_the_last_start_are_read() {
        let debian = "/usr/lib/postgresql/15/bin/postgres \"-D\" \"/var/lib/postgresql/15/main\" \"-c\" \
            \"config_file=/etc/postgresql/15/main/postgresql.conf\" \"--port=1\" \"-k\" \"/tmp/a b\"\n";
        assert_eq!(options(debian), ["--config_file=/etc/postgresql/15/main/postgresql.conf", "--port=1"]);
        assert_eq!(options(""), Vec::<String>::new());
    }
}
