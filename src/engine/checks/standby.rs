//! Whether the standby that is to be the copy has everything that production wrote.

use crate::domain::control_data::ControlData;
use crate::domain::lsn::Lsn;
use crate::domain::text::clean;
use crate::engine::checks::{CheckError, CheckReport, Input};
use crate::engine::postgres::{LiveState, server_is_live};
use std::path::Path;

/// What a production's control file says that was stopped in order.
const SHUT_DOWN: &str = "shut down";

/// Compares the two control files where the standby is on this host. Elsewhere a person has to: the position is named.
pub(super) fn standby_is_whole(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (kept, data) = (input.text("kept")?, input.path("data-directory")?);
    let mut report = CheckReport::default();
    let ours = input.around.postgres.control_data(data, &input.around.environment).ok();
    let Some(ours) = ours.filter(|control| control.state == SHUT_DOWN) else {
        report.put("compared", "no: production was not stopped in order");
        report.good(format!(
            "what {} wrote last can't be told from its control file (it was killed, or is lost): whether the standby has it is not known",
            data.display()
        ));
        return Ok(report);
    };
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let Some(directory) = on_this_host(kept, &host) else {
        report.put("compared", "by hand");
        report.good(format!(
            "{} is on another host and was not looked at. It has everything where `pg_controldata` shows 'Latest checkpoint location: {}' there",
            clean(kept),
            ours.checkpoint
        ));
        return Ok(report);
    };
    if let LiveState::Running { pid, .. } = server_is_live(directory)? {
        report.put("compared", "no");
        report.bad(
            format!("the standby in {} still runs (process {pid})", clean(&directory.to_string_lossy())),
            "Stop it (pg_ctl stop -m fast), and keep what manages it from starting it again: it would follow what comes now.",
        );
        return Ok(report);
    }
    let theirs = input.around.postgres.control_data(directory, &input.around.environment)?;
    compare(&ours, &theirs, &clean(&directory.to_string_lossy()), &mut report);
    Ok(report)
}

/// `HOST:DIRECTORY` or a directory, where that is this host's.
fn on_this_host<'k>(kept: &'k str, host: &str) -> Option<&'k Path> {
    let (name, directory) = kept.split_once(':').unwrap_or(("", kept));
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let here = matches!(name, "" | "localhost") || short(name) == short(host);
    (here && directory.starts_with('/')).then(|| Path::new(directory))
}

fn compare(ours: &ControlData, theirs: &ControlData, place: &str, report: &mut CheckReport) {
    if theirs.system_identifier != ours.system_identifier {
        report.put("compared", "no");
        report.bad(
            format!(
                "{place} is another cluster: its system identifier is {}, production's {}",
                theirs.system_identifier, ours.system_identifier
            ),
            "Name the directory of production's own standby.",
        );
        return;
    }
    let reached = theirs.minimum_recovery.unwrap_or(Lsn(0)).max(theirs.checkpoint);
    // production's last record is that checkpoint: who has replayed it has a restartpoint there, or has to get behind it
    let whole = theirs.checkpoint == ours.checkpoint || theirs.minimum_recovery.is_some_and(|it| it > ours.checkpoint);
    let both = format!(
        "production's last checkpoint is at {}; {place} has replayed to {reached} ('{}')",
        ours.checkpoint,
        clean(&theirs.state)
    );
    if whole {
        report.put("compared", format!("yes: both at {}", ours.checkpoint));
        report.good(format!("the standby has everything: {both}"));
    } else {
        report.put("compared", "no");
        report.bad(
            format!("the standby has not everything: {both}"),
            "Take another standby, or begin again and keep the cluster in another way ('abort' ends the run; production can be started, nothing of it was touched). 'done' goes on: the way back then ends where that standby does, but for the WAL that was saved.",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directory_of_this_host_is_looked_at() {
        let here = |kept| on_this_host(kept, "db1.example").map(|path| path.display().to_string());
        for kept in ["/srv/main", "localhost:/srv/main", "db1:/srv/main", "db1.example:/srv/main"] {
            assert_eq!(here(kept).as_deref(), Some("/srv/main"), "{kept}");
        }
        for kept in ["db2:/srv/main", "db1:main", "db2"] {
            assert_eq!(here(kept), None, "{kept}");
        }
    }
}
