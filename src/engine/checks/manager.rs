//! What manages the server, and would start it while its data is away.

use crate::engine::checks::{CheckError, CheckReport, Input};
use crate::engine::managers::{self, Managed, Manager};
use crate::engine::postgres::{LiveState, server_is_live};
use std::path::Path;

/// Names the manager of a data directory. A cluster manager that is at work has to stand down first.
pub(super) fn who_manages_it(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let directory = input.path("data-directory")?;
    let postmaster = match server_is_live(directory)? {
        LiveState::Running { pid, .. } => Some(pid),
        LiveState::Stopped | LiveState::Stale { .. } => None,
    };
    let mut report = CheckReport::default();
    judge(&managers::find(Path::new("/"), directory, postmaster), directory, &mut report);
    Ok(report)
}

pub(super) fn judge(found: &Managed, directory: &Path, report: &mut CheckReport) {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
    report.put("manager", found.manager().word());
    report.put("unit", or_none(found.unit.clone()));
    report.put("version", or_none(found.cluster.as_ref().map(|(version, _)| version.clone())));
    report.put("cluster", or_none(found.cluster.as_ref().map(|(_, cluster)| cluster.clone())));
    for sighting in &found.sightings {
        let name = sighting.manager.word();
        if sighting.at_work {
            let what = format!("{name} is at work on this host: {}", sighting.evidence);
            report.bad(what, stand_down(sighting.manager));
        } else {
            report.good(format!(
                "{name} knows {} and does not run here: {}; it has to stay stopped, and its other nodes paused, until all is done",
                directory.display(),
                sighting.evidence
            ));
        }
    }
    let evidence = found.evidence.join("; ");
    match (&found.cluster, &found.unit) {
        (Some((version, cluster)), None) => {
            let stop =
                format!("stop: pg_ctlcluster {version} {cluster} stop; start: pg_ctlcluster {version} {cluster} start");
            report.good(format!("Debian's cluster {version} {cluster} manages it ({evidence}); {stop}"));
        }
        (_, Some(unit)) => {
            let commands = format!(
                "stop and hold: systemctl stop {unit} && systemctl mask --runtime {unit}; at the end: systemctl unmask --runtime {unit} && systemctl start {unit}"
            );
            report.good(format!("systemd manages it as {unit} ({evidence}); {commands}"));
        }
        (None, None) if found.sightings.is_empty() => {
            report.good("nothing was found that would start it again: no unit, no pg_ctlcluster, no cluster manager");
        }
        (None, None) => {}
    }
}

fn stand_down(manager: Manager) -> &'static str {
    match manager {
        Manager::Patroni => {
            "Pause it for the whole cluster (patronictl pause --wait), then stop it on this host (systemctl stop patroni && systemctl mask --runtime patroni); otherwise it starts the server in the middle, or another node takes over. At the end: unmask, start, patronictl resume, and reinit the replicas."
        }
        Manager::Repmgr => {
            "Pause it (repmgr service pause) and stop repmgrd on every node (systemctl stop repmgrd); otherwise a standby is promoted as soon as this server stops. At the end: rebuild the standbys, start repmgrd, repmgr service unpause."
        }
        Manager::Pacemaker => {
            "Take the resource out of its hands (pcs resource unmanage NAME, or pcs property set maintenance-mode=true, or crm configure property maintenance-mode=true), then stop Pacemaker on this host; otherwise it starts the server in the middle, or fails over. At the end: manage the resource again."
        }
        Manager::None | Manager::PgCtlcluster | Manager::Systemd | Manager::Other => {
            "It starts the server again when it stops: tell it to leave it alone (supervisorctl stop NAME, sv down NAME, pg_autoctl stop), and ask again."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::managers::Sighting;

    fn judged(found: &Managed) -> CheckReport {
        let mut report = CheckReport::default();
        judge(found, Path::new("/srv/pg"), &mut report);
        report
    }

    #[test]
    fn a_manager_at_work_is_refused_with_its_commands() {
        let sighting = |manager, at_work| Sighting { manager, evidence: "process 9 is it".to_owned(), at_work };
        for (manager, command) in [
            (Manager::Patroni, "patronictl pause"),
            (Manager::Repmgr, "repmgr service pause"),
            (Manager::Pacemaker, "pcs resource unmanage"),
            (Manager::Other, "supervisorctl stop"),
        ] {
            let report = judged(&Managed { sightings: vec![sighting(manager, true)], ..Managed::default() });
            assert!(!report.holds() && report.findings[0].remedy.contains(command), "{report:?}");
            assert_eq!(report.captures["manager"], manager.word());
            let report = judged(&Managed { sightings: vec![sighting(manager, false)], ..Managed::default() });
            assert!(report.holds() && report.findings[0].what.contains("has to stay stopped"), "{report:?}");
        }
    }

    #[test]
    fn units_and_debians_clusters_are_shown_how_to_be_held() {
        let report = judged(&Managed::default());
        assert!(report.holds() && report.captures["manager"] == "none" && report.captures["unit"] == "none");
        let cluster = Some(("15".to_owned(), "main".to_owned()));
        let report = judged(&Managed { cluster: cluster.clone(), ..Managed::default() });
        assert!(report.findings[0].what.contains("pg_ctlcluster 15 main stop"), "{report:?}");
        let unit = Some("postgresql@15-main.service".to_owned());
        let report = judged(&Managed { cluster, unit, ..Managed::default() });
        assert_eq!((report.captures["manager"].as_str(), report.captures["version"].as_str()), ("pg_ctlcluster", "15"));
        assert!(report.findings[0].what.contains("systemctl mask --runtime postgresql@15-main"), "{report:?}");
    }
}
