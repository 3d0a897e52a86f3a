//! Becoming the owner by executing the program again.

use crate::domain::text::clean;
use crate::engine::identity::carried::{assignments, environment, quoted};
use crate::engine::identity::{
    Account, ENTERED, EXECUTABLE, IdentityError, LOCALE, OPERATOR, PATH_OPTIONS, WORKING_DIRECTORY, absolute_arguments,
    account_by_uid, desired_owner, scope,
};
use crate::settings::Settings;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The process runs as the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Already {
    /// Who it is.
    pub account: Account,
}

/// Becomes the owner of the data, or says that this process is the owner already. `arguments` are those of
/// the command line without the program's name.
///
/// Where it returns `Ok`, go on; where it succeeds in becoming somebody it doesn't return.
///
/// # Errors
/// [`IdentityError`], with what to do.
pub fn enter(
    settings: &Settings,
    data_directory: Option<&Path>,
    arguments: &[OsString],
) -> Result<Already, IdentityError> {
    let account = desired_owner(settings, data_directory)?;
    become_owner(&account, arguments, settings.file.as_deref())
}

/// Becomes `account`; see [`enter`]. The program that starts finds the same settings file.
///
/// # Errors
/// [`IdentityError`], with what to do.
pub fn become_owner(
    account: &Account,
    arguments: &[OsString],
    settings_file: Option<&Path>,
) -> Result<Already, IdentityError> {
    let own = rustix::process::geteuid().as_raw();
    if own == account.uid {
        stay_after_logout(arguments);
        return Ok(Already { account: account.clone() });
    }
    if std::env::var_os(ENTERED).is_some() {
        return Err(IdentityError::Loop { now: name_of(own), wanted: account.name.clone() });
    }
    let program = Program::own()?;
    let directory = std::env::current_dir().ok();
    let arguments = absolute_arguments(arguments, directory.as_deref().unwrap_or(Path::new("/")), &PATH_OPTIONS);
    let mut carried =
        environment(std::env::vars_os(), account, &operator_name(), &program.path, directory.as_deref(), settings_file);
    carried.insert(LOCALE.into(), terminal_locale().into());
    if own == 0 {
        from_root(account, &program, &arguments, &carried)
    } else {
        through_sudo(account, &program, &arguments, &carried)
    }
}

/// Starts again in a scope that a logout leaves alone, where that is needed and can be done.
fn stay_after_logout(arguments: &[OsString]) {
    let words = scope::words();
    let (Some((first, more)), Ok(program)) = (words.split_first(), program_to_show()) else { return };
    // Where it can't be done the plan and the first gate say that logging out ends the run.
    let error = Command::new(first).args(more).arg(program).args(arguments).env(scope::SCOPED, "1").exec();
    tracing::warn!(%error, "a scope of its own could not be made");
}

/// `program` with its arguments, begun with words that go before it.
fn begun_with(mut words: Vec<OsString>, program: &str) -> Command {
    words.push(program.into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// The person behind the program: who called `sudo`, else who logged in, else the uid.
#[must_use]
pub fn operator_name() -> String {
    let own = rustix::process::geteuid().as_raw();
    let entered = std::env::var_os(ENTERED).is_some();
    let names: &[&str] =
        if entered { &[OPERATOR, "SUDO_USER", "LOGNAME", "USER"] } else { &["SUDO_USER", "LOGNAME", "USER"] };
    let found = names.iter().filter_map(|name| std::env::var(name).ok()).find(|name| {
        !name.is_empty()
            && name.len() <= 64
            && name.chars().all(|letter| letter.is_alphanumeric() || "._-@+$\\".contains(letter))
    });
    found.unwrap_or_else(|| name_of(own))
}

/// The locale of the person's terminal, by the variables that set it; empty where none does.
#[must_use]
pub fn terminal_locale() -> String {
    let names = [LOCALE, "LC_ALL", "LC_CTYPE", "LANG"];
    names.iter().filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty()).unwrap_or_default()
}

/// A path as the person meant it who typed it, before the program went to `/` and became somebody else.
#[must_use]
pub fn resolve(path: &Path) -> PathBuf {
    let directory = std::env::var_os(WORKING_DIRECTORY)
        .filter(|_| std::env::var_os(ENTERED).is_some())
        .map(PathBuf::from)
        .or_else(|| std::env::current_dir().ok());
    directory.map_or_else(|| path.to_path_buf(), |directory| directory.join(path))
}

/// What to execute to start this very program again as a helper: by the kernel's own link, since its path may
/// lie where this account can't go, or hold a newer version by now.
#[must_use]
pub fn program_to_execute() -> &'static Path {
    Path::new("/proc/self/exe")
}

