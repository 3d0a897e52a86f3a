//! What PostgreSQL's last words mean, and what to do.

use std::fmt;

/// Why a server ended, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndReason {
    /// What the log says, with its details.
    pub said: String,
    /// What that means.
    pub means: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for EndReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.said)?;
        if !self.means.is_empty() {
            write!(out, "\n{}", self.means)?;
        }
        if !self.remedy.is_empty() {
            write!(out, "\n{}", self.remedy)?;
        }
        Ok(())
    }
}

/// Part of the message, what it means, what to do. The first that fits counts. Texts of PostgreSQL 15 with `lc_messages=C`.
const REASONS: &[(&str, &str, &str)] = &[
    (
        "recovery ended before configured recovery target was reached",
        "The WAL ended before the target: the target lies behind the last archived commit, a WAL segment before it is missing, the name or transaction never existed, or archive-get failed.",
        "Compare 'last completed transaction' with the target; look for a gap (`lifeboat windows`) and for pgBackRest errors in this log; then choose an earlier target or another set.",
    ),
    (
        "is not a child of this server's history",
        "A later timeline in the archive forked off before this backup set was made: a drill or clone once archived into this stanza.",
        "Restore with --target-timeline=current (or the set's timeline number); do not remove the history file before it is known whose it is.",
    ),
    (
        "recovery target timeline",
        "The archive has no history file for the timeline that was asked for.",
        "Choose a timeline that the archive has (`pgbackrest repo-ls archive/STANZA --recurse`), or 'current'.",
    ),
    (
        "could not locate required checkpoint record",
        "The first WAL segment of the backup could not be fetched: restore_command fails, the segment is missing, or recovery.signal is missing.",
        "Look for pgBackRest errors in this log and run its archive-get by hand. Do NOT remove backup_label, whatever the HINT says: that makes a corrupt cluster.",
    ),
    (
        "could not find redo location referenced by checkpoint record",
        "WAL that the backup needs to become consistent is missing.",
        "Check the segments from the set's start to its stop in the repository. Do NOT remove backup_label, whatever the HINT says.",
    ),
    (
        "requested recovery stop point is before consistent recovery point",
        "The backup set is newer than the target: it only becomes consistent after it.",
        "Choose a set that stopped before the target.",
    ),
    (
        "WAL ends before end of online backup",
        "WAL written while the backup ran is missing: the set can't become consistent.",
        "Look for the missing segment in the other repositories, or choose another set.",
    ),
    (
        "recovery aborted because of insufficient parameter settings",
        "A setting is lower than it was in production; replay refuses to go on with it.",
        "Raise max_connections, max_worker_processes, max_wal_senders, max_prepared_transactions and max_locks_per_transaction to the values pg_controldata shows (or the DETAIL names) and start again; no new restore is needed.",
    ),
    (
        "must specify restore_command when standby mode is not enabled",
        "The server was asked to recover without being told where WAL comes from (restore --type=none up to 2.46, or --type=preserve without settings).",
        "Restore again with --type=default, immediate or a target.",
    ),
    (
        "multiple recovery targets specified",
        "Two recovery_target settings are active at once: an old one was left in place, or --recovery-option set one beside --target.",
        "Keep one recovery_target_* line in postgresql.auto.conf.",
    ),
    (
        "could not access the server configuration file",
        "There is no postgresql.conf at that place: Debian keeps it in /etc, so it is not in the backup.",
        "Start with -c config_file=… of your own.",
    ),
    (
        "could not access file",
        "A library named in shared_preload_libraries is not installed here.",
        "Install the extension's package, or start with -c shared_preload_libraries= .",
    ),
    (
        "could not map anonymous shared memory",
        "There is not enough memory for the restored settings (shared_buffers, huge_pages).",
        "Start with -c shared_buffers=128MB -c huge_pages=off.",
    ),
    (
        "could not create lock file",
        "The socket directory can't be written by this user.",
        "Start with -c unix_socket_directories of your own.",
    ),
    (
        "lock file",
        "Another server uses this data directory, socket or port.",
        "Find out which (the message names its process); start with a socket directory and port of your own.",
    ),
    (
        "could not create any TCP/IP sockets",
        "The address or port is in use.",
        "Start with -c listen_addresses= and a socket directory of your own.",
    ),
    (
        "could not create any Unix-domain sockets",
        "The socket directory is missing, too long (more than 107 bytes with the socket's name) or not writable.",
        "Start with -c unix_socket_directories of your own.",
    ),
    (
        "invalid value for parameter",
        "A setting of production is not valid here (a locale that is not installed, a version that does not know it).",
        "Override it with -c, or install the locale.",
    ),
    (
        "database locale is incompatible with operating system",
        "The database was made with a locale this host does not have.",
        "Generate the locale on this host and start again.",
    ),
    (
        "incorrect checksum in control file",
        "pg_control is damaged, or belongs to another major version.",
        "Check that the server's major version is the backup's; restore again.",
    ),
    (
        "database files are incompatible with server",
        "The files belong to another major version or build of PostgreSQL.",
        "Use the programs of the backup's major version.",
    ),
    ("has wrong ownership", "The data directory belongs to another user.", "Run as the owner of the data directory."),
    (
        "has invalid permissions",
        "The data directory can be entered by others.",
        "chmod 0700 (or 0750) on the data directory.",
    ),
    (
        "No space left on device",
        "The file system is full.",
        "Make room (replayed WAL needs some as well), then start again.",
    ),
    ("could not find WAL file", "A WAL segment is missing.", "Look for it in the other repositories."),
    (
        "page verification failed",
        "A data page is damaged: its checksum is wrong.",
        "Restore another set; `pgbackrest info --set` tells whether the set was made with page errors.",
    ),
];

/// The reason for a message of the server.
pub(super) fn explain(said: &str) -> EndReason {
    let first = said.lines().next().unwrap_or_default();
    let (means, remedy) = REASONS
        .iter()
        .find(|(part, ..)| first.contains(part) && fits(part, first))
        .map_or(("", "See the server's log for what came before."), |(_, means, remedy)| (*means, *remedy));
    EndReason { said: said.to_owned(), means: means.to_owned(), remedy: remedy.to_owned() }
}

/// Two short parts need more to be right.
fn fits(part: &str, message: &str) -> bool {
    match part {
        "lock file" => message.contains("already exists"),
        "recovery target timeline" => message.contains("does not exist"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_says_what_to_do() {
        for (part, means, remedy) in REASONS {
            assert!(!means.is_empty() && !remedy.is_empty(), "{part}");
        }
    }

    #[test]
    fn the_dangerous_hint_is_contradicted() {
        let reason = explain("could not locate required checkpoint record");
        assert!(reason.remedy.contains("Do NOT remove backup_label"));
    }

    #[test]
    fn a_lock_file_of_another_kind_is_not_explained_wrongly() {
        assert!(explain("could not write lock file \"postmaster.pid\"").means.is_empty());
        let taken = "lock file \"/run/.s.PGSQL.5432.lock\" already exists";
        assert!(explain(taken).means.contains("Another server"));
        assert!(explain("recovery target timeline 7 does not exist").means.contains("history file"));
        assert!(explain("something new").remedy.contains("log"));
    }
}
