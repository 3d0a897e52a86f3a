//! Following a run: its journal by inotify, its progress while a step goes on.

use super::folder;
use crate::domain::event::RunId;
use crate::engine::client::{self, Following};
use crate::engine::paths;
use crate::engine::progress::ProgressReader;
use crate::engine::seat;
use crate::settings::Settings;
use crate::ui::event::{Reply, RunNews};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Output and progress are looked at so often while a step goes on.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Nothing goes on: only whether a runner lives is looked at.
const IDLE_EVERY: Duration = Duration::from_secs(5);

/// Follows a run until it is left or has ended; where nobody goes on with it a runner is started.
pub(super) fn follow(settings: &Settings, id: &RunId, leave: &AtomicBool, tell: &dyn Fn(Reply)) -> Result<(), String> {
    let folder = folder(settings, id)?;
    let (mut following, _) = Following::start(&folder).map_err(|error| error.to_string())?;
    let told = |following: &Following| Some(Box::new(following.run.clone()));
    let alive = || folder.is_runner_alive().unwrap_or(false);
    let mut is_alive = alive();
    // This console is no other one.
    let other = || seat::driver(&folder).filter(|driver| driver.pid != std::process::id());
    let mut driver = other();
    let news = |run, is_runner_alive, progress, driver| Reply::Run(RunNews { run, is_runner_alive, progress, driver });
    tell(news(told(&following), is_alive || following.run.ended.is_some(), None, driver.clone()));
    if following.run.ended.is_none() && !is_alive {
        let socket = paths::socket_path(settings, id).map_err(|error| error.to_string())?;
        if let Err(error) = client::ensure_runner(&folder, &socket) {
            tell(Reply::Failed(error.to_string()));
        }
    }
    let mut reader = None;
    while following.run.ended.is_none() {
        let is_active = following.run.steps.iter().any(|step| step.status.is_active());
        let entries =
            following.wait(Some(if is_active { LOOK_EVERY } else { IDLE_EVERY })).map_err(|error| error.to_string())?;
        if leave.load(Ordering::SeqCst) {
            return Ok(());
        }
        reader = ProgressReader::continued(reader.take(), &following.run, &folder);
        let progress = reader.as_mut().and_then(|reader| reader.progress(&following.run));
        let was_alive = std::mem::replace(&mut is_alive, alive());
        let was_driven = std::mem::replace(&mut driver, other());
        if !entries.is_empty() || is_active || was_alive != is_alive || was_driven != driver {
            let run = if entries.is_empty() { None } else { told(&following) };
            tell(news(run, is_alive, progress, driver.clone()));
        }
    }
    Ok(())
}
