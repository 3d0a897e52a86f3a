//! What a run that has ended still holds of its host, and the commands that let it go. Looked up where it lies, not in the
//! journal: a run that was aborted leaves it held on purpose, and a person may have let it go since.

use crate::domain::plan::{Piece, Step};
use crate::domain::run::Run;
use crate::domain::still_held::{StillHeld, Undo};
use crate::domain::text::clean;
use crate::engine::backup_jobs::{self, HELD};
use crate::engine::kept::KeptState;
use crate::engine::leftovers::Leftovers;
use crate::engine::managers::{self, StartConf};
use crate::engine::postgres::{LiveState, server_is_live};
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
    found.extend(jobs(run, Path::new("/")));
    found
}

/// The old cluster, where it is not in its place.
fn kept(run: &Run, program: &str) -> Option<StillHeld> {
    let kept = Leftovers::of(run).kept?;
    let record = kept.record.ok()??;
    (record.state != KeptState::PutBack).then(|| StillHeld {
        what: format!(
            "the old cluster of {} lies in {}, disarmed",
            clean(&record.data_directory.to_string_lossy()),
            clean(&kept.home.to_string_lossy())
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

/// The backup jobs that are held, where the run has looked for them.
fn jobs(run: &Run, root: &Path) -> Option<StillHeld> {
    // only behind the gate that asks for it
    run.values.get("jobs-held.armed")?;
    let jobs = backup_jobs::find(root).jobs;
    let held: Vec<_> = jobs.iter().filter(|job| job.hold == HELD).collect();
    // what this user can't see, and timers that are off, are known only from when they were found
    let known = run.values.get("timers.re-arm").filter(|line| *line != "none");
    if held.is_empty() && known.is_none() {
        return None;
    }
    Some(StillHeld {
        what: if held.is_empty() {
            "backup and expire jobs of this host, where they were held for the run".to_owned()
        } else {
            let places: Vec<&str> = held.iter().map(|job| job.place.as_str()).collect();
            format!("backup and expire jobs of this host: {}", places.join(", "))
        },
        undo: Undo::AsRoot(match known {
            Some(line) => clean(line),
            None => held.iter().map(|job| job.re_arm.clone()).collect::<Vec<_>>().join("; "),
        }),
    })
}
