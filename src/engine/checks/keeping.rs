//! How the old cluster can be kept, and what that costs.

use crate::domain::inventory::BackupSet;
use crate::domain::text::clean;
use crate::engine::checks::{CheckError, CheckReport, Input, coverage, existing, set_of, shown_bytes, wrong};
use crate::engine::kept::{self, SetToRestore};
use crate::planning::keeping::{KeepOption, KeepPlan, Keeping, PartFacts, RestoreKind, Speeds, keep_plan};
use rustix::fs::Access;
use std::path::{Path, PathBuf};

/// The argument that leaves the choice to the plan.
const RECOMMENDED: &str = "best";

/// The argument that names no place.
const BESIDE: &str = "beside";

/// Works out every way to keep the old cluster, and chooses: `how` is a way's word, or `best`.
pub(super) fn room_to_keep(input: &Input<'_>) -> Result<CheckReport, CheckError> {
    let data = input.path("data-directory")?;
    let how = input.text("how")?;
    let elsewhere = match input.text("kept")? {
        BESIDE => None,
        // another host's: a name for people
        _ if how == Keeping::Standby.word() => None,
        _ => Some(input.path("kept")?.to_owned()),
    };
    let keeping = match how {
        // whoever names a place means it
        RECOMMENDED if elsewhere.is_some() => Some(Keeping::CopyElsewhere),
        RECOMMENDED => None,
        word => Some(Keeping::of_word(word).ok_or_else(|| {
            wrong("how", word, "a way to keep is needed: best, rename, reflink, copy, elsewhere, standby or none")
        })?),
    };
    let key = input.repository_key()?;
    let stanza = input.stanza(Some(input.text("set")?), Some(key.0))?;
    let (repository, set) = set_of(&stanza, key, input.label()?)?;
    let left = left_tablespaces(set, input.around.postgres.major());
    let (backup, set) = (set, to_restore(set)?);
    let mut report = CheckReport::default();
    report.put("set-bytes", set.bytes);
    let oids: Vec<String> = set.tablespaces.iter().map(ToString::to_string).collect();
    report.put("set-tablespaces", if oids.is_empty() { "none".to_owned() } else { oids.join(",") });
    if is_lost(data)? {
        report.put("restore", "fresh");
        nothing(data, &left, &mut report);
        return Ok(report);
    }
    if kept::is_unfinished_restore(data) {
        report.put("restore", "delta");
        nothing(data, &[], &mut report);
        return Ok(report);
    }
    let Some(run) = &input.around.run else {
        return Err(CheckError::NotThere("only a run keeps a cluster: there is none".to_owned()));
    };
    // its home: the record's folder needs a name of its own below the one that was given
    let place = elsewhere.as_ref().map(|folder| folder.join(format!("kept-{run}")));
    let facts =
        kept::survey(run, data, &set, place.as_deref()).map_err(|error| CheckError::NotThere(error.to_string()))?;
    if let Some(place) = &place {
        usable(place, &facts.parts, &mut report);
    }
    let bytes: u64 = facts.parts.iter().map(|part| part.bytes).sum();
    choose(&keep_plan(&facts, &Speeds::default()), keeping, bytes, &mut report);
    match keeping {
        Some(Keeping::Standby) => standby(input.text("kept")?, &mut report),
        Some(Keeping::WalOnly) => {
            let seconds = coverage::seconds_to_the_end(input, &stanza, repository, backup)?;
            report.put("way-back", Keeping::WalOnly.way_back(Some(seconds)));
        }
        _ => {}
    }
    Ok(report)
}

/// Whether a copy can be made there: seen now, not when production is stopped.
fn usable(place: &Path, parts: &[PartFacts], report: &mut CheckReport) {
    let shown = place.parent().unwrap_or(place).display();
    let real = existing(place).canonicalize().unwrap_or_else(|_| place.to_owned());
    if let Some(part) = parts.iter().find(|part| real.starts_with(&part.from)) {
        report.bad(
            format!("{shown} lies inside of what is to be kept ({})", part.from.display()),
            "Name a directory outside of the cluster and its tablespaces, best on another file system.",
        );
    }
    if rustix::fs::access(&real, Access::WRITE_OK | Access::EXEC_OK).is_err() || !real.is_dir() {
        report.bad(
            format!("{shown} can't be made or written to by this user: {} is in the way", real.display()),
            "Make the directory for the owner of the data directory (0700), or name another.",
        );
    }
}

/// The copy is a standby that only people can reach.
fn standby(place: &str, report: &mut CheckReport) {
    if place == BESIDE {
        report.bad(
            "'standby' does not say which standby is the copy",
            "Name it for those who will need it: -p how=standby -p kept=HOST:DIRECTORY.",
        );
        return;
    }
    report.put("kept", clean(place));
    report.put("way-back", format!("{} ({})", Keeping::Standby.way_back(None), clean(place)));
}

