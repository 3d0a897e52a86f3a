//! What hangs on the server: whatever notices when it stops, or when it comes back with another past.

use crate::engine::checks::{CheckError, CheckReport, Input, listed};
use crate::engine::psql::{Psql, PsqlError, Row, shown};

const STANDBYS: &str = "SELECT application_name AS name, coalesce(client_addr::text, 'socket') AS at, state, \
    sync_state AS sync, pg_size_pretty(pg_wal_lsn_diff( \
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, \
    coalesce(replay_lsn, flush_lsn))) AS behind FROM pg_stat_replication ORDER BY 1";
const SLOTS: &str =
    "SELECT slot_name AS name, slot_type AS type, plugin, database, active FROM pg_replication_slots ORDER BY 1";
const SUBSCRIPTIONS: &str = "SELECT s.subname AS name, d.datname AS database, s.subenabled AS enabled \
    FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid ORDER BY 2, 1";
const PUBLICATIONS: &str = "SELECT pubname AS name FROM pg_publication ORDER BY 1";
const PREPARED: &str =
    "SELECT gid AS name, database, owner, prepared::text AS since FROM pg_prepared_xacts ORDER BY prepared";
const CONNECTIONS: &str = "SELECT coalesce(nullif(application_name, ''), '(no name)') AS name, usename AS user, \
    datname AS database, coalesce(client_addr::text, 'socket') AS at, count(*) AS number FROM pg_stat_activity \
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC, 1";
const EXTENSIONS: &str =
    "SELECT extname AS name FROM pg_extension WHERE extname IN ('pg_cron', 'timescaledb', 'pgagent', 'pg_timetable')";
const CRON: &str = "SELECT jobid AS id, schedule, database, command, active FROM cron.job ORDER BY 1";
const TIMESCALE: &str = "SELECT job_id AS id, schedule_interval::text AS schedule, proc_name AS command, scheduled AS active \
    FROM timescaledb_information.jobs ORDER BY 1";

/// Programs that keep connections for others, by what their connections are called.
const POOLERS: [&str; 6] = ["pgbouncer", "pgpool", "odyssey", "pgcat", "supavisor", "pgagroal"];

/// The captures, in the order in which they are shown.
const CAPTURES: [&str; 8] =
    ["standbys", "slots", "subscriptions", "publications", "prepared", "connections", "poolers", "jobs"];

/// Lists it, read-only and with time limits. Nothing of it forbids the recovery: it is shown before the gate.
pub(super) fn what_hangs_on_it(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (psql, database) = (input.psql()?, input.text("database")?);
    let mut report = CheckReport::default();
    let mut hanging = Hanging::default();
    if let Err(error) = look(&psql, database, &mut hanging) {
        let why = if error.is_down() { "the server does not run".to_owned() } else { error.to_string() };
        for name in CAPTURES {
            report.put(name, format!("unknown: {why}"));
        }
        report.good(format!(
            "what hangs on the server is not known: {why}. Ask your notes: standbys, subscribers, poolers, jobs"
        ));
        return Ok(report);
    }
    told(&hanging, &mut report);
    Ok(report)
}

/// What was found. The lists are for a screen.
#[derive(Default)]
pub(super) struct Hanging {
    standbys: Vec<String>,
    slots: Vec<String>,
    /// `DATABASE.NAME`, with ` (disabled)` behind those that don't connect.
    pub(super) subscriptions: Vec<String>,
    publications: Vec<String>,
    prepared: Vec<String>,
    connections: Vec<String>,
    poolers: Vec<String>,
    patroni: bool,
    /// Extension, number, database, schedule and command, with ` (off)` behind those that don't run.
    pub(super) jobs: Vec<String>,
}

/// Asks a running server, which may be one that is looked at.
pub(super) fn look(psql: &Psql, database: &str, found: &mut Hanging) -> Result<(), PsqlError> {
    let rows = |sql: &str, format: &dyn Fn(&Row) -> String| -> Result<Vec<String>, PsqlError> {
        Ok(psql.rows(database, sql)?.iter().map(format).collect())
    };
    let it = |row: &Row, column: &str| shown(row, column);
    found.standbys = rows(STANDBYS, &|row| {
        let behind = Some(it(row, "behind")).filter(|behind| !behind.is_empty());
        let behind = behind.map_or_else(String::new, |behind| format!(", {behind} behind"));
        format!("{} at {} ({}, {}{behind})", it(row, "name"), it(row, "at"), it(row, "state"), it(row, "sync"))
    })?;
    found.slots = rows(SLOTS, &|row| {
        let used = if it(row, "active") == "true" { "in use" } else { "not in use" };
        let parts = ["type", "plugin", "database"].map(|column| it(row, column));
        let told: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        format!("{} ({}, {used})", it(row, "name"), told.join(" "))
    })?;
    found.subscriptions = rows(SUBSCRIPTIONS, &|row| {
        let enabled = if it(row, "enabled") == "true" { "" } else { " (disabled)" };
        format!("{}.{}{enabled}", it(row, "database"), it(row, "name"))
    })?;
    found.prepared = rows(PREPARED, &|row| {
        format!("'{}' of {} in {} since {}", it(row, "name"), it(row, "owner"), it(row, "database"), it(row, "since"))
    })?;
    let connections = psql.rows(database, CONNECTIONS)?;
    for row in &connections {
        let name = it(row, "name");
        let lower = name.to_lowercase();
        if POOLERS.iter().any(|pooler| lower.contains(pooler)) {
            found.poolers.push(format!("{name} at {}", it(row, "at")));
        }
        found.patroni |= lower.starts_with("patroni");
        let (user, database, at) = (it(row, "user"), it(row, "database"), it(row, "at"));
        found.connections.push(format!("{} of {name} ({user} to {database} from {at})", it(row, "number")));
    }
    for name in psql.databases(database)? {
        let in_it = |row: &Row| format!("{}.{}", crate::domain::text::clean(&name), it(row, "name"));
        found.publications.extend(psql.rows(&name, PUBLICATIONS)?.iter().map(in_it));
        for extension in psql.rows(&name, EXTENSIONS)? {
            jobs(psql, &name, &it(&extension, "name"), found);
        }
    }
    Ok(())
}

