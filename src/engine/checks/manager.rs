//! What manages the server, and would start it while its data is away.

use crate::engine::checks::{CheckError, CheckReport, Input};
use crate::engine::managers::{self, Managed, StartConf};
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
            report.bad(what, sighting.stand_down());
        } else {
            report.good(format!(
                "{name} knows {} and does not run here: {}; it has to stay stopped, and its other nodes paused, until all is done",
                directory.display(),
                sighting.evidence
            ));
        }
    }
    match found.commands() {
        Some(it) => {
            report.good(format!(
                "{} manages it ({}); stop: {}; hold: {}; at the end let it go: {}; start: {}",
                name_of(found),
                found.evidence.join("; "),
                it.stop,
                it.hold,
                it.let_go,
                it.start
            ));
            for (name, command) in [("stop", it.stop), ("hold", it.hold), ("let-go", it.let_go), ("start", it.start)] {
                report.put(name, command);
            }
        }
        None => {
            if found.sightings.is_empty() {
                report
                    .good("nothing was found that would start it again: no unit, no pg_ctlcluster, no cluster manager");
            }
            report.put("hold", "nothing: no unit and no pg_ctlcluster manages it");
            for name in ["stop", "let-go", "start"] {
                report.put(name, "none");
            }
        }
    }
}

fn name_of(found: &Managed) -> String {
    let cluster = found.cluster.as_ref().map(|(version, cluster)| format!("Debian's cluster {version} {cluster}"));
    match (&found.unit, cluster) {
        (Some(unit), None) => format!("systemd, as {unit},"),
        (Some(unit), Some(cluster)) => format!("systemd, as {unit} of {cluster},"),
        (None, cluster) => format!("pg_ctlcluster, as {},", cluster.unwrap_or_else(|| "nothing".to_owned())),
    }
}

/// Nothing can start the stopped server: its unit is held, and so is Debian's cluster.
pub(super) fn manager_held(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let directory = input.path("data-directory")?;
    let mut found = managers::find(Path::new("/"), directory, None);
    // As it was when the run was planned: a unit that was found by its server's process is not found without that.
    if let Some(unit) = input.with.get("unit").filter(|unit| !unit.is_empty()) {
        found.name_unit(Path::new("/"), unit);
    }
    let start_conf = StartConf::beside(input.path("config-file")?);
    let mut report = CheckReport::default();
    held(&found, Path::new("/"), start_conf.as_ref(), &mut report);
    Ok(report)
}

fn held(found: &Managed, root: &Path, start_conf: Option<&StartConf>, report: &mut CheckReport) {
    // one that stood down may be back
    for sighting in found.sightings.iter().filter(|one| one.at_work) {
        let what = format!("{} is at work on this host: {}", sighting.manager.word(), sighting.evidence);
        report.bad(what, sighting.stand_down());
    }
    if let Some((unit, commands)) = found.unit.as_ref().zip(found.commands()) {
        if managers::is_held(root, unit) {
            report.good(format!("{unit} can't be started before it is let go"));
        } else {
            report.bad(
                format!("{unit} is not held: systemctl start, a dependency or a timer would start it in the middle"),
                format!("As root: {}", commands.hold),
            );
        }
    }
    if let Some(conf) = start_conf {
        let path = conf.path().display();
        if conf.is_disabled() {
            report.good(format!("{path} says disabled: pg_ctlcluster does not start it"));
        } else {
            report.bad(
                format!("{path} says {}: pg_ctlcluster would start the server in the middle", conf.says()),
                "Have its step done again, or write disabled into it; what it says now belongs into start.conf.before-recovery.",
            );
        }
    }
    if report.findings.is_empty() {
        report.good("nothing is there that would have to be held");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::managers::{Manager, Sighting};

    fn judged(found: &Managed) -> CheckReport {
        let mut report = CheckReport::default();
        judge(found, Path::new("/srv/pg"), &mut report);
        report
    }

    #[test]
    fn a_manager_at_work_is_refused_with_its_commands() {
        let evidence = "process 9 is it";
        let sighting = |manager, at_work| Sighting {
            manager,
            evidence: evidence.to_owned(),
            at_work,
            pid: None,
            unit: Some("ha.service".to_owned()),
            config: None,
        };
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
        assert_eq!(report.captures["manager"], "pg_ctlcluster");
        let unit = Some("postgresql@15-main.service".to_owned());
        let managed = Managed { cluster, unit, ..Managed::default() };
        let report = judged(&managed);
        assert_eq!((report.captures["manager"].as_str(), report.captures["version"].as_str()), ("systemd", "15"));
        assert_eq!(report.captures["hold"], "systemctl mask --runtime postgresql@15-main.service");
        assert_eq!(report.captures["stop"], "systemctl stop postgresql@15-main.service");
        // systemctl would say that there is nothing to stop
        let report = judged(&Managed { outside_unit: true, ..managed });
        assert_eq!(report.captures["stop"], "pg_ctlcluster 15 main stop");
        assert_eq!(report.captures["start"], "systemctl start postgresql@15-main.service");
    }

    #[test]
    fn what_is_not_held_is_told_with_its_command() {
        let root = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let write = |path: &Path, text: &str| {
            let folder = path.parent().unwrap_or(path);
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(path, text)).unwrap_or_else(|e| panic!("{e}"));
        };
        let unit = root.path().join("etc/systemd/system/pg.service");
        write(&unit, "[Service]\nExecStart=/usr/bin/postgres\n");
        let mut found = Managed::default();
        found.name_unit(root.path(), "pg.service");
        let conf = StartConf::of(root.path());
        write(conf.path(), "auto\n");
        let look = || {
            let mut report = CheckReport::default();
            held(&found, root.path(), Some(&conf), &mut report);
            report
        };
        let report = look();
        assert!(report.findings.iter().all(|finding| !finding.holds), "{report:?}");
        let remedy = &report.findings[0].remedy;
        assert!(remedy.contains("pg.service.d/lifeboat.conf") && !remedy.contains("mask"), "{remedy}");
        assert!(report.findings[1].what.contains("says auto"), "{report:?}");
        // what was said is done, without root's places
        let drop_in = root.path().join("run/systemd/system/pg.service.d/lifeboat.conf");
        let text = remedy.split('\'').nth(1).unwrap_or_default().replace("\\n", "\n");
        write(&drop_in, &text);
        write(conf.path(), "disabled\n");
        assert!(look().holds(), "{:?}", look());
        let mut report = CheckReport::default();
        held(&Managed::default(), root.path(), None, &mut report);
        assert!(report.holds() && report.findings.len() == 1);
    }
}
