//! Cron jobs and systemd timers of this host that run `pgbackrest backup` or `expire`. After a recovery an expire can remove
//! the WAL of the timeline that was left, with the commits that were discarded (tried: `retention-full=1` did).
//!
//! Files are read below a root, `/` in earnest; nothing is changed here.

mod seen;

pub use seen::look;

use crate::domain::text::clean;
use crate::engine::managers::{UNIT_FOLDERS, entries, read, shown, unit_text};
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Where pgBackRest looks for its configuration itself (2.45, Debian).
const DEFAULT_PLACES: [&str; 2] = ["/etc/pgbackrest/pgbackrest.conf", "/etc/pgbackrest.conf"];

/// Stands before a line of a crontab that is held.
const MARK: &str = "#lifeboat";

/// What is shown for a job that is held already.
pub const HELD: &str = "held already";

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
    /// A timer that nothing starts at boot: whether it runs now only systemd can tell.
    pub unarmed_timer: Option<String>,
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
    let mut tables = vec![root.join("etc/crontab"), root.join("etc/anacrontab")];
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
                let runs = script.metadata().is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
                found.jobs.push(BackupJob {
                    runs: format!(
                        "a script, {period}{}",
                        if runs { "" } else { "; not executable, so it does not run" }
                    ),
                    hold: if runs { format!("chmod a-x {place}") } else { HELD.to_owned() },
                    re_arm: format!("chmod a+x {place}"),
                    place,
                    unarmed_timer: None,
                });
            }
        }
    }
    timers(root, &mut found);
    found
}

