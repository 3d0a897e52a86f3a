//! Production in its own hands again: what users need, read back from the server that was started.

use crate::engine::checks::{CheckError, CheckReport, Input};
use crate::engine::managers::{self, Managed, StartConf};
use crate::engine::postgres::{LiveState, server_is_live};
use crate::engine::psql::{Psql, Row, shown};
use std::path::Path;

const STATE: &str = "SELECT pg_is_in_recovery() AS in_recovery, s.system_identifier::text AS system_identifier, \
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END AS timeline, \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text AS lsn, \
    current_setting('archive_mode') AS archive_mode, current_setting('listen_addresses') AS listens \
    FROM pg_control_system() s";

/// Settings that only recovery needs, where a file sets them to more than nothing: Patroni writes all of them empty.
const LEFTOVERS: &str = "SELECT name, setting FROM pg_settings WHERE (name LIKE 'recovery\\_target%' OR name = 'restore_command') \
    AND source NOT IN ('default', 'override') AND setting IS DISTINCT FROM boot_val ORDER BY name";

/// Standbys that every commit waits for, and those of them that are there.
const SYNCHRONOUS: &str = "SELECT current_setting('synchronous_standby_names') AS names, current_setting('synchronous_commit') AS level, \
    (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')) AS there";

/// Reads it back; nothing is changed.
pub(super) fn back_in_production(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let directory = input.path("data-directory")?;
    let mut report = CheckReport::default();
    let (pid, port, socket) = match server_is_live(directory)? {
        LiveState::Running { pid, port: Some(port), socket_directory: Some(socket), .. } => (pid, port, socket),
        LiveState::Running { pid, .. } => {
            report
                .bad(format!("the server (process {pid}) does not say where it listens yet"), "Wait, then look again.");
            return Ok(report);
        }
        LiveState::Stopped | LiveState::Stale { .. } => {
            report.bad(format!("no server runs on {}", directory.display()), "Start it through what manages it.");
            return Ok(report);
        }
    };
    report.put("socket-directory", &socket);
    report.put("port", port);
    let (around, user) = (input.around, input.text("user")?);
    let psql = Psql::new(&around.postgres, &around.environment, Path::new(&socket), port, user);
    let rows = |sql: &str| psql.rows("postgres", sql).map_err(|error| CheckError::NotThere(error.to_string()));
    report.good(format!("the server (process {pid}) listens on {socket}, port {port}"));
    for row in rows(STATE)? {
        state(&row, input.text("system-identifier")?, &mut report);
    }
    let left: Vec<String> =
        rows(LEFTOVERS)?.iter().map(|row| format!("{} = {}", shown(row, "name"), shown(row, "setting"))).collect();
    if left.is_empty() {
        report.good("no setting of the recovery is left");
    } else {
        let remedy =
            "ALTER SYSTEM RESET each of them (or take it out of the file it stands in), and restart the server.";
        report.bad(format!("settings of the recovery are left: {}", left.join(", ")), remedy);
    }
    for row in rows(SYNCHRONOUS)? {
        synchronous(&row, &mut report);
    }
    managed(&managers::find(Path::new("/"), directory, Some(pid)), Path::new("/"), &mut report);
    Ok(report)
}

/// What manages it has it in its hands: the server is its own, and nothing of the hold is left.
fn managed(found: &Managed, root: &Path, report: &mut CheckReport) {
    let Some(commands) = found.commands() else { return };
    if let Some(unit) = &found.unit {
        if let Some(manager) = &found.managers_unit {
            report.good(format!("the server belongs to {manager}: its cluster manager has it in its hands"));
        } else if found.outside_unit {
            report.bad(
                format!("the server does not belong to {unit}: systemd takes it for stopped, and it may end with the session that started it"),
                format!("As root: {}; then: {}", commands.stop, commands.start),
            );
        } else {
            report.good(format!("the server belongs to {unit}"));
        }
        if managers::is_held(root, unit) {
            report.bad(
                format!("{unit} is still held: it would not start at the next boot"),
                format!("As root: {}", commands.let_go),
            );
        }
    }
    let Some((version, cluster)) = &found.cluster else { return };
    let conf = StartConf::of(&root.join("etc/postgresql").join(version).join(cluster));
    if conf.is_held() {
        report.bad(
            format!("{} is still held by a recovery: pg_ctlcluster would not start it again", conf.path().display()),
            format!("Rename {} to start.conf.", conf.before().display()),
        );
    } else {
        report.good(format!("{} says {}", conf.path().display(), conf.says()));
    }
}

fn state(row: &Row, system_identifier: &str, report: &mut CheckReport) {
    let found = shown(row, "system_identifier");
    if found == system_identifier {
        report.good(format!("it is the cluster {found}"));
    } else {
        report
            .bad(format!("it is the cluster {found}, not {system_identifier}"), "Stop it: another cluster lies there.");
    }
    if shown(row, "in_recovery") == "false" {
        report.good(format!("it is read-write on timeline {}, at {}", shown(row, "timeline"), shown(row, "lsn")));
    } else {
        report.bad("it is still in recovery", "Look for standby.signal or recovery.signal in the data directory.");
    }
    if shown(row, "archive_mode") == "off" {
        report.bad("archive_mode is off: nothing of what is written now can be recovered", "Switch it on and restart.");
    }
    if shown(row, "listens").is_empty() {
        report.good("it listens on its socket only: no address is set");
    }
    report.put("timeline", shown(row, "timeline"));
    report.put("lsn", shown(row, "lsn"));
}

fn synchronous(row: &Row, report: &mut CheckReport) {
    let (names, level) = (shown(row, "names"), shown(row, "level"));
    if names.is_empty() || level == "off" || level == "local" {
        report.good("no commit waits for a standby");
    } else if shown(row, "there") == "0" {
        report.bad(
            format!("every commit waits for a standby (synchronous_standby_names = {names}), and none is there"),
            "ALTER SYSTEM SET synchronous_standby_names = '' and reload, until the standbys are rebuilt.",
        );
    } else {
        report.good(format!("commits wait for standbys that are there ({names})"));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn what_is_still_held_or_past_its_unit_is_not_back() {
        let root = tempfile::tempdir().unwrap();
        let etc = root.path().join("etc/postgresql/15/main");
        std::fs::create_dir_all(&etc).unwrap();
        std::fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
        let found = Managed {
            unit: Some("postgresql@15-main.service".to_owned()),
            cluster: Some(("15".to_owned(), "main".to_owned())),
            ..Managed::default()
        };
        let look = |found: &Managed| {
            let mut report = CheckReport::default();
            managed(found, root.path(), &mut report);
            report
        };
        assert!(look(&found).holds() && look(&Managed::default()).findings.is_empty());
        let report = look(&Managed { outside_unit: true, ..found.clone() });
        assert!(report.findings[0].remedy.starts_with("As root: pg_ctlcluster 15 main stop; then: systemctl start"));
        let mask = root.path().join("run/systemd/system/postgresql@15-main.service");
        std::os::unix::fs::symlink("/dev/null", mask).unwrap();
        std::fs::write(etc.join("start.conf.before-recovery"), "auto\n").unwrap();
        let report = look(&found);
        let bad: Vec<&str> = report.findings.iter().filter(|one| !one.holds).map(|one| one.remedy.as_str()).collect();
        assert_eq!(bad.len(), 2, "{report:?}");
        assert_eq!(bad[0], "As root: systemctl unmask --runtime postgresql@15-main.service");
        assert!(bad[1].ends_with("start.conf.before-recovery to start.conf."), "{bad:?}");
    }
}