fn to_restore(set: &BackupSet) -> Result<SetToRestore, CheckError> {
    let detail = set.detail().ok_or_else(|| {
        CheckError::NotThere(format!("pgbackrest info --set={} told nothing of its tablespaces", set.label()))
    })?;
    let tablespaces = detail.tablespaces.iter().map(|tablespace| tablespace.oid).collect();
    Ok(SetToRestore { bytes: set.database_bytes().0, tablespaces })
}

/// Directories of the set's tablespaces that are in place although their cluster is lost.
fn left_tablespaces(set: &BackupSet, major: &str) -> Vec<PathBuf> {
    let wanted = format!("PG_{major}_");
    let locations = set.detail().map(|detail| detail.tablespaces.as_slice()).unwrap_or_default();
    let inside = locations.iter().flat_map(|tablespace| std::fs::read_dir(&*tablespace.destination)).flatten();
    let own = inside.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(&wanted));
    let is_full = |path: &PathBuf| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    own.map(|entry| entry.path()).filter(is_full).collect()
}

/// No directory, or an empty one.
fn is_lost(data: &Path) -> Result<bool, CheckError> {
    match std::fs::read_dir(data) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(source) => Err(CheckError::Io { path: data.to_owned(), source }),
    }
}

fn nothing(data: &Path, left: &[PathBuf], report: &mut CheckReport) {
    for path in left {
        let aside = path.with_file_name(format!("left-{}", path.file_name().unwrap_or_default().to_string_lossy()));
        report.bad(
            format!("the tablespace directory {} is still there: pgBackRest refuses with [040]", path.display()),
            format!(
                "Move it out of the way, it may be all that is left of the old data: mv {} {}",
                path.display(),
                aside.display()
            ),
        );
    }
    let shown = data.display();
    report.good(if kept::is_unfinished_restore(data) {
        format!("{shown} holds an unfinished restore: there is no cluster to keep, and --delta keeps what was copied")
    } else {
        format!("{shown} is empty or not there: there is no cluster to keep")
    });
    report.put("how", "nothing");
    report.put("kept", "none");
    report.put("bytes", 0);
    report.put("way-back", "there is no cluster to go back to");
    report.put("cost", "nothing is kept");
    report.put("others", "none: there is nothing to keep");
}

fn choose(plan: &KeepPlan, wanted: Option<Keeping>, bytes: u64, report: &mut CheckReport) {
    for option in &plan.options {
        report.good(described(option));
    }
    let chosen = match wanted {
        Some(wanted) => plan.options.iter().find(|option| option.keeping == wanted),
        None => plan.recommended(),
    };
    let Some(option) = chosen else {
        let (what, remedy) = match wanted {
            Some(wanted) => (
                format!("'{}' needs a directory on another file system", wanted.word()),
                "Name one as `kept`, or choose another way.",
            ),
            None => (
                "no way to keep the old cluster is open".to_owned(),
                "Make room, name a directory on another file system (-p kept=DIRECTORY), or take a standby as the copy (-p how=standby -p kept=HOST:DIRECTORY). Going on without a copy has to be said: -p how=none.",
            ),
        };
        report.bad(what, remedy);
        none(plan, report);
        return;
    };
    if !option.is_open() {
        let what =
            format!("the old cluster can't be kept by '{}': {}", option.keeping.word(), option.refused.join("; "));
        report.bad(what, "Choose another way, or make room.");
    }
    let home = option.parts.first().map_or(PathBuf::from("none"), |part| part.chest.clone());
    report.put("how", option.keeping.word());
    report.put("kept", home.display());
    report.put("bytes", bytes);
    report.put("way-back", option.keeping.way_back(option.back_seconds));
    report.put("cost", format!("about {:.0} s; {}", option.keep_seconds.max(1.0), option.costs.join("; ")));
    report.put("others", others(plan, Some(option.keeping)));
    report.put("restore", if option.restore == RestoreKind::Delta { "delta" } else { "fresh" });
}

/// The ways that were not taken, each with what it takes, in few words.
fn others(plan: &KeepPlan, taken: Option<Keeping>) -> String {
    let mut said: Vec<String> = Vec::new();
    for option in plan.options.iter().filter(|option| Some(option.keeping) != taken) {
        let word = option.keeping.word();
        let needs: u64 = option.needs.values().sum();
        said.push(match (option.is_open(), option.keeping) {
            (false, _) => format!("{word}: not possible"),
            (_, Keeping::Standby) => format!("{word}: one that is stopped is the copy (-p kept=HOST:DIRECTORY)"),
            (_, Keeping::WalOnly) => format!("{word}: only WAL is saved, and the way back is a replay"),
            _ => format!("{word}: about {:.0} s, {} of room", option.keep_seconds.max(1.0), shown_bytes(needs)),
        });
    }
    if plan.options.iter().all(|option| option.keeping != Keeping::CopyElsewhere) {
        said.push("elsewhere: a copy on another file system (-p kept=DIRECTORY)".to_owned());
    }
    said.join("; ")
}

