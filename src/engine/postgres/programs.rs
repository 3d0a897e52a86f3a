//! Finding and asking PostgreSQL's server programs.

use crate::domain::control_data::ControlData;
use crate::domain::text::clean_bytes;
use crate::engine::ask::{self, Question, find_program};
use crate::engine::postgres::PostgresError;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of one installation, and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresPrograms {
    /// The folder with `postgres`, `pg_controldata`, `pg_ctl`, …
    pub bin_directory: PathBuf,
    /// What `postgres --version` says: `15.18`.
    pub version: String,
}

impl PostgresPrograms {
    /// The programs of major version `major` (`15`, `9.6`): in `bin_directory` (of the settings) and nowhere else when that
    /// is given, else in `/usr/lib/postgresql/MAJOR/bin` (Debian), `/usr/pgsql-MAJOR/bin` (PGDG's RPMs), else in PATH.
    ///
    /// # Errors
    /// [`PostgresError::NotFound`], [`PostgresError::OtherVersion`], or what asking for the version failed with.
    pub fn find(
        bin_directory: Option<&Path>,
        major: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<PostgresPrograms, PostgresError> {
        let candidates = candidates(bin_directory, major, environment.get("PATH").map(OsStr::new));
        let looked = candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
        let found = candidates.into_iter().find(|directory| directory.join("postgres").exists());
        let Some(bin_directory) = found else {
            return Err(PostgresError::NotFound { major: major.to_owned(), looked });
        };
        let programs = PostgresPrograms::at(&bin_directory, environment)?;
        if programs.major() != major {
            let found = programs.major().to_owned();
            return Err(PostgresError::OtherVersion { bin_directory, found, needed: major.to_owned() });
        }
        Ok(programs)
    }

    /// The programs in a folder, whichever version they are.
    ///
    /// # Errors
    /// When `postgres --version` can't be asked.
    pub fn at(bin_directory: &Path, environment: &BTreeMap<String, String>) -> Result<PostgresPrograms, PostgresError> {
        let answer = question(bin_directory, "postgres", &["--version"], environment);
        let said = run(&answer)?;
        // "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"; forks put another word before it
        let version = said.split_whitespace().find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        let Some(version) = version else {
            let said = format!("its version can't be read from '{said}'");
            return Err(PostgresError::Refused { program: answer.program, code: 0, said });
        };
        Ok(PostgresPrograms { bin_directory: bin_directory.to_owned(), version: version.to_owned() })
    }

    /// The major version: `15`, `9.6`.
    #[must_use]
    pub fn major(&self) -> &str {
        major_of(&self.version)
    }

    /// The absolute path of one of the programs.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.bin_directory.join(name)
    }

    /// What the control file of a data directory says. Also right while a server runs on it.
    ///
    /// # Errors
    /// When `pg_controldata` can't be asked, ends with an error (no control file: an unfinished restore) or prints something else.
    pub fn control_data(
        &self,
        data_directory: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<ControlData, PostgresError> {
        let mut question = question(&self.bin_directory, "pg_controldata", &["-D"], environment);
        question.arguments.push(data_directory.into());
        let said = run(&question)?;
        ControlData::parse(&said)
            .map_err(|source| PostgresError::ControlData { data_directory: data_directory.to_owned(), source })
    }

    /// What the configuration in a data directory (or beside it: `config_file`) makes of a setting. It reads files only;
    /// the server may run or not (`postgres -C`).
    ///
    /// # Errors
    /// When there is no such setting, or the configuration has a mistake.
    pub fn setting(
        &self,
        name: &str,
        data_directory: &Path,
        config_file: Option<&Path>,
        environment: &BTreeMap<String, String>,
    ) -> Result<String, PostgresError> {
        // "-C" first: only then root is no reason to refuse.
        let mut question = question(&self.bin_directory, "postgres", &["-C", name, "-D"], environment);
        question.arguments.push(data_directory.into());
        question.arguments.extend(config_file.map(|path| format!("--config_file={}", path.display()).into()));
        run(&question).map(|said| said.trim_end_matches('\n').to_owned())
    }
}

/// The major version of a version's text: `15` of `15.18`, `9.6` of `9.6.24`, `19` of `19beta2`.
#[must_use]
pub fn major_of(version: &str) -> &str {
    let end = |text: &str| text.find(|next: char| !next.is_ascii_digit()).unwrap_or(text.len());
    let first = end(version);
    if version[..first].len() >= 2 || !version[first..].starts_with('.') {
        return &version[..first];
    }
    &version[..first + 1 + end(&version[first + 1..])]
}

fn candidates(bin_directory: Option<&Path>, major: &str, search_path: Option<&OsStr>) -> Vec<PathBuf> {
    if let Some(bin_directory) = bin_directory {
        return vec![bin_directory.to_owned()];
    }
    let mut candidates = vec![
        PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")),
        PathBuf::from(format!("/usr/pgsql-{major}/bin")),
    ];
    let in_path = find_program(Path::new("postgres"), search_path);
    candidates.extend(in_path.and_then(|program| program.parent().map(Path::to_owned)));
    candidates
}

fn question(
    bin_directory: &Path,
    program: &str,
    arguments: &[&str],
    environment: &BTreeMap<String, String>,
) -> Question {
    let mut question = Question::new(bin_directory.join(program));
    question.arguments = arguments.iter().map(Into::into).collect();
    question.environment = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    // what they print is read: no translation, and no data directory from outside
    question.environment.insert("LC_ALL".into(), "C".into());
    for name in ["LANGUAGE", "PGDATA"] {
        question.environment.remove(name);
    }
    question.time_limit = Duration::from_secs(20);
    question.output_limit_bytes = 1 << 20;
    question
}

fn run(question: &Question) -> Result<String, PostgresError> {
    let answer = ask::ask(question)?;
    if answer.code != 0 {
        let said = answer.stderr.trim().to_owned();
        return Err(PostgresError::Refused { program: question.program.clone(), code: answer.code, said });
    }
    Ok(answer.stdout.split(|byte| *byte == b'\n').map(clean_bytes).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn major_versions_are_read() {
        for (version, major) in [
            ("15.18", "15"),
            ("9.6.24", "9.6"),
            ("19beta2", "19"),
            ("17rc1", "17"),
            ("9.6", "9.6"),
            ("10", "10"),
            ("", ""),
        ] {
            assert_eq!(major_of(version), major, "{version}");
        }
    }

    #[test]
    fn a_folder_in_the_settings_is_the_only_one() {
        assert_eq!(candidates(Some(Path::new("/opt/pg/bin")), "15", None), [PathBuf::from("/opt/pg/bin")]);
        assert_eq!(candidates(None, "15", None).first(), Some(&PathBuf::from("/usr/lib/postgresql/15/bin")));
    }

    #[test]
    fn missing_programs_are_told_with_the_places() {
        let environment = BTreeMap::from([("PATH".to_owned(), "/nowhere".to_owned())]);
        let message = PostgresPrograms::find(None, "8.4", &environment).expect_err("there is no 8.4").to_string();
        assert!(message.contains("/usr/lib/postgresql/8.4/bin") && message.contains("bin_directory"), "{message}");
    }
}
