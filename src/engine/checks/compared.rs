//! What differs between the server before and after the recovery.

use crate::engine::catalog::{self, Catalog, Differences};
use crate::engine::checks::{CheckError, CheckReport, Input};
use crate::engine::psql::Psql;

impl Input<'_> {
    /// The server's door that the arguments name.
    pub(super) fn psql(&self) -> Result<Psql, CheckError> {
        let (directory, port) = (self.path("socket-directory")?, self.parsed("port")?);
        Ok(Psql::new(&self.around.postgres, &self.around.environment, directory, port, self.text("user")?))
    }
}

/// How the server that is asked was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// As production.
    Open,
    /// For us alone, with settings on its command line that are not production's.
    Fenced,
}

/// Compares settings, slots, sequences and tables with what `save-catalog` put in safety. A restore changes some of it by
/// its nature: what differs is told, and no failure.
pub(super) fn settings_compared(input: &Input<'_>, door: Door) -> Result<CheckReport, CheckError> {
    let safety = input.path("safety")?;
    let (psql, database) = (input.psql()?, input.text("database")?);
    let before = Catalog::load(safety).map_err(|error| CheckError::NotThere(error.to_string()))?;
    let mut report = CheckReport::default();
    let Some(before) = before else {
        report.good("nothing was saved to be compared with: the server did not run before the stop");
        for name in ["differences", "settings", "sequences", "slots"] {
            report.put(name, "unknown: nothing was saved before");
        }
        return Ok(report);
    };
    let now = catalog::read(&psql, database).map_err(|error| CheckError::NotThere(error.to_string()))?;
    let found = match door {
        Door::Open => Differences::between(&before, &now),
        Door::Fenced => Differences::between(&before.without_forced(&now), &now.without_forced(&now)),
    };
    told(&found, &mut report);
    Ok(report)
}

fn told(found: &Differences, report: &mut CheckReport) {
    let texts: [(&str, &[String], &str); 4] = [
        (
            "settings",
            &found.settings,
            "set with ALTER SYSTEM or in postgresql.conf after the backup, or left over from recovery",
        ),
        (
            "slots",
            &found.slots,
            "replication slots are not in a backup: make them again, their consumers need a new copy",
        ),
        (
            "sequences",
            &found.sequences,
            "they stand lower than before and would hand out numbers that were used: setval() before writers are let in, where they left this database",
        ),
        ("tables", &found.tables, "gone or there again, as the target lies before or after their change"),
    ];
    let mut all = Vec::new();
    for (name, values, meaning) in texts {
        let list = crate::engine::checks::listed(values);
        report.put(name, &list);
        if values.is_empty() {
            report.good(format!("{name}: no difference"));
        } else {
            report.good(format!("{name} ({meaning}): {list}"));
            all.push(format!("{name}: {list}"));
        }
    }
    report.put("differences", if all.is_empty() { "none".to_owned() } else { all.join("; ") });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_told_and_none_is_said() {
        let mut report = CheckReport::default();
        told(&Differences::default(), &mut report);
        assert_eq!(report.captures["differences"], "none");
        let found = Differences { slots: vec!["cdc (logical)".to_owned()], ..Differences::default() };
        let mut report = CheckReport::default();
        told(&found, &mut report);
        assert_eq!(report.captures["differences"], "slots: cdc (logical)");
        assert_eq!(
            (report.captures["slots"].as_str(), report.captures["sequences"].as_str()),
            ("cdc (logical)", "none")
        );
        assert!(report.holds());
    }
}