/// Jobs of an extension. Its tables may be closed to this user or of another shape: then it is named alone.
fn jobs(psql: &Psql, database: &str, extension: &str, found: &mut Hanging) {
    let sql = match extension {
        "pg_cron" => Some(CRON),
        "timescaledb" => Some(TIMESCALE),
        _ => None,
    };
    let shown_database = crate::domain::text::clean(database);
    match sql.map(|sql| psql.rows(database, sql)) {
        Some(Ok(rows)) => found.jobs.extend(rows.iter().map(|row| {
            let active = if shown(row, "active") == "true" { "" } else { " (off)" };
            format!(
                "{extension} {} in {shown_database}: {} {}{active}",
                shown(row, "id"),
                shown(row, "schedule"),
                shown(row, "command")
            )
        })),
        Some(Err(error)) => {
            found.jobs.push(format!("{extension} in {shown_database} (its jobs can't be read: {error})"))
        }
        None => found.jobs.push(format!("{extension} in {shown_database}")),
    }
}

fn told(found: &Hanging, report: &mut CheckReport) {
    let lists = [
        &found.standbys,
        &found.slots,
        &found.subscriptions,
        &found.publications,
        &found.prepared,
        &found.connections,
        &found.poolers,
        &found.jobs,
    ];
    for (name, list) in CAPTURES.into_iter().zip(lists) {
        report.put(name, listed(list));
    }
    if found.standbys.is_empty() {
        report.good("no standby is connected");
    } else {
        report.good(format!(
            "standbys: {}. Stop one of them now: it is the best copy there is, of everything up to this moment (pg_ctl stop on its host). The others are behind the fork afterwards and have to be rebuilt",
            listed(&found.standbys)
        ));
    }
    let advice: [(&str, &[String], &str); 7] = [
        (
            "replication slots",
            &found.slots,
            "they are not in a backup and will be gone: consumers of logical ones need a new copy",
        ),
        (
            "subscriptions of this server",
            &found.subscriptions,
            "they would fetch from elsewhere again after the promotion: they stay off until they are let go",
        ),
        (
            "publications",
            &found.publications,
            "subscribers elsewhere have rows that will not exist any more: they have to be copied anew",
        ),
        (
            "prepared transactions",
            &found.prepared,
            "they can't be seen while recovery pauses, and appear again after the promotion with their locks",
        ),
        ("connections", &found.connections, "they will be cut by the fence"),
        ("poolers", &found.poolers, "pause them (PAUSE in pgbouncer's console) and let them reconnect at the end"),
        (
            "jobs inside the database",
            &found.jobs,
            "they run again as soon as the server accepts writes: they stay off until they are let go",
        ),
    ];
    for (what, list, meaning) in advice {
        if list.is_empty() {
            report.good(format!("{what}: none"));
        } else {
            report.good(format!("{what}: {}; {meaning}", listed(list)));
        }
    }
    if found.patroni {
        report.bad(
            "Patroni is connected to this server",
            "It manages it, from this host or another one: patronictl pause --wait, then stop Patroni on this host, and ask again.",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_on_it_is_named_with_advice() {
        let mut report = CheckReport::default();
        told(&Hanging::default(), &mut report);
        assert!(report.holds() && CAPTURES.iter().all(|name| report.captures[*name] == "none"), "{report:?}");
        let found = Hanging {
            standbys: vec!["b at 10.0.0.2 (streaming, async)".to_owned()],
            prepared: vec!["'x' of app in shop since yesterday".to_owned()],
            ..Hanging::default()
        };
        let mut report = CheckReport::default();
        told(&found, &mut report);
        assert!(report.findings.iter().any(|finding| finding.what.contains("best copy")), "{report:?}");
        assert_eq!(report.captures["prepared"], "'x' of app in shop since yesterday");
        let mut report = CheckReport::default();
        told(&Hanging { patroni: true, ..Hanging::default() }, &mut report);
        assert!(!report.holds());
    }
}
