//! Settings that a restored cluster would bring and that disturb a recovery.

use crate::domain::text::clean;
use crate::engine::ask::{self, Question};
use crate::engine::checks::{CheckError, CheckReport, Input, listed};
use crate::engine::managers;
use crate::engine::recovery_conf;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The argument for a configuration in the data directory.
const IN_DATA: &str = "default";

/// Settings whose value is asked for.
const SETTINGS: [&str; 17] = [
    "hot_standby",
    "recovery_end_command",
    "archive_cleanup_command",
    "promote_trigger_file",
    "logging_collector",
    "recovery_min_apply_delay",
    "recovery_target",
    "recovery_target_lsn",
    "recovery_target_name",
    "recovery_target_time",
    "recovery_target_xid",
    "primary_conninfo",
    "synchronous_standby_names",
    "config_file",
    "hba_file",
    "ident_file",
    "max_connections",
];

/// Looks at every setting that ends a pause early, runs a program at a recovery's end, or hides the log.
pub(super) fn recovery_hazards(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let directory = input.path("data-directory")?;
    let given = match input.text("config-file")? {
        IN_DATA => None,
        _ => Some(input.path("config-file")?),
    };
    let mut report = CheckReport::default();
    // 16 removed the setting, and does not start with it; the other is what the server step says anyhow
    let major: u32 = input.around.postgres.major().parse().unwrap_or(0);
    report.put("trigger-override", if major < 16 { "promote_trigger_file=" } else { "hot_standby=on" });
    let main = given.map_or_else(|| directory.join("postgresql.conf"), Path::to_owned);
    if main.symlink_metadata().is_err() {
        report.put("config-file", main.display());
        report.put("config-outside", if main.starts_with(directory) { "no" } else { "yes" });
        report.put("includes", "unknown");
        let what = format!("{} is not there: its settings are known only after the restore", main.display());
        if main.starts_with(directory) {
            report.good(what);
        } else {
            report.bad(what, "A configuration outside of the data directory is not in a backup: put it back from your notes or your configuration management first.");
        }
        return Ok(report);
    }
    let values = match values(input, directory, given)? {
        Ok(values) => values,
        Err(said) => {
            report.bad(
                format!("postgres can't read {}: {said}", main.display()),
                "Correct the configuration: the restored server would not start with it.",
            );
            return Ok(report);
        }
    };
    let mut files = Files::default();
    files.read(&main, 0);
    let auto = recovery_conf::recovery_settings(directory)
        .map_err(|error| CheckError::NotThere(error.to_string()))?
        .into_iter()
        .map(|setting| (setting.name.clone(), setting.shown()))
        .collect();
    judge(&Found { directory, main: &main, values, files, auto }, &mut report);
    Ok(report)
}

/// What `postgres -C` says of each setting; one that this version does not know is left out.
fn values(
    input: &Input<'_>,
    directory: &Path,
    config_file: Option<&Path>,
) -> Result<Result<BTreeMap<String, String>, String>, CheckError> {
    let mut found = BTreeMap::new();
    for name in SETTINGS {
        let mut question = Question::new(input.around.postgres.program("postgres"));
        question.environment =
            input.around.environment.iter().map(|(name, value)| (name.clone(), value.into())).collect();
        question.environment.insert("LC_ALL".into(), "C".into());
        question.environment.remove("PGDATA");
        question.arguments = vec!["-C".into(), name.into(), "-D".into(), directory.into()];
        question.arguments.extend(config_file.map(|path| format!("--config_file={}", path.display()).into()));
        question.output_limit_bytes = 1 << 16;
        let answer = ask::ask(&question).map_err(crate::engine::postgres::PostgresError::from)?;
        if answer.code == 0 {
            let value = String::from_utf8_lossy(&answer.stdout).trim_end_matches('\n').to_owned();
            found.insert(name.to_owned(), value);
        } else if !answer.stderr.contains("unrecognized configuration parameter") {
            return Ok(Err(clean(answer.stderr.trim())));
        }
    }
    Ok(Ok(found))
}

/// The text of a configuration: which file sets what.
#[derive(Default)]
struct Files {
    /// By setting, where it stands last.
    places: BTreeMap<String, PathBuf>,
    /// Included files and folders.
    includes: Vec<String>,
}

