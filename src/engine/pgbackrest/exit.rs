//! pgBackRest's exit statuses by name (the same in 2.45 and 2.59).

use std::fmt;

/// The exit status of a pgbackrest command; 128 and more: ended by a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ExitCode(pub i32);

/// Status, name, what it means in practice, what to do.
type Row = (i32, &'static str, &'static str, &'static str);

const SEE_MESSAGE: &str = "read the message above";
const CONFIGURATION: &str = "correct pgBackRest's configuration, then ask again";
const REACH_HOST: &str = "try the connection to that host by hand as this user (ssh, or pgbackrest server-ping)";
const FILES: &str = "look at the path in the message: is it mounted, and may this user use it?";

const TABLE: &[Row] = &[
    (0, "ok", "success", "nothing to do"),
    (1, "not-found", "what was asked for is not there; not an error", "nothing to do"),
    (25, "assert", "an error inside pgBackRest", "report it to pgBackRest with this message"),
    (
        26,
        "checksum",
        "a file in the repository, or its information file, is damaged",
        "run pgbackrest verify, and use another repository",
    ),
    (27, "config", "the configured hosts do not fit together, or no primary was found", CONFIGURATION),
    (28, "file-invalid", "a file has another content than expected", SEE_MESSAGE),
    (
        29,
        "format",
        "a file can't be understood: a bad line in the configuration, a damaged information file, or a wrong cipher passphrase",
        "check the configuration's syntax and repoN-cipher-pass",
    ),
    (30, "command-required", "no command was given", SEE_MESSAGE),
    (31, "option-invalid", "an option is unknown, not allowed here, or a secret on the command line", CONFIGURATION),
    (32, "option-invalid-value", "an option's value is wrong", CONFIGURATION),
    (
        37,
        "option-required",
        "an option is missing, such as repoN-cipher-pass for an encrypted repository",
        "set the option in the configuration, or PGBACKREST_… in the environment",
    ),
    (
        38,
        "pg-running",
        "PostgreSQL runs in the data directory, or left postmaster.pid behind",
        "stop that server first",
    ),
    (
        39,
        "protocol",
        "the other host ended the conversation, or has another version of pgBackRest",
        "install the same version on both hosts and try the connection",
    ),
    (40, "path-not-empty", "the directory is not empty", "restore with --delta, or to an empty directory"),
    (41, "file-open", "a file can't be opened", FILES),
    (42, "file-read", "a file can't be read", FILES),
    (
        44,
        "archive-mismatch",
        "the cluster does not belong to this stanza",
        "look for the right stanza, or run stanza-upgrade after an upgrade",
    ),
    (
        45,
        "archive-duplicate",
        "the archive has another version of a WAL segment: two primaries?",
        "find out which servers archive to this stanza",
    ),
    (
        46,
        "version-not-supported",
        "this pgBackRest does not know that PostgreSQL version",
        "install a newer pgBackRest",
    ),
    (47, "path-create", "a directory can't be made", FILES),
    (48, "command-invalid", "the command is unknown to this version", "look at the version of pgbackrest"),
    (49, "host-connect", "a host can't be reached", REACH_HOST),
    (
        50,
        "lock-acquire",
        "another pgBackRest command holds the lock, or the lock file belongs to another user",
        "wait for the other command to end, or look at the lock path",
    ),
    (
        51,
        "backup-mismatch",
        "the cluster is not the one of this stanza",
        "look for the right stanza, or run stanza-upgrade after an upgrade",
    ),
    (52, "file-sync", "a file can't be written durably", FILES),
    (53, "path-open", "a directory can't be opened", FILES),
    (54, "path-sync", "a directory can't be written durably", FILES),
    (
        55,
        "file-missing",
        "a file does not exist: the configuration, an information file, pg_control",
        "check the path in the message",
    ),
    (
        56,
        "db-connect",
        "PostgreSQL can't be reached",
        "is the server running, and are pg1-port and pg1-socket-path right?",
    ),
    (57, "db-query", "a query to PostgreSQL failed", SEE_MESSAGE),
    (
        58,
        "db-mismatch",
        "cluster and backup do not fit: timeline, version or system identifier",
        "choose another target timeline or backup set",
    ),
    (60, "file-remove", "a file can't be removed", FILES),
    (61, "path-remove", "a directory can't be removed", FILES),
    (62, "stop", "a stop file is present on this host", "run pgbackrest start once the reason for the stop is over"),
    (63, "term", "it was ended by a signal", "ask again"),
    (64, "file-write", "a file can't be written", "look for a full or read-only file system"),
    (67, "feature-not-supported", "this version can't do it", "look at the version of pgbackrest"),
    (68, "archive-command-invalid", "archive_command does not call pgBackRest", "correct archive_command"),
    (69, "link-expected", "a link was expected", SEE_MESSAGE),
    (70, "link-destination", "a link's destination is not allowed", "map the link elsewhere"),
    (
        72,
        "host-invalid",
        "the command must run on another host",
        "run it on the PostgreSQL host or on the repository host, as the message says",
    ),
    (73, "path-missing", "a directory does not exist", FILES),
    (74, "file-move", "a file can't be moved", FILES),
    (75, "backup-set-invalid", "there is no such backup set", "choose a set from the inventory"),
    (76, "tablespace-map", "a tablespace can't be mapped so", "correct the tablespace map"),
    (78, "link-map", "a link can't be mapped so", "correct the link map"),
    (79, "file-close", "a file can't be closed", FILES),
    (80, "db-missing", "a named database is not in the backup", "choose a database from the set's details"),
    (81, "db-invalid", "a named database can't be chosen", "choose a database from the set's details"),
    (
        82,
        "archive-timeout",
        "WAL did not arrive in the archive in time",
        "look at archive_command, at the server's log, and for a stop file",
    ),
    (83, "file-mode", "a file has the wrong mode", FILES),
    (87, "archive-disabled", "archive_mode is off", "switch archive_mode on"),
    (88, "file-owner", "a file has the wrong owner", FILES),
    (89, "user-missing", "a user does not exist on this host", "create it, or restore as another user"),
    (93, "file-exists", "a file is there already", FILES),
    (94, "memory", "no memory", "look at the memory of this host"),
    (95, "crypto", "decrypting failed: a wrong passphrase, or a damaged file", "check repoN-cipher-pass"),
    (96, "param-invalid", "a parameter is wrong", SEE_MESSAGE),
    (97, "path-close", "a directory can't be closed", FILES),
    (98, "file-info", "a file's attributes can't be read", FILES),
    (
        99,
        "json-format",
        "JSON can't be understood: a damaged information file",
        "run pgbackrest verify, and use another repository",
    ),
    (100, "kernel", "a call to the kernel failed", SEE_MESSAGE),
    (101, "service", "the object store answered with an error", "check its endpoint, bucket and keys"),
    (102, "execute", "a program could not be started or failed, mostly ssh", REACH_HOST),
    (103, "repo-invalid", "none of the repositories can be used", "look at each repository in the message"),
    (104, "command", "the command failed for some of its parts", SEE_MESSAGE),
    (105, "access", "access was refused by the other host", "look at tls-server-auth on the other host"),
    (106, "clock", "the clocks of the hosts disagree", "set the clocks"),
    (122, "runtime", "an error at run time", SEE_MESSAGE),
    (
        124,
        "unhandled",
        "pgBackRest ended unexpectedly, for example with its output full",
        "look for a full file system",
    ),
    (125, "unknown", "an unknown error", SEE_MESSAGE),
];

impl ExitCode {
    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.0 == self.0)
    }

    /// pgBackRest's name of it: `file-missing`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.row() {
            Some(row) => row.1,
            None if self.0 > 128 => "signal",
            None => "not one of pgBackRest's",
        }
    }

    /// What it means in practice.
    #[must_use]
    pub fn meaning(self) -> String {
        match self.row() {
            Some(row) => row.2.to_owned(),
            None if self.0 > 128 => format!("it was ended by signal {}", self.0 - 128),
            None => "pgBackRest does not use this exit status".to_owned(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self.row() {
            Some(row) => row.3,
            None if self.0 > 128 => "look at the kernel's log (out of memory?), then ask again",
            None => "look whether this program is pgbackrest: a wrapper script may have failed",
        }
    }
}

impl fmt::Display for ExitCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.0, self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_one_name_and_words() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
        assert_eq!(ExitCode(55).to_string(), "55 (file-missing)");
        assert_eq!(ExitCode(137).meaning(), "it was ended by signal 9");
        assert!(ExitCode(7).advice().contains("wrapper"));
    }
}
