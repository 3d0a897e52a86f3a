//! Cron jobs and systemd timers of this host that run `pgbackrest backup` or `expire`. After a recovery an expire can remove
//! the WAL of the timeline that was left, with the commits that were discarded (tried: `retention-full=1` did).
//!
//! Everything is read below a root, `/` in earnest; nothing is changed here.

use crate::domain::text::clean;
use crate::engine::managers::{UNIT_FOLDERS, entries, read, shown};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A job, and how it is held and let go. Texts are cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupJob {
    /// Where it stands: a file and line, a timer.
    pub place: String,
    /// What it runs.
    pub runs: String,
    /// The command that holds it.
    pub hold: String,
    /// The command that arms it again.
    pub re_arm: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BackupJobs {
    /// The jobs.
    pub jobs: Vec<BackupJob>,
    /// Places that this user can't look into.
    pub unread: Vec<String>,
}

/// Looks below `root`.
#[must_use]
pub fn find(root: &Path) -> BackupJobs {
    let mut found = BackupJobs::default();
    let mut tables = vec![root.join("etc/crontab")];
    tables.extend(entries(&root.join("etc/cron.d")));
    for folder in ["var/spool/cron/crontabs", "var/spool/cron"] {
        let folder = root.join(folder);
        if folder.is_dir() && std::fs::read_dir(&folder).is_err() {
            found.unread.push(shown(root, &folder));
        }
        tables.extend(entries(&folder).into_iter().filter(|path| path.is_file()));
    }
    for table in tables {
        match read(&table) {
            Some(text) => crontab(root, &shown(root, &table), &text, &mut found),
            None if table.is_file() => found.unread.push(shown(root, &table)),
            None => {}
        }
    }
    for period in ["hourly", "daily", "weekly", "monthly"] {
        for script in entries(&root.join(format!("etc/cron.{period}"))) {
            if read(&script).is_some_and(|text| text.lines().any(is_backup)) {
                let place = shown(root, &script);
                found.jobs.push(BackupJob {
                    runs: format!("a script, {period}"),
                    hold: format!("chmod a-x {place}"),
                    re_arm: format!("chmod a+x {place}"),
                    place,
                });
            }
        }
    }
    timers(root, &mut found);
    found
}

/// The jobs in a crontab's text, as `crontab -l` prints it or a file holds it.
pub fn crontab(root: &Path, place: &str, text: &str, found: &mut BackupJobs) {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('#') || !(is_backup(line) || calls_backup(root, line)) {
            continue;
        }
        let number = index + 1;
        let (hold, re_arm) = if place.starts_with("/etc/") {
            (format!("sed -i '{number}s/^/#lifeboat /' {place}"), format!("sed -i 's/^#lifeboat //' {place}"))
        } else {
            let user = place.rsplit('/').next().unwrap_or_default();
            (
                format!("crontab -u {user} -e (comment line {number} out)"),
                format!("crontab -u {user} -e (take line {number} in again)"),
            )
        };
        found.jobs.push(BackupJob { place: format!("{place} line {number}"), runs: clean(line), hold, re_arm });
    }
}

/// A line that runs a backup or an expire itself. `pgbackrest --type=full backup`, `pgbackrest expire --stanza=main`.
fn is_backup(line: &str) -> bool {
    let line = line.trim_start();
    let mut words =
        line.split(|next: char| next.is_whitespace() || matches!(next, '"' | '\'' | ';' | '&' | '|' | '(' | ')'));
    !line.starts_with('#')
        && words.any(|word| word.rsplit('/').next() == Some("pgbackrest"))
        && words.any(|word| matches!(word, "backup" | "expire"))
}

/// A line that calls a script which does. One level: what a script calls is not followed.
fn calls_backup(root: &Path, line: &str) -> bool {
    let paths = line.split_whitespace().filter(|word| word.starts_with('/'));
    paths.take(4).any(|path| {
        let script = root.join(path.trim_start_matches('/'));
        read(&script).is_some_and(|text| text.starts_with("#!") && text.lines().any(is_backup))
    })
}