impl Files {
    /// Reads a file and what it includes; PostgreSQL goes ten deep as well.
    fn read(&mut self, file: &Path, depth: usize) {
        let Some(text) = managers::read(file).filter(|_| depth <= 10) else { return };
        let folder = file.parent().unwrap_or(Path::new("/"));
        for line in text.lines() {
            let line = line.trim_start();
            let end = line.find(|next: char| !next.is_ascii_alphanumeric() && next != '_' && next != '.');
            let (name, rest) = line.split_at(end.unwrap_or(line.len()));
            let name = name.to_ascii_lowercase();
            let value = || rest.split('#').next().unwrap_or_default().trim_matches([' ', '\t', '=', '\'']).to_owned();
            match name.as_str() {
                "" => {}
                "include" | "include_if_exists" | "include_dir" => {
                    let path = folder.join(value());
                    self.includes.push(clean(&path.to_string_lossy()));
                    if name == "include_dir" {
                        let conf = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "conf");
                        managers::entries(&path).into_iter().filter(conf).for_each(|path| self.read(&path, depth + 1));
                    } else {
                        self.read(&path, depth + 1);
                    }
                }
                // none at all: Patroni writes all of them so
                _ if name.starts_with("recovery_target") && value().is_empty() => {
                    self.places.remove(&name);
                }
                _ => {
                    self.places.insert(name, file.to_owned());
                }
            }
        }
    }
}

struct Found<'f> {
    directory: &'f Path,
    main: &'f Path,
    values: BTreeMap<String, String>,
    files: Files,
    /// What postgresql.auto.conf says of recovery, shown.
    auto: BTreeMap<String, String>,
}

impl Found<'_> {
    fn value(&self, name: &str) -> &str {
        self.values.get(name).map_or("", String::as_str)
    }

    /// Where a setting stands, for a person.
    fn place(&self, name: &str) -> String {
        if self.auto.contains_key(name) {
            return "postgresql.auto.conf".to_owned();
        }
        self.files.places.get(name).map_or("its default".to_owned(), |path| clean(&path.to_string_lossy()))
    }
}

fn judge(found: &Found<'_>, report: &mut CheckReport) {
    let mut hazards = Vec::new();
    let overridden: [(&str, &[&str], &str); 4] = [
        (
            "hot_standby",
            &["on", ""],
            "a pause becomes a shutdown: the server that looks is started with -c hot_standby=on",
        ),
        (
            "logging_collector",
            &["off", ""],
            "the log goes to a file nobody follows: the server that looks is started with -c logging_collector=off -c log_destination=stderr",
        ),
        (
            "recovery_end_command",
            &[""],
            "it runs a program at the promotion: the server is started with -c recovery_end_command=",
        ),
        (
            "archive_cleanup_command",
            &[""],
            "it removes WAL at every restart point: the server is started with -c archive_cleanup_command=",
        ),
    ];
    for (name, harmless, what) in overridden {
        let value = found.value(name);
        if !harmless.contains(&value) {
            hazards.push(format!("{name} = '{}'", clean(value)));
            report.good(format!("{name} = '{}' ({}): {what}", clean(value), found.place(name)));
        }
    }
    let trigger = found.value("promote_trigger_file");
    if !trigger.is_empty() {
        hazards.push(format!("promote_trigger_file = '{}'", clean(trigger)));
        let path = found.directory.join(trigger);
        report.good(format!("promote_trigger_file = '{}' ({}): it would end a pause by promoting; the server is started with -c promote_trigger_file=", clean(trigger), found.place("promote_trigger_file")));
        if path.symlink_metadata().is_ok() {
            report.bad(
                format!(
                    "the trigger file {} is there: the first start without the override would promote",
                    clean(&path.to_string_lossy())
                ),
                "Remove it, and find out who made it.",
            );
        }
    }
    let delay = found.value("recovery_min_apply_delay");
    if !matches!(delay, "" | "0" | "0ms") {
        hazards.push(format!("recovery_min_apply_delay = '{}'", clean(delay)));
        report.good(format!("recovery_min_apply_delay = {}: replay would wait that long behind each commit; the server is started with -c recovery_min_apply_delay=0", clean(delay)));
    }
    if !found.value("synchronous_standby_names").is_empty() {
        hazards.push("synchronous_standby_names".to_owned());
        report.good("synchronous_standby_names is set: after the promotion every commit hangs until such a standby is there; the server of the work is started with -c synchronous_standby_names=");
    }
    targets(found, &mut hazards, report);
    outside(found, report);
    report.put("hazards", listed(&hazards));
    if hazards.is_empty() {
        report.good("no setting disturbs the recovery");
    }
}

/// Targets that are left over: those of postgresql.auto.conf are replaced, those elsewhere end in `FATAL: multiple recovery
/// targets specified`.
fn targets(found: &Found<'_>, hazards: &mut Vec<String>, report: &mut CheckReport) {
    for name in [
        "recovery_target",
        "recovery_target_lsn",
        "recovery_target_name",
        "recovery_target_time",
        "recovery_target_xid",
    ] {
        if found.files.places.contains_key(name) {
            hazards.push(format!("{name} in {}", found.place(name)));
            report.bad(
                format!("{name} is set in {}", found.files.places.get(name).map_or_else(String::new, |path| clean(&path.to_string_lossy()))),
                "Lifeboat replaces targets in postgresql.auto.conf only; beside it the server ends with `multiple recovery targets specified`. Comment that line out.",
            );
        } else if let Some(value) = found.auto.get(name) {
            hazards.push(format!("{name} in postgresql.auto.conf"));
            report.good(format!(
                "{name} = '{value}' is left in postgresql.auto.conf by an earlier recovery: it is replaced"
            ));
        }
    }
}

