//! One identity: the whole program first becomes the owner of the data directory.
//!
//! Console, runner, step processes, sockets and state then share one uid, so locks, watching and signals
//! work for everybody who is on call. It happens once, at the start, by executing the program again: as root
//! through `setpriv`, as anybody else through `sudo -n -u`.

mod account;
mod carried;
mod enter;
mod scope;

pub use account::{Account, account_by_name, account_by_uid, account_of_process, desired_owner, home_of};
pub use carried::{DEFAULT_PATH, PATH_OPTIONS, absolute_arguments};
pub use enter::{
    Already, become_owner, enter, operator_name, program_to_execute, program_to_show, resolve, terminal_locale,
};
pub use scope::{Logout, Readings, decide, read};

use std::path::PathBuf;

/// The locale of the terminal in front of which the person sits: commands get another one.
pub const LOCALE: &str = "LIFEBOAT_LOCALE";
/// Set by Lifeboat for the program it becomes, so that it never becomes somebody twice.
pub const ENTERED: &str = "LIFEBOAT_ENTERED";
/// The login name of the person who started it.
pub const OPERATOR: &str = "LIFEBOAT_OPERATOR";
/// The real path of the program, to be shown in plans; it may lie where only root can go.
pub const EXECUTABLE: &str = "LIFEBOAT_EXECUTABLE";
/// The folder in which the person typed the command.
pub const WORKING_DIRECTORY: &str = "LIFEBOAT_WORKING_DIRECTORY";

/// Why the program can't become the owner of the data directory.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No such account.
    #[error(
        "there is no account '{name}' on this host; name the owner of the PostgreSQL data: [postgres] owner in the settings file"
    )]
    NoAccount {
        /// Its name.
        name: String,
    },
    /// A uid without a name.
    #[error(
        "uid {uid} ({role}) has no account on this host; give it one, or name another owner: [postgres] owner in the settings file"
    )]
    NoName {
        /// The uid.
        uid: u32,
        /// What it is the uid of.
        role: String,
    },
    /// The owner is root, which PostgreSQL refuses.
    #[error(
        "[postgres] owner is '{name}', which is root: PostgreSQL refuses to run as root; name the account that owns the data"
    )]
    Root {
        /// The name.
        name: String,
    },
    /// A program that is needed for it can't be started.
    #[error("can't become {account}: {program}: {reason}; {remedy}")]
    Program {
        /// Who was to be become.
        account: String,
        /// The program.
        program: &'static str,
        /// Why not.
        reason: String,
        /// What to do.
        remedy: String,
    },
    /// sudo refuses.
    #[error("can't become {account}: sudo says: {reason}\n  type instead:  {command}\n  or as root:    {as_root}")]
    Refused {
        /// Who was to be become.
        account: String,
        /// In sudo's words.
        reason: String,
        /// What a person can type.
        command: String,
        /// What root can type.
        as_root: String,
    },
    /// sudo allows this program only, so the environment can't be handed on.
    #[error(
        "can't become {account}: sudo allows only this program itself, and would drop {names}; put these into the pgBackRest configuration or the settings file, or type: {command}"
    )]
    Dropped {
        /// Who was to be become.
        account: String,
        /// The variables.
        names: String,
        /// What a person can type.
        command: String,
    },
    /// The account may not execute the program's file.
    #[error("can't become {account}: {account} may not execute {file}; {remedy}")]
    NotExecutable {
        /// Who was to be become.
        account: String,
        /// The program's file.
        file: PathBuf,
        /// What to do.
        remedy: String,
    },
    /// It became somebody already, and that is not who it should be.
    #[error(
        "became {now} and found that {wanted} owns the data; set [postgres] owner = \"{wanted}\" in the settings file"
    )]
    Loop {
        /// Who it is.
        now: String,
        /// Who it should be.
        wanted: String,
    },
    /// Something of the process itself can't be read.
    #[error("{what}: {source}")]
    Own {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}
