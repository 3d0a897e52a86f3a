//! The environment that every command gets: small, the same for everybody, and without a surprise.
//!
//! `PGBACKREST_*` passes as it was, since some hosts are configured by nothing else. The values of secret
//! options pass too, but wherever the environment is shown, journalled or sealed they read `<set>`.

use crate::domain::secrets::{SHOWN, is_secret_variable};
use crate::engine::identity::{self, DEFAULT_PATH};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// Why the environment can't be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A variable that would be handed on is no text.
    #[error("the environment variable {name} is not UTF-8 text; set it again or unset it, then start anew")]
    NotText {
        /// Its name, as far as it can be shown.
        name: String,
    },
}

/// The environment of every command, before a step adds its own variables.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseEnvironment {
    /// What the command gets. Holds secrets: never shown, journalled or sealed.
    pub real: BTreeMap<String, String>,
    /// The same with `<set>` in the place of every secret value.
    pub shown: BTreeMap<String, String>,
    /// The names of the secret ones, sorted.
    pub secret_names: Vec<String>,
}

impl BaseEnvironment {
    /// The environment for commands started by this process: HOME, USER and LOGNAME of the account it runs
    /// as, PATH, TZ and `SSH_AUTH_SOCK` as they are, `LANG=C.UTF-8`, and every `PGBACKREST_*`.
    ///
    /// # Errors
    /// [`EnvironmentError::NotText`] when one of these is not UTF-8.
    pub fn from_process() -> Result<BaseEnvironment, EnvironmentError> {
        let mut own = BTreeMap::new();
        if let Ok(account) = identity::account_of_process() {
            let home = identity::home_of(&account);
            own.insert("HOME".to_owned(), home.to_string_lossy().into_owned());
            own.insert("USER".to_owned(), account.name.clone());
            own.insert("LOGNAME".to_owned(), account.name);
        }
        BaseEnvironment::from_variables(std::env::vars_os(), own)
    }

    /// The same from given variables; `own` goes before them.
    ///
    /// # Errors
    /// As [`BaseEnvironment::from_process`].
    pub fn from_variables(
        variables: impl IntoIterator<Item = (OsString, OsString)>,
        own: BTreeMap<String, String>,
    ) -> Result<BaseEnvironment, EnvironmentError> {
        let mut real = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
        for (name, value) in variables {
            let shown_name = name.to_string_lossy();
            if !is_passed(&shown_name) {
                continue;
            }
            let not_text = || EnvironmentError::NotText { name: shown_name.escape_default().to_string() };
            let text = value.to_str().ok_or_else(not_text)?.to_owned();
            real.insert(name.to_str().ok_or_else(not_text)?.to_owned(), text);
        }
        real.extend(own);
        real.insert("LANG".to_owned(), "C.UTF-8".to_owned());
        let secret_names: Vec<String> = real.keys().filter(|name| is_secret_variable(name)).cloned().collect();
        let mut shown = real.clone();
        for name in &secret_names {
            shown.insert(name.clone(), SHOWN.to_owned());
        }
        Ok(BaseEnvironment { real, shown, secret_names })
    }
}

fn is_passed(name: &str) -> bool {
    let plain = ["HOME", "USER", "LOGNAME", "PATH", "TZ", "SSH_AUTH_SOCK"];
    plain.contains(&name) || name.starts_with("PGBACKREST_")
}

impl fmt::Debug for BaseEnvironment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("BaseEnvironment").field("shown", &self.shown).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
    use super::*;
    use std::os::unix::ffi::OsStringExt as _;

    fn of(variables: &[(&str, &str)]) -> BaseEnvironment {
        let variables = variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        BaseEnvironment::from_variables(variables, BTreeMap::from([("HOME".into(), "/var/lib/pg".into())])).unwrap()
    }

    #[test]
    fn only_what_is_named_passes() {
        let environment = of(&[
            ("HOME", "/root"),
            ("PATH", "/bin"),
            ("TZ", "UTC"),
            ("LC_ALL", "de_DE"),
            ("LANG", "de_DE"),
            ("PGDATA", "/x"),
            ("PGBACKREST_STANZA", "main"),
            ("LD_PRELOAD", "/x"),
        ]);
        let expected = [
            ("HOME", "/var/lib/pg"),
            ("LANG", "C.UTF-8"),
            ("PATH", "/bin"),
            ("PGBACKREST_STANZA", "main"),
            ("TZ", "UTC"),
        ];
        assert_eq!(environment.real, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        assert_eq!(environment.real, environment.shown);
        assert_eq!(of(&[]).real["PATH"], DEFAULT_PATH);
    }

    #[test]
    fn a_secret_is_passed_and_never_shown() {
        let environment = of(&[("PGBACKREST_REPO2_CIPHER_PASS", "geheim")]);
        assert_eq!(environment.real["PGBACKREST_REPO2_CIPHER_PASS"], "geheim");
        assert_eq!(environment.shown["PGBACKREST_REPO2_CIPHER_PASS"], "<set>");
        assert_eq!(environment.secret_names, ["PGBACKREST_REPO2_CIPHER_PASS"]);
        let debug = format!("{environment:?} {environment:#?}");
        assert!(debug.contains("<set>") && !debug.contains("geheim"), "{debug}");
    }

    #[test]
    fn what_is_no_text_is_refused_only_where_it_would_pass() {
        let broken = |name: &str| {
            BaseEnvironment::from_variables([(OsString::from(name), OsString::from_vec(vec![0xff]))], BTreeMap::new())
        };
        assert!(broken("OTHER").is_ok());
        assert!(broken("PGBACKREST_STANZA").unwrap_err().to_string().contains("PGBACKREST_STANZA"));
    }
}
