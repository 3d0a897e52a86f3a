//! What would back up or expire while the recovery is under way.

use crate::domain::text::clean;
use crate::engine::ask::{self, Question, find_program};
use crate::engine::backup_jobs::{self, BackupJobs};
use crate::engine::checks::{CheckError, CheckReport, Input, listed};
use std::ffi::OsStr;
use std::path::Path;

/// Names the jobs of this host, and where others would be.
pub(super) fn backup_jobs(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let stanza = input.text("stanza")?;
    let mut found = backup_jobs::find(Path::new("/"));
    own_crontab(input, &mut found);
    let config = input.config()?;
    let mut report = CheckReport::default();
    for repository in config.repositories(stanza) {
        if repository.local_path().is_none() {
            report.good("a repository is on another host or in an object store: if backups are started on a repository host, look there as well (crontab -l, systemctl list-timers) and hold them by hand");
            break;
        }
    }
    told(&found, &mut report);
    Ok(report)
}

/// The crontabs lie where only cron may look; one's own is told by its program.
fn own_crontab(input: &Input<'_>, found: &mut BackupJobs) {
    const SPOOL: &str = "/var/spool/cron/crontabs";
    if !found.unread.iter().any(|place| place == SPOOL) {
        return;
    }
    let search_path = input.around.environment.get("PATH").map(OsStr::new);
    let Some(program) = find_program(Path::new("crontab"), search_path) else { return };
    let mut question = Question::new(program);
    question.arguments = vec!["-l".into()];
    question.environment = input.around.environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    question.output_limit_bytes = 1 << 20;
    let Ok(answer) = ask::ask(&question) else { return };
    if answer.code == 0 {
        let user = input.around.environment.get("USER").map_or("postgres".to_owned(), |user| clean(user));
        let text = String::from_utf8_lossy(&answer.stdout);
        backup_jobs::crontab(Path::new("/"), &format!("{SPOOL}/{user}"), &text, found);
    }
}

fn told(found: &BackupJobs, report: &mut CheckReport) {
    let list = |text: &dyn Fn(&backup_jobs::BackupJob) -> String| -> String {
        listed(&found.jobs.iter().map(text).collect::<Vec<_>>())
    };
    report.put("jobs", list(&|job| format!("{}: {}", job.place, job.runs)));
    report.put("hold", list(&|job| job.hold.clone()));
    report.put("re-arm", list(&|job| job.re_arm.clone()));
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
        let job = BackupJob {
            place: "x.timer".to_owned(),
            runs: "pgbackrest backup".to_owned(),
            hold: "systemctl mask --runtime --now x.timer".to_owned(),
            re_arm: "systemctl unmask --runtime x.timer".to_owned(),
        };
        let mut report = CheckReport::default();
        told(&BackupJobs { jobs: vec![job], unread: vec!["/var/spool/cron/crontabs".to_owned()] }, &mut report);
        assert_eq!(report.captures["jobs"], "x.timer: pgbackrest backup");
        assert!(report.findings[0].what.contains("mask --runtime --now x.timer"), "{report:?}");
        assert!(report.findings[1].what.contains("can't look into /var/spool"), "{report:?}");
    }
}
