//! Jobs and subscriptions of a server that is fenced: that none of them runs, and what starts once it is let go.
//!
//! They are kept off by the server's command line alone (`max_logical_replication_workers=0`, no preloaded library, hence no
//! background worker of an extension): nothing is written that would have to be taken back, and what was disabled before
//! stays so.

use crate::engine::checks::hangs::{self, Hanging};
use crate::engine::checks::{CheckError, CheckReport, Input, listed};
use crate::engine::psql::shown;

/// Processes of the server that are neither its own nor somebody's connection: the workers of extensions (their type is a name
/// of their own), and those of subscriptions, launcher included. Names as in PostgreSQL 10 to 18.
const WORKERS: &str = "SELECT pid, backend_type AS type, coalesce(nullif(application_name, ''), '-') AS name, \
    coalesce(datname, '-') AS database FROM pg_stat_activity WHERE backend_type IS NOT NULL AND backend_type NOT IN \
    ('archiver', 'autovacuum launcher', 'autovacuum worker', 'background writer', 'checkpointer', 'client backend', \
    'io worker', 'parallel worker', 'slotsync worker', 'startup', 'walreceiver', 'walsender', 'walsummarizer', \
    'walwriter') ORDER BY pid";

/// Looks; changes nothing. Captures: `jobs`, `subscriptions`, for the gate that lets them go.
pub(super) fn waits_to_be_let_go(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (psql, database) = (input.psql()?, input.text("database")?);
    let cant_ask = |error: crate::engine::psql::PsqlError| CheckError::NotThere(error.to_string());
    let workers = psql.rows(database, WORKERS).map_err(cant_ask)?;
    let told = workers.iter().map(|row| {
        let [pid, kind, name, database] = ["pid", "type", "name", "database"].map(|column| shown(row, column));
        format!("{kind} '{name}' in {database} (process {pid})")
    });
    let mut found = Hanging::default();
    hangs::look(&psql, database, &mut found).map_err(cant_ask)?;
    Ok(report(&told.collect::<Vec<_>>(), &found))
}

fn report(workers: &[String], found: &Hanging) -> CheckReport {
    let mut report = CheckReport::default();
    report.put("jobs", listed(&found.jobs));
    report.put("subscriptions", listed(&found.subscriptions));
    if workers.is_empty() {
        report.good("no job runs, no subscription is connected");
    } else {
        let what = format!("workers run that should be off: {}", listed(workers));
        report.bad(what, "Find out what started them: the server has to run with the command line of its step, which loads no library and allows no subscription worker.");
    }
    for (what, list) in [("jobs", &found.jobs), ("subscriptions", &found.subscriptions)] {
        report.good(format!("{what} that wait: {}", listed(list)));
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_listed_and_what_runs_all_the_same_is_told() {
        let mut found = Hanging::default();
        found.subscriptions.extend(["shop.feed".to_owned(), "shop.idle (disabled)".to_owned()]);
        let quiet = report(&[], &found);
        assert!(quiet.holds(), "{quiet:?}");
        assert_eq!(quiet.captures["subscriptions"], "shop.feed, shop.idle (disabled)");
        assert_eq!(quiet.captures["jobs"], "none");
        let busy = report(&["pg_cron launcher 'pg_cron scheduler' in postgres (process 9)".to_owned()], &found);
        assert!(!busy.holds() && busy.findings[0].what.contains("process 9"), "{busy:?}");
    }
}
