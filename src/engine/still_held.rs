//! What a run that has ended still holds of its host, and the commands that let it go. Looked up where it lies, not in the
//! journal: a run that was aborted leaves it held on purpose, and a person may have let it go since.

use crate::domain::plan::{Piece, Step};
use crate::domain::run::Run;
use crate::domain::still_held::{StillHeld, Undo};
use crate::domain::text::clean;
use crate::engine::backup_jobs::{self, BackupJob, BackupJobs, HELD};
use crate::engine::environment::BaseEnvironment;
use crate::engine::kept::KeptState;
use crate::engine::leftovers::Leftovers;
use crate::engine::managers::{self, StartConf};
use crate::engine::postgres::{LiveState, server_is_live};
use std::collections::BTreeMap;
use std::path::Path;

/// The helper that disables a Debian cluster, and its option with the place.
const HOLD_CLUSTER: &str = "hold-cluster";
const CONFIG_FILE: &str = "--config-file";

/// Looks; changes nothing. `program`: how this program is called. The order is that in which it is undone.
#[must_use]
pub fn still_held(run: &Run, program: &str) -> Vec<StillHeld> {
    let mut found = Vec::new();
    found.extend(kept(run, program));
    found.extend(start_conf(run));
    found.extend(unit(run, Path::new("/")));
    found.extend(server(run));
    let now = BaseEnvironment::from_process().map(|environment| backup_jobs::look(&environment.real).0);
    found.extend(now.ok().and_then(|now| jobs(&run.values, &now)));
    found
}

/// The old cluster, where it is not in its place.
fn kept(run: &Run, program: &str) -> Option<StillHeld> {
    let kept = Leftovers::of(run).kept?;
    let record = kept.record.ok()??;
    (record.state != KeptState::PutBack).then(|| StillHeld {
        what: format!(
            "the old cluster of {} lies in {}, disarmed; bringing it back lets go of the server as well, then look again: {program} attach {}",
            clean(&record.data_directory.to_string_lossy()),
            clean(&kept.home.to_string_lossy()),
            run.id
        ),
        undo: Undo::Command(format!("{program} run pitr-undo")),
    })
}

fn start_conf(run: &Run) -> Option<StillHeld> {
    let conf = run.plan.steps.iter().find_map(config_of_hold)?;
    let conf = StartConf::beside(Path::new(&conf)).filter(StartConf::is_held)?;
    let path = |path: &Path| clean(&path.to_string_lossy());
    Some(StillHeld {
        what: format!("{} says {}: pg_ctlcluster does not start the cluster", path(conf.path()), conf.says()),
        undo: Undo::Command(format!("mv {} {}", path(&conf.before()), path(conf.path()))),
    })
}

/// The `postgresql.conf` of the cluster that a step disables.
fn config_of_hold(step: &Step) -> Option<String> {
    let words = &step.kind.command()?.argv;
    let texts = words.iter().map(|word| match word.pieces.as_slice() {
        [Piece::Text(text)] => Some(text.clone()),
        _ => None,
    });
    let texts: Vec<Option<String>> = texts.collect();
    let at = |wanted: &str| texts.iter().position(|text| text.as_deref() == Some(wanted));
    at(HOLD_CLUSTER)?;
    texts.get(at(CONFIG_FILE)? + 1)?.clone()
}

fn unit(run: &Run, root: &Path) -> Option<StillHeld> {
    let value = |name: &str| run.values.get(name).or_else(|| run.before.get(name)).filter(|value| *value != "none");
    let (unit, let_go) = (value("managed.unit")?, value("managed.let-go")?);
    managers::is_held(root, unit).then(|| StillHeld {
        what: format!("systemd does not start {}", clean(unit)),
        undo: Undo::AsRoot(clean(let_go)),
    })
}

/// The server that the run has stopped, as long as nothing runs there.
fn server(run: &Run) -> Option<StillHeld> {
    let data = run.plan.parameters.get("data-directory")?;
    let ran = run.plan.parameters.get("production-state").is_some_and(|state| state == "running");
    let down = !matches!(server_is_live(Path::new(data)), Ok(LiveState::Running { .. }));
    (ran && down).then(|| StillHeld {
        what: format!("no server runs on {}", clean(data)),
        undo: started_by(run, Path::new(data)),
    })
}