/// The path of this program as it is shown in plans. It may lie where this account can't go.
///
/// # Errors
/// [`IdentityError::Own`] when the kernel does not tell it.
pub fn program_to_show() -> Result<PathBuf, IdentityError> {
    let entered = std::env::var_os(EXECUTABLE).filter(|_| std::env::var_os(ENTERED).is_some()).map(PathBuf::from);
    let what = "this program's own path can't be read";
    entered.map_or_else(std::env::current_exe, Ok).map_err(|source| IdentityError::Own { what, source })
}

fn name_of(uid: u32) -> String {
    account_by_uid(uid).map_or_else(|| format!("uid {uid}"), |account| account.name)
}

/// The file this process runs.
struct Program {
    path: PathBuf,
    file: std::fs::File,
    metadata: std::fs::Metadata,
}

impl Program {
    fn own() -> Result<Program, IdentityError> {
        let own = |what| move |source| IdentityError::Own { what, source };
        // Opened before anything else: afterwards it can be executed wherever it lies.
        let file = std::fs::File::open(program_to_execute()).map_err(own("this program's own file can't be opened"))?;
        let metadata = file.metadata().map_err(own("this program's own file can't be read"))?;
        let path = program_to_show()?;
        Ok(Program { path, file, metadata })
    }

    fn is_executable_for(&self, account: &Account) -> bool {
        let bit = match () {
            () if self.metadata.uid() == account.uid => 0o100,
            () if self.metadata.gid() == account.gid => 0o010,
            () => 0o001,
        };
        self.metadata.mode() & bit != 0
    }

    /// Whether everybody can execute this very file by its path.
    fn is_reachable_by_path(&self) -> bool {
        let same = std::fs::metadata(&self.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == (self.metadata.dev(), self.metadata.ino()));
        let open = |folder: &Path| std::fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0);
        same && self.path.ancestors().all(open)
    }
}

fn from_root(
    account: &Account,
    program: &Program,
    arguments: &[OsString],
    carried: &BTreeMap<OsString, OsString>,
) -> Result<Already, IdentityError> {
    if !program.is_executable_for(account) {
        return Err(IdentityError::NotExecutable {
            account: account.name.clone(),
            file: program.path.clone(),
            remedy: format!("chmod a+x {}", quoted(program.path.as_os_str())),
        });
    }
    let file = if program.is_reachable_by_path() {
        program.path.clone()
    } else {
        // In a folder the account can't enter: the open descriptor goes along and is executed. It stays open
        // afterwards, read-only, on a file that the account may execute anyway.
        rustix::io::fcntl_setfd(&program.file, rustix::io::FdFlags::empty()).map_err(|error| IdentityError::Own {
            what: "this program's own file can't be handed on",
            source: error.into(),
        })?;
        PathBuf::from(format!("/proc/self/fd/{}", program.file.as_raw_fd()))
    };
    let error = begun_with(scope::words(), "setpriv")
        .arg(format!("--reuid={}", account.uid))
        .arg(format!("--regid={}", account.gid))
        .args(["--init-groups", "--inh-caps=-all", "--"])
        .arg(file)
        .args(arguments)
        .env_clear()
        .envs(carried)
        .current_dir("/")
        .exec();
    Err(failed_to_start(
        account,
        "setpriv",
        &error,
        "install the package util-linux, or start Lifeboat as that account",
    ))
}

fn failed_to_start(account: &Account, program: &'static str, error: &std::io::Error, remedy: &str) -> IdentityError {
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    let reason = if missing { "it is not installed".to_owned() } else { error.to_string() };
    IdentityError::Program { account: account.name.clone(), program, reason, remedy: remedy.to_owned() }
}

