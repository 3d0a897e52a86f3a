//! Accounts, and which of them owns the data.

use crate::engine::identity::IdentityError;
use crate::settings::Settings;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The owner where nothing says otherwise.
const USUAL_OWNER: &str = "postgres";

/// An account of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Id of its first group.
    pub gid: u32,
    /// Home directory.
    pub home: PathBuf,
}

impl Account {
    /// Reads a line of `/etc/passwd`.
    fn parse(line: &str) -> Option<Account> {
        let fields: Vec<&str> = line.trim_end().split(':').collect();
        let [name, _, uid, gid, _, home, _] = fields.as_slice() else { return None };
        let account = Account {
            name: (*name).to_owned(),
            uid: uid.parse().ok()?,
            gid: gid.parse().ok()?,
            home: PathBuf::from(home),
        };
        (!account.name.is_empty()).then_some(account)
    }
}

/// The account that owns the data: the owner of the data directory where it exists; else
/// `[postgres] owner`; else `postgres`.
///
/// A data directory that belongs to root is a mount point whose cluster is gone, or one that PostgreSQL
/// would refuse: then the settings decide. So they do where the directory can't be looked at by the person
/// who started the program; after becoming the owner it is looked at again.
///
/// # Errors
/// [`IdentityError::NoAccount`], [`IdentityError::NoName`] or [`IdentityError::Root`].
pub fn desired_owner(settings: &Settings, data_directory: Option<&Path>) -> Result<Account, IdentityError> {
    let owner = data_directory.and_then(|directory| std::fs::metadata(directory).ok()).map(|metadata| metadata.uid());
    if let Some(uid) = owner.filter(|uid| *uid != 0) {
        let role = || "the owner of the data directory".to_owned();
        return account_by_uid(uid).ok_or_else(|| IdentityError::NoName { uid, role: role() });
    }
    let name = settings.postgres.owner.as_deref().unwrap_or(USUAL_OWNER);
    let account = account_by_name(name).ok_or_else(|| IdentityError::NoAccount { name: name.to_owned() })?;
    if account.uid == 0 {
        return Err(IdentityError::Root { name: account.name });
    }
    Ok(account)
}

/// The account this process runs as.
///
/// # Errors
/// [`IdentityError::NoName`] when its uid has no account.
pub fn account_of_process() -> Result<Account, IdentityError> {
    let uid = rustix::process::geteuid().as_raw();
    account_by_uid(uid).ok_or_else(|| IdentityError::NoName { uid, role: "this process".to_owned() })
}

/// Looks an account up by its name.
#[must_use]
pub fn account_by_name(name: &str) -> Option<Account> {
    look_up(name, |account| account.name == name)
}

/// Looks an account up by its uid.
#[must_use]
pub fn account_by_uid(uid: u32) -> Option<Account> {
    look_up(&uid.to_string(), |account| account.uid == uid)
}

/// `/etc/passwd` first; `getent` knows the rest (LDAP, systemd).
fn look_up(key: &str, wanted: impl Fn(&Account) -> bool) -> Option<Account> {
    let file = std::fs::read("/etc/passwd").unwrap_or_default();
    let found = |text: &[u8]| String::from_utf8_lossy(text).lines().filter_map(Account::parse).find(|it| wanted(it));
    found(&file).or_else(|| {
        let asked = std::process::Command::new("getent")
            .args(["passwd", "--", key])
            .stdin(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .output()
            .ok()?;
        found(&asked.stdout)
    })
}

/// The home directory to work with: `$HOME` where that is a folder of this very account, else the one of
/// the account. `setpriv` and some `sudo` rules leave the home of the person before.
#[must_use]
pub fn home_of(account: &Account) -> PathBuf {
    let own = |path: &PathBuf| {
        path.is_absolute()
            && std::fs::metadata(path).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == account.uid)
    };
    std::env::var_os("HOME").map(PathBuf::from).filter(own).unwrap_or_else(|| account.home.clone())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that can't set itself up should stop")]
    use super::*;

    #[test]
    fn reads_lines_of_passwd() {
        let account = Account::parse("postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n");
        let account = account.unwrap();
        assert_eq!((account.name.as_str(), account.uid, account.gid), ("postgres", 101, 104));
        assert_eq!(account.home, PathBuf::from("/var/lib/postgresql"));
        for line in ["", "#", "a:b:c", "x:x:-1:0::/:/bin/sh", "+::::::", ":x:0:0::/root:/bin/sh"] {
            assert_eq!(Account::parse(line), None, "{line}");
        }
    }

    #[test]
    fn the_owner_is_who_owns_the_directory_else_the_setting_else_postgres() {
        let mut settings = Settings::default();
        let gone = Path::new("/nonexistent/data");
        assert_eq!(desired_owner(&settings, Some(gone)).unwrap().name, "postgres");
        assert_eq!(desired_owner(&settings, None).unwrap().name, "postgres");
        settings.postgres.owner = Some("nobody".to_owned());
        assert_eq!(desired_owner(&settings, Some(gone)).unwrap().uid, 65534);
        // A folder of root decides nothing.
        assert_eq!(desired_owner(&settings, Some(Path::new("/usr"))).unwrap().uid, 65534);
        settings.postgres.owner = Some("root".to_owned());
        assert!(matches!(desired_owner(&settings, None), Err(IdentityError::Root { .. })));
        settings.postgres.owner = Some("nobody-such".to_owned());
        let said = desired_owner(&settings, None).unwrap_err().to_string();
        assert!(said.contains("no account 'nobody-such'") && said.contains("[postgres] owner"), "{said}");
    }
}
