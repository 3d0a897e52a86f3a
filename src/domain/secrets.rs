//! Which pgBackRest options are secret: their names are known, their values are never shown.
//!
//! The list is the options that pgBackRest itself refuses on a command line (2.45 to 2.59), and two
//! that may carry a password though it doesn't: `recovery-option` (`primary_conninfo`) and
//! `repo-s3-process-cmd`. An option of a later version whose last word says that it is a secret counts too.

/// What stands in the place of a secret value wherever it would be shown, journalled or sealed.
pub const SHOWN: &str = "<set>";

/// Options of a repository, without `repoN-`.
const OF_REPOSITORY: [&str; 11] = [
    "azure-account",
    "azure-endpoint",
    "azure-key",
    "cipher-pass",
    "gcs-key",
    "s3-key",
    "s3-key-secret",
    "s3-process-cmd",
    "s3-sse-customer-key",
    "s3-token",
    "sftp-private-key-passphrase",
];

/// Last words of names that a later version may bring.
const LAST_WORDS: [&str; 6] = ["key", "pass", "passphrase", "password", "secret", "token"];

/// Whether the value of a pgBackRest option is secret. `name` is as in a configuration file
/// (`repo1-cipher-pass`; the older `repo-cipher-pass` as well), with or without leading dashes.
#[must_use]
pub fn is_secret_option(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    if name == "recovery-option" {
        return true;
    }
    if let Some(rest) = name.strip_prefix("repo") {
        let option = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
        if option.strip_prefix('-').is_some_and(|option| OF_REPOSITORY.contains(&option)) {
            return true;
        }
    }
    name.rsplit('-').next().is_some_and(|last| LAST_WORDS.contains(&last))
}

/// Whether the value of an environment variable is a secret of pgBackRest: `PGBACKREST_REPO1_CIPHER_PASS`.
#[must_use]
pub fn is_secret_variable(name: &str) -> bool {
    name.strip_prefix("PGBACKREST_").is_some_and(|option| is_secret_option(&option.replace('_', "-")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_variables() {
        for name in [
            "PGBACKREST_REPO1_CIPHER_PASS",
            "PGBACKREST_REPO12_S3_KEY_SECRET",
            "PGBACKREST_REPO_S3_KEY",
            "PGBACKREST_REPO2_AZURE_ENDPOINT",
            "PGBACKREST_REPO2_AZURE_ACCOUNT",
            "PGBACKREST_REPO256_SFTP_PRIVATE_KEY_PASSPHRASE",
            "PGBACKREST_REPO1_S3_PROCESS_CMD",
            "PGBACKREST_RECOVERY_OPTION",
            "PGBACKREST_REPO1_SOMETHING_NEW_TOKEN",
        ] {
            assert!(is_secret_variable(name), "{name}");
        }
    }

    #[test]
    fn other_variables() {
        for name in [
            "PGBACKREST_REPO1_PATH",
            "PGBACKREST_REPO1_S3_KEY_TYPE",
            "PGBACKREST_REPO1_CIPHER_TYPE",
            "PGBACKREST_REPO1_SFTP_PRIVATE_KEY_FILE",
            "PGBACKREST_TLS_SERVER_KEY_FILE",
            "PGBACKREST_PG1_PATH",
            "REPO1_CIPHER_PASS",
            "LIFEBOAT_SETTINGS",
            "",
        ] {
            assert!(!is_secret_variable(name), "{name}");
        }
    }

    #[test]
    fn secret_options() {
        assert!(is_secret_option("--repo1-cipher-pass") && is_secret_option("repo1-gcs-key"));
        assert!(!is_secret_option("--repo1-path") && !is_secret_option("stanza") && !is_secret_option(""));
    }
}
