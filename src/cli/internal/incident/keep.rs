//! Keeping the old cluster and bringing it back.

use super::Told;
use crate::domain::event::RunId;
use crate::domain::text::clean;
use crate::engine::kept::{self, KeptState, RECORD, Record, SetToRestore};
use crate::planning::keeping::{Keeping, PlannedPart, Speeds, Way, keep_plan};
use anyhow::{Context as _, anyhow, bail};
use chrono::SecondsFormat;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn oids(text: &str) -> anyhow::Result<BTreeSet<u32>> {
    if text == "none" {
        return Ok(BTreeSet::new());
    }
    let parse = |oid: &str| oid.trim().parse().with_context(|| format!("'{}' is no OID of a tablespace", clean(oid)));
    text.split(',').map(parse).collect()
}

pub(super) fn keep(
    run: &RunId,
    data_directory: &Path,
    home: &Path,
    how: &str,
    set: &SetToRestore,
    told: &mut Told,
) -> anyhow::Result<()> {
    if how == "nothing" {
        // what was found before has to be so still
        let is_cluster = data_directory.join("PG_VERSION").symlink_metadata().is_ok();
        if is_cluster && !kept::is_unfinished_restore(data_directory) {
            bail!("{} holds a cluster: look again at how it is to be kept", data_directory.display());
        }
        return nothing_kept("nothing", "there was no cluster to keep", told);
    }
    let keeping = Keeping::of_word(how).ok_or_else(|| {
        anyhow!("'{}' is no way to keep a cluster: rename, reflink, copy, elsewhere, standby, none", clean(how))
    })?;
    if keeping == Keeping::WalOnly {
        return nothing_kept(how, &keeping.way_back(None), told);
    }
    if keeping == Keeping::Standby {
        // its name is for people: nothing of it is here
        return without_copy(how, &home.display().to_string(), &keeping.way_back(None), told);
    }
    let (parts, back) = match known_parts(run, home)? {
        Some(parts) => (parts, None),
        None => planned_parts(run, data_directory, home, keeping, set)?,
    };
    let data = parts.first().context("the plan keeps no data directory")?;
    let wanted = match keeping {
        Keeping::Rename => Way::Rename,
        Keeping::Reflink => Way::Reflink,
        _ => Way::Copy,
    };
    if data.way != wanted || data.from != data_directory || data.chest != home {
        bail!(
            "{} is kept at {} in another way than '{}': go on with that one",
            data.from.display(),
            data.chest.display(),
            keeping.word()
        );
    }
    let kept = kept::keep_parts(run, chrono::Utc::now(), &parts)?;
    told.say("how", keeping.word());
    told.say("kept-at", kept.home.display());
    told.say("record", kept.home.join(RECORD).display());
    told.say("kept-bytes", kept::kept_bytes(&kept.record)?);
    told.list("parts", kept.record.parts.iter().map(|part| part.planned.from.display()));
    told.list(
        "left-in-place",
        kept.record.links.iter().map(|link| format!("{} -> {}", link.name, link.destination.display())),
    );
    told.say("way-back", keeping.way_back(back));
    Ok(())
}

fn nothing_kept(how: &str, way_back: &str, told: &mut Told) -> anyhow::Result<()> {
    without_copy(how, "none", way_back, told)
}

fn without_copy(how: &str, kept_at: &str, way_back: &str, told: &mut Told) -> anyhow::Result<()> {
    for (name, value) in
        [("how", how), ("kept-at", kept_at), ("record", "none"), ("kept-bytes", "0"), ("way-back", way_back)]
    {
        told.say(name, value);
    }
    Ok(())
}

/// The parts of an earlier attempt: what has moved is found by no survey.
fn known_parts(run: &RunId, home: &Path) -> anyhow::Result<Option<Vec<PlannedPart>>> {
    if home.symlink_metadata().is_err() {
        return Ok(None);
    }
    let record = kept::read_record(run, home)?;
    Ok(record.map(|record| record.parts.into_iter().map(|part| part.planned).collect()))
}

fn planned_parts(
    run: &RunId,
    data_directory: &Path,
    home: &Path,
    keeping: Keeping,
    set: &SetToRestore,
) -> anyhow::Result<(Vec<PlannedPart>, Option<f64>)> {
    // a copy elsewhere goes to the folder that holds its home
    let elsewhere = (keeping == Keeping::CopyElsewhere).then(|| home.parent()).flatten();
    let facts = kept::survey(run, data_directory, set, elsewhere)?;
    let plan = keep_plan(&facts, &Speeds::default());
    let option = plan.options.into_iter().find(|option| option.keeping == keeping);
    let option = option.with_context(|| format!("'{}' is no way here", keeping.word()))?;
    if !option.is_open() {
        bail!("the cluster can't be kept by '{}': {}", keeping.word(), option.refused.join("; "));
    }
    Ok((option.parts, option.back_seconds))
}

pub(super) fn home_of(record: &Path) -> anyhow::Result<&Path> {
    if record == Path::new("none") {
        bail!("nothing was kept here, and there is nothing to bring back: no copy was made, or there was no cluster");
    }
    if record.file_name() != Some(RECORD.as_ref()) {
        bail!("{} is no record of a kept cluster: its name would be {RECORD}", record.display());
    }
    record.parent().context("the record lies in no directory")
}

/// The record with its path, proven to be of the run it names.
fn read(path: &Path) -> anyhow::Result<(&Path, Record)> {
    let home = home_of(path)?;
    let record = kept::read_record(&kept::run_of(path)?, home)?;
    Ok((home, record.with_context(|| format!("{} is no record of a kept cluster", path.display()))?))
}

pub(super) fn show(path: &Path, told: &mut Told) -> anyhow::Result<()> {
    let (home, record) = read(path)?;
    told.say("kept-at", home.display());
    told.say("run", &record.run);
    told.say("began", record.began.to_rfc3339_opts(SecondsFormat::Secs, true));
    told.say(
        "state",
        match record.state {
            KeptState::Keeping => "kept in part: keeping was interrupted",
            KeptState::Kept => "kept",
            KeptState::PuttingBack { .. } => "back in part: putting back was interrupted",
            KeptState::PutBack => bail!("the cluster in {} is back in its place already", home.display()),
        },
    );
    told.say("data-directory", record.data_directory.display());
    told.say("system-identifier", record.system_identifier.map_or("none".to_owned(), |id| id.to_string()));
    told.list("parts", record.parts.iter().map(|part| part.planned.from.display()));
    Ok(())
}

pub(super) fn put_back(record: &Path, data_directory: Option<&Path>, told: &mut Told) -> anyhow::Result<()> {
    let home = home_of(record)?;
    if let Some(wanted) = data_directory {
        let (_, found) = read(record)?;
        if found.data_directory != wanted {
            bail!("{} is of {}, not of {}", record.display(), found.data_directory.display(), wanted.display());
        }
    }
    let back = kept::put_back(&kept::run_of(record)?, home)?;
    told.say("put-back", back.data_directory.display());
    told.list("aside", back.aside.iter().map(|path| path.display()));
    told.list("left-in-place", back.left_in_place.iter().map(|path| path.display()));
    told.say("system-identifier", back.record.system_identifier.map_or("none".to_owned(), |id| id.to_string()));
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn tablespaces_are_numbers_or_none() {
        assert_eq!(oids("none").unwrap().len(), 0);
        assert_eq!(oids("16384, 16400").unwrap(), BTreeSet::from([16384, 16400]));
        assert!(oids("").is_err() && oids("16384,x").is_err());
    }
}
