//! What lies in the data directory, and whether it is the stanza's.

use crate::domain::control_file::ControlIdentity;
use crate::domain::text::clean;
use crate::engine::checks::{CheckError, CheckReport, Input};
use crate::engine::drill_directory::{mount_points_in, symlink_in};
use crate::engine::kept::DISARMED;
use crate::engine::postgres::{LiveState, processes_in, server_is_live};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The files that only an unfinished restore leaves.
const UNFINISHED: [&str; 2] = ["backup.manifest", "global/pg_control.pgbackrest.tmp"];

/// The data directory is a plain directory, and the cluster in it is the stanza's.
pub(super) fn cluster_is_the_stanzas(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let (directory, stanza) = (input.path("data-directory")?, input.text("stanza")?);
    let wanted: u64 = input.parsed("system-identifier")?;
    let mut report = CheckReport::default();
    path(directory, &mut report)?;
    let fstab = std::fs::read_to_string("/etc/fstab").unwrap_or_default();
    let mounted = mount_points_in(Path::new("/")).map_err(looked(Path::new("/proc/self/mountinfo")))?;
    mounts(directory, &fstab, &mounted, &mut report);
    let configured = input.config()?.pg1_path(stanza);
    configured_path(directory, stanza, configured.as_deref(), &mut report);
    state(directory, &mut report)?;
    content(input, directory, wanted, &mut report)?;
    Ok(report)
}

fn looked(path: &Path) -> impl FnOnce(std::io::Error) -> CheckError {
    let path = path.to_owned();
    move |source| CheckError::Io { path, source }
}