fn timers(root: &Path, found: &mut BackupJobs) {
    let mut names = BTreeSet::new();
    let mut enabled = BTreeSet::new();
    for folder in UNIT_FOLDERS {
        for path in entries(&root.join(folder)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".timer") {
                names.insert(name);
            } else if name.ends_with(".wants") {
                let wanted = entries(&path).into_iter();
                enabled.extend(wanted.map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned()));
            }
        }
    }
    names.extend(enabled.iter().filter(|name| name.ends_with(".timer")).cloned());
    for name in names {
        // a template is nothing without an instance
        if name.contains("@.") {
            continue;
        }
        let timer = unit(root, &name).unwrap_or_default();
        let value = |text: &str, key: &str| {
            text.lines().filter_map(|line| line.trim().strip_prefix(key)).map(str::to_owned).collect::<Vec<_>>()
        };
        let stem = name.trim_end_matches(".timer");
        let service = value(&timer, "Unit=").pop().unwrap_or_else(|| format!("{stem}.service"));
        let instance = stem.split_once('@').map_or("", |(_, instance)| instance);
        let service = service.replace("%i", instance);
        let commands = value(&unit(root, &service).unwrap_or_default(), "ExecStart=");
        let runs = commands.into_iter().find(|line| is_backup(line) || calls_backup(root, line));
        if let Some(runs) = runs {
            let name = clean(&name);
            let state = if enabled.contains(&name) { "" } else { " (not enabled)" };
            found.jobs.push(BackupJob {
                place: format!("{name}{state}"),
                runs: clean(&runs.replace("%i", instance)),
                hold: format!("systemctl mask --runtime --now {name}"),
                re_arm: format!("systemctl unmask --runtime {name} && systemctl start {name}"),
            });
        }
    }
}

/// The text of a unit, of its template where it is an instance.
fn unit(root: &Path, name: &str) -> Option<String> {
    let template = name.split_once('@').and_then(|(stem, rest)| {
        let suffix = rest.rsplit('.').next()?;
        Some(format!("{stem}@.{suffix}"))
    });
    let names: Vec<PathBuf> = [Some(name.to_owned()), template].into_iter().flatten().map(PathBuf::from).collect();
    names.iter().flat_map(|name| UNIT_FOLDERS.map(|folder| root.join(folder).join(name))).find_map(|path| read(&path))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::fs;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn cron_jobs_are_found_wherever_they_stand() {
        let root = machine(&[
            ("etc/crontab", "# pgbackrest backup\n5 4 * * * root /usr/bin/true\n"),
            (
                "etc/cron.d/pgbackrest",
                "MAILTO=x\n30 6 * * 0 postgres pgbackrest --type=full --stanza=main backup\n#30 6 * * 1 postgres pgbackrest backup\n",
            ),
            ("etc/cron.d/other", "* * * * * postgres pgbackrest --stanza=main info\n"),
            ("etc/cron.daily/expire", "#!/bin/sh\nsu postgres -c \"pgbackrest --stanza=main expire\"\n"),
            ("var/spool/cron/crontabs/postgres", "0 1 * * * /usr/local/bin/nightly\n"),
            ("usr/local/bin/nightly", "#!/bin/bash\n# daily\n/usr/bin/pgbackrest --stanza=main --type=diff backup\n"),
        ]);
        let found = find(root.path());
        let places: Vec<&str> = found.jobs.iter().map(|job| job.place.as_str()).collect();
        assert_eq!(
            places,
            ["/etc/cron.d/pgbackrest line 2", "/var/spool/cron/crontabs/postgres line 1", "/etc/cron.daily/expire"]
        );
        assert_eq!(found.jobs[0].hold, "sed -i '2s/^/#lifeboat /' /etc/cron.d/pgbackrest");
        assert!(found.jobs[1].hold.starts_with("crontab -u postgres -e"), "{found:?}");
        assert_eq!(found.unread, Vec::<String>::new());
    }

    #[test]
    fn timers_are_found_with_their_instances() {
        let root = machine(&[
            ("usr/lib/systemd/system/backup@.timer", "[Timer]\nOnCalendar=daily\n"),
            ("usr/lib/systemd/system/backup@.service", "[Service]\nExecStart=/usr/bin/pgbackrest --stanza=%i backup\n"),
            ("etc/systemd/system/timers.target.wants/backup@main.timer", "[Timer]\n"),
            ("etc/systemd/system/clean.timer", "[Timer]\nUnit=expire.service\n"),
            ("etc/systemd/system/expire.service", "[Service]\nExecStart=-/usr/bin/pgbackrest expire\n"),
            ("lib/systemd/system/fstrim.timer", "[Timer]\n"),
            ("lib/systemd/system/fstrim.service", "[Service]\nExecStart=/sbin/fstrim\n"),
        ]);
        let found = find(root.path());
        let places: Vec<&str> = found.jobs.iter().map(|job| job.place.as_str()).collect();
        assert_eq!(places, ["backup@main.timer", "clean.timer (not enabled)"]);
        assert_eq!(found.jobs[0].runs, "/usr/bin/pgbackrest --stanza=main backup");
        assert_eq!(found.jobs[0].hold, "systemctl mask --runtime --now backup@main.timer");
    }

    #[test]
    fn a_bare_machine_has_none_and_text_is_cleaned() {
        assert_eq!(find(machine(&[]).path()), BackupJobs::default());
        let root = machine(&[("etc/cron.d/x", "* * * * * postgres pgbackrest backup \u{1b}[2J\n")]);
        assert!(!format!("{:?}", find(root.path())).contains("\\u{1b}"));
    }
}