/// The jobs in a crontab's text, as `crontab -l` prints it or a file holds it. A line that an earlier recovery holds is one.
pub fn crontab(root: &Path, place: &str, text: &str, found: &mut BackupJobs) {
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let (line, is_held) = line.strip_prefix(MARK).map_or((line, false), |line| (line.trim_start(), true));
        if line.starts_with('#') || !(is_backup(line) || calls_backup(root, line)) {
            continue;
        }
        let number = index + 1;
        let (mark, unmark) = (format!("{number}s/^/{MARK} /"), format!("{number}s/^{MARK} //"));
        // a user's own table is changed by its program, which tells cron
        let user = place.rsplit('/').next().unwrap_or_default();
        let edit = |script: &str| {
            if place.starts_with("/etc/") {
                format!("sed -i '{script}' {place}")
            } else {
                format!("crontab -u {user} -l | sed '{script}' | crontab -u {user} -")
            }
        };
        found.jobs.push(BackupJob {
            place: format!("{place} line {number}"),
            runs: clean(line),
            hold: if is_held { HELD.to_owned() } else { edit(&mark) },
            re_arm: edit(&unmark),
            unarmed_timer: None,
        });
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

/// Whether a job may concern this stanza under this configuration (`None`: pgBackRest's own place): all do but those that
/// name another stanza or configuration themselves. What a script calls is not known.
#[must_use]
pub fn may_concern(runs: &str, stanza: &str, config: Option<&Path>) -> bool {
    if !is_backup(runs) {
        return true;
    }
    let words: Vec<&str> = runs.split([' ', '\t', '"', '\'', '=']).filter(|word| !word.is_empty()).collect();
    let option = |name: &str| words.iter().position(|word| *word == name).and_then(|at| words.get(at + 1)).copied();
    let own = config.filter(|config| !DEFAULT_PLACES.contains(&config.to_str().unwrap_or_default()));
    let same_config = match (option("--config"), own) {
        (None, None) => true,
        // it may be in its environment
        (None, Some(_)) => runs.contains("PGBACKREST_CONFIG"),
        (Some(named), Some(own)) => Path::new(named) == own,
        (Some(named), None) => DEFAULT_PLACES.contains(&named),
    };
    same_config && option("--stanza").is_none_or(|named| named == stanza)
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
        let masks = ["etc", "run"].map(|folder| root.join(folder).join("systemd/system").join(&name));
        if masks.iter().any(|path| std::fs::read_link(path).is_ok_and(|target| target == Path::new("/dev/null"))) {
            continue;
        }
        let timer = unit_text(root, &name).unwrap_or_default();
        let value = |text: &str, key: &str| {
            text.lines().filter_map(|line| line.trim().strip_prefix(key)).map(str::to_owned).collect::<Vec<_>>()
        };
        let stem = name.trim_end_matches(".timer");
        let service = value(&timer, "Unit=").pop().unwrap_or_else(|| format!("{stem}.service"));
        let instance = stem.split_once('@').map_or("", |(_, instance)| instance);
        let service = service.replace("%i", instance);
        let commands = value(&unit_text(root, &service).unwrap_or_default(), "ExecStart=");
        let runs = commands.into_iter().find(|line| is_backup(line) || calls_backup(root, line));
        if let Some(runs) = runs {
            let is_enabled = enabled.contains(&name);
            let name = clean(&name);
            // A mask would not do: a timer of the administrator's own, in /etc, goes before a mask in /run.
            let persistent = is_enabled && timer.lines().any(|line| line.trim() == "[Install]");
            let (hold, re_arm) = if persistent { ("disable --now", "enable --now") } else { ("stop", "start") };
            found.jobs.push(BackupJob {
                place: format!("{name}{}", if is_enabled { "" } else { " (not enabled)" }),
                runs: clean(&runs.replace("%i", instance)),
                hold: format!("systemctl {hold} {name}"),
                re_arm: format!("systemctl {re_arm} {name}"),
                unarmed_timer: (!is_enabled).then_some(name),
            });
        }
    }
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
                "MAILTO=x\n30 6 * * 0 postgres pgbackrest --type=full --stanza=main backup\n#30 6 * * 1 postgres pgbackrest backup\n\
                 #lifeboat 0 9 * * 1 postgres pgbackrest expire\n",
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
            [
                "/etc/cron.d/pgbackrest line 2",
                "/etc/cron.d/pgbackrest line 4",
                "/var/spool/cron/crontabs/postgres line 1",
                "/etc/cron.daily/expire"
            ]
        );
        let commands = |at: usize| (found.jobs[at].hold.as_str(), found.jobs[at].re_arm.as_str());
        let cron_d = "/etc/cron.d/pgbackrest";
        assert_eq!(commands(0).0, format!("sed -i '2s/^/#lifeboat /' {cron_d}"));
        assert_eq!(commands(0).1, format!("sed -i '2s/^#lifeboat //' {cron_d}"));
        // by a recovery that was aborted
        assert_eq!(commands(1), ("held already", format!("sed -i '4s/^#lifeboat //' {cron_d}").as_str()));
        assert_eq!(
            commands(2),
            (
                "crontab -u postgres -l | sed '1s/^/#lifeboat /' | crontab -u postgres -",
                "crontab -u postgres -l | sed '1s/^#lifeboat //' | crontab -u postgres -"
            )
        );
        assert_eq!(commands(3), ("held already", "chmod a+x /etc/cron.daily/expire"));
        let script = root.path().join("etc/cron.daily/expire");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(find(root.path()).jobs[3].hold, "chmod a-x /etc/cron.daily/expire");
        assert_eq!(found.unread, Vec::<String>::new());
    }

    #[test]
    fn timers_are_found_with_their_instances() {
        let root = machine(&[
            ("usr/lib/systemd/system/backup@.timer", "[Timer]\nOnCalendar=daily\n[Install]\nWantedBy=timers.target\n"),
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
        assert_eq!(found.jobs[0].hold, "systemctl disable --now backup@main.timer");
        assert_eq!(found.jobs[0].re_arm, "systemctl enable --now backup@main.timer");
        assert_eq!(
            (found.jobs[1].hold.as_str(), found.jobs[1].re_arm.as_str()),
            ("systemctl stop clean.timer", "systemctl start clean.timer")
        );
        assert_eq!(found.jobs[1].unarmed_timer.as_deref(), Some("clean.timer"));
        // what is masked never runs
        let run = root.path().join("run/systemd/system");
        fs::create_dir_all(&run).unwrap();
        std::os::unix::fs::symlink("/dev/null", run.join("backup@main.timer")).unwrap();
        assert_eq!(find(root.path()).jobs.len(), 1);
    }

    #[test]
    fn only_what_names_something_else_itself_is_none_of_this_stanza() {
        let own = |runs: &str| may_concern(runs, "main", Some(Path::new("/etc/pgbackrest.conf")));
        for runs in ["pgbackrest --stanza=main backup", "pgbackrest backup", "/opt/nightly.sh", "a script, daily"] {
            assert!(own(runs), "{runs}");
        }
        assert!(own("pgbackrest --config /etc/pgbackrest/pgbackrest.conf --stanza main expire"));
        for runs in ["pgbackrest --stanza=other backup", "pgbackrest --config=/srv/x.conf --stanza=main backup"] {
            assert!(!own(runs), "{runs}");
        }
        let elsewhere = |runs: &str| may_concern(runs, "main", Some(Path::new("/srv/x.conf")));
        assert!(elsewhere("pgbackrest --config=/srv/x.conf backup"));
        assert!(elsewhere("PGBACKREST_CONFIG=/srv/x.conf pgbackrest backup"));
        assert!(!elsewhere("pgbackrest --stanza=main backup"));
        assert!(may_concern("pgbackrest --stanza=main backup", "main", None));
    }

    #[test]
    fn a_bare_machine_has_none_and_text_is_cleaned() {
        assert_eq!(find(machine(&[]).path()), BackupJobs::default());
        let root = machine(&[("etc/cron.d/x", "* * * * * postgres pgbackrest backup \u{1b}[2J\n")]);
        assert!(!format!("{:?}", find(root.path())).contains("\\u{1b}"));
    }
}
