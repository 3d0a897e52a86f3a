//! The texts of a practice cluster's configuration files.
//!
//! Every path in them is plain (see `layout::claim`), so none needs quoting beyond what the format asks for.

use crate::engine::rehearsal::layout::Layout;
use crate::engine::rehearsal::marker::Marker;

/// Name of the stanza.
pub const STANZA: &str = "main";
/// Name of the database.
pub const DATABASE: &str = "shop";
/// The zone in which people speak of time in the practice cluster: one without daylight saving, and not UTC, since
/// taking one for the other is a mistake worth making here first.
pub const TIMEZONE: chrono_tz::Tz = chrono_tz::Europe::Istanbul;
/// The superuser of the practice cluster.
pub const SUPERUSER: &str = "postgres";

/// What is appended to `postgresql.conf`.
///
/// `track_commit_timestamp` is on so that the writer can note the very commit time that a recovery target is
/// compared with. No TCP, archiving to both repositories by pgBackRest, and a segment at least every ten seconds.
pub(super) fn postgresql(layout: &Layout, marker: &Marker) -> String {
    format!(
        "
# Practice cluster made by `lifeboat rehearse`.
cluster_name = 'lifeboat-rehearsal'
listen_addresses = ''
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 40
shared_buffers = 32MB
min_wal_size = 32MB
max_wal_size = 128MB
wal_level = replica
archive_mode = on
archive_command = '{pgbackrest} --config={config} --stanza={STANZA} archive-push \"%p\"'
archive_timeout = 10s
track_commit_timestamp = on
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] '
lc_messages = 'C'
log_timezone = 'UTC'
timezone = 'UTC'
",
        port = marker.port,
        sockets = layout.sockets().display(),
        pgbackrest = marker.pgbackrest.display(),
        config = layout.pgbackrest_config().display(),
    )
}

/// pgBackRest's configuration: two local repositories, the second encrypted, and its own log, lock and spool.
pub(super) fn pgbackrest(layout: &Layout, marker: &Marker, passphrase: &str) -> String {
    format!(
        "# Practice cluster made by `lifeboat rehearse`.
[global]
repo1-path={first}
repo1-retention-full=2
repo2-path={second}
repo2-retention-full=2
repo2-cipher-type=aes-256-cbc
repo2-cipher-pass={passphrase}
log-path={log}
lock-path={lock}
spool-path={spool}
log-level-console=warn
log-level-file=info
start-fast=y
process-max=2
archive-timeout=60

[{STANZA}]
pg1-path={production}
pg1-port={port}
pg1-socket-path={sockets}
pg1-user={SUPERUSER}
",
        first = layout.first_repository().display(),
        second = layout.second_repository().display(),
        log = layout.log().display(),
        lock = layout.lock().display(),
        spool = layout.spool().display(),
        production = layout.production().display(),
        port = marker.port,
        sockets = layout.sockets().display(),
    )
}

/// Lifeboat's settings for the practice cluster.
pub(super) fn lifeboat(layout: &Layout, marker: &Marker) -> String {
    format!(
        "# Practice cluster made by `lifeboat rehearse`.
[pgbackrest]
binary = \"{pgbackrest}\"
config = \"{config}\"
stanza = \"{STANZA}\"

[postgres]
bin_directory = \"{bin}\"
owner = \"{owner}\"

[state]
directory = \"{state}\"
runtime_directory = \"{runtime}\"

[operator]
timezone = \"{zone}\"

[drill]
directory = \"{drills}\"
database = \"{DATABASE}\"
probe_sql = \"SELECT count(*) AS orders, max(order_id) AS newest_order, max(placed_at) AS placed_at FROM orders\"
",
        pgbackrest = marker.pgbackrest.display(),
        config = layout.pgbackrest_config().display(),
        bin = marker.bin_directory.display(),
        owner = marker.owner,
        state = layout.state().display(),
        runtime = layout.runtime().display(),
        drills = layout.drills().display(),
        zone = TIMEZONE.name(),
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::settings::Settings;
    use std::path::{Path, PathBuf};

    #[test]
    fn lifeboat_reads_the_settings_that_are_written_for_it() {
        let directory = PathBuf::from("/srv/practice");
        let marker = Marker {
            schema: 1,
            directory: directory.clone(),
            made_directory: true,
            short_directory: PathBuf::from("/tmp/lb-1"),
            bin_directory: PathBuf::from("/usr/lib/postgresql/15/bin"),
            pgbackrest: PathBuf::from("/usr/bin/pgbackrest"),
            port: 40_000,
            owner: "postgres".to_owned(),
            scenario: "shop".to_owned(),
            ready_seconds: None,
        };
        let layout = Layout { directory, short_directory: marker.short_directory.clone() };
        let settings = Settings::parse(&lifeboat(&layout, &marker), Path::new("/srv/practice/lifeboat.toml")).unwrap();
        assert_eq!(settings.pgbackrest.config.as_deref(), Some(Path::new("/srv/practice/pgbackrest.conf")));
        assert_eq!(settings.pgbackrest.stanza.as_deref(), Some(STANZA));
        assert_eq!(settings.operator.timezone, Some(TIMEZONE));
        assert_eq!(settings.postgres.owner.as_deref(), Some("postgres"));
        assert_eq!(settings.state.runtime_directory.as_deref(), Some(Path::new("/tmp/lb-1/runtime")));
        assert_eq!(settings.drill.directory.as_deref(), Some(Path::new("/srv/practice/drills")));
        assert_eq!(settings.drill.database, DATABASE);
        assert!(settings.drill.probe_sql.unwrap().starts_with("SELECT"));
    }
}
