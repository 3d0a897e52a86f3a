//! What only programs tell of backup jobs: one's own crontab, and whether a timer runs.

use crate::domain::text::clean;
use crate::engine::ask::{self, Question, find_program};
use crate::engine::backup_jobs::{BackupJobs, crontab, find};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What there is on this host, as far as this user sees it, and the timers that never run. `environment`: of the programs
/// that are asked.
#[must_use]
pub fn look(environment: &BTreeMap<String, String>) -> (BackupJobs, Vec<String>) {
    let mut found = find(Path::new("/"));
    own_crontab(environment, &mut found);
    let idle = idle_timers(environment, &mut found);
    (found, idle)
}

/// Takes timers out that are neither enabled nor started: to arm them at the end would start what never ran.
fn idle_timers(environment: &BTreeMap<String, String>, found: &mut BackupJobs) -> Vec<String> {
    let is_idle = |timer: &String| {
        let answer = asked(environment, "systemctl", &["is-active", timer]);
        answer.is_some_and(|answer| ["inactive", "failed"].contains(&answer.text().trim()))
    };
    let idle: Vec<String> = found.jobs.iter().filter_map(|job| job.unarmed_timer.clone()).filter(is_idle).collect();
    found.jobs.retain(|job| job.unarmed_timer.as_ref().is_none_or(|timer| !idle.contains(timer)));
    idle
}

/// Asks a program of this host; none where it is not there or does not answer.
fn asked(environment: &BTreeMap<String, String>, program: &str, arguments: &[&str]) -> Option<Said> {
    let search_path = environment.get("PATH").map(OsStr::new);
    let mut question = Question::new(find_program(Path::new(program), search_path)?);
    question.arguments = arguments.iter().map(OsString::from).collect();
    question.environment = environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
    question.output_limit_bytes = 1 << 20;
    ask::ask(&question).ok().map(|answer| Said { code: answer.code, stdout: answer.stdout })
}

/// What a program said.
struct Said {
    code: i32,
    stdout: Vec<u8>,
}

impl Said {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// The crontabs lie where only cron may look; one's own is told by its program.
fn own_crontab(environment: &BTreeMap<String, String>, found: &mut BackupJobs) {
    const SPOOL: &str = "/var/spool/cron/crontabs";
    if !found.unread.iter().any(|place| place == SPOOL) {
        return;
    }
    let Some(said) = asked(environment, "crontab", &["-l"]).filter(|said| said.code == 0) else { return };
    let user = environment.get("USER").map_or("postgres".to_owned(), |user| clean(user));
    crontab(Path::new("/"), &format!("{SPOOL}/{user}"), &said.text(), found);
}