fn path(directory: &Path, report: &mut CheckReport) -> Result<(), CheckError> {
    if let Some(link) = symlink_in(directory) {
        let to = std::fs::canonicalize(directory).map_or("nowhere".to_owned(), |to| to.display().to_string());
        report.bad(
            format!("{} is a symbolic link: {} leads to {to}", link.display(), directory.display()),
            "Name the directory it leads to, here and as pg1-path in pgbackrest.conf: what is renamed and emptied has to be the directory itself.",
        );
        return Ok(());
    }
    match directory.symlink_metadata() {
        Ok(found) if !found.is_dir() => {
            report.bad(format!("{} is no directory", directory.display()), "Look at it; name the data directory.");
        }
        Ok(_) => report.good(format!("{} is a directory, and no part of its path a link", directory.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(looked(directory)(error)),
    }
    Ok(())
}

/// A mount point that is not mounted hides the data, and a restore would fill the disk below it.
fn mounts(directory: &Path, fstab: &str, mounted: &[PathBuf], report: &mut CheckReport) {
    let lines = fstab.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let fields = lines.filter_map(|line| {
        let mut fields = line.split_whitespace();
        let place = PathBuf::from(fields.nth(1)?.replace("\\040", " "));
        let options = fields.nth(1).unwrap_or_default();
        Some((place, options.split(',').any(|option| matches!(option, "noauto" | "x-systemd.automount"))))
    });
    for (place, on_demand) in fields {
        let matters = place != Path::new("/") && directory.starts_with(&place);
        if matters && !on_demand && !mounted.contains(&place) {
            report.bad(
                format!("{} is a mount point by /etc/fstab and nothing is mounted there", place.display()),
                format!("The data may be there, unharmed, on the file system that is missing. Look at it first: `mount {}`, dmesg; a restore would fill the disk below it.", place.display()),
            );
        }
    }
    let inside: Vec<String> =
        mounted.iter().filter(|point| point.starts_with(directory)).map(|point| point.display().to_string()).collect();
    report.put("mount-points", if inside.is_empty() { "none".to_owned() } else { clean(&inside.join(", ")) });
    if !inside.is_empty() {
        let alone = mounted.iter().filter(|point| point.starts_with(directory)).all(|point| point == directory);
        report.good(format!(
            "mounted at or below it: {}. What is mounted can't be renamed: {}",
            inside.join(", "),
            if alone {
                "the old cluster is kept as a copy on another file system (-p kept=DIRECTORY), by a standby, or not at all; the restore goes over it with --delta"
            } else {
                "with a mount below the data directory the old cluster is kept by a standby, or not at all; the restore goes over it with --delta"
            }
        ));
    }
}

fn configured_path(directory: &Path, stanza: &str, configured: Option<&Path>, report: &mut CheckReport) {
    let same = |path: &Path| {
        path == directory
            || matches!((path.canonicalize(), directory.canonicalize()), (Ok(one), Ok(other)) if one == other)
    };
    match configured {
        Some(path) if same(path) => report.good(format!("it is pg1-path of stanza {stanza}")),
        Some(path) => report.bad(
            format!("pg1-path of stanza {stanza} is {}, not {}", path.display(), directory.display()),
            "A restore in place goes to pg1-path. Choose the stanza of this directory, or correct pgbackrest.conf.",
        ),
        None => report.bad(
            format!("pgbackrest.conf names no pg1-path for stanza {stanza}"),
            "Name it there: on a repository host nothing is restored in place.",
        ),
    }
}

fn state(directory: &Path, report: &mut CheckReport) -> Result<(), CheckError> {
    let live = server_is_live(directory)?;
    if !matches!(live, LiveState::Running { .. })
        && let Some(first) = processes_in(directory)?.first()
    {
        report.put("state", "orphaned");
        report.bad(
            format!("process {first} is a PostgreSQL server that still works in {}, although no postmaster.pid there names it: the files were removed under it", directory.display()),
            format!("Nothing may be restored beside it. If it still answers, copy out what it can show; then end it: kill -QUIT {first} (the postmaster; it ends by itself within a minute or so)."),
        );
        return Ok(());
    }
    match live {
        LiveState::Running { pid, status, .. } => {
            report.put("state", "running");
            let status = status.map_or(String::new(), |status| format!(", {status}"));
            report.good(format!("a server runs on it (process {pid}{status})"));
        }
        LiveState::Stopped => {
            report.put("state", "stopped");
            report.good("no server runs on it");
        }
        LiveState::Stale { pid, why } => {
            report.put("state", "stale");
            report.good(format!(
                "no server runs on it; its postmaster.pid is left over (process {pid}: {why}): the server was killed or the machine went down. A cluster that is renamed takes it along; pgBackRest refuses a delta restore with [038] until `lifeboat internal clear-stale-pid` has moved it away"
            ));
        }
    }
    Ok(())
}

fn content(input: &Input<'_>, directory: &Path, wanted: u64, report: &mut CheckReport) -> Result<(), CheckError> {
    let there = |name: &str| directory.join(name).symlink_metadata().is_ok();
    let left: Vec<&str> = UNFINISHED.into_iter().filter(|name| there(name)).collect();
    report.put("unfinished", if left.is_empty() { "no" } else { "yes" });
    for name in ["system-identifier", "timeline", "checkpoint"] {
        report.put(name, "unknown");
    }
    let empty = match std::fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(()),
        Err(error) => return Err(looked(directory)(error)),
    };
    if empty {
        report.put("cluster", "lost");
        report.put("role", "lost");
        report.good("it is empty or not there: nothing can be kept, and the restore makes everything anew");
        return Ok(());
    }
    if !left.is_empty() {
        report.put("cluster", "unfinished");
        report.put("role", "unfinished");
        report.good(format!(
            "an unfinished restore lies here ({}): it can't be started as it is. It is carried on with --delta, which keeps what was copied; what was there before it began is gone from here",
            left.join(" and ")
        ));
        if let Some(found) = manifest_identifier(&directory.join(UNFINISHED[0]))? {
            identifier(found, wanted, report);
        }
        return Ok(());
    }
    if !there("PG_VERSION") {
        report.put("cluster", "foreign");
        report.put("role", "foreign");
        report.bad(
            format!("{} is not empty and holds no cluster: there is no PG_VERSION", directory.display()),
            "Look at what it is. If somebody removed a part of a cluster, move the rest away by hand and begin again with an empty directory; pgBackRest refuses this one with [040].",
        );
        return Ok(());
    }
    if there("global/pg_control") {
        report.put("cluster", "whole");
        let control = input.around.postgres.control_data(directory, &input.around.environment)?;
        report.put("timeline", control.timeline);
        report.put("checkpoint", control.checkpoint);
        role(directory, report);
        report.good(format!("its control file says '{}', timeline {}", control.state, control.timeline));
        identifier(control.system_identifier, wanted, report);
        return Ok(());
    }
    report.put("cluster", "damaged");
    report.put("role", "damaged");
    match disarmed(directory)? {
        Some(found) => {
            let what = format!(
                "its control file is named global/{DISARMED}: it was kept by Lifeboat, or the way back was interrupted"
            );
            report.bad(what, "Finish that first: `lifeboat runs` names the run; do its way back again.");
            identifier(found, wanted, report);
        }
        None => report
            .good("its global/pg_control is gone (removed by hand, or by a restore that ended before it copied anything): whose cluster it is can't be told any more, only its place says so"),
    }
    Ok(())
}

/// What a whole cluster is to the others (of another its state is told in that place): by the files that PostgreSQL goes by (12 on), which a promotion removes.
fn role(directory: &Path, report: &mut CheckReport) {
    let there = |name: &str| directory.join(name).symlink_metadata().is_ok();
    if there("standby.signal") {
        report.put("role", "standby");
        report.bad(
            "it is a standby: standby.signal is there, and production is another cluster",
            "Recover where production is. If production is lost and this host takes its place: a standby may have everything, so look at it first and promote it (pg_ctl promote); else stop it, take standby.signal away and begin again.",
        );
    } else if there("recovery.signal") {
        report.put("role", "in recovery");
        report.good("it is in recovery: recovery.signal is there");
    } else {
        report.put("role", "primary");
    }
}

fn identifier(found: u64, wanted: u64, report: &mut CheckReport) {
    report.put("system-identifier", found);
    if found == wanted {
        report.good(format!("its system identifier is the stanza's: {found}"));
    } else {
        report.bad(
            format!("its system identifier is {found}, the stanza's is {wanted}: this is another cluster"),
            "Nothing of it may be overwritten. Choose the stanza it belongs to, or the directory of this stanza.",
        );
    }
}

fn disarmed(directory: &Path) -> Result<Option<u64>, CheckError> {
    let path = directory.join("global").join(DISARMED);
    let mut bytes = [0; 16];
    match std::fs::File::open(&path).and_then(|mut file| file.read_exact(&mut bytes)) {
        Ok(()) => Ok(ControlIdentity::parse(&bytes).ok().map(|identity| identity.system_identifier)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(looked(&path)(error)),
    }
}

/// `db-system-id=…` of the manifest that pgBackRest leaves while it restores.
fn manifest_identifier(path: &Path) -> Result<Option<u64>, CheckError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(looked(path)(error)),
    };
    // it stands among the first sections; a manifest may have millions of lines
    let mut text = Vec::new();
    file.take(1 << 20).read_to_end(&mut text).map_err(looked(path))?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().find_map(|line| line.strip_prefix("db-system-id=")).and_then(|id| id.trim().parse().ok()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn bad(report: &CheckReport) -> String {
        let bad = report.findings.iter().filter(|finding| !finding.holds);
        bad.map(|finding| format!("{} | {}\n", finding.what, finding.remedy)).collect()
    }

    #[test]
    fn a_mount_that_is_missing_is_told_before_a_restore_fills_the_disk_below() {
        let fstab = "# /srv/pg none\nUUID=1 / ext4 defaults 0 1\nUUID=2 /srv/pg xfs defaults 0 2\nUUID=3 /backup xfs noauto 0 2\n";
        let ask = |directory: &str, mounted: &[&str]| {
            let mut report = CheckReport::default();
            let mounted: Vec<PathBuf> = mounted.iter().map(PathBuf::from).collect();
            mounts(Path::new(directory), fstab, &mounted, &mut report);
            report
        };
        assert!(bad(&ask("/srv/pg/15/main", &["/"])).contains("/srv/pg is a mount point by /etc/fstab"));
        assert!(bad(&ask("/srv/pg", &["/"])).contains("mount /srv/pg"));
        for (directory, mounted) in
            [("/srv/pg/15/main", &["/", "/srv/pg"][..]), ("/srv/pg2", &["/"]), ("/backup/x", &["/"])]
        {
            let report = ask(directory, mounted);
            assert!(report.holds() && report.captures["mount-points"] == "none", "{report:?}");
        }
        let report = ask("/srv/pg", &["/", "/srv/pg", "/srv/pg/pg_wal"]);
        assert!(report.holds() && report.captures["mount-points"] == "/srv/pg, /srv/pg/pg_wal", "{report:?}");
    }

    #[test]
    fn links_files_and_other_clusters_are_refused() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        std::fs::create_dir(home.join("real")).unwrap();
        std::os::unix::fs::symlink(home.join("real"), home.join("link")).unwrap();
        std::fs::write(home.join("file"), "").unwrap();
        let ask = |name: &str| {
            let mut report = CheckReport::default();
            path(&home.join(name), &mut report).unwrap();
            bad(&report)
        };
        assert!(ask("link").contains("is a symbolic link") && ask("link").contains("real"), "{}", ask("link"));
        assert!(ask("file").contains("no directory"));
        assert_eq!(ask("real") + &ask("missing"), "");
        let mut report = CheckReport::default();
        identifier(7, 8, &mut report);
        assert!(bad(&report).contains("this is another cluster"));
        let mut report = CheckReport::default();
        configured_path(&home.join("real"), "main", Some(&home.join("file")), &mut report);
        configured_path(&home.join("real"), "main", None, &mut report);
        assert_eq!(bad(&report).lines().count(), 2);
        let mut report = CheckReport::default();
        configured_path(&home.join("real"), "main", Some(&home.join("link")), &mut report);
        assert!(report.holds());
    }
}