/// sudo closes descriptors and resets the environment, so the program goes by its path and the environment
/// goes through `env NAME=VALUE`; secret values go by `--preserve-env=NAME`, where the rules allow it.
fn through_sudo(
    account: &Account,
    program: &Program,
    arguments: &[OsString],
    carried: &BTreeMap<OsString, OsString>,
) -> Result<Already, IdentityError> {
    let (plain, secret) = assignments(carried);
    let mut start: Vec<OsString> = vec!["-n".into()];
    if !secret.is_empty() {
        start.push(format!("--preserve-env={}", secret.join(",")).into());
    }
    start.extend(["-u".into(), account.name.clone().into(), "--".into()]);
    let by_hand = by_hand(account, program, arguments, &secret);

    let asked = ask(
        account,
        &start,
        &[OsStr::new("/usr/bin/env"), OsStr::new("test"), OsStr::new("-x"), program.path.as_os_str()],
    )?;
    let mut command = begun_with(scope::words(), "sudo");
    command.args(&start);
    match asked {
        Answer::Yes => {
            command.arg("/usr/bin/env").args(plain).current_dir("/");
        }
        Answer::No => {
            return Err(IdentityError::NotExecutable {
                account: account.name.clone(),
                file: program.path.clone(),
                remedy: "install it where everybody can execute it, such as /usr/local/bin, or start it as root"
                    .to_owned(),
            });
        }
        Answer::Refused(reason) => {
            // A careful host allows this program only: then nothing can be handed on beside it, not even the
            // folder it was typed in, which therefore stays.
            let version = [program.path.as_os_str(), OsStr::new("--version")];
            if matches!(ask(account, &start, &version)?, Answer::Refused(_)) {
                let as_root = format!("{} {}", quoted(program.path.as_os_str()), line(arguments));
                return Err(IdentityError::Refused {
                    account: account.name.clone(),
                    reason,
                    command: by_hand,
                    as_root,
                });
            }
            let dropped: Vec<String> = std::env::vars_os()
                .map(|(name, _)| name.to_string_lossy().into_owned())
                .filter(|name| {
                    (name.starts_with("PGBACKREST_") && !secret.contains(name)) || name == "LIFEBOAT_SETTINGS"
                })
                .collect();
            if !dropped.is_empty() {
                return Err(IdentityError::Dropped {
                    account: account.name.clone(),
                    names: dropped.join(", "),
                    command: by_hand,
                });
            }
        }
    }
    let error = command.arg(&program.path).args(arguments).exec();
    Err(failed_to_start(account, "sudo", &error, "log in as that account or as root"))
}

fn line(arguments: &[OsString]) -> String {
    arguments.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" ")
}

fn by_hand(account: &Account, program: &Program, arguments: &[OsString], secret: &[String]) -> String {
    let names: Vec<String> = std::env::vars_os()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .filter(|name| name.starts_with("PGBACKREST_") || secret.contains(name))
        .collect();
    let preserve = if names.is_empty() { String::new() } else { format!("--preserve-env={} ", names.join(",")) };
    let call = format!("sudo {preserve}-u {} {} {}", account.name, quoted(program.path.as_os_str()), line(arguments));
    call.trim_end().to_owned()
}

enum Answer {
    Yes,
    No,
    Refused(String),
}

/// Tries a harmless command through sudo. sudo's own refusals are told from the command's by their words alone.
fn ask(account: &Account, start: &[OsString], command: &[&OsStr]) -> Result<Answer, IdentityError> {
    let output = Command::new("sudo")
        .args(start)
        .args(command)
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed_to_start(account, "sudo", &error, "log in as that account or as root"))?;
    if output.status.success() {
        return Ok(Answer::Yes);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let words: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let of_sudo = |line: &&str| line.starts_with("sudo:") || line.starts_with("Sorry, ") || line.contains("sudoers");
    if !words.iter().any(of_sudo) {
        return Ok(Answer::No);
    }
    Ok(Answer::Refused(clean(&words.join("; "))))
}
