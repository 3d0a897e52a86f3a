//! The commands by which root stops a server's unit, keeps it from being started, and gives it back.

use crate::engine::managers::{Managed, read};
use std::path::Path;

/// A drop-in of this name holds a unit that can't be masked. `/run` forgets it at a reboot, as it does a runtime mask.
const DROP_IN: &str = "lifeboat.conf";

/// What it says. The path is never there.
const CONDITION: &str = "ConditionPathExists=/run/lifeboat/lets-it-start";

/// Commands for root, as shown at gates: the manager's own, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    /// Stops the server.
    pub stop: String,
    /// Keeps whoever it is from starting it.
    pub hold: String,
    /// Lets it go again.
    pub let_go: String,
    /// Starts it.
    pub start: String,
}

impl Managed {
    /// The commands of what was found; none where neither a unit nor Debian's tools manage it.
    #[must_use]
    pub fn commands(&self) -> Option<Commands> {
        let cluster = |verb: &str| {
            self.cluster.as_ref().map(|(version, cluster)| format!("pg_ctlcluster {version} {cluster} {verb}"))
        };
        let Some(unit) = &self.unit else {
            let name =
                self.cluster.as_ref().map(|(version, cluster)| format!("/etc/postgresql/{version}/{cluster}"))?;
            return Some(Commands {
                stop: cluster("stop")?,
                hold: format!("{name}/start.conf says disabled while the work goes on (Lifeboat does it)"),
                let_go: format!("{name}/start.conf says again what it said (Lifeboat does it)"),
                start: cluster("start")?,
            });
        };
        let past_unit = if self.outside_unit { cluster("stop") } else { None };
        let (hold, let_go) = self.hold(unit);
        let stop = past_unit.unwrap_or_else(|| format!("systemctl stop {unit}"));
        Some(Commands { stop, hold, let_go, start: format!("systemctl start {unit}") })
    }

    fn hold(&self, unit: &str) -> (String, String) {
        if !self.unit_is_administrators {
            return (format!("systemctl mask --runtime {unit}"), format!("systemctl unmask --runtime {unit}"));
        }
        let folder = format!("/run/systemd/system/{unit}.d");
        (
            format!(
                "mkdir -p {folder} && printf '[Unit]\\n{CONDITION}\\n' > {folder}/{DROP_IN} && systemctl daemon-reload"
            ),
            format!("rm {folder}/{DROP_IN} && systemctl daemon-reload"),
        )
    }
}

/// Whether a unit can't be started: masked, or held by the drop-in of [`Managed::commands`].
#[must_use]
pub fn is_held(root: &Path, unit: &str) -> bool {
    let file = |folder: &str| root.join(folder).join("systemd/system").join(unit);
    let is_mask = |path: &Path| std::fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null"));
    let own = file("etc");
    // a file of the administrator's goes before the mask in /run
    let masked = is_mask(&own) || (is_mask(&file("run")) && own.symlink_metadata().is_err());
    let drop_in = root.join("run/systemd/system").join(format!("{unit}.d")).join(DROP_IN);
    masked || read(&drop_in).is_some_and(|text| text.lines().any(|line| line == CONDITION))
}