fn outside(found: &Found<'_>, report: &mut CheckReport) {
    let paths = ["config_file", "hba_file", "ident_file"].map(|name| (name, found.directory.join(found.value(name))));
    let outside: Vec<String> = paths
        .iter()
        .filter(|(name, path)| !found.value(name).is_empty() && !path.starts_with(found.directory))
        .map(|(_, path)| clean(&path.to_string_lossy()))
        .collect();
    report.put("config-file", clean(&found.main.to_string_lossy()));
    report.put("config-outside", if found.main.starts_with(found.directory) { "no" } else { "yes" });
    report.put("includes", listed(&found.files.includes));
    if !outside.is_empty() {
        report.good(format!(
            "configuration outside of the data directory: {}. A backup has none of it: it stays as it is today, and the server is started with -c config_file={}",
            outside.join(", "),
            clean(&found.main.to_string_lossy())
        ));
    }
    if !found.files.includes.is_empty() {
        report.good(format!(
            "it includes {}: those files are read at the start as well, and saved with the others",
            listed(&found.files.includes)
        ));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn judged(values: &[(&str, &str)], conf: &str, auto: &[(&str, &str)]) -> CheckReport {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        std::fs::create_dir_all(data.join("conf.d")).unwrap();
        std::fs::write(data.join("conf.d/own.conf"), conf).unwrap();
        std::fs::write(data.join("postgresql.conf"), "# recovery_target = 'x'\ninclude_dir 'conf.d'\n").unwrap();
        std::fs::write(data.join("promote"), "").unwrap();
        let pairs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let main = data.join("postgresql.conf");
        let mut files = Files::default();
        files.read(&main, 0);
        let mut report = CheckReport::default();
        judge(&Found { directory: &data, main: &main, values: pairs(values), files, auto: pairs(auto) }, &mut report);
        report
    }

    #[test]
    fn a_plain_configuration_is_no_hazard() {
        let report =
            judged(&[("hot_standby", "on"), ("logging_collector", "off"), ("recovery_min_apply_delay", "0")], "", &[]);
        assert!(report.holds() && report.captures["hazards"] == "none", "{report:?}");
        assert_eq!(report.captures["config-outside"], "no");
        assert!(report.captures["includes"].ends_with("/conf.d"), "{report:?}");
    }

    #[test]
    fn each_hazard_is_named_with_what_is_done_about_it() {
        for (name, value, said) in [
            ("hot_standby", "off", "-c hot_standby=on"),
            ("logging_collector", "on", "-c logging_collector=off"),
            ("recovery_end_command", "rm x", "-c recovery_end_command="),
            ("archive_cleanup_command", "pg_archivecleanup", "-c archive_cleanup_command="),
            ("promote_trigger_file", "/nowhere/x", "-c promote_trigger_file="),
            ("recovery_min_apply_delay", "3600000", "-c recovery_min_apply_delay=0"),
            ("synchronous_standby_names", "*", "-c synchronous_standby_names="),
            ("hba_file", "/etc/postgresql/15/main/pg_hba.conf", "outside of the data directory"),
        ] {
            let report = judged(&[(name, value)], "", &[]);
            assert!(report.holds(), "{report:?}");
            assert!(report.findings.iter().any(|finding| finding.what.contains(said)), "{name}: {report:?}");
        }
        let report = judged(&[("promote_trigger_file", "promote")], "", &[]);
        assert!(!report.holds(), "the trigger is there: {report:?}");
    }

    #[test]
    fn a_target_is_replaced_in_one_file_and_refused_in_others() {
        let report = judged(&[], "", &[("recovery_target_time", "2026-11-22")]);
        assert!(report.holds() && report.captures["hazards"].contains("postgresql.auto.conf"), "{report:?}");
        let report = judged(&[], "Recovery_Target_LSN = '0/5' # old\n", &[]);
        let bad = report.findings.iter().find(|finding| !finding.holds).unwrap();
        assert!(bad.what.contains("own.conf") && bad.remedy.contains("multiple recovery targets"), "{report:?}");
        let report = judged(&[], "recovery_target_lsn = '0/5'\nrecovery_target = ''\nrecovery_target_lsn = ''\n", &[]);
        assert!(report.holds() && report.captures["hazards"] == "none", "{report:?}");
    }
}