fn none(plan: &KeepPlan, report: &mut CheckReport) {
    report.put("how", "none");
    report.put("kept", "none");
    report.put("bytes", 0);
    report.put("way-back", Keeping::WalOnly.way_back(None));
    report.put("restore", "delta");
    report.put("cost", "nothing is kept");
    report.put("others", others(plan, None));
}

/// A way with what it takes and costs, in one line.
fn described(option: &KeepOption) -> String {
    let word = option.keeping.word();
    if !option.is_open() {
        return format!("{word}: not possible: {}", option.refused.join("; "));
    }
    let needs: u64 = option.needs.values().sum();
    format!(
        "{word}: about {:.0} s to keep, {:.0} s to copy the set afterwards, {} of room needed; {}; {}",
        option.keep_seconds,
        option.restore_seconds,
        shown_bytes(needs),
        option.keeping.way_back(option.back_seconds),
        option.costs.join("; ")
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::planning::keeping::{KeepFacts, PartKind, Space};

    fn plan(free_bytes: u64, obstacle: Option<&str>) -> KeepPlan {
        let part = PartFacts {
            kind: PartKind::Data,
            from: "/data/main".into(),
            chest: "/data/main.kept-7Q2K".into(),
            bytes: 1000,
            entries: 10,
            space: Space { file_system: 1, free_bytes },
            reflink: false,
            obstacle: obstacle.map(str::to_owned),
            mounted: false,
            in_set: true,
        };
        keep_plan(&KeepFacts { parts: vec![part], restored_bytes: 1000, elsewhere: None }, &Speeds::default())
    }

    fn chosen(plan: &KeepPlan, wanted: Option<Keeping>) -> CheckReport {
        let mut report = CheckReport::default();
        choose(plan, wanted, 1000, &mut report);
        report
    }

    #[test]
    fn the_best_way_is_chosen_with_its_way_back() {
        let report = chosen(&plan(5000, None), None);
        assert!(report.holds(), "{report:?}");
        assert_eq!((report.captures["how"].as_str(), report.captures["restore"].as_str()), ("rename", "fresh"));
        assert_eq!(report.captures["kept"], "/data/main.kept-7Q2K");
        assert!(report.captures["way-back"].contains("renaming"));
        let copy = chosen(&plan(5000, None), Some(Keeping::Copy));
        assert_eq!((copy.captures["how"].as_str(), copy.captures["restore"].as_str()), ("copy", "delta"));
    }

    #[test]
    fn a_place_that_cant_hold_a_copy_is_told_before_anything_is_stopped() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let data = home.join("main");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(home.join("file"), "").unwrap();
        let part = PartFacts {
            kind: PartKind::Data,
            from: data.clone(),
            chest: home.join("main.kept"),
            bytes: 1,
            entries: 1,
            space: Space { file_system: 1, free_bytes: 1 },
            reflink: false,
            obstacle: None,
            mounted: false,
            in_set: true,
        };
        let ask = |place: &str| {
            let mut report = CheckReport::default();
            usable(&home.join(place).join("kept-7Q2K"), std::slice::from_ref(&part), &mut report);
            report.findings.first().map(|finding| finding.what.clone()).unwrap_or_default()
        };
        assert_eq!(ask("new/below"), "");
        assert!(ask("main/kept").contains("inside of what is to be kept"));
        assert!(ask("file").contains("is in the way"));
        std::os::unix::fs::symlink(&data, home.join("link")).unwrap();
        let mut report = CheckReport::default();
        usable(&home.join("link/kept-7Q2K"), &[part], &mut report);
        assert!(!report.holds(), "through a link as well");
    }

    #[test]
    fn the_way_back_is_never_lost_in_silence() {
        let full = plan(10, None);
        let best = chosen(&full, None);
        assert!(!best.holds() && best.captures["how"] == "none", "{best:?}");
        assert!(!chosen(&full, Some(Keeping::Rename)).holds());
        assert!(!chosen(&plan(5000, Some("it is a mount point")), Some(Keeping::Copy)).holds());
        assert!(!chosen(&full, Some(Keeping::CopyElsewhere)).holds());
        assert!(best.captures["others"].contains("elsewhere: a copy on another file system"), "{best:?}");
        // said in so many words
        let mut named = chosen(&full, Some(Keeping::Standby));
        standby("db2:/srv/main", &mut named);
        assert!(named.holds() && named.captures["kept"] == "db2:/srv/main", "{named:?}");
        assert!(named.captures["way-back"].contains("db2:/srv/main"), "{named:?}");
        standby("beside", &mut named);
        assert!(!named.holds());
        let none = chosen(&full, Some(Keeping::WalOnly));
        assert!(none.holds() && none.captures["way-back"].contains("replay"), "{none:?}");
    }
}