fn started_by(run: &Run, data: &Path) -> Undo {
    if data.join("recovery.signal").exists() {
        return Undo::Words("What lies there is the restored cluster, in recovery: a start stops at its target and promotes nothing. Begin another pitr-in-place, or bring the old cluster back.".to_owned());
    }
    if !data.join("global/pg_control").exists() {
        return Undo::Words("Nothing there can be started: bring the old cluster back, or recover.".to_owned());
    }
    match run.values.get("managed.start").filter(|start| *start != "none") {
        Some(start) => Undo::AsRoot(clean(start)),
        None => Undo::Words("It may be started as it was before.".to_owned()),
    }
}

/// The backup jobs that are held, of those that the run has found.
fn jobs(values: &BTreeMap<String, String>, now: &BackupJobs) -> Option<StillHeld> {
    let value = |name: &str| values.get(name).map(String::as_str);
    let (hold, re_arm) = (value("timers.hold")?, value("timers.re-arm")?);
    let is_held = |job: &&BackupJob| {
        // a script may have been off all along
        let by_this_run = |place: &str| hold.contains(&format!("chmod a-x {place}"));
        job.hold == HELD && job.re_arm.strip_prefix("chmod a+x ").is_none_or(by_this_run)
    };
    let mut held: Vec<(String, String)> =
        now.jobs.iter().filter(is_held).map(|job| (job.place.clone(), job.re_arm.clone())).collect();
    // A timer ran when it was found. One that is off is not looked at any more, or would be armed by another command.
    let timers = re_arm.split("; ").filter(|command| command.starts_with("systemctl "));
    let is_off = |command: &&str| !now.jobs.iter().any(|job| job.re_arm == *command);
    let name = |command: &str| command.rsplit(' ').next().unwrap_or_default().to_owned();
    held.extend(timers.filter(is_off).map(|command| (clean(&name(command)), clean(command))));
    let (places, commands): (Vec<String>, Vec<String>) = held.into_iter().unzip();
    (!places.is_empty()).then(|| StillHeld {
        what: format!("backup and expire jobs of this host do not run: {}", places.join(", ")),
        undo: Undo::AsRoot(commands.join("; ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(place: &str, hold: &str, re_arm: &str) -> BackupJob {
        BackupJob {
            place: place.to_owned(),
            runs: "pgbackrest backup".to_owned(),
            hold: hold.to_owned(),
            re_arm: re_arm.to_owned(),
            unarmed_timer: None,
        }
    }

    #[test]
    fn jobs_are_held_as_long_as_they_do_not_run() {
        let (cron, timer) = ("sed -i '1s/^#lifeboat //' /etc/cron.d/x", "systemctl enable --now x.timer");
        let values = BTreeMap::from([
            (
                "timers.hold".to_owned(),
                "sed -i '1s/^/#lifeboat /' /etc/cron.d/x; systemctl disable --now x.timer".to_owned(),
            ),
            ("timers.re-arm".to_owned(), format!("{cron}; {timer}")),
        ]);
        let held = |jobs: Vec<BackupJob>| jobs_of(&values, jobs);
        let (is_held, runs) = (job("/etc/cron.d/x line 1", HELD, cron), job("/etc/cron.d/x line 1", "sed", cron));
        // a timer that is off is not looked at, or would be started only
        assert_eq!(
            held(vec![is_held.clone()]),
            Some(("/etc/cron.d/x line 1, x.timer".to_owned(), format!("{cron}; {timer}")))
        );
        let off = job("x.timer (not enabled)", "systemctl stop x.timer", "systemctl start x.timer");
        assert_eq!(held(vec![runs.clone(), off]), Some(("x.timer".to_owned(), timer.to_owned())));
        let on = job("x.timer", "systemctl disable --now x.timer", timer);
        assert_eq!(held(vec![runs, on.clone()]), None);
        // off before the run as well
        assert_eq!(held(vec![on, job("/etc/cron.daily/y", HELD, "chmod a+x /etc/cron.daily/y")]), None);
        assert_eq!(jobs_of(&BTreeMap::new(), vec![is_held]), None, "the run has not looked");
    }

    fn jobs_of(values: &BTreeMap<String, String>, jobs: Vec<BackupJob>) -> Option<(String, String)> {
        let held = super::jobs(values, &BackupJobs { jobs, unread: Vec::new() })?;
        let Undo::AsRoot(command) = held.undo else { return None };
        Some((held.what.rsplit(": ").next()?.to_owned(), command))
    }
}
