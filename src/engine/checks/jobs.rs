//! What would back up or expire while the recovery is under way.

use crate::engine::backup_jobs::{self, BackupJobs, HELD};
use crate::engine::checks::{CheckError, CheckReport, Input, listed};

/// Names the jobs of this host, and where others would be.
pub(super) fn backup_jobs(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let stanza = input.text("stanza")?;
    let (found, idle) = backup_jobs::look(&input.around.environment);
    let config = input.config()?;
    let mut report = CheckReport::default();
    for repository in config.repositories(stanza) {
        if repository.local_path().is_none() {
            report.good("a repository is on another host or in an object store: if backups are started on a repository host, look there as well (crontab -l, systemctl list-timers) and hold them by hand");
            break;
        }
    }
    told(&found, &mut report);
    for name in idle {
        report.good(format!("{name} would run pgbackrest; it is neither enabled nor started, and stays so"));
    }
    Ok(report)
}

/// Reads back that none of them can start by itself: an answer at a gate holds nothing. What surely backs up something else
/// is left alone.
pub(super) fn backup_jobs_held(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let stanza = input.text("stanza")?;
    let config = input.around.pgbackrest.config.as_deref();
    let (mut found, _) = backup_jobs::look(&input.around.environment);
    let (ours, others) = found.jobs.into_iter().partition(|job| backup_jobs::may_concern(&job.runs, stanza, config));
    found.jobs = ours;
    let mut report = CheckReport::default();
    held(&found, &mut report);
    for job in others {
        report.good(format!("{} backs up something else: {}", job.place, job.runs));
    }
    Ok(report)
}

fn held(found: &BackupJobs, report: &mut CheckReport) {
    let armed: Vec<_> = found.jobs.iter().filter(|job| job.hold != HELD).collect();
    for job in &armed {
        report.bad(format!("{} is not held and runs {}", job.place, job.runs), format!("As root: {}", job.hold));
    }
    if armed.is_empty() {
        report.good("no cron job or timer that could be looked at starts pgbackrest backup or expire by itself");
    }
    if !found.unread.is_empty() {
        let places = listed(&found.unread);
        report.good(format!(
            "not read back, since this user can't look into it: {places}; ask root (crontab -l -u USER)"
        ));
    }
    report.put("armed", listed(&armed.iter().map(|job| job.place.clone()).collect::<Vec<_>>()));
}

fn told(found: &BackupJobs, report: &mut CheckReport) {
    let list = |text: &dyn Fn(&backup_jobs::BackupJob) -> String| found.jobs.iter().map(text).collect::<Vec<_>>();
    report.put("jobs", listed(&list(&|job| format!("{}: {}", job.place, job.runs))));
    // one line that root may paste
    let line = |commands: Vec<String>| {
        let commands: Vec<String> = commands.into_iter().filter(|command| command != HELD).collect();
        if commands.is_empty() { "none".to_owned() } else { commands.join("; ") }
    };
    report.put("hold", line(list(&|job| job.hold.clone())));
    report.put("re-arm", line(list(&|job| job.re_arm.clone())));
    for job in &found.jobs {
        report.good(format!(
            "{} runs {}. Hold it: {}. Arm it again at the end: {}",
            job.place, job.runs, job.hold, job.re_arm
        ));
    }
    if found.jobs.is_empty() {
        report.good("no cron job or timer that could be looked at runs pgbackrest backup or expire");
    }
    if !found.unread.is_empty() {
        report.good(format!(
            "this user can't look into {}: as root, look there (crontab -l -u USER) and hold what runs pgbackrest",
            listed(&found.unread)
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::backup_jobs::BackupJob;

    #[test]
    fn each_job_is_named_with_how_it_is_held() {
        let mut report = CheckReport::default();
        told(&BackupJobs::default(), &mut report);
        assert_eq!((report.captures["jobs"].as_str(), report.captures["hold"].as_str()), ("none", "none"));
        let job = |number: u32| BackupJob {
            place: format!("/etc/cron.d/x line {number}"),
            runs: "pgbackrest backup".to_owned(),
            hold: if number == 3 { HELD.to_owned() } else { format!("hold {number}") },
            re_arm: format!("arm {number}"),
            unarmed_timer: None,
        };
        let mut report = CheckReport::default();
        let found = BackupJobs { jobs: vec![job(2), job(3)], unread: vec!["/var/spool/cron/crontabs".to_owned()] };
        told(&found, &mut report);
        let first = "/etc/cron.d/x line 2: pgbackrest backup";
        assert_eq!(report.captures["jobs"], format!("{first}, /etc/cron.d/x line 3: pgbackrest backup"));
        // what is held already has to be armed again all the same
        assert_eq!((report.captures["hold"].as_str(), report.captures["re-arm"].as_str()), ("hold 2", "arm 2; arm 3"));
        assert!(report.findings[0].what.contains("Hold it: hold 2"), "{report:?}");
        assert!(report.findings[2].what.contains("can't look into /var/spool"), "{report:?}");
        // read back: one is held and one is not
        let mut report = CheckReport::default();
        held(&found, &mut report);
        assert_eq!(report.captures["armed"], "/etc/cron.d/x line 2");
        let wrong: Vec<_> = report.findings.iter().filter(|finding| !finding.holds).collect();
        assert_eq!((wrong.len(), wrong[0].remedy.as_str()), (1, "As root: hold 2"));
        let mut report = CheckReport::default();
        held(&BackupJobs { jobs: vec![job(3)], unread: found.unread }, &mut report);
        assert!(report.holds() && report.captures["armed"] == "none", "{report:?}");
        assert!(report.findings[1].what.contains("not read back"), "{report:?}");
    }
}
